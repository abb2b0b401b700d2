"""The result of a policy check as text."""

import shlex
from collections.abc import Iterator

from iochain.cli.documents import Document
from iochain.cli.text import counted, notes, paragraph, table, title


def check_text(document: Document) -> Iterator[str]:
    """A line for each statement; below those that do not hold what shows it."""
    statements = document["statements"]
    broken = [one for one in statements if not one["holds"]]
    yield title(f"{document['policy']} about {document['lab']}: {_sum(len(statements), len(broken))}")
    yield ""
    rows = [("holds" if one["holds"] else "BROKEN", one["kind"], one["name"]) for one in statements]
    yield from table("<<<", ("", "kind", "statement"), rows, indent="")
    for one in broken:
        yield ""
        yield from _broken(one)
    yield ""
    drawn = f", {counted(document['drawn'], 'of them drawn', 'of them drawn')}" if document["drawn"] else ""
    yield from paragraph(f"{counted(document['frames'], 'frame')} tried{drawn}.")


def _sum(statements: int, broken: int) -> str:
    if not broken:
        return f"nothing was found against {counted(statements, 'statement')}"
    return f"{broken} of {counted(statements, 'statement')} {'does' if broken == 1 else 'do'} not hold"


def _broken(one: Document) -> Iterator[str]:
    found = one["violation"]
    yield title(f"{one['name']} (line {one['line']}): {one['because']}")
    yield from notes(_told(found))
    yield from paragraph("See why:", "  ")
    yield f"    {found['command']}"


def _told(found: Document) -> Iterator[str]:
    yield f"a frame sent at {found['at']}, {found['sent']}: {found['fate']}"
    if found["setting"]:
        yield f"decided by {found['setting']['text']}"
    if found["change"]:
        yield f"the smallest change: --set {shlex.quote(found['change'])}"
    yield f"witness: {found['witness']}"

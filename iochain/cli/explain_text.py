"""The explanation of a frame as text: each stage with its verdict, and below it what it read, asked and went by."""

import shlex
from collections.abc import Iterator
from typing import Final

from iochain.cli.documents import Document
from iochain.cli.replay_text import inferred_text
from iochain.cli.text import notes, table, title

_INDENT: Final = "  "


def explain_text(document: Document) -> Iterator[str]:
    """The lines of the explanation."""
    frame = f"Frame {document['frame']} of {document['capture']}"
    if document["sent"] is not None:
        frame = f"A frame of {len(document['sent']) // 2} bytes sent at {document['at']}"
    yield title(f"{frame}, through {document['lab']}")
    yield from inferred_text(document)
    yield ""
    yield from table("<<<", ("where", "stage", "verdict"), list(_rows(document["steps"])), indent="")
    yield ""
    yield from notes(_ends(document))
    if document["expected"]:
        yield from ("", *_expected(document["expected"]))


def _rows(steps: list[Document]) -> Iterator[tuple[str, str, str]]:
    last = ""
    for step in steps:
        where = step["where"] if step["where"] != last else ""
        last = step["where"]
        detail = f": {step['detail']}" if step["detail"] else ""
        yield where, step["stage"], "\n".join([step["outcome"] + detail, *_below(step)])


def _below(step: Document) -> Iterator[str]:
    if step["read"]:
        yield _INDENT + "read " + ", ".join(f"{one['field']} {one['value']}" for one in step["read"])
    asked = dict.fromkeys(f"{one['name']}: {one['answer']}" for one in step["consulted"])
    if asked:
        yield _INDENT + "asked " + "; ".join(asked)
    if step["setting"]:
        yield _INDENT + "set by " + step["setting"]["text"]


def _ends(document: Document) -> Iterator[str]:
    for fate in document["delivered"]:
        yield f"delivered at {fate['port']}, {fate['bytes']} bytes"
    for fate in document["dropped"]:
        rule = f" ({fate['rule']})" if fate["rule"] else ""
        yield f"dropped, {fate['where']}, at stage {fate['stage']}: {fate['reason_text']}{rule}"
        if fate["change"]:
            yield f"to let it pass there: --set {shlex.quote(fate['change'])}"


def _expected(expected: Document) -> Iterator[str]:
    if expected["reached"]:
        yield title(f"It reached {expected['port']}.")
    else:
        yield title(f"It did not reach {expected['port']}: {expected['why_not']}.")

"""The comparison of two labs as a document, and the same as text."""

from collections.abc import Iterator, Sequence
from typing import Final

from iochain.cli.documents import Document, heading, setting
from iochain.cli.options import OpenedLab
from iochain.cli.text import counted, notes, paragraph, title
from iochain.verify.difference import Difference, Group
from iochain.verify.fatesums import Kind

MOST_TOLD: Final = 20
"""Groups that the text shows; JSON has all."""
_MOST_FATES: Final = 6


def diff_document(
    result: Difference,
    a: OpenedLab,
    b: OpenedLab,
    captures: Sequence[str],
    samples: str | None,
    written: int | None,
) -> Document:
    """All groups, the largest first."""
    first = heading("diff", a)
    return {
        **first,
        "lab_b": b.lab.name,
        "captures": list(captures),
        "frames": result.frames,
        "changed": result.changed,
        "groups": [_group(group) for group in result.groups],
        "samples": None if samples is None else {"path": samples, "frames": written},
    }


def _group(group: Group) -> Document:
    return {
        "frames": group.frames,
        "old": [_fate(kind) for kind in group.old],
        "new": [_fate(kind) for kind in group.new],
        "setting": setting(group.setting),
        "samples": [{"capture": one.capture, "frame": one.frame} for one in group.samples],
    }


def _fate(kind: Kind) -> Document:
    return {
        "text": str(kind),
        "port": kind.port,
        "vlan": kind.vlan if kind.is_tagged else None,
        "where": kind.where or None,
        "stage": kind.stage or None,
        "reason_text": kind.reason or None,
        "is_drop": kind.is_drop,
    }


def diff_text(document: Document) -> Iterator[str]:
    """The groups, each with its fates before and now."""
    changed, frames = document["changed"], document["frames"]
    fare = "fares" if changed == 1 else "fare"
    labs = f"{document['lab']} and {document['lab_b']}"
    if not changed:
        yield title(f"{labs}: all of {counted(frames, 'frame')} fare alike")
        return
    yield title(f"{labs}: {changed:,} of {counted(frames, 'frame')} {fare} differently")
    for number, group in enumerate(document["groups"][:MOST_TOLD], 1):
        yield ""
        yield f"{number}. {counted(group['frames'], 'frame')}"
        yield from notes(_told(group))
    rest = len(document["groups"]) - MOST_TOLD
    if rest > 0:
        yield ""
        yield from paragraph(f"{counted(rest, 'smaller group')} more; --json has all.")
    if document["samples"] is not None:
        yield ""
        written = document["samples"]
        yield from paragraph(f"{counted(written['frames'], 'sample')} in {written['path']}.")


def _told(group: Document) -> Iterator[str]:
    yield f"before: {_fates(group['old'])}"
    yield f"now: {_fates(group['new'])}"
    if group["setting"]:
        yield f"decided by {group['setting']['text']}"
    if group["samples"]:
        yield "like " + ", ".join(f"{one['capture']}#{one['frame']}" for one in group["samples"])


def _fates(fates: list[Document]) -> str:
    texts = [one["text"] for one in fates]
    more = f" and {counted(len(texts) - _MOST_FATES, 'other')}" if len(texts) > _MOST_FATES else ""
    return " and ".join(texts[:_MOST_FATES]) + more if texts else "no such copy"

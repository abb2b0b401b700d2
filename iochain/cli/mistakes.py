"""Mistakes and warnings of labs, as documents and as text. Loads nothing but what reads a lab file."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from iochain.cli.text import counted
from iochain.topology.labfile import LabError, LoadedLab
from iochain.topology.mistakes import Mistake
from iochain.version import __version__


def check_document(results: Sequence[LoadedLab | LabError]) -> dict[str, Any]:
    """The mistakes and warnings of labs."""
    return {
        "iochain": __version__,
        "command": "lab check",
        "labs": [
            {
                "lab": result.name,
                "mistakes": [mistake_document(one) for one in getattr(result, "mistakes", ())],
                "warnings": [mistake_document(one) for one in getattr(result, "warnings", ())],
            }
            for result in results
        ],
    }


def mistake_document(mistake: Mistake) -> dict[str, Any]:
    """A mistake in a lab, or a warning."""
    place = mistake.place
    return {
        "source": None if place is None else place.source,
        "line": None if place is None else place.line,
        "key": mistake.key,
        "message": mistake.message,
    }


def check_text(document: Mapping[str, Any]) -> Iterator[str]:
    """A line for each lab, its mistakes and warnings below."""
    for lab in document["labs"]:
        many = len(lab["mistakes"])
        yield f"{lab['lab']}: {counted(many, 'mistake') if many else 'fine'}"
        for mistake in lab["mistakes"]:
            place = f"{mistake['source']}  " if mistake["source"] and mistake["line"] is None else ""
            yield f"  {place}{place_text(mistake)}{mistake['message']}"
        for warning in lab["warnings"]:
            yield f"  warning: {place_text(warning)}{warning['message']}"


def place_text(mistake: Mapping[str, Any]) -> str:
    """Line and key of a mistake or warning."""
    line = "" if mistake["line"] is None else f"line {mistake['line']}  "
    return f"{line}{mistake['key']}: " if mistake["key"] else line

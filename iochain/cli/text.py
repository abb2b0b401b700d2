"""Text for people: tables whose last column wraps, notes, numbers. The same bytes wherever it is not a terminal."""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import click

WIDTH: Final = 100
"""Columns of text that goes into a file or a pipe."""
LEAST_LAST: Final = 32
"""Columns that the last column of a table always gets, even if the line grows longer for it."""
GAP: Final = "  "


def width() -> int:
    """How many columns there are."""
    return shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH


def say(lines: Iterable[str], err: bool = False) -> None:
    """Write lines; colour only on a terminal, and not where NO_COLOR is set."""
    click.echo("\n".join(lines), err=err, color=False if os.environ.get("NO_COLOR") else None)


def title(text: str) -> str:
    """The title of a part, wrapped."""
    return "\n".join(click.style(line, bold=True) for line in paragraph(text))


def table(align: str, head: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "  ") -> Iterator[str]:
    """Rows under their heads; ``align`` has < or > for each column. Only the last column may hold line breaks."""
    every = [*([head] if any(head) else []), *rows]
    widths = [max((len(row[i]) for row in every), default=0) for i in range(len(align))]
    last = max(width() - len(indent) - sum(widths[:-1]) - len(GAP) * (len(widths) - 1), LEAST_LAST)
    for number, row in enumerate(every):
        front = indent + "".join(
            (f"{cell:<{wide}}" if side == "<" else f"{cell:>{wide}}") + GAP
            for cell, wide, side in zip(row[:-1], widths, align, strict=False)
        )
        cells = [part for line in row[-1].split("\n") for part in wrapped(line, last)]
        if align[-1] == ">":
            cells = [f"{cell:>{widths[-1]}}" for cell in cells]
        for at, cell in enumerate(cells):
            line = ((front if at == 0 else " " * len(front)) + cell).rstrip()
            yield click.style(line, dim=True) if number == 0 and any(head) else line


def wrapped(text: str, columns: int) -> list[str]:
    """A line cut at spaces, the rest indented as it was; words are never cut."""
    inner = " " * (len(text) - len(text.lstrip()))
    return textwrap.wrap(text, columns, subsequent_indent=inner, break_long_words=False, break_on_hyphens=False) or [""]


def paragraph(text: str, indent: str = "") -> Iterator[str]:
    """Lines of a text of several lines, each wrapped to the width."""
    for line in text.splitlines():
        inner = indent + " " * (len(line) - len(line.lstrip()))
        for at, part in enumerate(wrapped(line.strip(), max(width() - len(inner) - 2, LEAST_LAST))):
            yield inner + ("" if at == 0 else "  ") + part


def notes(texts: Iterable[str]) -> Iterator[str]:
    """Sentences as a list."""
    for text in texts:
        for at, line in enumerate(wrapped(text, max(width() - 4, LEAST_LAST))):
            yield ("  - " if at == 0 else "    ") + line


def counted(number: int, one: str, many: str = "") -> str:
    """``1 frame``, ``2 frames``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"

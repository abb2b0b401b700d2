"""The mistakes in a lab: each with its place, all of them in one error."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Final

from attrs import frozen

KeyPath = tuple[str | int, ...]
"""The way to a value in the nested data of a lab: keys and names, numbers for the entries of a list."""

MOST_NAMES: Final = 2000
LONGEST_NAME: Final = 200
"""Beyond these only capital and small letters are compared: looking for the nearest name takes its time."""


@frozen
class Place:
    """Where something is said: a line of a file, or a setting of the command line (which has no line)."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"line {self.line}"


@frozen
class Mistake:
    """What is wrong, and where. Labs that are built in Python have keys only; a file that cannot be read has no key."""

    place: Place | None
    key: str
    message: str

    def __str__(self) -> str:
        said = f"{self.key}: {self.message}" if self.key else self.message
        return one_line(f"{self.place}  {said}" if self.place else said)


@frozen
class Finding:
    """A mistake (or only a warning) before its place is looked up."""

    path: KeyPath
    message: str
    warning: bool = False


class LabError(Exception):
    """A lab that cannot be used, with all the mistakes that were found in it."""

    def __init__(self, name: str, mistakes: Sequence[Mistake]) -> None:
        super().__init__(name, tuple(mistakes))
        self.name = name
        self.mistakes = tuple(mistakes)

    def __str__(self) -> str:
        count = "1 mistake" if len(self.mistakes) == 1 else f"{len(self.mistakes)} mistakes"
        return "\n".join([one_line(f"{self.name}: {count}"), *(f"  {mistake}" for mistake in self.mistakes)])


def key_text(path: KeyPath) -> str:
    """The path as a message shows it; a name with a dot in it stands in quotes, list entries count from 0."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (f'"{part}"' if "." in part or not part else part)
    return text


def one_line(text: str) -> str:
    """The text with its line breaks and other unprintable characters spelled out."""
    return text if text.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was most likely meant."""
    names = list(known)
    for other in names:
        if other.casefold() == name.casefold():
            return other
    if len(names) > MOST_NAMES or len(name) > LONGEST_NAME:
        return None
    return next(iter(difflib.get_close_matches(name, names, 1)), None)


def guess(name: str, known: Iterable[str]) -> str:
    """The end of a message about a name that is not known."""
    near = nearest(name, known)
    return f'; is "{near}" meant?' if near is not None else ""

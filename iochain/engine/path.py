"""A path: one way through a segment, as a value. Equal ways are one path, and what is done with frames is done by path.

Deciding (which path a frame takes) and doing (copies, counters, tags) are apart: the engines differ in the first only.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen

from iochain.chain import Drop, From, Group

UNCHANGED: Final = -2
"""In the column of tags: the frame keeps what it has (-1 is: no tag)."""


@frozen
class Dropped:
    """A drop with its place: between which nodes, at which stage, and the setting that decided."""

    where: str
    port: int  # number of the port whose chain it is, or at whose entry the switch dropped it
    incoming: bool  # on the way into the switch
    stage: str
    drop: Drop
    setting: From | None

    def __str__(self) -> str:
        rule = f" ({self.drop.rule})" if self.drop.rule else ""
        return f"{self.stage}: {self.drop.reason.value}{rule}"


@frozen
class Spread:
    """Where the copies of a frame go: port numbers, and members of a group of a switch, without ``except_``."""

    ports: tuple[int, ...] = ()
    switch: str = ""
    group: Group | None = None
    except_: int = -1


@frozen
class Path:
    """What becomes of a frame in a segment: it goes on, is spread, or ends; ``tag`` is its new TCI or UNCHANGED.

    With a spread there may be drops too: copies that found no uplink. ``stage`` is the one that spoke last.
    """

    tag: int = UNCHANGED
    spread: Spread | None = None
    drops: tuple[Dropped, ...] = ()
    stage: str = ""

    @property
    def goes_on(self) -> bool:
        """Whether the frame leaves the segment at its end."""
        return self.spread is None and not self.drops


@define
class Paths:
    """All paths met so far, each once, by number."""

    known: list[Path] = field(factory=list)
    numbers: dict[Path, int] = field(factory=dict)
    tags: list[int] = field(factory=list)

    def number(self, path: Path) -> int:
        """The number of a path; a new one if it was not met before."""
        found = self.numbers.get(path)
        if found is None:
            found = self.numbers[path] = len(self.known)
            self.known.append(path)
            self.tags.append(path.tag)
        return found

    def tagged(self, rows: Any, taken: npt.NDArray[np.int32]) -> None:
        """Give rows the tags that their paths put on or took off."""
        tags = np.array(self.tags, np.int32)[taken]
        changed = tags != UNCHANGED
        rows["tag"][changed] = tags[changed]

"""A path: one way through a segment, as a value. Equal ways are one path, and what is done with frames is done by path.

Deciding (which path a frame takes) and following (copies, tags, drops) are apart: the engines differ in the first only.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen

from iochain.chain import Drop, From, Group, Reason

UNCHANGED: Final = -2
"""In the column of tags: the frame keeps what it has (-1 is: no tag)."""
NO_GROUP: Final = -1


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
class Whys:
    """All drops met so far, each once, by number."""

    known: list[Dropped] = field(factory=list)
    numbers: dict[Dropped, int] = field(factory=dict)

    def number(self, dropped: Dropped) -> int:
        """The number of a drop; a new one if it was not met before."""
        number = self.numbers.setdefault(dropped, len(self.known))
        if number == len(self.known):
            self.known.append(dropped)
        return number


@frozen(eq=False)
class PathColumns:
    """All paths as arrays, by number, for the kernels that follow them.

    A path's copies are ``ports[first_port[p]:first_port[p + 1]]``, merged with the members of its group without
    ``except_``; its drops are ``whys[first_why[p]:first_why[p + 1]]``. ``fan_out`` counts copies, both of them.
    """

    tags: npt.NDArray[np.int32]
    goes_on: npt.NDArray[np.bool_]
    fan_out: npt.NDArray[np.int64]
    first_port: npt.NDArray[np.int32]
    ports: npt.NDArray[np.int32]
    group: npt.NDArray[np.int32]  # number of the group, or NO_GROUP
    except_: npt.NDArray[np.int32]
    first_why: npt.NDArray[np.int32]
    whys: npt.NDArray[np.int32]
    first_member: npt.NDArray[np.int32]  # of groups
    members: npt.NDArray[np.int32]


Members = Callable[[str, Group], tuple[int, ...]]
"""The port numbers of a switch's group, ascending."""


@define
class Paths:
    """All paths met so far, each once, by number; as columns when they are followed."""

    whys: Whys
    members_of: Members
    known: list[Path] = field(factory=list)
    numbers: dict[Path, int] = field(factory=dict)
    _columns: PathColumns | None = None

    def number(self, path: Path) -> int:
        """The number of a path; a new one if it was not met before."""
        found = self.numbers.get(path)
        if found is None:
            found = self.numbers[path] = len(self.known)
            self.known.append(path)
            self._columns = None
        return found

    def columns(self) -> PathColumns:
        """The paths as arrays; made anew when paths came, or groups changed."""
        if self._columns is None:
            self._columns = self._arrange()
        return self._columns

    def forget_groups(self) -> None:
        """Have groups looked up again: their members changed."""
        self._columns = None

    def _arrange(self) -> PathColumns:
        groups: dict[tuple[str, Group], int] = {}
        members: list[tuple[int, ...]] = []
        spreads = [path.spread or Spread() for path in self.known]
        for spread in spreads:
            if spread.group is not None and (spread.switch, spread.group) not in groups:
                groups[spread.switch, spread.group] = len(members)
                members.append(self.members_of(spread.switch, spread.group))
        inside = [set(one) for one in members]
        group = [NO_GROUP if s.group is None else groups[s.switch, s.group] for s in spreads]
        ports = [
            tuple(p for p in s.ports if g == NO_GROUP or p not in inside[g])
            for s, g in zip(spreads, group, strict=True)
        ]
        fan_out = [
            len(own) + (0 if g == NO_GROUP else len(members[g]) - (s.except_ in inside[g]))
            for own, s, g in zip(ports, spreads, group, strict=True)
        ]
        whys = [self._whys_of(path, count) for path, count in zip(self.known, fan_out, strict=True)]
        return PathColumns(
            np.array([path.tag for path in self.known], np.int32),
            np.array([path.goes_on for path in self.known], np.bool_),
            np.array(fan_out, np.int64),
            _starts(ports),
            _flat(ports),
            np.array(group, np.int32),
            np.array([s.except_ for s in spreads], np.int32),
            _starts(whys),
            _flat(whys),
            _starts(members),
            _flat(members),
        )

    def _whys_of(self, path: Path, fan_out: int) -> list[int]:
        """The drops of a path. One that is spread to nobody is a drop too: nothing vanishes."""
        drops = path.drops
        if path.spread is not None and not drops and not fan_out:
            spread = path.spread
            drops = (Dropped(spread.switch, spread.except_, True, path.stage, Drop(Reason.NO_PORT), None),)
        return [self.whys.number(dropped) for dropped in drops]


def _starts(lists: Sequence[Sequence[int]]) -> npt.NDArray[np.int32]:
    """Where each list begins in all of them joined, and where the last ends."""
    return np.cumsum([0, *(len(one) for one in lists)], dtype=np.int32)


def _flat(lists: Sequence[Sequence[int]]) -> npt.NDArray[np.int32]:
    return np.array([number for one in lists for number in one], np.int32)

"""A path: one way through a segment, as a value. Equal ways are one path, and what is done with frames is done by path.

Deciding (which path a frame takes) and following (copies, tags, drops) are apart: the engines differ in the first only.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

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


class Spread(NamedTuple):
    """Where the copies of a frame go: port numbers, and members of a group of a switch, without ``except_``."""

    ports: tuple[int, ...] = ()
    switch: str = ""
    group: Group | None = None
    except_: int = -1


class Path(NamedTuple):
    """What becomes of a frame in a segment: it goes on, is spread, or ends; ``tag`` is its new TCI or UNCHANGED.

    With a spread there may be drops too: copies that found no uplink. ``stage`` is the one that spoke last. ``team`` is
    the one that it has come to, where it is but the beginning of a path.
    """

    tag: int = UNCHANGED
    spread: Spread | None = None
    drops: tuple[Dropped, ...] = ()
    stage: str = ""
    team: str = ""

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
class _Lists:
    """The columns of paths while they grow."""

    tags: list[int] = field(factory=list)
    goes_on: list[bool] = field(factory=list)
    fan_out: list[int] = field(factory=list)
    ports: list[tuple[int, ...]] = field(factory=list)
    group: list[int] = field(factory=list)
    except_: list[int] = field(factory=list)
    whys: list[list[int]] = field(factory=list)
    members: list[tuple[int, ...]] = field(factory=list)
    inside: list[set[int]] = field(factory=list)  # the same, by group
    groups: dict[tuple[str, Group], int] = field(factory=dict)


@define
class Paths:
    """All paths met so far, each once, by number; as columns when they are followed."""

    whys: Whys
    members_of: Members
    known: list[Path] = field(factory=list)
    numbers: dict[Path, int] = field(factory=dict)
    _lists: _Lists = field(factory=_Lists)
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
        """The paths as arrays; new ones are added when they are asked for."""
        if self._columns is None:
            for path in self.known[len(self._lists.tags) :]:
                self._add(path)
            self._columns = _arrays(self._lists)
        return self._columns

    def refresh(self) -> None:
        """Ask for the members of groups again, as events may have changed them."""
        lists = self._lists
        if any(self.members_of(*group) != lists.members[number] for group, number in lists.groups.items()):
            self._lists, self._columns = _Lists(), None

    def _add(self, path: Path) -> None:
        lists, spread = self._lists, path.spread or Spread()
        group = NO_GROUP if spread.group is None else self._group(spread.switch, spread.group)
        inside = lists.inside[group] if group != NO_GROUP else set()
        ports = tuple(port for port in spread.ports if port not in inside)
        lists.tags.append(path.tag)
        lists.goes_on.append(path.goes_on)
        lists.ports.append(ports)
        lists.group.append(group)
        lists.except_.append(spread.except_)
        lists.fan_out.append(len(ports) + len(inside) - (spread.except_ in inside))
        lists.whys.append(self._whys_of(path, lists.fan_out[-1]))

    def _group(self, switch: str, group: Group) -> int:
        """The number of a group; its members are looked up when it is met first."""
        lists = self._lists
        number = lists.groups.setdefault((switch, group), len(lists.members))
        if number == len(lists.members):
            lists.members.append(self.members_of(switch, group))
            lists.inside.append(set(lists.members[-1]))
        return number

    def _whys_of(self, path: Path, fan_out: int) -> list[int]:
        """The drops of a path. One that is spread to nobody is a drop too: nothing vanishes."""
        drops = path.drops
        if path.spread is not None and not drops and not fan_out:
            spread = path.spread
            drops = (Dropped(spread.switch, spread.except_, True, path.stage, Drop(Reason.NO_PORT), None),)
        return [self.whys.number(dropped) for dropped in drops]


def _arrays(lists: _Lists) -> PathColumns:
    return PathColumns(
        np.array(lists.tags, np.int32),
        np.array(lists.goes_on, np.bool_),
        np.array(lists.fan_out, np.int64),
        _starts(lists.ports),
        _flat(lists.ports),
        np.array(lists.group, np.int32),
        np.array(lists.except_, np.int32),
        _starts(lists.whys),
        _flat(lists.whys),
        _starts(lists.members),
        _flat(lists.members),
    )


def _starts(lists: Sequence[Sequence[int]]) -> npt.NDArray[np.int32]:
    """Where each list begins in all of them joined, and where the last ends."""
    return np.cumsum([0, *(len(one) for one in lists)], dtype=np.int32)


def _flat(lists: Sequence[Sequence[int]]) -> npt.NDArray[np.int32]:
    return np.array([number for one in lists for number in one], np.int32)

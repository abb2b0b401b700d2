"""The memory of a junction: which bits frames are told apart by, and the paths of those that have walked.

A memory is one step of a decision; one that leads into a switch has memories of the switch and of its teams behind it.
"""

from collections.abc import Hashable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from operator import and_
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from attrs import define, field

from iochain.batch import Batch
from iochain.engine import lookup
from iochain.engine.segments import Junction
from iochain.engine.walk import Bound, Segment
from iochain.frame import Asked, Derived, Table, Words
from iochain.kernels import words as w
from iochain.kernels.parse import ADDRESSES, LINK, NETWORK, TRANSPORT, TYPE
from iochain.kernels.rows import FROM_UPLINK
from iochain.portgroup.receive import hash_of_destination
from iochain.uplink.nic import payload_is_longer
from iochain.vswitch.teaming import ip_hash_full, ip_hash_last_octet, source_mac_hash

_FIRST_SLOTS: Final = 1 << 10
_FULLEST: Final = 0.7
_ASKED: Final = 4
"""Table entries of a path that there is room for at first."""
_ALL_BITS: Final = (1 << 64) - 1
_WORTH_KEEPING: Final = 1 << 10
"""Fewer keys than these are forgotten when a mask grows; more are kept as the older table."""
OF_KIND: Final = ("kind", "uplink", "host", "switch", "portgroup", "vlan", "team")
"""Attributes in which ports of one kind agree: a switch may read them, and what it does still holds for all of them."""


@define
class Statistics:
    """What remembering did: frames looked up, walks, masks that grew, keys forgotten, how often for want of room."""

    frames: int = 0
    walks: int = 0
    grown_masks: int = 0
    forgotten: int = 0
    limit_reached: int = 0


class Walked(NamedTuple):
    """The frame that has just walked."""

    row: Any
    words: Words
    segment: Segment


class Reads(NamedTuple):
    """What a walk, or a step of it, read: bits of words, and what it asked for."""

    masks: list[int]
    asked: Sequence[Asked]


@define
class Memory:
    """What is remembered at one junction: masks by class of port, the table of keys, and the table before it."""

    junction: Junction
    statistics: Statistics
    classes: npt.NDArray[np.int64]
    masks: list[list[int]]  # by class and side, by word
    derived: list[list[tuple[int, int]]]  # by class: numbers in lookup.DERIVED_FIELDS, with their arguments
    plans: npt.NDArray[np.int64]
    table: npt.NDArray[np.int64]
    asked: npt.NDArray[np.int32]  # by slot: numbers of the table entries that the path depends on, then zeros
    older_plans: npt.NDArray[np.int64]
    older: npt.NDArray[np.int64]
    older_asked: npt.NDArray[np.int32]
    kinds: npt.NDArray[np.int64]  # of each port, behind the first step: ports of one kind agree in OF_KIND
    steps: npt.NDArray[np.int64]  # this step and those behind it, for the look-up
    onward: "Memory | None" = None  # the next step, that of frames whose paths lead onward
    extra: int = 0  # words of a key beside what was read: the path by which a frame came
    keys: int = 0
    epoch: int = 0  # grows whenever something is forgotten
    scratch: npt.NDArray[np.int64] = field(factory=lambda: np.zeros(w.COUNT, np.int64))  # for a parsed frame
    room: npt.NDArray[np.int64] = field(factory=lambda: _room(lookup.LINK_KEY + 1))  # for a block of keys, and one more
    parts: "list[Memory]" = field(init=False)  # this step and those behind it
    _step: npt.NDArray[np.int64] = field(init=False)  # the first of steps
    _unread: list[list[int]] = field(init=False)  # the bits that are not in masks
    _entries: dict[tuple[int, Hashable], int] = field(factory=dict)  # numbers of table entries, from 1
    _asked_of: dict[tuple[int, Hashable], tuple[int, ...]] = field(factory=dict)  # the same, by table and key
    _watched: dict[int, Table[Any, Any]] = field(factory=dict)
    _last: list[list[int] | None] = field(init=False)  # bits that the last walk read, by class and side
    _changed: set[int] = field(factory=set)

    def __attrs_post_init__(self) -> None:
        self._unread = [[_ALL_BITS] * w.COUNT for _ in self.masks]
        self._last = [None] * len(self.masks)
        self.parts = [self, *(() if self.onward is None else self.onward.parts)]
        self._step = self.steps[0]
        self._tell()

    @classmethod
    def of(
        cls,
        junction: Junction,
        statistics: Statistics,
        elements: Sequence[tuple[Bound, ...]],
        steps: npt.NDArray[np.int64],
        onward: "Memory | None" = None,
        extra: int = 0,
    ) -> "Memory":
        """Nothing remembered yet of what stages (by port number) do in one step at a junction."""
        classes = class_numbers(junction, elements)
        count = 2 * (int(classes.max(initial=0)) + 1)  # frames of clients, and frames from uplinks, by themselves
        plans, table, asked = _nothing(count, extra=extra)
        return cls(
            junction,
            statistics,
            classes,
            [[0] * w.COUNT for _ in range(count)],
            [[] for _ in range(count)],
            plans,
            table,
            asked,
            *_nothing(count, slots=1, extra=extra),
            _kinds(junction, classes) if extra else classes,
            steps,
            onward,
            extra,
        )

    def look_up(self, batch: Batch, first: int, end: int, taken: npt.NDArray[np.int32]) -> int:
        """Fill in the paths of frames from ``first`` on; gives the index of the first unknown one, or ``end``."""
        for part in self.parts:
            part.catch_up()
        if first >= end:
            return end
        at: int = lookup.look_up(batch.rows, first, end, self.steps, taken, self.scratch)
        return at

    def remember(self, walked: Walked, reads: Reads, path: int, came: int, kind: int, except_: int) -> None:
        """Remember a path of the frame that has just walked; see :func:`iochain.engine.lookup.remember`."""
        row = walked.row
        number = 2 * int(self.classes[walked.segment.port.number]) + (int(row["flags"][0]) & FROM_UPLINK)
        self._widen(number, walked.words, reads)
        if self.keys + 1 > _FULLEST * len(self.table):
            self._enlarge()
        slot = lookup.remember(row, self._step, path, came, kind, except_, self.scratch)
        self._keep_asked(slot, self._entry_numbers(reads))
        self.keys += 1

    def forget_all(self) -> None:
        """Forget every path; masks stay."""
        self.statistics.forgotten += self.keys
        self.epoch += 1
        self.table[:, 0] = lookup.EMPTY_SLOT
        self._drop_older()
        self.keys = 0

    def let_go(self) -> None:
        """Watch no table any more."""
        if self.onward is not None:
            self.onward.let_go()
        for table in self._watched.values():
            table.watchers.remove(self._table_changed)
        self._watched.clear()

    # -- masks

    def _widen(self, number: int, words: Sequence[int], reads: Reads) -> None:
        """Let the mask of a class take in what a walk read; new bits begin a new table."""
        read, derived = reads.masks, self.derived[number]
        for asked in reads.asked:
            if isinstance(asked.thing, Derived):
                read, derived = _take_in(asked.thing, words, read, derived)
        if derived is self.derived[number] and (
            read == self._last[number] or not any(map(and_, read, self._unread[number]))
        ):
            self._last[number] = read
            return
        known = self.masks[number]
        self.statistics.grown_masks += 1
        self.masks[number] = [(new | old) & _ALL_BITS for new, old in zip(read, known, strict=True)]
        self._unread[number] = [~bits & _ALL_BITS for bits in self.masks[number]]
        self.derived[number] = derived
        if self.keys >= _WORTH_KEEPING:
            self.older_plans, self.older, self.older_asked = self.plans, self.table, self.asked
        else:
            self._drop_older()
        self._plan()
        self.keys = 0

    def _plan(self) -> None:
        """Plans for the masks as they are, and an empty table for keys of that width."""
        parsed = [[word for word, bits in enumerate(mask) if bits and word not in w.LINK_WORDS] for mask in self.masks]
        width = lookup.LINK_KEY + max(len(some) + len(more) for some, more in zip(parsed, self.derived, strict=True))
        width += self.extra
        plans = np.zeros((len(parsed), lookup.PAIRS + 2 * width), np.int64)
        for plan, some, more, bits in zip(plans, parsed, self.derived, self.masks, strict=True):
            mask = np.array(bits, np.uint64).view(np.int64)
            pairs = [number for word in some for number in (word, int(mask[word]))]
            pairs += [number for pair in more for number in pair]
            level = parse_level(set(some), int(mask[w.PRESENT]) & ~_LINK_PRESENCE, more)
            plan[: lookup.LEVEL + 1] = len(some), len(more), mask[w.PRESENT], level
            for word, column in lookup.LINK_COLUMNS.items():
                plan[column] = mask[word]
            plan[lookup.PAIRS : lookup.PAIRS + len(pairs)] = pairs
        self.plans = plans
        self.table = np.zeros((_FIRST_SLOTS, lookup.KEY + width), np.int64)
        self.asked = np.zeros((_FIRST_SLOTS, self.asked.shape[1]), np.int32)
        self.room = _room(max(width, self.older.shape[1]))
        self._tell()

    def _enlarge(self) -> None:
        larger = np.zeros((2 * len(self.table), self.table.shape[1]), np.int64)
        asked = np.zeros((len(larger), self.asked.shape[1]), np.int32)
        lookup.move(self.table, self.asked, larger, asked)
        self.table, self.asked = larger, asked
        self._tell()
        self.keys = int(np.count_nonzero(larger[:, 0]))

    def _drop_older(self) -> None:
        self.older_plans, self.older, self.older_asked = _nothing(len(self.plans), slots=1, extra=self.extra)
        self._tell()

    def _tell(self) -> None:
        """Tell the look-up where all is."""
        now, older = (self.plans, self.table), (self.older_plans, self.older)
        self._step[:] = lookup.step_of(self.classes, self.kinds, self.room, now, older)

    # -- what paths depend on

    def _entry_numbers(self, reads: Reads) -> list[int]:
        """The numbers of the table entries that a walk asked for."""
        numbers: list[int] = []
        for thing, key, _ in reads.asked:
            if isinstance(thing, Table):
                numbers += self._asked_of.get((id(thing), key)) or self._number_entries(thing, key)
        return numbers

    def _number_entries(self, table: Table[Any, Any], key: Hashable) -> tuple[int, ...]:
        """Number the entries that the answer for a key comes from, and watch them."""
        known = self._entries
        found = tuple([known.setdefault((id(table), entry), len(known) + 1) for entry in table.depends_on(key)])
        self._asked_of[id(table), key] = found
        if id(table) not in self._watched:
            self._watched[id(table)] = table
            table.watchers.append(self._table_changed)
        return found

    def _keep_asked(self, slot: int, numbers: list[int]) -> None:
        """Keep what a path depends on; where that is more than any other did, with room for it."""
        more = len(numbers) - self.asked.shape[1]
        if more > 0:
            self.asked, more = np.pad(self.asked, ((0, 0), (0, more))), 0
        self.asked[slot] = numbers + [0] * -more

    def _table_changed(self, table: Table[Any, Any], key: Hashable) -> None:
        number = self._entries.get((id(table), key))
        if number is not None:
            self._changed.add(number)

    def catch_up(self) -> None:
        """Forget the paths that asked for entries that have changed since."""
        if not self._changed:
            return
        self.epoch += 1
        changed = np.zeros(len(self._entries) + 1, np.bool_)
        changed[list(self._changed)] = True
        self._changed.clear()
        self.statistics.forgotten += int(lookup.forget(self.table, self.asked, changed))
        self.statistics.forgotten += int(lookup.forget(self.older, self.older_asked, changed))


def class_numbers(junction: Junction, elements: Sequence[tuple[Bound, ...]]) -> npt.NDArray[np.int64]:
    """The class of each port: ports that have like stages at like places share one."""
    return _numbers(
        (segment.port.kind, tuple((one.element.name, type(one.element.stage)) for one in bound))
        for segment, bound in zip(junction.segments, elements, strict=True)
    )


def _kinds(junction: Junction, classes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The kind of each port: those of one class, at one switch, that agree in what OF_KIND names."""
    return _numbers(
        (number, segment.switch, *(getattr(segment.port, name) for name in OF_KIND))
        for segment, number in zip(junction.segments, classes.tolist(), strict=True)
    )


def _numbers(things: Iterable[Hashable]) -> npt.NDArray[np.int64]:
    """A number for each of some things, the same for equal ones, counted from 0."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(thing, len(known)) for thing in things], np.int64)


def _take_in(
    derived: Derived, words: Sequence[int], read: list[int], known: list[tuple[int, int]]
) -> tuple[list[int], list[tuple[int, int]]]:
    """A derived field goes into the key; one that the look-up cannot compute by the words that it reads."""
    if derived.function in lookup.DERIVED_FIELDS:
        pair = (lookup.DERIVED_FIELDS.index(derived.function), derived.argument)
        return read, known if pair in known else [*known, pair]
    watched = _WatchedWords(words)
    derived.of(watched)
    return [_ALL_BITS if word in watched.read else bits for word, bits in enumerate(read)], known


class _WatchedWords(Sequence[int]):
    """The words of a frame, and which of them were read."""

    def __init__(self, words: Sequence[int]) -> None:
        self.words = words
        self.read: set[int] = set()

    def __getitem__(self, index: Any) -> Any:
        self.read.add(index)
        return self.words[index]

    def __len__(self) -> int:
        return len(self.words)


_LEVELS: Final = {
    payload_is_longer: TYPE,
    ip_hash_full: ADDRESSES,
    ip_hash_last_octet: ADDRESSES,
    source_mac_hash: LINK,
    hash_of_destination: LINK,
}
"""How far frames have to be parsed for the derived fields that the look-up knows."""


_LINK_PRESENCE: Final = sum(1 << word for word in w.LINK_WORDS)
"""Presence bits that the look-up knows without parsing."""


def parse_level(words: AbstractSet[int], presence: int, derived: Sequence[tuple[int, int]]) -> int:
    """How far frames have to be parsed for these words, presence bits and derived fields."""
    needed = words | {word for word in range(w.COUNT) if presence >> word & 1}
    levels = {_LEVELS[lookup.DERIVED_FIELDS[field]] for field, _ in derived}
    if not needed <= w.NETWORK_WORDS:
        return TRANSPORT
    if not needed <= w.LINK_WORDS or (ADDRESSES in levels and (needed or LINK in levels)):
        return NETWORK
    return LINK if needed else max(levels, default=LINK)


def _room(width: int) -> npt.NDArray[np.int64]:
    return np.zeros((lookup.BLOCK + 1, width), np.int64)


def _nothing(
    classes: int, slots: int = _FIRST_SLOTS, extra: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Plans without words and an empty table; a table of one slot is never looked into."""
    width = lookup.LINK_KEY + extra
    plans = np.zeros((classes, lookup.PAIRS + 2 * width), np.int64)
    return plans, np.zeros((slots, lookup.KEY + width), np.int64), np.zeros((slots, _ASKED), np.int32)

"""The engine of remembered paths: a frame walks only if none like it has, and all later ones are looked up, compiled.

Frames are alike if they agree in all bits that stages on the way read; the bits are found by watching the walks. The
idea is Open vSwitch's megaflow cache. A walk is not remembered if it wrote to a table, or if a stage looked at the
whole packet; a change of a table forgets just the paths that asked for the changed entry.

What an input chain and what the switch does with a frame are remembered apart, though one walk finds out both: of a
thousand senders and a thousand receivers two thousand walks are enough, not one for each pair.
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
from iochain.engine.path import UNCHANGED, Paths
from iochain.engine.plain import Plain, frame_of
from iochain.engine.segments import Junction
from iochain.engine.walk import Bound, Listener, Segment, Walker
from iochain.frame import Asked, Derived, Table, Words
from iochain.kernels import words as w
from iochain.kernels.parse import ADDRESSES, LINK, NETWORK, TRANSPORT, TYPE, parse, parse_rows
from iochain.kernels.rows import FROM_UPLINK
from iochain.portgroup.receive import hash_of_destination
from iochain.uplink.nic import payload_is_longer
from iochain.vswitch.teaming import ip_hash_full, ip_hash_last_octet, source_mac_hash

_FIRST_SLOTS: Final = 1 << 10
_FULLEST: Final = 0.7
_ASKED: Final = 4
"""Table entries of a path that there is room for at first."""
_ALL_BITS: Final = (1 << 64) - 1
MOST_KEYS: Final = 1 << 22
"""Beyond so many keys at one junction all of them are forgotten, and learnt again as frames come."""
WALKED_FIRST: Final = 1 << 12
"""So many decisions an engine that is not chosen makes by walking: a short run then loads and compiles no look-up."""
_WORTH_KEEPING: Final = 1 << 10
"""Fewer keys than these are forgotten when a mask grows; more are kept as the older table."""
_OF_KIND: Final = ("kind", "uplink", "host", "switch", "portgroup", "vlan", "team")
"""Attributes in which ports of one kind agree: a switch may read them, and what it does still holds for all of them."""


@define
class Statistics:
    """What remembering did: frames looked up, walks, masks that grew, keys forgotten, how often for want of room."""

    frames: int = 0
    walks: int = 0
    grown_masks: int = 0
    forgotten: int = 0
    limit_reached: int = 0


@define
class Remembered:
    """Looks frames up and walks the unknown ones. ``listeners`` hear every step of frames with their order numbers."""

    walker: Walker
    paths: Paths
    most_keys: int = MOST_KEYS
    walked_first: int = 0  # frames are walked while there are no more than so many
    listeners: dict[int, Listener] = field(factory=dict)
    statistics: Statistics = field(factory=Statistics)
    _memories: dict[int, "Memory"] = field(factory=dict)
    _words: npt.NDArray[np.int64] = field(factory=lambda: np.zeros((1, w.COUNT), np.int64))  # of the frame that walks
    _view: Words = field(init=False)  # the same as plain numbers
    _foreseen: dict[tuple[int, bytes], int] = field(factory=dict)  # of frames that no key is for, by junction and row

    def __attrs_post_init__(self) -> None:
        self._view = memoryview(self._words.reshape(-1))  # type: ignore[arg-type]

    @property
    def plain(self) -> Plain:
        """The engine that walks every frame, with the same paths."""
        return Plain(self.walker, self.paths, self.listeners)

    @property
    def keys(self) -> int:
        """How many keys are remembered now."""
        return sum(part.keys for memory in self._memories.values() for part in memory.parts)

    def decide(self, batch: Batch, junction: Junction) -> npt.NDArray[np.int32]:
        """The number of the path of each frame, in order; writes to tables are done after each frame that walks."""
        if self.statistics.frames + len(batch) <= self.walked_first:
            self.statistics.frames += len(batch)
            return self.plain.decide(batch, junction)
        memory = self.memory(junction)
        taken = np.empty(len(batch), np.int32)
        self.statistics.frames += len(batch)
        first = 0
        for end in (*self._listened(batch), len(batch)):
            while (first := memory.look_up(batch, first, end, taken)) < end:
                taken[first] = self._walk(batch, first, memory, int(taken[first]))
                first += 1
            if end < len(batch):
                taken[end] = self._walk(batch, end, memory)
                first = end + 1
        return taken

    @property
    def is_remembering(self) -> bool:
        """Whether frames are looked up, and not walked for being the first few."""
        return self.statistics.frames >= self.walked_first

    def foresee(self, batch: Batch, junction: Junction) -> tuple[npt.NDArray[np.int32], int]:
        """The paths of frames up to the first that wants to write to a table, and how many those are.

        -1 for a frame whose path cannot be remembered, save for the one decision that will come. Nothing is written, so
        whoever decides later decides alike.
        """
        memory = self.memory(junction)
        taken = np.full(len(batch), -1, np.int32)
        first = 0
        while (first := memory.look_up(batch, first, len(batch), taken)) < len(batch):
            taken[first] = self._walk(batch, first, memory, int(taken[first]), writes=False)
            if self.walker.notes.writes:
                self.forget_foreseen()
                return taken, first
            if self.walker.notes.whole:
                if self.walker.diary is None:  # that wants to hear of the walk when the frame is decided
                    self._foreseen[id(memory), batch.rows[first].tobytes()] = int(taken[first])
                taken[first] = -1
            first += 1
        return taken, first

    def forget_foreseen(self) -> None:
        """Forget the paths of frames that no key is for: tables change, or these frames are decided by now."""
        self._foreseen.clear()

    def memory(self, junction: Junction) -> "Memory":
        """What is remembered at a junction; that has steps where frames go on from it into the switch."""
        memory = self._memories.get(id(junction))
        if memory is None:
            segments, statistics = junction.segments, self.statistics
            if all(segment.forwards for segment in segments):
                steps = np.zeros((3, lookup.STEP), np.int64)
                team = Memory.of(junction, statistics, [()] * len(segments), steps[2:], extra=1)
                bound = [one.switch_elements for one in segments]
                switch = Memory.of(junction, statistics, bound, steps[1:], team, extra=1)
                memory = Memory.of(junction, statistics, [one.elements for one in segments], steps, switch)
            else:
                bound = [(*one.elements, *one.switch_elements) for one in segments]
                memory = Memory.of(junction, statistics, bound, np.zeros((1, lookup.STEP), np.int64))
            self._memories[id(junction)] = memory
        return memory

    def let_go(self) -> None:
        """Forget everything, and watch no table any more: tables of users' stages live longer than a network."""
        for memory in self._memories.values():
            memory.let_go()
        self._memories.clear()
        self.forget_foreseen()

    def _listened(self, batch: Batch) -> list[int]:
        """Indices of frames whose steps somebody wants to hear."""
        if not self.listeners:
            return []
        orders = np.array(list(self.listeners), np.int64)
        found: list[int] = np.flatnonzero(np.isin(batch.column("order"), orders)).tolist()
        return found

    def _walk(self, batch: Batch, index: int, memory: "Memory", came: int = -1, writes: bool = True) -> int:
        """Walk one frame, do what it wants written unless told not to, and remember its path if that is possible.

        ``came`` is the last of its paths ONWARD that is known already, or -1.
        """
        row = batch.rows[index : index + 1]
        listener = self.listeners.get(int(row["order"][0])) if self.listeners else None
        if self._foreseen and writes and listener is None:
            foreseen = self._foreseen.pop((id(memory), row.tobytes()), None)
            if foreseen is not None:
                return foreseen
        walker, notes = self.walker, self.walker.notes
        notes.clear()
        if listener is None:
            self._words[:] = 0
            parse_rows(row, self._words)
            words: Words = self._view
        else:
            words = parse(row)[0].tolist()
        segment = memory.junction.segments[int(row["port"][0])]
        before = None if came < 0 else self.paths.known[came & ~lookup.ONWARD]
        is_at_switch = before is not None and not before.team and walker.diary is None  # that wants to know all
        tag = before.tag if before is not None and is_at_switch and before.tag != UNCHANGED else None
        walker.has_seams = memory.onward is not None
        path = walker.walk(segment, frame_of(words, notes, batch, index, tag), listener, is_at_switch)
        walker.has_seams = False
        number = self.paths.number(path)
        if writes and notes.writes:
            walker.write()
            self.forget_foreseen()
        if not notes.whole and not notes.writes and (listener is None or memory.onward is None):
            known = 0 if before is None else 2 if before.team else 1
            self._remember(_Walked(row, words, segment), number, memory, known)
        self.statistics.walks += 1
        return number

    def _remember(self, walked: "_Walked", number: int, memory: "Memory", known: int) -> None:
        """Remember the path of the frame that has just walked, step by step, but those steps that are ``known``."""
        notes, seams = self.walker.notes, self.walker.seams
        came, first = -1, 0
        for step, part in enumerate(memory.parts[: len(seams) + 1]):
            if step < len(seams):
                path, masks, end = seams[step]
                taken = self.paths.number(path) | lookup.ONWARD
            else:
                taken, masks, end = number, notes.masks, len(notes.asked)
            if step >= known:
                reads = Reads(masks, notes.asked[first:end] if seams else notes.asked)
                holds_for = self._holds_for(walked, reads.asked, taken, part) if step else (-1, -1)
                self._make_room(part).remember(walked, reads, taken, came, *holds_for)
            came, first = taken & ~lookup.ONWARD, end

    def _make_room(self, memory: "Memory") -> "Memory":
        """Forget all that a memory has if it is full."""
        if memory.keys >= self.most_keys:
            memory.forget_all()
            self.statistics.limit_reached += 1
        return memory

    def _holds_for(self, walked: "_Walked", asked: Sequence[Asked], taken: int, part: "Memory") -> tuple[int, int]:
        """For which ports a path from the switch on holds: the number of a kind, and of the one port that is other.

        Kind -1: only for the port itself, as stages asked which one it is, or a drop names it.
        """
        port = walked.segment.port
        others: tuple[str, ...] = ()
        for thing, key, answer in asked:
            if thing is not port or key in _OF_KIND:
                continue
            if type(key) is not tuple or answer or len(key) != 1 or others not in ((), key):
                return -1, -1
            others = key
        if self.paths.known[taken & ~lookup.ONWARD].drops:
            return -1, -1
        return int(part.kinds[port.number]), self.walker.numbers.get(others[0], -1) if others else -1


class _Walked(NamedTuple):
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
    kinds: npt.NDArray[np.int64]  # of each port: ports of one kind agree in all that _OF_KIND names
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
            _kinds(junction, classes),
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

    def remember(self, walked: _Walked, reads: Reads, path: int, came: int, kind: int, except_: int) -> None:
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
    """The kind of each port: those of one class, at one switch, that agree in what _OF_KIND names."""
    return _numbers(
        (number, segment.switch, *(getattr(segment.port, name) for name in _OF_KIND))
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

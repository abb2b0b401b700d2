"""Ways: frames sent from where they enter to the first batch stage of an output chain, by one look-up each.

A way is put together from the paths of single decisions, and lasts as long as they do. What is copied, what cannot be
remembered and what wants to write to tables is decided step by step, as ever.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen

from iochain.batch import Batch
from iochain.engine import shortcut
from iochain.engine.counters import Counters
from iochain.engine.memory import Memory, parse_level
from iochain.engine.remembered import Remembered
from iochain.engine.segments import Half, Junction
from iochain.engine.shortcut import APART, FIRST_SHIFT, GOES_ON, LOST, NOT_LOOKED_AT, UNKNOWN, WAITS
from iochain.kernels import words as w
from iochain.kernels.rows import FROM_UPLINK, ROW
from iochain.kernels.select import scatter

_FIRST_SLOTS: Final = 1 << 11
_PLACES: Final = 2
"""Places that an index has for each slot at least."""
_LINE: Final = 8
"""Words of a cache line."""
MOST_WAYS: Final = 1 << 21
"""Beyond so many ways all of them are forgotten, and put together again as frames come; a place of the index has bits
for twice as many."""
_ALWAYS_THERE: Final = 1 << w.ENTRY | 1 << w.TAG
"""Words whose presence a key knows anyway: the port that a frame came in by, and the tag."""
_WHOLE_MAC: Final = (1 << 48) - 1
_IN_EVERY_KEY: Final = frozenset((w.PRESENT, w.DESTINATION, w.SOURCE, w.TAG, w.ENTRY, w.FROM_UPLINK))
_SIZES: Final = {0: 2, 4: 64}
"""How many values a derived field has, by its number; of the others its argument says it."""
_KEY_BITS: Final = 64


@frozen(eq=False)
class Sent:
    """What became of a batch: rows that go on, that wait at their input chain's first batch stage, that are dropped
    (``whys`` the numbers of their drops), that are to be decided by themselves; and rows that have not entered yet."""

    on: Batch
    waiting: Batch
    lost: Batch
    whys: npt.NDArray[np.int32]
    apart: Batch
    unknown: Batch
    kinds: npt.NDArray[np.uint8]  # of all rows of the batch


@define
class Ways:
    """The ways of one stretch: from the entry of captures (``entry``) or from the switch on, to the output chains."""

    decider: Remembered
    entry: Junction | None
    input: Half
    output: Junction  # its first segments
    is_uplink: npt.NDArray[np.bool_]
    counters: Counters
    skips: bool = False  # the batch stages of all input chains are passed by
    entered: npt.NDArray[np.int64] = field(factory=lambda: np.zeros(64, np.int64))  # by path of the entry
    is_off: bool = False  # a stage wants to write
    ways: int = 0
    _table: npt.NDArray[np.int64] = field(factory=lambda: _slots(_FIRST_SLOTS, shortcut.SLOT))
    _index: npt.NDArray[np.uint32] = field(factory=lambda: _places(_FIRST_SLOTS))
    _plan: npt.NDArray[np.int64] = field(factory=lambda: np.zeros(shortcut.PAIRS, np.int64))
    _known: tuple[int, int] = (-1, -1)  # masks that grew, and epochs of the memories
    _memories: list[Memory] = field(factory=list)  # when the decider had made so many
    _made: int = -1
    _scratch: npt.NDArray[np.int64] = field(factory=lambda: np.zeros(w.COUNT, np.int64))
    _room: npt.NDArray[np.int64] = field(factory=lambda: _room(0))

    @property
    def is_usable(self) -> bool:
        """Whether rows may be sent: nobody listens, nothing is written, and ways are found again."""
        return not self.is_off and not self.decider.listeners and self.decider.is_remembering

    def forget(self) -> None:
        """Forget all ways, and send again if that was off: something has changed that no memory tells."""
        self._known, self._made, self.is_off = (-1, -1), -1, False

    def send(self, batch: Batch, mtu: int = NOT_LOOKED_AT, halts: Callable[[Batch], bool] | None = None) -> Sent:
        """Send rows as far as they can go by one look-up; those that enter are counted at their ports.

        With an ``mtu`` rows are looked at first for whether they may ask something of adapters. ``halts`` hears of all
        rows from the first on that may, or is unknown, and says whether they stay unknown.
        """
        self._catch_up()
        self.decider.forget_foreseen()
        kinds, whys = np.empty(len(batch), np.uint8), np.empty(len(batch), np.int32)
        first = self._take(batch, 0, len(batch), kinds, whys, mtu)
        if first < len(batch):
            kinds[first:] = UNKNOWN
            if halts is None or not halts(batch[first:]):
                end = self._meet(batch, first)
                self._take(batch, first, end, kinds, whys, NOT_LOOKED_AT, skips=True)
        self.decider.statistics.frames += len(batch)
        on, waiting, lost, apart, unknown = _by_kind(batch, kinds)
        return Sent(on, waiting, lost, whys[kinds == LOST] if len(lost) else whys[:0], apart, unknown, kinds)

    def _take(
        self,
        batch: Batch,
        first: int,
        end: int,
        kinds: npt.NDArray[np.uint8],
        whys: npt.NDArray[np.int32],
        mtu: int,
        skips: bool = False,
    ) -> int:
        stopped: int = shortcut.take(
            batch.rows,
            first,
            end,
            skips,
            self._plan,
            self._index,
            self._table,
            self.entry is not None,
            self.counters.ports,
            self.entered,
            kinds,
            whys,
            self._scratch,
            self._room,
            mtu,
        )
        return stopped

    def _meet(self, batch: Batch, first: int) -> int:
        """Put together the ways of rows from ``first`` on that are unknown; gives up to where they may be sent.

        That is before the first row that wants to write: what comes later has to see what it wrote.
        """
        found = np.empty(len(batch) - first, np.int64)
        count = shortcut.unknown(
            batch.rows,
            first,
            self.entry is not None,
            self._plan,
            self._index,
            self._table,
            found,
            self._scratch,
            self._room,
        )
        done = self._put_together(batch.taken(found[:count]))
        return len(batch) if done == count else int(found[done])

    # -- putting together

    def _put_together(self, missed: Batch) -> int:
        """Decide for rows step by step, and remember what that came to; gives how many come before one that writes."""
        made = _Made.of(len(missed))
        batch = missed.copy()
        live = np.arange(len(missed))
        if self.entry is not None:
            live = self._enter(batch, live, made)
        made.entries[:], made.entry_tags[:] = batch.column("entry"), batch.column("tag")
        if self.entry is not None and not self.skips:
            has_batch_stages = self.input.last[batch.column("port")[live]] > 0
            if has_batch_stages.any():
                waits = self._step(batch, live[has_batch_stages], self.input.junctions[0], made)
                made.kinds[waits] = WAITS
                live = live[~has_batch_stages]
        live = self._step(batch, live, self.input.final, made)
        live = self._step(batch, live, self.output, made)
        made.kinds[live] = GOES_ON
        made.kinds[made.end :] = UNKNOWN
        self._remember(missed, batch, made)
        return made.end

    def _enter(self, batch: Batch, live: npt.NDArray[np.int64], made: "_Made") -> npt.NDArray[np.int64]:
        """Have rows enter; those that can enter nowhere stay unknown."""
        rows = batch.rows
        rows["port"] = 0
        entered = self._step(batch, live, self.entry, made)
        made.kinds[live] = UNKNOWN
        rows["entry"][entered] = rows["port"][entered]
        rows["flags"][entered] = (rows["flags"][entered] & (255 - FROM_UPLINK)) | self.is_uplink[rows["port"][entered]]
        return entered

    def _step(
        self, batch: Batch, live: npt.NDArray[np.int64], junction: Junction | None, made: "_Made"
    ) -> npt.NDArray[np.int64]:
        """Decide for the live rows at one junction; gives those that go on from it one way."""
        if not len(live) or junction is None or junction.is_empty:
            return live
        rows = batch.taken(live)
        taken, count = self.decider.foresee(rows, junction)
        if count < len(rows):
            self.is_off = True
            made.end = min(made.end, int(live[count]))
            rows, taken, live = rows[:count], taken[:count], live[:count]
        kinds, whys = np.zeros(count, np.uint8), np.zeros(count, np.int32)
        paths = self.decider.paths.columns()
        shortcut.lead_one(
            rows.rows,
            taken,
            paths.tags,
            paths.goes_on,
            paths.fan_out,
            paths.first_port,
            paths.ports,
            paths.group,
            paths.first_why,
            paths.whys,
            kinds,
            whys,
        )
        scatter(rows.rows, live, batch.rows)
        made.kinds[live], made.whys[live] = kinds, whys
        if junction is self.entry:
            made.paths[live] = taken
        going: npt.NDArray[np.int64] = live[kinds == GOES_ON]
        return going

    def _remember(self, before: Batch, after: Batch, made: "_Made") -> None:
        if not self._widen():
            return
        self._make_room(len(before))
        if len(self.entered) <= len(self.decider.paths.known):
            self.entered = np.concatenate([self.entered, np.zeros(len(self.decider.paths.known), np.int64)])
        apart = made.kinds == APART
        ports = np.where(apart, made.entries, after.column("port")).astype(np.int32)
        tags = np.where(apart, made.entry_tags, after.column("tag")).astype(np.int32)
        self.ways = shortcut.insert(
            before.rows,
            self.entry is not None,
            self._plan,
            self._index,
            self._table,
            self.ways,
            self.is_uplink,
            made.kinds,
            made.entries,
            ports,
            made.entry_tags,
            tags,
            made.paths,
            made.whys,
            self._scratch,
            self._room,
        )

    def _make_room(self, more: int) -> None:
        """Room for so many more ways."""
        if self.ways + more > MOST_WAYS:
            self.decider.statistics.limit_reached += 1
            self._forget()
        needed = self.ways + more
        if needed >= len(self._table):  # not twice as large each time: two of them would be half as much again
            table = _slots(MOST_WAYS, self._table.shape[1])
            table[: len(self._table)] = self._table
            self._table = table
        if _PLACES * needed > len(self._index):
            self._index = _places(2 * needed)
            shortcut.note_all(self._table, self.ways, self._index, self._room)

    def _forget(self) -> None:
        self._index = _places(_FIRST_SLOTS)
        self.ways = 0

    # -- staying true

    def _found_memories(self) -> list[Memory]:
        """All memories that ways are put together from; they last as long as the decider does not let go."""
        if self._made == self.decider.made:
            return self._memories
        junctions = [self.input.final, self.output]
        if self.entry is not None:
            junctions += [self.entry, self.input.junctions[0]]
        self._memories = [part for one in junctions if not one.is_empty for part in self.decider.memory(one).parts]
        self._made = self.decider.made
        return self._memories

    def _catch_up(self) -> None:
        """Forget all ways where a decision was forgotten: the others are soon put together again."""
        epoch = 0
        for memory in self._found_memories():
            memory.catch_up()
            epoch += memory.epoch
        if epoch != self._known[1]:
            self._known = (self._known[0], epoch)
            self._forget()

    def _widen(self) -> bool:
        """Let the key take in all that the single decisions read, in a new table if it grows; False if it cannot."""
        grown = self.decider.statistics.grown_masks
        if grown == self._known[0]:
            return True
        self._known = (grown, self._known[1])
        plan = plan_of(self._found_memories())
        if plan is None:
            self.is_off = True
        elif not np.array_equal(plan, self._plan):
            self._plan = plan
            self._table = _slots(_FIRST_SLOTS, shortcut.SLOT + int(plan[shortcut.MORE]))
            self._room = _room(int(plan[shortcut.MORE]))
            self._forget()
        return plan is not None


@define(eq=False)
class _Made:
    """What single decisions came to, a row each, up to ``end``."""

    kinds: npt.NDArray[np.uint8]
    entries: npt.NDArray[np.int32]
    entry_tags: npt.NDArray[np.int32]
    paths: npt.NDArray[np.int32]
    whys: npt.NDArray[np.int32]
    end: int

    @classmethod
    def of(cls, count: int) -> "_Made":
        """Nothing is known yet."""
        entries, tags, paths, whys = np.zeros((4, count), np.int32)
        return cls(np.full(count, UNKNOWN, np.uint8), entries, tags, paths, whys, count)


def plan_of(memories: list[Memory]) -> npt.NDArray[np.int64] | None:
    """The plan of keys with all that any of these memories reads (columns: :mod:`iochain.engine.shortcut`).

    None if there are more derived fields than a key has room for.
    """
    masks = [0] * w.COUNT
    pairs: list[tuple[int, int]] = []
    for memory in memories:
        for bits, derived in zip(memory.masks, memory.derived, strict=True):
            masks = [one | other for one, other in zip(masks, bits, strict=True)]
            pairs += [pair for pair in derived if pair not in pairs]
    masks[w.PRESENT] &= ~_ALWAYS_THERE
    masks[w.DESTINATION] |= _WHOLE_MAC  # switches read it anyway, and it says where a frame is counted
    more = [word for word, bits in enumerate(masks) if bits and word not in _IN_EVERY_KEY]
    if masks[w.PRESENT]:
        more.insert(0, w.PRESENT)
    level = parse_level({*more} - {w.PRESENT}, masks[w.PRESENT], pairs)
    shift, packed = FIRST_SHIFT, []
    for number, argument in sorted(pairs):
        packed += [number, argument, shift]
        shift += max(1, (_SIZES.get(number, argument) - 1).bit_length())
    if shift > _KEY_BITS:
        return None
    signed = np.array(masks, np.uint64).view(np.int64)
    head = [level, len(pairs), len(more), signed[w.DESTINATION], signed[w.SOURCE]]
    words: list[Any] = [number for word in more for number in (word, signed[word])]
    return np.array([*head, *packed, *words], np.int64)


_NOTHING: Final = Batch(np.zeros(0, ROW))


def _by_kind(batch: Batch, kinds: npt.NDArray[np.uint8]) -> list[Batch]:
    """The rows of each kind; those of most windows are all of one."""
    parts = [_NOTHING] * (UNKNOWN + 1)
    written = kinds.tobytes()
    if written and written == written[:1] * len(written):  # numpy takes several times as long to tell
        parts[written[0]] = batch
        return parts
    for kind in range(UNKNOWN + 1):
        found = np.flatnonzero(kinds == kind)
        if len(found):
            parts[kind] = batch.taken(found)
    return parts


def _slots(count: int, width: int) -> npt.NDArray[np.int64]:
    """So many empty slots, each where a cache line begins if it is one, and slot 0, which no key is in.

    Memory that nobody has touched is not used.
    """
    memory = np.zeros((count + 1) * width + _LINE, np.int64)
    first = -memory.ctypes.data % (8 * _LINE) // 8
    slots = memory[first : first + (count + 1) * width].reshape(count + 1, width)
    slots[0, shortcut.KEY : shortcut.KEY + shortcut.KEY_WORDS] = shortcut.NO_KEY
    return slots


def _places(slots: int) -> npt.NDArray[np.uint32]:
    """An empty index for so many slots."""
    return np.zeros(1 << (_PLACES * slots - 1).bit_length(), np.uint32)


def _room(more: int) -> npt.NDArray[np.int64]:
    """Room for a block of keys with so many more words, and the place of each."""
    return np.zeros(shortcut.BLOCK * (1 + shortcut.KEY_WORDS + more), np.int64)

"""The journal of a window: what stages read of tables that stages write, where, and when; and how to undo the writes.

The levels of a window are decided one after the other, so a frame of an early level may have been decided before an
earlier frame of a later level wrote what it asked for, or after a later frame of an early level did. Such a pair cuts
the window: it is run again up to the later of the two, from the state that it began with.
"""

from collections.abc import Hashable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen

from iochain.batch import FOREVER, Batch, Instant
from iochain.engine.following import follow
from iochain.engine.path import Paths
from iochain.engine.plain import Decider
from iochain.engine.remembered import Remembered
from iochain.engine.segments import Junction
from iochain.engine.walk import Listener, Walker
from iochain.frame import Notes, Table
from iochain.kernels.order import first_from

LEARNING: Final = "learning"
PORT_SHUT: Final = "port shut"
FLOOD: Final = "flood"

Entry = tuple[int, Hashable]
"""An entry of a table, by the table's id and the key."""


@frozen
class Cut:
    """Where a window has to end, and why: only what comes before ``at`` may be in it."""

    at: Instant
    cause: str


@define
class Moment:
    """One decision over a batch: where, and which of its frames walked (the reads of these are known).

    Frames that were sent a way were decided at a second junction too (``onward``).
    """

    batch: Batch
    junction: Junction
    onward: Junction | None = None
    walked: set[int] = field(factory=set)


@define
class Journal:
    """What happens to tables in one window. ``stops`` are the tables whose writes end the window behind the frame."""

    stops: frozenset[int] = frozenset()
    cut: Cut | None = None
    until: Instant = FOREVER
    is_open: bool = False
    is_careful: bool = True  # frames that are sent ways are kept as they were before, to be looked up again
    is_blind: bool = False  # some were not kept
    stopped: list[tuple[Instant, Hashable]] = field(factory=list)  # writes to ``stops``: when, and the key
    _tables: set[int] = field(factory=set)  # ids of all tables that were ever written
    _moments: list[Moment] = field(factory=list)
    _reads: dict[Entry, list[tuple[Instant, int]]] = field(factory=dict)
    _writes: dict[Entry, list[tuple[Instant, int]]] = field(factory=dict)
    _fresh: Instant = FOREVER  # the first write of this moment
    _undo: list[tuple[Table[Any, Any], Hashable, Any]] = field(factory=list)

    def begin(self, until: Instant, is_careful: bool) -> None:
        """A window begins. Careless is quicker, and all is done again with care if something is written."""
        self.is_careful, self.is_blind = is_careful, False
        self.cut, self.until, self.is_open, self._fresh = None, until, True, FOREVER
        self.stopped.clear()
        self._moments.clear()
        self._reads.clear()
        self._writes.clear()
        self._undo.clear()

    def end(self) -> None:
        """The window was right: what it wrote stays."""
        self.is_open = False
        self._moments.clear()

    def back(self) -> None:
        """Undo all writes of the window."""
        for table, key, answer in reversed(self._undo):
            table.set(key, answer)
        self.end()

    def needs_cut(self) -> bool:
        """Whether the window has to be run again."""
        return self.cut is not None

    def cut_at(self, at: Instant, cause: str) -> None:
        """The window may go to ``at`` at most."""
        if self.cut is None or at < self.cut.at:
            self.cut = Cut(at, cause)

    def moment(self, batch: Batch, junction: Junction) -> None:
        """Frames are about to be decided."""
        self._moments.append(Moment(batch, junction))

    def sent(self, batch: Batch, junction: Junction, onward: Junction) -> Moment:
        """Frames are about to be sent past two junctions; whoever does so leaves those in it that were."""
        self._moments.append(Moment(batch, junction, onward))
        return self._moments[-1]

    @property
    def wrote(self) -> bool:
        """Whether the window has written to a table."""
        return bool(self._undo)

    def settle(self, decider: Decider) -> None:
        """Frames were decided: look whether they wrote what later frames of earlier moments had asked for."""
        fresh, self._fresh = self._fresh, FOREVER
        if fresh == FOREVER or not isinstance(decider, Remembered):
            return
        for moment in self._moments[:-1]:
            self._probe(decider, moment, fresh)

    def note(self, notes: Notes) -> None:
        """A frame has walked."""
        if not self.is_open or not self._tables:
            return
        batch, index = notes.row
        moment = self._moments[-1]
        if batch is moment.batch:
            moment.walked.add(index)
        at: Instant | None = None
        for asked in notes.asked:
            if isinstance(asked.thing, Table) and id(asked.thing) in self._tables:
                at = at or _instant(batch, index)
                for key in asked.thing.depends_on(asked.key):
                    self._read((id(asked.thing), key), at)

    def write(self, notes: Notes, table: Table[Any, Any], key: Hashable) -> None:
        """The frame that has just walked writes to a table: before it does."""
        if not self.is_open:
            return
        at, number = _instant(*notes.row), len(self._moments) - 1
        if id(table) not in self._tables:
            self._tables.add(id(table))
            self.cut_at(self.until, LEARNING)  # who read it in this window nobody noted: it is run again
        if self.is_blind:
            self.cut_at(self.until, LEARNING)
        self._undo.append((table, key, table.entry(key)))
        entry = (id(table), key)
        self._read(entry, at)
        self._writes.setdefault(entry, []).append((at, number))
        for read_at, other in self._reads.get(entry, ()):
            if other != number and read_at > at:
                self.cut_at(read_at, LEARNING)
        self._fresh = min(self._fresh, at)
        if id(table) in self.stops:
            self.stopped.append((at, key))
            behind = Instant(at.time_ns, at.order + 1)
            if behind < self.until:
                self.cut_at(behind, PORT_SHUT)

    def _read(self, entry: Entry, at: Instant) -> None:
        number = len(self._moments) - 1
        self._reads.setdefault(entry, []).append((at, number))
        for written_at, other in self._writes.get(entry, ()):
            if other != number and written_at > at:
                self.cut_at(written_at, LEARNING)

    def _probe(self, decider: Remembered, moment: Moment, fresh: Instant) -> None:
        """Find the first frame behind a write whose path is no longer known, though it did not walk."""
        first = int(first_from(moment.batch.rows, fresh.time_ns, fresh.order + 1))
        taken: npt.NDArray[np.int32] = np.zeros(len(moment.batch), np.int32)
        self._probe_at(decider, moment.batch, moment.junction, first, taken, moment.walked)
        if moment.onward is not None and not moment.onward.is_empty:
            known = taken[first:] >= 0
            rows, taken = moment.batch[first:][known], taken[first:][known]
            copies = follow(rows, taken, decider.paths.columns()).batch
            taken = np.zeros(len(copies), np.int32)
            self._probe_at(decider, copies, moment.onward, 0, taken, set())

    def _probe_at(
        self,
        decider: Remembered,
        batch: Batch,
        junction: Junction,
        first: int,
        taken: npt.NDArray[np.int32],
        walked: set[int],
    ) -> None:
        """Look frames up from ``first`` on; a path that is not known any more is -1."""
        memory, is_cut = decider.memory(junction), False
        while (first := memory.look_up(batch, first, len(batch), taken)) < len(batch):
            taken[first] = -1
            if first not in walked and not is_cut:
                self.cut_at(_instant(batch, first), LEARNING)
                is_cut = True
            first += 1


@define
class Journalled:
    """A decider whose decisions are noted in a journal."""

    inner: Decider
    journal: Journal

    @property
    def walker(self) -> Walker:
        """What walks."""
        return self.inner.walker

    @walker.setter
    def walker(self, walker: Walker) -> None:
        self.inner.walker = walker

    @property
    def paths(self) -> Paths:
        """All paths met so far."""
        return self.inner.paths

    @paths.setter
    def paths(self, paths: Paths) -> None:
        self.inner.paths = paths

    @property
    def listeners(self) -> dict[int, Listener]:
        """Who hears every step of a frame."""
        return self.inner.listeners

    @listeners.setter
    def listeners(self, listeners: dict[int, Listener]) -> None:
        self.inner.listeners = listeners

    def decide(self, batch: Batch, junction: Junction) -> npt.NDArray[np.int32]:
        """The number of the path of each frame, as the inner one decides."""
        if not self.journal.is_open:
            return self.inner.decide(batch, junction)
        self.journal.moment(batch, junction)
        taken = self.inner.decide(batch, junction)
        self.journal.settle(self.inner)
        return taken

    def let_go(self) -> None:
        """Let go of tables that live longer than the network."""
        self.inner.let_go()


def _instant(batch: Batch, index: int) -> Instant:
    row = batch.rows[index]
    return Instant(int(row["time_ns"]), int(row["order"]))

"""The engine of remembered paths: a frame walks only if none like it has, and all later ones are looked up, compiled.

Frames are alike if they agree in all bits that stages on the way read; the bits are found by watching the walks. The
idea is Open vSwitch's megaflow cache. A walk is not remembered if it wrote to a table, or if a stage looked at the
whole packet; a change of a table forgets just the paths that asked for the changed entry.

What an input chain, the switch and a team do with a frame are remembered apart, though one walk finds out all of it: of
a thousand senders and a thousand receivers some thousand walks are enough, not one for each pair.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from attrs import define, field

from iochain.batch import Batch
from iochain.engine import lookup
from iochain.engine.memory import OF_KIND, Memory, Reads, Statistics, Walked
from iochain.engine.path import UNCHANGED, Paths
from iochain.engine.plain import Plain, frame_of
from iochain.engine.segments import Junction
from iochain.engine.walk import Listener, Walker
from iochain.frame import Asked
from iochain.kernels.parse import parse

MOST_KEYS: Final = 1 << 22
"""Beyond so many keys at one junction all of them are forgotten, and learnt again as frames come."""
WALKED_FIRST: Final = 1 << 12
"""So many decisions an engine that is not chosen makes by walking: a short run then loads and compiles no look-up."""


@define
class Remembered:
    """Looks frames up and walks the unknown ones. ``listeners`` hear every step of frames with their order numbers."""

    walker: Walker
    paths: Paths
    most_keys: int = MOST_KEYS
    walked_first: int = 0  # frames are walked while there are no more than so many
    listeners: dict[int, Listener] = field(factory=dict)
    statistics: Statistics = field(factory=Statistics)
    made: int = 0  # how often memories were made or let go
    _memories: dict[int, Memory] = field(factory=dict)
    _foreseen: dict[tuple[int, bytes], int] = field(factory=dict)  # of frames that no key is for, by junction and row

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

    def memory(self, junction: Junction) -> Memory:
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
            self.made += 1
        return memory

    def let_go(self) -> None:
        """Forget everything, and watch no table any more: tables of users' stages live longer than a network."""
        for memory in self._memories.values():
            memory.let_go()
        self._memories.clear()
        self.made += 1
        self.forget_foreseen()

    def _listened(self, batch: Batch) -> list[int]:
        """Indices of frames whose steps somebody wants to hear."""
        if not self.listeners:
            return []
        orders = np.array(list(self.listeners), np.int64)
        found: list[int] = np.flatnonzero(np.isin(batch.column("order"), orders)).tolist()
        return found

    def _walk(self, batch: Batch, index: int, memory: Memory, came: int = -1, writes: bool = True) -> int:
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
            self._remember(Walked(row, words, segment), number, memory, known)
        self.statistics.walks += 1
        return number

    def _remember(self, walked: Walked, number: int, memory: Memory, known: int) -> None:
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

    def _make_room(self, memory: Memory) -> Memory:
        """Forget all that a memory has if it is full."""
        if memory.keys >= self.most_keys:
            memory.forget_all()
            self.statistics.limit_reached += 1
        return memory

    def _holds_for(self, walked: Walked, asked: Sequence[Asked], taken: int, part: Memory) -> tuple[int, int]:
        """For which ports a path from the switch on holds: the number of a kind, and of the one port that is other.

        Kind -1: only for the port itself, as stages asked which one it is, or a drop names it.
        """
        port = walked.segment.port
        others: tuple[str, ...] = ()
        for thing, key, answer in asked:
            if thing is not port or key in OF_KIND:
                continue
            if type(key) is not tuple or answer or len(key) != 1 or others not in ((), key):
                return -1, -1
            others = key
        if self.paths.known[taken & ~lookup.ONWARD].drops:
            return -1, -1
        return int(part.kinds[port.number]), self.walker.numbers.get(others[0], -1) if others else -1

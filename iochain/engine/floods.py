"""Copies of floods: where all ports of a flood were decided once, the next flood like it is one look-up.

Copies of a frame are alike but for their ports. So the bits that any port's stages read make a *line*, and a line has,
for each port that was met, the path that the single look-up gave. Lines last as long as what they were taken from.
"""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from attrs import define, field
from numba import types

from iochain.batch import Batch
from iochain.engine import lookup
from iochain.engine.memory import Memory, parse_level
from iochain.engine.remembered import Remembered
from iochain.engine.segments import Junction
from iochain.kernels import words as w
from iochain.kernels.checked import known
from iochain.kernels.compiled import compiled, part
from iochain.kernels.raw import load_le32, load_le64
from iochain.kernels.rows import FROM_UPLINK, ROW, ROWS

WORTH_IT: Final = 64
"""Copies a frame, on average, from which on lines are kept."""
MOST_LINES: Final = 32
_MOST_PATHS: Final = 1 << 21
"""Paths in all lines: with many ports there are fewer lines."""
_TRIES: Final = 1 << 20
"""So many copies are decided one by one before it is asked whether lines are of use."""
_ALL_BITS: Final = (1 << 64) - 1


@define
class Floods:
    """The lines of one junction, which floods reach."""

    decider: Remembered
    junction: Junction
    recalled: int = 0
    decided: int = 0
    lines: npt.NDArray[np.int64] = field(factory=lambda: np.zeros((MOST_LINES, 0), np.int64))  # keys, without the port
    paths: npt.NDArray[np.int32] = field(factory=lambda: np.zeros((0, 0), np.int32))  # by line and port; -1: unknown
    used: int = 0
    _plans: npt.NDArray[np.int64] = field(factory=lambda: np.zeros((2, 0), np.int64))  # of clients, of uplinks
    _memory: Memory | None = None  # what lines were taken from, and its state: its epoch, and how often masks grew
    _state: tuple[int, int] = (0, 0)
    _scratch: npt.NDArray[np.int64] = field(factory=lambda: known(np.zeros(w.COUNT, np.int64)))
    _key: npt.NDArray[np.int64] = field(factory=lambda: np.zeros(0, np.int64))  # room for a key
    _next: int = 0  # the line that goes when there is no room

    @property
    def is_usable(self) -> bool:
        """Whether copies may be decided here: somebody who listens, or who begins, wants each frame to walk."""
        is_of_use = self.decided < _TRIES or self.decided < 4 * self.recalled
        return is_of_use and self.decider.is_remembering and not self.decider.listeners

    def decide(self, batch: Batch) -> npt.NDArray[np.int32]:
        """The number of the path of each copy, as :meth:`Remembered.decide` gives it; copies of a frame together."""
        taken = np.empty(len(batch), np.int32)
        first = 0
        while True:
            self._catch_up()
            lines = self.lines[: self.used]
            end = recall(known(batch.rows), first, self._plans, lines, self.paths, self._scratch, self._key, taken)
            self.recalled += end - first
            self.decider.statistics.frames += end - first
            if end == len(batch):
                return taken
            first = self._decide_frame(batch, end, taken)

    def _decide_frame(self, batch: Batch, first: int, taken: npt.NDArray[np.int32]) -> int:
        """Decide for the copies of one frame one by one; gives the index behind them."""
        end = first + int(alike_from(batch.rows, first))
        copies = batch[first:end]
        walks = self.decider.statistics.walks
        taken[first:end] = self.decider.decide(copies, self.junction)
        self.decided += end - first
        if self.decider.statistics.walks == walks:  # all were looked up, so all will be again
            self._keep(copies, taken[first:end])
        return end

    def _keep(self, copies: Batch, taken: npt.NDArray[np.int32]) -> None:
        line = int(line_of(copies.rows, self._plans, self.lines[: self.used], self._scratch, self._key))
        if line < 0:
            line = self.used if self.used < len(self.paths) else self._next
            self.used, self._next = max(self.used, line + 1), (line + 1) % len(self.paths)
            self.lines[line] = self._key
            self.paths[line] = -1
        self.paths[line, copies.column("port")] = taken

    def _catch_up(self) -> None:
        """Begin anew where a decision was forgotten, or more is read than lines know."""
        memory = self.decider.memory(self.junction)
        memory.catch_up()
        state = (memory.epoch, self.decider.statistics.grown_masks)
        if memory is not self._memory or state != self._state:
            self._memory, self._state = memory, state
            self._begin(memory)

    def _begin(self, memory: Memory) -> None:
        """Room for lines, and none there."""
        ports = len(self.junction.segments)
        count = min(MOST_LINES, max(1, _MOST_PATHS // ports))
        self.used = self._next = 0
        self._plans = known(plans_of(memory))
        width = lookup.LINK_KEY + int(self._plans[:, : lookup.DERIVED + 1].sum(axis=1).max())
        self.lines, self._key = np.zeros((count, width), np.int64), known(np.zeros(width, np.int64))
        if self.paths.shape != (count, ports):
            self.paths = np.full((count, ports), -1, np.int32)


def plans_of(memory: Memory) -> npt.NDArray[np.int64]:
    """Plans (columns: :mod:`iochain.engine.lookup`) of all that any class reads, of clients' frames and of uplinks'."""
    plans = [_plan_of(memory.masks[side::2], memory.derived[side::2]) for side in range(2)]
    longest = max(map(len, plans))
    return np.array([plan + [0] * (longest - len(plan)) for plan in plans], np.int64)


def _plan_of(masks: Sequence[Sequence[int]], derived: Sequence[Sequence[tuple[int, int]]]) -> list[int]:
    """The plan of all bits and derived fields that any of these classes reads."""
    bits = [reduce(or_, of_word) & _ALL_BITS for of_word in zip(*masks, strict=True)]
    pairs = list(dict.fromkeys(pair for of_class in derived for pair in of_class))
    words = [word for word, read in enumerate(bits) if read and word not in w.LINK_WORDS]
    presence = bits[w.PRESENT] & ~sum(1 << word for word in w.LINK_WORDS)
    signed = np.array(bits, np.uint64).view(np.int64).tolist()
    plan = [len(words), len(pairs), signed[w.PRESENT], parse_level(set(words), presence, pairs)]
    plan += [0] * (lookup.PAIRS - len(plan))
    for word, column in lookup.LINK_COLUMNS.items():
        plan[column] = signed[word]
    for pair in (*((word, signed[word]) for word in words), *pairs):
        plan += pair
    return plan


_I32 = types.Array(types.int32, 1, "C")
_I64 = types.Array(types.int64, 1, "C")
_PATHS = types.Array(types.int32, 2, "C")
_TABLE = types.Array(types.int64, 2, "C")
_ROW_BYTES: Final = ROW.itemsize
_PORT_WORD: Final = 40
_PORT_BITS: Final = 0xFFFFFFFF
_LAST: Final = 56
_KEY_WITHOUT_PORT: Final = ~0xFFFFFE


@part
def _is_alike(one: int, other: int) -> bool:
    """Whether two rows at these addresses are the same but for their ports."""
    differs = (load_le64(one + _PORT_WORD) ^ load_le64(other + _PORT_WORD)) & ~_PORT_BITS
    differs |= (load_le64(one) ^ load_le64(other)) | (load_le64(one + 8) ^ load_le64(other + 8))
    differs |= (load_le64(one + 16) ^ load_le64(other + 16)) | (load_le64(one + 24) ^ load_le64(other + 24))
    differs |= (load_le64(one + 32) ^ load_le64(other + 32)) | (load_le64(one + 48) ^ load_le64(other + 48))
    return differs == 0 and load_le32(one + _LAST) == load_le32(other + _LAST)  # type: ignore[no-any-return]


@part
def _line(row: Any, plans: Any, lines: Any, scratch: Any, key: Any) -> int:
    """The line of a row, -1 if there is none; ``key`` is filled."""
    plan = plans.ctypes.data + 8 * plans.shape[1] * (row.flags & FROM_UPLINK)
    lookup.make_key(row, plan, scratch.ctypes.data, key.ctypes.data, len(key))
    key[0] &= _KEY_WITHOUT_PORT
    for line in range(len(lines)):
        differs = 0
        for i in range(len(key)):
            differs |= lines[line, i] ^ key[i]
        if differs == 0:
            return line
    return -1


@compiled(types.int64(ROWS, _TABLE, _TABLE, _I64, _I64))
def line_of(rows: Any, plans: Any, lines: Any, scratch: Any, key: Any) -> int:
    """The line of the first row, -1 if there is none; ``key`` is filled."""
    return _line(rows[0], plans, lines, scratch, key)


@compiled(types.int64(ROWS, types.int64))
def alike_from(rows: Any, first: int) -> int:
    """How many rows from ``first`` on are the same but for their ports."""
    start = rows.ctypes.data
    for i in range(first + 1, len(rows)):
        if not _is_alike(start + _ROW_BYTES * first, start + _ROW_BYTES * i):
            return i - first
    return len(rows) - first


@compiled(types.int64(ROWS, types.int64, _TABLE, _TABLE, _PATHS, _I64, _I64, _I32))
def recall(rows: Any, first: int, plans: Any, lines: Any, paths: Any, scratch: Any, key: Any, taken: Any) -> int:
    """Fill ``taken`` with the paths of rows from ``first`` on; gives the index of the first unknown one."""
    start = rows.ctypes.data
    line = -1
    for i in range(first, len(rows)):
        if i == first or not _is_alike(start + _ROW_BYTES * (i - 1), start + _ROW_BYTES * i):
            line = _line(rows[i], plans, lines, scratch, key)
            if line < 0:
                return i
        path = paths[line, rows[i].port]
        if path < 0:
            return i
        taken[i] = path
    return len(rows)

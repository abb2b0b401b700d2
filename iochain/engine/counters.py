"""Counters, kept at the seams and nowhere in a stage: what went in and out of each port, what ended where and why.

In is from the port to the switch, Out from the switch to the port, each for unicast, multicast and broadcast, as the
switch's own statistics (vmkapi_net_port.h). The sum that must hold: in + generated + copied + split =
delivered + dropped + merged + consumed + held.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen
from numba import types

from iochain.batch import Rows, source_and_serial
from iochain.engine.path import Dropped, Whys
from iochain.kernels.compiled import compiled, part
from iochain.kernels.raw import load_le64, prefetch, row_at, signed, store_le64
from iochain.kernels.rows import NO_TAG, ROW_BYTES, ROWS, TAG_BYTES

IN, OUT = 0, 1
UNICAST, MULTICAST, BROADCAST = 0, 1, 2
FRAMES, BYTES = 0, 1
FIRST_TIME: Final = 2
FIRST_ORDER: Final = 3
_DROP_COLUMNS: Final = 4
_EVERYBODY: Final = 0xFFFFFFFFFFFF
_AHEAD: Final = 16
"""So many rows before its turn a frame's addresses are fetched."""


class ConservationError(Exception):
    """Frames vanished, or came out of nothing: a fault of iochain or of a batch stage, with the sums."""


@frozen
class DropCount:
    """How often one drop occurred: frames, bytes, and where it was first."""

    dropped: Dropped
    frames: int
    bytes: int
    first_order: int
    first_time_ns: int

    @property
    def first_frame(self) -> int:
        """Number of the first such frame in its source, from 1."""
        return source_and_serial(self.first_order)[1]


@define
class Counters:
    """All counters of a run. ``ports`` is (port, In or Out, kind of address, frames or bytes)."""

    ports: npt.NDArray[np.int64]
    whys: Whys
    entered: int = 0
    generated: int = 0
    copied: int = 0
    split: int = 0
    delivered: int = 0
    dropped: int = 0
    merged: int = 0
    consumed: int = 0
    _by_why: npt.NDArray[np.int64] = field(factory=lambda: np.zeros((0, _DROP_COLUMNS), np.int64))

    @classmethod
    def of(cls, ports: int, whys: Whys) -> "Counters":
        """All zero."""
        return cls(np.zeros((ports, 2, 3, 2), np.int64), whys)

    @property
    def drops(self) -> dict[Dropped, DropCount]:
        """The counts of all drops that occurred."""
        return {
            dropped: DropCount(dropped, frames, size, order, time_ns)
            for dropped, (frames, size, time_ns, order) in zip(self.whys.known, self._by_why.tolist(), strict=False)
            if frames
        }

    def count_ports(self, rows: Rows, direction: int) -> None:
        """Count rows at their ports."""
        count_rows(rows, direction, self.ports)

    def count_drops(self, rows: Rows, why: npt.NDArray[np.int32]) -> None:
        """Count dropped rows, ``why[i]`` the number of the drop of row *i*."""
        self.dropped += len(rows)
        missing = len(self.whys.known) - len(self._by_why)
        if missing:
            self._by_why = np.concatenate([self._by_why, np.zeros((missing, _DROP_COLUMNS), np.int64)])
        count_why(rows, why, self._by_why)

    def check(self, held: int) -> None:
        """Raise ConservationError unless the sum holds with ``held`` frames waiting."""
        came = self.entered + self.generated + self.copied + self.split
        went = self.delivered + self.dropped + self.merged + self.consumed + held
        if came != went:
            raise ConservationError(
                f"{came} frames came (entered {self.entered}, generated {self.generated}, copied {self.copied}, "
                f"split {self.split}), but {went} went (delivered {self.delivered}, dropped {self.dropped}, "
                f"merged {self.merged}, consumed {self.consumed}, held {held})"
            )


@part
def cell_of(row: Any, port: int, direction: int) -> int:
    """Where a row is counted at a port, in bytes from the counters' beginning; it hangs on the row's destination."""
    destination = load_le64(row.address)  # and two bytes of the source
    kind = (destination & 1) * MULTICAST + (destination | ~_EVERYBODY == -1)
    return int(8 * (((port * 2 + direction) * 3 + kind) * 2))


@part
def count_row(row: Any, tag: int, at: int) -> None:
    """Add a row, with the tag that it has or had there, to the two counters at an address."""
    size = row.wire_length + row.pad + TAG_BYTES * (tag != NO_TAG)
    store_le64(at + 8 * FRAMES, load_le64(at + 8 * FRAMES) + 1)
    store_le64(at + 8 * BYTES, load_le64(at + 8 * BYTES) + size)


@compiled(types.void(ROWS, types.int64, types.Array(types.int64, 4, "C")))
def count_rows(rows: Any, direction: int, counters: Any) -> None:
    """Add every row to the counters of its port."""
    start = signed(counters.ctypes.data)
    first, last = signed(rows.ctypes.data), len(rows) - 1
    for i in range(len(rows)):
        row = row_at(first + ROW_BYTES * i)
        prefetch(row_at(first + ROW_BYTES * min(i + _AHEAD, last)).address)
        count_row(row, row.tag, start + cell_of(row, row.port, direction))


@compiled(types.void(ROWS, types.Array(types.int32, 1, "C"), types.Array(types.int64, 2, "C")))
def count_why(rows: Any, why: Any, counters: Any) -> None:
    """Add every row to the counters of its drop, whose first one is the first in the order of everything."""
    for i in range(len(rows)):
        row = rows[i]
        count = counters[why[i]]
        earlier = row.time_ns < count[FIRST_TIME] or (
            row.time_ns == count[FIRST_TIME] and row.order < count[FIRST_ORDER]
        )
        if count[FRAMES] == 0 or earlier:
            count[FIRST_TIME] = row.time_ns
            count[FIRST_ORDER] = row.order
        count[FRAMES] += 1
        count[BYTES] += row.wire_length + row.pad + (TAG_BYTES if row.tag != NO_TAG else 0)

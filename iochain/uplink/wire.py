"""The uplink's way to the wire: transmit queue, padding, and the time that each frame takes on the cable.

A frame takes (its bytes, at least 60, + 4 FCS + 8 preamble + 12 gap) * 8 / rate (IEEE 802.3); remainders of a
nanosecond are kept, so that a million frames do not drift. Short frames are padded with zeros to Net.MinEtherLen, the
tag not counted (vmkapi_net_pkt.h). What waits for the wire is at most Net.MaxNetifTxQueueLen frames.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from attrs import define, frozen
from numba import types

from iochain.batch import Batch, Instant, Waiting
from iochain.chain import Drop, Passed, Reason
from iochain.kernels import words as w
from iochain.kernels.compiled import compiled, part
from iochain.kernels.parse import TRANSPORT, parse_row
from iochain.kernels.rows import ETHERNET_BYTES, MSS_IS_MTU, NO_TAG, ROW, ROWS, TAG_BYTES

SMALLEST_FRAME: Final = 60
FCS_BYTES: Final = 4
OVERHEAD_BYTES: Final = FCS_BYTES + 8 + 12
GAP_BITS: Final = 12 * 8
_LARGEST_HEADERS: Final = 40  # of IPv4 and TCP without options: where a cut frame does not show them


@frozen
class Wire:
    """Speed of the link, room in the transmit queue, smallest frame, and the MTU, which tells super-frames."""

    rate_bps: int
    queue_frames: int = 2000
    smallest_frame: int = SMALLEST_FRAME
    mtu: int = 1500

    def start(self) -> "Wires":
        """An idle link."""
        return Wires.of([self])

    def run(self, state: "Wires", batch: Batch, until: Instant) -> Passed:
        """Send frames, one after the other."""
        return state.run(batch, np.zeros(len(batch), np.int32), until)

    @classmethod
    def bank(cls, stages: Sequence["Wire"]) -> "Wires":
        """The links of many uplinks, in arrays."""
        return Wires.of(stages)


# Columns of a lane's state: the link is busy until _BUSY ns and _REST / rate of the next.
_RATE, _QUEUE, _SMALLEST, _MTU, _BUSY, _REST, _HEAD, _COUNT, _SUPER = range(9)
_COLUMNS = 9
_NANO = 10**9


@define
class Wires:
    """The links of many uplinks: a row of ``lanes`` each, and the start times of what waits in ``queues``."""

    lanes: npt.NDArray[np.int64]
    queues: npt.NDArray[np.int64]
    waiting: Waiting

    @classmethod
    def of(cls, stages: Sequence[Wire]) -> "Wires":
        """Idle links."""
        lanes = np.zeros((len(stages), _COLUMNS), np.int64)
        for lane, stage in zip(lanes, stages, strict=True):
            lane[:_BUSY] = stage.rate_bps, stage.queue_frames, stage.smallest_frame, stage.mtu
            lane[_BUSY] = np.iinfo(np.int64).min
        longest = max((stage.queue_frames for stage in stages), default=1)
        return cls(lanes, np.zeros((len(stages), longest), np.int64), Waiting())

    @property
    def held(self) -> int:
        """How many frames are on their way."""
        return len(self.waiting)

    @property
    def super_frames(self) -> npt.NDArray[np.int64]:
        """How many TCP frames longer than the MTU left whole, by lane."""
        return self.lanes[:, _SUPER]

    def __len__(self) -> int:
        return self.held

    def run(self, batch: Batch, lanes: npt.NDArray[np.int32], until: Instant) -> Passed:
        """Give each frame the time at which its last bit is sent; those that find the queue full are dropped."""
        out, lost = np.empty(len(batch), ROW), np.empty(len(batch), ROW)
        supers = int(self.super_frames.sum())
        passed = send(batch.rows, lanes, self.lanes, self.queues, out, lost)
        if int(self.super_frames.sum()) > supers:
            infer_mss(out[:passed], np.zeros(w.COUNT, np.int64))
        dropped = Batch(lost[: len(batch) - passed], batch.pins)
        released = self.waiting.release(Batch(out[:passed], batch.pins), until)
        return Passed(released, dropped, np.zeros(len(dropped), np.int32), (Drop(Reason.TRANSMIT_QUEUE),))


_STATE = types.Array(types.int64, 2, "C")
_LANES = types.Array(types.int32, 1, "C")


@part
def _pad(row: Any, smallest: int) -> None:
    """Zeros up to the smallest frame; a frame that the snap length cut gets its length only."""
    short = smallest - row.wire_length
    if short <= 0:
        return
    if row.length == row.wire_length:
        row.pad = short
    else:
        row.wire_length = smallest


@compiled(types.int64(ROWS, _LANES, _STATE, _STATE, ROWS, ROWS))
def send(rows: Any, lanes: Any, state: Any, queues: Any, out: Any, lost: Any) -> int:
    """Copy every row to ``out`` with the time at which its FCS is sent, rounded up to ns, or to ``lost``: no room.

    Gives how many passed. A frame takes room in the queue until its first bit is sent. A super-frame without mss gets
    the MTU, and the flag that says so.
    """
    passed = 0
    for i in range(len(rows)):
        lane = state[lanes[i]]
        queue = queues[lanes[i]]
        arrival = rows[i].time_ns
        while lane[_COUNT] > 0 and queue[lane[_HEAD]] <= arrival:
            lane[_HEAD] = lane[_HEAD] + 1 if lane[_HEAD] + 1 < len(queue) else 0
            lane[_COUNT] -= 1
        if lane[_COUNT] >= lane[_QUEUE]:
            lost[i - passed] = rows[i]
            continue
        out[passed] = rows[i]
        row = out[passed]
        _pad(row, lane[_SMALLEST])
        if row.wire_length - ETHERNET_BYTES > lane[_MTU] + TAG_BYTES:
            lane[_SUPER] += 1
            if row.mss == 0:
                row.mss = lane[_MTU]
                row.flags |= MSS_IS_MTU
        passed += 1
        if lane[_BUSY] < arrival:
            lane[_BUSY], lane[_REST] = arrival, 0
        else:
            started = lane[_BUSY] + (lane[_REST] > 0)
            if started > arrival:
                queue[(lane[_HEAD] + lane[_COUNT]) % len(queue)] = started
                lane[_COUNT] += 1
        tag = TAG_BYTES if row.tag != NO_TAG else 0
        bits = (max(row.wire_length + row.pad + tag, SMALLEST_FRAME) + OVERHEAD_BYTES) * 8
        sent = (bits - GAP_BITS) * _NANO + lane[_REST]
        row.time_ns = lane[_BUSY] + (sent + lane[_RATE] - 1) // lane[_RATE]
        done = bits * _NANO + lane[_REST]
        lane[_BUSY] += done // lane[_RATE]
        lane[_REST] = done % lane[_RATE]
    return passed


@compiled(types.void(ROWS, types.Array(types.int64, 1, "C")))
def infer_mss(rows: Any, words: Any) -> None:
    """Where a super-frame has the MTU for its mss, take its headers from it; ``words`` is room to parse in.

    A kernel of its own: the parser in :func:`send` would be compiled at every first start, and super-frames are rare.
    """
    for i in range(len(rows)):
        row = rows[i]
        if row.flags & MSS_IS_MTU == 0:
            continue
        headers = _LARGEST_HEADERS
        if parse_row(row, words.ctypes.data, TRANSPORT) >> w.PAYLOAD_OFFSET & 1:
            headers = words[w.PAYLOAD_OFFSET] - words[w.NETWORK_OFFSET]
        row.mss = max(1, row.mss - headers)
        row.flags &= 255 - MSS_IS_MTU

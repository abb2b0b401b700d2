"""Outbound shaping of a port: a token bucket with burst bonus, and one queue for what is over the limit.

A port may send at its average rate; what it does not use is saved up to the burst size, and with savings it sends up
to the peak rate (vSphere Networking 6.5, "Traffic Shaping Policy"). Each port has a bucket of its own. Frames count
with all their bytes but the FCS and the outer tag. A frame larger than the burst passes when the bucket is full. One
queue a port, in order; the queues per flow of Net.NetShaperQueuePerL3L4Flow are not modelled.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import define, frozen
from numba import types

from iochain.batch import EMPTY, Batch, Instant, Waiting
from iochain.chain import Drop, Passed, Reason
from iochain.kernels.compiled import compiled, part, part_in_line
from iochain.kernels.lanes import (
    BLOCK,
    LANES,
    LOST,
    OWN,
    PICKED,
    QUEUE,
    STATE,
    get,
    lane_of,
    pick,
    put,
    room_to_pick,
    row_of,
    wait,
    waiting,
    without_lost,
)
from iochain.kernels.raw import row_at, signed
from iochain.kernels.rows import ROW_BYTES, ROWS


@frozen
class Shaper:
    """Average and peak rate, burst size, and how many frames the queue takes."""

    average_bps: int
    peak_bps: int
    burst_bytes: int
    queue_frames: int

    def start(self) -> "Shapers":
        """A full bucket and an empty queue."""
        return Shapers.of([self])

    def run(self, state: "Shapers", batch: Batch, until: Instant) -> Passed:
        """Let frames pass, wait or drop."""
        return state.run(batch, np.zeros(len(batch), np.int32), until)

    @classmethod
    def bank(cls, stages: Sequence["Shaper"]) -> "Shapers":
        """The buckets of many ports, in arrays."""
        return Shapers.of(stages)


def queue_frames(burst_bytes: int, smallest: int = 10, largest: int = 500) -> int:
    """Length of the queue, between Net.NetShaperQueueSizeMin and Max; where between is the emulator's choice."""
    return min(largest, max(smallest, burst_bytes // 1500))


# Own columns of a lane. Credit is counted in 10⁻⁹ bits, so that whole nanoseconds at whole bit/s are exact; for a gap
# of up to _SAFE_GAP ns the product is in int64 for sure.
_AVERAGE, _PEAK, _FULL, _SAFE_GAP, _CREDIT, _PEAK_CREDIT, _AT = range(OWN, OWN + 7)
_COLUMNS = OWN + 7
_NANO = 10**9
_MOST_AT_ONCE = 4 * 10**18


@define
class Shapers:
    """The buckets of many ports: a row of ``lanes`` each, and the release times of what waits in ``queues``."""

    lanes: npt.NDArray[np.int64]
    queues: npt.NDArray[np.int64]
    waiting: Waiting

    @classmethod
    def of(cls, stages: Sequence[Shaper]) -> "Shapers":
        """Full buckets and empty queues."""
        lanes = np.zeros((len(stages), _COLUMNS), np.int64)
        for lane, stage in zip(lanes, stages, strict=True):
            full, fastest = stage.burst_bytes * 8 * _NANO, max(stage.average_bps, stage.peak_bps)
            lane[QUEUE] = stage.queue_frames
            lane[_AVERAGE:_AT] = stage.average_bps, stage.peak_bps, full, _MOST_AT_ONCE // fastest, full, 0
        longest = max((stage.queue_frames for stage in stages), default=1)
        return cls(lanes, np.zeros((len(stages), longest), np.int64), Waiting())

    @property
    def held(self) -> int:
        """How many frames wait."""
        return len(self.waiting)

    def __len__(self) -> int:
        return self.held

    def run(self, batch: Batch, lanes: npt.NDArray[np.int32], until: Instant) -> Passed:
        """Give each frame its release time; those that find the queue full are dropped."""
        return self._shape(batch.copy(), lanes, False, until)

    def run_among(self, batch: Batch, lanes: npt.NDArray[np.int32], until: Instant) -> Passed:
        """The same for rows in their places, by the lane of their port; those at ports without one (-1) just pass."""
        return self._shape(batch, lanes, True, until)

    def _shape(self, batch: Batch, lanes: npt.NDArray[np.int32], by_port: bool, until: Instant) -> Passed:
        delayed, lost = shape(batch.rows, lanes, by_port, self.lanes, self.queues, room_to_pick())
        dropped = EMPTY
        if lost:
            kept, gone = without_lost(batch.rows)
            batch, dropped = Batch(kept, batch.pins), Batch(gone, batch.pins)
        if delayed or self.held:
            batch = self.waiting.release(batch, until)
        return Passed(batch, dropped, np.zeros(lost, np.int32), (Drop(Reason.SHAPER),))


@part
def _grown(credit: int, gap_ns: int, bps: int, full: int, safe_gap_ns: int) -> int:
    """Credit after ``gap_ns`` at ``bps``, at most ``full``. Where the product could leave int64 the gap is capped."""
    missing = full - credit
    if gap_ns > safe_gap_ns and gap_ns > missing // bps:
        return full
    gained = gap_ns * bps
    return full if gained > missing else credit + gained


@part
def _time_for(missing: int, bps: int) -> int:
    """Whole nanoseconds until ``missing`` credit has come, rounded up."""
    return (missing + bps - 1) // bps if missing > 0 else 0


@part_in_line
def _release(lane: int, arrival: int, need: int) -> int:
    """When a lane lets a frame pass, in whole ns, rounded up; ``need`` is its size in credit, which it pays.

    The peak is a second bucket that holds less than a nanosecond's worth, and a frame that waits finds as much beyond
    the burst, so that the rounding of one frame's release is not lost to the next.
    """
    average, peak, full, safe_gap = get(lane, _AVERAGE), get(lane, _PEAK), get(lane, _FULL), get(lane, _SAFE_GAP)
    start: int = max(arrival, get(lane, _AT))
    gap = start - get(lane, _AT)
    credit = _grown(get(lane, _CREDIT), gap, average, full, safe_gap)
    peak_credit = _grown(get(lane, _PEAK_CREDIT), gap, peak, peak - 1, safe_gap)
    wait_ns = max(_time_for(min(need, full) - credit, average), _time_for(-peak_credit, peak))
    if wait_ns > 0:
        credit = _grown(credit, wait_ns, average, full + average - 1, safe_gap)
        peak_credit = _grown(peak_credit, wait_ns, peak, peak - 1, safe_gap)
    put(lane, _CREDIT, credit - need)
    put(lane, _PEAK_CREDIT, peak_credit - need)
    put(lane, _AT, start + wait_ns)
    return start + wait_ns


@compiled(types.UniTuple(types.int64, 2)(ROWS, LANES, types.boolean, STATE, STATE, PICKED))
def shape(rows: Any, lanes: Any, by_port: bool, state: Any, queues: Any, picked: Any) -> tuple[int, int]:
    """Give every row, in its place, its release time; those that find the queue full are LOST.

    Gives how many have to wait, and how many are LOST. ``lanes`` is by row or by port. Where none waits all rows stand
    in order still.
    """
    delayed, lost = 0, 0
    start, places = signed(rows.ctypes.data), queues.shape[1]
    for first in range(0, len(rows), BLOCK):
        size = min(BLOCK, len(rows) - first)
        count = pick(start, first, size, signed(lanes.ctypes.data), by_port, signed(picked.ctypes.data))
        for place in range(count):
            row, number = row_at(start + ROW_BYTES * row_of(picked[place])), lane_of(picked[place])
            lane = signed(state.ctypes.data) + 8 * _COLUMNS * number
            queue = signed(queues.ctypes.data) + 8 * places * number
            arrival = row.time_ns
            if waiting(lane, queue, places, arrival) >= get(lane, QUEUE):
                row.flags |= LOST
                lost += 1
                continue
            released = _release(lane, arrival, int(row.wire_length) * (8 * _NANO))
            if released > arrival:
                row.time_ns = released
                wait(lane, queue, places, released)
                delayed += 1
    return delayed, lost

"""Outbound shaping of a port: a token bucket with burst bonus, and one queue for what is over the limit.

A port may send at its average rate; what it does not use is saved up to the burst size, and with savings it sends up
to the peak rate (vSphere Networking 6.5, "Traffic Shaping Policy"). Each port has a bucket of its own. Frames count
with all their bytes but the FCS and the outer tag. A frame larger than the burst passes when the bucket is full. One
queue a port, in order; the queues per flow of Net.NetShaperQueuePerL3L4Flow are not modelled.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen
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
from iochain.kernels.raw import keep_apart, load_le64, row_at, signed
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


# Own columns of a lane. Credit is counted in 10⁻⁹ bits, so that whole nanoseconds at whole bit/s are exact; after
# _AVERAGE_GAP and _PEAK_GAP ns it is all there again in any case, so that longer gaps count as these.
_AVERAGE, _PEAK, _FULL, _AVERAGE_GAP, _PEAK_GAP, _CREDIT, _PEAK_CREDIT, _AT = range(OWN, OWN + 8)
_COLUMNS = OWN + 8
_NANO = 10**9
_LARGEST = (1 << 24) * 8 * _NANO
"""Credit that a frame needs at most: it may be missing beside all that there can be."""
_DROPS = (Drop(Reason.SHAPER),)
_NO_WHYS: Final = np.zeros(0, np.int32)


@define
class Shapers:
    """The buckets of many ports: a row of ``lanes`` each, and the release times of what waits in ``queues``."""

    only_delays: ClassVar = True

    lanes: npt.NDArray[np.int64]
    queues: npt.NDArray[np.int64]
    waiting: Waiting = field(factory=Waiting)
    picked: npt.NDArray[np.int64] = field(factory=room_to_pick)

    @classmethod
    def of(cls, stages: Sequence[Shaper]) -> "Shapers":
        """Full buckets and empty queues."""
        lanes = np.zeros((len(stages), _COLUMNS), np.int64)
        for lane, stage in zip(lanes, stages, strict=True):
            average, peak, full = stage.average_bps, stage.peak_bps, stage.burst_bytes * 8 * _NANO
            lane[QUEUE], lane[_CREDIT] = stage.queue_frames, full
            lane[_AVERAGE:_AVERAGE_GAP] = average, peak, full
            lane[_AVERAGE_GAP], lane[_PEAK_GAP] = (full + _LARGEST) // average + 2, _LARGEST // peak + 2
        longest = max((stage.queue_frames for stage in stages), default=1)
        return cls(lanes, np.zeros((len(stages), longest), np.int64))

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
        delayed, lost = shape(batch.rows, lanes, by_port, self.lanes, self.queues, self.picked)
        dropped, why = EMPTY, _NO_WHYS
        if lost:
            kept, gone = without_lost(batch.rows)
            batch, dropped, why = Batch(kept, batch.pins), Batch(gone, batch.pins), np.zeros(lost, np.int32)
        if delayed or self.held:
            batch = self.waiting.release(batch, until)
        return Passed(batch, dropped, why, _DROPS)


@part
def _grown(credit: int, gap_ns: int, bps: int, full: int) -> int:
    """Credit after ``gap_ns`` at ``bps``, at most ``full``."""
    gained = gap_ns * bps
    return full if gained > full - credit else credit + gained


@part
def _time_for(missing: int, bps: int) -> int:
    """Whole nanoseconds until ``missing`` credit has come, rounded up."""
    return (missing + bps - 1) // bps if missing > 0 else 0


@part_in_line
def _release(lane: int, arrival: int, need: int) -> int:
    """When a lane lets a frame pass, in whole ns, rounded up; ``need`` is its size in credit, which it pays.

    The peak is a second bucket, which holds less than a nanosecond's worth.
    """
    average, peak, full = get(lane, _AVERAGE), get(lane, _PEAK), get(lane, _FULL)
    start: int = max(arrival, get(lane, _AT))
    gap = start - get(lane, _AT)
    credit = _grown(get(lane, _CREDIT), min(gap, get(lane, _AVERAGE_GAP)), average, full)
    peak_credit = _grown(get(lane, _PEAK_CREDIT), min(gap, get(lane, _PEAK_GAP)), peak, peak - 1)
    if credit < min(need, full) or peak_credit < 0:
        return _release_later(lane, start, need, credit, peak_credit)
    put(lane, _CREDIT, credit - need)
    put(lane, _PEAK_CREDIT, peak_credit - need)
    put(lane, _AT, start)
    return start


@part
def _release_later(lane: int, start: int, need: int, credit: int, peak_credit: int) -> int:
    """The same for a frame that has to wait for credit.

    It finds less than a nanosecond's worth beyond the burst, so that the rounding of one frame's release is not lost to
    the next.
    """
    keep_apart()
    average, peak, full = get(lane, _AVERAGE), get(lane, _PEAK), get(lane, _FULL)
    wait_ns = max(_time_for(min(need, full) - credit, average), _time_for(-peak_credit, peak))
    credit = _grown(credit, min(wait_ns, get(lane, _AVERAGE_GAP)), average, full + average - 1)
    peak_credit = _grown(peak_credit, min(wait_ns, get(lane, _PEAK_GAP)), peak, peak - 1)
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
    start, places, chosen = signed(rows.ctypes.data), queues.shape[1], signed(picked.ctypes.data)
    for first in range(0, len(rows), BLOCK):
        size = min(BLOCK, len(rows) - first)
        for place in range(pick(start, first, size, signed(lanes.ctypes.data), by_port, chosen)):
            one = load_le64(chosen + 8 * place)
            row, number = row_at(start + ROW_BYTES * row_of(one)), lane_of(one)
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

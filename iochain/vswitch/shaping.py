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

from iochain.batch import Batch, Instant, Waiting
from iochain.chain import Drop, Passed, Reason
from iochain.kernels.compiled import compiled, part
from iochain.kernels.raw import load_le64, signed, store_le64
from iochain.kernels.rows import ROW, ROWS


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


# Columns of a lane's state. Credit is counted in 10⁻⁹ bits, so that whole nanoseconds at whole bit/s are exact.
_AVERAGE, _PEAK, _FULL, _QUEUE, _CREDIT, _PEAK_CREDIT, _AT, _HEAD, _COUNT = range(9)
_COLUMNS = 9
_NANO = 10**9
_MOST_AT_ONCE = 4e18
"""Bits of 10⁻⁹ bit: products up to this one are in int64 for sure."""


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
            full = stage.burst_bytes * 8 * _NANO
            lane[:_AT] = stage.average_bps, stage.peak_bps, full, stage.queue_frames, full, 0
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
        out, lost = np.empty(len(batch), ROW), np.empty(len(batch), ROW)
        passed = shape(batch.rows, lanes, self.lanes, self.queues, out, lost)
        dropped = Batch(lost[: len(batch) - passed], batch.pins)
        released = self.waiting.release(Batch(out[:passed], batch.pins), until)
        return Passed(released, dropped, np.zeros(len(dropped), np.int32), (Drop(Reason.SHAPER),))


_STATE = types.Array(types.int64, 2, "C")
_LANES = types.Array(types.int32, 1, "C")


@part
def _get(lane: int, column: int) -> int:
    return load_le64(lane + 8 * column)  # type: ignore[no-any-return]


@part
def _put(lane: int, column: int, value: int) -> None:
    store_le64(lane + 8 * column, value)


@part
def _grown(credit: int, gap_ns: int, bps: int, full: int) -> int:
    """Credit after ``gap_ns`` at ``bps``, at most ``full``. Where the product could leave int64 the gap is capped."""
    missing = full - credit
    if float(gap_ns) * float(bps) > _MOST_AT_ONCE:
        return full if gap_ns > missing // bps else credit + gap_ns * bps
    gained = gap_ns * bps
    return full if gained > missing else credit + gained


@part
def _time_for(missing: int, bps: int) -> int:
    """Whole nanoseconds until ``missing`` credit has come, rounded up."""
    return (missing + bps - 1) // bps if missing > 0 else 0


@part
def _waiting(lane: int, queue: int, places: int, arrival: int) -> int:
    """How many still wait when a frame arrives; the others leave the queue."""
    head, count = _get(lane, _HEAD), _get(lane, _COUNT)
    if count == 0:
        return 0
    while count > 0 and load_le64(queue + 8 * head) <= arrival:
        head = head + 1 if head + 1 < places else 0
        count -= 1
    _put(lane, _HEAD, head)
    _put(lane, _COUNT, count)
    return count


@compiled(types.int64(ROWS, _LANES, _STATE, _STATE, ROWS, ROWS))
def shape(rows: Any, lanes: Any, state: Any, queues: Any, out: Any, lost: Any) -> int:
    """Copy every row to ``out`` with its release time, rounded up to ns, or to ``lost`` where the queue is full.

    Gives how many passed. The peak is a second bucket that holds less than a nanosecond's worth, and a frame that waits
    finds as much beyond the burst, so that the rounding of one frame's release is not lost to the next.
    """
    passed = 0
    places = queues.shape[1]
    for i in range(len(rows)):
        number = int(lanes[i])  # 64 bits, in the checked form too
        lane = signed(state.ctypes.data) + 8 * _COLUMNS * number
        queue = signed(queues.ctypes.data) + 8 * places * number
        arrival = rows[i].time_ns
        count = _waiting(lane, queue, places, arrival)
        if count >= _get(lane, _QUEUE):
            lost[i - passed] = rows[i]
            continue
        average, peak, full = _get(lane, _AVERAGE), _get(lane, _PEAK), _get(lane, _FULL)
        need = int(rows[i].wire_length) * (8 * _NANO)
        start: int = max(arrival, _get(lane, _AT))
        gap = start - _get(lane, _AT)
        credit = _grown(_get(lane, _CREDIT), gap, average, full)
        peak_credit = _grown(_get(lane, _PEAK_CREDIT), gap, peak, peak - 1)
        wait = max(_time_for(min(need, full) - credit, average), _time_for(-peak_credit, peak))
        _put(lane, _CREDIT, _grown(credit, wait, average, full + average - 1) - need)
        _put(lane, _PEAK_CREDIT, _grown(peak_credit, wait, peak, peak - 1) - need)
        _put(lane, _AT, start + wait)
        out[passed] = rows[i]
        out[passed].time_ns = start + wait
        passed += 1
        if start + wait > arrival:
            place = _get(lane, _HEAD) + count
            store_le64(queue + 8 * (place if place < places else place - places), start + wait)
            _put(lane, _COUNT, count + 1)
    return passed

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
def _grown(credit: int, gap_ns: int, bps: int, full: int) -> int:
    """Credit after ``gap_ns`` at ``bps``, at most ``full``. The gap is capped first: the product could leave int64."""
    if gap_ns > (full - credit) // bps:
        return full
    return credit + gap_ns * bps


@part
def _time_for(missing: int, bps: int) -> int:
    """Whole nanoseconds until ``missing`` credit has come, rounded up."""
    return (missing + bps - 1) // bps if missing > 0 else 0


@compiled(types.int64(ROWS, _LANES, _STATE, _STATE, ROWS, ROWS))
def shape(rows: Any, lanes: Any, state: Any, queues: Any, out: Any, lost: Any) -> int:
    """Copy every row to ``out`` with its release time, rounded up to ns, or to ``lost`` where the queue is full.

    Gives how many passed. The peak is a second bucket that holds less than a nanosecond's worth, and a frame that waits
    finds as much beyond the burst, so that the rounding of one frame's release is not lost to the next.
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
        need = np.int64(rows[i].wire_length) * 8 * _NANO
        start = max(arrival, lane[_AT])
        credit = _grown(lane[_CREDIT], start - lane[_AT], lane[_AVERAGE], lane[_FULL])
        peak_credit = _grown(lane[_PEAK_CREDIT], start - lane[_AT], lane[_PEAK], lane[_PEAK] - 1)
        wait = max(_time_for(min(need, lane[_FULL]) - credit, lane[_AVERAGE]), _time_for(-peak_credit, lane[_PEAK]))
        lane[_CREDIT] = _grown(credit, wait, lane[_AVERAGE], lane[_FULL] + lane[_AVERAGE] - 1) - need
        lane[_PEAK_CREDIT] = _grown(peak_credit, wait, lane[_PEAK], lane[_PEAK] - 1) - need
        lane[_AT] = start + wait
        out[passed] = rows[i]
        out[passed].time_ns = lane[_AT]
        passed += 1
        if lane[_AT] > arrival:
            queue[(lane[_HEAD] + lane[_COUNT]) % len(queue)] = lane[_AT]
            lane[_COUNT] += 1
    return passed

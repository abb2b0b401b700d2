"""The uplink's way to the wire: transmit queue, padding, and the time that each frame takes on the cable.

A frame takes (its bytes, at least 60, + 4 FCS + 8 preamble + 12 gap) * 8 / rate (IEEE 802.3); remainders of a
nanosecond are kept, so that a million frames do not drift. Short frames are padded with zeros to Net.MinEtherLen, the
tag not counted (vmkapi_net_pkt.h). What waits for the wire is at most Net.MaxNetifTxQueueLen frames.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen
from numba import types

from iochain.batch import EMPTY, Batch, Instant, Rows, Waiting
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
from iochain.kernels.raw import load_le64, row_at, signed
from iochain.kernels.rows import NO_TAG, ROW_BYTES, ROWS, TAG_BYTES
from iochain.uplink.recognition import give_sizes, is_long

SMALLEST_FRAME: Final = 60
FCS_BYTES: Final = 4
OVERHEAD_BYTES: Final = FCS_BYTES + 8 + 12
GAP_BITS: Final = 12 * 8


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


# Own columns of a lane: the link is busy until _BUSY ns and _REST / rate of the next; a gap takes _GAP ns and
# _GAP_REST / rate of one, and the _BITS of the last frame _BITS_NS and _BITS_REST / rate.
_RATE, _SMALLEST, _MTU, _GAP, _GAP_REST, _BUSY, _REST, _SUPER, _BITS, _BITS_NS, _BITS_REST = range(OWN, OWN + 11)
_COLUMNS = OWN + 11
_NANO = 10**9
_DROPS = (Drop(Reason.TRANSMIT_QUEUE),)
_NO_WHYS: Final = np.zeros(0, np.int32)


@define
class Wires:
    """The links of many uplinks: a row of ``lanes`` each, and the start times of what waits in ``queues``."""

    lanes: npt.NDArray[np.int64]
    queues: npt.NDArray[np.int64]
    waiting: Waiting = field(factory=Waiting)
    picked: npt.NDArray[np.int64] = field(factory=room_to_pick)

    @classmethod
    def of(cls, stages: Sequence[Wire]) -> "Wires":
        """Idle links."""
        lanes = np.zeros((len(stages), _COLUMNS), np.int64)
        for lane, stage in zip(lanes, stages, strict=True):
            lane[QUEUE] = stage.queue_frames
            lane[_RATE:_GAP] = stage.rate_bps, stage.smallest_frame, stage.mtu
            lane[_GAP:_BUSY] = divmod(GAP_BITS * _NANO, stage.rate_bps)
            lane[_BUSY] = np.iinfo(np.int64).min
        longest = max((stage.queue_frames for stage in stages), default=1)
        return cls(lanes, np.zeros((len(stages), longest), np.int64))

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
        return self._send(batch.copy(), lanes, False, until)

    def run_among(self, batch: Batch, lanes: npt.NDArray[np.int32], until: Instant) -> Passed:
        """The same for rows in their places, by the lane of their port; those at ports without one (-1) just pass."""
        return self._send(batch, lanes, True, until)

    def _send(self, batch: Batch, lanes: npt.NDArray[np.int32], by_port: bool, until: Instant) -> Passed:
        rows = batch.rows
        lost, supers = send(rows, lanes, by_port, self.lanes, self.queues, self.picked)
        if supers:
            give_sizes(rows, self._mtus(rows, lanes[rows["port"]] if by_port else lanes))
        dropped, why = EMPTY, _NO_WHYS
        if lost:
            kept, gone = without_lost(rows)
            batch, dropped, why = Batch(kept, batch.pins), Batch(gone, batch.pins), np.zeros(lost, np.int32)
        return Passed(self.waiting.release(batch, until), dropped, why, _DROPS)

    def _mtus(self, rows: Rows, lanes: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """The MTU of each row's link; 0 for rows that this wire does not send."""
        is_sent = (lanes >= 0) & (rows["flags"] & LOST == 0)
        return np.where(is_sent, self.lanes[lanes, _MTU], 0).astype(np.int32)


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


@compiled(types.UniTuple(types.int64, 2)(ROWS, LANES, types.boolean, STATE, STATE, PICKED))
def send(rows: Any, lanes: Any, by_port: bool, state: Any, queues: Any, picked: Any) -> tuple[int, int]:
    """Give every row, in its place, the time at which its FCS is sent, rounded up to ns.

    Gives how many are LOST, and how many super-frames were sent. ``lanes`` is by row or by port. A frame takes room in
    the queue until its first bit is sent.
    """
    lost, supers = 0, 0
    start, places, chosen = signed(rows.ctypes.data), queues.shape[1], signed(picked.ctypes.data)
    for first in range(0, len(rows), BLOCK):
        size = min(BLOCK, len(rows) - first)
        for place in range(pick(start, first, size, signed(lanes.ctypes.data), by_port, chosen)):
            one = load_le64(chosen + 8 * place)
            row, number = row_at(start + ROW_BYTES * row_of(one)), lane_of(one)
            lane = signed(state.ctypes.data) + 8 * _COLUMNS * number
            queue = signed(queues.ctypes.data) + 8 * places * number
            if waiting(lane, queue, places, row.time_ns) >= get(lane, QUEUE):
                row.flags |= LOST
                lost += 1
                continue
            _pad(row, get(lane, _SMALLEST))
            if is_long(row, get(lane, _MTU)):
                put(lane, _SUPER, get(lane, _SUPER) + 1)
                supers += 1
            _transmit(row, lane, queue, places)
    return lost, supers


@part_in_line
def _transmit(row: Any, lane: int, queue: int, places: int) -> None:
    """Have a frame be sent as soon as the link is free; it waits up to its first bit."""
    arrival = row.time_ns
    busy, rest, rate = get(lane, _BUSY), get(lane, _REST), get(lane, _RATE)
    if busy < arrival:
        busy, rest = arrival, 0
    elif busy + (rest > 0) > arrival:
        wait(lane, queue, places, busy + (rest > 0))
    tag = TAG_BYTES if row.tag != NO_TAG else 0
    bits = (max(row.wire_length + row.pad + tag, SMALLEST_FRAME) + OVERHEAD_BYTES) * 8 - GAP_BITS
    if bits != get(lane, _BITS):  # a frame is often as long as the one before it, and a division is half of its cost
        whole = bits * _NANO // rate
        put(lane, _BITS, bits)
        put(lane, _BITS_NS, whole)
        put(lane, _BITS_REST, bits * _NANO - whole * rate)
    whole = get(lane, _BITS_NS)
    rest += get(lane, _BITS_REST)
    if rest >= rate:
        whole += 1
        rest -= rate
    row.time_ns = busy + whole + (rest > 0)
    busy += whole + get(lane, _GAP)
    rest += get(lane, _GAP_REST)
    if rest >= rate:
        busy += 1
        rest -= rate
    put(lane, _BUSY, busy)
    put(lane, _REST, rest)

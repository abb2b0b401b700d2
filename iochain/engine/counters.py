"""Counters, kept at the seams and nowhere in a stage: what went in and out of each port, what ended where and why.

In is from the port to the switch, Out from the switch to the port, each for unicast, multicast and broadcast, as the
switch's own statistics (vmkapi_net_port.h). The sum that must hold: in + generated + copied + split =
delivered + dropped + merged + consumed + held.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import define, field
from numba import types

from iochain.batch import Rows, source_and_serial
from iochain.engine.path import Dropped
from iochain.kernels.compiled import compiled
from iochain.kernels.raw import load_be16, load_be32, load_u8
from iochain.kernels.rows import NO_TAG, ROWS, TAG_BYTES

IN, OUT = 0, 1
UNICAST, MULTICAST, BROADCAST = 0, 1, 2
FRAMES, BYTES = 0, 1


class ConservationError(Exception):
    """Frames vanished, or came out of nothing: a fault of iochain or of a batch stage, with the sums."""


@define
class DropCount:
    """How often one drop occurred: frames, bytes, and where it was first."""

    dropped: Dropped
    frames: int = 0
    bytes: int = 0
    first_order: int = -1
    first_time_ns: int = 0

    @property
    def first_frame(self) -> int:
        """Number of the first such frame in its source, from 1."""
        return source_and_serial(self.first_order)[1]


@define
class Counters:
    """All counters of a run. ``ports`` is (port, In or Out, kind of address, frames or bytes)."""

    ports: npt.NDArray[np.int64]
    drops: dict[Dropped, DropCount] = field(factory=dict)
    entered: int = 0
    generated: int = 0
    copied: int = 0
    split: int = 0
    delivered: int = 0
    dropped: int = 0
    merged: int = 0
    consumed: int = 0

    @classmethod
    def of(cls, ports: int) -> "Counters":
        """All zero."""
        return cls(np.zeros((ports, 2, 3, 2), np.int64))

    def count_ports(self, rows: Rows, direction: int) -> None:
        """Count rows at their ports."""
        count_rows(rows, direction, self.ports)

    def count_drops(self, rows: Rows, whys: Sequence[Dropped], why: npt.NDArray[np.int32]) -> None:
        """Count dropped rows, ``why[i]`` the index of the reason of row *i* in ``whys``; rows stand in order."""
        self.dropped += len(rows)
        size = rows["wire_length"] + rows["pad"] + np.where(rows["tag"] == NO_TAG, 0, TAG_BYTES)
        frames = np.bincount(why, minlength=len(whys))
        total = np.bincount(why, weights=size, minlength=len(whys))
        kinds, first = np.unique(why, return_index=True)
        for kind, index in zip(kinds.tolist(), first.tolist(), strict=True):
            count = self.drops.setdefault(whys[kind], DropCount(whys[kind]))
            if count.first_order < 0:
                count.first_order = int(rows["order"][index])
                count.first_time_ns = int(rows["time_ns"][index])
            count.frames += int(frames[kind])
            count.bytes += int(total[kind])

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


@compiled(types.void(ROWS, types.int64, types.Array(types.int64, 4, "C")))
def count_rows(rows: Any, direction: int, counters: Any) -> None:
    """Add every row to the counters of its port."""
    for i in range(len(rows)):
        row = rows[i]
        kind = UNICAST
        if load_u8(row.address) & 1:
            everybody = load_be32(row.address) == 0xFFFFFFFF and load_be16(row.address + 4) == 0xFFFF
            kind = BROADCAST if everybody else MULTICAST
        counters[row.port, direction, kind, FRAMES] += 1
        tag = TAG_BYTES if row.tag != NO_TAG else 0
        counters[row.port, direction, kind, BYTES] += row.wire_length + row.pad + tag

"""What is on the cables of a running lab: rows that left one port and reach another after the cable's latency."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen
from numba import types

from iochain.batch import EMPTY, Batch, Instant, Waiting, joined
from iochain.chain import Drop, Port, Reason
from iochain.engine.path import Dropped
from iochain.kernels.compiled import compiled
from iochain.kernels.order import sorted_rows
from iochain.kernels.rows import FROM_UPLINK, NOWHERE, ROWS
from iochain.kernels.select import split_by_port


class Cable(Protocol):
    """A cable between two ports, by their numbers."""

    @property
    def name(self) -> str:
        """Its name in the lab."""

    @property
    def a(self) -> int:
        """The port at one end."""

    @property
    def b(self) -> int:
        """The port at the other end."""

    @property
    def latency_ns(self) -> int:
        """How long a frame's last bit is on its way."""


@frozen(eq=False)
class Carried:
    """Rows that ended at a port without a cable, and rows that were lost on a cable that is cut."""

    delivered: Batch
    lost: Batch


@define
class Cables:
    """All cables: by port number the port at the other end (NOWHERE: none), the latency, and whether rows get through.

    ``on_way`` is what is on the cables, by level of the input that it comes to.
    """

    cables: tuple[Cable, ...]
    peer: npt.NDArray[np.int32]
    latency: npt.NDArray[np.int64]
    is_cut: npt.NDArray[np.bool_]  # for what the port sends
    is_cabled: npt.NDArray[np.bool_]
    is_uplink: npt.NDArray[np.bool_]
    on_way: list[Waiting] = field(factory=list)

    @classmethod
    def of(cls, cables: Sequence[Cable], ports: Sequence[Port]) -> "Cables":
        """Whole cables with nothing on them."""
        peer, latency = np.full(len(ports), NOWHERE, np.int32), np.zeros(len(ports), np.int64)
        for cable in cables:
            peer[cable.a], peer[cable.b] = cable.b, cable.a
            latency[cable.a] = latency[cable.b] = cable.latency_ns
        is_uplink = np.array([port.uplink for port in ports], np.bool_)
        return cls(tuple(cables), peer, latency, np.zeros(len(ports), np.bool_), peer != NOWHERE, is_uplink)

    @property
    def held(self) -> int:
        """How many frames are on cables."""
        return sum(map(len, self.on_way))

    def carry(self, batch: Batch, input_levels: npt.NDArray[np.int32]) -> Carried:
        """Put rows that leave ports on their cables. The rows are changed in their places."""
        cabled, delivered = _split(batch, self.is_cabled)
        cut, through = _split(cabled, self.is_cut) if self.is_cut.any() else (EMPTY, cabled)
        if len(through):
            cross(through.rows, self.peer, self.latency, self.is_uplink)
            self._put(through, input_levels)
        return Carried(delivered, cut)

    def arriving(self, level: int, until: Instant) -> Batch:
        """What reaches inputs of a level before ``until``, in order."""
        return self.on_way[level].release(EMPTY, until) if len(self.on_way[level]) else EMPTY

    def sort_by(self, input_levels: npt.NDArray[np.int32], count: int) -> None:
        """Have what is on the cables stand by other levels."""
        waiting = joined(one.batch for one in self.on_way)
        self.on_way = [Waiting() for _ in range(count)]
        self._put(waiting, input_levels)

    def lose(self, sender: int) -> Batch:
        """Take off what a port has sent and the other end has not got yet."""
        lost: list[Batch] = []
        flags = np.zeros(len(self.peer), np.bool_)
        flags[self.peer[sender]] = True
        for one in self.on_way:
            gone, one.batch = _split(one.batch, flags)
            lost.append(gone)
        batch = joined(lost)
        return batch.copy()

    def dropped(self, sender: Port, receiver: Port, name: str) -> Dropped:
        """What it is called that a frame was lost on a cable."""
        return Dropped(f"{sender.name} → {receiver.name}", sender.number, False, name, Drop(Reason.CABLE_CUT), None)

    def _put(self, batch: Batch, input_levels: npt.NDArray[np.int32]) -> None:
        """Rows that stand at the ports that they are on their way to, each by its level."""
        for level, waiting in enumerate(self.on_way):
            if not len(batch):
                return
            here, batch = _split(batch, input_levels == level)
            if len(waiting):
                waiting.release(here, Instant(0))
            elif len(here):
                waiting.batch = Batch(sorted_rows(here.rows), here.pins)


_PORTS = types.Array(types.int32, 1, "C")


@compiled(types.void(ROWS, _PORTS, types.Array(types.int64, 1, "C"), types.Array(types.boolean, 1, "C")))
def cross(rows: Any, peer: Any, latency: Any, is_uplink: Any) -> None:
    """Move every row to the other end of its cable, later by the latency."""
    for i in range(len(rows)):
        row = rows[i]
        row.time_ns += latency[row.port]
        row.port = peer[row.port]
        row.entry = row.port
        row.flags = (row.flags & ~FROM_UPLINK) | is_uplink[row.port]


def _split(batch: Batch, flags: npt.NDArray[np.bool_]) -> tuple[Batch, Batch]:
    chosen, others = split_by_port(batch.rows, flags)
    return Batch(chosen, batch.pins), Batch(others, batch.pins)

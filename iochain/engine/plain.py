"""The plain engine: every frame walks through the Python stages. It is the truth that faster ones are held against."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from attrs import define, field

from iochain.batch import Batch
from iochain.engine.path import Paths
from iochain.engine.segments import Junction
from iochain.engine.walk import Listener, Walker
from iochain.frame import Frame, Notes, Words
from iochain.kernels import words as w
from iochain.kernels.parse import parse


class Decider(Protocol):
    """What decides which path each frame takes: the one thing in which engines differ."""

    walker: Walker
    paths: Paths
    listeners: dict[int, Listener]

    def decide(self, batch: Batch, junction: Junction) -> npt.NDArray[np.int32]:
        """The number of the path of each frame from a junction on, in order; writes to tables are done on the way."""

    def let_go(self) -> None:
        """Let go of tables that live longer than the network."""


@define
class Plain:
    """Walks each frame. ``listeners`` hear every step of frames with their order numbers."""

    walker: Walker
    paths: Paths
    listeners: dict[int, Listener] = field(factory=dict)

    def decide(self, batch: Batch, junction: Junction) -> npt.NDArray[np.int32]:
        """The number of the path of each frame, in order; writes to tables are done after each frame."""
        segments = junction.segments
        words = parse(batch.rows)
        flat = memoryview(words.reshape(-1))  # type: ignore[arg-type]
        ports, orders = batch.column("port").tolist(), batch.column("order").tolist()
        taken = np.empty(len(batch), np.int32)
        notes, walk, number = self.walker.notes, self.walker.walk, self.paths.number
        for i in range(len(batch)):
            notes.clear()
            frame = frame_of(flat[i * w.COUNT : (i + 1) * w.COUNT], notes, batch, i)
            listener = self.listeners.get(orders[i]) if self.listeners else None
            taken[i] = number(walk(segments[ports[i]], frame, listener))
            if notes.writes:
                self.walker.write()
        return taken

    def let_go(self) -> None:
        """Nothing is held on to."""


def frame_of(words: Words, notes: Notes, batch: Batch, index: int, tag: int | None = None) -> Frame:
    """The frame that stages see of one row, with its words as they were parsed; ``tag`` is the TCI it got since."""

    def packet() -> Any:
        from scapy.layers.l2 import Ether

        return Ether(batch.frame_bytes(index))

    notes.row = (batch, index)
    return Frame(words, notes, packet, tag)

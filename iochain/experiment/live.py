"""A running network as control events see it: its tables, its agenda, and the frames that it makes itself."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from attrs import define, field

from iochain.batch import Batch, batch_of, order_of
from iochain.chain import Chain, Port
from iochain.engine.running import RunningNetwork
from iochain.experiment.agenda import Agenda, Timer
from iochain.kernels.rows import NO_TAG
from iochain.topology.wiring import Wiring

Side = Literal["input", "output"]

GENERATED: Final = 1 << 22
"""Source of the frames that the network makes itself: behind all captures in the order of one moment."""


SENT: Final = GENERATED + 1
"""Source of the frames that actions have guests send."""


@runtime_checkable
class Applied(Protocol):
    """An action as a small frozen value."""

    def apply(self, live: "Live") -> None:
        """Do it, now. LookupError or ValueError, with the names that there are, if it cannot be done."""


@runtime_checkable
class Checked(Protocol):
    """An action that can tell beforehand whether a lab has what it names."""

    def check(self, wiring: Wiring) -> None:
        """LookupError or ValueError, with the names that there are, if not."""


class Made(NamedTuple):
    """A frame that the network makes itself: its bytes, the number of its port, a TCI to carry beside the bytes."""

    data: bytes
    port: int
    tag: int | None = None


class Offered(NamedTuple):
    """A frame that a port's client sends, at its time; the order of these is that of time, then of being told."""

    time_ns: int
    order: int
    data: bytes
    port: int


def entering(network: RunningNetwork, offered: Sequence[Offered]) -> Batch:
    """Frames as one batch, whose bytes lie in one piece of memory however many they are.

    Bytes with a ``wire_length`` and an ``mss`` of their own (:class:`iochain.testing.FrameBytes`) are taken at their
    word, as long as that and as asking for segments of that size.
    """
    batch = batch_of([(one.data, one.time_ns) for one in offered])
    batch.rows["order"] = [one.order for one in offered]
    batch.rows["port"] = [one.port for one in offered]
    batch.rows["wire_length"] += np.array([_missing(one.data) for one in offered], np.int32)
    batch, _ = network.recognise(batch, entering=False)
    said = np.array([getattr(one.data, "mss", 0) for one in offered], np.uint16)
    batch.rows["mss"] = np.where(said > 0, said, batch.rows["mss"])
    return batch


def _missing(data: bytes) -> int:
    """The bytes that a snap length cut."""
    return int(getattr(data, "wire_length", len(data)) - len(data))


Action: TypeAlias = Applied | Callable[["Live"], object]
"""What a control event does: a value with ``apply(live)``, or a function of the running network."""


@define(eq=False)
class Live:
    """What actions work on. ``consumers`` get, after each window, the frames that the switches took for themselves."""

    network: RunningNetwork
    agenda: Agenda = field(factory=Agenda)
    hosts: Any = None  # iochain.experiment.hosts.Hosts
    fabric: Any = None  # iochain.experiment.fabric.Fabric
    consumers: list[Callable[[Batch], None]] = field(factory=list)
    _serial: int = 0

    @property
    def wiring(self) -> Wiring:
        """The wiring, whose tables events change."""
        return self.network.wiring

    @property
    def now_ns(self) -> int:
        """The moment that it is."""
        return self.agenda.now_ns

    def at(self, time_ns: int, action: Action, source: int = 0) -> Timer:
        """Have an action done at a moment. ValueError if that is in the past."""
        self.check(action)
        return self.agenda.at(time_ns, lambda: self.do(action), source)

    def every(self, start_ns: int, period_ns: int, action: Action, source: int = 0) -> Timer:
        """Have an action done at a moment and then each period. ValueError if that cannot be."""
        self.check(action)
        return self.agenda.every(start_ns, period_ns, lambda: self.do(action), source)

    def check(self, action: object) -> None:
        """LookupError or ValueError, with the names that there are, if an action can never be done in this lab."""
        if not callable(action) and not isinstance(action, Applied):
            raise ValueError(
                f"{action!r} is no action: it has no apply(live), and is no function of the running network"
            )
        if isinstance(action, Checked):
            action.check(self.wiring)

    def do(self, action: Action) -> None:
        """Do it now."""
        if isinstance(action, Applied):
            action.apply(self)
        else:
            action(self)

    def send(
        self, data: bytes, port: int, side: Side = "output", tag: int | None = None, time_ns: int | None = None
    ) -> int:
        """A frame that the network makes itself, counted as generated; gives its order number.

        ``output``: it enters the output chain of the port, as if its switch had chosen it; ``input``: the input chain.
        ``tag`` is a TCI to carry beside the bytes. It happens now, or at ``time_ns``; ValueError if that is past.
        """
        return self.send_all([Made(data, port, tag)], side, time_ns)

    def send_all(self, frames: Sequence[Made], side: Side = "output", time_ns: int | None = None) -> int:
        """Several frames that the network makes itself at one moment, as :meth:`send`; gives the last's order number.

        Many at once cost much less than one by one.
        """
        time_ns = self.now_ns if time_ns is None else time_ns
        if time_ns < self.now_ns:
            raise ValueError(f"a frame cannot be sent at {time_ns} ns: it is {self.now_ns} ns already")
        batch = batch_of([(one.data, time_ns) for one in frames], GENERATED, self._serial + 1)
        self._serial += len(frames)
        batch.rows["port"] = [one.port for one in frames]
        for row, one in zip(batch.rows, frames, strict=True):
            if one.tag is not None:
                row["tag"] = NO_TAG if one.tag < 0 else one.tag
        self.network.generate(batch, side == "input")
        return order_of(GENERATED, self._serial)

    def enter(self, data: bytes, port: int) -> int:
        """A frame that whoever is behind a port sends now; gives its order number."""
        self._serial += 1
        order = order_of(SENT, self._serial)
        self.network.offer(entering(self.network, [Offered(self.now_ns, order, data, port)]))
        return order

    def replug(self, port: Port, input_chain: Chain, output_chain: Chain) -> None:
        """A running port has other attributes, other chains, perhaps another switch: the engine takes them up.

        ``wiring.ports`` and the graph's edges have them already. Batch stages of the port begin afresh.
        """
        self.network.replug(port, input_chain, output_chain)

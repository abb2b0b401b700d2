"""Assertions that read as sentences: ``net.send(frame, at="web").reaches("db")``. What fails shows the explanation."""

from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

import attrs
from attrs import define, field, frozen

from iochain.chain import Reason
from iochain.engine.counters import Counters
from iochain.experiment.agenda import Timer
from iochain.experiment.live import Action
from iochain.net import Net, Outcome, as_ns
from iochain.replay import Fate
from iochain.testing.framebytes import FrameBytes
from iochain.testing.played import Event, Send
from iochain.topology.wiring import Wiring

if TYPE_CHECKING:
    from scapy.packet import Packet

MOST_KEPT: Final = 10_000
"""Frames of a test that are remembered, the last ones."""


@frozen(eq=False)
class Sent:
    """A frame that was sent at a port, and what became of it. Assertions give it back, so that they can be chained."""

    frame: FrameBytes = field(repr=False)
    at: str
    time_ns: int
    outcome: Outcome
    wiring: Wiring = field(repr=False)
    counted: Mapping[str, int] = field(factory=dict, repr=False)  # by how much the network's counters grew

    def reaches(self, *ports: str) -> Self:
        """A copy is delivered at each of these ports; others may get some too."""
        __tracebackhide__ = True
        for name in self._names(ports):
            if name not in self.outcome.ports:
                self._fail(f"did not reach {name}: {self.outcome.explanation.why_not(name)}")
        return self

    def reaches_only(self, *ports: str) -> Self:
        """A copy is delivered at each of these ports and nowhere else; without ports: nowhere."""
        __tracebackhide__ = True
        self.reaches(*ports)
        wanted = self._names(ports)
        others = [name for name in dict.fromkeys(self.outcome.ports) if name not in wanted]
        if others:
            self._fail(f"reached {_listed(others)} too, not only {_listed(wanted)}")
        return self

    def does_not_reach(self, *ports: str) -> Self:
        """No copy is delivered at any of these ports."""
        __tracebackhide__ = True
        for name in self._names(ports):
            if name in self.outcome.ports:
                self._fail(f"reached {name}")
        return self

    def dropped(self, reason: Reason | None = None, at: str | None = None, stage: str | None = None) -> Self:
        """It is dropped, for this reason, at this stage of a chain; nothing of it is delivered.

        With ``at`` it is the copy for that port that is dropped, whatever becomes of others.
        """
        __tracebackhide__ = True
        where = "" if at is None else self._names([at])[0]
        delivered = [name for name in self.outcome.ports if where in ("", name)]
        if delivered:
            self._fail(f"was not dropped{f' for {where}' if where else ''}: it reached {_listed(delivered)}")
        drops = [fate for fate in self.outcome.drops if where in ("", fate.port)]
        if not drops:
            self._fail(f"was not dropped{f' for {where}' if where else ''}: no copy of it was there to drop")
        if not any(reason in (None, fate.reason) and stage in (None, _stage(fate)) for fate in drops):
            wanted = " at ".join(filter(None, (reason.name if reason else "", f"stage {stage}" if stage else "")))
            found = _listed([f"{fate.reason.name if fate.reason else ''} at stage {_stage(fate)}" for fate in drops])
            self._fail(f"was dropped for {found}, not {wanted}")
        return self

    @property
    def why(self) -> str:
        """Every stage that it passed, what was read and which setting decided, as text."""
        return str(self.outcome.explanation)

    def _names(self, ports: Any) -> list[str]:
        """Ports by their names in this lab. LookupError, with the nearest name, for one that there is not."""
        return [self.wiring.port(port).name for port in ports]

    def _fail(self, what: str) -> NoReturn:
        __tracebackhide__ = True
        raise AssertionError(f"the frame sent at {self.at} {what}\n{self.frame!r}\n{self.why}")


@define(eq=False)
class CheckedNet:
    """A running lab (:class:`iochain.Net`) whose frames can be asserted on. ``sent`` are the last of them."""

    net: Net
    sent: deque[Sent] = field(factory=lambda: deque(maxlen=MOST_KEPT), repr=False)

    @property
    def wiring(self) -> Wiring:
        """The lab, wired."""
        return self.net.wiring

    @property
    def now_ns(self) -> int:
        """The moment that it is."""
        return self.net.now_ns

    def send(self, packet: "Packet | bytes", at: str, time_ns: "int | str | None" = None) -> Sent:
        """Send one frame at a port, now or later, and run until nothing is held.

        ValueError for what is no Ethernet frame or comes too late, LookupError if there is no such port.
        """
        frame = packet if isinstance(packet, FrameBytes) else FrameBytes(bytes(packet))
        before = self._sums()
        moment_ns = self.now_ns if time_ns is None else as_ns(time_ns)  # events may take the net's own time further
        outcome = self.net.send(frame, at, time_ns)
        grown = {name: count - before[name] for name, count in self._sums().items()}
        sent = Sent(frame, self.wiring.port(at).name, moment_ns, outcome, self.wiring, grown)
        self.sent.append(sent)
        return sent

    def do(self, action: Action) -> None:
        """Have something happen now: a value of :mod:`iochain.experiment.actions`, or a function of ``live``.

        LookupError or ValueError if the lab has not what the action names.
        """
        self.net.at(self.now_ns, action)
        self.net.step()

    def at(self, time: "int | str", action: Action) -> Timer:
        """Have something happen later, as :meth:`iochain.Net.at`."""
        return self.net.at(time, action)

    def run(self, until: "int | str") -> list[Fate]:
        """Let time pass, as :meth:`iochain.Net.run`."""
        return self.net.run(until)

    def play(self, events: Iterable[Event]) -> list[Sent]:
        """Have events happen at their times, one after the other; gives the frames that were sent.

        One whose time is past, as a frame before it was held so long, happens at once. What cannot happen in this lab,
        or not at that moment, does not.
        """
        sent: list[Sent] = []
        for event in events:
            if isinstance(event, Send):
                sent.append(self.send(event.frame, event.at, max(event.time_ns, self.now_ns)))
                continue
            if event.time_ns > self.now_ns:
                self.run(event.time_ns)
            with suppress(LookupError, ValueError):
                self.do(event.action)
        return sent

    def stop(self) -> None:
        """Undo what stages wrote to their tables: the lab is as it was before."""
        self.net.stop()

    def _sums(self) -> dict[str, int]:
        """The sums of the run so far, by name, and how many frames are held."""
        counters = self.net.network.counters
        names = [a.name for a in attrs.fields(Counters) if not a.name.startswith("_")]
        sums = {name: value for name in names if type(value := getattr(counters, name)) is int}
        return {**sums, "held": self.net.network.held}


def _stage(fate: Fate) -> str:
    return "" if fate.dropped is None else fate.dropped.stage


def _listed(names: list[str]) -> str:
    return " and ".join(dict.fromkeys(names)) or "nothing"

"""A lab that runs: frames are sent, events happen, time goes by, and each frame's fate comes back with its reasons."""

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from iochain.batch import EMPTY, FOREVER, Instant, order_of
from iochain.engine.explanation import Explanation
from iochain.engine.network import Engine
from iochain.engine.running import RunningNetwork
from iochain.experiment.agenda import Timer
from iochain.experiment.links import Failover
from iochain.experiment.live import Action, Live, Offered, entering
from iochain.experiment.running import Experiment
from iochain.kernels.rows import ETHERNET_BYTES, MAX_TIME_NS
from iochain.replay import Fate, fates_of
from iochain.topology.units import format_time, time_ns
from iochain.topology.wiring import Wiring

if TYPE_CHECKING:
    from scapy.packet import Packet


@frozen
class Outcome:
    """What became of a frame that was sent: delivered copies, drops, and why."""

    deliveries: tuple[Fate, ...]
    drops: tuple[Fate, ...]
    explanation: Explanation = field(repr=False)

    @property
    def ports(self) -> tuple[str, ...]:
        """The ports that got a copy, in the order of delivery."""
        return tuple(fate.port for fate in self.deliveries)

    def at(self, port: str) -> "Packet":
        """The copy that a port got, as a Scapy packet. LookupError if it got none, saying why."""
        for fate in self.deliveries:
            if fate.port == port:
                return fate.scapy
        raise LookupError(f"no copy reached {port}: {self.explanation.why_not(port)}")

    @classmethod
    def of(cls, fates: list[Fate], explanation: Explanation) -> "Outcome":
        """What became of a frame, from the fates of its copies."""
        return cls(
            tuple(fate for fate in fates if fate.dropped is None),
            tuple(fate for fate in fates if fate.dropped is not None),
            explanation,
        )


@define
class Net:
    """A running lab: frames are sent, events happen, time goes by. Times are ns, or text like ``5 s``, from 0 on.

    Events of a moment happen before its frames. ``run`` and ``step`` give the fates of all frames, in order.

    >>> from iochain.experiment.actions import link_down
    >>> from iochain.lab import Lab
    >>> lab = Lab()
    >>> prod = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"]).portgroup("Prod")
    >>> _ = prod.vm("web", mac="00:50:56:00:00:01")
    >>> net = lab.start()
    >>> _ = net.at("5 s", link_down("vmnic0"))
    >>> {fate.port for fate in net.run(until="10 s")}  # of RARP frames that tell the physical switch
    {'vmnic1'}
    """

    wiring: Wiring
    engine: Engine | None = None
    experiment: Experiment = field(init=False)
    sent: int = 0
    _others: list[Fate] = field(factory=list)  # fates of other frames, while one was sent
    _line: list[Offered] = field(factory=list)  # a heap of frames that the network was not yet told of

    def __attrs_post_init__(self) -> None:
        self.experiment = Experiment.of(self.wiring, engine=self.engine)
        self.experiment.start()

    @property
    def network(self) -> RunningNetwork:
        """The network that runs: its counters, and the report of its windows."""
        return self.experiment.network

    @property
    def live(self) -> Live:
        """What actions work on."""
        return self.experiment.live

    @property
    def failovers(self) -> tuple[Failover, ...]:
        """When teams came to use other uplinks, and which."""
        return tuple(self.live.hosts.links.decided)

    @property
    def now_ns(self) -> int:
        """The moment that it is."""
        return self.experiment.agenda.now_ns

    def send(self, packet: "Packet | bytes", at: str, time_ns: "int | str | None" = None) -> Outcome:
        """Send one frame at a port, now or later, and run until nothing is held; its copies, drops and explanation.

        What is due at that moment happens before. Frames in line come if something is still held when their time comes.
        Bytes that have a ``wire_length`` and ``mss`` of their own (:class:`iochain.testing.FrameBytes`) are so long and
        ask for segments of that size. ValueError if it is shorter than an Ethernet header or the time is past,
        LookupError if there is no such port.
        """
        told = self._told(packet, at, time_ns)
        explanation = Explanation()
        self._others = self._fates(told.time_ns)
        self.experiment.do_due(told.time_ns)
        self.network.listen(told.order, explanation)
        try:
            fates = self._until_nothing_is_held(told)
        finally:
            del self.network.decider.listeners[told.order]
        own = [fate for fate in fates if order_of(fate.source, fate.frame) == told.order]
        self._others += [fate for fate in fates if order_of(fate.source, fate.frame) != told.order]
        return Outcome.of(own, explanation)

    def offer(self, packet: "Packet | bytes", at: str, time_ns: "int | str | None" = None) -> None:
        """Put a frame in line, to be sent at a port when its time comes; see :meth:`run`.

        ValueError if it is shorter than an Ethernet header or the time is past, LookupError if there is no such port.
        """
        heappush(self._line, self._told(packet, at, time_ns))

    def at(self, time: "int | str", action: Action) -> Timer:
        """Have something happen at a moment: a value of :mod:`iochain.experiment.actions`, or a function of ``live``.

        ValueError if the time is past, LookupError or ValueError if the lab has not what the action names.
        """
        return self.live.at(as_ns(time), action)

    def every(self, period: "int | str", action: Action, start: "int | str | None" = None) -> Timer:
        """Have something happen again and again, first at ``start`` or a period from now; as :meth:`at` otherwise."""
        period_ns = as_ns(period)
        return self.live.every(self.now_ns + period_ns if start is None else as_ns(start), period_ns, action)

    def run(self, until: "int | str") -> list[Fate]:
        """Run up to a moment; what happens at that moment is left for later. ValueError if it is past."""
        until_ns = as_ns(until)
        if until_ns < self.now_ns:
            past, now = format_time(until_ns), format_time(self.now_ns)
            raise ValueError(f"{past} is in the past: it is {now} already")
        return self._fates(until_ns)

    def step(self) -> list[Fate]:
        """Run up to the next event, and let all events of its moment happen. LookupError if there is none."""
        next_ns = self.experiment.agenda.next_ns
        if next_ns is None:
            raise LookupError("nothing more will happen: there is no event")
        fates = self._fates(next_ns)
        self.experiment.do_due(next_ns)
        return fates

    def stop(self) -> None:
        """Undo what stages wrote to their tables: the lab is as it was before."""
        self.network.restore()

    def _told(self, packet: "Packet | bytes", at: str, time: "int | str | None") -> Offered:
        """A frame, checked. ValueError or LookupError if it cannot be sent so."""
        data = packet if isinstance(packet, bytes) else bytes(packet)
        if len(data) < ETHERNET_BYTES:
            raise ValueError(f"{len(data)} bytes are no Ethernet frame ({ETHERNET_BYTES} at least)")
        port = self.wiring.port(at).number
        time_ns = self.now_ns if time is None else as_ns(time)
        if time_ns < self.now_ns:
            past, now = format_time(time_ns), format_time(self.now_ns)
            raise ValueError(f"a frame cannot be sent at {past}: it is {now} already")
        self.sent += 1
        return Offered(time_ns, order_of(0, self.sent), data, port)

    def _put_in_line(self, end_ns: int) -> None:
        """Tell the network of the frames that were offered for a time before ``end_ns``."""
        due: list[Offered] = []
        while self._line and self._line[0].time_ns < end_ns:
            due.append(heappop(self._line))
        if due:
            self.network.offer(entering(self.network, due))

    def _fates(self, until_ns: int) -> list[Fate]:
        """Run up to a moment."""
        self._put_in_line(until_ns)
        found, self._others = self._others, []
        for fates in self.experiment.windows(EMPTY, Instant(until_ns)):
            found.extend(fates_of(self.wiring, fates))
        self.experiment.agenda.now_ns = until_ns
        return found

    def _until_nothing_is_held(self, sent: Offered) -> list[Fate]:
        """Run a frame of this moment to its end, with the events and the frames in line that come meanwhile."""
        self._put_in_line(sent.time_ns + 1)
        batch = entering(self.network, [sent])
        found: list[Fate] = []
        while True:
            until = self._next()
            for fates in self.experiment.windows(batch, until):
                found.extend(fates_of(self.wiring, fates))
            if self.network.held == 0 or until == FOREVER:
                return found
            self.experiment.do_due(until.time_ns)
            self._put_in_line(until.time_ns + 1)
            batch = EMPTY

    def _next(self) -> Instant:
        """When the next event happens, or the next frame in line is sent; FOREVER if neither does."""
        next_ns = self.experiment.agenda.next_ns
        waiting = [] if next_ns is None else [next_ns]
        waiting += [one.time_ns for one in self._line[:1]]
        return Instant(min(waiting)) if waiting else FOREVER


def as_ns(time: "int | str") -> int:
    """A time as a number of ns, from that number or from text like ``5 s``. ValueError if it is none."""
    if isinstance(time, int) and not isinstance(time, bool) and 0 <= time <= MAX_TIME_NS:
        return time
    return time_ns(time)

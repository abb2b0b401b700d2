"""The physical network of a lab: its switches and cables as ports, chains and tables of the wiring.

Ports of physical switches are ports like others. What an uplink or such a port sends enters at the other end of its
cable; a port without one ends at something that is not modelled. Which ports forward, and what follows from that for
channels and floods, is computed here whenever a link changes (:meth:`Fabric.settle`).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import define, evolve, field, frozen

from iochain.chain import Chain, Element, From, Port, PortKind
from iochain.fabric.forwarding import Floods, Learning, Place, Places, Switching
from iochain.fabric.ports import BpduGuard, ForTheSwitch, OpenPort, PortState, States, SwitchMtu
from iochain.fabric.vlan import AccessIn, AccessOut, Carried, TrunkIn, TrunkOut
from iochain.frame import Mac, Table
from iochain.topology.expansion import uplinks
from iochain.topology.mistakes import guess
from iochain.topology.names import PortKind as NamedKind
from iochain.topology.names import PortName, PortNames, port_names, switch_ports
from iochain.topology.spanning import End, Link, blocked_ends
from iochain.topology.spec import (
    BitsPerSecond,
    CableSpec,
    ChannelHash,
    LabSpec,
    LinkState,
    NativeTag,
    PortMode,
    SwitchPort,
)
from iochain.topology.units import vlans_of
from iochain.uplink.wire import SMALLEST_FRAME, Wire
from iochain.vswitch.teaming import ip_hash_full, source_mac_hash

if TYPE_CHECKING:
    from iochain.topology.effective import Settings
    from iochain.topology.wiring import Wiring

NS_PER_METRE: Final = 5
DEFAULT_METRES: Final = 5
DEFAULT_SPEED: Final = BitsPerSecond(10_000_000_000)
DEFAULT_QUEUE: Final = 1000
ERR_DISABLED: Final = "err-disabled"
"""The cause by which BPDU Guard shuts a port."""
SHUT: Final = "link: down"
NO_CABLE: Final = "no cable"
LINK: Final = "link"
_DEFAULT: Final = "the emulator's default"
_HASHES: Final = {ChannelHash.SRC_DST_IP: ip_hash_full, ChannelHash.SRC_MAC: source_mac_hash}


@frozen
class Cable:
    """A cable between two ports, by number. What leaves one end enters at the other ``latency_ns`` later."""

    name: str
    a: int
    b: int
    latency_ns: int

    def other(self, port: int) -> int:
        """The port at the other end."""
        return self.b if port == self.a else self.a


@frozen
class PortPolicy:
    """What holds for a port of a physical switch; each attribute a value with its origin."""

    mode: From
    vlan: From
    native_vlan: From
    allowed_vlans: From
    bpdu_guard: From
    speed: From
    queue: From
    link: From
    channel: From

    def carries(self, vlan: int) -> bool:
        """Whether frames of a VLAN pass the port."""
        if self.mode.value is PortMode.ACCESS:
            return bool(vlan == self.vlan.value)
        allowed = self.allowed_vlans.value
        return allowed is None or vlan in vlans_of(allowed)


@frozen
class PhysicalSwitch:
    """A physical switch with its tables. ``channels``: the channel of each port's name that is in one."""

    name: str
    ports: tuple[Port, ...]
    policies: Mapping[str, PortPolicy] = field(repr=False)  # by name of the port
    channels: Mapping[str, str]
    priority: int
    ageing_ns: int  # 0: entries do not age
    learned: Places = field(repr=False)
    moves: Table[int, int] = field(repr=False)  # how often a MAC came from another place than before
    floods: Floods = field(repr=False)
    members: Table[str, tuple[str, ...]] = field(repr=False)  # of channels, those that forward

    def place(self, port: Port) -> str:
        """Where what comes in by a port is learned to be: at the port, or at its channel."""
        return self.channels.get(port.name, port.name)


@define
class Fabric:
    """The physical network while it runs: why ports have no link, and what follows from that.

    Links change by :meth:`lose` and :meth:`regain`; nothing follows before :meth:`settle`.
    """

    switches: Mapping[str, PhysicalSwitch] = field(factory=dict)
    cables: tuple[Cable, ...] = ()
    names: Mapping[int, str] = field(factory=dict, repr=False)  # of all ports of the lab, by number
    states: States = field(factory=lambda: Table("states of switch ports", PortState.NO_LINK))
    blocked: Table[int, bool] = field(factory=lambda: Table("blocked ports", False))
    spanning_tree: bool = True
    _causes: dict[int, set[str]] = field(factory=dict)
    _settled: dict[int, PortState] = field(factory=dict)
    _by_port: dict[int, Cable] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._by_port = {port: cable for cable in self.cables for port in (cable.a, cable.b)}

    def cable(self, name: str) -> Cable:
        """The cable of this name, or at the port of this name. LookupError with the nearest name."""
        known = {self.names[port]: cable for port, cable in self._by_port.items()}
        known |= {cable.name: cable for cable in self.cables}
        if name not in known:
            raise LookupError(f'there is no cable "{name}"{guess(name, known)}')
        return known[name]

    def cable_at(self, port: int) -> Cable | None:
        """The cable at a port."""
        return self._by_port.get(port)

    def causes(self, port: int) -> frozenset[str]:
        """Why a port of a physical switch has no link; nothing if it has one."""
        return frozenset(self._causes.get(port, ()))

    def lose(self, port: int, cause: str = LINK) -> None:
        """A port of a physical switch has no link for one more cause."""
        self._causes.setdefault(port, set()).add(cause)

    def regain(self, port: int, cause: str = LINK) -> None:
        """A cause is gone; the port has a link again if none is left."""
        self._causes.get(port, set()).discard(cause)

    def settle(self) -> frozenset[int]:
        """Make what follows from the links: states, spanning tree, floods, channels; forget MACs where no way leads.

        Gives the ports whose state changed since it was called last.
        """
        states = self._states()
        changed = frozenset(port for port, state in states.items() if self._settled.get(port) is not state)
        for port, state in states.items():
            if self.states.get(port) is not state:
                self.states.set(port, state)
            if self.blocked.get(port) != (state is PortState.BLOCKED):
                self.blocked.set(port, state is PortState.BLOCKED)
        between = {port for cable in self._between() for port in (cable.a, cable.b)}
        for switch in self.switches.values():
            _settle_switch(switch, states, between if changed & between else set())
        self._settled = states
        return changed

    def mac_moves(self) -> dict[tuple[str, Mac], int]:
        """How often each MAC was found at another place of a switch than before, by (switch, MAC)."""
        return {
            (name, Mac(mac)): count
            for name, switch in self.switches.items()
            for mac, count in sorted(switch.moves.entries().items())
        }

    def _states(self) -> dict[int, PortState]:
        blocked = self._blocked()
        return {port.number: self._state(port, blocked) for port in self._ports()}

    def _state(self, port: Port, blocked: "frozenset[End]") -> PortState:
        causes = self._causes.get(port.number)
        if causes:
            return PortState.ERR_DISABLED if ERR_DISABLED in causes else PortState.NO_LINK
        switch = self.switches[port.switch]
        is_blocked = any((end.switch, end.place) == (switch.name, switch.place(port)) for end in blocked)
        return PortState.BLOCKED if is_blocked else PortState.FORWARDING

    def _blocked(self) -> "frozenset[End]":
        if not self.spanning_tree or not self.switches:
            return frozenset()
        live = [c for c in self._between() if not self._causes.get(c.a) and not self._causes.get(c.b)]
        priorities = {name: switch.priority for name, switch in self.switches.items()}
        return blocked_ends(priorities, self._links(live))

    def _links(self, cables: Iterable[Cable]) -> Iterator[Link]:
        """The links between switches that cables make: those of a channel make one."""
        ports = {port.number: port for port in self._ports()}
        found: set[tuple[str, str]] = set()
        for cable in cables:
            a, b = (self._end(ports[number]) for number in sorted((cable.a, cable.b)))
            if (a.place, b.place) not in found:
                found.add((a.place, b.place))
                yield Link(a, b, self.switches[a.switch].policies[ports[a.number].name].speed.value)

    def _end(self, port: Port) -> End:
        switch = self.switches[port.switch]
        place = switch.place(port)
        return End(switch.name, place, min(p.number for p in switch.ports if switch.place(p) == place))

    def _between(self) -> list[Cable]:
        """The cables between physical switches."""
        numbers = {port.number for port in self._ports()}
        return [cable for cable in self.cables if cable.a in numbers and cable.b in numbers]

    def _ports(self) -> list[Port]:
        return [port for switch in self.switches.values() for port in switch.ports]


def _settle_switch(switch: PhysicalSwitch, states: Mapping[int, PortState], uncertain: set[int]) -> None:
    """Floods, channels and learned MACs of a switch. Of ``uncertain`` ports all that was learned is forgotten."""
    open_ports = [port for port in switch.ports if states[port.number] is PortState.FORWARDING]
    at: dict[str, list[Port]] = {}
    for port in open_ports:
        at.setdefault(switch.place(port), []).append(port)
    for channel in dict.fromkeys(switch.channels.values()):
        members = tuple(port.name for port in at.get(channel, ()))
        if switch.members.get(channel) != members:
            switch.members.set(channel, members)
    channels = set(switch.channels.values())
    switch.floods.change(
        [Place(place, place in channels, switch.policies[ports[0].name].carries) for place, ports in at.items()]
    )
    unsure = {switch.place(port) for port in switch.ports if port.number in uncertain}
    for key, place in switch.learned.entries().items():
        if place not in at or place in unsure:
            switch.learned.set(key, "")


# -- from the lab to the wiring


@frozen
class CableEnds:
    """A cable of the lab with what is at its ends, and its name."""

    name: str
    a: PortName
    b: PortName
    spec: CableSpec

    @property
    def latency_ns(self) -> int:
        """As the lab says, or by its length."""
        if self.spec.latency is not None:
            return self.spec.latency
        return NS_PER_METRE * (DEFAULT_METRES if self.spec.metres is None else self.spec.metres)


def cable_ends(spec: LabSpec, names: PortNames) -> Iterator[CableEnds]:
    """The cables of a checked lab."""
    for cable in spec.fabric.cables:
        a, b = (names.find(end) for end in cable.ends)
        yield CableEnds(cable.name or f"{a.name} to {b.name}", a, b, cable)


def with_links(spec: LabSpec) -> LabSpec:
    """The lab with those physical NICs down whose cable ends at a port that is down."""
    hosts = dict(spec.hosts)
    for cable in cable_ends(spec, port_names(spec)) if spec.fabric.cables else ():
        for end, other in ((cable.a, cable.b), (cable.b, cable.a)):
            if end.kind is NamedKind.UPLINK and _is_down(spec, other):
                nics = uplinks(hosts[end.host])
                nics[end.adapter] = evolve(nics[end.adapter], link=LinkState.DOWN)
                hosts[end.host] = evolve(hosts[end.host], nics=nics)
    return evolve(spec, hosts=hosts)


def _is_down(spec: LabSpec, end: PortName) -> bool:
    if end.kind is NamedKind.UPLINK:
        return uplinks(spec.hosts[end.host])[end.adapter].link is LinkState.DOWN
    return _levels(spec, end.switch, end.adapter)[2].link is LinkState.DOWN


def _levels(spec: LabSpec, switch: str, port: str) -> tuple[SwitchPort, SwitchPort, SwitchPort]:
    """What a port says itself, what its switch says for all, and both together."""
    of_switch = spec.fabric.switches[switch]
    own, above = of_switch.ports.get(port, SwitchPort()), of_switch.defaults
    said = {name: getattr(above, name) for name in ("speed", "link")}
    return own, above, evolve(own, **{name: value for name, value in said.items() if getattr(own, name) is None})


def speed_said(spec: LabSpec, end: PortName) -> BitsPerSecond | None:
    """The speed of one end of a cable, where the lab says one."""
    if end.kind is NamedKind.UPLINK:
        return uplinks(spec.hosts[end.host])[end.adapter].speed
    return _levels(spec, end.switch, end.adapter)[2].speed


def wire_fabric(wiring: "Wiring") -> Fabric:
    """Put the physical switches and the cables into a wiring that has its hosts."""
    spec = wiring.spec
    if not spec.fabric.switches and not spec.fabric.cables:
        return Fabric()
    ends = list(cable_ends(spec, port_names(spec)))
    states: States = Table("states of switch ports", PortState.NO_LINK)
    switches = {name: _SwitchWiring(wiring, name, ends, states).wire() for name in spec.fabric.switches}
    numbers = wiring.numbers
    cables = [
        Cable(one.name, numbers[one.a.name], numbers[one.b.name], one.latency_ns)
        for one in ends
        if one.a.name in numbers and one.b.name in numbers  # else at a physical NIC that is no switch's uplink
    ]
    for cable in cables:
        a, b = wiring.ports[cable.a].name, wiring.ports[cable.b].name
        wiring.graph.add_edge(a, b, key="cable", cable=cable)
        wiring.graph.add_edge(b, a, key="cable", cable=cable)
    names = {port.number: port.name for port in wiring.ports}
    fabric = Fabric(switches, tuple(cables), names, states, spanning_tree=spec.fabric.spanning_tree)
    for port, cause in _dark(spec, fabric, ends, numbers):
        fabric.lose(port, cause)
    fabric.settle()
    return fabric


def _dark(
    spec: LabSpec, fabric: Fabric, ends: Iterable[CableEnds], numbers: Mapping[str, int]
) -> Iterator[tuple[int, str]]:
    """The ports of physical switches that have no link when the lab starts, and why."""
    cabled = {}
    for cable in ends:
        cabled[cable.a.name], cabled[cable.b.name] = cable.b, cable.a
    for switch in fabric.switches.values():
        for port in switch.ports:
            said = switch.policies[port.name].link.value
            if said is LinkState.DOWN:
                yield port.number, SHUT
            elif port.name in cabled and _is_down(spec, cabled[port.name]):
                yield port.number, LINK
            elif port.name not in cabled and said is None:
                yield port.number, NO_CABLE


@define
class _SwitchWiring:
    """A physical switch on its way into the graph."""

    wiring: "Wiring"
    name: str
    cables: list[CableEnds]
    states: States

    def wire(self) -> PhysicalSwitch:
        spec = self.wiring.spec.fabric.switches[self.name]
        names = [f"{self.name}.{port}" for port in switch_ports(spec)]
        policies = {f"{self.name}.{port}": self._policy(port) for port in switch_ports(spec)}
        channels = {
            port: f"{self.name} {policy.channel.value}" for port, policy in policies.items() if policy.channel.value
        }
        first = len(self.wiring.ports)
        switch = PhysicalSwitch(
            self.name,
            tuple(Port(name, first + i, i + 1, PortKind.PHYSICAL, "", self.name) for i, name in enumerate(names)),
            policies,
            channels,
            spec.priority,
            spec.ageing,
            Table(f"MACs learned by {self.name}", ""),
            Table(f"MAC moves on {self.name}", 0),
            Floods(f"floods of {self.name}"),
            Table(f"channels of {self.name}", ()),
        )
        learning = Learning(switch.learned, switch.moves, channels)
        hashed = _HASHES[spec.channel_hash]
        forwarding = Switching(switch.learned, switch.floods, switch.members, hashed, channels)
        chain = Chain(self.name, [Element("learning", learning), Element("forwarding", forwarding)])
        graph = self.wiring.graph
        graph.add_node(self.name, kind="switch", host="", chain=chain, forwarding=forwarding)
        for port in switch.ports:
            entering, leaving = self._chains(port, policies[port.name])
            self.wiring.ports.append(port)
            graph.add_node(port.name, kind="port", port=port)
            graph.add_edge(port.name, self.name, key="input", chain=entering)
            graph.add_edge(self.name, port.name, key="output", chain=leaving)
        return switch

    def _chains(self, port: Port, policy: PortPolicy) -> tuple[Chain, Chain]:
        """Input and output chain of a port."""
        said = self.wiring.settings
        spec = self.wiring.spec.fabric
        tree = said.said(spec.spanning_tree, "the fabric", ("fabric", "spanning_tree"))
        size = said.said(spec.switches[self.name].mtu, self.name, ("fabric", "switches", self.name, "mtu"))
        opened = Element("port", OpenPort(self.states), because=policy.link)
        entering = [opened]
        if policy.bpdu_guard.value:
            entering.append(Element("bpdu guard", BpduGuard(self.states), because=policy.bpdu_guard))
        entering.append(Element("for the switch", ForTheSwitch(tree.value), {"spanning_tree": tree}))
        vlans = self._vlan_stages(policy)
        entering.append(vlans[0])
        entering.append(Element("mtu", SwitchMtu(size.value), {"mtu": size}, size))
        wire = Wire(policy.speed.value, policy.queue.value, SMALLEST_FRAME, size.value)
        leaving = [opened, vlans[1], Element("wire", wire, because=policy.queue)]
        return Chain(f"input of {port.name}", entering), Chain(f"output of {port.name}", leaving)

    def _vlan_stages(self, policy: PortPolicy) -> tuple[Element, Element]:
        """What is done with tags on the way in and out."""
        if policy.mode.value is PortMode.ACCESS:
            said = {"vlan": policy.vlan}
            vlan = policy.vlan.value
            return Element("vlan", AccessIn(vlan), said, policy.vlan), Element(
                "vlan", AccessOut(vlan), said, policy.vlan
            )
        native, allowed = policy.native_vlan.value, policy.allowed_vlans.value
        carried: Carried = Table("VLANs of the trunk", allowed is None, dict.fromkeys(vlans_of(allowed or ()), True))
        passing = self.wiring.settings.option("native_tag")
        said = {"native_vlan": policy.native_vlan, "allowed_vlans": policy.allowed_vlans, "native_tag_passes": passing}
        entering = TrunkIn(native, carried, passing.value is NativeTag.PASS)
        return (
            Element("vlan", entering, said, policy.mode),
            Element("vlan", TrunkOut(native, carried), said, policy.mode),
        )

    def _policy(self, port: str) -> PortPolicy:
        level = _PortLevels(self.wiring.settings, self.name, port)
        return PortPolicy(
            mode=level.mode(),
            vlan=level.said("vlan", 1),
            native_vlan=level.said("native_vlan", 1),
            allowed_vlans=level.said("allowed_vlans", None),
            bpdu_guard=level.said("bpdu_guard", False),
            speed=self._speed(level, f"{self.name}.{port}"),
            queue=level.said("queue", DEFAULT_QUEUE),
            link=level.said("link", None),
            channel=level.said("channel", None),
        )

    def _speed(self, level: "_PortLevels", port: str) -> From:
        """What the port says, else the other end of its cable."""
        own = level.said("speed", None)
        if own.value is not None:
            return own
        for cable in self.cables:
            for end, other in ((cable.a, cable.b), (cable.b, cable.a)):
                speed = speed_said(self.wiring.spec, other)
                if end.name == port and speed is not None:
                    return From(speed, f"the other end of the cable, {other.name}", "speed")
        return evolve(own, value=DEFAULT_SPEED)


@frozen
class _PortLevels:
    """A port of a physical switch says a thing itself, or its switch says it for all ports, or the emulator does."""

    settings: "Settings"
    switch: str
    port: str

    def said(self, name: str, default: Any) -> From:
        own, above, _ = _levels(self.settings.spec, self.switch, self.port)
        if getattr(own, name) is not None:
            return self._here(name, getattr(own, name))
        if getattr(above, name) is not None:
            return self._above(name, getattr(above, name))
        return From(default, _DEFAULT, name)

    def mode(self) -> From:
        """Access or trunk: as said, or as what else is said at the same level needs."""
        own, above, _ = _levels(self.settings.spec, self.switch, self.port)
        for level, say in ((own, self._here), (above, self._above)):
            if level.mode is not None:
                return say("mode", level.mode)
            if level.vlan is not None:
                return evolve(say("vlan", level.vlan), value=PortMode.ACCESS)
            if level.native_vlan is not None or level.allowed_vlans is not None:
                name = "allowed_vlans" if level.native_vlan is None else "native_vlan"
                return evolve(say(name, None), value=PortMode.TRUNK)
        return From(PortMode.TRUNK, _DEFAULT, "mode")

    def _here(self, name: str, value: Any) -> From:
        path = ("fabric", "switches", self.switch, "ports", self.port, name)
        return self.settings.said(value, f"port {self.switch}.{self.port}", path)

    def _above(self, name: str, value: Any) -> From:
        return self.settings.said(value, self.switch, ("fabric", "switches", self.switch, "defaults", name))

"""The physical network of a lab: its switches and cables as ports, chains and tables of the wiring.

Ports of physical switches are ports like others. What an uplink or such a port sends enters at the other end of its
cable; a port without one ends at something that is not modelled. Which ports forward, and what follows from that for
channels and floods, is computed here whenever a link changes (:meth:`Fabric.settle`).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen

from iochain.chain import Chain, Element, From, Port, PortKind
from iochain.fabric.forwarding import Floods, Learning, Place, Places, Switching
from iochain.fabric.ports import BpduGuard, ForTheSwitch, OpenPort, PortState, States, SwitchMtu
from iochain.fabric.vlan import AccessIn, AccessOut, Carried, TrunkIn, TrunkOut
from iochain.frame import Mac, Table
from iochain.topology.cabling import PortPolicy, cable_ends, is_down, port_policy
from iochain.topology.mistakes import guess
from iochain.topology.names import PortName, port_names, switch_ports
from iochain.topology.spanning import End, Link, blocked_ends
from iochain.topology.spec import ChannelHash, LabSpec, LinkState, NativeTag, PortMode, VlanRange
from iochain.topology.units import vlans_of
from iochain.uplink.wire import SMALLEST_FRAME, Wire
from iochain.vswitch.teaming import ip_hash_full, source_mac_hash

if TYPE_CHECKING:
    from iochain.topology.wiring import Wiring

ERR_DISABLED: Final = "err-disabled"
"""The cause by which BPDU Guard shuts a port."""
SHUT: Final = "link: down"
NO_CABLE: Final = "no cable"
LINK: Final = "link"
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
class PhysicalSwitch:
    """A physical switch with its tables. ``channels``: the channel of each port's name that is in one."""

    name: str
    ports: tuple[Port, ...]
    policies: Mapping[str, PortPolicy] = field(repr=False)  # by name of the port
    channels: Mapping[str, str]
    priority: int
    ageing_ns: int  # after so long without a frame from it a MAC is forgotten
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
        """A cause is gone; without any the port has a link again. LINK takes the lab's own ``link: down`` with it."""
        self._causes.get(port, set()).difference_update({cause, SHUT} if cause == LINK else {cause})

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


def wire_fabric(wiring: "Wiring") -> Fabric:
    """Put the physical switches and the cables into a wiring that has its hosts."""
    spec = wiring.spec
    if not spec.fabric.switches and not spec.fabric.cables:
        return Fabric()
    ends = list(cable_ends(spec, port_names(spec)))
    states: States = Table("states of switch ports", PortState.NO_LINK)
    others = {one.name: other for cable in ends for one, other in ((cable.a, cable.b), (cable.b, cable.a))}
    switches = {name: _SwitchWiring(wiring, name, others, states).wire() for name in spec.fabric.switches}
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
    for port, cause in _dark(spec, fabric, others):
        fabric.lose(port, cause)
    fabric.settle()
    return fabric


def _dark(spec: LabSpec, fabric: Fabric, others: Mapping[str, PortName]) -> Iterator[tuple[int, str]]:
    """The ports of physical switches that have no link when the lab starts, and why."""
    for switch in fabric.switches.values():
        for port in switch.ports:
            said = switch.policies[port.name].link.value
            if said is LinkState.DOWN:
                yield port.number, SHUT
            elif port.name in others and is_down(spec, others[port.name]):
                yield port.number, LINK
            elif port.name not in others and said is None:
                yield port.number, NO_CABLE


@define
class _SwitchWiring:
    """A physical switch on its way into the graph."""

    wiring: "Wiring"
    name: str
    others: Mapping[str, PortName]  # what is at the other end of a port's cable
    states: States
    carried: dict[tuple[VlanRange, ...] | None, Carried] = field(factory=dict)

    def wire(self) -> PhysicalSwitch:
        spec = self.wiring.spec.fabric.switches[self.name]
        names = [f"{self.name}.{port}" for port in switch_ports(spec)]
        policies = {
            name: port_policy(self.wiring.settings, self.name, port, self.others.get(name))
            for name, port in zip(names, switch_ports(spec), strict=True)
        }
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
        states = {PortState.BLOCKED: tree, PortState.ERR_DISABLED: policy.bpdu_guard}
        if policy.link.value is LinkState.DOWN:
            states[PortState.NO_LINK] = policy.link
        elif policy.link.value is None and port.name not in self.others:
            states[PortState.NO_LINK] = From(LinkState.DOWN, "no cable", "link")
        opened = Element("port", OpenPort(self.states, states))
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
        carried = self.carried.get(allowed)
        if carried is None:
            vlans = dict.fromkeys(vlans_of(allowed or ()), True)
            carried = self.carried[allowed] = Table(f"VLANs of trunks of {self.name}", allowed is None, vlans)
        passing = self.wiring.settings.option("native_tag")
        said = {"native_vlan": policy.native_vlan, "allowed_vlans": policy.allowed_vlans, "native_tag_passes": passing}
        entering = TrunkIn(native, carried, passing.value is NativeTag.PASS)
        return (
            Element("vlan", entering, said, policy.mode),
            Element("vlan", TrunkOut(native, carried), said, policy.mode),
        )

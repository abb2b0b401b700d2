"""What a drawing shows of a lab: hosts, switches, port groups with ports of like chains together, teams, uplinks;

physical switches and cables.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from attrs import frozen

from iochain.chain import Chain, Port
from iochain.fabric.ports import PortState
from iochain.frame import ALL_VLANS
from iochain.portgroup.security import Disconnected
from iochain.topology.expansion import uplinks
from iochain.topology.spec import LoadBalancing, PortMode
from iochain.topology.units import format_rate
from iochain.topology.wiring import Direction, Team, Wiring, node_name

MOST_ALIKE: Final = 12
"""Ports of one port group with like chains that are drawn; more are counted."""


@frozen
class Alike:
    """Ports of a port group with like chains."""

    ports: list[Port]
    input: tuple[str, ...]
    output: tuple[str, ...]
    connected: bool

    @property
    def drawn(self) -> list[Port]:
        """The ports that are drawn one by one."""
        return self.ports[:MOST_ALIKE]

    @property
    def more(self) -> int:
        """How many are only counted."""
        return len(self.ports) - len(self.drawn)

    def about(self, port: Port) -> str:
        """What stands at the right of a port: its MAC, and what is special."""
        special = [] if self.connected else ["disconnected"]
        special += ["promiscuous"] if port.promiscuous else []
        return " · ".join([*special, str(port.effective_mac)])


@frozen
class Group:
    """A port group."""

    name: str
    vlan: int
    bundles: list[Alike]

    @property
    def vlan_text(self) -> str:
        """Its VLAN in words."""
        return {0: "no VLAN", ALL_VLANS: "VLAN 4095, guests tag"}.get(self.vlan, f"VLAN {self.vlan}")


@frozen
class Use:
    """The uplinks that some port groups use alike."""

    kind: LoadBalancing
    active: tuple[str, ...]
    standby: tuple[str, ...]
    groups: list[Group]
    prefix: str  # of the names of uplinks

    @property
    def lines(self) -> list[str]:
        """What is said of it below its heading."""
        first, more = self.groups[0].name, len(self.groups) - 1
        said = [f"of {first}" + (f" and {more} more" if more else "")]
        said.append(f"active: {self._names(self.active)}")
        return said + ([f"standby: {self._names(self.standby)}"] if self.standby else [])

    def _names(self, ends: Iterable[str]) -> str:
        return _listed([name.removeprefix(self.prefix) for name in ends])


@frozen
class UplinkEnd:
    """An uplink with its NIC."""

    port: Port
    name: str
    speed: str
    up: bool
    input: tuple[str, ...]
    output: tuple[str, ...]

    @property
    def state(self) -> str:
        """Link and speed."""
        return f"{'up' if self.up else 'no link'} · {self.speed}"


@frozen
class SwitchOutline:
    """A switch with all that is on it."""

    name: str
    mtu: int
    stages: tuple[str, ...]
    groups: list[Group]
    uses: list[Use]
    uplinks: list[UplinkEnd]


@frozen
class SwitchEnd:
    """A port of a physical switch; ``about`` says in words what it carries, how fast, and whether it forwards."""

    port: Port
    about: str
    is_shown: bool  # a cable is there, or something that is not modelled


@frozen
class AlikeEnds:
    """Ports of a physical switch with like chains."""

    ports: list[SwitchEnd]
    input: tuple[str, ...]
    output: tuple[str, ...]

    @property
    def drawn(self) -> list[SwitchEnd]:
        """The ports that are drawn one by one; the others are only counted."""
        return [end for end in self.ports if end.is_shown]

    @property
    def more(self) -> int:
        """How many are only counted."""
        return len(self.ports) - len(self.drawn)


@frozen
class PhysicalOutline:
    """A physical switch with its ports."""

    name: str
    mtu: int
    stages: tuple[str, ...]
    bundles: list[AlikeEnds]


@frozen
class CableOutline:
    """A cable between two ports by name; ``is_idle``: no frame passes it."""

    name: str
    a: str
    b: str
    is_idle: bool


@frozen
class HostOutline:
    """A host with its switches."""

    name: str
    version: str
    switches: list[SwitchOutline]


def outline(wiring: Wiring) -> list[HostOutline]:
    """Gather what the graph has, host by host."""
    ports: dict[tuple[str, str], list[Port]] = {}
    for port in wiring.ports:
        ports.setdefault((port.host, port.switch), []).append(port)
    teams: dict[tuple[str, str], list[Team]] = {}
    for team in wiring.teams():
        teams.setdefault((team.host, team.switch), []).append(team)
    return [
        HostOutline(
            name,
            wiring.settings.version(name),
            [
                _switch(wiring, name, switch, ports.get((name, switch), []), teams.get((name, switch), []))
                for switch in host.vswitches
            ],
        )
        for name, host in wiring.spec.hosts.items()
    ]


def physical_outline(wiring: Wiring) -> list[PhysicalOutline]:
    """The physical switches."""
    found = []
    for name, switch in wiring.fabric.switches.items():
        bundles: dict[tuple[tuple[str, ...], tuple[str, ...]], list[SwitchEnd]] = {}
        for port in switch.ports:
            key = (_names(wiring, port, "input"), _names(wiring, port, "output"))
            bundles.setdefault(key, []).append(_switch_end(wiring, port))
        ends = [AlikeEnds(ports, *key) for key, ports in bundles.items()]
        mtu = wiring.spec.fabric.switches[name].mtu
        found.append(PhysicalOutline(name, mtu, tuple(wiring.switch_chain(name).names), ends))
    return found


def cable_outlines(wiring: Wiring) -> list[CableOutline]:
    """The cables."""
    fabric = wiring.fabric
    found = []
    for cable in fabric.cables:
        ports = [wiring.ports[number] for number in (cable.a, cable.b)]
        is_idle = not all(_passes(wiring, port) for port in ports)
        found.append(CableOutline(cable.name, ports[0].name, ports[1].name, is_idle))
    return found


def _passes(wiring: Wiring, port: Port) -> bool:
    if port.uplink:
        return wiring.tables[port.host].up.get(port.number)
    return wiring.fabric.states.get(port.number) is PortState.FORWARDING


def _switch_end(wiring: Wiring, port: Port) -> SwitchEnd:
    policy = wiring.fabric.switches[port.switch].policies[port.name]
    state = wiring.fabric.states.get(port.number)
    said = ["trunk" if policy.mode.value is PortMode.TRUNK else f"VLAN {policy.vlan.value}"]
    said += [policy.channel.value] if policy.channel.value else []
    said += [format_rate(policy.speed.value)]
    said += [] if state is PortState.FORWARDING else [state.value]
    is_shown = wiring.fabric.cable_at(port.number) is not None or state is not PortState.NO_LINK
    return SwitchEnd(port, " · ".join(said), is_shown)


def _switch(wiring: Wiring, host: str, name: str, ports: Sequence[Port], teams: Iterable[Team]) -> SwitchOutline:
    node = node_name(wiring.spec, host, name)
    clients: dict[str | None, list[Port]] = {}
    for port in ports:
        clients.setdefault(port.portgroup, []).append(port)
    groups = []
    uses: dict[tuple[LoadBalancing, tuple[str, ...], tuple[str, ...]], list[Group]] = {}
    for team in teams:
        policy = team.policy
        groups.append(Group(team.portgroup, policy.vlan.value, _bundles(wiring, clients.get(team.portgroup, []))))
        use = (policy.load_balancing.value, policy.active.value, policy.standby.value)
        uses.setdefault(use, []).append(groups[-1])
    ends = [_uplink(wiring, port) for port in ports if port.uplink]
    stages = tuple(wiring.switch_chain(node).names)
    mtu = wiring.spec.hosts[host].vswitches[name].mtu
    return SwitchOutline(name, mtu, stages, groups, [Use(*use, users, f"{host}.") for use, users in uses.items()], ends)


def _bundles(wiring: Wiring, ports: Iterable[Port]) -> list[Alike]:
    """Ports by their chains, in the order of the first of each."""
    found: dict[tuple[tuple[str, ...], tuple[str, ...], bool], list[Port]] = {}
    for port in ports:
        chain = wiring.chain(port.name, "input")
        connected = not any(isinstance(element.stage, Disconnected) for element in chain)
        found.setdefault((tuple(chain.names), _names(wiring, port, "output"), connected), []).append(port)
    return [Alike(alike, *key) for key, alike in found.items()]


def _uplink(wiring: Wiring, port: Port) -> UplinkEnd:
    name = port.name if len(wiring.spec.hosts) == 1 else port.name.removeprefix(f"{port.host}.")
    speed = format_rate(uplinks(wiring.spec.hosts[port.host])[name].speed)
    up = wiring.tables[port.host].up.get(port.number)
    return UplinkEnd(port, name, speed, up, _names(wiring, port, "input"), _names(wiring, port, "output"))


def _names(wiring: Wiring, port: Port, direction: Direction) -> tuple[str, ...]:
    chain: Chain = wiring.chain(port.name, direction)
    return tuple(chain.names)


def title_of(hosts: Sequence[HostOutline], physical: Sequence[PhysicalOutline] = (), cables: int = 0) -> str:
    """The drawing in a line."""
    switches = [switch for host in hosts for switch in host.switches]
    ports = sum(len(bundle.ports) for switch in switches for group in switch.groups for bundle in group.bundles)
    counts = {
        "host": len(hosts),
        "switch": len(switches),
        "port": ports,
        "uplink": sum(len(s.uplinks) for s in switches),
    }
    if physical or cables:
        counts |= {"physical switch": len(physical), "cable": cables}
    plurals = {"switch": "switches", "physical switch": "physical switches"}
    said = [f"{count} {name if count == 1 else plurals.get(name, f'{name}s')}" for name, count in counts.items()]
    return "A lab of " + ", ".join(said)


def description_of(
    hosts: Sequence[HostOutline],
    physical: Sequence[PhysicalOutline] = (),
    cables: Sequence[CableOutline] = (),
) -> str:
    """The drawing in sentences."""
    said = []
    for host in hosts:
        for switch in host.switches:
            groups = "; ".join(f"{group.name} ({group.vlan_text}): {_members(group)}" for group in switch.groups)
            ends = ", ".join(f"{uplink.name} ({uplink.state})" for uplink in switch.uplinks)
            said.append(f"{host.name} {switch.name}: {groups or 'no port group'}; uplinks: {ends or 'none'}.")
    for one in physical:
        shown = [end for bundle in one.bundles for end in bundle.drawn]
        more = sum(bundle.more for bundle in one.bundles)
        ends = _listed([f"{end.port.name} ({end.about})" for end in shown], more)
        said.append(f"Physical switch {one.name}: {ends}.")
    if cables:
        said.append(f"Cables: {', '.join(f'{cable.a} to {cable.b}' for cable in cables)}.")
    return " ".join(said)


def _members(group: Group) -> str:
    said = [_listed([port.name for port in bundle.drawn], bundle.more) for bundle in group.bundles]
    return ", ".join(said) or "no port"


def _listed(names: Sequence[str], more: int = 0) -> str:
    return (", ".join(names) or "none") + (f" and {more:,} more" if more else "")

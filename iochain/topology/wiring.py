"""The wiring of a lab: a networkx graph of ports, switches and teams whose edges carry the chains, and the tables.

What is drawn is what runs: the engine has nothing beside this graph. Nodes are ports, virtual switches, and teams (a
port group's way to its uplinks); the edge from a port to its switch carries the input chain, the edge back the output
chain, the edge from a switch to a team the teaming stage. A switch's own stages stand in its node.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

import networkx as nx
from attrs import define, evolve, field, frozen

from iochain.chain import Chain, Element, From, Group, Port, PortKind
from iochain.frame import Mac, Table
from iochain.topology.chains import HostTables, client_chains, team_chain, uplink_chains
from iochain.topology.effective import Policy, Settings
from iochain.topology.expansion import expanded, uplinks
from iochain.topology.mistakes import Place, guess
from iochain.topology.spec import Answer, LabSpec, LinkState, Vmkernel, Vnic
from iochain.vswitch.forwarding import ByVlan, Forwarding, Refused

Direction = Literal["input", "output"]
UPLINK_ID_BIT = 0x80000000
"""Set in the ids of uplink ports from ESXi 7.0 on (as net-stats shows them)."""
FIRST_UPLINK_ID_VERSION = 7.0


@frozen
class Team:
    """A port group's uplinks, in use or not: the node that forwarding sends to for the physical network."""

    name: str
    host: str
    switch: str
    portgroup: str
    policy: Policy = field(eq=False, repr=False)


@define
class Wiring:
    """A lab, wired. Chains may be changed until the lab is run; tables change while it runs."""

    spec: LabSpec
    graph: "nx.MultiDiGraph[str]"
    ports: list[Port]
    tables: Mapping[str, HostTables]  # by host
    settings: Settings
    sends_as: dict[str, tuple[Mac, ...]] = field(factory=dict)  # further source addresses, by port name

    def port(self, name: str) -> Port:
        """The port of this name; both short and long names are understood. LookupError if there is none."""
        known: dict[str, Port] = {}
        for port in self.ports:
            known[port.name] = port
            known.setdefault(f"{port.host}.{port.name}", port)
        if name not in known:
            raise LookupError(f'there is no port "{name}"{guess(name, known)}')
        return known[name]

    def chain(self, port: str, direction: Direction) -> Chain:
        """The chain from a port to its switch (input), or from the switch to the port (output)."""
        ends = (port, self.switch_node(port))
        source, target = ends if direction == "input" else ends[::-1]
        chain: Chain = self.graph.edges[source, target, direction]["chain"]
        return chain

    @property
    def numbers(self) -> dict[str, int]:
        """The number of each port by its name."""
        return {port.name: port.number for port in self.ports}

    def switch_node(self, port: str) -> str:
        """The node of the switch that a port belongs to."""
        return self.switch_name(self._by_name(port))

    def switch_name(self, port: Port) -> str:
        """The node of the switch of a port."""
        return node_name(self.spec, port.host, port.switch)

    def switch_chain(self, switch: str) -> Chain:
        """The stages of a switch itself: forwarding."""
        chain: Chain = self.graph.nodes[switch]["chain"]
        return chain

    def forwarding(self, switch: str) -> Forwarding:
        """The forwarding tables of a switch."""
        stage: Forwarding = self.graph.nodes[switch]["forwarding"]
        return stage

    def members(self, switch: str, group: Group) -> tuple[int, ...]:
        """The port numbers of a group of a switch, ascending."""
        numbers = self.numbers
        return tuple(sorted({numbers[name] for name in self.forwarding(switch).group(group)}))

    def team_chain(self, team: str) -> Chain:
        """The teaming stage of a team."""
        chain: Chain = self.graph.nodes[team]["chain"]
        return chain

    def teams(self) -> Iterator[Team]:
        """All teams."""
        for _, data in self.graph.nodes(data=True):
            if data["kind"] == "team":
                yield data["team"]

    def switches(self) -> Iterator[str]:
        """All switch nodes."""
        for name, data in self.graph.nodes(data=True):
            if data["kind"] == "switch":
                yield name

    def _by_name(self, name: str) -> Port:
        found: Port = self.graph.nodes[name]["port"]
        return found


def node_name(spec: LabSpec, host: str, name: str) -> str:
    """The name of something of a host in the whole lab: with the host's in front where there are several."""
    return name if len(spec.hosts) == 1 else f"{host}.{name}"


def wire(spec: LabSpec, places: Mapping[str, Place] | None = None, name: str = "lab") -> Wiring:
    """The wiring of a checked lab."""
    whole = expanded(spec)
    wiring = Wiring(whole, nx.MultiDiGraph(), [], {}, Settings(whole, places or {}, name))
    tables: dict[str, HostTables] = {}
    for host in whole.hosts:
        tables[host] = _wire_host(wiring, host)
    wiring.tables = tables
    return wiring


def _wire_host(wiring: Wiring, host: str) -> HostTables:
    spec = wiring.spec
    nics = uplinks(spec.hosts[host])
    tables = HostTables.of(
        host, {node_name(spec, host, nic): value.link is LinkState.UP for nic, value in nics.items()}
    )
    for index, switch in enumerate(spec.hosts[host].vswitches, 1):
        _SwitchWiring(wiring, host, switch, index, tables).wire()
    return tables


@define
class _SwitchWiring:
    """One switch on its way into the graph."""

    wiring: Wiring
    host: str
    switch: str
    portset: int
    tables: HostTables
    taken: int = 1  # port numbers; the first is the switch's own "Management" port
    turn: int = 0

    def wire(self) -> None:
        spec = self.wiring.spec
        node = node_name(spec, self.host, self.switch)
        forwarding = Forwarding(
            ByVlan("MACs", ()), ByVlan("members", ()), ByVlan("promiscuous ports", ()), Table("refused MACs", None)
        )
        own: Table[int, bool] = Table("MACs of the switch", False)
        chain = Chain(node, [Element("forwarding", forwarding)])
        self.wiring.graph.add_node(node, kind="switch", host=self.host, chain=chain, forwarding=forwarding)
        vswitch = spec.hosts[self.host].vswitches[self.switch]
        teams = {name: self._team(name, node) for name in vswitch.portgroups}
        for uplink in vswitch.uplinks:
            self._uplink(uplink, node, teams)
        for name, vnic, label in self._clients():
            port = self._client_port(name, vnic, label, teams[vnic.network])
            chains = client_chains(port, vnic, teams[vnic.network], self.tables, own, self.wiring)
            self._connect(port, node, chains)
            self._enter(port, vnic, teams[vnic.network], forwarding, own)
            self.wiring.sends_as[name] = tuple(map(Mac, vnic.sends_as))

    def _clients(self) -> Iterator[tuple[str, Vnic | Vmkernel, PortKind]]:
        """Names and adapters of the ports that are no uplinks: vmkernel adapters, then VMs in the lab's order."""
        spec = self.wiring.spec
        portgroups = spec.hosts[self.host].vswitches[self.switch].portgroups
        for name, vmkernel in spec.hosts[self.host].vmkernel.items():
            if vmkernel.network in portgroups:
                yield node_name(spec, self.host, name), vmkernel, PortKind.VMKERNEL
        for vm_name, vm in spec.vms.items():
            if vm.host != self.host:
                continue
            for name, vnic in vm.vnics.items():
                if vnic.network in portgroups:
                    yield vm_name if len(vm.vnics) == 1 else f"{vm_name}.{name}", vnic, PortKind.VNIC

    def _team(self, portgroup: str, node: str) -> Team:
        name = f"uplinks of {node_name(self.wiring.spec, self.host, portgroup)}"
        policy = self.wiring.settings.policy(self.host, self.switch, portgroup)
        policy = evolve(policy, active=self._named(policy.active), standby=self._named(policy.standby))
        team = Team(name, self.host, self.switch, portgroup, policy)
        chain = team_chain(name, policy, self.tables, self.wiring.settings)
        self.wiring.graph.add_node(name, kind="team", team=team, chain=chain)
        self.wiring.graph.add_edge(node, name, key="teaming", chain=chain)
        return team

    def _named(self, uplink_names: From) -> From:
        named = tuple(node_name(self.wiring.spec, self.host, name) for name in uplink_names.value)
        return evolve(uplink_names, value=named)

    def _next_id(self, kind: PortKind) -> int:
        self.taken += 1
        late = float(self.wiring.settings.version(self.host)) >= FIRST_UPLINK_ID_VERSION
        top = UPLINK_ID_BIT if kind is PortKind.UPLINK and late else 0
        return top | self.portset << 24 | self.taken

    def _uplink(self, nic: str, node: str, teams: Mapping[str, Team]) -> None:
        name = node_name(self.wiring.spec, self.host, nic)
        given = uplinks(self.wiring.spec.hosts[self.host])[nic]
        port = Port(
            name,
            len(self.wiring.ports),
            self._next_id(PortKind.UPLINK),
            PortKind.UPLINK,
            self.host,
            self.switch,
            initial_mac=Mac(given.mac or 0),
            effective_mac=Mac(given.mac or 0),
        )
        self.tables.uplinks.set(port.number, name)
        self.tables.up.set(port.number, given.link is LinkState.UP)
        self._connect(port, node, uplink_chains(port, given, self.wiring, self.tables, self.switch))
        for team in teams.values():
            if name in team.policy.active.value + team.policy.standby.value:
                self.wiring.graph.add_edge(team.name, name, key="team")

    def _client_port(self, name: str, adapter: Vnic | Vmkernel, kind: PortKind, team: Team) -> Port:
        initial = Mac(adapter.mac or 0)
        effective = Mac(getattr(adapter, "effective_mac", None) or initial)
        groups = getattr(adapter, "groups", None)
        policy = team.policy
        self.turn += 1
        return Port(
            name,
            len(self.wiring.ports),
            self._next_id(kind),
            kind,
            self.host,
            self.switch,
            adapter.network,
            policy.vlan.value,
            initial,
            effective,
            team.name,
            self.turn - 1,
            effective == initial or policy.mac_changes.value is Answer.ACCEPT,
            getattr(adapter, "promiscuous", False) and policy.promiscuous.value is Answer.ACCEPT,
            None if groups is None else frozenset(map(Mac, groups)),
        )

    def _connect(self, port: Port, node: str, chains: tuple[Chain, Chain]) -> None:
        self.wiring.ports.append(port)
        graph = self.wiring.graph
        graph.add_node(port.name, kind="port", port=port)
        graph.add_edge(port.name, node, key="input", chain=chains[0])
        graph.add_edge(node, port.name, key="output", chain=chains[1])

    def _enter(
        self, port: Port, adapter: Vnic | Vmkernel, team: Team, forwarding: Forwarding, own: "Table[int, bool]"
    ) -> None:
        """Put a client port into the switch's tables; a disconnected one is in none."""
        self.tables.portgroups.set(port.number, port.portgroup or "")
        if not getattr(adapter, "connected", True):
            return
        vlan, mac = team.policy.vlan.value, int(port.effective_mac or 0)
        own.set(int(port.initial_mac or 0), True)
        forwarding.members.add(vlan, 0, port.name)
        if port.mac_accepted:
            own.set(mac, True)
            forwarding.macs.add(vlan, mac, port.name)
            self.tables.owners.add(vlan, mac, port.portgroup or "")
        else:
            forwarding.refused.set((vlan, mac), Refused(port.name, team.policy.mac_changes))
        if port.promiscuous:
            forwarding.promiscuous.add(vlan, 0, port.name)

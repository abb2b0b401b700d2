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
from iochain.topology.cabling import with_links
from iochain.topology.chains import HostTables, client_chains, probes, team_chain, uplink_chains
from iochain.topology.effective import Policy, Settings
from iochain.topology.expansion import expanded, uplinks
from iochain.topology.fabric import Cable, Fabric, wire_fabric
from iochain.topology.mistakes import Place, guess
from iochain.topology.spec import Answer, LabSpec, LinkState, Vm, Vmkernel, Vnic
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
    fabric: Fabric = field(factory=Fabric)

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
    def cables(self) -> tuple[Cable, ...]:
        """The cables between ports."""
        return self.fabric.cables

    @property
    def blocked(self) -> Table[int, bool]:
        """Whether the spanning tree blocks a port of a physical switch, by port number."""
        return self.fabric.blocked

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

    def switch(self, node: str) -> "SwitchWiring":
        """What it takes to plug ports into a virtual switch while it runs."""
        switch: SwitchWiring = self.graph.nodes[node]["wiring"]
        return switch

    def switch_of(self, team: Team) -> "SwitchWiring":
        """The same, of a team's switch."""
        return self.switch(node_name(self.spec, team.host, team.switch))

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
    """The name of something of a host in the whole lab: with the host's in front where there are several.

    Of what belongs to no host (``host`` is empty) it is the name itself.
    """
    return name if len(spec.hosts) == 1 or not host else f"{host}.{name}"


def vnic_port(vm_name: str, vm: Vm, vnic: str) -> str:
    """The name of the port of a vNIC."""
    return vm_name if len(vm.vnics) == 1 else f"{vm_name}.{vnic}"


def why_off(port: str, vm: str, vnic: Vnic, powered_on: bool) -> From | None:
    """Why nothing passes a vNIC's port, as a setting; None: it is on."""
    if not powered_on:
        return From(False, f"VM {vm}", "powered_on")
    return None if vnic.connected else From(False, f"vNIC of {port}", "connected")


def _addresses(port: Port) -> set[int]:
    """The MACs by which a port is known to be the switch's own."""
    return {int(port.initial_mac or 0), *([int(port.effective_mac or 0)] if port.mac_accepted else [])}


def wire(spec: LabSpec, places: Mapping[str, Place] | None = None, name: str = "lab") -> Wiring:
    """The wiring of a checked lab."""
    whole = with_links(expanded(spec))
    wiring = Wiring(whole, nx.MultiDiGraph(), [], {}, Settings(whole, places or {}, name))
    tables: dict[str, HostTables] = {}
    for host in whole.hosts:
        tables[host] = _wire_host(wiring, host)
    wiring.tables = tables
    wiring.fabric = wire_fabric(wiring)
    return wiring


def _wire_host(wiring: Wiring, host: str) -> HostTables:
    spec = wiring.spec
    nics = uplinks(spec.hosts[host])
    tables = HostTables.of(host, {node_name(spec, host, nic): value for nic, value in nics.items()})
    for index, switch in enumerate(spec.hosts[host].vswitches, 1):
        SwitchWiring(wiring, host, switch, index, tables).wire()
    return tables


@frozen
class Plugged:
    """A client's port as it is plugged in: with its adapter, its team, and why nothing passes it (None: it is on)."""

    port: Port
    adapter: Vnic | Vmkernel
    team: Team
    off: From | None


@define
class SwitchWiring:
    """One switch in the graph: its tables, and the ports that are plugged into it."""

    wiring: Wiring
    host: str
    switch: str
    portset: int
    tables: HostTables
    taken: int = 1  # port numbers; the first is the switch's own "Management" port
    turn: int = 0
    teams: dict[str, Team] = field(factory=dict)  # by port group
    plugged: dict[str, Plugged] = field(factory=dict)  # by name of the port
    forwarding: Forwarding = field(init=False)
    own: Table[int, bool] = field(init=False)  # MACs of its ports

    def __attrs_post_init__(self) -> None:
        self.forwarding = Forwarding(
            ByVlan("MACs", ()), ByVlan("members", ()), ByVlan("promiscuous ports", ()), Table("refused MACs", None)
        )
        self.own = Table("MACs of the switch", False)

    @property
    def node(self) -> str:
        """Its node in the graph."""
        return node_name(self.wiring.spec, self.host, self.switch)

    def wire(self) -> None:
        """Put the switch, its teams and all its ports into the graph."""
        vswitch = self.wiring.spec.hosts[self.host].vswitches[self.switch]
        chain = Chain(self.node, [Element("forwarding", self.forwarding)])
        self.wiring.graph.add_node(
            self.node, kind="switch", host=self.host, chain=chain, forwarding=self.forwarding, wiring=self
        )
        self.teams = {name: self._team(name, self.node) for name in vswitch.portgroups}
        for uplink in vswitch.uplinks:
            self._uplink(uplink, self.node, self.teams)
        for name, adapter, kind, off in self._clients():
            self.plug(name, adapter, kind, off)
            self.wiring.sends_as[name] = tuple(map(Mac, adapter.sends_as))

    def plug(
        self,
        name: str,
        adapter: Vnic | Vmkernel,
        kind: PortKind,
        off: From | None = None,
        again: Port | None = None,
        same: bool = False,
    ) -> Port:
        """Plug an adapter into its port group: a port with chains, in the tables unless something says it is ``off``.

        ``again`` is the port of this name that is there already, unplugged: its number in the lab stays. If it is the
        ``same`` port, only changed, its id stays too; else it connects anew and gets the next one.
        """
        team = self.teams[adapter.network]
        number = len(self.wiring.ports) if again is None else again.number
        if again is None or not same:
            self.turn += 1
            port = self._client_port(name, number, self._next_id(kind), self.turn - 1, adapter, kind, team)
        else:
            port = self._client_port(name, number, again.id, again.turn, adapter, kind, team)
        chains = client_chains(port, adapter, team, self.tables, self.own, self.wiring, off)
        self._connect(port, self.node, chains)
        self._enter(Plugged(port, adapter, team, off))
        return port

    def unplug(self, name: str) -> Plugged:
        """Take a port out of the tables. Its node stays in the graph."""
        plugged = self.plugged.pop(name)
        self.tables.portgroups.set(plugged.port.number, "")
        if plugged.off is not None:
            return plugged
        port, vlan, mac = plugged.port, plugged.team.policy.vlan.value, int(plugged.port.effective_mac or 0)
        self.forwarding.members.take_out(vlan, 0, name)
        if port.mac_accepted:
            self.forwarding.macs.take_out(vlan, mac, name)
            self.tables.owners.take_out(vlan, mac, port.portgroup or "")
        if port.promiscuous:
            self.forwarding.promiscuous.take_out(vlan, 0, name)
        self._own_again(port)
        return plugged

    def _own_again(self, gone: Port) -> None:
        """Enter anew what ports share where one of them is gone: MACs of the switch, MACs that were refused."""
        others = [one for one in self.plugged.values() if one.off is None]
        for mac in _addresses(gone):
            self.own.set(mac, any(mac in _addresses(one.port) for one in others))
        if not gone.mac_accepted:
            key = (gone.vlan or 0, int(gone.effective_mac or 0))
            self.forwarding.refused.set(key, None)
            for one in others:
                if not one.port.mac_accepted and (one.port.vlan or 0, int(one.port.effective_mac or 0)) == key:
                    self.forwarding.refused.set(key, Refused(one.port.name, one.team.policy.mac_changes))

    def _clients(self) -> Iterator[tuple[str, Vnic | Vmkernel, PortKind, From | None]]:
        """The ports that are no uplinks, and why each is off: vmkernel adapters, then VMs in the lab's order."""
        spec = self.wiring.spec
        portgroups = spec.hosts[self.host].vswitches[self.switch].portgroups
        for name, vmkernel in spec.hosts[self.host].vmkernel.items():
            if vmkernel.network in portgroups:
                yield node_name(spec, self.host, name), vmkernel, PortKind.VMKERNEL, None
        for vm_name, vm in spec.vms.items():
            if vm.host != self.host:
                continue
            for name, vnic in vm.vnics.items():
                if vnic.network in portgroups:
                    port = vnic_port(vm_name, vm, name)
                    yield port, vnic, PortKind.VNIC, why_off(port, vm_name, vnic, vm.powered_on)

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
        self.tables.nics.set(int(port.effective_mac or 0), name)
        self.tables.up.set(port.number, given.link is LinkState.UP)
        probing = [team.policy.failure_detection for team in teams.values() if probes(team.policy)]
        chains = uplink_chains(port, given, self.wiring, self.tables, self.switch, probing[0] if probing else None)
        self._connect(port, node, chains)
        for team in teams.values():
            if name in team.policy.active.value + team.policy.standby.value:
                self.wiring.graph.add_edge(team.name, name, key="team")

    def _client_port(
        self, name: str, number: int, port_id: int, turn: int, adapter: Vnic | Vmkernel, kind: PortKind, team: Team
    ) -> Port:
        initial = Mac(adapter.mac or 0)
        effective = Mac(getattr(adapter, "effective_mac", None) or initial)
        groups = getattr(adapter, "groups", None)
        policy = team.policy
        return Port(
            name,
            number,
            port_id,
            kind,
            self.host,
            self.switch,
            adapter.network,
            policy.vlan.value,
            initial,
            effective,
            team.name,
            turn,
            effective == initial or policy.mac_changes.value is Answer.ACCEPT,
            getattr(adapter, "promiscuous", False) and policy.promiscuous.value is Answer.ACCEPT,
            None if groups is None else frozenset(map(Mac, groups)),
        )

    def _connect(self, port: Port, node: str, chains: tuple[Chain, Chain]) -> None:
        ports, graph = self.wiring.ports, self.wiring.graph
        if port.number == len(ports):
            ports.append(port)
        else:
            graph.remove_node(port.name)
            ports[port.number] = port
        graph.add_node(port.name, kind="port", port=port)
        graph.add_edge(port.name, node, key="input", chain=chains[0])
        graph.add_edge(node, port.name, key="output", chain=chains[1])

    def _enter(self, plugged: Plugged) -> None:
        """Put a client port into the switch's tables; one that is off is in none."""
        port, team = plugged.port, plugged.team
        self.plugged[port.name] = plugged
        self.tables.portgroups.set(port.number, port.portgroup or "")
        if plugged.off is not None:
            return
        forwarding, own = self.forwarding, self.own
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

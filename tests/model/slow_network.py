"""A slow, obvious model of a network that changes: hosts, physical switches, cables, links, VMs, one frame at a time.

Written from the references and from what the documentation of stages says, and from nothing of iochain. What one host
does with one frame is :mod:`slow_model`; here is what comes between: wires and cables, learning switches, the spanning
tree, and what hosts decide as time goes by. Section numbers are those of the reference of facts; "chosen" marks what no
source says, as the documentation of stages names it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from heapq import heappop, heappush
from itertools import count
from math import ceil
from typing import NamedTuple

import slow_model
from slow_model import Client, Group, Outcome, Parts, Policies, Switch, Way, is_bpdu, is_too_long, parts

MS, SECOND = 10**6, 10**9
GENERATED = 1 << 22
SMALLEST = 60
LINK, NIC, NO_CABLE, ERR_DISABLED = "link", "nic", "no cable", "err-disabled"
RARP = bytes.fromhex("8035 0001 0800 06 04 0003")
RESERVED = bytes.fromhex("0180c20000")


# -- what a site is


class Short:
    """Says of itself only what is not usual."""

    def __repr__(self) -> str:
        said = [one for one in fields(self) if getattr(self, one.name) != one.default]  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{one.name}={getattr(self, one.name)!r}' for one in said)})"


@dataclass(frozen=True, repr=False)
class Team(Short):
    """A port group of a host. ``failback`` and ``notifies`` are the teaming policy's."""

    group: Group
    failback: bool = True
    notifies: bool = True


@dataclass(frozen=True, repr=False)
class Vswitch(Short):
    """A standard switch of a host with its uplinks, by their names in the whole lab."""

    name: str
    uplinks: tuple[str, ...]
    teams: tuple[Team, ...]
    policies: Policies = Policies()
    mtu: int = 1500


@dataclass(frozen=True, repr=False)
class Host(Short):
    """A host; its VMs are those of the site."""

    name: str
    vswitches: tuple[Vswitch, ...]


@dataclass(frozen=True, repr=False)
class Guest(Short):
    """A VM with one vNIC, or a vmkernel adapter."""

    name: str
    host: str
    group: str
    mac: bytes
    effective_mac: bytes
    on: bool = True
    asks_promiscuous: bool = False
    wanted: tuple[bytes, ...] | None = None
    is_vmkernel: bool = False


@dataclass(frozen=True, repr=False)
class Jack(Short):
    """A port of a physical switch. ``vlan``: an access port's, None for a trunk; ``allowed`` None: all VLANs.

    ``is_open``: something that is not modelled is behind it, and no cable.
    """

    name: str
    vlan: int | None = None
    native: int = 1
    allowed: tuple[int, ...] | None = None
    has_guard: bool = False
    is_open: bool = False
    is_shut: bool = False
    channel: str | None = None

    def carries(self, vlan: int) -> bool:
        """Whether frames of a VLAN pass."""
        return vlan == self.vlan if self.vlan is not None else self.allowed is None or vlan in self.allowed


@dataclass(frozen=True, repr=False)
class Bridge(Short):
    """A physical switch."""

    name: str
    jacks: tuple[Jack, ...]
    priority: int = 32_768
    mtu: int = 1500
    ageing_ns: int = 300 * SECOND


@dataclass(frozen=True, repr=False)
class Cable(Short):
    """A cable with its two ends."""

    name: str
    a: str
    b: str
    latency_ns: int

    def other(self, port: str) -> str:
        """The other end."""
        return self.b if port == self.a else self.a


@dataclass(frozen=True, repr=False)
class Site(Short):
    """A whole lab. ``rates``: bit/s by port with a wire; ``dark``: uplinks that have no link when it starts."""

    version: str
    hosts: tuple[Host, ...]
    guests: tuple[Guest, ...]
    bridges: tuple[Bridge, ...]
    cables: tuple[Cable, ...]
    rates: dict[str, int]
    dark: frozenset[str] = frozenset()
    settings: dict[str, int] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    rarp_ms: tuple[int, ...] = (0, 786, 1786, 2786, 4786, 7786)
    has_spanning_tree: bool = True
    queue: int = 1000  # frames that may wait at each port of a physical switch

    def setting(self, name: str, default: int) -> int:
        """An advanced setting without its "Net."."""
        return self.settings.get(name, default)


class Order(NamedTuple):
    """What orders frames of one moment: who made it, and its number."""

    source: int
    serial: int


class Fate(NamedTuple):
    """What became of a copy: delivered at a port (``reason`` is empty, ``data`` what it got), or dropped there."""

    time_ns: int
    source: int
    serial: int
    port: str
    direction: str = ""
    reason: str = ""
    data: bytes = b""

    def __repr__(self) -> str:
        what = f"{self.direction} {self.reason}" if self.reason else f"{len(self.data)} bytes {self.data[:18].hex()}"
        return f"<{self.source}/{self.serial} at {self.time_ns} ns: {self.port} {what}>"


# -- what changes


@dataclass
class Wire:
    """A port's way onto its cable: when it is free, and when the frames that wait begin."""

    free: Fraction = Fraction(0)
    waiting: list[Fraction] = field(default_factory=list)


@dataclass
class Nic:
    """What a host makes of an uplink's link (5.4)."""

    sees_link: bool
    usable: bool
    looks: bool = False
    delay: int = 0  # number of the last wait for Net.TeamPolicyUpDelay
    losses: list[int] = field(default_factory=list)


@dataclass
class Machine:
    """A guest as it is now: on a switch, at a port of it by number."""

    guest: Guest
    number: int


@dataclass
class SlowNetwork:
    """A site that runs, one event or frame after the other."""

    site: Site
    now: int = 0
    fates: list[Fate] = field(default_factory=list)
    consumed: int = 0
    failovers: int = 0
    offered: int = 0
    entered: int = 0
    generated: int = 0
    causes: dict[str, set[str]] = field(default_factory=dict)  # why a port has no link
    learned: dict[str, dict[tuple[int, bytes], str]] = field(default_factory=dict)  # places, by switch
    moves: dict[tuple[str, bytes], int] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)  # in the order in which they connected
    used: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # uplinks in use, by host and port group
    _slots: dict[tuple[str, str], list[str | None]] = field(default_factory=dict)
    _nics: dict[str, Nic] = field(default_factory=dict)
    _wires: dict[str, Wire] = field(default_factory=dict)
    _cut: set[tuple[str, str]] = field(default_factory=set)  # cables by name, and the end that they do not reach
    _flying: dict[int, tuple[str, Order]] = field(default_factory=dict)  # frames on cables: the end they go to
    _seen: dict[tuple[str, int, bytes], int] = field(default_factory=dict)
    _states: dict[str, str] = field(default_factory=dict)
    _bursts: dict[str, int] = field(default_factory=dict)
    _taken: dict[str, int] = field(default_factory=dict)  # port numbers, by virtual switch
    _events: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    _frames: list[tuple[int, Order, int, Callable[[], None]]] = field(default_factory=list)
    _tick: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        site = self.site
        self.causes = {port: set() for port in site.rates}
        for bridge in site.bridges:
            self.learned[bridge.name] = {}
            for jack in bridge.jacks:
                if jack.is_shut:
                    self._both_ends(jack.name, LINK, lose=True)
                elif not jack.is_open and self.cable_at(jack.name) is None:
                    self.causes[jack.name].add(NO_CABLE)
        for uplink in site.dark:
            self._both_ends(uplink, LINK, lose=True)
        for host in site.hosts:
            for vswitch in host.vswitches:
                self._taken[vswitch.name + host.name] = 1 + len(vswitch.uplinks)
                for uplink in vswitch.uplinks:
                    self._nics[uplink] = Nic(self.has_link(uplink), self.has_link(uplink))
        for guest in sorted(site.guests, key=lambda guest: not guest.is_vmkernel):
            self.machines[guest.name] = Machine(guest, self._next_number(guest))
        for host, vswitch, team in self.teams():
            self._judge(host, vswitch, team)
        self.settle()
        self.failovers = 0

    # -- looking things up

    @property
    def uplinks(self) -> list[str]:
        """All uplinks."""
        return list(self._nics)

    def teams(self) -> Iterator[tuple[Host, Vswitch, Team]]:
        """All port groups."""
        for host in self.site.hosts:
            for vswitch in host.vswitches:
                for team in vswitch.teams:
                    yield host, vswitch, team

    def vswitch_of(self, guest: Guest) -> tuple[Host, Vswitch, Team]:
        """Where a guest is plugged in."""
        return next(
            (host, vswitch, team)
            for host, vswitch, team in self.teams()
            if (host.name, team.group.name) == (guest.host, guest.group)
        )

    def home_of(self, uplink: str) -> tuple[Host, Vswitch] | None:
        """The host and virtual switch of an uplink."""
        for host in self.site.hosts:
            for vswitch in host.vswitches:
                if uplink in vswitch.uplinks:
                    return host, vswitch
        return None

    def bridge_of(self, port: str) -> tuple[Bridge, Jack]:
        """The physical switch of a port."""
        return next((bridge, jack) for bridge in self.site.bridges for jack in bridge.jacks if jack.name == port)

    def is_jack(self, port: str) -> bool:
        """Whether it is a port of a physical switch."""
        return any(jack.name == port for bridge in self.site.bridges for jack in bridge.jacks)

    def cable_at(self, port: str) -> Cable | None:
        """The cable at a port."""
        return next((cable for cable in self.site.cables if port in (cable.a, cable.b)), None)

    def has_link(self, port: str) -> bool:
        """Whether nothing takes a port's link."""
        return not self.causes[port]

    # -- time

    def offer(self, time_ns: int, port: str, data: bytes) -> None:
        """A frame that will enter at a port."""
        self.offered += 1
        order = Order(0, self.offered)
        self._later(time_ns, order, lambda: self._set_out(port, parts(data), order))

    def at(self, time_ns: int, event: Callable[[], None]) -> None:
        """Something that will happen, before the frames of its moment."""
        heappush(self._events, (time_ns, next(self._tick), event))

    def _later(self, time_ns: int, order: Order, step: Callable[[], None]) -> None:
        heappush(self._frames, (time_ns, order, next(self._tick), step))

    def run(self, until: int) -> list[Fate]:
        """Everything before a moment; the fates since the last run, in order."""
        while True:
            event_ns = self._events[0][0] if self._events else until
            frame_ns = self._frames[0][0] if self._frames else until
            if min(event_ns, frame_ns) >= until:
                break
            if event_ns <= frame_ns:
                self.now, _, step = heappop(self._events)
            else:
                self.now, _, _, step = heappop(self._frames)
            step()
        self.now = until
        for bridge in self.site.bridges:
            self._forget_old(bridge, until - 1)
        found, self.fates = sorted(self.fates), []
        return found

    # -- frames

    def _set_out(self, port: str, frame: Parts, order: Order) -> None:
        self.entered += 1
        self._enter(port, frame, order)

    def _enter(self, port: str, frame: Parts, order: Order) -> None:
        if self.is_jack(port):
            self._into_bridge(port, frame, order)
        else:
            self._into_host(port, frame, order)

    def _into_host(self, port: str, frame: Parts, order: Order) -> None:
        at_uplink = self.home_of(port)
        host, vswitch = at_uplink or self.vswitch_of(self.machines[port].guest)[:2]
        switch = self._switch(host, vswitch)
        way = Way(self._as_lab(host, vswitch, switch), switch, port, Outcome())
        if at_uplink:
            way.from_uplink(frame)
        else:
            way.from_client(slow_model.client_of(switch, port), frame)
        for dropped in way.outcome.dropped:
            self._drop(order, *dropped)
        for where, data in way.outcome.delivered:
            if where in vswitch.uplinks:
                self._out_of_uplink(where, data, order)
            else:
                self.fates.append(Fate(self.now, *order, where, data=data))

    def _out_of_uplink(self, uplink: str, data: bytes, order: Order) -> None:
        if self.has_link(uplink):
            self._transmit(uplink, data, self.site.setting("MaxNetifTxQueueLen", 2000), order)
        else:
            self._drop(order, uplink, "out", "LINK_DOWN")

    def _switch(self, host: Host, vswitch: Vswitch) -> Switch:
        """The virtual switch of one host, as :mod:`slow_model` has it."""
        groups = tuple(team.group for team in vswitch.teams)
        clients = tuple(self._client(one) for one in self._on(host, [group.name for group in groups]))
        return Switch(vswitch.name, vswitch.uplinks, groups, clients, vswitch.mtu, vswitch.policies)

    def _on(self, host: Host, groups: Iterable[str]) -> list[Machine]:
        """The guests of port groups of a host, on or off."""
        names = list(groups)
        return [one for one in self.machines.values() if one.guest.host == host.name and one.guest.group in names]

    def _client(self, machine: Machine) -> Client:
        guest = machine.guest
        return Client(
            guest.name,
            guest.group,
            guest.mac,
            guest.effective_mac,
            guest.asks_promiscuous,
            guest.wanted,
            guest.on,
            guest.is_vmkernel,
            machine.number,
        )

    def _as_lab(self, host: Host, vswitch: Vswitch, switch: Switch) -> slow_model.Lab:
        used = {group: uplinks for (name, group), uplinks in self.used.items() if name == host.name}
        live = frozenset(uplink for uplink in vswitch.uplinks if self.has_link(uplink))
        site = self.site
        return slow_model.Lab(site.version, (switch,), live, site.settings, site.options, used)

    def _transmit(self, port: str, data: bytes, room: int, order: Order) -> None:
        """Wait for the wire, and take the time that the bits take (IEEE 802.3); who finds the queue full is dropped."""
        wire = self._wires.setdefault(port, Wire())
        wire.waiting = [begin for begin in wire.waiting if begin > self.now]
        if len(wire.waiting) >= room:
            self._drop(order, port, "out", "TRANSMIT_QUEUE")
            return
        begin = max(wire.free, Fraction(self.now))
        if begin > self.now:
            wire.waiting.append(begin)
        preamble, check, gap = 8, 4, 12
        end = begin + Fraction((preamble + len(data) + check) * 8 * SECOND, self.site.rates[port])
        wire.free = end + Fraction(gap * 8 * SECOND, self.site.rates[port])
        self._later(ceil(end), order, lambda: self._leave(port, data, order))

    def _leave(self, port: str, data: bytes, order: Order) -> None:
        """Onto the cable; where there is none the frame has left the lab."""
        cable = self.cable_at(port)
        if cable is None:
            self.fates.append(Fate(self.now, *order, port, data=data))
            return
        other = cable.other(port)
        if (cable.name, other) in self._cut:
            self._drop(order, port, "out", "CABLE_CUT")
            return
        flight = next(self._tick)
        self._flying[flight] = other, order
        self._later(self.now + cable.latency_ns, order, lambda: self._land(flight, data))

    def _land(self, flight: int, data: bytes) -> None:
        if flight in self._flying:
            port, order = self._flying.pop(flight)
            self._enter(port, parts(data), order)

    def _drop(self, order: Order, port: str, direction: str, reason: str) -> None:
        self.fates.append(Fate(self.now, *order, port, direction, reason))

    # -- physical switches

    def state(self, port: str) -> str:
        """What a port of a physical switch is good for; nothing: it forwards."""
        if self.causes[port]:
            return "ERR_DISABLED" if ERR_DISABLED in self.causes[port] else "NO_LINK"
        return "BLOCKED" if port in self.blocked() else ""

    def _into_bridge(self, port: str, frame: Parts, order: Order) -> None:
        bridge, jack = self.bridge_of(port)
        vlan, reason = self._admitted(bridge, jack, frame)
        if reason == "FOR_THE_SWITCH":
            self.consumed += 1
        elif reason:
            self._drop(order, port, "in", reason)
        else:
            frame = frame._replace(tci=(frame.tci or 0) & 0xF000 | vlan)
            self._learn(bridge, jack, frame)
            self._forward(bridge, jack, frame, order)
        if reason == "BPDU_GUARD":
            self._both_ends(port, ERR_DISABLED, lose=True)
            self.settle()

    def _admitted(self, bridge: Bridge, jack: Jack, frame: Parts) -> tuple[int, str]:
        """The VLAN of a frame that comes in, and why it does not."""
        if self._states[jack.name]:
            return 0, self._states[jack.name]
        if is_bpdu(frame) and jack.has_guard:
            return 0, "BPDU_GUARD"
        if is_bpdu(frame) and self.site.has_spanning_tree:
            return 0, "FOR_THE_SWITCH"
        if frame.destination[:5] == RESERVED and frame.destination[5] < 16 and not is_bpdu(frame):
            return 0, "FOR_THE_SWITCH"
        vlan, reason = _vlan_in(jack, frame)
        return vlan, reason or ("MTU_EXCEEDED" if is_too_long(frame, bridge.mtu) else "")

    def _learn(self, bridge: Bridge, jack: Jack, frame: Parts) -> None:
        self._forget_old(bridge, self.now)
        if frame.source[0] & 1:
            return
        learned, key, here = self.learned[bridge.name], (frame.vlan, frame.source), _place(bridge, jack)
        if learned.get(key, here) != here:
            self.moves[bridge.name, frame.source] = self.moves.get((bridge.name, frame.source), 0) + 1
        learned[key] = here
        self._seen[bridge.name, *key] = self.now

    def _forget_old(self, bridge: Bridge, now: int) -> None:
        learned = self.learned[bridge.name]
        for key in list(learned):
            if self._seen[bridge.name, *key] + bridge.ageing_ns <= now:
                del learned[key]

    def _forward(self, bridge: Bridge, jack: Jack, frame: Parts, order: Order) -> None:
        """To where the destination is; else everywhere in the VLAN but back."""
        there = self.learned[bridge.name].get((frame.vlan, frame.destination))
        places: dict[str, list[Jack]] = {}
        for one in bridge.jacks:
            if not self._states[one.name] and one.carries(frame.vlan):
                places.setdefault(_place(bridge, one), []).append(one)
        places.pop(_place(bridge, jack), None)
        if there is not None and not frame.is_group:
            places = {place: some for place, some in places.items() if place == there}
        if not places:
            self._drop(order, jack.name, "in", "NO_PORT")
        for some in places.values():
            one = some[slow_model.xor_of_addresses(frame) % len(some)]  # of a channel one member
            tci = None if frame.vlan in (one.vlan, one.native if one.vlan is None else None) else frame.tci
            sent = frame._replace(tci=tci)
            padding = bytes(max(0, SMALLEST - len(sent.untagged)))
            self._transmit(one.name, sent.whole + padding, self.site.queue, order)

    def settle(self) -> None:
        """Links have changed: the spanning tree, and MACs that are not known any more."""
        blocked = self.blocked()
        states = {
            jack.name: self.state(jack.name) if self.causes[jack.name] else "BLOCKED" if jack.name in blocked else ""
            for bridge in self.site.bridges
            for jack in bridge.jacks
        }
        between = {end for cable in self._between() for end in (cable.a, cable.b)}
        has_changed = any(states[port] != self._states.get(port) for port in between)
        self._states = states
        for bridge in self.site.bridges:
            open_places = {_place(bridge, jack) for jack in bridge.jacks if not states[jack.name]}
            if has_changed:
                open_places -= {_place(bridge, jack) for jack in bridge.jacks if jack.name in between}
            learned = self.learned[bridge.name]
            self.learned[bridge.name] = {key: place for key, place in learned.items() if place in open_places}

    def _between(self) -> list[Cable]:
        """The cables between physical switches."""
        return [cable for cable in self.site.cables if self.is_jack(cable.a) and self.is_jack(cable.b)]

    def blocked(self) -> set[str]:
        """The ports that IEEE 802.1D blocks: on each cable outside of the tree the end farther from the root."""
        live = [cable for cable in self._between() if self.has_link(cable.a) and self.has_link(cable.b)]
        if not self.site.has_spanning_tree:
            return set()
        distance = self._distances(live)
        root_ports = {self._root_port(bridge, live, distance) for bridge in self.site.bridges}
        blocked = set()
        for cable in live:
            if root_ports.isdisjoint((cable.a, cable.b)):
                blocked.add(max((cable.a, cable.b), key=lambda end: (*self._rank(end, distance), self._number(end))))
        return blocked

    def _distances(self, live: list[Cable]) -> dict[str, tuple[int, str, int]]:
        """For each switch its root (priority, name) and the least cost of a way there: tried until nothing improves."""
        best = {bridge.name: (bridge.priority, bridge.name, 0) for bridge in self.site.bridges}
        for _ in self.site.bridges:
            for cable in live:
                for near, far in ((cable.a, cable.b), (cable.b, cable.a)):
                    priority, root, cost = best[self.bridge_of(far)[0].name]
                    offered = (priority, root, cost + self._cost(cable))
                    here = self.bridge_of(near)[0].name
                    best[here] = min(best[here], offered)
        return best

    def _root_port(self, bridge: Bridge, live: list[Cable], distance: dict[str, tuple[int, str, int]]) -> str | None:
        """Least cost, then the lowest neighbour, its lowest port, the own lowest port; the root has none."""
        ways = []
        for cable in live:
            for near, far in ((cable.a, cable.b), (cable.b, cable.a)):
                neighbour = self.bridge_of(far)[0]
                if self.bridge_of(near)[0] != bridge or neighbour == bridge:
                    continue
                cost = distance[neighbour.name][2] + self._cost(cable)
                ways.append((cost, neighbour.priority, neighbour.name, self._number(far), self._number(near), near))
        return min(ways)[-1] if ways and distance[bridge.name][1] != bridge.name else None

    def _rank(self, port: str, distance: dict[str, tuple[int, str, int]]) -> tuple[int, int, str]:
        bridge = self.bridge_of(port)[0]
        return distance[bridge.name][2], bridge.priority, bridge.name

    def _number(self, port: str) -> int:
        bridge, jack = self.bridge_of(port)
        return bridge.jacks.index(jack)

    def _cost(self, cable: Cable) -> int:
        return 20 * 10**12 // self.site.rates[cable.a]  # 802.1D-2004, table 17-3

    # -- links

    def link_down(self, port: str) -> None:
        """The link of a port is lost, at both ends of its cable."""
        self._both_ends(port, LINK, lose=True)
        self.settle()

    def link_up(self, port: str) -> None:
        """It is back."""
        self._both_ends(port, LINK, lose=False)
        self.settle()

    def nic_down(self, uplink: str) -> None:
        """The host takes a NIC down; its peer keeps its link (5.8)."""
        self._change(uplink, NIC, lose=True)

    def nic_up(self, uplink: str) -> None:
        """And up."""
        self._change(uplink, NIC, lose=False)

    def cut_cable(self, name: str, toward: str | None = None) -> None:
        """What is on the cable is lost; an end that receives nothing has no link."""
        cable = next(cable for cable in self.site.cables if cable.name == name)
        for end in (cable.a, cable.b) if toward is None else (toward,):
            self._cut.add((name, end))
            for flight, (receiver, order) in list(self._flying.items()):
                if receiver == end:
                    del self._flying[flight]
                    self._drop(order, cable.other(end), "out", "CABLE_CUT")
            self._change(end, name, lose=True)
        self.settle()

    def mend_cable(self, name: str, toward: str | None = None) -> None:
        """It is whole again."""
        cable = next(cable for cable in self.site.cables if cable.name == name)
        for end in (cable.a, cable.b) if toward is None else (toward,):
            self._cut.discard((name, end))
            self._change(end, name, lose=False)
        self.settle()

    def reopen(self, port: str) -> None:
        """Somebody opens a port that BPDU Guard has shut; nothing happens to others."""
        if ERR_DISABLED in self.causes[port]:
            self._both_ends(port, ERR_DISABLED, lose=False)
            self.settle()

    def _both_ends(self, port: str, cause: str, lose: bool) -> None:
        cable = self.cable_at(port)
        for end in (port, *([cable.other(port)] if cable else [])):
            self._change(end, cause, lose)

    def _change(self, port: str, cause: str, lose: bool) -> None:
        if lose:
            self.causes[port].add(cause)
        else:
            self.causes[port].discard(cause)
        nic = self._nics.get(port)
        if nic is not None and not nic.looks and nic.sees_link != self.has_link(port):
            period = self.site.setting("LinkStatePollTimeout", 500) * MS
            nic.looks = True
            self.at(-(-self.now // period) * period, lambda: self._look(port, nic))

    def _look(self, uplink: str, nic: Nic) -> None:
        """The host polls (5.4): a lost link counts at once, one that is back after the delay, and if it is stable."""
        nic.looks = False
        if nic.sees_link == self.has_link(uplink):
            return
        nic.sees_link = self.has_link(uplink)
        nic.delay = wait = next(self._tick)
        if not nic.sees_link:
            nic.losses.append(self.now)
            if nic.usable:
                nic.usable = False
                self._judge_all(uplink)
            return
        ready = self.now + self.site.setting("TeamPolicyUpDelay", 100) * MS
        threshold = self.site.setting("LinkFlappingThreshold", 60)
        if threshold and len(nic.losses) >= threshold:
            ready = max(ready, nic.losses[-threshold] + 60 * SECOND)
        if ready == self.now:
            self._use(uplink, nic, wait)
        else:
            self.at(ready, lambda: self._use(uplink, nic, wait))

    def _use(self, uplink: str, nic: Nic, wait: int) -> None:
        if nic.delay == wait:  # not lost meanwhile
            nic.usable = True
            self._judge_all(uplink)

    # -- teams

    def _judge_all(self, uplink: str) -> None:
        for host, vswitch, team in list(self.teams()):
            active, standby = self._order(vswitch, team)
            if uplink in active + standby:
                self._judge(host, vswitch, team)

    def _judge(self, host: Host, vswitch: Vswitch, team: Team) -> None:
        """Which uplinks a team uses now; who sends by another one than before tells the switches (5.3, 5.4, 5.6)."""
        key = host.name, team.group.name
        clients = [one for one in self._on(host, [team.group.name]) if one.guest.on]
        before = {one.guest.name: self._ways(one) for one in clients} if key in self.used else {}
        used = self._chosen(key, vswitch, team)
        if self.used.get(key) == used:
            return
        self.used[key] = used
        self.failovers += 1
        self._notify([name for name, ways in before.items() if set(self._ways(self.machines[name])) - set(ways)])

    def _chosen(self, key: tuple[str, str], vswitch: Vswitch, team: Team) -> list[str]:
        active, standby = self._order(vswitch, team)
        usable = frozenset(uplink for uplink in vswitch.uplinks if self._nics[uplink].usable)
        switch = Switch(vswitch.name, vswitch.uplinks, (team.group,), (), vswitch.mtu, vswitch.policies)
        client = Client("", team.group.name, b"", b"")
        places: list[str | None] = list(slow_model.team(slow_model.Lab("8.0", (switch,), usable), switch, client))
        if team.failback:
            return [uplink for uplink in places if uplink is not None]
        if key not in self._slots:
            spare = [uplink for uplink in standby if uplink in usable]
            if slow_model.balancing(switch, client) != "explicit" and active:
                places = [uplink if uplink in usable else spare.pop(0) if spare else None for uplink in active]
        else:  # rolling order: who has a place keeps it, a free one goes to the first idle one
            places = [uplink if uplink in usable else None for uplink in self._slots[key] or [None]]
            idle = [uplink for uplink in active + standby if uplink in usable and uplink not in places]
            places = [uplink or (idle.pop(0) if idle else None) for uplink in places]
        self._slots[key] = places
        return [uplink for uplink in places if uplink is not None]

    def _order(self, vswitch: Vswitch, team: Team) -> tuple[tuple[str, ...], tuple[str, ...]]:
        switch = Switch(vswitch.name, vswitch.uplinks, (team.group,), (), vswitch.mtu, vswitch.policies)
        return slow_model.order(switch, Client("", team.group.name, b"", b""))

    def _ways(self, machine: Machine) -> list[str]:
        """The uplinks by which physical switches know a guest."""
        host, vswitch, team = self.vswitch_of(machine.guest)
        used = self.used[host.name, team.group.name]
        if not used:
            return []
        switch = self._switch(host, vswitch)
        client = slow_model.client_of(switch, machine.guest.name)
        way = Way(self._as_lab(host, vswitch, switch), switch, machine.guest.name, Outcome())
        match slow_model.balancing(switch, client):
            case "portid":
                return [used[way.port_hash(client) % len(used)]]
            case "mac":
                return [used[client.effective_mac[5] % len(used)]]
            case "iphash":
                return used
            case "none":
                return []
        return used[:1]

    # -- notify switches

    def _notify(self, names: list[str], connecting: bool = False) -> None:
        """Bursts of RARP frames (5.6), for those whose switch knows them by their MAC."""
        told = [name for name in names if self._is_told(self.machines[name])]
        if not told:
            return
        burst = next(self._tick)
        self._bursts.update(dict.fromkeys(told, burst))
        for after_ms in self.site.rarp_ms:
            if connecting and after_ms == 0 and not self.site.setting("NetSendRARPOnPortEnablement", 1):
                continue
            self.at(self.now + after_ms * MS, lambda: self._announce(told, burst))

    def _is_told(self, machine: Machine) -> bool:
        host, vswitch, team = self.vswitch_of(machine.guest)
        switch = self._switch(host, vswitch)
        client = slow_model.client_of(switch, machine.guest.name)
        lab = self._as_lab(host, vswitch, switch)
        notifies = team.notifies and self.site.setting("NotifySwitch", 1) == 1
        return notifies and slow_model.receives_at_its_mac(lab, switch, client)

    def _announce(self, names: list[str], burst: int) -> None:
        for name in names:
            if self._bursts.get(name) != burst:
                continue
            machine = self.machines[name]
            for uplink in self._ways(machine)[:1]:
                self.generated += 1
                frame = self._rarp(machine)
                order = Order(GENERATED, self.generated)
                self._later(self.now, order, lambda way=(uplink, frame, order): self._out_of_uplink(*way))  # type: ignore[misc]

    def _rarp(self, machine: Machine) -> bytes:
        """T-6, in the VLAN of the port group."""
        mac = machine.guest.effective_mac
        vlan = self.vswitch_of(machine.guest)[2].group.vlan
        tag = b"\x81\x00" + vlan.to_bytes(2, "big") if 0 < vlan < slow_model.VGT else b""
        return b"\xff" * 6 + mac + tag + RARP + mac + bytes(4) + mac + bytes(4) + bytes(18)

    # -- VMs

    def power_on(self, name: str) -> None:
        """It connects, at a port of its own."""
        if not self.machines[name].guest.on:
            self._plug(replace(self.machines[name].guest, on=True), anew=True)
            self._notify([name], connecting=True)

    def power_off(self, name: str) -> None:
        """It is in no table any more."""
        if self.machines[name].guest.on:
            self._plug(replace(self.machines[name].guest, on=False), anew=False)

    def move(self, name: str, group: str | None = None, host: str | None = None) -> None:
        """To another port group, another host, or both; there it connects."""
        guest = self.machines[name].guest
        moved = replace(guest, group=group or guest.group, host=host or guest.host)
        if moved != guest:
            self._plug(moved, anew=True)
            if moved.on:
                self._notify([name], connecting=True)

    def set_mac(self, name: str, mac: str) -> None:
        """The guest receives and sends at another MAC."""
        guest = self.machines[name].guest
        address = bytes.fromhex(mac.replace(":", ""))
        if address != guest.effective_mac:
            self._plug(replace(guest, effective_mac=address), anew=False)
            if guest.on:
                self._notify([name], connecting=True)

    def _plug(self, guest: Guest, anew: bool) -> None:
        self._bursts.pop(guest.name, None)
        number = self.machines.pop(guest.name).number
        self.machines[guest.name] = Machine(guest, self._next_number(guest) if anew else number)

    def _next_number(self, guest: Guest) -> int:
        host, vswitch, _ = self.vswitch_of(guest)
        key = vswitch.name + host.name
        self._taken[key] += 1
        return self._taken[key]


def _vlan_in(jack: Jack, frame: Parts) -> tuple[int, str]:
    """The VLAN that a frame has inside, and why it does not come in."""
    if jack.vlan is not None:
        return (0, "VLAN_MISMATCH") if frame.vlan else (jack.vlan, "")
    if frame.vlan == 4095:
        return 0, "INVALID_TAG"
    if frame.vlan and frame.vlan == jack.native:  # chosen: the tag of the native VLAN is refused
        return 0, "VLAN_MISMATCH"
    vlan = frame.vlan or jack.native
    return (vlan, "") if vlan and jack.carries(vlan) else (0, "VLAN_MISMATCH")


def _place(bridge: Bridge, jack: Jack) -> str:
    """Where what comes in is learned to be: the port, or its channel."""
    return jack.name if jack.channel is None else f"{bridge.name} {jack.channel}"

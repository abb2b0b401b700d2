"""Strategies for sites of the slow network, what happens to them, and frames; and sites as iochain writes them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st
from labs_and_frames import BPDU, PVST_BPDU, VERSIONS, policies, rarely
from slow_model import BROADCAST, PVST, STP, VGT, Group, Policies
from slow_network import (
    ERR_DISABLED,
    LINK,
    MS,
    NIC,
    NO_CABLE,
    SECOND,
    Bridge,
    Cable,
    Guest,
    Host,
    Jack,
    Site,
    SlowNetwork,
    Team,
    Vswitch,
)

import iochain
from iochain.experiment.actions import Reopen

MACS = [bytes.fromhex("0050560000") + bytes([last]) for last in range(1, 11)]
PROGRAMMED = [bytes.fromhex("0242000000") + bytes([last]) for last in range(3)]
STRANGERS = [bytes.fromhex("0200000000fe"), bytes.fromhex("02000000007b")]
GROUPS = [bytes.fromhex("01005e010101"), bytes.fromhex("333300000001"), bytes.fromhex("0180c200000e"), PVST, STP]
RATES = [10**10, 10**9, 10**8, 10**8]
LATENCIES = [0, 25, 1_000, 2 * MS, 2 * MS]
PORTGROUPS = ("Prod", "Test", "Trunk")
VLANS = {"Prod": [10, 10, 10, 10, 0], "Test": [10, 10, 20], "Trunk": [VGT, VGT, 0]}
GAPS = [0, 0, 0, 0, 1, 700, 5_000, 300_000, 2 * MS, 120 * MS, 500 * MS]
SPANS = [0, 1_000, 2 * MS, 100 * MS, 500 * MS, 600 * MS, SECOND, 3 * SECOND]
NATIVE = 1

Action = tuple[str, tuple[Any, ...]]
"""The name of what happens, which the slow network and iochain share, and what it takes."""


# -- sites


@st.composite
def sites(draw: st.DrawFn) -> Site:
    """One to four hosts with one to four uplinks each, one to three physical switches, and up to six guests."""
    count = draw(st.integers(1, 4))
    hosts = tuple(draw(hosts_of(f"esx{number}", count > 1)) for number in range(count))
    plan = Plan(draw, hosts)
    groups = [(host.name, team.group.name) for host in hosts for vswitch in host.vswitches for team in vswitch.teams]
    guests = tuple(draw(guests_of(number, groups)) for number in range(draw(st.integers(1, 3)) * 2))
    uplinks = [uplink for host in hosts for vswitch in host.vswitches for uplink in vswitch.uplinks]
    settings: dict[str, list[int]] = {
        "LinkStatePollTimeout": [100],
        "TeamPolicyUpDelay": [0, 700],
        "LinkFlappingThreshold": [1, 1, 2, 0],
        "MaxNetifTxQueueLen": [1, 1, 3],
        "BlockGuestBPDU": [0, 0, 1],
        "ReversePathFwdCheck": [0],
        "ReversePathFwdCheckPromisc": [1],
        "NetSendRARPOnPortEnablement": [0],
        "NotifySwitch": [0],
    }
    options = {"port_hash": "round_robin_at_connect", "ip_hash": "last_octet", "est_guest_tag": "pass"}
    return Site(
        draw(st.sampled_from(VERSIONS)),
        hosts,
        guests,
        plan.bridges(),
        tuple(plan.cables),
        plan.rates,
        frozenset(uplink for uplink in uplinks if draw(st.integers(0, 9)) == 9),
        {name: draw(st.sampled_from(some)) for name, some in settings.items() if draw(st.integers(0, 3)) == 3},
        {name: value for name, value in options.items() if draw(st.integers(0, 5)) == 5},
        draw(st.sampled_from([(0, 786, 1786), (0, 786), (5,), (0, 786, 1786, 2786, 4786, 7786)])),
        plan.has_loops() or draw(st.integers(0, 4)) < 4,
        draw(st.sampled_from([1000, 2, 1])),
    )


@st.composite
def hosts_of(draw: st.DrawFn, name: str, is_long: bool) -> Host:
    """A host with one virtual switch, sometimes two; each port group is on one of them."""
    prefix = f"{name}." if is_long else ""
    nics = [f"{prefix}vmnic{number}" for number in range(draw(st.sampled_from([1, 2, 2, 2, 3, 4])))]
    parts = [nics] if draw(st.integers(0, 4)) < 4 else [nics[1:], nics[:1]]
    groups = [PORTGROUPS] if len(parts) == 1 else [PORTGROUPS[:1], PORTGROUPS[1:]]
    return Host(
        name,
        tuple(
            draw(vswitches(f"vSwitch{number}", tuple(uplinks), names))
            for number, (uplinks, names) in enumerate(zip(parts, groups, strict=True))
        ),
    )


@st.composite
def vswitches(draw: st.DrawFn, name: str, uplinks: tuple[str, ...], groups: tuple[str, ...]) -> Vswitch:
    """A standard switch; most teams have an order of uplinks to fail over in."""
    teams = []
    for group in groups:
        said = draw(st.one_of(orders(uplinks), orders(uplinks), policies(uplinks)))
        made = Group(group, draw(st.sampled_from(VLANS[group])), said)
        teams.append(Team(made, draw(st.integers(0, 2)) < 2, draw(st.integers(0, 5)) < 5))
    own = draw(rarely(policies(uplinks), often=Policies(mac_changes="accept", forged_transmits="accept")))
    return Vswitch(name, uplinks, tuple(teams), own, draw(st.sampled_from([1500, 1500, 1500, 300])))


@st.composite
def orders(draw: st.DrawFn, uplinks: tuple[str, ...]) -> Policies:
    """Active uplinks, and standby ones behind them."""
    order = tuple(draw(st.permutations(uplinks)))
    active = draw(st.integers(1, max(1, len(order) - 1)))
    balancing = draw(st.sampled_from([None, "portid", "mac", "explicit"]))
    return Policies(load_balancing=balancing, active=order[:active], standby=order[active:])


@st.composite
def guests_of(draw: st.DrawFn, number: int, groups: list[tuple[str, str]]) -> Guest:
    """A VM, rarely a vmkernel adapter."""
    host, group = draw(st.sampled_from(groups))
    mac = MACS[number]
    if draw(st.integers(0, 9)) == 9:
        name = f"{host}.vmk{number}" if len({host for host, _ in groups}) > 1 else f"vmk{number}"
        return Guest(name, host, group, mac, mac, is_vmkernel=True)
    return Guest(
        f"vm{number}",
        host,
        group,
        mac,
        draw(rarely(st.sampled_from([*MACS, *PROGRAMMED]), often=mac, one_in=6)),
        draw(st.integers(0, 6)) < 6,
        draw(st.integers(0, 6)) == 6,
        draw(rarely(st.sampled_from([(), (GROUPS[0],)]), often=None, one_in=6)),
    )


class Plan:
    """The physical network while it is drawn."""

    def __init__(self, draw: st.DrawFn, hosts: tuple[Host, ...]) -> None:
        self.draw = draw
        self.jacks: dict[str, list[Jack]] = {f"sw{number}": [] for number in range(1, draw(st.integers(1, 3)) + 1)}
        self.cables: list[Cable] = []
        self.rates: dict[str, int] = {}
        for host in hosts:
            for vswitch in host.vswitches:
                self._cable_host(vswitch)
        self._cable_the_rest()
        self._cable_switches()
        for bridge in self.jacks:
            for _ in range(draw(st.integers(0, 2))):
                said = {**draw(modes()), "is_open": True, "has_guard": draw(st.integers(0, 3)) == 3}
                name = self._jack(bridge, said)
                self.rates[name] = draw(st.sampled_from(RATES))

    def bridges(self) -> tuple[Bridge, ...]:
        """The switches with the ports that were plugged."""
        draw = self.draw
        return tuple(
            Bridge(
                name,
                tuple(jacks),
                4096 * draw(st.sampled_from([8, 8, 1, 2])),
                draw(st.sampled_from([1500, 1500, 9000, 200])),
                draw(st.sampled_from([300, 1, 2])) * SECOND,
            )
            for name, jacks in self.jacks.items()
        )

    def has_loops(self) -> bool:
        """Whether cables between switches close a circle."""
        joined = {name: {name} for name in self.jacks}
        for cable in self.cables:
            a, b = cable.a.partition(".")[0], cable.b.partition(".")[0]
            if a not in joined or b not in joined:
                continue
            if b in joined[a]:
                return True
            whole = joined[a] | joined[b]
            joined.update(dict.fromkeys(whole, whole))
        return False

    def _cable_host(self, vswitch: Vswitch) -> None:
        """Each uplink to some switch; with IP hash sometimes all to one, as a channel."""
        draw = self.draw
        rates = [draw(st.sampled_from(RATES)) for _ in vswitch.uplinks]
        said = {vswitch.policies.load_balancing, *(team.group.policies.load_balancing for team in vswitch.teams)}
        if "iphash" in said and len(rates) > 1 and draw(st.booleans()):
            bridge = draw(st.sampled_from(sorted(self.jacks)))
            like = {**draw(modes()), "channel": f"po{len(self.jacks[bridge])}"}
            for uplink in vswitch.uplinks:
                self._cable(uplink, self._jack(bridge, like), rates[0])
            return
        for uplink, rate in zip(vswitch.uplinks, rates, strict=True):
            if draw(st.integers(0, 9)) == 9:
                self.rates[uplink] = rate
                continue
            bridge = draw(st.sampled_from(sorted(self.jacks)))
            more = {"has_guard": draw(st.integers(0, 4)) == 4, "is_shut": draw(st.integers(0, 19)) == 19}
            self._cable(uplink, self._jack(bridge, {**draw(modes()), **more}), rate)

    def _cable_the_rest(self) -> None:
        """Of uplinks that go to no switch sometimes two to each other."""
        alone = [port for port in self.rates if all(port not in (cable.a, cable.b) for cable in self.cables)]
        if len(alone) > 1 and self.draw(st.booleans()):
            self._cable(alone[0], alone[1], self.rates[alone[0]])

    def _cable_switches(self) -> None:
        """Mostly a line of switches, often with more cables."""
        draw, names = self.draw, sorted(self.jacks)
        pairs = [pair for pair in pairwise(names) if draw(st.integers(0, 9)) < 9]
        more = st.tuples(st.sampled_from(names), st.sampled_from(names))
        pairs += draw(st.lists(more, max_size=3)) if len(names) > 1 else []
        for a, b in pairs:
            rate = draw(st.sampled_from(RATES))
            self._cable(self._jack(a, draw(rarely(modes(), often={}))), self._jack(b, {}), rate)

    def _jack(self, bridge: str, said: dict[str, Any]) -> str:
        name = f"{bridge}.{len(self.jacks[bridge]) + 1}"
        self.jacks[bridge].append(Jack(name, **said))
        return name

    def _cable(self, a: str, b: str, rate: int) -> None:
        self.rates[a] = self.rates[b] = rate
        self.cables.append(Cable(f"cable {len(self.cables)}", a, b, self.draw(st.sampled_from(LATENCIES))))


def modes() -> st.SearchStrategy[dict[str, Any]]:
    """Mostly a trunk that carries all."""
    some: list[dict[str, Any]] = [{"vlan": 10}, {"vlan": 20}, {"allowed": (10,)}, {"native": 10}, {"native": 0}]
    some += [{"allowed": (10, 20), "native": 20}]
    return rarely(st.sampled_from(some), often={}, one_in=5)


# -- what happens


def actions(network: SlowNetwork) -> st.SearchStrategy[Action]:
    """Things that can happen at a site; what is lost mostly comes back."""
    site = network.site
    ports, uplinks = sorted(site.rates), sorted(network.uplinks)
    vms = [guest.name for guest in site.guests if not guest.is_vmkernel]
    made = [_action("link_down", st.sampled_from([*ports, *uplinks])), _action("nic_down", st.sampled_from(uplinks))]
    if site.cables:
        cuts = st.sampled_from([(one.name, toward) for one in site.cables for toward in (None, None, one.a, one.b)])
        made.append(st.tuples(st.just("cut_cable"), cuts))
    if vms:
        made += [_of_vms(site, vms)] * 3
    back = list(_back(network))
    return st.one_of(*made, *[st.sampled_from(back)] * len(made)) if back else st.one_of(made)


def _back(network: SlowNetwork) -> Iterator[Action]:
    """What would give something back that is lost."""
    for port, causes in sorted(network.causes.items()):
        for cause in sorted(causes - {NO_CABLE}):
            if cause == ERR_DISABLED and not network.is_jack(port):
                continue
            if cause in (LINK, NIC, ERR_DISABLED):
                yield {LINK: "link_up", NIC: "nic_up", ERR_DISABLED: "reopen"}[cause], (port,)
            else:
                yield from (("mend_cable", (cause, port)), ("mend_cable", (cause, None)))
    yield from (("power_on", (name,)) for name, machine in network.machines.items() if not machine.guest.on)


def _of_vms(site: Site, vms: list[str]) -> st.SearchStrategy[Action]:
    some, hosts = st.sampled_from(vms), [None, *(host.name for host in site.hosts)]
    moves = st.tuples(some, st.sampled_from([None, *PORTGROUPS]), st.sampled_from(hosts))
    return st.one_of(
        _action("power_off", some),
        _action("set_mac", some, st.sampled_from([mac.hex(":") for mac in MACS + PROGRAMMED])),
        st.tuples(st.just("move"), moves.filter(lambda move: move[1:] != (None, None))),
    )


def _action(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Action]:
    return st.tuples(st.just(name), st.tuples(*arguments))


@dataclass(frozen=True)
class Sending:
    """A frame that enters at a port; ``size`` is that of its payload, which is IPv4 or of an experimental type."""

    port: str
    destination: bytes
    source: bytes
    tci: int | None
    kind: str
    last_octets: tuple[int, int]
    size: int

    @property
    def data(self) -> bytes:
        """The bytes."""
        tag = b"" if self.tci is None else b"\x81\x00" + self.tci.to_bytes(2, "big")
        if self.kind == "bpdu":
            return self.destination + self.source + tag + (PVST_BPDU if self.destination == PVST else BPDU)
        first, second = self.last_octets
        head = b"\x45\x00" + self.size.to_bytes(2, "big") + bytes(4) + b"\x40\x11\x00\x00"
        packet = head + bytes([10, 0, 0, first, 10, 0, 0, second])
        kind, body = (b"\x08\x00", packet) if self.kind == "ipv4" else (b"\x88\xb5", bytes(self.last_octets))
        return self.destination + self.source + tag + kind + body.ljust(self.size, b"\0")[: self.size]


@st.composite
def sendings(draw: st.DrawFn, network: SlowNetwork) -> Sending:
    """A frame for a network as it is, many from whom and to whom they should be."""
    site = network.site
    guests = [machine.guest for machine in network.machines.values()]
    outside = [jack.name for bridge in site.bridges for jack in bridge.jacks if jack.is_open]
    wires = [port for port in sorted(network.uplinks) if network.cable_at(port) is None]
    names = [guest.name for guest in guests]
    port = draw(st.sampled_from(draw(st.sampled_from([names, names, names, outside or names, wires or names]))))
    if draw(st.integers(0, 39)) == 39:
        port = draw(st.sampled_from(sorted(site.rates)))
    own = network.machines[port].guest if port in network.machines else None
    right = STRANGERS[0] if own is None else own.effective_mac
    source = draw(rarely(st.sampled_from([*MACS, *STRANGERS]), often=right, one_in=8))
    target = draw(st.sampled_from(guests))
    is_tagged = own is None or network.vswitch_of(own)[2].group.vlan == VGT
    usual = network.vswitch_of(target)[2].group.vlan % VGT or None if is_tagged else None
    vlan = draw(st.sampled_from([*[usual] * 7, None, 0, 10, 20, VGT]))
    tci = None if vlan is None else vlan | draw(st.sampled_from([0, 0, 5 << 13, 1 << 12]))
    is_bpdu = draw(st.integers(0, 11)) == 11
    to = [[target.effective_mac]] * 5 + [[BROADCAST]] * 2 + [GROUPS, STRANGERS, [target.mac]]
    return Sending(
        port,
        draw(st.sampled_from([STP, PVST] if is_bpdu else draw(st.sampled_from(to)))),
        source,
        tci,
        "bpdu" if is_bpdu else draw(st.sampled_from(["ipv4", "other"])),
        draw(st.tuples(st.integers(0, 255), st.integers(0, 255))),
        draw(st.sampled_from([46, 46, 46, 20, 200, 201, 1400, 1500, 1501])),
    )


# -- the same in iochain's words


def as_iochain(site: Site) -> iochain.Lab:
    """The lab of iochain that says the same."""
    hosts = {host.name: _host(site, host) for host in site.hosts}
    cables = [{"ends": [one.a, one.b], "name": one.name, "latency": f"{one.latency_ns} ns"} for one in site.cables]
    fabric = {
        "spanning_tree": site.has_spanning_tree,
        "switches": {bridge.name: _bridge(site, bridge) for bridge in site.bridges},
        "cables": cables,
    }
    vms = {guest.name: _vm(guest) for guest in site.guests if not guest.is_vmkernel}
    options = {**site.options, "offloads": "none", "rarp_ms": list(site.rarp_ms)}
    return iochain.Lab(site.version, hosts=hosts, vms=vms, fabric=fabric, options=options)


def as_iochain_action(action: Action) -> Any:
    """What iochain calls it."""
    name, arguments = action
    return _reopening(*arguments) if name == "reopen" else getattr(iochain, name)(*arguments)


def _reopening(port: str) -> Any:
    """Somebody opens a port if BPDU Guard has shut it."""

    def reopen(live: Any) -> None:
        if "err-disabled" in live.wiring.fabric.causes(live.wiring.port(port).number):
            Reopen(port).apply(live)

    return reopen


def _host(site: Site, host: Host) -> dict[str, Any]:
    uplinks = [uplink for vswitch in host.vswitches for uplink in vswitch.uplinks]
    return {
        "settings": {f"Net.{name}": value for name, value in site.settings.items()},
        "nics": {
            _short(uplink): {
                "speed": f"{site.rates[uplink]} bit/s",
                "link": "down" if uplink in site.dark else "up",
            }
            for uplink in uplinks
        },
        "vswitches": {vswitch.name: _vswitch(vswitch) for vswitch in host.vswitches},
        "vmkernel": {
            _short(guest.name): {"network": guest.group, "mac": guest.mac.hex(":")}
            for guest in site.guests
            if guest.is_vmkernel and guest.host == host.name
        },
    }


def _vswitch(vswitch: Vswitch) -> dict[str, Any]:
    said = _policies(vswitch.policies)
    groups = {}
    for team in vswitch.teams:
        own = _policies(team.group.policies)
        teaming = {"failback": team.failback, "notify_switches": team.notifies, **own.pop("teaming", {})}
        groups[team.group.name] = {"vlan": team.group.vlan, "teaming": teaming, **own}
    return {"uplinks": list(map(_short, vswitch.uplinks)), "mtu": vswitch.mtu, "portgroups": groups, **said}


def _policies(policies: Policies) -> dict[str, Any]:
    security = ("promiscuous", "mac_changes", "forged_transmits")
    said = {name: getattr(policies, name) for name in security if getattr(policies, name) is not None}
    lists = {name: getattr(policies, name) for name in ("active", "standby", "unused")}
    teaming: dict[str, Any] = {name: list(map(_short, some)) for name, some in lists.items() if some is not None}
    if policies.load_balancing is not None:
        teaming["load_balancing"] = policies.load_balancing
    return {**said, **({"teaming": teaming} if teaming else {})}


def _vm(guest: Guest) -> dict[str, Any]:
    vm: dict[str, Any] = {
        "host": guest.host,
        "network": guest.group,
        "mac": guest.mac.hex(":"),
        "promiscuous": guest.asks_promiscuous,
        "powered_on": guest.on,
    }
    if guest.effective_mac != guest.mac:
        vm["effective_mac"] = guest.effective_mac.hex(":")
    return vm if guest.wanted is None else {**vm, "groups": [group.hex(":") for group in guest.wanted]}


def _bridge(site: Site, bridge: Bridge) -> dict[str, Any]:
    ports = {_short(jack.name): dict(_jack(site, jack)) for jack in bridge.jacks}
    ageing = f"{bridge.ageing_ns} ns"
    return {"priority": bridge.priority, "mtu": bridge.mtu, "ageing": ageing, "ports": ports}


def _jack(site: Site, jack: Jack) -> Iterator[tuple[str, Any]]:
    yield "queue", site.queue
    if jack.name in site.rates:
        yield "speed", f"{site.rates[jack.name]} bit/s"
    if jack.vlan is not None:
        yield "vlan", jack.vlan
    else:
        yield "mode", "trunk"
        yield "native_vlan", jack.native
        if jack.allowed is not None:
            yield "allowed_vlans", list(jack.allowed)
    if jack.has_guard:
        yield "bpdu_guard", True
    if jack.channel is not None:
        yield "channel", jack.channel
    if jack.is_shut or jack.is_open:
        yield "link", "down" if jack.is_shut else "up"


def _short(name: str) -> str:
    return name.rpartition(".")[2]

"""Strategies for labs of the slow model and for frames that enter them, and the same labs as iochain writes them."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from slow_model import BROADCAST, PVST, STP, VGT, Client, Group, Lab, Policies, Switch, group_of, names

import iochain

MACS = [bytes.fromhex("0050560000") + bytes([last]) for last in (*range(1, 13), 0x2C, 0xFF)]
PROGRAMMED = [bytes.fromhex("0242000000") + bytes([last]) for last in range(4)]
STRANGERS = [bytes.fromhex("0200000000fe"), bytes.fromhex("02000000007b")]
GROUPS = [bytes.fromhex(f"01005e0101{last:02x}") for last in range(8)] + [bytes.fromhex("333300000001"), STP]
MANY_GROUPS = tuple(bytes.fromhex(f"01005e0200{last:02x}") for last in range(33))
VLANS = [0, 0, 10, 10, 10, 20, VGT]
EVEN = [None, "accept", "reject"]
RARE = [None, None, "accept", "reject"]
BALANCING = ["portid", "mac", "iphash", "explicit", "none"]
VERSIONS = ["6.0", "6.5", "6.7", "7.0", "8.0", "9.0"]
MTUS = [1500, 1500, 9000, 300, 64]
BPDU = b"\x00\x26\x42\x42\x03" + bytes(35)
PVST_BPDU = b"\x00\x32\xaa\xaa\x03\x00\x00\x0c\x01\x0b" + bytes(42)


def rarely(strategy: st.SearchStrategy[Any], often: Any, one_in: int = 4) -> st.SearchStrategy[Any]:
    """``often``, and once in a while what the strategy gives."""
    return st.integers(0, one_in - 1).flatmap(lambda choice: strategy if choice == one_in - 1 else st.just(often))


Orders = tuple[tuple[str, ...] | None, tuple[str, ...] | None, tuple[str, ...] | None]


@st.composite
def orders(draw: st.DrawFn, uplinks: tuple[str, ...]) -> Orders:
    """Active, standby and unused uplinks; a list that is not said is None."""
    lists: dict[str, list[str]] = {"active": [], "standby": [], "unused": []}
    for uplink in draw(st.permutations(uplinks)):
        lists[draw(st.sampled_from(["active", "active", "standby", "unused"]))].append(uplink)
    said = {name: tuple(placed) if draw(st.integers(0, 3)) else None for name, placed in lists.items()}
    return said["active"], said["standby"], said["unused"]


@st.composite
def policies(draw: st.DrawFn, uplinks: tuple[str, ...]) -> Policies:
    """What a switch or a port group says."""
    lists: Orders = draw(rarely(orders(uplinks), often=(None, None, None), one_in=3))
    promiscuous, mac_changes, forged_transmits = (draw(st.sampled_from(some)) for some in (RARE, EVEN, EVEN))
    balancing = draw(st.sampled_from([None, None, *BALANCING]))
    return Policies(promiscuous, mac_changes, forged_transmits, balancing, *lists)


@st.composite
def clients(draw: st.DrawFn, number: int, groups: Sequence[Group]) -> Client:
    """A vNIC or vmkernel adapter."""
    group, mac = draw(st.sampled_from([group.name for group in groups])), MACS[number % len(MACS)]
    if draw(st.integers(0, 7)) == 7:
        return Client(f"vmk{number}", group, mac, mac, is_vmkernel=True)
    wanted = st.one_of(st.lists(st.sampled_from(GROUPS), max_size=4, unique=True).map(tuple), st.just(MANY_GROUPS))
    return Client(
        f"vm{number}",
        group,
        mac,
        draw(rarely(st.sampled_from([*MACS, *PROGRAMMED * 4]), often=mac, one_in=4)),
        draw(st.sampled_from([False, False, False, True])),
        draw(rarely(wanted, often=None, one_in=3)),
        draw(rarely(st.just(value=False), often=True, one_in=10)),
    )


@st.composite
def switches(draw: st.DrawFn, number: int, most: int) -> Switch:
    """A standard switch with up to ``most`` clients, its vmkernel adapters first, as they connect first."""
    first = number * 20
    uplinks = tuple(f"vmnic{first + i}" for i in range(draw(st.sampled_from([1, 2, 2, 3, 4, 0]))))
    groups = [
        Group(f"PG{first + i}", draw(st.sampled_from(VLANS)), draw(policies(uplinks)))
        for i in range(draw(st.integers(1, 4)))
    ]
    made = [draw(clients(first + i, groups)) for i in range(draw(st.integers(2, most)))]
    made.sort(key=lambda client: not client.is_vmkernel)
    mtu, own = draw(st.sampled_from(MTUS)), draw(policies(uplinks))
    return Switch(f"vSwitch{number}", uplinks, tuple(groups), tuple(made), mtu, own)


@st.composite
def labs(draw: st.DrawFn) -> Lab:
    """A host with one switch, sometimes with a second one beside it that has the same VLANs and MACs."""
    made = [draw(switches(0, 12)), *([draw(switches(1, 3))] if draw(st.integers(0, 4)) == 4 else [])]
    uplinks = [uplink for switch in made for uplink in switch.uplinks]
    choices = {
        "forged_reference": ["effective", "initial"],
        "promiscuous_scope": ["switch_vlan", "portgroup"],
        "est_guest_tag": ["drop", "pass"],
        "ip_hash": ["full", "last_octet"],
        "port_hash": ["port_number", "round_robin_at_connect"],
    }
    advanced = {"BlockGuestBPDU": [0, 1], "ReversePathFwdCheck": [0, 1], "ReversePathFwdCheckPromisc": [0, 1]}
    advanced["MinEtherLen"] = [60, 61, 128]
    return Lab(
        draw(st.sampled_from(VERSIONS)),
        tuple(made),
        frozenset(uplink for uplink in uplinks if draw(st.integers(0, 4)) < 4),
        {name: draw(st.sampled_from(some)) for name, some in advanced.items() if draw(st.integers(0, 3)) == 3},
        {name: draw(st.sampled_from(some)) for name, some in choices.items() if draw(st.integers(0, 2)) == 2},
    )


# -- frames


@st.composite
def frames(draw: st.DrawFn, lab: Lab) -> tuple[str, bytes]:
    """A port, and a frame that enters there; many of them from whom and to whom they should be."""
    switch = draw(st.sampled_from([lab.switches[0], *lab.switches]))
    live = [uplink for uplink in switch.uplinks if uplink in lab.live] or list(names(switch))
    places = [names(switch), names(switch), names(switch), live, live, live, list(switch.uplinks) or live]
    port = draw(st.sampled_from(draw(st.sampled_from(places))))
    own = next((client for client in switch.clients if client.name == port), None)
    right = STRANGERS[0] if own is None else own.effective_mac
    macs = [client.effective_mac for client in switch.clients]
    source = draw(rarely(st.sampled_from([*macs, *MACS, *STRANGERS]), often=right, one_in=5))
    changed = [client for client in switch.clients if client.effective_mac != client.mac]
    target = draw(st.sampled_from(draw(st.sampled_from([switch.clients, changed or switch.clients]))))
    vlan = group_of(switch, target).vlan
    tag = draw(tags(vlan, is_tagged=own is None or group_of(switch, own).vlan == VGT))
    if draw(st.integers(0, 9)) == 9:
        return port, draw(st.sampled_from([STP + source + tag + BPDU, PVST + source + tag + PVST_BPDU]))
    to = [*[[target.effective_mac]] * 6, [BROADCAST], GROUPS, STRANGERS, MACS, [PVST, STP, *MANY_GROUPS]]
    destination = draw(st.sampled_from(draw(st.sampled_from(to))))
    return port, destination + source + tag + draw(payloads(switch.mtu))


@st.composite
def tags(draw: st.DrawFn, vlan: int, is_tagged: bool) -> bytes:
    """An 802.1Q tag or nothing: where tags are usual mostly the port group's VLAN, else mostly none."""
    usual = [vlan % VGT or None] if is_tagged else [None]
    found: int | None = draw(st.sampled_from([*usual * 8, None, 0, 10, 20, 30, VGT]))
    if found is None:
        return b""
    rest: int = draw(st.sampled_from([0, 0, 0, 5 << 13, 1 << 12, 7 << 13 | 1 << 12]))
    return b"\x81\x00" + (found | rest).to_bytes(2, "big")


@st.composite
def payloads(draw: st.DrawFn, mtu: int) -> bytes:
    """EtherType and all behind it: IP and other things, short and at the MTU and beyond."""
    size = draw(st.sampled_from([0, 20, 40, 60, 100, mtu - 1, mtu, mtu + 1, mtu + 4, mtu + 5, 3 * mtu]))
    size = min(size, draw(st.sampled_from([mtu, mtu, mtu, 9999])))
    kind = draw(st.sampled_from(["ipv4", "ipv4", "ipv6", "other", "stp", "snap", "service tag", "second tag"]))
    addresses = draw(st.binary(min_size=8, max_size=8))
    transport = draw(st.sampled_from([17, 6]))
    made: dict[str, bytes] = {
        "ipv4": b"\x08\x00" + _ipv4(addresses, transport, size),
        "ipv6": b"\x86\xdd" + _ipv6(addresses, transport, size),
        "other": b"\x88\xb5" + addresses + bytes(range(256)) * (size // 256 + 1),
        "stp": BPDU,
        "snap": PVST_BPDU,
        "service tag": b"\x88\xa8\x00\x0a\x08\x00" + _ipv4(addresses, transport, size),
        "second tag": b"\x81\x00\x00\x14\x08\x00" + _ipv4(addresses, transport, size),
    }
    return made[kind][: size + 2]


def _ipv4(addresses: bytes, transport: int, size: int) -> bytes:
    head = b"\x45\x00" + min(size, 65535).to_bytes(2, "big") + bytes(4) + b"\x40" + bytes([transport, 0, 0])
    return head + addresses + bytes(max(0, size - 20))


def _ipv6(addresses: bytes, transport: int, size: int) -> bytes:
    head = b"\x60\x00\x00\x00" + max(size - 40, 0).to_bytes(2, "big") + bytes([transport, 64])
    return head + bytes(12) + addresses[:4] + bytes(12) + addresses[4:] + bytes(max(0, size - 40))


# -- the same lab in iochain's words


def as_iochain(lab: Lab) -> iochain.Lab:
    """The lab of iochain that says the same."""
    host: dict[str, Any] = {
        "settings": {f"Net.{name}": value for name, value in lab.settings.items()},
        "nics": {
            uplink: {"link": "up" if uplink in lab.live else "down"}
            for switch in lab.switches
            for uplink in switch.uplinks
        },
        "vswitches": {switch.name: _switch(switch) for switch in lab.switches},
    }
    every = [client for switch in lab.switches for client in switch.clients]
    host["vmkernel"] = {
        client.name: {"network": client.group, "mac": client.mac.hex(":")} for client in every if client.is_vmkernel
    }
    vms = {client.name: _vm(client) for client in every if not client.is_vmkernel}
    return iochain.Lab(lab.version, hosts={"esx1": host}, vms=vms, options={**lab.options, "offloads": "none"})


def _switch(switch: Switch) -> dict[str, Any]:
    groups = {group.name: {"vlan": group.vlan, **_policies(group.policies)} for group in switch.groups}
    said = _policies(switch.policies)
    return {"uplinks": list(switch.uplinks), "mtu": switch.mtu, "portgroups": groups, **said}


def _policies(policies: Policies) -> dict[str, Any]:
    security = ("promiscuous", "mac_changes", "forged_transmits")
    said = {name: getattr(policies, name) for name in security if getattr(policies, name) is not None}
    teaming: dict[str, Any] = {
        name: list(getattr(policies, name))
        for name in ("active", "standby", "unused")
        if getattr(policies, name) is not None
    }
    if policies.load_balancing is not None:
        teaming["load_balancing"] = policies.load_balancing
    return {**said, **({"teaming": teaming} if teaming else {})}


def _vm(client: Client) -> dict[str, Any]:
    vm: dict[str, Any] = {"network": client.group, "mac": client.mac.hex(":"), "promiscuous": client.asks_promiscuous}
    if client.effective_mac != client.mac:
        vm["effective_mac"] = client.effective_mac.hex(":")
    if client.wanted is not None:
        vm["groups"] = [group.hex(":") for group in client.wanted]
    return vm if client.connected else {**vm, "connected": False}

"""Fates at the switch: forwarding, teaming, reverse path."""

import ipaddress
import struct
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from stage_frames import EVERYONE, GROUP, OTHER, OWN, PORT, STRANGER, UPLINK, data, frame, frame_of, read_of

from iochain.batch import batch_of
from iochain.chain import Drop, From, Group, Port, Ports, Reason, Verdict
from iochain.frame import Mac, Table
from iochain.kernels.parse import parse
from iochain.vswitch.forwarding import ByVlan, Forwarding, Refused
from iochain.vswitch.reverse_path import ReversePath
from iochain.vswitch.teaming import (
    ByIpHash,
    ByPort,
    BySourceMac,
    Explicit,
    NoTeaming,
    Teaming,
    first_in_order,
    in_use,
    ip_hash_full,
    ip_hash_last_octet,
    source_mac_hash,
)

ALL_BITS, GROUP_BIT, VID = (1 << 64) - 1, 1 << 40, 0xFFF
TEAM = "uplinks of Prod"
SNIFFED = Mac("00:50:56:00:00:20")
TRUNKED = Mac("00:50:56:00:00:30")
REFUSED, REFUSED_TRUNK = Mac("00:50:56:00:00:40"), Mac("00:50:56:00:00:41")
MAC_CHANGES = From("reject", "port group Prod")


def forwarding() -> Forwarding:
    """VLAN 10: web and db; VLAN 20: one with a sniffer; VLAN 4095: a trunk."""
    macs, members, promiscuous = ByVlan("MACs", ()), ByVlan("members", ()), ByVlan("promiscuous", ())
    for vlan, mac, name in ((10, OWN, "web"), (10, OTHER, "db"), (20, SNIFFED, "one"), (4095, TRUNKED, "trunk")):
        macs.add(vlan, int(mac), name)
        members.add(vlan, 0, name)
    members.add(20, 0, "sniffer")
    promiscuous.add(20, 0, "sniffer")
    refused: Table[tuple[int, int], Refused | None] = Table("refused", None)
    refused.set((10, int(REFUSED)), Refused("moved", MAC_CHANGES))
    refused.set((4095, int(REFUSED_TRUNK)), Refused("trunk", MAC_CHANGES))
    return Forwarding(macs, members, promiscuous, refused)


def clients(vlan: int) -> Group:
    return Group("client", vlan)


SNIFFERS = Group("promiscuous", 20)


@pytest.mark.parametrize(
    ("destination", "vlan", "fate"),
    [
        (OTHER, 10, Ports(("db",))),
        (STRANGER, 10, Ports((TEAM,))),
        (SNIFFED, 10, Ports((TEAM,))),  # known, but in another VLAN
        (OTHER, None, Ports((TEAM,))),
        (OTHER, 4095, Ports((TEAM,))),
        (OWN, 10, Drop(Reason.NO_PORT, "to the sender's own port")),
        (TRUNKED, 10, Ports(("trunk",))),  # in every VLAN
        (TRUNKED, None, Ports(("trunk",))),
        (SNIFFED, 20, Ports(("one",), SNIFFERS, "web")),
        (STRANGER, 20, Ports((TEAM,), SNIFFERS, "web")),
        (EVERYONE, 10, Ports((TEAM,), clients(10), "web")),
        (GROUP, 10, Ports((TEAM,), clients(10), "web")),
        (EVERYONE, None, Ports((TEAM,), clients(0), "web")),
    ],
)
def test_forwarding_from_a_client(destination: Mac, vlan: int | None, fate: Verdict) -> None:
    assert forwarding()(frame(destination, tci=vlan), PORT) == fate


def test_forwarding_of_a_port_without_a_team() -> None:
    assert forwarding()(frame(STRANGER, tci=10), evolve(PORT, team=None)) == Ports()


@pytest.mark.parametrize(
    ("destination", "vlan", "fate"),
    [
        (OWN, 10, Ports(("web",))),
        (OWN, 20, Ports((), SNIFFERS)),
        (STRANGER, 10, Drop(Reason.UNKNOWN_UNICAST)),
        (STRANGER, 20, Ports((), SNIFFERS)),
        (REFUSED, 10, Drop(Reason.MAC_CHANGES, "at moved", MAC_CHANGES)),
        (REFUSED, 99, Drop(Reason.UNKNOWN_UNICAST)),
        (REFUSED_TRUNK, 99, Drop(Reason.MAC_CHANGES, "at trunk", MAC_CHANGES)),
        (EVERYONE, 10, Ports((), clients(10))),
        (GROUP, 20, Ports((), clients(20))),
        (TRUNKED, 99, Ports(("trunk",))),
        (OWN, 99, Drop(Reason.UNKNOWN_UNICAST)),  # the trunk is in VLAN 99, web is not
    ],
)
def test_forwarding_from_an_uplink(destination: Mac, vlan: int, fate: Verdict) -> None:
    verdict = forwarding()(frame(destination, tci=vlan), UPLINK)
    assert verdict == fate
    if isinstance(verdict, Drop) and isinstance(fate, Drop):
        assert verdict.setting == fate.setting


def test_a_vlan_without_a_port_is_a_mismatch() -> None:
    small = forwarding()
    small.members.set((4095, 0), ())
    assert small(frame(EVERYONE, tci=99), UPLINK) == Drop(Reason.VLAN_MISMATCH, "no port is in the frame's VLAN")


def test_groups_have_the_members_of_their_vlan_and_the_trunks() -> None:
    assert forwarding().group(clients(20)) == ("one", "sniffer", "trunk")
    assert forwarding().group(clients(99)) == ("trunk",)
    assert forwarding().group(SNIFFERS) == ("sniffer",)


# -- uplinks in use


@pytest.mark.parametrize(
    ("active", "standby", "up", "used"),
    [
        ("ab", "c", "abc", "ab"),
        ("ab", "c", "bc", "cb"),  # the standby takes the failed one's slot
        ("ab", "c", "ac", "ac"),
        ("ab", "c", "c", "c"),
        ("ab", "cd", "cd", "cd"),
        ("ab", "cd", "bd", "db"),
        ("ab", "c", "b", "b"),
        ("ab", "", "", ""),
        ("", "cd", "d", "d"),
        ("", "cd", "cd", "c"),
        ("", "", "abcd", ""),
    ],
)
def test_standby_uplinks_replace_failed_ones(active: str, standby: str, up: str, used: str) -> None:
    assert in_use(tuple(active), tuple(standby), set(up)) == tuple(used)


@pytest.mark.parametrize(
    ("active", "standby", "up", "used"),
    [("ab", "c", "abc", "a"), ("ab", "c", "bc", "b"), ("ab", "c", "c", "c"), ("ab", "c", "", ""), ("", "cd", "d", "d")],
)
def test_explicit_order(active: str, standby: str, up: str, used: str) -> None:
    assert first_in_order(tuple(active), tuple(standby), set(up)) == tuple(used)


# -- teaming


def used(*uplinks: str) -> Table[str, tuple[str, ...]]:
    return Table("uplinks in use", (), {TEAM: uplinks})


PAIR = used("vmnic0", "vmnic1")
IPV4 = b"\x08\x00" + struct.pack(">BBHIBBHII", 0x45, 0, 20, 0, 64, 17, 0, 0x0A000001, 0x0A000002)
IPV6 = b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, 0, 59, 64) + bytes(15) + b"\x01" + bytes(15) + b"\x06"


@pytest.mark.parametrize(
    ("stage", "sent", "fate"),
    [
        (ByPort(TEAM, PAIR), data(), Ports(("vmnic1",))),  # port number 5
        (ByPort(TEAM, PAIR, by_turn=True), data(), Ports(("vmnic1",))),  # the second to connect
        (ByPort(TEAM, used("vmnic7")), data(), Ports(("vmnic7",))),
        (ByPort(TEAM, used()), data(), Drop(Reason.NO_UPLINK)),
        (BySourceMac(TEAM, PAIR), data(source=OWN), Ports(("vmnic1",))),
        (BySourceMac(TEAM, PAIR), data(source=OTHER), Ports(("vmnic0",))),
        (BySourceMac(TEAM, used()), data(), Drop(Reason.NO_UPLINK)),
        (ByIpHash(TEAM, PAIR), data(rest=IPV4), Ports(("vmnic1",))),
        (ByIpHash(TEAM, used("a", "b", "c")), data(rest=IPV4), Ports(("a",))),
        (ByIpHash(TEAM, PAIR), data(rest=IPV6), Ports(("vmnic1",))),
        (ByIpHash(TEAM, PAIR), data(rest=b"\x88\xb5" + bytes(15) + b"\x02" + bytes(3) + b"\x01"), Ports(("vmnic1",))),
        (ByIpHash(TEAM, PAIR), data(), Ports(("vmnic0",))),  # too short for the words: 0
        (ByIpHash(TEAM, used()), data(rest=IPV4), Drop(Reason.NO_UPLINK)),
        (Explicit(TEAM, used("vmnic1")), data(), Ports(("vmnic1",))),
        (Explicit(TEAM, used()), data(), Drop(Reason.NO_UPLINK)),
        (NoTeaming(TEAM, PAIR), data(), Drop(Reason.NO_TEAMING)),
    ],
)
def test_teaming(stage: Teaming, sent: bytes, fate: Verdict) -> None:
    assert stage(frame_of(sent), PORT) == fate


@pytest.mark.parametrize(
    ("stage", "home"),
    [
        (ByPort(TEAM, PAIR), ("b",)),
        (ByPort(TEAM, PAIR, by_turn=True), ("b",)),
        (BySourceMac(TEAM, PAIR), ("b",)),
        (ByIpHash(TEAM, PAIR), ("a", "b")),
        (Explicit(TEAM, PAIR), ("a",)),
        (NoTeaming(TEAM, PAIR), ()),
    ],
)
def test_home_is_where_group_frames_come_in(stage: Teaming, home: tuple[str, ...]) -> None:
    assert stage.home(("a", "b"), PORT) == home
    assert stage.home((), PORT) == ()


@given(st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)), st.integers(1, 8))
@settings(deadline=None)
def test_ip_hash_of_ipv4_is_the_xor(pair: tuple[ipaddress.IPv4Address, ipaddress.IPv4Address], uplinks: int) -> None:
    source, destination = map(int, pair)
    words = words_of(IPV4[:-8] + struct.pack(">II", source, destination))
    xor = source ^ destination
    assert ip_hash_full(words, uplinks) == xor % uplinks
    assert ip_hash_last_octet(words, uplinks) == xor % 256 % uplinks


@given(st.binary(max_size=60), st.sampled_from([0x0800, 0x86DD, 0x0806, 0x88B5, 0x8100]), st.integers(1, 8))
@settings(deadline=None)
def test_both_engines_forms_of_the_hashes_agree(rest: bytes, kind: int, uplinks: int) -> None:
    words = words_of(kind.to_bytes(2, "big") + rest)
    for function in (ip_hash_full, ip_hash_last_octet, source_mac_hash):
        plain: Any = function
        assert plain(memoryview(words), uplinks) == function(words, uplinks)


def words_of(rest: bytes) -> Any:
    batch = batch_of([(data(rest=rest), 0)])
    return np.ascontiguousarray(parse(batch.rows)[0])


# -- reverse path

BY = {name: Drop(Reason.REVERSE_PATH, f"by {name}") for name in ("a", "b", "c")}
REFLECTED = {name: Drop(Reason.REFLECTION, f"by {name}") for name in ("a", "b", "c")}
ENTRIES = {"a": 10, "b": 11, "c": 12}
NUMBERS = {number: name for name, number in ENTRIES.items()}


def reverse_path(policy: Any, uplinks_used: tuple[str, ...], fwd_check: bool = True) -> ReversePath:
    """The check of a team with a and b active, c standby; switch MACs are OWN and OTHER."""
    own = Table("own", False, {int(OWN): True, int(OTHER): True})
    return ReversePath(policy(TEAM, used(*uplinks_used)), ("a", "b"), fwd_check, Table("uplinks", "", NUMBERS), own)


@pytest.mark.parametrize(
    ("policy", "uplinks_used", "entry", "destination", "source", "fate"),
    [
        # unicast: by any active one, or the standby in use
        (ByPort, ("a", "b"), "a", OWN, STRANGER, None),
        (ByPort, ("a", "b"), "b", OWN, STRANGER, None),
        (ByPort, ("a", "b"), "c", OWN, STRANGER, BY["c"]),
        (ByPort, ("c", "b"), "c", OWN, STRANGER, None),
        (ByPort, ("c", "b"), "a", OWN, STRANGER, None),
        # groups: by the one in use for the port, number 5 of two
        (ByPort, ("a", "b"), "b", EVERYONE, STRANGER, None),
        (ByPort, ("a", "b"), "a", EVERYONE, STRANGER, BY["a"]),
        (ByPort, ("a", "b"), "c", EVERYONE, STRANGER, BY["c"]),
        (ByPort, (), "a", EVERYONE, STRANGER, BY["a"]),
        (BySourceMac, ("a", "b"), "b", GROUP, STRANGER, None),
        (BySourceMac, ("a", "b"), "a", GROUP, STRANGER, BY["a"]),
        (Explicit, ("a",), "a", EVERYONE, STRANGER, None),
        (Explicit, ("a",), "b", EVERYONE, STRANGER, BY["b"]),
        (ByIpHash, ("a", "b"), "a", EVERYONE, STRANGER, None),
        (ByIpHash, ("a", "b"), "b", EVERYONE, STRANGER, None),
        (NoTeaming, ("a", "b"), "a", EVERYONE, STRANGER, BY["a"]),
        # own reflections
        (ByPort, ("a", "b"), "b", EVERYONE, OTHER, REFLECTED["b"]),
        (ByIpHash, ("a", "b"), "a", GROUP, OWN, REFLECTED["a"]),
        (ByPort, ("a", "b"), "a", OWN, OTHER, None),  # unicast is no reflection
        # from ports of the switch itself
        (ByPort, ("a", "b"), None, EVERYONE, OTHER, None),
    ],
)
def test_reverse_path(
    policy: Any, uplinks_used: tuple[str, ...], entry: str | None, destination: Mac, source: Mac, fate: Drop | None
) -> None:
    number = 3 if entry is None else ENTRIES[entry]
    sent = frame(destination, source, entry=number)
    assert reverse_path(policy, uplinks_used)(sent, PORT) == (fate or sent)


@pytest.mark.parametrize(("entry", "fate"), [("b", None), ("a", BY["a"])])
def test_without_the_forward_check_reflections_pass_by_the_uplink_in_use(entry: str, fate: Drop | None) -> None:
    sent = frame(EVERYONE, OTHER, entry=ENTRIES[entry])
    assert reverse_path(ByPort, ("a", "b"), fwd_check=False)(sent, PORT) == (fate or sent)


# -- what they read


@pytest.mark.parametrize(
    ("stage", "port", "sent", "read"),
    [
        (forwarding(), PORT, data(OTHER, tci=7 << 13 | 10), {"has TAG": 1, "TAG": VID, "DESTINATION": ALL_BITS}),
        (forwarding(), PORT, data(OTHER), {"has TAG": 1, "DESTINATION": ALL_BITS}),
        (forwarding(), PORT, data(EVERYONE, tci=10), {"has TAG": 1, "TAG": VID, "DESTINATION": GROUP_BIT}),
        (forwarding(), UPLINK, data(EVERYONE, tci=10), {"has TAG": 1, "TAG": VID, "DESTINATION": GROUP_BIT}),
        (forwarding(), UPLINK, data(OWN, tci=10), {"has TAG": 1, "TAG": VID, "DESTINATION": ALL_BITS}),
        (ByPort(TEAM, PAIR), PORT, data(), {}),
        (ByIpHash(TEAM, PAIR), PORT, data(rest=IPV4), {}),  # the addresses are in the derived field
        (BySourceMac(TEAM, PAIR), PORT, data(), {}),
        (
            reverse_path(ByPort, ("a", "b")),
            PORT,
            data(OWN),
            {"FROM_UPLINK": 1, "has ENTRY": 1, "ENTRY": ALL_BITS, "DESTINATION": GROUP_BIT},
        ),
        (
            reverse_path(ByPort, ("a", "b")),
            PORT,
            data(EVERYONE),
            {"FROM_UPLINK": 1, "has ENTRY": 1, "ENTRY": ALL_BITS, "DESTINATION": GROUP_BIT, "SOURCE": ALL_BITS},
        ),
    ],
)
def test_reads_just_these_bits(stage: Any, port: Port, sent: bytes, read: dict[str, int]) -> None:
    seen = frame_of(sent, entry=11 if isinstance(stage, ReversePath) else None)
    stage(seen, port)
    assert read_of(seen) == read


def test_that_it_came_by_no_uplink_is_all_that_reverse_path_reads() -> None:
    seen = frame(EVERYONE, OTHER, entry=3)
    reverse_path(ByPort, ("a", "b"))(seen, PORT)
    assert read_of(seen) == {"FROM_UPLINK": 1}


def test_derived_fields_and_tables_are_noted_as_asked() -> None:
    seen = frame_of(data(rest=IPV4))
    ByIpHash(TEAM, PAIR)(seen, PORT)
    table, hashed = seen.notes.asked
    assert (table.thing, table.key, table.answer) == (PAIR, TEAM, ("vmnic0", "vmnic1"))
    assert (hashed.thing.name, hashed.thing.outcomes, hashed.answer) == ("ip hash full of 2", 2, 1)

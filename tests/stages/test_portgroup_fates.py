"""Fates at the port group: VLAN, forged transmits, BPDU filter, promiscuous scope, receive filter."""

import pytest
from attrs import evolve
from hypothesis import event, given, settings
from hypothesis import strategies as st
from stage_frames import EVERYONE, GROUP, OTHER, OWN, PORT, STRANGER, data, frame, frame_of, read_of, tagged, untagged

from iochain.chain import Drop, Reason, Verdict
from iochain.frame import Frame, Mac, Table
from iochain.portgroup.receive import ReceiveFilter, hash_of_destination, multicast_hash
from iochain.portgroup.security import (
    PVST_GROUP,
    STP_GROUP,
    Disconnected,
    ForgedTransmits,
    GuestBpdu,
    PromiscuousScope,
)
from iochain.portgroup.vlan import AccessVlan, GuestVlan, NoVlan, VlanMember
from iochain.vswitch.forwarding import ByVlan

ALL_BITS, GROUP_BIT, VID = (1 << 64) - 1, 1 << 40, 0xFFF
MISMATCH = Drop(Reason.VLAN_MISMATCH)
GUEST_TAGGED = Drop(Reason.VLAN_MISMATCH, "the guest tagged the frame itself")
DEI = 1 << 12

# -- VLAN


@pytest.mark.parametrize(
    ("sent", "fate"),
    [
        (untagged(), tagged(10)),
        (tagged(10), GUEST_TAGGED),
        (tagged(20), GUEST_TAGGED),
        (tagged(0), tagged(10)),
        (tagged(0, priority=5), tagged(10, priority=5)),
        (frame(tci=5 << 13 | DEI), frame(tci=5 << 13 | DEI | 10)),
        (tagged(4095), GUEST_TAGGED),
        (frame(rest=b"\x88\xa8\x00\x14\x08\x00"), frame(rest=b"\x88\xa8\x00\x14\x08\x00", tci=10)),
    ],
)
def test_access_vlan_from_the_guest(sent: Frame, fate: Verdict) -> None:
    assert AccessVlan(vlan=10)(sent, PORT) == fate


@pytest.mark.parametrize(
    ("sent", "passes", "fate"),
    [
        (untagged(), False, untagged()),
        (tagged(0, priority=5), False, tagged(0, priority=5)),
        (tagged(20), False, GUEST_TAGGED),
        (tagged(20), True, tagged(20)),
        (tagged(4095), False, GUEST_TAGGED),
        (tagged(4095), True, Drop(Reason.INVALID_TAG)),
    ],
)
def test_no_vlan_from_the_guest(sent: Frame, passes: bool, fate: Verdict) -> None:
    assert NoVlan(guest_tag_passes=passes)(sent, PORT) == fate


@pytest.mark.parametrize(
    ("sent", "fate"),
    [
        (untagged(), untagged()),
        (tagged(0, priority=5), tagged(0, priority=5)),
        (tagged(4094, priority=7), tagged(4094, priority=7)),
        (tagged(4095), Drop(Reason.INVALID_TAG)),
        (tagged(4095, priority=1), Drop(Reason.INVALID_TAG)),
    ],
)
def test_guest_vlan_from_the_guest(sent: Frame, fate: Verdict) -> None:
    assert GuestVlan()(sent, PORT) == fate


@pytest.mark.parametrize(
    ("vlan", "sent", "fate"),
    [
        (10, tagged(10), untagged()),
        (10, tagged(10, priority=5), untagged()),
        (10, tagged(20), MISMATCH),
        (10, untagged(), MISMATCH),
        (10, tagged(0), MISMATCH),
        (1, untagged(), MISMATCH),  # the switch has no native VLAN
        (0, untagged(), untagged()),
        (0, tagged(0, priority=5), untagged()),
        (0, tagged(10), MISMATCH),
    ],
)
def test_member_of_a_vlan(vlan: int, sent: Frame, fate: Verdict) -> None:
    assert VlanMember(vlan)(sent, PORT) == fate


@given(tci=st.one_of(st.none(), st.integers(0, 0xFFFF)), vlan=st.integers(1, 4094))
@settings(deadline=None)
def test_nothing_enters_an_access_port_on_another_vlan(tci: int | None, vlan: int) -> None:
    verdict = AccessVlan(vlan)(frame(tci=tci), PORT)
    event(type(verdict).__name__)
    if isinstance(verdict, Frame):
        assert verdict.vlan == vlan
        assert verdict.priority == (0 if tci is None else tci >> 13)
        assert VlanMember(vlan)(verdict, PORT) == untagged()
    else:
        assert verdict == GUEST_TAGGED


# -- security


@pytest.mark.parametrize(
    ("source", "initial", "passes"),
    [
        (OWN, False, True),
        (OTHER, False, False),
        (OTHER, True, False),
        (STRANGER, False, False),
    ],
)
def test_forged_transmits(source: Mac, initial: bool, passes: bool) -> None:
    fate = ForgedTransmits(initial)(frame(source=source), PORT)
    assert fate == (frame(source=source) if passes else Drop(Reason.FORGED_TRANSMITS))


@pytest.mark.parametrize(
    ("source", "initial", "passes"),
    [(OTHER, False, True), (OTHER, True, False), (OWN, False, False), (OWN, True, True)],
)
def test_forged_transmits_of_a_guest_that_programmed_another_mac(source: Mac, initial: bool, passes: bool) -> None:
    port = evolve(PORT, effective_mac=OTHER)
    assert isinstance(ForgedTransmits(initial)(frame(source=source), port), Frame) is passes


BPDU = bytes.fromhex("0026424203") + bytes(35)
PVST = bytes.fromhex("0032aaaa0300000c010b") + bytes(40)


@pytest.mark.parametrize(
    ("destination", "rest", "fate"),
    [
        (STP_GROUP, BPDU, Drop(Reason.GUEST_BPDU)),
        (PVST_GROUP, PVST, Drop(Reason.GUEST_BPDU, "PVST+")),
        (STP_GROUP, PVST, None),
        (PVST_GROUP, BPDU, None),
        (STP_GROUP, b"\x88\x08" + bytes(46), None),  # a pause frame's type: no LLC
        (OTHER, BPDU, None),
        (STP_GROUP, BPDU[:4], None),  # cut before the LLC header ends
    ],
)
def test_guest_bpdus(destination: Mac, rest: bytes, fate: Drop | None) -> None:
    sent = frame(destination, rest=rest)
    assert GuestBpdu()(sent, PORT) == (fate or sent)


def test_disconnected() -> None:
    assert Disconnected()(untagged(), PORT) == Drop(Reason.DISCONNECTED)


OTHER_GROUP = Drop(Reason.RECEIVE_FILTER, "of another port group")


@pytest.mark.parametrize(
    ("destination", "entry", "fate"),
    [
        (EVERYONE, 1, None),
        (OWN, 1, None),  # its own MAC is in its own group
        (STRANGER, 1, OTHER_GROUP),
        (STRANGER, 2, None),  # from a port of its own group
        (OTHER, 1, None),  # to a port of its own group
        (STRANGER, None, OTHER_GROUP),
    ],
)
def test_promiscuous_scope(destination: Mac, entry: int | None, fate: Drop | None) -> None:
    owners = ByVlan("owners", ())
    owners.add(10, int(OWN), "Prod")
    owners.add(10, int(OTHER), "Prod")
    owners.add(10, int(STRANGER), "Test")
    scope = PromiscuousScope(Table("port groups", "", {1: "Test", 2: "Prod"}), owners)
    sent = frame(destination, tci=10, entry=entry)
    assert scope(sent, PORT) == (fate or sent)


# -- receive filter

NOT_MINE = Drop(Reason.RECEIVE_FILTER, "of another port")
NOT_ASKED = Drop(Reason.RECEIVE_FILTER, "a group that the guest did not ask for")


@pytest.mark.parametrize(
    ("groups", "destination", "fate"),
    [
        (None, OWN, None),
        (None, OTHER, NOT_MINE),
        (None, GROUP, None),
        (None, EVERYONE, None),
        ([], OWN, None),
        ([], GROUP, NOT_ASKED),
        ([], EVERYONE, None),
        ([GROUP], GROUP, None),
        ([GROUP], Mac("01:00:5e:00:00:02"), NOT_ASKED),
    ],
)
def test_receive_filter(groups: list[Mac] | None, destination: Mac, fate: Drop | None) -> None:
    sent = frame(destination)
    assert ReceiveFilter.of(groups)(sent, PORT) == (fate or sent)


def test_receive_filter_of_an_effective_mac() -> None:
    port = evolve(PORT, effective_mac=OTHER)
    assert ReceiveFilter()(frame(OWN), port) == NOT_MINE
    assert ReceiveFilter()(frame(OTHER), port) == frame(OTHER)


def test_32_groups_are_exact_and_33_are_hashed_with_false_positives() -> None:
    groups = [Mac(0x01005E000000 + i) for i in range(33)]
    exact, hashed = ReceiveFilter.of(groups[:32]), ReceiveFilter.of(groups)
    bits = {multicast_hash(group) for group in groups}
    strangers = [Mac(0x01005E7F0000 + i) for i in range(300)]
    colliding = {stranger for stranger in strangers if multicast_hash(stranger) in bits}
    assert len(exact.groups or ()) == 32
    assert (hashed.groups, hashed.hashed.bit_count()) == (frozenset(), len(bits))
    assert all(ReceiveFilter.of(groups)(frame(group), PORT) == frame(group) for group in groups)
    assert {one for one in strangers if isinstance(exact(frame(one), PORT), Frame)} == set()
    assert {one for one in strangers if isinstance(hashed(frame(one), PORT), Frame)} == colliding
    assert 0 < len(colliding) < len(strangers)


@given(st.integers(0, 2**48 - 1))
@settings(deadline=None)
def test_both_forms_of_the_hash_agree(destination: int) -> None:
    words = memoryview(bytearray(8 * 56)).cast("q")
    words[1] = destination
    assert hash_of_destination(words, 0) == multicast_hash(destination)


# -- what they read


@pytest.mark.parametrize(
    ("stage", "sent", "read"),
    [
        (AccessVlan(10), data(), {"has TAG": 1}),
        (AccessVlan(10), data(tci=20), {"has TAG": 1, "TAG": VID}),
        (AccessVlan(10), data(tci=5 << 13), {"has TAG": 1, "TAG": 0xFFFF}),  # the priority stays: it is read
        (NoVlan(), data(tci=20), {"has TAG": 1, "TAG": VID}),
        (GuestVlan(), data(), {"has TAG": 1}),
        (VlanMember(10), data(tci=7 << 13 | 10), {"has TAG": 1, "TAG": VID}),
        (ForgedTransmits(), data(), {"SOURCE": ALL_BITS}),
        (GuestBpdu(), data(OTHER), {"DESTINATION": GROUP_BIT}),
        (GuestBpdu(), data(STP_GROUP, rest=BPDU), {"DESTINATION": ALL_BITS, "has LLC": 1, "LLC": ALL_BITS}),
        (ReceiveFilter(), data(GROUP), {"DESTINATION": GROUP_BIT}),
        (ReceiveFilter(), data(OWN), {"DESTINATION": ALL_BITS}),
        (Disconnected(), data(), {}),
    ],
)
def test_reads_just_these_bits(stage: object, sent: bytes, read: dict[str, int]) -> None:
    seen = frame_of(sent)
    assert callable(stage)
    stage(seen, PORT)
    assert read_of(seen) == read

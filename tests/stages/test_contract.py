"""What every header stage keeps to: pure, never at fault, and decided by nothing but the bits that it noted."""

from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from stage_frames import EVERYONE, GROUP, OTHER, OWN, PORT, STRANGER, UPLINK, data

from iochain.batch import batch_of
from iochain.chain import Drop, Port, Ports, Verdict
from iochain.frame import Derived, Frame, Mac, Notes, Table
from iochain.kernels import words as w
from iochain.kernels.parse import parse
from iochain.portgroup.receive import ReceiveFilter
from iochain.portgroup.security import (
    PVST_GROUP,
    STP_GROUP,
    Disconnected,
    ForgedTransmits,
    GuestBpdu,
    PromiscuousScope,
)
from iochain.portgroup.vlan import AccessVlan, GuestVlan, NoVlan, VlanMember
from iochain.uplink.nic import Link, Mtu, ReceivedTag, SentTag
from iochain.vswitch.forwarding import ByVlan, Forwarding
from iochain.vswitch.reverse_path import ReversePath
from iochain.vswitch.teaming import ByIpHash, ByPort, BySourceMac, Explicit, NoTeaming

TEAM = "uplinks of Prod"
IN_USE: Table[str, tuple[str, ...]] = Table("in use", (), {TEAM: ("vmnic0", "vmnic1", "vmnic2")})
UPLINKS = Table("uplinks", "", {0: "vmnic0", 1: "vmnic1"})


def by_vlan(*entries: tuple[int, int, str]) -> ByVlan:
    table = ByVlan("table", ())
    for vlan, mac, name in entries:
        table.add(vlan, int(mac), name)
    return table


FORWARDING = Forwarding(
    by_vlan((10, OWN, "web"), (10, OTHER, "db"), (4095, STRANGER, "trunk")),
    by_vlan((10, 0, "web"), (10, 0, "db"), (0, 0, "plain")),
    by_vlan((10, 0, "sniffer")),
    Table("refused", None),
)
STAGES: list[tuple[Any, Port]] = [
    (AccessVlan(10), PORT),
    (NoVlan(), PORT),
    (NoVlan(guest_tag_passes=True), PORT),
    (GuestVlan(), PORT),
    (VlanMember(0), PORT),
    (VlanMember(10), PORT),
    (ForgedTransmits(), PORT),
    (GuestBpdu(), PORT),
    (PromiscuousScope(Table("groups", "", {3: "Prod"}), by_vlan((10, OTHER, "Prod"))), PORT),
    (ReceiveFilter.of([GROUP]), PORT),
    (ReceiveFilter.of([Mac(GROUP + i) for i in range(40)]), PORT),
    (Disconnected(), PORT),
    (FORWARDING, PORT),
    (FORWARDING, UPLINK),
    (ByPort(TEAM, IN_USE), PORT),
    (BySourceMac(TEAM, IN_USE), PORT),
    (ByIpHash(TEAM, IN_USE), PORT),
    (Explicit(TEAM, IN_USE), PORT),
    (NoTeaming(TEAM, IN_USE), PORT),
    (ReversePath(ByPort(TEAM, IN_USE), ("vmnic0",), True, UPLINKS, Table("own", False, {int(OWN): True})), PORT),
    (Link(Table("links", False, {0: True})), UPLINK),
    (ReceivedTag(), UPLINK),
    (SentTag(), UPLINK),
    (Mtu(100), UPLINK),
]
each_stage = pytest.mark.parametrize(
    ("stage", "port"), STAGES, ids=lambda one: one.name if isinstance(one, Port) else type(one).__name__
)

RESTS = [
    b"\x08\x00",
    b"\x08\x00\x45" + bytes(8) + b"\x06" + bytes(10),
    b"\x08\x00\x45" + bytes(8) + b"\x11" + bytes(9) + b"\x01",
    b"\x86\xdd\x60" + bytes(5) + b"\x06" + bytes(33),
    bytes.fromhex("0026424203"),
    bytes.fromhex("0032aaaa0300000c010b"),
    bytes.fromhex("8100000a0800"),
    bytes.fromhex("08060001080006040001"),
]
macs = st.sampled_from([OWN, OTHER, STRANGER, GROUP, EVERYONE, STP_GROUP, PVST_GROUP])
tags = st.one_of(st.none(), st.sampled_from([0, 10, 20, 4095, 0xA00A, 0xB000, 0x100A]), st.integers(0, 0xFFFF))


@st.composite
def words_of_frames(draw: st.DrawFn) -> list[int]:
    """The words of a frame with headers that matter to some stage."""
    rest = draw(st.one_of(st.sampled_from(RESTS), st.binary(min_size=2, max_size=50)))
    batch = batch_of([(data(draw(macs), draw(macs), draw(tags), rest, draw(st.integers(14, 140))), 0)])
    batch.rows["entry"] = draw(st.integers(-1, 3))
    (words,) = parse(batch.rows).tolist()
    return list(words)


def told(verdict: Verdict) -> object:
    """What a verdict comes to, whatever else the frame is."""
    return ("on", verdict.new_tag) if isinstance(verdict, Frame) else verdict


@each_stage
@given(words=words_of_frames())
@settings(max_examples=60, deadline=None)
def test_a_stage_is_pure(stage: Any, port: Port, words: list[int]) -> None:
    frame, again = Frame(words, Notes()), Frame(list(words), Notes())
    before = list(words)
    verdict = stage(frame, port)
    assert isinstance(verdict, (Frame, Drop, Ports))
    assert told(stage(again, port)) == told(verdict)
    assert again.notes.masks == frame.notes.masks
    assert words == before
    assert not frame.notes.whole
    assert frame.notes.writes == []


@each_stage
@given(words=words_of_frames(), others=words_of_frames())
@settings(max_examples=120, deadline=None)
def test_frames_that_agree_in_what_was_noted_fare_alike(
    stage: Any, port: Port, words: list[int], others: list[int]
) -> None:
    """The ground that remembered paths stand on: change every bit that was not noted, and nothing changes."""
    frame = Frame(words, Notes())
    verdict = stage(frame, port)
    alike = [a & mask | b & ~mask for a, b, mask in zip(words, others, signed(frame.notes.masks), strict=True)]
    for one in frame.notes.asked:
        if isinstance(one.thing, Derived):
            assume(one.thing.of(alike) == one.answer)
    changed = Frame(alike, Notes())
    event(type(verdict).__name__)
    assert told(stage(changed, port)) == told(verdict)
    assert changed.notes.masks == frame.notes.masks


def signed(masks: list[int]) -> list[int]:
    """Masks of 64 bits as the int64 that words are."""
    assert len(masks) == w.COUNT
    return [mask - (1 << 64) if mask >> 63 else mask for mask in masks]

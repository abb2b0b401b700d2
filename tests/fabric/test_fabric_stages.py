"""What the stages of physical switches do with a frame: tables of fates."""

from typing import Any

import pytest
from attrs import evolve
from one_frame import BPDU, EVERYONE, GROUP, LLDP, PORT, PVST, A, B, C, frame

from iochain.batch import batch_of
from iochain.chain import Consumed, Drop, Group, Ports, Reason, Verdict
from iochain.fabric.forwarding import MEMBERS, Floods, Learning, Place, Places, Switching
from iochain.fabric.ports import BpduGuard, ForTheSwitch, OpenPort, PortState, States, SwitchMtu
from iochain.fabric.vlan import AccessIn, AccessOut, Carried, TrunkIn, TrunkOut
from iochain.frame import Frame, Notes, Table
from iochain.kernels.parse import parse
from iochain.testing import check_stage
from iochain.vswitch.teaming import ip_hash_full

OTHER_PORT = evolve(PORT, name="sw1.3")
SOME: Carried = Table("VLANs", False, {1: True, 10: True})
ALL: Carried = Table("VLANs", True)
MISMATCH, INVALID = Reason.VLAN_MISMATCH, Reason.INVALID_TAG
PRIORITY_5 = 5 << 13


@pytest.mark.parametrize(
    ("stage", "tci", "fate"),
    [
        (AccessIn(10), None, 10),
        (AccessIn(10), 0, 10),
        (AccessIn(10), PRIORITY_5, PRIORITY_5 | 10),
        (AccessIn(10), 10, MISMATCH),
        (AccessIn(10), 20, MISMATCH),
        (AccessOut(10), 10, None),
        (AccessOut(10), PRIORITY_5 | 10, None),
        (AccessOut(10), 20, MISMATCH),
        (AccessOut(10), None, MISMATCH),
        (TrunkIn(1, SOME), None, 1),
        (TrunkIn(1, SOME), PRIORITY_5, PRIORITY_5 | 1),
        (TrunkIn(1, SOME), 10, 10),
        (TrunkIn(1, SOME), PRIORITY_5 | 10, PRIORITY_5 | 10),
        (TrunkIn(1, SOME), 20, MISMATCH),
        (TrunkIn(1, SOME), 1, MISMATCH),
        (TrunkIn(1, SOME, native_tag_passes=True), 1, 1),
        (TrunkIn(1, SOME), 4095, INVALID),
        (TrunkIn(1, ALL), 4094, 4094),
        (TrunkIn(1, ALL), 4095, INVALID),
        (TrunkIn(20, SOME), None, MISMATCH),  # the native VLAN is not among those that it carries
        (TrunkIn(0, ALL), None, MISMATCH),
        (TrunkIn(0, ALL), PRIORITY_5, MISMATCH),
        (TrunkIn(0, ALL), 1, 1),
        (TrunkOut(1, SOME), 1, None),
        (TrunkOut(1, SOME), 10, 10),
        (TrunkOut(1, SOME), 20, MISMATCH),
        (TrunkOut(0, SOME), 1, 1),
        (TrunkOut(1, ALL), None, MISMATCH),
    ],
)
def test_vlans_of_ports(stage: Any, tci: int | None, fate: int | Reason | None) -> None:
    verdict = stage(frame(tci=tci), PORT)
    if isinstance(fate, Reason):
        assert isinstance(verdict, Drop)
        assert verdict.reason is fate
    else:
        assert isinstance(verdict, Frame)
        assert verdict.tci == fate


def states(state: PortState) -> States:
    return Table("states", PortState.NO_LINK, {PORT.number: state})


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (PortState.FORWARDING, None),
        (PortState.BLOCKED, Reason.BLOCKED),
        (PortState.NO_LINK, Reason.NO_LINK),
        (PortState.ERR_DISABLED, Reason.ERR_DISABLED),
    ],
)
def test_only_a_port_that_forwards_is_open(state: PortState, reason: Reason | None) -> None:
    sent = frame()
    verdict = OpenPort(states(state))(sent, PORT)
    assert verdict == (sent if reason is None else Drop(reason))


@pytest.mark.parametrize(
    ("special", "guarded", "kept", "kept_without_tree"),
    [
        (BPDU, True, True, False),
        (PVST, True, True, False),
        (LLDP, False, True, True),
        ((GROUP, b"\x08\x00"), False, False, False),
        ((EVERYONE, b"\x08\x06"), False, False, False),
        ((B, b"\x08\x00"), False, False, False),
        ((BPDU[0], b"\x08\x00"), False, True, True),  # to the address of BPDUs, but none
        ((PVST[0], b"\x08\x00"), False, False, False),
        ((BPDU[0] + 0x10, b"\x08\x00"), False, False, False),  # the first that is no longer reserved
    ],
)
def test_frames_for_the_switch(special: tuple[int, bytes], guarded: bool, kept: bool, kept_without_tree: bool) -> None:
    table = states(PortState.FORWARDING)
    seen = frame(special[0], A, rest=special[1])
    verdict = BpduGuard(table)(seen, PORT)
    assert (verdict == Drop(Reason.BPDU_GUARD)) == guarded
    assert seen.notes.writes == ([(table, PORT.number, PortState.ERR_DISABLED)] if guarded else [])
    assert isinstance(ForTheSwitch()(seen, PORT), Consumed) == kept
    assert isinstance(ForTheSwitch(spanning_tree=False)(seen, PORT), Consumed) == kept_without_tree


def with_mss(size: int, mss: int) -> Frame:
    batch = batch_of([(bytes(12) + b"\x08\x00" + bytes(size - 14), 0)])
    batch.rows["mss"] = mss
    (words,) = parse(batch.rows).tolist()
    return Frame(words, Notes())


@pytest.mark.parametrize(
    ("sent", "passes"),
    [
        (frame(size=1514), True),
        (frame(size=1515), False),
        (frame(tci=10, size=1514), True),
        (with_mss(9000, 1460), True),  # a super-frame whose segments fit
        (with_mss(9000, 1461), False),
    ],
)
def test_the_mtu(sent: Frame, passes: bool) -> None:
    verdict = SwitchMtu(1500)(sent, PORT)
    assert verdict == (sent if passes else Drop(Reason.MTU_EXCEEDED, "more than 1500 bytes"))


def learn(stage: Learning, sent: Frame) -> None:
    assert stage(sent, PORT) is sent
    for table, key, answer in sent.notes.writes:
        table.set(key, answer)


def test_learning_and_moves() -> None:
    learned: Places = Table("learned", "")
    moves: Table[int, int] = Table("moves", 0)
    here, there = Learning(learned, moves), Learning(learned, moves, {PORT.name: "sw1 po1"})
    learn(here, frame(B, A, tci=10))
    assert learned.entries() == {(10, A): "sw1.1"}
    again = frame(C, A, tci=10)
    learn(here, again)
    assert again.notes.writes == []  # known: nothing is written, so the way is remembered
    learn(here, frame(B, A, tci=20))
    assert learned.entries() == {(10, A): "sw1.1", (20, A): "sw1.1"}
    assert moves.entries() == {}
    learn(there, frame(B, A, tci=10))
    assert learned.get((10, A)) == "sw1 po1"
    learn(here, frame(B, A, tci=10))
    assert moves.entries() == {A: 2}


def test_a_group_address_is_not_learned() -> None:
    sent = frame(B, GROUP, tci=10)
    Learning(Table("learned", ""), Table("moves", 0))(sent, PORT)
    assert sent.notes.writes == []


CHANNELS = {"sw1.1": "sw1 po1", "sw1.2": "sw1 po1", "sw1.5": "sw1 po2", "sw1.6": "sw1 po2"}


def switching(channels: dict[str, str] | None = None, po1: tuple[str, ...] = ("sw1.1", "sw1.2")) -> Switching:
    floods = Floods("floods")
    places = [Place("sw1.3", False, {10}.__contains__), Place("sw1.4", False, {10, 20}.__contains__)]
    if channels:
        places += [Place("sw1 po1", True, {10}.__contains__), Place("sw1 po2", True, {10}.__contains__)]
    else:
        places += [Place("sw1.1", False, {10, 30}.__contains__)]
    floods.change(places)
    members: Table[str, tuple[str, ...]] = Table("members", (), {"sw1 po1": po1, "sw1 po2": ("sw1.6",)})
    learned: Places = Table("learned", "", {(10, B): "sw1.3", (10, A): "sw1.1", (20, C): "sw1 po1"})
    return Switching(learned, floods, members, ip_hash_full, channels or {})


def flooded(vlan: int, *ports: str) -> Ports:
    return Ports(ports, Group(MEMBERS, vlan, 1), except_="sw1.1")


@pytest.mark.parametrize(
    ("destination", "vlan", "fate"),
    [
        (B, 10, Ports(("sw1.3",))),
        (A, 10, Drop(Reason.NO_PORT, "to the place that it came from")),
        (B, 20, flooded(20)),  # known in another VLAN only
        (C, 10, flooded(10)),
        (EVERYONE, 10, flooded(10)),
        (GROUP, 20, flooded(20)),
    ],
)
def test_forwarding(destination: int, vlan: int, fate: Verdict) -> None:
    assert switching()(frame(destination, A, tci=vlan), PORT) == fate


def test_a_frame_to_its_own_sender_goes_nowhere() -> None:
    """Learning comes before forwarding (IEEE 802.1Q, 8.7), and an engine writes what was learned only afterwards."""
    assert switching()(frame(C, C).on_vlan(20), PORT) == Drop(Reason.NO_PORT, "to the place that it came from")


def test_groups_are_the_ports_of_a_vlan() -> None:
    stage = switching()
    assert stage.group(Group(MEMBERS, 10, 1)) == ("sw1.3", "sw1.4", "sw1.1")
    assert stage.group(Group(MEMBERS, 20, 1)) == ("sw1.4",)
    assert stage.group(Group(MEMBERS, 40, 1)) == ()


def ip(source: int, destination: int) -> bytes:
    """From the EtherType on, an IPv4 header with these last bytes of the addresses."""
    return b"\x08\x00\x45" + bytes(11) + b"\x0a\x00\x00" + bytes([source]) + b"\x0a\x00\x00" + bytes([destination])


def test_a_channel_gets_one_copy_by_the_hash() -> None:
    stage = switching(CHANNELS)
    for last in range(8):
        verdict = stage(frame(C, A, tci=20, rest=ip(last, 0)), PORT)
        assert isinstance(verdict, Drop)  # from a member of the channel to the channel
        verdict = stage(frame(C, A, tci=20, rest=ip(last, 0)), OTHER_PORT)
        assert verdict == Ports((("sw1.1", "sw1.2")[last % 2],))


def test_a_flood_never_goes_back_to_the_channel_and_once_to_each_other() -> None:
    stage = switching(CHANNELS)
    assert stage(frame(EVERYONE, A, tci=10), PORT) == flooded(10, "sw1.6")
    verdict = stage(frame(EVERYONE, A, tci=10, rest=ip(1, 0)), OTHER_PORT)
    assert verdict == Ports(("sw1.2", "sw1.6"), Group(MEMBERS, 10, 1), except_="sw1.3")
    assert stage.group(Group(MEMBERS, 10, 1)) == ("sw1.3", "sw1.4")


def test_a_channel_of_one_member_reads_no_addresses() -> None:
    stage = switching(CHANNELS, po1=("sw1.2",))
    sent = frame(C, A, tci=20)
    assert stage(sent, OTHER_PORT) == Ports(("sw1.2",))
    assert not [asked for asked in sent.notes.asked if "hash" in getattr(asked.thing, "name", "")]


def test_floods_change_all_together_and_only_if_something_is_new() -> None:
    told: list[int] = []
    floods = Floods("floods")
    floods.watchers.append(lambda table, key: told.append(key))
    places = [Place("sw1.1", False, {10}.__contains__)]
    floods.change(places)
    floods.change(list(places))
    assert told == [0]
    assert (floods.get(10).version, floods.get(10).ports) == (1, ("sw1.1",))
    assert floods.depends_on(10) == (0,)
    floods.change([])
    assert floods.get(10).ports == ()
    assert floods.get(10).version == 2


STAGES: list[Any] = [
    AccessIn(10),
    AccessOut(10),
    TrunkIn(1, SOME),
    TrunkIn(0, ALL, native_tag_passes=True),
    TrunkOut(1, SOME),
    OpenPort(states(PortState.FORWARDING)),
    OpenPort(states(PortState.BLOCKED)),
    BpduGuard(states(PortState.FORWARDING)),
    ForTheSwitch(),
    ForTheSwitch(spanning_tree=False),
    SwitchMtu(100),
    Learning(Table("learned", ""), Table("moves", 0), CHANNELS),
    switching(),
    switching(CHANNELS),
]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: type(stage).__name__)
def test_the_contract_of_stages(stage: Any) -> None:
    check_stage(stage, PORT)

"""Where the frames of a capture enter the lab, what becomes of their tags there, and when a hint doubts it."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from iochain import Lab
from iochain.replay import Fate, Replay

WEB, DB, NEW, OUTSIDE = "00:50:56:00:00:01", "00:50:56:00:00:02", "00:50:56:00:00:0a", "02:00:00:00:00:fe"
EVERYBODY = "ff:ff:ff:ff:ff:ff"
CLAIMED, FROM_OUTSIDE = "source MAC of the port", "from outside"


def frame(source: str, destination: str = EVERYBODY, tci: int | None = None) -> bytes:
    """A frame of 60 bytes, 64 with a tag."""
    tag = b"" if tci is None else b"\x81\x00" + tci.to_bytes(2, "big")
    return bytes.fromhex((destination + source).replace(":", "")) + tag + b"\x88\xb5" + bytes(46)


def block(kind: int, body: bytes) -> bytes:
    """A block of a pcapng."""
    body += bytes(-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def capture(folder: Path, *frames: bytes, name: str = "made.pcapng", interface: str = "eth0") -> Path:
    """A pcapng of these frames, all at one moment, from one interface."""
    label = struct.pack("<HH", 2, len(interface)) + interface.encode() + bytes(-len(interface) % 4) + bytes(4)
    made = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    made += block(1, struct.pack("<HHI", 1, 0, 0) + label)
    for data in frames:
        made += block(6, struct.pack("<IIIII", 0, 0, 1, len(data), len(data)) + data)
    path = folder / name
    path.write_bytes(made)
    return path


def lab(**keys: Any) -> Lab:
    """Two VMs on VLANs 10 and 20, two uplinks."""
    made = Lab(**keys)
    switch = made.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"])
    switch.portgroup("Prod", vlan=10).vm("web", mac=WEB, sends_as=["02:42:00:00:00:01"], effective_mac=NEW)
    switch.portgroup("Other", vlan=20).vm("db", mac=DB)
    made.host("esx1").vmkernel("vmk0", network="Other", mac="00:50:56:60:00:01")
    return made


def entered(made: Lab, *captures: Path, **options: Any) -> Mapping[tuple[str, str], int]:
    """How many frames entered by which rule at which port."""
    return made.replay(*captures, **options).entries


def at_port(made: Lab, path: Path, port: str, **options: Any) -> list[Fate]:
    """The copies that were delivered at a port."""
    return list(made.replay(path, **options).deliveries(port))


# -- at which port


@pytest.mark.parametrize("source", [WEB, NEW, "02:42:00:00:00:01"])
def test_a_port_claims_its_addresses_and_those_it_is_said_to_send_as(tmp_path: Path, source: str) -> None:
    assert entered(lab(), capture(tmp_path, frame(source))) == {(CLAIMED, "web"): 1}


def test_vmkernel_adapters_claim_theirs_and_nobody_claims_others(tmp_path: Path) -> None:
    path = capture(tmp_path, frame("00:50:56:60:00:01"), frame(OUTSIDE), frame(OUTSIDE))
    assert entered(lab(), path) == {(CLAIMED, "vmk0"): 1, (FROM_OUTSIDE, "vmnic0"): 2}


def test_of_two_ports_that_claim_an_address_the_first_has_it(tmp_path: Path) -> None:
    made = lab()
    made.vm("twin", network="Other", mac=DB)
    assert entered(made, capture(tmp_path, frame(DB))) == {(CLAIMED, "db"): 1}


@pytest.mark.parametrize("port", ["db", "vmnic1", "esx1.vmnic1"])
def test_at_is_before_all_rules(tmp_path: Path, port: str) -> None:
    made = lab(entry=[{"source_mac": WEB, "at": "web"}])
    path = capture(tmp_path, frame(WEB), frame(OUTSIDE))
    assert entered(made, path, at=port) == {(f"--at {port}", port.removeprefix("esx1.")): 2}


def test_at_a_port_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match='there is no port "vmnic9"'):
        lab().replay(capture(tmp_path, frame(WEB)), at="vmnic9")


@pytest.mark.parametrize(
    ("rule", "hit", "missed"),
    [
        ({"source_mac": OUTSIDE}, frame(OUTSIDE), frame("02:00:00:00:00:ff")),
        ({"vlan": 30}, frame(OUTSIDE, tci=30), frame(OUTSIDE, tci=31)),
        ({"vlan": 30}, frame(OUTSIDE, tci=30 | 5 << 13), frame(OUTSIDE)),
        ({"vlan": 0}, frame(OUTSIDE), frame(OUTSIDE, tci=30)),
        ({"vlan": 0}, frame(OUTSIDE, tci=5 << 13), frame(OUTSIDE, tci=1)),
        ({"vlan": 30, "source_mac": OUTSIDE}, frame(OUTSIDE, tci=30), frame("02:00:00:00:00:ff", tci=30)),
    ],
)
def test_rules_by_header(tmp_path: Path, rule: dict[str, Any], hit: bytes, missed: bytes) -> None:
    made = lab(entry=[{**rule, "at": "vmnic1"}])
    found = entered(made, capture(tmp_path, hit, missed, hit))
    [name] = {name for name, _ in found} - {FROM_OUTSIDE}
    assert name.startswith("rule ")
    assert found == {(name, "vmnic1"): 2, (FROM_OUTSIDE, "vmnic0"): 1}


def test_rules_by_interface(tmp_path: Path) -> None:
    made = lab(entry=[{"interface": "tap1", "at": "db"}])
    captures = [capture(tmp_path, frame(OUTSIDE), name=f"{name}.pcapng", interface=name) for name in ("tap0", "tap1")]
    assert entered(made, *captures) == {(FROM_OUTSIDE, "vmnic0"): 1, ("rule interface tap1", "db"): 1}


@pytest.mark.parametrize("pattern", ["b.pcapng", "b.*", "?.pcapng", "*/b.pcapng"])
def test_rules_by_file(tmp_path: Path, pattern: str) -> None:
    made = lab(entry=[{"file": pattern, "at": "db"}])
    captures = [capture(tmp_path, frame(OUTSIDE), name=name) for name in ("aa.pcapng", "b.pcapng")]
    assert entered(made, *captures) == {(FROM_OUTSIDE, "vmnic0"): 1, (f"rule file {pattern}", "db"): 1}


def test_the_first_rule_that_matches_decides_before_who_claims_the_address(tmp_path: Path) -> None:
    rules = [{"vlan": 30, "at": "db"}, {"source_mac": WEB, "at": "vmnic1"}, {"vlan": 0, "at": "vmnic0"}]
    path = capture(tmp_path, frame(WEB, tci=30), frame(WEB), frame(DB), frame(DB, tci=20))
    assert entered(lab(entry=rules), path) == {
        ("rule VLAN 30", "db"): 1,
        (f"rule source {WEB}", "vmnic1"): 1,
        ("rule VLAN 0", "vmnic0"): 1,
        (CLAIMED, "db"): 1,
    }


def test_rules_of_one_condition_are_told_apart(tmp_path: Path) -> None:
    rules = [{"vlan": 10, "at": "db"}, {"vlan": 1, "at": "vmnic1"}, {"vlan": 1, "at": "vmnic0"}]
    made = lab(entry=rules)
    assert entered(made, capture(tmp_path, frame(OUTSIDE, tci=1))) == {("rule VLAN 1", "vmnic1"): 1}


# -- from outside


def test_the_first_uplink_that_is_up(tmp_path: Path) -> None:
    made = lab()
    made.host("esx1").nic("vmnic0", link="down")
    path = capture(tmp_path, frame(OUTSIDE))
    assert entered(made, path) == {(FROM_OUTSIDE, "vmnic1"): 1}
    made.host("esx1").nic("vmnic1", link="down")
    done = made.replay(path)
    assert done.entries == {(FROM_OUTSIDE, "vmnic0"): 1}
    assert reasons(done) == {"LINK_DOWN": 1}


def test_no_uplink_at_all(tmp_path: Path) -> None:
    made = Lab()
    made.host("esx1").vswitch("vSwitch0").portgroup("Prod").vm("web", mac=WEB)
    done = made.replay(capture(tmp_path, frame(OUTSIDE), frame(WEB)), output=str(tmp_path / "out.pcapng"))
    assert done.entries == {(FROM_OUTSIDE, "nowhere"): 1, (CLAIMED, "web"): 1}
    assert [(fate.port, fate.dropped and fate.dropped.drop.reason.name) for fate in done.fates()] == [
        ("nowhere", "NO_UPLINK"),
        ("web", "NO_UPLINK"),
    ]
    assert done.written == 2


@pytest.mark.parametrize("first", ["inside", "outside"])
def test_of_two_switches_the_one_with_the_destination_then_the_one_with_the_vlan(tmp_path: Path, first: str) -> None:
    """A switch without uplinks is no way in, even if it is the first with that VLAN."""
    made = Lab()
    for name in (first, "inside" if first == "outside" else "outside"):
        made.host("esx1").vswitch(name, uplinks=["vmnic0"] if name == "outside" else [])
    made.host("esx1").vswitch("backup", uplinks=["vmnic1"]).portgroup("Backup", vlan=20).vm("db", mac=DB)
    for name, vm in (("inside", "hidden"), ("outside", "web")):
        made.host("esx1").vswitch(name).portgroup(name, vlan=10).vm(vm)
    made.vm("web", mac=WEB)
    path = capture(
        tmp_path, frame(OUTSIDE, WEB, 10), frame(OUTSIDE, tci=10), frame(OUTSIDE, DB), frame(OUTSIDE, tci=20)
    )
    assert entered(made, path, captured_at="uplink") == {(FROM_OUTSIDE, "vmnic0"): 2, (FROM_OUTSIDE, "vmnic1"): 2}


# -- tags


@pytest.mark.parametrize(
    ("sent", "tci"),
    [
        (frame(OUTSIDE, NEW), 10),  # the switch took the tag off before the guest saw the frame
        (frame(OUTSIDE, NEW, 5 << 13), 5 << 13 | 10),
        (frame(OUTSIDE, NEW, 30), 30),  # a guest that sees tags sees them as they were
        (frame(OUTSIDE), None),  # of several VLANs, which? none is put on
    ],
)
def test_captured_in_a_guest_frames_from_outside_get_back_their_tag(
    tmp_path: Path, sent: bytes, tci: int | None
) -> None:
    done = lab().replay(capture(tmp_path, sent), points=("entered",), output=str(tmp_path / "out.pcapng"))
    assert (tmp_path / "out.pcapng").read_bytes().count(sent[:12] + tag(tci) + b"\x88\xb5") == 1
    assert done.entries == {(FROM_OUTSIDE, "vmnic0"): 1}


def tag(tci: int | None) -> bytes:
    return b"" if tci is None else b"\x81\x00" + tci.to_bytes(2, "big")


def test_captured_in_a_guest_a_broadcast_gets_the_one_vlan_that_there_is(tmp_path: Path) -> None:
    made = Lab()
    made.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod", vlan=10).vm("web", mac=WEB)
    path = capture(tmp_path, frame(OUTSIDE))
    [fate] = at_port(made, path, "web")
    assert fate.data == frame(OUTSIDE)
    assert reasons(made.replay(path, captured_at="uplink")) == {"VLAN_MISMATCH": 1}


@pytest.mark.parametrize("place", ["uplink", "wire"])
@pytest.mark.parametrize(
    ("sent", "wire"),
    [
        (frame(DB, OUTSIDE, 20), frame(DB, OUTSIDE, 20)),
        (frame(DB, OUTSIDE, 20 | 5 << 13), frame(DB, OUTSIDE, 20 | 5 << 13)),
        (frame(DB, OUTSIDE), frame(DB, OUTSIDE, 20)),
    ],
)
def test_captured_at_an_uplink_a_vms_frame_loses_the_tag_that_it_will_get(
    tmp_path: Path, place: str, sent: bytes, wire: bytes
) -> None:
    made = lab()
    path = capture(tmp_path, sent)
    assert entered(made, path, captured_at=place) == {(CLAIMED, "db"): 1}
    assert [fate.data for fate in made.replay(path, captured_at=place).deliveries()] == [wire]


def test_captured_at_an_uplink_another_tag_stays_and_is_refused(tmp_path: Path) -> None:
    assert reasons(lab().replay(capture(tmp_path, frame(DB, OUTSIDE, 30)), captured_at="uplink")) == {
        "VLAN_MISMATCH": 1
    }


def test_captured_in_a_guest_a_vms_tag_stays_and_is_refused(tmp_path: Path) -> None:
    assert reasons(lab().replay(capture(tmp_path, frame(DB, OUTSIDE, 20)))) == {"VLAN_MISMATCH": 1}


def test_where_it_was_captured_may_stand_in_the_lab(tmp_path: Path) -> None:
    path = capture(tmp_path, frame(OUTSIDE, DB, 20))
    for made in (lab(captured_at="uplink"), lab(captured_at="wire"), lab()):
        [fate] = at_port(made, path, "db")
        assert fate.data == frame(OUTSIDE, DB)


def reasons(done: Replay) -> dict[str, int]:
    """Frames by the name of the reason why they were dropped."""
    return {drop.dropped.drop.reason.name: drop.frames for drop in done.drops}


# -- hints


ENOUGH, TOO_FEW = 1, 20
"""A frame in 1 is more than the share that makes a hint, one in 21 is less."""


@pytest.mark.parametrize(
    ("wrong", "options", "words"),
    [
        (frame(OUTSIDE, DB), {"at": "web"}, ["not its own", "sends_as", "--at"]),
        (frame(DB, OUTSIDE, 20), {}, ["--captured-at uplink"]),
        (frame(OUTSIDE, DB), {"captured_at": "uplink"}, ["--captured-at guest"]),
        (frame(OUTSIDE, DB, 30), {}, ["in which the switch has no connected port"]),
        (frame(OUTSIDE, "02:00:00:00:00:11", 20), {}, ["sends_as"]),
        (frame(OUTSIDE, tci=20), {"at": "vmnic1"}, ["db", "floods to all uplinks"]),
    ],
    ids=["forged", "tagged by the switch", "untagged", "no such VLAN", "unknown", "reverse path"],
)
@pytest.mark.parametrize("others", [ENOUGH, TOO_FEW])
def test_a_hint_where_many_frames_are_dropped_as_if_let_in_wrongly(
    tmp_path: Path, wrong: bytes, options: dict[str, Any], words: list[str], others: int
) -> None:
    made = lab(captured_at="guest")
    made.data["hosts"]["esx1"]["vswitches"]["vSwitch0"]["portgroups"]["Other"]["teaming"] = {"active": ["vmnic0"]}
    right = {"web": frame(NEW, OUTSIDE), "vmnic1": frame("02:00:00:00:00:11", NEW, 10)}.get(options.get("at", "web"))
    assert right is not None
    path = capture(tmp_path, wrong, *[right] * others)
    hints = made.replay(path, **options).hints
    if others == TOO_FEW:
        assert hints == []
    else:
        assert [hint for hint in hints if all(word in hint for word in words)]


def test_a_hint_names_the_whole_port(tmp_path: Path) -> None:
    made = lab(captured_at="guest")
    made.data["hosts"]["esx1"]["vswitches"]["vSwitch0"]["portgroups"]["Other"]["teaming"] = {"active": ["vmnic0"]}
    made.data["vms"]["the db"] = made.data["vms"].pop("db")
    hints = made.replay(capture(tmp_path, frame(OUTSIDE, tci=20)), at="vmnic1").hints
    assert [hint for hint in hints if " and the db listens to another" in hint]


def test_no_hint_where_drops_are_by_design(tmp_path: Path) -> None:
    made = Lab()
    made.host("esx1").vswitch("vSwitch0").portgroup("Prod").vm("web", mac=WEB)
    done = made.replay(capture(tmp_path, frame(WEB, WEB), frame(WEB)))
    assert reasons(done) == {"NO_PORT": 1, "NO_UPLINK": 1}
    assert done.hints == []


def test_no_hint_without_frames(tmp_path: Path) -> None:
    assert lab().replay(capture(tmp_path)).hints == []

"""The project's own captures through their labs, and tshark's opinion of what went in and of what came out.

Expected numbers come from display filters, written by hand for each port from the lab: nothing of iochain is in them.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tshark_view import PCAPS, count, fields, needs_tshark, tally

from iochain import Lab
from iochain.engine.network import Engine
from iochain.replay import Replay

CAPTURES = sorted(path for path in PCAPS.iterdir() if ".pcap" in path.name)
IN, OUT = 0, 1


def lab_of(capture: Path) -> Lab:
    """The lab beside a capture."""
    return Lab.load(PCAPS / f"{capture.name.partition('.')[0]}.lab.yaml")


@needs_tshark
@pytest.mark.tshark
@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)
def test_tshark_reads_the_output_and_finds_everything(capture: Path, tmp_path: Path) -> None:
    lab, output = lab_of(capture), tmp_path / "out.pcapng"
    done = lab.replay(capture, output=str(output))
    counters = done.counters
    seen = fields(output, "frame.interface_name", "frame.comment", "vlan.id")
    assert counters.entered == sum(done.entries.values()) == len(fields(capture, "frame.number"))
    assert len(seen) == counters.delivered + counters.dropped == done.written
    comments = [comment for _, comment, _ in seen if comment]
    assert len(comments) == counters.dropped
    assert all(comment.startswith("dropped, ") for comment in comments)
    at = {name for name, _, _ in seen}
    assert at <= {port.name for port in lab.wiring.ports}
    delivered = Counter(name for name, comment, _ in seen if not comment)
    assert delivered == {name: number for name, number in frames_out(lab, done).items() if number}
    accesses = {port.name for port in lab.wiring.ports if not port.uplink and port.vlan != 4095}
    assert not [name for name, comment, vlan in seen if name in accesses and not comment and vlan]


def frames_out(lab: Lab, done: Replay) -> dict[str, int]:
    """Frames delivered at each port, by the port counters."""
    return {port.name: int(done.counters.ports[port.number, OUT, :, 0].sum()) for port in lab.wiring.ports}


def frames_in(lab: Lab, done: Replay) -> dict[str, int]:
    """Frames that entered at each port, by the port counters."""
    return {port.name: int(done.counters.ports[port.number, IN, :, 0].sum()) for port in lab.wiring.ports}


def drops(done: Replay) -> dict[str, int]:
    """Drops by the name of their reason."""
    found: Counter[str] = Counter()
    for drop in done.drops:
        found[drop.dropped.drop.reason.name] += drop.frames
    return dict(found)


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)
def test_both_engines_write_the_same_bytes(capture: Path, tmp_path: Path) -> None:
    outputs = {engine: tmp_path / f"{engine.value}.pcapng" for engine in Engine}
    for engine, output in outputs.items():
        lab_of(capture).replay(capture, output=str(output), engine=engine)
    assert outputs[Engine.PLAIN].read_bytes() == outputs[Engine.PATHS].read_bytes()


class Expected(NamedTuple):
    """A lab with one change, and display filters for what each port gets and sends, and for each reason of drops."""

    capture: str
    setting: str
    gets: Mapping[str, str]
    drops: Mapping[str, str] = {}
    sends: Mapping[str, str] = {}


GROUP = "eth.dst.ig == 1"


def mac(last: str) -> str:
    """The address of one of the machines that are in all captures."""
    return f"00:50:56:00:00:{last}"


def to(address: str) -> str:
    """Frames that are for this address or for groups, and not from it."""
    return f"(eth.dst == {address} || {GROUP}) && !(eth.src == {address})"


def among(field: str, *addresses: str) -> str:
    """Frames with one of these addresses."""
    return f"{field} in {{{', '.join(addresses)}}}"


WEB, DB, SNIFFER, APP, NESTED, VOICE, STORAGE = map(mac, ("01", "02", "03", "04", "05", "08", "09"))
VMK0, ROUTER, EXCHANGE = "00:50:56:60:00:01", "02:00:00:00:00:fe", "02:00:00:00:00:fd"
CONTAINERS = ("02:42:ac:11:00:02", "02:42:ac:11:00:03")
BPDUS = "eth.dst == 01:80:c2:00:00:00"
NO_VLAN = "(!vlan || vlan.id == 0)"
OUTSIDE = among("eth.src", ROUTER, EXCHANGE)

WEB_AND_DB = {
    "web": to(WEB),
    "db": to(DB),
    "vmnic0": f"{among('eth.src', WEB, DB)} && !({among('eth.dst', WEB, DB, SNIFFER)})",
}
TRUNK = {
    "vmk0": f"{NO_VLAN} && {to(VMK0)}",
    "voice": f"{NO_VLAN} && {to(VOICE)}",
    "storage": f"{NO_VLAN} && {to(STORAGE)}",
    "web": f"vlan.id == 10 && {to(WEB)}",
}
TRUNK_OUT = (
    f"({NO_VLAN} && {among('eth.src', VMK0, VOICE, STORAGE)} && !({among('eth.dst', VMK0, VOICE, STORAGE, SNIFFER)}))"
    f" || (vlan.id == 10 && eth.src == {WEB} && !({among('eth.dst', WEB, SNIFFER)}))"
)
FROM_CONTAINERS = f"{among('eth.src', *CONTAINERS)} && !({BPDUS})"
FROM_MACHINES = f"{among('eth.src', WEB, NESTED, ROUTER)} && !({BPDUS})"
BPDUS_SENT = f"{BPDUS} && {among('eth.src', WEB, NESTED, *CONTAINERS)}"
TO_CONTAINERS = f"eth.dst in {{{', '.join(CONTAINERS)}}}"

EXPECTED = [
    Expected(
        "web-and-db.pcapng",
        "portgroup.Monitor.promiscuous=accept",
        {**WEB_AND_DB, "sniffer": "eth"},
        sends={"web": f"eth.src == {WEB}", "db": f"eth.src == {DB}", "vmnic0": f"eth.src == {ROUTER}"},
    ),
    Expected(
        "web-and-db.pcapng",
        "portgroup.Monitor.promiscuous=reject",
        {**WEB_AND_DB, "sniffer": to(SNIFFER)},
        {"UNKNOWN_UNICAST": f"eth.src == {ROUTER} && !({GROUP}) && !({among('eth.dst', WEB, DB, SNIFFER)})"},
    ),
    Expected(
        "trunk.pcapng",
        "portgroup.Backend.vlan=20",
        {
            **TRUNK,
            "db": f"vlan.id == 20 && {to(DB)}",
            "sniffer": "eth",
            "vmnic0": f"{TRUNK_OUT} || (vlan.id == 20 && eth.src == {DB} && !({among('eth.dst', DB, SNIFFER)}))",
        },
        sends={"vmnic0": OUTSIDE, "db": f"eth.src == {DB}"},
    ),
    Expected(
        "trunk.pcapng",
        "portgroup.Backend.vlan=21",
        {**TRUNK, "db": "vlan.id == 21", "sniffer": f"!(eth.src == {DB})", "vmnic0": TRUNK_OUT},
        {"VLAN_MISMATCH": f"eth.src == {DB}"},
    ),
    Expected(
        "guest-bridge.pcap",
        "portgroup.Nested.forged_transmits=reject",
        {
            "web": f"{FROM_MACHINES} && {to(WEB)}",
            "nested": f"{FROM_MACHINES} && {to(NESTED)}",
            "vmnic0": f"{FROM_MACHINES} && !(eth.src == {ROUTER}) && !({among('eth.dst', WEB, NESTED)})",
        },
        {
            "FORGED_TRANSMITS": FROM_CONTAINERS,
            "GUEST_BPDU": BPDUS_SENT,
            "UNKNOWN_UNICAST": f"eth.src == {ROUTER} && {TO_CONTAINERS}",
        },
        {"nested": among("eth.src", NESTED, *CONTAINERS)},
    ),
    Expected(
        "guest-bridge.pcap",
        "portgroup.Nested.forged_transmits=accept",
        {
            "web": f"({FROM_MACHINES} || {FROM_CONTAINERS}) && {to(WEB)}",
            "nested": f"{FROM_MACHINES} && {to(NESTED)}",
            "vmnic0": f"({FROM_MACHINES} || {FROM_CONTAINERS}) && !(eth.src == {ROUTER})"
            f" && !({among('eth.dst', WEB, NESTED)})",
        },
        {"GUEST_BPDU": BPDUS_SENT, "UNKNOWN_UNICAST": f"eth.src == {ROUTER} && {TO_CONTAINERS}"},
    ),
    Expected(
        "two-hosts-uplink.pcap.zst",
        "portgroup.Prod.vlan=10",
        {
            "web": to(WEB),
            "app": to(APP),
            "vmnic0": f"{among('eth.src', WEB, APP)} && !({among('eth.dst', WEB, APP)})",
        },
        {"UNKNOWN_UNICAST": f"!({among('eth.src', WEB, APP)}) && !({GROUP}) && !({among('eth.dst', WEB, APP)})"},
        {"web": f"eth.src == {WEB}", "app": f"eth.src == {APP}", "vmnic0": f"!({among('eth.src', WEB, APP)})"},
    ),
]


@needs_tshark
@pytest.mark.tshark
@pytest.mark.parametrize("expected", EXPECTED, ids=lambda case: f"{case.capture} {case.setting}")
def test_ports_and_drops_are_what_display_filters_count(expected: Expected) -> None:
    capture = PCAPS / expected.capture
    lab = lab_of(capture).with_settings([expected.setting, "options.offloads=pure"])  # LRO makes fewer of them
    done = lab.replay(capture)
    assert frames_out(lab, done) == {port: count(capture, test) for port, test in expected.gets.items()}
    counted = {reason: count(capture, test) for reason, test in expected.drops.items()}
    assert drops(done) == {reason: number for reason, number in counted.items() if number}
    entered = frames_in(lab, done)
    assert {port: entered[port] for port in expected.sends} == {
        port: count(capture, test) for port, test in expected.sends.items()
    }


@needs_tshark
@pytest.mark.tshark
def test_tags_on_the_wire_and_in_guests(tmp_path: Path) -> None:
    """The uplink has the tag of the port group, the guests have none, a guest on VLAN 4095 has all."""
    output = tmp_path / "out.pcapng"
    lab_of(PCAPS / "trunk.pcapng").replay(PCAPS / "trunk.pcapng", output=str(output))
    seen = tally(output, "frame.interface_name", "vlan.id", "vlan.priority")
    assert {(vlan, priority) for name, vlan, priority in seen if name in ("web", "db", "vmk0", "voice")} == {("", "")}
    tags = {("", ""), ("0", "3"), ("0", "5"), ("10", "0"), ("20", "0")}
    assert {(vlan, priority) for name, vlan, priority in seen if name == "sniffer"} == tags
    assert {(vlan, priority) for name, vlan, priority in seen if name == "vmnic0"} == tags


VLANS = st.integers(0, 4094)
TAGS = st.builds(
    lambda vlan, rest: (vlan | rest).to_bytes(2, "big"), VLANS, st.sampled_from([0, 1 << 12, 5 << 13, 15 << 12])
)


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(
    st.lists(TAGS, max_size=3),
    st.sampled_from([b"\x81\x00", b"\x88\xa8"]),
    st.binary(min_size=2, max_size=200),
    st.booleans(),
)
def test_a_guest_that_tags_reaches_one_that_tags_byte_for_byte(
    tags: list[bytes], inner_type: bytes, rest: bytes, to_group: bool
) -> None:
    lab = Lab()
    trunk = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Trunk", vlan=4095)
    trunk.vm("a", mac=WEB)
    trunk.vm("b", mac=DB)
    destination = "ff:ff:ff:ff:ff:ff" if to_group else DB
    types = [b"\x81\x00", *[inner_type] * 2]
    stack = b"".join(kind + tag for kind, tag in zip(types, tags, strict=False))
    frame = bytes.fromhex((destination + WEB).replace(":", "")) + stack + b"\x88\xb5" + rest
    outcome = lab.send(frame, at="a")
    assert [fate.data for fate in outcome.deliveries if fate.port == "b"] == [frame]

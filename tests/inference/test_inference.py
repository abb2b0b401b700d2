"""Inferring a lab: who becomes a VM, on which port group, and that the result is always a lab that loads."""

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from iochain import CaptureError, Lab
from iochain.batch import batch_of
from iochain.inference import InferredLab, infer
from iochain.inference.census import Census
from iochain.inference.draft import MOST_VMS
from iochain.topology.labfile import load_text, structure

PCAPS = Path(__file__).parents[2] / "pcaps"
OTHERS = Path(__file__).parents[3] / "shared" / "captures"
A, B, C = "00:50:56:00:00:0a", "00:50:56:00:00:0b", "00:50:56:00:00:0c"
SPANNING_TREE = "01:80:c2:00:00:00"


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def frame(source: str, vlan: int | None = None, ip: str | None = None, to: str = B, payload: int = 46) -> bytes:
    """An Ethernet frame: UDP over IPv4 from ``ip``, or of a type for experiments."""
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    if ip is None:
        return mac(to) + mac(source) + tag + b"\x88\xb5" + bytes(payload)
    address = bytes(map(int, ip.split(".")))
    header = struct.pack("!BBHHHBBH", 0x45, 0, payload, 0, 0, 64, 17, 0) + address + bytes(4)
    return mac(to) + mac(source) + tag + b"\x08\x00" + header.ljust(payload, b"\0")


def arp(source: str, ip: str) -> bytes:
    message = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac(source) + bytes(map(int, ip.split("."))) + bytes(10)
    return mac("ff:ff:ff:ff:ff:ff") + mac(source) + b"\x08\x06" + message


def pcap(path: Path, frames: Iterable[bytes]) -> Path:
    records = [struct.pack("<IIII", 1, i, len(data), len(data)) + data for i, data in enumerate(frames)]
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 1) + b"".join(records))
    return path


def inferred(folder: Path, frames: Iterable[bytes]) -> InferredLab:
    lab = infer([pcap(folder / "test.pcap", frames)])
    assert structure(lab.data) == load_text(lab.text).spec
    return lab


def vms(lab: InferredLab) -> dict[str, str]:
    """Port groups by VM."""
    return {name: vm["network"] for name, vm in lab.data.get("vms", {}).items()}


@pytest.mark.parametrize(
    ("frames", "expected", "captured_at"),
    [
        ([frame(A)], {"vm1": "Untagged"}, "guest"),
        ([frame(A, vlan=0)], {"vm1": "Untagged"}, "guest"),
        ([frame(A, vlan=10), frame(B)], {"vm1": "VLAN10", "vm2": "Untagged"}, "uplink"),
        ([frame(A, vlan=10), frame(A, vlan=20)], {"vm1": "Trunk"}, "guest"),
        ([frame(A, vlan=10), *[frame(A, vlan=20)] * 99], {"vm1": "VLAN20"}, "uplink"),
        ([frame(A, vlan=4095)], {"vm1": "Trunk"}, "guest"),
        ([frame(A, ip="10.0.0.5")], {"vm-10-0-0-5": "Untagged"}, "guest"),
        ([arp(A, "10.0.0.5")], {"vm-10-0-0-5": "Untagged"}, "guest"),
        ([arp(A, "0.0.0.0"), frame(A, ip="0.0.0.0")], {"vm1": "Untagged"}, "guest"),
        ([frame(A, ip="10.0.0.5"), frame(A, ip="10.0.0.6")], {"vm1": "Untagged"}, "guest"),
        ([frame(m, ip="10.0.0.5") for m in (A, C)], {"vm-10-0-0-5": "Untagged", "vm-10-0-0-5-2": "Untagged"}, "guest"),
        ([frame(A), frame("01:00:5e:00:00:01"), frame("00:00:00:00:00:00")], {"vm1": "Untagged"}, "guest"),
        ([frame(A, to=SPANNING_TREE), frame(B)], {"vm1": "Untagged"}, "guest"),
        ([frame(A, to=SPANNING_TREE), frame(A)], {"vm1": "Untagged"}, "guest"),
        ([], {}, "guest"),
    ],
)
def test_who_becomes_a_vm(tmp_path: Path, frames: list[bytes], expected: dict[str, str], captured_at: str) -> None:
    lab = inferred(tmp_path, frames)
    assert vms(lab) == expected
    assert lab.data["captured_at"] == captured_at


def test_a_router_stays_outside_and_is_told(tmp_path: Path) -> None:
    forwarded = [frame(A, ip=f"192.0.2.{last}") for last in range(1, 10)]
    assert vms(inferred(tmp_path, [*forwarded[:8], frame(B)])) == {"vm1": "Untagged", "vm2": "Untagged"}
    lab = inferred(tmp_path, [*forwarded, frame(B)])
    assert vms(lab) == {"vm1": "Untagged"}
    assert f"{A}: 9 frames; speaks for more than 8 IP addresses: a router" in lab.text
    assert f"outside: 1 ({A})" in lab.summary


def test_among_routers_only_the_first_is_taken_in(tmp_path: Path) -> None:
    forwarded = [frame(m, ip=f"192.0.{net}.{last}") for net, m in enumerate((A, B)) for last in range(1, 10)]
    lab = inferred(tmp_path, forwarded)
    assert [vm["mac"] for vm in lab.data["vms"].values()] == [A]
    assert "as its VLAN has no other VM" in lab.text


def test_only_the_busiest_thousand_become_vms(tmp_path: Path) -> None:
    machines = [f"00:50:56:00:{n >> 8:02x}:{n & 255:02x}" for n in range(MOST_VMS + 2)]
    lab = inferred(tmp_path, [*map(frame, machines), *map(frame, machines[2:])])
    assert [vm["mac"] for vm in lab.data["vms"].values()] == machines[2:]
    assert f"outside: 2 ({machines[0]}, {machines[1]}): not among the busiest 1,000" in lab.summary


def test_a_full_table_forgets_who_sent_least() -> None:
    whole = Census()
    census = Census(sources=whole.sources[:8].copy(), slots=np.full(16, -1, np.int64))
    busy, others = frame(A), [frame(f"00:50:56:00:01:{n:02x}") for n in range(20)]
    batch = batch_of([(data, 0) for other in others for data in (other, busy)])
    census.count(batch.rows)
    assert census.frames == 40
    assert len(census.known()) + census.forgotten == 21
    assert {str(machine.mac): machine.frames for machine in census.known()}[A] == 20


def test_jumbo_frames_get_their_mtu(tmp_path: Path) -> None:
    assert "mtu" not in inferred(tmp_path, [frame(A, payload=1500)]).text
    assert "mtu: 9000" in inferred(tmp_path, [frame(A, payload=1501)]).text


def test_a_shared_mac_is_pointed_out(tmp_path: Path) -> None:
    assert "an address of VRRP" in inferred(tmp_path, [frame("00:00:5e:00:01:0a")]).text


def test_a_capture_without_frames_gives_a_lab_with_a_note(tmp_path: Path) -> None:
    lab = inferred(tmp_path, [])
    assert "no Ethernet frame" in lab.text
    assert "no Ethernet frame" in lab.summary
    assert Lab.of(load_text(lab.text)).port("vmnic0").port.uplink


def test_a_limit_and_several_captures(tmp_path: Path) -> None:
    first, second = pcap(tmp_path / "a.pcap", [frame(A)]), pcap(tmp_path / "b.pcap", [frame(B), frame(C)])
    assert len(vms(infer([first, second]))) == 3
    assert len(vms(infer([first, second], limit=1))) == 1


def test_what_was_not_read_is_told(tmp_path: Path) -> None:
    path = pcap(tmp_path / "odd\nname.pcap", [frame(A), frame(B)])
    path.write_bytes(path.read_bytes()[:-1])
    lab = infer([path])
    assert "# Note: odd?name.pcap: cut short after frame 1" in lab.text
    assert load_text(lab.text).spec.vms


@pytest.mark.parametrize("content", [None, b"no capture at all, just text"])
def test_what_is_no_capture_is_a_capture_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.pcap"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CaptureError):
        infer([path])


@pytest.mark.parametrize("path", sorted(PCAPS.glob("*.pcap*")), ids=lambda path: path.name)
def test_own_captures_are_delivered(path: Path) -> None:
    lab = infer([path])
    replay = Lab.of(load_text(lab.text)).replay(path)
    assert replay.counters.entered > 0
    assert sum(drop.frames for drop in replay.drops) <= 0.05 * replay.counters.entered
    assert infer([path]) == lab


@pytest.mark.skipif(not OTHERS.is_dir(), reason="the captures of other projects are not here")
def test_any_capture_gives_a_lab() -> None:
    for path in sorted(OTHERS.glob("*.pcap*")):
        lab = infer([path])
        assert structure(lab.data) == load_text(lab.text).spec


macs = st.one_of(
    st.sampled_from([mac(A), mac(B), mac(SPANNING_TREE), bytes(6), b"\xff" * 6, mac("00:00:5e:00:01:01")]),
    st.binary(min_size=6, max_size=6),
)
tags = st.one_of(st.just(b""), st.integers(0, 0xFFFF).map(lambda tci: struct.pack("!HH", 0x8100, tci)))
types = st.sampled_from(
    [b"\x08\x00\x45", b"\x86\xdd\x60", b"\x08\x06\x00\x01\x08\x00\x06\x04", b"\x00\x26\x42\x42\x03", b"\x88\xa8"]
)
frames = st.builds(lambda *parts: b"".join(parts), macs, macs, tags, types, st.binary(max_size=64))


@given(st.lists(frames, max_size=30))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_frames_give_a_lab_that_loads_without_mistakes(tmp_path: Path, some: list[bytes]) -> None:
    lab = inferred(tmp_path, some)
    event(f"{min(len(vms(lab)), 3)} VMs or more")
    assert not load_text(lab.text).warnings
    assert len({vm["mac"] for vm in lab.data.get("vms", {}).values()}) == len(vms(lab))

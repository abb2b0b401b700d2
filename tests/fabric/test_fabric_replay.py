"""Captures through labs with physical switches: counters of their ports, MACs that moved, and how it is shown."""

import json
import struct
from pathlib import Path

import pytest
from one_frame import EVERYONE, data, two_hosts
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from iochain import Lab
from iochain.chain import Reason
from iochain.cli import main
from iochain.engine.counters import FRAMES, IN, OUT
from iochain.frame import Mac

Capture = pytest.CaptureFixture[str]
VM1, VM2, OUTSIDE = Mac("00:50:56:00:00:01"), Mac("00:50:56:00:00:02"), Mac("02:00:00:00:00:99")

LAB = """
hosts:
  esx1: {vswitches: {vSwitch0: {uplinks: [vmnic0], portgroups: {Prod: {vlan: 10}}}}}
  esx2: {vswitches: {vSwitch0: {uplinks: [vmnic0], portgroups: {Prod: {vlan: 10}}}}}
vms:
  vm1: {host: esx1, network: Prod, mac: "00:50:56:00:00:01"}
  vm2: {host: esx2, network: Prod, mac: "00:50:56:00:00:02"}
fabric:
  switches:
    sw1: {count: 4, ports: {3: {vlan: 10, link: up}, 4: {vlan: 10, link: up}}}
  cables: [[esx1.vmnic0, sw1.1], {ends: [esx2.vmnic0, sw1.2], latency: 500 ns}]
entry:
  - {source_mac: "02:00:00:00:00:99", vlan: 0, at: sw1.3}
"""


def capture(path: Path, frames: list[bytes]) -> Path:
    """A pcap of these frames, a millisecond apart."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    records = [struct.pack("<IIII", 0, 1000 * i, len(one), len(one)) + one for i, one in enumerate(frames)]
    path.write_bytes(head + b"".join(records))
    return path


def told_by(capsys: Capture, *arguments: str) -> str:
    """What a command writes."""
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


FRAMES_SENT = [
    data(EVERYONE, VM1),
    data(VM1, VM2),
    data(VM2, VM1),
    data(EVERYONE, OUTSIDE),
    data(VM1, OUTSIDE),
]


@pytest.mark.parametrize("engine", ["plain", "paths"])
def test_counters_of_switch_ports(tmp_path: Path, engine: str) -> None:
    (tmp_path / "lab.yaml").write_text(LAB, encoding="utf-8")
    lab = Lab.load(tmp_path / "lab.yaml")
    done = lab.replay(capture(tmp_path / "in.pcap", FRAMES_SENT), engine=engine)
    counted = {
        port.name: done.counters.ports[port.number][..., FRAMES].sum(axis=1).tolist() for port in lab.wiring.ports
    }
    assert {name: (counts[IN], counts[OUT]) for name, counts in counted.items() if name.startswith("sw1")} == {
        "sw1.1": (2, 3),
        "sw1.2": (1, 3),
        "sw1.3": (2, 1),
        "sw1.4": (0, 2),
    }
    came = [[fate.port for fate in done.deliveries() if fate.frame == number] for number in range(1, 6)]
    assert [sorted(ports) for ports in came] == [
        ["sw1.3", "sw1.4", "vm2"],
        ["vm1"],
        ["vm2"],
        ["sw1.4", "vm1", "vm2"],
        ["vm1"],
    ]
    assert done.mac_moves == {}
    assert not [drop for drop in done.drops if drop.dropped.drop.reason is not Reason.RECEIVE_FILTER]


def test_what_the_command_line_shows(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "lab.yaml").write_text(LAB, encoding="utf-8")
    path = str(capture(tmp_path / "in.pcap", FRAMES_SENT))
    arguments = ["replay", path, "--lab", str(tmp_path / "lab.yaml")]
    told = told_by(capsys, *arguments)
    assert "Ports of physical switches (in: to the switch, out: from the switch)" in told
    document = json.loads(told_by(capsys, *arguments, "--json"))
    assert document["mac_moves"] == []
    shown = told_by(capsys, "lab", "show", str(tmp_path / "lab.yaml"))
    assert "Physical switch sw1: MTU 1500, ageing 300 s, priority 32768" in shown
    assert "  esx2.vmnic0  sw1.2   500 ns" in shown


def test_moves_are_counted_and_shown(tmp_path: Path, capsys: Capture) -> None:
    text = LAB + '  - {interface: x, at: sw1.4}\n  - {source_mac: "00:50:56:00:00:01", vlan: 0, at: sw1.4}\n'
    (tmp_path / "lab.yaml").write_text(text, encoding="utf-8")
    frames = [data(EVERYONE, VM1, tci=10), data(EVERYONE, VM1), data(EVERYONE, VM1, tci=10)]
    path = str(capture(tmp_path / "in.pcap", frames))
    arguments = ["replay", path, "--lab", str(tmp_path / "lab.yaml"), "--set", "captured_at=uplink"]
    document = json.loads(told_by(capsys, *arguments, "--json"))
    assert document["mac_moves"] == [{"switch": "sw1", "mac": str(VM1), "moves": 2}]
    told = told_by(capsys, *arguments)
    assert "MACs that moved between ports of a physical switch" in told


@pytest.mark.parametrize("engine", ["plain", "paths"])
@pytest.mark.parametrize(
    ("host_mtu", "payload", "passes"),
    [
        (1500, 4000, True),  # whole, but segments of 1500 would fit
        (1500, 64000, True),
        (9000, 4000, False),  # one jumbo frame
        (9000, 64000, False),  # segments of 9000 would not fit
    ],
)
def test_super_frames_without_offloads(host_mtu: int, payload: int, passes: bool, engine: str, tmp_path: Path) -> None:
    text = LAB.replace("uplinks: [vmnic0]", f"uplinks: [vmnic0], mtu: {host_mtu}") + "options: {offloads: none}\n"
    (tmp_path / "lab.yaml").write_text(text, encoding="utf-8")
    sent = Ether(src=str(VM1), dst=str(VM2)) / IP() / TCP() / bytes(payload)
    done = Lab.load(tmp_path / "lab.yaml").replay(capture(tmp_path / "in.pcap", [bytes(sent)]), engine=engine)
    assert [fate.data for fate in done.deliveries("vm2")] == [bytes(sent)] * passes
    at_switch = [one.dropped.drop.reason for one in done.drops if one.dropped.where.startswith("sw1.1")]
    assert at_switch == ([] if passes else [Reason.MTU_EXCEEDED])


def test_the_same_lab_in_python() -> None:
    lab = two_hosts()
    lab.physical_switch("sw1").port(3, vlan=10, link="up")
    outcome = lab.port("sw1.3").send(data(EVERYONE, OUTSIDE))
    assert outcome.ports == ("vm1", "vm2")
    assert "sw1.3 → sw1" in str(outcome.explanation)

"""What a replay says of failovers: as values, as JSON, and as text."""

import json
from pathlib import Path

import pytest
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from iochain import Lab, link_down, link_up
from iochain.cli import main

START = 1_700_000_000
LAB = """\
hosts: {esx1: {vswitches: {vSwitch0: {uplinks: [vmnic0, vmnic1], portgroups: {Prod: {vlan: 10}}}}}}
vms: {web: {network: Prod, mac: 00:50:56:00:00:01}}
"""
TIMELINE = """\
- {at: 1200 ms, link_down: vmnic0}
- {at: 3 s, link_up: vmnic0}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A capture of 50 frames a second for six seconds, a lab, and a timeline."""
    frames = []
    for number in range(300):
        frame = Ether(src="00:50:56:00:00:01", dst="02:00:00:00:00:fe", type=0x0800) / bytes(50)
        frame.time = START + number / 50
        frames.append(frame)
    wrpcap(str(tmp_path / "web.pcap"), frames)
    (tmp_path / "lab.yaml").write_text(LAB)
    (tmp_path / "events.yaml").write_text(TIMELINE)
    return tmp_path


def test_values(folder: Path) -> None:
    lab = Lab.load(folder / "lab.yaml")
    result = lab.replay(folder / "web.pcap", timeline=[("1200 ms", link_down("vmnic0")), ("3 s", link_up("vmnic0"))])
    told = [(failover.time_ns / 10**9 - START, failover.after) for failover in result.failovers]
    assert told == [(1.5, ("vmnic1",)), (pytest.approx(3.1), ("vmnic0", "vmnic1"))]
    (drop,) = result.drops
    assert drop.frames == 15  # from 1.2 s to the look at 1.5 s
    assert result.counters.generated == 6


def said(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(command) == 0
    return capsys.readouterr().out


def test_text_and_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(folder / name) for name in ("web.pcap", "lab.yaml", "events.yaml")]
    command = ["replay", files[0], "--lab", files[1], "--timeline", files[2]]
    text = said(command, capsys)
    assert "  +1.500000 s  uplinks of Prod  vmnic0, vmnic1  vmnic1\n" in text
    document = json.loads(said([*command, "--json"], capsys))
    assert [one["after"] for one in document["failovers"]] == [["vmnic1"], ["vmnic0", "vmnic1"]]

"""The comparison of two labs, held against two replays frame by frame; groups, causes, samples, several captures."""

import json
from collections import Counter
from pathlib import Path

import pytest

from iochain.batch import source_and_serial
from iochain.capture import read_captures
from iochain.chain import Drop, Port, Reason, Verdict
from iochain.cli import main
from iochain.frame import Frame
from iochain.lab import Lab
from iochain.replay import Options
from iochain.verify.difference import difference, write_samples

ROOT = Path(__file__).parents[2]
CAPTURE, LAB = str(ROOT / "pcaps" / "web-and-db.pcapng"), str(ROOT / "pcaps" / "web-and-db.lab.yaml")
SHARED = sorted((ROOT / "../shared/captures").glob("*vlan*.pcap*"))
Fate = tuple[object, ...]


def fates(lab: Lab, captures: list[str]) -> dict[tuple[int, int], Counter[Fate]]:
    """What became of each frame, by a replay."""
    found: dict[tuple[int, int], Counter[Fate]] = {}
    for fate in lab.replay(*captures).fates():
        tag = fate.data[14:16].hex()[1:] if fate.data[12:14] == b"\x81\x00" else ""
        dropped = None if fate.dropped is None else (fate.dropped.where, str(fate.dropped))
        said: Fate = (fate.port, tag if dropped is None else "", dropped)
        found.setdefault((fate.source, fate.frame), Counter())[said] += 1
    return found


@pytest.mark.parametrize("captures", [[CAPTURE], [CAPTURE, CAPTURE]])
@pytest.mark.parametrize(
    "setting",
    [
        "portgroup.Prod.vlan=20",
        "portgroup.Monitor.promiscuous=reject",
        "vm.db.connected=no",
        "portgroup.Prod.shaping={average: 1 Mbit/s, burst: 1 KB}",
        "vswitch.vSwitch0.mtu=100",
        "vm.web.promiscuous=yes",
        "esxi_version=6.7",
    ],
)
def test_the_frames_that_two_replays_treat_differently(setting: str, captures: list[str]) -> None:
    old, new = Lab.load(LAB), Lab.load(LAB, [setting])
    before, after = fates(old, captures), fates(new, captures)
    changed = {frame for frame in {*before, *after} if before.get(frame) != after.get(frame)}
    result = difference(old, new, captures, samples=10_000)
    found = [(captures.index(one.capture), one.frame) for group in result.groups for one in group.samples]
    assert result.changed == len(changed)
    assert {frame for _, frame in found} == {frame for _, frame in changed}
    assert len(found) == len(changed) or len(captures) > 1  # captures of one name are told apart by number only
    assert result.frames == len(captures) * 393
    for group in result.groups:
        assert group.setting is not None
        assert set(group.old).isdisjoint(group.new)


def test_alike() -> None:
    result = difference(Lab.load(LAB), Lab.load(LAB), [CAPTURE])
    assert (result.groups, result.changed, result.frames) == ((), 0, 393)


def test_of_several_differences_the_one_that_decided_is_told() -> None:
    new = Lab.load(LAB, ["portgroup.Monitor.promiscuous=reject", "vswitch.vSwitch0.mtu=1400", "vm.db.sends_as=[]"])
    result = difference(Lab.load(LAB), new, [CAPTURE])
    largest = result.groups[0]
    assert largest.setting is not None
    assert largest.setting.key.endswith("portgroups.Monitor.promiscuous")


def test_stages_of_users_are_there_when_causes_are_tried() -> None:
    def refuse(frame: Frame, port: Port) -> Verdict:
        return Drop(Reason.STAGE, "not here")

    old = Lab.load(LAB, ["vm.db.mac=00:50:56:00:00:09"])
    new = old.with_settings(["portgroup.Monitor.promiscuous=accept", "portgroup.Prod.forged_transmits=accept"])
    for lab in (old, new):
        lab.port("sniffer").output.insert(refuse, after="vlan")
    old, new = old.with_settings(["portgroup.Monitor.promiscuous=reject"]), new.with_settings(())
    result = difference(old, new, [CAPTURE])
    (seen,) = (group for group in result.groups if not group.old and any(one.port == "sniffer" for one in group.new))
    assert seen.setting is not None
    assert seen.setting.key.endswith("portgroups.Monitor.promiscuous")


def test_part_of_a_capture() -> None:
    new = Lab.load(LAB, ["portgroup.Prod.vlan=20"])
    result = difference(Lab.load(LAB), new, [CAPTURE], Options(limit=50))
    assert result.frames == 50
    assert all(one.frame <= 50 for group in result.groups for one in group.samples)


def test_samples_are_frames_of_the_capture(tmp_path: Path) -> None:
    new = Lab.load(LAB, ["vm.db.connected=no"])
    result = difference(Lab.load(LAB), new, [CAPTURE])
    path = tmp_path / "samples.pcapng"
    assert write_samples(result, path) == sum(len(group.samples) for group in result.groups)
    with read_captures([CAPTURE]) as reader:
        known = {
            source_and_serial(int(order))[1]: batch.frame_bytes(index)
            for batch, _ in reader
            for index, order in enumerate(batch.column("order").tolist())
        }
    wanted = [known[one.frame] for group in result.groups for one in group.samples]
    with read_captures([str(path)]) as reader:
        found = [batch.frame_bytes(index) for batch, _ in reader for index in range(len(batch))]
    assert sorted(found) == sorted(wanted)


@pytest.mark.skipif(not SHARED, reason="the shared captures are not here")
def test_captures_of_others() -> None:
    captures = [str(path) for path in SHARED]
    old = Lab.load(LAB, ["captured_at=uplink"])
    new = old.with_settings(["portgroup.Prod.vlan=4095"])
    before, after = fates(old, captures), fates(new, captures)
    result = difference(old, new, captures)
    assert result.changed == sum(before.get(frame) != after.get(frame) for frame in {*before, *after})


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", LAB, LAB, CAPTURE]) == 0
    assert "all of 393 frames fare alike" in " ".join(capsys.readouterr().out.split())
    samples = str(tmp_path / "s.pcapng")
    changed = ["diff", LAB, LAB, CAPTURE, "--set-a", "vm.web.connected=no", "--samples", samples, "--json"]
    assert main(changed) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["changed"] == sum(group["frames"] for group in document["groups"])
    assert document["samples"]["frames"] > 0
    assert main(["diff", LAB, LAB, CAPTURE, "--set", "vm.web.connected=no"]) == 0
    assert main(["diff", LAB, LAB, str(tmp_path / "none.pcap")]) == 2
    assert main(["diff", LAB, LAB, "-"]) == 2

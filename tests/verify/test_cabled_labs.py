"""Labs with cables: frames are searched through physical switches too; what hosts make is no frame of the search."""

import struct
from pathlib import Path

import pytest

from iochain.lab import Lab
from iochain.verify import search, shrinking
from iochain.verify.checking import check
from iochain.verify.difference import difference
from iochain.verify.policyfile import policy_of_text
from iochain.verify.trial import tried

MACS = {name: bytes.fromhex(f"00505600000{number}") for number, name in enumerate(("vm1", "vm2"), 1)}
EVERYONE = b"\xff" * 6
TO_ESX2 = tuple(f"fabric.switches.sw1.ports.{port}.allowed_vlans=20" for port in (3, 4))
PLAIN = b"\x88\xb5" + bytes(46)


def cabled(*settings: str) -> Lab:
    """A VM on each of two hosts that probe their uplinks with beacons, behind one physical switch."""
    lab = Lab()
    for number in (1, 2):
        switch = lab.host(f"esx{number}").vswitch(
            "vSwitch0", uplinks=["vmnic0", "vmnic1"], teaming={"failure_detection": "beacon"}
        )
        prod = switch.portgroup("Prod", vlan=10)
        prod.vm(f"vm{number}", mac=MACS[f"vm{number}"].hex(":"))
        for nic in (0, 1):
            lab.cable(f"esx{number}.vmnic{nic}", f"sw1.{2 * number - 1 + nic}")
    lab.physical_switch("sw1", count=4)
    return lab.with_settings(settings)


def test_copies_are_those_of_the_frames_that_were_sent() -> None:
    wiring = cabled().wiring
    one, other = (wiring.port(name).number for name in MACS)
    frames = [EVERYONE + MACS["vm1"] + PLAIN, MACS["vm1"] + MACS["vm2"] + PLAIN, EVERYONE + MACS["vm2"] + PLAIN]
    trial = tried(wiring, frames, [one, other, other], [-1] * 3)
    arrived = {(frame, port) for frame, port in zip(trial.frame.tolist(), trial.port.tolist(), strict=True)}
    assert {(frame, port) for frame, port in arrived if port in (one, other)} == {(0, other), (1, one), (2, one)}


def test_a_frame_that_shuts_a_port_does_not_shut_it_for_the_next() -> None:
    guards = [f"fabric.switches.sw1.ports.{port}.bpdu_guard=yes" for port in (1, 2)]
    wiring = cabled("esxi_version=6.7", *guards).wiring
    bpdu = bytes.fromhex("0180c2000000") + MACS["vm1"] + bytes.fromhex("0026424203") + bytes(43)
    frames = [bpdu, bpdu, EVERYONE + MACS["vm1"] + PLAIN]
    trial = tried(wiring, frames, [wiring.port("vm1").number] * 3, [-1] * 3)
    assert wiring.port("vm2").number in trial.port[trial.frame == 2].tolist()


@pytest.mark.parametrize(
    ("statement", "settings", "port"),
    [
        ("never: {frames: {destination: broadcast}, at: vm2, from: vm1}", (), "vm2"),
        ("reaches: {from: vm1, to: vm2}", TO_ESX2, "vm2"),
        ("reaches: {from: vm1, to: vm2}", (), None),
    ],
)
def test_statements_about_both_sides_of_a_fabric(
    statement: str, settings: tuple[str, ...], port: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_FRAMES", 100)
    monkeypatch.setattr(shrinking, "_ROUNDS", 1)  # each frame is a few windows of all hosts: some milliseconds
    lab = cabled(*settings)
    policy = policy_of_text(f"statements:\n  s: {{because: x, {statement}}}\n", lab.wiring)
    (one,) = check(lab, policy, examples=0, settings=False).checked
    assert (None if one.violation is None else one.violation.witness.port) == port


def test_two_cabled_labs_are_compared_by_the_frames_of_captures(tmp_path: Path) -> None:
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    sent = EVERYONE + MACS["vm1"] + PLAIN
    records = [struct.pack("<IIII", second, 0, len(sent), len(sent)) + sent for second in range(5)]
    (tmp_path / "sent.pcap").write_bytes(head + b"".join(records))
    captures = [str(tmp_path / "sent.pcap")]
    same = difference(cabled(), cabled(), captures)
    assert (same.frames, same.groups) == (5, ())
    other = difference(cabled(), cabled("vm.vm2.connected=no"), captures)
    assert [group.frames for group in other.groups] == [5]

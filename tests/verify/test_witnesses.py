"""Witnesses are one frame, as plain as can be: no payload, MACs of the lab or plain ones, no tag without need."""

import pytest

from iochain.chain import Drop, Port, Reason, Verdict
from iochain.frame import Frame
from iochain.lab import Lab
from iochain.verify.candidates import OUTSIDE
from iochain.verify.checking import Violation, check
from iochain.verify.policyfile import policy_of_text

WEB, DB, T1, NOBODY, ALL = "005056000001", "005056000002", "005056000003", f"{OUTSIDE:012x}", "f" * 12
PLAIN = "88b5"
INNER = "0242ac110002"


def lab_of(*settings: str) -> Lab:
    """Two VMs with VLAN 10, one with VLAN 20, two uplinks; everything refused."""
    lab = Lab(esxi_version="8.0")
    switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"])
    prod, test = switch.portgroup("Prod", vlan=10), switch.portgroup("Test", vlan=20)
    prod.vm("web", mac="00:50:56:00:00:01")
    prod.vm("db", mac="00:50:56:00:00:02")
    test.vm("t1", mac="00:50:56:00:00:03")
    return lab.with_settings(settings)


def violation(lab: Lab, statement: str) -> Violation:
    policy = policy_of_text(f"statements:\n  s: {{because: x, {statement}}}\n", lab.wiring)
    (one,) = check(lab, policy, examples=0).checked
    assert one.violation is not None
    return one.violation


FORGED, VLAN = "portgroup.Prod.forged_transmits=accept", "portgroup.Test.vlan=10"
TO_DB = 'frames: {destination: "00:50:56:00:00:02"}'
TABLE = [
    ((FORGED,), "no_spoofing: web", "web", NOBODY + NOBODY + PLAIN),
    (("esxi_version=6.7",), "no_spoofing: t1", "t1", NOBODY + NOBODY + PLAIN),
    ((FORGED,), "no_spoofing: {ports: db, macs: 00:50:56:00:00:01}", "db", WEB + NOBODY + PLAIN),
    ((VLAN,), "isolated: [web, t1]", "web", T1 + WEB + PLAIN),
    ((VLAN,), "isolated: [Prod, Test]", None, None),
    (("portgroup.Test.vlan=4095",), "isolated: [db, t1]", "db", T1 + DB + PLAIN),
    (("portgroup.Prod.vlan=4095",), "never: {frames: {vlan: 30}, at: vmnic0, from: web}", "web", None),
    (("portgroup.Prod.vlan=4095",), "never: {sent: {vlan: 20}, at: t1}", None, None),
    ((), "only: {vlans: 10, at: {kind: uplink}}", "t1", NOBODY + T1 + PLAIN),
    ((), "only: {vlans: 20, at: {kind: uplink}}", None, None),
    ((), "never: {frames: {destination: broadcast}, at: db}", "web", ALL + WEB + PLAIN),
    ((), "never: {frames: {destination: group}, at: db, from: web}", "web", ALL + WEB + PLAIN),
    ((), f"never: {{{TO_DB}, at: db, from: web}}", "web", DB + WEB + PLAIN),
    ((), f"never: {{{TO_DB}, at: db, from: vmnic0}}", "vmnic0", DB + NOBODY + "8100000a" + PLAIN),
    (("portgroup.Prod.vlan=0",), f"never: {{{TO_DB}, at: db, from: {{kind: uplink}}}}", None, DB + NOBODY + PLAIN),
    ((), "never: {frames: {ethertype: arp}, at: db, from: web}", "web", DB + WEB + "0806"),
    ((), "reaches: {from: web, to: t1}", "web", T1 + WEB + PLAIN),
    ((), "reaches: {from: vmnic0, to: web, frames: {vlan: 20}}", "vmnic0", WEB + NOBODY + "81000014" + PLAIN),
    ((), "reaches: {from: t1, to: vmnic0, frames: {source: 02:42:ac:11:00:02}}", "t1", NOBODY + INNER + PLAIN),
    (("vm.db.connected=no",), "reaches: {from: web, to: db}", "web", DB + WEB + PLAIN),
    (("portgroup.Prod.forged_transmits=accept",), "never: {sent: {source: 02:42:ac:11:00:02}, at: db}", "web", None),
    ((), "never: {frames: {protocol: tcp, destination_port: 80}, at: db, from: web}", "web", None),
]


@pytest.mark.parametrize(("settings", "statement", "at", "frame"), TABLE)
def test_plain(settings: tuple[str, ...], statement: str, at: str | None, frame: str | None) -> None:
    lab = lab_of(*settings)
    witness = violation(lab, statement).witness
    assert at in (None, witness.at)
    assert frame in (None, witness.frame.hex()), witness.frame.hex()
    assert is_minimal(witness.frame, lab, "tcp" in statement), witness.frame.hex()


def is_minimal(frame: bytes, lab: Lab, is_tcp: bool) -> bool:
    """Headers and nothing behind them, and no MAC that is neither in the lab nor plain."""
    tag = 4 if frame[12:14] == b"\x81\x00" else 0
    known = {int(port.effective_mac) for port in lab.wiring.ports if port.effective_mac}
    macs = {int.from_bytes(frame[:6], "big"), int.from_bytes(frame[6:12], "big")}
    if tag and frame[14] >> 4:  # a priority
        return False
    return len(frame) <= 14 + tag + (40 if is_tcp else 0) and macs <= {*known, OUTSIDE, (1 << 48) - 1, 0x0242AC110002}


def test_the_setting_that_decided_is_told() -> None:
    found = violation(lab_of(FORGED), "no_spoofing: web")
    assert found.setting is not None
    assert found.setting.key.endswith("portgroups.Prod.forged_transmits")
    assert found.change is not None
    assert found.change == "portgroup.Prod.forged_transmits=reject"
    assert violation(lab_of(VLAN), "isolated: [Prod, Test]").setting is not None
    refused = violation(lab_of(), "reaches: {from: web, to: vmnic0, frames: {source: 02:42:ac:11:00:02}}")
    assert str(refused.setting) == "forged_transmits reject from default of ESXi 8.0"
    assert refused.change == "portgroup.Prod.forged_transmits=accept"


def test_where_no_single_setting_decides_none_is_told() -> None:
    within = violation(lab_of(), "isolated: [web, db]")
    assert (within.setting, within.change) == (None, None)


def refuses_a_service(frame: Frame, port: Port) -> Verdict:
    """A stage of a user's own, with borders that nobody told of."""
    if frame.tcp is not None and frame.destination_port == 2222:
        return Drop(Reason.STAGE, "no ssh here")
    return frame


def lets_one_lie(frame: Frame, port: Port) -> Verdict:
    """Lets nothing pass but one source MAC, which is not the port's."""
    return frame if frame.source == 0x0A0B0C0D0E0F else Drop(Reason.STAGE)


def test_borders_of_a_users_own_stage_are_found() -> None:
    lab = lab_of()
    lab.port("db").output.insert(refuses_a_service)
    found = violation(lab, "reaches: {from: web, to: db}").witness
    assert found.frame[36:38] == (2222).to_bytes(2, "big")
    lab = lab_of(FORGED)
    lab.port("web").input.insert(lets_one_lie)
    assert violation(lab, "no_spoofing: web").witness.frame[6:12].hex() == "0a0b0c0d0e0f"


def test_what_stands_at_no_border_is_drawn() -> None:
    def refuses_long_frames(frame: Frame, port: Port) -> Verdict:
        return Drop(Reason.STAGE) if frame.length > 700 else frame

    lab = lab_of()
    lab.port("db").output.insert(refuses_long_frames)
    policy = policy_of_text("statements:\n  s: {because: x, reaches: {from: web, to: db}}\n", lab.wiring)
    assert check(lab, policy, examples=0).checked[0].holds
    (one,) = check(lab, policy, examples=200).checked
    assert one.violation is not None
    assert one.violation.witness.port == "db"

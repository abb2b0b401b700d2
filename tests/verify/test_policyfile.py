"""Mistakes in policy files: one message for all of them, each with line, key, what was found and what is allowed."""

from pathlib import Path

import pytest

from iochain.cli import main
from iochain.lab import Lab
from iochain.topology.mistakes import LabError
from iochain.verify.policyfile import load_policy, policy_of_text
from iochain.verify.statements import Isolated, Never, NoSpoofing, Only, Reaches

LAB = """\
hosts:
  esx1:
    vswitches:
      vSwitch0:
        uplinks: [vmnic0]
        portgroups:
          Prod: {vlan: 10, labels: [inside]}
          Test: {vlan: 20}
          web: {vlan: 30}
vms:
  web: {network: Prod}
  db: {network: Prod, labels: [inside, data]}
  t1: {network: Test}
  two: {vnics: {eth0: {network: Prod}, eth1: {network: Test}}}
"""


def lab() -> Lab:
    made = Lab()
    switch = made.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"])
    switch.portgroup("Prod", vlan=10, labels=["inside"]).vm("www")
    switch.portgroup("Test", vlan=20).vm("t1", labels=["data"])
    switch.portgroup("web", vlan=30).vm("w1")
    made.vm("web", host="esx1", network="Prod")
    made.vm("two", host="esx1", vnics={"eth0": {"network": "Prod"}, "eth1": {"network": "Test"}})
    return made


def one(text: str) -> str:
    """A policy of one statement, in flow style, that begins in line 2."""
    return f"statements:\n  s: {{because: x, {text}}}\n"


def names(ports: frozenset[int], of: Lab) -> set[str]:
    return {of.wiring.ports[number].name for number in ports}


@pytest.mark.parametrize(
    ("selection", "ports"),
    [
        ("www", {"www"}),
        ("two", {"two.eth0", "two.eth1"}),
        ("two.eth1", {"two.eth1"}),
        ("Prod", {"www", "web", "two.eth0"}),
        ("inside", {"www", "web", "two.eth0"}),
        ("data", {"t1"}),
        ("esx1.vmnic0", {"vmnic0"}),
        ("{kind: uplink}", {"vmnic0"}),
        ("{vlan: 20}", {"t1", "two.eth1"}),
        ("{vm: two, vlan: 20}", {"two.eth1"}),
        ("{portgroup: [Test, web]}", {"t1", "two.eth1", "w1"}),
        ("[t1, {port: www}]", {"t1", "www"}),
        ("{portgroup: web}", {"w1"}),
        ("{vm: web}", {"web"}),
    ],
)
def test_ports_are_found_by_all_their_names(selection: str, ports: set[str]) -> None:
    made = lab()
    (statement,) = policy_of_text(one(f"only: {{vlans: 10, at: {selection}}}"), made.wiring).statements
    rule = statement.rule
    assert isinstance(rule, Only)
    assert names(rule.at, made) == ports


def test_all_kinds_of_statements() -> None:
    made = lab()
    text = """
statements:
  a: {because: x, isolated: [www, t1]}
  b: {because: x, reaches: {from: vmnic0, to: t1, frames: {protocol: tcp, destination_port: [80, 1000-2000]}}}
  c: {because: x, never: {frames: {source: group, priority: 7}, at: t1, from: www, sent: {tagged: yes}}}
  d: {because: x, no_spoofing: {ports: t1, macs: "00:00:5e:00:01:01"}}
  e: {because: x, only: {vlans: [0, 10, 20-29], at: vmnic0}}
"""
    policy = policy_of_text(text, made.wiring)
    kinds = [type(statement.rule) for statement in policy.statements]
    assert kinds == [Isolated, Reaches, Never, NoSpoofing, Only]
    assert [statement.place.line for statement in policy.statements if statement.place] == [3, 4, 5, 6, 7]
    assert policy.statements[4].rule == Only(frozenset([0, 10, *range(20, 30)]), frozenset([0]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty; a policy begins with statements:"),
        ("[a]", "this is no policy; it begins with statements:"),
        ("statement: {}", 'line 1  statement: "statement" is no key of a policy; is "statements" meant?'),
        ("statements: 5", "line 1  statements: 5 stands where statements are, by their names"),
        ("statements:\n  s: 5", "line 2  statements.s: 5 stands where a statement is"),
        ("statements:\n  s: {isolated: [www, t1]}", "line 2  statements.s.because: the reason is missing"),
        (one("isolate: [www, t1]"), 'line 2  statements.s.isolate: "isolate" is no key of a statement; is "isolated"'),
        ("statements:\n  s: {because: x}", "line 2  statements.s: it says nothing; a statement says one of isolated,"),
        (one("only: {vlans: 1, at: vmnic0}, no_spoofing: www"), "it says no_spoofing and only; a statement says one"),
        (one("isolated: [www]"), "line 2  statements.s.isolated: a list stands where two sides are needed: [A, B]"),
        (one("isolated: [www, Prod]"), "www would be isolated from itself: it stands on both sides"),
        (one("isolated: [wwww, t1]"), 'statements.s.isolated[0]: there is no port, VM, port group or label "wwww"; is'),
        (one("isolated: [web, t1]"), '"web" is the name of several things; write {port: web} or {vm: web} or {portgr'),
        (one("isolated: [{label: insid}, t1]"), 'isolated[0].label: there is no label "insid"; is "inside" meant?'),
        (one("isolated: [{label: x}, t1]"), 'there is no label "x" (inside, data)'),
        (one("isolated: [{vlan: 11}, t1]"), 'isolated[0].vlan: there is no VLAN with a port "11"'),
        (one("isolated: [{vms: two}, t1]"), 'isolated[0].vms: "vms" names no ports; is "vm" meant?'),
        (one("isolated: [{vm: two, vlan: 30}, t1]"), "isolated[0]: no port is all of this at once"),
        (one("isolated: [[], t1]"), "isolated[0]: an empty list names no port"),
        (one("reaches: {from: www}"), 'line 2  statements.s.reaches: the key "to" is missing'),
        (one("reaches: {from: www, to: t1, frame: {}}"), '"frame" is no key of "reaches"; is "frames" meant?'),
        (one("reaches: {from: www, to: www}"), "a port is to reach itself; name two"),
        (one("reaches: {from: www, to: t1, frames: {vlan: 4096}}"), "frames.vlan: 4096 is no VLAN number (0 to 4095"),
        (one("reaches: {from: www, to: t1, frames: {vlam: 1}}"), '"vlam" is no field of frames; is "vlan" meant?'),
        (one("reaches: {from: www, to: t1, frames: {ethertype: ip4}}"), '"ip4" is no EtherType (0 to 65535, a range'),
        (one("reaches: {from: www, to: t1, frames: {source: 1}}"), "frames.source: 1 is no MAC address"),
        (one("reaches: {from: www, to: t1, frames: {source_ip: 10.0.0.300}}"), "is no IPv4 address and no network"),
        (one("reaches: {from: www, to: t1, frames: {tagged: 3}}"), "frames.tagged: 3 is neither yes nor no"),
        (one("never: {at: t1}"), "it forbids every frame; say which: frames, sent or from"),
        (one("no_spoofing: vmnic0"), "vmnic0 is an uplink: frames from everywhere come in by it"),
        (one("only: {vlans: [10, 9999], at: vmnic0}"), "only.vlans[1]: 9999 is no VLAN number"),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, message: str) -> None:
    with pytest.raises(LabError) as found:
        policy_of_text(text, lab().wiring, "policy.yaml")
    assert str(found.value).startswith("policy.yaml: 1 mistake\n")
    assert message in str(found.value)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("isolated: [www, t1]", "reaches: {from: t1, to: www}"),
        ("reaches: {from: www, to: t1, frames: {protocol: tcp}}", "never: {frames: {ethertype: ipv4}, at: t1}"),
        ("no_spoofing: www", 'reaches: {from: www, to: vmnic0, frames: {source: "02:00:00:00:00:01"}}'),
        (
            "never: {frames: {destination: broadcast}, at: www, from: t1}",
            "reaches: {from: t1, to: www, frames: {destination: broadcast}}",
        ),
    ],
)
def test_contradictions_are_told_with_both_places(first: str, second: str) -> None:
    text = f"statements:\n  one: {{because: x, {first}}}\n\n  two: {{because: x, {second}}}\n"
    with pytest.raises(LabError, match=r'line 4  statements\.two: contradicts the statement "one" \(line 2\): '):
        policy_of_text(text, lab().wiring, "policy.yaml")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("isolated: [www, t1]", "reaches: {from: www, to: web2}"),
        ("reaches: {from: www, to: vmnic0}", "never: {frames: {vlan: 20}, at: vmnic0}"),
        ("no_spoofing: www", "reaches: {from: www, to: vmnic0}"),
        ("never: {frames: {destination: broadcast}, at: www}", "reaches: {from: t1, to: www}"),
    ],
)
def test_what_may_both_hold_is_no_contradiction(first: str, second: str) -> None:
    text = f"statements:\n  one: {{because: x, {first}}}\n  two: {{because: x, {second.replace('web2', 'two')}}}\n"
    assert len(policy_of_text(text, lab().wiring).statements) == 2


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="the file cannot be read"):
        load_policy(tmp_path / "policy.yaml", lab().wiring)


def test_the_command_says_mistakes_without_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lab.yaml").write_text(LAB, encoding="utf-8")
    (tmp_path / "policy.yaml").write_text(one("isolated: [db, Tets]"), encoding="utf-8")
    assert main(["check", str(tmp_path / "lab.yaml"), str(tmp_path / "policy.yaml")]) == 2
    said = capsys.readouterr().err
    assert (
        'line 2  statements.s.isolated[1]: there is no port, VM, port group or label "Tets"; is "Test" meant?' in said
    )
    assert "Traceback" not in said

"""Mistakes in what a lab says of its physical network: one message, at its place, with what is allowed."""

from typing import Any

import pytest

from iochain import LabError
from iochain.topology.labfile import LoadedLab, load_text
from iochain.topology.wiring import wire

HOSTS = """
hosts:
  esx1:
    nics: {vmnic2: {speed: 25 Gbit/s}, vmnic3: {}}
    vswitches: {vSwitch0: {uplinks: [vmnic0, vmnic1, vmnic2], portgroups: {Prod: {vlan: 10}}}}
vms:
  web: {network: Prod}
fabric:
"""


def mistakes(fabric: str) -> list[str]:
    with pytest.raises(LabError) as error:
        load_text(HOSTS + fabric, "lab.yaml")
    return [str(mistake) for mistake in error.value.mistakes]


def warnings(fabric: str) -> list[str]:
    lab = load_text(HOSTS + fabric, "lab.yaml")
    wire(lab.spec, lab.places, lab.name)
    return [str(warning) for warning in lab.warnings]


def cables(*ends: str) -> str:
    return "  switches: {sw1: {count: 4}, sw2: {count: 4}}\n  cables:\n" + "".join(f"    - {end}\n" for end in ends)


def switch(text: str) -> str:
    return f"  switches: {{sw1: {text}}}\n"


FIRST = "fabric.cables[0]"
SW1 = "fabric.switches.sw1"


@pytest.mark.parametrize(
    ("fabric", "expected"),
    [
        (cables("[vmnic0]"), f"line 11  {FIRST}: a cable has two ends, this one 1"),
        (cables("[vmnic0, sw1.1, sw2.1]"), f"line 11  {FIRST}: a cable has two ends, this one 3"),
        (cables("[vmnic9, sw1.1]"), f'line 11  {FIRST}[0]: there is no port "vmnic9"; is "vmnic3" meant?'),
        (cables("[vmnic0, sw1.5]"), f'line 11  {FIRST}[1]: sw1 has no port "5" (ports 1 to 4)'),
        (
            cables("[vmnic0, web]"),
            f"line 11  {FIRST}[1]: web is a vNIC; cables join physical NICs and ports of switches",
        ),
        (
            cables("[vmnic0, sw1.1]", "[vmnic1, sw1.1]"),
            "line 12  fabric.cables[1][1]: sw1.1 has a cable already (cables[0])",
        ),
        (cables("[sw1.1, sw1.1]"), f"line 11  {FIRST}[1]: sw1.1 has a cable already (cables[0])"),
        (
            cables("{ends: [vmnic0, sw1.1], latency: 1 us, metres: 3}"),
            f"line 11  {FIRST}.latency: say the latency or the metres, which make one; not both",
        ),
        (
            cables("{ends: [vmnic0, sw1.1], latency: 500}"),
            f"line 11  {FIRST}.latency: 500 is no time (like 5 s, 500 ms, 20 us or 3 ns)",
        ),
        (
            cables("{ends: [vmnic0, sw1.1], latency: 2 s}"),
            f'line 11  {FIRST}.latency: "2 s" is out of range (0 ns to 1 s)',
        ),
        (
            cables("{ends: [vmnic0, sw1.1], name: x}", "{ends: [vmnic1, sw1.2], name: x}"),
            'line 12  fabric.cables[1].name: another cable has the name "x"',
        ),
        (cables("{metres: 3}"), f'line 11  {FIRST}: the key "ends" is missing (two ports: physical NICs of hosts '),
        (cables("vmnic0"), f'line 11  {FIRST}: "vmnic0" stands where a cable is described; keys and values are needed'),
        (switch("{count: 0}"), f"line 9  {SW1}.count: 0 is no count (1 to 10000)"),
        (
            switch("{ports: {1: {vlan: 4095}}}"),
            f"line 9  {SW1}.ports.1.vlan: 4095 is no vlan (1 to 4094)",
        ),
        (
            switch("{ports: {1: {allowed_vlans: [10-5]}}}"),
            f"line 9  {SW1}.ports.1.allowed_vlans[0]: 10-5 is no VLAN (1 to 4094) and no range of them ",
        ),
        (
            switch("{ports: {1: {vlan: 5, native_vlan: 6}}}"),
            f"line 9  {SW1}.ports.1.native_vlan: an access port has a vlan and no native_vlan; trunks have "
            "(mode: trunk)",
        ),
        (
            switch("{ports: {1: {vlan: 5, mode: trunk}}}"),
            f"line 9  {SW1}.ports.1.vlan: a trunk has native_vlan and allowed_vlans; a vlan is for access "
            "ports (mode: access)",
        ),
        (switch("{priority: 100}"), f"line 9  {SW1}.priority: 100 is no multiple of 4096 (like 0)"),
        (
            switch("{defaults: {channel: po1}}"),
            f"line 9  {SW1}.defaults.channel: all ports of a switch cannot be one channel; say channel at "
            "each of its members",
        ),
        (
            switch("{ageing: 300}"),
            f"line 9  {SW1}.ageing: 300 is no time (like 5 s, 500 ms, 20 us or 3 ns)",
        ),
        (switch("{mtu: 10000}"), f"line 9  {SW1}.mtu: 10000 is no mtu (1 to 9216)"),
        (
            switch("{prots: {}}"),
            f'line 9  {SW1}.prots: "prots" is no key of a physical switch; is "ports" meant?',
        ),
        ("  switches: {web: {}}\n", "line 9  fabric.switches.web: a VM has the name web already"),
        ("  switches: {esx1: {}}\n", "line 9  fabric.switches.esx1: a host has the name esx1 already"),
        (
            "  switches: {vSwitch0: {}}\n",
            "line 9  fabric.switches.vSwitch0: a virtual switch has the name vSwitch0 already",
        ),
        (
            "  switches: {sw1: {count: 1, defaults: {speed: 10 Gbit/s}}}\n  cables: [[vmnic2, sw1.1]]\n",
            "line 10  fabric.cables[0]: vmnic2 has 25 Gbit/s and sw1.1 10 Gbit/s; "
            "both ends of a cable have one speed (a "
            "switch port that says none takes the other's)",
        ),
        (
            "  spanning_tree: no\n" + cables("[sw1.1, sw2.1]", "[sw1.2, sw2.2]"),
            "line 9  fabric.spanning_tree: the cables make a loop (sw1.1 to sw2.1, sw1.2 to sw2.2), which only a "
            "spanning tree breaks",
        ),
        (
            "  spanning_tree: no\n" + cables("[sw1.1, sw1.2]"),
            "line 9  fabric.spanning_tree: the cables make a loop (sw1.1 to sw1.2), which only a spanning tree breaks",
        ),
    ],
)
def test_a_mistake(fabric: str, expected: str) -> None:
    (found,) = mistakes(fabric)
    assert found.startswith(expected)


def channels(*ports: str, cables: str = "") -> str:
    sw1 = ", ".join(f"{number}: {{channel: po1, {port}}}" for number, port in enumerate(ports, 1))
    sw2 = "1: {channel: po7}, 2: {}, 3: {channel: po8}"
    return f"  switches:\n    sw1: {{ports: {{{sw1}}}}}\n    sw2: {{ports: {{{sw2}}}}}\n  cables: [{cables}]\n"


@pytest.mark.parametrize(
    ("fabric", "expected"),
    [
        (
            channels("vlan: 10", "vlan: 20"),
            "sw1.ports.2.channel: vlan differ from port 1; members of a channel are alike",
        ),
        (channels("mode: trunk", "mtu: 1"), None),
        (
            channels("", "", cables="[sw1.1, sw2.1], [sw1.2, sw2.2]"),
            "sw1.ports.2.channel: channel po1 leads to sw2.2, which is in no channel; both ends have to be",
        ),
        (
            channels("", "", cables="[sw1.1, sw2.1], [sw1.2, sw2.3]"),
            "sw1.ports.1.channel: channel po1 leads to sw2.1 and sw2.3; a channel has one neighbour",
        ),
        (
            channels("", "", cables="[sw1.1, sw2.1], [sw1.2, vmnic0]"),
            "sw1.ports.1.channel: channel po1 leads to sw2.1 and vmnic0; a channel has one neighbour",
        ),
        (channels("link: up"), "sw1.ports.1.link: what is not modelled cannot be at the other end of a channel"),
    ],
)
def test_channels(fabric: str, expected: str | None) -> None:
    found = mistakes(fabric)
    assert expected is None or any(f"fabric.switches.{expected}" in mistake for mistake in found), found


@pytest.mark.parametrize(
    ("fabric", "expected"),
    [
        (cables("[vmnic0, sw1.1]", "[vmnic1, sw2.1]", "[sw1.4, sw2.4]"), []),
        (cables("[vmnic0, vmnic1]"), []),
        (
            cables("[vmnic3, sw1.1]"),
            [f"line 11  {FIRST}[0]: vmnic3 is no uplink of any virtual switch: nothing uses this cable"],
        ),
        ("  spanning_tree: no\n" + cables("[sw1.1, sw2.1]"), []),
        (
            "  spanning_tree: no\n  switches:\n    sw1: {count: 2, ports: {1: {link: down}}}\n    sw2: {count: 2}\n"
            "  cables: [[sw1.1, sw2.1], [sw1.2, sw2.2]]\n",
            [],
        ),
    ],
)
def test_what_is_allowed(fabric: str, expected: list[str]) -> None:
    assert warnings(fabric) == expected


def test_a_smaller_mtu_on_the_way_is_a_warning() -> None:
    text = HOSTS.replace("uplinks:", "mtu: 9000, uplinks:") + cables("[vmnic0, sw1.1]")
    (warning,) = load_text(text).warnings
    assert warning.message == "vSwitch0 of esx1 has MTU 9000, but sw1 only 1500"


@pytest.mark.parametrize(
    ("port", "vlan", "expected"),
    [
        ("", 10, None),
        ("", 0, None),
        ("", 4095, None),
        ("", 1, "port group Prod of esx1 has VLAN 1, which is the native one, expected without tag, at sw1.1"),
        ("native_vlan: 5", 1, None),
        ("native_vlan: 0", 0, "port group Prod of esx1 has no VLAN, and there is no native one at sw1.1"),
        ("vlan: 10", 10, "port group Prod of esx1 has VLAN 10, but tags are refused at sw1.1"),
        ("vlan: 10", 0, None),
        ("allowed_vlans: [1, 20-29]", 25, None),
        ("allowed_vlans: [1, 20-29]", 30, "port group Prod of esx1 has VLAN 30, which is not carried at sw1.1"),
    ],
)
def test_a_vlan_that_the_switch_port_does_not_carry_is_a_warning(port: str, vlan: int, expected: str | None) -> None:
    ports = f"  switches: {{sw1: {{ports: {{1: {{{port}}}}}}}}}\n  cables: [[vmnic0, sw1.1]]\n"
    found = [str(warning.message) for warning in load_text(HOSTS.replace("vlan: 10", f"vlan: {vlan}") + ports).warnings]
    assert found == ([] if expected is None else [f"{expected}, behind vmnic0"])


def test_an_entry_rule_can_name_a_port_of_a_switch() -> None:
    lab: LoadedLab = load_text(f"{HOSTS}{cables('[vmnic0, sw1.1]')}entry: [{{vlan: 10, at: sw1.2}}]\n")
    assert lab.spec.entry[0].at == "sw1.2"
    with pytest.raises(LabError, match="there is no port"):
        load_text(f"{HOSTS}{cables('[vmnic0, sw1.1]')}entry: [{{vlan: 10, at: sw1.7}}]\n")


def test_a_setting_of_the_command_line() -> None:
    settings: dict[str, Any] = {
        "switch.sw1.mtu=4000": lambda lab: lab.fabric.switches["sw1"].mtu == 4000,
        "switch.sw1.defaults.bpdu_guard=yes": lambda lab: lab.fabric.switches["sw1"].defaults.bpdu_guard,
        "fabric.switches.sw1.mtu=9000": lambda lab: lab.fabric.switches["sw1"].mtu == 9000,
        "fabric.switches.sw1.ports.1.vlan=7": lambda lab: lab.fabric.switches["sw1"].ports["1"].vlan == 7,
        "fabric.cables[0].latency=1 us": lambda lab: lab.fabric.cables[0].latency == 1000,
        "fabric.spanning_tree=no": lambda lab: not lab.fabric.spanning_tree,
    }
    for setting, holds in settings.items():
        assert holds(load_text(HOSTS + cables("{ends: [vmnic0, sw1.1]}"), "lab.yaml", [setting]).spec)

"""Rules of the whole lab: what is a warning, what is fine, what advanced settings take."""

import pytest
from full_lab import FULL

from iochain.topology.advanced import ADVANCED, default
from iochain.topology.checks import check
from iochain.topology.labfile import LabError, load_text, structure
from iochain.topology.spec import ESXI_VERSIONS, LabSpec

SWITCH = """\
hosts:
  esx1:
    nics: {vmnic0: {mac: 02:00:00:00:00:77}, vmnic1: {}}
    vswitches:
      vSwitch0:
        uplinks: [vmnic0, vmnic1]
        teaming: {%s}
        portgroups:
          Prod: {%s}
    vmkernel: {vmk0: {network: Prod, mac: 02:00:00:00:00:01}}
vms:
  web: {network: Prod, %s}
  db: {network: Prod, mac: 00:50:56:00:00:0b}
"""


@pytest.mark.parametrize(
    ("team", "portgroup", "vm", "warnings"),
    [
        ("", "", "", []),
        ("load_balancing: iphash", "", "", []),
        (
            "load_balancing: iphash, standby: [vmnic1]",
            "",
            "",
            ["line 7  hosts.esx1.vswitches.vSwitch0.teaming: IP hash needs all uplinks active; here some are standby"],
        ),
        (
            "load_balancing: iphash",
            "teaming: {unused: [vmnic1]}",
            "",
            [
                "line 9  hosts.esx1.vswitches.vSwitch0.portgroups.Prod.teaming: "
                "IP hash needs all uplinks active; here some are unused"
            ],
        ),
        ("load_balancing: iphash, active: [vmnic1]", "", "", ["here some are unused"]),
        ("load_balancing: iphash, standby: [vmnic1]", "teaming: {active: [vmnic0, vmnic1]}", "", ["some are standby"]),
        ("standby: [vmnic1]", "teaming: {load_balancing: iphash}", "", ["Prod.teaming: IP hash needs all uplinks"]),
        ("failure_detection: beacon", "", "", []),
        (
            "failure_detection: beacon, load_balancing: iphash",
            "",
            "",
            [
                "line 7  hosts.esx1.vswitches.vSwitch0.teaming: "
                "beacon probing does not go with IP hash; set failure_detection: link"
            ],
        ),
        (
            "failure_detection: beacon",
            "vlan: 4095",
            "",
            [
                "line 9  hosts.esx1.vswitches.vSwitch0.portgroups.Prod.vlan: "
                "beacon probing is not supported with VLAN 4095"
            ],
        ),
        ("failure_detection: beacon", "vlan: 4095, teaming: {failure_detection: link}", "", []),
        (
            "",
            "",
            "mac: 00:50:56:00:00:0b",
            ["line 13  vms.db.mac: 00:50:56:00:00:0b is also the address of web.eth0"],
        ),
        (
            "",
            "",
            "count: 2, mac: 00:50:56:00:00:0a",
            ["line 13  vms.db.mac: 00:50:56:00:00:0b is also the address of web-2.eth0"],
        ),
        (
            "",
            "",
            "mac: 02:00:00:00:00:01",
            ["line 12  vms.web.mac: 02:00:00:00:00:01 is also the address of esx1.vmk0"],
        ),
        ("", "", "effective_mac: 00:50:56:00:00:0b", []),
        ("", "", "mtu: 1600", ["vms.web.mtu: vSwitch0 refuses frames above its own MTU of 1500 (KB 435411)"]),
        ("", "", "mtu: 1400, mss: 1360", []),
    ],
)
def test_warnings(team: str, portgroup: str, vm: str, warnings: list[str]) -> None:
    lab = load_text(SWITCH % (team, portgroup, vm), "lab.yaml")
    assert len(lab.warnings) == len(warnings)
    for said, expected in zip(lab.warnings, warnings, strict=True):
        assert expected in str(said)


def test_an_address_at_two_ports_is_a_warning_where_it_may_be_meant() -> None:
    """vmk0 often has the address of a NIC, and the guests of an NLB cluster program one address."""
    text = SWITCH % ("", "", "mac: 00:50:56:00:00:0a, effective_mac: 02:bf:0a:00:00:01")
    text = text.replace(
        "vmk0: {network: Prod, mac: 02:00:00:00:00:01}", "vmk0: {network: Prod, mac: 02:00:00:00:00:77}"
    )
    text = text.replace("00:50:56:00:00:0b}", "00:50:56:00:00:0b, effective_mac: 02:bf:0a:00:00:01}")
    assert [str(warning).partition(": ")[2] for warning in load_text(text, "lab.yaml").warnings] == [
        "02:00:00:00:00:77 is also the address of esx1.vmnic0",
        "02:bf:0a:00:00:01 is also programmed by web.eth0",
    ]


OFFLOADS = """\
hosts:
  esx1:
    settings: {%s}
    nics: {vmnic0: {%s}}
    vswitches: {vSwitch0: {uplinks: [vmnic0], portgroups: {Prod: }}}
vms:
  web: {network: Prod, %s}
"""


@pytest.mark.parametrize(
    ("settings", "nic", "vm", "mistake"),
    [
        (
            "",
            "",
            "mss: 1461",
            "line 7  vms.web.mss: 1461 is above the MTU "
            "(1 to 1460: the MTU of 1500 less 40 for IPv4 and TCP; linux_net.c)",
        ),
        ("", "", "mtu: 1400, mss: 1361", "1361 is above the MTU (1 to 1360: the MTU of 1400 less 40"),
        ("", "", "mss: 0", "line 7  vms.web.mss: 0 is no mss (1 to 65535)"),
        (
            "",
            "",
            "adapter: vmxnet5",
            '"vmxnet5" is none of vmxnet3, vmxnet2, e1000e, e1000, vlance; is "vmxnet3" meant?',
        ),
        ("", "", "adapter: e1000, lro: yes", "line 7  vms.web.lro: an adapter of kind e1000 cannot do this"),
        ("", "", "adapter: vlance, tso: yes", "line 7  vms.web.tso: an adapter of kind vlance cannot do this"),
        ("", "", "lro: yes, large_packets: no", "vms.web.lro: what is put together is a large packet"),
        ("", "driver: i40", "", 'line 4  hosts.esx1.nics.vmnic0.driver: "i40" is none of generic, ixgben, '),
        ("", "tsso: yes", "", '"tsso" is no key of a physical NIC'),
        ("", "tso: perhaps", "", 'line 4  hosts.esx1.nics.vmnic0.tso: "perhaps" is neither yes nor no'),
        (
            "Net.VmxnetDoTsoSplit: 4",
            "",
            "",
            'settings."Net.VmxnetDoTsoSplit": 4 is out of the range of Net.VmxnetDoTsoSplit (0 to 3; '
            "published settings dumps of ESXi 6.0 U3 to 9.0.1)",
        ),
        ("Net.VmxnetTsoSplitSize: 1499", "", "", "1499 is out of the range of Net.VmxnetTsoSplitSize (1500 to 65535; "),
        ("Net.UseHwTSO4: 1", "", "", 'no advanced setting that the emulator knows; is "Net.UseHwTSO" meant?'),
    ],
)
def test_mistakes_in_offloads(settings: str, nic: str, vm: str, mistake: str) -> None:
    with pytest.raises(LabError) as error:
        load_text(OFFLOADS % (settings, nic, vm), "lab.yaml")
    assert len(error.value.mistakes) == 1
    assert mistake in str(error.value.mistakes[0])


@pytest.mark.parametrize(
    ("nic", "warning"),
    [
        ("driver: ixgbe", "ixgbe is a driver of the old kind (vmklinux), which ESXi 8.0 does not have"),
        ("tso: yes, sg: no", "a NIC without scatter-gather is not offered TSO (linux_net.c)"),
    ],
)
def test_warnings_of_nics(nic: str, warning: str) -> None:
    (said,) = load_text(OFFLOADS % ("", nic, "tso: no"), "lab.yaml").warnings
    assert warning in str(said)


def test_a_right_lab_has_no_findings() -> None:
    assert check(structure(FULL)) == []


def test_an_empty_spec() -> None:
    assert [finding.message for finding in check(LabSpec())] == ["the lab has no host"]


@pytest.mark.parametrize("name", ADVANCED)
@pytest.mark.parametrize("version", ESXI_VERSIONS)
def test_every_default_is_in_range(name: str, version: str) -> None:
    setting = ADVANCED[name]
    value = setting.default(version)
    if value is None:
        assert (
            setting.mistake(0, version)
            == f"ESXi {version} has no {name}; {next(iter(setting.defaults))} and later have it"
        )
    else:
        assert setting.mistake(value, version) is None
        assert default(name, version) == value


@pytest.mark.parametrize(
    ("name", "version", "value"),
    [
        ("Net.BlockGuestBPDU", "6.7", 0),
        ("Net.BlockGuestBPDU", "7.0", 0),
        ("Net.BlockGuestBPDU", "8.0", 1),
        ("Net.ReversePathFwdCheckPromisc", "8.0", 0),
        ("Net.ReversePathFwdCheckPromisc", "9.0", 1),
        ("Net.ReversePathFwdCheck", "6.0", 1),
    ],
)
def test_defaults_that_changed(name: str, version: str, value: int) -> None:
    assert default(name, version) == value


@pytest.mark.parametrize(
    ("version", "value", "fine"), [("6.7", 600_000, True), ("6.7", 600_001, False), ("7.0", 1_800_000, True)]
)
def test_a_range_that_changed(version: str, value: int, fine: bool) -> None:
    assert (ADVANCED["Net.TeamPolicyUpDelay"].mistake(value, version) is None) is fine


def test_settings_that_are_not_there() -> None:
    with pytest.raises(LookupError, match=r'is "Net.BlockGuestBPDU" meant'):
        default("Net.BlockGuestBpdu", "8.0")
    with pytest.raises(LookupError, match=r"ESXi 6\.0 has no"):
        default("Net.LACPActorSystemPriority", "6.0")
    with pytest.raises(LabError, match=r"0 is too small for Net\.NetMaxRarpsPerInterval"):
        structure({"hosts": {"esx1": {"settings": {"Net.NetMaxRarpsPerInterval": 0}}}})

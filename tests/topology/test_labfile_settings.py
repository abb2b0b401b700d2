"""Settings of the command line, by their short and whole paths."""

from typing import Any

import pytest

from iochain.topology.labfile import LabError, LoadedLab, load_text, with_settings
from iochain.topology.spec import Answer, IpHash, LinkState

LAB = """\
hosts:
  esx1.example.com:
    vswitches:
      vSwitch0:
        uplinks: [vmnic0, vmnic1]
        portgroups: {Prod: {vlan: 10}, Prod.2: {}}
    vmkernel: {vmk0: {network: Prod}}
  esx2:
    nics: {vmnic0: {speed: 1 Gbit/s}}
    vswitches:
      vSwitch0: {portgroups: {Prod: {vlan: 20}}}
vms:
  web: {network: Prod, host: esx2}
  fw: {host: esx1.example.com, vnics: {eth0: {network: Prod}, eth1: {network: Prod.2}}}
entry:
- {at: web, vlan: 10}
"""


@pytest.fixture(scope="module")
def lab() -> LoadedLab:
    return load_text(LAB, "lab.yaml")


def found(lab: LoadedLab, setting: str, *path: Any) -> Any:
    value: Any = with_settings(lab, [setting]).spec
    for part in path:
        value = getattr(value, part) if isinstance(part, str) and hasattr(value, part) else value[part]
    return value


ESX1 = ("hosts", "esx1.example.com")
ESX2 = ("hosts", "esx2")
SWITCH1, SWITCH2 = (*ESX1, "vswitches", "vSwitch0"), (*ESX2, "vswitches", "vSwitch0")
PROD, PROD_2 = (*SWITCH1, "portgroups", "Prod"), (*SWITCH1, "portgroups", "Prod.2")


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("portgroup.Prod.forged_transmits=accept", (*PROD, "forged_transmits"), Answer.ACCEPT),
        ("portgroup.Prod.forged_transmits=accept", (*SWITCH2, "portgroups", "Prod", "forged_transmits"), Answer.ACCEPT),
        ("portgroup.Prod.vlan=30", (*PROD_2, "vlan"), 0),
        ("portgroup.Prod.2.vlan=30", (*PROD_2, "vlan"), 30),
        (
            "portgroup.Prod.2.teaming.active=vmnic1,vmnic0",
            (*PROD_2, "teaming", "active", 0),
            "vmnic1",
        ),
        ("portgroup.Prod.shaping.average=1 Mbit/s", (*PROD, "shaping", "average"), 1_000_000),
        ("vswitch.vSwitch0.mtu=9000", (*SWITCH2, "mtu"), 9000),
        ("vswitch.vSwitch0.uplinks=[vmnic7]", (*SWITCH1, "uplinks"), ("vmnic7",)),
        ("host.esx2.settings.Net.BlockGuestBPDU=0", (*ESX2, "settings", "Net.BlockGuestBPDU"), 0),
        ("host.esx1.example.com.esxi_version=6.7", (*ESX1, "esxi_version"), "6.7"),
        (
            "hosts.esx1.example.com.vswitches.vSwitch0.portgroups.Prod.2.vlan=7",
            (*PROD_2, "vlan"),
            7,
        ),
        ("vm.web.promiscuous=yes", ("vms", "web", "vnics", "eth0", "promiscuous"), True),
        ("vm.fw.promiscuous=yes", ("vms", "fw", "vnics", "eth0", "promiscuous"), True),
        ("vm.fw.promiscuous=yes", ("vms", "fw", "vnics", "eth1", "promiscuous"), True),
        ("vm.fw.vnics.eth1.promiscuous=yes", ("vms", "fw", "vnics", "eth0", "promiscuous"), False),
        ("vm.fw.vnics.eth1.promiscuous=yes", ("vms", "fw", "vnics", "eth1", "promiscuous"), True),
        ("vm.web.vnics.eth0.promiscuous=yes", ("vms", "web", "vnics", "eth0", "promiscuous"), True),
        ("nic.vmnic0.link=down", (*ESX1, "nics", "vmnic0", "link"), LinkState.DOWN),
        ("nic.vmnic0.link=down", (*ESX2, "nics", "vmnic0", "link"), LinkState.DOWN),
        ("nic.vmnic0.link=down", (*ESX2, "nics", "vmnic0", "speed"), 10**9),
        ("vmk.vmk0.mac=00-50-56-66-00-01", (*ESX1, "vmkernel", "vmk0", "mac"), "00:50:56:66:00:01"),
        ("vmkernel.vmk0.mac=00-50-56-66-00-01", (*ESX1, "vmkernel", "vmk0", "mac"), "00:50:56:66:00:01"),
        ("options.ip_hash=last_octet", ("options", "ip_hash"), IpHash.LAST_OCTET),
        ("esxi_version=7.0", ("esxi_version",), "7.0"),
        ("entry[0].vlan=11", ("entry", 0, "vlan"), 11),
        ("entry=null", ("entry",), ()),
        ("portgroup.Prod.vlan=null", (*PROD, "vlan"), 0),
        (" vswitch.vSwitch0.mtu = 9000 ", (*SWITCH2, "mtu"), 9000),
    ],
)
def test_settings(lab: LoadedLab, setting: str, path: tuple[Any, ...], value: object) -> None:
    assert found(lab, setting, *path) == value


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("portgroup.Pord.vlan=1", 'there is no port group "Pord"; is "Prod" meant?'),
        ("vswitch.vSwitch0=1", "say which key of vSwitch0 is to be set, like vswitch.vSwitch0.uplinks"),
        ("vswich.vSwitch0.mtu=1", '"vswich" is nothing that can be set; is "vswitch" meant?'),
        ("vswitch.vSwitch0.mtu", "a setting is written KEY=VALUE, like portgroup.Prod.vlan=20"),
        ("entry[3].vlan=1", "there is no entry [3] in entry; it has 1, counted from 0"),
        ("vm.web.speed=1", 'vms.web.speed: "speed" is no key of a VM (vnics, host,'),
        ("vswitch.vSwitch0.uplinks=[a", '"[a": this is no YAML'),
        ("host.esx2.settings.Net.BlockGuestBPD=1", "no advanced setting"),
        ("vm.web.network=Pord", 'vms.web.network: there is no port group "Pord" on esx2; is "Prod" meant?'),
    ],
)
def test_mistakes_in_settings(lab: LoadedLab, setting: str, line: str) -> None:
    with pytest.raises(LabError) as error:
        with_settings(lab, [setting])
    assert len(error.value.mistakes) == 1
    assert str(error.value).splitlines()[1].startswith(f"  --set {setting}  ")
    assert line in str(error.value)


def test_a_setting_can_mend_a_lab() -> None:
    broken = LAB.replace("vlan: 20", "vlan: 5000")
    with pytest.raises(LabError, match="5000 is no VLAN number"):
        load_text(broken)
    mended = load_text(broken, settings=["hosts.esx2.vswitches.vSwitch0.portgroups.Prod.vlan=20"])
    assert mended.spec == load_text(LAB).spec


def test_settings_leave_the_lab_that_they_are_given(lab: LoadedLab) -> None:
    with_settings(lab, ["vswitch.vSwitch0.mtu=9000", "vm.web.promiscuous=yes"])
    assert lab == load_text(LAB, "lab.yaml")


def test_settings_of_a_spec(lab: LoadedLab) -> None:
    assert with_settings(lab.spec, ["vswitch.vSwitch0.mtu=9000"]).spec.hosts["esx2"].vswitches["vSwitch0"].mtu == 9000

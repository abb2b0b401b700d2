"""The whole error of many labs that are wrong."""

# ruff: noqa: E501  (a message is one line, however long its key path is)

from pathlib import Path

import pytest

from iochain.topology.labfile import LabError, load, load_text, structure, with_settings

PROD = """\
hosts:
  esx1:
    vswitches:
      vSwitch0:
        uplinks: [vmnic0, vmnic1]
        portgroups:
          Prod:
            vlan: 10
"""

CASES = [
    pytest.param(
        """\
hosts:
  esx1:
    vswitches:
      vSwitch0:
        uplinks: [vmnic0, vmnic1]
        portgroups:
          Prod:
            vlan: 5000
vms:
  web: {network: Pord}
""",
        """\
lab.yaml: 2 mistakes
  line 8  hosts.esx1.vswitches.vSwitch0.portgroups.Prod.vlan: 5000 is no VLAN number (0 to 4095)
  line 10  vms.web.network: there is no port group "Pord"; is "Prod" meant?
""",
        id="two_mistakes",
    ),
    pytest.param(
        "",
        """\
lab.yaml: 1 mistake
  the file is empty; a lab begins with hosts:
""",
        id="empty",
    ),
    pytest.param(
        """\
# nothing
""",
        """\
lab.yaml: 1 mistake
  the file is empty; a lab begins with hosts:
""",
        id="only_comments",
    ),
    pytest.param(
        """\
- a
- b
""",
        """\
lab.yaml: 1 mistake
  this is no lab; it begins with hosts:, and the hosts' names below
""",
        id="no_mapping",
    ),
    pytest.param(
        """\
hosts:
  esx1: [a, b
  esx2: {}
""",
        """\
lab.yaml: 1 mistake
  line 3  this is no YAML: while parsing a flow sequence, expected ',' or ']', but got ':'
""",
        id="syntax",
    ),
    pytest.param(
        """\
hosts:
	esx1: {}
""",
        """\
lab.yaml: 1 mistake
  line 2  this is no YAML: while scanning for the next token, found character '\\t' that cannot start any token; indent with spaces
""",
        id="tab",
    ),
    pytest.param(
        PROD
        + """\
hosts:
  esx2:
""",
        """\
lab.yaml: 1 mistake
  line 9  hosts: this key is already in line 1
""",
        id="duplicate_key",
    ),
    pytest.param(
        PROD
        + """\
vms:
  web: {network: Prod}
  web: {network: Prod}
""",
        """\
lab.yaml: 1 mistake
  line 11  vms.web: this key is already in line 10
""",
        id="duplicate_name",
    ),
    pytest.param(
        """\
hosts: &all
  esx1: {}
vms: *all
""",
        """\
lab.yaml: 1 mistake
  line 1  anchors and aliases (&all, *all) are not understood; write the value out
""",
        id="anchors",
    ),
    pytest.param(
        """\
hosts: *all
""",
        """\
lab.yaml: 1 mistake
  line 1  this is no YAML: found undefined alias 'all'
""",
        id="undefined_alias",
    ),
    pytest.param(
        PROD
        + """\
vms:
  web:
    <<: {network: Prod}
""",
        """\
lab.yaml: 1 mistake
  line 11  merge keys (<<) are not understood; write the keys out
""",
        id="merge",
    ),
    pytest.param(
        """\
hosts: !include hosts.yaml
""",
        """\
lab.yaml: 1 mistake
  line 1  the tag "!include" is not understood; leave it out
""",
        id="tag",
    ),
    pytest.param(
        """\
hosts: {esx1: {}}
---
hosts: {esx2: {}}
""",
        """\
lab.yaml: 1 mistake
  line 2  this is no YAML: expected a single document in the stream, but found another document
""",
        id="documents",
    ),
    pytest.param(
        """\
? [a, b]
: 1
hosts: {esx1: {}}
""",
        """\
lab.yaml: 1 mistake
  line 1  a key has to be a word, not a list or a mapping
""",
        id="complex_key",
    ),
    pytest.param(
        """\
esxi_version: 9.0
""",
        """\
lab.yaml: 1 mistake
  hosts: the lab has no host
""",
        id="no_hosts",
    ),
    pytest.param(
        """\
esxi_version: 5.5
hosts: {esx1: {}}
""",
        """\
lab.yaml: 1 mistake
  line 1  esxi_version: 5.5 is none of 6.0, 6.5, 6.7, 7.0, 8.0, 9.0
""",
        id="version",
    ),
    pytest.param(
        """\
hosts:
  esx1:
    vswitchs:
      vSwitch0:
        uplinks: [vmnic0, vmnic1]
        portgroups:
          Prod:
            vlan: 10
vms:
  web: {network: Prod}
""",
        """\
lab.yaml: 1 mistake
  line 3  hosts.esx1.vswitchs: "vswitchs" is no key of a host; is "vswitches" meant?
""",
        id="misspelled",
    ),
    pytest.param(
        PROD
        + """\
            blocked: yes
            pvlan: 10
            ports: {}
            trunk: 1-5
            mac_learning: yes
        lacp: yes
    nioc: {}
""",
        """\
lab.yaml: 7 mistakes
  line 9  hosts.esx1.vswitches.vSwitch0.portgroups.Prod.blocked: a standard switch has no blocked ports; distributed switches do (not modelled yet)
  line 10  hosts.esx1.vswitches.vSwitch0.portgroups.Prod.pvlan: a standard switch has no private VLANs; distributed switches do (not modelled yet)
  line 11  hosts.esx1.vswitches.vSwitch0.portgroups.Prod.ports: a standard switch has no settings for single ports; distributed switches do (not modelled yet)
  line 12  hosts.esx1.vswitches.vSwitch0.portgroups.Prod.trunk: a standard switch has no VLAN ranges; distributed switches do (not modelled yet). VLAN 4095 lets all VLANs pass
  line 13  hosts.esx1.vswitches.vSwitch0.portgroups.Prod.mac_learning: a standard switch has no MAC learning; distributed switches do (not modelled yet)
  line 14  hosts.esx1.vswitches.vSwitch0.lacp: a standard switch has no LACP; distributed switches do (not modelled yet)
  line 15  hosts.esx1.nioc: a standard switch has no Network I/O Control; distributed switches do (not modelled yet)
""",
        id="distributed",
    ),
    pytest.param(
        """\
hosts:
  esx1:
    vswitches:
      vSwitch0:
        uplinks: [vmnic0, vmnic1]
        portgroups:
          Prod:
            vlan: 10-20
""",
        """\
lab.yaml: 1 mistake
  line 8  hosts.esx1.vswitches.vSwitch0.portgroups.Prod.vlan: 10-20 is no VLAN number (0 to 4095); ranges are for distributed switches (not modelled yet)
""",
        id="vlan_range",
    ),
    pytest.param(
        PROD
        + """\
            teaming: {load_balancing: lbt}
""",
        """\
lab.yaml: 1 mistake
  line 9  hosts.esx1.vswitches.vSwitch0.portgroups.Prod.teaming.load_balancing: a standard switch has no load-based teaming; distributed switches do (not modelled yet)
""",
        id="lbt",
    ),
    pytest.param(
        PROD
        + """\
            teaming: {load_balancing: loadbalance_ip}
""",
        """\
lab.yaml: 1 mistake
  line 9  hosts.esx1.vswitches.vSwitch0.portgroups.Prod.teaming.load_balancing: "loadbalance_ip" is not allowed here (portid, mac, iphash, explicit, none); is "iphash" meant?
""",
        id="api_name",
    ),
    pytest.param(
        PROD
        + """\
            promiscuous: acept
            mac_changes: maybe
""",
        """\
lab.yaml: 2 mistakes
  line 9  hosts.esx1.vswitches.vSwitch0.portgroups.Prod.promiscuous: "acept" is not allowed here (accept, reject); is "accept" meant?
  line 10  hosts.esx1.vswitches.vSwitch0.portgroups.Prod.mac_changes: "maybe" is not allowed here (accept, reject)
""",
        id="answer",
    ),
    pytest.param(
        PROD
        + """\
            shaping: {average: 100 Mb/s, peak: fast, burst: 2 GB}
""",
        """\
lab.yaml: 3 mistakes
  line 9  hosts.esx1.vswitches.vSwitch0.portgroups.Prod.shaping.average: "100 Mb/s" is no rate (like 100 Mbit/s or 10 Gbit/s, or a plain number of bit/s)
  line 9  hosts.esx1.vswitches.vSwitch0.portgroups.Prod.shaping.peak: "fast" is no rate (like 100 Mbit/s or 10 Gbit/s, or a plain number of bit/s)
  line 9  hosts.esx1.vswitches.vSwitch0.portgroups.Prod.shaping.burst: "2 GB" is out of range (1 B to 1 GB)
""",
        id="units",
    ),
    pytest.param(
        PROD
        + """\
            shaping: {average: 100 Mbit/s, peak: 50 Mbit/s}
""",
        """\
lab.yaml: 1 mistake
  line 9  hosts.esx1.vswitches.vSwitch0.portgroups.Prod.shaping.peak: 50 Mbit/s is less than the average (100 Mbit/s)
""",
        id="peak",
    ),
    pytest.param(
        PROD
        + """\
vms:
  web: {network: Prod, mac: 005056000001}
  db: {network: Prod, mac: 01:00:5e:00:00:01}
  app: {network: Prod, mac: 00:50:56}
""",
        """\
lab.yaml: 3 mistakes
  line 10  vms.web.mac: 005056000001 is no MAC address (six bytes like 00:50:56:00:00:01 or 00-50-56-00-00-01, or 0050.5600.0001); write it with colons, in quotes: "00:50:56:00:00:01"
  line 11  vms.db.mac: 01:00:5e:00:00:01 is a group address; an adapter needs one of its own (first byte even)
  line 12  vms.app.mac: 00:50:56 is no MAC address (six bytes like 00:50:56:00:00:01 or 00-50-56-00-00-01, or 0050.5600.0001)
""",
        id="mac",
    ),
    pytest.param(
        PROD
        + """\
vms:
  web:
    network: Prod
    vnics:
      eth0: {network: Prod}
""",
        """\
lab.yaml: 1 mistake
  line 11  vms.web.network: this key of a vNIC stands beside vnics; put it below one of them
""",
        id="vnics_and_network",
    ),
    pytest.param(
        PROD
        + """\
vms:
  web: {promiscuous: yes}
  db:
""",
        """\
lab.yaml: 2 mistakes
  line 10  vms.web: the key "network" is missing (its port group)
  line 11  vms.db: the key "network" is missing (its port group)
""",
        id="no_network",
    ),
    pytest.param(
        PROD
        + """\
  esx2:
    vswitches: {vSwitch0: {portgroups: {Test: }}}
vms:
  a: {network: Prod}
  b: {network: Prod, host: esx3}
  c: {network: Prod, host: esx2}
""",
        """\
lab.yaml: 3 mistakes
  line 12  vms.a.host: say on which host this VM runs (esx1, esx2)
  line 13  vms.b.host: there is no host "esx3"; is "esx2" meant?
  line 14  vms.c.network: there is no port group "Prod" on esx2 (Test)
""",
        id="two_hosts",
    ),
    pytest.param(
        PROD
        + """\
      vSwitch1:
        uplinks: [vmnic1, vmnic2, vmnic2]
        teaming: {active: [vmnic3], standby: [vmnic2, vmnic2]}
        portgroups: {Prod: {}}
""",
        """\
lab.yaml: 5 mistakes
  line 10  hosts.esx1.vswitches.vSwitch1.uplinks[0]: vmnic1 is already an uplink of vSwitch0
  line 10  hosts.esx1.vswitches.vSwitch1.uplinks[2]: vmnic2 is already an uplink here
  line 11  hosts.esx1.vswitches.vSwitch1.teaming.active[0]: "vmnic3" is no uplink of this switch; is "vmnic2" meant?
  line 11  hosts.esx1.vswitches.vSwitch1.teaming.standby[1]: vmnic2 is already listed as standby
  line 12  hosts.esx1.vswitches.vSwitch1.portgroups.Prod: vSwitch0 has a port group of this name too; a host has each name once
""",
        id="uplinks",
    ),
    pytest.param(
        PROD
        + """\
    settings:
      Net.BlockGuestBPDU: 2
      Net.BlockGuestBpdus: 1
      Net.TeamingIgnoreShotgun: 1
      Net.MaxBeaconVlans: yes
    esxi_version: 7.0
""",
        """\
lab.yaml: 4 mistakes
  line 10  hosts.esx1.settings."Net.BlockGuestBPDU": 2 is out of the range of Net.BlockGuestBPDU (0 to 1; published settings dumps of ESXi 6.0 U3 to 9.0.1)
  line 11  hosts.esx1.settings."Net.BlockGuestBpdus": "Net.BlockGuestBpdus" is no advanced setting that the emulator knows; is "Net.BlockGuestBPDU" meant?
  line 12  hosts.esx1.settings."Net.TeamingIgnoreShotgun": ESXi 7.0 has no Net.TeamingIgnoreShotgun; 8.0 and later have it
  line 13  hosts.esx1.settings."Net.MaxBeaconVlans": "yes" is no whole number
""",
        id="settings",
    ),
    pytest.param(
        PROD
        + """\
vms:
  web: {network: Prod}
entry:
- {at: wbe, vlan: 10}
- {at: web}
- {at: vmnic0, source: 00:00:00:00:00:01}
""",
        """\
lab.yaml: 3 mistakes
  line 12  entry[0].at: there is no port "wbe"; is "web" meant?
  line 13  entry[1]: the rule matches every frame; name at least one of source_mac, vlan, interface, file
  line 14  entry[2].source: "source" is no key of an entry rule; is "source_mac" meant?
""",
        id="entry",
    ),
    pytest.param(
        PROD
        + """\
vms:
  vmnic0: {network: Prod}
  web: {network: Prod, count: 2}
  web-1: {network: Prod}
""",
        """\
lab.yaml: 2 mistakes
  line 10  vms.vmnic0: the port "vmnic0" has the name of another one (uplink of esx1)
  line 12  vms.web-1: the port "web-1" has the name of another one (vNIC of web-1)
""",
        id="clash",
    ),
    pytest.param(
        PROD
        + """\
vms:
  web: {network: Prod, count: 0}
""",
        """\
lab.yaml: 1 mistake
  line 10  vms.web.count: 0 is no count (1 to 100000)
""",
        id="count",
    ),
    pytest.param(
        PROD
        + """\
vms:
  web: {network: Prod, count: 3, mac: fe:ff:ff:ff:ff:fe}
""",
        """\
lab.yaml: 1 mistake
  line 10  vms.web.mac: there are not enough addresses after this one for all the VMs
""",
        id="too_few_addresses",
    ),
    pytest.param(
        PROD
        + """\
vms:
  web: {network: Prod, groups: [01:00:5e:00:00:01, 00:00:5e:00:00:01]}
""",
        """\
lab.yaml: 1 mistake
  line 10  vms.web.groups[1]: 00:00:5e:00:00:01 is no multicast address (first byte odd)
""",
        id="groups",
    ),
    pytest.param(
        """\
hosts:
  esx1:
    vswitches:
      vSwitch0: {uplinks: vmnic0, mtu: 9001}
""",
        """\
lab.yaml: 2 mistakes
  line 4  hosts.esx1.vswitches.vSwitch0.uplinks: "vmnic0" stands where a list is needed: [vmnic0]
  line 4  hosts.esx1.vswitches.vSwitch0.mtu: 9001 is no MTU (1 to 9000)
""",
        id="list_needed",
    ),
    pytest.param(
        """\
hosts:
  esx1:
    vswitches:
      vSwitch0: {mtu: }
    nics: vmnic0
""",
        """\
lab.yaml: 2 mistakes
  line 4  hosts.esx1.vswitches.vSwitch0.mtu: a value is missing; write one or take the key out
  line 5  hosts.esx1.nics: "vmnic0" stands where names with values below are needed
""",
        id="value_needed",
    ),
    pytest.param(
        """\
hosts:
  esx1.example.com:
    vswitches:
      v: {mtu: 0}
""",
        """\
lab.yaml: 1 mistake
  line 4  hosts."esx1.example.com".vswitches.v.mtu: 0 is no MTU (1 to 9000)
""",
        id="dotted_name",
    ),
    pytest.param(
        """\
hosts:
  "a\\nb": 5
""",
        """\
lab.yaml: 1 mistake
  line 2  hosts.a\\nb: 5 stands where a host is described; keys and values are needed
""",
        id="control",
    ),
    pytest.param(
        """\
hosts:
  "": {}
""",
        """\
lab.yaml: 1 mistake
  line 2  hosts."": a name cannot be empty
""",
        id="empty_name",
    ),
    pytest.param(
        """\
just text
""",
        """\
lab.yaml: 1 mistake
  this is no lab; it begins with hosts:, and the hosts' names below
""",
        id="no_lab",
    ),
]


@pytest.mark.parametrize(("text", "whole_error"), CASES)
def test_the_whole_error(text: str, whole_error: str) -> None:
    with pytest.raises(LabError) as error:
        load_text(text, "lab.yaml")
    assert f"{error.value}\n" == whole_error


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LabError) as error:
        load(tmp_path / "lab.yaml")
    assert str(error.value) == f"{tmp_path}/lab.yaml: 1 mistake\n  the file cannot be read: No such file or directory"


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_bytes(b"hosts:\n  esx1: {}  # caf\xe9\n")
    with pytest.raises(LabError) as error:
        load(tmp_path / "lab.yaml")
    assert str(error.value).splitlines()[1] == "  line 2  byte 0xe9 is not UTF-8; save the file as UTF-8"


def test_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text("hosts: {esx1: }\n", encoding="utf-8-sig")
    assert list(load(tmp_path / "lab.yaml").spec.hosts) == ["esx1"]


def test_a_character_that_yaml_forbids() -> None:
    with pytest.raises(LabError) as error:
        load_text("hosts:\n  es\x00x1: {}\n", "lab.yaml")
    assert str(error.value) == "lab.yaml: 1 mistake\n  line 2  the character U+0000 is not allowed in YAML"


def test_a_lab_from_python_has_keys_only() -> None:
    with pytest.raises(LabError) as error:
        structure({"hosts": {"esx1": {"vswitches": {"vSwitch0": {"mtu": 10_000}}}}})
    assert str(error.value) == "lab: 1 mistake\n  hosts.esx1.vswitches.vSwitch0.mtu: 10000 is no MTU (1 to 9000)"


def test_names_that_are_the_same_as_text() -> None:
    with pytest.raises(LabError) as error:
        structure({"hosts": {10: {}, "10": {}}})
    assert str(error.value) == 'lab: 1 mistake\n  the name "10" is there twice'


def test_settings_tell_themselves_as_the_place() -> None:
    with pytest.raises(LabError) as error:
        with_settings(load_text(PROD, "lab.yaml"), ["portgroup.Prod.vlan=5000", "vswitch.vSwitch1.mtu=9000"])
    assert (
        str(error.value)
        == """\
lab.yaml: 2 mistakes
  --set vswitch.vSwitch1.mtu=9000  there is no virtual switch "vSwitch1"; is "vSwitch0" meant?
  --set portgroup.Prod.vlan=5000  hosts.esx1.vswitches.vSwitch0.portgroups.Prod.vlan: 5000 is no VLAN number (0 to 4095)"""
    )

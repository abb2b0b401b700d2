"""What a lab file says when it is right: short forms, booleans, names, numbers, counted VMs, default addresses."""

import numpy as np
import pytest

from iochain.topology.labfile import LabError, expanded, load_text, structure
from iochain.topology.names import PortKind, port_names
from iochain.topology.spec import (
    Answer,
    LabSpec,
    LoadBalancing,
    Nic,
    Portgroup,
    Shaping,
    Teaming,
    Vm,
    Vmkernel,
    Vnic,
    Vswitch,
)

LAB = """\
hosts:
  esx1:
    vswitches:
      vSwitch0:
        uplinks: [vmnic0, vmnic1]
        portgroups:
          Prod: {vlan: 10}
          VM Network:
          yes: {labels: [on, 010, 1.50]}
          10: {}
    vmkernel:
      vmk0: {network: 10}
vms:
  web: {network: Prod}
  db: {network: yes, host: esx1}
"""


def test_names_are_text_as_written() -> None:
    spec = load_text(LAB).spec
    portgroups = spec.hosts["esx1"].vswitches["vSwitch0"].portgroups
    assert list(portgroups) == ["Prod", "VM Network", "yes", "10"]
    assert portgroups["yes"].labels == ("on", "010", "1.50")
    assert spec.vms["db"].vnics["eth0"].network == "yes"
    assert spec.hosts["esx1"].vmkernel["vmk0"].network == "10"


def test_the_keys_of_one_vnic_may_stand_in_the_vm() -> None:
    short = load_text(LAB).spec
    long = load_text(LAB.replace("web: {network: Prod}", "web: {vnics: {eth0: {network: Prod}}}")).spec
    assert short == long
    assert short.vms["web"] == Vm(vnics={"eth0": Vnic(network="Prod")})


@pytest.mark.parametrize("word", ["yes", "Yes", "on", "true", "True", "TRUE"])
def test_words_for_yes(word: str) -> None:
    spec = load_text(LAB.replace("network: Prod", f"network: Prod, promiscuous: {word}")).spec
    assert spec.vms["web"].vnics["eth0"].promiscuous is True


@pytest.mark.parametrize(
    ("word", "answer"),
    [("accept", Answer.ACCEPT), ("on", Answer.ACCEPT), ("reject", Answer.REJECT), ("no", Answer.REJECT)],
)
def test_words_for_an_answer(word: str, answer: Answer) -> None:
    spec = load_text(LAB.replace("vlan: 10", f"forged_transmits: {word}")).spec
    assert spec.hosts["esx1"].vswitches["vSwitch0"].portgroups["Prod"].forged_transmits is answer


@pytest.mark.parametrize(
    ("word", "shaping"),
    [
        ("no", Shaping(enabled=False)),
        ("off", Shaping(enabled=False)),
        ("yes", Shaping()),
        ("{average: 1 Mbit/s}", Shaping(average=1_000_000)),  # type: ignore[arg-type]
        ("{}", Shaping()),
        ("", None),
    ],
)
def test_shaping_in_one_word(word: str, shaping: Shaping | None) -> None:
    spec = load_text(LAB.replace("vlan: 10", f"shaping: {word}")).spec
    assert spec.hosts["esx1"].vswitches["vSwitch0"].portgroups["Prod"].shaping == shaping


@pytest.mark.parametrize(("text", "version"), [("8.0", "8.0"), ("'6.7'", "6.7"), ("7", "7.0")])
def test_versions(text: str, version: str) -> None:
    assert load_text(f"esxi_version: {text}\n{LAB}").spec.esxi_version == version
    assert structure({"esxi_version": float(version), "hosts": {"esx1": None}}).esxi_version == version


def test_a_lab_from_python_may_hold_values_of_the_schema() -> None:
    portgroup = Portgroup(vlan=10, teaming=Teaming(load_balancing=LoadBalancing.IP_HASH))  # type: ignore[arg-type]
    spec = structure({"hosts": {"esx1": {"vswitches": {"vSwitch0": Vswitch(portgroups={"Prod": portgroup})}}}})
    assert spec.hosts["esx1"].vswitches["vSwitch0"].portgroups["Prod"] == portgroup
    with pytest.raises(LabError, match="5000 is no VLAN number"):
        structure({"hosts": {"esx1": {"vswitches": {"v": {"portgroups": {"p": Portgroup(vlan=5000)}}}}}})  # type: ignore[arg-type]


def test_a_number_of_numpy() -> None:
    lab = {"hosts": {"esx1": {"vswitches": {"vSwitch0": {"mtu": np.int64(9000)}}}}}
    assert structure(lab).hosts["esx1"].vswitches["vSwitch0"].mtu == 9000


def macs(spec: LabSpec) -> list[str | None]:
    return [vnic.mac for vm in spec.vms.values() for vnic in vm.vnics.values()]


def test_addresses_are_made_in_order_and_skip_given_ones() -> None:
    text = LAB.replace("db: {network: yes,", "db: {network: yes, mac: 00-50-56-00-00-02,") + "  app: {network: Prod}\n"
    spec = expanded(load_text(text).spec)
    assert macs(spec) == ["00:50:56:00:00:01", "00:50:56:00:00:02", "00:50:56:00:00:03"]
    assert spec.hosts["esx1"].vmkernel == {"vmk0": Vmkernel(network="10", mac="00:50:56:60:00:01")}  # type: ignore[arg-type]
    assert spec.hosts["esx1"].nics == {
        "vmnic0": Nic(mac="02:00:00:00:00:01"),  # type: ignore[arg-type]
        "vmnic1": Nic(mac="02:00:00:00:00:02"),  # type: ignore[arg-type]
    }
    assert {vm.host for vm in spec.vms.values()} == {"esx1"}
    assert expanded(spec) == spec


def test_counted_vms() -> None:
    text = LAB.replace("web: {network: Prod}", "web: {network: Prod, count: 3, mac: 00:50:56:00:00:ff}")
    spec = expanded(load_text(text).spec)
    assert list(spec.vms) == ["web-1", "web-2", "web-3", "db"]
    assert macs(spec) == ["00:50:56:00:00:ff", "00:50:56:00:01:00", "00:50:56:00:01:01", "00:50:56:00:00:01"]
    assert all(vm.count is None for vm in spec.vms.values())


def test_names_of_ports_in_a_lab_of_one_host() -> None:
    text = LAB + "  fw: {vnics: {eth0: {network: Prod}, eth1: {network: 10}}}\n"
    names = port_names(load_text(text).spec)
    assert [port.name for port in names.ports] == ["vmk0", "vmnic0", "vmnic1", "web", "db", "fw.eth0", "fw.eth1"]
    assert names.find("esx1.vmnic0") == names.find("vmnic0")
    assert names.find("web.eth0") == names.find("web")
    port = names.find("fw.eth1")
    assert (port.kind, port.host, port.switch, port.portgroup) == (PortKind.VNIC, "esx1", "vSwitch0", "10")
    assert (port.vm, port.adapter) == ("fw", "eth1")
    with pytest.raises(LookupError, match='there is no port "vmnic2"; is "vmnic1" meant'):
        names.find("vmnic2")


def test_names_of_ports_in_a_lab_of_two_hosts() -> None:
    text = LAB.replace("web: {network: Prod}", "web: {network: Prod, host: esx1}")
    text = text.replace("hosts:\n", "hosts:\n  esx2: {nics: {vmnic0: {}, vmnic5: }}\n")
    names = port_names(load_text(text).spec)
    ports = ["esx2.vmnic0", "esx2.vmnic5", "esx1.vmk0", "esx1.vmnic0", "esx1.vmnic1", "web", "db"]
    assert [port.name for port in names.ports] == ports
    assert names.find("esx2.vmnic5").switch == ""
    assert names.find("esx1.vmnic0").kind is PortKind.UPLINK

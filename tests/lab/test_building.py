"""Labs built in Python: what is written reads as a sentence, is the same as a lab file, and is checked as one."""

from pathlib import Path

import networkx as nx
import pytest

from iochain import Lab, LabError
from iochain.chain import Drop, Port, Reason, Verdict
from iochain.frame import Frame
from iochain.topology.spec import Answer, LoadBalancing

SMALL = """\
esxi_version: "7.0"
captured_at: uplink
hosts:
  esx1:
    settings: {Net.BlockGuestBPDU: 1}
    nics:
      vmnic0: {speed: 25 Gbit/s}
      vmnic1: {link: down}
    vswitches:
      vSwitch0:
        uplinks: [vmnic0, vmnic1]
        mtu: 9000
        promiscuous: reject
        teaming: {load_balancing: explicit, active: [vmnic1], standby: [vmnic0]}
        portgroups:
          Prod: {vlan: 10, forged_transmits: accept}
          Monitor:
            vlan: 4095
            promiscuous: accept
            shaping: {average: 10 Mbit/s, peak: 20 Mbit/s, burst: 1 MB}
    vmkernel:
      vmk0: {network: Prod}
vms:
  web: {host: esx1, network: Prod, mac: "00:50:56:00:00:01"}
  db: {host: esx1, network: Prod}
  both:
    vnics:
      eth0: {network: Prod}
      eth1: {network: Monitor, promiscuous: yes}
entry:
  - {at: web, source_mac: "02:00:00:00:00:05"}
"""


def built() -> Lab:
    """The same lab, in Python."""
    lab = Lab("7.0", captured_at="uplink", entry=[{"at": "web", "source_mac": "02:00:00:00:00:05"}])
    host = lab.host("esx1", settings={"Net.BlockGuestBPDU": 1})
    host.nic("vmnic0", speed="25 Gbit/s").nic("vmnic1", link="down")
    switch = host.vswitch("vSwitch0", uplinks=("vmnic0", "vmnic1"), mtu=9000, promiscuous="reject")
    host.vswitch("vSwitch0", teaming={"load_balancing": "explicit", "active": ["vmnic1"], "standby": ["vmnic0"]})
    prod = switch.portgroup("Prod", vlan=10, forged_transmits="accept")
    shaping = {"average": "10 Mbit/s", "peak": "20 Mbit/s", "burst": "1 MB"}
    switch.portgroup("Monitor", vlan=4095, promiscuous="accept", shaping=shaping)
    host.vmkernel("vmk0", network="Prod")
    prod.vm("web", mac="00:50:56:00:00:01")
    prod.vm("db")
    lab.vm("both", vnics={"eth0": {"network": "Prod"}, "eth1": {"network": "Monitor", "promiscuous": True}})
    return lab


def loaded(text: str, folder: Path) -> Lab:
    path = folder / "small.lab.yaml"
    path.write_text(text, encoding="utf-8")
    return Lab.load(path)


def two_vms() -> Lab:
    lab = Lab()
    prod = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"]).portgroup("Prod", vlan=10)
    for name in ("web", "db"):
        prod.vm(name)
    return lab


def no_echo(frame: Frame, port: Port) -> Verdict:
    return Drop(Reason.STAGE) if frame.source == port.effective_mac else frame


def test_wiring_reads_as_a_sentence() -> None:
    lab = Lab()
    switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"])
    prod = switch.portgroup("Prod", vlan=10)
    for name in ("web", "db"):
        prod.vm(name)
    prod.port("web").output.insert(no_echo, before="vlan")
    assert (
        str(prod.port("web").output)
        == "output of web: reverse path → no_echo → vlan → receive filter → large split → checksum"
    )
    assert str(prod.port("db").output) == "output of db: reverse path → vlan → receive filter → large split → checksum"
    assert str(prod.port("db").input) == "input of db: mtu → bpdu filter → forged transmits → vlan"


def test_python_and_file_say_the_same(tmp_path: Path) -> None:
    from_file = loaded(SMALL, tmp_path)
    assert built().wiring.spec == from_file.wiring.spec
    assert built().wiring.ports == from_file.wiring.ports
    graphs = [built().graph, from_file.graph]
    assert set(graphs[0].nodes) == set(graphs[1].nodes)
    assert sorted(graphs[0].edges(keys=True)) == sorted(graphs[1].edges(keys=True))


def test_the_chains_of_that_lab() -> None:
    lab = built()
    assert [
        str(chain) for port in lab.wiring.ports for chain in (lab.port(port.name).input, lab.port(port.name).output)
    ] == [
        "input of vmnic0: LRO → link → vlan → mtu",
        "output of vmnic0: link → vlan → mtu → segmentation → checksum → NIC segmentation → NIC checksum → wire",
        "input of vmnic1: LRO → link → vlan → mtu",
        "output of vmnic1: link → vlan → mtu → segmentation → checksum → NIC segmentation → NIC checksum → wire",
        "input of vmk0: mtu → bpdu filter → vlan",
        "output of vmk0: reverse path → vlan → receive filter → checksum",
        "input of web: mtu → bpdu filter → vlan",
        "output of web: reverse path → vlan → receive filter → large split → checksum",
        "input of db: mtu → bpdu filter → vlan",
        "output of db: reverse path → vlan → receive filter → large split → checksum",
        "input of both.eth0: mtu → bpdu filter → vlan",
        "output of both.eth0: reverse path → vlan → receive filter → large split → checksum",
        "input of both.eth1: mtu → bpdu filter → forged transmits → vlan → shaper",
        "output of both.eth1: large split → checksum",
    ]


def test_the_wiring_is_a_graph_whose_edges_carry_the_chains() -> None:
    lab = two_vms()
    graph = lab.graph
    assert isinstance(graph, nx.MultiDiGraph)
    assert graph.edges["web", "vSwitch0", "input"]["chain"] is lab.port("web").input.chain
    assert graph.edges["vSwitch0", "web", "output"]["chain"] is lab.port("web").output.chain
    assert nx.shortest_path(graph, "web", "vmnic1") in (
        ["web", "vSwitch0", "vmnic1"],
        ["web", "vSwitch0", "uplinks of Prod", "vmnic1"],
    )
    assert nx.is_strongly_connected(graph)


def test_until_something_is_run_a_lab_is_data() -> None:
    lab = two_vms()
    assert lab.data["hosts"]["esx1"]["vswitches"]["vSwitch0"]["portgroups"] == {"Prod": {"vlan": 10}}
    lab.data["vms"]["web"]["mac"] = "00:50:56:00:00:77"
    assert str(lab.port("web").port.initial_mac) == "00:50:56:00:00:77"


def test_a_known_name_is_the_same_thing_again() -> None:
    lab = two_vms()
    assert lab.port("web").port.promiscuous is False
    lab.vm("web", promiscuous=True)
    lab.host("esx1").vswitch("vSwitch0").portgroup("Prod", promiscuous="accept")
    assert lab.port("web").port.promiscuous is True
    assert lab.port("web").port.vlan == 10


def test_several_hosts_have_long_names() -> None:
    lab = Lab()
    for host in ("esx1", "esx2"):
        lab.host(host).vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod").vm(f"vm-{host}")
        lab.host(host).vmkernel("vmk0", network="Prod")
    names = [port.name for port in lab.wiring.ports]
    assert names == ["esx1.vmnic0", "esx1.vmk0", "vm-esx1", "esx2.vmnic0", "esx2.vmk0", "vm-esx2"]
    assert lab.port("esx2.vmnic0").port.host == "esx2"


def test_both_forms_of_a_name_are_understood() -> None:
    lab = two_vms()
    assert lab.port("vmnic0").port == lab.port("esx1.vmnic0").port


@pytest.mark.parametrize(
    ("name", "said"), [("wep", 'there is no port "wep"; is "web" meant?'), ("x", 'there is no port "x"')]
)
def test_a_port_that_is_not_there(name: str, said: str) -> None:
    with pytest.raises(LookupError) as refused:
        _ = two_vms().port(name).port
    assert refused.value.args == (said,)


def test_all_mistakes_at_once() -> None:
    lab = two_vms()
    lab.host("esx1").vswitch("vSwitch0", mtu=99_999)
    lab.vm("web", network="Pord")
    with pytest.raises(LabError) as wrong:
        _ = lab.wiring
    assert str(wrong.value) == (
        "lab: 2 mistakes\n"
        "  hosts.esx1.vswitches.vSwitch0.mtu: 99999 is no MTU (1 to 9000)\n"
        '  vms.web.network: there is no port group "Pord"; is "Prod" meant?'
    )


def test_an_edit_that_cannot_be_made_is_not_kept() -> None:
    lab = two_vms()
    with pytest.raises(ValueError, match="output of web has no stage 'vlans'; it has reverse path, vlan"):
        lab.port("web").output.insert(no_echo, before="vlans")
    assert lab.port("web").output.names == ["reverse path", "vlan", "receive filter", "large split", "checksum"]
    lab.start()


# -- effective policy


def test_every_value_says_who_set_it(tmp_path: Path) -> None:
    prod = loaded(SMALL, tmp_path).effective("Prod")
    line = SMALL.splitlines().index("          Prod: {vlan: 10, forged_transmits: accept}") + 1
    assert (prod.vlan.value, prod.vlan.origin) == (10, "port group Prod")
    assert prod.vlan.place == f"{tmp_path / 'small.lab.yaml'}:{line}"
    assert prod.vlan.key == "hosts.esx1.vswitches.vSwitch0.portgroups.Prod.vlan"
    assert (prod.promiscuous.value, prod.promiscuous.origin) == (Answer.REJECT, "vSwitch0")
    assert (prod.mac_changes.value, prod.mac_changes.origin) == (Answer.REJECT, "default of ESXi 7.0")
    assert (prod.forged_transmits.value, prod.forged_transmits.origin) == (Answer.ACCEPT, "port group Prod")
    assert (prod.mtu.value, prod.mtu.origin) == (9000, "vSwitch0")
    assert (prod.load_balancing.value, prod.load_balancing.origin) == (LoadBalancing.EXPLICIT, "vSwitch0")
    assert (prod.active.value, prod.standby.value) == (("vmnic1",), ("vmnic0",))
    assert (prod.failback.value, prod.failback.origin) == (True, "default of ESXi 7.0")
    assert prod.shaping.value is None


@pytest.mark.parametrize(
    ("switch", "portgroup", "value", "origin"),
    [
        ({}, {}, Answer.REJECT, "default of ESXi 8.0"),
        ({"forged_transmits": "accept"}, {}, Answer.ACCEPT, "vSwitch0"),
        ({}, {"forged_transmits": "accept"}, Answer.ACCEPT, "port group Prod"),
        ({"forged_transmits": "accept"}, {"forged_transmits": "reject"}, Answer.REJECT, "port group Prod"),
    ],
)
def test_the_port_group_overrides_the_switch(
    switch: dict[str, str], portgroup: dict[str, str], value: Answer, origin: str
) -> None:
    lab = Lab()
    lab.host("esx1").vswitch("vSwitch0", **switch).portgroup("Prod", **portgroup)
    found = lab.effective("Prod").forged_transmits
    assert (found.value, found.origin) == (value, origin)


def test_an_effective_policy_of_nothing() -> None:
    with pytest.raises(LookupError, match='there is no port group "Pord"'):
        two_vms().effective("Pord")
    with pytest.raises(LookupError):
        two_vms().effective("Prod", host="esx2")


def test_settings_make_another_lab() -> None:
    lab = two_vms()
    changed = lab.with_settings(["portgroup.Prod.vlan=20", "hosts.esx1.vswitches.vSwitch0.mtu=9000"])
    assert (changed.effective("Prod").vlan.value, changed.effective("Prod").mtu.value) == (20, 9000)
    assert (lab.effective("Prod").vlan.value, lab.effective("Prod").mtu.value) == (10, 1500)
    with pytest.raises(LabError, match="5000 is no VLAN number"):
        lab.with_settings(["portgroup.Prod.vlan=5000"])


def test_a_lab_that_ran_takes_up_changes_of_its_data() -> None:
    lab = two_vms().with_settings(["portgroup.Prod.vlan=20"])
    unchanged = Lab.of(lab._loaded())
    assert [port.vlan for port in lab.start().wiring.ports if port.name == "web"] == [20]
    lab.data["hosts"]["esx1"]["vswitches"]["vSwitch0"]["portgroups"]["Prod"]["vlan"] = 30
    assert [port.vlan for port in lab.start().wiring.ports if port.name == "web"] == [30]
    assert [port.vlan for port in unchanged.start().wiring.ports if port.name == "web"] == [20]


def test_what_a_file_only_names_can_be_described(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    switch = "vSwitch0: {uplinks: [vmnic0], portgroups: {Prod: }}"
    path.write_text(f"hosts: {{esx1: {{nics: {{vmnic0: }}, vmkernel: , vswitches: {{{switch}}}}}}}\nvms:\nfabric:\n")
    lab = Lab.load(path)
    host = lab.host("esx1").nic("vmnic0", speed="1 Gbit/s")
    host.vswitch("vSwitch0").portgroup("Prod", vlan=10).vm("web")
    host.vmkernel("vmk0", network="Prod")
    lab.physical_switch("sw1", count=1)
    lab.cable("esx1.vmnic0", "sw1.1")
    assert [port.name for port in lab.wiring.ports] == ["vmnic0", "vmk0", "web", "sw1.1"]
    assert lab.effective("Prod").vlan.value == 10


def test_a_lab_says_what_it_is() -> None:
    lab = Lab("7.0", captured_at="uplink")
    lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod", vlan=10).vm("web")
    again = eval(repr(lab))
    assert again.data == lab.data
    assert repr(Lab("8.0")) == "Lab('8.0')"

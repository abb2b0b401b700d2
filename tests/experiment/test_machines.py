"""VMs over time: power, moves, MACs; what follows for ports, tables and notify frames."""

from collections.abc import Callable
from typing import Any

import pytest
from hosts_alone import Alone, alone, one_host

from iochain import Lab
from iochain.chain import Drop, Port
from iochain.experiment.notify import rarp
from iochain.frame import Frame, Mac

A, B, NEW = Mac("00:50:56:00:00:01"), Mac("00:50:56:00:00:02"), Mac("00:50:56:00:00:99")


def two_hosts(**lab_keys: Any) -> Lab:
    """Hosts with the same port groups, but that Other is VLAN 20 on esx1 and 30 on esx2."""
    lab = Lab("8.0", **lab_keys)
    for name, vlan in (("esx1", 20), ("esx2", 30)):
        switch = lab.host(name).vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"])
        switch.portgroup("Prod", vlan=10)
        switch.portgroup("Other", vlan=vlan)
    lab.host("esx1").vswitch("vSwitch1").portgroup("Only here")
    lab.vm("a", host="esx1", network="Prod", mac=str(A))
    lab.vm("b", host="esx1", network="Prod", mac=str(B))
    return lab


def knows(net: Alone, switch: str, vlan: int, mac: Mac) -> tuple[str, ...]:
    return net.wiring.forwarding(switch).macs.get((vlan, int(mac)))


def is_own(net: Alone, switch: str, mac: Mac) -> bool:
    return net.wiring.switch(switch).own.get(int(mac))


# -- power


def test_a_vm_that_is_off_is_in_no_table() -> None:
    net = alone(one_host())
    before = net.wiring.port("a")
    net.hosts.machines.power_off("a")
    port = net.wiring.port("a")
    assert (knows(net, "vSwitch0", 10, A), is_own(net, "vSwitch0", A)) == ((), False)
    assert net.wiring.forwarding("vSwitch0").members.get((10, 0)) == ("b",)
    assert (port.number, port.id) == (before.number, before.id)
    assert net.wiring.chain("a", "input").names[0] == "port"
    assert net.wiring.chain("a", "input")["port"].because is not None
    assert str(net.wiring.chain("a", "input")["port"].because) == "powered_on no from VM a"
    assert [one.name for one in net.plugged] == ["a"]
    net.hosts.machines.power_off("a")  # it is off already
    assert len(net.plugged) == 1


def test_a_vm_that_is_powered_on_is_a_new_port() -> None:
    """S22: so it may get another uplink than before."""
    net = alone(one_host())
    before = net.wiring.port("a")
    net.hosts.machines.power_off("a")
    net.hosts.machines.power_on("a")
    port = net.wiring.port("a")
    assert port.number == before.number
    assert port.port_number == 6  # behind Management, two uplinks, a and b
    assert port.turn == before.turn + 2
    assert knows(net, "vSwitch0", 10, A) == ("a",)
    assert "port" not in net.wiring.chain("a", "input").names


def test_the_lab_can_begin_with_a_vm_that_is_off() -> None:
    lab = one_host()
    lab.data["vms"]["a"]["powered_on"] = "no"
    net = alone(lab)
    assert knows(net, "vSwitch0", 10, A) == ()
    net.hosts.machines.power_on("a")
    assert knows(net, "vSwitch0", 10, A) == ("a",)


def test_a_disconnected_vnic_stays_disconnected() -> None:
    lab = one_host()
    lab.data["vms"]["a"].update(powered_on=False, connected=False)
    net = alone(lab)
    net.hosts.machines.power_on("a")
    net.until(60_000)
    assert (knows(net, "vSwitch0", 10, A), net.sent) == ((), [])


def test_two_ports_with_one_mac_are_a_warning_and_work() -> None:
    """NLB lives so, and vmk0 with the NIC's address."""
    lab = one_host()
    lab.data["vms"]["b"]["mac"] = str(A)
    net = alone(lab)
    assert knows(net, "vSwitch0", 10, A) == ("a", "b")
    net.hosts.machines.power_off("a")
    assert (knows(net, "vSwitch0", 10, A), is_own(net, "vSwitch0", A)) == (("b",), True)
    net.hosts.machines.power_off("b")
    assert (knows(net, "vSwitch0", 10, A), is_own(net, "vSwitch0", A)) == ((), False)


# -- moves


def test_to_another_port_group() -> None:
    net = alone(two_hosts())
    net.hosts.machines.move("a", portgroup="Other")
    port = net.wiring.port("a")
    assert (port.portgroup, port.vlan, port.team) == ("Other", 20, "uplinks of esx1.Other")
    assert (knows(net, "esx1.vSwitch0", 10, A), knows(net, "esx1.vSwitch0", 20, A)) == ((), ("a",))
    assert net.wiring.chain("a", "input")["vlan"].stage.vlan == 20
    net.until(60_000)
    assert [sent.tag for sent in net.sent] == [20] * 6


def test_to_another_host() -> None:
    net = alone(two_hosts())
    number = net.wiring.port("a").number
    net.hosts.machines.move("a", host="esx2")
    port = net.wiring.port("a")
    assert (port.number, port.host, port.switch, port.id) == (number, "esx2", "vSwitch0", 0x01000004)
    assert net.wiring.switch_node("a") == "esx2.vSwitch0"
    assert (knows(net, "esx1.vSwitch0", 10, A), knows(net, "esx2.vSwitch0", 10, A)) == ((), ("a",))
    assert (is_own(net, "esx1.vSwitch0", A), is_own(net, "esx2.vSwitch0", A)) == (False, True)
    net.until(60_000)
    assert [(sent.port, sent.data) for sent in net.sent] == [("esx2.vmnic0", rarp(A))] * 6
    assert set(net.wiring.graph.predecessors("esx1.vSwitch0")) == {"esx1.vmnic0", "esx1.vmnic1", "b"}


def test_the_vlan_may_be_another_there() -> None:
    """S40: settings of standard switches are each host's own."""
    lab = two_hosts()
    lab.data["vms"]["a"]["network"] = "Other"
    net = alone(lab)
    net.hosts.machines.move("a", host="esx2")
    assert (knows(net, "esx2.vSwitch0", 20, A), knows(net, "esx2.vSwitch0", 30, A)) == ((), ("a",))


def test_there_and_back() -> None:
    net = alone(two_hosts())
    tables = net.wiring.forwarding("esx1.vSwitch0")
    before = {table.name: table.entries() for table in (tables.macs, tables.members)}
    net.hosts.machines.move("a", host="esx2", portgroup="Other")
    net.hosts.machines.move("a", host="esx1", portgroup="Prod")
    after = {table.name: table.entries() for table in (tables.macs, tables.members)}
    assert {name: {key: sorted(value) for key, value in entries.items()} for name, entries in after.items()} == {
        name: {key: sorted(value) for key, value in entries.items()} for name, entries in before.items()
    }
    assert net.wiring.port("a").port_number == 6


def test_a_vm_moves_with_all_its_vnics() -> None:
    lab = two_hosts()
    lab.vm("router", host="esx1", vnics={"eth0": {"network": "Prod"}, "eth1": {"network": "Other"}})
    net = alone(lab)
    net.hosts.machines.move("router", host="esx2")
    assert {net.wiring.port(f"router.eth{i}").host for i in (0, 1)} == {"esx2"}
    net.hosts.machines.move("router.eth1", portgroup="Prod")
    assert [net.wiring.port(f"router.eth{i}").portgroup for i in (0, 1)] == ["Prod", "Prod"]
    assert len(net.plugged) == 3


def test_a_vm_that_is_off_moves_in_silence() -> None:
    net = alone(two_hosts())
    net.hosts.machines.power_off("a")
    net.hosts.machines.move("a", host="esx2")
    net.until(60_000)
    assert (knows(net, "esx2.vSwitch0", 10, A), net.sent) == ((), [])
    net.hosts.machines.power_on("a")
    assert knows(net, "esx2.vSwitch0", 10, A) == ("a",)


def test_stages_of_ones_own_move_along() -> None:
    def no_telnet(frame: Frame, port: Port) -> Any:
        return Drop  # never called

    lab = two_hosts()
    lab.port("a").input.insert(no_telnet, before="vlan")
    lab.port("a").output.insert(no_telnet, before="reverse path")
    net = alone(lab)
    for move in ({"host": "esx2"}, {"portgroup": "Other"}):
        net.hosts.machines.move("a", **move)
        names = net.wiring.chain("a", "input").names
        assert names[names.index("vlan") - 1] == "no_telnet"
        assert net.wiring.chain("a", "output").names[0] == "no_telnet"


# -- MACs


@pytest.mark.parametrize(("answer", "granted"), [("accept", True), ("reject", False)])
def test_another_mac(answer: str, granted: bool) -> None:
    lab = one_host()
    lab.data["hosts"]["esx1"]["vswitches"]["vSwitch0"]["portgroups"]["Prod"]["mac_changes"] = answer
    net = alone(lab)
    before = net.wiring.port("a")
    net.hosts.machines.set_mac("a", str(NEW))
    port = net.wiring.port("a")
    assert (port.id, port.effective_mac, port.initial_mac, port.mac_accepted) == (before.id, NEW, A, granted)
    assert knows(net, "vSwitch0", 10, NEW) == (("a",) if granted else ())
    assert knows(net, "vSwitch0", 10, A) == ()
    refused = net.wiring.forwarding("vSwitch0").refused
    assert (refused.get((10, int(NEW))) is None) is granted
    net.until(60_000)
    assert [sent.data for sent in net.sent] == ([rarp(NEW)] * 6 if granted else [])
    net.hosts.machines.set_mac("a", str(A))  # the guest takes its own again
    assert knows(net, "vSwitch0", 10, A) == ("a",)
    assert refused.entries() == {}


# -- mistakes


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        (lambda it: it.power_off("aa"), LookupError, 'there is no VM "aa"; is "a" meant?'),
        (lambda it: it.power_on("zebra"), LookupError, 'there is no VM "zebra" (a, b, router)'),
        (lambda it: it.move("a", host="esx3"), LookupError, 'there is no host "esx3"; is "esx'),
        (lambda it: it.move("a", portgroup="Othr"), LookupError, '"Othr" on esx1; is "Other" meant?'),
        (lambda it: it.move("a", "Only here", "esx2"), LookupError, 'no port group "Only here" on esx2'),
        (lambda it: it.move("router.eth0", host="esx2"), ValueError, 'as a whole ("router")'),
        (lambda it: it.set_mac("router", str(NEW)), LookupError, "name one of them (router.eth0, router.eth1)"),
        (lambda it: it.set_mac("a", "01:00:5e:00:00:01"), ValueError, "is no address of an adapter"),
        (lambda it: it.set_mac("a", "hello"), ValueError, "is no MAC address"),
    ],
)
def test_mistakes(what: Callable[[Any], None], error: type[Exception], message: str) -> None:
    lab = two_hosts()
    lab.vm("router", host="esx1", vnics={"eth0": {"network": "Prod"}, "eth1": {"network": "Other"}})
    net = alone(lab)
    with pytest.raises(error) as raised:
        what(net.hosts.machines)
    assert message in str(raised.value.args[0])
    assert net.plugged == []

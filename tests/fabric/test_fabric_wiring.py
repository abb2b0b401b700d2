"""Labs with physical switches: their ports, cables and chains, one frame's way through them, links that change."""

from collections import Counter

import networkx as nx
import pytest
from any_fabric import any_labs
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from one_frame import BPDU, EVERYONE, across, data, two_hosts

from iochain import Lab
from iochain.chain import PortKind, Reason
from iochain.fabric.ports import PortState
from iochain.frame import Mac
from iochain.topology.fabric import ERR_DISABLED, Cable
from iochain.topology.spec import PortMode
from iochain.topology.wiring import Wiring

VM1, VM2, OUTSIDE = Mac("00:50:56:00:00:01"), Mac("00:50:56:00:00:02"), Mac("02:00:00:00:00:99")


def test_a_lab_without_fabric_has_no_cables() -> None:
    lab = Lab()
    lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod").vm("web")
    wiring = lab.wiring
    assert wiring.cables == ()
    assert all(port.kind is not PortKind.PHYSICAL for port in wiring.ports)
    assert wiring.fabric.settle() == frozenset()


def test_ports_and_cables() -> None:
    lab = two_hosts()
    lab.cable("sw1.3", "sw2.a", latency="500 ns", name="trunk")
    lab.physical_switch("sw2").port("a")
    wiring = lab.wiring
    numbers = wiring.numbers
    assert wiring.cables == (
        Cable("esx1.vmnic0 to sw1.1", numbers["esx1.vmnic0"], numbers["sw1.1"], 25),
        Cable("esx2.vmnic0 to sw1.2", numbers["esx2.vmnic0"], numbers["sw1.2"], 25),
        Cable("trunk", numbers["sw1.3"], numbers["sw2.a"], 500),
    )
    port = wiring.port("sw2.a")
    assert (port.kind, port.host, port.switch, port.port_number, port.uplink) == (
        PortKind.PHYSICAL,
        "",
        "sw2",
        1,
        False,
    )
    assert wiring.switch_node("sw2.a") == "sw2"
    assert wiring.fabric.cable("trunk") is wiring.fabric.cable("sw2.a") is wiring.fabric.cable_at(port.number)
    assert wiring.cables[2].other(port.number) == numbers["sw1.3"]
    assert wiring.graph.edges["sw1.3", "sw2.a", "cable"]["cable"] is wiring.cables[2]
    assert wiring.fabric.cable_at(wiring.port("sw1.8").number) is None
    with pytest.raises(LookupError, match='there is no cable "trunq"; is "trunk" meant'):
        wiring.fabric.cable("trunq")


def test_chains_have_what_is_configured() -> None:
    lab = two_hosts()
    sw1 = lab.physical_switch("sw1")
    assert str(sw1.port(1).input) == "input of sw1.1: port → for the switch → vlan → mtu"
    assert str(sw1.port(1, bpdu_guard=True).input) == "input of sw1.1: port → bpdu guard → for the switch → vlan → mtu"
    assert str(sw1.port(1).output) == "output of sw1.1: port → vlan → wire"
    assert str(lab.wiring.switch_chain("sw1")) == "sw1: learning → forwarding"


@pytest.mark.parametrize(
    ("own", "defaults", "mode", "vlan"),
    [
        ({}, {}, "trunk", 1),
        ({"vlan": 20}, {}, "access", 20),
        ({}, {"vlan": 20}, "access", 20),
        ({"mode": "access"}, {"vlan": 20}, "access", 20),
        ({"mode": "access"}, {}, "access", 1),
        ({"native_vlan": 5}, {"vlan": 20}, "trunk", 20),
        ({"allowed_vlans": [5]}, {"mode": "access"}, "trunk", 1),
        ({"mode": "trunk"}, {"vlan": 20}, "trunk", 20),
    ],
)
def test_the_mode_of_a_port(own: dict[str, object], defaults: dict[str, object], mode: str, vlan: int) -> None:
    lab = two_hosts(defaults=defaults)
    lab.physical_switch("sw1").port(4, **own)
    policy = lab.wiring.fabric.switches["sw1"].policies["sw1.4"]
    assert (policy.mode.value.value, policy.vlan.value) == (mode, vlan)


def test_speed_comes_from_the_other_end() -> None:
    lab = two_hosts()
    lab.host("esx1").nic("vmnic0", speed="25 Gbit/s")
    lab.physical_switch("sw1").port(5, speed="40 Gbit/s")
    lab.cable("sw1.5", "sw1.6")
    said = {name: policy.speed for name, policy in lab.wiring.fabric.switches["sw1"].policies.items()}
    assert said["sw1.1"].value == 25 * 10**9
    assert said["sw1.1"].origin == "esx1.vmnic0 at the other end of the cable"
    assert said["sw1.6"].value == 40 * 10**9
    assert said["sw1.7"].value == 10 * 10**9
    assert lab.wiring.chain("sw1.1", "output")["wire"].stage.rate_bps == 25 * 10**9


def test_a_frame_crosses_the_fabric_and_is_learned() -> None:
    wiring = two_hosts().wiring
    first = across(wiring, data(EVERYONE, VM1), "vm1")
    assert first.delivered == [("vm2", -1)]
    assert first.entered == ["vm1", "sw1.1", "esx2.vmnic0"]
    assert wiring.fabric.switches["sw1"].learned.entries() == {(10, VM1): "sw1.1"}
    assert across(wiring, data(VM1, VM2), "vm2").entered == ["vm2", "sw1.2", "esx1.vmnic0"]


def test_unknown_unicast_is_flooded_and_known_is_not() -> None:
    lab = two_hosts()
    lab.physical_switch("sw1").port(7, link="up")
    wiring = lab.wiring
    way = across(wiring, data(VM2, VM1), "vm1")
    assert way.ports == ["sw1.7", "vm2"]
    assert ("sw1.7", 10) in way.delivered
    across(wiring, data(VM1, VM2), "vm2")
    assert across(wiring, data(VM2, VM1), "vm1").ports == ["vm2"]


def test_what_is_native_on_one_side_only() -> None:
    """A port group with VLAN 1 has no network on a trunk with native VLAN 1; without VLAN it has (KB of many)."""
    for vlan, reached in ((1, False), (0, True)):
        lab = two_hosts()
        for number in (1, 2):
            lab.host(f"esx{number}").vswitch("vSwitch0").portgroup("Prod", vlan=vlan)
        way = across(lab.wiring, data(EVERYONE, VM1), "vm1")
        assert way.ports == (["vm2"] if reached else [])
        assert way.dropped == ([] if reached else [("sw1.1", Reason.VLAN_MISMATCH)])
    passing = lab.with_settings(["options.native_tag=pass"])
    assert across(passing.wiring, data(EVERYONE, VM1), "vm1").ports == ["vm2"]


def test_a_move_is_counted_and_replaces_the_place() -> None:
    lab = two_hosts()
    lab.physical_switch("sw1").port(7, link="up")
    wiring = lab.wiring
    across(wiring, data(EVERYONE, OUTSIDE, tci=10), "sw1.7")
    assert wiring.fabric.mac_moves() == {}
    for at in ("sw1.1", "sw1.7", "sw1.1"):
        across(wiring, data(EVERYONE, OUTSIDE, tci=10), at)
    assert wiring.fabric.mac_moves() == {("sw1", OUTSIDE): 3}
    assert wiring.fabric.switches["sw1"].learned.get((10, OUTSIDE)) == "sw1.1"


# -- links that change


def states(wiring: Wiring) -> dict[str, PortState]:
    return {port.name: wiring.fabric.states.get(port.number) for port in wiring.ports if port.switch.startswith("sw")}


def test_ports_without_cable_are_down_unless_they_say_up() -> None:
    lab = two_hosts()
    lab.physical_switch("sw1").port(7, link="up")
    lab.physical_switch("sw1").port(2, link="down")
    lab.cable("sw1.3", "sw1.4")
    found = states(lab.wiring)
    assert [name for name, state in found.items() if state is PortState.FORWARDING] == ["sw1.1", "sw1.3", "sw1.7"]
    assert [name for name, state in found.items() if state is PortState.BLOCKED] == ["sw1.4"]
    assert not lab.wiring.tables["esx2"].up.get(lab.wiring.port("esx2.vmnic0").number)  # its switch port is down
    assert lab.wiring.blocked.entries() == {lab.wiring.port("sw1.4").number: True}


def test_a_nic_that_is_down_leaves_its_switch_port_without_link() -> None:
    lab = two_hosts()
    lab.host("esx1").nic("vmnic0", link="down")
    wiring = lab.wiring
    number = wiring.port("sw1.1").number
    assert wiring.fabric.states.get(number) is PortState.NO_LINK
    wiring.fabric.regain(number)
    assert wiring.fabric.settle() == {number}
    assert wiring.fabric.states.get(number) is PortState.FORWARDING


def test_a_lost_link_forgets_what_was_learned_there() -> None:
    wiring = two_hosts().wiring
    across(wiring, data(EVERYONE, VM1), "vm1")
    across(wiring, data(EVERYONE, VM2), "vm2")
    fabric, number = wiring.fabric, wiring.port("sw1.2").number
    fabric.lose(number, "cable")
    fabric.lose(number, "link")
    assert fabric.settle() == {number}
    assert fabric.switches["sw1"].learned.entries() == {(10, VM1): "sw1.1"}
    assert across(wiring, data(VM2, VM1), "vm1").ports == []
    fabric.regain(number, "link")
    assert fabric.settle() == frozenset()
    assert fabric.causes(number) == {"cable"}
    fabric.regain(number, "cable")
    assert fabric.settle() == {number}
    assert across(wiring, data(VM2, VM1), "vm1").ports == ["vm2"]


def test_bpdu_guard_shuts_the_port() -> None:
    lab = two_hosts()
    lab.host("esx1", esxi_version="7.0")  # guests' BPDUs pass there
    lab.physical_switch("sw1").port(1, bpdu_guard=True)
    wiring = lab.wiring
    way = across(wiring, data(BPDU[0], VM1, rest=BPDU[1]), "vm1")
    assert way.dropped == [("sw1.1", Reason.BPDU_GUARD)]
    assert across(wiring, data(EVERYONE, VM1), "vm1").dropped == [("sw1.1", Reason.ERR_DISABLED)]
    number = wiring.port("sw1.1").number
    wiring.fabric.lose(number, ERR_DISABLED)
    assert wiring.fabric.settle() == {number}
    assert wiring.fabric.states.get(number) is PortState.ERR_DISABLED
    assert across(wiring, data(EVERYONE, VM2), "vm2").ports == []


def ring() -> Lab:
    """Three switches in a ring, a VM behind each."""
    lab = Lab()
    for number in (1, 2, 3):
        prod = lab.host(f"esx{number}").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod", vlan=10)
        prod.vm(f"vm{number}", mac=f"00:50:56:00:00:0{number}")
        lab.physical_switch(f"sw{number}", count=3)
        lab.cable(f"esx{number}.vmnic0", f"sw{number}.1")
        lab.cable(f"sw{number}.2", f"sw{number % 3 + 1}.3", name=f"ring{number}")
    return lab


def test_a_cut_cable_opens_the_blocked_one_and_macs_are_learned_anew() -> None:
    wiring = ring().wiring
    fabric = wiring.fabric
    assert {wiring.ports[number].name for number in fabric.blocked.entries()} == {"sw3.3"}  # of ring2
    way = across(wiring, data(EVERYONE, VM1), "vm1")
    assert way.ports == ["vm2", "vm3"]
    assert way.dropped == [("sw3.3", Reason.BLOCKED)]
    cable = fabric.cable("ring1")
    for end in (cable.a, cable.b):
        fabric.lose(end, "ring1")
    assert {wiring.ports[number].name for number in fabric.settle()} == {"sw1.2", "sw2.3", "sw3.3"}
    assert fabric.blocked.entries() == {}
    assert [switch.learned.entries() for switch in fabric.switches.values()] == [{(10, VM1): "sw1.1"}, {}, {}]
    assert across(wiring, data(EVERYONE, VM1), "vm1").ports == ["vm2", "vm3"]


def channelled(**sw2: object) -> Lab:
    """A host with two uplinks in a channel, and a channel of two cables to a second switch with another host."""
    lab = Lab()
    for number in (1, 2):
        host = lab.host(f"esx{number}")
        switch = host.vswitch(
            "vSwitch0", uplinks=["vmnic0", "vmnic1"], teaming={"load_balancing": "iphash"}, mac_changes="accept"
        )
        switch.portgroup("Prod", vlan=10).vm(f"vm{number}", mac=f"00:50:56:00:00:0{number}")
        draft = lab.physical_switch(f"sw{number}", count=4)
        for port in range(1, 5):
            draft.port(port, channel="po1" if port < 3 else "po2")
        lab.cable(f"esx{number}.vmnic0", f"sw{number}.1")
        lab.cable(f"esx{number}.vmnic1", f"sw{number}.2")
    lab.cable("sw1.3", "sw2.3")
    lab.cable("sw1.4", "sw2.4")
    return lab


def test_channels_carry_one_copy_and_nothing_is_blocked() -> None:
    wiring = channelled().wiring
    assert wiring.blocked.entries() == {}
    for last in range(4):
        rest = b"\x08\x00\x45" + bytes(11) + bytes([10, 0, 0, last, 10, 0, 0, 0])
        way = across(wiring, data(EVERYONE, VM1, rest=rest), "vm1")
        assert way.delivered == [("vm2", -1)]
        assert len(way.entered) == 4
        assert way.entered[1] == f"sw1.{1 + last % 2}"
        assert way.entered[2] == f"sw2.{3 + last % 2}"
    assert wiring.fabric.switches["sw1"].learned.entries() == {(10, VM1): "sw1 po1"}
    assert wiring.fabric.mac_moves() == {}


def test_a_channel_goes_on_with_the_members_that_are_left() -> None:
    wiring = channelled().wiring
    across(wiring, data(EVERYONE, VM1), "vm1")
    fabric = wiring.fabric
    for cable in (fabric.cable("sw1.3"), fabric.cable("sw1.1")):
        for end in (cable.a, cable.b):
            if wiring.ports[end].kind is PortKind.PHYSICAL:
                fabric.lose(end)
    fabric.settle()
    assert fabric.switches["sw1"].members.entries() == {"sw1 po1": ("sw1.2",), "sw1 po2": ("sw1.4",)}
    assert fabric.switches["sw1"].learned.entries() == {(10, VM1): "sw1 po1"}
    for last in range(2):
        rest = b"\x08\x00\x45" + bytes(11) + bytes([10, 0, 0, last, 10, 0, 0, 0])
        assert across(wiring, data(VM1, VM2, rest=rest), "vm2").delivered == [("vm1", -1)]


def test_ip_hash_without_channel_makes_a_mac_move() -> None:
    """KB 402719: one source MAC on two ports of the switch."""
    lab = channelled()
    for port in (1, 2):
        lab.data["fabric"]["switches"]["sw1"]["ports"][str(port)] = {}
    wiring = lab.wiring
    for last in (0, 1, 0):
        rest = b"\x08\x00\x45" + bytes(11) + bytes([10, 0, 0, last, 10, 0, 0, 0])
        across(wiring, data(VM2, VM1, rest=rest), "vm1")
    assert wiring.fabric.mac_moves()[("sw1", VM1)] == 2


# -- any network


@given(any_labs(), st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_frame_comes_once_to_each_port_of_its_vlan_that_can_be_reached(lab: Lab, choices: st.DataObject) -> None:
    wiring = lab.wiring
    fabric = wiring.fabric
    edges = [port for port in wiring.ports if fabric.cable_at(port.number) is None]
    if not edges:
        return
    for cable in choices.draw(st.lists(st.sampled_from(fabric.cables), unique=True)) if fabric.cables else ():
        fabric.lose(cable.a, cable.name)
        fabric.lose(cable.b, cable.name)
    fabric.settle()
    reach: nx.Graph[str] = nx.Graph()
    reach.add_nodes_from(fabric.switches)
    for cable in fabric.cables:
        if not fabric.causes(cable.a):
            reach.add_edge(wiring.ports[cable.a].switch, wiring.ports[cable.b].switch)
    for _ in range(3):
        at = choices.draw(st.sampled_from(edges))
        own = fabric.switches[at.switch].policies[at.name]
        is_access = own.mode.value is PortMode.ACCESS
        vlan = own.vlan.value if is_access else choices.draw(st.sampled_from([10, 20]))
        carried = {
            port.name
            for port in edges
            if fabric.switches[port.switch].policies[port.name].carries(vlan)
            and nx.has_path(reach, port.switch, at.switch)
        }
        is_tagged = not is_access and vlan != own.native_vlan.value
        way = across(wiring, data(EVERYONE, VM1, vlan if is_tagged else None), at.name)
        copies = Counter(way.ports)
        assert set(copies.values()) <= {1}
        assert set(copies) == (carried - {at.name} if at.name in carried else set())
        event(f"{len(copies)} copies")


@pytest.mark.parametrize(
    ("port", "said"),
    [
        ("sw1.2", "link down from port sw1.2"),
        ("sw1.8", "link down from no cable"),
        ("sw1.4", "spanning_tree yes from the fabric"),
        ("sw1.5", "None"),
    ],
)
def test_why_a_port_is_not_open(port: str, said: str) -> None:
    lab = two_hosts()
    lab.physical_switch("sw1").port(2, link="down")
    lab.cable("sw1.3", "sw1.4").cable("sw1.5", "sw2.1").physical_switch("sw2").port(1, link="down")
    (drop,) = lab.port(port).send(data(EVERYONE, OUTSIDE, tci=10)).drops
    assert str(drop.setting) == said

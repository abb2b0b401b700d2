"""Hosts in networks that run: what is lost at a failover, what VMs get while they move, beacons that cross switches."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from iochain import (
    Engine,
    Fate,
    Lab,
    Net,
    Reason,
    cut_cable,
    link_down,
    link_speed,
    link_up,
    mend_cable,
    move,
    power_off,
    power_on,
    set_mac,
)
from iochain.batch import batch_of
from iochain.experiment.notify import rarp
from iochain.frame import Mac

MS, SECOND = 10**6, 10**9
A, B, NEW, OUTSIDE = "00:50:56:00:00:01", "00:50:56:00:00:02", "00:50:56:00:00:99", "02:00:00:00:00:fe"
EVERYONE = "ff:ff:ff:ff:ff:ff"
ENGINES = [Engine.PLAIN, Engine.PATHS]


def ethernet(destination: str, source: str) -> bytes:
    return bytes.fromhex((destination + source).replace(":", "")) + b"\x08\x00" + bytes(46)


def one_host(uplinks: int = 2, version: str = "8.0", **portgroup: object) -> Lab:
    """VMs a and b on VLAN 10 of esx1; all uplinks on sw1, somebody outside on the last port of it."""
    lab = Lab(version)
    names = [f"vmnic{number}" for number in range(uplinks)]
    prod = lab.host("esx1").vswitch("vSwitch0", uplinks=names).portgroup("Prod", vlan=10, **portgroup)
    prod.vm("a", mac=A)
    prod.vm("b", mac=B)
    lab.physical_switch("sw1", count=uplinks + 1).port(uplinks + 1, vlan=10, link="up")
    for number, name in enumerate(names, 1):
        lab.cable(name, f"sw1.{number}", latency="2500 us", name=f"cable {number}")
    return lab


def stream(net: Net, port: str, data: bytes, times_ns: Sequence[int]) -> None:
    """The same frame at these times; its number in the stream is that of its fates, from 1."""
    batch = batch_of([(data, time_ns) for time_ns in times_ns])
    batch.rows["port"] = net.wiring.port(port).number
    net.network.offer(batch)


def arrived(fates: Sequence[Fate], port: str) -> list[int]:
    """The numbers of the frames of a stream that were delivered at a port."""
    return [fate.frame for fate in fates if fate.port == port and fate.dropped is None and fate.source == 0]


# -- failover


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("phase", range(10))
def test_a_cut_loses_what_was_on_the_cable_and_what_was_sent_before_the_look(phase: int, engine: Engine) -> None:
    """1,000 frames a second, link status only; the number is computed here from times alone."""
    lab = one_host(teaming={"active": ["vmnic0"], "standby": ["vmnic1"]})
    latency_ns, poll_ns, wire_ns = 2_500_000, 500 * MS, 70  # 60 bytes, tag, FCS, preamble and gap at 10 Gbit/s
    cut_ns = 1500 * MS + phase * 50 * MS + 300_000
    look_ns = -(-cut_ns // poll_ns) * poll_ns
    times = [number * MS for number in range(4000)]
    net = lab.start(engine)
    stream(net, "a", ethernet(OUTSIDE, A), times)
    net.at(cut_ns, cut_cable("cable 1"))
    fates = net.run("5 s")
    lost = [
        number
        for number, time_ns in enumerate(times, 1)
        if time_ns < look_ns and time_ns + wire_ns + latency_ns >= cut_ns
    ]
    assert len(lost) == (look_ns - cut_ns) // MS + 3  # so many after the cut, and three on the cable
    assert sorted(set(range(1, 4001)) - set(arrived(fates, "sw1.3"))) == lost
    reasons = Counter(fate.dropped.drop.reason for fate in fates if fate.dropped and fate.port in ("vmnic0", "sw1.1"))
    assert reasons == {Reason.CABLE_CUT: 3, Reason.LINK_DOWN: len(lost) - 3}


@pytest.mark.parametrize("engine", ENGINES)
def test_t12_its_last_row(engine: Engine) -> None:
    """Without vmnic0 port a is at home on vmnic1; RARP frames for it go out there."""
    net = one_host().start(engine)
    home = net.send(ethernet(OUTSIDE, A), "a").deliveries[0]
    assert home.port == "sw1.3"
    net.at("1 s", link_down("vmnic0"))
    told = [fate for fate in net.run("20 s") if fate.port == "sw1.3"]
    assert {fate.data for fate in told} == {rarp(Mac(A))}
    assert [round(fate.time_ns / MS) for fate in told] == [1003, 1789, 2789, 3789, 5789, 8789]
    back = net.send(ethernet(A, OUTSIDE), "sw1.3")  # by vmnic1, as the switch has learned
    assert back.ports == ("a",)
    everybody = net.send(ethernet(EVERYONE, OUTSIDE), "sw1.3")
    assert sorted(everybody.ports) == ["a", "b"]
    assert {fate.port for fate in everybody.drops} == {"sw1.1"} or everybody.drops == ()


@pytest.mark.parametrize("engine", ENGINES)
def test_there_and_back(engine: Engine) -> None:
    lab = one_host(teaming={"active": ["vmnic0"], "standby": ["vmnic1"]})
    net = lab.start(engine)
    stream(net, "a", ethernet(OUTSIDE, A), [number * 10 * MS for number in range(400)])
    net.at("1010 ms", cut_cable("cable 1"))
    net.at("2010 ms", mend_cable("cable 1"))
    fates = net.run("10 s")
    lost = sorted(set(range(1, 401)) - set(arrived(fates, "sw1.3")))
    assert lost == list(range(102, 151))  # from 1.01 s to the look at 1.5 s; the way back at 2.6 s loses nothing
    by_port = Counter(fate.port for fate in fates if fate.source != 0 and fate.dropped is None)
    assert by_port == {"sw1.3": 2 * (2 + 5)}  # two bursts of two VMs; the first ended where the second began


def test_the_host_that_has_no_part_in_it_notices_nothing() -> None:
    lab = one_host()
    other = lab.host("esx2").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"]).portgroup("Prod", vlan=10)
    other.vm("c", mac="00:50:56:00:00:03")
    lab.data["fabric"]["cables"] = []
    net = lab.start()
    net.at("1 s", link_down("esx1.vmnic0"))
    net.run("3 s")
    teams = {team.host: team.name for team in net.wiring.teams()}
    used = {host: net.wiring.tables[host].in_use.get(team) for host, team in teams.items()}
    assert used == {"esx1": ("esx1.vmnic1",), "esx2": ("esx2.vmnic0", "esx2.vmnic1")}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_link_that_comes_up_slower_is_left_by_teams_that_want_more(engine: Engine) -> None:
    lab = one_host(teaming={"active": ["vmnic0"], "standby": ["vmnic1"], "minimum_speed": "10 Gbit/s"})
    net = lab.start(engine)
    assert uplink_of(net, "a") == "vmnic0"
    net.at("1 s", link_speed("vmnic0", "1 Gbit/s"))
    net.at("2 s", link_speed("vmnic1", "1 Gbit/s"))
    net.run("1500 ms")
    assert uplink_of(net, "a") == "vmnic1"
    net.run("2500 ms")
    assert uplink_of(net, "a") == "vmnic0"  # none is fast enough: best effort
    net.offer(ethernet(OUTSIDE, A) + bytes(1000), "a", "3 s")
    (slow,) = [fate for fate in net.run("4 s") if fate.frame == net.sent and fate.dropped is None]
    assert slow.time_ns - 3 * SECOND > 2_500_000 + (1060 + 4 + 24) * 8  # the wire takes ten times as long


def uplink_of(net: Net, at: str) -> str:
    """The uplink by which a frame for outside leaves."""
    steps = net.send(ethernet(OUTSIDE, A), at).explanation.steps
    return next(step.where.rpartition(" → ")[2] for step in steps if step.where.startswith("vSwitch0 → vmnic"))


# -- beacons


@pytest.mark.parametrize("engine", ENGINES)
def test_beacons_cross_the_fabric_and_are_no_frames_of_anybody(engine: Engine) -> None:
    lab = one_host(3, teaming={"failure_detection": "beacon"})
    net = lab.start(engine)
    fates = net.run("10 s")
    counters = net.network.counters
    assert counters.generated == 3 * 10
    assert counters.consumed == 2 * 3 * 10
    assert {fate.port for fate in fates} == {"sw1.4"}  # whoever is outside sees them, as on any network


def test_what_a_physical_switch_takes_in_is_no_beacon() -> None:
    net = one_host(3, teaming={"failure_detection": "beacon"}).start()
    bpdu = bytes.fromhex("0180c2000000 005056000001 0026 424203") + bytes(43)
    outcome = net.send(bpdu, "sw1.4", "1500 ms")
    assert (outcome.deliveries, outcome.drops) == ((), ())
    assert net.network.counters.consumed == 2 * 3 * 2 + 1


def test_beacons_of_another_host_reach_vms_like_any_broadcast() -> None:
    lab = one_host(1)
    lab.host("esx2").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"]).portgroup(
        "Prod", vlan=10, teaming={"failure_detection": "beacon"}
    )
    lab.data["fabric"] = {}
    lab.physical_switch("sw1", count=3)
    for number, uplink in enumerate(("esx1.vmnic0", "esx2.vmnic0", "esx2.vmnic1"), 1):
        lab.cable(uplink, f"sw1.{number}")
    fates = lab.start().run("1 s")
    assert Counter(fate.port for fate in fates if fate.dropped is None) == {"a": 2, "b": 2}


# -- VMs


def test_one_vnic_moves_to_another_port_group() -> None:
    lab = Lab()
    switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"])
    switch.portgroup("Prod", vlan=10)
    switch.portgroup("Other", vlan=11)
    lab.vm("router", vnics={"eth0": {"network": "Prod"}, "eth1": {"network": "Prod"}})
    net = lab.start()
    net.at("1 s", move("router.eth1", portgroup="Other"))
    net.run("2 s")
    assert [net.wiring.port(f"router.eth{i}").portgroup for i in (0, 1)] == ["Prod", "Other"]
    with pytest.raises(LookupError, match=r'"vmnic0" is no VM, and no vNIC'):
        net.at("3 s", move("vmnic0", portgroup="Other"))
    with pytest.raises(LookupError, match="there is no port"):
        net.at("3 s", move("nobody", portgroup="Other"))


def ports_of(net: Net, at: str, destination: str, source: str = OUTSIDE) -> tuple[str, ...]:
    return tuple(sorted(net.send(ethernet(destination, source), at).ports))


@pytest.mark.parametrize("engine", ENGINES)
def test_power(engine: Engine) -> None:
    net = one_host().start(engine)
    assert ports_of(net, "a", B, A) == ("b",)
    net.at("1 s", power_off("b"))
    net.run("2 s")
    assert ports_of(net, "a", B, A) == ("sw1.3",)  # unknown now: out by the uplink
    (drop,) = net.send(ethernet(A, B), "b").drops
    assert drop.dropped is not None
    assert (drop.dropped.drop.reason, str(drop.dropped.setting)) == (Reason.DISCONNECTED, "powered_on no from VM b")
    assert ports_of(net, "a", EVERYONE, A) == ("sw1.3",)
    net.at("3 s", power_on("b"))
    net.run("4 s")
    assert ports_of(net, "a", B, A) == ("b",)
    assert ports_of(net, "a", EVERYONE, A) == ("b", "sw1.3")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("answer", "ports"), [("accept", ("a",)), ("reject", ())])
def test_mac(engine: Engine, answer: str, ports: tuple[str, ...]) -> None:
    net = one_host(1, mac_changes=answer, forged_transmits="reject").start(engine)
    assert ports_of(net, "sw1.2", A) == ("a",)
    net.at("1 s", set_mac("a", NEW))
    net.run("2 s")
    assert ports_of(net, "sw1.2", NEW) == ports
    assert ports_of(net, "sw1.2", A) == ()
    assert ports_of(net, "a", OUTSIDE, NEW) == ("sw1.2",)
    (drop,) = net.send(ethernet(OUTSIDE, A), "a").drops
    assert drop.dropped is not None
    assert drop.dropped.drop.reason is Reason.FORGED_TRANSMITS  # it is compared with the effective MAC


def two_hosts() -> Lab:
    lab = Lab("8.0")
    sw1 = lab.physical_switch("sw1", count=5)
    sw1.port(5, vlan=10, link="up")
    for number, name in enumerate(("esx1", "esx2")):
        switch = lab.host(name).vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"])
        switch.portgroup("Prod", vlan=10)
        switch.portgroup("Slow", vlan=10, shaping={"average": "1 Mbit/s", "burst": "2 KB"})
        lab.cable(f"{name}.vmnic0", f"sw1.{2 * number + 1}")
        lab.cable(f"{name}.vmnic1", f"sw1.{2 * number + 2}")
    lab.vm("a", host="esx1", network="Prod", mac=A)
    lab.vm("b", host="esx1", network="Prod", mac=B)
    return lab


@pytest.mark.parametrize("engine", ENGINES)
def test_a_vm_goes_to_another_host_and_everybody_finds_it(engine: Engine) -> None:
    net = two_hosts().start(engine)
    assert ports_of(net, "b", A, B) == ("a",)
    net.at("1 s", move("a", host="esx2"))
    net.run("20 s")
    assert ports_of(net, "b", A, B) == ("a",)  # by the fabric now
    assert ports_of(net, "a", B, A) == ("b",)
    assert ports_of(net, "sw1.5", A) == ("a",)
    assert ports_of(net, "sw1.5", EVERYONE) == ("a", "b")
    outcome = net.send(ethernet(A, OUTSIDE), "esx1.vmnic0")
    assert outcome.ports == ()  # it is not there any more


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_sent_meanwhile_reaches_it_here_or_there(engine: Engine) -> None:
    """With notify switches nothing is lost but what was on its way to the old host."""
    net = two_hosts().start(engine)
    net.send(ethernet(OUTSIDE, A), "a")
    stream(net, "sw1.5", ethernet(A, OUTSIDE), [number * MS for number in range(1000, 3000)])
    net.at("2000000500 ns", move("a", host="esx2"))
    fates = net.run("5 s")
    got = arrived(fates, "a")
    assert set(range(1, 2001)) - set(got) <= {1001}
    assert len(got) == len(set(got))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_shaper_that_a_move_brings_and_takes_away(engine: Engine) -> None:
    net = two_hosts().start(engine)
    long = ethernet(B, A) + bytes(940)  # 1000 bytes, 8 ms at 1 Mbit/s

    def takes_ms(start_ms: int) -> list[int]:
        for _ in range(4):
            net.offer(long, "a", start_ms * MS)
        fates = net.run(f"{start_ms + 500} ms")
        return [round(fate.time_ns / MS - start_ms) for fate in fates if fate.port == "b"]

    assert takes_ms(1000) == [0, 0, 0, 0]
    net.at("2 s", move("a", portgroup="Slow"))
    net.run("2900 ms")
    assert takes_ms(3000) == [0, 8, 16, 24]
    net.at("4 s", move("a", portgroup="Prod", host="esx2"))
    net.run("20 s")
    net.send(ethernet(EVERYONE, B), "b")  # else the physical switch does not know it, and floods to both uplinks
    assert takes_ms(21_000) == [0, 0, 0, 0]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_lab_without_a_fabric_fails_over_too(engine: Engine) -> None:
    lab = Lab("8.0")
    lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"]).portgroup("Prod", vlan=10).vm("a", mac=A)
    net = lab.start(engine)
    assert ports_of(net, "a", OUTSIDE, A) == ("vmnic0",)
    net.at("1200 ms", link_down("vmnic0"))
    net.at("3 s", link_up("vmnic0"))
    net.run("1300 ms")
    assert ports_of(net, "a", OUTSIDE, A) == ()
    net.run("1500 ms")
    net.run("1600 ms")
    assert ports_of(net, "a", OUTSIDE, A) == ("vmnic1",)
    net.run("3200 ms")
    assert ports_of(net, "a", OUTSIDE, A) == ("vmnic0",)


def test_a_run_leaves_the_lab_as_it_was() -> None:
    lab = two_hosts()
    for _ in range(2):
        net = lab.start()
        net.at("1 s", move("a", host="esx2"))
        net.at("1 s", power_off("b"))
        net.run("2 s")
        assert np.all(np.array([port.number for port in net.wiring.ports]) == np.arange(len(net.wiring.ports)))
        net.stop()
    assert lab.wiring.port("a").host == "esx1"

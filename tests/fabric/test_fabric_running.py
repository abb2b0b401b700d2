"""Physical switches in a network that runs: ports that BPDU Guard shuts, cables that are cut, entries that age."""

from collections import Counter
from collections.abc import Iterable

import pytest
from one_frame import BPDU, EVERYONE, data, two_hosts

from iochain import Lab
from iochain.chain import Reason
from iochain.engine.network import Engine
from iochain.experiment.actions import cut_cable, link_down, link_up, mend_cable, reopen
from iochain.fabric.ports import PortState
from iochain.frame import Mac
from iochain.net import Net
from iochain.replay import Fate

VM1, VM2 = Mac("00:50:56:00:00:01"), Mac("00:50:56:00:00:02")
each_engine = pytest.mark.parametrize("engine", [Engine.PLAIN, Engine.PATHS])


def guarded(esxi_version: str) -> Lab:
    """A host with two uplinks behind ports with BPDU Guard, a second host without."""
    lab = Lab(esxi_version)
    for number in (1, 2):
        switch = lab.host(f"esx{number}").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"])
        switch.portgroup("Prod", vlan=10).vm(f"vm{number}", mac=f"00:50:56:00:00:0{number}")
    sw1 = lab.physical_switch("sw1", count=4)
    for port, (host, nic) in enumerate([(1, 0), (1, 1), (2, 0), (2, 1)], 1):
        lab.cable(f"esx{host}.vmnic{nic}", f"sw1.{port}")
        sw1.port(port, bpdu_guard=port < 3)
    return lab


def state(net: Net, port: str) -> PortState:
    return net.wiring.fabric.states.get(net.wiring.port(port).number)


def sent(net: Net, raw: bytes, at: str) -> list[Fate]:
    """What becomes of a frame within a millisecond."""
    net.offer(raw, at)
    return net.run(until=net.now_ns + 10**6)


def reaches(net: Net) -> bool:
    """Whether a broadcast of the first VM comes to the other one."""
    return any(fate.port == "vm2" and fate.dropped is None for fate in sent(net, data(EVERYONE, VM1), "vm1"))


def reasons(fates: Iterable[Fate]) -> list[Reason]:
    return [fate.dropped.drop.reason for fate in fates if fate.dropped]


@each_engine
def test_bpdu_guard_takes_one_uplink_after_the_other(engine: Engine) -> None:
    net = guarded("7.0").start(engine)
    assert reaches(net)
    first = net.wiring.tables["esx1"].in_use.get("uplinks of esx1.Prod")
    assert first == ("esx1.vmnic0", "esx1.vmnic1")
    for shut in (1, 2):
        net.run(until=f"{shut} s")
        assert reasons(sent(net, data(BPDU[0], VM1, rest=BPDU[1]), "vm1")) == [Reason.BPDU_GUARD]
        ports = {f"sw1.{number}": state(net, f"sw1.{number}") for number in (1, 2)}
        assert list(ports.values()).count(PortState.ERR_DISABLED) == shut
        assert not reaches(net)  # frames still go to the dead NIC, until the host looks
        net.run(until=f"{shut}.6 s")
        assert reaches(net) == (shut == 1)
    assert net.wiring.tables["esx1"].in_use.get("uplinks of esx1.Prod") == ()
    net.at("3 s", reopen("sw1.1"))
    net.run(until="4 s")
    assert state(net, "sw1.1") is PortState.FORWARDING
    assert reaches(net)


@each_engine
def test_esxi_8_keeps_the_bpdu_in_the_host(engine: Engine) -> None:
    net = guarded("8.0").start(engine)
    assert reasons(sent(net, data(BPDU[0], VM1, rest=BPDU[1]), "vm1")) == [Reason.GUEST_BPDU]
    assert state(net, "sw1.1") is PortState.FORWARDING


def test_what_cannot_be_opened() -> None:
    net = guarded("8.0").start()
    with pytest.raises(ValueError, match=r"sw1\.1 is not err-disabled"):
        net.live.do(reopen("sw1.1"))
    with pytest.raises(LookupError, match="there is no port"):
        net.at("1 s", reopen("sw1.x"))
    with pytest.raises(LookupError, match=r'"vm1" is no port of a physical switch'):
        net.at("1 s", reopen("vm1"))


@each_engine
def test_a_frame_behind_the_bpdu_finds_the_port_shut(engine: Engine) -> None:
    """Both in one window: what was shut is shut for the very next frame."""
    net = guarded("7.0").start(engine)
    for number in range(50):
        net.offer(data(EVERYONE, VM1), "vm1", 1000 + number)
    net.offer(data(BPDU[0], VM1, rest=BPDU[1]), "vm1", 1020)
    fates = net.run(until="1 ms")
    came = sum(fate.port == "vm2" for fate in fates if fate.dropped is None)
    found = Counter(reasons(fates))
    assert came == 21  # 1000 to 1020: what was offered first is first at one moment
    assert found[Reason.BPDU_GUARD] == 1
    assert found[Reason.ERR_DISABLED] + found[Reason.CABLE_CUT] + found[Reason.LINK_DOWN] == 50 - came


def ring() -> Lab:
    lab = Lab()
    for number in (1, 2, 3):
        prod = lab.host(f"esx{number}").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod", vlan=10)
        prod.vm(f"vm{number}", mac=f"00:50:56:00:00:0{number}")
        lab.physical_switch(f"sw{number}", count=3)
        lab.cable(f"esx{number}.vmnic0", f"sw{number}.1")
        lab.cable(f"sw{number}.2", f"sw{number % 3 + 1}.3", name=f"ring{number}")
    return lab


@each_engine
def test_a_ring_goes_on_the_other_way_round(engine: Engine) -> None:
    net = ring().start(engine)
    assert net.send(data(EVERYONE, VM1), "vm1").ports == ("vm2", "vm3")
    assert net.send(data(VM1, VM2), "vm2").ports == ("vm1",)
    net.at("1 s", cut_cable("ring1"))
    net.at("2 s", mend_cable("ring1"))
    net.run(until="1.5 s")
    assert net.wiring.blocked.entries() == {}
    outcome = net.send(data(VM1, VM2), "vm2")
    assert outcome.ports == ("vm1",)  # forgotten, so flooded; and there by way of sw3
    assert "sw3" in str(outcome.explanation)
    net.run(until="2.5 s")
    assert [net.wiring.ports[number].name for number in net.wiring.blocked.entries()] == ["sw3.3"]
    net.send(data(EVERYONE, VM2), "vm2")
    assert "sw3" not in str(net.send(data(VM2, VM1), "vm1").explanation)


@each_engine
def test_a_port_whose_link_is_lost(engine: Engine) -> None:
    net = two_hosts().start(engine)
    net.at("1 s", link_down("sw1.2"))
    net.at("2 s", link_up("sw1.2"))
    assert reaches(net)
    net.run(until="1.2 s")
    assert state(net, "sw1.2") is PortState.NO_LINK
    assert not net.wiring.tables["esx2"].up.get(net.wiring.port("esx2.vmnic0").number)
    assert not reaches(net)
    net.run(until="3 s")
    assert reaches(net)

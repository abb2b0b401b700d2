"""Notify frames: their bytes, when they are sent, by which uplink, and when none is."""

from typing import Any

import pytest
from hosts_alone import Alone, alone, one_host
from scapy.layers.l2 import ARP, Ether

from iochain import Lab
from iochain.experiment.notify import rarp
from iochain.frame import Mac

A = "00:50:56:00:00:01"
TIMES = [0, 786, 1786, 2786, 4786, 7786]


def times(net: Alone, since: float = 0) -> list[float]:
    return [sent.ms - since for sent in net.sent]


def test_t6_bytes() -> None:
    """Vector T-6: the frame for 00:50:56:00:00:01."""
    told = "ffffffffffff 005056000001 8035 0001 0800 06 04 0003 005056000001 00000000 005056000001 00000000"
    assert rarp(Mac(A)) == bytes.fromhex(told) + bytes(18)


def test_scapy_understands_the_frame() -> None:
    packet = Ether(rarp(Mac("00:50:56:9a:1b:2c")))
    assert (packet.type, packet[Ether].src, packet[Ether].dst) == (0x8035, "00:50:56:9a:1b:2c", "ff:ff:ff:ff:ff:ff")
    request = ARP(bytes(packet[Ether].payload))
    assert (request.op, request.hwsrc, request.hwdst, request.psrc) == (3, packet.src, packet.src, "0.0.0.0")


def test_t6_times_after_a_failover() -> None:
    """Vector T-6: six frames (5 to 8 are said, KB 343401) for each MAC whose uplink failed, by the other uplink."""
    net = alone(one_host())  # a sends by vmnic0, b by vmnic1
    net.until(600)
    net.lose("vmnic0")
    net.until(60_000)
    assert times(net, 1000) == TIMES
    assert {(sent.port, sent.data, sent.tag) for sent in net.sent} == {("vmnic1", rarp(Mac(A)), 10)}


def test_failback_is_told_too() -> None:
    net = alone(one_host())
    net.lose("vmnic0")
    net.until(500)
    net.regain("vmnic0")
    net.until(20_000)
    assert [(sent.ms, sent.port) for sent in net.sent][:3] == [(0, "vmnic1"), (600, "vmnic0"), (1386, "vmnic0")]
    assert len(net.sent) == 1 + len(TIMES)  # the first burst has ended where the second began


@pytest.mark.parametrize(
    ("teaming", "settings"),
    [({"notify_switches": False}, {}), ({}, {"Net.NotifySwitch": 0}), ({"load_balancing": "none"}, {})],
)
def test_none_if_it_is_off(teaming: dict[str, Any], settings: dict[str, int]) -> None:
    net = alone(one_host(settings=settings, **teaming))
    net.lose("vmnic0")
    net.until(60_000)
    assert net.sent == []


def test_none_where_the_channel_lost_a_member() -> None:
    """The ports of a channel are one to the physical switch: it has nothing to learn."""
    net = alone(one_host(load_balancing="iphash"))
    net.lose("vmnic0")
    net.until(60_000)
    assert net.sent == []


def test_a_vm_that_is_powered_on() -> None:
    lab = one_host()
    lab.data["vms"]["a"]["powered_on"] = False
    net = alone(lab)
    net.until(5)
    net.hosts.machines.power_on("a")
    net.until(60_000)
    assert times(net, 5) == TIMES


def test_without_a_frame_at_enablement() -> None:
    net = alone(one_host(settings={"Net.NetSendRARPOnPortEnablement": 0}))
    net.hosts.machines.power_off("a")
    net.hosts.machines.power_on("a")
    net.until(60_000)
    assert times(net) == TIMES[1:]


@pytest.mark.parametrize(("seconds", "count"), [(60, 6), (5, 5), (0, 1)])
def test_the_duration_ends_a_burst(seconds: int, count: int) -> None:
    net = alone(one_host(settings={"Net.AdvertisementDuration": seconds}))
    net.hosts.machines.set_mac("a", A)  # which it has already
    net.lose("vmnic0")
    net.until(60_000)
    assert times(net) == TIMES[:count]


def test_schedule_is_an_option() -> None:
    lab = one_host()
    lab.data["options"] = {"rarp_ms": [10, 20]}
    net = alone(lab)
    net.lose("vmnic0")
    net.until(60_000)
    assert times(net) == [10, 20]


def test_not_more_at_once_than_the_limit() -> None:
    lab = Lab("8.0", options={"rarp_ms": [0], "rarp_batch_ms": 7})
    host = lab.host("esx1", settings={"Net.NetMaxRarpsPerInterval": 2})
    prod = host.vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"]).portgroup("Prod", teaming={"active": ["vmnic0"]})
    lab.host("esx1").data["vswitches"]["vSwitch0"]["portgroups"]["Prod"]["teaming"]["standby"] = ["vmnic1"]
    prod.vm("many", count=5)
    net = alone(lab)
    net.lose("vmnic0")
    net.until(60_000)
    assert times(net) == [0, 0, 7, 7, 14]
    assert {sent.tag for sent in net.sent} == {None}
    assert len({sent.data for sent in net.sent}) == 5


def test_vmkernel_adapters_are_told_of_as_well() -> None:
    lab = one_host()
    lab.host("esx1").vmkernel("vmk0", network="Prod", mac="00:50:56:60:00:01")
    net = alone(lab)
    net.lose("vmnic0")
    net.until(1)
    assert rarp(Mac("00:50:56:60:00:01")) in {sent.data for sent in net.sent}


def test_ports_that_kept_their_uplink_are_not_told_of() -> None:
    net = alone(one_host(active=["vmnic0"], standby=["vmnic1"]))
    net.lose("vmnic1")
    net.until(60_000)
    assert net.sent == []

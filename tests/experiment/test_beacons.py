"""Beacon probing: bytes, VLANs, limits, and what is made of beacons that are lost; a wire between uplinks stands in."""

from collections.abc import Callable
from typing import Any

import pytest
from hosts_alone import Alone, alone, one_host

from iochain.experiment.beacons import beacon
from iochain.frame import Mac

SECOND_MS = 1000


def probing(uplinks: int = 3, **keys: Any) -> Alone:
    return alone(one_host(uplinks=uplinks, failure_detection="beacon", **keys))


def run(net: Alone, until_s: int, comes_through: Callable[[str, str], bool]) -> None:
    """Beacons reach the other uplinks one millisecond later, where ``comes_through`` (sender, receiver)."""
    uplinks = [port.name for port in net.wiring.ports if port.uplink]
    for second in range(int(net.ms // SECOND_MS), until_s + 1):
        net.until(second * SECOND_MS)
        sent, net.sent[:] = [one for one in net.sent if one.data[12:14] == b"\x89\x22"], []
        net.until(second * SECOND_MS + 1)
        up = {port: net.hosts.links.of(port).has_link for port in uplinks}
        net.consume(
            [
                (port, one.data, one.tag)
                for one in sent
                for port in uplinks
                if port != one.port and up[port] and up[one.port] and comes_through(one.port, port)
            ]
        )


def everything(sender: str, receiver: str) -> bool:
    return True


def without(*isolated: str) -> Callable[[str, str], bool]:
    return lambda sender, receiver: not {sender, receiver} & set(isolated)


def test_bytes() -> None:
    frame = beacon(Mac("02:00:00:00:00:01"), "vmnic0")
    told = "ffffffffffff 020000000001 8922 020000000001".replace(" ", "") + b"vmnic0".hex()
    assert frame == bytes.fromhex(told).ljust(60, b"\0")
    assert len(beacon(Mac(1), "n" * 100)) == 60


def test_one_a_second_from_each_uplink_of_the_team() -> None:
    net = probing(4, active=["vmnic0", "vmnic1"], standby=["vmnic2"], unused=["vmnic3"])
    net.until(2500)
    assert [(one.ms, one.port, one.tag) for one in net.sent] == [
        (second * 1000, f"vmnic{number}", 10) for second in range(3) for number in range(3)
    ]


def test_nothing_happens_without_beacon_probing() -> None:
    net = alone(one_host(uplinks=3))
    assert (net.agenda.next_ns, net.consumers) == (None, [])


def test_without_cables_link_status_decides() -> None:
    """What leaves the lab at its uplinks never comes back; that is no failure."""
    lab = one_host(uplinks=2, failure_detection="beacon")
    lab.data["fabric"] = {}
    net = alone(lab)
    assert net.agenda.next_ns is None
    net.lose("vmnic0")
    net.until(10_000)
    assert (net.used(), net.everywhere()) == (("vmnic1",), ())


def test_all_is_well() -> None:
    net = probing()
    run(net, 20, everything)
    assert (net.history, net.everywhere()) == ([], ())


@pytest.mark.parametrize("missed", [1, 3, 5])
def test_an_isolated_uplink_fails_after_so_many_missed_beacons(missed: int) -> None:
    lab = one_host(uplinks=3, failure_detection="beacon")
    lab.data["options"] = {"beacons_missed": missed}
    net = alone(lab)
    run(net, 5, everything)
    run(net, 20, without("vmnic1"))
    assert net.history == [((5 + 1 + missed) * 1000, "uplinks of Prod", ("vmnic0", "vmnic2"))]


def test_it_is_used_again_when_beacons_come_through() -> None:
    net = probing()
    run(net, 20, without("vmnic1"))
    run(net, 25, everything)
    assert [(ms, used) for ms, _, used in net.history] == [
        (3000, ("vmnic0", "vmnic2")),
        (22_000, ("vmnic0", "vmnic1", "vmnic2")),
    ]


def test_half_a_link_is_none() -> None:
    """vmnic1 hears, but is not heard."""
    net = probing()
    run(net, 10, lambda sender, receiver: sender != "vmnic1")
    assert net.used() == ("vmnic0", "vmnic2")


def test_a_standby_takes_the_place() -> None:
    net = probing(active=["vmnic0", "vmnic1"], standby=["vmnic2"])
    run(net, 10, without("vmnic0"))
    assert net.used() == ("vmnic2", "vmnic1")


def test_two_uplinks_are_ambiguous() -> None:
    """S24: every frame goes out by both, until they hear each other again."""
    net = probing(2)
    run(net, 10, without("vmnic1"))
    assert net.everywhere() == ("vmnic0", "vmnic1")
    run(net, 20, everything)
    assert net.everywhere() == ()
    assert net.used() == ("vmnic0", "vmnic1")


def test_nobody_hears_anybody() -> None:
    net = probing(3)
    run(net, 10, lambda sender, receiver: False)
    assert net.everywhere() == ("vmnic0", "vmnic1", "vmnic2")


def test_the_ambiguity_can_be_ignored() -> None:
    net = probing(2, settings={"Net.TeamingIgnoreShotgun": 1})
    run(net, 10, without("vmnic1"))
    assert (net.everywhere(), net.used()) == ((), ("vmnic0", "vmnic1"))


def test_one_link_alone_is_sound() -> None:
    net = probing(2)
    net.lose("vmnic1")
    run(net, 10, everything)
    assert (net.everywhere(), net.used()) == ((), ("vmnic0",))


def test_a_link_that_comes_back_is_given_time() -> None:
    net = probing(3)
    net.lose("vmnic1")
    run(net, 10, everything)
    net.regain("vmnic1")
    run(net, 11, without("vmnic1"))
    assert net.used() == ("vmnic0", "vmnic1", "vmnic2")
    run(net, 20, without("vmnic1"))
    assert net.used() == ("vmnic0", "vmnic2")


def test_turns_take_longer() -> None:
    """With two NICs one observer found twice the time, as they send by turns."""
    lab = one_host(uplinks=2, failure_detection="beacon")
    lab.data["options"] = {"beacon_alternate": True}
    net = alone(lab)
    net.until(3500)
    assert [one.port for one in net.sent] == ["vmnic0", "vmnic1", "vmnic0", "vmnic1"]
    run(net, 5, everything)
    run(net, 6, without("vmnic1"))
    assert net.everywhere() == ()
    run(net, 12, without("vmnic1"))
    assert net.everywhere() == ("vmnic0", "vmnic1")


def test_each_vlan_by_itself() -> None:
    """A VLAN that is not allowed on one trunk fails for its port group only."""
    lab = one_host(uplinks=3, failure_detection="beacon")
    switch = lab.host("esx1").vswitch("vSwitch0")
    switch.portgroup("Other", vlan=20, teaming={"failure_detection": "beacon"})
    switch.portgroup("Simple", vlan=30)
    switch.portgroup("Guests", vlan=4095, teaming={"failure_detection": "beacon"})
    net = alone(lab)
    net.until(500)
    assert {one.tag for one in net.sent} == {10, 20}
    for second in range(1, 10):
        net.until(second * SECOND_MS)
        sent, net.sent[:] = list(net.sent), []
        uplinks = ["vmnic0", "vmnic1", "vmnic2"]
        net.consume(
            [
                (port, one.data, one.tag)
                for one in sent
                for port in uplinks
                if port != one.port and not (one.tag == 20 and "vmnic2" in (port, one.port))
            ]
        )
    assert net.used("Prod") == ("vmnic0", "vmnic1", "vmnic2")
    assert net.used("Other") == ("vmnic0", "vmnic1")


def test_limits() -> None:
    lab = one_host(uplinks=2, settings={"Net.MaxBeaconVlans": 3, "Net.MaxBeaconsAtOnce": 4}, failure_detection="beacon")
    switch = lab.host("esx1").vswitch("vSwitch0")
    for vlan in (20, 30, 40, 50):
        switch.portgroup(f"V{vlan}", vlan=vlan, teaming={"failure_detection": "beacon"})
    net = alone(lab)
    net.until(10)
    assert [(one.ms, one.tag) for one in net.sent] == [(0, 10), (0, 10), (0, 20), (0, 20), (1, 30), (1, 30)]
    net.until(10_000)
    assert net.everywhere("V30") == ("vmnic0", "vmnic1")
    assert net.everywhere("V40") == ()  # not probed: link status only

"""The slow network against known answers: T-6, T-7 and the last row of T-12 of the reference, a ring, a cut cable."""

import pytest
from slow_model import Group, Policies
from slow_network import MS, SECOND, Bridge, Cable, Guest, Host, Jack, Site, SlowNetwork, Team, Vswitch

A, OUTSIDE, EVERYBODY = (bytes.fromhex(mac) for mac in ("005056000001", "0200000000fe", "f" * 12))
NICS = ("vmnic9", "vmnic0", "vmnic1")
T6 = "ffffffffffff 005056000001 8035 0001 0800 06 04 0003 005056000001 00000000 005056000001 00000000"


def site(policies: Policies, failback: bool = True, vlan: int = 10, uplinks: int = 2) -> Site:
    """VM a on a host with uplinks that lead out of the lab."""
    nics = NICS[:uplinks]
    team = Team(Group("Prod", vlan, policies), failback)
    host = Host("esx1", (Vswitch("vSwitch0", nics, (team,)),))
    return Site("8.0", (host,), (Guest("a", "esx1", "Prod", A, A),), (), (), dict.fromkeys(nics, 10**10))


@pytest.mark.parametrize(
    ("failback", "used"),
    [(True, ["vmnic9", "vmnic0", "vmnic9", "vmnic9"]), (False, ["vmnic9", "vmnic0", "vmnic0", "vmnic9"])],
)
def test_t7_failover_order(failback: bool, used: list[str]) -> None:
    network = SlowNetwork(site(Policies(load_balancing="explicit"), failback))
    found = list(network.used["esx1", "Prod"])
    for event, port in ((network.link_down, "vmnic9"), (network.link_up, "vmnic9"), (network.link_down, "vmnic0")):
        event(port)
        network.run(network.now + SECOND)
        found += network.used["esx1", "Prod"]
    assert found == used


def test_t7_a_standby_takes_the_place_of_a_failed_uplink() -> None:
    network = SlowNetwork(site(Policies(active=("vmnic9", "vmnic0"), standby=("vmnic1",)), uplinks=3))
    network.link_down("vmnic9")
    network.run(SECOND)
    assert network.used["esx1", "Prod"] == ["vmnic1", "vmnic0"]


@pytest.mark.parametrize("vlan", [0, 10])
def test_t6_and_t12_a_failover_is_seen_at_the_next_poll_and_told(vlan: int) -> None:
    network = SlowNetwork(site(Policies(), vlan=vlan))
    (home,) = [port for port in NICS[:2] if port == network._ways(network.machines["a"])[0]]
    (other,) = {*NICS[:2]} - {home}
    network.at(600 * MS, lambda: network.link_down(home))
    told = network.run(20 * SECOND)
    bits = (8 + 60 + 4 + 4 * bool(vlan)) * 8
    assert [fate.time_ns - -(-bits // 10) for fate in told] == [
        SECOND + after * MS for after in (0, 786, 1786, 2786, 4786, 7786)
    ]
    tag = b"\x81\x00\x00\x0a" if vlan else b""
    frame = bytes.fromhex(T6) + bytes(18)
    assert {(fate.port, fate.data) for fate in told} == {(other, frame[:12] + tag + frame[12:])}


def ring() -> Site:
    """Three switches in a circle, each with an outside port; sw2 is the root."""
    bridges = tuple(
        Bridge(f"sw{n}", (Jack(f"sw{n}.1"), Jack(f"sw{n}.2"), Jack(f"sw{n}.3", vlan=10, is_open=True)), priority)
        for n, priority in ((1, 32_768), (2, 4096), (3, 32_768))
    )
    cables = tuple(Cable(f"{a}{b}", f"sw{a}.1", f"sw{b}.2", 100) for a, b in ((1, 2), (2, 3), (3, 1)))
    rates = {f"sw{n}.{port}": 10**10 for n in (1, 2, 3) for port in (1, 2, 3)}
    return Site("8.0", (), (), bridges, cables, rates)


def test_a_ring_is_broken_far_from_the_root_and_closes_when_a_cable_is_cut() -> None:
    network = SlowNetwork(ring())
    assert network.blocked() == {"sw3.1"}  # sw1 and sw3 are as far, and sw3 has the higher name
    frame = EVERYBODY + OUTSIDE + b"\x88\xb5" + bytes(46)
    network.offer(0, "sw1.3", frame)
    assert [(fate.port, fate.reason) for fate in network.run(SECOND)] == [
        ("sw3.1", "BLOCKED"),
        ("sw2.3", ""),
        ("sw3.3", ""),
    ]
    network.cut_cable("12")
    assert network.blocked() == set()
    assert network.learned == {"sw1": {(10, OUTSIDE): "sw1.3"}, "sw2": {}, "sw3": {}}
    network.offer(SECOND, "sw1.3", EVERYBODY + A + frame[12:])
    assert [fate.port for fate in network.run(2 * SECOND)] == ["sw3.3", "sw2.3"]
    assert network.learned["sw2"] == {(10, A): "sw2.1"}


def test_what_is_on_a_cable_is_lost_with_it() -> None:
    network = SlowNetwork(ring())
    network.offer(0, "sw1.3", EVERYBODY + OUTSIDE + b"\x88\xb5" + bytes(46))
    network.at(150, lambda: network.cut_cable("12", "sw2.2"))
    assert [(fate.time_ns, fate.port, fate.reason) for fate in network.run(140)] == []
    assert ("sw1.1", "CABLE_CUT", 150) in [(fate.port, fate.reason, fate.time_ns) for fate in network.run(SECOND)]

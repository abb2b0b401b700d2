"""Uplinks over time: when a host sees what happened to a link, and which uplinks its teams use then."""

from typing import Any

import pytest
from hosts_alone import MS, SECOND, Alone, alone, one_host
from hypothesis import given
from hypothesis import strategies as st

from iochain.topology.spec import Duplex
from iochain.vswitch.teaming import first_in_order, in_use, slots, slots_kept

POLL, DELAY = 500, 100


def test_frames_stop_at_once_and_the_host_looks_at_the_next_multiple() -> None:
    net = alone(one_host())
    up = net.wiring.tables["esx1"].up
    vmnic0 = net.wiring.port("vmnic0").number
    net.until(730)
    net.lose("vmnic0")
    assert not up.get(vmnic0)
    net.until(999.999999)
    assert net.used() == ("vmnic0", "vmnic1")
    net.until(1000)
    assert net.history == [(1000, "uplinks of Prod", ("vmnic1",))]
    (decided,) = net.hosts.links.decided
    assert (decided.time_ns, str(decided)) == (SECOND, "uplinks of Prod: vmnic1 (before: vmnic0, vmnic1)")


@pytest.mark.parametrize(
    ("lost", "back", "seen", "used_again"),
    [
        (100, 700, 500, 1000 + DELAY),
        (100, 1000, 500, 1000 + DELAY),  # a change at the moment of a look is seen by that look
        (500, 501, 500, 1000 + DELAY),
        (501, 999, None, None),  # between two looks
    ],
)
def test_a_link_that_is_back_counts_after_the_delay(
    lost: float, back: float, seen: float | None, used_again: float | None
) -> None:
    net = alone(one_host())
    net.until(lost)
    net.lose("vmnic0")
    net.until(back)
    net.regain("vmnic0")
    net.until(5000)
    expected = [] if seen is None else [(seen, ("vmnic1",)), (used_again, ("vmnic0", "vmnic1"))]
    assert [(ms, used) for ms, _, used in net.history] == expected


@pytest.mark.parametrize("version", ["6.0", "9.0"])
def test_poll_and_delay_are_settings(version: str) -> None:
    lab = one_host(version, settings={"Net.LinkStatePollTimeout": 300, "Net.TeamPolicyUpDelay": 0})
    net = alone(lab)
    net.until(301)
    net.lose("vmnic0")
    net.until(601)
    net.regain("vmnic0")
    net.until(5000)
    assert [ms for ms, *_ in net.history] == [600, 900]


def test_a_link_lost_during_the_delay_is_not_used() -> None:
    net = alone(one_host(settings={"Net.TeamPolicyUpDelay": 2000}))
    for ms, happens in ((100, net.lose), (600, net.regain), (1600, net.lose), (3100, net.regain)):
        net.until(ms)
        happens("vmnic0")
    net.until(10_000)
    assert [ms for ms, *_ in net.history] == [500, 3500 + 2000]


def test_causes_add_up() -> None:
    net = alone(one_host())
    up, vmnic0 = net.wiring.tables["esx1"].up, net.wiring.port("vmnic0").number
    net.lose("vmnic0", "link")
    net.lose("vmnic0", "err-disabled")
    net.regain("vmnic0", "link")
    assert not up.get(vmnic0)
    net.regain("vmnic0", "err-disabled")
    assert up.get(vmnic0)


def test_a_link_that_the_lab_says_is_down_can_come_up() -> None:
    net = alone(one_host(nics={"vmnic0": {"link": "down"}}))
    assert net.used() == ("vmnic1",)
    net.regain("vmnic0")
    net.until(DELAY)
    assert net.used() == ("vmnic0", "vmnic1")


def test_what_is_no_uplink_has_no_link() -> None:
    net = alone(one_host())
    with pytest.raises(LookupError, match="a is no uplink of a host"):
        net.lose("a")


# -- T-7: failover order


def order(*uplinks: str, **teaming: Any) -> Alone:
    lab = one_host(load_balancing="explicit", active=list(uplinks), **teaming)
    lab.host("esx1").vswitch("vSwitch0", uplinks=sorted(uplinks))
    lab.data["fabric"] = {}
    return alone(lab)


@pytest.mark.parametrize(
    ("failback", "after"), [(True, ["vmnic0", "vmnic9", "vmnic9"]), (False, ["vmnic0", "vmnic0", "vmnic9"])]
)
def test_failover_order(failback: bool, after: list[str]) -> None:
    """Order vmnic9, vmnic0 (API reference, HostNicTeamingPolicy): vmnic9 down, up again, vmnic0 down."""
    net = order("vmnic9", "vmnic0", failback=failback)
    found = []
    for ms, happens, uplink in ((1000, net.lose, "vmnic9"), (2000, net.regain, "vmnic9"), (3000, net.lose, "vmnic0")):
        net.until(ms)
        happens(uplink)
        net.until(ms + POLL + DELAY)
        (used,) = net.used()
        found.append(used)
    assert found == after


@pytest.mark.parametrize("failback", [True, False])
def test_the_standby_takes_the_slot(failback: bool) -> None:
    net = alone(one_host(uplinks=3, active=["vmnic0", "vmnic1"], standby=["vmnic2"], failback=failback))
    net.lose("vmnic0")
    net.until(1)
    assert net.used() == ("vmnic2", "vmnic1")
    net.regain("vmnic0")
    net.until(1000)
    assert net.used() == (("vmnic0", "vmnic1") if failback else ("vmnic2", "vmnic1"))
    net.lose("vmnic1")
    net.until(2000)
    assert net.used() == (("vmnic0", "vmnic2") if failback else ("vmnic2", "vmnic0"))


def test_an_unused_uplink_is_never_used() -> None:
    net = alone(one_host(uplinks=3, active=["vmnic0"], standby=["vmnic1"], unused=["vmnic2"]))
    net.lose("vmnic0")
    net.lose("vmnic1")
    net.until(1000)
    assert net.used() == ()


UPLINKS = ("a", "b", "c", "d")


@given(st.integers(1, 3), st.lists(st.sets(st.sampled_from(UPLINKS)), min_size=1))
def test_with_failback_places_are_as_in_order_and_without_it_nobody_moves_in_vain(
    active: int, ups: list[set[str]]
) -> None:
    first, rest = UPLINKS[:active], UPLINKS[active:]
    kept: tuple[str | None, ...] = slots(first, rest, set(UPLINKS))
    for up in ups:
        fresh = tuple(name for name in slots(first, rest, up) if name)
        assert fresh == in_use(first, rest, up)
        assert tuple(name for name in slots(first[:1], (*first[1:], *rest), up) if name) == first_in_order(
            first, rest, up
        )
        before, kept = kept, slots_kept(kept, first, rest, up)
        assert len([name for name in kept if name]) == min(active, len(up))  # as many as can be
        assert set(filter(None, kept)) <= up
        assert all(now == was for now, was in zip(kept, before, strict=True) if was in up)


# -- criteria


@pytest.mark.parametrize(
    ("teaming", "used"),
    [
        ({}, ("vmnic0", "vmnic1", "vmnic2")),
        ({"minimum_speed": "10 Gbit/s"}, ("vmnic1", "vmnic2")),
        ({"exact_speed": "10 Gbit/s"}, ("vmnic1",)),
        ({"exact_speed": "40 Gbit/s"}, ("vmnic0", "vmnic1", "vmnic2")),  # none is better: best effort
        ({"full_duplex": True}, ("vmnic1", "vmnic2")),
    ],
)
def test_criteria(teaming: dict[str, Any], used: tuple[str, ...]) -> None:
    nics = {
        "vmnic0": {"speed": "1 Gbit/s", "duplex": "half"},
        "vmnic1": {"speed": "10 Gbit/s"},
        "vmnic2": {"speed": "25 Gbit/s"},
    }
    lab = one_host(uplinks=3, nics=nics, **teaming)
    assert alone(lab).used() == used
    net = alone(lab)
    net.lose("vmnic1")
    net.until(1)
    net.regain("vmnic1")
    net.until(1000)
    assert net.used() == used  # a look makes of it what the lab's start did


def test_a_link_that_comes_up_slower() -> None:
    net = alone(one_host(minimum_speed="10 Gbit/s"))
    number = net.wiring.port("vmnic0").number
    net.hosts.links.negotiate(number, 10**9)
    assert net.used() == ("vmnic1",)
    assert net.wiring.chain("vmnic0", "output")["wire"].stage.rate_bps == 10**9
    assert [port.name for port in net.plugged] == ["vmnic0"]
    net.hosts.links.negotiate(number, 10**10, Duplex.FULL)
    assert net.used() == ("vmnic0", "vmnic1")


# -- flapping


@pytest.mark.parametrize(("threshold", "unstable"), [(3, True), (4, False), (0, False)])
def test_flapping(threshold: int, unstable: bool) -> None:
    settings = {"Net.LinkFlappingThreshold": threshold, "Net.LinkStatePollTimeout": 100, "Net.TeamPolicyUpDelay": 0}
    net = alone(one_host(settings=settings))
    for start in (0, 1000, 2000):  # lost at looks at 0.1, 1.1 and 2.1 s
        net.until(start + 50)
        net.lose("vmnic0")
        net.until(start + 250)
        net.regain("vmnic0")
    net.until(3000)
    assert ("vmnic0" in net.used()) is not unstable
    net.until(60_099)
    assert ("vmnic0" in net.used()) is not unstable
    net.until(60_100)  # the first loss is a minute old
    assert "vmnic0" in net.used()


def test_times_are_whole_nanoseconds_whatever_the_start() -> None:
    net = alone(one_host())
    net.agenda.now_ns = 1_700_000_000 * SECOND + 123_456_789
    net.lose("vmnic0")
    assert net.agenda.next_ns == 1_700_000_000 * SECOND + 500 * MS

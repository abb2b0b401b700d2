"""The spanning tree: which ends block, in networks that are known and in any."""

from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from iochain.topology.spanning import End, Link, blocked_ends, loop

GIGABIT = 10**9


def link(a: str, b: str, rate_gbps: int = 10) -> Link:
    """A link between ports like ``sw1.3``."""
    ends = [End(name.split(".")[0], name, int(name.split(".")[1])) for name in (a, b)]
    return Link(ends[0], ends[1], rate_gbps * GIGABIT)


def blocked(*links: Link, **priorities: int) -> set[str]:
    bridges = {end.switch: 32768 for one in links for end in (one.a, one.b)} | priorities
    return {end.place for end in blocked_ends(bridges, links)}


TRIANGLE = (link("sw1.1", "sw2.1"), link("sw2.2", "sw3.2"), link("sw3.1", "sw1.2"))


@pytest.mark.parametrize(
    ("links", "priorities", "expected"),
    [
        ((), {}, set()),
        ((link("sw1.1", "sw2.1"),), {}, set()),
        (TRIANGLE, {}, {"sw3.2"}),  # sw1 is the root; between sw2 and sw3 the higher name blocks
        (TRIANGLE, {"sw3": 4096}, {"sw2.1"}),
        (TRIANGLE, {"sw2": 0, "sw3": 4096}, {"sw1.2"}),
        ((link("sw1.1", "sw2.1"), link("sw1.2", "sw2.2")), {}, {"sw2.2"}),
        ((link("sw1.1", "sw2.2"), link("sw1.2", "sw2.1")), {}, {"sw2.1"}),  # the root's port decides, not one's own
        ((link("sw1.1", "sw2.1", 1), link("sw1.2", "sw2.2", 10)), {}, {"sw2.1"}),
        # the long way is the cheaper one: 2000 + 2000 against 20000
        ((link("sw1.1", "sw3.1", 1), link("sw1.2", "sw2.1"), link("sw2.2", "sw3.2")), {}, {"sw3.1"}),
        ((link("sw1.1", "sw1.2"),), {}, {"sw1.2"}),
        # two networks that nothing joins have a root each
        ((*TRIANGLE, link("sw8.1", "sw9.1"), link("sw8.2", "sw9.2")), {}, {"sw3.2", "sw9.2"}),
    ],
)
def test_known_networks(links: tuple[Link, ...], priorities: dict[str, int], expected: set[str]) -> None:
    assert blocked(*links, **priorities) == expected


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[Link], dict[str, int]]:
    switches = [f"sw{number}" for number in range(1, draw(st.integers(1, 6)) + 1)]
    free = dict.fromkeys(switches, 0)
    links = []
    for _ in range(draw(st.integers(0, 10))):
        ends = []
        for _ in range(2):
            switch = draw(st.sampled_from(switches))
            free[switch] += 1
            ends.append(f"{switch}.{free[switch]}")
        links.append(link(ends[0], ends[1], draw(st.sampled_from([1, 10, 100]))))
    return links, {switch: 4096 * draw(st.integers(0, 2)) for switch in switches}


@given(networks())
def test_what_is_left_is_a_tree_that_reaches_all_that_was_reached_before(
    network: tuple[list[Link], dict[str, int]],
) -> None:
    links, priorities = network
    ends = blocked_ends(priorities, links)
    before: nx.MultiGraph[str] = nx.MultiGraph()
    after: nx.MultiGraph[str] = nx.MultiGraph()
    for graph, some in ((before, links), (after, [one for one in links if not {one.a, one.b} & ends])):
        graph.add_nodes_from(priorities)
        graph.add_edges_from((one.a.switch, one.b.switch) for one in some)
    event(f"{len(ends)} blocked")
    assert nx.is_forest(after)
    assert [*map(set, nx.connected_components(before))] == [*map(set, nx.connected_components(after))]
    assert len(ends) == len(links) - after.number_of_edges()  # one end of each link that is not in the tree
    assert ends == blocked_ends(priorities, links[::-1])


@given(networks())
def test_a_loop_is_found_where_there_is_one(network: tuple[list[Link], dict[str, int]]) -> None:
    links, priorities = network
    found = loop(links)
    assert bool(found) == bool(blocked_ends(priorities, links))
    for one, following in pairwise([*found, *found[:1]]):
        assert {one.a.switch, one.b.switch} & {following.a.switch, following.b.switch}

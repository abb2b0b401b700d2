"""The spanning tree of the physical switches: which ends of which links are blocked so that no loop is left.

It is computed from the whole network at once, with the rules of IEEE 802.1D (root, path costs, designated ends). The
protocol itself is not modelled: no BPDUs are sent, and a change takes no time.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import networkx as nx
from attrs import frozen

_COST: Final = 20 * 10**12
"""Path cost of 1 bit/s (IEEE 802.1D-2004, table 17-3): 2000 at 10 Gbit/s."""


@frozen(order=True)
class BridgeId:
    """Which switch goes before which: by priority, then by name. (Of real ones it is the MAC, which ours have not.)"""

    priority: int
    name: str


@frozen
class End:
    """One end of a link: a port or a channel of a switch. ``number`` decides between ends that are equal else."""

    switch: str
    place: str
    number: int


@frozen
class Link:
    """A link between two switches; a channel is one link."""

    a: End
    b: End
    rate_bps: int

    @property
    def cost(self) -> int:
        """Its path cost."""
        return max(1, _COST // self.rate_bps)

    def ends_from(self, switch: str) -> tuple[End, End]:
        """The end at a switch, and the other one."""
        return (self.a, self.b) if self.a.switch == switch else (self.b, self.a)


def blocked_ends(bridges: Mapping[str, int], links: Iterable[Link]) -> frozenset[End]:
    """The ends that block: one of each link that is not in the tree. ``bridges``: priorities by name of the switch."""
    graph: nx.MultiGraph[str] = nx.MultiGraph()
    graph.add_nodes_from(bridges)
    known = list(links)
    for link in known:
        if link.a.switch != link.b.switch:
            graph.add_edge(link.a.switch, link.b.switch, link=link, weight=link.cost)
    ids = {name: BridgeId(priority, name) for name, priority in bridges.items()}
    costs: dict[str, int] = {}
    for part in nx.connected_components(graph):
        root = min(part, key=ids.__getitem__)
        costs |= {name: int(cost) for name, cost in nx.single_source_dijkstra_path_length(graph, root).items()}
    roots = {_root_end(name, graph, costs, ids) for name in bridges}
    return frozenset(end for link in known for end in _blocked(link, roots, costs, ids))


def loop(links: Iterable[Link]) -> list[Link]:
    """The links of a loop; empty where there is none."""
    graph: nx.MultiGraph[str] = nx.MultiGraph()
    for link in links:
        if link.a.switch == link.b.switch:
            return [link]
        graph.add_edge(link.a.switch, link.b.switch, link=link)
    try:
        return [graph.edges[edge]["link"] for edge in nx.find_cycle(graph)]
    except nx.NetworkXNoCycle:
        return []


def _root_end(
    switch: str, graph: "nx.MultiGraph[str]", costs: Mapping[str, int], ids: Mapping[str, BridgeId]
) -> End | None:
    """The end of a switch that leads to the root: least cost, lowest neighbour, lowest port there, lowest port here."""
    ways = []
    for _, neighbour, data in graph.edges(switch, data=True):
        link: Link = data["link"]
        near, far = link.ends_from(switch)
        if costs[neighbour] + link.cost == costs[switch]:
            ways.append(((ids[neighbour], far.number, near.number), near))
    return min(ways, key=lambda way: way[0])[1] if ways else None


def _blocked(
    link: Link, roots: "set[End | None]", costs: Mapping[str, int], ids: Mapping[str, BridgeId]
) -> Iterable[End]:
    if link.a in roots or link.b in roots:
        return
    if link.a.switch == link.b.switch:
        yield max(link.a, link.b, key=lambda end: end.number)
    else:
        yield max(link.a, link.b, key=lambda end: (costs[end.switch], ids[end.switch]))

"""Levels: in which order the ports of a lab with cables are run, so that what feeds a port is through before it is.

The directed use of cables has no circle: a virtual switch sends nothing from uplink to uplink, and ports that a
spanning tree blocks pass nothing on. So each output has a level, the largest level of the inputs of its switch that can
reach it; the input at the other end of its cable has the next one, and inputs without a cable have 0.
"""

from collections.abc import Callable, Iterable, Sequence

import networkx as nx
import numpy as np
import numpy.typing as npt
from attrs import frozen

from iochain.chain import Port, PortKind
from iochain.fabric.ports import PortState
from iochain.topology.mistakes import LabError, Mistake
from iochain.topology.wiring import Wiring

Ends = tuple[int, int]
"""The port numbers of the two ends of a cable."""


@frozen(eq=False)
class Levels:
    """The level of each port's input and output, by port number, and how many levels there are."""

    input: npt.NDArray[np.int32]
    output: npt.NDArray[np.int32]
    count: int


def levels_of(
    ports: Sequence[Port],
    cables: Sequence[Ends],
    switch_of: Callable[[Port], str],
    reaches: Callable[[int, int], bool],
) -> Levels:
    """The levels of all ports; ``reaches`` tells of two ports of a physical switch whether one feeds the other.

    LabError if cables form a circle that nothing blocks.
    """
    inputs, outputs = np.zeros(len(ports), np.int32), np.zeros(len(ports), np.int32)
    by_switch: dict[str, list[Port]] = {}
    for port in ports:
        by_switch.setdefault(switch_of(port), []).append(port)
    peers = {end: other for a, b in cables for end, other in ((a, b), (b, a))}
    cabled = {name: [port for port in some if port.number in peers] for name, some in by_switch.items()}
    feeds: nx.DiGraph[int] = nx.DiGraph()  # between outputs that have a cable
    feeds.add_nodes_from(peers)
    for out in peers:
        feeds.add_edges_from((peers[into.number], out) for into in _feeders(ports[out], cabled, switch_of, reaches))
    for out in _in_order(feeds, ports):
        level = int(max((inputs[peers[before]] for before in feeds.predecessors(out)), default=0))
        outputs[out], inputs[peers[out]] = level, level + 1
    for some in by_switch.values():
        _without_cable(some, peers, inputs, outputs)
    return Levels(inputs, outputs, 1 + int(max(inputs.max(initial=0), outputs.max(initial=0))))


def wired_levels(wiring: Wiring) -> Levels:
    """The levels of a wiring as its ports are at this moment. LabError if cables form a circle that nothing blocks."""
    fabric = wiring.fabric
    place = {
        port.number: (switch.name, switch.place(port)) for switch in fabric.switches.values() for port in switch.ports
    }

    def reaches(a: int, b: int) -> bool:
        is_open = fabric.states.get(a) is fabric.states.get(b) is PortState.FORWARDING
        return is_open and place[a] != place[b]

    return levels_of(wiring.ports, [(cable.a, cable.b) for cable in fabric.cables], wiring.switch_name, reaches)


def _feeders(
    out: Port, cabled: dict[str, list[Port]], switch_of: Callable[[Port], str], reaches: Callable[[int, int], bool]
) -> Iterable[Port]:
    """The ports with cables by which frames may have come that go out at a port."""
    if out.kind is not PortKind.PHYSICAL:
        return ()
    others = cabled[switch_of(out)]
    return (port for port in others if port.number != out.number and reaches(port.number, out.number))


def _in_order(feeds: "nx.DiGraph[int]", ports: Sequence[Port]) -> list[int]:
    try:
        return list(nx.topological_sort(feeds))
    except nx.NetworkXUnfeasible:
        circle = " → ".join(ports[out].name for out, _ in nx.find_cycle(feeds))
        message = f"frames would go round and round by {circle}; block a port, or cut a cable"
        raise LabError("lab", [Mistake(None, "fabric", message)]) from None


def _without_cable(
    ports: Sequence[Port], peers: dict[int, int], inputs: npt.NDArray[np.int32], outputs: npt.NDArray[np.int32]
) -> None:
    """Ports without a cable come last on their switch: all its inputs may reach them."""
    last = max((int(inputs[port.number]) for port in ports), default=0)
    for port in ports:
        if port.number not in peers:
            outputs[port.number] = last

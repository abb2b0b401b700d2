"""Chains cut into segments at their batch stages, and like batch stages of one depth put together in banks.

A port's chain of header stages H and batch stages B, ``H0 B0 H1 B1 H2``, is three segments; the last of an input chain
goes on into the switch. Batch stages of one class at one depth of one direction, on whatever port, share a bank.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen

from iochain.batch import Batch, Instant, Rows, source_and_serial
from iochain.chain import Alone, Bank, BatchError, Chain, Drop, Element, Passed, Port, PortKind
from iochain.engine.levels import Levels
from iochain.engine.path import Dropped
from iochain.engine.walk import Bound, Segment, StageError, Walker
from iochain.kernels.rows import NOWHERE
from iochain.topology.mistakes import LabError, Mistake
from iochain.topology.wiring import Wiring


@define(eq=False)
class Depot:
    """A bank with its place: which lane each port has in it, -1 for none, and what its drops are called there."""

    bank: Bank
    lanes: npt.NDArray[np.int32]  # by port number
    ports: tuple[Port, ...]  # by lane
    elements: tuple[Element, ...]  # by lane
    incoming: bool
    works_in_place: bool = field(init=False)  # and leaves rows at ports without a lane alone
    only_delays: bool = field(init=False)  # what comes out are rows that came in, but for their times
    concerns: Callable[[Rows], bool] | None = field(
        init=False
    )  # whether any of these rows does, if the bank can say it

    def __attrs_post_init__(self) -> None:
        self.works_in_place = hasattr(self.bank, "run_among")
        self.only_delays = getattr(self.bank, "only_delays", False)
        self.concerns = getattr(self.bank, "concerns", None)

    @property
    def is_used(self) -> bool:
        """Whether a port still has a lane in it, or a frame waits."""
        return bool(self.bank.held or (self.lanes >= 0).any())

    def run(self, batch: Batch, lanes: npt.NDArray[np.int32], until: Instant) -> Passed:
        """What the bank gives back. StageError if a stage breaks its contract."""
        if Walker.observers and len(batch):
            self._observed(lanes)
        try:
            return self.bank.run(batch, lanes, until)
        except BatchError as fault:
            place = f"stage {self.elements[fault.lane].name!r} at {self.place(fault.lane)}"
            source, serial = source_and_serial(fault.order)
            raise StageError(f"{place} {fault.what} (frame {serial} of source {source})") from fault.__cause__

    def run_among(self, batch: Batch, until: Instant) -> Passed:
        """What the bank gives back of rows at all ports, for a bank that :attr:`works_in_place`."""
        if Walker.observers and len(batch):
            self._observed(self.lanes[batch.column("port")])
        bank: Any = self.bank
        passed: Passed = bank.run_among(batch, self.lanes, until)
        return passed

    def passes(self, batch: Batch, known: dict[Any, bool] | None = None) -> bool:
        """Whether the bank says that it has nothing to do for any of these rows, and holds none.

        Banks that ask the same of rows share the answer, which is in ``known`` while the rows stay the same.
        """
        concerns = self.concerns
        if concerns is None or self.bank.held:
            return False
        known = {} if known is None else known
        if concerns not in known:
            known[concerns] = concerns(batch.rows)
        return not known[concerns]

    def dropped(self, lane: int, drop: Drop) -> Dropped:
        """A drop of this bank at one of its ports."""
        port, element = self.ports[lane], self.elements[lane]
        decided = drop.setting or element.because
        dropped = Dropped(self.place(lane), port.number, self.incoming, element.name, drop, decided)
        for observer in Walker.observers:
            observer.lost(dropped)
        return dropped

    def _observed(self, lanes: npt.NDArray[np.int32]) -> None:
        """Tell which stages got frames."""
        for lane in np.unique(lanes[lanes >= 0]).tolist():
            for observer in Walker.observers:
                observer.ran(self.elements[lane])

    def place(self, lane: int) -> str:
        """Between which nodes a lane's stage stands."""
        return _where(self.ports[lane], self.incoming)


@define(eq=False)
class Junction:
    """The segments that frames of all ports pass at one moment: one look-up decides for all of them, in order."""

    name: str
    segments: list[Segment]  # by port number
    is_empty: bool = False  # no stage of any port that comes here stands here: all frames go on


@frozen(eq=False)
class Half:
    """All input chains of a lab, or all output chains: junctions by depth, and the banks between them."""

    junctions: list[Junction]  # by depth; a port with fewer has its last segment again
    final: Junction  # the last segment of each port
    last: npt.NDArray[np.int32]  # depth of the last segment, by port number
    depots: list[list[Depot]]  # by depth

    @property
    def held(self) -> int:
        """How many frames wait in all banks."""
        held = 0
        for depots in self.depots:
            for depot in depots:
                held += depot.bank.held
        return held

    def can_be_skipped(self, batch: Batch, known: dict[Any, bool]) -> bool:
        """Whether rows may go to the last segments at once: no stage and no bank on the way has to do with them.

        ``known`` is what banks need not ask any more, as for :meth:`Depot.passes`.
        """
        for depth in range(len(self.depots)):
            if not self.junctions[depth].is_empty:
                return False
        for depots in self.depots:
            for depot in depots:
                if not depot.passes(batch, known):
                    return False
        return True

    def replug(self, port: Port, chain: Chain, wiring: Wiring, walker: Walker, incoming: bool) -> None:
        """Give a port another chain. Its batch stages begin afresh; what waits in old ones goes on from there."""
        making = _HalfMaking(wiring, walker, incoming, np.zeros(len(wiring.ports), np.int32))
        making.add(port, chain)
        segments = making.segments[0]
        while len(self.junctions) < len(segments):
            before = self.junctions[-1]
            self.junctions.append(Junction(f"{before.name} and on", list(before.segments), True))
            self.depots.append([])
        for depth, junction in enumerate(self.junctions):
            junction.segments[port.number] = segments[min(depth, len(segments) - 1)]
            junction.is_empty = junction.is_empty and not junction.segments[port.number].elements
        self.final.segments[port.number] = segments[-1]
        self.last[port.number] = len(segments) - 1
        for depth, depots in enumerate(self.depots):
            for depot in depots:
                depot.lanes[port.number] = -1
            depots[:] = [depot for depot in depots if depot.is_used] + making.depots(depth)


@define
class _HalfMaking:
    """``levels`` by port number: ports of different ones share no bank, as they are run one after the other."""

    wiring: Wiring
    walker: Walker
    incoming: bool
    levels: npt.NDArray[np.int32]
    segments: list[tuple[Segment, ...]] = field(factory=list)
    batches: dict[tuple[int, type, int], list[tuple[Port, Element]]] = field(factory=dict)
    bound: dict[tuple[int, ...], tuple[Bound, ...]] = field(factory=dict)  # by the ids of elements, which ports share

    def make(self) -> Half:
        for port in self.wiring.ports:
            self.add(port, self.wiring.chain(port.name, "input" if self.incoming else "output"))
        last = np.array([len(of_port) - 1 for of_port in self.segments], np.int32)
        depth = int(last.max(initial=0))
        side = "input" if self.incoming else "output"
        junctions = [
            Junction(
                f"{side} {level}",
                [of_port[min(level, len(of_port) - 1)] for of_port in self.segments],
                not any(of_port[level].elements for of_port in self.segments if level < len(of_port)),
            )
            for level in range(depth + 1)
        ]
        final = Junction(f"{side}, last", [of_port[-1] for of_port in self.segments])
        return Half(junctions, final, last, [self.depots(level) for level in range(depth)])

    def add(self, port: Port, chain: Chain) -> None:
        runs: list[list[Element]] = [[]]
        for element in chain:
            if element.is_batch:
                key = (len(runs) - 1, type(element.stage), int(self.levels[port.number]))
                self.batches.setdefault(key, []).append((port, element))
                runs.append([])
            else:
                runs[-1].append(element)
        view = self.walker.view(port)
        switch = self.wiring.switch_name(port)
        where = _where(port, self.incoming)
        segments = [Segment(where, port, view, self.incoming, self.bind(run)) for run in runs]
        if self.incoming:
            onward = self.bind(self.wiring.switch_chain(switch))
            segments[-1] = Segment(where, port, view, True, segments[-1].elements, True, True, switch, onward)
        self.segments.append(tuple(segments))

    def bind(self, chain: Iterable[Element]) -> tuple[Bound, ...]:
        """Elements ready to be called; the same ones again for elements that were met before."""
        elements = tuple(chain)
        key = tuple(map(id, elements))
        if key not in self.bound:
            self.bound[key] = self.walker.bind(elements)
        return self.bound[key]

    def depots(self, level: int) -> list[Depot]:
        return [
            _depot(members, len(self.wiring.ports), self.incoming)
            for (depth, _, _), members in sorted(self.batches.items(), key=lambda item: item[1][0][0].number)
            if depth == level
        ]


def halves(wiring: Wiring, walker: Walker, levels: Levels | None = None) -> tuple[Half, Half]:
    """Input and output half of a wiring. LabError if a batch stage stands in a switch or a team."""
    _refuse_misplaced(wiring)
    inputs = outputs = np.zeros(len(wiring.ports), np.int32)
    if levels is not None:
        inputs, outputs = levels.input, levels.output
    return _HalfMaking(wiring, walker, True, inputs).make(), _HalfMaking(wiring, walker, False, outputs).make()


def entry_junction(chain: Chain, walker: Walker) -> Junction:
    """Where frames of captures are told where they enter; they stand at port 0 there.

    The last rule is for all that no other applies to. It stands where other junctions have the switch: what it reads is
    then asked of those frames only.
    """
    port = Port(chain.name, NOWHERE, 0, PortKind.CAPTURE, "", "")
    bound = walker.bind(chain)
    view, last = walker.view(port), bound[-1:]
    return Junction(
        "entry", [Segment(chain.name, port, view, True, bound[:-1], bool(last), True, chain.name if last else "", last)]
    )


def _refuse_misplaced(wiring: Wiring) -> None:
    chains = [wiring.switch_chain(name) for name in wiring.switches()]
    chains += [wiring.team_chain(team.name) for team in wiring.teams()]
    wrong = [
        Mistake(None, chain.name, f"batch stage {element.name!r} stands in a switch; only a port's chain may have one")
        for chain in chains
        for element in chain
        if element.is_batch
    ]
    if wrong:
        raise LabError("lab", wrong)


def _depot(members: list[tuple[Port, Element]], ports: int, incoming: bool) -> Depot:
    lanes = np.full(ports, -1, np.int32)
    for lane, (port, _) in enumerate(members):
        lanes[port.number] = lane
    bank: Any = Alone.of([element.stage for _, element in members])
    return Depot(bank, lanes, tuple(port for port, _ in members), tuple(element for _, element in members), incoming)


def _where(port: Port, incoming: bool) -> str:
    return f"{port.name} → {port.switch}" if incoming else f"{port.switch} → {port.name}"

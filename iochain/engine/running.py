"""A network that changes while it runs: cables between its ports, frames that it makes itself, and control events.

A window is run level by level (:mod:`iochain.engine.levels`): what enters at a level goes through its input chains and
switches, and the outputs that nothing feeds any more are run to their ends; what reaches a cable enters at a later
level. Where the journal finds that frames of different levels were decided in a wrong order the window is cut there,
and run again from the state that it began with. So the size of windows changes nothing but the speed.
"""

import copy
from collections.abc import Hashable, Iterator
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen

from iochain.batch import EMPTY, FOREVER, Batch, Instant, Waiting
from iochain.chain import Alone, Bank, Chain, Port
from iochain.engine.ages import Ages
from iochain.engine.cables import Cables
from iochain.engine.counters import IN, OUT, Counters
from iochain.engine.journal import FLOOD, Journal, Journalled
from iochain.engine.levels import Levels, wired_levels
from iochain.engine.network import Fates, Network, in_order, instant_of, split
from iochain.engine.path import Dropped, Whys
from iochain.engine.remembered import Remembered
from iochain.engine.segments import Depot, Half
from iochain.engine.shortcut import APART, GOES_ON, LOST, UNKNOWN
from iochain.engine.walk import StageError
from iochain.frame import Table
from iochain.kernels.order import first_from
from iochain.kernels.select import count_by, mark_entries

FIRST_SIZE: Final = 256
"""Frames of the first window. Each that is not cut lets the next have twice as many."""
_SMALLEST_SIZE: Final = 16
GROWING: Final = "growing"


@define
class Report:
    """How many windows were run, and what ended them: for each cause, how often."""

    windows: int = 0
    causes: dict[str, int] = field(factory=dict)
    frames_again: int = 0  # entered frames of windows that were run again

    def ended(self, cause: str) -> None:
        """A window ended for a cause."""
        self.causes[cause] = self.causes.get(cause, 0) + 1

    def __str__(self) -> str:
        many = ", ".join(f"{count} × {cause}" for cause, count in sorted(self.causes.items()))
        return f"{self.windows} windows" + (f" ({many})" if many else "")


@define
class RunningNetwork(Network):
    """A lab that runs, with cables and events. Frames are put in line by :meth:`offer` and :meth:`generate`, too."""

    cables: Cables = field(init=False)
    levels: Levels = field(init=False)
    journal: Journal = field(init=False)
    ages: Ages = field(init=False)
    report: Report = field(factory=Report)
    shut: list[tuple[Instant, Hashable]] = field(factory=list)  # ports that a stage has shut, by number, and when
    _offered: Waiting = field(factory=Waiting)  # frames to enter at inputs
    _made: Waiting = field(factory=Waiting)  # frames to enter at outputs
    _size: int = FIRST_SIZE
    _is_careful: bool = True
    _depots: tuple[list[list[list[Depot]]], list[list[list[Depot]]]] = field(init=False)  # by half, level, depth
    _watched: list[Table[Any, Any]] = field(factory=list)
    _groups_changed: bool = False
    _reaching: list[bool] = field(factory=list)  # by number of path

    def __attrs_post_init__(self) -> None:
        wiring = self.wiring
        self.cables = Cables.of(wiring.fabric.cables, wiring.ports)
        self.one_by_one = False  # the journal finds who shares tables
        self.ages = Ages.of(wiring)
        self.journal = Journal(frozenset([id(wiring.fabric.states)]))
        self.decider.walker.diary = self.journal
        self.decider = Journalled(self.decider, self.journal)
        self.levels_changed()
        for switch in wiring.switches():
            stage = wiring.graph.nodes[switch]["forwarding"]
            values = [getattr(stage, one.name) for one in attrs.fields(type(stage))]
            self._watched += [value for value in values if isinstance(value, Table)]
        for table in self._watched:
            table.watchers.append(self._group_changed)

    @property
    def held(self) -> int:
        """How many frames wait: in batch stages, on cables, and in line."""
        return self.input.held + self.output.held + self.cables.held + len(self._offered) + len(self._made)

    def restore(self) -> None:
        """Undo what stages wrote to tables, and watch none any more."""
        super().restore()
        for table in self._watched:
            table.watchers.remove(self._group_changed)
        self._watched.clear()

    # -- what events do

    def offer(self, batch: Batch) -> None:
        """Put frames in line that enter at their ports when their time comes."""
        self.counters.entered += len(batch)
        self._queue(self._offered, batch)

    def generate(self, batch: Batch, incoming: bool) -> None:
        """Put frames in line that the network itself makes, at the inputs or the outputs of their ports."""
        self.counters.generated += len(batch)
        if not incoming:
            batch.rows["entry"] = -1
        self._queue(self._offered if incoming else self._made, batch)

    def cut(self, sender: int, now_ns: int) -> None:
        """What a port sends on its cable is lost from now on, and what is on the cable of it."""
        self.cables.is_cut[sender] = True
        lost = self.cables.lose(sender)
        if len(lost):
            lost.rows["time_ns"] = now_ns
            self._lose_on_cable(lost, sender)

    def mend(self, sender: int) -> None:
        """What a port sends on its cable reaches the other end again."""
        self.cables.is_cut[sender] = False

    def replug(self, port: Port, input_chain: Chain, output_chain: Chain) -> None:
        """A port has other attributes, other chains, perhaps another switch; what was decided is forgotten."""
        walker = self.decider.walker
        self.input.replug(port, input_chain, self.wiring, walker, incoming=True)
        self.output.replug(port, output_chain, self.wiring, walker, incoming=False)
        inner = self.decider.inner if isinstance(self.decider, Journalled) else self.decider
        if isinstance(inner, Remembered):
            inner.statistics.forgotten += inner.keys
        self.decider.let_go()
        self._forget_ways()
        self.levels_changed()
        self._groups_changed = True
        if self.requests is not None:
            self.requests.look_again()

    def levels_changed(self) -> None:
        """Find the levels of all ports anew: the state of a physical port has changed."""
        self.levels = wired_levels(self.wiring)
        self.cables.sort_by(self.levels.input, self.levels.count)
        halves: tuple[tuple[Half, npt.NDArray[np.int32]], ...] = (
            (self.input, self.levels.input),
            (self.output, self.levels.output),
        )
        inputs, outputs = ([_at_level(*half, level) for level in range(self.levels.count)] for half in halves)
        self._depots = (inputs, outputs)

    def settle(self) -> None:
        """Events have changed tables: take up what groups are now."""
        if self._groups_changed:
            self.decider.paths.refresh()
            self._forget_ways()
            self._groups_changed = False

    # -- windows

    @property
    def _recognises_on_the_way(self) -> bool:
        """Never: a window may be run again, and frames are looked at once."""
        return False

    def windows(self, batch: Batch, until: Instant = FOREVER, entering: bool = False) -> Iterator[Fates]:
        """Windows up to ``until``, as large as it goes; see :meth:`Network.windows`."""
        rest = self.enter(batch) if entering else batch
        end = Instant(0)
        while end != until:
            end = until if len(rest) <= self._size else instant_of(rest, self._size, until)
            fates = self._window(rest, end)
            end = fates.until
            rest = rest[int(first_from(rest.rows, *end)) :]
            yield fates
            if self.shut:
                raise StageError("a port was shut, and nobody did what follows from it: run the lab with its events")

    def _window(self, rest: Batch, end: Instant) -> Fates:
        """One window of the first frames, shorter than wished for where it has to be cut."""
        before = Snapshot.of(self)
        count = int(first_from(rest.rows, *end))
        if count >= self._size:
            self.report.ended(GROWING)
            self._size *= 2
        while True:
            self.journal.begin(end, self._is_careful)
            fates = self._run_levels(rest[:count], end)
            if fates is not None:
                break
            self.journal.back()
            before.back(self)
            assert self.journal.cut is not None
            self._is_careful = True
            self.report.ended(self.journal.cut.cause)
            self.report.frames_again += count
            end = self.journal.cut.at
            count = int(first_from(rest.rows, *end))
            self._size = max(2 * count, _SMALLEST_SIZE)
        self._is_careful = self.journal.wrote
        if not self.journal.wrote:
            for way in self.ways:
                way.is_off = False
        self.journal.end()
        self.report.windows += 1
        self.shut += self.journal.stopped
        return fates

    def _run_levels(self, batch: Batch, until: Instant) -> Fates | None:
        """All levels of a window; None where it has to be cut."""
        self.counters.entered += len(batch)
        first = in_order([batch, self._offered.release(EMPTY, until) if len(self._offered) else EMPTY])
        first = first.copy()  # banks may work in place, and the window may be run again
        mark_entries(first.rows, self.is_uplink)
        self.counters.count_ports(first.rows, IN)
        entering, leaving = self._by_level(first, self.levels.input), self._by_level(EMPTY, self.levels.output)
        if len(self._made):
            made = self._through(self._made.release(EMPTY, until), self.output.junctions[0])
            leaving = self._by_level(made, self.levels.output)
        ended: list[Batch] = []
        for level in range(self.levels.count):
            arrived = self.cables.arriving(level, until)
            self.counters.count_ports(arrived.rows, IN)
            rows = self._inward(in_order([*entering[level], arrived]), level, until)
            for later, some in enumerate(self._by_level(self._switched(rows, until), self.levels.output, level)):
                leaving[later] += some
            if self.journal.needs_cut():
                return None
            ended.append(self._outward(in_order(leaving[level]), level, until))
            if self.journal.needs_cut():
                return None
        delivered = in_order(ended)
        self.counters.delivered += len(delivered)
        fates = self._fates(delivered, until)
        self.counters.check(self.held + self._lost.frames)
        return fates

    def _inward(self, batch: Batch, level: int, until: Instant) -> Batch:
        """Through all segments of the input chains of a level but the last ones."""
        ready: list[Batch] = []
        for depth, depots in enumerate(self._depots[0][level]):
            last, batch = split(batch, self.input.last == depth)
            ready.append(last)
            batch = self._stored(self._through(batch, self.input.junctions[depth]), depots, until)
        return in_order([*ready, batch])

    def _switched(self, batch: Batch, until: Instant) -> Batch:
        """Through the switches, and the first segments of the output chains."""
        if not len(batch):
            return batch
        sent = EMPTY
        if self.ways and self.ways[1].is_usable:
            sent, batch = self._sent(batch)
            if not len(batch):
                return sent
        taken = self.decider.decide(batch, self.input.final)
        _, _, end = next(self._pieces(batch, taken, until))
        first = instant_of(batch, 0, until)
        if end == first:  # copies of one frame that came by several ports stay together
            end = instant_of(batch, int(first_from(batch.rows, first.time_ns, first.order + 1)), until)
        if end != until:
            self.journal.cut_at(end, FLOOD)
            return EMPTY
        if self.ages.is_needed:
            self.ages.see(batch.rows, batch.column("tag").copy(), self._reaches_switch()[taken])
        copies = self._through(self._follow(batch, taken), self.output.junctions[0])
        return in_order([sent, copies])

    def _reaches_switch(self) -> npt.NDArray[np.bool_]:
        """By number of path: whether frames that take it came through all of their input chain."""
        known = self.decider.paths.known
        self._reaching += [not path.drops or _is_in_switch(path.drops[0]) for path in known[len(self._reaching) :]]
        return np.array(self._reaching, np.bool_)

    def _is_in_switch(self) -> npt.NDArray[np.bool_]:
        """By number of drop: whether it is one of a switch itself."""
        return np.array([_is_in_switch(dropped) for dropped in self.whys.known], np.bool_)

    def _sent(self, batch: Batch) -> tuple[Batch, Batch]:
        """Rows that one look-up could send past the switches, and those that are to be decided there."""
        is_careful = self.journal.is_careful
        moment = self.journal.sent(batch if is_careful else EMPTY, self.input.final, self.output.junctions[0])
        rows = batch.copy() if is_careful else batch  # ways work in their places
        tags = rows.column("tag").copy()
        sent = self.ways[1].send(rows)
        self._lost.add(sent.lost, sent.whys)
        if self.ages.is_needed:
            reached = sent.kinds == GOES_ON
            reached[sent.kinds == LOST] = self._is_in_switch()[sent.whys]
            self.ages.see(rows.rows, tags, reached)
        if not is_careful:
            self.journal.is_blind = True
        elif sent.kinds.any():
            moment.batch = batch[(sent.kinds != APART) & (sent.kinds != UNKNOWN)]
        return sent.on, in_order([sent.apart, sent.unknown])

    def _outward(self, batch: Batch, level: int, until: Instant) -> Batch:
        """Through the output chains of a level and onto the cables; gives what is delivered."""
        done: list[Batch] = []
        for depth, depots in enumerate(self._depots[1][level]):
            onward = self.output.junctions[depth + 1]
            busy = [depot for depot in depots if not depot.passes(batch)]
            if onward.is_empty and all(depot.works_in_place for depot in busy):
                for depot in reversed(busy):  # the latest first: what waits in the one before goes on past it
                    batch = self._passed(depot, depot.run_among(batch, until))
                continue
            last, batch = split(batch, self.output.last <= depth)
            done.append(last)
            batch = self._through(self._stored(batch, depots, until), onward)
        batch = in_order([*done, batch])
        self.counters.count_ports(batch.rows, OUT)
        carried = self.cables.carry(batch, self.levels.input)
        for sender in np.unique(carried.lost.column("port")).tolist() if len(carried.lost) else ():
            self._lose_on_cable(carried.lost[carried.lost.column("port") == sender], sender)
        return carried.delivered

    def _by_level(self, batch: Batch, levels: npt.NDArray[np.int32], least: int = 0) -> list[list[Batch]]:
        """Rows by the level of their ports. StageError if one is before ``least``, which is through."""
        found: list[list[Batch]] = [[] for _ in range(self.levels.count)]
        counts = count_by(batch.rows, levels, self.levels.count)
        for level in range(least, self.levels.count):
            if counts[level]:
                is_all = counts[level] == len(batch)
                here, batch = (batch, EMPTY) if is_all else split(batch, levels == level)
                found[level].append(here)
        if len(batch):
            port = self.wiring.ports[int(batch.rows["port"][0])]
            what = f"sent a frame that came in by a cable out again by {port.name}, which has one too"
            raise StageError(f"{self.wiring.switch_name(port)}: its stages {what}; that is for physical switches")
        return found

    def _lose_on_cable(self, batch: Batch, sender: int) -> None:
        cable = next(one for one in self.cables.cables if sender in (one.a, one.b))
        receiver = self.wiring.ports[int(self.cables.peer[sender])]
        dropped = self.cables.dropped(self.wiring.ports[sender], receiver, cable.name)
        self._lost.add(batch, np.full(len(batch), self.whys.number(dropped), np.int32))
        for order, listener in self.decider.listeners.items():
            if (batch.column("order") == order).any():
                listener.lost(dropped)

    def _forget_ways(self) -> None:
        for way in self.ways:
            way.forget()

    def _group_changed(self, table: Table[Any, Any], key: Any) -> None:
        self._groups_changed = True

    def _queue(self, line: Waiting, batch: Batch) -> None:
        line.release(batch, Instant(0))


def _is_in_switch(dropped: Dropped) -> bool:
    return " → " not in dropped.where


def _at_level(half: Half, levels: npt.NDArray[np.int32], level: int) -> list[list[Depot]]:
    """The banks of a level, by depth; those of ports that are gone too, while they hold something."""
    return [
        [one for one in depots if level in {int(levels[port.number]) for port in one.ports}] for depots in half.depots
    ]


@frozen(eq=False)
class Snapshot:
    """What a window changes besides tables, as it was before."""

    counters: Counters
    banks: list[tuple[Depot, Bank]]
    waiting: list[tuple[Waiting, Batch]]
    lost: tuple[list[Batch], list[npt.NDArray[np.int32]]]
    heard: list[tuple[Any, int]]
    ages: tuple[npt.NDArray[np.int64], int]

    @classmethod
    def of(cls, network: RunningNetwork) -> "Snapshot":
        """The state of a network between windows."""
        halves = (network.input, network.output)
        depots = [depot for half in halves for depth in half.depots for depot in depth]
        lines = [*network.cables.on_way, network._offered, network._made]
        lost = network._lost
        return cls(
            _copied(network.counters),
            [(depot, _copied_bank(depot.bank)) for depot in depots],
            [(line, copy.deepcopy(line.batch)) for line in lines],
            (list(lost.batches), list(lost.whys)),
            [(listener, listener.mark()) for listener in network.decider.listeners.values()],
            (network.ages.table.copy(), network.ages.count),
        )

    def back(self, network: RunningNetwork) -> None:
        """Give the network this state again; the snapshot stays good."""
        counters = network.counters
        for one in attrs.fields(Counters):
            if one.name not in ("whys", "ports"):
                setattr(counters, one.name, getattr(self.counters, one.name))
        counters.ports[:] = self.counters.ports
        counters._by_why = self.counters._by_why.copy()
        for depot, bank in self.banks:
            depot.bank = _copied_bank(bank)
        for line, batch in self.waiting:
            line.batch = copy.deepcopy(batch)
        network._lost.batches, network._lost.whys = list(self.lost[0]), list(self.lost[1])
        for listener, mark in self.heard:
            listener.back_to(mark)
        network.ages.table, network.ages.count = self.ages[0].copy(), self.ages[1]


def _copied_bank(bank: Bank) -> Bank:
    """A bank with a state of its own; users' stages are the same, as others may know them."""
    if not isinstance(bank, Alone):
        return copy.deepcopy(bank)
    copied = copy.copy(bank)
    for one in attrs.fields(Alone):
        if one.name != "stages":
            setattr(copied, one.name, copy.deepcopy(getattr(bank, one.name)))
    return copied


def _copied(counters: Counters) -> Counters:
    whys: Whys = counters.whys
    same = {one.name.lstrip("_"): getattr(counters, one.name) for one in attrs.fields(Counters) if one.name != "whys"}
    return Counters(
        whys=whys, **{name: value.copy() if hasattr(value, "copy") else value for name, value in same.items()}
    )

"""A network: a lab that runs. Frames go in at ports, in windows of virtual time; deliveries and drops come out.

In a window all input chains are run depth by depth, then the switches, then all output chains. What a batch stage
holds past the window's end waits there, so neither the size of windows nor of pieces changes what comes out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen

from iochain.batch import EMPTY, FOREVER, Batch, Instant, joined
from iochain.chain import Chain, Drop, Reason
from iochain.engine.counters import IN, OUT, Counters
from iochain.engine.path import Dropped, Path, Spread
from iochain.engine.plain import Decider, Plain
from iochain.engine.segments import Depot, Half, entry_segment, halves
from iochain.engine.walk import Listener, Segment, Walker
from iochain.kernels.order import order_of_rows, sorted_rows
from iochain.kernels.rows import NOWHERE
from iochain.topology.wiring import Wiring


@frozen(eq=False)
class Fates:
    """What a window brought: delivered copies, each at its ``port``, and drops with ``why``, an index in ``whys``.

    Both stand in the order of everything.
    """

    delivered: Batch
    dropped: Batch
    why: npt.NDArray[np.int32]
    whys: Sequence[Dropped]


@define
class Network:
    """A running lab: its state is in tables, banks and counters."""

    wiring: Wiring
    input: Half
    output: Half
    decider: Decider
    counters: Counters
    entry: Segment | None = None
    entries: dict[tuple[str, int], int] = field(factory=dict)  # frames that entered, by rule and port number
    whys: list[Dropped] = field(factory=list)
    why_numbers: dict[Dropped, int] = field(factory=dict)
    _delivered: list[Batch] = field(factory=list)
    _dropped: list[tuple[Batch, npt.NDArray[np.int32]]] = field(factory=list)

    @classmethod
    def of(cls, wiring: Wiring, entry: Chain | None = None) -> "Network":
        """A lab at its start, under the plain engine; ``entry`` tells frames of captures where they enter.

        LabError if a batch stage stands where none can.
        """
        walker = Walker.of(wiring)
        segment = None if entry is None else entry_segment(entry, walker)
        return cls(wiring, *halves(wiring, walker), Plain(walker), Counters.of(len(wiring.ports)), segment)

    def listen(self, order: int, listener: Listener) -> None:
        """Have a listener hear each step of the frame with this order number."""
        assert isinstance(self.decider, Plain)
        self.decider.listeners[order] = listener

    def enter(self, batch: Batch) -> Batch:
        """Frames of captures, each with the port at which the entry chain has it enter; counted by rule.

        Frames that can enter nowhere are among the next window's drops.
        """
        assert self.entry is not None
        rows = batch.rows
        rows["port"] = 0
        taken = self.decider.decide(batch, [self.entry])
        paths = self.decider.paths.known
        self.decider.paths.tagged(rows, taken)
        for number in _met(taken):
            spread = paths[number].spread
            port = NOWHERE if spread is None else spread.ports[0]
            rows["port"][taken == number] = port
            key = (paths[number].stage, port)
            self.entries[key] = self.entries.get(key, 0) + int(np.count_nonzero(taken == number))
        lost = rows["port"] == NOWHERE
        self.counters.entered += int(lost.sum())
        self._drop_by_path(batch[lost], taken[lost], paths)
        return batch[~lost]

    def run(self, batch: Batch, until: Instant = FOREVER) -> Fates:
        """Run the window up to ``until``: frames in order, each with its ``port``, at which it enters.

        Frames must come before ``until``, and not before the end of the window before. StageError if a stage breaks
        its contract, ConservationError if the sum of frames does not hold.
        """
        rows = batch.rows
        rows["entry"] = rows["port"]
        self.counters.entered += len(rows)
        self.counters.count_ports(rows, IN)
        self._deliver(self._output(self._switched(self._input(batch, until)), until))
        fates = self._fates()
        self.counters.check(self.held)
        return fates

    @property
    def held(self) -> int:
        """How many frames wait in batch stages."""
        return self.input.held + self.output.held

    def _input(self, batch: Batch, until: Instant) -> Batch:
        """Through all segments of the input chains but the last ones, which go on into the switch."""
        ready: list[Batch] = []
        for depth, depots in enumerate(self.input.depots):
            is_last = self.input.last[batch.column("port")] == depth
            ready.append(batch[is_last])
            batch = self._stored(self._through(batch[~is_last], self.input, depth), depots, until)
        return _in_order([*ready, batch])

    def _switched(self, batch: Batch) -> Batch:
        """Through the last segments of the input chains, and the switches: copies at their output ports."""
        segments = [of_port[-1] for of_port in self.input.segments]
        taken = self.decider.decide(batch, segments)
        paths = self.decider.paths.known
        rows = batch.rows.copy()
        self.decider.paths.tagged(rows, taken)
        batch = Batch(rows, batch.pins)
        self._drop_by_path(batch, taken, paths)
        copies = [_copied(batch, taken, number, self._ports(paths[number])) for number in _met(taken)]
        for number in _met(taken):
            self._count_copies(batch, taken, number, paths[number])
        return _in_order(copies)

    def _output(self, batch: Batch, until: Instant) -> Batch:
        """Through the output chains."""
        done: list[Batch] = []
        deepest = len(self.output.depots)
        for depth in range(deepest + 1):
            batch = self._through(batch, self.output, depth)
            if depth == deepest:
                done.append(batch)
                break
            is_last = self.output.last[batch.column("port")] == depth
            done.append(batch[is_last])
            batch = self._stored(batch[~is_last], self.output.depots[depth], until)
        return _in_order(done)

    def _through(self, batch: Batch, half: Half, depth: int) -> Batch:
        """Through the header stages of one depth; gives the frames that go on."""
        if not len(batch):
            return batch
        segments = [of_port[min(depth, len(of_port) - 1)] for of_port in half.segments]
        taken = self.decider.decide(batch, segments)
        paths = self.decider.paths.known
        rows = batch.rows.copy()
        self.decider.paths.tagged(rows, taken)
        batch = Batch(rows, batch.pins)
        self._drop_by_path(batch, taken, paths)
        return batch[np.array([path.goes_on for path in paths], bool)[taken]]

    def _stored(self, batch: Batch, depots: Sequence[Depot], until: Instant) -> Batch:
        """Through the banks between two depths: what comes out before the window's end."""
        out: list[Batch] = []
        for depot in depots:
            lanes = depot.lanes[batch.column("port")]
            here = lanes >= 0
            passed = depot.bank.run(batch[here], lanes[here], until)
            out.append(passed.batch)
            self.counters.split += passed.split
            self.counters.merged += passed.merged
            self._drop_in_bank(depot, passed.dropped, passed.why, passed.drops)
        return _in_order(out)

    def _deliver(self, batch: Batch) -> None:
        self.counters.delivered += len(batch)
        self.counters.count_ports(batch.rows, OUT)
        self._delivered.append(batch)

    # -- copies

    def _ports(self, path: Path) -> tuple[int, ...]:
        """The output ports of a path, each once, its group expanded."""
        if path.spread is None:
            return ()
        return self._members(path.spread)

    def _members(self, spread: Spread) -> tuple[int, ...]:
        if spread.group is None:
            return spread.ports
        names = self.wiring.forwarding(spread.switch).group(spread.group)
        numbers = {self.wiring.numbers[name] for name in names} | set(spread.ports)
        return tuple(sorted(numbers - {spread.except_}))

    def _count_copies(self, batch: Batch, taken: npt.NDArray[np.int32], number: int, path: Path) -> None:
        """Copies beyond the frame itself; a spread without any port is a drop."""
        if path.spread is None:
            return
        count = int(np.count_nonzero(taken == number))
        ends = len(self._ports(path)) + len(path.drops)
        if ends == 0:
            self._nowhere(batch[taken == number], path)
        else:
            self.counters.copied += count * (ends - 1)

    def _nowhere(self, batch: Batch, path: Path) -> None:
        for entry in np.unique(batch.column("entry")).tolist():
            port = self.wiring.ports[entry]
            switch = self.wiring.switch_name(port)
            why = Dropped(switch, entry, True, path.stage, Drop(Reason.NO_PORT), None)
            self._drop(batch[batch.column("entry") == entry], why)

    # -- drops

    def _drop_by_path(self, batch: Batch, taken: npt.NDArray[np.int32], paths: Sequence[Path]) -> None:
        for number in _met(taken):
            for dropped in paths[number].drops:
                self._drop(batch[taken == number], dropped)
            extra = len(paths[number].drops) - 1
            if paths[number].spread is None and extra > 0:
                self.counters.copied += extra * int(np.count_nonzero(taken == number))

    def _drop_in_bank(self, depot: Depot, batch: Batch, why: npt.NDArray[np.int32], drops: tuple[Drop, ...]) -> None:
        lanes = depot.lanes[batch.column("port")] if len(batch) else why
        for lane, kind in sorted(set(zip(lanes.tolist(), why.tolist(), strict=True))):
            self._drop(batch[(lanes == lane) & (why == kind)], depot.dropped(lane, drops[kind]))

    def _drop(self, batch: Batch, dropped: Dropped) -> None:
        number = self.why_numbers.setdefault(dropped, len(self.whys))
        if number == len(self.whys):
            self.whys.append(dropped)
        rows = batch.rows.copy()
        rows["port"] = dropped.port
        self._dropped.append((Batch(rows, batch.pins), np.full(len(rows), number, np.int32)))

    def _fates(self) -> Fates:
        """Hand out what the window brought."""
        delivered = _in_order(self._delivered)
        dropped = joined(batch for batch, _ in self._dropped)
        why = np.concatenate([np.zeros(0, np.int32), *(numbers for _, numbers in self._dropped)])
        self._delivered, self._dropped = [], []
        if len(dropped):
            order = order_of_rows(dropped.rows)
            dropped, why = dropped[order], why[order]
            self.counters.count_drops(dropped.rows, self.whys, why)
        return Fates(delivered, dropped, why, self.whys)


def _met(taken: npt.NDArray[np.int32]) -> list[int]:
    """The numbers of the paths that were taken."""
    found: list[int] = np.unique(taken).tolist()
    return found


def _copied(batch: Batch, taken: npt.NDArray[np.int32], number: int, ports: tuple[int, ...]) -> Batch:
    """The frames of one path, a copy at each of its ports."""
    frames = batch[taken == number]
    if not ports:
        return EMPTY
    rows: Any = np.repeat(frames.rows, len(ports))
    rows["port"] = np.tile(np.array(ports, np.int32), len(frames))
    return Batch(rows, frames.pins)


def _in_order(batches: Sequence[Batch]) -> Batch:
    """Several batches as one, in the order of everything."""
    batch = joined(batches)
    return Batch(sorted_rows(batch.rows), batch.pins)

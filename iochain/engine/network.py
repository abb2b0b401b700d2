"""A network: a lab that runs. Frames go in at ports, in windows of virtual time; deliveries and drops come out.

In a window all input chains are run depth by depth, then the switches, then all output chains. What a batch stage
holds past the window's end waits there, so neither the size of windows nor of pieces changes what comes out.
"""

import os
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen

from iochain.batch import EMPTY, FOREVER, Batch, Instant, joined, joined_pins
from iochain.chain import Chain, Consumed, Drop, Passed
from iochain.engine.counters import IN, OUT, Counters
from iochain.engine.floods import WORTH_IT, Floods
from iochain.engine.following import count_taken, follow, lead, tag_in_place
from iochain.engine.levels import wired_levels
from iochain.engine.look import Look
from iochain.engine.path import Dropped, Paths, Whys
from iochain.engine.plain import Decider, Plain
from iochain.engine.remembered import WALKED_FIRST, Remembered
from iochain.engine.requests import Found, Requests
from iochain.engine.segments import Depot, Half, Junction, entry_junction, halves
from iochain.engine.sharing import shares_tables
from iochain.engine.walk import Listener, Walker
from iochain.engine.ways import Ways
from iochain.kernels.order import first_from, merged_rows, order_of_rows, sorted_rows
from iochain.kernels.rows import NOWHERE
from iochain.kernels.select import mark_entries, split_by_port
from iochain.topology.wiring import Wiring


class Engine(Enum):
    """How it is decided where frames go: each walks through the stages, or only the first of those that are alike.

    AUTO is PATHS that begins to remember when there are enough frames for it to pay. All give the same results.
    """

    PLAIN = "plain"
    PATHS = "paths"
    AUTO = "auto"


def default_engine() -> Engine:
    """The engine of those who do not say one: IOCHAIN_ENGINE of the environment, else AUTO.

    LookupError if the environment names an engine that there is not.
    """
    name = os.environ.get("IOCHAIN_ENGINE", Engine.AUTO.value)
    known = [engine.value for engine in Engine]
    if name not in known:
        raise LookupError(f'IOCHAIN_ENGINE in the environment is "{name}"; engines are {", ".join(known)}')
    return Engine(name)


LARGEST_FLOOD: Final = 1 << 18
"""Copies that are made before a window is cut, and run again in two."""
FLOOD_PIECE: Final = 1 << 15
"""Where nothing needs to be run again floods are expanded in pieces of about this many rows, which stay in a cache."""


_KEPT_BYTES: Final = 1 << 23
"""More than the rows of a piece. Once memory of this size was freed, glibc keeps what is freed of less (mallopt(3),
M_MMAP_THRESHOLD): fetching the pages of rows anew for each piece took eight times what copying a flood's rows does."""


@frozen(eq=False)
class Fates:
    """What a window brought: delivered copies, each at its ``port``, and drops with ``why``, an index in ``whys``.

    Both stand in the order of everything; so do frames that a switch took for itself (``consumed``).
    """

    delivered: Batch
    dropped: Batch
    why: npt.NDArray[np.int32]
    whys: Sequence[Dropped]
    until: Instant = FOREVER  # end of the window
    consumed: Batch = EMPTY


_NO_WHYS: Final = np.zeros(0, np.int32)


@define
class _Lost:
    """Drops of a window, as they are found."""

    batches: list[Batch] = field(factory=list)
    whys: list[npt.NDArray[np.int32]] = field(factory=list)

    @property
    def frames(self) -> int:
        return sum(map(len, self.batches))

    def add(self, batch: Batch, why: npt.NDArray[np.int32]) -> None:
        if len(batch):
            self.batches.append(batch)
            self.whys.append(why)


@define
class Network:
    """A running lab: its state is in tables, banks and counters."""

    wiring: Wiring
    input: Half
    output: Half
    decider: Decider
    whys: Whys
    counters: Counters
    is_uplink: npt.NDArray[np.bool_]  # by port number
    one_by_one: bool  # users' stages share a table between junctions: each frame is a window of its own
    entry: Junction | None = None
    requests: Requests | None = None
    ways: tuple[Ways, ...] = ()  # from the entry of captures on, and from the switch on; past idle batch stages too
    floods: Floods | None = None  # from the switch on
    _entries: dict[tuple[str, int], int] = field(factory=dict)
    _lost: _Lost = field(factory=_Lost)

    @classmethod
    def of(cls, wiring: Wiring, entry: Chain | None = None, engine: Engine | None = None) -> "Network":
        """A lab at its start; ``entry`` tells frames of captures where they enter.

        LabError if a batch stage stands where none can.
        """
        np.empty(_KEPT_BYTES, np.uint8)
        walker, whys = Walker.of(wiring), Whys()
        junction = None if entry is None else entry_junction(entry, walker)
        chosen = engine or default_engine()
        paths = Paths(whys, wiring.members)
        decider: Decider = Plain(walker, paths)
        if chosen is not Engine.PLAIN:
            decider = Remembered(walker, paths, walked_first=WALKED_FIRST if chosen is Engine.AUTO else 0)
        counters = Counters.of(len(wiring.ports), whys)
        both = halves(wiring, walker, wired_levels(wiring))
        is_uplink = np.array([port.uplink for port in wiring.ports], np.bool_)
        network = cls(
            wiring, *both, decider, whys, counters, is_uplink, shares_tables(*both), junction, Requests.of(wiring)
        )
        if isinstance(decider, Remembered):
            network.floods = Floods(decider, network.output.junctions[0])
            network.ways = tuple(
                Ways(decider, begin, network.input, network.output.junctions[0], is_uplink, counters, skips)
                for begin, skips in ((junction, False), (None, False), (junction, True), (None, True))
            )
        return network

    def listen(self, order: int, listener: Listener) -> None:
        """Have a listener hear each step of the frame with this order number."""
        self.decider.listeners[order] = listener

    def restore(self) -> None:
        """Undo what stages wrote to tables, which may be others' too: a run leaves a lab as it found it."""
        self.decider.walker.restore()
        self.decider.let_go()

    @property
    def entries(self) -> dict[tuple[str, int], int]:
        """Frames that entered, by rule and port number (NOWHERE: they could not)."""
        counts = dict(self._entries)
        for ways in self.ways:
            self._add_entries(ways.entered, counts)
        return counts

    @property
    def held(self) -> int:
        """How many frames wait in batch stages."""
        return self.input.held + self.output.held

    def enter(self, batch: Batch) -> Batch:
        """Frames of captures, each with the port at which the entry chain has it enter; counted by rule.

        Frames that can enter nowhere are among the next window's drops.
        """
        assert self.entry is not None
        batch.rows["port"] = 0
        taken = self.decider.decide(batch, self.entry)
        columns = self.decider.paths.columns()
        if self._add_entries(count_taken(taken, len(self.decider.paths.known)), self._entries) == 0:
            lead(batch.rows, taken, columns.tags, columns.first_port, columns.ports)
            return batch
        followed = follow(batch, taken, columns)
        self.counters.entered += len(followed.dropped)
        self._lost.add(_at(followed.dropped, NOWHERE), followed.why)
        return followed.batch

    def recognise(self, batch: Batch, entering: bool) -> tuple[Batch, bool]:
        """Note in frames what they ask of adapters, before they set out; gives them, and whether they still enter.

        Where it matters at which port a frame enters, they do so now.
        """
        if self.requests is None:
            return batch, entering
        if entering and not self.requests.is_uniform:
            batch, entering = self.enter(batch), False
        if entering:
            batch.rows["port"] = 0  # one is like the other
        if self.requests.mark(batch.rows) is Found.LARGE:
            batch, entering = (self.enter(batch) if entering else batch), False
            self.requests.count(batch.rows)
        return batch, entering

    def captured(self, batch: Batch, until: Instant = FOREVER) -> Iterator[Fates]:
        """Run the next window of frames of captures: what they ask of adapters is noted, and they enter.

        Where nobody asks for anything this is one pass over the rows with their first look-up.
        """
        if self._recognises_on_the_way:
            return self._pieces_of_window(batch, until, True, self.requests)
        batch, entering = self.recognise(batch, True)
        return self.windows(batch, until, entering)

    @property
    def _recognises_on_the_way(self) -> bool:
        """Whether frames may be looked at as they enter: it is all one at which port they do."""
        requests = self.requests
        if requests is None or not requests.is_uniform or self.one_by_one or not self.ways:
            return False
        for way in self.ways:
            if way.is_off:
                return False
        return requests.is_current and self.ways[0].is_usable

    def run(self, batch: Batch, until: Instant = FOREVER) -> Fates:
        """Run the window up to ``until``: frames in order, each with its ``port``, at which it enters.

        Frames must come before ``until``, and not before the end of the window before. StageError if a stage breaks
        its contract, ConservationError if the sum of frames does not hold.
        """
        batch, _ = self.recognise(batch, entering=False)
        windows = list(self.windows(batch, until))
        if len(windows) == 1:
            return windows[0]
        return Fates(
            joined(window.delivered for window in windows),
            joined(window.dropped for window in windows),
            np.concatenate([window.why for window in windows]),
            self.whys.known,
            until,
            joined(window.consumed for window in windows),
        )

    def windows(self, batch: Batch, until: Instant = FOREVER, entering: bool = False) -> Iterator[Fates]:
        """The same in pieces: where frames are copied to very many ports the window is cut, to bound the memory.

        Frames that are still ``entering`` get their ports as by :meth:`enter`, often at less cost.
        """
        return self._pieces_of_window(batch, until, entering, None)

    def _pieces_of_window(
        self, batch: Batch, until: Instant, entering: bool, requests: Requests | None
    ) -> Iterator[Fates]:
        if self.one_by_one and len(batch) > 1:
            batch = self.enter(batch) if entering else batch
            for index in range(len(batch)):
                yield from self.windows(batch[index : index + 1], instant_of(batch, index + 1, until))
            return
        look = None if requests is None else Look(requests, self.input)
        sent, batch = self._to_switch(batch, until, entering, look)
        if not len(batch.rows):
            yield self._delivered(sent, until, {} if look is None else look.known)
            return
        taken = self.decider.decide(batch, self.input.final)
        for first, end, piece_until in self._pieces(batch, taken, until, FLOOD_PIECE):
            due = len(sent) if piece_until == until else int(first_from(sent.rows, *piece_until))
            copies = self._onward(self._follow(batch[first:end], taken[first:end]), end - first)
            yield self._delivered(merged([sent[:due], copies]), piece_until, {}, is_last=piece_until == until)
            sent = sent[due:]

    def _delivered(self, batch: Batch, until: Instant, known: dict[Any, bool], is_last: bool = True) -> Fates:
        """What a window, or a piece of it, brings: its rows stand before the first batch stages of output chains.

        ``known`` is what banks need not ask of the rows any more, as for :meth:`Depot.passes`.
        """
        delivered = self._output(batch, until, known)
        self.counters.delivered += len(delivered.rows)
        self.counters.count_ports(delivered.rows, OUT)
        fates = self._fates(delivered, until)
        if is_last:
            self.counters.check(self.held + self._lost.frames)
        return fates

    # -- the halves

    def _to_switch(self, batch: Batch, until: Instant, entering: bool, look: Look | None) -> tuple[Batch, Batch]:
        """Through the input chains; gives rows that are past the switch already, and rows to be decided there.

        With a ``look`` rows have not been looked at for what they ask of adapters.
        """
        skips = self.input.can_be_skipped(batch, {} if look is None else dict(look.known))
        from_entry, from_switch = self._way(2 * skips), self._way(2 * skips + 1)
        sent: list[Batch] = []
        apart: list[Batch] = []
        waiting = begins = EMPTY  # before the first batch stages of their chains; before all of these chains
        if entering and from_entry is not None:
            if look is None:
                first = from_entry.send(batch)
            else:
                look.skips = skips
                first = from_entry.send(batch, look.requests.mtu, look.halts)
            self.counters.entered += len(batch.rows) - len(first.unknown.rows)
            if len(first.on.rows) == len(batch.rows) and (skips or not self.input.held):
                return batch, EMPTY
            sent.append(first.on)
            waiting, batch = first.waiting, first.unknown
            begins, others = (EMPTY, first.apart) if skips else split(first.apart, self.input.last > 0)
            apart.append(others)
            self._lost.add(first.lost, first.whys)
        if len(batch):
            batch = self.enter(batch) if entering else batch
            if look is not None and look.found is not Found.NOTHING:
                look.requests.count(batch.rows)
                skips = skips and self.input.can_be_skipped(batch, {})
            mark_entries(batch.rows, self.is_uplink)
            self.counters.entered += len(batch)
            self.counters.count_ports(batch.rows, IN)
        batch = merged([batch, begins])
        batch = batch if skips else self._input(batch, waiting, until, None if look is None else look.known)
        if from_switch is not None and len(batch):
            second = from_switch.send(batch)
            sent.append(second.on)
            apart += [second.apart, second.unknown]
            self._lost.add(second.lost, second.whys)
        else:
            apart.append(batch)
        return merged(sent), merged(apart)

    def _way(self, number: int) -> Ways | None:
        """One of the ways, if rows may be sent by it."""
        way = self.ways[number] if self.ways else None
        return way if way is not None and way.is_usable else None

    def _input(self, batch: Batch, waiting: Batch, until: Instant, known: dict[Any, bool] | None) -> Batch:
        """Through all segments of the input chains but the last ones, which go on into the switch.

        Rows ``waiting`` stand before the first batch stage of their chain already.
        """
        if not len(batch) and not len(waiting) and not self.input.held:
            return EMPTY
        ready: list[Batch] = []
        for depth, depots in enumerate(self.input.depots):
            junction = self.input.junctions[depth]
            if not junction.is_empty:
                last, batch = split(batch, self.input.last <= depth)
                ready.append(last)
                batch = self._through(batch, junction)
            batch = self._stored(merged([batch, waiting]), depots, until, known)
            waiting = EMPTY
        return merged([*ready, batch])

    def _output(self, batch: Batch, until: Instant, known: dict[Any, bool]) -> Batch:
        """Through the output chains, from their first batch stages on."""
        done: list[Batch] = []
        for depth, depots in enumerate(self.output.depots):
            busy = [depot for depot in depots if not depot.passes(batch, known)]
            onward = self.output.junctions[depth + 1]
            if not onward.is_empty:
                last, batch = split(batch, self.output.last <= depth)
                done.append(last)
            if busy:
                batch = self._stored(batch, busy, until, known)
            if not onward.is_empty:
                batch = self._through(batch, onward)
        return merged([*done, batch]) if done else batch

    def _pieces(
        self, batch: Batch, taken: npt.NDArray[np.int32], until: Instant, most: int | None = None
    ) -> Iterator[tuple[int, int, Instant]]:
        """Ranges of frames with at most so many copies (LARGEST_FLOOD), or one frame, and up to when each goes."""
        most = LARGEST_FLOOD if most is None else most
        fan_out = self.decider.paths.columns().fan_out
        if int(fan_out.max(initial=0)) * len(taken) <= most:
            yield 0, len(batch), until
            return
        copies = np.cumsum(fan_out[taken])
        first = 0
        while first < len(batch):
            before = int(copies[first - 1]) if first else 0
            end = max(first + 1, int(np.searchsorted(copies, before + most, side="right")))
            yield first, end, instant_of(batch, end, until)
            first = end

    def _through(self, batch: Batch, junction: Junction) -> Batch:
        """Through the header stages of one depth; gives the frames that go on."""
        if not len(batch) or junction.is_empty:
            return batch
        return self._follow(batch, self.decider.decide(batch, junction))

    def _onward(self, copies: Batch, frames: int) -> Batch:
        """Through the first segments of the output chains: copies of so many frames, in rows that nobody else has."""
        junction, floods = self.output.junctions[0], self.floods
        if not len(copies) or junction.is_empty:
            return copies
        if floods is not None and len(copies) >= WORTH_IT * frames and floods.is_usable:
            taken = floods.decide(copies)
        else:
            taken = self.decider.decide(copies, junction)
        return copies if tag_in_place(copies, taken, self.decider.paths.columns()) else self._follow(copies, taken)

    def _follow(self, batch: Batch, taken: npt.NDArray[np.int32]) -> Batch:
        """Tag, copy and drop frames by their paths; gives what is not dropped."""
        if not len(batch):
            return batch
        followed = follow(batch, taken, self.decider.paths.columns())
        self.counters.copied += len(followed.batch) + len(followed.dropped) - len(batch)
        self._lost.add(followed.dropped, followed.why)
        return followed.batch

    def _stored(
        self, batch: Batch, depots: Sequence[Depot], until: Instant, known: dict[Any, bool] | None = None
    ) -> Batch:
        """Through the banks between two depths: what comes out before the window's end. Rows at other ports just pass.

        The latest bank first: what waits in one that a port had before goes on past the one that it has now. What is
        ``known`` of the rows is forgotten where they may have become others.
        """
        known = {} if known is None else known
        out: list[Batch] = []
        for depot in reversed(depots):
            if depot.works_in_place:
                if depot.bank.held or not depot.only_delays:
                    known.clear()
                batch = self._passed(depot, depot.run_among(batch, until))
                continue
            here, batch = split(batch, depot.lanes >= 0)
            if not len(here) and not depot.bank.held:
                continue
            known.clear()
            passed = depot.run(here, depot.lanes[here.column("port")], until)
            if passed.split and self.decider.listeners:
                self._tell_cuts(depot, here, passed.batch)
            out.append(self._passed(depot, passed))
        return merged([batch, in_order(out)]) if out else batch

    def _tell_cuts(self, depot: Depot, before: Batch, after: Batch) -> None:
        """Have listeners hear of frames, or copies at one port, that a bank made several of."""
        for order, listener in self.decider.listeners.items():
            own = before.rows[before.column("order") == order]
            for port in np.unique(own["port"]).tolist():
                pieces = int(((after.column("order") == order) & (after.column("port") == port)).sum())
                if pieces > int((own["port"] == port).sum()):
                    lane = int(depot.lanes[port])
                    listener.cut(depot.place(lane), depot.elements[lane].name, pieces)

    def _passed(self, depot: Depot, passed: Passed) -> Batch:
        """Count what a bank did; gives what came out."""
        self.counters.split += passed.split
        self.counters.merged += passed.merged
        if len(passed.dropped.rows):
            self._drop_in_bank(depot, passed.dropped, passed.why, passed.drops)
        return passed.batch

    # -- what is counted

    def _add_entries(self, counts: npt.NDArray[np.int64], entries: dict[tuple[str, int], int]) -> int:
        """Add frames by the path of their entry to counts by its rule and port; gives how many found none."""
        paths, nowhere = self.decider.paths.known, 0
        for number in np.flatnonzero(counts).tolist():
            spread, count = paths[number].spread, int(counts[number])
            key = (paths[number].stage, NOWHERE if spread is None else spread.ports[0])
            entries[key] = entries.get(key, 0) + count
            nowhere += count if spread is None else 0
        return nowhere

    def _drop_in_bank(self, depot: Depot, batch: Batch, why: npt.NDArray[np.int32], drops: tuple[Drop, ...]) -> None:
        lanes = depot.lanes[batch.column("port")]
        kinds, each = np.unique(np.stack([lanes, why]), axis=1, return_inverse=True)
        numbers = [self.whys.number(depot.dropped(lane, drops[kind])) for lane, kind in kinds.T.tolist()]
        numbered = np.array(numbers, np.int32)[each.reshape(-1)]
        self._lost.add(batch, numbered)
        for order, listener in self.decider.listeners.items():
            for i in np.flatnonzero(batch.column("order") == order).tolist():
                listener.lost(self.whys.known[numbered[i]])

    def _fates(self, delivered: Batch, until: Instant) -> Fates:
        """What comes before ``until``: all that was delivered, and the drops; later drops wait."""
        if not self._lost.batches:
            return Fates(delivered, EMPTY, _NO_WHYS, self.whys.known, until)
        dropped = joined(self._lost.batches)
        why = np.concatenate(self._lost.whys)
        self._lost = _Lost()
        if len(dropped):
            ports = np.array([why.port for why in self.whys.known], np.int32)
            dropped.rows["port"] = ports[why]
            order = order_of_rows(dropped.rows)
            dropped, why = dropped.taken(order), why[order]
            due = int(first_from(dropped.rows, until.time_ns, until.order))
            self._lost.add(dropped[due:], why[due:])
            dropped, why = dropped[:due], why[:due]
        consumed, dropped, why = self._consumed(dropped, why)
        self.counters.count_drops(dropped.rows, why)
        return Fates(delivered, dropped, why, self.whys.known, until, consumed)

    def _consumed(self, dropped: Batch, why: npt.NDArray[np.int32]) -> tuple[Batch, Batch, npt.NDArray[np.int32]]:
        """Frames that a switch took for itself, and those that are really dropped."""
        is_consumed = np.array([isinstance(one.drop, Consumed) for one in self.whys.known], np.bool_)
        if not is_consumed.any() or not len(dropped):
            return EMPTY, dropped, why
        taken = is_consumed[why]
        self.counters.consumed += int(taken.sum())
        return dropped[taken], dropped[~taken], why[~taken]


def instant_of(batch: Batch, index: int, until: Instant) -> Instant:
    """When a frame comes; ``until`` behind the last one."""
    if index >= len(batch):
        return until
    row = batch.rows[index]
    return Instant(int(row["time_ns"]), int(row["order"]))


def split(batch: Batch, flags: npt.NDArray[np.bool_]) -> tuple[Batch, Batch]:
    """The frames at ports with their flag set, and the others."""
    if not len(batch):
        return EMPTY, EMPTY
    chosen, others = split_by_port(batch.rows, flags)
    return Batch(chosen, batch.pins), Batch(others, batch.pins)


def _at(batch: Batch, port: int) -> Batch:
    batch.rows["port"] = port
    return batch


def in_order(batches: Sequence[Batch]) -> Batch:
    """Several batches, each in order or nearly, as one in the order of everything."""
    return merged([Batch(sorted_rows(batch.rows), batch.pins) for batch in batches if len(batch)])


def merged(batches: Sequence[Batch]) -> Batch:
    """Several batches, each in order, as one in the order of everything."""
    whole = EMPTY
    for batch in batches:
        if not len(batch):
            continue
        whole = Batch(merged_rows(whole.rows, batch.rows), joined_pins((whole, batch))) if len(whole) else batch
    return whole

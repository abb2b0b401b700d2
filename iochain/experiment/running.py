"""An experiment: a lab that runs, with its agenda. Frames go in, events happen between windows, fates come out."""

from collections.abc import Iterator
from typing import Final, Self

from attrs import define

from iochain.batch import EMPTY, FOREVER, Batch, Instant, joined
from iochain.chain import Chain
from iochain.engine.network import Engine, Fates
from iochain.engine.running import RunningNetwork
from iochain.experiment.ageing import Ageing
from iochain.experiment.agenda import Agenda
from iochain.experiment.fabric import Fabric
from iochain.experiment.hosts import Hosts
from iochain.experiment.live import Live
from iochain.kernels.order import first_from
from iochain.topology.wiring import Wiring

CONTROL_EVENT: Final = "control event"


@define
class Experiment:
    """A running lab and its events."""

    live: Live

    @classmethod
    def of(cls, wiring: Wiring, entry: Chain | None = None, engine: Engine | None = None) -> Self:
        """A lab before its start. LabError if it cannot run."""
        network = RunningNetwork.of(wiring, entry, engine)
        assert isinstance(network, RunningNetwork)
        return cls(Live(network))

    @property
    def network(self) -> RunningNetwork:
        """The network that runs."""
        return self.live.network

    @property
    def agenda(self) -> Agenda:
        """What will happen."""
        return self.live.agenda

    def start(self, now_ns: int = 0) -> None:
        """Let time begin, with the hosts and switches as the lab describes them."""
        self.agenda.now_ns = now_ns
        self.live.fabric = Fabric.start(self.live)
        self.live.hosts = Hosts.start(self.live)
        Ageing.start(self.live)

    def windows(
        self, batch: Batch, until: Instant = FOREVER, entering: bool = False, last_event_ns: int | None = None
    ) -> Iterator[Fates]:
        """Run up to ``until``: frames in order, and before those of a moment its events.

        Frames that are still ``entering`` are told their ports. Events after ``last_event_ns`` do not happen.
        """
        entered = EMPTY
        while True:
            end = self._end(until, last_event_ns)
            here, batch = _parted(batch, end)
            if len(here):
                entered = joined((entered, self.network.enter(here) if entering else here))
            here, later = _parted(entered, end)
            at = Instant(0)
            for fates in self.network.windows(here, end):
                at = fates.until
                self._hear(fates)
                yield fates
                if self.network.shut:  # what follows may come before the end
                    self._guard(at)
                    break
            entered = joined((_parted(here, at)[1], later))
            if at < end:
                continue
            if end == until:
                return
            self.network.report.ended(CONTROL_EVENT)
            self.do_due(end.time_ns)

    def do_due(self, time_ns: int) -> int:
        """Let the events up to a moment happen; gives how many there were."""
        done = self.agenda.run_due(time_ns)
        self.network.settle()
        return done

    def _end(self, until: Instant, last_event_ns: int | None) -> Instant:
        """The next event's moment, if it comes before ``until``."""
        next_ns = self.agenda.next_ns
        if next_ns is None or (last_event_ns is not None and next_ns > last_event_ns):
            return until
        return min(Instant(next_ns), until)

    def _hear(self, fates: Fates) -> None:
        """Hand out what switches took for themselves."""
        if len(fates.consumed):
            for consumer in self.live.consumers:
                consumer(fates.consumed)

    def _guard(self, at: Instant) -> None:
        """Do what follows from ports that a stage has shut."""
        self.network.shut.clear()
        self.agenda.now_ns = max(self.agenda.now_ns, at.time_ns)
        self.live.fabric.guarded()
        self.network.settle()


def _parted(batch: Batch, at: Instant) -> tuple[Batch, Batch]:
    """What comes before an instant, and the rest."""
    due = int(first_from(batch.rows, *at))
    return batch[:due], batch[due:]

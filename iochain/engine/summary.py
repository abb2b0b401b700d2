"""What deciding took: walks, keys, and the stages that run for each frame by themselves, each with what it cost.

Only here does time on the clock appear, and nothing but this summary depends on it.
"""

from collections.abc import Iterable, Iterator

from attrs import frozen

from iochain.chain import Alone, OnPackets
from iochain.engine.network import Network
from iochain.engine.remembered import Remembered
from iochain.engine.segments import Depot, Half

_OWN = "iochain."
_US, _MS = 1_000, 1_000_000


@frozen
class StageCost:
    """A stage that runs for each frame: how many times it did, and the time in ns that it took.

    ``is_walk``: it is a header stage that looks at whole frames, so that no path through it can be remembered; the
    time is that of the whole walks. Else it is a user's function of packets or batch stage, and the time its own.
    """

    where: str
    stage: str
    is_walk: bool
    times: int
    ns: int

    @property
    def each_ns(self) -> int:
        """Time of one frame, in ns."""
        return self.ns // max(self.times, 1)

    def __str__(self) -> str:
        what = "looks at whole frames, which walk each by itself" if self.is_walk else "runs for each frame"
        count = f"{self.times:,} {'walk' if self.is_walk else 'frame'}{'' if self.times == 1 else 's'}"
        each = f"{self.each_ns / _US:,.0f} µs each, {self.ns / _MS:,.0f} ms in all"
        return f"stage {self.stage}, {self.where}, {what}: {count}, {each}"


@frozen
class EngineSummary:
    """How a run was decided. ``walks`` are frames that Python stages saw, ``walk_ns`` the time that these took.

    Keys are those of remembered paths: now in use, forgotten as something changed, and how often so many were in use
    (``most_keys``) that all were forgotten. Ways are several decisions put together, in use now.
    """

    engine: str
    walks: int
    walk_ns: int
    keys: int
    forgotten: int
    most_keys: int
    limit_reached: int
    ways: int
    stages: tuple[StageCost, ...]
    windows: str = ""  # how many there were, and what cut them, where the network changed while it ran

    @classmethod
    def of(cls, network: Network, engine: str) -> "EngineSummary":
        """The summary of a network at the end of its run, before it is restored."""
        decider = getattr(network.decider, "inner", network.decider)
        walker, statistics = decider.walker, decider.statistics if isinstance(decider, Remembered) else None
        looking = [StageCost(where, stage, True, cost.frames, cost.ns) for (where, stage), cost in walker.whole.items()]
        stages = [*looking, *_stages_of(network.input), *_stages_of(network.output)]
        return cls(
            engine,
            walker.walks,
            walker.walk_ns,
            decider.keys if isinstance(decider, Remembered) else 0,
            statistics.forgotten if statistics else 0,
            decider.most_keys if isinstance(decider, Remembered) else 0,
            statistics.limit_reached if statistics else 0,
            sum(ways.ways for ways in network.ways),
            tuple(sorted(stages, key=lambda cost: -cost.ns)),
            str(getattr(network, "report", "")),
        )

    def notes(self) -> Iterator[str]:
        """What a user should know of it, in sentences: what made the run slow."""
        yield from map(str, self.stages)
        if self.windows:
            yield self.windows
        if self.limit_reached:
            times = "once" if self.limit_reached == 1 else f"{self.limit_reached:,} times"
            yield f"{self.most_keys:,} keys of paths were in use {times}, and all were forgotten, to bound the memory"


def _stages_of(half: Half) -> Iterable[StageCost]:
    """Batch stages of users that had frames."""
    for depth in half.depots:
        for depot in depth:
            if isinstance(depot.bank, Alone):
                yield from _stages_in(depot, depot.bank)


def _stages_in(depot: Depot, bank: Alone) -> Iterable[StageCost]:
    for lane, stage in enumerate(bank.stages):
        is_users = isinstance(stage, OnPackets) or not type(stage).__module__.startswith(_OWN)
        if bank.frames[lane] and is_users:
            where, name = depot.place(lane), depot.elements[lane].name
            yield StageCost(where, name, False, bank.frames[lane], bank.spent_ns[lane])

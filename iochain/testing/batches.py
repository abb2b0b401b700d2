"""The contract of a batch stage: nothing vanishes, and neither windows nor neighbours change what it does."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NoReturn, TypeAlias

import numpy as np
from attrs import define, field, frozen
from hypothesis import strategies as st

from iochain.batch import FOREVER, Batch, Instant
from iochain.chain import Element, Passed
from iochain.testing.breaches import ContractError
from iochain.testing.drawing import hold
from iochain.testing.framebytes import FrameBytes, batch_of_frames

Came: TypeAlias = tuple[tuple[Any, ...], ...]
"""What came out: rows as values, in the order of everything."""

_GAPS_NS: Final = (0, 0, 1, 67_200, 800_000, 20_000_000, 3_000_000_000)
_VALUES: Final = ("wire_length", "tag", "mss", "pad", "checksum", "interface", "entry")
_PORTS: Final = 2


@frozen
class _Arrival:
    """A frame that comes ``gap_ns`` after the one before, at one of two ports."""

    frame: FrameBytes
    gap_ns: int
    lane: int


def check_batch_stage(element: Element, frames: st.SearchStrategy[FrameBytes] | None, max_examples: int) -> None:
    """Hold a batch stage to its contract. ContractError says what it broke."""

    def holds(sent: list[_Arrival], cuts: list[int]) -> None:
        _check(element, sent, cuts)

    hold(holds, _streams, frames, max_examples, shrinks=False)


def _streams(frames: st.SearchStrategy[FrameBytes]) -> dict[str, Any]:
    """Frames that come one after the other, and where windows end."""
    arrivals = st.builds(_Arrival, frames, st.sampled_from(_GAPS_NS), st.integers(0, _PORTS - 1))
    return {
        "sent": st.lists(arrivals, min_size=1, max_size=12),
        "cuts": st.lists(st.integers(0, 15), max_size=4),
    }


def _check(element: Element, sent: Sequence[_Arrival], cuts: Sequence[int]) -> None:
    batch = _batch(sent)
    whole = _Run.of(element, batch, [FOREVER])
    if _Run.of(element, batch, [FOREVER]).came != whole.came:
        raise ContractError(element, "gives something else when it is run again from its start", sent[0].frame)
    in_windows = _Run.of(element, batch, [*_ends(batch, cuts), FOREVER])
    if in_windows.came != whole.came:
        what = "gives something else where windows end elsewhere: " + _difference(whole.came, in_windows.came)
        raise ContractError(element, what, sent[0].frame)
    if hasattr(type(element.stage), "bank"):
        _check_bank(element, batch, [one.lane for one in sent], _ends(batch, cuts))


def _check_bank(element: Element, batch: Batch, lanes: Sequence[int], ends: Sequence[Instant]) -> None:
    """A bank of several ports does at each what a stage alone does."""
    lane = np.array(lanes, np.int32)
    together = _Run.of(element, batch, [*ends, FOREVER], lane)
    alone = [_Run.of(element, batch[lane == number], [FOREVER]).came for number in range(_PORTS)]
    apart = tuple(sorted(row for came in alone for row in came))
    if together.came != apart:
        what = "does something else in a bank of several ports than alone: " + _difference(apart, together.came)
        raise ContractError(element, what)


def _batch(sent: Sequence[_Arrival]) -> Batch:
    time_ns, pairs = 1_000_000_000, []
    for one in sent:
        time_ns += one.gap_ns
        pairs.append((one.frame, time_ns))
    batch = batch_of_frames(pairs)
    batch.rows["port"] = [one.lane for one in sent]
    return batch


def _ends(batch: Batch, cuts: Sequence[int]) -> list[Instant]:
    """Ends of windows: at frames, so that they are the first of the next one, and at times behind all."""
    last = int(batch.rows["time_ns"][-1])
    ends = []
    for cut in cuts:
        at_frame = cut < len(batch)
        row = batch.rows[cut] if at_frame else None
        ends.append(
            Instant(int(row["time_ns"]), int(row["order"])) if row is not None else Instant(last + (1 << 2 * cut))
        )
    return sorted(ends)


@define
class _Run:
    """A run of a stage through windows, each of which is looked at."""

    element: Element
    state: Any = None
    came: Came = ()
    _rows: list[tuple[Any, ...]] = field(factory=list)

    @classmethod
    def of(cls, element: Element, batch: Batch, ends: Sequence[Instant], lanes: Any = None) -> "_Run":
        """Run a batch from a fresh start; with lanes in a bank."""
        stage = element.stage
        run = cls(element, stage.start() if lanes is None else type(stage).bank([stage] * _PORTS))
        places = [Instant(int(row["time_ns"]), int(row["order"])) for row in batch.rows]
        for begin, end in pairwise([Instant(-(1 << 62)), *ends]):
            inside = np.array([begin <= place < end for place in places], bool)
            run.window(batch[inside], begin, end, None if lanes is None else lanes[inside])
        if run.held:
            run.breach(f"still holds {run.held} frames after the last window, which ends never")
        run.came = tuple(sorted(run._rows))
        run.unique()
        return run

    @property
    def held(self) -> int:
        """How many frames wait in it."""
        held = getattr(self.state, "held", None)
        return int(held if held is not None else len(self.state) if hasattr(self.state, "__len__") else 0)

    def window(self, batch: Batch, begin: Instant, end: Instant, lanes: Any) -> None:
        """One window: what comes out, and whether that can be."""
        before, waiting = batch.rows.tobytes(), self.held
        try:
            passed = (
                self.element.stage.run(self.state, batch, end) if lanes is None else self.state.run(batch, lanes, end)
            )
        except Exception as error:
            raise ContractError(self.element, f"raised {type(error).__name__}: {error}") from error
        if not isinstance(passed, Passed):
            self.breach(f"returned {passed!r}, which is no Passed")
        if batch.rows.tobytes() != before:
            self.breach("changed rows in place that it was given; copy them first (batch.rows.copy())")
        self.sums(passed, len(batch), waiting)
        self.times(passed, batch, begin, end)
        drops = [passed.drops[why] for why in passed.why.tolist()]
        self._rows += [_row(passed.batch, i, "") for i in range(len(passed.batch))]
        self._rows += [_row(passed.dropped, i, repr(drop)) for i, drop in enumerate(drops)]

    def sums(self, passed: Passed, given_: int, waiting: int) -> None:
        """Nothing vanishes, and nothing comes of nothing."""
        if len(passed.why) != len(passed.dropped) or any(
            not 0 <= why < len(passed.drops) for why in passed.why.tolist()
        ):
            self.breach(f"dropped {len(passed.dropped)} frames, and why says {passed.why.tolist()} of {passed.drops}")
        left = given_ + waiting + passed.split - passed.merged
        found = len(passed.batch) + len(passed.dropped) + self.held
        if left != found:
            sums = f"{given_} came + {waiting} waited + {passed.split} split - {passed.merged} merged"
            gone = f"{len(passed.batch)} went on + {len(passed.dropped)} dropped + {self.held} wait"
            self.breach(f"lost or made frames: {sums} is not {gone}")

    def times(self, passed: Passed, batch: Batch, begin: Instant, end: Instant) -> None:
        """What goes on leaves within the window, and no earlier than it came."""
        arrived = dict(zip(batch.rows["order"].tolist(), batch.rows["time_ns"].tolist(), strict=True))
        for row in passed.batch.rows:
            time_ns, order = int(row["time_ns"]), int(row["order"])
            if not begin <= Instant(time_ns, order) < end:
                self.breach(f"gave a frame with the time {time_ns} ns in the window from {begin} to {end}")
            if time_ns < arrived.get(order, time_ns):
                self.breach(f"gave a frame that came at {arrived[order]} ns an earlier time, {time_ns} ns")

    def unique(self) -> None:
        """No two frames have one place in the order of everything."""
        places = [row[:3] for row in self.came]
        if len(set(places)) != len(places):
            self.breach("gave two frames one place in the order of everything; number the pieces of one (part)")

    def breach(self, what: str) -> NoReturn:
        """Say what it did."""
        raise ContractError(self.element, what)


def _row(batch: Batch, index: int, dropped: str) -> tuple[Any, ...]:
    row = batch.rows[index]
    values = tuple(int(row[name]) for name in _VALUES)
    place = (int(row["time_ns"]), int(row["order"]), int(row["part"]))
    return (*place, batch.frame_bytes(index), dropped, values)


def _difference(one: Came, other: Came) -> str:
    """The first rows that differ, in words."""
    for mine, yours in zip((*one, None), (*other, None), strict=False):
        if mine != yours:
            return f"{_words(yours)} instead of {_words(mine)}"
    return "nothing"


def _words(row: "tuple[Any, ...] | None") -> str:
    if row is None:
        return "no more"
    time_ns, order, part, data, dropped, _ = row
    what = f"dropped ({dropped})" if dropped else "going on"
    return f"frame {order} part {part} of {len(data)} bytes {what} at {time_ns} ns"

"""The shaper against a slow exact model in fractions: release times, queue, conformance, no drift, any cut."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from attrs import define
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from iochain.batch import FOREVER, Batch, Instant, batch_of, joined
from iochain.chain import Drop, Reason
from iochain.engine.network import in_order
from iochain.vswitch.shaping import Shaper, queue_frames

SECOND = 10**9
Arrival = tuple[int, int]  # time in ns, bytes


@define
class Bucket:
    """Credit in bits, exact at any moment; never more than ``full``."""

    rate: Fraction  # bits per ns
    full: Fraction
    credit: Fraction

    def ready(self, now: int, need: Fraction) -> int:
        """The first whole ns from ``now`` on at which ``need`` is there."""
        return now + max(0, math.ceil((need - self.credit) / self.rate))

    def advance(self, ns: int, beyond: Fraction = Fraction(0)) -> None:
        self.credit = min(self.full + beyond, self.credit + ns * self.rate)


def exactly(shaper: Shaper, arrivals: Sequence[Arrival]) -> list[int | None]:
    """Release times by the model, None for frames that found the queue full."""
    burst = Fraction(8 * shaper.burst_bytes)
    average = Bucket(Fraction(shaper.average_bps, SECOND), burst, burst)
    # What rounding up to a whole ns gives away is carried on: the peak's bucket holds no more than that, and the
    # average's holds so much beyond the burst when a frame has waited.
    rest = Fraction(shaper.average_bps - 1, SECOND)
    peak = Bucket(Fraction(shaper.peak_bps, SECOND), Fraction(shaper.peak_bps - 1, SECOND), Fraction(0))
    released: list[int | None] = []
    at = 0
    for time_ns, size in arrivals:
        if sum(one is not None and one > time_ns for one in released) >= shaper.queue_frames:
            released.append(None)
            continue
        start = max(at, time_ns)
        for bucket in (average, peak):
            bucket.advance(start - at)
        at = max(average.ready(start, min(Fraction(8 * size), burst)), peak.ready(start, Fraction(0)))
        average.advance(at - start, rest)
        peak.advance(at - start)
        for bucket in (average, peak):
            bucket.credit -= 8 * size
        released.append(at)
    return released


def batch_at(arrivals: Sequence[Arrival]) -> Batch:
    """A frame for each arrival, in order; its length stands in the row only."""
    batch = batch_of([(bytes(14), time_ns) for time_ns, _ in arrivals])
    batch.rows["wire_length"] = [size for _, size in arrivals]
    return batch


def released_by(shaper: Shaper, arrivals: Sequence[Arrival]) -> list[int | None]:
    """Release times by the stage."""
    passed = shaper.run(shaper.start(), batch_at(arrivals), FOREVER)
    times = dict(zip(passed.batch.column("order").tolist(), passed.batch.column("time_ns").tolist(), strict=True))
    return [times.get(number) for number in range(1, len(arrivals) + 1)]


rates = st.one_of(st.integers(1_000, 10**12), st.sampled_from([10**6, 999_983, 10**9, 10**11, 10**12]))
sizes = st.one_of(st.sampled_from([60, 1514, 9014]), st.integers(14, 65_549))
gaps = st.one_of(st.just(0), st.integers(0, 10**4), st.integers(0, 10**10), st.integers(0, 10**17))


@st.composite
def shapers(draw: st.DrawFn) -> Shaper:
    average = draw(rates)
    peak = draw(st.one_of(st.just(average), st.integers(average, 10**12)))
    burst = draw(st.one_of(st.integers(1, 20_000), st.integers(1, 1 << 30)))
    return Shaper(average, peak, burst, draw(st.one_of(st.integers(1, 4), st.just(50))))


@st.composite
def arrivals_of(draw: st.DrawFn, times: st.SearchStrategy[int] = gaps) -> list[Arrival]:
    """Frames in the order of time, from a moment on."""
    at = draw(st.sampled_from([0, 1_600_000_000 * SECOND]))
    found = []
    for gap, size in draw(st.lists(st.tuples(times, sizes), min_size=1, max_size=25)):
        at += gap
        found.append((at, size))
    return found


@given(shapers(), arrivals_of())
@settings(max_examples=400, deadline=None)
@example(Shaper(10**11, 10**11, 1500, 10), [(0, 1500), (10**18, 1500), (10**18, 1500)])
@example(Shaper(10**12, 10**12, 1 << 30, 10), [(0, 65_549), (9 * 10**18, 65_549), (9 * 10**18, 65_549)])
def test_releases_are_exact(shaper: Shaper, arrivals: list[Arrival]) -> None:
    expected = exactly(shaper, arrivals)
    event("queue full" if None in expected else "held" if [t for t, _ in arrivals] != expected else "at once")
    assert released_by(shaper, arrivals) == expected


@given(shapers(), arrivals_of(st.integers(0, 10**7)))
@settings(max_examples=200, deadline=None)
def test_never_more_than_burst_and_rates_allow(shaper: Shaper, arrivals: list[Arrival]) -> None:
    out = [
        (time, size)
        for time, (_, size) in zip(released_by(shaper, arrivals), arrivals, strict=True)
        if time is not None
    ]
    largest = max((size for _, size in out), default=0)
    assert [time for time, _ in out] == sorted(time for time, _ in out)
    for first in range(len(out)):
        bits = 0
        for last in range(first + 1, len(out)):
            bits += 8 * out[last - 1][1]
            span = out[last][0] - out[first][0]
            # up to the burst, or to the one larger frame that passes a full bucket
            saved = 8 * max(shaper.burst_bytes, largest)
            # less than one ns more, since times are rounded up to whole ones
            assert (bits - saved) * SECOND < (span + 1) * shaper.average_bps
            assert bits * SECOND < (span + 1) * shaper.peak_bps


@given(shapers(), arrivals_of(), st.data())
@settings(max_examples=150, deadline=None)
def test_any_cut_into_calls_gives_the_same(shaper: Shaper, arrivals: list[Arrival], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(arrivals)), max_size=4)))
    batch, state = batch_at(arrivals), shaper.start()
    out, dropped = [], []
    for begin, end in zip([0, *cuts], [*cuts, len(arrivals)], strict=True):
        until = FOREVER if end == len(arrivals) else Instant(arrivals[end][0], end + 1)
        passed = shaper.run(state, batch[begin:end], until)
        times = passed.batch.column("time_ns")
        assert end == len(arrivals) or (times <= until.time_ns).all()
        out.append(passed.batch)
        dropped.append(passed.dropped)
    rest = shaper.run(state, batch[:0], FOREVER)
    whole = shaper.run(shaper.start(), batch, FOREVER)
    assert len(state) == 0
    assert joined([*out, rest.batch]).rows.tolist() == whole.batch.rows.tolist()
    assert joined(dropped).rows.tolist() == whole.dropped.rows.tolist()


def test_what_is_not_released_before_the_end_waits() -> None:
    shaper = Shaper(8_000, 8_000, 1000, 10)  # a byte each ms
    state = shaper.start()
    passed = shaper.run(state, batch_at([(0, 1000), (0, 500), (0, 100)]), Instant(500_000_000))
    assert passed.batch.column("time_ns").tolist() == [0]
    assert len(state) == state.held == 2
    passed = shaper.run(state, batch_at([]), Instant(1_500_000_001))
    assert passed.batch.column("time_ns").tolist() == [1_000_000_000, 1_500_000_000]
    assert state.held == 0


def test_a_frame_larger_than_the_burst_passes_when_the_bucket_is_full_and_is_paid_for() -> None:
    shaper = Shaper(8_000, 8_000_000, 1000, 10)
    assert released_by(shaper, [(0, 3000), (1, 100)]) == [0, 2100 * 10**6]


def test_frames_that_find_the_queue_full_are_dropped() -> None:
    shaper = Shaper(8_000, 8_000, 100, 2)
    passed = shaper.run(shaper.start(), batch_at([(0, 100)] * 5 + [(100_000_000, 100)]), FOREVER)
    assert passed.batch.column("order").tolist() == [1, 2, 3, 6]
    assert passed.dropped.column("order").tolist() == [4, 5]
    assert passed.why.tolist() == [0, 0]
    assert passed.drops == (Drop(Reason.SHAPER),)
    assert passed.dropped.column("time_ns").tolist() == [0, 0]


def test_lanes_do_not_touch_each_other() -> None:
    slow, fast = Shaper(8_000, 8_000, 100, 5), Shaper(10**6, 2 * 10**6, 4000, 9)
    arrivals: list[Arrival] = [(i * 1000, 100 + i) for i in range(40)]
    lanes = np.array([i % 3 % 2 for i in range(40)], np.int32)
    out = Shaper.bank([slow, fast]).run(batch_at(arrivals), lanes, FOREVER).batch
    times = dict(zip(out.column("order").tolist(), out.column("time_ns").tolist(), strict=True))
    for lane, shaper in enumerate((slow, fast)):
        mine = [i for i in range(40) if lanes[i] == lane]
        assert [times.get(i + 1) for i in mine] == exactly(shaper, [arrivals[i] for i in mine])
    assert out.column("time_ns").tolist() == sorted(out.column("time_ns").tolist())


@given(st.lists(shapers(), min_size=1, max_size=3), arrivals_of(), st.data())
@settings(max_examples=150, deadline=None)
def test_rows_in_their_places_fare_as_those_taken_out(
    several: list[Shaper], arrivals: list[Arrival], data: st.DataObject
) -> None:
    lanes = np.array([*range(len(several)), -1], np.int32)  # by port number: the last one is not shaped
    ports = data.draw(st.lists(st.integers(0, len(several)), min_size=len(arrivals), max_size=len(arrivals)))
    batch, whole, apart = batch_at(arrivals), Shaper.bank(several), Shaper.bank(several)
    batch.rows["port"] = ports
    cut = data.draw(st.integers(0, len(arrivals)))
    middle = FOREVER if cut == len(arrivals) else Instant(arrivals[cut][0], cut + 1)
    for begin, end, until in ((0, cut, middle), (cut, len(arrivals), FOREVER)):
        here = batch[begin:end]
        taken = here[lanes[here.column("port")] >= 0]
        expected = apart.run(taken, lanes[taken.column("port")], until)
        free = here[lanes[here.column("port")] < 0]
        passed = whole.run_among(here.copy(), lanes, until)
        assert passed.batch.rows.tolist() == in_order([expected.batch, free]).rows.tolist()
        assert passed.dropped.rows.tolist() == expected.dropped.rows.tolist()
        assert passed.why.tolist() == expected.why.tolist()
        assert whole.held == apart.held
        event("rows at other ports" if len(free) else "all shaped")
        event("lost" if len(passed.dropped) else "held" if whole.held else "passed")
    assert whole.lanes.tolist() == apart.lanes.tolist()


def test_a_batch_of_which_nothing_waits_is_handed_on_as_it_is() -> None:
    shapers = Shaper.bank([Shaper(10**9, 10**9, 10**6, 10)])
    batch, lanes = batch_at([(0, 100), (10**6, 100), (10**6, 100), (10**6, 100)]), np.array([0, -1], np.int32)
    batch.rows["port"] = [0, 0, 1, 0]
    assert shapers.run_among(batch[:3], lanes, Instant(10**6, 4)).batch.rows.base is batch.rows
    passed = shapers.run_among(batch[3:], lanes, Instant(10**6, 5)).batch  # the peak is reached
    assert (len(passed), shapers.held) == (0, 1)
    passed = shapers.run_among(batch[:0], lanes, FOREVER).batch
    assert passed.column("time_ns").tolist() == [10**6 + 800]


@pytest.mark.parametrize(("average", "peak"), [(999_999_937, 999_999_937), (333_333_333, 999_999_937)])
def test_a_million_frames_do_not_drift(average: int, peak: int) -> None:
    count, size = 1_000_000, 1514  # a burst of one frame: each has to wait for a full bucket
    one = batch_at([(0, size)])
    batch = Batch(np.repeat(one.rows, count), one.pins)
    batch.rows["order"] = np.arange(1, count + 1)
    shaper = Shaper(average, peak, size, count)
    passed: Any = shaper.run(shaper.start(), batch, FOREVER)
    times = passed.batch.column("time_ns")
    assert len(times) == count
    for i in (1, 1000, count // 2, count - 1):
        assert times[i] == math.ceil(Fraction(i * size * 8 * SECOND, average))


@pytest.mark.parametrize(("burst", "frames"), [(1, 10), (15_000, 10), (150_000, 100), (1 << 30, 500)])
def test_length_of_the_queue(burst: int, frames: int) -> None:
    assert queue_frames(burst) == frames

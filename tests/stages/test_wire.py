"""The wire against a slow exact model in fractions: when the last bit is sent, padding, transmit queue, no drift."""

import math
import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from stage_frames import data

from iochain.batch import FOREVER, Batch, Instant, batch_of, joined
from iochain.chain import Drop, Reason
from iochain.engine.network import in_order
from iochain.uplink.wire import Wire

SECOND = 10**9
Arrival = tuple[int, int, bool]  # time in ns, bytes without tag and FCS, tagged


def exactly(wire: Wire, arrivals: Sequence[Arrival]) -> list[int | None]:
    """When the last bit of each frame is sent, rounded up; None for frames that found the queue full."""
    bit = Fraction(SECOND, wire.rate_bps)
    idle, starts, sent = Fraction(0), list[Fraction](), list[int | None]()
    for time_ns, size, tagged in arrivals:
        if sum(start > time_ns for start in starts) >= wire.queue_frames:
            sent.append(None)
            continue
        start = max(idle, Fraction(time_ns))
        bits = 8 * (8 + max(max(size, wire.smallest_frame) + 4 * tagged, 60) + 4)
        starts.append(start)
        sent.append(math.ceil(start + bits * bit))
        idle = start + (bits + 96) * bit
    return sent


def batch_at(arrivals: Sequence[Arrival]) -> Batch:
    """A frame for each arrival; its length stands in the row only."""
    batch = batch_of([(bytes(14), time_ns) for time_ns, _, _ in arrivals])
    batch.rows["wire_length"] = batch.rows["length"] = [size for _, size, _ in arrivals]
    batch.rows["tag"] = [10 if tagged else -1 for _, _, tagged in arrivals]
    return batch


def sent_by(wire: Wire, arrivals: Sequence[Arrival]) -> list[int | None]:
    passed = wire.run(wire.start(), batch_at(arrivals), FOREVER)
    times = dict(zip(passed.batch.column("order").tolist(), passed.batch.column("time_ns").tolist(), strict=True))
    return [times.get(number) for number in range(1, len(arrivals) + 1)]


wires = st.builds(
    Wire,
    st.one_of(st.sampled_from([10**7, 10**9, 10**10, 25 * 10**9, 10**11]), st.integers(1000, 10**12)),
    st.one_of(st.integers(1, 3), st.just(2000)),
    st.sampled_from([0, 60, 64, 1518]),
    st.just(9000),
)
gaps = st.one_of(st.just(0), st.integers(0, 200), st.integers(0, 10**5), st.integers(0, 10**15))
sizes = st.one_of(st.integers(14, 70), st.sampled_from([1514, 9014]), st.integers(14, 9014))


@st.composite
def arrivals_of(draw: st.DrawFn) -> list[Arrival]:
    at = draw(st.sampled_from([0, 1_600_000_000 * SECOND]))
    found = []
    for gap, size, tagged in draw(st.lists(st.tuples(gaps, sizes, st.booleans()), min_size=1, max_size=25)):
        at += gap
        found.append((at, size, tagged))
    return found


@given(wires, arrivals_of())
@settings(max_examples=400, deadline=None)
def test_times_are_exact(wire: Wire, arrivals: list[Arrival]) -> None:
    expected = exactly(wire, arrivals)
    event("queue full" if None in expected else "all sent")
    assert sent_by(wire, arrivals) == expected


@given(wires, arrivals_of(), st.data())
@settings(max_examples=150, deadline=None)
def test_any_cut_into_calls_gives_the_same(wire: Wire, arrivals: list[Arrival], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(arrivals)), max_size=4)))
    batch, state = batch_at(arrivals), wire.start()
    out, dropped = [], []
    for begin, end in zip([0, *cuts], [*cuts, len(arrivals)], strict=True):
        until = FOREVER if end == len(arrivals) else Instant(arrivals[end][0], end + 1)
        passed = wire.run(state, batch[begin:end], until)
        out.append(passed.batch)
        dropped.append(passed.dropped)
    whole = wire.run(wire.start(), batch, FOREVER)
    out.append(wire.run(state, batch[:0], FOREVER).batch)
    assert state.held == 0
    assert joined(out).rows.tolist() == whole.batch.rows.tolist()
    assert joined(dropped).rows.tolist() == whole.dropped.rows.tolist()


@pytest.mark.parametrize(
    ("size", "rate", "with_gap"),
    [
        (60, 10**9, 672),
        (60, 10**10, 67.2),
        (60, 10**11, 6.72),
        (1514, 10**9, 12304),
        (1514, 25 * 10**9, 492.16),
        (1514, 40 * 10**9, 307.6),
        (1518, 10**10, 1233.6),
        (9014, 10**11, 723.04),
    ],
)
def test_time_of_one_frame(size: int, rate: int, with_gap: float) -> None:
    gap = 96 * SECOND / rate
    assert sent_by(Wire(rate, mtu=9000), [(0, size, False)]) == [math.ceil(with_gap - gap)]
    hundred = sent_by(Wire(rate, mtu=9000), [(0, size, False)] * 101)
    assert hundred[-1] == math.ceil(round(101 * with_gap - gap, 2))


def test_ten_frames_back_to_back() -> None:
    times = sent_by(Wire(10**10), [(0, 1514, False)] * 11)
    assert times[9] == math.ceil(12294.4)
    assert times[10] == math.ceil(12304 + 1230.4 - 9.6)  # the eleventh begins when the tenth's gap is over


@pytest.mark.parametrize("rate", [10**10, 25 * 10**9, 999_999_937, 7 * 10**9 + 1])
def test_a_million_frames_do_not_drift(rate: int) -> None:
    count, size = 1_000_000, 1514
    one = batch_at([(0, size, False)])
    batch = Batch(np.repeat(one.rows, count), one.pins)
    batch.rows["order"] = np.arange(1, count + 1)
    wire = Wire(rate, queue_frames=count)
    passed: Any = wire.run(wire.start(), batch, FOREVER)
    times = passed.batch.column("time_ns")
    assert len(times) == count
    for i in (0, 1, 1000, count // 2, count - 1):
        assert times[i] == math.ceil(Fraction(((i + 1) * (size + 24) - 12) * 8 * SECOND, rate))


# -- padding


@pytest.mark.parametrize(
    ("length", "tci", "smallest", "written"),
    [
        (42, None, 60, 60),
        (42, 10, 60, 64),
        (60, None, 60, 60),
        (60, 10, 60, 64),
        (61, None, 60, 61),
        (42, None, 0, 42),
        (42, 10, 0, 46),
        (100, None, 1518, 1518),
    ],
)
def test_short_frames_are_padded_with_zeros(length: int, tci: int | None, smallest: int, written: int) -> None:
    raw = data(tci=tci, length=length)
    wire = Wire(10**9, smallest_frame=smallest)
    out = wire.run(wire.start(), batch_of([(raw, 0)]), FOREVER).batch
    assert out.frame_bytes(0) == raw + bytes(written - len(raw))


def test_a_cut_frame_is_padded_in_its_length_on_the_wire_only() -> None:
    batch = batch_of([(data(length=30), 0)])
    batch.rows["wire_length"] = 42
    wire = Wire(10**9)
    out = wire.run(wire.start(), batch, FOREVER).batch
    (row,) = out.rows
    assert (row["length"], row["pad"], row["wire_length"], row["time_ns"]) == (30, 0, 60, 72 * 8)


# -- transmit queue


@pytest.mark.parametrize(
    ("queue", "arrivals", "numbers"),
    [
        (1, [0, 0, 0], [1, 2]),  # one on the wire, one in the queue
        (2, [0, 0, 0, 0], [1, 2, 3]),
        (1, [0, 0, 671, 672], [1, 2, 4]),  # there is room when the second's first bit is sent
        (1, [0, 672, 1344], [1, 2, 3]),
    ],
)
def test_frames_that_find_the_queue_full_are_dropped(queue: int, arrivals: list[int], numbers: list[int]) -> None:
    wire = Wire(10**9, queue)
    passed = wire.run(wire.start(), batch_at([(time_ns, 60, False) for time_ns in arrivals]), FOREVER)
    assert passed.batch.column("order").tolist() == numbers
    lost = [number for number in range(1, len(arrivals) + 1) if number not in numbers]
    assert passed.dropped.column("order").tolist() == lost
    assert passed.drops == (Drop(Reason.TRANSMIT_QUEUE),)
    assert [arrivals[n - 1] for n in lost] == passed.dropped.column("time_ns").tolist()


def test_links_do_not_touch_each_other_and_frames_come_out_in_order() -> None:
    slow, fast = Wire(10**6), Wire(10**10)
    arrivals = [(i * 1000, 60 + i, False) for i in range(40)]
    lanes = np.array([i % 2 for i in range(40)], np.int32)
    out = Wire.bank([slow, fast]).run(batch_at(arrivals), lanes, FOREVER).batch
    times = dict(zip(out.column("order").tolist(), out.column("time_ns").tolist(), strict=True))
    for lane, wire in enumerate((slow, fast)):
        mine = [i for i in range(40) if lanes[i] == lane]
        assert [times[i + 1] for i in mine] == exactly(wire, [arrivals[i] for i in mine])
    assert out.column("time_ns").tolist() == sorted(times.values())


# -- super-frames


def tcp(length: int, protocol: int = 6) -> bytes:
    """EtherType and headers of an IPv4 packet of this many bytes, of which the payload is missing."""
    network = struct.pack(">BBHIBBH8x", 0x45, 0, length, 0, 64, protocol, 0)
    return b"\x08\x00" + network + struct.pack(">HHIIBBHHH", 1, 2, 3, 4, 5 << 4, 0x10, 100, 0, 0)


@pytest.mark.parametrize(
    ("rest", "length", "mss", "counted"),
    [
        (tcp(2986), 3000, 1460, 1),
        (tcp(1500), 1514, 0, 0),
        (tcp(1501), 1515, 1460, 1),
        (tcp(2986, 17), 3000, 0, 1),  # no stage lets such a one pass
        (b"\x81\x00\x00\x05" + tcp(1500), 1518, 0, 0),
        (b"\x81\x00\x00\x05" + tcp(1501), 1519, 1460, 1),
    ],
)
def test_super_frames_are_counted_and_given_a_segment_size(rest: bytes, length: int, mss: int, counted: int) -> None:
    wire = Wire(10**9)
    state = wire.start()
    out = wire.run(state, batch_of([(data(rest=rest, length=length), 0)]), FOREVER).batch
    assert out.column("mss").tolist() == [mss]
    assert state.super_frames.tolist() == [counted]


def test_segment_sizes_are_by_link_and_for_what_is_sent() -> None:
    wires = Wire.bank([Wire(10**9), Wire(10**9, mtu=2000), Wire(10**9, 0)])
    batch = batch_of([(data(rest=tcp(2986), length=3000), 0) for _ in range(5)])
    batch.rows["mss"][1] = 700
    batch.rows["length"][2] = 40  # cut: its headers are taken to be the shortest
    passed = wires.run(batch, np.array([0, 0, 1, 2, -1], np.int32), FOREVER)
    assert passed.batch.column("mss").tolist() == [0, 1460, 1960, 700]
    assert passed.dropped.column("mss").tolist() == [0]
    assert wires.super_frames.tolist() == [2, 1, 0]


# -- in their places


@given(st.lists(wires, min_size=1, max_size=3), arrivals_of(), st.data())
@settings(max_examples=150, deadline=None)
def test_rows_in_their_places_fare_as_those_taken_out(
    several: list[Wire], arrivals: list[Arrival], data: st.DataObject
) -> None:
    lanes = np.array([*range(len(several)), -1], np.int32)  # by port number: the last one has no link
    batch, whole, apart = batch_at(arrivals), Wire.bank(several), Wire.bank(several)
    batch.rows["port"] = data.draw(
        st.lists(st.integers(0, len(several)), min_size=len(arrivals), max_size=len(arrivals))
    )
    taken, free = (batch[(lanes[batch.column("port")] >= 0) == sent] for sent in (True, False))
    expected = apart.run(taken, lanes[taken.column("port")], FOREVER)
    passed = whole.run_among(batch.copy(), lanes, FOREVER)
    assert passed.batch.rows.tolist() == in_order([expected.batch, free]).rows.tolist()
    assert passed.dropped.rows.tolist() == expected.dropped.rows.tolist()
    assert whole.lanes.tolist() == apart.lanes.tolist()
    event("rows at other ports" if len(free) else "all sent")
    event("lost" if len(passed.dropped) else "none lost")

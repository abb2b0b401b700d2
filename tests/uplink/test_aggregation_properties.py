"""LRO against its slow model, against segmentation, and in whatever pieces frames come."""

from itertools import pairwise

import numpy as np
import pytest
from attrs import evolve, frozen
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from tcp_segments import ACK, CWR, ECE, FIN, PSH, STAMP, URG, Came, Segment, SlowLro, Went, stamped

from iochain.batch import FOREVER, Batch, Instant, batch_of, joined
from iochain.chain import Passed
from iochain.testing import Content, check_stage, frames
from iochain.uplink.aggregation import Adaptive, Aggregation, Aggregators
from iochain.uplink.checksum import Checksum
from iochain.uplink.segmentation import Segmentation

ARP = bytes(12) + b"\x08\x06" + bytes(46)
OPTIONS = [b"", b"", b"", stamped(10, 1), stamped(9, 1), stamped(11, 0), STAMP + bytes(8), b"\x05\x0a" + bytes(10)]
OPTIONS += [b"\x08\x0a\0\0\0\x05\0\0\0\x01\x01\x01", b"\x03\x03\x07\0", b"\x02\0\x01\x01", b"\x01" * 3 + b"\x08"]

stages = st.one_of(
    st.builds(
        Aggregation,
        mtu=st.sampled_from([0, 0, 100]),
        max_bytes=st.sampled_from([1, 250, 2000, 65535, 65535]),
        max_frames=st.sampled_from([0, 2, 3, 65535]),
        sessions=st.integers(1, 3),
        poll_ns=st.sampled_from([1, 2, 20, 1000]),
        poll_frames=st.sampled_from([1, 2, 5, 64]),
        ipv6=st.booleans(),
        other_options=st.booleans(),
        flush_on_psh=st.booleans(),
        same_macs=st.booleans(),
        sums=st.just(True),  # the model has no stale sums
    ),
    st.just(Aggregation.netpoll(1500)),
    st.just(Aggregation.vmklinux(1500, sums=True)),
)


@st.composite
def flows(draw: st.DrawFn) -> list[Segment]:
    """Segments of one flow in order; half of the flows are quite to be put together."""
    is_tame = draw(st.booleans())
    first = Segment(
        draw(st.one_of(st.integers(0, 3000), st.just(2**32 - 70))),
        source_port=draw(st.integers(1, 3)),
        is_6=draw(st.booleans()),
        tci=draw(st.sampled_from([None, None, 10])),
        options=draw(st.sampled_from([b"", stamped(10, 1)] if is_tame else OPTIONS)),
    )
    found = []
    seq = first.seq
    for _ in range(draw(st.integers(2, 8))):
        size = draw(st.sampled_from([50, 51, 3, 50, 1, 0]))
        segment = evolve(first, seq=seq, payload=draw(st.binary(min_size=size, max_size=size)))
        found.append(segment if is_tame else evolve(segment, **draw(changes)))
        seq = (seq + size) % 2**32
    return found


changes = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"ack": st.integers(0, 2**32 - 1), "window": st.integers(0, 65535)}),
    st.fixed_dictionaries(
        {"flags": st.sampled_from([ACK | PSH, ACK | PSH, ACK | FIN, ACK | CWR, ACK | ECE, ACK | URG, 0])}
    ),
    st.fixed_dictionaries({"options": st.sampled_from(OPTIONS)}),
    st.fixed_dictionaries({"tos": st.sampled_from([1, 3])}),
    st.fixed_dictionaries({"trailer": st.sampled_from([b"\0", bytes(6)])}),
    st.fixed_dictionaries({"fragment": st.sampled_from([0, 0x2000, 1])}),
    st.fixed_dictionaries({"macs": st.just(bytes(12))}),
    st.fixed_dictionaries({"seq": st.integers(0, 3000)}),
)


@st.composite
def arrivals(draw: st.DrawFn) -> list[Came]:
    """Flows one among the other, with some frames twice, missing, or at another place."""
    left = [[bytes(segment) for segment in flow] for flow in draw(st.lists(flows(), min_size=1, max_size=4))]
    left.append([ARP] * draw(st.integers(0, 2)))
    frames: list[bytes] = []
    while left := [flow for flow in left if flow]:
        frames.append(left[draw(st.integers(0, len(left) - 1))].pop(0))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        frames.insert(draw(st.integers(0, len(frames))), frames.pop(draw(st.integers(0, len(frames) - 1))))
    for _ in range(draw(st.sampled_from([0, 0, 1]))):
        frames.insert(draw(st.integers(0, len(frames))), draw(st.sampled_from(frames)))
    time_ns, found = draw(st.sampled_from([0, 1_600_000_000 * 10**9])), []
    for raw in frames:
        time_ns += draw(st.sampled_from([0, 0, 1, 5, 30]))
        found.append(Came(time_ns, raw, draw(st.sampled_from([True] * 7 + [False]))))
    return found


def batch_for(came: list[Came]) -> Batch:
    batch = batch_of([(frame.raw, frame.time_ns) for frame in came])
    batch.rows["checksum"] = [Checksum.VERIFIED if frame.verified else Checksum.AS_IT_IS for frame in came]
    return batch


def went_out(batch: Batch) -> list[Went]:
    columns = (batch.column(name).tolist() for name in ("time_ns", "order", "mss"))
    return [
        Went(time, order, batch.frame_bytes(i), mss) for i, (time, order, mss) in enumerate(zip(*columns, strict=True))
    ]


@given(stages, arrivals())
@settings(max_examples=600, deadline=None)
def test_batches_go_as_frames_one_by_one_in_the_slow_model(stage: Aggregation, came: list[Came]) -> None:
    state = stage.start()
    passed = stage.run(state, batch_for(came), FOREVER)
    event("put together" if passed.merged else "all alone")
    assert went_out(passed.batch) == SlowLro(stage).run(came)
    assert len(came) == len(passed.batch) + passed.merged + state.held
    assert state.held == 0


@given(stages, st.lists(arrivals(), min_size=1, max_size=2), st.data())
@settings(max_examples=300, deadline=None)
def test_any_cut_into_windows_gives_the_same(stage: Aggregation, ports: list[list[Came]], data: st.DataObject) -> None:
    """Adaptive decisions too; a window may end between frames of one time."""
    stage = evolve(stage, adaptive=data.draw(st.sampled_from([None, Adaptive(4, 1, 2, 2)])))
    came = sorted((frame.time_ns, lane, i) for lane, frames in enumerate(ports) for i, frame in enumerate(frames))
    batch = batch_for([ports[lane][i] for _, lane, i in came])
    lanes = np.array([lane for _, lane, _ in came], np.int32)
    whole = _in_windows([stage] * len(ports), batch, lanes, [])
    cuts = sorted(data.draw(st.sets(st.integers(0, len(came)), max_size=6)))
    event(f"{len(cuts)} cuts")
    assert _in_windows([stage] * len(ports), batch, lanes, cuts) == whole
    assert _in_windows([stage] * len(ports), batch, lanes, list(range(len(came)))) == whole


def _in_windows(
    stages: list[Aggregation], batch: Batch, lanes: "np.typing.NDArray[np.int32]", cuts: list[int]
) -> object:
    """What comes out, in order, and what was counted; each window ends where the next begins, or before."""
    bank = Aggregators.of(stages)
    found: list[Passed] = []
    entered = 0
    for first, end in zip([0, *cuts], [*cuts, len(batch)], strict=True):
        until = FOREVER if end == len(batch) else _instant(batch, end)
        passed = bank.run(batch[first:end], lanes[first:end], until)
        entered += end - first
        found.append(passed)
        assert entered == sum(len(p.batch) + p.merged for p in found) + bank.held
        ends = [_instant(passed.batch, i) for i in range(len(passed.batch))]
        assert ends == sorted(ends)
        assert all(instant < until for instant in ends)
    assert bank.held == 0
    return went_out(joined(p.batch for p in found)), bank.counters.tolist()


def _instant(batch: Batch, index: int) -> Instant:
    return Instant(int(batch.column("time_ns")[index]), int(batch.column("order")[index]))


@frozen
class OfVerifiedFrames:
    """LRO of a NIC that has verified all it received; ``check_stage`` verifies nothing."""

    stage: Aggregation

    def start(self) -> Aggregators:
        return self.stage.start()

    def run(self, state: Aggregators, batch: Batch, until: Instant) -> Passed:
        rows = batch.rows.copy()
        rows["checksum"] = Checksum.VERIFIED
        return self.stage.run(state, Batch(rows, batch.pins), until)


@pytest.mark.parametrize("stage", [Aggregation.netpoll(1500), Aggregation.vmklinux(1500, poll_frames=2)])
def test_any_frames_keep_the_contract_of_stages(stage: Aggregation) -> None:
    check_stage(stage)
    check_stage(OfVerifiedFrames(stage))
    check_stage(OfVerifiedFrames(stage), frames=frames(contents=[Content.TCP]))


# -- segmentation and back

large_packets = st.builds(
    Segment,
    seq=st.integers(0, 2**32 - 1),
    payload=st.integers(2, 3000).map(lambda size: bytes((7 * i) % 256 for i in range(size))),
    flags=st.sampled_from([ACK, ACK | PSH]),
    source_port=st.integers(0, 65535),
    ack=st.integers(0, 2**32 - 1),
    window=st.integers(0, 65535),
    options=st.sampled_from([b"", stamped(1, 2), b"\x05\x0a" + bytes(8) + b"\x01\x01", b"\x01" * 8]),
    is_6=st.booleans(),
    tos=st.sampled_from([0, 1, 2, 0xB8]),
    ttl=st.integers(0, 255),
    ip_id=st.integers(0, 65535),
    fragment=st.sampled_from([0, 0x4000]),
    tci=st.sampled_from([None, 0, 0x6005]),
)


@given(large_packets, st.data())
@settings(max_examples=300, deadline=None)
def test_segments_of_a_large_packet_become_that_packet(large: Segment, data: st.DataObject) -> None:
    count = data.draw(st.integers(2, min(64, len(large.payload))))
    mss = -(-len(large.payload) // count)
    assume(mss < len(large.payload))
    batch = batch_of([(bytes(large), 5)])
    batch.rows["mss"] = mss
    cut = Segmentation(0)
    segments = cut.run(cut.start(), batch, FOREVER).batch
    event(f"{len(segments)} segments")
    segments.rows["checksum"] = Checksum.VERIFIED
    stage = Aggregation.netpoll(1500)
    passed = stage.run(stage.start(), segments, FOREVER)
    assert [(went.number, went.raw, went.mss) for went in went_out(passed.batch)] == [(1, bytes(large), mss)]


# -- the stream of bytes


@given(stages, st.binary(min_size=1, max_size=600), st.data())
@settings(max_examples=200, deadline=None)
def test_the_stream_of_bytes_is_preserved(stage: Aggregation, stream: bytes, data: st.DataObject) -> None:
    """Whatever is lost, comes twice or out of order: the receiver gets the same bytes at the same places."""
    cuts = [0, *sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8))), len(stream)]
    start = data.draw(st.sampled_from([0, 2**32 - 100]))
    whole = [Segment((start + a) % 2**32, stream[a:b]) for a, b in pairwise(cuts)]
    chosen = data.draw(st.lists(st.sampled_from(whole), min_size=1, max_size=12))
    came = [Came(10 * i, bytes(segment)) for i, segment in enumerate(chosen)]
    batch = stage.run(stage.start(), batch_for(came), FOREVER).batch
    found = [Segment.of(went.raw) for went in went_out(batch)]
    assert _bytes_at(found) == _bytes_at(chosen)


def _bytes_at(segments: "list[Segment | None] | list[Segment]") -> list[tuple[int, int]]:
    """Every byte with its sequence number, as often as it came, in the order of arrival."""
    return [
        ((segment.seq + i) % 2**32, byte) for segment in segments if segment for i, byte in enumerate(segment.payload)
    ]

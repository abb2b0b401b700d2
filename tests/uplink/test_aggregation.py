"""LRO by table: what comes, in which order, and what goes out."""

import copy
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from tcp_segments import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG, Segment, stamped

from iochain.batch import FOREVER, Batch, Instant, batch_of
from iochain.chain import Passed
from iochain.uplink.aggregation import Adaptive, Aggregated, Aggregation, Aggregators
from iochain.uplink.checksum import Checksum
from iochain.uplink.segmentation import Segmentation

THOUSAND = bytes(i % 251 for i in range(1000))
VMKLINUX = Aggregation.vmklinux(1500, sums=True)
NETPOLL = Aggregation.netpoll(1500)
POLL_NS = 50_000


def data(seq: int, flags: int = ACK, **more: Any) -> Segment:
    """A segment of a thousand bytes."""
    return evolve(Segment(seq, THOUSAND, flags), **more)


def received(*segments: Segment | bytes, gap_ns: int = 10) -> Batch:
    """Frames that came one after the other, their checksums verified."""
    batch = batch_of([(bytes(segment), gap_ns * i) for i, segment in enumerate(segments)])
    batch.rows["checksum"] = Checksum.VERIFIED
    return batch


def run(stage: Aggregation, *segments: Segment | bytes) -> Passed:
    passed = stage.run(stage.start(), received(*segments), FOREVER)
    assert len(passed.batch) + passed.merged == len(segments)
    return passed


def frames(passed: Passed) -> list[bytes]:
    return [passed.batch.frame_bytes(i) for i in range(len(passed.batch))]


def of(passed: Passed) -> list[Segment]:
    found = [Segment.of(raw) for raw in frames(passed)]
    assert None not in found
    return [segment for segment in found if segment is not None]


def joined(*segments: Segment) -> Segment:
    """The large packet of segments that differ in nothing but where their payload is."""
    return evolve(segments[0], payload=b"".join(segment.payload for segment in segments))


# -- vectors of the rules of vmklinux: arrivals, then the end of the poll

A1, A2, A3, A5, A6 = (data(seq) for seq in (1, 1001, 2001, 4001, 5001))
B1, B2 = data(1, source_port=40001), data(1001, source_port=40001)
SEVEN = [data(1 + 1000 * i) for i in range(7)]
SHORT = Segment(1001, b"abc", trailer=bytes(3))


@pytest.mark.parametrize(
    ("came", "went"),
    [
        ([A1, A2, A3, A5, A6], [(31, joined(A1, A2, A3), 1000), (31, A5, 0), (POLL_NS, A6, 0)]),
        ([A1, data(1001, ACK | FIN)], [(11, A1, 0), (11, data(1001, ACK | FIN), 0)]),
        ([A1, data(1001, ACK | CWR)], [(11, A1, 0), (11, data(1001, ACK | CWR), 0)]),
        ([A1, data(1001, ACK | ECE)], [(11, A1, 0), (11, data(1001, ACK | ECE), 0)]),
        ([A1, data(1001, ACK | URG)], [(11, A1, 0), (11, data(1001, ACK | URG), 0)]),
        (SEVEN, [(51, joined(*SEVEN[:6]), 1000), (POLL_NS, SEVEN[6], 0)]),
        ([A1, B1, A2, B2], [(POLL_NS, joined(A1, A2), 1000), (POLL_NS, joined(B1, B2), 1000)]),
        ([Segment(1)], [(0, Segment(1), 0)]),
        ([A1, SHORT], [(11, A1, 0), (11, SHORT, 0)]),
    ],
)
def test_arrivals_and_what_is_delivered(came: list[Segment], went: list[tuple[int, Segment, int]]) -> None:
    passed = run(VMKLINUX, *came)
    times, sizes = passed.batch.column("time_ns").tolist(), passed.batch.column("mss").tolist()
    assert list(zip(times, frames(passed), sizes, strict=True)) == [(time, bytes(s), mss) for time, s, mss in went]
    assert set(passed.batch.column("checksum").tolist()) == {Checksum.VERIFIED}


def test_large_packet_that_is_forwarded_is_segmented_again() -> None:
    """U-7: identifications from the first on, TSval of the first, PSH lost where only a later segment had it."""
    came = [
        data(1, ip_id=0x10, options=stamped(100, 7)),
        data(1001, ip_id=0x20, options=stamped(101, 8)),
        data(2001, ACK | PSH, ip_id=0x30, options=stamped(102, 9)),
    ]
    large = run(VMKLINUX, *came)
    assert (len(large.batch), int(large.batch.column("mss")[0]), len(of(large)[0].payload)) == (1, 1000, 3000)
    onward = Segmentation(1500)
    again = of(onward.run(onward.start(), large.batch, FOREVER))
    assert [s.seq for s in again] == [1, 1001, 2001]
    assert [s.payload for s in again] == [THOUSAND] * 3
    assert [s.ip_id for s in again] == [0x10, 0x11, 0x12]
    assert [s.options for s in again] == [stamped(100, 9)] * 3
    assert [s.flags for s in again] == [ACK] * 3


# -- who is a candidate

ODD = b"\x05\x0a" + bytes(8)  # SACK
NOT_FOR_VMKLINUX = [
    data(1001, is_6=True),
    data(1001, options=ODD + b"\x01\x01"),
    data(1001, options=b"\x08\x0a" + bytes(7) + b"\x01" + b"\x01\x01"),
]
FOR_NOBODY = [
    data(1001, RST | ACK),
    data(1001, SYN | ACK),
    data(1001, PSH),
    data(1001, tos=3),
    data(1001, fragment=0x2000),
    data(1001, ip_options=b"\x94\x04\0\0"),
    data(1001, trailer=b"\0"),
    data(1001, options=b"\x08\x0b" + bytes(10)),
    data(1001, options=b"\x02\x00\x01\x01"),
]


@pytest.mark.parametrize("stage", [VMKLINUX, NETPOLL])
@pytest.mark.parametrize("other", FOR_NOBODY)
def test_what_is_no_candidate_opens_no_session_and_ends_one(stage: Aggregation, other: Segment) -> None:
    before = evolve(other, seq=1, flags=ACK, tos=0, fragment=0, ip_options=b"", trailer=b"", options=b"")
    passed = run(stage, before, other, evolve(before, seq=2001))
    assert frames(passed) == [bytes(before), bytes(other), bytes(evolve(before, seq=2001))]
    assert passed.batch.column("time_ns").tolist() == [11, 11, POLL_NS]
    alone = run(stage, other)
    assert (frames(alone), alone.batch.column("time_ns").tolist()) == ([bytes(other)], [0])


@pytest.mark.parametrize("second", NOT_FOR_VMKLINUX[:2])
def test_what_other_kinds_put_together_and_vmklinux_does_not(second: Segment) -> None:
    first = evolve(second, seq=1)
    assert len(run(NETPOLL, first, second).batch) == 1
    assert len(run(VMKLINUX, first, second).batch) == 2


@pytest.mark.parametrize("state", [Checksum.AS_IT_IS, Checksum.MUST])
def test_what_is_not_verified_is_not_put_together(state: Checksum) -> None:
    batch = received(A1, A2, A3)
    batch.rows["checksum"][1] = state
    passed = NETPOLL.run(NETPOLL.start(), batch, FOREVER)
    assert frames(passed) == [bytes(s) for s in (A1, A2, A3)]
    assert passed.batch.column("checksum").tolist() == [2, state, 2]


def test_a_large_packet_is_not_put_into_another() -> None:
    batch = received(A1, A2)
    batch.rows["mss"][1] = 500
    passed = NETPOLL.run(NETPOLL.start(), batch, FOREVER)
    assert (len(passed.batch), passed.batch.column("mss").tolist()) == (2, [0, 500])


# -- what follows


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ({}, {}, True),
        ({"options": stamped(5, 1)}, {"options": stamped(5, 1)}, True),
        ({"options": stamped(5, 1)}, {"options": stamped(4, 1)}, False),
        ({"options": stamped(5, 1)}, {"options": stamped(6, 0)}, False),
        ({"options": stamped(2**32 - 1, 1)}, {"options": stamped(3, 1)}, True),
        ({"options": stamped(3, 1)}, {"options": stamped(2**32 - 1, 1)}, False),
        ({"options": stamped(5, 1)}, {}, False),
        ({}, {"options": stamped(5, 1)}, False),
        ({"tos": 2}, {"tos": 1}, True),
        ({"ttl": 64}, {"ttl": 63}, True),
        ({"tci": 10}, {"tci": 10}, True),
        ({"tci": 10}, {"tci": 11}, False),
        ({"tci": 10}, {}, False),
    ],
)
def test_what_is_appended(first: dict[str, Any], second: dict[str, Any], together: bool) -> None:
    for stage in (VMKLINUX, NETPOLL):
        assert (len(run(stage, data(1, **first), data(1001, **second)).batch) == 1) is together


def test_addresses_of_the_frame_matter_to_all_but_vmklinux() -> None:
    second = data(1001, macs=b"\x02\0\0\0\0\3\x02\0\0\0\0\1")
    assert len(run(VMKLINUX, A1, second).batch) == 1
    assert len(run(NETPOLL, A1, second).batch) == 2


def test_acknowledgment_window_and_tsecr_are_the_newest_and_tsval_the_first() -> None:
    first = data(1, ack=1, window=10, options=stamped(5, 1))
    (large,) = of(run(NETPOLL, first, data(1001, ack=2, window=20, options=stamped(6, 2))))
    assert (large.ack, large.window, large.options) == (2, 20, stamped(5, 2))
    assert bytes(large) == frames(run(NETPOLL, first, data(1001, ack=2, window=20, options=stamped(6, 2))))[0]


def test_psh_ends_a_packet_and_is_in_it() -> None:
    (large,) = of(run(NETPOLL, A1, data(1001, ACK | PSH)))
    assert large.flags == ACK | PSH
    passed = run(NETPOLL, A1, data(1001, ACK | PSH), A3)
    assert passed.batch.column("time_ns").tolist() == [11, POLL_NS]
    alone = run(NETPOLL, data(1, ACK | PSH), A2)
    assert alone.batch.column("time_ns").tolist() == [0, POLL_NS]


def test_segment_size_is_the_largest_payload() -> None:
    parts = [Segment(1, bytes(500)), Segment(501, bytes(1200)), Segment(1701, bytes(3))]
    assert run(NETPOLL, *parts).batch.column("mss").tolist() == [1200]


def test_sequence_numbers_wrap() -> None:
    assert len(run(NETPOLL, data(2**32 - 500), data(500)).batch) == 1


# -- limits


@pytest.mark.parametrize(
    ("stage", "count"),
    [
        (NETPOLL, 64),  # 64,040 bytes are the first that leave less than the MTU
        (Aggregation.netpoll(9000), 57),
        (Aggregation.vmxnet3(1500), 31),
        (Aggregation.vmkernel(1500), 32),
        (VMKLINUX, 6),
        (Aggregation.vmklinux(1500, 0), 2),
        (Aggregation.netpoll(1500, max_bytes=1), 1),
        (Aggregation.netpoll(0, max_bytes=2**20), 65),  # no IPv4 packet is longer
    ],
)
def test_how_many_segments_a_large_packet_has(stage: Aggregation, count: int) -> None:
    stage = evolve(stage, poll_ns=10**9, poll_frames=10**6)
    sizes = [len(s.payload) // 1000 for s in of(run(stage, *(data(1 + 1000 * i) for i in range(130))))]
    assert sizes[0] == count
    assert max(sizes) == count


def test_sessions_are_few() -> None:
    came = [data(1, source_port=1000 + i) for i in range(3)] + [data(1001, source_port=1000 + i) for i in range(3)]
    stage = evolve(NETPOLL, sessions=2)
    state = stage.start()
    passed = stage.run(state, received(*came), FOREVER)
    assert sorted(len(s.payload) for s in of(passed)) == [1000, 1000, 2000, 2000]
    assert state.counters[0, Aggregated.UNSERVED] == 2
    assert state.counters[0, : Aggregated.UNSERVED].tolist() == [4, 2 * 2054, 2]


# -- polls


def test_a_poll_ends_with_its_time() -> None:
    came = [data(1 + 1000 * i) for i in range(4)]
    stage = evolve(NETPOLL, poll_ns=20)
    passed = run(stage, *came)  # at 0, 10, 20, 30
    assert passed.batch.column("time_ns").tolist() == [20, 40]
    assert [len(s.payload) for s in of(passed)] == [2000, 2000]


def test_a_poll_ends_with_its_last_frame() -> None:
    stage = evolve(NETPOLL, poll_frames=3)
    passed = run(stage, *(data(1 + 1000 * i) for i in range(4)))
    assert passed.batch.column("time_ns").tolist() == [21, 30 + POLL_NS]
    assert [len(s.payload) for s in of(passed)] == [3000, 1000]


def test_sessions_leave_although_no_frame_comes() -> None:
    state = NETPOLL.start()
    early = NETPOLL.run(state, received(A1, A2), Instant(POLL_NS - 1, 9))
    assert (len(early.batch), early.merged, state.held) == (0, 0, 2)
    over = NETPOLL.run(state, received()[:0], Instant(POLL_NS, 1))  # its time has come, its turn has not
    assert (len(over.batch), over.merged, state.held) == (0, 1, 1)
    passed = NETPOLL.run(state, received()[:0], Instant(POLL_NS, 2))
    assert ([len(s.payload) for s in of(passed)], passed.merged, state.held) == ([2000], 0, 0)


def test_what_is_held_needs_its_bytes_and_no_others() -> None:
    state = NETPOLL.start()
    assert isinstance(state, Aggregators)
    batch = received(*(Segment(1, bytes(100)) for _ in range(1)))
    NETPOLL.run(state, Batch(batch.rows, (np.zeros(10, np.uint8), *batch.pins)), Instant(100))
    assert state.memory.pins == batch.pins


def test_a_copy_of_the_bank_goes_on_by_itself() -> None:
    """As a network does that takes a window back: twice from one copy, the first one gone."""
    state = NETPOLL.start()
    NETPOLL.run(state, received(A1, A2), Instant(100))
    kept = copy.deepcopy(state)
    later = received(A3)
    later.rows["time_ns"] += 200
    expected = frames(NETPOLL.run(state, later, FOREVER))
    del state
    for _ in range(2):
        again = copy.deepcopy(kept)
        received(*[Segment(1, bytes(9))] * 20)  # takes memory that was let go of, if any was
        assert frames(NETPOLL.run(again, later, FOREVER)) == expected == [bytes(joined(A1, A2, A3))]


def test_no_outcome_depends_on_ports() -> None:
    """Two ports at once are as each alone."""
    came = received(A1, A1, A2, A2, A3, A3)
    lanes = np.array([0, 1, 0, 1, 0, 1], np.int32)
    bank = Aggregation.bank([VMKLINUX, NETPOLL])
    passed = bank.run(came, lanes, FOREVER)
    assert frames(passed) == [bytes(joined(A1, A2, A3))] * 2
    assert bank.counters[:, Aggregated.FRAMES].tolist() == [3, 3]


# -- what has no TCP data


def test_other_frames_are_handed_on_as_they_are() -> None:
    arp = bytes(12) + b"\x08\x06" + bytes(46)
    batch = received(arp, Segment(1), arp)
    assert not Aggregators.concerns(batch.rows)
    assert NETPOLL.run(NETPOLL.start(), batch, FOREVER).batch is batch
    assert Aggregators.concerns(received(arp, A1).rows)


@pytest.mark.parametrize("size", range(14, 80))
def test_frames_cut_anywhere_pass(size: int) -> None:
    raw = bytes(data(1001))[:size]
    batch = received(A1, raw)
    batch.rows["wire_length"][1] = 1054
    passed = NETPOLL.run(NETPOLL.start(), batch, FOREVER)
    merged = size >= 54
    assert (len(passed.batch), passed.merged) == (2 - merged, merged)
    if merged:
        (row,) = passed.batch.rows
        assert (row["length"], row["wire_length"]) == (1054 + size - 54, 2054)


def test_payload_behind_a_cut_one_is_absent() -> None:
    came = [A1, A2, A3]
    batch = received(*(bytes(s) for s in came))
    batch.rows["length"][1] = 54 + 100
    whole = bytes(joined(*came))
    passed = NETPOLL.run(NETPOLL.start(), batch, FOREVER)
    (row,) = passed.batch.rows
    assert (row["length"], row["wire_length"]) == (54 + 1100, 54 + 3000)
    assert frames(passed) == [whole[: 54 + 1100]]


# -- verifying


def test_candidates_from_uplinks_are_verified_where_asked() -> None:
    stage = evolve(NETPOLL, verify=True)
    came = received(A1, A2, data(2001, wrong_by=1), data(3001), A1)
    came.rows["checksum"] = Checksum.AS_IT_IS
    came.rows["flags"] = 1
    state = stage.start()
    passed = stage.run(state, came, FOREVER)
    assert [len(s.payload) for s in of(passed)] == [2000, 1000, 1000, 1000]
    assert passed.batch.column("checksum").tolist() == [2, 0, 2, 2]
    assert state.counters[0, Aggregated.WRONG] == 1
    came.rows["flags"] = 0  # of a guest on this host
    assert stage.run(stage.start(), came, FOREVER).batch is came


# -- the adaptive decision


def test_aggregation_pauses_where_it_does_not_pay() -> None:
    stage = evolve(NETPOLL, poll_frames=4, adaptive=Adaptive(threshold=8, numerator=1, denominator=3, backoff=2))
    state = stage.start()
    poor = [data(1 + 2000 * i) for i in range(8)]  # no two of them follow each other
    rich = [data(100_001 + 1000 * i) for i in range(32)]
    passed = stage.run(state, received(*poor, *rich), FOREVER)
    sizes = [len(s.payload) // 1000 for s in of(passed)]
    assert sizes == [1] * 8 + [1] * 16 + [4] * 4
    assert state.counters[0, Aggregated.PAUSED] == 16
    assert sizes.count(4) == state.counters[0, Aggregated.LARGE]


def test_aggregation_goes_on_where_it_pays() -> None:
    stage = evolve(NETPOLL, poll_frames=4, adaptive=Adaptive(threshold=8, backoff=2))
    passed = run(stage, *(data(1 + 1000 * i) for i in range(40)))
    assert [len(s.payload) for s in of(passed)] == [4000] * 10


def test_what_may_concern_a_port_is_asked_before_the_port_is_known() -> None:
    came = received(A1)
    came.rows["checksum"] = Checksum.AS_IT_IS
    assert Aggregators.concerns(came.rows)
    came.rows["checksum"] = Checksum.MUST
    assert not Aggregators.concerns(came.rows)

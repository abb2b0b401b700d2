"""Checksums: filled, checked, recognised in captures; against a second sum, tshark and the Linux kernel."""

import os
import random
import shutil
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from large_packets import (
    EXTENSIONS,
    MACS,
    TIMESTAMPS,
    Chance,
    LargePacket,
    from_random,
    in_tunnel,
    large_packets,
    pattern,
    tcp_frame,
)
from segmenter import (
    TCP,
    UDP,
    field_of,
    has_right_sums,
    ones_complement,
    packets,
    pseudo_header,
    with_field,
    with_seed,
    with_sum,
)
from test_oracle_kernel import by_kernel

from iochain.batch import FOREVER, Batch, batch_of
from iochain.chain import Drop, Passed, Reason
from iochain.uplink import headers as h
from iochain.uplink.checksum import Checked, Checksum, ChecksumCheck, ChecksumFill, Filled, asks, filled
from iochain.uplink.headers import PLAIN_KINDS, Kind, find_rows
from iochain.uplink.recognition import Recognition

TCP4 = tcp_frame(payload=b"seven by")
TCP6 = tcp_frame(payload=b"seven b", version=6)
UDP4 = tcp_frame(payload=b"odd", protocol=UDP)
UDP6 = tcp_frame(payload=b"odd", protocol=UDP, version=6)
ROUTED = tcp_frame(payload=b"seven", version=6, extensions=[EXTENSIONS[2]])
OF_ALL_KINDS = [
    TCP4,
    TCP6,
    UDP4,
    UDP6,
    ROUTED,
    tcp_frame(payload=b"x", ip_options=bytes([1, 1, 1, 0])),
    tcp_frame(payload=b"", tags=b"\x88\xa8\x00\x05"),
    in_tunnel(TCP4),
    in_tunnel(UDP6, 8472, 6),
    in_tunnel(TCP6, 6081, options=bytes(range(8))),
]


def batch_with(frames: list[bytes], state: Checksum) -> Batch:
    batch = batch_of([(frame, number) for number, frame in enumerate(frames)])
    batch.rows["checksum"], batch.rows["port"] = state, 0
    return batch


def frames_of(batch: Batch) -> list[bytes]:
    return [batch.frame_bytes(i) for i in range(len(batch))]


def passed(stage: Any, batch: Batch, state: Any = None) -> Passed:
    before = batch.rows.tobytes()
    made: Passed = stage.run(stage.start() if state is None else state, batch, FOREVER)
    assert batch.rows.tobytes() == before
    return made


# -- filling


@pytest.mark.parametrize("frame", OF_ALL_KINDS)
def test_a_seed_becomes_the_checksum(frame: bytes) -> None:
    made = passed(ChecksumFill(), batch_with([with_seed(frame)], Checksum.MUST)).batch
    assert frames_of(made) == [frame]
    assert made.rows["checksum"].tolist() == [Checksum.AS_IT_IS]


@pytest.mark.parametrize("state", [Checksum.AS_IT_IS, Checksum.VERIFIED])
def test_all_others_are_handed_on(state: Checksum) -> None:
    batch = batch_with([with_seed(frame) for frame in OF_ALL_KINDS], state)
    assert passed(ChecksumFill(), batch).batch is batch


@given(st.lists(st.tuples(large_packets(2000), st.booleans()), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_what_must_be_filled_leaves_right_and_all_else_unchanged(sent: list[tuple[LargePacket, bool]]) -> None:
    batch = batch_with([packet.frame for packet, _ in sent], Checksum.AS_IT_IS)
    batch.rows["checksum"] = [Checksum.MUST if must else Checksum.AS_IT_IS for _, must in sent]
    for before, after, (_, must) in zip(
        frames_of(batch), frames_of(passed(ChecksumFill(), batch).batch), sent, strict=True
    ):
        assert after == (with_sum(before) if must else before)
        assert has_right_sums(after) or not must


@pytest.mark.parametrize("version", [4, 6])
def test_a_udp_sum_of_zero_is_sent_as_all_ones(version: int) -> None:
    frame = tcp_frame(payload=bytes(2), protocol=UDP, version=version)
    at = packets(frame)[0]
    frame = with_field(frame, at.payload, int.from_bytes(frame[field_of(at) :][:2], "big"))  # so that the sum is zero
    made = passed(ChecksumFill(), batch_with([with_seed(frame)], Checksum.MUST)).batch
    assert frames_of(made)[0][field_of(at) :][:2] == b"\xff\xff"


def test_a_tcp_sum_of_zero_stays_zero() -> None:
    frame = tcp_frame(payload=bytes(2))
    at = packets(frame)[0]
    frame = with_field(frame, at.payload, int.from_bytes(frame[field_of(at) :][:2], "big"))
    made = passed(ChecksumFill(), batch_with([with_seed(frame)], Checksum.MUST)).batch
    assert frames_of(made)[0][field_of(at) :][:2] == b"\0\0"


def test_an_outer_checksum_covers_the_inner_one_that_is_filled() -> None:
    frame = in_tunnel(TCP4, sums=True)
    undone = in_tunnel(with_seed(TCP4), sums=True)
    assert frames_of(passed(ChecksumFill(), batch_with([undone], Checksum.MUST)).batch) == [frame]


def test_only_the_outer_checksum_may_be_undone() -> None:
    wrong = with_field(TCP4, 50, 0x1234)
    done = in_tunnel(wrong, sums=True)
    outer = packets(done)[0]
    undone = with_field(done, 40, ones_complement(pseudo_header(done, outer)))
    assert frames_of(passed(ChecksumFill(), batch_with([undone], Checksum.MUST)).batch) == [done]


def test_a_tunnel_may_carry_what_has_no_checksum() -> None:
    frame = in_tunnel(TCP4)
    frame = frame[:62] + b"\x08\x06" + frame[64:]
    made = passed(ChecksumFill(), batch_with([frame], Checksum.MUST))
    assert frames_of(made.batch) == [frame]


def test_a_tag_beside_the_bytes_and_padding_are_no_part_of_it() -> None:
    tagged = MACS + b"\x81\x00\x60\x0a" + TCP4[12:]
    padded = tcp_frame(payload=b"") + b"padpad"
    made = passed(ChecksumFill(), batch_with([with_seed(tagged), with_seed(padded)], Checksum.MUST)).batch
    assert frames_of(made) == [tagged, padded]


@pytest.mark.parametrize(
    "frame",
    [
        bytes(12) + b"\x08\x06" + bytes(28),
        tcp_frame(payload=b"xx", fragment=0x2000),
        tcp_frame(payload=b"xx", version=6, extensions=[(44, bytes(6))]),
        tcp_frame(payload=b"xx")[:23] + b"\x01" + tcp_frame(payload=b"xx")[24:],
    ],
)
def test_what_has_no_checksum_is_dropped(frame: bytes) -> None:
    made = passed(ChecksumFill(), batch_with([frame, with_seed(TCP4)], Checksum.MUST))
    assert [made.drops[why] for why in made.why] == [Drop(Reason.CHECKSUM)]
    assert frames_of(made.dropped) == [frame]
    assert frames_of(made.batch) == [TCP4]


def test_cut_frames_stay_as_they_are_or_are_dropped() -> None:
    for captured in range(14, len(TCP4)):
        batch = batch_with([with_seed(TCP4)[:captured]], Checksum.MUST)
        batch.rows["wire_length"] = len(TCP4)
        made = passed(ChecksumFill(), batch)
        if captured < 54:
            assert [made.drops[why] for why in made.why] == [Drop(Reason.CUT_HEADERS)]
        else:
            assert frames_of(made.batch) == frames_of(batch)
            assert made.batch.rows["checksum"].tolist() == [Checksum.MUST]


def test_only_the_kinds_of_the_stage_are_filled() -> None:
    batch = batch_with([with_seed(TCP4), with_seed(TCP6), with_seed(ROUTED)], Checksum.MUST)
    made = passed(ChecksumFill(frozenset([Kind.IPV6])), batch).batch
    assert frames_of(made) == [with_seed(TCP4), TCP6, with_seed(ROUTED)]
    assert made.rows["checksum"].tolist() == [Checksum.MUST, Checksum.AS_IT_IS, Checksum.MUST]


def test_counters_of_fills() -> None:
    bank = ChecksumFill.bank([ChecksumFill(), ChecksumFill(frozenset())])
    frames = [with_seed(TCP4), with_seed(TCP4), bytes(12) + b"\x08\x06" + bytes(28), with_seed(TCP6)]
    bank.run(batch_with(frames, Checksum.MUST), np.array([0, 1, 0, 0], np.int32), FOREVER)
    assert bank.counters[:, [*Filled]].tolist() == [[2, len(TCP4) + len(TCP6), 1], [0, 0, 0]]
    assert bank.held == 0


def test_a_capture_shows_all_filled() -> None:
    frames = [with_seed(frame) for frame in OF_ALL_KINDS]
    batch = batch_with(frames, Checksum.MUST)
    assert frames_of(filled(batch)) == OF_ALL_KINDS
    assert frames_of(batch) == frames
    assert filled(batch_with(frames, Checksum.VERIFIED)).rows["checksum"].tolist() == [Checksum.VERIFIED] * len(frames)
    arp = batch_with([bytes(12) + b"\x08\x06" + bytes(28)], Checksum.MUST)
    assert frames_of(filled(arp)) == frames_of(arp)


# -- checking


def checked(frames: list[bytes], kinds: frozenset[Kind] = frozenset(Kind)) -> tuple[list[int], list[int]]:
    stage = ChecksumCheck(kinds)
    state = stage.start()
    made = passed(stage, batch_with(frames, Checksum.AS_IT_IS), state)
    assert frames_of(made.batch) == frames
    return made.batch.rows["checksum"].tolist(), state.counters[0, [*Checked]].tolist()


@pytest.mark.parametrize("frame", OF_ALL_KINDS)
def test_right_frames_are_verified_and_wrong_ones_are_not(frame: bytes) -> None:
    broken = frame[:-1] + bytes([frame[-1] ^ 1]) if packets(frame)[-1].end > packets(frame)[-1].payload else frame
    is_broken = broken != frame
    states, counts = checked([frame, broken, with_seed(frame)])
    assert states == [2, 0 if is_broken else 2, 0]
    assert counts == ([1, 2] if is_broken else [2, 1])


def test_an_outer_checksum_is_checked_too() -> None:
    frame = in_tunnel(TCP4, sums=True)
    assert checked([frame, with_field(frame, 40, 0x1234)]) == ([2, 0], [1, 1])


def test_udp_without_checksum_is_neither_right_nor_wrong() -> None:
    assert checked([with_field(UDP4, 40, 0)]) == ([0], [0, 0])
    assert checked([with_field(UDP6, 60, 0)]) == ([0], [0, 1])  # RFC 8200, 8.1: over IPv6 there has to be one


def test_what_nobody_asked_to_be_checked_is_not() -> None:
    arp = bytes(12) + b"\x08\x06" + bytes(28)
    assert checked([arp, TCP6, in_tunnel(TCP4)], PLAIN_KINDS - {Kind.IPV6}) == ([0, 0, 0], [0, 0])


def test_what_was_cut_is_taken_to_be_right() -> None:
    batch = batch_with([TCP4[:60]], Checksum.AS_IT_IS)
    batch.rows["wire_length"] = len(TCP4)
    assert passed(ChecksumCheck(), batch).batch.rows["checksum"].tolist() == [Checksum.VERIFIED]


# -- recognition in captures


def recognised(frames: list[bytes], mtu: int = 1500, from_flows: bool = True) -> list[tuple[int, int]]:
    """mss and checksum of each frame; in one batch and one by one the same."""
    batch = batch_with(frames, Checksum.AS_IT_IS)
    marked = Recognition.of(np.array([mtu], np.int32), from_flows).mark(batch.rows)
    found = [(int(row["mss"]), int(row["checksum"])) for row in batch.rows]
    assert marked == sum(one != (0, 0) for one in found)
    again, recognition = batch_with(frames, Checksum.AS_IT_IS), Recognition.of(np.array([mtu], np.int32), from_flows)
    for i in range(len(frames)):
        recognition.mark(again.rows[i : i + 1])
    assert again.rows["mss"].tolist() == [mss for mss, _ in found]
    return found


def data(size: int, flags: int = 0x10, **keys: Any) -> bytes:
    return tcp_frame(payload=bytes(range(256)) * (size // 256) + bytes(range(size % 256)), flags=flags, **keys)


@pytest.mark.parametrize("frame", OF_ALL_KINDS)
def test_seeds_are_recognised_and_checksums_are_not(frame: bytes) -> None:
    assert recognised([with_seed(frame), frame, with_field(frame, field_of(packets(frame)[-1]), 0x1234)]) == [
        (0, Checksum.MUST),
        (0, 0),
        (0, 0),
    ]


def test_what_is_recognised_and_filled_is_what_it_was() -> None:
    batch = batch_with([with_seed(frame) for frame in OF_ALL_KINDS], Checksum.AS_IT_IS)
    Recognition.of(np.array([0], np.int32)).mark(batch.rows)
    assert frames_of(filled(batch)) == OF_ALL_KINDS


def test_an_undone_outer_checksum_is_recognised() -> None:
    done = in_tunnel(TCP4, sums=True)
    undone = with_field(done, 40, ones_complement(pseudo_header(done, packets(done)[0])))
    assert recognised([done, undone]) == [(0, 0), (0, Checksum.MUST)]


def test_a_checksum_that_equals_its_seed_is_none() -> None:
    """The payload makes the rest of the sum minus twice the seed; one frame in 65,536 is so by chance."""
    frame = tcp_frame(payload=bytes(4))
    at = packets(frame)[0]
    for value in range(0x10000):
        sent = with_field(frame[:58] + b"\0\0", 56, value) if value else frame
        seed = with_seed(frame)
        if with_sum(sent) == with_field(sent, field_of(at), int.from_bytes(seed[50:52], "big")):
            assert recognised([with_sum(sent)]) == [(0, 0)]
            return
    raise AssertionError("no such payload")


@pytest.mark.parametrize(
    ("frame", "mss"),
    [
        (data(1460), 0),
        (data(1461), 1460),
        (data(1448, tcp_options=TIMESTAMPS), 0),
        (data(5000, tcp_options=TIMESTAMPS), 1448),
        (data(5000, version=6), 1440),
        (data(5000, ip_options=bytes(8)), 1452),
        (in_tunnel(data(5000)), 1410),
        (in_tunnel(data(5000, version=6), 6081, 6, bytes(8)), 1362),
        (data(5000, protocol=UDP), 0),
        (data(5000, fragment=0x2000), 0),
        (bytes(12) + b"\x08\x06" + bytes(4000), 0),
        (data(1456, tags=b"\x81\x00\x00\x05\x88\xa8\x00\x05"), 0),
    ],
)
def test_frames_longer_than_the_mtu_are_large_packets(frame: bytes, mss: int) -> None:
    ((found, _),) = recognised([frame])
    assert found == mss


def test_without_an_mtu_nothing_is_large() -> None:
    assert recognised([data(5000)], mtu=0) == [(0, 0)]


def test_a_jumbo_mtu() -> None:
    assert recognised([data(8960), data(9000)], mtu=9000) == [(0, 0), (8960, 0)]


def test_a_large_packet_with_a_seed_asks_for_both() -> None:
    assert recognised([with_seed(data(5000)), with_seed(data(5000), with_length=False)]) == [(1460, Checksum.MUST)] * 2


def test_the_largest_full_segment_of_the_flow() -> None:
    other = (1, 2)
    sent = [
        data(5000),  # nothing is known yet
        data(1200),
        data(5000),
        data(1398),
        data(1300),
        data(1405, flags=0x18),  # PSH: it may be short
        data(1410, ports=other),
        data(5000),
        data(5000, ports=other),
        data(5000, version=6),
        data(400, ports=(3, 4)),  # no full segment is so small
        data(5000, ports=(3, 4)),
    ]
    assert [mss for mss, _ in recognised(sent)] == [1460, 0, 1200, 0, 0, 0, 0, 1398, 1410, 1440, 0, 1460]
    assert {mss for mss, _ in recognised(sent, from_flows=False)} == {0, 1460, 1440}


def test_flows_inside_tunnels() -> None:
    assert [mss for mss, _ in recognised([in_tunnel(data(1300)), in_tunnel(data(5000))])] == [0, 1300]


@pytest.mark.parametrize("captured", [14, 20, 33, 34, 50, 53, 54, 1000])
def test_a_cut_large_packet_is_one(captured: int) -> None:
    batch = batch_with([data(5000)[:captured]], Checksum.AS_IT_IS)
    batch.rows["wire_length"] = 5054
    Recognition.of(np.array([1500], np.int32)).mark(batch.rows)
    assert batch.rows["mss"].tolist() == [1460]


def test_a_cut_datagram_is_none() -> None:
    batch = batch_with([data(5000, protocol=UDP)[:40]], Checksum.AS_IT_IS)
    batch.rows["wire_length"] = 5042
    Recognition.of(np.array([1500], np.int32)).mark(batch.rows)
    assert batch.rows["mss"].tolist() == [0]


def test_whether_rows_ask_for_something() -> None:
    batch = batch_with([TCP4] * 3, Checksum.VERIFIED)
    assert not asks(batch.rows)
    batch.rows["checksum"][2] = Checksum.MUST
    assert asks(batch.rows)
    batch.rows["checksum"][2], batch.rows["mss"][1] = 0, 1
    assert asks(batch.rows)


# -- headers


@given(large_packets(1000), st.integers(0, 200), st.booleans())
@settings(max_examples=300, deadline=None)
def test_headers_are_found_where_a_second_parser_finds_them(packet: LargePacket, cut: int, is_udp: bool) -> None:
    frame = packet.frame
    if is_udp:
        frame = tcp_frame(payload=frame[:100], protocol=UDP)
    batch = batch_with([frame[: max(len(frame) - cut * 10, 14)]], Checksum.AS_IT_IS)
    batch.rows["wire_length"] = len(frame)
    found = [np.zeros((1, h.COLUMNS), np.int64) for _ in range(2)]
    for has_plain in (0, 1):
        find_rows(batch.rows, np.zeros(1, np.int64), np.zeros(100, np.int64), found[has_plain], bool(has_plain))
    inner, outer = packets(frame)[-1], packets(frame)[0]
    is_whole = len(batch.frame_bytes(0)) >= inner.payload
    event(f"whole {is_whole}, tunnel {inner != outer}")
    assert found[0][0, h.RESULT] == found[1][0, h.RESULT] == (h.FOUND if is_whole else h.CUT)
    if is_whole:
        assert found[0][0, : h.OUTER_6].tolist() == found[1][0, : h.OUTER_6].tolist()
        columns = found[0][0]
        assert (columns[h.NETWORK], columns[h.TRANSPORT_AT], columns[h.PAYLOAD]) == (
            inner.ip,
            inner.transport,
            inner.payload,
        )
        assert (columns[h.END], columns[h.FINAL], columns[h.PROTOCOL]) == (inner.end, inner.final, inner.protocol)
        assert columns[h.OUTER_NETWORK] == (0 if inner == outer else outer.ip)


@given(
    st.binary(max_size=60),
    st.sampled_from([TCP4, UDP4, TCP6, in_tunnel(TCP4, 6081)]),
    st.integers(12, 80),
    st.integers(0, 50),
)
@settings(max_examples=300, deadline=None)
def test_plain_packets_are_found_as_by_the_parser_in_any_bytes(
    noise: bytes, frame: bytes, at: int, beyond: int
) -> None:
    raw = (frame[:at] + noise + frame[at + len(noise) :]) if at < len(frame) else frame[: max(len(frame) - at, 14)]
    batch = batch_with([raw], Checksum.AS_IT_IS)
    batch.rows["wire_length"] += beyond
    found = [np.zeros((1, h.COLUMNS), np.int64) for _ in range(2)]
    for has_plain in (0, 1):
        find_rows(batch.rows, np.zeros(1, np.int64), np.zeros(100, np.int64), found[has_plain], bool(has_plain))
    assert found[0][0, h.RESULT] == found[1][0, h.RESULT]
    if found[0][0, h.RESULT] == h.FOUND:
        assert found[0][0, : h.OUTER_6].tolist() == found[1][0, : h.OUTER_6].tolist()
    Recognition.of(np.array([100], np.int32)).mark(batch.rows)
    for stage in (ChecksumCheck(), ChecksumFill()):
        passed(stage, batch)


# -- the Linux kernel


@pytest.mark.root
def test_checksums_are_the_kernels() -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root, and unshare")
    chance = from_random(random.Random("checksums"))
    sent = [undone_packet(chance) for _ in range(200)]
    kernels = by_kernel("plain", sent)
    batch = batch_with([packet.frame for packet in sent], Checksum.MUST)
    assert [[frame] for frame in frames_of(passed(ChecksumFill(), batch).batch)] == kernels


def undone_packet(chance: Chance) -> LargePacket:
    """A TCP or UDP packet of any size, which asks for its checksum only."""
    protocol, version = chance.choice((TCP, UDP)), chance.choice((4, 6))
    frame = tcp_frame(payload=pattern(chance, chance.number(0, 1460)), protocol=protocol, version=version)
    return LargePacket(with_seed(frame), 0, packets(frame)[0].transport)

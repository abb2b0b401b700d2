"""TCP segmentation: known answers, errors, splitting, cut captures, and a second segmenter as check of all packets."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import event, given, settings
from hypothesis import strategies as st
from large_packets import TIMESTAMPS, LargePacket, data_of, in_tunnel, large_packets, tcp_frame
from segmenter import UDP, has_right_sums, packets, segments_of, with_seed, with_sum

from iochain.batch import FOREVER, Batch, batch_of
from iochain.chain import Drop, Passed, Port, PortKind, Reason
from iochain.frame import Frame, Notes
from iochain.kernels.parse import parse
from iochain.uplink.checksum import Checksum, ChecksumFill
from iochain.uplink.headers import PLAIN_KINDS, By, Kind
from iochain.uplink.nic import Mtu
from iochain.uplink.segmentation import LargeSplit, Segmentation, Segmented, SplitMode
from iochain.uplink.wire import Wire

CAPTURES = Path(__file__).parents[3] / "shared" / "captures"
COUNTED = bytes(i % 256 for i in range(256)) * 300
Sized = tuple[bytes, int]


def requested(frames: Sequence[Sized], checksum: Checksum = Checksum.MUST) -> Batch:
    """A batch of (frame, mss), a microsecond apart."""
    batch = batch_of([(frame, 1000 * number) for number, (frame, _) in enumerate(frames)])
    batch.rows["mss"] = [mss for _, mss in frames]
    batch.rows["checksum"] = checksum
    return batch


def passed(stage: Any, batch: Batch) -> Passed:
    """What a fresh stage makes of a batch; nothing vanishes in it."""
    made: Passed = stage.run(stage.start(), batch, FOREVER)
    assert len(batch) + made.split == len(made.batch) + len(made.dropped)
    return made


def frames_of(batch: Batch) -> list[bytes]:
    return [batch.frame_bytes(i) for i in range(len(batch))]


def segmented(frame: bytes, mss: int, stage: Segmentation | LargeSplit | None = None) -> list[bytes]:
    made = passed(stage or Segmentation(mtu=0), requested([(frame, mss)]))
    assert not len(made.dropped), [made.drops[why] for why in made.why]
    return frames_of(made.batch)


def dropped(frame: bytes, mss: int, stage: Segmentation) -> Drop:
    made = passed(stage, requested([(frame, mss)]))
    assert len(made.dropped) == 1
    return made.drops[int(made.why[0])]


def words(frame: bytes, at: int, count: int = 1) -> int:
    return int.from_bytes(frame[at : at + 2 * count], "big")


def test_u1_ipv4() -> None:
    frame = tcp_frame(
        payload=COUNTED[:4000],
        sequence=0xFFFFFFF0,
        identification=0xFFFE,
        flags=0x99,
    )
    found = [
        (
            len(data_of(segment)),
            words(segment, 16),
            words(segment, 18),
            words(segment, 38, 2),
            segment[47],
            words(segment, 24),
            words(segment, 50),
        )
        for segment in segmented(frame, 1460, Segmentation(mtu=1500))
    ]
    assert found == [
        (1460, 1500, 0xFFFE, 0xFFFFFFF0, 0x90, 0x211B, 0x77F7),
        (1460, 1500, 0xFFFF, 0x000005A4, 0x10, 0x211A, 0x1F71),
        (1080, 1120, 0x0000, 0x00000B58, 0x19, 0x2296, 0x3608),
    ]


def test_u1b_ipv6() -> None:
    frame = bytearray(tcp_frame(payload=COUNTED[:3000], version=6, flags=0x18))
    frame[14:18] = bytes([0x60, 0, 0, 0])  # the vector has no flow label
    found = [
        (len(data_of(segment)), words(segment, 18), words(segment, 58, 2), segment[67], words(segment, 70))
        for segment in segmented(bytes(frame), 1440, Segmentation(mtu=1500))
    ]
    assert found == [
        (1440, 1460, 1000, 0x10, 0xCDCC),
        (1440, 1460, 2440, 0x10, 0xB61A),
        (120, 140, 3880, 0x18, 0x60D7),
    ]


RUNT = "runt: no more payload than one segment"
TOO_LARGE = "mss and headers exceed the MTU"


@pytest.mark.parametrize(
    ("payload", "mss", "options", "mtu", "count", "last"),
    [
        (1461, 1460, b"", 1500, 2, 1),
        (2920, 1460, b"", 1500, 2, 1460),
        (65483, 1448, TIMESTAMPS, 1500, 46, 323),
        (65483, 8948, TIMESTAMPS, 9000, 8, 65483 - 7 * 8948),
    ],
)
def test_u2_counts(payload: int, mss: int, options: bytes, mtu: int, count: int, last: int) -> None:
    found = segmented(tcp_frame(payload=COUNTED[:payload], tcp_options=options), mss, Segmentation(mtu=mtu))
    assert [len(data_of(segment)) for segment in found] == [mss] * (count - 1) + [last]


@pytest.mark.parametrize(("by", "reason"), [(By.KERNEL, Reason.TSO_FAILED), (By.NIC, Reason.DEVICE_REFUSED)])
@pytest.mark.parametrize(
    ("frame", "mss", "mtu", "error"),
    [
        (tcp_frame(payload=COUNTED[:1460]), 1460, 1500, RUNT),
        (tcp_frame(payload=COUNTED[:4000]), 8948, 9000, RUNT),
        (tcp_frame(payload=COUNTED[:4000]), 1461, 1500, TOO_LARGE),
        (tcp_frame(payload=COUNTED[:4000], tcp_options=TIMESTAMPS), 1449, 1500, TOO_LARGE),
        (tcp_frame(payload=COUNTED[:4000], version=6), 1441, 1500, TOO_LARGE),
        (in_tunnel(tcp_frame(payload=COUNTED[:4000])), 1411, 1500, TOO_LARGE),
        (tcp_frame(payload=COUNTED[:4000], protocol=UDP), 1460, 1500, "no TCP packet, or a fragment"),
        (tcp_frame(payload=COUNTED[:4000], fragment=0x2000), 1460, 1500, "no TCP packet, or a fragment"),
        (tcp_frame(payload=COUNTED[:4000], fragment=0x0040), 1460, 1500, "no TCP packet, or a fragment"),
        (
            tcp_frame(payload=COUNTED[:4000], version=6, extensions=[(44, bytes(6))]),
            1440,
            1500,
            "no TCP packet, or a fragment",
        ),
        (bytes(12) + b"\x08\x06" + bytes(4000), 1460, 1500, "no IP packet"),
        (bytes(12) + b"\x08\x00\x35" + bytes(4000), 1460, 1500, "no IP packet"),
    ],
)
def test_errors(frame: bytes, mss: int, mtu: int, error: str, by: By, reason: Reason) -> None:
    assert dropped(frame, mss, Segmentation(mtu=mtu, by=by)) == Drop(reason, error)


def test_a_tunnel_segment_that_just_fits() -> None:
    found = segmented(in_tunnel(tcp_frame(payload=COUNTED[:4000])), 1410, Segmentation(mtu=1500))
    assert max(len(frame) for frame in found) == 1514


UPLINK = Port("vmnic0", 0, 0x81000002, PortKind.UPLINK, "esx1", "vSwitch0")


def passes_the_mtu(raw: bytes, is_super: bool = False) -> bool:
    batch = batch_of([(raw, 0)])
    batch.rows["mss"] = 1460 if is_super else 0
    return isinstance(Mtu(1500)(Frame(parse(batch.rows).tolist()[0], Notes()), UPLINK), Frame)


@pytest.mark.parametrize(
    ("raw", "passes"),
    [
        (bytes(12) + b"\x08\x00" + bytes(1500), True),
        (bytes(12) + b"\x08\x00" + bytes(1501), False),
        (bytes(12) + b"\x81\x00\x00\x0a\x08\x00" + bytes(1500), True),
        (bytes(12) + b"\x81\x00\x00\x0a\x08\x00" + bytes(1501), False),
    ],
)
def test_u4_mtu(raw: bytes, passes: bool) -> None:
    assert passes_the_mtu(raw) is passes


def test_u4_a_frame_of_60_bytes_leaves_with_its_tag_as_64() -> None:
    batch = batch_of([(bytes(12) + b"\x81\x00\x00\x0a\x08\x00" + bytes(46), 0)])
    wire = Wire(10**10)
    (sent,) = frames_of(wire.run(wire.start(), batch, FOREVER).batch)
    assert len(sent) == 64


def test_u7_an_aggregated_frame_that_is_forwarded() -> None:
    frame = tcp_frame(payload=COUNTED[:3000], identification=700, sequence=5000, tcp_options=TIMESTAMPS)
    made = passed(Segmentation(mtu=1500), requested([(frame, 1000)], Checksum.VERIFIED))
    segments = frames_of(made.batch)
    assert [words(segment, 18) for segment in segments] == [700, 701, 702]
    assert [words(segment, 38, 2) for segment in segments] == [5000, 6000, 7000]
    assert {segment[54:66] for segment in segments} == {TIMESTAMPS}
    assert all(has_right_sums(segment) for segment in segments)
    assert made.batch.rows["checksum"].tolist() == [Checksum.VERIFIED] * 3


def test_rows_of_segments() -> None:
    large = with_seed(tcp_frame(payload=COUNTED[:3000]))
    small = tcp_frame(payload=b"x")
    batch = requested([(small, 0), (large, 1460), (small, 0), (large, 1460)])
    batch.rows["tag"], batch.rows["port"], batch.rows["part"] = [-1, 10, -1, 20], [1, 2, 1, 2], [0, 0, 0, 7]
    made = passed(Segmentation(mtu=1500), batch).batch
    columns = ("time_ns", "order", "tag", "port", "part", "mss", "checksum")
    assert [tuple(int(row[name]) for name in columns) for row in made.rows] == [
        (0, 1, -1, 1, 0, 0, Checksum.MUST),
        (1000, 2, 10, 2, 0, 0, Checksum.AS_IT_IS),
        (1000, 2, 10, 2, 1, 0, Checksum.AS_IT_IS),
        (1000, 2, 10, 2, 2, 0, Checksum.AS_IT_IS),
        (2000, 3, -1, 1, 0, 0, Checksum.MUST),
        (3000, 4, 20, 2, 7, 0, Checksum.AS_IT_IS),
        (3000, 4, 20, 2, 8, 0, Checksum.AS_IT_IS),
        (3000, 4, 20, 2, 9, 0, Checksum.AS_IT_IS),
    ]
    assert frames_of(made)[0] == small
    assert frames_of(made)[1][12:16] == b"\x81\x00\x00\x0a"


def test_nothing_to_do_hands_the_batch_on() -> None:
    batch = requested([(tcp_frame(payload=b"x"), 0)] * 3)
    assert passed(Segmentation(mtu=1500), batch).batch is batch


INNER = tcp_frame(payload=COUNTED[:3000])
INNER6 = tcp_frame(payload=COUNTED[:3000], version=6)
OPTIONS6 = tcp_frame(payload=COUNTED[:3000], version=6, extensions=[(60, bytes([1, 4, 0, 0, 0, 0]))])
KINDS = [
    (Kind.IPV4, INNER),
    (Kind.IPV6, INNER6),
    (Kind.IPV6_EXTENSIONS, OPTIONS6),
    (Kind.VXLAN_IPV4, in_tunnel(INNER)),
    (Kind.VXLAN_IPV6, in_tunnel(INNER6, 8472)),
    (Kind.VXLAN_IPV6_EXTENSIONS, in_tunnel(OPTIONS6)),
    (Kind.VXLAN6_IPV4, in_tunnel(INNER, version=6)),
    (Kind.VXLAN6_IPV6, in_tunnel(INNER6, version=6)),
    (Kind.VXLAN6_IPV6_EXTENSIONS, in_tunnel(OPTIONS6, version=6)),
    (Kind.GENEVE_IPV4, in_tunnel(INNER, 6081)),
    (Kind.GENEVE_IPV6, in_tunnel(INNER6, 6081, options=bytes(12))),
    (Kind.GENEVE_IPV6_EXTENSIONS, in_tunnel(OPTIONS6, 6081, 6)),
]


@pytest.mark.parametrize(("kind", "frame"), KINDS)
def test_a_stage_segments_its_kinds_only(kind: Kind, frame: bytes) -> None:
    assert len(segmented(frame, 1000, Segmentation(mtu=0, kinds=frozenset([kind])))) == 3
    assert segmented(frame, 1000, Segmentation(mtu=0, kinds=frozenset(Kind) - {kind})) == [frame]
    assert len(segmented(frame, 1000, Segmentation(mtu=0, kinds=PLAIN_KINDS))) == (3 if kind in PLAIN_KINDS else 1)


def test_tags_in_the_bytes_are_copied() -> None:
    frame = tcp_frame(payload=COUNTED[:3000], tags=b"\x88\xa8\x00\x05\x81\x00\x00\x06")
    found = segmented(frame, 1000)
    assert found == list(segments_of(frame, 1000))
    assert {segment[12:20] for segment in found} == {b"\x88\xa8\x00\x05\x81\x00\x00\x06"}


def test_cwr_stays_in_all_segments_of_accurate_ecn() -> None:
    frame = tcp_frame(payload=COUNTED[:3000], flags=0x99)
    found = segmented(frame, 1000, Segmentation(mtu=0, accurate_ecn=True))
    assert [segment[47] for segment in found] == [0x90, 0x90, 0x99]
    assert all(has_right_sums(segment) for segment in found)


def test_sums_left_to_the_nic_are_filled_by_it() -> None:
    for frame in (INNER, INNER6, in_tunnel(INNER), in_tunnel(INNER6, 6081, sums=True)):
        batch = passed(Segmentation(mtu=0, sums=False), requested([(frame, 1000)])).batch
        assert batch.rows["checksum"].tolist() == [Checksum.MUST] * 3
        assert all(with_seed(segment)[-1010:] == segment[-1010:] for segment in frames_of(batch))
        stage = ChecksumFill()
        assert frames_of(stage.run(stage.start(), batch, FOREVER).batch) == segmented(frame, 1000)


def test_counters_by_lane() -> None:
    bank = Segmentation.bank([Segmentation(1500), Segmentation(9000)])
    batch = requested([(INNER, 1460), (INNER, 1460), (INNER, 8960), (INNER, 0)])
    bank.run(batch, np.array([0, 1, 1, 1], np.int32), FOREVER)
    assert bank.counters[:, [*Segmented]].tolist() == [[1, len(INNER), 3, 0], [1, len(INNER), 3, 1]]


def test_lanes_have_mtus_of_their_own() -> None:
    bank = Segmentation.bank([Segmentation(1500), Segmentation(9000)])
    made = bank.run(requested([(INNER, 1461), (INNER, 1461)]), np.array([0, 1], np.int32), FOREVER)
    assert (len(made.batch), len(made.dropped)) == (3, 1)


# -- splitting for delivery


@pytest.mark.parametrize(
    ("split", "payload", "pieces"),
    [
        (LargeSplit(SplitMode.NONE), 5000, [5000]),
        (LargeSplit(SplitMode.HALVED), 5000, [3000, 2000]),
        (LargeSplit(SplitMode.HALVED), 6000, [3000, 3000]),
        (LargeSplit(SplitMode.HALVED), 1001, [1000, 1]),
        (LargeSplit(SplitMode.HALVED), 60000, [30000, 30000]),
        (LargeSplit(SplitMode.HYBRID), 30000, [15000, 15000]),
        (LargeSplit(SplitMode.HYBRID), 60000, [17000, 17000, 17000, 9000]),
        (LargeSplit(SplitMode.PIECES), 5000, [5000]),
        (LargeSplit(SplitMode.PIECES), 40000, [17000, 17000, 6000]),
        (LargeSplit(SplitMode.PIECES, size=1500), 2500, [1000, 1000, 500]),
        (LargeSplit(SplitMode.HALVED, bound=0), 17500, [17500]),
        (LargeSplit(SplitMode.HALVED, bound=0), 17501, [9000, 8501]),
    ],
)
def test_splitting(split: LargeSplit, payload: int, pieces: list[int]) -> None:
    frame = tcp_frame(payload=COUNTED[:payload], flags=0x99)
    made = passed(split, requested([(frame, 1000)])).batch
    found = frames_of(made)
    assert [len(data_of(piece)) for piece in found] == pieces
    assert made.rows["mss"].tolist() == [1000 if size > 1000 else 0 for size in pieces]
    assert b"".join(map(data_of, found)) == COUNTED[:payload]
    again = passed(Segmentation(mtu=0), evolve(made, rows=made.rows[made.rows["mss"] > 0])).batch
    whole = [piece for piece, size in zip(found, pieces, strict=True) if size <= 1000]
    assert sorted(frames_of(again) + [with_sum(piece) for piece in whole]) == sorted(segments_of(frame, 1000))
    assert len(set(made.rows["part"].tolist()) | set(again.rows["part"].tolist())) == -(-payload // 1000)


def test_what_stays_large_keeps_the_state_of_its_checksum() -> None:
    for state in Checksum:
        made = passed(LargeSplit(SplitMode.HALVED), requested([(INNER, 1000)], state)).batch
        assert made.rows["checksum"].tolist() == [state] * 2
        expected = [with_seed(piece) if state is Checksum.MUST else with_sum(piece) for piece in frames_of(made)]
        assert frames_of(made) == expected


def test_many_large_packets_at_one_instant_are_split_less() -> None:
    batch = requested([(INNER, 1000)] * 5)
    batch.rows["time_ns"] = [5, 5, 5, 5, 6]
    stage = LargeSplit(SplitMode.HALVED, bound=3)
    made = passed(stage, batch).batch
    assert np.bincount(made.rows["order"]).tolist()[1:] == [2, 2, 2, 1, 2]
    state = stage.start()
    parts = [stage.run(state, batch[i : i + 1], FOREVER).batch for i in range(5)]
    assert [len(part) for part in parts] == [2, 2, 2, 1, 2]


def test_what_cannot_be_split_passes() -> None:
    frame = bytes(12) + b"\x08\x06" + bytes(4000)
    batch = requested([(frame, 1000)])
    assert passed(LargeSplit(SplitMode.HALVED), batch).batch is batch


# -- cut captures


def cut_at(frame: bytes, mss: int, captured: int) -> Batch:
    batch = requested([(frame[:captured], mss)])
    batch.rows["wire_length"] = len(frame)
    return batch


@pytest.mark.parametrize("frame", [with_seed(INNER), with_seed(INNER6), in_tunnel(with_seed(INNER), sums=True)])
@pytest.mark.parametrize("there", [0, 1, 999, 1000, 1500, 2999])
def test_cut_payload_is_segmented_as_far_as_it_goes(frame: bytes, there: int) -> None:
    headers = packets(frame)[-1].payload
    whole = list(segments_of(frame, 1000))
    made = passed(Segmentation(mtu=0), cut_at(frame, 1000, headers + there)).batch
    assert made.rows["wire_length"].tolist() == [len(segment) for segment in whole]
    assert [len(piece) - headers for piece in frames_of(made)] == [
        min(max(there - k * 1000, 0), 1000) for k in range(3)
    ]
    for k, (found, segment) in enumerate(zip(frames_of(made), whole, strict=True)):
        is_whole = len(found) == len(segment)
        assert made.rows["checksum"][k] == (Checksum.AS_IT_IS if is_whole else Checksum.MUST)
        assert found == segment if is_whole else without_sums(found) == without_sums(segment)[: len(found)]


def without_sums(frame: bytes) -> bytes:
    """The frame with zeros for the checksums of TCP and UDP."""
    data = bytearray(frame)
    for packet in packets(frame):
        at = packet.transport + (6 if packet.protocol == UDP else 16)
        data[at : at + 2] = bytes(2)
    return bytes(data)


@pytest.mark.parametrize(
    "frame", [INNER, INNER6, OPTIONS6, in_tunnel(INNER), in_tunnel(INNER6, 6081, options=bytes(8))]
)
def test_cut_headers_are_dropped(frame: bytes) -> None:
    headers = packets(frame)[-1].payload
    for captured in range(14, headers):
        made = passed(Segmentation(mtu=0), cut_at(frame, 1000, captured))
        assert [made.drops[why] for why in made.why] == [Drop(Reason.CUT_HEADERS)], captured


# -- all packets


@given(large_packets())
@settings(max_examples=300, deadline=None)
def test_segments_are_those_of_a_second_segmenter(packet: LargePacket) -> None:
    event(f"{len(packets(packet.frame))} IP headers")
    found = segmented(packet.frame, packet.mss)
    assert found == list(segments_of(packet.frame, packet.mss))
    assert b"".join(map(data_of, found)) == data_of(packet.frame)
    assert all(has_right_sums(segment) for segment in found)


@given(st.lists(large_packets(3000), min_size=1, max_size=5), st.integers(576, 2000))
@settings(max_examples=100, deadline=None)
def test_nothing_longer_than_the_mtu_comes_out(requests: list[LargePacket], mtu: int) -> None:
    made = passed(Segmentation(mtu=mtu), requested([(packet.frame, packet.mss) for packet in requests]))
    event(f"dropped {len(made.dropped)} of {len(requests)}")
    assert all(len(frame) - 14 <= mtu for frame in frames_of(made.batch))
    assert {made.drops[why].rule for why in made.why} <= {TOO_LARGE}


@given(st.lists(large_packets(3000), min_size=1, max_size=6), st.integers(1, 3))
@settings(max_examples=50, deadline=None)
def test_pieces_of_a_batch_change_nothing(requests: list[LargePacket], size: int) -> None:
    batch = requested([(packet.frame, packet.mss) for packet in requests])
    stage = Segmentation(mtu=0)
    state = stage.start()
    apart = [stage.run(state, batch[i : i + size], FOREVER).batch for i in range(0, len(batch), size)]
    assert [frame for part in apart for frame in frames_of(part)] == frames_of(passed(stage, batch).batch)


@pytest.mark.tshark
def test_tshark_finds_nothing_wrong(tmp_path: Path) -> None:
    frames = [frame for _, large in KINDS for frame in segmented(with_seed(large), 1000)]
    frames += segmented(in_tunnel(INNER6, 6081, 6, bytes(range(20)), sums=True), 1000)
    listed = dissected(frames, tmp_path / "segments.pcap")
    assert len(listed) == len(frames) == 39
    for line in listed:
        lengths, *sums = line.split("\t")
        assert sums[-1].split(",")[-1] == "1"  # good; outer and inner TCP and UDP
        statuses = ",".join(sums).split(",")  # 3: not present; 4: not present, over IPv6, which tunnels may (RFC 6935)
        assert all(status in ("1", "3", "4", "") for status in statuses), line
        assert lengths.split(",")[-1] == "1000"


def dissected(frames: list[bytes], path: Path) -> list[str]:
    """tshark's words on TCP payload lengths and checksums, a line for each frame."""
    from scapy.utils import RawPcapWriter

    with RawPcapWriter(str(path), linktype=1) as writer:
        for frame in frames:
            writer.write(frame)
    fields = ["tcp.len", "ip.checksum.status", "udp.checksum.status", "tcp.checksum.status"]
    options = ["ip.check_checksum", "udp.check_checksum", "tcp.check_checksum"]
    command = ["tshark", "-r", str(path), "-T", "fields", *(part for name in fields for part in ("-e", name))]
    command += [part for name in options for part in ("-o", f"{name}:TRUE")] + ["-d", "udp.port==8472,vxlan"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return run.stdout.splitlines()


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures are not here")
@pytest.mark.parametrize(
    "name", ["ipv4-vxlan-ipv4", "ipv6-geneve-ipv6", "ipv6-hbh", "ipv6"], ids=lambda name: f"bigtcp-{name}"
)
def test_packets_beyond_64_kb(name: str) -> None:
    """IP lengths of 0, or a jumbo payload option, as Linux's BIG TCP has them: segments have none of that."""
    from iochain.capture import read_captures

    ((batch, *_),) = list(read_captures([CAPTURES / f"tcpdump__bigtcp-{name}.pcap"]))
    batch.rows["mss"], batch.rows["checksum"] = 1300, Checksum.MUST
    made = passed(Segmentation(mtu=1500), batch)
    assert not len(made.dropped), [made.drops[why] for why in made.why]
    segments = frames_of(made.batch)
    whole = made.batch.rows["length"] == made.batch.rows["wire_length"]
    assert all(len(segment) <= 1514 for segment in segments)
    assert all(has_right_sums(segment) for segment, is_whole in zip(segments, whole, strict=True) if is_whole)
    assert {packets(segment)[-1].end for segment in segments[:1]} == {len(segments[0])}


def test_the_checked_form_does_the_same() -> None:
    """No load or store of the kernels leaves the memory that is theirs, and the segments are the recorded ones."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "-k", "recorded or u1", Path(__file__).parent],
        env=os.environ | {"IOCHAIN_CHECKED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:]

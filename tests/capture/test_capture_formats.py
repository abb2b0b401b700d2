"""Reading what pcap and pcapng may hold: orders, resolutions, blocks, sections, packings."""

import gzip
import os
from fractions import Fraction
from pathlib import Path

import pytest
import zstandard
from captures_made import (
    BIG,
    LITTLE,
    Sent,
    block,
    frame,
    interface,
    nanoseconds,
    old_packet,
    packet,
    pcap,
    read_whole,
    section,
    seen,
    simple_packet,
    written,
)

from iochain.batch import order_of
from iochain.capture import CutShort, read_captures
from iochain.capture.memory import PAGE_BYTES
from iochain.kernels.rows import NO_TAG, NOWHERE

SECOND = 10**9
SOME = [Sent(5 * SECOND + 7000 * i, frame(i, 60 + i), 100 + i) for i in range(5)]


@pytest.mark.parametrize("order", [LITTLE, BIG])
@pytest.mark.parametrize("unit_ns", [1, 1000])
def test_pcap(tmp_path: Path, order: str, unit_ns: int) -> None:
    reader, batch = read_whole(written(tmp_path, pcap(SOME, order, unit_ns)))
    assert seen(batch) == SOME
    source = reader.sources[0]
    assert (source.format.value, source.packing, source.frames, source.ending) == ("pcap", "plain", 5, None)
    assert [(i.link_name, i.snap_length, i.source) for i in reader.interfaces] == [("ETHERNET", 65535, 0)]


def test_a_microsecond_count_above_a_million_is_added(tmp_path: Path) -> None:
    made = bytearray(pcap([Sent(SECOND, frame(1))], unit_ns=1000))
    made[28:32] = (1_500_000).to_bytes(4, "little")
    assert read_whole(written(tmp_path, bytes(made)))[1].column("time_ns").tolist() == [2_500_000_000]


@pytest.mark.parametrize("upper", [0, 0x10000000 | 1 << 26, 0x00010000, 0xFFFF0000])
def test_bits_above_the_link_type_say_something_else(tmp_path: Path, upper: int) -> None:
    assert len(read_whole(written(tmp_path, pcap(SOME, link=upper | 1)))[1]) == 5


def test_every_column_of_a_row(tmp_path: Path) -> None:
    tagged = bytes(range(12)) + b"\x81\x00\x60\x0a\x08\x00" + bytes(40)
    data = section() + interface() + nanoseconds() + packet(77, tagged, which=1, wire=200)
    (row,) = read_whole(written(tmp_path, pcap([])), written(tmp_path, data, "b"))[1].rows
    expected = {
        "time_ns": 77,
        "order": order_of(1, 1),
        "length": len(tagged) - 4,
        "wire_length": 196,
        "tag": 0x600A,
        "entry": NOWHERE,
        "port": NOWHERE,
        "part": 0,
        "interface": 2,
        "skip": 16,
        "pad": 0,
        "mss": 0,
        "checksum": 0,
        "flags": 0,
    }
    assert {name: int(row[name]) for name in expected} == expected


def test_wire_length_is_never_below_the_captured(tmp_path: Path) -> None:
    batch = read_whole(written(tmp_path, pcap([Sent(0, frame(1), 20)])))[1]
    assert batch.column("wire_length").tolist() == [60]
    assert batch.column("tag").tolist() == [NO_TAG]


@pytest.mark.parametrize("order", [LITTLE, BIG])
def test_blocks(tmp_path: Path, order: str) -> None:
    """Every kind of block is read or skipped; options of packets are passed over."""
    passed = [
        block(kind, b"what stands here does not matter", order) for kind in (4, 5, 7, 8, 9, 10, 0xBAD, 0x40000BAD)
    ]
    data = b"".join(
        [
            section(order, {1: b"a comment", 4: b"made by hand"}),
            interface(order, snap=70, said={1: b"odd", 2: b"vmnic0", 3: "Erklärung".encode(), 9: b"\x09"}),
            nanoseconds(order, "vmnic1"),
            *passed,
            packet(SECOND, frame(1, 61), 0, order, said={1: b"look", 2: bytes(4)}),
            *passed,
            old_packet(SECOND + 1, frame(2, 62), 1, order),
            simple_packet(frame(3, 63), order=order),
            simple_packet(frame(4, 70), 90, order=order),
            *passed,
        ]
    )
    reader, batch = read_whole(written(tmp_path, data))
    assert seen(batch) == [
        Sent(SECOND, frame(1, 61), 61),
        Sent(SECOND + 1, frame(2, 62), 62),
        Sent(SECOND + 1, frame(3, 63), 63),
        Sent(SECOND + 1, frame(4, 70), 90),
    ]
    assert batch.column("interface").tolist() == [0, 1, 0, 0]
    assert [(i.name, i.description, i.snap_length) for i in reader.interfaces] == [
        ("vmnic0", "Erklärung", 70),
        ("vmnic1", "", 0),
    ]
    assert reader.sources[0].ending is None


def test_a_simple_packet_at_the_beginning_has_time_zero(tmp_path: Path) -> None:
    data = section() + interface() + simple_packet(frame(1)) + packet(5, frame(2))
    assert read_whole(written(tmp_path, data))[1].column("time_ns").tolist() == [0, 5000]


def test_sections_begin_anew(tmp_path: Path) -> None:
    """Each section has its own byte order and its own interfaces; numbers go on."""
    data = b"".join(
        section(order) + nanoseconds(order, name) + packet(time, frame(time), 0, order)
        for time, (order, name) in enumerate([(LITTLE, "a"), (BIG, "b"), (BIG, "c"), (LITTLE, "d")], 1)
    )
    reader, batch = read_whole(written(tmp_path, data))
    assert seen(batch) == [Sent(time, frame(time), 60) for time in (1, 2, 3, 4)]
    assert batch.column("interface").tolist() == [0, 1, 2, 3]
    assert [i.name for i in reader.interfaces] == ["a", "b", "c", "d"]


STAMPS = [0, 1, 999, 10**6 + 1, 1_700_000_000_123_456, 2**32 - 1, 2**40 + 12345, 2**62 + 99, 2**63, 2**64 - 1]
RESOLUTIONS = [0, 1, 3, 6, 9, 10, 12, 18, 19, 20, 28, 29, 127, *(0x80 + n for n in (0, 1, 10, 31, 32, 33, 40, 62, 63))]
RESOLUTIONS += [0x80 + n for n in (64, 65, 95, 96, 127)]


@pytest.mark.parametrize("resolution", RESOLUTIONS)
@pytest.mark.parametrize("offset", [0, 3, -3, 1_700_000_000, -(2**63), 2**63 - 1])
def test_resolutions(tmp_path: Path, resolution: int, offset: int) -> None:
    """Whatever the unit, the time is the exact one rounded down; one that does not fit is that of the frame before."""
    said = {9: bytes([resolution]), 14: offset.to_bytes(8, "little", signed=True)}
    description = section() + interface(said=said)
    unit = Fraction(1, (2 if resolution & 0x80 else 10) ** (resolution & 0x7F))
    for stamp in STAMPS:
        exact = int(stamp * unit * SECOND // 1) + offset * SECOND
        fits = 0 <= exact < (2**63 - 1) // SECOND * SECOND
        reader, batch = read_whole(written(tmp_path, description + packet(stamp, frame(1))))
        assert batch.column("time_ns").tolist() == [exact if fits else 0], stamp
        assert reader.sources[0].held_back == (not fits)


def test_odd_options_of_an_interface(tmp_path: Path) -> None:
    """A resolution of two bytes, text that is no UTF-8, an option that breaks off: none of it hurts."""
    said = b"\x09\x00\x02\x00\x09\x09\x00\x00" + b"\x02\x00\x02\x00\xff\x61\x00\x00" + b"\x03\x00\xff\xff"
    data = section() + block(1, b"\1\0\0\0" + bytes(4) + said) + packet(1, frame(1))
    reader, batch = read_whole(written(tmp_path, data))
    assert batch.column("time_ns").tolist() == [1000]
    assert [(i.name, i.description) for i in reader.interfaces] == [("\ufffda", "")]


def gzip_in_two(data: bytes) -> bytes:
    return gzip.compress(data[:50], mtime=0) + gzip.compress(data[50:], mtime=0) + bytes(512)


def zstd_in_two(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data[:50]) + zstandard.ZstdCompressor().compress(data[50:])


@pytest.mark.parametrize(
    ("pack", "packing"),
    [
        (gzip.compress, "gzip"),
        (gzip_in_two, "gzip"),
        (zstandard.ZstdCompressor().compress, "zstd"),
        (zstd_in_two, "zstd"),
    ],
)
@pytest.mark.parametrize("data", [pcap(SOME), section() + nanoseconds() + b"".join(packet(*s[:2]) for s in SOME)])
def test_packed(tmp_path: Path, pack, packing: str, data: bytes) -> None:  # type: ignore[no-untyped-def]
    path = written(tmp_path, pack(data), "no-matter-what.txt")
    for piece_bytes in (256, 1 << 20):
        reader, batch = read_whole(path, piece_bytes=piece_bytes)
        assert [s[:2] for s in seen(batch)] == [s[:2] for s in SOME]
        assert (reader.sources[0].packing, reader.sources[0].ending) == (packing, None)
        assert reader.bytes_read == reader.bytes_total == (tmp_path / "no-matter-what.txt").stat().st_size


def test_standard_input(tmp_path: Path) -> None:
    """A pipe is read like a file; how long it is cannot be known."""
    read_end, write_end = os.pipe()
    os.write(write_end, pcap(SOME))
    os.close(write_end)
    saved = os.dup(0)
    try:
        os.dup2(read_end, 0)
        with read_captures(["-"], piece_bytes=256) as reader:
            frames = [sent for piece in reader for sent in seen(piece.batch)]
        assert (reader.bytes_total, reader.bytes_read) == (None, len(pcap(SOME)))
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(read_end)
    assert frames == SOME


def test_other_link_types_and_short_frames_are_counted(tmp_path: Path) -> None:
    """They are passed over, but the others keep Wireshark's numbers."""
    data = b"".join(
        [
            section(),
            interface(link=113),
            interface(),
            interface(link=105),
            interface(link=4711),
            packet(9, bytes(30), 0),
            packet(1, frame(1), 1),
            packet(9, bytes(30), 2),
            packet(2, frame(2, 13), 1),
            packet(3, frame(3, 14), 1),
            packet(9, b"", 0),
            packet(9, b"", 3),
            section(),
            interface(link=113),
            packet(9, b"", 0),
        ]
    )
    reader, batch = read_whole(written(tmp_path, data))
    source = reader.sources[0]
    assert batch.column("order").tolist() == [2, 5]
    assert source.passed_over == {"LINUX_SLL": 3, "IEEE802_11": 1, "link type 4711": 1}
    assert (source.frames, source.short, source.held_back) == (8, 1, 0)


def test_a_pcap_of_another_link_type(tmp_path: Path) -> None:
    reader, batch = read_whole(written(tmp_path, pcap(SOME, link=127)))
    assert len(batch) == 0
    assert reader.sources[0].passed_over == {"IEEE802_11_RADIOTAP": 5}


def test_times_that_go_backwards_are_held(tmp_path: Path) -> None:
    times = [10, 20, 5, 19, 20, 30, 29]
    reader, batch = read_whole(written(tmp_path, pcap([Sent(time, frame(time)) for time in times])))
    assert batch.column("time_ns").tolist() == [10, 20, 20, 20, 20, 30, 30]
    assert batch.column("order").tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert (reader.sources[0].held_back, reader.sources[0].largest_step_back_ns) == (3, 15)


def test_an_empty_capture(tmp_path: Path) -> None:
    for data in (pcap([]), section()):
        with read_captures([written(tmp_path, data)]) as reader:
            pieces = list(reader)
        assert [len(piece.batch) for piece in pieces] == [0]
        assert reader.sources[0].ending is None


def test_a_frame_greater_than_the_piece(tmp_path: Path) -> None:
    frames = [Sent(i, frame(i, length)) for i, length in enumerate([60, 70_000, 60, 300, 250, 16 << 20, 60])]
    plain = written(tmp_path, pcap(frames), "a")
    blocks = written(tmp_path, section() + nanoseconds() + b"".join(packet(*s[:2]) for s in frames[:5]), "b")
    for path, expected in ((plain, frames), (blocks, frames[:5])):
        assert [s[:2] for s in seen(read_whole(path, piece_bytes=256)[1])] == [s[:2] for s in expected]


def test_a_skipped_block_may_be_of_any_length(tmp_path: Path) -> None:
    data = section() + nanoseconds() + packet(1, frame(1)) + block(10, bytes(20 << 20)) + packet(2, frame(2))
    path = written(tmp_path, data)
    for piece_bytes in (256, 1 << 20):
        reader, batch = read_whole(path, piece_bytes=piece_bytes)
        assert batch.column("time_ns").tolist() == [1, 2]
    reader, batch = read_whole(written(tmp_path, data[: 10 << 20]), piece_bytes=4096)
    assert reader.sources[0].ending == CutShort(1, len(section() + nanoseconds() + packet(1, frame(1))))


def test_batches_outlive_the_reader(tmp_path: Path) -> None:
    """Buffers are used again only when nothing points into them."""
    frames = [Sent(i, frame(i)) for i in range(2000)]
    path = written(tmp_path, pcap(frames))
    kept = []
    with read_captures([path], piece_bytes=1024) as reader:
        for number, piece in enumerate(reader):
            if number % 7 == 0:
                kept.append(piece.batch)
    again = [sent for batch in kept for sent in seen(batch)]
    assert again == [frames[order - 1]._replace(wire_length=60) for batch in kept for order in batch.column("order")]
    assert len(again) > 100


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, pcap([Sent(i, frame(i)) for i in range(3000)]))
    with read_captures([path, path], piece_bytes=1024) as reader:
        pages = {pin.address // PAGE_BYTES for piece in reader for pin in piece.batch.pins}  # type: ignore[attr-defined]
    assert len(pages) < 10

"""Captures that are cut, damaged or none: never a traceback, and everything before the fault is handed out."""

import gzip
import struct
import zlib
from pathlib import Path

import pytest
import zstandard
from captures_made import (
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
from hypothesis import given, settings
from hypothesis import strategies as st

from iochain.batch import EMPTY, Batch
from iochain.capture import CaptureError, CaptureReader, CutShort, Damage, read_captures

SOME = [Sent(100 + i, frame(i, 60 + i), 60 + i) for i in range(4)]
START = section() + nanoseconds()
BLOCKS = [START, *(packet(*sent[:2]) + block(5, bytes(40)) for sent in SOME)]
RECORDS = [pcap([]), *(pcap([sent])[24:] for sent in SOME)]
MIB_16 = 16 << 20
SKIPPABLE = b"\x5a\x2a\x4d\x18\3\0\0\0abc"
ZSTD = zstandard.ZstdCompressor()


def zstd_in_blocks(data: bytes) -> bytes:
    """Blocks of every kind, a checksum, and a frame that is to be skipped."""
    packer = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK
    blocks = [packer.compress(data[at : at + 30]) + packer.flush(flush) for at in range(0, len(data), 30)]
    return b"".join(blocks) + packer.flush() + SKIPPABLE


def read_or_refuse(path: str, **options: int) -> tuple[CaptureReader | None, Batch]:
    """The reader at its end and all frames; nothing where the file is refused in one line."""
    try:
        return read_whole(path, **options)
    except CaptureError as error:
        said = str(error)
    assert "\n" not in said
    return None, EMPTY


def cut_borders(parts: list[bytes], record_bytes: list[int]) -> dict[int, int]:
    """Where a record ends, and how many frames are before it."""
    borders, at = {}, 0
    for number, (part, length) in enumerate(zip(parts, record_bytes, strict=True)):
        borders[at + length] = number
        at += len(part)
        borders[at] = number
    return borders


@pytest.mark.parametrize("parts", [RECORDS, BLOCKS])
@pytest.mark.parametrize("piece_bytes", [256, 1 << 20])
def test_cut_at_every_byte(tmp_path: Path, parts: list[bytes], piece_bytes: int) -> None:
    """What is whole before the cut is there; the rest is named, unless the cut is between two records."""
    whole = b"".join(parts)
    firsts = [len(section()) if parts is BLOCKS else 24] + [len(part) - 52 * (parts is BLOCKS) for part in parts[1:]]
    borders = cut_borders(parts, firsts)
    for cut in range(4, len(whole) + 1):
        reader, batch = read_whole(written(tmp_path, whole[:cut]), piece_bytes=piece_bytes)
        before = max([border for border in borders if border <= cut], default=0)
        frames = borders.get(before, 0)
        assert seen(batch) == SOME[:frames], cut
        assert reader.sources[0].ending == (None if cut in borders else CutShort(frames, before)), cut


@pytest.mark.parametrize("pack", [gzip.compress, ZSTD.compress, zstd_in_blocks])
def test_packed_and_cut_at_every_byte(tmp_path: Path, pack) -> None:  # type: ignore[no-untyped-def]
    middle = len(b"".join(RECORDS[:2]))
    packed = [pack(b"".join(RECORDS)[:middle]), pack(b"".join(RECORDS)[middle:])]
    whole = b"".join(packed)
    behind = len(SKIPPABLE) if pack is zstd_in_blocks else 0
    borders = {len(part) - less for part in (packed[0], whole) for less in (0, behind)}
    for cut in range(len(whole) + 1):
        reader, batch = read_or_refuse(written(tmp_path, whole[:cut]))
        assert seen(batch) == SOME[: len(batch)]
        if reader is not None:
            assert isinstance(reader.sources[0].ending, CutShort) == (cut not in borders), cut


def test_damaged_packing(tmp_path: Path) -> None:
    """What was unpacked before the damage is handed out."""
    frames = [Sent(i, frame(i * 7919 % 4093, 300)) for i in range(6000)]
    for pack in (gzip.compress, ZSTD.compress):
        packed = bytearray(pack(pcap(frames)))
        middle = len(packed) * 3 // 4
        packed[middle : middle + 40] = b"\xff" * 40
        reader, batch = read_whole(written(tmp_path, bytes(packed)), piece_bytes=4096)
        assert [s[:2] for s in seen(batch)[:3000]] == [
            s[:2] for s in frames[:3000]
        ]  # the rest is a checksum's business
        assert isinstance(reader.sources[0].ending, Damage)


def record(length: int) -> bytes:
    """A pcap record's header, and nothing after it."""
    return struct.pack("<IIII", 0, 0, length, length)


def changed(made: bytes, at: int, value: int) -> bytes:
    """The same bytes with another number at some place."""
    return made[:at] + struct.pack("<I", value & 0xFFFFFFFF) + made[at + 4 :]


GOOD = packet(7, frame(1))


@pytest.mark.parametrize(
    ("start", "good", "bad", "message"),
    [
        (pcap([]), pcap(SOME[:1])[24:], record(MIB_16 + 1), "longer than 16 MiB"),
        (pcap([]), pcap(SOME[:1])[24:], record(0xFFFFFFFF), "longer than 16 MiB"),
        (START, GOOD, changed(GOOD, 4, 93), "not a multiple of four"),
        (START, GOOD, changed(GOOD, 4, 0), "below twelve"),
        (START, GOOD, changed(GOOD, 4, 8), "below twelve"),
        (START, GOOD, changed(GOOD, 4, 28), "too short for what must be in it"),
        (START, GOOD, changed(GOOD, 4, MIB_16 + 4), "longer than 16 MiB"),
        (START, GOOD, changed(GOOD, len(GOOD) - 4, 96), "whose two lengths differ"),
        (START, GOOD, changed(GOOD, 20, 61), "longer than its block"),
        (START, GOOD, changed(GOOD, 20, 0xFFFFFFFF), "longer than its block"),
        (START, GOOD, changed(GOOD, 8, 1), "an interface that is not described"),
        (START, GOOD, changed(GOOD, 8, 0xFFFFFFFF), "an interface that is not described"),
        (START, GOOD, old_packet(0, frame(1), which=1), "an interface that is not described"),
        (START, GOOD, simple_packet(frame(1), wire=61), "longer than its block"),
        (START, GOOD, section() + simple_packet(frame(1)), "an interface that is not described"),
        (START, GOOD, block(3, b""), "too short for what must be in it"),
        (START, GOOD, block(1, b""), "too short for what must be in it"),
        (START, GOOD, block(0x0A0D0D0A, bytes(16)), "without a byte order"),
        (START, GOOD, changed(section(), 4, 24), "too short for what must be in it"),
        (START, GOOD, changed(interface(), 4, 21), "not a multiple of four"),
        (START, GOOD, changed(block(5, bytes(40)), 48, 56), "whose two lengths differ"),
        (START, GOOD, changed(block(5, bytes(40)), 4, 51), "not a multiple of four"),
    ],
)
@pytest.mark.parametrize("piece_bytes", [256, 1 << 20])
def test_damage(tmp_path: Path, start: bytes, good: bytes, bad: bytes, message: str, piece_bytes: int) -> None:
    """The frames before it are all there; the place and the reason are said."""
    whole = start + 5 * good
    reader, batch = read_whole(written(tmp_path, whole + bad + 5 * good), piece_bytes=piece_bytes)
    ending = reader.sources[0].ending
    assert len(batch) == 5
    assert isinstance(ending, Damage)
    assert message in ending.message
    second = len(section()) if bad.startswith(section()) and len(bad) > len(section()) else 0
    assert ending.offset == len(whole) + second
    assert str(ending) == f"damaged at byte {ending.offset}: {ending.message}"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\xd4\xc3\xb2", "is too short for a capture"),
        (b"hello, this is a text and no capture", "is no capture"),
        (section()[:8] + b"what" + section()[12:], "is no capture"),
        (b"\xa1\xb2\xcd\x34" + bytes(20), "is a pcap with Kuznetsov's patch"),
        (b"\x34\xcd\xb2\xa1" + bytes(20), "is a pcap with Kuznetsov's patch"),
        (b"snoop\0\0\0" + bytes(20), "is a snoop capture"),
        (b"\xfd7zXZ\0" + bytes(20), "is packed with xz"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (gzip.compress(pcap(SOME), mtime=0)[:12], "is cut short"),
        (ZSTD.compress(b""), "is empty"),
        (ZSTD.compress(pcap(SOME))[:-1], "is cut short"),
        (gzip.compress(b"hello, this is a text", mtime=0), "is no capture"),
        (gzip.compress(gzip.compress(pcap(SOME), mtime=0), mtime=0), "is no capture"),
        (b"\x1f\x8b" + bytes(20), "the gzip data is damaged"),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 20, "the zstd data is damaged"),
        (pcap([])[:4] + b"\1\0\2\0" + pcap([])[8:], "a pcap of version 1.2"),
    ],
)
def test_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = written(tmp_path, data)
    with pytest.raises(CaptureError) as caught:
        read_captures([path])
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert message in said
    assert "pcap" in said
    assert "\n" not in said


def test_cannot_be_opened(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.pcap", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(CaptureError, match=f"{path}: cannot be opened: {reason}"):
            read_captures([path])
    with pytest.raises(CaptureError, match="only once"):
        read_captures(["-", "-"])
    with pytest.raises(CaptureError, match="null byte"):
        read_captures(["a\0b"])


def test_damaged_while_a_block_is_skipped(tmp_path: Path) -> None:
    """A block says that it is longer than all there is, then the packed data breaks: the damage is where it breaks."""
    data = b"".join(BLOCKS) + struct.pack("<II", 0xBAD, 1 << 27) + bytes(2000)
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH) + b"\xff" * 8
    path = written(tmp_path, packed)
    for piece_bytes in (256, 512, 1 << 20):
        reader, _ = read_or_refuse(path, piece_bytes=piece_bytes)
        assert reader is not None
        ending = reader.sources[0].ending
        assert isinstance(ending, Damage)
        assert ending.offset == len(data)


def test_piece_bytes_have_a_least_size(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="256 or more"):
        read_captures([written(tmp_path, pcap([]))], piece_bytes=255)


@settings(max_examples=300, deadline=None)
@given(
    whole=st.sampled_from(
        [b"".join(RECORDS), b"".join(BLOCKS), gzip.compress(b"".join(BLOCKS), mtime=0), ZSTD.compress(b"".join(BLOCKS))]
    ),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6),
    piece_bytes=st.sampled_from([256, 1 << 20]),
)
def test_any_bytes_changed(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, changes: list[tuple[int, int]], piece_bytes: int
) -> None:
    """Whatever is in a file: frames, an ending or a CaptureError, and the same for every size of pieces."""
    data = bytearray(whole)
    for at, value in changes:
        data[at % len(data)] = value
    path = written(tmp_path_factory.getbasetemp(), bytes(data), "changed")
    reader, batch = read_or_refuse(path, piece_bytes=piece_bytes)
    again, same = read_or_refuse(path, piece_bytes=512)
    assert seen(batch) == seen(same)
    assert (reader and reader.sources[0].ending) == (again and again.sources[0].ending)

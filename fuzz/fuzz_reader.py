"""Fuzzing of reading: pcap and pcapng, plain, gzip and zstd; the size of pieces must not change a thing."""

import gzip
import os
import random
import zlib
from collections.abc import Callable
from typing import Final

from fuzz.frames import Outcome, frames_seen
from iochain.batch import EMPTY, Batch, joined
from iochain.capture import CaptureError, CaptureReader, read_captures
from iochain.capture.formats import GZIP_MAGIC, ZSTD_MAGIC

LONGEST: Final = 4096
WORDS: Final = (
    b"\xd4\xc3\xb2\xa1\2\0\4\0",
    b"\xa1\xb2\xc3\xd4\0\2\0\4",
    b"\x4d\x3c\xb2\xa1",
    b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\1\0\0\0",
    b"\x0a\x0d\x0d\x0a\0\0\0\x1c\x1a\x2b\x3c\x4d\0\1\0\0",
    b"\1\0\0\0\x14\0\0\0\1\0\0\0\0\0\0\0\x14\0\0\0",
    b"\6\0\0\0\x2c\0\0\0",
    b"\2\0\0\0\x2c\0\0\0",
    b"\3\0\0\0\x20\0\0\0",
    b"\x09\0\1\0\x09\0\0\0",
    b"\x0e\0\x08\0",
    b"\xff\xff\xff\xff",
)
"""Byte strings worth trying."""

_LOOKED_AT: Final = 2
_LEAST_PIECE, _ORDINARY_PIECE = 256, 1 << 16
_LONGEST_UNPACKED: Final = 16 << 10


def outcome(data: bytes) -> Outcome:
    """What is read of a file with these bytes."""
    descriptor = os.memfd_create("capture")
    try:
        os.write(descriptor, data)
        path = f"/proc/self/fd/{descriptor}"
        read, batch = _read(path, _ORDINARY_PIECE)
        in_small_pieces, _ = _read(path, _LEAST_PIECE)
        assert read == in_small_pieces, f"{read}\n{in_small_pieces}"
    finally:
        os.close(descriptor)
    said = [part.replace(path, "the file") if isinstance(part, str) else part for part in read]
    return [*said, frames_seen(batch[:_LOOKED_AT])]


def mutate(data: bytes, longest: int, seed: int, mutated: Callable[[bytes, int], bytes]) -> bytes:
    """Change a packed file inside, three times out of four; else, and where it is not packed, change its bytes."""
    chance = random.Random(seed)
    if chance.random() < 0.25 or not data.startswith((GZIP_MAGIC, ZSTD_MAGIC)):
        return mutated(data, longest)
    packed = _packed(mutated(_unpacked(data), _LONGEST_UNPACKED), data.startswith(GZIP_MAGIC))
    return packed if len(packed) <= longest else mutated(data, longest)


def _read(path: str, piece_bytes: int) -> tuple[Outcome, Batch]:
    """All that a reader says of a file, after looking at what must hold."""
    try:
        with read_captures([path], piece_bytes=piece_bytes) as reader:
            batch = joined([piece.batch for piece in reader])
    except CaptureError as error:
        return _refusal(error), EMPTY
    _hold(reader, batch)
    source = reader.sources[0]
    said = [str(source.ending), repr(reader.interfaces), source.frames, dict(source.passed_over), source.short]
    frames = [batch.frame_bytes(index).hex() for index in range(len(batch))]
    columns = [batch.column(name).tolist() for name in ("time_ns", "order", "wire_length", "tag", "interface")]
    return [*said, source.held_back, source.largest_step_back_ns, frames, columns], batch


def _refusal(error: CaptureError) -> Outcome:
    assert "\n" not in str(error)
    return [str(error)]


def _hold(reader: CaptureReader, batch: Batch) -> None:
    """What holds of every file, whatever is in it."""
    source = reader.sources[0]
    assert source.frames == len(batch) + source.short + sum(source.passed_over.values())
    rows = batch.rows
    assert (rows["length"] >= 14).all()
    assert (rows["length"] <= rows["wire_length"]).all()
    assert ((rows["skip"] == 12) | ((rows["skip"] == 16) & (rows["tag"] >= 0))).all()
    assert (rows["time_ns"][1:] >= rows["time_ns"][:-1]).all()
    assert (rows["order"][1:] > rows["order"][:-1]).all()
    assert (rows["time_ns"] >= 0).all()
    assert ((rows["interface"] >= 0) & (rows["interface"] < len(reader.interfaces))).all()


def _unpacked(data: bytes) -> bytes:
    """As much of a packed file as can be unpacked."""
    try:
        if data.startswith(GZIP_MAGIC):
            return zlib.decompressobj(31).decompress(data, _LONGEST_UNPACKED)
        import zstandard

        return zstandard.ZstdDecompressor().decompressobj().decompress(data)[:_LONGEST_UNPACKED]
    except Exception:
        return b""


def _packed(data: bytes, is_gzip: bool) -> bytes:
    """A packed file."""
    if is_gzip:
        return gzip.compress(data, mtime=0)
    import zstandard

    return zstandard.ZstdCompressor(write_checksum=True).compress(data)

"""Bytes lie in their pages of memory as they do in the file's: copying them is up to five times quicker so."""

import ctypes
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from captures_made import Sent, frame, nanoseconds, packet, pcap, section, seen, written
from hypothesis import given, settings
from hypothesis import strategies as st

from iochain.batch import batch_of, joined
from iochain.capture import OutInterface, PcapDirectory, PcapngWriter, read_captures, streams, writer
from iochain.capture.memory import PAGE_BYTES, BufferPool, Collected

ONE = [OutInterface("vmnic0")]
LENGTHS = st.lists(st.integers(14, 3000), min_size=1, max_size=120)
Copies = list[tuple[int, int, int]]


def copied_at(data: Any) -> tuple[int, int]:
    """Address and length of what the system is given."""
    memory = np.frombuffer(data, np.uint8)
    return memory.ctypes.data, len(memory)


class NotingFile(FileIO):
    """A file that notes what the system copies: the place in the file, the address, the length."""

    copies: Copies

    def readinto(self, target: Any, /) -> int:
        at, (address, _) = self.tell(), copied_at(target)
        count = super().readinto(target)
        self.copies.append((at, address, count))
        return count

    def write(self, data: Any, /) -> int:
        self.copies.append((self.tell(), *copied_at(data)))
        return super().write(data)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Copies:
    """Where the bytes of all copies lay, in the file and in memory."""
    noted: Copies = []
    monkeypatch.setattr(NotingFile, "copies", noted, raising=False)
    monkeypatch.setattr(streams, "FileIO", NotingFile)
    monkeypatch.setattr(writer, "FileIO", NotingFile)
    return noted


def lie_alike(copies: Copies) -> bool:
    """Whether each byte lies at the same place of a page in the file and in memory."""
    assert copies
    return all((at - address) % PAGE_BYTES == 0 for at, address, _ in copies)


def frames_of(lengths: list[int]) -> list[Sent]:
    """Frames of these lengths."""
    return [Sent(1000 * i, frame(i, length)) for i, length in enumerate(lengths)]


@pytest.mark.parametrize("piece_bytes", [256, 1000, 5000, 1 << 16, 4 << 20])
@pytest.mark.parametrize("form", ["pcap", "pcapng"])
@settings(max_examples=20)
@given(lengths=LENGTHS)
def test_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, form: str, piece_bytes: int, lengths: list[int]
) -> None:
    sent = frames_of(lengths)
    blocks = [packet(time_ns, data) for time_ns, data, _ in sent]
    data = pcap(sent) if form == "pcap" else section() + nanoseconds() + b"".join(blocks)
    path = written(tmp_path_factory.mktemp("read"), data)
    with pytest.MonkeyPatch.context() as patched:
        noted: Copies = []
        patched.setattr(NotingFile, "copies", noted, raising=False)
        patched.setattr(streams, "FileIO", NotingFile)
        with read_captures([path], piece_bytes=piece_bytes) as reader:
            found = [got for piece in reader for got in seen(piece.batch)]
    assert [(got.time_ns, got.data) for got in found] == [(one.time_ns, one.data) for one in sent]
    assert lie_alike(noted)
    assert sum(count for *_, count in noted) == len(data) - 4  # but for those looked at for recognition


def test_large_frames_have_buffers_of_their_own(tmp_path: Path, copies: Copies) -> None:
    sent = frames_of([60, 70_001, 60, 300, 250_003, 61])
    with read_captures([written(tmp_path, pcap(sent))], piece_bytes=1024) as reader:
        found = [got.data for piece in reader for got in seen(piece.batch)]
    assert found == [one.data for one in sent]
    assert lie_alike(copies)


def test_what_is_written(tmp_path: Path, copies: Copies) -> None:
    """A frame that needs a greater buffer, and header and comments of odd lengths."""
    batch = joined(batch_of([(frame(i, 60 + i % 1400), i)]) for i in range(2500))
    long = batch_of([(frame(1, 3 << 20), 9)])
    path = tmp_path / "made.pcapng"
    with PcapngWriter(str(path), ONE, comment="odd") as made:
        for part in (batch, long, batch):
            made.write(part, 0, 1, made.comment("why"))
            made.flush()
    header, *blocks = copies  # the header is not collected
    assert header[0] == 0
    assert lie_alike(blocks)
    assert len(blocks) == 4
    assert sum(count for *_, count in copies) > 6 << 20
    with read_captures([path]) as reader:
        assert [got.data for piece in reader for got in seen(piece.batch)][:2500] == [got.data for got in seen(batch)]


def test_folders_too(tmp_path: Path) -> None:
    """Their files are open only while something is written, so here what is collected says where it lies."""
    batch = joined(batch_of([(frame(i, 300 + i % 1100), i)]) for i in range(2500))
    with PcapDirectory(tmp_path, ONE) as folder:
        for _ in range(3):
            folder.write(batch, 0)
            [file] = folder._files.values()
            assert (file._collected.target - file._collected.filled - file.bytes) % PAGE_BYTES == 0
    assert file.bytes == file.path.stat().st_size == folder.bytes


@given(st.integers(0, 1 << 40), st.integers(1, 300_000))
def test_buffers(position: int, size: int) -> None:
    pool = BufferPool(size, kept=1)
    for needed in (0, size, size + 1):
        buffer = pool.buffer(needed, position)
        assert (buffer.address - position) % PAGE_BYTES == 0
        assert buffer.address == buffer.memory.ctypes.data
        assert len(buffer.memory) == len(buffer.view()) == max(needed, size)
        buffer.memory[:] = 7
        assert ctypes.string_at(buffer.address, 1) == b"\7"
        del buffer


@given(st.integers(0, 1 << 40), st.integers(1, 300_000))
def test_collected(position: int, size: int) -> None:
    collected = Collected(size, 0)
    for place in (position, position + 12345):
        collected.begin(place)
        assert collected.room == size
        assert size < 1 << 16 or (collected.target - place) % PAGE_BYTES == 0
        ctypes.memset(collected.target, 9, size)
        collected.filled = size
        assert collected.room == 0
        assert collected.bytes.tobytes() == bytes([9]) * size

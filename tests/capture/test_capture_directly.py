"""Packing kernels write by themselves what is full: the same bytes as from Python, which says what went wrong."""

import ctypes
import errno
import gc
import io
import os
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from captures_made import frame, read_whole
from hypothesis import event, given, settings
from hypothesis import strategies as st

from iochain.batch import Batch, batch_of, joined
from iochain.capture import CaptureError, OutInterface, PcapngWriter, writer
from iochain.capture.beside import Beside
from iochain.capture.memory import PAGE_BYTES
from iochain.capture.system import WRITE
from iochain.capture.writer import ByPort

pytestmark = pytest.mark.skipif(not WRITE, reason="kernels cannot write on this system")

ONE = [OutInterface("vmnic0"), OutInterface("web")]
Answer = Callable[[int, int, int], int]
"""What the system does with file, address and length: how many bytes it took, or -1."""


def taken(file: int, address: int, count: int) -> int:
    """The system's write."""
    return os.write(file, ctypes.string_at(address, count))


class System:
    """A write that answers as it is told, and notes what it was asked for."""

    def __init__(self, answer: Answer = taken) -> None:
        self.asked: list[tuple[int, int, int]] = []
        self._answer = answer
        kind = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
        self._function = kind(self._write)
        self.address = ctypes.cast(self._function, ctypes.c_void_p).value

    def _write(self, file: int, address: int, count: int) -> int:
        self.asked.append((file, address, count))
        return self._answer(file, address, count)


@pytest.fixture
def answers() -> Iterator[Callable[[Answer], System]]:
    """Put a system in the place of this one."""
    systems: list[System] = []
    with pytest.MonkeyPatch.context() as patched:

        def place(answer: Answer) -> System:
            systems.append(System(answer))
            patched.setattr(writer, "WRITE", systems[-1].address)
            return systems[-1]

        yield place


def many(count: int = 3000, least: int = 14) -> Batch:
    """Frames of many lengths, some with a tag, some padded; at ports 0 to 2."""
    batch = joined(batch_of([(frame(i, least + i * 7 % 1500), i)]) for i in range(count))
    batch.column("tag")[::3] = 5
    batch.column("pad")[::7] = 11
    batch.column("port")[:] = np.arange(count) % 3
    return batch


TABLES = ByPort(np.array([1, 0, 1]), np.array([2, 0, 1], np.uint8))


def give(made: PcapngWriter, batch: Batch) -> None:
    """A batch in one call and in two, by row and by port."""
    made.write(batch[: len(batch) // 2], 0, 1, made.comment("why"))
    made.write(batch[len(batch) // 2 :], 1)
    made.write_by_port(batch, TABLES)


def give_all(made: PcapngWriter, *batches: Batch) -> None:
    """The same of several batches, until all is written."""
    for batch in batches:
        give(made, batch)
    made.flush()


def as_python_writes(*batches: Batch) -> bytes:
    """What reaches a stream that kernels cannot write to."""
    stream = io.BytesIO()
    with PcapngWriter(stream, ONE) as made:
        for batch in batches:
            give(made, batch)
    return stream.getvalue()


sizes = st.lists(
    st.one_of(st.integers(14, 300), st.integers(14, 3000), st.integers(14, 70_000)), min_size=1, max_size=40
)


@settings(max_examples=60, deadline=None)
@given(
    lengths=sizes,
    buffer_bytes=st.sampled_from([200, 5000, 1 << 16, 100_001, 1 << 18]),
    most=st.sampled_from([1 << 30, 70_000, 4096, 999]),
    faults=st.integers(0, 7),
)
def test_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], buffer_bytes: int, most: int, faults: int
) -> None:
    """However few bytes the system takes at a time, and where it takes none at times."""
    path = tmp_path_factory.getbasetemp() / "direct.pcapng"

    def some(file: int, address: int, count: int) -> int:
        if len(system.asked) % 8 < faults:
            return -1
        return taken(file, address, min(count, most))

    batch = batch_of([(frame(i, length), i) for i, length in enumerate(lengths)])
    batch.column("tag")[::3] = 5
    batch.column("pad")[::2] = 33
    batch.column("port")[:] = np.arange(len(batch)) % 3
    system = System(some)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(writer, "WRITE", system.address)
        patched.setattr(writer, "BUFFER_BYTES", buffer_bytes)
        with PcapngWriter(path, ONE) as made:
            for _ in range(2):
                give(made, batch)
                assert made.bytes >= path.stat().st_size
            assert (made.bytes, made.frames) == (made.bytes, 4 * len(batch))
    event(f"kernels wrote {min(len(system.asked), 5)} times or more")
    assert path.read_bytes() == as_python_writes(batch, batch)
    assert made.bytes == path.stat().st_size


def test_kernels_write(tmp_path: Path, answers: Callable[[Answer], System]) -> None:
    """Whole buffers, which lie in their pages as in the file's; beginning and end of the file are left to Python."""
    system, batch = answers(taken), many()
    with PcapngWriter(tmp_path / "made", ONE) as made:
        for _ in range(3):
            give(made, batch)
        made.flush()
        assert made.bytes == (tmp_path / "made").stat().st_size
    assert (tmp_path / "made").read_bytes() == as_python_writes(batch, batch, batch)
    assert len(system.asked) > 10
    place = system.asked[0][1]
    for _, address, count in system.asked:
        assert (address - place) % PAGE_BYTES == 0
        assert (1 << 20) - 2000 < count <= 1 << 20
        place += count
    sent = sum(count for *_, count in system.asked)
    assert 0 < made.bytes - sent < (1 << 20) + 2000


@pytest.mark.parametrize("wanted", [io.BytesIO, lambda: io.BufferedWriter(io.BytesIO())])
def test_not_to_streams_of_others(answers: Callable[[Answer], System], wanted: Callable[[], Any]) -> None:
    system, stream, batch = answers(taken), wanted(), many()
    with PcapngWriter(stream, ONE) as made:
        give(made, batch)
    stream.flush()
    assert getattr(stream, "raw", stream).getvalue() == as_python_writes(batch)
    assert not system.asked


def test_not_past_a_buffer_of_the_callers(tmp_path: Path, answers: Callable[[Answer], System]) -> None:
    """What the caller wrote before stands before it; an unbuffered file is written to by kernels."""
    system, batch = answers(taken), many()
    for buffering in (-1, 0):
        with (tmp_path / "made").open("wb", buffering=buffering) as file:
            file.write(b"before")
            with PcapngWriter(file, ONE) as made:
                give(made, batch)
        assert (tmp_path / "made").read_bytes() == b"before" + as_python_writes(batch)
        assert bool(system.asked) == (buffering == 0)


def test_a_slow_reader(answers: Callable[[Answer], System]) -> None:
    """A pipe, whose reader takes a little at a time."""
    reading, writing = os.pipe()
    system, batch, found = answers(taken), many(), bytearray()

    def read() -> None:
        while data := os.read(reading, 70_001):
            found.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    with FileIO(writing, "w") as file, PcapngWriter(file, ONE) as made:
        for _ in range(2):
            give(made, batch)
    reader.join()
    os.close(reading)
    assert system.asked
    assert bytes(found) == as_python_writes(batch, batch)


def test_a_reader_that_is_not_waited_for() -> None:
    """What a socket takes that does not wait goes out; that it takes no more is an error, as from Python."""
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        made = PcapngWriter(FileIO(here.fileno(), "w", closefd=False), ONE)
        with pytest.raises(CaptureError, match=f"cannot be written: {os.strerror(errno.EAGAIN)}"):
            give_all(made, many())
        made.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_disk_that_is_full(answers: Callable[[Answer], System]) -> None:
    """The system's reason is told, once; after that nothing is written, to whatever the descriptor is now."""
    system, batch = answers(taken), many()
    with (Path("/dev/null")).open("wb", buffering=0) as file:
        made = PcapngWriter(file, ONE)
        with Path("/dev/full").open("wb") as full:
            os.dup2(full.fileno(), file.fileno())
        system._answer = lambda *_: -1
        with pytest.raises(CaptureError, match="/dev/null: cannot be written: No space left on device"):
            give_all(made, batch)
        before = len(system.asked)
        assert before > 0
        with pytest.raises(CaptureError, match="No space left on device"):
            give_all(made, batch)
        assert len(system.asked) == before
        made.close()


def test_a_file_that_the_caller_closed(tmp_path: Path, answers: Callable[[Answer], System]) -> None:
    """Kernels write nothing to the descriptor, which may be another file's by now."""
    system, batch = answers(taken), many()
    file = FileIO(tmp_path / "made", "w")
    made = PcapngWriter(file, ONE)
    file.close()
    with pytest.raises(ValueError, match="closed file"):
        give_all(made, batch)
    assert not system.asked


def test_a_port_that_no_table_has(tmp_path: Path, answers: Callable[[Answer], System]) -> None:
    """What was packed before it is kept, also where the kernel wrote meanwhile."""
    system, batch = answers(taken), many(6000, 200)
    batch.column("port")[5500] = 7
    with PcapngWriter(tmp_path / "made", ONE) as made, pytest.raises(ValueError, match="port 7 of a frame is not"):
        made.write_by_port(batch, TABLES)
    assert system.asked
    again = read_whole(str(tmp_path / "made"))[1]
    assert [again.frame_bytes(i) for i in range(len(again))] == [batch.frame_bytes(i) for i in range(5500)]


class Pin:
    """What keeps memory alive, and can be watched."""

    def __init__(self, memory: object) -> None:
        self.memory = memory


def test_buffers_are_free_once_they_are_packed(tmp_path: Path) -> None:
    """Also while the caller gives no more: a reader goes on with the same memory."""
    with PcapngWriter(tmp_path / "made", ONE) as made:
        give(made, many())
        done = threading.Event()
        batch = many(10)
        pin = Pin(batch.pins)
        weakref.finalize(pin, done.set)
        made.write(Batch(batch.rows, (pin,)), 0)
        del batch, pin
        assert done.wait(60)


class Noting:
    """Work that notes that it was done, and fails where it is told so."""

    def __init__(self) -> None:
        self.done: list[int] = []

    def __call__(self, number: int) -> None:
        self.done.append(number)
        if number < 0:
            raise ValueError(f"number {number}")


def test_work_is_done_in_order() -> None:
    work, beside = Noting(), Beside("test", 2)
    for number in range(100):
        beside.do(work, number)
    beside.wait()
    assert work.done == list(range(100))
    beside.do(work, 100)
    beside.close()
    beside.wait()
    beside.close()
    assert work.done[-1] == 100


def test_what_work_raises_is_met_later() -> None:
    work, beside = Noting(), Beside("test", 3)
    for number in (1, -1, -2):
        beside.do(work, number)
    with pytest.raises(ValueError, match="number -1"):
        beside.wait()
    beside.wait()
    beside.do(work, 2)
    beside.close()
    beside.wait()
    assert work.done == [1, -1, -2, 2]


def test_the_thread_ends_without_close() -> None:
    beside = Beside("test", 2)
    beside.do(Noting(), 1)
    thread = beside._thread
    del beside
    gc.collect()
    thread.join(60)
    assert not thread.is_alive()


def test_the_thread_may_be_the_last_to_refer_to_it() -> None:
    beside = [Beside("test", 2)]
    thread, may = beside[0]._thread, threading.Event()

    def let_go(own: list[Beside]) -> None:
        may.wait(60)
        own.clear()

    beside[0].do(let_go, beside)
    may.set()
    thread.join(60)
    assert not thread.is_alive()

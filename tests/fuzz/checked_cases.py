"""The checked form: what it must refuse. ``test_two_forms.py`` runs this file in a process of that form."""

import inspect
import re
import struct
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from iochain.batch import Batch, batch_of
from iochain.capture import walkers
from iochain.capture.memory import BufferPool
from iochain.capture.packing import pack_blocks, pack_records
from iochain.capture.writer import PcapngWriter
from iochain.kernels import parse, raw, tags
from iochain.kernels.checked import CHECKED, OutOfBounds, Records, known, only
from iochain.kernels.rows import ROW
from iochain.kernels.words import COUNT

ADDRESSES = bytes.fromhex("005056000001 005056000002")
_CHECK = re.compile(r"at \+ (\d+|header) <= end|at \+ \d+ > end|end >= \d+")
TCP = struct.pack(">HHIIHHHH", 1, 2, 3, 4, 0x5002, 5, 6, 7)


def ipv4(protocol: int, inside: bytes, words: int = 5) -> bytes:
    head = struct.pack(">BBHHHBBH", 0x40 | words, 0, 20 + len(inside), 1, 0, 64, protocol, 0)
    return b"\x08\x00" + head + bytes(range(8)) + inside


def ipv6(header: int, inside: bytes) -> bytes:
    return b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, len(inside), header, 64) + bytes(range(32)) + inside


WHOLE = [
    ADDRESSES + rest
    for rest in (
        ipv4(6, TCP),
        ipv4(17, TCP[:8]),
        ipv4(17, bytes(8) + TCP[:8], words=7),
        ipv4(1, b"\x08\x00\0\0"),
        ipv6(6, TCP),
        ipv6(0, b"\x2c\0" + bytes(6) + b"\x11\0\0\0\0\0\0\1" + TCP[:8]),
        ipv6(51, b"\x3a\1" + bytes(10) + b"\x80\0\0\0"),
        b"\x08\x06\0\1\x08\0\6\4\0\1" + bytes(20),
        b"\x81\0\0\5\x88\xa8\0\6" + ipv4(17, TCP[:8]),
        b"\x88\xa8\0\5\x91\0\0\6\x81\0\0\7\x08\0",
        b"\0\x20\xaa\xaa\3",
    )
]


def alone(data: bytes) -> tuple[Any, Batch]:
    """One frame and the memory that it lies in, with nothing behind it."""
    batch = batch_of([(data, 0)])
    return batch.pins[0], batch


def cut_frames() -> Iterator[bytes]:
    """All beginnings of frames that reach every check of the parser, with an IP length that promises more."""
    for whole in WHOLE:
        for end in range(14, len(whole) + 1):
            yield whole[:end]


def mutant(module: ModuleType, old: str, new: str, at: int = 0) -> dict[str, Any]:
    """The names of a module whose text has one place changed."""
    text = inspect.getsource(module)
    assert text[at:].startswith(old) or not at
    changed = text[:at] + new + text[at + len(old) :] if at else text.replace(old, new, 1)
    assert changed != text
    names: dict[str, Any] = {"__name__": "mutant"}
    exec(compile(changed, "mutant", "exec"), names)
    return names


def parse_all(names: dict[str, Any]) -> None:
    """Parse all cut frames, as far as addresses too, each with only its own bytes in reach."""
    words = known(np.zeros(COUNT, np.int64))
    for data in cut_frames():
        memory, batch = alone(data)
        with only([memory, words]):
            names["parse"](batch.rows)
            names["parse_row"](Records(batch.rows)[0], words.ctypes.data, parse.ADDRESSES)


def checks_of_parser() -> list[tuple[int, str]]:
    """Every comparison of a place with the end of the bytes, and where it stands in the text."""
    text = inspect.getsource(parse)
    return [(found.start(), found.group()) for found in _CHECK.finditer(text)]


def test_is_the_checked_form() -> None:
    assert CHECKED
    assert inspect.isfunction(parse.parse_row)


def test_the_parser_stays_inside() -> None:
    parse_all(vars(parse))


@pytest.mark.parametrize(("at", "check"), checks_of_parser())
def test_no_check_of_the_parser_can_be_left_out(at: int, check: str) -> None:
    """Each is needed: without it some frame is read past its end, or has words that it has not."""
    changed = mutant(parse, check, "False" if "+" in check and "> end" in check else "True", at)
    try:
        parse_all(changed)
    except OutOfBounds:
        return
    batches = [alone(data)[1] for data in cut_frames()]
    assert any((changed["parse"](batch.rows) != parse.parse(batch.rows)).any() for batch in batches)


def test_tags_are_lifted_from_whole_ones_only() -> None:
    names = mutant(tags, "length < ETHERNET_BYTES + TAG_BYTES", "False")
    memory = known(np.frombuffer(ADDRESSES + b"\x81\x00", np.uint8))
    rows = np.zeros(1, ROW)
    rows[0] = batch_of([(ADDRESSES + b"\x08\x00", 0)]).rows[0]
    rows["address"] = memory.ctypes.data
    tags.lift_tags(rows)
    assert rows["skip"] == 12
    with pytest.raises(OutOfBounds):
        names["lift_tags"](rows)


@pytest.mark.parametrize(
    ("walk", "check"),
    [
        ("walk_pcap", "end - at < PCAP_RECORD_BYTES"),
        ("walk_pcap", "end - at - PCAP_RECORD_BYTES < length"),
        ("walk_pcapng", "there < BLOCK_BYTES"),
        ("walk_pcapng", "there < total"),
        ("walk_pcapng", "length > total - PACKET_BYTES"),
    ],
)
def test_no_check_of_the_walks_can_be_left_out(walk: str, check: str) -> None:
    """Every beginning of a record, with a length that lies, in memory that ends there."""
    names = mutant(walkers, check, "False")
    with pytest.raises(OutOfBounds):
        walk_beginnings(names[walk], walk == "walk_pcap")
    walk_beginnings(getattr(walkers, walk), walk == "walk_pcap")


def walk_beginnings(walk: Any, is_pcap: bool) -> None:
    """Walk every beginning of a record, and touch what it says is a frame."""
    frame = WHOLE[0]
    for length in (len(frame), len(frame) + 60):
        record = struct.pack("<IIII", 1, 2, length, length) + frame
        padded = frame + bytes(-len(frame) % 4)
        total = 32 + len(padded)
        block = struct.pack("<IIIIIII", 6, total, 0, 0, 5, length, length) + padded + struct.pack("<I", total)
        data = record if is_pcap else block
        for end in range(1, len(data) + 1):
            walk_once(walk, data[:end])


def walk_once(walk: Any, data: bytes) -> None:
    memory = np.frombuffer(data, np.uint8)
    walks, rows, interfaces = np.zeros(1, walkers.WALK), np.zeros(2, ROW), np.zeros(1, walkers.INTERFACE)
    walks["memory"], walks["end"], walks["stop_ns"], walks["interfaces"] = memory.ctypes.data, len(data), 2**62, 1
    interfaces["is_ethernet"], interfaces["quick_factor"], interfaces["quick_limit"] = 1, 1, 2**62
    with only([memory]):
        walk(walks, rows, interfaces)
        for index in range(int(walks["rows"][0])):
            Batch(rows).frame_bytes(index)


def test_a_row_that_is_too_long() -> None:
    memory, batch = alone(WHOLE[0])
    buffer = known(np.zeros(400, np.uint8))
    batch.rows["length"] += 1
    with only([memory, buffer]):
        with pytest.raises(OutOfBounds) as caught:
            pack_records(batch.rows, 0, buffer.ctypes.data, len(buffer))
        assert caught.value.address + caught.value.size == memory.ctypes.data + len(WHOLE[0]) + 1
        with pytest.raises(OutOfBounds):
            batch.frame_bytes(0)


def test_a_buffer_that_is_too_small() -> None:
    _, batch = alone(WHOLE[0])
    buffer = known(np.zeros(16 + len(WHOLE[0]) - 1, np.uint8))
    with pytest.raises(OutOfBounds):
        pack_records(batch.rows, 0, buffer.ctypes.data, len(buffer) + 1)


def test_a_comment_of_no_memory(tmp_path: Any) -> None:
    _, batch = alone(WHOLE[0])
    with PcapngWriter(str(tmp_path / "made.pcapng"), []) as writer:
        number = writer.comment("why")
        table = writer._option_table.copy()
        table["length"][number] += 1
        numbers = np.zeros(1, np.int32)
        columns = (numbers, numbers.astype(np.uint8), numbers, table, writer._collected.state, -1, 0)
        with pytest.raises(OutOfBounds):
            pack_blocks(batch.rows, 0, False, *columns)


def test_memory_is_forgotten_with_its_array() -> None:
    memory = known(np.arange(8, dtype=np.uint8))
    address = memory.ctypes.data
    assert raw.load_u8(address + 7) == 7
    for at in (address - 1, address + 8):
        with pytest.raises(OutOfBounds):
            raw.load_u8(at)
    with pytest.raises(OutOfBounds, match=f"4 bytes at address {address + 6:#x}"):
        raw.load_le32(address + 6)
    del memory
    with pytest.raises(OutOfBounds):
        raw.load_u8(address)


def test_pieces_are_read_as_far_as_they_are_filled_and_while_they_are_pinned() -> None:
    pool = BufferPool(256, kept=1)
    pin = pool.buffer()
    pin.holds(100)
    address = pin.address
    raw.load_u8(address + 99)
    with pytest.raises(OutOfBounds):
        raw.load_u8(address + 100)
    with pytest.raises(OutOfBounds):
        raw.store_u8(address, 0)
    del pin
    with pytest.raises(OutOfBounds):
        raw.load_u8(address)


def test_copies_do_not_overlap() -> None:
    memory = known(np.zeros(40, np.uint8))
    address = memory.ctypes.data
    raw.copy(address, address + 20, 20)
    raw.copy(0, 0, 0)
    with pytest.raises(ValueError, match="onto itself"):
        raw.copy(address, address + 19, 20)
    with pytest.raises(OutOfBounds):
        raw.copy(address, address + 21, 20)
    with pytest.raises(OutOfBounds):
        raw.copy(address, address + 20, -1)


def test_records_write_through_and_refuse_what_does_not_fit() -> None:
    rows = np.zeros(2, ROW)
    records = Records(rows)
    records[0].length = 60
    records[1] = records[0]
    assert rows["length"].tolist() == [60, 60]
    assert len(records) == 2
    with pytest.raises(OverflowError, match="length is 2147483648; it can be from -2147483648 to 2147483647"):
        records[0].length = 1 << 31
    with pytest.raises(AttributeError, match="no field 'lenght'"):
        _ = records[0].lenght
    with pytest.raises(IndexError):
        records[2]

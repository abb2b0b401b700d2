"""Compiled writers: rows become pcapng blocks or pcap records in a buffer that is then written in one go.

A frame's bytes are its twelve address bytes, the tag that is carried beside them, the rest, and zeros for ``pad``.
"""

from typing import Any, Final

import numpy as np
from numba import from_dtype, types

from iochain.capture.formats import ENHANCED_PACKET_BLOCK, PACKET_BYTES, PCAP_RECORD_BYTES
from iochain.capture.memory import COLLECTED
from iochain.capture.system import write_all
from iochain.kernels.compiled import compiled, part, part_in_line
from iochain.kernels.raw import (
    copy,
    load_le32,
    load_le64,
    prefetch,
    row_at,
    signed,
    store_be16,
    store_le32,
    store_le64,
    store_u8,
)
from iochain.kernels.rows import ADDRESS_BYTES, NO_TAG, ROW_BYTES, ROWS, TAG_BYTES

OPTION: Final = np.dtype([("address", np.int64), ("length", np.int64)])
"""Where a whole option lies, header and padding counted; an empty one has no length."""
OPTIONS = types.Array(from_dtype(OPTION), 1, "C")
COLLECTEDS = types.Array(from_dtype(COLLECTED), 1, "C")
_INTS = types.Array(types.int32, 1, "C", readonly=True)
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)

NO_PORT: Final = -1
"""What stands for row 0 where it is at a port that no table has; for those behind it less than that."""

_TPID: Final = 0x8100
_FLAGS_OPTION: Final = 2 | 4 << 16  # epb_flags, four bytes long
_FLAGS_BYTES: Final = 8
_END_BYTES: Final = 4
_MAX_SECONDS: Final = 2**32 - 1
_LOW_32: Final = 2**32 - 1
_STEP_BYTES: Final = 32
_SHORT_BYTES: Final = 256
"""Up to here steps are quicker than the C library's copy, which begins with a choice that nobody foresees."""
_LINE_BYTES: Final = 64
_ROWS_AHEAD: Final = 4


@part
def fetch_payload(row: Any) -> None:
    """Have a frame's bytes fetched that is packed soon: another core read them, so they are not in this one's cache."""
    address = row.address
    for line in range(address, address + row.length, _LINE_BYTES):
        prefetch(line)


@part_in_line
def copy_rest(target: int, source: int, count: int) -> None:
    """Copy the bytes of a frame behind its addresses; those of short frames in few steps, which may overlap."""
    if count > _SHORT_BYTES or count < _STEP_BYTES:
        copy(target, source, count)
        return
    last = count - _STEP_BYTES
    for at in range(0, last, _STEP_BYTES):
        copy(target + at, source + at, _STEP_BYTES)
    copy(target + last, source + last, _STEP_BYTES)


@part_in_line
def store_frame(target: int, row: Any) -> None:
    """Put the bytes of a row to ``target``, where there is room for all of them."""
    source = row.address
    store_le64(target, load_le64(source))
    store_le32(target + 8, load_le32(source + 8))
    target += ADDRESS_BYTES
    if row.tag != NO_TAG:
        store_be16(target, _TPID)
        store_be16(target + 2, row.tag)
        target += TAG_BYTES
    rest = row.length - ADDRESS_BYTES
    copy_rest(target, source + row.skip, rest)
    for at in range(target + rest, target + rest + row.pad):
        store_u8(at, 0)


@part
def beside(row: Any) -> int:
    """How many bytes a frame has beside those that ``length`` counts: its tag and its padding."""
    return int(row.pad + (TAG_BYTES if row.tag != NO_TAG else 0))


@part
def write_collected(collected: Any, target: int, file: int, write: int) -> bool:
    """Write what lies before ``target``, so that all room is free; False if the system did not take everything."""
    size = collected.end - collected.start
    written = write_all(write, file, collected.start, target) - collected.start
    memory = collected.start - collected.start % collected.slack
    collected.position += written
    collected.start += written
    if collected.start < target:
        return False
    collected.start = memory + collected.start % collected.slack
    collected.end = collected.start + size
    return True


@compiled(
    types.int64(ROWS, types.int64, types.boolean, _INTS, _BYTES, _INTS, OPTIONS, COLLECTEDS, types.int64, types.int64)
)
def pack_blocks(
    rows: Any,
    first: int,
    by_port: bool,
    interface: Any,
    direction: Any,
    comment: Any,
    comments: Any,
    collected: Any,
    file: int,
    write: int,
) -> int:
    """Collect the rows from ``first`` on as enhanced packet blocks; what is full is written to ``file`` with ``write``.

    Returns the first row for which there was no room: without ``file`` (-1), where the system did not take everything,
    and where it has more bytes than there is room at all. Interface, direction and comment are by row, or by port;
    ``comments`` has an empty option at its end, which comment -1 means. A row at a port that is not in the tables ends
    it all: NO_PORT less its number is returned.
    """
    state = collected[0]
    target, end = state.target, state.end
    ports = len(interface)
    address, last = signed(rows.ctypes.data), len(rows) - 1
    for i in range(first, len(rows)):
        fetch_payload(row_at(address + ROW_BYTES * min(i + _ROWS_AHEAD, last)))
        row = row_at(address + ROW_BYTES * i)
        at = i
        if by_port:
            at = row.port
            if not 0 <= at < ports:
                state.target = target
                return NO_PORT - i
        more = beside(row)
        length = row.length + more
        padded = (length + 3) & ~3
        option = comments[comment[at]]
        flags = _FLAGS_BYTES if direction[at] else 0
        options = option.length + flags
        total = PACKET_BYTES + padded + options + (_END_BYTES if options else 0)
        if total > end - target:
            state.target = target
            if file < 0 or total > end - state.start or not write_collected(state, target, file, write):
                return i
            target, end = state.start, state.end
        time_ns = row.time_ns
        store_le64(target, ENHANCED_PACKET_BLOCK | total << 32)
        store_le64(target + 8, int(interface[at]) | (time_ns >> 32) << 32)
        store_le64(target + 16, (time_ns & _LOW_32) | length << 32)
        store_le32(target + 24, row.wire_length + more)
        store_le32(target + 28 + padded - 4, 0)  # the padding, before the frame covers what is not padding
        store_frame(target + 28, row)
        target += 28 + padded
        if flags:
            store_le64(target, _FLAGS_OPTION | int(direction[at]) << 32)
            target += _FLAGS_BYTES
        if option.length:
            copy(target, option.address, option.length)
            target += option.length
        if options:
            store_le32(target, 0)
            target += _END_BYTES
        store_le32(target, total)
        target += 4
    state.target = target
    return len(rows)


@compiled(types.UniTuple(types.int64, 2)(ROWS, types.int64, types.int64, types.int64))
def pack_records(rows: Any, first: int, target: int, room: int) -> tuple[int, int]:
    """Put the rows from ``first`` on to ``target`` as records of a nanosecond pcap, as many as fit into ``room`` bytes.

    Returns the first row that did not fit, and how many bytes were filled.
    """
    start = target
    for i in range(first, len(rows)):
        row = rows[i]
        more = beside(row)
        length = row.length + more
        if PCAP_RECORD_BYTES + length > start + room - target:
            return i, target - start
        seconds = row.time_ns // 10**9
        store_le32(target, min(seconds, _MAX_SECONDS))
        store_le32(target + 4, row.time_ns - seconds * 10**9)
        store_le32(target + 8, length)
        store_le32(target + 12, row.wire_length + more)
        store_frame(target + PCAP_RECORD_BYTES, row)
        target += PCAP_RECORD_BYTES + length
    return len(rows), target - start

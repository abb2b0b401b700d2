"""Compiled writers: rows become pcapng blocks or pcap records in a buffer that is then written in one go.

A frame's bytes are its twelve address bytes, the tag that is carried beside them, the rest, and zeros for ``pad``.
"""

from typing import Any, Final

import numpy as np
from numba import from_dtype, types

from iochain.capture.formats import ENHANCED_PACKET_BLOCK, PACKET_BYTES, PCAP_RECORD_BYTES
from iochain.kernels.compiled import compiled, part
from iochain.kernels.raw import copy, load_le32, load_le64, store_be16, store_le32, store_le64, store_u8
from iochain.kernels.rows import ADDRESS_BYTES, NO_TAG, ROWS, TAG_BYTES

OPTION: Final = np.dtype([("address", np.int64), ("length", np.int64)])
"""Where a whole option lies, header and padding counted; an empty one has no length."""
OPTIONS = types.Array(from_dtype(OPTION), 1, "C")
_INTS = types.Array(types.int32, 1, "C", readonly=True)
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)

_TPID: Final = 0x8100
_FLAGS_OPTION: Final = 2 | 4 << 16  # epb_flags, four bytes long
_FLAGS_BYTES: Final = 8
_END_BYTES: Final = 4
_MAX_SECONDS: Final = 2**32 - 1


@part
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
    copy(target, source + row.skip, rest)
    for at in range(target + rest, target + rest + row.pad):
        store_u8(at, 0)


@part
def beside(row: Any) -> int:
    """How many bytes a frame has beside those that ``length`` counts: its tag and its padding."""
    return int(row.pad + (TAG_BYTES if row.tag != NO_TAG else 0))


@compiled(types.UniTuple(types.int64, 2)(ROWS, types.int64, _INTS, _BYTES, _INTS, OPTIONS, types.int64, types.int64))
def pack_blocks(
    rows: Any, first: int, interface: Any, direction: Any, comment: Any, comments: Any, target: int, room: int
) -> tuple[int, int]:
    """Put the rows from ``first`` on to ``target`` as enhanced packet blocks, as many as fit into ``room`` bytes.

    Returns the first row that did not fit, and how many bytes were filled. Direction and comment count from the same
    row as ``rows``; ``comments`` has an empty option at its end, which comment -1 means.
    """
    start = target
    for i in range(first, len(rows)):
        row = rows[i]
        more = beside(row)
        length = row.length + more
        padded = (length + 3) & ~3
        option = comments[comment[i]]
        flags = _FLAGS_BYTES if direction[i] else 0
        options = option.length + flags
        total = PACKET_BYTES + padded + options + (_END_BYTES if options else 0)
        if total > start + room - target:
            return i, target - start
        store_le32(target, ENHANCED_PACKET_BLOCK)
        store_le32(target + 4, total)
        store_le32(target + 8, interface[i])
        store_le32(target + 12, row.time_ns >> 32)
        store_le32(target + 16, row.time_ns)
        store_le32(target + 20, length)
        store_le32(target + 24, row.wire_length + more)
        store_le32(target + 28 + padded - 4, 0)  # the padding, before the frame covers what is not padding
        store_frame(target + 28, row)
        at = target + 28 + padded
        if flags:
            store_le32(at, _FLAGS_OPTION)
            store_le32(at + 4, direction[i])
            at += _FLAGS_BYTES
        if options:
            copy(at, option.address, option.length)
            at += option.length
            store_le32(at, 0)
            at += _END_BYTES
        store_le32(at, total)
        target = at + 4
    return len(rows), target - start


@compiled(types.UniTuple(types.int64, 2)(ROWS, types.int64, types.int64, types.int64))
def pack_records(rows: Any, first: int, target: int, room: int) -> tuple[int, int]:
    """Put the rows from ``first`` on to ``target`` as records of a nanosecond pcap; returns as :func:`pack_blocks`."""
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

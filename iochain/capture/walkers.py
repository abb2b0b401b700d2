"""Compiled walks over the records of a piece of a capture: from bytes to rows.

A walk goes on from ``walk.position`` until it needs something: more bytes, more rows, or a look at a block that
changes the interfaces, and returns which. It believes no length before it has compared it with what is there; the rows
that it writes need no check after that. Addresses and lengths in a walk are int64.
"""

from enum import IntEnum
from typing import Any, Final

import numpy as np
from numba import from_dtype, types

from iochain.capture.formats import (
    BLOCK_BYTES,
    BYTE_ORDER_MAGIC,
    ENHANCED_PACKET_BLOCK,
    INTERFACE_BLOCK,
    INTERFACE_BYTES,
    MAX_RECORD_BYTES,
    OLD_PACKET_BLOCK,
    PACKET_BYTES,
    PCAP_RECORD_BYTES,
    SECTION_BLOCK,
    SECTION_BYTES,
    SIMPLE_PACKET_BLOCK,
    SIMPLE_PACKET_BYTES,
    SWAPPED_ORDER_MAGIC,
)
from iochain.kernels.compiled import compiled, part, part_in_line
from iochain.kernels.raw import load_be32, load_le32, prefetch, row_at, signed
from iochain.kernels.rows import (
    ADDRESS_BYTES,
    ETHERNET_BYTES,
    MAX_TIME_NS,
    NO_TAG,
    NOWHERE,
    ROW_BYTES,
    ROWS,
    SERIAL_BITS,
    TAG_BYTES,
)
from iochain.kernels.tags import outer_tag

WALK: Final = np.dtype(
    [
        ("memory", np.int64),  # address of the piece
        ("position", np.int64),  # the next record, from the piece's start; beyond ``end`` while a block is skipped
        ("end", np.int64),  # how many bytes of the piece are there
        ("need", np.int64),  # how many bytes from ``position`` on the walk needs to go on
        ("record", np.int64),  # where the record under way begins, from the piece's start (before it: negative)
        ("trailer", np.int64),  # the total length that must stand at ``position``, or 0
        ("swapped", np.int64),  # 1 if numbers are big-endian
        ("source", np.int64),  # number of the source, from 0
        ("interfaces", np.int64),  # how many interfaces the section has by now
        ("rows", np.int64),  # how many rows are written
        ("frames", np.int64),  # how many frames the source had by now, those passed over counted
        ("short", np.int64),  # frames shorter than an Ethernet header
        ("start_ns", np.int64),  # frames before this time are left out
        ("stop_ns", np.int64),  # the walk ends at the first frame of this time or later
        ("latest_ns", np.int64),  # the latest time seen
        ("held_back", np.int64),  # frames whose time was before it
        ("largest_step_ns", np.int64),  # by how much at most
        ("damage", np.int64),  # a Flaw
    ]
)
"""The state of a walk, an array of one."""

INTERFACE: Final = np.dtype(
    [
        ("number", np.int64),  # what rows say: over all sources, or below NOWHERE while it has none
        ("is_ethernet", np.int64),
        ("snap_length", np.int64),  # 0: no limit
        ("passed_over", np.int64),  # frames of another link type
        ("quick_limit", np.int64),  # stamps up to this one ...
        ("quick_factor", np.int64),  # ... times this are nanoseconds since 1970
        ("binary", np.int64),  # 1 if a unit is a power of two of a second
        ("shift", np.uint64),  # binary: 2**shift units a second
        ("per_second", np.uint64),  # decimal: units a second, 0 if that is beyond 64 bits
        ("multiply", np.uint64),  # decimal: from the fraction of a second in units to nanoseconds
        ("divide", np.uint64),  # ... or the other way where units are finer; 0 if that is beyond 64 bits
        ("offset_s", np.int64),  # seconds that are added
    ]
)
"""What the walk must know of an interface of the section."""

_WALK, _INTERFACE = from_dtype(WALK), from_dtype(INTERFACE)
WALKS = types.Array(_WALK, 1, "C")
INTERFACES = types.Array(_INTERFACE, 1, "C")

UNFIT_TIME: Final = -1
_MAX_SECONDS: Final = MAX_TIME_NS // 10**9
_MAX_WIRE: Final = 2**31 - 1


class Halt(IntEnum):
    """Why a walk returned."""

    MORE = 0
    """``need`` bytes from ``position`` on are needed."""
    FULL = 1
    """No row is free."""
    BLOCK = 2
    """A whole section header or interface description stands at ``position``."""
    DAMAGED = 3
    """``damage`` says how."""
    STOPPED = 4
    """A frame came at or after ``stop_ns``."""


class Flaw(IntEnum):
    """What cannot be in a capture."""

    FRAME_TOO_LONG = 0
    ORDER_MAGIC = 1
    BLOCK_LENGTH = 2
    BLOCK_TOO_LONG = 3
    TRAILER = 4
    BLOCK_TOO_SHORT = 5
    NO_INTERFACE = 6
    FRAME_BEYOND_BLOCK = 7


FLAWS: Final = {
    Flaw.FRAME_TOO_LONG: "a record says that its frame is longer than 16 MiB",
    Flaw.ORDER_MAGIC: "a section header without a byte order",
    Flaw.BLOCK_LENGTH: "a block whose length is not a multiple of four, or below twelve",
    Flaw.BLOCK_TOO_LONG: "a block says that it is longer than 16 MiB",
    Flaw.TRAILER: "a block whose two lengths differ",
    Flaw.BLOCK_TOO_SHORT: "a block too short for what must be in it",
    Flaw.NO_INTERFACE: "a frame of an interface that is not described",
    Flaw.FRAME_BEYOND_BLOCK: "a frame that is longer than its block",
}

_MORE, _FULL, _BLOCK, _DAMAGED, _STOPPED = (int(halt) for halt in Halt)
_FRAME_TOO_LONG, _ORDER_MAGIC, _BLOCK_LENGTH, _BLOCK_TOO_LONG = (int(flaw) for flaw in list(Flaw)[:4])
_TRAILER, _BLOCK_TOO_SHORT, _NO_INTERFACE, _FRAME_BEYOND_BLOCK = (int(flaw) for flaw in list(Flaw)[4:])
_GOES_ON: Final = -1


@part
def load32(address: int, swapped: int) -> int:
    """Four bytes in the order of the file."""
    return int(load_be32(address)) if swapped else int(load_le32(address))


@part
def time_in_ns(stamp: int, interface: Any) -> int:
    """The time of a stamp (64 bits without sign) in units of an interface; UNFIT_TIME before 1970 or after 2262."""
    if 0 <= stamp <= interface.quick_limit:
        return int(stamp * interface.quick_factor)
    units = np.uint64(stamp)
    billion = np.uint64(10**9)
    low_half = np.uint64(0xFFFFFFFF)
    zero, word, half = np.uint64(0), np.uint64(64), np.uint64(32)
    seconds, fraction, nanoseconds = zero, units, zero
    if interface.binary:
        shift = interface.shift
        if shift < word:
            seconds = units >> shift
            fraction = units - (seconds << shift)
        if shift <= half:
            nanoseconds = (fraction * billion) >> shift
        elif shift < half + word:  # in two halves, or the product is beyond 64 bits
            product = (fraction >> half) * billion + (((fraction & low_half) * billion) >> half)
            nanoseconds = product >> (shift - half)
    else:
        if interface.per_second != zero:
            seconds = units // interface.per_second
            fraction = units - seconds * interface.per_second
        if interface.divide != zero:
            nanoseconds = fraction * interface.multiply // interface.divide
    # modulo 2**64: a negative sum is beyond the limit too
    since_1970 = seconds + np.uint64(np.int64(interface.offset_s))
    if since_1970 >= np.uint64(_MAX_SECONDS) or (interface.offset_s > 0 and since_1970 < seconds):
        return UNFIT_TIME
    return int(np.int64(since_1970) * 10**9 + np.int64(nanoseconds))


@part
def put_row(row: Any, address: int, time_ns: int, order: int, length: int, wire_length: int, interface: int) -> None:
    """Write the row of the frame at an address, whose bytes are all there; its outer tag is carried beside them."""
    tag = outer_tag(address + ADDRESS_BYTES, length)
    lifted = TAG_BYTES if tag != NO_TAG else 0
    row.address = address
    row.time_ns = time_ns
    row.order = order
    row.length = length - lifted
    row.wire_length = min(max(wire_length, length), _MAX_WIRE) - lifted
    row.tag = tag
    row.entry = NOWHERE
    row.port = NOWHERE
    row.part = 0
    row.interface = interface
    row.skip = ADDRESS_BYTES + lifted
    row.pad = 0
    row.mss = 0
    row.checksum = 0
    row.flags = 0


@part
def accept(walk: Any, row: Any, interface: Any, address: int, time_ns: int, length: int, wire_length: int) -> int:
    """Count one frame whose bytes are all there, and write its row unless it is passed over or too early.

    Here and below, records are handed on and functions put in their caller's place: calls with arrays cost as much
    as the work.
    """
    walk.frames += 1
    if not interface.is_ethernet:
        interface.passed_over += 1
        return _GOES_ON
    if length < ETHERNET_BYTES:
        walk.short += 1
        return _GOES_ON
    if time_ns < walk.latest_ns:
        walk.held_back += 1
        if time_ns != UNFIT_TIME:
            walk.largest_step_ns = max(walk.largest_step_ns, walk.latest_ns - time_ns)
        time_ns = walk.latest_ns
    walk.latest_ns = time_ns
    if time_ns < walk.start_ns:
        return _GOES_ON
    if time_ns >= walk.stop_ns:
        return _STOPPED
    order = (walk.source << SERIAL_BITS) | walk.frames
    put_row(row, address, time_ns, order, length, wire_length, interface.number)
    walk.rows += 1
    return _GOES_ON


@compiled(types.int64(WALKS, ROWS, INTERFACES))
def walk_pcap(walks: Any, rows: Any, interfaces: Any) -> int:
    """Walk the records of a pcap; ``interfaces`` has one element, whose ``quick_factor`` is ns per unit."""
    walk, first = walks[0], signed(rows.ctypes.data)
    if walk.swapped:
        return walk_records(walk, first, len(rows), interfaces[0], 1)
    return walk_records(walk, first, len(rows), interfaces[0], 0)


@part_in_line
def walk_records(walk: Any, first: int, free: int, interface: Any, swapped: int) -> int:
    """Walk records of one byte order, which the compiler knows; there are ``free`` rows, the first at an address.

    What goes on from record to record is in variables: through memory it takes longer than all the rest.
    """
    memory, end, unit_ns = walk.memory, walk.end, interface.quick_factor
    first_order, number = walk.source << SERIAL_BITS, interface.number
    shortest = ETHERNET_BYTES if interface.is_ethernet else MAX_RECORD_BYTES + 1
    start_ns, stop_ns = walk.start_ns, walk.stop_ns
    at, count, frames, latest_ns = walk.position, walk.rows, walk.frames, walk.latest_ns
    halt = _FULL
    while count < free:
        record = memory + at
        if end - at < PCAP_RECORD_BYTES:
            walk.need = PCAP_RECORD_BYTES
            halt = _MORE
            break
        length = load32(record + 8, swapped)
        if length > MAX_RECORD_BYTES:
            walk.damage = _FRAME_TOO_LONG
            halt = _DAMAGED
            break
        if end - at - PCAP_RECORD_BYTES < length:
            walk.need = PCAP_RECORD_BYTES + length
            halt = _MORE
            break
        prefetch(record + 3 * (PCAP_RECORD_BYTES + length))  # frames of one length often follow each other
        time_ns = load32(record, swapped) * 10**9 + load32(record + 4, swapped) * unit_ns
        wire_length, frame = load32(record + 12, swapped), record + PCAP_RECORD_BYTES
        at += PCAP_RECORD_BYTES + length
        row = row_at(first + ROW_BYTES * count)
        if length >= shortest and latest_ns <= time_ns and start_ns <= time_ns < stop_ns:
            frames += 1
            count += 1
            latest_ns = time_ns
            put_row(row, frame, time_ns, first_order | frames, length, wire_length, number)
            continue
        walk.rows, walk.frames, walk.latest_ns = count, frames, latest_ns
        if accept(walk, row, interface, frame, time_ns, length, wire_length) == _STOPPED:
            halt = _STOPPED
        count, frames, latest_ns = walk.rows, walk.frames, walk.latest_ns
        if halt == _STOPPED:
            break
    walk.position, walk.record, walk.rows, walk.frames, walk.latest_ns = at, at, count, frames, latest_ns
    return halt


@part
def end_skipped(walk: Any) -> int:
    """Check the second length of a block that was skipped, so that a damaged one is not followed into nowhere."""
    if walk.end - walk.position < 4:
        walk.need = 4
        return _MORE
    if load32(walk.memory + walk.position, walk.swapped) != walk.trailer:
        walk.damage = _TRAILER
        return _DAMAGED
    walk.position += 4
    walk.trailer = 0
    return _GOES_ON


@part
def whole_block(walk: Any) -> int:
    """Check the block at ``position``: that it is all there if it must be read, and that its lengths make sense."""
    there = walk.end - walk.position
    block = walk.memory + walk.position
    walk.need = BLOCK_BYTES
    if there < BLOCK_BYTES:
        return _MORE
    kind = load32(block, walk.swapped)
    least = BLOCK_BYTES
    if kind == SECTION_BLOCK:
        least = SECTION_BYTES
        magic = load_le32(block + 8)
        if magic != BYTE_ORDER_MAGIC and magic != SWAPPED_ORDER_MAGIC:
            walk.damage = _ORDER_MAGIC
            return _DAMAGED
        walk.swapped = 1 if magic == SWAPPED_ORDER_MAGIC else 0
    elif kind == INTERFACE_BLOCK:
        least = INTERFACE_BYTES
    elif kind in (ENHANCED_PACKET_BLOCK, OLD_PACKET_BLOCK):
        least = PACKET_BYTES
    elif kind == SIMPLE_PACKET_BLOCK:
        least = SIMPLE_PACKET_BYTES
    total = load32(block + 4, walk.swapped)
    if total % 4 or total < BLOCK_BYTES:
        walk.damage = _BLOCK_LENGTH
        return _DAMAGED
    if least == BLOCK_BYTES:  # nothing of interest in it: it is skipped, however long it is
        return _GOES_ON
    if total < least:
        walk.damage = _BLOCK_TOO_SHORT
        return _DAMAGED
    if total > MAX_RECORD_BYTES:
        walk.damage = _BLOCK_TOO_LONG
        return _DAMAGED
    if there < total:
        walk.need = total
        return _MORE
    if load32(block + total - 4, walk.swapped) != total:
        walk.damage = _TRAILER
        return _DAMAGED
    return _GOES_ON


@part
def accept_packet(walk: Any, row: Any, interface: Any, total: int) -> int:
    """Accept the frame of an enhanced packet block, or of the old packet block, which is alike."""
    swapped = walk.swapped
    block = walk.memory + walk.position
    length = load32(block + 20, swapped)
    if length > total - PACKET_BYTES:
        walk.damage = _FRAME_BEYOND_BLOCK
        return _DAMAGED
    stamp = (load32(block + 12, swapped) << 32) | load32(block + 16, swapped)
    wire_length = load32(block + 24, swapped)
    return accept(walk, row, interface, block + 28, time_in_ns(stamp, interface), length, wire_length)


@part
def accept_simple(walk: Any, row: Any, interface: Any, total: int) -> int:
    """Accept the frame of a simple packet block, at the time of the frame before it."""
    block = walk.memory + walk.position
    wire_length = load32(block + 8, walk.swapped)
    length = wire_length
    if interface.snap_length:
        length = min(length, interface.snap_length)
    if length > total - SIMPLE_PACKET_BYTES:
        walk.damage = _FRAME_BEYOND_BLOCK
        return _DAMAGED
    return accept(walk, row, interface, block + BLOCK_BYTES, walk.latest_ns, length, wire_length)


@part
def interface_of(walk: Any, kind: int) -> int:
    """The interface of a frame by its number in the section: 16 bits in the old packet block, else the first."""
    if kind == SIMPLE_PACKET_BLOCK:
        return 0
    which = load32(walk.memory + walk.position + 8, walk.swapped)
    if kind == OLD_PACKET_BLOCK:
        return which >> 16 if walk.swapped else which & 0xFFFF
    return which


@compiled(types.int64(WALKS, ROWS, INTERFACES))
def walk_pcapng(walks: Any, rows: Any, interfaces: Any) -> int:
    """Walk the blocks of a pcapng; Python reads those that change the interfaces."""
    walk = walks[0]
    free = len(rows)
    while walk.rows < free:
        if walk.trailer:
            halt = end_skipped(walk)
            if halt != _GOES_ON:
                return halt
        walk.record = walk.position
        halt = whole_block(walk)
        if halt != _GOES_ON:
            return halt
        block = walk.memory + walk.position
        kind, total = load32(block, walk.swapped), load32(block + 4, walk.swapped)
        if kind in (SECTION_BLOCK, INTERFACE_BLOCK):
            return _BLOCK
        if kind not in (ENHANCED_PACKET_BLOCK, OLD_PACKET_BLOCK, SIMPLE_PACKET_BLOCK):
            walk.position += total - 4
            walk.trailer = total
            continue
        which = interface_of(walk, kind)
        if which >= walk.interfaces:
            walk.damage = _NO_INTERFACE
            return _DAMAGED
        if kind == SIMPLE_PACKET_BLOCK:
            halt = accept_simple(walk, rows[walk.rows], interfaces[which], total)
        else:
            halt = accept_packet(walk, rows[walk.rows], interfaces[which], total)
        if halt == _DAMAGED:
            return halt
        walk.position += total
        if halt != _GOES_ON:
            return halt
    return _FULL

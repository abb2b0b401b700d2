"""The short cut: one look-up for all header stages that a frame passes on end, compiled.

A frame of a capture enters, passes the input chain, the switch and the first header stages of an output chain: four
decisions, each with a key of its own. What they came to together depends on the bits that any of them read, so one
key of all those bits finds it again. A slot of the table is a cache line: kind, three words that every key has, where
the frame goes, and behind them what else stages read. Slots stand in the order in which they were made, and an index
of four bytes for each says by hash where; most of it is in the cache, so that a frame fetches one line from memory.
"""

from typing import Any, Final

import numpy as np
from numba import types

from iochain.engine.counters import IN, cell_of, count_row
from iochain.engine.lookup import derive
from iochain.kernels.compiled import compiled, part, part_in_line
from iochain.kernels.parse import is_plain, parse_row
from iochain.kernels.raw import (
    keep_apart,
    load_be64,
    load_le32,
    load_le64,
    prefetch,
    row_at,
    signed,
    store_le32,
    store_le64,
    store_u8,
    wrapped,
)
from iochain.kernels.rows import FROM_UPLINK, NO_TAG, ROW_BYTES, ROWS, TAG_AT
from iochain.uplink.recognition import unsuspected

GOES_ON, WAITS, LOST, APART, UNKNOWN = range(5)
"""What a short cut has for a frame: it goes to an output chain's first batch stage; to one of its input chain; it is
dropped; it goes more than one way, by single decisions; nothing is known of it."""

LEVEL, PACKED, MORE, DESTINATION, SOURCE = range(5)
"""First columns of a plan: how far to parse, how many derived fields, how many more words, masks of the addresses."""

PAIRS: Final = 5
"""Column of a plan from which on (derived field, argument, shift) follow, then (word, mask)."""

STATE, KEY, PLACE, PORT, WHY, CELL = 0, 1, 4, 5, 6, 7
"""Columns of a slot: FROM_UPLINK << 7 | kind; three words of the key; entry << 32 | tag, as a row has
them; tag at the entry << 32 | port; entry path << 32 | drop; where it is counted as it enters. More words of the key
follow."""

NOT_LOOKED_AT: Final = -1
"""In the place of an MTU: rows are not looked at for what they may ask of adapters."""

SLOT: Final = 8
NO_KEY: Final = -1
"""In the place of a key in slot 0, which stands for those that are not in the table; no key has such a word."""
KEY_WORDS: Final = 3
FIRST_SHIFT: Final = 24
"""Where packed derived fields begin in the first word of a key, above port, side, and whether there is a tag."""

NUMBER_BITS: Final = 22
"""Low bits of a place of the index: the number of a slot. Above it stand the low bits of a key's hash."""
_NUMBER: Final = (1 << NUMBER_BITS) - 1
_REST: Final = (1 << 32 - NUMBER_BITS) - 1

BLOCK: Final = 64
_KIND: Final = 0x7F
_LOW: Final = 0xFFFFFFFF
_PORT_BITS: Final = 0x3FFFFF
_MAC: Final = 0xFFFFFFFFFFFF

_I32 = types.Array(types.int32, 1, "C")
_I64 = types.Array(types.int64, 1, "C")
_INDEX = types.Array(types.uint32, 1, "C")
_U8 = types.Array(types.uint8, 1, "C")
_BOOL = types.Array(types.boolean, 1, "C")
_TABLE = types.Array(types.int64, 2, "C")
_COUNTS = types.Array(types.int64, 4, "C")


@part
def _mask(plan: int, column: int) -> int:
    return load_le64(plan + 8 * column)  # type: ignore[no-any-return]


@part_in_line
def _hash_of(key: int, more: int) -> int:
    """The hash of the three words at ``key``, and ``more`` behind them; its high bits are the best."""
    total = load_le64(key) * -7046029254386353131 + load_le64(key + 8) * -3335678366873096957
    total = wrapped(total + load_le64(key + 16) * -4658895280553007687)
    for i in range(more):
        word = load_le64(key + 24 + 8 * i)
        total = wrapped((total ^ total >> 32 & _LOW ^ word) * -7046029254386353131)
    return wrapped((total ^ total >> 32 & _LOW) * -4265267296055464877)


@part
def _are_plain(first: int, count: int, level: int) -> bool:
    """Whether all rows at an address are plain frames."""
    plain = 0
    for i in range(count):
        plain += is_plain(row_at(first + ROW_BYTES * i), level)
    return plain == count


@part_in_line
def _add_one(field: int, argument: int, shift: int, first: int, count: int, key: int, key_bytes: int) -> None:
    """Put a derived field, whose number the compiler knows, of plain rows at an address into the keys."""
    for i in range(count):
        value = derive(field, row_at(first + ROW_BYTES * i), argument) << shift
        store_le64(key, load_le64(key) | value)
        key += key_bytes


@part
def _add(field: int, argument: int, shift: int, first: int, count: int, key: int, key_bytes: int) -> None:
    """Put a derived field of plain rows at an address into the keys, of those that such a row has all words for."""
    keep_apart()
    if field == 0:
        _add_one(0, argument, shift, first, count, key, key_bytes)
    elif field == 2:
        _add_one(2, argument, shift, first, count, key, key_bytes)
    elif field == 3:
        _add_one(3, argument, shift, first, count, key, key_bytes)


@part
def _read(first: int, count: int, plan: int, scratch: int, key: int) -> None:
    """Fill the words of keys that have to be parsed for, of the rows at an address; ``scratch`` is room to parse in."""
    keep_apart()
    level, packed, more = _mask(plan, LEVEL), _mask(plan, PACKED), _mask(plan, MORE)
    key_bytes = 8 * (1 + KEY_WORDS + more)
    if more == 0 and _are_plain(first, count, level):
        _clear(count, key, key_bytes)
        at = plan + 8 * PAIRS
        for _ in range(packed):
            _add(load_le64(at), load_le64(at + 8), load_le64(at + 16), first, count, key, key_bytes)
            at += 24
        return
    for i in range(count):
        present = parse_row(row_at(first + ROW_BYTES * i), scratch, level)
        at, one = plan + 8 * PAIRS, 0
        for _ in range(packed):
            one |= derive(load_le64(at), scratch, load_le64(at + 8)) << load_le64(at + 16)
            at += 24
        store_le64(key, one)
        for j in range(more):
            word = load_le64(at)
            value = load_le64(scratch + 8 * word) & load_le64(at + 8) if present >> word & 1 or word == 0 else 0
            store_le64(key + 24 + 8 * j, value)
            at += 16
        key += key_bytes


@part
def _make_keys(
    first: int, count: int, enters: bool, plan: int, scratch: int, keys: int, index: int, shift: int
) -> None:
    """Fill ``keys`` for the rows at an address: the hash of each key, and the key; have the index fetched there.

    Rows that enter stand at no port yet, whatever they say. What has to be parsed for comes first, for all rows: in
    short loops a processor is at several rows at once.
    """
    keep_apart()
    if _mask(plan, PACKED) + _mask(plan, MORE) > 0:
        _read(first, count, plan, scratch, keys + 8)
    else:
        _clear(count, keys + 8, 8 * (1 + KEY_WORDS))
    if enters:
        _complete(first, count, True, plan, keys, index, shift)
    else:
        _complete(first, count, False, plan, keys, index, shift)


@part_in_line
def _complete(first: int, count: int, enters: bool, plan: int, keys: int, index: int, shift: int) -> None:
    """Put into keys what needs no parsing, and their hashes; the compiler knows whether rows enter."""
    more, mask = _mask(plan, MORE), (1 << 64 - shift) - 1
    destinations, sources = _mask(plan, DESTINATION) & _MAC, _mask(plan, SOURCE) & _MAC
    key = keys + 8
    for i in range(count):
        row = row_at(first + ROW_BYTES * i)
        macs, one = row.address, load_le64(key)
        if not enters:
            one |= row.port & _PORT_BITS | (row.flags & FROM_UPLINK) << 22
        two, three = load_be64(macs) >> 16 & destinations, load_be64(macs + 4) & sources
        if row.tag != NO_TAG:
            one |= 1 << 23
            two |= row.tag << 48
        store_le64(key, one)
        store_le64(key + 8, two)
        store_le64(key + 16, three)
        hashed = _hash_of(key, more)
        prefetch(index + 4 * (hashed >> shift & mask))
        store_le64(key - 8, hashed)
        key += 8 * (1 + KEY_WORDS + more)


@part
def _clear(count: int, key: int, key_bytes: int) -> None:
    """Begin so many keys."""
    for i in range(count):
        store_le64(key + key_bytes * i, 0)


@part
def _shift_of(mask: int) -> int:
    """How far to shift a hash to the right, so that its high bits are left that number the places of an index."""
    shift = 64
    while mask > 0:
        mask >>= 1
        shift -= 1
    return shift


@part
def _locate(count: int, keys: int, key_bytes: int, index: int, shift: int, table: int, slot_bytes: int) -> None:
    """Put the address of its slot in the place of each key's hash, and have it fetched; of slot 0 if it has none.

    That the slot has the key, and not one whose hash is alike, is still to be seen.
    """
    mask = (1 << 64 - shift) - 1
    for key in range(keys, keys + key_bytes * count, key_bytes):
        hashed = load_le64(key)
        place, rest = hashed >> shift & mask, hashed & _REST
        found = load_le32(index + 4 * place)
        while found >> NUMBER_BITS != rest and found != 0:
            place = place + 1 & mask
            found = load_le32(index + 4 * place)
        slot = table + slot_bytes * (found & _NUMBER)
        prefetch(slot)
        store_le64(key, slot)


@part_in_line
def _has_key(slot: int, key: int, slot_bytes: int) -> bool:
    """Whether a slot is of the key whose place among keys is at an address."""
    differs = (load_le64(slot + 8) ^ load_le64(key + 8)) | (load_le64(slot + 16) ^ load_le64(key + 16))
    differs |= load_le64(slot + 24) ^ load_le64(key + 24)
    for offset in range(8 * SLOT, slot_bytes, 8):
        differs |= load_le64(slot + offset) ^ load_le64(key + offset - 8 * SLOT + 32)
    return differs == 0  # type: ignore[no-any-return]


@part
def _find(key: int, hashed: int, index: int, shift: int, table: int, slot_bytes: int) -> int:
    """The address of a key's slot, or of the place in the index where it would be noted, negative."""
    keep_apart()
    mask = (1 << 64 - shift) - 1
    place = hashed >> shift & mask
    while True:
        found = load_le32(index + 4 * place)
        if found == 0:
            return -(index + 4 * place)
        slot = table + slot_bytes * (found & _NUMBER)
        if found >> NUMBER_BITS == hashed & _REST and _has_key(slot, key, slot_bytes):
            return slot  # type: ignore[no-any-return]
        place = place + 1 & mask


@part
def _send(
    first: int,
    count: int,
    skips: bool,
    keys: int,
    more: int,
    index: int,
    shift: int,
    table: int,
    enters: bool,
    counters: int,
    entries: int,
    kinds: int,
    whys: int,
) -> int:
    """Send the rows at an address by their keys; gives how many: up to the first unknown one, unless it ``skips``."""
    keep_apart()
    slot_bytes, key_bytes = 8 * (SLOT + more), 8 * (1 + KEY_WORDS + more)
    _locate(count, keys, key_bytes, index, shift, table, slot_bytes)
    for i in range(count):
        key = keys + key_bytes * i
        at = load_le64(key)
        if not _has_key(at, key, slot_bytes):
            at = _find(key, _hash_of(key + 8, more), index, shift, table, slot_bytes)
            if at < 0:
                if skips:
                    continue
                return i
        address = first + ROW_BYTES * i
        row, state = row_at(address), load_le64(at)
        place, port, why = load_le64(at + 8 * PLACE), load_le64(at + 8 * PORT), load_le64(at + 8 * WHY)
        store_u8(kinds + i, state & _KIND)
        store_le32(whys + 4 * i, why)
        row.port = port & _LOW
        if not enters:
            store_le32(address + TAG_AT, place)
            continue
        store_le64(address + TAG_AT, place)
        row.flags = (row.flags & ~FROM_UPLINK) | state >> 7 & FROM_UPLINK
        count_row(row, port >> 32, counters + load_le64(at + 8 * CELL))
        counted = entries + 8 * (why >> 32)
        store_le64(counted, load_le64(counted) + 1)
    return count


@compiled(
    types.int64(
        ROWS,
        types.int64,
        types.int64,
        types.boolean,
        _I64,
        _INDEX,
        _TABLE,
        types.boolean,
        _COUNTS,
        _I64,
        _U8,
        _I32,
        _I64,
        _I64,
        types.int64,
    )
)
def take(
    rows: Any,
    first: int,
    end: int,
    skips: bool,
    plan: Any,
    index: Any,
    table: Any,
    enters: bool,
    counters: Any,
    entries: Any,
    kinds: Any,
    whys: Any,
    scratch: Any,
    room: Any,
    mtu: int,
) -> int:
    """Send rows from ``first`` on; gives the index of the first that the table does not know, unless it ``skips``.

    With an ``mtu`` it also ends at the first row that has to be looked at for what it asks of adapters.
    ``kinds[i]`` becomes what is known; ``whys[i]`` the drop of those LOST. Where rows ``enter``, they get the port that
    they came in by and are counted there, and ``entries`` counts them by the path of their entry. ``room`` is for BLOCK
    keys, here and below.
    """
    more, shift = plan[MORE], _shift_of(len(index) - 1)
    start, keys = signed(index.ctypes.data), signed(room.ctypes.data)
    for block in range(first, end, BLOCK):
        size, row = min(BLOCK, end - block), signed(rows.ctypes.data) + ROW_BYTES * block
        free = size
        if mtu != NOT_LOOKED_AT:
            free = unsuspected(row, size, signed(rows.ctypes.data) + ROW_BYTES * end, mtu)
        _make_keys(row, free, enters, plan.ctypes.data, scratch.ctypes.data, keys, start, shift)
        sent = _send(
            row,
            free,
            skips,
            keys,
            more,
            start,
            shift,
            signed(table.ctypes.data),
            enters,
            signed(counters.ctypes.data),
            signed(entries.ctypes.data),
            signed(kinds.ctypes.data) + block,
            signed(whys.ctypes.data) + 4 * block,
        )
        if sent < size:
            return block + sent
    return end


@compiled(types.int64(ROWS, types.int64, types.boolean, _I64, _INDEX, _TABLE, _I64, _I64, _I64))
def unknown(
    rows: Any, first: int, enters: bool, plan: Any, index: Any, table: Any, found: Any, scratch: Any, room: Any
) -> int:
    """Fill ``found`` with the indices of rows from ``first`` on that the table does not know; gives how many."""
    keys, start, slots = signed(room.ctypes.data), signed(index.ctypes.data), signed(table.ctypes.data)
    shift, slot_bytes = _shift_of(len(index) - 1), 8 * (SLOT + plan[MORE])
    count = 0
    for i in range(first, len(rows)):
        row = signed(rows.ctypes.data) + ROW_BYTES * i
        _make_keys(row, 1, enters, plan.ctypes.data, scratch.ctypes.data, keys, start, shift)
        found[count] = i
        count += _find(keys, room[0], start, shift, slots, slot_bytes) < 0
    return count


@compiled(
    types.int64(
        ROWS,
        types.boolean,
        _I64,
        _INDEX,
        _TABLE,
        types.int64,
        _BOOL,
        _U8,
        _I32,
        _I32,
        _I32,
        _I32,
        _I32,
        _I32,
        _I64,
        _I64,
    )
)
def insert(
    rows: Any,
    enters: bool,
    plan: Any,
    index: Any,
    table: Any,
    count: int,
    is_uplink: Any,
    kinds: Any,
    entries: Any,
    ports: Any,
    entry_tags: Any,
    tags: Any,
    paths: Any,
    whys: Any,
    scratch: Any,
    room: Any,
) -> int:
    """Put what became of rows into the table, save of those UNKNOWN; gives how many slots it has then.

    It has ``count`` before that. Index and table have room.
    """
    keys, more, start = signed(room.ctypes.data), plan[MORE], signed(index.ctypes.data)
    slots, slot_bytes, shift = signed(table.ctypes.data), 8 * (SLOT + more), _shift_of(len(index) - 1)
    for i in range(len(rows)):
        if kinds[i] == UNKNOWN:
            continue
        row = signed(rows.ctypes.data) + ROW_BYTES * i
        _make_keys(row, 1, enters, plan.ctypes.data, scratch.ctypes.data, keys, start, shift)
        at = _find(keys, room[0], start, shift, slots, slot_bytes)
        if at < 0:
            count += 1
            store_le32(-at, _noted(room[0], count))
            at = slots + slot_bytes * count
            for j in range(KEY_WORDS):
                store_le64(at + 8 * (KEY + j), room[1 + j])
            for j in range(more):
                store_le64(at + 8 * (SLOT + j), room[1 + KEY_WORDS + j])
        side = FROM_UPLINK << 7 if entries[i] >= 0 and is_uplink[entries[i]] else 0
        store_le64(at, side | np.int64(kinds[i]))
        store_le64(at + 8 * PLACE, np.int64(entries[i]) << 32 | np.int64(tags[i]) & _LOW)
        store_le64(at + 8 * PORT, np.int64(entry_tags[i]) << 32 | np.int64(ports[i]) & _LOW)
        store_le64(at + 8 * WHY, np.int64(paths[i]) << 32 | np.int64(whys[i]) & _LOW)
        store_le64(at + 8 * CELL, cell_of(row_at(row), entries[i], IN))
    return count


@part
def _noted(hashed: int, number: int) -> int:
    """What stands in the index: the low bits of a key's hash, and the number of its slot."""
    return (hashed & _REST) << NUMBER_BITS | number


@compiled(types.void(_TABLE, types.int64, _INDEX, _I64))
def note_all(table: Any, count: int, index: Any, room: Any) -> None:
    """Note all slots of a table, from 1 to ``count``, in an empty index, which has room."""
    width, mask = table.shape[1], len(index) - 1
    shift = _shift_of(mask)
    for number in range(1, count + 1):
        for j in range(KEY_WORDS):
            room[j] = table[number, KEY + j]
        for j in range(width - SLOT):
            room[KEY_WORDS + j] = table[number, SLOT + j]
        hashed = _hash_of(signed(room.ctypes.data), width - SLOT)
        place = hashed >> shift & mask
        while index[place] != 0:
            place = place + 1 & mask
        index[place] = _noted(hashed, number)


@compiled(types.void(ROWS, _I32, _I32, _BOOL, _I64, _I32, _I32, _I32, _I32, _I32, _U8, _I32))
def lead_one(
    rows: Any,
    taken: Any,
    tags: Any,
    goes_on: Any,
    fan_out: Any,
    first_port: Any,
    ports: Any,
    group: Any,
    first_why: Any,
    drops: Any,
    kinds: Any,
    whys: Any,
) -> None:
    """Follow the path of each row in its place: GOES_ON with its tag and port, LOST, or APART where it goes more ways.

    A row without a path (-1) is APART. A tag that the path leaves alone is :data:`iochain.engine.path.UNCHANGED`.
    """
    for i in range(len(rows)):
        path = taken[i]
        kinds[i] = APART
        if path < 0:
            continue
        dropped = first_why[path + 1] - first_why[path]
        single = not goes_on[path] and group[path] < 0 and fan_out[path] == 1
        if (goes_on[path] or single) and dropped == 0:
            kinds[i] = GOES_ON
        elif not goes_on[path] and group[path] < 0 and fan_out[path] == 0 and dropped == 1:
            kinds[i] = LOST
            whys[i] = drops[first_why[path]]
        else:
            continue
        if tags[path] != -2:
            rows[i].tag = tags[path]
        if single:
            rows[i].port = ports[first_port[path]]

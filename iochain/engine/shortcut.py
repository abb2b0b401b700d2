"""The short cut: one look-up for all header stages that a frame passes on end, compiled.

A frame of a capture enters, passes the input chain, the switch and the first header stages of an output chain: four
decisions, each with a key of its own. What they came to together depends on the bits that any of them read, so one
key of all those bits finds it again. A slot of the table is a cache line: generation and kind, three words that every
key has, where the frame goes, and behind them what else stages read.
"""

from typing import Any, Final

import numpy as np
from numba import types

from iochain.engine.counters import BROADCAST, BYTES, FRAMES, IN, MULTICAST, UNICAST
from iochain.engine.lookup import derive
from iochain.kernels.compiled import compiled, part
from iochain.kernels.parse import parse_row
from iochain.kernels.raw import load_le64, load_mac, prefetch, store_le64, wrapped
from iochain.kernels.rows import FROM_UPLINK, NO_TAG, ROWS, TAG_BYTES

GOES_ON, WAITS, LOST, APART, UNKNOWN = range(5)
"""What a short cut has for a frame: it goes to an output chain's first batch stage; to one of its input chain; it is
dropped; it goes more than one way, by single decisions; nothing is known of it."""

LEVEL, PACKED, MORE, DESTINATION, SOURCE = range(5)
"""First columns of a plan: how far to parse, how many derived fields, how many more words, masks of the addresses."""

PAIRS: Final = 5
"""Column of a plan from which on (derived field, argument, shift) follow, then (word, mask)."""

STATE, KEY, FROM_TO, TAGS, WHY = 0, 1, 4, 5, 6
"""Columns of a slot: generation << 8 | kind; three words of the key; entry << 32 | port; tag at the entry << 32 | tag;
entry path << 32 | drop. More words of the key follow."""

SLOT: Final = 8
KEY_WORDS: Final = 3
FIRST_SHIFT: Final = 24
"""Where packed derived fields begin in the first word of a key, above port, side, and whether there is a tag."""

BLOCK: Final = 64
_LOW: Final = 0xFFFFFFFF

_I32 = types.Array(types.int32, 1, "C")
_I64 = types.Array(types.int64, 1, "C")
_U8 = types.Array(types.uint8, 1, "C")
_BOOL = types.Array(types.boolean, 1, "C")
_TABLE = types.Array(types.int64, 2, "C")
_COUNTS = types.Array(types.int64, 4, "C")


@part
def _mask(plan: int, column: int) -> int:
    return load_le64(plan + 8 * column)  # type: ignore[no-any-return]


@part
def _stirred(total: int) -> int:
    total = wrapped((total ^ (total >> 29 & 0x7FFFFFFFF)) * -4658895280553007687)
    return total ^ (total >> 32 & _LOW)


@part
def _hash_of(key: int, more: int) -> int:
    """The hash of the three words at ``key``, and ``more`` behind them."""
    one, two, three = load_le64(key), load_le64(key + 8), load_le64(key + 16)
    total = (one ^ (one >> 32 & _LOW)) * -7046029254386353131 + (two ^ (two >> 32 & _LOW)) * -3335678366873096957
    total = wrapped(total + (three ^ (three >> 32 & _LOW)) * -4658895280553007687)
    for i in range(more):
        word = load_le64(key + 24 + 8 * i)
        total = wrapped((total ^ word ^ (word >> 32 & _LOW)) * -7046029254386353131)
    return _stirred(total)


@part
def _make_key(row: Any, plan: int, scratch: int, key: int) -> int:
    """Fill the words at ``key`` for a row; gives the hash. ``scratch`` is room to parse in."""
    is_tagged = row.tag != NO_TAG
    one = row.port & 0x3FFFFF | (row.flags & FROM_UPLINK) << 22
    tag = 0
    if is_tagged:
        one |= 1 << 23
        tag = row.tag & 0xFFFF
    more = _mask(plan, MORE)
    packed = _mask(plan, PACKED)
    if packed + more > 0:
        present = parse_row(row, scratch, _mask(plan, LEVEL))
        at = plan + 8 * PAIRS
        for _ in range(packed):
            value = derive(load_le64(at), scratch, load_le64(at + 8))
            one |= value << load_le64(at + 16)
            at += 24
        for i in range(more):
            word = load_le64(at)
            value = load_le64(scratch + 8 * word) & load_le64(at + 8) if present >> word & 1 or word == 0 else 0
            store_le64(key + 24 + 8 * i, value)
            at += 16
    store_le64(key, one)
    store_le64(key + 8, load_mac(row.address) & _mask(plan, DESTINATION) | tag << 48)
    store_le64(key + 16, load_mac(row.address + 6) & _mask(plan, SOURCE))
    return _hash_of(key, more)


@part
def _find(key: int, hashed: int, table: int, mask: int, more: int, generation: int) -> int:
    """The address of a key's slot, or of the free slot where it would go, negative."""
    bytes_ = 8 * (SLOT + more)
    slot = hashed & mask
    while True:
        at = table + slot * bytes_
        if load_le64(at) >> 8 != generation:
            return -at
        differs = (load_le64(at + 8) ^ load_le64(key)) | (load_le64(at + 16) ^ load_le64(key + 8))
        differs |= load_le64(at + 24) ^ load_le64(key + 16)
        for i in range(more):
            differs |= load_le64(at + 8 * (SLOT + i)) ^ load_le64(key + 24 + 8 * i)
        if differs == 0:
            return at
        slot = (slot + 1) & mask


@part
def _signed(word: int) -> int:
    """The low half of a word as the signed number that it was."""
    return ((word & _LOW) ^ 0x80000000) - 0x80000000


@part
def _count_in(row: Any, entry: int, tag: int, counters: int) -> None:
    """Count a row where it entered, with the tag that it had there, in the counters at an address."""
    kind = UNICAST
    destination = load_mac(row.address)
    if destination >> 40 & 1:
        kind = BROADCAST if destination == 0xFFFFFFFFFFFF else MULTICAST
    at = counters + 8 * (((entry * 2 + IN) * 3 + kind) * 2)
    size = row.wire_length + row.pad + (TAG_BYTES if tag != NO_TAG else 0)
    store_le64(at + 8 * FRAMES, load_le64(at + 8 * FRAMES) + 1)
    store_le64(at + 8 * BYTES, load_le64(at + 8 * BYTES) + size)


@compiled(
    types.int64(
        ROWS,
        types.int64,
        types.int64,
        types.boolean,
        _I64,
        _TABLE,
        types.int64,
        types.boolean,
        _BOOL,
        _COUNTS,
        _I64,
        _U8,
        _I32,
        _I64,
        _I64,
    )
)
def take(
    rows: Any,
    first: int,
    end: int,
    skips: bool,
    plan: Any,
    table: Any,
    generation: int,
    enters: bool,
    is_uplink: Any,
    counters: Any,
    entries: Any,
    kinds: Any,
    whys: Any,
    scratch: Any,
    room: Any,
) -> int:
    """Send rows from ``first`` on; gives the index of the first that the table does not know, unless it ``skips``.

    ``kinds[i]`` becomes what is known; ``whys[i]`` the drop of those LOST. Where rows ``enter``, they get the port that
    they came in by and are counted there, and ``entries`` counts them by the path of their entry. ``room`` is for BLOCK
    keys, here and below.
    """
    more = plan[MORE]
    hashes = np.empty(BLOCK, np.int64)
    key_start, key_bytes = room.ctypes.data, 8 * (KEY_WORDS + more)
    start, mask, plan_start, scratch_start = table.ctypes.data, len(table) - 1, plan.ctypes.data, scratch.ctypes.data
    count_start = counters.ctypes.data
    for block in range(first, end, BLOCK):
        size = min(BLOCK, end - block)
        for j in range(size):
            hashes[j] = _make_key(rows[block + j], plan_start, scratch_start, key_start + key_bytes * j)
            prefetch(start + (hashes[j] & mask) * 8 * (SLOT + more))
        for j in range(size):
            at = _find(key_start + key_bytes * j, hashes[j], start, mask, more, generation)
            if at < 0:
                if skips:
                    continue
                return block + j
            row = rows[block + j]
            kind = load_le64(at) & 0xFF
            kinds[block + j] = kind
            from_to, tags, why = load_le64(at + 8 * FROM_TO), load_le64(at + 8 * TAGS), load_le64(at + 8 * WHY)
            if enters:
                entry = from_to >> 32
                row.entry = entry
                row.flags = (row.flags & ~FROM_UPLINK) | is_uplink[entry]
                _count_in(row, entry, tags >> 32, count_start)
                entries[why >> 32] += 1
            row.port = from_to & _LOW
            row.tag = _signed(tags)
            if kind == LOST:
                whys[block + j] = _signed(why)
    return end


@compiled(types.int64(ROWS, types.int64, _I64, _TABLE, types.int64, _I64, _I64, _I64))
def unknown(rows: Any, first: int, plan: Any, table: Any, generation: int, found: Any, scratch: Any, room: Any) -> int:
    """Fill ``found`` with the indices of rows from ``first`` on that the table does not know; gives how many."""
    more = plan[MORE]
    key = room.ctypes.data
    start, mask = table.ctypes.data, len(table) - 1
    count = 0
    for i in range(first, len(rows)):
        hashed = _make_key(rows[i], plan.ctypes.data, scratch.ctypes.data, key)
        if _find(key, hashed, start, mask, more, generation) < 0:
            found[count] = i
            count += 1
    return count


@compiled(types.int64(ROWS, _I64, _TABLE, types.int64, _U8, _I32, _I32, _I32, _I32, _I32, _I32, _I64, _I64))
def insert(
    rows: Any,
    plan: Any,
    table: Any,
    generation: int,
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
    """Put what became of rows into the table, which has room, save of those UNKNOWN; gives how many are new."""
    more = plan[MORE]
    key = room.ctypes.data
    start, mask = table.ctypes.data, len(table) - 1
    made = 0
    for i in range(len(rows)):
        if kinds[i] == UNKNOWN:
            continue
        hashed = _make_key(rows[i], plan.ctypes.data, scratch.ctypes.data, key)
        at = _find(key, hashed, start, mask, more, generation)
        if at < 0:
            at = -at
            made += 1
            for j in range(KEY_WORDS):
                store_le64(at + 8 * (KEY + j), room[j])
            for j in range(more):
                store_le64(at + 8 * (SLOT + j), room[KEY_WORDS + j])
        store_le64(at, generation << 8 | np.int64(kinds[i]))
        store_le64(at + 8 * FROM_TO, np.int64(entries[i]) << 32 | np.int64(ports[i]) & _LOW)
        store_le64(at + 8 * TAGS, np.int64(entry_tags[i]) << 32 | np.int64(tags[i]) & _LOW)
        store_le64(at + 8 * WHY, np.int64(paths[i]) << 32 | np.int64(whys[i]) & _LOW)
    return made


@compiled(types.int64(_TABLE, types.int64, types.int64, _I64, _I64))
def spread_out(table: Any, before: int, generation: int, room: Any, moved: Any) -> int:
    """Put all slots of a generation where they belong since the table has grown, ``before`` slots from its beginning.

    Gives the generation that they are of then: what is met of the older one on the way is taken along. ``moved`` is
    room for a slot.
    """
    mask, width = len(table) - 1, table.shape[1]
    for i in range(before):
        if table[i, STATE] >> 8 != generation:
            continue
        for j in range(width):
            moved[j] = table[i, j]
        table[i, STATE] = 0
        while moved[STATE] != 0:
            for j in range(KEY_WORDS):
                room[j] = moved[KEY + j]
            for j in range(width - SLOT):
                room[KEY_WORDS + j] = moved[SLOT + j]
            slot = _hash_of(room.ctypes.data, width - SLOT) & mask
            while table[slot, STATE] >> 8 == generation + 1:
                slot = (slot + 1) & mask
            moved[STATE] = (generation + 1) << 8 | moved[STATE] & 0xFF
            for j in range(width):
                moved[j], table[slot, j] = table[slot, j], moved[j]
            if moved[STATE] >> 8 != generation:
                moved[STATE] = 0
    return generation + 1


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

"""The look-up: from a frame to the path that frames like it took before, compiled.

A key is the port, and of each word of the frame the bits that stages on the way read of any frame of the port's class;
which those are, a *plan* says, a row of int64 for each class: how many words, how many derived fields, the presence
bits, how far frames have to be parsed, then (word, mask) pairs, then (derived field, argument) pairs. A table has
for each slot the path's number + 1 (0: empty, -1: forgotten), and the key.
"""

from typing import Any, Final

import numpy as np
from numba import types

from iochain.kernels import words as w
from iochain.kernels.compiled import compiled, part
from iochain.kernels.parse import LINK, parse_link, parse_row
from iochain.kernels.raw import load_be16, load_mac, prefetch
from iochain.kernels.rows import NO_TAG, NOWHERE, ROWS, SERIAL_BITS
from iochain.portgroup.receive import hash_of_destination
from iochain.uplink.nic import payload_is_longer
from iochain.vswitch.teaming import ip_hash_full, ip_hash_last_octet, source_mac_hash

WORDS, DERIVED, PRESENT, LEVEL, PAIRS = range(5)
"""Columns of a plan; pairs of (word, mask), then of (derived, argument), follow from PAIRS on."""

EMPTY_SLOT, FORGOTTEN = 0, -1
KEY: Final = 1
"""Column of a table where the key begins."""
_BLOCK: Final = 64

DERIVED_FIELDS: Final = (payload_is_longer, source_mac_hash, ip_hash_full, ip_hash_last_octet, hash_of_destination)
"""Derived fields that the look-up computes itself, by number; of others the words they read go into the key."""

_I32 = types.Array(types.int32, 1, "C")
_I64 = types.Array(types.int64, 1, "C")
_TABLE = types.Array(types.int64, 2, "C")


@part
def _derive(field: int, words: Any, argument: int) -> int:
    """The value of a derived field by its number."""
    if field == 0:
        return payload_is_longer(words, argument)
    if field == 1:
        return source_mac_hash(words, argument)
    if field == 2:
        return ip_hash_full(words, argument)
    if field == 3:
        return ip_hash_last_octet(words, argument)
    return hash_of_destination(words, argument)


@part
def _link_word(rows: Any, index: int, word: int) -> int:
    """A word that is known without parsing, 0 if the frame has it not (``words.LINK_WORDS``)."""
    row = rows[index]
    if word == w.DESTINATION:
        return load_mac(row.address)
    if word == w.SOURCE:
        return load_mac(row.address + 6)
    if word == w.TAG:
        return row.tag if row.tag != NO_TAG else 0
    if word == w.ENTRY:
        return row.entry if row.entry != NOWHERE else 0
    if word == w.ETHERTYPE:
        return load_be16(row.address + row.skip)  # type: ignore[no-any-return]
    if word == w.LENGTH:
        return row.length  # type: ignore[no-any-return]
    if word == w.WIRE_LENGTH:
        return row.wire_length  # type: ignore[no-any-return]
    if word == w.ORIGIN:
        return row.order >> SERIAL_BITS  # type: ignore[no-any-return]
    if word == w.INTERFACE:
        return row.interface if row.interface != NOWHERE else 0
    return row.mss  # type: ignore[no-any-return]


@part
def _link_presence(rows: Any, index: int) -> int:
    """The presence bits of the words that are known without parsing and may be absent."""
    row = rows[index]
    present = 1 << w.TAG if row.tag != NO_TAG else 0
    present |= 1 << w.ENTRY if row.entry != NOWHERE else 0
    present |= 1 << w.INTERFACE if row.interface != NOWHERE else 0
    return present | (1 << w.MSS if row.mss != 0 else 0)


@part
def make_key(rows: Any, index: int, number: int, plans: Any, words: Any, keys: Any, at: int) -> int:
    """Fill ``keys[at]`` for a row by plan ``number``; gives the hash.

    Whole arrays and numbers of rows are handed on, not views of single rows: making a view costs more than the key.
    """
    parsed = plans[number, LEVEL] > LINK
    if parsed:
        parse_row(rows, index, words, plans[number, LEVEL])
        present = words[w.PRESENT]
    else:
        present = _link_presence(rows, index)
    keys[at, 0] = rows[index].port
    keys[at, 1] = present & plans[number, PRESENT]
    mixed = mix(mix(0, keys[at, 0]), keys[at, 1])
    filled = 2
    pair = PAIRS
    for _ in range(plans[number, WORDS]):
        word, mask = plans[number, pair], plans[number, pair + 1]
        value = 0
        if not parsed:
            value = _link_word(rows, index, word)
        elif present >> word & 1:
            value = words[word]
        keys[at, filled] = value & mask
        mixed = mix(mixed, value & mask)
        filled += 1
        pair += 2
    for _ in range(plans[number, DERIVED]):
        if not parsed:
            parse_link(rows, index, words)
        value = _derive(plans[number, pair], words, plans[number, pair + 1])
        keys[at, filled] = value
        mixed = mix(mixed, value)
        filled += 1
        pair += 2
    for unused in range(filled, keys.shape[1]):
        keys[at, unused] = 0
        mixed = mix(mixed, 0)
    return mixed


@part
def mix(mixed: int, value: int) -> int:
    """One more word into a hash."""
    mixed = (mixed ^ value) * -7046029254386353131
    return mixed ^ ((mixed >> 32) & 0xFFFFFFFF)


@part
def find(keys: Any, at: int, mixed: int, table: Any) -> int:
    """The slot of ``keys[at]``, or of the empty slot where it would go as -1 - slot."""
    mask = len(table) - 1
    slot = mixed & mask
    while table[slot, 0] != EMPTY_SLOT:
        same = True
        for i in range(keys.shape[1]):
            if table[slot, KEY + i] != keys[at, i]:
                same = False
                break
        if same:
            return slot
        slot = (slot + 1) & mask
    return -1 - slot


@part
def _known_path(keys: Any, at: int, mixed: int, table: Any) -> int:
    """The number of the path of ``keys[at]``, or -1."""
    slot = find(keys, at, mixed, table)
    if slot < 0 or table[slot, 0] == FORGOTTEN:
        return -1
    return table[slot, 0] - 1  # type: ignore[no-any-return]


@compiled(types.int64(ROWS, types.int64, types.int64, _I32, _TABLE, _TABLE, _TABLE, _TABLE, _I32))
def look_up(
    rows: Any, first: int, end: int, classes: Any, plans: Any, table: Any, older_plans: Any, older: Any, taken: Any
) -> int:
    """Fill ``taken`` with the paths of rows from ``first`` on; gives the index of the first unknown one, or ``end``.

    What is not in the table is looked for in the older one, made before a mask grew, whose keys stay true. Keys are
    made in blocks, so that the slots of a block are on their way from memory together.
    """
    words = np.zeros(w.COUNT, np.int64)
    keys = np.empty((_BLOCK, table.shape[1] - KEY), np.int64)
    mixed = np.empty(_BLOCK, np.int64)
    older_key = np.empty((1, older.shape[1] - KEY), np.int64)
    mask = len(table) - 1
    start = table.ctypes.data
    width = table.shape[1] * 8
    for block in range(first, end, _BLOCK):
        size = min(_BLOCK, end - block)
        for j in range(size):
            mixed[j] = make_key(rows, block + j, classes[rows[block + j].port], plans, words, keys, j)
            prefetch(start + (mixed[j] & mask) * width)
        for j in range(size):
            path = _known_path(keys, j, mixed[j], table)
            if path < 0 and len(older) > 1:
                number = classes[rows[block + j].port]
                old = make_key(rows, block + j, number, older_plans, words, older_key, 0)
                path = _known_path(older_key, 0, old, older)
            if path < 0:
                return block + j
            taken[block + j] = path
    return end


@compiled(types.int64(ROWS, types.int64, _I32, _TABLE, _TABLE, types.int64))
def remember(rows: Any, index: int, classes: Any, plans: Any, table: Any, path: int) -> int:
    """Put the path of a row into the table, which has room; gives the slot."""
    words = np.zeros(w.COUNT, np.int64)
    key = np.empty((1, table.shape[1] - KEY), np.int64)
    mixed = make_key(rows, index, classes[rows[index].port], plans, words, key, 0)
    slot = find(key, 0, mixed, table)
    if slot < 0:
        slot = -1 - slot
        for i in range(key.shape[1]):
            table[slot, KEY + i] = key[0, i]
    table[slot, 0] = path + 1
    return slot


@compiled(types.void(_TABLE, _I32, _TABLE, _I32))
def move(table: Any, sets: Any, larger: Any, larger_sets: Any) -> None:
    """Put everything that is remembered, with the number of what it depends on, into a larger table."""
    mask = len(larger) - 1
    for i in range(len(table)):
        if table[i, 0] <= EMPTY_SLOT:
            continue
        mixed = 0
        for j in range(KEY, table.shape[1]):
            mixed = mix(mixed, table[i, j])
        slot = mixed & mask
        while larger[slot, 0] != EMPTY_SLOT:
            slot = (slot + 1) & mask
        for j in range(table.shape[1]):
            larger[slot, j] = table[i, j]
        larger_sets[slot] = sets[i]


@compiled(types.int64(_TABLE, _I32, types.Array(types.boolean, 1, "C")))
def forget(table: Any, sets: Any, changed: Any) -> int:
    """Forget the paths of all keys that depend on a changed set; gives how many."""
    count = 0
    for i in range(len(table)):
        if table[i, 0] > EMPTY_SLOT and changed[sets[i]]:
            table[i, 0] = FORGOTTEN
            count += 1
    return count

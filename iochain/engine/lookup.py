"""The look-up: from a frame to the path that frames like it took before, compiled.

A key is the port, and of each word of the frame the bits that stages on the way read of any frame of the port's class
that came in on the same side (client or uplink). Which bits those are, a *plan* says, a row of int64 for each class and
side: how many words, how many derived fields, the presence bits, how far frames have to be parsed, then (word, mask)
pairs, then (derived field, argument) pairs. A table has for each slot the path's number + 1 (0: empty, -1: forgotten),
and the key.

A decision may have *steps*, each with a table of its own: the input chain, the switch, the team. The path of a step
that is not the last leads ONWARD, and is a word of the keys of the next one. Those have the port only if it matters
which of its *kind* (of the same switch and team) it is: else a key holds for all ports of the kind but one, to which
the frame would go back.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import types

from iochain.kernels import words as w
from iochain.kernels.checked import known
from iochain.kernels.compiled import compiled, part, part_in_line
from iochain.kernels.parse import LINK, parse_row
from iochain.kernels.raw import load_be16, load_le64, load_mac, prefetch, store_le64, wrapped
from iochain.kernels.rows import FROM_UPLINK, NO_TAG, NOWHERE, ROWS, SERIAL_BITS
from iochain.portgroup.receive import hash_of_destination
from iochain.uplink.nic import payload_is_longer
from iochain.vswitch.teaming import ip_hash_full, ip_hash_last_octet, source_mac_hash

WORDS, DERIVED, PRESENT, LEVEL = range(4)
"""First columns of a plan."""

DESTINATION, SOURCE, TAG, ETHERTYPE, WIRE_LENGTH, ENTRY, LENGTH, INTERFACE, ORIGIN, MSS = range(4, 14)
"""Columns of a plan with the masks of the words that are known without parsing."""

PAIRS: Final = 14
"""Column from which on pairs of (word, mask) follow, then pairs of (derived field, argument)."""

LINK_COLUMNS: Final = {
    w.DESTINATION: DESTINATION,
    w.SOURCE: SOURCE,
    w.TAG: TAG,
    w.ETHERTYPE: ETHERTYPE,
    w.WIRE_LENGTH: WIRE_LENGTH,
    w.ENTRY: ENTRY,
    w.LENGTH: LENGTH,
    w.INTERFACE: INTERFACE,
    w.ORIGIN: ORIGIN,
    w.MSS: MSS,
}
"""Columns of a plan by word."""

LINK_KEY: Final = 6
"""Words of a key that hold the port, the side, presence bits, and all words that are known without parsing."""

EMPTY_SLOT, FORGOTTEN = 0, -1
KEY: Final = 1
"""Column of a table where the key begins."""
_LOW: Final = 0xFFFFFFFF
ONWARD: Final = 1 << 30
"""Bit of the number of a path by which frames go on into the switch; what that does with them is another path."""
EXCEPT_SHIFT: Final = 32
"""In a slot of a key of many ports: number + 1 of the port that it does not hold for, above the path."""
_PORT_BITS: Final = 0xFFFFFE
_ANY_PORT: Final = 1 << 23
"""In the first word of a key: it has the number of a kind of ports in the place of a port's."""
CLASSES, KINDS, KEYS, KEY_BYTES, PLANS, PLAN_BYTES, TABLE, MASK, WIDTH = range(9)
OLDER_PLANS, OLDER_PLAN_BYTES, OLDER, OLDER_MASK, OLDER_WIDTH = range(9, 14)
"""Columns of a step: addresses, the bytes of a row or the words of a key, and slots less one. The older ones follow."""
STEP: Final = 14
BLOCK: Final = 64
"""How many keys are made before the first of them is looked for."""

DERIVED_FIELDS: Final = (payload_is_longer, source_mac_hash, ip_hash_full, ip_hash_last_octet, hash_of_destination)
"""Derived fields that the look-up computes itself, by number; of others the words they read go into the key."""

_Words = npt.NDArray[np.int64]
_I32 = types.Array(types.int32, 1, "C")
_I64 = types.Array(types.int64, 1, "C")
_TABLE = types.Array(types.int64, 2, "C")
_ASKED = types.Array(types.int32, 2, "C")


def step_of(
    classes: _Words, kinds: _Words, keys: _Words, now: tuple[_Words, _Words], older: tuple[_Words, _Words]
) -> _Words:
    """A step of a decision: classes and kinds by port, room for BLOCK keys and one more, plans and table, older ones.

    These arrays must live, and stay as they are.
    """
    columns: list[int] = [known(array).ctypes.data for array in (classes, kinds, keys)]
    columns.append(keys.strides[0])
    for plans, table in (now, older):
        columns += [known(plans).ctypes.data, plans.strides[0]]
        columns += [known(table).ctypes.data, len(table) - 1, table.shape[1] - KEY]
    return np.array(columns, np.int64)


@part_in_line
def derive(field: int, words: int, argument: int) -> int:
    """The value of a derived field by its number, of the words at an address."""
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
def _plan_of(row: Any, number: int) -> int:
    """The plan for a row of a class: each class has one for frames of clients and one for frames from uplinks."""
    return 2 * number + (row.flags & FROM_UPLINK)  # type: ignore[no-any-return]


@part
def _mask(plan: int, column: int) -> int:
    return load_le64(plan + 8 * column)  # type: ignore[no-any-return]


@part
def make_key(row: Any, plan: int, scratch: int, key: int, width: int) -> int:
    """Fill the ``width`` words at ``key`` for a row by the plan at ``plan``; gives the hash.

    What needs no parsing is packed into LINK_KEY words without a loop or a branch: masks of what nobody reads are 0.
    Addresses are handed on, and one row, not arrays: each would be counted in and out again, which costs more than
    the key. ``scratch`` is room to parse in.
    """
    level = _mask(plan, LEVEL)
    if level > LINK:
        present = parse_row(row, scratch, level)
    else:
        present = 1 << w.TAG if row.tag != NO_TAG else 0
        present |= 1 << w.ENTRY if row.entry != NOWHERE else 0
        present |= 1 << w.INTERFACE if row.interface != NOWHERE else 0
        present |= 1 << w.MSS if row.mss != 0 else 0
    tag = row.tag & _mask(plan, TAG) & 0xFFFF if row.tag != NO_TAG else 0
    kind = load_be16(row.address + row.skip) & _mask(plan, ETHERTYPE)
    one = row.port << 1 | (row.flags & FROM_UPLINK)  # fewer than 2²² ports, 2²⁰ sources
    one |= (row.order >> SERIAL_BITS & _mask(plan, ORIGIN)) << 24 | (row.mss & _mask(plan, MSS)) << 44
    two = present & _mask(plan, PRESENT)
    three = load_mac(row.address) & _mask(plan, DESTINATION) | tag << 48
    four = load_mac(row.address + 6) & _mask(plan, SOURCE) | kind << 48
    five = row.wire_length & _mask(plan, WIRE_LENGTH) & _LOW | (row.entry & _mask(plan, ENTRY) & _LOW) << 32
    six = row.length & _mask(plan, LENGTH) & _LOW | (row.interface & _mask(plan, INTERFACE) & _LOW) << 32
    store_le64(key, one)
    store_le64(key + 8, two)
    store_le64(key + 16, three)
    store_le64(key + 24, four)
    store_le64(key + 32, five)
    store_le64(key + 40, six)
    if width > LINK_KEY:
        if level <= LINK:
            present = parse_row(row, scratch, level)
        _fill_parsed(plan, scratch, present, key, width)
    return _hash_of(key, width)


@part
def _fill_parsed(plan: int, words: int, present: int, key: int, width: int) -> None:
    """Fill in what has to be parsed for, and derived fields; zeros behind them."""
    pair = PAIRS
    filled = LINK_KEY
    for _ in range(_mask(plan, WORDS)):
        word = _mask(plan, pair)
        value = load_le64(words + 8 * word) & _mask(plan, pair + 1) if present >> word & 1 else 0
        store_le64(key + 8 * filled, value)
        filled += 1
        pair += 2
    for _ in range(_mask(plan, DERIVED)):
        store_le64(key + 8 * filled, derive(_mask(plan, pair), words, _mask(plan, pair + 1)))
        filled += 1
        pair += 2
    for unused in range(filled, width):
        store_le64(key + 8 * unused, 0)


@part
def _folded(value: int) -> int:
    return value ^ (value >> 32 & 0xFFFFFFFF)


@part
def _stirred(total: int) -> int:
    total = wrapped((total ^ (total >> 29 & 0x7FFFFFFFF)) * -4658895280553007687)
    return total ^ (total >> 32 & 0xFFFFFFFF)


@part
def find(key: int, hashed: int, table: int, mask: int, width: int) -> int:
    """The slot of a key in the table at ``table``, or of the empty slot where it would go as -1 - slot.

    ``mask`` is the number of slots less one. The words that every key has are compared without a loop.
    """
    slot = hashed & mask
    while True:
        at = table + slot * 8 * (KEY + width)
        if load_le64(at) == EMPTY_SLOT:
            return -1 - slot
        differs = (load_le64(at + 8) ^ load_le64(key)) | (load_le64(at + 16) ^ load_le64(key + 8))
        differs |= (load_le64(at + 24) ^ load_le64(key + 16)) | (load_le64(at + 32) ^ load_le64(key + 24))
        differs |= (load_le64(at + 40) ^ load_le64(key + 32)) | (load_le64(at + 48) ^ load_le64(key + 40))
        for i in range(LINK_KEY, width):
            differs |= load_le64(at + 8 * (KEY + i)) ^ load_le64(key + 8 * i)
        if differs == 0:
            return slot
        slot = (slot + 1) & mask


@part
def _known_path(key: int, hashed: int, table: int, mask: int, width: int) -> int:
    """The number of the path of a key, or -1."""
    slot = find(key, hashed, table, mask, width)
    if slot < 0:
        return -1
    path = load_le64(table + slot * 8 * (KEY + width))
    return path - 1 if path > 0 else -1


@part
def _onward_key(row: Any, plan: int, came: int, scratch: int, key: int, width: int) -> int:
    """Fill the words at ``key`` for a row that came to the switch by a path; gives the hash."""
    make_key(row, plan, scratch, key, width - 1)
    store_le64(key + 8 * (width - 1), came)
    return _hash_of(key, width)


@part
def _key_of_kind(key: int, kind: int, width: int) -> int:
    """Make a key one of all ports of a kind; gives the hash."""
    store_le64(key, (load_le64(key) & ~_PORT_BITS) | kind << 1 | _ANY_PORT)
    return _hash_of(key, width)


@part
def _path_onward(
    row: Any, came: int, kind: int, plan: int, scratch: int, key: int, table: int, mask: int, width: int
) -> int:
    """The number of the path of a row that came by another, in one table; or -1."""
    hashed = _onward_key(row, plan, came, scratch, key, width)
    path = _known_path(key, hashed, table, mask, width)
    if path >= 0:
        return path
    slot = find(key, _key_of_kind(key, kind, width), table, mask, width)
    if slot < 0:
        return -1
    found = load_le64(table + slot * 8 * (KEY + width))
    if found <= 0 or found >> EXCEPT_SHIFT == row.port + 1:
        return -1
    return (found & _LOW) - 1  # type: ignore[no-any-return]


@part
def _onward(row: Any, came: int, step: int, scratch: int) -> int:
    """The number of the path of a row that came by another, at the step of a decision at an address; or -1."""
    number = _plan_of(row, load_le64(load_le64(step + 8 * CLASSES) + 8 * row.port))
    kind, key = load_le64(load_le64(step + 8 * KINDS) + 8 * row.port), load_le64(step + 8 * KEYS)
    plan = load_le64(step + 8 * PLANS) + load_le64(step + 8 * PLAN_BYTES) * number
    table, mask, width = load_le64(step + 8 * TABLE), load_le64(step + 8 * MASK), load_le64(step + 8 * WIDTH)
    path = _path_onward(row, came, kind, plan, scratch, key, table, mask, width)
    mask = load_le64(step + 8 * OLDER_MASK)
    if path >= 0 or mask == 0:
        return path
    plan = load_le64(step + 8 * OLDER_PLANS) + load_le64(step + 8 * OLDER_PLAN_BYTES) * number
    table, width = load_le64(step + 8 * OLDER), load_le64(step + 8 * OLDER_WIDTH)
    return _path_onward(row, came, kind, plan, scratch, key, table, mask, width)


@compiled(types.int64(ROWS, types.int64, types.int64, _TABLE, _I32, _I64))
def look_up(rows: Any, first: int, end: int, steps: Any, taken: Any, scratch: Any) -> int:
    """Fill ``taken`` with the paths of rows from ``first`` on; gives the index of the first unknown one, or ``end``.

    What is not in the table is looked for in the older one, made before a mask grew, whose keys stay true. Keys are
    made in blocks, so that the slots of a block are on their way from memory together. Rows whose paths lead ONWARD are
    looked up at the next step. The unknown row gets -1, or the last of its paths that is known.
    """
    hashes = np.empty(BLOCK, np.int64)
    classes, key_start, key_bytes = steps[0, CLASSES], steps[0, KEYS], steps[0, KEY_BYTES]
    plan_start, plan_bytes = steps[0, PLANS], steps[0, PLAN_BYTES]
    start, mask, width = steps[0, TABLE], steps[0, MASK], steps[0, WIDTH]
    older_start, older_mask, older_width = steps[0, OLDER], steps[0, OLDER_MASK], steps[0, OLDER_WIDTH]
    older_key = key_start + key_bytes * BLOCK
    scratch_start = scratch.ctypes.data
    for block in range(first, end, BLOCK):
        size = min(BLOCK, end - block)
        for j in range(size):
            row = rows[block + j]
            plan = plan_start + plan_bytes * _plan_of(row, load_le64(classes + 8 * row.port))
            hashes[j] = make_key(row, plan, scratch_start, key_start + key_bytes * j, width)
            prefetch(start + (hashes[j] & mask) * 8 * (KEY + width))
        for j in range(size):
            path = _known_path(key_start + key_bytes * j, hashes[j], start, mask, width)
            if path < 0 and older_mask > 0:
                row = rows[block + j]
                plan = steps[0, OLDER_PLANS] + steps[0, OLDER_PLAN_BYTES] * _plan_of(
                    row, load_le64(classes + 8 * row.port)
                )
                hashed = make_key(row, plan, scratch_start, older_key, older_width)
                path = _known_path(older_key, hashed, older_start, older_mask, older_width)
            taken[block + j] = path
            step = steps.ctypes.data
            while path >= ONWARD:
                step += 8 * STEP
                path = _onward(rows[block + j], path & ~ONWARD, step, scratch_start)
                if path >= 0:
                    taken[block + j] = path
            if path < 0:
                return block + j
    return end


@compiled(types.int64(ROWS, _I64, types.int64, types.int64, types.int64, types.int64, _I64))
def remember(rows: Any, step: Any, path: int, came: int, kind: int, except_: int, scratch: Any) -> int:
    """Put the path of the one row into the table of a step, which has room; gives the slot.

    Where the row ``came`` there by another path (-1: it is the first step) it holds for all ports of a ``kind`` but one
    of them (-1: for all of them), or if that is -1 for the row's own port.
    """
    row = rows[0]
    width, key = step[WIDTH], step[KEYS]
    plan = step[PLANS] + step[PLAN_BYTES] * _plan_of(row, load_le64(step[CLASSES] + 8 * row.port))
    entry = path + 1
    if came < 0:
        hashed = make_key(row, plan, scratch.ctypes.data, key, width)
    else:
        hashed = _onward_key(row, plan, came, scratch.ctypes.data, key, width)
        if kind >= 0:
            hashed = _key_of_kind(key, kind, width)
            entry |= (except_ + 1) << EXCEPT_SHIFT
    slot = find(key, hashed, step[TABLE], step[MASK], width)
    at = step[TABLE] + 8 * (KEY + width) * (slot if slot >= 0 else -1 - slot)
    if slot < 0:
        slot = -1 - slot
        for i in range(width):
            store_le64(at + 8 * (KEY + i), load_le64(key + 8 * i))
    store_le64(at, entry)
    return slot


@part
def _hash_of(key: int, width: int) -> int:
    """The hash of a key as :func:`make_key` gave it."""
    total = _folded(load_le64(key)) * -7046029254386353131 + _folded(load_le64(key + 8)) * -3335678366873096957
    total += _folded(load_le64(key + 16)) * -4658895280553007687 + _folded(load_le64(key + 24)) * -7723592293110705685
    total += _folded(load_le64(key + 32)) * -4265267296055464877 + _folded(load_le64(key + 40)) * -2960836687050489549
    total = wrapped(total)
    for i in range(LINK_KEY, width):
        total = wrapped((total ^ _folded(load_le64(key + 8 * i))) * -7046029254386353131)
    return _stirred(total)


@compiled(types.void(_TABLE, _ASKED, _TABLE, _ASKED))
def move(table: Any, asked: Any, larger: Any, larger_asked: Any) -> None:
    """Put everything that is remembered, with the numbers of what it depends on, into a larger table."""
    mask = len(larger) - 1
    width = table.shape[1] - KEY
    for i in range(len(table)):
        if table[i, 0] <= EMPTY_SLOT:
            continue
        slot = _hash_of(table.ctypes.data + 8 * (i * (KEY + width) + KEY), width) & mask
        while larger[slot, 0] != EMPTY_SLOT:
            slot = (slot + 1) & mask
        for j in range(table.shape[1]):
            larger[slot, j] = table[i, j]
        for j in range(asked.shape[1]):
            larger_asked[slot, j] = asked[i, j]


@compiled(types.int64(_TABLE, _ASKED, types.Array(types.boolean, 1, "C")))
def forget(table: Any, asked: Any, changed: Any) -> int:
    """Forget the paths of all keys that depend on something changed; gives how many."""
    count = 0
    for i in range(len(table)):
        if table[i, 0] <= EMPTY_SLOT:
            continue
        for j in range(asked.shape[1]):
            if changed[asked[i, j]]:
                table[i, 0] = FORGOTTEN
                count += 1
                break
    return count

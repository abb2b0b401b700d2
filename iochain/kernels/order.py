"""Which row comes before which: the order of everything is (time, source, serial, part, output port).

Rows come nearly in order always: a few runs, each sorted, or times that a batch stage moved. So sorting is a merge of
runs, or an insertion: of rows that stand near their places, or that were brought there by a look at their times.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import types

from iochain.kernels.compiled import compiled, part
from iochain.kernels.rows import ROW, ROWS
from iochain.kernels.select import gather

_INDEX = types.Array(types.int64, 1, "C")
_LONGEST_INSERTION: Final = 32
_FEW_MOVES: Final = 2
_MOST_MOVES: Final = 8
"""Places that rows may be moved by on average before sorting by insertion is given up: as they come, and once sown."""


def sorted_rows(rows: Any) -> Any:
    """The rows in the order of (time, source and serial, part, port); the same array where they are so already."""
    if len(rows) < 2 or is_sorted(rows):
        return rows
    index = np.arange(len(rows))
    if not insert_in_order(rows, index, _FEW_MOVES):
        index = order_of_rows(rows)
    in_order = np.empty(len(rows), ROW)
    gather(rows, index, in_order)
    return in_order


def order_of_rows(rows: Any) -> npt.NDArray[np.int64]:
    """The indices that put rows in the order of (time, source and serial, part, port); equal rows stay as they are."""
    if len(rows) < 2:
        return np.arange(len(rows))
    index = np.empty(len(rows), np.int64)
    sow(rows, np.zeros(len(rows) + 1, np.int64), index)
    if insert_in_order(rows, index, _MOST_MOVES):
        return index
    index = np.argsort(rows["time_ns"], kind="stable").astype(np.int64, copy=False)
    if not settle_ties(rows, index):
        return np.lexsort((rows["port"], rows["part"], rows["order"], rows["time_ns"])).astype(np.int64, copy=False)
    return index


def merged_rows(left: Any, right: Any) -> Any:
    """Two sorted arrays of rows as one; of equal rows those on the left come first."""
    if not len(left) or not len(right):
        return right if not len(left) else left
    rows = np.empty(len(left) + len(right), ROW)
    merge(left, right, rows)
    return rows


@part
def precedes(a: Any, b: Any) -> bool:
    """Whether one row comes before another, or is its equal."""
    if a.time_ns != b.time_ns:
        return bool(a.time_ns < b.time_ns)
    if a.order != b.order:
        return bool(a.order < b.order)
    if a.part != b.part:
        return bool(a.part < b.part)
    return bool(a.port <= b.port)


@compiled(types.boolean(ROWS))
def is_sorted(rows: Any) -> bool:
    """Whether the rows stand in the order of everything."""
    return _is_sorted(rows)


@compiled(types.void(ROWS, ROWS, ROWS))
def merge(left: Any, right: Any, rows: Any) -> None:
    """Fill ``rows`` with two sorted arrays, in order."""
    i, j = 0, 0
    for k in range(len(rows)):
        if j == len(right) or (i < len(left) and precedes(left[i], right[j])):
            rows[k] = left[i]
            i += 1
        else:
            rows[k] = right[j]
            j += 1


@compiled(types.void(ROWS, _INDEX, _INDEX))
def sow(rows: Any, ends: Any, index: Any) -> None:
    """Fill ``index`` with the rows by slots of time, about as many as there are rows: all of a slot as they stand.

    Where times are spread evenly each row is near its place then. ``ends`` is zeros, one more than there are rows.
    """
    count, first, last = len(rows), rows[0].time_ns, rows[0].time_ns
    for i in range(1, count):
        first, last = min(first, rows[i].time_ns), max(last, rows[i].time_ns)
    if first < 0:  # no moment of a capture's: what lies between two such may not fit
        for i in range(count):
            index[i] = i
        return
    shift = 0
    while (last - first) >> shift >= count:
        shift += 1
    for i in range(count):
        ends[((rows[i].time_ns - first) >> shift) + 1] += 1
    for slot in range(count):
        ends[slot + 1] += ends[slot]
    for i in range(count):  # the end of the slot before becomes the end of this one
        slot = (rows[i].time_ns - first) >> shift
        index[ends[slot]] = i
        ends[slot] += 1


@compiled(types.boolean(ROWS, _INDEX, types.int64))
def insert_in_order(rows: Any, index: Any, most_moves: int) -> bool:
    """Sort ``index`` by the rows it names, by insertion; False, with it spoilt, if rows stand far from their places.

    That is more than ``most_moves`` places on average. A stage that delays frames a little leaves them nearly in order,
    where nothing is faster.
    """
    moves = 0
    for i in range(1, len(index)):
        mine = index[i]
        at = i
        while at > 0 and not precedes(rows[index[at - 1]], rows[mine]):
            index[at] = index[at - 1]
            at -= 1
        index[at] = mine
        moves += i - at
        if moves > most_moves * len(index):
            return False
    return True


@compiled(types.boolean(ROWS, _INDEX))
def settle_ties(rows: Any, index: Any) -> bool:
    """Put rows of equal time right by insertion, ``index`` being sorted by time; False if there are too many."""
    first = 0
    for i in range(1, len(index)):
        if rows[index[i]].time_ns != rows[index[first]].time_ns:
            first = i
            continue
        mine = index[i]
        at = i
        while at > first and not precedes(rows[index[at - 1]], rows[mine]):
            if i - at > _LONGEST_INSERTION:
                return False
            index[at] = index[at - 1]
            at -= 1
        index[at] = mine
    return True


@compiled(types.int64(ROWS, types.int64, types.int64))
def count_due(rows: Any, time_ns: int, order: int) -> int:
    """How many rows come before (time, order); -1 if they do not stand in the order of everything."""
    return _first_from(rows, time_ns, order) if _is_sorted(rows) else -1


@compiled(types.int64(ROWS, types.int64, types.int64))
def first_from(rows: Any, time_ns: int, order: int) -> int:
    """The index of the first of sorted rows that does not come before (time, order)."""
    return _first_from(rows, time_ns, order)


@part
def _is_sorted(rows: Any) -> bool:
    for i in range(1, len(rows)):
        if rows[i].time_ns <= rows[i - 1].time_ns and not precedes(rows[i - 1], rows[i]):
            return False
    return True


@part
def _first_from(rows: Any, time_ns: int, order: int) -> int:
    low, high = 0, len(rows)
    while low < high:
        middle = (low + high) // 2
        row = rows[middle]
        if row.time_ns < time_ns or (row.time_ns == time_ns and row.order < order):
            low = middle + 1
        else:
            high = middle
    return low

"""Rows of several sources become one sequence in the order of time, source and serial."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numba import types

from iochain.batch import Instant, Rows
from iochain.kernels.checked import known
from iochain.kernels.compiled import compiled, part
from iochain.kernels.raw import copy, load_le64
from iochain.kernels.rows import NOWHERE, ROW, ROWS

_NUMBERS = types.Array(types.int64, 1, "C")
_ROW_BYTES: Final = ROW.itemsize
_TIME_AT: Final = int(ROW.fields["time_ns"][1]) if ROW.fields else 0
_ORDER_AT: Final = int(ROW.fields["order"][1]) if ROW.fields else 0


def merged(parts: Sequence[Rows]) -> Rows:
    """All rows of the parts, each of which is in order, in order."""
    if len(parts) == 1:
        return parts[0]
    rows = np.empty(sum(len(known(part)) for part in parts), ROW)
    nexts = np.array([part.ctypes.data for part in parts if len(part)], np.int64)
    ends = nexts + np.array([len(part) * _ROW_BYTES for part in parts if len(part)], np.int64)
    merge_rows(nexts, ends, rows)
    return rows


def count_until(rows: Rows, last: Instant) -> int:
    """How many of the rows, which are in order, come at ``last`` or before."""
    first = int(np.searchsorted(rows["time_ns"], last.time_ns, "left"))
    same = int(np.searchsorted(rows["time_ns"], last.time_ns, "right"))
    return first + int(np.searchsorted(rows["order"][first:same], last.order, "right"))


@part
def comes_before(left: int, right: int) -> bool:
    """Whether the row at address ``left`` comes before the one at ``right``."""
    left_time, right_time = load_le64(left + _TIME_AT), load_le64(right + _TIME_AT)
    if left_time != right_time:
        return bool(left_time < right_time)
    return bool(load_le64(left + _ORDER_AT) < load_le64(right + _ORDER_AT))


@part
def sift_down(heap: Any, nexts: Any, at: int, size: int) -> None:
    """Let the part at ``at`` sink to its place in a heap of parts, the one with the first row on top."""
    sinking = heap[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and comes_before(nexts[heap[child + 1]], nexts[heap[child]]):
            child += 1
        if not comes_before(nexts[heap[child]], nexts[sinking]):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = sinking


@compiled(types.void(_NUMBERS, _NUMBERS, ROWS))
def merge_rows(nexts: Any, ends: Any, rows: Any) -> None:
    """Merge the rows between the addresses ``nexts`` and ``ends`` of each part; none of the parts is empty."""
    size = len(nexts)
    heap = np.arange(size)
    for at in range(size // 2 - 1, -1, -1):
        sift_down(heap, nexts, at, size)
    target = rows.ctypes.data
    for _ in range(len(rows)):
        part = heap[0]
        copy(target, nexts[part], _ROW_BYTES)
        target += _ROW_BYTES
        nexts[part] += _ROW_BYTES
        if nexts[part] == ends[part]:
            size -= 1
            heap[0] = heap[size]
        sift_down(heap, nexts, 0, size)


@compiled(types.int64(ROWS, _NUMBERS, types.int64))
def number_interfaces(rows: Any, numbers: Any, next_number: int) -> int:
    """Give interfaces described late their numbers in the order of their first frames; returns the next number.

    ``numbers`` holds the number of late interface k, which rows call ``NOWHERE - 1 - k``, or NOWHERE.
    """
    for i in range(len(rows)):
        row = rows[i]
        late = NOWHERE - 1 - row.interface
        if late >= 0:
            if numbers[late] == NOWHERE:
                numbers[late] = next_number
                next_number += 1
            row.interface = numbers[late]
    return next_number

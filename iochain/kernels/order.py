"""Which row comes before which: the order of everything is (time, source, serial, part, output port)."""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from iochain.kernels.compiled import compiled
from iochain.kernels.rows import ROWS


def sorted_rows(rows: Any) -> Any:
    """The rows in the order of (time, source and serial, part, port); the same array where they are so already."""
    if len(rows) < 2 or is_sorted(rows):
        return rows
    return rows[order_of_rows(rows)]


def order_of_rows(rows: Any) -> npt.NDArray[np.intp]:
    """The indices that put rows in the order of (time, source and serial, part, port); equal rows stay as they are."""
    return np.lexsort((rows["port"], rows["part"], rows["order"], rows["time_ns"]))


@compiled(types.boolean(ROWS, types.int64, types.int64))
def precedes(rows: Any, left: int, right: int) -> bool:
    """Whether row ``left`` comes before row ``right``, or is its equal."""
    a, b = rows[left], rows[right]
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
    for i in range(1, len(rows)):  # noqa: SIM110  (compiled)
        if not precedes(rows, i - 1, i):
            return False
    return True


@compiled(types.int64(ROWS, types.int64, types.int64))
def first_from(rows: Any, time_ns: int, order: int) -> int:
    """The index of the first of sorted rows that does not come before (time, order)."""
    low, high = 0, len(rows)
    while low < high:
        middle = (low + high) // 2
        row = rows[middle]
        if row.time_ns < time_ns or (row.time_ns == time_ns and row.order < order):
            low = middle + 1
        else:
            high = middle
    return low

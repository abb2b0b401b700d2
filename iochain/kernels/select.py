"""Taking some rows out of many: one pass, one copy of each row."""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from iochain.kernels.compiled import compiled
from iochain.kernels.raw import load_u8, signed
from iochain.kernels.rows import FROM_UPLINK, ROW, ROWS

_FLAGS = types.Array(types.boolean, 1, "C")
_INDEX = types.Array(types.int64, 1, "C")


def split_by_port(rows: Any, flags: npt.NDArray[np.bool_]) -> tuple[Any, Any]:
    """The rows whose port has its flag set, and the others, each in the order they stood in.

    ``flags`` is by port number. Where all rows are on one side they are handed on, not copied.
    """
    count = count_flagged(rows, flags)
    if count in (0, len(rows)):
        nothing = rows[:0]
        return (rows, nothing) if count else (nothing, rows)
    chosen, others = np.empty(count + 1, ROW), np.empty(len(rows) - count + 1, ROW)
    part_by_port(rows, flags, chosen, others)
    return chosen[:-1], others[:-1]


def count_by(rows: Any, kinds: npt.NDArray[np.int32], count: int) -> npt.NDArray[np.int64]:
    """How many rows stand at ports of each kind; ``kinds`` is by port number, each in range(count)."""
    counts = np.zeros(count, np.int64)
    count_kinds(rows, kinds, counts)
    return counts


@compiled(types.void(ROWS, types.Array(types.int32, 1, "C"), _INDEX))
def count_kinds(rows: Any, kinds: Any, counts: Any) -> None:
    """Add every row to the count of the kind of its port."""
    for i in range(len(rows)):
        counts[kinds[rows[i].port]] += 1


def copied(rows: Any) -> Any:
    """A copy of rows, as plain memory: numpy copies records field by field, forty times slower."""
    return np.ascontiguousarray(rows).view(np.int64).copy().view(ROW)


@compiled(types.void(ROWS, _FLAGS))
def mark_entries(rows: Any, is_uplink: Any) -> None:
    """Have every row know the port at which it stands as the one that it came in by; flags are by port number."""
    for i in range(len(rows)):
        row = rows[i]
        row.entry = row.port
        row.flags = (row.flags & ~FROM_UPLINK) | is_uplink[row.port]


@compiled(types.int64(ROWS, _FLAGS))
def count_flagged(rows: Any, flags: Any) -> int:
    """How many rows have a port with its flag set."""
    count, flag = 0, signed(flags.ctypes.data)
    for i in range(len(rows)):
        count += load_u8(flag + rows[i].port)
    return count


@compiled(types.void(ROWS, _FLAGS, ROWS, ROWS))
def part_by_port(rows: Any, flags: Any, chosen: Any, others: Any) -> None:
    """Copy each row to where its port's flag says; both targets have one row more, which is spoilt.

    Every row is written on both sides, and counts on one: cheaper than a branch that nobody can foresee.
    """
    taken = 0
    for i in range(len(rows)):
        chosen[taken] = rows[i]
        others[i - taken] = rows[i]
        taken += flags[rows[i].port]


@compiled(types.void(ROWS, _INDEX, ROWS))
def gather(rows: Any, index: Any, chosen: Any) -> None:
    """Fill ``chosen`` with the rows at these indices."""
    for i in range(len(index)):
        chosen[i] = rows[index[i]]


@compiled(types.void(ROWS, _INDEX, ROWS))
def scatter(chosen: Any, index: Any, rows: Any) -> None:
    """Put ``chosen`` into rows at these indices: what :func:`gather` took out."""
    for i in range(len(index)):
        rows[index[i]] = chosen[i]

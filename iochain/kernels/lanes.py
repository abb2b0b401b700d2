"""Lanes: the state of like batch stages, a row of numbers for each port, and the times until which its frames wait.

Every lane begins with the columns of its queue; what else a stage knows of a port stands from OWN on. A stage works on
rows in their places: it picks those at its ports, a block at a time, and marks those that it drops as LOST.
"""

from typing import Any, Final

import numpy as np
from numba import types

from iochain.kernels.compiled import part
from iochain.kernels.raw import load_le32, load_le64, row_at, store_le64
from iochain.kernels.rows import ROW_BYTES

QUEUE, HEAD, COUNT, OWN = range(4)
"""Columns of a lane: how many frames may wait, the place of the first that waits, how many wait; the stage's own."""

LOST: Final = 128
"""Flag of a row that a stage drops; only while the stage has it."""

BLOCK: Final = 64
"""How many rows are picked at once: so many are in the nearest cache still when they are worked on."""

LANES = types.Array(types.int32, 1, "C")
STATE = types.Array(types.int64, 2, "C")
PICKED = types.Array(types.int64, 1, "C")
_LANE_SHIFT: Final = 32


def without_lost(rows: Any) -> tuple[Any, Any]:
    """The rows that are not LOST, and those that are, without the flag."""
    is_lost = rows["flags"] & LOST != 0
    kept, lost = rows[~is_lost], rows[is_lost]
    lost["flags"] &= 255 - LOST
    return kept, lost


def room_to_pick() -> Any:
    """Room for the rows that are picked at once."""
    return np.empty(BLOCK, np.int64)


@part
def get(lane: int, column: int) -> int:
    """One number of the lane at an address."""
    return load_le64(lane + 8 * column)  # type: ignore[no-any-return]


@part
def put(lane: int, column: int, value: int) -> None:
    """Change one number of the lane at an address."""
    store_le64(lane + 8 * column, value)


@part
def pick(rows: int, first: int, count: int, lanes: int, by_port: bool, picked: int) -> int:
    """Note which of so many rows from ``first`` on have a lane (not -1); gives how many do.

    ``lanes`` is by port or by row. All arrays are addresses. No branch hangs on it, as nobody can foresee which do.
    """
    found = 0
    for i in range(first, first + count):
        lane = load_le32(lanes + 4 * (row_at(rows + ROW_BYTES * i).port if by_port else i))
        store_le64(picked + 8 * found, lane << _LANE_SHIFT | i)
        found += 1 - (lane >> 31)
    return found


@part
def row_of(one: int) -> int:
    """The index of a row that was picked."""
    return one & 0xFFFFFFFF


@part
def lane_of(one: int) -> int:
    """The lane of a row that was picked."""
    return one >> _LANE_SHIFT


@part
def waiting(lane: int, queue: int, places: int, now: int) -> int:
    """How many frames of a lane wait at a moment; those whose time has come leave its queue, a ring at an address."""
    head, count = get(lane, HEAD), get(lane, COUNT)
    if count == 0:
        return 0
    while count > 0 and load_le64(queue + 8 * head) <= now:
        head = head + 1 if head + 1 < places else 0
        count -= 1
    put(lane, HEAD, head)
    put(lane, COUNT, count)
    return count


@part
def wait(lane: int, queue: int, places: int, until: int) -> None:
    """Have one more frame wait, up to a time that is not before those of the others."""
    count = get(lane, COUNT)
    place = get(lane, HEAD) + count
    store_le64(queue + 8 * (place if place < places else place - places), until)
    put(lane, COUNT, count + 1)

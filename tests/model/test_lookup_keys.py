"""Keys of the look-up tell frames apart in every bit that was read: no two different ones share a path by accident."""

from typing import Any

import numpy as np
import pytest

from iochain.batch import Batch, batch_of
from iochain.engine import lookup
from iochain.kernels import words as w
from iochain.kernels.rows import SERIAL_BITS

COLUMNS = {
    w.WIRE_LENGTH: ("wire_length", 31),
    w.LENGTH: ("length", 31),
    w.ENTRY: ("entry", 22),
    w.INTERFACE: ("interface", 31),
    w.MSS: ("mss", 16),
    w.TAG: ("tag", 16),
}


def memory() -> dict[str, Any]:
    """A plan that reads every bit of every word that needs no parsing, and an empty table."""
    plans = np.zeros((4, lookup.PAIRS), np.int64)
    plans[:, list(lookup.LINK_COLUMNS.values())] = -1
    plans[:, lookup.PRESENT] = sum(1 << word for word in w.LINK_WORDS)
    table = np.zeros((1024, lookup.KEY + lookup.LINK_KEY), np.int64)
    return {"classes": np.zeros(2, np.int64), "plans": plans, "table": table}


def frame() -> Batch:
    batch = batch_of([(bytes(range(60)), 0)])
    rows = batch.rows
    rows["port"], rows["entry"], rows["interface"], rows["tag"], rows["mss"] = 0, 0, 0, 0, 1
    return batch


def step(made: dict[str, Any]) -> Any:
    """The only step of a decision."""
    older = made["plans"], np.zeros((1, lookup.KEY + lookup.LINK_KEY), np.int64)
    made["keys"] = np.zeros((lookup.BLOCK + 1, lookup.LINK_KEY), np.int64)
    made["older"] = older  # the step has addresses only
    now = made["plans"], made["table"]
    return lookup.step_of(made["classes"], made["classes"], made["keys"], now, older)


def remember(rows: Any, made: dict[str, Any]) -> None:
    lookup.remember(rows, step(made), 7, -1, -1, -1, np.zeros(w.COUNT, np.int64))


def found(rows: Any, made: dict[str, Any]) -> bool:
    taken = np.zeros(1, np.int32)
    at = lookup.look_up(rows, 0, 1, step(made)[None], taken, np.zeros(w.COUNT, np.int64))
    assert taken[0] == (7 if at == 1 else -1)
    return bool(at == 1)


def differing() -> list[tuple[str, int]]:
    flips = [(name, 1 << bit) for name, bits in COLUMNS.values() for bit in range(bits)]
    return [*flips, *(("order", 1 << SERIAL_BITS + bit) for bit in range(20)), ("port", 1), ("flags", 1)]


@pytest.mark.parametrize(("column", "flip"), differing())
def test_a_bit_that_was_read_makes_another_key(column: str, flip: int) -> None:
    made, batch = memory(), frame()
    rows = batch.rows
    remember(rows, made)
    assert found(rows, made)
    rows[column] ^= flip
    assert not found(rows, made)


@pytest.mark.parametrize("bit", range(8 * 14))
def test_every_bit_of_addresses_and_type_makes_another_key(bit: int) -> None:
    made = memory()
    data = bytearray(range(60))
    first = batch_of([(bytes(data), 0)])
    data[bit // 8] ^= 1 << bit % 8
    second = batch_of([(bytes(data), 0)])
    for batch in (first, second):
        batch.rows["port"] = 0
    remember(first.rows, made)
    assert found(first.rows, made)
    assert not found(second.rows, made)

"""Ways whose keys no index can tell apart: what it has of their hashes is the same, and so is their place."""

from typing import Any

import numpy as np
import pytest

from iochain.batch import Batch, batch_of
from iochain.engine.shortcut import (
    BLOCK,
    GOES_ON,
    KEY,
    KEY_WORDS,
    NO_KEY,
    NOT_LOOKED_AT,
    NUMBER_BITS,
    PAIRS,
    SLOT,
    insert,
    note_all,
    take,
    unknown,
)
from iochain.kernels import words as w

SOURCE = "020000000001"
PLACES = 1 << 12
PLAN = np.array([0, 0, 0, -1, -1], np.int64)


def frames_to(*targets: str) -> Batch:
    return batch_of([(bytes.fromhex(target + SOURCE) + b"\x08\x00" + bytes(46), 0) for target in targets], 0)


class Table:
    """A short cut for rows that enter, and go to the port whose number they are told."""

    def __init__(self) -> None:
        self.index, self.slots = np.zeros(PLACES, np.uint32), np.zeros((64, SLOT), np.int64)
        self.slots[0, KEY : KEY + KEY_WORDS] = NO_KEY
        self.count = 0
        self.counters, self.entries = np.zeros((8, 2, 3, 2), np.int64), np.zeros(8, np.int64)
        self.scratch, self.room = np.zeros(w.COUNT, np.int64), np.zeros(BLOCK * (1 + KEY_WORDS), np.int64)

    def learn(self, batch: Batch, *ports: int) -> None:
        numbers = [np.array(column, np.int32) for column in ([1] * len(ports), ports, *[[0] * len(ports)] * 4)]
        kinds, is_uplink = np.full(len(ports), GOES_ON, np.uint8), np.zeros(8, np.bool_)
        arguments: tuple[Any, ...] = (
            self.index,
            self.slots,
            self.count,
            is_uplink,
            kinds,
            *numbers,
            self.scratch,
            self.room,
        )
        self.count = insert(batch.rows, True, PLAN, *arguments)

    def ports(self, batch: Batch) -> list[int]:
        """Where rows go, up to the first unknown one."""
        kinds, whys = np.zeros(len(batch), np.uint8), np.zeros(len(batch), np.int32)
        there = (PLAN, self.index, self.slots, True, self.counters, self.entries, kinds, whys, self.scratch, self.room)
        end = take(batch.rows, 0, len(batch), False, *there, NOT_LOOKED_AT)
        return [int(port) for port in batch.rows["port"][:end]]

    def unknown(self, batch: Batch) -> int:
        found = np.zeros(len(batch), np.int64)
        return int(unknown(batch.rows, 0, True, PLAN, self.index, self.slots, found, self.scratch, self.room))


@pytest.mark.parametrize(
    ("one", "other"),
    [("02be9b44f456", "02aa115bcd76"), ("0239c334c2a0", "02bb4e3c70d8"), ("02adf37933e9", "0292939532be")],
)
def test_keys_with_the_same_hash_are_two(one: str, other: str) -> None:
    assert len(PLAN) == PAIRS
    table = Table()
    table.learn(frames_to(one), 3)
    first = int(np.flatnonzero(table.index)[0])
    assert table.unknown(frames_to(other, one)) == 1
    assert table.ports(frames_to(other)) == []
    table.learn(frames_to(other), 4)
    assert table.count == 2
    assert (
        table.index[first] >> NUMBER_BITS == table.index[first + 1] >> NUMBER_BITS
    )  # else this is no test of anything
    assert table.ports(frames_to(one, other, other, one)) == [3, 4, 4, 3]
    table.learn(frames_to(other), 5)
    assert (table.count, table.ports(frames_to(one, other))) == (2, [3, 5])


def test_a_new_index_finds_all_again() -> None:
    table = Table()
    frames = frames_to("02be9b44f456", "02aa115bcd76", "0239c334c2a0", "02bb4e3c70d8")
    table.learn(frames, 3, 4, 5, 6)
    table.index = np.zeros(8, np.uint32)
    note_all(table.slots, table.count, table.index, table.room)
    assert table.ports(frames) == [3, 4, 5, 6]
    assert table.ports(frames_to("020000000009")) == []

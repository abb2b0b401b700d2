"""A batch: many frames as columns, and the buffers that their bytes lie in.

A batch is what moves between the stages that work on bytes or on time, and what readers of captures hand out.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen

from iochain.kernels.checked import check, known
from iochain.kernels.order import count_due, first_from, merged_rows, sorted_rows
from iochain.kernels.rows import (
    ADDRESS_BYTES,
    MAX_ORDER,
    MAX_TIME_NS,
    NO_TAG,
    NOWHERE,
    ROW,
    SERIAL_BITS,
    TAG_BYTES,
)
from iochain.kernels.select import copied, gather

Rows = npt.NDArray[np.void]


class Instant(NamedTuple):
    """A place in the order of everything: a time, and among the frames of that time an order number."""

    time_ns: int
    order: int = 0


FOREVER: Final = Instant(MAX_TIME_NS, MAX_ORDER)


def order_of(source: int, serial: int) -> int:
    """The order number of frame ``serial`` (from 1) of source ``source`` (from 0)."""
    return source << SERIAL_BITS | serial


def source_and_serial(order: int) -> tuple[int, int]:
    """What :func:`order_of` put together."""
    return order >> SERIAL_BITS, order & ((1 << SERIAL_BITS) - 1)


@frozen(eq=False)
class Batch:
    """Rows (:data:`iochain.kernels.rows.ROW`), and ``pins``: what keeps the memory alive that they point into."""

    rows: Rows
    pins: tuple[object, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        """How many frames there are."""
        return len(self.rows)

    def __getitem__(self, index: Any) -> "Batch":
        """The frames that a slice, a mask or an array of indices picks."""
        return Batch(self.rows[index], self.pins)

    def __deepcopy__(self, memo: Any) -> "Batch":
        """The same as :meth:`copy`."""
        return self.copy()

    def copy(self) -> "Batch":
        """Rows of its own, on the same memory."""
        return Batch(copied(self.rows), self.pins)

    def taken(self, index: npt.NDArray[np.int64]) -> "Batch":
        """The frames at these indices, in this order; faster than picking them with brackets."""
        rows = np.empty(len(index), ROW)
        gather(self.rows, index, rows)
        return Batch(rows, self.pins)

    def column(self, name: str) -> npt.NDArray[Any]:
        """One column of all frames, as a view: writing to it writes to the batch."""
        return self.rows[name]

    def frame_bytes(self, index: int) -> bytes:
        """The captured bytes of one frame, with the tag in its place and the padding behind."""
        row = self.rows[index]
        head = bytes_at(int(row["address"]), ADDRESS_BYTES)
        rest = bytes_at(int(row["address"]) + int(row["skip"]), int(row["length"]) - ADDRESS_BYTES)
        tag = b"" if row["tag"] == NO_TAG else b"\x81\x00" + int(row["tag"]).to_bytes(TAG_BYTES - 2, "big")
        return head + tag + rest + bytes(int(row["pad"]))


EMPTY: Final = Batch(np.zeros(0, ROW))


def joined(batches: Iterable[Batch]) -> Batch:
    """All frames of several batches, in the order given."""
    some = [batch for batch in batches if len(batch)]
    if len(some) < 2:
        return some[0] if some else EMPTY
    return Batch(np.concatenate([batch.rows for batch in some]), joined_pins(some))


def joined_pins(batches: Iterable[Batch]) -> tuple[object, ...]:
    """What keeps the memory of several batches alive, each once."""
    return tuple({id(pin): pin for batch in batches for pin in batch.pins}.values())


def pins_of(rows: Rows, pins: tuple[object, ...]) -> tuple[object, ...]:
    """Those pins that rows point into; what waits for long keeps no more memory alive than it needs."""
    first = rows["address"]
    found = []
    for pin in pins:
        memory: Any = getattr(pin, "memory", pin)  # a buffer of a capture, or an array
        start = memory.ctypes.data
        if np.any((first >= start) & (first < start + memory.nbytes)):
            found.append(pin)
    return tuple(found)


@define
class Waiting:
    """Frames that wait for their time, which stands in their rows already."""

    batch: Batch = EMPTY

    def __len__(self) -> int:
        return len(self.batch.rows)

    def release(self, more: Batch, until: Instant) -> Batch:
        """Take more frames in, and give out, in order, all that come before ``until``: the same rows if that is all."""
        if not len(self.batch.rows) and count_due(more.rows, until.time_ns, until.order) == len(more.rows):
            return more
        rows = merged_rows(self.batch.rows, sorted_rows(more.rows))
        pins = joined_pins((self.batch, more))
        due = int(first_from(rows, until.time_ns, until.order))
        held = copied(rows[due:])
        self.batch = Batch(held, pins_of(held, pins)) if len(held) else EMPTY
        return Batch(rows[:due], pins)


def batch_of(frames: Iterable[tuple[bytes, int]], source: int = 0, first_serial: int = 1) -> Batch:
    """A batch of (bytes, time in ns) pairs, each at least an Ethernet header long; the bytes are copied once.

    The first 802.1Q tag (EtherType 0x8100) of a frame is carried beside the bytes, as everywhere in iochain.
    """
    pairs = list(frames)
    memory = known(np.frombuffer(b"".join(data for data, _ in pairs) or b"\0", np.uint8))
    rows = np.zeros(len(pairs), ROW)
    address = memory.ctypes.data
    for i, (data, time_ns) in enumerate(pairs):
        row = rows[i]
        row["address"], row["time_ns"] = address, time_ns
        row["order"] = order_of(source, first_serial + i)
        row["length"] = row["wire_length"] = len(data)
        row["tag"], row["skip"] = NO_TAG, ADDRESS_BYTES
        row["entry"] = row["port"] = row["interface"] = NOWHERE
        address += len(data)
    return Batch(untagged_rows(rows), (memory,))


def untagged_rows(rows: Rows) -> Rows:
    """The same rows, the outer 802.1Q tag of each taken out of the bytes and carried beside them."""
    from iochain.kernels.tags import lift_tags

    lift_tags(rows)
    return rows


def bytes_at(address: int, count: int) -> bytes:
    """A copy of ``count`` bytes of memory at ``address``; for frames of a batch whose pins are alive."""
    import ctypes

    check(address, max(count, 0))
    return ctypes.string_at(address, max(count, 0))

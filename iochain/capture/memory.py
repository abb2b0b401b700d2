"""Where a capture's bytes lie while frames of them are under way: buffers of one size, used again when all are gone."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from iochain.kernels.checked import CHECKED, known

Bytes = npt.NDArray[np.uint8]

COLLECTED: Final = np.dtype(
    [
        ("start", np.int64),  # address of the first byte that waits
        ("target", np.int64),  # address where the next byte belongs
        ("end", np.int64),  # address behind the last byte that there is room for
        ("slack", np.int64),  # the memory begins at a multiple of this, and ``start`` lies less than this behind that
        ("position", np.int64),  # which byte of the file the first one is
    ]
)
"""What kernels know of :class:`Collected`, and change."""
_START, _TARGET, _END, _SLACK, _POSITION = range(5)

PAGE_BYTES: Final = 4096
"""The system copies between a file and memory a page at a time. Where a byte does not lie at the same place of its page
in both, that takes longer: up to five times, if memory is some bytes ahead (measured on Zen 4, ``rep movsb``)."""
_WORTH_A_PAGE: Final = 1 << 16
"""Smaller buffers than this are many at once: a page more for each would be much memory."""


class Pages(NamedTuple):
    """Memory that begins with a page, and its address, which numpy takes long to say."""

    memory: Bytes
    address: int


def whole_pages(count: int) -> Pages:
    """Pages of ``count`` bytes."""
    memory = np.empty(count + PAGE_BYTES, np.uint8)
    start = -memory.ctypes.data % PAGE_BYTES
    return Pages(memory[start : start + count], memory.ctypes.data + start)


class BufferPool:
    """Buffers of one size. A buffer comes back by itself when nothing refers to its pin any more."""

    def __init__(self, buffer_bytes: int, kept: int) -> None:
        """At most ``kept`` unused buffers wait for their next use."""
        self.buffer_bytes = buffer_bytes
        self._kept = kept
        self._unused: list[Pages] = []

    def buffer(self, needed: int = 0, position: int = 0) -> "Buffer":
        """A buffer of the pool's size, or a greater one of its own where more is needed.

        Its first byte lies in its page as byte ``position`` of a file does.
        """
        if needed > self.buffer_bytes:
            return Buffer(whole_pages(PAGE_BYTES + needed), needed, position, None)
        pages = self._unused.pop() if self._unused else whole_pages(PAGE_BYTES + self.buffer_bytes)
        return Buffer(pages, self.buffer_bytes, position, self)

    def take_back(self, pages: Pages) -> None:
        """Keep the memory of a buffer that nobody uses any more."""
        if len(self._unused) < self._kept:
            self._unused.append(pages)


class Buffer:
    """The pin of a batch: as long as somebody holds it, the addresses in the batch's rows are good."""

    __slots__ = ("_filled", "_pages", "_pool", "_view", "address", "memory")

    def __init__(self, pages: Pages, size: int, position: int, pool: BufferPool | None) -> None:
        """``size`` bytes of pages that are one more."""
        start = position % PAGE_BYTES
        self.memory = pages.memory[start : start + size]
        self.address = pages.address + start
        plain: Any = self.memory
        self._view = memoryview(plain)
        self._pages = pages
        self._pool = pool
        self.holds(0)

    def __del__(self) -> None:
        if self._pool is not None:
            self._pool.take_back(self._pages)

    def view(self, start: int = 0, stop: int | None = None) -> memoryview:
        """The bytes from ``start`` to ``stop``, to read into."""
        return self._view[start:stop]

    def holds(self, count: int) -> None:
        """Say that the first ``count`` bytes are filled: only they may be read, and only while this pin is held."""
        if CHECKED:
            filled = self.memory[:count]
            filled.flags.writeable = False
            self._filled = known(filled)


class Collected:
    """Bytes that wait for being written to a file; they lie in their pages as they will in the file's."""

    def __init__(self, size: int, position: int) -> None:
        """Room for ``size`` bytes, the first of them at byte ``position`` of the file."""
        self.size = size
        self._slack = PAGE_BYTES if size >= _WORTH_A_PAGE else 1
        self._pages = whole_pages(size + self._slack)
        known(self._pages.memory)
        self.state = np.zeros(1, COLLECTED)
        """The same for kernels."""
        self._numbers = self.state.view(np.int64)
        self.begin(position)

    def begin(self, position: int) -> None:
        """Forget what was collected; from now on it is for byte ``position`` of the file and those behind it."""
        start = self._pages.address + position % self._slack
        self._numbers[:] = start, start, start + self.size, self._slack, position

    @property
    def target(self) -> int:
        """The address where the next byte belongs."""
        return int(self._numbers[_TARGET])

    @property
    def room(self) -> int:
        """How many bytes more there is room for."""
        return int(self._numbers[_END] - self._numbers[_TARGET])

    @property
    def position(self) -> int:
        """The first byte of the file that is not written."""
        return int(self._numbers[_POSITION])

    @property
    def filled(self) -> int:
        """How many bytes wait."""
        return int(self._numbers[_TARGET] - self._numbers[_START])

    @filled.setter
    def filled(self, count: int) -> None:
        self._numbers[_TARGET] = self._numbers[_START] + count

    @property
    def bytes(self) -> Bytes:
        """What was collected."""
        start, target = (int(address) - self._pages.address for address in self._numbers[: _TARGET + 1])
        return self._pages.memory[start:target]

"""Where a capture's bytes lie while frames of them are under way: buffers of one size, used again when all are gone."""

from typing import Any

import numpy as np
import numpy.typing as npt

from iochain.kernels.checked import known

Bytes = npt.NDArray[np.uint8]


class BufferPool:
    """Buffers of one size. A buffer comes back by itself when nothing refers to its pin any more."""

    def __init__(self, buffer_bytes: int, kept: int) -> None:
        """At most ``kept`` unused buffers wait for their next use."""
        self.buffer_bytes = buffer_bytes
        self._kept = kept
        self._unused: list[Bytes] = []

    def buffer(self, needed: int = 0) -> "Buffer":
        """A buffer of the pool's size, or a greater one of its own where more is needed."""
        if needed > self.buffer_bytes:
            return Buffer(np.empty(needed, np.uint8), None)
        memory = self._unused.pop() if self._unused else np.empty(self.buffer_bytes, np.uint8)
        return Buffer(memory, self)

    def take_back(self, memory: Bytes) -> None:
        """Keep a buffer that nobody uses any more."""
        if len(self._unused) < self._kept:
            self._unused.append(memory)


class Buffer:
    """The pin of a batch: as long as somebody holds it, the addresses in the batch's rows are good."""

    __slots__ = ("_filled", "_pool", "address", "memory")

    def __init__(self, memory: Bytes, pool: BufferPool | None) -> None:
        self.memory = memory
        self.address: int = memory.ctypes.data
        self._pool = pool
        self.holds(0)

    def __del__(self) -> None:
        if self._pool is not None:
            self._pool.take_back(self.memory)

    def view(self, start: int = 0, stop: int | None = None) -> memoryview:
        """The bytes from ``start`` to ``stop``, to read into."""
        plain: Any = self.memory
        return memoryview(plain)[start:stop]

    def holds(self, count: int) -> None:
        """Say that the first ``count`` bytes are filled: only they may be read, and only while this pin is held."""
        filled = self.memory[:count]
        filled.flags.writeable = False
        self._filled = known(filled)

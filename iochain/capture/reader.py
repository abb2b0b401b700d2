"""Reading captures: one or several, merged by time, as batches of rows whose bytes stay where they were read to."""

from collections.abc import Iterator, Sequence
from os import PathLike, fspath
from types import TracebackType
from typing import Final, NamedTuple

import numpy as np

from iochain.batch import EMPTY, FOREVER, Batch, Instant, Rows
from iochain.capture.endings import CaptureError
from iochain.capture.interfaces import Interface
from iochain.capture.memory import BufferPool
from iochain.capture.merge import count_until, merged, number_interfaces
from iochain.capture.source import Source
from iochain.capture.streams import STANDARD_INPUT
from iochain.kernels.rows import MAX_TIME_NS, NOWHERE

LEAST_PIECE_BYTES: Final = 256
PIECE_BYTES: Final = 2 << 20
"""Of large frames a window wants more than a MiB, to be worth its fixed cost; with 4 MiB the pieces under way (one is
read, two are written) leave the cache where others use it too: 1,500 B with output then take a third to half more."""
_SMALL_SHARE_BYTES: Final = 1 << 18
_SPARE_BUFFERS: Final = 2
_MAX_SOURCES: Final = 1 << 20


class Piece(NamedTuple):
    """Some frames in the order of everything, and the instant that all frames after them are at or after."""

    batch: Batch
    until: Instant
    """FOREVER with the last piece, which may be empty."""


def read_captures(
    paths: Sequence[str | PathLike[str]],
    *,
    piece_bytes: int = PIECE_BYTES,
    start_ns: int | None = None,
    stop_ns: int | None = None,
    limit: int | None = None,
) -> "CaptureReader":
    """Open captures, to be read as one in the order of (time, source, serial).

    Frames with ``start_ns`` <= time < ``stop_ns`` are kept (nanoseconds since 1970), of these the first ``limit``.
    ``-`` is standard input. A piece of ``piece_bytes`` (256 or more) is held at a time, of many captures a smaller one
    each, which changes the speed and never the result. Raises CaptureError if a path cannot be opened or is no capture.
    """
    if piece_bytes < LEAST_PIECE_BYTES:
        raise ValueError(f"piece_bytes is {piece_bytes}; it must be {LEAST_PIECE_BYTES} or more")
    names = [fspath(path) for path in paths]
    if names.count(STANDARD_INPUT) > 1:
        raise CaptureError(f"{STANDARD_INPUT}: standard input can be read only once")
    if len(names) > _MAX_SOURCES:
        raise CaptureError(f"{len(names)} captures at once; {_MAX_SOURCES} are possible")
    start_ns, stop_ns = max(start_ns or 0, 0), MAX_TIME_NS if stop_ns is None else stop_ns
    return CaptureReader(names, piece_bytes, start_ns, stop_ns, limit)


class CaptureReader:
    """Captures that are read as one. Iterate once; afterwards ``sources`` say what was passed over, and how each ended.

    A source's counts say what was *read*: with ``limit``, that may be more than what was handed out.
    """

    def __init__(self, paths: Sequence[str], piece_bytes: int, start_ns: int, stop_ns: int, limit: int | None) -> None:
        """See :func:`read_captures`."""
        self.interfaces: list[Interface] = []
        """The interfaces of all sources by the number that rows have; those described late follow as they occur."""
        self.sources: list[Source] = []
        self._late: list[Interface] = []
        self._late_numbers = np.empty(0, np.int64)
        self._left = limit
        share = max(piece_bytes // max(len(paths), 1), min(piece_bytes, _SMALL_SHARE_BYTES))
        self._pool = BufferPool(share, kept=len(paths) + _SPARE_BUFFERS)
        try:
            for number, path in enumerate(paths):
                self.sources.append(Source(path, number, self._pool, self._number_of, start_ns, stop_ns))
                self.sources[-1].first_frame()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "CaptureReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Piece]:
        """All frames, piece by piece; the last piece, and only it, says FOREVER."""
        until = Instant(0)
        while until != FOREVER:
            batch = self._next_batch()
            until = FOREVER
            for source in self.sources if self._left != 0 else ():
                until = min(until, source.until)
            if len(batch.rows) or until == FOREVER:
                if self._late:
                    self._number_late(batch.rows)
                if until == FOREVER:
                    self._name_unseen()
                    self.close()
                yield Piece(batch, until)
            del batch

    @property
    def bytes_read(self) -> int:
        """Bytes of the files that were read."""
        return sum(source.bytes_read for source in self.sources)

    @property
    def bytes_total(self) -> int | None:
        """Bytes of all files together; None if one is a pipe."""
        sizes = [source.bytes_total for source in self.sources]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def close(self) -> None:
        """Close all files. Batches that were handed out stay good."""
        for source in self.sources:
            source.close()

    def _next_batch(self) -> Batch:
        """Frames that nothing can come before any more, as many as there are."""
        if self._left == 0:
            return EMPTY
        ready: list[Source] = []
        for source in self.sources:
            source.load()
            if len(source.rows):
                ready.append(source)
        if len(ready) == 1:
            batch = ready[0].take()
            return batch if self._left is None else self._limited(batch, self._left)
        lasts = [_last(source.rows) for source in ready if not source.is_finished]
        border = min(lasts, default=FOREVER)
        parts: list[Rows] = []
        pins: list[object] = []
        for source in ready:
            count = len(source.rows) if border == FOREVER else count_until(source.rows, border)
            if count:
                parts.append(source.rows[:count])
                pins.extend(source.pins)
                source.rows = source.rows[count:]
        if not parts:
            return EMPTY
        batch = Batch(merged(parts), tuple(pins))
        return batch if self._left is None else self._limited(batch, self._left)

    def _limited(self, batch: Batch, left: int) -> Batch:
        """The batch, or the beginning of it that ``limit`` leaves."""
        batch = batch[:left]
        self._left = left - len(batch)
        return batch

    def _number_of(self, interface: Interface, is_early: bool) -> int:
        """The number of a new interface; one described after its source's first frame waits for its own first frame.

        Else the numbers would depend on how far each source happens to be read.
        """
        if is_early:
            self.interfaces.append(interface)
            return len(self.interfaces) - 1
        self._late.append(interface)
        return NOWHERE - len(self._late)

    def _number_late(self, rows: Rows) -> None:
        """Number the late interfaces that occur in the rows for the first time."""
        new = len(self._late) - len(self._late_numbers)
        if new:
            self._late_numbers = np.concatenate([self._late_numbers, np.full(new, NOWHERE, np.int64)])
        known = len(self.interfaces)
        if number_interfaces(rows, self._late_numbers, known) > known:
            fresh = np.flatnonzero(self._late_numbers >= known)
            self.interfaces += [self._late[late] for late in fresh[np.argsort(self._late_numbers[fresh])]]

    def _name_unseen(self) -> None:
        """Put the late interfaces without a frame at the end of the list."""
        unseen = np.flatnonzero(self._late_numbers == NOWHERE).tolist()
        for late in sorted(unseen, key=lambda late: self._late[late].source):
            self._late_numbers[late] = len(self.interfaces)
            self.interfaces.append(self._late[late])


def _last(rows: Rows) -> Instant:
    """Where the last row is in the order of everything."""
    return Instant(int(rows[-1]["time_ns"]), int(rows[-1]["order"]))

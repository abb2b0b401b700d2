"""Writing one pcapng with an interface for each place that frames are seen at, their directions and comments."""

import io
import os
from collections.abc import Sequence
from io import FileIO
from os import PathLike, fspath
from types import TracebackType
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
from attrs import frozen

from iochain.batch import Batch, Rows
from iochain.capture.beside import Beside
from iochain.capture.endings import CaptureError
from iochain.capture.formats import (
    BLOCK_BYTES,
    BYTE_ORDER_MAGIC,
    INTERFACE_BLOCK,
    LINK_ETHERNET,
    MAX_OPTION_BYTES,
    OPTION_COMMENT,
    OPTION_END,
    OPTION_INTERFACE_DESCRIPTION,
    OPTION_INTERFACE_NAME,
    OPTION_TIME_RESOLUTION,
    OPTION_USER_APPLICATION,
    PACKET_BYTES,
    SECTION_BLOCK,
)
from iochain.capture.memory import Collected
from iochain.capture.packing import NO_PORT, OPTION, pack_blocks
from iochain.capture.system import WRITE
from iochain.kernels.checked import known
from iochain.version import __version__

STANDARD_OUTPUT: Final = "-"
BUFFER_BYTES: Final = 1 << 20
NO_COMMENT: Final = -1
Numbers = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]

_MOST_BATCHES: Final = 2
"""So many batches may wait for being packed and written."""
_NANOSECONDS: Final = 9
_FIRST_COMMENTS: Final = 16
_ROOM_BESIDE: Final = PACKET_BYTES + 1024


@frozen
class OutInterface:
    """An interface that frames are written for."""

    name: str
    description: str = ""


@frozen(eq=False)
class ByPort:
    """Interface (by number) and direction of frames by the port that they are at."""

    interface: Numbers
    direction: Numbers


class PcapngWriter:
    """One section, little-endian, nanoseconds. Whole blocks go out together, so that a killed process tears one.

    What is more than a buffer is packed and written on another core, while the caller goes on.
    """

    def __init__(
        self, target: str | PathLike[str] | BinaryIO, interfaces: Sequence[OutInterface], comment: str = ""
    ) -> None:
        """Create the file and write its header. ``-`` is standard output; a stream given stays open at the end.

        ``comment`` is said of the whole section. Raises CaptureError if the file cannot be created.
        """
        self.interfaces = tuple(interfaces)
        self.frames = 0
        """How many frames were given to be written."""
        self._target = Target(target)
        self._comments: dict[str, int] = {}
        self._options: list[npt.NDArray[np.uint8]] = []
        self._option_table = np.zeros(_FIRST_COMMENTS, OPTION)
        self._known_ports: tuple[ByPort, tuple[Numbers, Numbers, Numbers]] | None = None
        self._beside: Beside | None = None
        header = section_header(comment) + b"".join(described(interface) for interface in interfaces)
        self._target.write(header)
        self._collected = Collected(BUFFER_BYTES, len(header))

    def __enter__(self) -> "PcapngWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def bytes(self) -> int:
        """How long the capture is by now, in bytes."""
        self._wait()
        return self._collected.position + self._collected.filled

    def comment(self, text: str) -> int:
        """A number for a comment, the same for the same text; longer than 65,535 bytes it is cut."""
        number = self._comments.get(text)
        if number is None:
            number = self._comments[text] = len(self._options)
            self._options.append(known(np.frombuffer(option(OPTION_COMMENT, text), np.uint8)))
            if number + 1 == len(self._option_table):  # its last element stays empty: NO_COMMENT
                self._option_table = np.concatenate([self._option_table[:-1], np.zeros(number + 2, OPTION)])
            self._option_table[number] = (self._options[-1].ctypes.data, len(self._options[-1]))
        return number

    def write(
        self, batch: Batch, interface: Numbers | int, direction: Numbers | int = 0, comment: Numbers | int = NO_COMMENT
    ) -> None:
        """Write all frames of a batch, each at its interface (by number), in the order of the batch.

        ``direction`` is 0 (unknown), 1 (inbound) or 2 (outbound); ``comment`` a number from :meth:`comment`, or -1.
        Each is an array with an element per frame, or one number for all. Neither rows nor numbers may change before
        the next :meth:`flush`. Raises CaptureError (disk full, for example), which may be of frames given before.
        """
        count = len(batch)
        interfaces = checked(interface, count, np.int32, 0, len(self.interfaces), "interface")
        directions = checked(direction, count, np.uint8, 0, 3, "direction")
        comments = checked(comment, count, np.int32, NO_COMMENT, len(self._options), "comment")
        rows: Rows = np.ascontiguousarray(batch.rows)
        self._give(rows, batch.pins, False, (interfaces, directions, comments))

    def write_by_port(self, batch: Batch, by_port: ByPort) -> None:
        """Write all frames of a batch as :meth:`write` does, without comments, each as ``by_port`` says of its port.

        Nothing is computed for each frame beside its block. Raises ValueError, now or later, for a port that is not in
        ``by_port``.
        """
        self._give(np.ascontiguousarray(batch.rows), batch.pins, True, self._tables(by_port))

    def _give(self, rows: Rows, pins: object, by_port: bool, columns: tuple[Numbers, Numbers, Numbers]) -> None:
        """Have rows packed: here, or on the other core once there is more than a buffer."""
        work = (rows, pins, by_port, *columns, self._option_table)
        if self._beside is None and self._collected.position + self._collected.filled > BUFFER_BYTES:
            self._beside = Beside("capture writer", _MOST_BATCHES)
        if self._beside is None:
            self._pack(*work)
        else:
            self._beside.do(self._pack, *work)
        self.frames += len(rows)

    def flush(self) -> None:
        """Hand everything that was written to the operating system."""
        self._wait()
        self._write_filled()

    def close(self) -> None:
        """Write what is left and close the file; a second time does nothing. Raises CaptureError."""
        if self._beside is not None:
            self._beside.close()  # an interrupt here leaves the file open, which is still written to
        try:
            self._wait()
            if not self._target.is_closed:
                self._write_filled()
        finally:
            self._beside = None
            self._target.close()

    def _tables(self, by_port: ByPort) -> tuple[Numbers, Numbers, Numbers]:
        """Interface, direction and comment by port, checked; those of the last call are kept."""
        if self._known_ports is None or self._known_ports[0] is not by_port:
            count = len(by_port.interface)
            interfaces = checked(by_port.interface, count, np.int32, 0, len(self.interfaces), "interface")
            directions = checked(by_port.direction, count, np.uint8, 0, 3, "direction")
            self._known_ports = by_port, (interfaces, directions, np.full(count, NO_COMMENT, np.int32))
        return self._known_ports[1]

    def _wait(self) -> None:
        """Until all that was given is packed."""
        if self._beside is not None:
            self._beside.wait()

    def _pack(
        self,
        rows: Rows,
        pins: object,
        by_port: bool,
        interfaces: Numbers,
        directions: Numbers,
        comments: Numbers,
        options: Numbers,
    ) -> None:
        """Put rows into the buffer, and write it where it is full; ``pins`` keep alive what rows point into."""
        done = 0
        columns = (by_port, interfaces, directions, comments, options)
        while done < len(rows):
            done = pack_blocks(rows, done, *columns, self._collected.state, self._target.file, WRITE)
            if done <= NO_PORT:
                raise ValueError(f"port {rows['port'][NO_PORT - done]} of a frame is not among those to write")
            if done < len(rows):
                self._make_room(rows[done])

    def _write_filled(self) -> None:
        waiting = self._collected.bytes
        self._target.write(waiting)
        self._collected.begin(self._collected.position + len(waiting))

    def _make_room(self, row: Any) -> None:
        """Empty the buffer; where a single frame is greater than it, make it greater."""
        if self._collected.filled:
            self._write_filled()
            return
        needed = int(row["length"]) + int(row["pad"]) + _ROOM_BESIDE + max(map(len, self._options), default=0)
        self._collected = Collected(max(needed, self._collected.size), self._collected.position)


class Target:
    """A file, standard output or a stream of the caller's, that writes all bytes or says why not."""

    def __init__(self, target: str | PathLike[str] | BinaryIO) -> None:
        """Create the file, or begin it anew. Raises CaptureError if that is not possible."""
        self.is_closed = False
        self._fault: CaptureError | None = None
        self._is_ours = isinstance(target, str | PathLike)
        self._stream: Any = target
        self.name = fspath(target) if isinstance(target, str | PathLike) else getattr(target, "name", "the stream")
        try:
            if self.name == STANDARD_OUTPUT and self._is_ours:
                self._stream = FileIO(1, "w", closefd=False)
            elif self._is_ours:
                self._stream = FileIO(self.name, "w")
        except (OSError, ValueError) as error:
            raise CaptureError(f"{self.name}: cannot be written: {_reason(error)}") from error
        self._is_plain = WRITE != 0 and type(self._stream) is io.FileIO

    @property
    def file(self) -> int:
        """The descriptor, where kernels may write to it: it is open, and nothing lies between it and us; else -1."""
        return self._stream.fileno() if self._is_plain and not (self.is_closed or self._stream.closed) else -1

    def write(self, block: Any) -> None:
        """Write all bytes. Raises CaptureError where the system refuses some; nothing is written after that."""
        if self._fault:
            raise self._fault
        rest = memoryview(block).cast("B")
        try:
            while len(rest):
                written = self._stream.write(rest)
                if written is None:
                    raise BlockingIOError(os.strerror(11))
                rest = rest[written:]
        except OSError as error:
            self._fault = CaptureError(f"{self.name}: cannot be written: {_reason(error)}")
            self.close()
            raise self._fault from error

    def close(self) -> None:
        """Close the file; a stream of the caller's, and standard output, stay open. Raises CaptureError."""
        self.is_closed = True
        try:
            if self._is_ours:
                self._stream.close()
        except OSError as error:
            if self._fault:
                return
            raise CaptureError(f"{self.name}: cannot be written: {_reason(error)}") from error


def section_header(comment: str = "") -> bytes:
    """The section header block: its length is unknown, so that nothing must be written at its front later."""
    body = BYTE_ORDER_MAGIC.to_bytes(4, "little") + b"\1\0\0\0" + b"\xff" * 8
    said = option(OPTION_COMMENT, comment) if comment else b""
    return block(SECTION_BLOCK, body + said + option(OPTION_USER_APPLICATION, f"iochain {__version__}") + _END)


def described(interface: OutInterface) -> bytes:
    """The interface description block: Ethernet, no snap length, nanoseconds."""
    body = LINK_ETHERNET.to_bytes(4, "little") + bytes(4) + option(OPTION_INTERFACE_NAME, interface.name)
    if interface.description:
        body += option(OPTION_INTERFACE_DESCRIPTION, interface.description)
    return block(INTERFACE_BLOCK, body + option(OPTION_TIME_RESOLUTION, bytes([_NANOSECONDS])) + _END)


def block(kind: int, body: bytes) -> bytes:
    """A pcapng block around a body whose length is a multiple of four."""
    total = (BLOCK_BYTES + len(body)).to_bytes(4, "little")
    return kind.to_bytes(4, "little") + total + body + total


def option(code: int, value: str | bytes) -> bytes:
    """An option, padded to four bytes; text beyond 65,535 bytes is cut between two characters."""
    if isinstance(value, str):
        value = value.encode("utf-8", "replace")
        value = value[:MAX_OPTION_BYTES].decode("utf-8", "ignore").encode() if len(value) > MAX_OPTION_BYTES else value
    return code.to_bytes(2, "little") + len(value).to_bytes(2, "little") + value + bytes(-len(value) % 4)


def checked(numbers: Numbers | int, count: int, kind: Any, least: int, below: int, what: str) -> Numbers:
    """The numbers as the kernel wants them: one per frame, none out of range. Raises ValueError if one is."""
    array = np.asarray(numbers)
    if array.ndim and len(array) != count:
        raise ValueError(f"{len(array)} {what} numbers for {count} frames")
    if array.size and count and not (least <= int(array.min()) and int(array.max()) < below):
        raise ValueError(f"{what} numbers must be from {least} to {below - 1}")
    if not array.ndim:
        return np.full(count, int(array), kind)
    return np.ascontiguousarray(array, kind)


def _reason(error: Exception) -> str:
    """Why the system refused, in its words."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


_END: Final = OPTION_END.to_bytes(4, "little")

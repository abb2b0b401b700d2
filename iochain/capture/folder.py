"""Writing a folder of nanosecond pcaps, one per interface that had a frame."""

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np

from iochain.batch import Batch, Rows
from iochain.capture.endings import CaptureError
from iochain.capture.formats import LINK_ETHERNET, PCAP_HEADER_BYTES, PCAP_NANOSECONDS, PCAP_RECORD_BYTES, PCAP_VERSION
from iochain.capture.memory import Collected
from iochain.capture.packing import pack_records
from iochain.capture.writer import BUFFER_BYTES, NO_COMMENT, ByPort, Numbers, OutInterface, checked
from iochain.kernels.rows import TAG_BYTES

_ALL_BUFFERS_BYTES: Final = 64 << 20
_LEAST_BUFFER_BYTES: Final = 4 << 10
_SNAP_LENGTH: Final = 262144
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_NAME: Final = 120


class PcapDirectory:
    """The same as :class:`iochain.capture.writer.PcapngWriter` for programs that want plain pcaps: no comments.

    A file is opened only while something is written to it, so ten thousand interfaces need no ten thousand open files.
    """

    def __init__(self, folder: str | PathLike[str], interfaces: Sequence[OutInterface]) -> None:
        """Make the folder if it is not there. Raises CaptureError if that is not possible."""
        self.folder = Path(folder)
        self.interfaces = tuple(interfaces)
        self.frames = 0
        """How many frames were given to be written."""
        self.bytes = 0
        """How long all files together are by now, in bytes."""
        share = _ALL_BUFFERS_BYTES // max(len(self.interfaces), 1)
        self._buffer_bytes = max(min(BUFFER_BYTES, share), _LEAST_BUFFER_BYTES)
        self._names = file_names([interface.name for interface in self.interfaces])
        self._files: dict[int, _InterfaceFile] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CaptureError(f"{self.folder}: cannot be made: {error.strerror or error}") from error

    def __enter__(self) -> "PcapDirectory":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(
        self, batch: Batch, interface: Numbers | int, direction: Numbers | int = 0, comment: Numbers | int = NO_COMMENT
    ) -> None:
        """Write all frames of a batch, each to its interface's file; direction and comment have no place in a pcap.

        Raises CaptureError where the system refuses.
        """
        interfaces = checked(interface, len(batch), np.int32, 0, len(self.interfaces), "interface")
        order = np.argsort(interfaces, kind="stable")
        sorted_rows = batch.rows[order]
        numbers, starts = np.unique(interfaces[order], return_index=True)
        for number, rows in zip(numbers.tolist(), np.split(sorted_rows, starts[1:]), strict=True):
            file = self._file(number)
            self.bytes += file.write(rows)
        self.frames += len(batch)

    def write_by_port(self, batch: Batch, by_port: ByPort) -> None:
        """Write all frames of a batch, each to the file of its port's interface."""
        self.write(batch, by_port.interface.take(batch.column("port")))

    def flush(self) -> None:
        """Hand everything that was written to the operating system."""
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        """Write what is left; a second time does nothing. Raises CaptureError."""
        self.flush()

    def _file(self, number: int) -> "_InterfaceFile":
        """The file of an interface, created with its first frame."""
        file = self._files.get(number)
        if file is None:
            file = self._files[number] = _InterfaceFile(self.folder / self._names[number], self._buffer_bytes)
            self.bytes += PCAP_HEADER_BYTES
        return file


class _InterfaceFile:
    """One pcap: what is collected for it, and how it is written."""

    def __init__(self, path: Path, buffer_bytes: int) -> None:
        self.path = path
        self.bytes = 0
        self._append(_pcap_header(), "wb")
        self._collected = Collected(buffer_bytes, self.bytes)

    def write(self, rows: Rows) -> int:
        """Collect rows, write where the buffer is full; returns the bytes that the file grows by."""
        grown = done = 0
        while done < len(rows):
            done, filled = pack_records(rows, done, self._collected.target, self._collected.room)
            self._collected.filled += filled
            grown += filled
            if done < len(rows):
                self._make_room(rows[done])
        return grown

    def flush(self) -> None:
        """Append what is collected."""
        if self._collected.filled:
            self._append(self._collected.bytes, "ab")
            self._collected.begin(self.bytes)

    def _make_room(self, row: Any) -> None:
        """Empty the buffer; where a single frame is greater than it, make it greater."""
        if self._collected.filled:
            self.flush()
        else:
            needed = PCAP_RECORD_BYTES + int(row["length"]) + int(row["pad"]) + TAG_BYTES
            self._collected = Collected(needed, self.bytes)

    def _append(self, data: Any, mode: str) -> None:
        """Write to the end of the file, or to a new one. Raises CaptureError."""
        try:
            with self.path.open(mode) as file:
                self.bytes += file.write(data)
        except OSError as error:
            raise CaptureError(f"{self.path}: cannot be written: {error.strerror or error}") from error


def file_names(names: Sequence[str]) -> list[str]:
    """A file name for each interface: letters, digits, dots and dashes, and no two alike whatever their case."""
    taken: set[str] = set()
    files = []
    for name in names:
        plain = stem = _UNSAFE.sub("_", name).strip("._")[:_MAX_NAME] or "interface"
        count = 1
        while plain.casefold() in taken:
            count += 1
            plain = f"{stem}-{count}"
        taken.add(plain.casefold())
        files.append(f"{plain}.pcap")
    return files


def _pcap_header() -> bytes:
    """The header of a pcap: nanoseconds, Ethernet."""
    version = b"".join(number.to_bytes(2, "little") for number in PCAP_VERSION)
    numbers = (0, 0, _SNAP_LENGTH, LINK_ETHERNET)
    return PCAP_NANOSECONDS.to_bytes(4, "little") + version + b"".join(n.to_bytes(4, "little") for n in numbers)

"""The bytes of a capture in order: a file or standard input, unpacked while they are read."""

import os
import stat
import sys
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from io import FileIO
from typing import Any, Final, Protocol

from iochain.capture.endings import CaptureError
from iochain.capture.formats import GZIP_MAGIC, ZSTD_MAGIC, Packing

STANDARD_INPUT: Final = "-"
_PACKED_BYTES: Final = 1 << 18
_GZIP_WINDOW: Final = 31
_BLOCK_BYTES: Final = 1 << 17
_AHEAD_BYTES: Final = 1 << 20


class Unpacked(Protocol):
    """Where unpacked bytes come from."""

    @property
    def is_torn(self) -> bool:
        """Whether the packed data turned out to end too early."""

    def readinto(self, target: memoryview, /) -> int:
        """Fill the front of ``target`` and return how many bytes that was; 0 at the end."""


class CaptureStream:
    """One capture's bytes. Faults while reading do not raise: the stream ends, and ``failure`` says why."""

    def __init__(self, path: str) -> None:
        """Open a path, or standard input if it is ``-``. Raises CaptureError when that is not possible."""
        self.path = path
        self.failure: str | None = None
        self.bytes_unpacked = 0
        """How many bytes were handed out."""
        self._file = _opened(path)
        try:
            status = os.fstat(self._file.fileno())
            self._raw = RawBytes(self._file)
            head = self._raw.peeked(len(ZSTD_MAGIC))
        except OSError as error:
            self._file.close()
            raise CaptureError(f"{path}: cannot be read: {error.strerror or error}") from error
        self.bytes_total = status.st_size if stat.S_ISREG(status.st_mode) else None
        self.packing = _packing(head)
        self._unpacked: Unpacked = _UNPACKERS[self.packing](self._raw)
        if self.packing is not Packing.PLAIN:
            self._unpacked = Ahead(self._unpacked)

    @property
    def bytes_read(self) -> int:
        """How many bytes were read of the file as it lies on the disk."""
        return self._raw.bytes_read

    @property
    def is_torn(self) -> bool:
        """Whether the packed data ended before its own end mark."""
        return self._unpacked.is_torn

    def fill(self, target: memoryview) -> int:
        """Fill ``target`` as far as there are bytes; fewer than asked for only at the end."""
        filled = 0
        try:
            while filled < len(target) and (count := self._unpacked.readinto(target[filled:])):
                filled += count
        except OSError as error:
            self.failure = f"cannot be read on: {error.strerror or error}"
        except zlib.error as error:
            self.failure = f"the gzip data is damaged ({error})"
        except Exception as error:
            if not _is_zstd_fault(error):
                raise
            self.failure = f"the zstd data is damaged ({error})"
        self.bytes_unpacked += filled
        return filled

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if isinstance(self._unpacked, Ahead):
            self._unpacked.close()
        self._file.close()


class Ahead:
    """Unpacks the next bytes while the engine works on those before; begins with it where there is more than a block.

    What is not packed is read by the engine itself: another copy of all bytes would cost more than it gives.
    """

    def __init__(self, unpacked: Unpacked) -> None:
        self._source = unpacked
        self._blocks = [memoryview(bytearray(_AHEAD_BYTES)) for _ in range(2)]
        self._rest = self._blocks[0][:0]
        self._fault: Exception | None = None
        self._is_ended = False
        self._reader: ThreadPoolExecutor | None = None
        self._next: Future[int] | None = None

    @property
    def is_torn(self) -> bool:
        """Whether the packed data ended before its own end mark."""
        return self._source.is_torn

    def readinto(self, target: memoryview, /) -> int:
        """Fill the front of ``target``; 0 only at the end. Raises what the unpacker raises, behind the bytes before."""
        if not self._rest and not self._is_ended:
            self._turn()
        if not self._rest and self._fault is not None:
            raise self._fault
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """Wait for what is under way."""
        if self._reader is not None:
            self._reader.shutdown()

    def _turn(self) -> None:
        """The block that was unpacked meanwhile; the other one is unpacked from now on."""
        count = self._unpack(self._blocks[0]) if self._next is None else self._next.result()
        self._rest = self._blocks[0][:count]
        self._blocks.reverse()
        self._is_ended = count < _AHEAD_BYTES
        if not self._is_ended:
            self._reader = self._reader or ThreadPoolExecutor(1, "capture reader")
            self._next = self._reader.submit(self._unpack, self._blocks[0])

    def _unpack(self, block: memoryview) -> int:
        """Fill a block; less only at the end or before a fault."""
        filled = 0
        try:
            while filled < len(block) and (count := self._source.readinto(block[filled:])):
                filled += count
        except Exception as error:
            self._fault = error
        return filled


class RawBytes:
    """The bytes as they lie on the disk; those looked at for recognition are read again."""

    is_torn = False

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._peeked = b""
        self.bytes_read = 0

    def peeked(self, count: int) -> bytes:
        """The first ``count`` bytes, fewer if there are no more; they will still be read."""
        while len(self._peeked) < count and (more := self._file.read(count - len(self._peeked))):
            self._peeked += more
        return self._peeked

    def readinto(self, target: memoryview, /) -> int:
        """Read once into ``target``."""
        if self._peeked:
            count = min(len(self._peeked), len(target))
            target[:count] = self._peeked[:count]
            self._peeked = self._peeked[count:]
        else:
            count = self._file.readinto(target) or 0
        self.bytes_read += count
        return count

    def read(self, size: int = _PACKED_BYTES, /) -> bytes:
        """At most ``size`` bytes, none at the end."""
        target = bytearray(size)
        return bytes(memoryview(target)[: self.readinto(memoryview(target))])


class GzipBytes:
    """What gzip packed: one member after the other (RFC 1952, 2.2), zeros behind the last one passed over.

    It unpacks a block at a time, so that the bytes before a damage are the same however much is asked for.
    """

    def __init__(self, raw: RawBytes) -> None:
        self._raw = raw
        self._packed = b""
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._fault: zlib.error | None = None
        self._rest = memoryview(b"")
        self.is_torn = False

    def readinto(self, target: memoryview, /) -> int:
        """Unpack into ``target``; 0 only at the end. Raises zlib.error for damaged data."""
        if not self._rest:
            self._rest = memoryview(self._next_block())
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _next_block(self) -> bytes:
        """The next bytes, none at the end. Raises zlib.error once those before a damage were given."""
        while self._fault is None:
            if self._member.eof and not self._begins_another():
                return b""
            packed = self._packed or self._raw.read()
            if not packed:
                self.is_torn = True
                return b""
            if data := self._unpacked(packed):
                return data
        raise self._fault

    def _unpacked(self, packed: bytes) -> bytes:
        """A block; where the data is damaged the bytes before the damage, which zlib alone would keep back."""
        before = self._member.copy()
        try:
            data = self._member.decompress(packed, _BLOCK_BYTES)
        except zlib.error as error:
            self._fault = error
            return _until_fault(before, packed)
        self._packed = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        return data

    def _begins_another(self) -> bool:
        """Begin the member that follows; no if there is none."""
        packed = self._packed.lstrip(b"\0")
        while not packed and (more := self._raw.read()):
            packed = more.lstrip(b"\0")
        self._packed = packed
        self._member = zlib.decompressobj(_GZIP_WINDOW) if packed else self._member
        return bool(packed)


class ZstdBytes:
    """What zstd packed, frame after frame.

    It unpacks a block at a time, so that the bytes before a damage are the same however much is asked for.
    """

    def __init__(self, raw: RawBytes) -> None:
        import zstandard

        self._frames = ZstdFrames(raw)
        source: Any = self._frames
        self._reader = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True, closefd=False)
        self._block = memoryview(bytearray(_BLOCK_BYTES))
        self._rest = self._block[:0]

    @property
    def is_torn(self) -> bool:
        """Whether the data read up to now ends inside a frame of zstd."""
        return not self._frames.is_whole

    def readinto(self, target: memoryview, /) -> int:
        """Unpack into ``target``; 0 only at the end. Raises zstandard.ZstdError for damaged data."""
        if not self._rest:
            self._rest = self._block[: self._reader.readinto1(self._block)]
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class ZstdFrames:
    """Follows the frames and blocks of zstd (RFC 8878, 3.1), because zstandard does not say that the last is torn."""

    def __init__(self, raw: RawBytes) -> None:
        self._raw = raw
        self._head = b""
        self._skip = 0
        self._in_frame = False
        self._checksum_bytes = 0

    @property
    def is_whole(self) -> bool:
        """Whether the data up to now ends where a frame ends."""
        return not (self._head or self._skip or self._in_frame)

    def read(self, size: int = _PACKED_BYTES, /) -> bytes:
        """At most ``size`` bytes, none at the end."""
        data = self._raw.read(size)
        at = 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
            else:
                step = 1
                self._head += data[at : at + 1]
                if self._read_block() if self._in_frame else self._read_frame():
                    self._head = b""
            at += step
        return data

    def _read_frame(self) -> bool:
        """Read the beginning of a frame; no while more of it is needed."""
        if len(self._head) >= 4 and not self._head.startswith(ZSTD_MAGIC):  # a frame to be skipped, else damage
            self._skip = int.from_bytes(self._head[4:], "little") if len(self._head) == 8 else 0
            return len(self._head) == 8
        if len(self._head) < 5:
            return False
        descriptor = self._head[4]
        is_single, size_flag = descriptor >> 5 & 1, descriptor >> 6
        self._checksum_bytes = 4 * (descriptor >> 2 & 1)
        self._skip = (0, 1, 2, 4)[descriptor & 3] + (not is_single) + (is_single, 2, 4, 8)[size_flag]
        self._in_frame = True
        return True

    def _read_block(self) -> bool:
        """Read the header of a block; no while more of it is needed."""
        if len(self._head) < 3:
            return False
        header = int.from_bytes(self._head, "little")
        is_last, is_repeated = header & 1, header >> 1 & 3 == 1
        self._skip = 1 if is_repeated else header >> 3
        if is_last:
            self._skip += self._checksum_bytes
            self._in_frame = False
        return True


_UNPACKERS: Final = {Packing.PLAIN: lambda raw: raw, Packing.GZIP: GzipBytes, Packing.ZSTD: ZstdBytes}


def _opened(path: str) -> FileIO:
    """The file without a buffer between; an error in the product's words."""
    try:
        return FileIO(0, closefd=False) if path == STANDARD_INPUT else FileIO(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CaptureError(f"{path}: cannot be opened: {reason}") from error


def _packing(head: bytes) -> Packing:
    """What a capture is packed with, by how it begins."""
    if head.startswith(GZIP_MAGIC):
        return Packing.GZIP
    return Packing.ZSTD if head.startswith(ZSTD_MAGIC) else Packing.PLAIN


def _until_fault(member: Any, packed: bytes) -> bytes:
    """What zlib unpacks up to the byte that it refuses."""
    data = b""
    for at in range(len(packed)):
        try:
            data += member.decompress(packed[at : at + 1])
        except zlib.error:
            break
    return data


def _is_zstd_fault(error: Exception) -> bool:
    """Whether the error is zstandard's own; it is imported only by those who read such a file."""
    zstandard = sys.modules.get("zstandard")
    return zstandard is not None and isinstance(error, zstandard.ZstdError)

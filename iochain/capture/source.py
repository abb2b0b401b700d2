"""One capture that is read piece by piece: its frames as rows, what was passed over, and how it ended."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from iochain.batch import FOREVER, Batch, Instant, Rows, order_of
from iochain.capture.endings import CaptureError, CutShort, Damage, Ending
from iochain.capture.formats import (
    BLOCK_BYTES,
    BYTE_ORDER_MAGIC,
    FOREIGN,
    LINK_TYPE_MASK,
    PCAP_HEADER_BYTES,
    PCAP_MICROSECONDS,
    PCAP_NANOSECONDS,
    PCAP_VERSION,
    SECTION_BLOCK,
    Format,
)
from iochain.capture.interfaces import Clock, Interface, described, set_element, table_of
from iochain.capture.memory import Buffer, BufferPool, whole_pages
from iochain.capture.streams import CaptureStream
from iochain.capture.walkers import FLAWS, WALK, Flaw, Halt, walk_pcap, walk_pcapng
from iochain.kernels.rows import MAX_TIME_NS, ROW, ROW_BYTES

_MAGIC_BYTES: Final = 4
_ROW_PER_BYTES: Final = 64
_LEAST_ROWS, _MOST_ROWS = 16, 1 << 14
"""Frames that are handed out at once: their rows, and what is read of their bytes, stay in the cache."""
_STEP_BYTES: Final = 1 << 20
"""So much is read at once, and walked while it is in the cache."""
_MEMORY, _POSITION, _END, _NEED, _RECORD, _ROWS = (
    (WALK.names or ()).index(name) for name in ("memory", "position", "end", "need", "record", "rows")
)
_TIME_WORD, _ORDER_WORD = ((ROW.names or ()).index(name) for name in ("time_ns", "order"))  # words stand first
_ROW_WORDS: Final = ROW_BYTES // 8
_MORE, _BLOCK, _DAMAGED, _STOPPED = map(int, (Halt.MORE, Halt.BLOCK, Halt.DAMAGED, Halt.STOPPED))
_FIRST_INTERFACES: Final = 4
_NO_ROWS: Final = np.empty(0, ROW)
_PCAP_MAGICS: Final = {
    magic.to_bytes(_MAGIC_BYTES, order): (order == "big", exponent)
    for magic, exponent in ((PCAP_MICROSECONDS, 6), (PCAP_NANOSECONDS, 9))
    for order in ("little", "big")
}
_WHAT_IS_READ: Final = "pcap and pcapng are read, plain or packed with gzip or zstd"

NumberOf = Callable[[Interface, bool], int]
"""Gives an interface its number; the flag says whether it was described before the source's first frame."""


class Source:
    """One capture. ``frames``, ``passed_over`` and the like count what was read up to now."""

    def __init__(
        self,
        path: str,
        number: int,
        pool: BufferPool,
        number_of: NumberOf,
        start_ns: int = 0,
        stop_ns: int = MAX_TIME_NS,
    ) -> None:
        """Open a capture and read its header. Raises CaptureError if it cannot be opened or is no capture."""
        self.path = path
        self.number = number
        self.ending: Ending | None = None
        """How it ended too early; None while it is read, and if it is whole."""
        self.interfaces: list[Interface] = []
        self.rows: Rows = _NO_ROWS
        """Frames that are read and not yet handed out; they point into ``pins``."""
        self.is_finished = False
        self._stream = CaptureStream(path)
        self._pool = pool
        self._number_of = number_of
        self._wants_more = False
        self._offset = 0
        self._capacity = min(max(pool.buffer_bytes // _ROW_PER_BYTES, _LEAST_ROWS), _MOST_ROWS)
        self._is_at_end = False
        self._other_links: Counter[str] = Counter()
        self._walks = np.zeros(1, WALK)
        self._walk: Any = self._walks[0]
        numbers: Any = self._walks.view(np.int64)
        self._numbers = memoryview(numbers)  # the same: a field of a record takes several times as long
        self._walk["source"], self._walk["start_ns"], self._walk["stop_ns"] = number, start_ns, stop_ns
        self._table = table_of(_FIRST_INTERFACES)
        self.pin = Buffer(whole_pages(0), 0, 0, None)
        self.pins: tuple[Buffer, ...] = ()
        self._last: npt.NDArray[np.int64] | None = None  # the row that waits, as words
        self._last_pin = self.pin
        try:
            self._refill(PCAP_HEADER_BYTES)
            self.format = self._begin()
        except CaptureError:
            self.close()
            raise

    @property
    def packing(self) -> str:
        """``plain``, or what the capture is packed with."""
        return self._stream.packing.value

    @property
    def frames(self) -> int:
        """All frames read, those passed over too: the number of the last one, as Wireshark counts.

        Recent versions of Wireshark number the custom blocks of a pcapng as well; those are no frames, and not counted.
        """
        return int(self._walk["frames"])

    @property
    def passed_over(self) -> Mapping[str, int]:
        """Frames that are not Ethernet, by the name of their link type."""
        counts = self._other_links.copy()
        self._count_other_links(counts)
        return {name: count for name, count in sorted(counts.items()) if count}

    @property
    def short(self) -> int:
        """Frames of Ethernet interfaces with fewer than 14 captured bytes, passed over too."""
        return int(self._walk["short"])

    @property
    def held_back(self) -> int:
        """Frames whose time was before that of a frame before them; they got the later time."""
        return int(self._walk["held_back"])

    @property
    def largest_step_back_ns(self) -> int:
        """By how much time went back at most."""
        return int(self._walk["largest_step_ns"])

    @property
    def bytes_read(self) -> int:
        """Bytes of the file that were read."""
        return self._stream.bytes_read

    @property
    def bytes_total(self) -> int | None:
        """Bytes of the file; None if that cannot be known."""
        return self._stream.bytes_total

    @property
    def until(self) -> Instant:
        """Every frame that comes is at or after this; FOREVER if none comes any more."""
        if len(self.rows):
            return Instant(int(self.rows["time_ns"][0]), int(self.rows["order"][0]))
        if self._last is not None:
            return Instant(self._last.item(_TIME_WORD), self._last.item(_ORDER_WORD))
        if self.is_finished:
            return FOREVER
        return Instant(int(self._walk["latest_ns"]), order_of(self.number, self.frames + 1))

    def close(self) -> None:
        """Close the file. Rows that were read stay good as long as their pins are held."""
        self._stream.close()

    def first_frame(self) -> None:
        """Read on until the first frame is found, so that the interfaces before it are known."""
        while not (self.frames or len(self.rows) or self.is_finished):
            self._load()

    def load(self) -> None:
        """Read on until there are rows, or the source is finished."""
        while not (len(self.rows) or self.is_finished):
            self._load()

    def take(self) -> Batch:
        """Hand out all frames that are read."""
        batch = Batch(self.rows, self.pins)
        self.rows = _NO_ROWS
        return batch

    def _begin(self) -> Format:
        """Recognise the capture by its first bytes and make its walk ready."""
        head = bytes(self.pin.view(0, int(self._walk["end"]))[:PCAP_HEADER_BYTES])
        if head[:_MAGIC_BYTES] in _PCAP_MAGICS:
            self._begin_pcap(head)
            return Format.PCAP
        if head[:_MAGIC_BYTES] == SECTION_BLOCK.to_bytes(_MAGIC_BYTES, "big") and _has_order(head):
            self._walker = walk_pcapng
            return Format.PCAPNG
        raise CaptureError(f"{self.path}: {self._why_not(head)}; {_WHAT_IS_READ}")

    def _why_not(self, head: bytes) -> str:
        """Why a file that begins like this is no capture that can be read."""
        if self._stream.failure and len(head) < PCAP_HEADER_BYTES:  # one further on is met by large pieces only
            return self._stream.failure
        if len(head) < _MAGIC_BYTES:
            return "is cut short" if self._stream.is_torn else "is too short for a capture" if head else "is empty"
        for begin, what in FOREIGN.items():
            if head.startswith(begin):
                return f"is {what}"
        return "is no capture"

    def _begin_pcap(self, head: bytes) -> None:
        """Read a pcap's header; one that is torn leaves an empty capture that is cut short."""
        big_endian, exponent = _PCAP_MAGICS[head[:_MAGIC_BYTES]]
        self._walker = walk_pcap
        if len(head) < PCAP_HEADER_BYTES:
            self._finish(CutShort(0, 0))
            return
        words = np.frombuffer(head, ">u4" if big_endian else "<u4")
        version = np.frombuffer(head, ">u2" if big_endian else "<u2")[2:4]
        if version[0] != PCAP_VERSION[0]:
            raise CaptureError(f"{self.path}: a pcap of version {version[0]}.{version[1]}; version 2.4 is read")
        self._walk["swapped"] = big_endian
        self._walk["position"] = PCAP_HEADER_BYTES
        link_type, snap_length = int(words[5]) & LINK_TYPE_MASK, int(words[4])
        self._add_interface(Interface(self.number, link_type=link_type, snap_length=snap_length), Clock(exponent))

    def _load(self) -> None:
        """Walk on until the rows are full, or the piece.

        The last frame waits for those that follow: it says when they come, so that a wire is done with those before.
        """
        if self._wants_more:
            self._refill(self._numbers[_NEED])
        words = np.empty((self._capacity, _ROW_WORDS), np.int64)
        rows: Rows = np.ndarray(self._capacity, ROW, words)
        waited = 0
        self.pins = (self.pin,)
        if self._last is not None:
            waited = 1
            words[0] = self._last
            if self._last_pin is not self.pin:
                self.pins = (self._last_pin, self.pin)
        self._numbers[_ROWS] = waited
        while True:
            halt = self._walker(self._walks, rows, self._table)
            if halt == _BLOCK:
                self._read_block()
            elif halt != _MORE or self._is_at_end or not self._fill():
                break
        count = self._numbers[_ROWS]
        self._wants_more = halt == _MORE
        if halt == _DAMAGED:
            self._finish(Damage(self._record_offset, FLAWS[Flaw(self._walk["damage"])]))
        elif halt == _STOPPED:
            self._finish(None)
        elif self._wants_more and self._is_at_end:
            self._end_of_stream()
        self._last = None
        if count and not self.is_finished:
            if count > waited:
                self._last_pin = self.pin
            count -= 1
            self._last = words[count].copy()  # it must not keep the rows before it alive
        self.rows = rows[:count]

    @property
    def _record_offset(self) -> int:
        """Where the record under way begins, from the start of the unpacked capture."""
        return self._offset + int(self._walk["record"])

    def _refill(self, needed: int) -> None:
        """Begin the next piece, what is left of this one at its front; it lies in its pages as the capture does."""
        numbers = self._numbers
        position, end, record = numbers[_POSITION], numbers[_END], numbers[_RECORD]
        piece = self._pool.buffer(needed, self._offset + position)
        left = end - position
        if left < 0:
            self._pass_over(-left, piece)
            left = 0
        piece.view(0, left)[:] = self.pin.view(end - left, end)
        self.pin = piece
        self._offset += position
        numbers[_MEMORY], numbers[_POSITION], numbers[_END] = piece.address, 0, left
        numbers[_RECORD] = record - position
        self._fill()

    def _fill(self) -> bool:
        """Read on into the piece: a step, or more where the walk could not go on with that; False if it has no room."""
        numbers, room = self._numbers, len(self.pin.memory)
        end, needed = numbers[_END], numbers[_POSITION] + numbers[_NEED]
        if needed > room:
            return False
        wanted = min(max(end + _STEP_BYTES, needed), room)
        end += self._stream.fill(self.pin.view(end, wanted))
        numbers[_END] = end
        self._is_at_end = end < wanted
        self.pin.holds(end)
        return True

    def _pass_over(self, count: int, scratch: Buffer) -> None:
        """Read ``count`` bytes of a block that is skipped, and forget them."""
        while count and (passed := self._stream.fill(scratch.view(0, min(count, len(scratch.memory))))):
            count -= passed

    def _end_of_stream(self) -> None:
        """Say how the source ended, now that there is nothing more to read."""
        position, end = int(self._walk["position"]), int(self._walk["end"])
        if self._stream.failure:
            self._finish(Damage(self._stream.bytes_unpacked, self._stream.failure))
        elif position != end or self._walk["trailer"] or self._stream.is_torn:
            self._finish(CutShort(self.frames, self._record_offset))
        else:
            self._finish(None)

    def _finish(self, ending: Ending | None) -> None:
        """Nothing more is read."""
        self.ending = ending
        self.is_finished = True
        self.close()

    def _read_block(self) -> None:
        """Read the section header or interface description at the walk's position, and step past it."""
        walk = self._walk
        position, big_endian = int(walk["position"]), bool(walk["swapped"])
        order: Any = "big" if big_endian else "little"
        kind, total = (int.from_bytes(self.pin.view(position + at, position + at + 4), order) for at in (0, 4))
        if kind == SECTION_BLOCK:
            self._count_other_links(self._other_links)
            walk["interfaces"] = 0
        else:
            block = bytes(self.pin.view(position, position + total))
            self._add_interface(*described(block, big_endian, self.number))
        walk["position"] += total

    def _add_interface(self, interface: Interface, clock: Clock) -> None:
        """One interface more of this section."""
        index = int(self._walk["interfaces"])
        if index == len(self._table):
            self._table = np.concatenate([self._table, table_of(index)])
        number = self._number_of(interface, not self.frames)
        set_element(self._table[index], interface, clock, number)
        self._walk["interfaces"] += 1
        self.interfaces.append(interface)

    def _count_other_links(self, counts: Counter[str]) -> None:
        """Add what the walk counted at the interfaces of this section."""
        section = self.interfaces[len(self.interfaces) - int(self._walk["interfaces"]) :]
        for interface, element in zip(section, self._table, strict=False):
            if element["passed_over"]:
                counts[interface.link_name] += int(element["passed_over"])


def _has_order(head: bytes) -> bool:
    """Whether a section header tells its byte order; one too short to tell does not speak against it."""
    magic = head[8:BLOCK_BYTES]
    return any(BYTE_ORDER_MAGIC.to_bytes(4, order).startswith(magic) for order in ("little", "big"))

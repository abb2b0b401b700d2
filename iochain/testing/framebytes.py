"""The bytes of a frame as tests hold them, with what a capture knows beside: how long it was before it was cut."""

from collections.abc import Iterable
from typing import Self

from iochain.batch import Batch, batch_of
from iochain.engine.plain import frame_of
from iochain.frame import Frame, Notes
from iochain.kernels.parse import parse
from iochain.kernels.rows import FROM_UPLINK, NOWHERE

_SHORTEST_ZEROS = 16  # fewer are written out


class FrameBytes(bytes):
    """The bytes of one Ethernet frame, without FCS, its tags in them.

    ``wire_length`` is its length in bytes before a snap length cut it; ``mss`` the segment size of a super-frame, or 0.
    """

    wire_length: int
    mss: int

    def __new__(cls, data: bytes, wire_length: int | None = None, mss: int = 0) -> Self:
        """From its bytes; ValueError if they are fewer than an Ethernet header, or more than were on the wire."""
        frame = super().__new__(cls, data)
        frame.wire_length, frame.mss = len(frame) if wire_length is None else wire_length, mss
        if len(frame) < 14:
            raise ValueError(f"{len(frame)} bytes are no Ethernet frame (14 at least)")
        if frame.wire_length < len(frame):
            raise ValueError(f"a frame of {len(frame)} bytes was not cut from one of {frame.wire_length}")
        return frame

    @classmethod
    def of(cls, text: str, zeros: int = 0, wire_length: int | None = None, mss: int = 0) -> Self:
        """From hexadecimal digits, spaces allowed, and so many zero bytes behind them."""
        return cls(bytes.fromhex(text) + bytes(zeros), wire_length, mss)

    @property
    def is_cut(self) -> bool:
        """Whether bytes are missing at its end."""
        return self.wire_length > len(self)

    def seen(self, entry: int = NOWHERE, *, from_uplink: bool = False) -> Frame:
        """What a header stage sees of it, with notes of its own; ``entry`` is the number of the port it came in by."""
        batch = batch_of_frames([(self, 0)])
        batch.rows["entry"] = entry
        batch.rows["flags"] = FROM_UPLINK if from_uplink else 0
        (words,) = parse(batch.rows).tolist()
        return frame_of(words, Notes(), batch, 0)

    def __repr__(self) -> str:
        kept = self.rstrip(b"\0")
        zeros = len(self) - max(len(kept), 14)
        if zeros < _SHORTEST_ZEROS:
            zeros = 0
        told = bytes(self[: len(self) - zeros])
        text = " ".join(part.hex() for part in (told[:6], told[6:12], *_tags(told), _rest(told)) if part)
        more = {"zeros": zeros, "wire_length": self.wire_length if self.is_cut else 0, "mss": self.mss}
        said = "".join(f", {name}={value}" for name, value in more.items() if value)
        return f"{type(self).__name__}.of({text!r}{said})"


def batch_of_frames(frames: Iterable[tuple[bytes, int]], first_serial: int = 1) -> Batch:
    """A batch of (frame, time in ns) pairs; of :class:`FrameBytes` also how long they were, and their segment size."""
    pairs = list(frames)
    batch = batch_of(pairs, first_serial=first_serial)
    for row, (frame, _) in zip(batch.rows, pairs, strict=True):
        if isinstance(frame, FrameBytes):
            row["wire_length"] += frame.wire_length - len(frame)
            row["mss"] = frame.mss
    return batch


def _tags(data: bytes) -> list[bytes]:
    """The tags of a stack, four bytes each."""
    found, at = [], 12
    while data[at : at + 2] in (b"\x81\x00", b"\x88\xa8", b"\x91\x00") and at + 4 < len(data):
        found.append(data[at : at + 4])
        at += 4
    return found


def _rest(data: bytes) -> bytes:
    return data[12 + 4 * len(_tags(data)) :]

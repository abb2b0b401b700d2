"""Fuzzing from bytes to words and back to bytes: tags lifted, the parser, and the writers of the same row."""

from typing import Final

import numpy as np

from fuzz.frames import Outcome, frame_seen, tag_in_place
from iochain.batch import Batch
from iochain.kernels.checked import known, only
from iochain.kernels.rows import ETHERNET_BYTES, NO_TAG, NOWHERE, ROW
from iochain.kernels.tags import lift_tags

LONGEST: Final = 2048
WORDS: Final = (b"\x81\x00", b"\x88\xa8", b"\x91\x00", b"\x08\x00E", b"\x86\xdd`", b"\x08\x06\0\1\x08\0\6\4")
"""Byte strings worth trying."""

_CONTROL_BYTES: Final = 4
_TIMES: Final = (0, 1_700_000_000_123_456_789, 2**32 * 10**9, 2**63 - 1)


def outcome(data: bytes) -> Outcome:
    """Four bytes that say what stands beside the frame (flags, padding, bytes cut off, tag), then the frame."""
    control, frame = data[:_CONTROL_BYTES], data[_CONTROL_BYTES:]
    if len(frame) < ETHERNET_BYTES:
        return []
    flags, pad, cut, tag = control
    memory = known(np.frombuffer(frame, np.uint8))
    rows = np.zeros(1, ROW)
    row = rows[0]
    row["address"], row["skip"], row["length"] = memory.ctypes.data, 12, len(frame)
    row["wire_length"] = min(len(frame) + (cut << 2 * (flags & 15)), 2**31 - 1) if flags & 16 else len(frame)
    row["time_ns"], row["order"] = _TIMES[flags >> 6], 1 << 40 | 7
    row["tag"] = tag << 5 if flags & 32 else NO_TAG
    row["entry"] = row["port"] = row["interface"] = NOWHERE
    row["pad"] = pad
    before = tag_in_place(int(row["tag"]), frame) + bytes(pad)
    with only([memory]):
        lift_tags(rows)
    batch = Batch(rows, (memory,))
    assert batch.frame_bytes(0) == before
    return frame_seen(batch)

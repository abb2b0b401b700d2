"""What kernels make of frames whose bytes lie alone in memory, each with a fence on both sides."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from iochain.batch import Batch, bytes_at
from iochain.capture.formats import OPTION_COMMENT, PACKET_BYTES, PCAP_RECORD_BYTES
from iochain.capture.memory import COLLECTED
from iochain.capture.packing import OPTION, pack_blocks, pack_records
from iochain.capture.writer import option
from iochain.kernels.checked import known, only
from iochain.kernels.parse import parse
from iochain.kernels.rows import ADDRESS_BYTES, NO_TAG, TAG_BYTES

Outcome = list[Any]
"""What one input led to, as JSON can hold it; the same in the checked and in the compiled form."""

_COMMENT: Final = np.frombuffer(option(OPTION_COMMENT, "why"), np.uint8)
_FLAGS_AND_END_BYTES: Final = 12
_OUTWARDS: Final = 2


def frames_seen(batch: Batch) -> Outcome:
    """Row, words and written bytes of every frame, each made with only that frame's bytes in reach."""
    return [frame_seen(batch[index : index + 1]) for index in range(len(batch))]


def frame_seen(batch: Batch) -> Outcome:
    """The same of the one frame of a batch."""
    row = batch.rows[0]
    count = int(row["skip"]) + int(row["length"]) - ADDRESS_BYTES
    memory = np.frombuffer(bytes_at(int(row["address"]), count), np.uint8)
    lonely = Batch(batch.rows.copy(), (memory,))
    lonely.rows["address"] = memory.ctypes.data
    with only([memory]):
        words = parse(lonely.rows)
        data = lonely.frame_bytes(0)
    present = int(words[0, 0])
    there = [int(words[0, word]) if present >> word & 1 else None for word in range(1, words.shape[1])]
    fields = [int(row[name]) for name in batch.rows.dtype.names or () if name != "address"]
    return [fields, present, there, _record_of(lonely, memory, data).hex(), _block_of(lonely, memory, data).hex()]


def _record_of(batch: Batch, memory: npt.NDArray[np.uint8], data: bytes) -> bytes:
    """The record of a pcap, written to a buffer that just has room for it, and not to one a byte shorter."""
    buffer = np.full(PCAP_RECORD_BYTES + len(data), 0xEE, np.uint8)
    with only([memory, known(buffer)]):
        assert pack_records(batch.rows, 0, buffer.ctypes.data, len(buffer) - 1) == (0, 0)
        assert buffer.tobytes() == b"\xee" * len(buffer)
        assert pack_records(batch.rows, 0, buffer.ctypes.data, len(buffer)) == (1, len(buffer))
    assert buffer.tobytes()[PCAP_RECORD_BYTES:] == data
    return buffer.tobytes()


def _block_of(batch: Batch, memory: npt.NDArray[np.uint8], data: bytes) -> bytes:
    """The same for the block of a pcapng, with a direction and a comment."""
    padded = len(data) + -len(data) % 4
    buffer = np.full(PACKET_BYTES + padded + len(_COMMENT) + _FLAGS_AND_END_BYTES, 0xEE, np.uint8)
    comments = np.zeros(2, OPTION)
    comments[0] = (_COMMENT.ctypes.data, len(_COMMENT))
    numbers, outwards = np.zeros(1, np.int32), np.full(1, _OUTWARDS, np.uint8)
    collected = np.zeros(1, COLLECTED)
    collected["start"] = collected["target"] = start = buffer.ctypes.data
    columns = (numbers, outwards, numbers, comments, collected, -1, 0)
    with only([memory, buffer, _COMMENT]):
        collected["end"] = start + len(buffer) - 1
        assert pack_blocks(batch.rows, 0, False, *columns) == 0
        assert buffer.tobytes() == b"\xee" * len(buffer)
        collected["end"] = start + len(buffer)
        assert pack_blocks(batch.rows, 0, False, *columns) == 1
        assert collected["target"] == start + len(buffer)
    written = buffer.tobytes()
    assert written[28 : 28 + len(data)] == data
    assert written[28 + len(data) : 28 + padded] == bytes(padded - len(data))
    return written


def tag_in_place(tag: int, data: bytes) -> bytes:
    """The bytes of a frame with a tag that was carried beside them."""
    if tag == NO_TAG:
        return data
    return data[:ADDRESS_BYTES] + b"\x81\x00" + tag.to_bytes(TAG_BYTES - 2, "big") + data[ADDRESS_BYTES:]

"""Captures from many programs' own tests: tshark sees the same frames at the same times, or we say where it ended."""

from decimal import Decimal
from pathlib import Path

import pytest
from captures_made import SHARED, needs_tshark, read_whole, seen, tshark_fields

CAPTURES = sorted(SHARED.glob("*cap*")) + sorted(SHARED.glob("*.dmp")) if SHARED.is_dir() else []
ETHERNET = "1"
FIELDS = ("frame.encap_type", "frame.time_epoch", "frame.cap_len", "frame.len")
LINK, TIME, CAPTURED, WIRE = range(4)


def ethernet_frames(records: list[list[str]]) -> list[tuple[int, int, int, int]]:
    """Number, time, captured and wire length of those frames that we keep, by our rules for times and lengths."""
    frames, latest = [], 0
    for number, record in enumerate(records, 1):
        captured, wire = int(record[CAPTURED]), int(record[WIRE])
        if record[LINK] == ETHERNET and captured >= 14:
            latest = max(latest, int(Decimal(record[TIME]) * 10**9) if record[TIME] else 0)  # simple packets have none
            frames.append((number, latest, captured, max(captured, wire)))
    return frames


@needs_tshark
@pytest.mark.tshark
@pytest.mark.skipif(not CAPTURES, reason="the shared captures are not here")
@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_tshark_sees_the_same(path: Path) -> None:
    records = [line for line in tshark_fields(str(path), *FIELDS) if len(line) == len(FIELDS)]
    records = [line for line in records if line[LINK]]  # custom blocks are records of tshark's, and no frames
    reader, batch = read_whole(str(path), piece_bytes=4096)
    source = reader.sources[0]
    if source.ending:  # tshark goes on guessing for a while
        assert len(records) >= source.frames
        records = records[: source.frames]
    if records or not source.passed_over:  # of unknown link types tshark says nothing
        assert source.frames == len(records)
        assert sum(source.passed_over.values()) == sum(line[LINK] != ETHERNET for line in records)
    serials = [order & 2**40 - 1 for order in batch.column("order").tolist()]
    frames = [(sent.time_ns, len(sent.data), sent.wire_length) for sent in seen(batch)]
    assert [(serial, *sent) for serial, sent in zip(serials, frames, strict=True)] == ethernet_frames(records)

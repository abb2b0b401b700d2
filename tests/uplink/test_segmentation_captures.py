"""Recognition, segmentation and checksum fill over recorded captures: nothing is lost, sums are right."""

from pathlib import Path

import numpy as np
import pytest
from segmenter import has_right_sums, packets

from iochain.batch import FOREVER, joined
from iochain.capture import CaptureError, read_captures
from iochain.chain import Reason
from iochain.uplink.checksum import Checksum, ChecksumFill
from iochain.uplink.recognition import Recognition
from iochain.uplink.segmentation import Segmentation

ROOT = Path(__file__).parents[2]
OWN = sorted(path for path in (ROOT / "pcaps").iterdir() if ".pcap" in path.name)
SHARED = ROOT.parent / "shared" / "captures"
OTHERS = sorted(path for path in SHARED.iterdir() if path.suffix != ".tsv") if SHARED.is_dir() else []
MTU = 1500


@pytest.mark.parametrize("path", OWN + OTHERS, ids=lambda path: path.name)
def test_all_that_leaves_is_right(path: Path) -> None:
    try:
        batch = joined(piece.batch for piece in read_captures([path]))
    except CaptureError:
        pytest.skip("no capture of Ethernet")
    batch.rows["port"] = 0
    asked = Recognition.of(np.array([MTU], np.int32)).mark(batch.rows)
    is_large, is_undone = batch.rows["mss"] > 0, batch.rows["checksum"] == Checksum.MUST
    assert asked == int((is_large | is_undone).sum())
    cut = Segmentation(MTU)
    segmented = cut.run(cut.start(), batch, FOREVER)
    assert len(batch) + segmented.split == len(segmented.batch) + len(segmented.dropped)
    assert {segmented.drops[why].reason for why in segmented.why} <= {Reason.CUT_HEADERS}
    fill = ChecksumFill()
    done = fill.run(fill.start(), segmented.batch, FOREVER)
    assert not len(done.dropped)
    assert not done.batch.rows["mss"].any()
    touched = set(batch.rows["order"][is_large | is_undone].tolist())
    for i, row in enumerate(done.batch.rows):
        if int(row["order"]) in touched and row["length"] == row["wire_length"]:
            assert row["checksum"] == Checksum.AS_IT_IS
            frame = done.batch[i : i + 1]
            frame.rows["tag"] = -1
            assert has_right_sums(frame.frame_bytes(0)), int(row["order"])
            assert packets(frame.frame_bytes(0))[0].end - packets(frame.frame_bytes(0))[0].ip <= MTU


@pytest.mark.parametrize(
    ("name", "large", "undone"),
    [
        ("superframes-whole.pcap", True, True),
        ("iperf3-superframes.pcap", True, True),
        ("guest-bridge.pcap", False, False),
    ],
)
def test_what_captures_ask_for(name: str, large: bool, undone: bool) -> None:
    batch = joined(piece.batch for piece in read_captures([ROOT / "pcaps" / name]))
    batch.rows["port"] = 0
    Recognition.of(np.array([MTU], np.int32)).mark(batch.rows)
    assert bool((batch.rows["mss"] > 0).any()) is large
    assert bool((batch.rows["checksum"] == Checksum.MUST).any()) is undone

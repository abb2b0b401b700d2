"""A header stage that looks at whole frames: each of them passes all that stands before and behind it, once."""

import sys
from pathlib import Path
from typing import Any

import pytest

from iochain import Drop, Frame, Port, Reason, Verdict

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))  # its programs find each other as scripts do

import made

VMS, FRAMES, FLOWS = 8, 600, 300


def drops_some(frame: Frame, port: Port) -> Verdict:
    """Drops frames by the last byte of their destination, which it reads of the packet."""
    return frame if bytes(frame.scapy)[5] % 3 == 0 else Drop(Reason.STAGE)


@pytest.mark.parametrize("shaped", [False, True])
@pytest.mark.parametrize("place", ["first of the input", "last of the input", "output"])
def test_engines_agree_and_each_frame_walks_once(shaped: bool, place: str, tmp_path: Path) -> None:
    """The shaper is a batch stage: what stands before it, and itself, must not be passed by."""
    capture = made.write(made.SMALL, FRAMES, tmp_path / "some.pcap", made.usual_flows(made.SMALL, VMS, FLOWS))
    found: dict[str, Any] = {}
    for engine in ("plain", "paths"):
        lab = made.lab(made.SMALL, shaped, VMS)
        chain = lab.port("vm3").output if place == "output" else lab.port("vm3").input
        first = chain.names[0] if place != "last of the input" else None
        chain.insert(drops_some, before=first, name="drops some")
        done = lab.replay(capture, engine=engine)
        (cost,) = done.engine.stages
        drops = [(drop.frames, str(drop.dropped)) for drop in done.drops]
        found[engine] = (done.counters.delivered, done.counters.dropped, drops, cost.times)
    assert found["paths"] == found["plain"]
    assert found["plain"][1] > 0

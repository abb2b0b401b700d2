"""The benchmark of a stage of one's own measures what it says: who passes the stage, and who does not."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))  # its programs find each other as scripts do

import made
import packet_stage
import replaying


@pytest.mark.parametrize("kind", ["packets", "whole"])
def test_the_stage_sees_frames_of_its_port_only(kind: str, tmp_path: Path) -> None:
    others, every = packet_stage.captures(300, 200, tmp_path)
    costs = []
    for capture in (others, every):
        lab = made.lab(made.SMALL, vms=packet_stage.VMS)
        replaying.put_in(lab, kind, packet_stage.VMS)
        done = lab.replay(capture, engine="paths")
        assert done.drops == []
        costs.append(done.engine.stages)
    assert costs[0] == ()
    places = {(cost.where, cost.stage) for cost in costs[1]}
    assert places == {(where, replaying.OWN[kind].__name__) for where in ("vm19 → vSwitch0", "vSwitch0 → vm19")}

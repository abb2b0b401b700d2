"""The benchmark of a fabric measures what it says: both labs take the frames, and the failover happens."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))  # its programs find each other as scripts do

import fabric

from iochain.experiment.actions import LinkDown

FRAMES = 400


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = fabric.capture(FRAMES, tmp_path_factory.mktemp("fabric") / "capture.pcap")
    return path


def test_one_switch_delivers_every_frame(capture: Path) -> None:
    counters = fabric.one_switch().replay(capture).counters
    assert (counters.entered, counters.delivered, counters.dropped) == (FRAMES, FRAMES, 0)


def test_hosts_and_switches_deliver_every_frame(capture: Path) -> None:
    made = fabric.several_hosts()
    to_their_guests = {(fate.frame, fate.port) for fate in made.replay(capture).deliveries()}
    assert len({frame for frame, _ in to_their_guests}) == FRAMES


def test_the_failover_happens(capture: Path) -> None:
    done = fabric.several_hosts().replay(capture, timeline=[("100 ms", LinkDown("esx0.vmnic0"))])
    assert done.counters.generated > 0
    assert "control event" in done.engine.windows

"""Captures of other programs' own tests, some damaged on purpose: each replays, or says in one line why not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from iochain import Lab
from iochain.capture import CaptureError
from iochain.engine.network import Engine
from iochain.inference import infer
from iochain.replay import Replay

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "captures"
CAPTURES = sorted(path for path in FOLDER.iterdir() if path.suffix != ".tsv") if FOLDER.is_dir() else []

pytestmark = pytest.mark.skipif(not CAPTURES, reason="the shared captures are not here")


def inferred(capture: Path) -> Lab:
    """The lab that the capture itself suggests."""
    return Lab(**infer([capture]).data)


def watching(capture: Path) -> Lab:
    """A lab that has nothing to do with the capture, and a promiscuous VM on all VLANs that gets every frame."""
    lab = Lab()
    switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"], mtu=9000)
    switch.portgroup("Watch", vlan=4095, promiscuous="accept").vm("sniffer", promiscuous=True)
    switch.portgroup("Prod", vlan=10, shaping={"average": "1 Mbit/s"}).vm("web")
    return lab


@pytest.mark.parametrize("lab_for", [inferred, watching])
@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)
def test_replays_or_says_why_not(capture: Path, lab_for: Callable[[Path], Lab], tmp_path: Path) -> None:
    plain, paths = tmp_path / "plain.pcapng", tmp_path / "paths.pcapng"
    try:
        done = lab_for(capture).replay(capture, output=str(plain), engine=Engine.PLAIN)
    except CaptureError as error:
        message = str(error)
    else:
        check_sums(done)
        lab_for(capture).replay(capture, output=str(paths), engine=Engine.PATHS)
        assert plain.read_bytes() == paths.read_bytes()
        return
    assert message.startswith(str(capture))
    assert "\n" not in message


def check_sums(done: Replay) -> None:
    """Nothing vanished: not in the lab, not between the capture and the lab, not on the way to the output."""
    [source] = done.sources
    counters = done.counters
    counters.check(0)
    assert counters.entered == source.frames - sum(source.passed_over.values()) - source.short
    assert sum(done.entries.values()) == counters.entered
    assert done.written == counters.delivered + counters.dropped
    assert sum(drop.frames for drop in done.drops) == counters.dropped
    if source.ending is not None:
        assert "\n" not in str(source.ending)

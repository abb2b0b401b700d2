"""Both engines do the same with every frame at the borders of the example labs."""

from pathlib import Path

import numpy as np
import pytest

from iochain.engine.network import Engine
from iochain.lab import Lab
from iochain.verify.candidates import Borders
from iochain.verify.trial import tried

LABS = sorted((Path(__file__).parents[2] / "examples" / "policies").glob("*.lab.yaml"))
EACH = 300


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.name.partition(".")[0])
def test_engines_agree_at_the_borders(path: Path) -> None:
    assert_engines_agree(path)


def assert_engines_agree(path: Path) -> None:
    wiring = Lab.load(path).wiring
    borders = Borders.of(wiring, (), ())
    frames: list[bytes] = []
    sender: list[int] = []
    for port in wiring.ports:
        some = list(borders.frames(port, EACH))
        frames += some
        sender += [port.number] * (len(frames) - len(sender))
    found = [tried(wiring, frames, sender, [-1] * len(frames), engine) for engine in (Engine.PLAIN, Engine.PATHS)]
    one, other = (np.lexsort((trial.port, trial.frame)) for trial in found)
    assert (found[0].frame[one] == found[1].frame[other]).all()
    assert (found[0].port[one] == found[1].port[other]).all()
    assert (found[0].copies[one] == found[1].copies[other]).all()

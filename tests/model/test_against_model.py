"""Random labs and frames: both engines and the slow model agree on every copy, byte for byte, and on every drop.

The number of labs is 200, or what the environment variable IOCHAIN_EXAMPLES says. The last tests show that the labs
were worth it: many frames arrive, and every reason for a drop occurs.
"""

from collections import Counter, defaultdict

import pytest
from comparisons import EXAMPLES, assert_many_were_delivered, long_run, skip_unless_run
from hypothesis import given
from hypothesis import strategies as st
from labs_and_frames import as_iochain, frames, labs
from slow_model import Ending, Lab, Outcome, outcome

import iochain
from iochain.batch import batch_of
from iochain.chain import Reason
from iochain.engine.network import Engine, Network
from iochain.replay import fates_of

FRAMES = 24
LEAST_DROPS = 20
ON_TIME_OR_OWN = {Reason.SHAPER, Reason.TRANSMIT_QUEUE, Reason.STAGE, Reason.BEACON}
OF_OFFLOADS = {Reason.TSO_FAILED, Reason.DEVICE_REFUSED, Reason.CHECKSUM, Reason.CUT_HEADERS}
OF_THE_FABRIC = {
    Reason.NO_LINK,
    Reason.BLOCKED,
    Reason.BPDU_GUARD,
    Reason.ERR_DISABLED,
    Reason.FOR_THE_SWITCH,
    Reason.CABLE_CUT,
}
LEFT_OUT = ON_TIME_OR_OWN | OF_OFFLOADS | OF_THE_FABRIC

met: Counter[str] = Counter()
"""Frames, frames that were delivered somewhere, and drops by the name of their reason, over the whole run."""


def replayed(lab: iochain.Lab, sent: list[tuple[str, bytes]], engine: Engine) -> list[Outcome]:
    """What iochain makes of these frames, all in one window; a copy that comes twice is an error here already."""
    network = Network.of(lab.wiring, engine=engine)
    batch = batch_of([(frame, number * 1_000_000) for number, (_, frame) in enumerate(sent)], first_serial=0)
    batch.rows["port"] = [lab.wiring.port(port).number for port, _ in sent]
    outcomes: dict[int, Outcome] = defaultdict(Outcome)
    for fate in fates_of(lab.wiring, network.run(batch)):
        here = outcomes[fate.frame]
        if fate.dropped is None:
            assert (fate.port, fate.data) not in here.delivered
            here.delivered.add((fate.port, fate.data))
        else:
            ending = Ending(fate.port, "in" if fate.dropped.incoming else "out", fate.dropped.drop.reason.name)
            assert ending not in here.dropped
            here.dropped.add(ending)
    return [outcomes[number] for number in range(len(sent))]


@long_run(EXAMPLES)
@given(st.data())
def test_every_copy_and_every_drop_is_the_models(data: st.DataObject) -> None:
    lab: Lab = data.draw(labs(), "lab")
    sent: list[tuple[str, bytes]] = data.draw(st.lists(frames(lab), min_size=FRAMES, max_size=FRAMES), "frames")
    by_engine = [replayed(as_iochain(lab), sent, engine) for engine in Engine]
    for (port, frame), *founds in zip(sent, *by_engine, strict=True):
        expected = outcome(lab, port, frame)
        met.update(["frame", *(["delivered"] if expected.delivered else [])])
        met.update(drop.reason for drop in expected.dropped)
        for found in founds:
            assert (found.delivered, found.dropped) == (expected.delivered, expected.dropped), (port, frame.hex())


def test_many_frames_were_delivered() -> None:
    assert_many_were_delivered(met)


@pytest.mark.parametrize("reason", [reason.name for reason in Reason if reason not in LEFT_OUT])
def test_the_run_met_every_reason(reason: str) -> None:
    skip_unless_run(met)
    assert met[reason] >= LEAST_DROPS

"""Both engines agree frame by frame, in labs that change while they run: fates, bytes, times, counters, explanations.

The number of stories is 200, or what the environment variable IOCHAIN_EXAMPLES says. The last tests show that they
were worth it: many frames arrive, every reason for a drop occurs, and most frames that could be remembered were.
"""

from collections import Counter

import pytest
from changing_labs import Story, stories, told
from comparisons import EXAMPLES, assert_many_were_delivered, long_run, skip_unless_run
from hypothesis import given
from hypothesis import strategies as st

from iochain.chain import Reason
from iochain.engine.network import Engine

LONG_RUN = 1_000
MISSED_IN_A_SHORT_RUN = 3
LEAST_REMEMBERED = 0.25
EVERY_FRAME = -1
ELSEWHERE = {
    "BEACON": "is sent by hosts, and none of these labs probes with beacons",
    "TSO_FAILED": "offloads are off in these labs",
    "DEVICE_REFUSED": "offloads are off in these labs",
    "CHECKSUM": "offloads are off in these labs",
    "CUT_HEADERS": "frames are whole here",
    "NO_LINK": "no physical switch in these labs",
    "BLOCKED": "no physical switch in these labs",
    "BPDU_GUARD": "no physical switch in these labs",
    "ERR_DISABLED": "no physical switch in these labs",
    "FOR_THE_SWITCH": "no physical switch in these labs",
    "CABLE_CUT": "no cable in these labs",
}
"""Reasons that these labs cannot reach, and why; whoever adds one says so here, or lets the labs reach it."""

met: Counter[str] = Counter()
"""Of the whole run: frames, those delivered somewhere, drops by the name of their reason, decisions, walks."""


@long_run(EXAMPLES)
@given(st.data())
def test_engines_agree(data: st.DataObject) -> None:
    story: Story = data.draw(stories(), "story")
    listened = data.draw(st.integers(0, 2**64 - 1), "bits that say which frames are explained")
    walked_first = data.draw(st.sampled_from([0, 0, 0, 10]), "frames that walk first")
    with pytest.MonkeyPatch.context() as patch:
        if data.draw(st.booleans(), "small tables are kept when masks grow"):
            patch.setattr("iochain.engine.memory._WORTH_KEEPING", 2)
        plain = told(story, Engine.PLAIN, EVERY_FRAME)
        paths = told(story, Engine.PATHS)
        mixed = told(story, Engine.PATHS, listened, walked_first)
    for number, (truth, *others) in enumerate(zip(plain, paths, mixed, strict=True)):
        for found in others:
            assert found.fates == truth.fates, f"run {number}"
            assert found.texts == truth.texts, f"run {number}"
            assert found.counted == truth.counted, f"run {number}"
            for serial, steps in found.explained.items():
                assert steps == truth.explained[serial], f"run {number}, frame {serial}"
        met.update(["run"])
        fates = [fate for window in truth.fates for fate in window]
        met["frame"] += sum(len(window) for window in story.runs[number].windows)
        met["delivered"] += len({fate.frame for fate in fates if fate.dropped is None})
        met.update(fate.reason.name for fate in fates if fate.reason is not None)
        met["walks"] += others[0].walks
        met["decided"] += others[0].decided
        met["forgotten"] += others[0].forgotten > 0


def test_many_frames_were_delivered() -> None:
    assert_many_were_delivered(met)


def test_many_frames_were_remembered_and_some_forgotten() -> None:
    skip_unless_run(met)
    assert met["decided"] - met["walks"] >= LEAST_REMEMBERED * met["decided"]
    assert met["forgotten"] >= met["run"] / 20


def test_the_run_met_every_reason() -> None:
    """In a long run; a short one may miss a few of the rare ones, others each time that labs are drawn anew."""
    skip_unless_run(met)
    missed = [reason.name for reason in Reason if reason.name not in ELSEWHERE and not met[reason.name]]
    assert len(missed) <= (0 if EXAMPLES >= LONG_RUN else MISSED_IN_A_SHORT_RUN), missed

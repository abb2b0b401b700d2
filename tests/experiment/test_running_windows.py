"""The size of windows changes no byte where hosts, physical switches and events work together; engines agree."""

import os
from unittest.mock import patch

import pytest
from attrs import field, frozen
from fabric_runs import Story, lab, run, run_row_by_row, stories
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from iochain import Lab
from iochain.batch import Instant
from iochain.chain import Drop, Port, Reason, Verdict
from iochain.engine import network
from iochain.engine.network import Engine
from iochain.frame import Frame, Table

EXAMPLES = int(os.environ.get("IOCHAIN_EXAMPLES", "200")) // 4

property_run = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.parametrize("engine", [Engine.PATHS, Engine.PLAIN])
@property_run
@given(story=stories(), is_redundant=st.booleans())
def test_windows_do_not_show(engine: Engine, story: Story, is_redundant: bool) -> None:
    made = lab(is_redundant, ageing="1 s")
    fates, counters, experiment = run(made, story, engine)
    slow_fates, slow_counters = run_row_by_row(made, story, Engine.PLAIN)
    assert fates == slow_fates
    assert counters == slow_counters
    event(f"cut for learning: {'learning' in experiment.network.report.causes}")
    event(f"drops: {counters[2]['dropped'] > 0}, generated: {counters[2]['generated'] > 0}")


@frozen
class EveryFifth:
    """Counts the frames of each sender that come to any port that it stands at, and drops every fifth."""

    seen: Table[int, int] = field(repr=False)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        seen = frame.ask(self.seen, frame.source)
        frame.learn(self.seen, frame.source, answer=(seen + 1) % 5)
        return Drop(Reason.STAGE, "the fifth") if seen == 4 else frame


@frozen
class NotToThird:
    """Drops frames to whoever has sent three frames past the other stage."""

    seen: Table[int, int] = field(repr=False)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        return Drop(Reason.STAGE, "to a third") if frame.ask(self.seen, frame.destination) == 3 else frame


def lab_with_own_stages(is_redundant: bool) -> Lab:
    """Users' stages that share a table: at the inputs of guests, of uplinks, and at an output."""
    made, seen = lab(is_redundant), Table[int, int]("seen", 0)
    for name in ("a0", "a1", "b0"):
        made.port(name).input.insert(NotToThird(seen), name="own")
    for name in ("b.vmnic0", "c.vmnic0", "c.vmnic1"):
        made.port(name).input.insert(EveryFifth(seen), name="own")
    made.port("a1").output.insert(NotToThird(seen), name="own")
    return made


@pytest.mark.parametrize("engine", [Engine.PATHS, Engine.PLAIN])
@property_run
@given(story=stories(), is_redundant=st.booleans())
def test_tables_of_users_are_read_and_written_in_order(engine: Engine, story: Story, is_redundant: bool) -> None:
    fates, counters, _ = run(lab_with_own_stages(is_redundant), story, engine)
    slow_fates, slow_counters = run_row_by_row(lab_with_own_stages(is_redundant), story, Engine.PLAIN)
    assert fates == slow_fates
    assert counters == slow_counters
    event(f"dropped there: {any(fate.reason is Reason.STAGE for fate in fates)}")


@property_run
@given(
    story=stories(),
    ends=st.lists(st.integers(0, 40), max_size=6),
    size=st.sampled_from([1, 3, 1000]),
    most_copies=st.sampled_from([4, 1 << 18]),
)
def test_ends_of_windows_do_not_show(story: Story, ends: list[int], size: int, most_copies: int) -> None:
    made = lab(ageing="1 s")
    times = [time_ns for time_ns, _, _ in story.frames]
    instants = sorted({Instant(times[index % len(times)] + index, index % 3) for index in ends})
    whole = run(made, story, Engine.PATHS)
    with patch.object(network, "LARGEST_FLOOD", most_copies):
        cut = run(made, story, Engine.PATHS, instants, size)
    assert cut[:2] == whole[:2]
    event(f"cut for a flood: {'flood' in cut[2].network.report.causes}")

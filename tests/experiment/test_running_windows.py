"""The size of windows changes no byte where hosts, physical switches and events work together; engines agree."""

import os
from unittest.mock import patch

import pytest
from fabric_runs import Story, lab, run, run_row_by_row, stories
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from iochain.batch import Instant
from iochain.engine import network
from iochain.engine.network import Engine

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

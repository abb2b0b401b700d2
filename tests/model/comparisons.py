"""How long comparisons run, the same examples each time, and how a last test asks whether the run was worth it."""

import os
from collections import Counter
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

EXAMPLES: Final = int(os.environ.get("IOCHAIN_EXAMPLES", "200"))
"""Labs, or whatever is drawn; a comparison that costs more takes a part of them."""
LEAST_DELIVERED: Final = 0.3


def long_run(examples: int) -> settings:
    """Settings of a comparison: nothing is kept from one run to the next, and nothing is too slow."""
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


def skip_unless_run(met: Counter[str]) -> None:
    """Skip a test of what a comparison met, if it was not run (it was deselected, or ran in another process)."""
    if not met:
        pytest.skip("the comparison did not run here")


def assert_many_were_delivered(met: Counter[str]) -> None:
    """Most comparisons of frames that all are dropped would show nothing."""
    skip_unless_run(met)
    assert met["delivered"] >= LEAST_DELIVERED * met["frame"]

"""Frames for checks: many that were drawn once, as drawing takes longer than what is done with them."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure

from iochain.testing.breaches import ContractError
from iochain.testing.ethernet import frames
from iochain.testing.framebytes import FrameBytes

POOL: Final = 300
Frames = st.SearchStrategy[FrameBytes]


def hold(
    rule: Callable[..., None],
    make: Callable[[Frames], dict[str, Any]],
    drawn: Frames | None,
    examples: int,
    *,
    shrinks: bool = True,
) -> None:
    """Have a rule hold for what ``make`` says of frames; ContractError with the plainest frames that break it.

    The same each time: nothing is left to chance, and nothing is kept from run to run.
    """
    every = any_frames() if drawn is None else drawn
    pool = _default_pool() if drawn is None else pool_of(drawn)
    try:
        _given(rule, make(st.sampled_from(pool)), examples)
    except ContractError:
        if shrinks:
            _given(rule, make(every), 5 * examples)  # to a frame as plain as can be, not only the plainest of the pool
        raise


def pool_of(drawn: Frames, size: int = POOL) -> Sequence[FrameBytes]:
    """Frames of a strategy, the shortest first."""
    found: dict[bytes, FrameBytes] = {}

    def keep(frame: FrameBytes) -> None:
        found.setdefault(bytes(frame), FrameBytes(frame, getattr(frame, "wire_length", None), getattr(frame, "mss", 0)))

    _given(keep, {"frame": drawn}, size)
    return sorted(found.values(), key=lambda frame: (frame.is_cut, len(frame), frame))


@cache
def any_frames() -> Frames:
    """All frames."""
    return frames()


@cache
def _default_pool() -> Sequence[FrameBytes]:
    return pool_of(any_frames())


def _given(rule: Callable[..., None], strategies: dict[str, Any], examples: int) -> None:
    run = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
        print_blob=False,
    )

    @run
    @given(st.fixed_dictionaries(strategies))
    def holds(drawn: dict[str, Any]) -> None:
        rule(**drawn)

    try:
        holds()
    except FlakyFailure as flaky:  # what breaks a rule only now and then breaks it
        raise next((error for error in flaky.exceptions if isinstance(error, ContractError)), flaky) from None

"""The properties that mutants have to get past: the example policies, and the agreement of labs with a slow model.

Each gives nothing, or raises. They are the same each time.
"""

import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from iochain.engine.network import Engine
from iochain.lab import Lab
from iochain.verify import search
from iochain.verify.checking import check
from iochain.verify.policyfile import load_policy

TESTS: Final = Path(__file__).parents[1]
LABS: Final = 40
FRAMES: Final = 1_500
"""Of the search at the borders."""
FRAMES_OF_A_LAB: Final = 24


def properties() -> Iterator[Callable[[], None]]:
    """All properties, the quick ones first."""
    yield from (engines_agree, labs_do_as_the_model, right_labs_pass, wrong_labs_fail)


def engines_agree() -> None:
    """Both engines do the same with frames at the borders of the example labs."""
    borders = _test("verify", "test_borders")
    for path in borders.LABS:
        borders.assert_engines_agree(path)


def right_labs_pass() -> None:
    """Nothing is found against the example policies in the labs that they are about."""
    for path, right in _examples().right_labs():
        _same(path, right, set())


def wrong_labs_fail() -> None:
    """What is found in the labs that are wrong is what their files say."""
    for path, wrong, names in _examples().wrong_labs():
        _same(path, wrong, names)


def labs_do_as_the_model() -> None:
    """Both engines and the slow model agree on random labs; they are drawn as in the suite's own test of it."""
    model = _test("model", "test_against_model")

    @settings(
        max_examples=LABS,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def agree(data: st.DataObject) -> None:
        lab = data.draw(model.labs())
        sent = data.draw(st.lists(model.frames(lab), min_size=FRAMES_OF_A_LAB, max_size=FRAMES_OF_A_LAB))
        try:
            by_engine = [model.replayed(model.as_iochain(lab), sent, engine) for engine in (Engine.PLAIN, Engine.PATHS)]
        except Exception as fault:
            raise Broken from fault
        for (port, frame), *founds in zip(sent, *by_engine, strict=True):
            expected = model.outcome(lab, port, frame)
            if any((found.delivered, found.dropped) != (expected.delivered, expected.dropped) for found in founds):
                raise Broken

    agree()


class Broken(BaseException):
    """A property does not hold; nothing is to catch it, and no plainer example to be looked for."""


def _same(path: Path, wrong: list[str], names: set[str]) -> None:
    vars(search)["MOST_FRAMES"] = FRAMES
    lab = Lab.load(path.with_suffix(".lab.yaml"), wrong)
    result = check(lab, load_policy(path, lab.wiring), examples=0, settings=False)
    found = {one.statement.name for one in result.violations}
    assert found == names, f"{path.name} with {wrong}: {found}"


@cache
def _examples() -> Any:
    return _test("verify", "test_example_policies")


def _test(room: str, module: str) -> Any:
    sys.path.insert(0, str(TESTS / room))
    return __import__(module)

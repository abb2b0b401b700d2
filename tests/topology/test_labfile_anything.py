"""Whatever is said, the answer is a lab or a LabError: never another exception."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from full_lab import FULL, changed, paths, written
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from iochain.topology.labfile import LabError, expanded, load_text, structure, with_settings
from iochain.topology.mistakes import KeyPath, key_text
from iochain.topology.names import port_names
from iochain.topology.shape import DISTRIBUTED, NAMES, fields
from iochain.topology.spec import LabSpec
from iochain.topology.values import ANSWERS

WORDS = sorted(
    {*(name for cls in NAMES for name in fields(cls)), *DISTRIBUTED, *ANSWERS, "esx1", "Prod", "web", "vmnic0"}
)
VALUES = ["accept", "4095", "10 Gbit/s", "4 MB", "00:50:56:00:00:01", "iphash", "beacon", "8.0", "-1", "0", "null"]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=3),
    st.sampled_from([*WORDS, *VALUES]),
)
keys = st.one_of(st.sampled_from(WORDS), st.text(max_size=4), st.integers(0, 3), st.none())
data = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=6)),
    max_leaves=20,
)
full_paths = st.sampled_from([path for path, _ in paths(FULL)])
FULL_TEXT = written(FULL)[0]


def outcome(lab: Callable[[], LabSpec]) -> str:
    """A lab that is accepted can be written out and named; else there is an error with a line for each mistake."""
    error = None
    try:
        spec = lab()
    except LabError as wrong:
        error = wrong
    if error:
        assert str(error).count("\n") == len(error.mistakes) > 0
        return "mistakes"
    whole = expanded(spec)
    assert expanded(whole) == whole
    ports = port_names(whole)
    assert [ports.find(port.name) for port in ports.ports] == list(ports.ports)
    assert structure(spec) == spec
    return "a lab"


@given(data)
def test_any_data(anything: Any) -> None:
    event(outcome(lambda: structure(anything)))


@given(st.lists(st.tuples(full_paths, data), min_size=1, max_size=3))
def test_a_lab_with_anything_in_it(changes: list[tuple[KeyPath, Any]]) -> None:
    lab = FULL
    for path, value in changes:
        with suppress(AttributeError, TypeError, KeyError):  # an earlier change took the place away
            lab = changed(lab, path, value)
    event(outcome(lambda: structure(lab)))


@given(st.text())
def test_any_text(text: str) -> None:
    event(outcome(lambda: load_text(text).spec))


@given(st.text(alphabet="ab:-[]{}&*!<>|%@#'\"?, \n\t012~.", max_size=40))
def test_text_like_yaml(text: str) -> None:
    event(outcome(lambda: load_text(text).spec))


@settings(deadline=None)
@given(st.integers(0, len(FULL_TEXT)), st.integers(0, 30), st.text(alphabet="ab:-[]{}&*!<>|%'\" \n\t0~", max_size=6))
def test_a_lab_with_a_slip_of_the_pen(start: int, length: int, text: str) -> None:
    event(outcome(lambda: load_text(FULL_TEXT[:start] + text + FULL_TEXT[start + length :], "lab.yaml").spec))


THINGS = [
    "host.esx1",
    "nic.vmnic0",
    "vmk.vmk0",
    "vswitch.vSwitch0",
    "portgroup.Prod",
    "vm.web",
    "vm.router",
]

setting_texts = st.one_of(
    st.builds(
        lambda path, value: f"{key_text(path)}={value}", full_paths, st.sampled_from([*WORDS, *VALUES, "[", "{a: b}"])
    ),
    st.builds(
        lambda thing, key, value: f"{thing}.{key}={value}",
        st.sampled_from(THINGS),
        st.sampled_from(WORDS),
        st.sampled_from([*WORDS, *VALUES, "[a, b]", "[", "a,b"]),
    ),
    st.text(),
)


@given(st.lists(setting_texts, min_size=1, max_size=3), st.one_of(st.just(FULL), data))
@example(["entry=Prod", "entry[0].at=Prod"], FULL)
def test_any_settings(texts: list[str], lab: Any) -> None:
    event(outcome(lambda: with_settings(lab, texts).spec))


@pytest.mark.parametrize(
    "wrong",
    [10**5000, "9" * 5000, float("nan"), float("inf"), -1, b"10", object],
    ids=lambda wrong: type(wrong).__name__,
)
def test_a_value_that_is_hard_to_print(wrong: object) -> None:
    for path, _ in paths(FULL):
        lab = changed(FULL, path, wrong)
        outcome(lambda lab=lab: structure(lab))  # type: ignore[misc]


def test_data_without_end() -> None:
    lab: dict[str, Any] = {}
    lab["hosts"] = lab
    with pytest.raises(LabError, match="nested too deeply"):
        structure(lab)

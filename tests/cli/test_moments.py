import pytest
from hypothesis import given
from hypothesis import strategies as st

from iochain.cli.moments import Moment, moment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.5 s", Moment(1_500_000_000, True)),
        ("500ms", Moment(500_000_000, True)),
        ("3 ns", Moment(3, True)),
        ("1970-01-01T00:00:01Z", Moment(10**9, False)),
        ("1970-01-02", Moment(86_400 * 10**9, False)),
        ("1970-01-01 00:00:00.123456789", Moment(123_456_789, False)),
        ("1970-01-01T01:00+01:00", Moment(0, False)),
        ("1969-12-31T23:59:59.5Z", Moment(-500_000_000, False)),
    ],
)
def test_moments(text: str, expected: Moment) -> None:
    assert moment(text) == expected


@given(st.text(max_size=40) | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?([+-]\d\d:\d\d)?", fullmatch=True))
def test_any_text_is_a_moment_or_a_message(text: str) -> None:
    said = ""
    try:
        assert isinstance(moment(text).ns, int)
    except ValueError as wrong:
        said = str(wrong)
    assert said.isprintable()

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iochain.topology import units


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("100 Mbit/s", 100_000_000),
        ("10 Gbit/s", 10_000_000_000),
        ("100000 kbit/s", 100_000_000),
        ("1.5 Gbit/s", 1_500_000_000),
        ("0.001 kbit/s", 1),
        ("7bit/s", 7),
        ("64000", 64_000),
        (64_000, 64_000),
        (1e9, 1_000_000_000),
        (" 1  Tbit/s ", 10**12),
    ],
)
def test_rates(text: object, bits: int) -> None:
    assert units.rate(text) == bits


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("4 MB", 4 << 20),
        ("102400 KB", 102_400 * 1024),
        ("64 KiB", 65_536),
        ("1 GB", 1 << 30),
        ("0.5 KB", 512),
        ("1500 B", 1500),
        (1500, 1500),
    ],
)
def test_sizes(text: object, count: int) -> None:
    assert units.size(text) == count


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("5 s", 5 * 10**9), ("500 ms", 5 * 10**8), ("20 us", 20_000), ("20 µs", 20_000), ("3 ns", 3)],
)
def test_times(text: str, nanoseconds: int) -> None:
    assert units.time_ns(text) == nanoseconds


@pytest.mark.parametrize(
    "wrong",
    ["100 Mb/s", "fast", "", "-1", -1, True, None, 1.5, "1,5 Gbit/s", "1 GBIT/S", "٣ Mbit/s", "9" * 50, []],
)
def test_no_rates(wrong: object) -> None:
    with pytest.raises(ValueError, match="is no rate"):
        units.rate(wrong)


def test_messages() -> None:
    with pytest.raises(ValueError) as rate:
        units.rate("100 Mb/s")
    assert str(rate.value) == '"100 Mb/s" is no rate (like 100 Mbit/s or 10 Gbit/s, or a plain number of bit/s)'
    with pytest.raises(ValueError) as size:
        units.size("0.3 B")
    assert str(size.value) == '"0.3 B" is no whole number of B'
    with pytest.raises(ValueError) as time:
        units.time_ns("5")
    assert str(time.value) == "5 is no time (like 5 s, 500 ms, 20 us or 3 ns)"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (100_000_000, "100 Mbit/s"),
        (1_500_000_000, "1.5 Gbit/s"),
        (1_234_567, "1234.567 kbit/s"),
        (0, "0 bit/s"),
        (999, "999 bit/s"),
    ],
)
def test_formatted_rates(number: int, text: str) -> None:
    assert units.format_rate(number) == text


def test_formatted_sizes_and_times() -> None:
    assert units.format_size(102_400 * 1024) == "100 MB"
    assert units.format_size(1500) == "1500 B"
    assert units.format_time(20_000) == "20 us"
    assert units.format_time(1_500_000_000) == "1.5 s"


@given(st.integers(0, 10**15))
def test_what_is_formatted_reads_back(number: int) -> None:
    assert units.rate(units.format_rate(number)) == number
    assert units.size(units.format_size(number)) == number
    assert units.time_ns(units.format_time(number)) == number
    assert re.match(units.pattern(units.RATE_UNITS), units.format_rate(number))


@given(st.integers(0, 2**48 - 1))
def test_mac_spellings(number: int) -> None:
    mac = units.mac_text(number)
    digits = f"{number:012x}"
    assert units.mac_number(mac) == number
    assert units.mac(mac) == mac
    assert units.mac(mac.upper().replace(":", "-")) == mac
    assert units.mac(f"{digits[:4]}.{digits[4:8]}.{digits[8:]}") == mac


@pytest.mark.parametrize(
    "wrong", ["00:50:56:00:00", "00:50:56:00:00:0g", "00:50-56:00:00:01", "00:50:56:00:00:01\n", "", None, 5, [], "::"]
)
def test_no_macs(wrong: object) -> None:
    with pytest.raises(ValueError, match="is no MAC address"):
        units.mac(wrong)


def test_a_mac_without_colons_is_told_how_to_write_it() -> None:
    with pytest.raises(ValueError, match='write it with colons, in quotes: "10:50:56:00:00:01"'):
        units.mac(105056000001)


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.none())))
def test_anything_is_read_or_refused(value: object) -> None:
    for read in (units.rate, units.size, units.time_ns, units.mac):
        message = ""
        try:
            read(value)
        except ValueError as wrong:
            message = str(wrong)
        assert message.isprintable()

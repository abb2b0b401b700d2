"""Text with units to whole numbers, and back: rates in bit/s, sizes in bytes, times in ns, MAC addresses.

All arithmetic is exact. ``k``, ``M``, ``G`` of a rate count by 1000. ``KB``, ``MB``, ``GB`` of a size count by 1024: no
document says which of the two the vSphere Client means, so this is a choice; ``KiB`` says the same without doubt.
Whatever cannot be read raises :class:`ValueError` with a sentence that says what is allowed.
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from iochain.topology.mistakes import one_line
from iochain.topology.spec import BitsPerSecond, ByteCount, MacAddress, VlanRange

RATE_UNITS: Final = {"bit/s": 1, "kbit/s": 10**3, "Mbit/s": 10**6, "Gbit/s": 10**9, "Tbit/s": 10**12}
SIZE_UNITS: Final = {
    "B": 1,
    "KB": 1 << 10,
    "MB": 1 << 20,
    "GB": 1 << 30,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}
TIME_UNITS: Final = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9}

MAC_PATTERN: Final = (
    r"^([0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{2}(-[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{4}(\.[0-9A-Fa-f]{4}){2})$"
)
"""The three spellings of a MAC address that are read, as a JSON Schema pattern."""

LONGEST: Final = 40
"""Longer text is no number with a unit; this also keeps huge numbers away from int()."""


def rate(value: Any) -> BitsPerSecond:
    """Bit/s from text like ``100 Mbit/s`` or from a plain number of bit/s."""
    return BitsPerSecond(_whole(value, RATE_UNITS, "rate", "like 100 Mbit/s or 10 Gbit/s, or a plain number of bit/s"))


def size(value: Any) -> ByteCount:
    """Bytes from text like ``4 MB`` or from a plain number of bytes."""
    return ByteCount(_whole(value, SIZE_UNITS, "size", "like 4 MB or 102400 KB, or a plain number of bytes"))


def time_ns(value: Any) -> int:
    """Nanoseconds from text like ``5 s`` or ``20 us``; a time always has its unit."""
    return _whole(value, TIME_UNITS, "time", "like 5 s, 500 ms, 20 us or 3 ns", plain=False)


VLAN_RANGE_PATTERN: Final = r"^[0-9]{1,4}( *- *[0-9]{1,4})?$"
"""One VLAN or several in a row, as a JSON Schema pattern."""


def vlan_range(value: Any) -> VlanRange:
    """One VLAN or several in a row, from a number or from text like ``20-29``."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and re.match(VLAN_RANGE_PATTERN, text) and text.isascii() and not text.endswith("\n"):
        first, _, last = text.partition("-")
        lowest, highest = int(first), int(last or first)
        if 1 <= lowest <= highest <= 4094:
            return VlanRange(f"{lowest}-{highest}" if last else f"{lowest}")
    raise ValueError(f"{shown(value)} is no VLAN (1 to 4094) and no range of them like 20-29")


def vlans_of(ranges: Iterable[VlanRange]) -> frozenset[int]:
    """The VLANs of such ranges."""
    ends = [one.partition("-") for one in ranges]
    return frozenset(vlan for first, _, last in ends for vlan in range(int(first), int(last or first) + 1))


def mac(value: Any) -> MacAddress:
    """The address as ESXi writes it, from any of three spellings."""
    text = value if isinstance(value, str) else shown(value)
    if re.match(MAC_PATTERN, text) and not text.endswith("\n"):
        return mac_text(int(re.sub(r"[:.-]", "", text), 16))
    message = (
        f"{shown(value)} is no MAC address (six bytes like 00:50:56:00:00:01 or 00-50-56-00-00-01, or 0050.5600.0001)"
    )
    if re.fullmatch(r"[0-9A-Fa-f]{12}", text):
        message += f'; write it with colons, in quotes: "{mac_text(int(text, 16))}"'
    raise ValueError(message)


def mac_text(number: int) -> MacAddress:
    """The address with this number, 0 to 2⁴⁸ - 1."""
    return MacAddress(number.to_bytes(6, "big").hex(":"))


def mac_number(address: MacAddress) -> int:
    """The address as one number."""
    return int(address.replace(":", ""), 16)


def format_rate(bits_per_second: int) -> str:
    """Text that reads back as the same rate: ``100 Mbit/s``."""
    return _formatted(bits_per_second, RATE_UNITS)


def format_size(byte_count: int) -> str:
    """Text that reads back as the same size: ``4 MB``."""
    return _formatted(byte_count, SIZE_UNITS)


def format_time(nanoseconds: int) -> str:
    """Text that reads back as the same time: ``20 us``."""
    return _formatted(nanoseconds, TIME_UNITS)


def pattern(units: Mapping[str, int], plain: bool = True) -> str:
    """The texts with these units that are read, as a JSON Schema pattern."""
    names = "|".join(re.escape(unit).replace(r"\ ", " ") for unit in units)
    return rf"^[0-9]+(\.[0-9]+)? *({names}){'?' if plain else ''}$"


def shown(value: Any) -> str:
    """How a message shows a value that it found: numbers bare, text in quotes, long things cut."""
    if value is None:
        return "nothing"
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    try:
        text = str(value)
    except ValueError:  # Python refuses to print numbers of more than 4300 digits
        return "a huge number"
    text = text if len(text) <= 60 else text[:57] + "..."
    text = one_line(text)
    return text if not isinstance(value, str) or re.fullmatch(r"[+-]?[0-9.][0-9A-Za-z.,:/+-]*", text) else f'"{text}"'


def _whole(value: Any, units: Mapping[str, int], what: str, allowed: str, plain: bool = True) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if plain and isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and len(value) <= LONGEST:
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *([A-Za-zµ/]*)", value.strip())
        if found and (found[2] in units or (plain and not found[2])):
            number = Fraction(found[1]) * units.get(found[2], 1)
            if number.denominator == 1:
                return int(number)
            raise ValueError(f"{shown(value)} is no whole number of {next(iter(units))}")
    raise ValueError(f"{shown(value)} is no {what} ({allowed})")


def _formatted(number: int, units: Mapping[str, int]) -> str:
    """In the largest unit that leaves at most three decimals; of units of one size the first."""
    for unit, factor in sorted(units.items(), key=lambda item: -item[1]):
        if number >= factor and (number * 1000) % factor == 0:
            value = Decimal(number * 1000 // factor).scaleb(-3).normalize()
            return f"{value:f} {unit}"
    return f"{number} {next(iter(units))}"

"""Single values of a lab: numbers in range, words of an enumeration, yes and no, names, addresses, rates, sizes.

What cannot be read raises ValueError with a sentence that says what was found and what is allowed.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

from attrs import Attribute

from iochain.topology import units
from iochain.topology.mistakes import guess
from iochain.topology.spec import (
    Answer,
    BitsPerSecond,
    ByteCount,
    FailureDetection,
    LoadBalancing,
    MacAddress,
    Mtu,
    Nanoseconds,
    VlanNumber,
    VlanRange,
)
from iochain.topology.units import shown

RANGES: Final[Mapping[Any, tuple[str, int, int]]] = {VlanNumber: ("VLAN number", 0, 4095), Mtu: ("MTU", 1, 9000)}
"""What a number of this type is called, and its limits."""

ANSWERS: Final = {"yes": True, "no": False, "on": True, "off": False, "true": True, "false": False}
"""The words for a boolean; YAML 1.2 itself knows only true and false."""

MEANT: Final = {
    "loadbalance_srcid": "portid",
    "loadbalance_srcmac": "mac",
    "loadbalance_ip": "iphash",
    "failover_explicit": "explicit",
    "failover": "explicit",
    "srcid": "portid",
    "srcmac": "mac",
}
"""Teaming policies by the names of the vSphere API, which are not ours."""


def read(kind: Any, attribute: "Attribute[Any]", data: Any) -> Any:
    """The value of this type, in the range or among the choices that its key allows."""
    more = attribute.metadata
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(kind, data)
    if "choices" in more:
        return _choice(data, more["choices"])
    if kind in RANGES:
        what, lowest, highest = RANGES[kind]
        return _number(data, what, lowest, highest)
    if kind is int:
        return _number(
            data, attribute.name if "minimum" in more else "whole number", more.get("minimum"), more.get("maximum")
        )
    value = READERS[kind](data)
    if "minimum" in more and not more["minimum"] <= value <= more["maximum"]:
        text = FORMATS[kind]
        raise ValueError(f"{shown(data)} is out of range ({text(more['minimum'])} to {text(more['maximum'])})")
    return value


def answer(value: Any) -> bool:
    """Yes or no from a word or a bool; ValueError for all else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ANSWERS:
        return ANSWERS[value.lower()]
    raise ValueError(f"{shown(value)} is neither yes nor no")


def is_answer(data: Any) -> bool:
    """Whether this is a yes or a no."""
    return isinstance(data, bool) or (isinstance(data, str) and data.lower() in ANSWERS)


def name_text(key: Any) -> str:
    """A name as text: YAML and Python may have taken it for something else."""
    return key if isinstance(key, str) else key.value if isinstance(key, Enum) else shown(key)


def _text(data: Any) -> str:
    if isinstance(data, (str, int, float)):
        return name_text(data)
    raise ValueError(f"{shown(data)} is no text")


def _nanoseconds(data: Any) -> int:
    """A time with its unit; a number, which only Python can give, is of nanoseconds."""
    return data if isinstance(data, int) and not isinstance(data, bool) else units.time_ns(data)


READERS: Final[Mapping[Any, Callable[[Any], Any]]] = {
    bool: answer,
    str: _text,
    MacAddress: units.mac,
    BitsPerSecond: units.rate,
    ByteCount: units.size,
    Nanoseconds: _nanoseconds,
    VlanRange: units.vlan_range,
}


FORMATS: Final[Mapping[Any, Callable[[int], str]]] = {
    BitsPerSecond: units.format_rate,
    ByteCount: units.format_size,
    Nanoseconds: units.format_time,
}
"""How values of a type are written."""


def _member(kind: type[Enum], data: Any) -> Enum:
    values = [member.value for member in kind]
    if kind is Answer and is_answer(data):
        return Answer.ACCEPT if answer(data) else Answer.REJECT
    if isinstance(data, str) and data in values:
        return kind(data)
    if kind in (LoadBalancing, FailureDetection) and data in ("lbt", "load", "loadbalance_loadbased", "lacp", "lag"):
        thing = "LACP" if data in ("lacp", "lag") else "load-based teaming"
        raise ValueError(f"a standard switch has no {thing}; distributed switches do (not modelled yet)")
    near = f'; is "{MEANT[data]}" meant?' if isinstance(data, str) and data in MEANT else guess(name_text(data), values)
    raise ValueError(f"{shown(data)} is not allowed here ({', '.join(values)}){near}")


def _choice(data: Any, choices: tuple[str, ...]) -> str:
    text = name_text(data)
    if text in choices or f"{text}.0" in choices:
        return text if text in choices else f"{text}.0"
    near = "" if is_numeric(choices) else guess(text, choices)
    raise ValueError(f"{shown(data)} is none of {', '.join(choices)}{near}")


def is_numeric(choices: tuple[str, ...]) -> bool:
    """Whether these are numbers as texts, as versions are, which YAML takes for numbers."""
    return all(choice.replace(".", "").isdecimal() for choice in choices)


def _number(data: Any, what: str, lowest: int | None, highest: int | None) -> int:
    text = data if isinstance(data, str) else shown(data)
    number = None
    if isinstance(data, int) and not isinstance(data, bool):
        number = data
    elif isinstance(data, str) and len(text) <= units.LONGEST and text.removeprefix("-").isdecimal() and text.isascii():
        number = int(text)
    if number is not None and abs(number) >> 63:
        number = None
    span = f" ({lowest} to {highest})" if lowest is not None else ""
    if number is None and isinstance(data, str) and what == "VLAN number" and set(text) <= set("0123456789-, "):
        raise ValueError(
            f"{shown(data)} is no VLAN number{span}; ranges are for distributed switches (not modelled yet)"
        )
    if number is None or (lowest is not None and number < lowest) or (highest is not None and number > highest):
        raise ValueError(f"{shown(data)} is no {what}{span}")
    return number

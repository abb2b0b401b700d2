"""The interfaces that frames were captured at: what a pcap header or an interface description block says."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from attrs import frozen

from iochain.capture.formats import (
    LINK_ETHERNET,
    OPTION_END,
    OPTION_INTERFACE_DESCRIPTION,
    OPTION_INTERFACE_NAME,
    OPTION_TIME_OFFSET,
    OPTION_TIME_RESOLUTION,
    link_name,
)
from iochain.capture.walkers import INTERFACE
from iochain.kernels.rows import MAX_TIME_NS

_OPTIONS_AT: Final = 16
_BINARY_BIT: Final = 0x80
_MICROSECONDS: Final = 6


@frozen
class Interface:
    """One interface of one source."""

    source: int
    """Number of the source, from 0."""
    name: str = ""
    """What the capture calls it; a pcap has no names."""
    description: str = ""
    link_type: int = LINK_ETHERNET
    snap_length: int = 0
    """Longest captured frame in bytes; 0 if there is no limit."""

    @property
    def link_name(self) -> str:
        """The name of its link type, such as ``ETHERNET``."""
        return link_name(self.link_type)


@frozen
class Clock:
    """What the time stamps of an interface count: ``if_tsresol`` and ``if_tsoffset`` of pcapng."""

    exponent: int = _MICROSECONDS
    is_binary: bool = False
    offset_s: int = 0

    @property
    def units_per_second(self) -> int:
        """How many units a second has."""
        return int((2 if self.is_binary else 10) ** self.exponent)


def described(block: bytes, big_endian: bool, source: int) -> tuple[Interface, Clock]:
    """What a whole interface description block says; options that break off are passed over."""
    order = _order(big_endian)
    name = description = ""
    clock = Clock()
    for code, value in _options(block[_OPTIONS_AT:-4], big_endian):
        if code == OPTION_INTERFACE_NAME:
            name = _text(value)
        elif code == OPTION_INTERFACE_DESCRIPTION:
            description = _text(value)
        elif code == OPTION_TIME_RESOLUTION and len(value) == 1:
            clock = Clock(value[0] & ~_BINARY_BIT, bool(value[0] & _BINARY_BIT), clock.offset_s)
        elif code == OPTION_TIME_OFFSET and len(value) == 8:
            clock = Clock(clock.exponent, clock.is_binary, int.from_bytes(value, order, signed=True))
    link_type = int.from_bytes(block[8:10], order)
    return Interface(source, name, description, link_type, int.from_bytes(block[12:16], order)), clock


def set_element(element: Any, interface: Interface, clock: Clock, number: int) -> None:
    """Fill an element of the walker's table (:data:`iochain.capture.walkers.INTERFACE`)."""
    element["number"] = number
    element["is_ethernet"] = interface.link_type == LINK_ETHERNET
    element["snap_length"] = interface.snap_length
    element["passed_over"] = 0
    element["offset_s"] = clock.offset_s
    element["binary"] = clock.is_binary
    element["shift"] = clock.exponent
    element["quick_limit"], element["quick_factor"] = -1, 0
    per_second = clock.units_per_second
    element["per_second"] = per_second if per_second < 2**64 else 0
    finer = max(per_second // 10**9, 1)
    element["multiply"] = max(10**9 // per_second, 1)
    element["divide"] = finer if finer < 2**64 else 0
    if not clock.is_binary and not clock.offset_s and per_second <= 10**9:
        element["quick_factor"] = 10**9 // per_second
        element["quick_limit"] = MAX_TIME_NS // (10**9 // per_second)


def table_of(size: int) -> Any:
    """A table for the walker."""
    return np.zeros(size, INTERFACE)


def _options(data: bytes, big_endian: bool) -> Iterator[tuple[int, bytes]]:
    """The options of a block up to the last, or to the first that does not fit."""
    order, at = _order(big_endian), 0
    while at + 4 <= len(data):
        code, length = int.from_bytes(data[at : at + 2], order), int.from_bytes(data[at + 2 : at + 4], order)
        if code == OPTION_END or at + 4 + length > len(data):
            return
        yield code, data[at + 4 : at + 4 + length]
        at += 4 + (length + 3 & ~3)


def _text(value: bytes) -> str:
    """The text of an option; bytes that are no UTF-8 are replaced."""
    return value.rstrip(b"\0").decode("utf-8", "replace")


def _order(big_endian: bool) -> Any:
    """The name of a byte order, as ``int.from_bytes`` wants it."""
    return "big" if big_endian else "little"

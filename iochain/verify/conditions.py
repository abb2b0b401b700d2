"""Which frames a statement speaks of: tests of header fields, on many parsed frames at once.

A condition holds where each field that it names has one of the values; a field that a frame does not have is none.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from attrs import field, frozen

from iochain.frame import ALL_VLANS, BROADCAST, PRIORITY_SHIFT, VID_BITS
from iochain.kernels import words as w
from iochain.topology.mistakes import guess
from iochain.topology.units import mac, mac_number, shown
from iochain.topology.values import answer

Words = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_GROUP_BIT: Final = 1 << 40
_MAC_BITS: Final = (1 << 48) - 1
ETHERTYPES: Final = {
    "ipv4": 0x0800,
    "arp": 0x0806,
    "rarp": 0x8035,
    "ipv6": 0x86DD,
    "lacp": 0x8809,
    "lldp": 0x88CC,
}
PROTOCOLS: Final = {"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "icmpv6": 58, "vrrp": 112}


@frozen
class Span:
    """Values from ``low`` to ``high`` in the bits of ``mask``."""

    low: int
    high: int
    mask: int = -1

    def holds(self, value: int) -> bool:
        """Whether a value is one of them."""
        return self.low <= value & self.mask <= self.high


@frozen
class FieldOf:
    """A field of frames that conditions can name: where it is, what it may be, and how its values are read."""

    word: int
    read: Callable[[Any], tuple[Span, ...]] = field(repr=False)
    shift: int = 0
    bits: int = -1
    absent: int | None = None  # the value where a frame has it not; None: then no value is right

    def column(self, words: Words) -> tuple[Words, Mask]:
        """The field of all frames, and which of them have it."""
        there = (words[:, w.PRESENT] >> self.word & 1).astype(bool)
        values = words[:, self.word] >> self.shift & self.bits
        if self.absent is not None:
            values = np.where(there, values, self.absent)
            there = np.ones(len(words), bool)
        return values, there


@frozen
class Condition:
    """Allowed values by the name of the field; ``tagged``: whether there is a tag (None: either)."""

    fields: Mapping[str, tuple[Span, ...]] = field(factory=dict)
    tagged: bool | None = None

    def __hash__(self) -> int:
        return hash((tuple(sorted(self.fields.items(), key=lambda item: item[0])), self.tagged))

    @property
    def is_any(self) -> bool:
        """Whether it says nothing."""
        return not self.fields and self.tagged is None

    def holds(self, words: Words) -> Mask:
        """For which of these parsed frames it holds."""
        found = np.ones(len(words), bool)
        if self.tagged is not None:
            found &= (words[:, w.PRESENT] >> w.TAG & 1).astype(bool) == self.tagged
        for name, spans in self.fields.items():
            values, there = FIELDS[name].column(words)
            one_of = np.zeros(len(words), bool)
            for span in spans:
                masked = values & span.mask
                one_of |= (masked >= span.low) & (masked <= span.high)
            found &= there & one_of
        return found

    def allows(self, name: str, value: int) -> bool:
        """Whether a field may have a value."""
        return name not in self.fields or any(span.holds(value) for span in self.fields[name])

    def values(self, name: str) -> list[int]:
        """The ends of what a field may be; none where the condition does not name it."""
        found: list[int] = []
        for span in self.fields.get(name, ()):
            if span.mask == _GROUP_BIT:
                found += [int(BROADCAST), 0x01005E000001] if span.low else [0x005056000001]
            else:
                found += [span.low, span.high]
        return list(dict.fromkeys(found))


ANY_FRAME: Final = Condition()


# -- reading single values; each raises ValueError that says what was found and what is allowed


def macs_of(value: Any) -> tuple[Span, ...]:
    """A MAC address, or a kind of them."""
    kinds = {
        "broadcast": Span(int(BROADCAST), int(BROADCAST)),
        "group": Span(_GROUP_BIT, _GROUP_BIT, _GROUP_BIT),
        "unicast": Span(0, 0, _GROUP_BIT),
    }
    if isinstance(value, str) and value in kinds:
        return (kinds[value],)
    try:
        number = mac_number(mac(value))
    except ValueError as wrong:
        near = guess(value, kinds) if isinstance(value, str) else ""
        raise ValueError(f"{wrong}, nor {', '.join(kinds)}{near}") from None
    return (Span(number, number),)


def numbers_of(what: str, lowest: int, highest: int, names: Mapping[str, int] | None = None) -> Any:
    """A reader of numbers, of ranges like ``20-29``, and of names."""
    known = names or {}

    def read(value: Any) -> tuple[Span, ...]:
        text = value if isinstance(value, str) else shown(value)
        if text.lower() in known:
            return (Span(known[text.lower()], known[text.lower()]),)
        found = re.fullmatch(r"(0x[0-9a-fA-F]{1,8}|[0-9]{1,10})(?: *- *(0x[0-9a-fA-F]{1,8}|[0-9]{1,10}))?", text)
        if found:
            low = int(found[1], 0) if found[1].startswith("0x") else int(found[1])
            high = low if found[2] is None else int(found[2], 0) if found[2].startswith("0x") else int(found[2])
            if lowest <= low <= high <= highest:
                return (Span(low, high),)
        also = f", a range of them like {lowest + 1}-{lowest + 2}"
        also += f", or {', '.join(known)}" if known else ""
        raise ValueError(f"{shown(value)} is no {what} ({lowest} to {highest}{also}){guess(text, known)}")

    return read


def addresses_of(value: Any) -> tuple[Span, ...]:
    """An IPv4 address, or a network like ``10.0.0.0/24``."""
    try:
        network = IPv4Network(value)
    except ValueError:
        raise ValueError(f"{shown(value)} is no IPv4 address and no network like 10.0.0.0/24") from None
    return (Span(int(network.network_address), int(network.broadcast_address)),)


FIELDS: Final[dict[str, FieldOf]] = {
    "source": FieldOf(w.SOURCE, macs_of, bits=_MAC_BITS),
    "destination": FieldOf(w.DESTINATION, macs_of, bits=_MAC_BITS),
    "vlan": FieldOf(w.TAG, numbers_of("VLAN number", 0, ALL_VLANS), bits=VID_BITS, absent=0),
    "priority": FieldOf(w.TAG, numbers_of("priority", 0, 7), PRIORITY_SHIFT, 7),
    "ethertype": FieldOf(w.NETWORK_TYPE, numbers_of("EtherType", 0, 0xFFFF, ETHERTYPES), bits=0xFFFF),
    "llc": FieldOf(w.LLC, numbers_of("LLC header (DSAP, SSAP, control)", 0, 0xFFFFFF), bits=0xFFFFFF),
    "protocol": FieldOf(w.TRANSPORT, numbers_of("IP protocol", 0, 255, PROTOCOLS), bits=0xFF),
    "source_ip": FieldOf(w.IPV4_SOURCE, addresses_of, bits=0xFFFFFFFF),
    "destination_ip": FieldOf(w.IPV4_DESTINATION, addresses_of, bits=0xFFFFFFFF),
    "source_port": FieldOf(w.SOURCE_PORT, numbers_of("port number", 0, 65_535), bits=0xFFFF),
    "destination_port": FieldOf(w.DESTINATION_PORT, numbers_of("port number", 0, 65_535), bits=0xFFFF),
    "length": FieldOf(w.WIRE_LENGTH, numbers_of("length in bytes", 14, 9_216), bits=0xFFFFFFFF),
}
"""Fields by name. ``vlan`` 0 is a frame without tag, or with one that names no VLAN; ``length`` counts no tag."""

CONTENT: Final = (
    "ethertype",
    "llc",
    "protocol",
    "source_ip",
    "destination_ip",
    "source_port",
    "destination_port",
    "length",
)
"""Fields behind the tag, which no switch changes."""


def condition_of(data: Mapping[str, Any], fault: Callable[[str, str], None]) -> Condition:
    """The condition that keys and values of a policy file say; ``fault`` hears of each mistake: key and message."""
    fields: dict[str, tuple[Span, ...]] = {}
    tagged = None
    for name, value in data.items():
        try:
            if name == "tagged":
                tagged = answer(value)
            elif name in FIELDS:
                given = value if isinstance(value, list) else [value]
                if not given or any(one is None or isinstance(one, (dict, list)) for one in given):
                    raise ValueError(f"{shown(value)} stands where a value, or a list of values, is needed")
                fields[name] = tuple(span for one in given for span in FIELDS[name].read(one))
            else:
                known = [*FIELDS, "tagged"]
                raise ValueError(f'"{name}" is no field of frames{guess(name, known) or " (" + ", ".join(known) + ")"}')
        except ValueError as wrong:
            fault(name, str(wrong))
    return Condition(fields, tagged)

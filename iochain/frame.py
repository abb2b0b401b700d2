"""The frame that a header stage sees: named fields over the words that the parser filled, each read noted.

A field is compared, tested bit by bit, or used to ask a table; what was read of it, to the bit, is what decides how
the frame went, and is noted so that the engine can tell frames apart by just that. Absent is ``None``, never zero.
"""

import ipaddress
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, SupportsIndex, TypeVar, overload

from attrs import field, frozen

from iochain.kernels import words as w
from iochain.kernels.rows import NO_TAG

if TYPE_CHECKING:
    from scapy.packet import Packet

Words = Sequence[int]

VID_BITS: Final = 0x0FFF
DEI_BIT: Final = 0x1000
PRIORITY_SHIFT: Final = 13
MAX_VLAN: Final = 4094
ALL_VLANS: Final = 4095
_ALL_BITS: Final = (1 << 64) - 1
_GROUP_BIT: Final = 40
_BROADCAST: Final = (1 << 48) - 1


class Mac(int):
    """A MAC address: six bytes as one number, the first byte highest; written and read as text with colons."""

    def __new__(cls, address: "int | str | Mac") -> "Mac":
        """From a number, or from text like ``00:50:56:00:00:01``; anything else is a ``ValueError``."""
        if isinstance(address, str):
            parts = address.split(":")
            if len(parts) != 6 or not all(len(part) == 2 for part in parts):
                raise ValueError(f"{address!r} is no MAC address (six bytes like 00:50:56:00:00:01)")
            address = int("".join(parts), 16)
        if not 0 <= address <= _BROADCAST:
            raise ValueError(f"{address:#x} is no MAC address: it has more than 48 bits")
        return super().__new__(cls, address)

    @property
    def is_group(self) -> bool:
        """Whether it is a multicast or the broadcast address."""
        return bool(self >> _GROUP_BIT & 1)

    def __str__(self) -> str:
        return ":".join(f"{self >> shift & 0xFF:02x}" for shift in range(40, -8, -8))

    def __repr__(self) -> str:
        return f"Mac({str(self)!r})"


BROADCAST: Final = Mac(_BROADCAST)


class Value:
    """What a field holds. Using it notes the bits that were used: ``==``, ``<``, ``&``, ``>>``, ``if``, ``int()``.

    It has no hash, so that it cannot slip unnoticed into a dict or a set: ask a table instead (:meth:`Frame.ask`).
    """

    __slots__ = ("_mask", "_masks", "_number", "_shift", "_word")

    def __init__(self, number: int, masks: list[int], word: int, mask: int = _ALL_BITS, shift: int = 0) -> None:
        self._number, self._masks, self._word, self._mask, self._shift = number, masks, word, mask, shift

    def __int__(self) -> int:
        self._masks[self._word] |= self._mask
        return self._number

    __index__ = __int__

    def __eq__(self, other: object) -> bool:
        self._masks[self._word] |= self._mask
        return self._number == (other if isinstance(other, int) else _comparable(other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: "SupportsIndex") -> bool:
        return int(self) < int(other)

    def __le__(self, other: "SupportsIndex") -> bool:
        return int(self) <= int(other)

    def __gt__(self, other: "SupportsIndex") -> bool:
        return int(self) > int(other)

    def __ge__(self, other: "SupportsIndex") -> bool:
        return int(self) >= int(other)

    def __bool__(self) -> bool:
        return int(self) != 0

    def __and__(self, bits: int) -> "Value":
        return Value(self._number & bits, self._masks, self._word, self._mask & bits << self._shift, self._shift)

    def __rshift__(self, count: int) -> "Value":
        shift = self._shift + count
        return Value(self._number >> count, self._masks, self._word, self._mask >> shift << shift, shift)

    def __hash__(self) -> int:
        raise TypeError("a frame's field has no hash; ask a table with it: frame.ask(table, field)")

    def __str__(self) -> str:
        return str(int(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"


def _comparable(other: object) -> object:
    """What a field's number is compared with. TypeError for text, which would never be equal."""
    if isinstance(other, str):
        raise TypeError(f"a field is a number, {other!r} is text; compare with Mac(…) or ipaddress.ip_address(…)")
    return int(other) if isinstance(other, (Value, ipaddress.IPv4Address)) else other


class MacValue(Value):
    """A field that holds a MAC address."""

    __slots__ = ()

    @property
    def is_group(self) -> bool:
        """Whether it is a multicast or the broadcast address; reads just that bit."""
        self._masks[self._word] |= 1 << _GROUP_BIT
        return bool(self._number >> _GROUP_BIT & 1)

    def __str__(self) -> str:
        return str(Mac(int(self)))


class Ipv4Value(Value):
    """A field that holds an IPv4 address."""

    __slots__ = ()

    def within(self, network: ipaddress.IPv4Network) -> bool:
        """Whether the address lies in a network; reads just the bits of the prefix."""
        return self & int(network.netmask) == int(network.network_address)

    def __str__(self) -> str:
        return str(ipaddress.IPv4Address(int(self)))


class Ipv6Value:
    """A field that holds an IPv6 address, in two words."""

    __slots__ = ("high", "low")

    def __init__(self, high: Value, low: Value) -> None:
        self.high, self.low = high, low

    def __int__(self) -> int:
        return int(self.high) << 64 | int(self.low)

    def __eq__(self, other: object) -> bool:
        compared = _comparable(other)
        number = int(compared) if isinstance(compared, (int, ipaddress.IPv6Address, Ipv6Value)) else -1
        return self.high == number >> 64 and self.low == number & _ALL_BITS

    def __hash__(self) -> int:
        return hash(self.high)

    def within(self, network: ipaddress.IPv6Network) -> bool:
        """Whether the address lies in a network; reads just the bits of the prefix."""
        mask, address = int(network.netmask), int(network.network_address)
        return self.high & mask >> 64 == address >> 64 and self.low & (mask & _ALL_BITS) == address & _ALL_BITS

    def __str__(self) -> str:
        return str(ipaddress.IPv6Address(int(self)))

    def __repr__(self) -> str:
        return f"Ipv6Value({self})"


class Notes:
    """What a walk read and asked for: bits of words, look-ups, settings; and the writes that it wants done."""

    __slots__ = ("asked", "masks", "row", "whole", "writes")

    def __init__(self) -> None:
        self.row: tuple[Any, int] = (None, 0)  # the batch of the frame that walks, and its index there
        self.clear()

    def clear(self) -> None:
        """Forget everything, for the next walk."""
        self.masks: list[int] = [0] * w.COUNT
        self.asked: list[Asked] = []
        self.writes: list[tuple[Table[Any, Any], Hashable, Any]] = []
        self.whole = False

    def begin_part(self) -> list[int]:
        """Note by themselves the bits that are read from now on; gives those until now."""
        masks, self.masks = self.masks, [0] * w.COUNT
        return masks


Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class Table(Generic[Key, Answer]):
    """State that header stages consult: entries by key, and one answer for all keys that have none.

    A stage asks by :meth:`Frame.ask` and writes by :meth:`Frame.learn`; between frames the engine and control events
    set entries directly. Each of ``watchers`` is told the table and the key of a change, after it.
    """

    __slots__ = ("_entries", "default", "name", "watchers")

    def __init__(self, name: str, default: Answer, entries: dict[Key, Answer] | None = None) -> None:
        self.name, self.default = name, default
        self._entries: dict[Key, Answer] = dict(entries or {})
        self.watchers: list[Callable[[Table[Key, Answer], Key], None]] = []

    def get(self, key: Key) -> Answer:
        """The answer for a key."""
        return self._entries.get(key, self.default)

    def entry(self, key: Key) -> Answer:
        """The entry of a key itself, the default answer where there is none: what :meth:`set` gave it."""
        return self._entries.get(key, self.default)

    def set(self, key: Key, answer: Answer) -> None:
        """Give a key an answer; the default answer takes the entry out."""
        if answer == self.default:
            self._entries.pop(key, None)
        else:
            self._entries[key] = answer
        for watcher in self.watchers:
            watcher(self, key)

    def reset(self, entries: dict[Key, Answer]) -> None:
        """Have just these entries."""
        for key in self._entries.keys() - entries.keys():
            self.set(key, self.default)
        for key, answer in entries.items():
            if self._entries.get(key) != answer:
                self.set(key, answer)

    def depends_on(self, key: Key) -> tuple[Key, ...]:
        """The entries that the answer for a key comes from."""
        return (key,)

    def entries(self) -> dict[Key, Answer]:
        """All entries, a copy."""
        return dict(self._entries)

    def __repr__(self) -> str:
        return f"Table({self.name!r}, {len(self._entries)} entries)"


@frozen
class Derived:
    """A small number computed from fields by a compiled function, so that the fields themselves need no noting.

    ``function(words, argument)`` is compiled, of int64 words and an int64; the result lies in ``range(outcomes)``.
    Both engines use it: the plain one calls its Python form.
    """

    name: str
    function: "Callable[[Words, int], int]" = field(repr=False)
    argument: int
    outcomes: int

    def of(self, words: Words) -> int:
        """Its value for one frame's words."""
        python: Callable[[Words, int], int] = getattr(self.function, "py_func", self.function)
        return python(words, self.argument)


class Asked(NamedTuple):
    """One thing that a walk consulted: a table's entry, a stage's setting, a port's attribute, a derived field."""

    thing: Any
    key: Hashable
    answer: Any


class Frame:
    """One Ethernet frame at one moment. Stages get it, and return it, changed or not, to let it go on."""

    __slots__ = ("_source", "_tag", "_tag_is_own", "_words", "notes")

    def __init__(
        self, words: Words, notes: Notes, source: "Callable[[], Packet] | None" = None, tag: int | None = None
    ) -> None:
        self._words, self.notes, self._source = words, notes, source
        self._tag_is_own = tag is None
        self._tag = (words[w.TAG] if words[w.PRESENT] >> w.TAG & 1 else NO_TAG) if tag is None else tag

    # -- Ethernet and VLAN

    @property
    def destination(self) -> MacValue:
        """Destination address."""
        return MacValue(self._words[w.DESTINATION], self.notes.masks, w.DESTINATION)

    @property
    def source(self) -> MacValue:
        """Source address."""
        return MacValue(self._words[w.SOURCE], self.notes.masks, w.SOURCE)

    @property
    def vlan(self) -> Value | int | None:
        """VLAN number of the outer tag; 0: a priority tag; None: no tag."""
        return self._of_tag(VID_BITS, 0)

    @property
    def priority(self) -> Value | int | None:
        """802.1p priority of the outer tag; None: no tag."""
        return self._of_tag(7 << PRIORITY_SHIFT, PRIORITY_SHIFT)

    @property
    def tci(self) -> Value | int | None:
        """Tag control information of the outer tag: priority << 13 | DEI << 12 | VLAN number; None: no tag."""
        return self._of_tag(0xFFFF, 0)

    @property
    def ethertype(self) -> Value:
        """EtherType behind the outer tag; 0x8100 or 0x88a8 in stacked frames; at most 1500 in 802.3 frames."""
        return Value(self._words[w.ETHERTYPE], self.notes.masks, w.ETHERTYPE)

    @property
    def network_type(self) -> Value | None:
        """EtherType behind all tags; None: cut off, or more than three tags."""
        return self._optional(w.NETWORK_TYPE)

    @property
    def inner_tci(self) -> Value | None:
        """Tag control information of the second tag of the 802.1Q stack."""
        return self._optional(w.INNER_TCI)

    @property
    def third_tci(self) -> Value | None:
        """Tag control information of the third tag of the 802.1Q stack."""
        return self._optional(w.THIRD_TCI)

    @property
    def llc(self) -> Value | None:
        """LLC header of an 802.3 frame: DSAP << 16 | SSAP << 8 | control."""
        return self._optional(w.LLC)

    # -- network and transport

    @property
    def arp(self) -> "Arp | None":
        """The ARP message."""
        return Arp(self) if self._has(w.ARP_OPERATION) else None

    @property
    def ipv4(self) -> "Ipv4 | None":
        """The IPv4 header."""
        return Ipv4(self) if self._has(w.IPV4_HEADER_LENGTH) else None

    @property
    def ipv6(self) -> "Ipv6 | None":
        """The IPv6 header."""
        return Ipv6(self) if self._has(w.IPV6_TRAFFIC_CLASS) else None

    @property
    def transport(self) -> Value | None:
        """Protocol number behind IPv4, or behind IPv6 and its extension headers."""
        return self._optional(w.TRANSPORT)

    @property
    def source_port(self) -> Value | None:
        """Source port of TCP, UDP or SCTP."""
        return self._optional(w.SOURCE_PORT)

    @property
    def destination_port(self) -> Value | None:
        """Destination port of TCP, UDP or SCTP."""
        return self._optional(w.DESTINATION_PORT)

    @property
    def tcp(self) -> "Tcp | None":
        """The TCP header."""
        return Tcp(self) if self._has(w.TCP_SEQUENCE) else None

    @property
    def udp_length(self) -> Value | None:
        """Length field of UDP, in bytes."""
        return self._optional(w.UDP_LENGTH)

    @property
    def icmp_type(self) -> Value | None:
        """Type of an ICMP or ICMPv6 message."""
        return self._optional(w.ICMP_TYPE)

    @property
    def icmp_code(self) -> Value | None:
        """Code of an ICMP or ICMPv6 message."""
        return self._optional(w.ICMP_CODE)

    # -- where it is from, and how long it is

    @property
    def length(self) -> Value:
        """Captured bytes, without the outer tag and the FCS."""
        return Value(self._words[w.LENGTH], self.notes.masks, w.LENGTH)

    @property
    def wire_length(self) -> Value:
        """Bytes before a snap length cut the frame, without the outer tag and the FCS."""
        return Value(self._words[w.WIRE_LENGTH], self.notes.masks, w.WIRE_LENGTH)

    @property
    def entry(self) -> Value | None:
        """Number of the port that the frame came in by."""
        return self._optional(w.ENTRY)

    @property
    def from_uplink(self) -> Value:
        """1 if the frame came in by an uplink, 0 if by a client's port. Cheaper to know than by which one."""
        return Value(self._words[w.FROM_UPLINK], self.notes.masks, w.FROM_UPLINK, 1)

    @property
    def interface(self) -> Value | None:
        """Number of the capture interface that it was read from."""
        return self._optional(w.INTERFACE)

    @property
    def origin(self) -> Value:
        """Number of the source of frames, from 0 (the first capture file)."""
        return Value(self._words[w.ORIGIN], self.notes.masks, w.ORIGIN)

    @property
    def mss(self) -> Value | None:
        """Segment size of a super-frame, in bytes of TCP payload."""
        return self._optional(w.MSS)

    @property
    def scapy(self) -> "Packet":
        """The frame as a Scapy packet; a way that reads it is walked for each frame, as all bytes may matter."""
        self.notes.whole = True
        if self._source is None:
            raise RuntimeError("this frame has no bytes: it was made of header fields only")
        return self._source()

    # -- asking, learning, changing

    @overload
    def ask(self, table: Table[int, Answer], key: "Value | int", /) -> Answer: ...
    @overload
    def ask(self, table: Table[str, Answer], key: str, /) -> Answer: ...
    @overload
    def ask(self, table: Table[Any, Answer], *keys: "Value | int") -> Answer: ...
    def ask(self, table: Table[Any, Answer], *keys: "Value | int | str") -> Answer:
        """What a table answers for a key of one or several fields, numbers or names."""
        key: Any = keys[0] if len(keys) == 1 else tuple([key if type(key) is str else int(key) for key in keys])
        if type(key) is not tuple and type(key) is not str:
            key = int(key)
        answer = table.get(key)
        self.notes.asked.append(Asked(table, key, answer))
        return answer

    def derive(self, derived: Derived) -> int:
        """The value of a derived field."""
        value = derived.of(self._words)
        self.notes.asked.append(Asked(derived, None, value))
        return value

    def learn(self, table: Table[Any, Answer], *keys: "Value | int", answer: Answer) -> None:
        """Have an entry written, in the order of frames, after this walk."""
        key = int(keys[0]) if len(keys) == 1 else tuple(map(int, keys))
        self.notes.writes.append((table, key, answer))

    def on_vlan(self, vlan: "Value | int") -> "Frame":
        """The frame with the tag of a VLAN, put on or in the place of the one it has; the priority stays.

        ValueError if it is no VLAN number.
        """
        vlan = int(vlan)
        if not 0 <= vlan <= ALL_VLANS:
            raise ValueError(f"{vlan} is no VLAN number (0 to {ALL_VLANS})")
        kept = self._of_tag(0xFFFF & ~VID_BITS, 0)
        return self._tagged(vlan | (0 if kept is None else int(kept)))

    def with_tci(self, tci: "Value | int") -> "Frame":
        """The frame with this tag. ValueError if it has more than 16 bits."""
        tci = int(tci)
        if not 0 <= tci <= 0xFFFF:
            raise ValueError(f"{tci} is no tag control information (0 to 65535)")
        return self._tagged(tci)

    def untagged(self) -> "Frame":
        """The frame without its outer tag."""
        return self._tagged(NO_TAG)

    @property
    def new_tag(self) -> int | None:
        """The TCI that stages gave it, -1 if they took the tag off, or None if the tag is as it came."""
        return None if self._tag_is_own else self._tag

    @property
    def carried_tag(self) -> int:
        """The TCI that it has at this moment, -1 for none. As all of it may matter, no path is remembered."""
        self.notes.whole = True
        return self._tag

    @property
    def words(self) -> Words:
        """All words of the frame (:mod:`iochain.kernels.words`). As all may matter, no path is remembered."""
        self.notes.whole = True
        return self._words

    def _tagged(self, tag: int) -> "Frame":
        changed = Frame.__new__(Frame)
        changed._words, changed.notes, changed._source = self._words, self.notes, self._source
        changed._tag, changed._tag_is_own = tag, False
        return changed

    def _of_tag(self, mask: int, shift: int) -> Value | int | None:
        if not self._tag_is_own:
            return None if self._tag == NO_TAG else (self._tag & mask) >> shift
        self.notes.masks[w.PRESENT] |= 1 << w.TAG
        if self._tag == NO_TAG:
            return None
        return Value((self._tag & mask) >> shift, self.notes.masks, w.TAG, mask, shift)

    def _has(self, word: int) -> bool:
        self.notes.masks[w.PRESENT] |= 1 << word
        return bool(self._words[w.PRESENT] >> word & 1)

    def _optional(self, word: int) -> Value | None:
        return Value(self._words[word], self.notes.masks, word) if self._has(word) else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frame) and self.same_as(other)

    def same_as(self, other: "Frame") -> bool:
        """Whether another frame has the same fields and the same tag. As all matter, no path is remembered."""
        self.notes.whole = True
        return self._tag == other._tag and all(
            self._words[i] == other._words[i]
            for i in range(1, w.COUNT)
            if i != w.TAG and (self._words[w.PRESENT] | other._words[w.PRESENT]) >> i & 1
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        self.notes.whole = True
        tag = "" if self._tag == NO_TAG else f" vlan {self._tag & VID_BITS} priority {self._tag >> PRIORITY_SHIFT}"
        source, destination = Mac(self._words[w.SOURCE]), Mac(self._words[w.DESTINATION])
        return f"<Frame {source} to {destination}{tag} type {self._words[w.ETHERTYPE]:#06x}>"


def look_on(frame: Frame) -> tuple[Words, int]:
    """A frame's words and its TCI at this moment (-1: none), for those who look on at a walk: nothing is noted."""
    return frame._words, frame._tag


class _Layer:
    """A header of a frame; its fields are ``None`` where the frame was cut before them."""

    __slots__ = ("_frame",)

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def _field(self, word: int) -> Value | None:
        return self._frame._optional(word)

    def _mac(self, word: int) -> MacValue | None:
        frame = self._frame
        return MacValue(frame._words[word], frame.notes.masks, word) if frame._has(word) else None

    def _ipv4(self, word: int) -> Ipv4Value | None:
        frame = self._frame
        return Ipv4Value(frame._words[word], frame.notes.masks, word) if frame._has(word) else None

    def _ipv6(self, high: int, low: int) -> Ipv6Value | None:
        frame = self._frame
        if not frame._has(high):
            return None
        words, masks = frame._words, frame.notes.masks
        return Ipv6Value(Value(words[high] & _ALL_BITS, masks, high), Value(words[low] & _ALL_BITS, masks, low))


class Arp(_Layer):
    """An ARP message (RFC 826); addresses only for Ethernet and IPv4."""

    __slots__ = ()

    operation = property(lambda self: self._field(w.ARP_OPERATION), doc="1 request, 2 reply")
    sender_mac = property(lambda self: self._mac(w.ARP_SENDER_MAC), doc="Sender hardware address")
    sender_ip = property(lambda self: self._ipv4(w.ARP_SENDER_IP), doc="Sender protocol address")
    target_mac = property(lambda self: self._mac(w.ARP_TARGET_MAC), doc="Target hardware address")
    target_ip = property(lambda self: self._ipv4(w.ARP_TARGET_IP), doc="Target protocol address")


class Ipv4(_Layer):
    """An IPv4 header (RFC 791)."""

    __slots__ = ()

    header_length = property(lambda self: self._field(w.IPV4_HEADER_LENGTH), doc="Bytes of the header")
    tos = property(lambda self: self._field(w.IPV4_TOS), doc="DSCP << 2 | ECN")
    total_length = property(lambda self: self._field(w.IPV4_TOTAL_LENGTH), doc="Bytes of header and payload")
    identification = property(lambda self: self._field(w.IPV4_ID), doc="Identification")
    fragment = property(lambda self: self._field(w.IPV4_FRAGMENT), doc="Flags << 13 | offset in 8 bytes")
    ttl = property(lambda self: self._field(w.IPV4_TTL), doc="Time to live")
    protocol = property(lambda self: self._field(w.IPV4_PROTOCOL), doc="Protocol number")
    source = property(lambda self: self._ipv4(w.IPV4_SOURCE), doc="Source address")
    destination = property(lambda self: self._ipv4(w.IPV4_DESTINATION), doc="Destination address")


class Ipv6(_Layer):
    """An IPv6 header with its extension headers (RFC 8200)."""

    __slots__ = ()

    traffic_class = property(lambda self: self._field(w.IPV6_TRAFFIC_CLASS), doc="DSCP << 2 | ECN")
    flow_label = property(lambda self: self._field(w.IPV6_FLOW_LABEL), doc="Flow label")
    payload_length = property(lambda self: self._field(w.IPV6_PAYLOAD_LENGTH), doc="Bytes behind the fixed header")
    next_header = property(lambda self: self._field(w.IPV6_NEXT_HEADER), doc="First next header")
    hop_limit = property(lambda self: self._field(w.IPV6_HOP_LIMIT), doc="Hop limit")
    extensions = property(lambda self: self._field(w.IPV6_EXTENSIONS), doc="Extension headers: words.EXTENSION_… bits")
    fragment = property(lambda self: self._field(w.IPV6_FRAGMENT), doc="Offset << 3 | more fragments")
    source = property(lambda self: self._ipv6(w.IPV6_SOURCE_HIGH, w.IPV6_SOURCE_LOW), doc="Source address")
    destination = property(
        lambda self: self._ipv6(w.IPV6_DESTINATION_HIGH, w.IPV6_DESTINATION_LOW), doc="Destination address"
    )


class Tcp(_Layer):
    """A TCP header (RFC 9293); ports are fields of the frame."""

    __slots__ = ()

    sequence = property(lambda self: self._field(w.TCP_SEQUENCE), doc="Sequence number")
    acknowledgment = property(lambda self: self._field(w.TCP_ACKNOWLEDGMENT), doc="Acknowledgment number")
    header_length = property(lambda self: self._field(w.TCP_HEADER_LENGTH), doc="Bytes of the header")
    flags = property(lambda self: self._field(w.TCP_FLAGS), doc="Twelve bits, FIN lowest")
    window = property(lambda self: self._field(w.TCP_WINDOW), doc="Window as sent, not scaled")

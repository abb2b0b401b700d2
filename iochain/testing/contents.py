"""What frames of tests carry: strategies for everything behind the tags, by :class:`Content`."""

import struct
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, TypeAlias

from attrs import frozen
from hypothesis import strategies as st

from iochain.frame import BROADCAST, Mac
from iochain.testing.addresses import RECEIVER, SENDER, macs

STP_GROUP: Final = Mac("01:80:c2:00:00:00")
PVST_GROUP: Final = Mac("01:00:0c:cc:cc:cd")


class Content(Enum):
    """What a frame carries."""

    OTHER = "other"
    UDP = "UDP"
    TCP = "TCP"
    ICMP = "ICMP"
    ARP = "ARP"
    IPV4 = "IPv4"  # any protocol, options, fragments
    IPV6 = "IPv6"  # any next header, extension headers, fragments
    MULTICAST = "multicast"  # IGMP, MLD, or UDP to a group
    BPDU = "BPDU"
    MALFORMED = "malformed"  # headers that lie about their lengths, or noise


Body: TypeAlias = Callable[[bytes], bytes]
"""From a payload to all that is behind the tags: EtherType, headers, payload."""


@frozen
class Inside:
    """What is behind the tags, and the group that it is for."""

    body: Body
    group: Mac | None = None


# -- IP

_TCP, _UDP, _ICMP, _ICMPV6, _IGMP = 6, 17, 1, 58, 2
_U8, _U16, _U32 = st.integers(0, 255), st.integers(0, 0xFFFF), st.integers(0, (1 << 32) - 1)
_IPV4 = st.sampled_from([0x0A000001, 0x0A000002, 0x0A000A01, 0x0A000AFE, 0xC0A80001]) | _U32
_IPV6 = st.sampled_from([(0xFD00 << 112) + last for last in (1, 2, 0xFE)]) | st.integers(0, (1 << 128) - 1)
_PORTS = st.sampled_from([1024, 80, 443, 53, 22, 179, 3784, 4789, 5060, 0]) | _U16
_LINK_GROUPS: Final = 0xFF02 << 112
_EXTENSIONS: Final = (0, 60, 43, 51, 44, 135)
_FRAGMENT_HEADER: Final = 44
_AUTHENTICATION: Final = 51

Transport: TypeAlias = Callable[[bytes, bytes], bytes]
"""From a payload, and the pseudo header of the network layer without its length, to what IP carries."""


@st.composite
def _ipv4s(draw: st.DrawFn, protocol: int, transport: Transport, destination: int | None = None) -> Body:
    """IPv4 (RFC 791) without options, its lengths and checksums right; segments of super-frames are not cut yet."""
    source, target = draw(_IPV4), draw(_IPV4) if destination is None else destination
    tos, number, ttl = draw(st.just(0) | _U8), draw(st.just(0) | _U16), draw(st.just(64) | _U8)
    addresses = struct.pack(">II", source, target)

    def body(payload: bytes) -> bytes:
        inside = transport(payload, addresses + bytes([0, protocol]))
        total = min(20 + len(inside), 0xFFFF)
        head = struct.pack(">BBHHHBBH", 0x45, tos, total, number, 0x4000, ttl, protocol, 0) + addresses
        return b"\x08\x00" + head[:10] + _checksum(head) + head[12:] + inside

    return body


@st.composite
def _ipv6s(draw: st.DrawFn, protocol: int, transport: Transport, destination: int | None = None) -> Body:
    """IPv6 (RFC 8200) without extension headers, its lengths and checksums right."""
    source, target = draw(_IPV6), draw(_IPV6) if destination is None else destination
    first = 6 << 28 | draw(st.just(0) | _U8) << 20 | draw(st.just(0) | st.integers(0, (1 << 20) - 1))
    hops = draw(st.just(64) | _U8)
    addresses = source.to_bytes(16, "big") + target.to_bytes(16, "big")

    def body(payload: bytes) -> bytes:
        inside = transport(payload, addresses + bytes([0, protocol]))
        return b"\x86\xdd" + struct.pack(">IHBB", first, min(len(inside), 0xFFFF), protocol, hops) + addresses + inside

    return body


def _checksum(data: bytes) -> bytes:
    """The Internet checksum (RFC 1071)."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data)) % 0xFFFF  # of ones' complement sums this is the same
    return struct.pack(">H", 0xFFFF - total)


def _summed(data: bytes, pseudo: bytes, at: int) -> bytes:
    """A transport's bytes with its checksum, which stands at ``at``."""
    return data[:at] + _checksum(pseudo + struct.pack(">H", len(data) & 0xFFFF) + data) + data[at + 2 :]


@st.composite
def _udp(draw: st.DrawFn) -> Transport:
    head = struct.pack(">HH", draw(_PORTS), draw(_PORTS))
    return lambda payload, pseudo: _summed(
        head + struct.pack(">HH", (8 + len(payload)) & 0xFFFF, 0) + payload, pseudo, 6
    )


@st.composite
def _tcp(draw: st.DrawFn) -> Transport:
    """TCP (RFC 9293), sometimes with the time stamps of nearly all traffic (RFC 7323)."""
    head = struct.pack(">HHII", draw(_PORTS), draw(_PORTS), draw(st.just(0) | _U32), draw(st.just(0) | _U32))
    options = draw(st.sampled_from([b"", b"\x01\x01\x08\x0a" + bytes(8), b"\x02\x04\x05\xb4"]))
    flags = draw(st.sampled_from([0x10, 0x02, 0x12, 0x18, 0x11, 0x04]) | st.integers(0, 0xFFF))
    head += struct.pack(">HHHH", (20 + len(options)) // 4 << 12 | flags, draw(st.just(65535) | _U16), 0, 0) + options
    return lambda payload, pseudo: _summed(head + payload, pseudo, 16)


@st.composite
def _icmp(draw: st.DrawFn, *, v6: bool) -> Transport:
    """ICMP (RFC 792) and ICMPv6 (RFC 4443, 4861): echo first."""
    kinds = [128, 129, 133, 134, 135, 136, 1] if v6 else [8, 0, 3, 11, 5]
    head = bytes([draw(st.sampled_from(kinds) | _U8), draw(st.just(0) | _U8), 0, 0]) + struct.pack(">HH", 1, 1)
    return lambda payload, pseudo: (
        _summed(head + payload, pseudo if v6 else b"", 2) if v6 else _plain_sum(head + payload)
    )


def _plain_sum(message: bytes) -> bytes:
    """A message whose checksum, at its third byte, is of itself only."""
    return message[:2] + _checksum(message) + message[4:]


@st.composite
def _over_ip(draw: st.DrawFn, transport: Callable[[bool], st.SearchStrategy[Transport]], v4: int, v6: int) -> Inside:
    if draw(st.booleans()):
        return Inside(draw(_ipv6s(v6, draw(transport(True)))))
    return Inside(draw(_ipv4s(v4, draw(transport(False)))))


# -- one strategy for each content


@st.composite
def _others(draw: st.DrawFn) -> Inside:
    kinds = st.sampled_from([0x88B5, 0x88CC, 0x8847, 0x8863, 0x88F7]) | st.integers(0x0600, 0xFFFF)
    kind = struct.pack(">H", draw(kinds))
    return Inside(lambda payload: kind + payload)


@st.composite
def _arps(draw: st.DrawFn) -> Inside:
    """Requests, replies and whatever else (RFC 826); behind the message there is only padding."""
    operation = draw(st.sampled_from([1, 2]) | _U16)
    message = struct.pack(">HHHBBH", 0x0806, 1, 0x0800, 6, 4, operation)
    message += int(draw(st.just(SENDER) | macs())).to_bytes(6, "big") + struct.pack(">I", draw(_IPV4))
    message += int(draw(st.sampled_from([Mac(0), RECEIVER]) | macs())).to_bytes(6, "big")
    message += struct.pack(">I", draw(_IPV4))
    group = BROADCAST if operation == 1 and draw(st.booleans()) else None
    return Inside(lambda payload: message + bytes(len(payload)), group)


@st.composite
def _ipv4_packets(draw: st.DrawFn) -> Inside:
    """Options, fragments, any protocol."""
    words, protocol = draw(st.sampled_from([5, 6, 15])), draw(st.sampled_from([253, _UDP, _TCP, _ICMP, 47, 132]) | _U8)
    fragment = draw(st.sampled_from([0, 0x4000, 0x2000, 0x2001, 185]) | _U16)
    head = struct.pack(">II", draw(_IPV4), draw(_IPV4)) + bytes(words * 4 - 20)

    def body(payload: bytes) -> bytes:
        total = min(words * 4 + len(payload), 0xFFFF)
        fixed = struct.pack(">BBHHHBBH", 0x40 | words, 0, total, 1, fragment, 64, protocol, 0)
        return b"\x08\x00" + fixed[:10] + _checksum(fixed + head) + head + payload

    return Inside(body)


@st.composite
def _ipv6_packets(draw: st.DrawFn) -> Inside:
    """Extension headers, fragments, any next header."""
    last = draw(st.sampled_from([59, _UDP, _TCP, _ICMPV6, 47]) | _U8)
    extensions, following = b"", last
    for kind in draw(st.lists(st.sampled_from(_EXTENSIONS), max_size=3)):
        extensions, following = draw(_extension(kind, following)) + extensions, kind
    addresses = draw(_IPV6).to_bytes(16, "big") + draw(_IPV6).to_bytes(16, "big")

    def body(payload: bytes) -> bytes:
        length = min(len(extensions) + len(payload), 0xFFFF)
        return b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, length, following, 64) + addresses + extensions + payload

    return Inside(body)


@st.composite
def _extension(draw: st.DrawFn, kind: int, following: int) -> bytes:
    """One extension header (RFC 8200, 4; of authentication RFC 4302)."""
    if kind == _FRAGMENT_HEADER:
        return struct.pack(">BBHI", following, 0, draw(st.sampled_from([0, 1, 8, 9])), draw(_U32))
    units = draw(st.integers(0, 2))
    size = (units + 2) * 4 if kind == _AUTHENTICATION else (units + 1) * 8
    return bytes([following, units]) + bytes(size - 2)


@st.composite
def _multicasts(draw: st.DrawFn) -> Inside:
    """To the MAC of an IP group (RFC 1112, 2464): UDP, IGMP reports and queries, MLD."""
    if draw(st.booleans()):
        group = _LINK_GROUPS | draw(st.sampled_from([1, 0x16, 0xFB]) | _U32)
        transport, protocol = (draw(_icmp(v6=True)), _ICMPV6) if draw(st.booleans()) else (draw(_udp()), _UDP)
        return Inside(draw(_ipv6s(protocol, transport, group)), Mac(0x333300000000 | group & 0xFFFFFFFF))
    number = draw(st.sampled_from([0xE0000001, 0xE0000016, 0xEF010101]) | st.integers(0xE0000000, 0xEFFFFFFF))
    address = Mac(0x01005E000000 | number & 0x7FFFFF)
    if draw(st.booleans()):
        return Inside(draw(_ipv4s(_UDP, draw(_udp()), number)), address)
    kind = bytes([draw(st.sampled_from([0x16, 0x11, 0x17, 0x22, 0x12])), 0, 0, 0]) + struct.pack(">I", number)
    return Inside(draw(_ipv4s(_IGMP, lambda payload, _: _plain_sum(kind + payload), number)), address)


@st.composite
def _bpdus(draw: st.DrawFn) -> Inside:
    """Spanning tree: IEEE 802.1D, or Cisco's PVST+."""
    message = draw(st.just(bytes(35)) | st.binary(min_size=4, max_size=35))
    if draw(st.booleans()):
        head = b"\xaa\xaa\x03\x00\x00\x0c\x01\x0b" + message
        return Inside(lambda payload: _802_3(head + payload), PVST_GROUP)
    return Inside(lambda payload: _802_3(b"\x42\x42\x03" + message + payload), STP_GROUP)


def _802_3(data: bytes) -> bytes:
    """Behind a length instead of an EtherType (IEEE 802.3)."""
    return struct.pack(">H", min(len(data), 1500)) + data


@st.composite
def _malformed(draw: st.DrawFn) -> Inside:
    """Headers that lie about their lengths, and noise behind any type."""
    kind = draw(st.sampled_from([0x0800, 0x86DD, 0x0806, 0x0026, 0x88B5]) | _U16)
    noise = draw(st.binary(max_size=24))
    if kind == 0x0800:
        head = struct.pack(">BBHHHBB", draw(_U8), 0, draw(_U16), 0, draw(st.just(0) | _U16), 64, draw(_U8))
        noise = head + bytes(2) + struct.pack(">II", draw(_IPV4), draw(_IPV4)) + noise
    elif kind == 0x86DD:
        head = struct.pack(">IHBB", draw(_U32), draw(_U16), draw(st.sampled_from([*_EXTENSIONS, _TCP]) | _U8), 1)
        noise = head + bytes(32) + noise
    elif kind == 0x0806:
        noise = draw(st.sampled_from([b"\0\6\x08\0\6\4", b"\0\1\x86\xdd\6\x10"])) + bytes(22) + noise
    return Inside(lambda payload: struct.pack(">H", kind) + noise + payload)


INSIDES: Final[Mapping[Content, st.SearchStrategy[Inside]]] = {
    Content.OTHER: _others(),
    Content.UDP: _over_ip(lambda v6: _udp(), _UDP, _UDP),
    Content.TCP: _over_ip(lambda v6: _tcp(), _TCP, _TCP),
    Content.ICMP: _over_ip(lambda v6: _icmp(v6=v6), _ICMP, _ICMPV6),
    Content.ARP: _arps(),
    Content.IPV4: _ipv4_packets(),
    Content.IPV6: _ipv6_packets(),
    Content.MULTICAST: _multicasts(),
    Content.BPDU: _bpdus(),
    Content.MALFORMED: _malformed(),
}

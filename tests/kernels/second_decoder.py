"""A second decoder, in plain Python and from tables of the RFCs, that the one parser is held against."""

from collections.abc import Mapping
from typing import NamedTuple

TAG_TYPES = (0x8100, 0x88A8, 0x9100)
TCP, UDP, SCTP, ICMP, ICMPV6 = 6, 17, 132, 1, 58
FRAGMENT, AUTHENTICATION = 44, 51
EXTENSION_BITS = {0: 1, 43: 2, FRAGMENT: 4, 60: 8, AUTHENTICATION: 16, 135: 32, 139: 32, 140: 32}
MOST_EXTENSIONS = 16

Fields = dict[str, int]


class Field(NamedTuple):
    """A word's name, where its bytes are in its header, and what is cut out of them."""

    name: str
    at: int
    size: int
    shift: int = 0
    mask: int = (1 << 64) - 1
    times: int = 1


ETHERNET = [
    Field("DESTINATION", 0, 6),
    Field("SOURCE", 6, 6),
    Field("ETHERTYPE", 12, 2),
    Field("WORD_AT_26", 26, 4),
    Field("WORD_AT_30", 30, 4),
]
LLC = [Field("LLC", 0, 3)]
ARP = [Field("ARP_OPERATION", 6, 2)]
ARP_ADDRESSES = [
    Field("ARP_SENDER_MAC", 8, 6),
    Field("ARP_SENDER_IP", 14, 4),
    Field("ARP_TARGET_MAC", 18, 6),
    Field("ARP_TARGET_IP", 24, 4),
]
IPV4 = [
    Field("IPV4_HEADER_LENGTH", 0, 1, 0, 15, 4),
    Field("IPV4_TOS", 1, 1),
    Field("IPV4_TOTAL_LENGTH", 2, 2),
    Field("IPV4_ID", 4, 2),
    Field("IPV4_FRAGMENT", 6, 2),
    Field("IPV4_TTL", 8, 1),
    Field("IPV4_PROTOCOL", 9, 1),
    Field("TRANSPORT", 9, 1),
    Field("IPV4_SOURCE", 12, 4),
    Field("IPV4_DESTINATION", 16, 4),
]
IPV6 = [
    Field("IPV6_TRAFFIC_CLASS", 0, 2, 4, 0xFF),
    Field("IPV6_FLOW_LABEL", 0, 4, 0, 0xFFFFF),
    Field("IPV6_PAYLOAD_LENGTH", 4, 2),
    Field("IPV6_NEXT_HEADER", 6, 1),
    Field("IPV6_HOP_LIMIT", 7, 1),
    Field("IPV6_SOURCE_LOW", 16, 8),
    Field("IPV6_DESTINATION_LOW", 32, 8),
]
PORTS = [Field("SOURCE_PORT", 0, 2), Field("DESTINATION_PORT", 2, 2)]
ICMP_FIELDS = [Field("ICMP_TYPE", 0, 1), Field("ICMP_CODE", 1, 1)]
TRANSPORTS: Mapping[int, list[Field]] = {
    TCP: [
        *PORTS,
        Field("TCP_SEQUENCE", 4, 4),
        Field("TCP_ACKNOWLEDGMENT", 8, 4),
        Field("TCP_HEADER_LENGTH", 12, 2, 12, 15, 4),
        Field("TCP_FLAGS", 12, 2, 0, 0xFFF),
        Field("TCP_WINDOW", 14, 2),
    ],
    UDP: [*PORTS, Field("UDP_LENGTH", 4, 2)],
    SCTP: PORTS,
    ICMP: ICMP_FIELDS,
    ICMPV6: ICMP_FIELDS,
}


def decode(frame: bytes) -> Fields:
    """The header fields of a frame whose outer 802.1Q tag was taken off; those that it has not are not there."""
    found = read(ETHERNET, frame)
    kind, at = found["ETHERTYPE"], 14
    for name in ("INNER_TCI", "THIRD_TCI"):
        if kind in TAG_TYPES:
            if len(frame) < at + 4:
                return found
            found[name], kind = number(frame, at, 2), number(frame, at + 2, 2)
            at += 4
    if kind in TAG_TYPES:
        return found
    found |= {"NETWORK_TYPE": kind, "NETWORK_OFFSET": at}
    packet = frame[at:]
    if kind < 0x600:
        return found | read(LLC, packet)
    decoders = {0x0800: ipv4, 0x86DD: ipv6, 0x0806: arp}
    return found | decoders[kind](packet, at) if kind in decoders and packet else found


def arp(packet: bytes, _at: int) -> Fields:
    is_ethernet_ipv4 = packet[:6] == bytes.fromhex("000108000604")
    return read(ARP, packet) | (read(ARP_ADDRESSES, packet) if is_ethernet_ipv4 else {})


def ipv4(packet: bytes, at: int) -> Fields:
    if packet[0] >> 4 != 4:
        return {}
    total = number(packet, 2, 2) if len(packet) >= 4 else 0
    if total:
        packet = packet[: max(total, 20)]
    found = read(IPV4, packet)
    header = found["IPV4_HEADER_LENGTH"]
    is_first = found.get("IPV4_FRAGMENT", 1) & 0x1FFF == 0
    if 20 <= header <= len(packet) and is_first:
        found |= transport(packet[header:], at + header, found["IPV4_PROTOCOL"])
    return found


def ipv6(packet: bytes, at: int) -> Fields:
    if packet[0] >> 4 != 6:
        return {}
    payload = number(packet, 4, 2) if len(packet) >= 6 else 0
    if payload:
        packet = packet[: 40 + payload]
    found = read(IPV6, packet)
    for name in ("IPV6_SOURCE", "IPV6_DESTINATION"):
        if f"{name}_LOW" in found:
            found[f"{name}_HIGH"] = number(packet, {"IPV6_SOURCE": 8, "IPV6_DESTINATION": 24}[name], 8)
    if len(packet) < 40:
        return found
    return found | behind_ipv6(packet[40:], at + 40, found["IPV6_NEXT_HEADER"])


def behind_ipv6(rest: bytes, at: int, header: int) -> Fields:
    found = {"IPV6_EXTENSIONS": 0}
    is_first = True
    for _ in range(MOST_EXTENSIONS):
        if header not in EXTENSION_BITS:
            return found | {"TRANSPORT": header} | (transport(rest, at, header) if is_first else {})
        found["IPV6_EXTENSIONS"] |= EXTENSION_BITS[header]
        if len(rest) < 8:
            return found
        sizes = {FRAGMENT: 8, AUTHENTICATION: 4 * (rest[1] + 2)}
        if header == FRAGMENT:
            found["IPV6_FRAGMENT"] = number(rest, 2, 2)
            is_first = is_first and number(rest, 2, 2) < 8
        size = sizes.get(header, 8 * (rest[1] + 1))
        if size > len(rest):
            return found
        header, rest, at = rest[0], rest[size:], at + size
    return found


def transport(segment: bytes, at: int, protocol: int) -> Fields:
    found = read(TRANSPORTS.get(protocol, []), segment) | {"TRANSPORT_OFFSET": at}
    header = found.get("TCP_HEADER_LENGTH", 0) if protocol == TCP else 8 if protocol == UDP else 0
    if header >= 8 and header <= len(segment) and (protocol == UDP or header >= 20):
        found["PAYLOAD_OFFSET"] = at + header
    return found


def read(fields: list[Field], header: bytes) -> Fields:
    return {
        field.name: (number(header, field.at, field.size) >> field.shift & field.mask) * field.times
        for field in fields
        if field.at + field.size <= len(header)
    }


def number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")

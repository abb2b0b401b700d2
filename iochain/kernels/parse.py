"""The one parser: from a frame's bytes to its words (:mod:`iochain.kernels.words`).

A read stays inside the captured bytes, and inside the length that the IP header gives where that is smaller, so
that padding is never taken for a port number. An IP length of 0 (super-frames beyond 64 KB) means: to the end.
The file is read from its end upwards: compiled functions have to stand before those that call them.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import overload

from iochain.kernels import words as w
from iochain.kernels.checked import Record
from iochain.kernels.compiled import compiled, part, part_in_line
from iochain.kernels.raw import keep_apart, load_be16, load_be32, load_be64, load_le64, load_mac, load_u8, store_le64
from iochain.kernels.rows import ADDRESS_BYTES, ETHERNET_BYTES, FROM_UPLINK, NO_TAG, NOWHERE, ROWS, SERIAL_BITS

WORD_BYTES: Final = 8
TYPE, ADDRESSES, LINK, NETWORK, TRANSPORT = range(5)
"""How far a frame is parsed: its EtherType and length alone; with the IP addresses; all that is known of the link, and
no addresses; with the IP header or ARP message; to its end."""

_MAX_INNER_TAGS = 2
_MAX_EXTENSIONS = 16
_FIRST_ETHERTYPE = 0x600
_TAG_TYPES = (0x8100, 0x88A8, 0x9100)
_IPV4, _IPV6, _ARP = 0x0800, 0x86DD, 0x0806
_PLAIN_BYTES: Final = ETHERNET_BYTES + 20
_PLAIN_START: Final = _IPV4 << 4 | 4  # EtherType and version
_PLAIN_WORDS: Final = (
    w.PRESENT,
    w.ETHERTYPE,
    w.WIRE_LENGTH,
    w.WORD_AT_26,
    w.WORD_AT_30,
    w.NETWORK_TYPE,
    w.NETWORK_OFFSET,
    w.IPV4_SOURCE,
    w.IPV4_DESTINATION,
)
_PLAIN: Final = sum(1 << number for number in _PLAIN_WORDS[1:])
_ARP_ETHERNET_IPV4 = 0x0001_0800_0604
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION_OPTIONS = 0, 43, 44, 51, 60
_MOBILITY, _HOST_IDENTITY, _SHIM6 = 135, 139, 140
_ICMP, _TCP, _UDP, _ICMPV6, _SCTP = 1, 6, 17, 58, 132


def parse(rows: Any) -> npt.NDArray[np.int64]:
    """The words of every row: an array of (rows, ``COUNT``)."""
    words = np.zeros((len(rows), w.COUNT), np.int64)
    parse_rows(rows, words)
    return words


@part
def _put(words: int, word: int, value: int) -> int:
    """Fill a word of the vector at an address; gives its presence bit.

    Addresses and single rows are handed from part to part, never arrays: each would be counted in and out again.
    """
    store_le64(words + WORD_BYTES * word, value)
    return 1 << word


@part
def _parse_transport(rest: int, at: int, end: int, protocol: int, words: int) -> int:
    """TCP, UDP, SCTP or ICMP at ``rest + at``, of which the bytes before ``end`` are there."""
    present = 0
    present |= _put(words, w.TRANSPORT_OFFSET, ADDRESS_BYTES + at)
    if protocol in (_TCP, _UDP, _SCTP):
        if at + 2 <= end:
            present |= _put(words, w.SOURCE_PORT, load_be16(rest + at))
        if at + 4 <= end:
            present |= _put(words, w.DESTINATION_PORT, load_be16(rest + at + 2))
    if protocol == _TCP:
        if at + 8 <= end:
            present |= _put(words, w.TCP_SEQUENCE, load_be32(rest + at + 4))
        if at + 12 <= end:
            present |= _put(words, w.TCP_ACKNOWLEDGMENT, load_be32(rest + at + 8))
        if at + 14 <= end:
            header = (load_u8(rest + at + 12) >> 4) * 4
            present |= _put(words, w.TCP_HEADER_LENGTH, header)
            present |= _put(words, w.TCP_FLAGS, load_be16(rest + at + 12) & 0x0FFF)
            if header >= 20 and at + header <= end:
                present |= _put(words, w.PAYLOAD_OFFSET, ADDRESS_BYTES + at + header)
        if at + 16 <= end:
            present |= _put(words, w.TCP_WINDOW, load_be16(rest + at + 14))
    elif protocol == _UDP:
        if at + 6 <= end:
            present |= _put(words, w.UDP_LENGTH, load_be16(rest + at + 4))
        if at + 8 <= end:
            present |= _put(words, w.PAYLOAD_OFFSET, ADDRESS_BYTES + at + 8)
    elif protocol in (_ICMP, _ICMPV6):
        if at + 1 <= end:
            present |= _put(words, w.ICMP_TYPE, load_u8(rest + at))
        if at + 2 <= end:
            present |= _put(words, w.ICMP_CODE, load_u8(rest + at + 1))
    return present


@part
def _parse_arp(rest: int, at: int, end: int, words: int) -> int:
    present = 0
    if at + 8 <= end:
        present |= _put(words, w.ARP_OPERATION, load_be16(rest + at + 6))
    if at + 6 > end or load_be32(rest + at) << 16 | load_be16(rest + at + 4) != _ARP_ETHERNET_IPV4:
        return present
    if at + 14 <= end:
        present |= _put(words, w.ARP_SENDER_MAC, load_mac(rest + at + 8))
    if at + 18 <= end:
        present |= _put(words, w.ARP_SENDER_IP, load_be32(rest + at + 14))
    if at + 24 <= end:
        present |= _put(words, w.ARP_TARGET_MAC, load_mac(rest + at + 18))
    if at + 28 <= end:
        present |= _put(words, w.ARP_TARGET_IP, load_be32(rest + at + 24))
    return present


@part
def _parse_ipv4(rest: int, at: int, end: int, words: int, level: int) -> int:
    present = 0
    if at + 1 > end or load_u8(rest + at) >> 4 != 4:
        return present
    if level == ADDRESSES:
        if at + 16 <= end:
            present |= _put(words, w.IPV4_SOURCE, load_be32(rest + at + 12))
        if at + 20 <= end:
            present |= _put(words, w.IPV4_DESTINATION, load_be32(rest + at + 16))
        return present
    header = (load_u8(rest + at) & 15) * 4
    present |= _put(words, w.IPV4_HEADER_LENGTH, header)
    if at + 2 <= end:
        present |= _put(words, w.IPV4_TOS, load_u8(rest + at + 1))
    if at + 4 <= end:
        total = load_be16(rest + at + 2)
        present |= _put(words, w.IPV4_TOTAL_LENGTH, total)
        if total != 0:
            end = min(end, max(at + total, at + 20))
    if at + 6 <= end:
        present |= _put(words, w.IPV4_ID, load_be16(rest + at + 4))
    if at + 8 <= end:
        present |= _put(words, w.IPV4_FRAGMENT, load_be16(rest + at + 6))
    if at + 9 <= end:
        present |= _put(words, w.IPV4_TTL, load_u8(rest + at + 8))
    if at + 10 <= end:
        present |= _put(words, w.IPV4_PROTOCOL, load_u8(rest + at + 9))
        present |= _put(words, w.TRANSPORT, load_u8(rest + at + 9))
    if at + 16 <= end:
        present |= _put(words, w.IPV4_SOURCE, load_be32(rest + at + 12))
    if at + 20 > end:
        return present
    present |= _put(words, w.IPV4_DESTINATION, load_be32(rest + at + 16))
    if level > NETWORK and header >= 20 and at + header <= end and load_be16(rest + at + 6) & 0x1FFF == 0:
        present |= _parse_transport(rest, at + header, end, load_u8(rest + at + 9), words)
    return present


@part
def _extension_bit(header: int) -> int:
    """The bit of word IPV6_EXTENSIONS for an extension header; 0: it is no extension header (RFC 8200, 4)."""
    if header == _HOP_BY_HOP:
        return w.EXTENSION_HOP_BY_HOP
    if header == _ROUTING:
        return w.EXTENSION_ROUTING
    if header == _FRAGMENT:
        return w.EXTENSION_FRAGMENT
    if header == _DESTINATION_OPTIONS:
        return w.EXTENSION_DESTINATION
    if header == _AUTHENTICATION:
        return w.EXTENSION_AUTHENTICATION
    if header in (_MOBILITY, _HOST_IDENTITY, _SHIM6):
        return w.EXTENSION_OTHER
    return 0


@part
def _parse_extensions(rest: int, at: int, end: int, header: int, words: int) -> int:
    """Walk the extension headers of an IPv6 packet to its transport header."""
    present = 0
    first_fragment = True
    seen = 0
    for _ in range(_MAX_EXTENSIONS):
        bit = _extension_bit(header)
        if bit == 0:
            present |= _put(words, w.IPV6_EXTENSIONS, seen)
            present |= _put(words, w.TRANSPORT, header)
            if first_fragment:
                present |= _parse_transport(rest, at, end, header, words)
            return present
        seen |= bit
        if at + 8 > end:
            break
        size = (load_u8(rest + at + 1) + 1) * 8
        if header == _FRAGMENT:
            size = 8
            present |= _put(words, w.IPV6_FRAGMENT, load_be16(rest + at + 2))
            first_fragment = first_fragment and load_be16(rest + at + 2) >> 3 == 0
        elif header == _AUTHENTICATION:
            size = (load_u8(rest + at + 1) + 2) * 4
        header = load_u8(rest + at)
        at += size
        if at > end:
            break
    present |= _put(words, w.IPV6_EXTENSIONS, seen)
    return present


@part
def _parse_ipv6(rest: int, at: int, end: int, words: int, level: int) -> int:
    present = 0
    if at + 1 > end or load_u8(rest + at) >> 4 != 6:
        return present
    if level > ADDRESSES:
        if at + 2 <= end:
            present |= _put(words, w.IPV6_TRAFFIC_CLASS, load_be16(rest + at) >> 4 & 0xFF)
        if at + 4 <= end:
            present |= _put(words, w.IPV6_FLOW_LABEL, load_be32(rest + at) & 0xFFFFF)
        if at + 6 <= end:
            payload = load_be16(rest + at + 4)
            present |= _put(words, w.IPV6_PAYLOAD_LENGTH, payload)
            if payload != 0:
                end = min(end, at + 40 + payload)
        if at + 7 <= end:
            present |= _put(words, w.IPV6_NEXT_HEADER, load_u8(rest + at + 6))
        if at + 8 <= end:
            present |= _put(words, w.IPV6_HOP_LIMIT, load_u8(rest + at + 7))
    if at + 24 <= end:
        present |= _put(words, w.IPV6_SOURCE_HIGH, load_be64(rest + at + 8))
        present |= _put(words, w.IPV6_SOURCE_LOW, load_be64(rest + at + 16))
    if at + 40 > end:
        return present
    present |= _put(words, w.IPV6_DESTINATION_HIGH, load_be64(rest + at + 24))
    present |= _put(words, w.IPV6_DESTINATION_LOW, load_be64(rest + at + 32))
    if level > NETWORK:
        present |= _parse_extensions(rest, at + 40, end, load_u8(rest + at + 6), words)
    return present


@part
def parse_types(rest: int, end: int, words: int, level: int) -> int:
    """All behind the two addresses: ``end`` bytes at ``rest``, at least the two of the EtherType."""
    present = 0
    kind = load_be16(rest)
    if end >= 18:
        present |= _put(words, w.WORD_AT_26, load_be32(rest + 14))
    if end >= 22:
        present |= _put(words, w.WORD_AT_30, load_be32(rest + 18))
    at = 2
    for depth in range(_MAX_INNER_TAGS):
        if kind not in _TAG_TYPES:
            break
        if at + 4 > end:
            return present
        present |= _put(words, w.INNER_TCI + depth, load_be16(rest + at))
        kind = load_be16(rest + at + 2)
        at += 4
    if kind in _TAG_TYPES:
        return present
    present |= _put(words, w.NETWORK_TYPE, kind)
    present |= _put(words, w.NETWORK_OFFSET, ADDRESS_BYTES + at)
    if kind < _FIRST_ETHERTYPE:
        if at + 3 <= end:
            present |= _put(words, w.LLC, load_be16(rest + at) << 8 | load_u8(rest + at + 2))
    elif kind == _IPV4:
        present |= _parse_ipv4(rest, at, end, words, level)
    elif kind == _IPV6:
        present |= _parse_ipv6(rest, at, end, words, level)
    elif kind == _ARP and level > ADDRESSES:
        present |= _parse_arp(rest, at, end, words)
    return present


@part
def _parse_type(row: Any, words: int) -> int:
    present = _put(words, w.ETHERTYPE, load_be16(row.address + row.skip))
    return present | _put(words, w.WIRE_LENGTH, row.wire_length)


@part
def _parse_link(row: Any, words: int) -> int:
    present = _parse_type(row, words)
    present |= _put(words, w.DESTINATION, load_mac(row.address))
    present |= _put(words, w.SOURCE, load_mac(row.address + 6))
    present |= _put(words, w.LENGTH, row.length)
    present |= _put(words, w.ORIGIN, row.order >> SERIAL_BITS)
    present |= _put(words, w.FROM_UPLINK, row.flags & FROM_UPLINK)
    if row.tag != NO_TAG:
        present |= _put(words, w.TAG, row.tag)
    if row.entry != NOWHERE:
        present |= _put(words, w.ENTRY, row.entry)
    if row.interface != NOWHERE:
        present |= _put(words, w.INTERFACE, row.interface)
    if row.mss != 0:
        present |= _put(words, w.MSS, row.mss)
    return present


@part
def _parse_any(row: Any, words: int, level: int) -> int:
    keep_apart()
    present = _parse_link(row, words) if level >= LINK else _parse_type(row, words)
    if level > LINK or level == ADDRESSES:
        present |= parse_types(row.address + row.skip, row.length - ADDRESS_BYTES, words, level)
    store_le64(words, present)
    return present


@part_in_line
def is_plain(row: Any, level: int) -> bool:
    """Whether all that is asked for, up to a level, is where an untagged IPv4 frame has it: :func:`plain_word`.

    Nearly all frames of nearly all captures are, where only addresses are asked for.
    """
    if level != ADDRESSES or row.length < _PLAIN_BYTES:
        return False
    return load_be32(row.address + row.skip) >> 12 == _PLAIN_START  # type: ignore[no-any-return]


@part_in_line
def plain_word(row: Any, number: int) -> int:
    """A word of a plain frame, straight from its bytes: in compiled code, which knows the number, one load or none."""
    if number == w.PRESENT:
        return _PLAIN
    if number in (w.ETHERTYPE, w.NETWORK_TYPE):
        return _IPV4
    if number == w.WIRE_LENGTH:
        return row.wire_length  # type: ignore[no-any-return]
    if number == w.NETWORK_OFFSET:
        return ETHERNET_BYTES
    if number in (w.WORD_AT_26, w.IPV4_SOURCE):
        return load_be32(row.address + row.skip + 14)  # type: ignore[no-any-return]
    if number in (w.WORD_AT_30, w.IPV4_DESTINATION):
        return load_be32(row.address + row.skip + 18)  # type: ignore[no-any-return]
    return 0


def word(words: Any, number: int) -> int:
    """One word of a parsed frame: of a vector in Python; in kernels of the vector at an address, or of a plain row.

    So a derived field is written once, and kernels hand it what they have: an array would cost more than the field.
    """
    if isinstance(words, int):
        return load_le64(words + WORD_BYTES * number)  # type: ignore[no-any-return]
    return plain_word(words, number) if isinstance(words, Record) else words[number]


@overload(word, inline="always", strict=False)
def _word(words: Any, number: Any) -> Any:
    if isinstance(words, types.Integer):
        return lambda words, number: load_le64(words + 8 * number)
    if isinstance(words, types.Record):
        return lambda words, number: plain_word(words, number)
    return lambda words, number: words[number]


@part_in_line
def parse_row(row: Any, words: int, level: int) -> int:
    """Fill the words of a row, a vector at an address, as far as a level; gives the presence bits, and puts them in.

    Words that the frame has not, or that are not of this level, keep what they held.
    """
    if not is_plain(row, level):
        return _parse_any(row, words, level)
    for number in _PLAIN_WORDS:
        store_le64(words + WORD_BYTES * number, plain_word(row, number))
    return _PLAIN


@compiled(types.void(ROWS, types.Array(types.int64, 2, "C")))
def parse_rows(rows: Any, words: Any) -> None:
    """Fill ``words[i]`` from row *i*."""
    start = words.ctypes.data
    for i in range(len(rows)):
        parse_row(rows[i], start + i * WORD_BYTES * w.COUNT, TRANSPORT)

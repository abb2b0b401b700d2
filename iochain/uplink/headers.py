"""Where the headers of TCP and UDP packets stand, behind tags, extension headers, VXLAN and Geneve, for the offloads.

Capabilities of NICs ask for a packet's kind (vmkapi_net_uplink.h: IPv4, IPv6, with extension headers, encapsulated);
here it is found, once for segmentation, checksums and aggregation. VXLAN: RFC 7348, and VMware's older port; Geneve:
RFC 8926, with an Ethernet frame in it; one level of encapsulation.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import types

from iochain.kernels import words as w
from iochain.kernels.compiled import compiled, part
from iochain.kernels.parse import TRANSPORT, WORD_BYTES, parse_types
from iochain.kernels.raw import load_be16, load_be64, load_le32, load_le64, load_u8, store_le64
from iochain.kernels.rows import ADDRESS_BYTES, ETHERNET_BYTES, ROWS


class Kind(Enum):
    """What carries TCP or UDP in a frame; ``VXLAN6`` is VXLAN over an outer IPv6."""

    IPV4 = 0
    IPV6 = 1
    IPV6_EXTENSIONS = 2
    VXLAN_IPV4 = 3
    VXLAN_IPV6 = 4
    VXLAN_IPV6_EXTENSIONS = 5
    VXLAN6_IPV4 = 6
    VXLAN6_IPV6 = 7
    VXLAN6_IPV6_EXTENSIONS = 8
    GENEVE_IPV4 = 9
    GENEVE_IPV6 = 10
    GENEVE_IPV6_EXTENSIONS = 11

    def __repr__(self) -> str:
        return f"Kind.{self.name}"


ALL_KINDS: Final = frozenset(Kind)
PLAIN_KINDS: Final = frozenset((Kind.IPV4, Kind.IPV6, Kind.IPV6_EXTENSIONS))


class By(Enum):
    """Who does what an offload asks for: it changes nothing but who is counted, and the name of a drop's reason."""

    KERNEL = "kernel"
    NIC = "NIC"

    def __repr__(self) -> str:
        return f"By.{self.name}"


def bits_of(kinds: Iterable[Kind]) -> int:
    """Kinds as a number with bit ``kind.value`` set for each."""
    return sum(1 << kind.value for kind in set(kinds))


TCP: Final = 6
UDP: Final = 17

# What `find` finds: its result, then offsets in bytes from the first address byte, the outer tag not counted.
RESULT: Final = 0  # FOUND, or why not
KIND: Final = 1  # value of a Kind
PROTOCOL: Final = 2  # TCP or UDP of the innermost packet; 0: the frame was cut before it
NETWORK: Final = 3  # its IP header
NETWORK_6: Final = 4  # 1: it is IPv6
JUMBO: Final = 5  # its hop-by-hop header that holds nothing but a jumbo payload option (RFC 2675), or 0
TRANSPORT_AT: Final = 6
PAYLOAD: Final = 7  # behind the TCP or UDP header
END: Final = 8  # of what the TCP or UDP checksum is over, whether captured or not
FINAL: Final = 9  # the destination address of the checksum: a routing header may have another than the IP header
OUTER_NETWORK: Final = 10  # the IP header that carries VXLAN or Geneve, or 0
OUTER_6: Final = 11
OUTER_TRANSPORT: Final = 12
OUTER_FINAL: Final = 13
OUTER_END: Final = 14
COLUMNS: Final = 15
BYTES: Final = COLUMNS * WORD_BYTES  # of the vector of one frame

FOUND, NOT_IP, NOT_TRANSPORT, FRAGMENT, CUT = range(5)
"""Results: all is there; neither IPv4 nor IPv6; neither TCP nor UDP, or hidden; a fragment; cut inside the headers."""

_IPV4, _IPV6 = 0x0800, 0x86DD
_HOP_BY_HOP, _ROUTING, _DESTINATION_OPTIONS = 0, 43, 60
_PASSABLE = w.EXTENSION_HOP_BY_HOP | w.EXTENSION_ROUTING | w.EXTENSION_DESTINATION
_IPV6_BYTES = 40
_UDP_BYTES = 8
_TUNNEL_BYTES = 8  # of VXLAN, and of Geneve without its options
_JUMBO_OPTION = 0x00C2_04  # length 0 (8 bytes in all), option 0xC2, 4 bytes long
_VXLAN_PORTS = (4789, 8472)
_GENEVE_PORT = 6081
_TUNNEL_PORTS = (*_VXLAN_PORTS, _GENEVE_PORT)
_PLAIN_IPV4 = 0x450008  # EtherType and first byte, as a little-endian load sees them
_VXLAN_HAS_VNI = 0x08
_ETHERNET_IN_GENEVE = 0x6558
_VXLAN, _VXLAN6, _GENEVE, _UNKNOWN = 1, 2, 3, 4
_PLAIN = 3  # kinds without encapsulation, which each encapsulation has too


def find_all(rows: Any, index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The headers of the rows at these indices: an array of (indices, ``COLUMNS``)."""
    found = np.empty((len(index), COLUMNS), np.int64)
    if len(index):
        find_rows(rows, index, np.zeros(w.COUNT, np.int64), found, True)
    return found


@part
def get(vector: int, column: int) -> int:
    """One number of a vector of int64 at an address."""
    return load_le64(vector + WORD_BYTES * column)  # type: ignore[no-any-return]


@part
def put(vector: int, column: int, value: int) -> None:
    """Write one number of a vector of int64 at an address."""
    store_le64(vector + WORD_BYTES * column, value)


@part
def _has(words: int, word: int) -> int:
    return load_le64(words) >> word & 1  # type: ignore[no-any-return]


@part
def _final_destination(base: int, network: int, transport: int) -> int:
    """Where the address stands that an IPv6 packet goes to in the end (RFC 8200, 8.1): routing headers say it.

    Types 0 and 2 end with it, a segment routing header (type 4, RFC 8754) begins its list with it.
    """
    header, at, final = load_u8(base + network + 6), network + _IPV6_BYTES, network + 24
    while at < transport:
        size = (load_u8(base + at + 1) + 1) * 8
        if header == _ROUTING and load_u8(base + at + 3) > 0 and size >= 24:
            final = at + 8 if load_u8(base + at + 2) == 4 else at + size - 16
        header = load_u8(base + at)
        at += size
    return final


@part
def _locate(base: int, start: int, wire_end: int, is_cut: int, words: int, found: int) -> int:
    """Note where IP and transport headers stand that the parser found in the Ethernet frame at offset ``start``.

    Gives FOUND or why not; ``base`` is the address of offset 0, as if the frame lay in one piece.
    """
    if not _has(words, w.NETWORK_TYPE):
        return CUT if is_cut else NOT_IP
    ethertype = get(words, w.NETWORK_TYPE)
    network = start + get(words, w.NETWORK_OFFSET)
    end, kind, jumbo = wire_end, 0, 0
    if ethertype == _IPV4:
        if not _has(words, w.IPV4_DESTINATION):
            return CUT if is_cut else NOT_IP
        if get(words, w.IPV4_HEADER_LENGTH) < 20:
            return NOT_IP
        if get(words, w.IPV4_FRAGMENT) & 0x3FFF:
            return FRAGMENT
        if get(words, w.IPV4_TOTAL_LENGTH):
            end = min(end, network + get(words, w.IPV4_TOTAL_LENGTH))
    elif ethertype == _IPV6:
        if not _has(words, w.IPV6_DESTINATION_LOW):
            return CUT if is_cut else NOT_IP
        if _has(words, w.IPV6_FRAGMENT):
            return FRAGMENT
        if get(words, w.IPV6_PAYLOAD_LENGTH):
            end = min(end, network + _IPV6_BYTES + get(words, w.IPV6_PAYLOAD_LENGTH))
        if not _has(words, w.TRANSPORT):
            return CUT if is_cut else NOT_TRANSPORT
        if get(words, w.IPV6_EXTENSIONS) & ~_PASSABLE:
            return NOT_TRANSPORT
        kind = 2 if get(words, w.IPV6_EXTENSIONS) else 1
    else:
        return NOT_IP
    protocol = get(words, w.TRANSPORT)
    if protocol not in (TCP, UDP):
        return NOT_TRANSPORT
    put(found, PROTOCOL, protocol)
    if not _has(words, w.PAYLOAD_OFFSET):
        return CUT if is_cut else NOT_TRANSPORT
    transport = start + get(words, w.TRANSPORT_OFFSET)
    final = network + 16
    if kind:
        final = _final_destination(base, network, transport)
        options = base + network + _IPV6_BYTES
        if kind == 2 and get(words, w.IPV6_NEXT_HEADER) == _HOP_BY_HOP:
            jumbo = network + _IPV6_BYTES if load_be64(options) >> 32 & 0xFFFFFF == _JUMBO_OPTION else 0
            kind = 1 if jumbo and transport == jumbo + 8 else 2
    if protocol == UDP and _UDP_BYTES <= get(words, w.UDP_LENGTH) < end - transport:
        end = transport + get(words, w.UDP_LENGTH)
    put(found, KIND, kind)
    put(found, NETWORK, network)
    put(found, NETWORK_6, 1 if kind else 0)
    put(found, JUMBO, jumbo)
    put(found, TRANSPORT_AT, transport)
    put(found, PAYLOAD, start + get(words, w.PAYLOAD_OFFSET))
    put(found, END, end)
    put(found, FINAL, final)
    return FOUND


@part
def _tunnel(base: int, captured: int, is_cut: int, found: int) -> int:
    """Which encapsulation the UDP packet that was found carries; 0: none, _UNKNOWN: its header was cut."""
    port = load_be16(base + get(found, TRANSPORT_AT) + 2)
    if port not in _TUNNEL_PORTS:
        return 0
    if get(found, PAYLOAD) + _TUNNEL_BYTES > captured:
        return _UNKNOWN if is_cut else 0
    header = base + get(found, PAYLOAD)
    if port == _GENEVE_PORT:
        is_ethernet = load_u8(header) >> 6 == 0 and load_be16(header + 2) == _ETHERNET_IN_GENEVE
        return _GENEVE if is_ethernet else 0
    if load_u8(header) & _VXLAN_HAS_VNI == 0:
        return 0
    return _VXLAN6 if get(found, NETWORK_6) else _VXLAN


@part
def _note_outer(found: int) -> None:
    """The packet that was found is the outer one."""
    put(found, OUTER_NETWORK, get(found, NETWORK))
    put(found, OUTER_6, get(found, NETWORK_6))
    put(found, OUTER_TRANSPORT, get(found, TRANSPORT_AT))
    put(found, OUTER_FINAL, get(found, FINAL))
    put(found, OUTER_END, get(found, END))
    put(found, PROTOCOL, 0)


@part
def _inner_start(base: int, tunnel: int, found: int) -> int:
    """The offset of the Ethernet frame that a tunnel carries."""
    start = get(found, PAYLOAD) + _TUNNEL_BYTES
    return start + (load_u8(base + get(found, PAYLOAD)) & 0x3F) * 4 if tunnel == _GENEVE else start


@part
def find_plain(base: int, captured: int, wire_end: int, found: int) -> bool:
    """Find the headers of whole TCP or UDP over IPv4 without tags, options or tunnel; False: it is none.

    Nearly all frames are such, and what the parser finds in five times the time is the same; a test holds that.
    """
    if captured < 42 or load_le32(base + 12) & 0xFFFFFF != _PLAIN_IPV4 or load_be16(base + 20) & 0x3FFF:
        return False
    protocol, end = load_u8(base + 23), min(wire_end, 14 + load_be16(base + 16))
    payload = 42
    if protocol == TCP and captured >= 54:
        payload = 34 + (load_u8(base + 46) >> 4) * 4
    elif protocol != UDP or load_be16(base + 36) in _TUNNEL_PORTS:
        return False
    if payload > min(captured, end) or (protocol == TCP and payload < 54):
        return False
    if protocol == UDP and _UDP_BYTES <= load_be16(base + 38) < end - 34:
        end = 34 + load_be16(base + 38)
    for column, value in ((KIND, 0), (PROTOCOL, protocol), (NETWORK, 14), (NETWORK_6, 0), (JUMBO, 0)):
        put(found, column, value)
    for column, value in ((TRANSPORT_AT, 34), (PAYLOAD, payload), (END, end), (FINAL, 30), (OUTER_NETWORK, 0)):
        put(found, column, value)
    put(found, RESULT, FOUND)
    return True


@part
def find(row: Any, words: int, found: int, has_plain: bool) -> int:
    """Find the headers of a row; gives and notes the result (FOUND, or why not).

    ``words`` is the address of room for a frame's words (``words.COUNT`` int64), ``found`` of ``COLUMNS`` int64 that
    are written. Of a tunnel whose inner packet has neither TCP nor UDP only the outer columns are right. Without
    ``has_plain`` plain packets are parsed as all others are.
    """
    base = row.address + row.skip - ADDRESS_BYTES
    if has_plain and find_plain(base, row.length, row.wire_length, found):
        return FOUND
    start, captured, end, tunnel, result = 0, row.length, row.wire_length, 0, FOUND
    put(found, KIND, 0)
    put(found, PROTOCOL, 0)
    put(found, OUTER_NETWORK, 0)
    for depth in range(2):  # the frame, and the one that it carries: a loop, so that one parser is compiled
        if start + ETHERNET_BYTES > captured:
            result = CUT if captured < end else NOT_TRANSPORT
            break
        store_le64(words, 0)
        present = parse_types(base + start + ADDRESS_BYTES, captured - start - ADDRESS_BYTES, words, TRANSPORT)
        store_le64(words, present)
        result = _locate(base, start, end, 1 if captured < end else 0, words, found)
        put(found, KIND, get(found, KIND) + tunnel * _PLAIN)
        if depth or result != FOUND or get(found, PROTOCOL) != UDP:
            break
        tunnel = _tunnel(base, captured, 1 if captured < end else 0, found)
        if tunnel == 0:
            break
        _note_outer(found)
        if tunnel == _UNKNOWN:
            result = CUT
            break
        start, end = _inner_start(base, tunnel, found), get(found, END)
        captured = min(captured, end)
    put(found, RESULT, result)
    return result


_VECTOR = types.Array(types.int64, 1, "C")


@compiled(types.void(ROWS, _VECTOR, _VECTOR, types.Array(types.int64, 2, "C"), types.boolean))
def find_rows(rows: Any, index: Any, words: Any, found: Any, has_plain: bool) -> None:
    """Fill ``found[i]`` from row ``index[i]``; ``words`` is room to parse in."""
    room, vectors = words.ctypes.data, found.ctypes.data
    for i in range(len(index)):
        find(rows[index[i]], room, vectors + BYTES * i, has_plain)

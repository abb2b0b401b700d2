"""Candidates of LRO, compiled: which received TCP frames may be put together, and what stands where in them.

What stands where is known of a candidate, as it has neither IP options nor extension headers. The rules are those of
vmklinux (inet_lro.c of ESXi 6.7), and what other kinds of LRO ask besides. All offsets count from :func:`first_byte`.
"""

from typing import Any, Final

from iochain.kernels.compiled import part, part_in_line
from iochain.kernels.raw import load_be16, load_be32, load_u8
from iochain.kernels.rows import ADDRESS_BYTES, ETHERNET_BYTES, FROM_UPLINK, NO_TAG
from iochain.uplink.checksum import Checksum, folded, header_total, pseudo, total

IPV6, OTHER_OPTIONS, FLUSH_ON_PSH, SAME_MACS, SUMS, VERIFY = 1, 2, 4, 8, 16, 32
"""Bits of a lane's rules."""

IPV4_BYTES, IPV6_BYTES, TCP_BYTES, STAMP_BYTES = 20, 40, 20, 10
TCP_OVER_IPV4, TCP_OVER_IPV6 = ETHERNET_BYTES + IPV4_BYTES, ETHERNET_BYTES + IPV6_BYTES
PSH: Final = 0x08
MUST, VERIFIED = int(Checksum.MUST), int(Checksum.VERIFIED)

_AS_IT_IS = int(Checksum.AS_IT_IS)
_IPV4, _IPV6, _TCP = 0x0800, 0x86DD, 6
_ACK, _OTHER_FLAGS = 0x10, 0xE7  # CWR, ECE, URG, RST, SYN, FIN
_MF_AND_OFFSET, _OFFSET = 0x3FFF, 0x1FFF
_CONGESTION = 3
_NOP_NOP_STAMP = 0x0101080A
_STAMP_KIND = 8


@part
def first_byte(row: Any) -> int:
    """Where the first address byte would be if the bytes had no tag among them: the base of all offsets."""
    return row.address + row.skip - ADDRESS_BYTES  # type: ignore[no-any-return]


@part
def is_tcp(row: Any) -> bool:
    """Whether it looks like TCP over IPv4, or over IPv6 without extension headers."""
    if row.length < ETHERNET_BYTES + IPV4_BYTES + TCP_BYTES:
        return False
    kind = load_be16(first_byte(row) + ADDRESS_BYTES)
    if kind == _IPV4:
        return bool(load_u8(first_byte(row) + ETHERNET_BYTES + 9) == _TCP)
    return bool(kind == _IPV6 and load_u8(first_byte(row) + ETHERNET_BYTES + 6) == _TCP)


@part
def is_ipv4(frame: int) -> bool:
    """Whether the EtherType of a frame, whose first byte this is, says IPv4."""
    return bool(load_be16(frame + ADDRESS_BYTES) == _IPV4)


@part
def _is_trusted(row: Any, rules: int) -> bool:
    """Whether a frame's checksum is known to be right, or the lane's NIC looks at it first."""
    if row.checksum == VERIFIED:
        return True
    return bool(rules & VERIFY and row.checksum == _AS_IT_IS and row.flags & FROM_UPLINK)


@part
def has_data(row: Any) -> bool:
    """Whether a frame shows TCP data, from a few bytes: no candidate is refused here, but for its checksum."""
    if row.mss != 0 or row.pad != 0 or not is_tcp(row):
        return False
    network = first_byte(row) + ETHERNET_BYTES
    if is_ipv4(first_byte(row)):
        return bool(load_be16(network + 2) > IPV4_BYTES + TCP_BYTES)
    return bool(load_be16(network + 4) > TCP_BYTES)


@part
def may_open(row: Any, rules: int) -> bool:
    """Whether a frame may be a candidate."""
    return _is_trusted(row, rules) and has_data(row)


@part
def transport_at(row: Any) -> int:
    """Where the TCP header stands of a frame that looks like TCP; 0 where its ports do not show."""
    frame = first_byte(row)
    network = frame + ETHERNET_BYTES
    if is_ipv4(frame):
        at, size = ETHERNET_BYTES + (load_u8(network) & 15) * 4, load_be16(network + 2)
        if load_u8(network) >> 4 != 4 or at < TCP_OVER_IPV4 or load_be16(network + 6) & _OFFSET:
            return 0
    else:
        at, size = TCP_OVER_IPV6, IPV6_BYTES + load_be16(network + 4)
        if load_u8(network) >> 4 != 6:
            return 0
    return at if at + 4 <= min(row.length, ETHERNET_BYTES + size) else 0


@part
def is_candidate(row: Any, at: int, rules: int) -> bool:
    """Whether a frame that may be one passes the other tests that do not ask for its session, but for its options."""
    frame, size = first_byte(row), row.wire_length - ETHERNET_BYTES
    network = frame + ETHERNET_BYTES
    if at + TCP_BYTES > row.length:
        return False
    if is_ipv4(frame):
        if at != TCP_OVER_IPV4 or load_be16(network + 2) != size or load_be16(network + 6) & _MF_AND_OFFSET:
            return False
        congestion = load_u8(network + 1)
    else:
        if rules & IPV6 == 0 or load_be16(network + 4) + IPV6_BYTES != size:
            return False
        congestion = load_be16(network) >> 4
    header, flags = header_bytes(frame + at), load_u8(frame + at + 13)
    if congestion & _CONGESTION == _CONGESTION or flags & _ACK == 0 or flags & _OTHER_FLAGS != 0:
        return False
    return bool(TCP_BYTES <= header <= row.length - at and header < row.wire_length - at)


@part
def header_bytes(transport: int) -> int:
    """Length of a TCP header."""
    return (load_u8(transport + 12) >> 4) * 4  # type: ignore[no-any-return]


@part
def payload_at(row: Any, at: int) -> int:
    """Where the payload stands behind the TCP header at ``at``."""
    return at + header_bytes(first_byte(row) + at)


@part
def stamp_at(row: Any, at: int, rules: int) -> int:
    """How far behind the frame's first byte TSval stands, 0: no timestamp, -1: options that are not put together."""
    frame, end = first_byte(row), payload_at(row, at)
    at += TCP_BYTES
    if at == end:
        return 0
    if end - at == STAMP_BYTES + 2 and load_be32(frame + at) == _NOP_NOP_STAMP:
        return at + 4
    if rules & OTHER_OPTIONS == 0:
        return -1
    while at < end:
        kind = load_u8(frame + at)
        if kind == 0:  # end of the list
            return 0
        if kind == 1:
            at += 1
            continue
        size = load_u8(frame + at + 1) if at + 1 < end else 0
        if size < 2 or at + size > end:
            return -1
        if kind == _STAMP_KIND:
            return at + 2 if size == STAMP_BYTES else -1
        at += size
    return 0


@part
def flow(row: Any, at: int) -> int:
    """Ports, tag and version of a TCP frame in one number."""
    tag = row.tag if row.tag != NO_TAG else 1 << 16
    version = 1 if is_ipv4(first_byte(row)) else 0
    return load_be32(first_byte(row) + at) << 18 | tag << 1 | version  # type: ignore[no-any-return]


@part
def pseudo_total(frame: int, at: int, size: int) -> int:
    """Sum of the pseudo-header of a segment of ``size`` bytes whose TCP header stands at ``at``; not folded."""
    is_6 = 0 if is_ipv4(frame) else 1
    return pseudo(frame, ETHERNET_BYTES, is_6, at - (16 if is_6 else 4), _TCP, size)


@part
def is_right(row: Any, at: int) -> bool:
    """Whether a segment's checksum is right; what the snap length cut is taken to be."""
    frame, size = first_byte(row), row.wire_length - at
    if row.length < row.wire_length:
        return True
    return bool(folded(pseudo_total(frame, at, size) + total(frame + at, size)) == 0xFFFF)


@part_in_line
def sum_of_payload(row: Any, at: int) -> int:
    """Sum of a segment's payload, told from its checksum, which is right, without looking at the payload."""
    frame = first_byte(row)
    headers = pseudo_total(frame, at, row.wire_length - at) + header_total(frame + at, header_bytes(frame + at))
    return 0xFFFF - folded(headers)

"""Large TCP packets of all kinds, from chance or from Hypothesis, and the tunnels that carry them."""

import random
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from attrs import evolve, frozen
from hypothesis import strategies as st
from segmenter import TCP, UDP, ones_complement, packets, right_sum, with_field, with_seed, with_sum

Choice = TypeVar("Choice")
MACS: Final = bytes.fromhex("02fc00000005 02fc00000001")
OUTER_MACS: Final = bytes.fromhex("020000000902 020000000901")
TIMESTAMPS: Final = bytes.fromhex("0101080a 00001234 00005678")
MOST_SEGMENTS: Final = 40
LARGEST_IP: Final = 0xFFFF
OUTER_BYTES: Final = 40 + 8 + 8 + 14


@frozen
class LargePacket:
    """A frame as a guest hands it to its NIC, with the segment size that it asks for."""

    frame: bytes
    mss: int
    transport: int  # where the TCP header begins


def tcp_frame(
    *,
    payload: bytes,
    version: int = 4,
    ip_options: bytes = b"",
    extensions: Sequence[tuple[int, bytes]] = (),
    tcp_options: bytes = b"",
    flags: int = 0x10,
    sequence: int = 1000,
    acknowledgment: int = 0x11111111,
    identification: int = 0x4321,
    fragment: int = 0x4000,
    tos: int = 0,
    ttl: int = 64,
    tags: bytes = b"",
    macs: bytes = MACS,
    urgent: int = 0,
    protocol: int = TCP,
    ports: tuple[int, int] = (40000, 5201),
) -> bytes:
    """A frame with right lengths and checksums; ``protocol`` may be UDP, which has no flags and numbers."""
    if protocol == TCP:
        doff = (20 + len(tcp_options)) // 4
        header = struct.pack("!HHIIBBHHH", *ports, sequence, acknowledgment, doff << 4, flags, 0x2000, 0, urgent)
        segment = header + tcp_options + payload
    else:
        segment = struct.pack("!HHHH", *ports, min(8 + len(payload), LARGEST_IP), 0) + payload
    if version == 4:
        length = 20 + len(ip_options) + len(segment)
        head = struct.pack(
            "!BBHHHBBH4s4s",
            0x45 + len(ip_options) // 4,
            tos,
            length if length <= LARGEST_IP else 0,
            identification,
            fragment,
            ttl,
            protocol,
            0,
            bytes([10, 0, 0, 1]),
            bytes([10, 0, 0, 2]),
        )
        packet = with_ip_sum(head + ip_options) + segment
    else:
        chain, kinds = b"", [kind for kind, _ in extensions] + [protocol]
        for (_, body), following in zip(extensions, kinds[1:], strict=True):
            chain += bytes([following, (len(body) + 2) // 8 - 1]) + body
        length = len(chain) + len(segment)
        head = struct.pack("!IHBB", 6 << 28 | tos << 20 | 0xABCDE, length if length <= LARGEST_IP else 0, kinds[0], ttl)
        packet = head + address6(1) + address6(2) + chain + segment
    return with_sum(macs + tags + (b"\x08\x00" if version == 4 else b"\x86\xdd") + packet)


def address6(number: int) -> bytes:
    return bytes.fromhex("20010db8") + bytes(11) + bytes([number])


def with_ip_sum(header: bytes) -> bytes:
    """An IPv4 header with its checksum."""
    return with_field(header, 10, 0xFFFF ^ ones_complement(with_field(header, 10, 0)))


def in_tunnel(inner: bytes, port: int = 4789, version: int = 4, options: bytes = b"", sums: bool = False) -> bytes:
    """A frame inside VXLAN or Geneve, with an outer UDP checksum that is right, or none. The inner seed is kept."""
    if port == 6081:
        header = struct.pack("!BBHI", len(options) // 4, 0, 0x6558, 42 << 8) + options
    else:
        header = struct.pack("!II", 0x08 << 24, 42 << 8)
    frame = tcp_frame(
        payload=header + inner,
        version=version,
        macs=OUTER_MACS,
        protocol=UDP,
        ports=(50000, port),
        identification=0xFFFE,
        fragment=0,
    )
    at = 14 + (20 if version == 4 else 40)
    start = at + 8 + len(header)
    frame = frame[:start] + inner  # sums inside are as they were
    return with_outer_sum(frame, at) if sums else with_field(frame, at + 6, 0)


def with_outer_sum(frame: bytes, udp: int) -> bytes:
    """The frame with a right outer UDP checksum over what is inside now."""
    return with_field(frame, udp + 6, right_sum(frame, packets(frame)[0]))


@frozen
class Chance:
    """What a random packet is made of: numbers in a range, and choices."""

    number: Callable[[int, int], int]
    choice: Callable[[Sequence[Any]], Any]


def from_random(source: random.Random) -> Chance:
    return Chance(source.randint, source.choice)


def large_packet(chance: Chance, largest: int = LARGEST_IP) -> LargePacket:
    """A large TCP packet over IPv4 or IPv6 with a seed for its checksum, an IP packet of at most ``largest`` bytes."""
    version = chance.choice((4, 6))
    tcp_options = chance.choice((b"", TIMESTAMPS, pattern(chance, 4 * chance.number(0, 10))))
    ip_options = pattern(chance, 4 * chance.choice((0, 0, 1, 2, 10))) if version == 4 else b""
    extensions = [chance.choice(EXTENSIONS) for _ in range(chance.choice((0, 0, 1, 2)))] if version == 6 else []
    headers = (
        20 + len(tcp_options) + (20 + len(ip_options) if version == 4 else 40 + sum(len(b) + 2 for _, b in extensions))
    )
    mss = chance.choice((chance.number(1, 64), chance.number(500, 1460), 1448, 1460, 8948))
    most = min(largest - headers, mss * MOST_SEGMENTS)
    size = chance.choice((mss + 1, 2 * mss, chance.number(mss + 1, max(most, mss + 1)), most))
    frame = tcp_frame(
        payload=pattern(chance, max(size, mss + 1)),
        version=version,
        ip_options=ip_options,
        extensions=extensions,
        tcp_options=tcp_options,
        flags=chance.number(0, 255),
        sequence=chance.choice((0, 0xFFFFFFF0, chance.number(0, 2**32 - 1))),
        acknowledgment=chance.number(0, 2**32 - 1),
        identification=chance.choice((0, 0xFFFE, chance.number(0, 0xFFFF))),
        fragment=chance.choice((0, 0x4000)),
        tos=chance.number(0, 255),
        ttl=chance.number(1, 255),
        urgent=chance.number(0, 0xFFFF),
    )
    transport = 14 + headers - 20 - len(tcp_options)
    return LargePacket(with_seed(frame), mss, transport)


EXTENSIONS: Final = (
    (0, bytes.fromhex("010400000000")),
    (60, bytes.fromhex("010c") + bytes(12)),
    (43, bytes.fromhex("0401 01000000") + address6(7) + address6(8)),
    (43, bytes.fromhex("0001 00000000") + address6(9)),
    (43, bytes.fromhex("0000 00000000") + address6(9)),
)
"""Hop-by-hop and destination options of padding; routing headers of types 4 and 0, on their way and at their end."""


def pattern(chance: Chance, size: int) -> bytes:
    """Bytes that differ, and pack well."""
    first, step = chance.number(0, 255), chance.choice((1, 3, 255))
    turn = bytes((first + step * i) & 255 for i in range(256))
    return (turn * (size // 256 + 1))[:size]


@st.composite
def large_packets(draw: st.DrawFn, largest: int = 6000) -> LargePacket:
    """Large TCP packets, at most so long, plain or in a tunnel."""
    chance = Chance(lambda low, high: draw(st.integers(low, high)), lambda these: draw(st.sampled_from(list(these))))
    packet = large_packet(chance, largest)
    port = chance.choice((0, 4789, 8472, 6081))
    if port == 0:
        return packet
    options = pattern(chance, 4 * chance.number(0, 5)) if port == 6081 else b""
    frame = in_tunnel(packet.frame, port, chance.choice((4, 6)), options, chance.choice((False, True)))
    return evolve(packet, frame=frame, transport=len(frame) - len(packet.frame) + packet.transport)


def data_of(frame: bytes) -> bytes:
    """The TCP payload of a frame."""
    tcp = packets(frame)[-1]
    return frame[tcp.payload : tcp.end]

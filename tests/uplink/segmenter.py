"""A second segmenter and a second checksum, in plain Python from the RFCs, as check of those in iochain."""

import struct
from collections.abc import Iterator

from attrs import frozen

TCP, UDP = 6, 17
EXTENSIONS = (0, 43, 60)
TUNNELS = (4789, 8472, 6081)
FIN_PSH, CWR = 0x09, 0x80


@frozen
class Packet:
    """Where the headers of an IP packet stand in a frame: offsets in bytes."""

    ip: int
    version: int
    protocol: int
    transport: int
    payload: int
    end: int
    final: int  # of the address that the pseudo-header has


def ones_complement(data: bytes) -> int:
    """The folded sum of 16-bit words (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def packets(frame: bytes) -> list[Packet]:
    """The IP packet of a whole frame, and the one that it carries in VXLAN or Geneve."""
    outer = packet_at(frame, 0, len(frame))
    port = struct.unpack_from("!H", frame, outer.transport + 2)[0]
    if outer.protocol != UDP or port not in TUNNELS:
        return [outer]
    options = (frame[outer.payload] & 0x3F) * 4 if port == 6081 else 0
    return [outer, packet_at(frame, outer.payload + 8 + options, outer.end)]


def packet_at(frame: bytes, start: int, stop: int) -> Packet:
    """The IP packet of the Ethernet frame that begins at ``start``."""
    at = start + 12
    while frame[at : at + 2] in (b"\x81\x00", b"\x88\xa8", b"\x91\x00"):
        at += 4
    at += 2
    if frame[at] >> 4 == 4:
        length, protocol = struct.unpack_from("!H", frame, at + 2)[0], frame[at + 9]
        transport, final = at + (frame[at] & 15) * 4, at + 16
        end = at + length if length else stop
    else:
        length, protocol = struct.unpack_from("!H", frame, at + 4)[0], frame[at + 6]
        transport, final = at + 40, at + 24
        end = transport + length if length else stop
        while protocol in EXTENSIONS:
            size = (frame[transport + 1] + 1) * 8
            if protocol == 43 and frame[transport + 3]:
                final = transport + 8 if frame[transport + 2] == 4 else transport + size - 16
            protocol, transport = frame[transport], transport + size
    payload = transport + ((frame[transport + 12] >> 4) * 4 if protocol == TCP else 8)
    return Packet(at, 4 if frame[at] >> 4 == 4 else 6, protocol, transport, payload, end, final)


def pseudo_header(frame: bytes, packet: Packet) -> bytes:
    """Addresses, protocol and length of a TCP or UDP packet."""
    length = packet.end - packet.transport
    if packet.version == 4:
        return (
            frame[packet.ip + 12 : packet.ip + 16]
            + frame[packet.final : packet.final + 4]
            + struct.pack("!BBH", 0, packet.protocol, length)
        )
    source, final = frame[packet.ip + 8 : packet.ip + 24], frame[packet.final : packet.final + 16]
    return source + final + struct.pack("!IHBB", length, 0, 0, packet.protocol)


def field_of(packet: Packet) -> int:
    """Where its checksum is."""
    return packet.transport + (16 if packet.protocol == TCP else 6)


def right_sum(frame: bytes, packet: Packet) -> int:
    """What the checksum has to be, whatever stands there."""
    field = field_of(packet)
    covered = frame[packet.transport : field] + b"\0\0" + frame[field + 2 : packet.end]
    found = 0xFFFF ^ ones_complement(pseudo_header(frame, packet) + covered)
    return found or (0xFFFF if packet.protocol == UDP else 0)


def with_field(frame: bytes, at: int, value: int) -> bytes:
    return frame[:at] + struct.pack("!H", value) + frame[at + 2 :]


def with_sum(frame: bytes) -> bytes:
    """The frame with right checksums, from the inside out; an outer UDP checksum of 0 stays."""
    for packet in reversed(packets(frame)):
        is_left_out = packet.protocol == UDP and len(packets(frame)) == 2 and frame[field_of(packet) :][:2] == b"\0\0"
        if not is_left_out:
            frame = with_field(frame, field_of(packet), right_sum(frame, packet))
    return frame


def with_seed(frame: bytes, with_length: bool = True) -> bytes:
    """The frame as a guest leaves it to its NIC: the innermost field holds the sum of the pseudo-header."""
    packet = packets(frame)[-1]
    header = pseudo_header(frame, packet)
    if not with_length:
        header = header[:-2] + b"\0\0" if packet.version == 4 else header[:-8] + bytes(4) + header[-4:]
    return with_field(frame, field_of(packet), ones_complement(header))


def has_right_sums(frame: bytes) -> bool:
    """Whether all checksums of IPv4, TCP and UDP are right, or left out by UDP."""
    for packet in packets(frame):
        if (
            packet.version == 4
            and ones_complement(frame[packet.ip : packet.ip + (frame[packet.ip] & 15) * 4]) != 0xFFFF
        ):
            return False
        field = field_of(packet)
        held = struct.unpack_from("!H", frame, field)[0]
        if held != right_sum(frame, packet) and not (packet.protocol == UDP and held == 0):
            return False
    return True


def segments_of(frame: bytes, mss: int) -> Iterator[bytes]:
    """The segments of a large TCP packet (section 2.3 of the reference; RFC 9293, 791, 8200, 7348, 8926)."""
    all_packets = packets(frame)
    tcp = all_packets[-1]
    payload = frame[tcp.payload : tcp.end]
    starts = range(0, len(payload), mss)
    for number, start in enumerate(starts):
        piece = payload[start : start + mss]
        headers = bytearray(frame[: tcp.payload])
        sequence = struct.unpack_from("!I", headers, tcp.transport + 4)[0]
        struct.pack_into("!I", headers, tcp.transport + 4, (sequence + start) % 2**32)
        headers[tcp.transport + 13] &= 0xFF ^ (CWR if number else 0) ^ (FIN_PSH if number < len(starts) - 1 else 0)
        end = len(headers) + len(piece)
        for packet in all_packets:
            if packet.version == 4:
                identification = struct.unpack_from("!H", headers, packet.ip + 4)[0]
                struct.pack_into("!HH", headers, packet.ip + 2, end - packet.ip, (identification + number) % 2**16)
                struct.pack_into("!H", headers, packet.ip + 10, 0)
                header = bytes(headers[packet.ip : packet.ip + (headers[packet.ip] & 15) * 4])
                struct.pack_into("!H", headers, packet.ip + 10, 0xFFFF ^ ones_complement(header))
            else:
                struct.pack_into("!H", headers, packet.ip + 4, end - packet.ip - 40)
            if packet.protocol == UDP:
                struct.pack_into("!H", headers, packet.transport + 4, end - packet.transport)
        yield with_sum(bytes(headers) + piece)

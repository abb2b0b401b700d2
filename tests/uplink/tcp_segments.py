"""TCP segments as bytes, made and read without iochain, and LRO as its rules say it: a slow model of plain Python."""

import struct
from typing import Self

from attrs import define, evolve, field, frozen

from iochain.uplink.aggregation import Aggregation

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
STAMP = b"\x01\x01\x08\x0a"
ETHERNET_BYTES, TAG_BYTES = 14, 4


def ones_complement(data: bytes) -> int:
    """The 16-bit sum of RFC 1071."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def stamped(value: int, echo: int) -> bytes:
    """NOP, NOP, timestamp."""
    return STAMP + struct.pack(">II", value, echo)


@frozen
class Segment:
    """A TCP segment in its frame; ``bytes(segment)`` has right lengths and sums, whatever else is wrong with it."""

    seq: int = 1
    payload: bytes = b""
    flags: int = ACK
    source_port: int = 40000
    destination_port: int = 80
    ack: int = 0x11111111
    window: int = 0x2000
    options: bytes = b""
    urgent: int = 0
    is_6: bool = False
    source: bytes = b"\x0a\0\0\1"
    destination: bytes = b"\x0a\0\0\2"
    tos: int = 0
    ttl: int = 64
    ip_id: int = 1
    fragment: int = 0x4000
    ip_options: bytes = b""
    macs: bytes = b"\x02\0\0\0\0\2\x02\0\0\0\0\1"
    tci: int | None = None
    trailer: bytes = b""  # padding behind the packet
    wrong_by: int = 0  # added to the right TCP checksum

    def __bytes__(self) -> bytes:
        """The frame."""
        tag = b"" if self.tci is None else struct.pack(">HH", 0x8100, self.tci)
        kind = b"\x86\xdd" if self.is_6 else b"\x08\0"
        return self.macs + tag + kind + self._packet() + self.trailer

    def _packet(self) -> bytes:
        tcp = self._tcp()
        if self.is_6:
            first = 6 << 28 | self.tos << 20 | 0x12345
            return struct.pack(">IHBB", first, len(tcp), 6, self.ttl) + self._addresses() + tcp
        size = 20 + len(self.ip_options)
        first = 4 << 4 | size // 4
        fields = first, self.tos, size + len(tcp), self.ip_id, self.fragment, self.ttl, 6
        head = [struct.pack(">BBHHHBB", *fields), b"\0\0", self._addresses() + self.ip_options]
        head[1] = struct.pack(">H", 0xFFFF - ones_complement(b"".join(head)))
        return b"".join(head) + tcp

    def _addresses(self) -> bytes:
        if self.is_6:
            return self.source * 4 + self.destination * 4
        return self.source + self.destination

    def _tcp(self) -> bytes:
        fields = self.source_port, self.destination_port, self.seq % 2**32, self.ack
        offset = 5 + len(self.options) // 4
        head = struct.pack(">HHIIHH", *fields, offset << 12 | self.flags, self.window)
        rest = struct.pack(">H", self.urgent) + self.options + self.payload
        size = len(head) + 2 + len(rest)
        pseudo = self._addresses() + struct.pack(">II", 6, size)
        checksum = 0xFFFF - ones_complement(pseudo + head + b"\0\0" + rest)
        return head + struct.pack(">H", (checksum + self.wrong_by) % 0x10000) + rest

    @classmethod
    def of(cls, raw: bytes) -> "Segment | None":
        """What a frame says; None if it is no TCP segment of which all is there that its lengths promise."""
        macs, rest = raw[:12], raw[12:]
        tci = None
        if rest[:2] == b"\x81\0":
            tci, rest = int.from_bytes(rest[2:4], "big"), rest[4:]
        kind, packet = rest[:2], rest[2:]
        if kind == b"\x08\0":
            found = cls._of_ipv4(packet)
        elif kind == b"\x86\xdd":
            found = cls._of_ipv6(packet)
        else:
            return None
        return None if found is None else evolve(found, macs=macs, tci=tci)

    @classmethod
    def _of_ipv4(cls, packet: bytes) -> Self | None:
        if len(packet) < 20 or packet[9] != 6:
            return None
        first, tos, total, ip_id, fragment, ttl, _, _ = struct.unpack_from(">BBHHHBBH", packet)
        size = (first & 15) * 4
        if first >> 4 != 4 or size < 20 or fragment & 0x1FFF or total > len(packet):
            return None
        found = cls._of_tcp(packet[size:total])
        if found is None:
            return None
        return evolve(
            found,
            source=packet[12:16],
            destination=packet[16:20],
            tos=tos,
            ttl=ttl,
            ip_id=ip_id,
            fragment=fragment,
            ip_options=packet[20:size],
            trailer=packet[total:],
        )

    @classmethod
    def _of_ipv6(cls, packet: bytes) -> Self | None:
        if len(packet) < 40 or packet[0] >> 4 != 6 or packet[6] != 6:
            return None
        first, length, _, ttl = struct.unpack_from(">IHBB", packet)
        found = cls._of_tcp(packet[40 : 40 + length])
        if found is None or 40 + length > len(packet):
            return None
        return evolve(
            found,
            is_6=True,
            source=packet[8:12],
            destination=packet[24:28],
            tos=first >> 20 & 0xFF,
            ttl=ttl,
            trailer=packet[40 + length :],
        )

    @classmethod
    def _of_tcp(cls, data: bytes) -> Self | None:
        if len(data) < 20:
            return None
        source, destination, seq, ack, bits, window, _, urgent = struct.unpack_from(">HHIIHHHH", data)
        size = (bits >> 12) * 4
        if size < 20 or size > len(data):
            return None
        return cls(seq, data[size:], bits & 0xFFF, source, destination, ack, window, data[20:size], urgent)

    @property
    def length(self) -> int:
        """Bytes of the IP packet."""
        network = 40 if self.is_6 else 20 + len(self.ip_options)
        return network + 20 + len(self.options) + len(self.payload)

    @property
    def flow(self) -> tuple[object, ...]:
        """What a session is known by."""
        return self.tci, self.is_6, self.source, self.destination, self.source_port, self.destination_port

    @property
    def stamp(self) -> tuple[int, int, int] | None:
        """Where the timestamp stands in the options, TSval and TSecr; ValueError for options that make no sense."""
        at = 0
        while at < len(self.options) and self.options[at] != 0:
            if self.options[at] == 1:
                at += 1
                continue
            size = self.options[at + 1] if at + 1 < len(self.options) else 0
            if size < 2 or at + size > len(self.options) or (self.options[at] == 8 and size != 10):
                raise ValueError(f"option {self.options[at]} of {size} bytes")
            if self.options[at] == 8:
                value, echo = struct.unpack_from(">II", self.options, at + 2)
                return at + 2, value, echo
            at += size
        return None

    @property
    def other_options(self) -> bytes:
        """The options without the eight bytes of the timestamp."""
        if self.stamp is None:
            return self.options
        at = self.stamp[0]
        return self.options[:at] + self.options[at + 8 :]


@frozen
class Came:
    """A frame that came: when, its bytes, and whether its checksum was verified."""

    time_ns: int
    raw: bytes
    verified: bool = True


@frozen
class Went:
    """A frame that went out: when, as which of those that came, its bytes, and its segment size if it is large."""

    time_ns: int
    number: int
    raw: bytes
    mss: int = 0


@define
class Held:
    """A session: what was taken of its segments, and the number of the first."""

    number: int
    segments: list[Segment]

    @property
    def expected(self) -> int:
        return (self.segments[-1].seq + len(self.segments[-1].payload)) % 2**32

    @property
    def length(self) -> int:
        return self.segments[0].length + sum(len(segment.payload) for segment in self.segments[1:])

    def joined(self, stage: Aggregation) -> tuple[Segment, int]:
        """The large packet and its segment size."""
        first, last = self.segments[0], self.segments[-1]
        options = first.options
        if first.stamp is not None:
            at = first.stamp[0]
            assert last.stamp is not None
            options = options[: at + 4] + struct.pack(">I", last.stamp[2]) + options[at + 8 :]
        pushed = any(segment.flags & PSH for segment in self.segments[1:]) and stage.flush_on_psh
        large = evolve(
            first,
            payload=b"".join(segment.payload for segment in self.segments),
            ack=last.ack,
            window=last.window,
            options=options,
            flags=first.flags | (PSH if pushed else 0),
        )
        return large, max(len(segment.payload) for segment in self.segments)


@define
class SlowLro:
    """The rules of one port, frame by frame."""

    stage: Aggregation
    sessions: list[Held] = field(factory=list)
    end_ns: int = 0
    polled: int = 0
    not_before_ns: int = 0
    went: list[Went] = field(factory=list)
    raws: list[bytes] = field(factory=list)

    def run(self, frames: list[Came]) -> list[Went]:
        """All that comes out, in order."""
        for number, frame in enumerate(frames, 1):
            self.raws.append(frame.raw)
            self._take(number, frame)
        for held in list(self.sessions):
            self._flush(held, self.end_ns)
        return sorted(self.went, key=lambda went: (went.time_ns, went.number))

    def _take(self, number: int, frame: Came) -> None:
        if frame.time_ns >= self.end_ns:
            for held in list(self.sessions):
                self._flush(held, self.end_ns)
            self.polled = 0
        segment = Segment.of(frame.raw)
        counts = frame.verified and self._has_data(frame.raw)
        if counts and self.polled == 0:
            self.end_ns = frame.time_ns + self.stage.poll_ns
        after = frame.time_ns + 1
        if segment is None or not self._hold(number, segment, frame.verified, after):
            self.went.append(Went(max(frame.time_ns, self.not_before_ns), number, frame.raw))
        if counts:
            self.polled += 1
            if self.polled == self.stage.poll_frames:
                for held in list(self.sessions):
                    self._flush(held, after)
                self.polled, self.end_ns = 0, after

    @staticmethod
    def _has_data(raw: bytes) -> bool:
        """Whether a frame counts for a poll: TCP, more of it than a header of 20 bytes, behind the first IP header."""
        rest = raw[16:] if raw[12:14] == b"\x81\0" else raw[12:]
        if len(rest) < 42:
            return False
        if rest[:2] == b"\x08\0":
            return rest[11] == 6 and int.from_bytes(rest[4:6], "big") > 40
        return rest[:2] == b"\x86\xdd" and rest[8] == 6 and int.from_bytes(rest[6:8], "big") > 20

    def _hold(self, number: int, segment: Segment, verified: bool, after: int) -> bool:
        is_candidate = verified and self._is_candidate(segment)
        pushed = bool(self.stage.flush_on_psh and segment.flags & PSH)
        for held in self.sessions:
            if held.segments[0].flow != segment.flow:
                continue
            if not is_candidate or not self._follows(held, segment):
                self._flush(held, after)
                return False
            held.segments.append(segment)
            is_long = held.length > min(self.stage.max_bytes, 65535) - self.stage.mtu
            if pushed or is_long or len(held.segments) >= self.stage.max_frames:
                self._flush(held, after)
            return True
        if not is_candidate or pushed or len(self.sessions) >= self.stage.sessions:
            return False
        self.sessions.append(Held(number, [segment]))
        return True

    def _is_candidate(self, segment: Segment) -> bool:
        if segment.trailer or not segment.payload or segment.ip_options or (segment.is_6 and not self.stage.ipv6):
            return False
        if not segment.is_6 and segment.fragment & 0x3FFF:
            return False
        if not segment.flags & ACK or segment.flags & (FIN | SYN | RST | URG | ECE | CWR) or segment.tos & 3 == 3:
            return False
        if segment.options and not self.stage.other_options:
            return len(segment.options) == 12 and segment.options.startswith(STAMP)
        try:
            return segment.stamp is None or True
        except ValueError:
            return False

    def _follows(self, held: Held, segment: Segment) -> bool:
        first = held.segments[0]
        if segment.seq % 2**32 != held.expected or len(segment.options) != len(first.options):
            return False
        if self.stage.same_macs and segment.macs != first.macs:
            return False
        if segment.other_options != first.other_options or (segment.stamp is None) != (first.stamp is None):
            return False
        if segment.stamp is not None and first.stamp is not None:
            at, value, echo = segment.stamp
            if at != first.stamp[0] or (value - first.stamp[1]) % 2**32 >= 2**31 or echo == 0:
                return False
        return held.length + len(segment.payload) <= min(self.stage.max_bytes, 65535)

    def _flush(self, held: Held, time_ns: int) -> None:
        self.sessions.remove(held)
        if len(held.segments) == 1:
            self.went.append(Went(max(time_ns, self.not_before_ns), held.number, self.raws[held.number - 1]))
        else:
            large, mss = held.joined(self.stage)
            self.went.append(Went(max(time_ns, self.not_before_ns), held.number, bytes(large), mss))
        self.not_before_ns = max(self.not_before_ns, time_ns)

"""Frames for Hypothesis: well-formed ones, stacks of tags, cut anywhere, lying about their lengths, and plain noise."""

import struct

from hypothesis import strategies as st

TAG_TYPES = st.sampled_from([0x8100, 0x88A8, 0x9100])
U8, U16, U32 = st.integers(0, 255), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
SOME = st.binary(max_size=24)


def lengths(true_length: int) -> st.SearchStrategy[int]:
    """Mostly the truth; else nothing, less, or anything."""
    truth = st.just(min(true_length, 0xFFFF))
    return st.one_of(truth, truth, truth, st.just(0), st.integers(0, 60), U16)


@st.composite
def transports(draw: st.DrawFn, protocol: int) -> bytes:
    payload = draw(SOME)
    if protocol == 6:
        offset = draw(st.sampled_from([5, 5, 5, 6, 8, 15, 4, 0]))
        head = struct.pack(">HHII", draw(U16), draw(U16), draw(U32), draw(U32))
        options = bytes(max(0, offset * 4 - 20))
        return head + struct.pack(">HHHH", offset << 12 | draw(U16) & 0xFFF, draw(U16), 0, 0) + options + payload
    if protocol == 17:
        return struct.pack(">HHHH", draw(U16), draw(U16), 8 + len(payload), 0) + payload
    return draw(st.binary(min_size=4, max_size=12)) + payload


@st.composite
def ipv4_packets(draw: st.DrawFn) -> bytes:
    protocol = draw(st.sampled_from([6, 17, 1, 132, 58, 47, 2]))
    words = draw(st.sampled_from([5, 5, 5, 6, 15, 4]))
    inside = bytes(max(0, words * 4 - 20)) + draw(transports(protocol))
    total = draw(lengths(20 + len(inside)))
    fragment = draw(st.sampled_from([0, 0, 0x4000, 0x2000, 0x2001, 185]))
    first = draw(st.sampled_from([4, 4, 4, 4, 5])) << 4 | words
    head = struct.pack(">BBHHHBBH", first, draw(U8), total, draw(U16), fragment, draw(U8), protocol, 0)
    return head + struct.pack(">II", draw(U32), draw(U32)) + inside


@st.composite
def ipv6_packets(draw: st.DrawFn) -> bytes:
    protocol = draw(st.sampled_from([6, 17, 58, 132, 59, 47]))
    inside, header = draw(transports(protocol)), protocol
    kinds = st.sampled_from([0, 43, 44, 51, 60, 135, 139, 140])
    for kind in draw(st.one_of(st.lists(kinds, max_size=3), st.lists(kinds, min_size=14, max_size=18))):
        inside, header = draw(extensions(kind, header)) + inside, kind
    length = draw(lengths(len(inside)))
    head = struct.pack(">IHBB", 6 << 28 | draw(st.integers(0, (1 << 28) - 1)), length, header, draw(U8))
    return head + draw(st.binary(min_size=32, max_size=32)) + inside


@st.composite
def extensions(draw: st.DrawFn, kind: int, following: int) -> bytes:
    """One extension header (RFC 8200, 4)."""
    if kind == 44:
        return struct.pack(">BBHI", following, 0, draw(st.sampled_from([0, 1, 8, 9])), draw(U32))
    units = draw(st.integers(0, 2))
    size = (units + 2) * 4 if kind == 51 else (units + 1) * 8
    return bytes([following, units]) + bytes(size - 2)


@st.composite
def arps(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from([b"\0\1\x08\0\6\4", b"\0\1\x08\0\6\4", b"\0\6\x08\0\6\4", b"\0\1\x86\xdd\6\x10"]))
    return kind + draw(st.binary(min_size=22, max_size=30))


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Whole frames of at least 14 bytes, their outer tag in them."""
    kind, packets = draw(
        st.sampled_from(
            [
                (0x0800, ipv4_packets()),
                (0x86DD, ipv6_packets()),
                (0x0806, arps()),
                (0x0026, SOME),
                (0x88CC, SOME),
                (0x0800, SOME),
                (0x86DD, SOME),
            ]
        )
    )
    data = draw(st.binary(min_size=12, max_size=12))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2, 3, 4]))):
        data += struct.pack(">HH", draw(TAG_TYPES), draw(U16))
    data += struct.pack(">H", kind) + draw(packets)
    return data + bytes(draw(st.sampled_from([0, 0, max(0, 60 - len(data)), 4])))


@st.composite
def cut_frames(draw: st.DrawFn) -> bytes:
    """The first bytes of a frame, 14 or more."""
    whole = draw(frames())
    return whole[: draw(st.integers(14, len(whole)))]


noise = st.binary(min_size=14, max_size=120)

"""The parser against a second decoder, against Scapy, and at its borders: cuts, padding, stacks of tags."""

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from any_frames import cut_frames, frames, noise
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from numba import types
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw
from second_decoder import decode

from iochain.batch import batch_of
from iochain.kernels import words as w
from iochain.kernels.compiled import compiled
from iochain.kernels.parse import ADDRESSES, LINK, NETWORK, TYPE, parse, parse_row, parse_rows
from iochain.kernels.rows import ROWS

U64 = (1 << 64) - 1
NOT_IN_BYTES = {"TAG", "LENGTH", "WIRE_LENGTH", "ORIGIN", "FROM_UPLINK"}
MACS = bytes.fromhex("005056000002005056000001")


def parsed(data: bytes) -> dict[str, int]:
    """The words that the parser finds, by name."""
    batch = batch_of([(data, 0)])
    (words,) = parse(batch.rows).tolist()
    present = words[w.PRESENT]
    return {name: words[i] & U64 for i, name in enumerate(w.NAMES) if i != w.PRESENT and present >> i & 1}


def expected(data: bytes) -> dict[str, int]:
    """The same by the second decoder, with the outer tag carried beside the bytes."""
    found: dict[str, int] = {"ORIGIN": 0, "FROM_UPLINK": 0}
    if len(data) >= 18 and data[12:14] == b"\x81\x00":
        found["TAG"] = int.from_bytes(data[14:16], "big")
        data = data[:12] + data[16:]
    found["LENGTH"] = found["WIRE_LENGTH"] = len(data)
    return found | decode(data)


@given(st.one_of(frames(), cut_frames(), noise))
@settings(max_examples=1500, deadline=None)
@example(MACS + b"\x81\x00\x00\x0a\x81\x00\x00\x0b\x81\x00\x00\x0c\x81\x00\x00\x0d\x08\x00")
def test_both_decoders_agree(data: bytes) -> None:
    found = parsed(data)
    event("transport" if "TRANSPORT_OFFSET" in found else "network" if "NETWORK_TYPE" in found else "tags only")
    assert found == expected(data)


IN_LEVEL: Mapping[int, frozenset[int]] = {
    TYPE: frozenset((w.ETHERTYPE, w.WIRE_LENGTH)),
    ADDRESSES: frozenset((w.ETHERTYPE, w.WIRE_LENGTH, w.NETWORK_OFFSET, w.WORD_AT_26, w.WORD_AT_30))
    | {w.IPV4_SOURCE, w.IPV4_DESTINATION, w.IPV6_SOURCE_LOW, w.IPV6_DESTINATION_LOW},
    LINK: w.LINK_WORDS - {w.PRESENT},
    NETWORK: w.NETWORK_WORDS - {w.PRESENT},
}
"""Words that a level must have where the whole parse has them."""


@given(st.one_of(frames(), cut_frames()), st.sampled_from(list(IN_LEVEL)))
@settings(max_examples=500, deadline=None)
def test_a_level_has_its_words_as_the_whole_parse_has_them(data: bytes, level: int) -> None:
    rows = batch_of([(data, 0)]).rows
    (whole,) = parse(rows).tolist()
    some = np.zeros(w.COUNT, np.int64)
    parse_first(rows, some, level)
    there = {word for word in range(1, w.COUNT) if some[w.PRESENT] >> word & 1}
    event(f"{len(there)} words")
    assert there >= {word for word in IN_LEVEL[level] if whole[w.PRESENT] >> word & 1}
    assert all(whole[w.PRESENT] >> word & 1 and some[word] == whole[word] for word in there)


@compiled(types.void(ROWS, types.Array(types.int64, 1, "C"), types.int64))
def parse_first(rows: Any, words: Any, level: int) -> None:
    parse_row(rows[0], words.ctypes.data, level)


WHOLE: Mapping[str, Packet] = {
    "tcp": Ether() / IP(options=b"\x01\x01\x01\x00") / TCP(options=[("MSS", 1460)]) / Raw(b"payload"),
    "udp, two tags": Ether() / Dot1Q(vlan=7, prio=5) / Dot1Q(vlan=8) / IP() / UDP() / Raw(b"payload"),
    "udp, four tags": Ether() / Dot1Q() / Dot1Q() / Dot1Q() / Dot1Q() / IP() / UDP(),
    "icmp": Ether() / IP() / ICMP(),
    "tcp in IPv6": Ether() / IPv6() / TCP() / Raw(b"payload"),
    "arp": Ether() / ARP(),
}


@pytest.mark.parametrize("packet", WHOLE.values(), ids=WHOLE)
def test_cut_at_every_byte_a_frame_has_the_fields_before_the_cut(packet: Packet) -> None:
    data = bytes(packet)
    whole = parsed(data)
    for end in range(14, len(data) + 1):
        found = parsed(data[:end])
        assert found == expected(data[:end]), f"cut at {end}"
        if end >= 18 or "TAG" not in whole:
            fields = {name: value for name, value in found.items() if name not in NOT_IN_BYTES}
            assert fields.items() <= whole.items(), f"cut at {end}"


@given(data=st.one_of(frames(), cut_frames()), index=st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_rows_are_parsed_each_for_itself(data: bytes, index: int) -> None:
    other = bytes(WHOLE["tcp"])
    several = [other] * index + [data] + [other]
    batch = batch_of([(one, 0) for one in several])
    stale = np.full((len(several), w.COUNT), -1, np.int64)
    parse_rows(batch.rows, stale)
    stale = stale[index]
    words = parse(batch.rows[index : index + 1])[0]
    assert stale[w.PRESENT] == words[w.PRESENT]
    for i in range(w.COUNT):
        assert not words[w.PRESENT] >> i & 1 or stale[i] == words[i]


# -- padding and lies about lengths


def ipv4_of(protocol: int, total: int, rest: bytes) -> bytes:
    head = struct.pack(">BBHHHBBHII", 0x45, 0, total, 0, 0, 64, protocol, 0, 1, 2)
    return MACS + b"\x08\x00" + head + rest


def ipv6_of(protocol: int, payload: int, rest: bytes) -> bytes:
    return MACS + b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, payload, protocol, 64) + bytes(32) + rest


@pytest.mark.parametrize(
    ("data", "present", "absent"),
    [
        (ipv4_of(17, 20, bytes(26)), "IPV4_DESTINATION", "SOURCE_PORT"),
        (ipv4_of(17, 22, bytes(26)), "SOURCE_PORT", "DESTINATION_PORT"),
        (ipv4_of(17, 24, bytes(26)), "DESTINATION_PORT", "UDP_LENGTH"),
        (ipv4_of(17, 27, bytes(26)), "UDP_LENGTH", "PAYLOAD_OFFSET"),
        (ipv4_of(6, 39, bytes(26)), "TCP_WINDOW", "PAYLOAD_OFFSET"),
        (ipv4_of(6, 7, bytes(26)), "IPV4_DESTINATION", "SOURCE_PORT"),
        (ipv4_of(17, 0, bytes(8)), "PAYLOAD_OFFSET", "ICMP_TYPE"),  # a super-frame beyond 64 KB: to the end
        (ipv4_of(17, 9999, bytes(3)), "SOURCE_PORT", "DESTINATION_PORT"),  # promises more than is there
        (ipv6_of(17, 1, bytes(8)), "TRANSPORT", "SOURCE_PORT"),
        (ipv6_of(17, 4, bytes(8)), "DESTINATION_PORT", "UDP_LENGTH"),
        (ipv6_of(17, 0, bytes(8)), "PAYLOAD_OFFSET", "ICMP_TYPE"),
        (ipv6_of(58, 1, bytes(8)), "ICMP_TYPE", "ICMP_CODE"),
    ],
)
def test_padding_is_never_read_as_a_header(data: bytes, present: str, absent: str) -> None:
    found = parsed(data)
    assert present in found
    assert absent not in found


@pytest.mark.parametrize(
    ("types", "names"),
    [
        ("0800", {"NETWORK_TYPE"}),
        ("8100 000a 0800", {"TAG", "NETWORK_TYPE"}),
        ("8100 000a 8100 000b 0800", {"TAG", "INNER_TCI", "NETWORK_TYPE"}),
        ("8100 000a 88a8 000b 9100 000c 0800", {"TAG", "INNER_TCI", "THIRD_TCI", "NETWORK_TYPE"}),
        ("8100 000a 8100 000b 8100 000c 8100 000d 0800", {"TAG", "INNER_TCI", "THIRD_TCI"}),
        ("88a8 000a 8100 000b 0800", {"INNER_TCI", "THIRD_TCI", "NETWORK_TYPE"}),  # 88a8 is no tag of the switch's
        ("8100 000a 8100", {"TAG"}),
        ("8100 000a", set()),
    ],
)
def test_stacks_of_tags(types: str, names: set[str]) -> None:
    about_tags = {"TAG", "INNER_TCI", "THIRD_TCI", "NETWORK_TYPE"}
    assert set(parsed(MACS + bytes.fromhex(types))) & about_tags == names


def test_what_is_not_in_the_bytes_is_there_where_the_row_says_it() -> None:
    batch = batch_of([(bytes(60), 0), (bytes(60), 0)], source=3)
    batch.rows["entry"], batch.rows["interface"], batch.rows["mss"] = [-1, 7], [-1, 8], [0, 1460]
    batch.rows["wire_length"] = 1500
    without, with_all = parse(batch.rows).tolist()
    for word, value in ((w.ENTRY, 7), (w.INTERFACE, 8), (w.MSS, 1460)):
        assert not without[w.PRESENT] >> word & 1
        assert with_all[w.PRESENT] >> word & 1
        assert with_all[word] == value
    assert (with_all[w.ORIGIN], with_all[w.LENGTH], with_all[w.WIRE_LENGTH]) == (3, 60, 1500)


def test_every_word_has_its_name() -> None:
    assert len(w.NAMES) == w.COUNT
    assert w.NAMES[w.PRESENT] == "PRESENT"
    assert w.NAMES[w.IPV6_DESTINATION_LOW] == "IPV6_DESTINATION_LOW"
    assert w.COUNT <= 63  # bits of the word PRESENT


# -- Scapy

macs = st.integers(0, 2**48 - 1).map(lambda n: ":".join(f"{n >> s & 255:02x}" for s in range(40, -8, -8)))
ports = st.integers(0, 0xFFFF)


def tcp_packets() -> st.SearchStrategy[Packet]:
    return st.builds(
        TCP,
        sport=ports,
        dport=ports,
        seq=st.integers(0, 2**32 - 1),
        ack=st.integers(0, 2**32 - 1),
        flags=st.integers(0, 511),
        window=ports,
        options=st.sampled_from([[], [("MSS", 1460)], [("Timestamp", (1, 2)), ("NOP", None)]]),
    )


def network_packets() -> st.SearchStrategy[Packet]:
    ipv4 = st.builds(IP, src=st.ip_addresses(v=4).map(str), dst=st.ip_addresses(v=4).map(str), ttl=st.integers(0, 255))
    ipv6 = st.builds(IPv6, src=st.ip_addresses(v=6).map(str), dst=st.ip_addresses(v=6).map(str), fl=st.integers(0, 9))
    return st.one_of(ipv4, ipv6)


@given(
    ether=st.builds(Ether, src=macs, dst=macs),
    vlan=st.one_of(st.none(), st.integers(0, 4095)),
    network=network_packets(),
    transport=st.one_of(tcp_packets(), st.builds(UDP, sport=ports, dport=ports)),
)
@settings(max_examples=200, deadline=None)
def test_agrees_with_scapy(ether: Packet, vlan: int | None, network: Packet, transport: Packet) -> None:
    tagged = ether if vlan is None else ether / Dot1Q(vlan=vlan, prio=3)
    data = bytes(tagged / network / transport / Raw(b"payload"))
    packet, found = Ether(data), parsed(data)
    event(f"{network.name} {transport.name}, {'no tag' if vlan is None else 'tag'}")
    assert found["DESTINATION"] == int(packet.dst.replace(":", ""), 16)
    assert found["SOURCE"] == int(packet.src.replace(":", ""), 16)
    assert found.get("TAG") == (None if vlan is None else 3 << 13 | vlan)
    if IP in packet:
        ip = packet[IP]
        assert (found["IPV4_TTL"], found["IPV4_TOTAL_LENGTH"], found["IPV4_ID"]) == (ip.ttl, ip.len, ip.id)
        assert found["IPV4_SOURCE"].to_bytes(4, "big") == bytes(map(int, ip.src.split(".")))
        assert found["TRANSPORT"] == ip.proto
    else:
        ip = packet[IPv6]
        assert (found["IPV6_FLOW_LABEL"], found["IPV6_PAYLOAD_LENGTH"]) == (ip.fl, ip.plen)
        assert found["TRANSPORT"] == ip.nh
    layer = packet[type(transport)]
    assert (found["SOURCE_PORT"], found["DESTINATION_PORT"]) == (layer.sport, layer.dport)
    if TCP in packet:
        assert (found["TCP_SEQUENCE"], found["TCP_ACKNOWLEDGMENT"]) == (layer.seq, layer.ack)
        assert (found["TCP_HEADER_LENGTH"], found["TCP_FLAGS"]) == (layer.dataofs * 4, int(layer.flags))
    payload = found["PAYLOAD_OFFSET"] + (0 if vlan is None else 4)
    assert data[payload:] == b"payload"

"""Frame values: what is equal, what has no hash, and that what is read is noted to the bit."""

import ipaddress
import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from iochain.batch import batch_of
from iochain.frame import BROADCAST, Derived, Frame, Mac, Notes, Table, Value
from iochain.kernels import words as w
from iochain.kernels.parse import parse

ALL_BITS = (1 << 64) - 1
WEB = "00:50:56:00:00:01"
DB = "00:50:56:00:00:02"


def frame_of(packet: Packet | bytes) -> Frame:
    batch = batch_of([(bytes(packet), 0)])
    (words,) = parse(batch.rows).tolist()
    return Frame(words, Notes())


def ether(**keys: Any) -> Packet:
    return Ether(src=WEB, dst=DB, **keys)


def masks(frame: Frame) -> dict[str, int]:
    return {name: mask for name, mask in zip(w.NAMES, frame.notes.masks, strict=True) if mask and name != "PRESENT"}


def asked_for(frame: Frame) -> set[str]:
    return {name for i, name in enumerate(w.NAMES) if frame.notes.masks[w.PRESENT] >> i & 1}


# -- MAC addresses


@pytest.mark.parametrize("text", ["", "00:50:56:00:00", "00:50:56:00:00:0", "00-50-56-00-00-01", "xx:50:56:00:00:01"])
def test_what_is_no_mac(text: str) -> None:
    with pytest.raises(ValueError):
        Mac(text)


@given(st.integers(0, 2**48 - 1))
def test_macs_are_numbers_that_read_as_text(number: int) -> None:
    mac = Mac(number)
    assert mac == number
    assert Mac(str(mac)) == mac
    assert eval(repr(mac)) == mac
    assert mac.is_group is bool(number.to_bytes(6, "big")[0] & 1)


def test_more_than_48_bits_are_no_mac() -> None:
    assert Mac(2**48 - 1) == BROADCAST
    for number in (2**48, -1):
        with pytest.raises(ValueError, match="48 bits"):
            Mac(number)


# -- what is noted

READS: list[tuple[Callable[[Any], Any], Any, dict[str, int]]] = [
    (lambda f: f.source == Mac(WEB), True, {"SOURCE": ALL_BITS}),
    (lambda f: f.source != Mac(WEB), False, {"SOURCE": ALL_BITS}),
    (lambda f: f.destination.is_group, False, {"DESTINATION": 1 << 40}),
    (lambda f: f.ethertype == 0x0800, True, {"ETHERTYPE": ALL_BITS}),
    (lambda f: bool(f.ethertype), True, {"ETHERTYPE": ALL_BITS}),
    (lambda f: f.destination & 0xFF == 2, True, {"DESTINATION": 0xFF}),
    (lambda f: f.destination >> 24 == 0x005056, True, {"DESTINATION": ALL_BITS >> 24 << 24}),
    (lambda f: f.destination >> 8 & 0xFF == 0, True, {"DESTINATION": 0xFF00}),
    (lambda f: f.destination >> 4 >> 4 & 0xFF == 0, True, {"DESTINATION": 0xFF00}),
    (lambda f: (f.destination & 0xFF00) >> 8 == 0, True, {"DESTINATION": 0xFF00}),
    (lambda f: f.destination & 0xFF & 0x0F == 2, True, {"DESTINATION": 0x0F}),
    (lambda f: 0 <= f.source_port < 1024, True, {"SOURCE_PORT": ALL_BITS}),
    (lambda f: f.destination_port > 1024, False, {"DESTINATION_PORT": ALL_BITS}),
    (lambda f: f.length <= 100, True, {"LENGTH": ALL_BITS}),
    (lambda f: f.ipv4.source.within(ipaddress.IPv4Network("10.0.0.0/24")), True, {"IPV4_SOURCE": 0xFFFFFF00}),
    (lambda f: f.ipv4.source.within(ipaddress.IPv4Network("0.0.0.0/0")), True, {}),
    (lambda f: f.ipv4.source == int(ipaddress.IPv4Address("10.0.0.1")), True, {"IPV4_SOURCE": ALL_BITS}),
    (lambda f: f.ipv4.tos >> 2 == 0, True, {"IPV4_TOS": ALL_BITS >> 2 << 2}),
    (lambda f: f.tcp.flags & 2 == 2, True, {"TCP_FLAGS": 2}),
    (lambda f: f.vlan == 10, True, {"TAG": 0x0FFF}),
    (lambda f: f.priority == 5, True, {"TAG": 0xE000}),
    (lambda f: f.priority & 1 == 1, True, {"TAG": 0x2000}),
    (lambda f: f.tci == 0xA00A, True, {"TAG": 0xFFFF}),
    (lambda f: f.ipv6 is None, True, {}),
    (lambda f: f.tcp is None, False, {}),
    (lambda f: f.same_as(f), True, {}),
    (lambda f: str(f.source), WEB, {"SOURCE": ALL_BITS}),  # text may be compared too
    (lambda f: f"{f.ipv4.source}", "10.0.0.1", {"IPV4_SOURCE": ALL_BITS}),
    (lambda f: str(f.destination_port), "1024", {"DESTINATION_PORT": ALL_BITS}),
    (lambda f: repr(f), f"<Frame {WEB} to {DB} vlan 10 priority 5 type 0x0800>", {}),
    (lambda f: f.ipv4.source == ipaddress.ip_address("10.0.0.1"), True, {"IPV4_SOURCE": ALL_BITS}),
    (lambda f: f.ipv4.source in (None, 5), False, {"IPV4_SOURCE": ALL_BITS}),
    (lambda f: f.carried_tag, 0xA00A, {}),
]


@pytest.mark.parametrize(("read", "answer", "noted"), READS)
def test_what_is_read_is_noted_to_the_bit(read: Callable[[Any], Any], answer: Any, noted: dict[str, int]) -> None:
    packet = IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=80, dport=1024, flags="S")
    frame = frame_of(ether() / Dot1Q(vlan=10, prio=5) / packet)
    assert read(frame) == answer
    assert masks(frame) == noted


@pytest.mark.parametrize(
    ("network", "answer", "noted"),
    [
        ("2001:db8::/32", True, {"IPV6_SOURCE_HIGH": 0xFFFFFFFF << 32, "IPV6_SOURCE_LOW": 0}),
        ("2001:db8::1/128", True, {"IPV6_SOURCE_HIGH": ALL_BITS, "IPV6_SOURCE_LOW": ALL_BITS}),
        ("2001:db9::/32", False, {"IPV6_SOURCE_HIGH": 0xFFFFFFFF << 32, "IPV6_SOURCE_LOW": 0}),
        ("fe80::/10", False, {"IPV6_SOURCE_HIGH": 0x3FF << 54, "IPV6_SOURCE_LOW": 0}),
    ],
)
def test_prefixes_of_ipv6(network: str, answer: bool, noted: dict[str, int]) -> None:
    frame: Any = frame_of(ether() / IPv6(src="2001:db8::1", dst="fe80::2") / UDP())
    assert frame.ipv6.source.within(ipaddress.IPv6Network(network)) is answer
    assert masks(frame) == {name: mask for name, mask in noted.items() if mask}


def test_ipv6_addresses_above_the_sign_bit_are_positive_numbers() -> None:
    frame: Any = frame_of(ether() / IPv6(src="fe80::1", dst="ff02::ffff:ffff:ffff:ffff") / UDP())
    source, destination = frame.ipv6.source, frame.ipv6.destination
    assert (str(source), str(destination)) == ("fe80::1", "ff02::ffff:ffff:ffff:ffff")
    assert source == ipaddress.IPv6Address("fe80::1")
    assert int(destination) == int(ipaddress.IPv6Address("ff02::ffff:ffff:ffff:ffff"))
    assert destination != ipaddress.IPv6Address("ff02::1")


def test_looking_for_a_header_is_noted_whether_it_is_there_or_not() -> None:
    frame = frame_of(ether() / IP() / UDP())
    assert frame.arp is None
    assert frame.ipv4 is not None
    assert frame.vlan is None
    assert asked_for(frame) == {"ARP_OPERATION", "IPV4_HEADER_LENGTH", "TAG"}


def test_a_tag_that_a_stage_put_on_is_no_field_of_the_frame() -> None:
    frame = frame_of(ether() / IP()).on_vlan(10)
    frame.notes.clear()
    assert (frame.vlan, frame.priority, frame.tci, frame.new_tag) == (10, 0, 10, 10)
    assert masks(frame) == {}
    assert asked_for(frame) == set()
    assert frame.untagged().vlan is None
    assert frame.untagged().new_tag == -1


@given(st.integers(0, 0xFFFF), st.integers(1, 4094))
def test_putting_a_vlan_on_keeps_the_priority(tci: int, vlan: int) -> None:
    frame = frame_of(ether() / Dot1Q(bytes(tci.to_bytes(2, "big")) + b"\x08\x00"))
    changed = frame.on_vlan(vlan)
    assert changed.tci == tci & 0xF000 | vlan
    assert frame.carried_tag == tci
    assert frame.with_tci(0xFFFF).tci == 0xFFFF


# -- values are compared, and not hashed


@pytest.mark.parametrize(
    "use", [hash, lambda value: {value: 1}, lambda value: value in {1, 2}, lambda value: {1: 2}.get(value)]
)
def test_a_field_has_no_hash_and_says_what_to_do(use: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match="ask a table"):
        use(frame_of(ether() / IP()).source)


@pytest.mark.parametrize(
    "compare",
    [
        lambda f: f.source == WEB,
        lambda f: f.source != WEB,
        lambda f: f.source in (None, WEB),
        lambda f: f.ipv6.source == "fe80::1",
        lambda f: f.ipv6.source in ("fe80::1",),
    ],
)
def test_a_field_is_never_compared_with_text(compare: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match=r"a field is a number, .* is text; compare with Mac\(…\)"):
        compare(frame_of(ether() / IPv6(src="fe80::1", dst="fe80::2") / UDP()))


def test_a_frame_has_no_hash() -> None:
    with pytest.raises(TypeError):
        hash(frame_of(ether() / IP()))


@given(st.integers(0, 100), st.integers(0, 100))
def test_fields_compare_as_numbers(left: int, right: int) -> None:
    a, b = Value(left, [0], 0), Value(right, [0], 0)
    for compare in (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge):
        assert compare(a, b) == compare(a, right) == compare(left, right)
    assert bool(a) == bool(left)
    assert int(a & right) == left & right
    assert int(a >> right) == left >> right


def test_frames_are_equal_by_fields_and_tag() -> None:
    one = frame_of(ether() / Dot1Q(vlan=10) / IP() / UDP())
    assert one == frame_of(ether() / Dot1Q(vlan=10) / IP() / UDP())
    assert one == frame_of(ether() / Dot1Q(vlan=20) / IP() / UDP()).on_vlan(10)
    assert one != frame_of(ether() / Dot1Q(vlan=20) / IP() / UDP())
    assert one != frame_of(ether() / Dot1Q(vlan=10) / IP() / UDP(sport=1))
    assert one != one.untagged()
    assert one.untagged() == frame_of(ether() / IP() / UDP())
    assert one != "a frame"
    assert masks(one) == {}


def test_a_frame_shows_itself() -> None:
    shown = repr(frame_of(ether() / Dot1Q(vlan=10, prio=5) / IP()))
    assert shown == f"<Frame {WEB} to {DB} vlan 10 priority 5 type 0x0800>"
    assert repr(frame_of(ether() / ARP())) == f"<Frame {WEB} to {DB} type 0x0806>"


# -- layers that are not there, or cut

CUT = ether() / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=80, dport=22)


@pytest.mark.parametrize(
    ("kept", "field", "there"),
    [
        (14, lambda f: f.ipv4, False),
        (15, lambda f: f.ipv4, True),
        (15, lambda f: f.ipv4.tos, False),
        (16, lambda f: f.ipv4.tos, True),
        (23, lambda f: f.transport, False),
        (24, lambda f: f.transport, True),
        (29, lambda f: f.ipv4.source, False),
        (30, lambda f: f.ipv4.source, True),
        (33, lambda f: f.ipv4.destination, False),
        (34, lambda f: f.ipv4.destination, True),
        (35, lambda f: f.source_port, False),
        (36, lambda f: f.source_port, True),
        (37, lambda f: f.destination_port, False),
        (41, lambda f: f.tcp, False),
        (42, lambda f: f.tcp, True),
        (42, lambda f: f.tcp.acknowledgment, False),
        (48, lambda f: f.tcp.flags, True),
        (49, lambda f: f.tcp.window, False),
        (54, lambda f: f.tcp.window, True),
        (54, lambda f: f.ipv6, False),
        (54, lambda f: f.arp, False),
        (54, lambda f: f.udp_length, False),
        (54, lambda f: f.icmp_type, False),
        (54, lambda f: f.llc, False),
        (54, lambda f: f.inner_tci, False),
        (54, lambda f: f.third_tci, False),
        (54, lambda f: f.network_type, True),
        (54, lambda f: f.entry, False),
        (54, lambda f: f.interface, False),
        (54, lambda f: f.mss, False),
    ],
)
def test_a_field_behind_the_cut_is_none(kept: int, field: Callable[[Any], object], there: bool) -> None:
    assert (field(frame_of(bytes(CUT)[:kept])) is not None) is there


def test_layers_show_their_fields() -> None:
    arp: Any = frame_of(ether() / ARP(op=2, hwsrc=WEB, psrc="10.0.0.1", hwdst=DB, pdst="10.0.0.2")).arp
    assert (arp.operation, arp.sender_mac, arp.target_mac) == (2, Mac(WEB), Mac(DB))
    assert (str(arp.sender_ip), str(arp.target_ip)) == ("10.0.0.1", "10.0.0.2")
    six: Any = frame_of(ether() / IPv6(tc=4, fl=5, hlim=6, src="fe80::1", dst="fe80::2") / UDP()).ipv6
    assert (six.traffic_class, six.flow_label, six.hop_limit, six.next_header) == (4, 5, 6, 17)
    assert (six.payload_length, six.extensions, six.fragment) == (8, 0, None)
    four: Any = frame_of(ether() / IP(tos=4, id=5, ttl=6, flags="DF") / UDP(len=8)).ipv4
    assert (four.header_length, four.tos, four.identification, four.ttl, four.protocol) == (20, 4, 5, 6, 17)
    assert (four.total_length, four.fragment) == (28, 0x4000)


# -- tables and derived fields


def test_tables_answer_and_are_noted() -> None:
    by_mac: Table[Any, str] = Table("ports", "none", {int(Mac(WEB)): "web", (10, int(Mac(WEB))): "web in 10"})
    frame = frame_of(ether() / Dot1Q(vlan=10) / IP())
    vlan: Any = frame.vlan
    assert frame.ask(by_mac, frame.source) == "web"
    assert frame.ask(by_mac, vlan, frame.source) == "web in 10"
    assert frame.ask(by_mac, frame.destination) == "none"
    assert [tuple(one) for one in frame.notes.asked] == [
        (by_mac, int(Mac(WEB)), "web"),
        (by_mac, (10, int(Mac(WEB))), "web in 10"),
        (by_mac, int(Mac(DB)), "none"),
    ]
    assert masks(frame) == {"SOURCE": ALL_BITS, "TAG": 0xFFF, "DESTINATION": ALL_BITS}


def test_what_is_learned_is_a_wish_until_the_walk_is_over() -> None:
    learned: Table[int, str] = Table("learned", "")
    frame = frame_of(ether() / IP())
    frame.learn(learned, frame.source, answer="web")
    assert frame.ask(learned, frame.source) == ""
    assert frame.notes.writes == [(learned, int(Mac(WEB)), "web")]


def test_a_table_forgets_the_default_and_tells_its_watchers_of_each_change() -> None:
    table = Table("t", 0, {1: 5})
    told: list[tuple[int, int]] = []
    table.watchers.append(lambda changed, key: told.append((key, changed.get(key))))
    table.set(2, 6)
    table.set(1, 0)
    assert told == [(2, 6), (1, 0)]
    assert (table.entries(), repr(table)) == ({2: 6}, "Table('t', 1 entries)")
    table.entries()[7] = 7
    assert table.get(7) == 0


def low_bits(words: Any, argument: int) -> int:
    return int(words[w.SOURCE]) & argument


def test_a_derived_field_needs_no_bits_noted() -> None:
    frame = frame_of(ether() / IP())
    derived = Derived("low bits", low_bits, 3, 4)
    assert frame.derive(derived) == 1
    assert masks(frame) == {}
    assert tuple(frame.notes.asked[0]) == (derived, None, 1)


def test_a_frame_without_bytes_has_no_scapy_packet() -> None:
    frame = frame_of(ether() / IP())
    with pytest.raises(RuntimeError, match="header fields only"):
        _ = frame.scapy
    assert frame.notes.whole

"""The public strategies: what they may give, and the plainest that they shrink to."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import STP, Ether
from scapy.packet import Raw

from iochain.frame import Mac
from iochain.testing import (
    Content,
    FrameBytes,
    Size,
    Tagging,
    batch_of_frames,
    frames,
    macs,
    priorities,
    tcis,
    vlan_ids,
)

ONE, TWO = Mac("00:50:56:00:00:01"), Mac("00:50:56:00:00:02")
KNOWN_TO_SCAPY = (IP, IPv6, STP)  # what is imported it can take apart
PLAINEST = FrameBytes.of("005056000002 005056000001 88b5")
quiet = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
searching = settings(quiet, max_examples=1000, derandomize=True, database=None, phases=[Phase.generate, Phase.shrink])


def plainest(strategy: st.SearchStrategy[Any], wanted: Callable[[Any], bool] = lambda _: True) -> Any:
    return find(strategy, wanted, settings=searching)


def with_tag(tag: str) -> FrameBytes:
    return FrameBytes.of(f"005056000002 005056000001 {tag} 88b5")


# -- what is drawn where nothing is said is the plainest


def test_addresses_and_tags_shrink_to_the_plainest() -> None:
    assert plainest(macs()) == ONE
    assert plainest(macs(group=True)) == Mac("ff:ff:ff:ff:ff:ff")
    assert plainest(vlan_ids()) == 0
    assert plainest(vlan_ids(30, 40)) == 30
    assert plainest(priorities()) == 0
    assert plainest(tcis()) == 0
    assert plainest(tcis(7)) == 7


def test_the_plainest_frame_is_untagged_and_has_no_payload() -> None:
    assert plainest(frames()) == PLAINEST


@pytest.mark.parametrize(
    ("tagging", "expected"),
    [
        (Tagging.UNTAGGED, PLAINEST),
        (Tagging.TAGGED, with_tag("8100000a")),
        (Tagging.PRIORITY, with_tag("81000000")),
        (Tagging.STACKED, with_tag("81000000 81000000")),
    ],
)
def test_the_plainest_of_each_tagging(tagging: Tagging, expected: FrameBytes) -> None:
    assert plainest(frames(tagging=[tagging])) == expected


@pytest.mark.parametrize(
    ("size", "longest"), [(Size.PLAIN, 14), (Size.RUNT, 14), (Size.JUMBO, 14 + 1501), (Size.SUPER, 14 + 1501)]
)
def test_the_plainest_of_each_size_is_as_short_as_can_be(size: Size, longest: int) -> None:
    assert len(plainest(frames(sizes=[size]))) == longest


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (Content.UDP, "IP / UDP 10.0.0.1:1024 > 10.0.0.1:1024"),
        (Content.TCP, "IP / TCP 10.0.0.1:1024 > 10.0.0.1:1024 A"),
        (Content.ICMP, "IP / ICMP 10.0.0.1 > 10.0.0.1 echo-request 0"),
        (Content.ARP, "ARP who has 10.0.0.1 says 10.0.0.1"),
        (Content.IPV4, "10.0.0.1 > 10.0.0.1 253"),
        (Content.BPDU, "STP"),
    ],
)
def test_the_plainest_of_a_content(content: Content, expected: str) -> None:
    assert expected in Ether(plainest(frames(contents=[content]))).summary()


def test_what_is_wanted_of_a_frame_is_all_that_is_special_of_it() -> None:
    assert plainest(frames(), lambda frame: frame.seen().destination.is_group) == FrameBytes.of(
        "ffffffffffff 005056000001 88b5"
    )
    tagged = plainest(frames(), lambda frame: frame.seen().vlan == 20)
    assert tagged == with_tag("81000014")
    assert len(plainest(frames(), lambda frame: len(frame) > 1514)) == 1515
    cut = plainest(frames(), lambda frame: frame.is_cut)
    assert (cut, cut.wire_length) == (PLAINEST, 15)


# -- everything comes up


@pytest.mark.parametrize(
    "wanted",
    [
        lambda frame: frame.seen().arp is not None,
        lambda frame: frame.seen().ipv6 is not None and frame.seen().tcp is not None,
        lambda frame: frame.seen().udp_length is not None,
        lambda frame: frame.seen().icmp_type is not None,
        lambda frame: frame.seen().third_tci is not None,
        lambda frame: frame.seen().llc is not None and frame.seen().destination == 0x0180C2000000,
        lambda frame: len(frame) in (1514, 1518),
        lambda frame: len(frame) > 20_000 and frame.mss > 0,
        lambda frame: frame.seen().vlan == 4095,
        lambda frame: frame.seen().ipv4 is not None and frame.seen().ipv4.header_length > 20,
        lambda frame: frame.seen().ipv6 is not None and frame.seen().ipv6.extensions > 0,
    ],
)
def test_kinds_of_frames_come_up(wanted: Callable[[FrameBytes], bool]) -> None:
    find(frames(), wanted, settings=settings(searching, phases=[Phase.generate]))


@given(frames())
@quiet
def test_a_frame_can_be_typed_back(frame: FrameBytes) -> None:
    again = eval(repr(frame))
    assert (again, again.wire_length, again.mss) == (frame, frame.wire_length, frame.mss)


@given(frames(cut=False, sizes=[Size.PLAIN, Size.SUPER], contents=[Content.TCP, Content.UDP, Content.ICMP]))
@example(
    FrameBytes.of("005056000002 005056000001 0800450005dc00004000401121100a0000010a000001040012b505c8c9a7", zeros=1472)
)
@example(
    FrameBytes.of("005056000002 005056000001 0800450005dc00004000400121200a0000010a0000010300fcfd00010001", zeros=1472)
)
@quiet
def test_lengths_and_checksums_are_right(frame: FrameBytes) -> None:
    again = Ether(frame)
    for layer in again.iterpayloads():
        for name in ("len", "plen", "chksum", "cksum"):
            if name in layer.fields:
                del layer.fields[name]
                layer.raw_packet_cache = None
        if isinstance(layer, (TCP, UDP, ICMP)):  # what follows is bytes, whatever Scapy takes the port for
            inside = Raw(bytes(layer.payload.original))
            layer.remove_payload()
            layer.add_payload(inside)
            break
    again.raw_packet_cache = None
    assert bytes(again)[:80] == frame[:80]


@given(st.data())
@quiet
def test_what_was_said_is_kept_to(data: st.DataObject) -> None:
    said = frames(
        sources=ONE, destinations=[ONE, TWO], vlans=range(5, 8), tagging=[Tagging.TAGGED], sizes=[Size.PLAIN], cut=False
    )
    seen = data.draw(said).seen()
    assert seen.source == ONE
    assert seen.destination in (ONE, TWO)
    assert seen.vlan in (5, 6, 7)
    assert seen.length <= 1514
    assert seen.wire_length == seen.length


@given(macs(group=False), macs(group=True), vlan_ids(100, 200), tcis(drop_eligible=True, priority=3))
@quiet
def test_what_was_said_of_addresses_and_tags_is_kept_to(unicast: Mac, group: Mac, vlan: int, tci: int) -> None:
    assert not unicast.is_group
    assert group.is_group
    assert 100 <= vlan <= 200
    assert tci >> 12 == 3 << 1 | 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: vlan_ids(10, 5),
        lambda: vlan_ids(0, 4096),
        lambda: frames(contents=[]),
        lambda: frames(sizes=[Size.SUPER], contents=[Content.ARP]),
    ],
)
def test_what_cannot_be_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(InvalidArgument):
        wrong()


def test_bytes_that_are_no_frame_are_refused() -> None:
    with pytest.raises(ValueError, match="13 bytes are no Ethernet frame"):
        FrameBytes(bytes(13))
    with pytest.raises(ValueError, match="was not cut"):
        FrameBytes(bytes(60), 40)


def test_a_batch_knows_what_was_cut() -> None:
    tagged = FrameBytes.of("005056000002 005056000001 8100000a 88b5", 10, wire_length=1518, mss=1448)
    (row,) = batch_of_frames([(tagged, 5)]).rows
    assert (row["length"], row["wire_length"], row["mss"], row["tag"]) == (24, 1514, 1448, 10)

"""Fates at the physical NIC: link, tags, MTU."""

import pytest
from stage_frames import OTHER, UPLINK, data, frame, frame_of, read_of, tagged, untagged

from iochain.chain import Drop, Reason, Verdict
from iochain.frame import Frame, Table
from iochain.kernels import words as w
from iochain.uplink.nic import Link, Mtu, ReceivedTag, SentTag

DEI = 1 << 12
TCP = bytes(9) + b"\x06" + bytes(10)


@pytest.mark.parametrize(("up", "fate"), [(True, untagged()), (False, Drop(Reason.LINK_DOWN))])
def test_link(up: bool, fate: Verdict) -> None:
    assert Link(Table("links", False, {UPLINK.number: up}))(untagged(), UPLINK) == fate


@pytest.mark.parametrize(
    ("sent", "fate"),
    [
        (untagged(), untagged()),
        (tagged(4094), tagged(4094)),
        (tagged(4095), Drop(Reason.INVALID_TAG)),
        (tagged(0, priority=3), tagged(0, priority=3)),
        (tagged(0), untagged()),  # names no VLAN and has no priority
        (frame(tci=3 << 13 | DEI | 10), tagged(10, priority=3)),
    ],
)
def test_received_tag(sent: Frame, fate: Verdict) -> None:
    assert ReceivedTag()(sent, UPLINK) == fate


@pytest.mark.parametrize(
    ("tci", "sent"),
    [
        (None, None),
        (0, None),
        (DEI, None),
        (10, 10),
        (DEI | 10, 10),
        (5 << 13, 5 << 13),
        (5 << 13 | 100, 0xA064),
        (0xFFFF, 0xEFFF),
    ],
)
def test_sent_tag(tci: int | None, sent: int | None) -> None:
    assert SentTag()(frame(tci=tci), UPLINK) == frame(tci=sent)


@pytest.mark.parametrize(
    ("mtu", "length", "tci", "inner", "passes"),
    [
        (1500, 1514, None, False, True),
        (1500, 1515, None, False, False),
        (1500, 1514, 10, False, True),  # 1518 with its tag
        (1500, 1515, 10, False, False),
        (1500, 1518, None, True, True),  # a tag that stayed in the frame
        (1500, 1519, None, True, False),
        (1500, 1518, 10, True, True),  # stacked: one tag beside the frame, one in it
        (9000, 9014, None, False, True),
        (9000, 9015, None, False, False),
        (1, 15, None, False, True),
        (1, 16, None, False, False),
    ],
)
def test_mtu(mtu: int, length: int, tci: int | None, inner: bool, passes: bool) -> None:
    rest = b"\x81\x00\x00\x14\x08\x00" if inner else b"\x08\x00"
    sent = frame(tci=tci, rest=rest, length=length)
    assert Mtu(mtu)(sent, UPLINK) == (sent if passes else Drop(Reason.MTU_EXCEEDED, f"more than {mtu} bytes"))


def ipv4(protocol: int) -> bytes:
    return b"\x08\x00\x45" + bytes(8) + bytes([protocol]) + bytes(10)


@pytest.mark.parametrize("protocol", [6, 17])
@pytest.mark.parametrize(
    ("mss", "tcp_passes", "passes"),
    [
        (None, False, set()),
        (1460, False, {6, 17}),  # large packets, by the segment size that they have
        (None, True, {6}),
    ],
)
def test_large_packets_pass(protocol: int, mss: int | None, tcp_passes: bool, passes: set[int]) -> None:
    sent = frame(OTHER, rest=ipv4(protocol), length=40_000)
    if mss is not None:
        sent.words[w.MSS] = mss  # type: ignore[index]
        sent.words[w.PRESENT] |= 1 << w.MSS  # type: ignore[index]
    assert isinstance(Mtu(1500, tcp_passes)(sent, UPLINK), Frame) is (protocol in passes)


def test_a_cut_frame_counts_with_its_length_on_the_wire() -> None:
    seen = frame(length=60)
    seen.words[w.WIRE_LENGTH] = 1515  # type: ignore[index]
    assert isinstance(Mtu(1500)(seen, UPLINK), Drop)


@pytest.mark.parametrize(
    ("stage", "sent", "read"),
    [
        (SentTag(), data(), {"has TAG": 1}),
        (SentTag(), data(tci=5 << 13 | 10), {"has TAG": 1, "TAG": 0xFFF | DEI}),
        (SentTag(), data(tci=DEI | 10), {"has TAG": 1, "TAG": 0xFFFF}),
        (ReceivedTag(), data(tci=5 << 13 | 10), {"has TAG": 1, "TAG": 0xFFF | DEI}),
        (Mtu(1500), data(length=60), {}),  # shorter or longer is a derived field
        (Mtu(1500), data(length=1600), {"has MSS": 1}),
        (
            Mtu(1500, tcp_passes=True),
            data(rest=ipv4(6), length=1600),
            {"has MSS": 1, "has TRANSPORT": 1, "TRANSPORT": (1 << 64) - 1},
        ),
        (Link(Table("links", True)), data(), {}),
    ],
)
def test_reads_just_these_bits(stage: object, sent: bytes, read: dict[str, int]) -> None:
    seen = frame_of(sent)
    assert callable(stage)
    stage(seen, UPLINK)
    assert read_of(seen) == read

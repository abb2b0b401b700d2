"""Strategies for frames. They allow everything unless told otherwise, and shrink to the plainest: an untagged frame
without payload between two VMs.
"""

import struct
from collections.abc import Collection
from enum import Enum
from typing import Final

from attrs import frozen
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from iochain.frame import Mac
from iochain.kernels.rows import ETHERNET_BYTES
from iochain.testing.addresses import RECEIVER, SENDER, Given, given_or, macs, tcis, vlan_ids
from iochain.testing.contents import INSIDES, Body, Content
from iochain.testing.framebytes import FrameBytes

__all__ = ["Content", "Size", "Tagging", "frames"]

LARGEST_IP: Final = 65_535
LARGEST_JUMBO: Final = 9_018
"""Bytes behind the EtherType of the longest jumbo frame: an MTU of 9000, two tags, and some more."""


class Tagging(Enum):
    """The VLAN tags of a frame."""

    UNTAGGED = "untagged"
    TAGGED = "tagged"
    PRIORITY = "priority-tagged"  # VLAN 0
    STACKED = "stacked"  # two or three tags


class Size(Enum):
    """How long a frame is."""

    PLAIN = "plain"  # at most 1500 bytes behind its EtherType
    RUNT = "runt"  # shorter than 60 bytes, headers cut anywhere
    JUMBO = "jumbo"  # 1501 bytes and more behind its EtherType
    SUPER = "super-frame"  # TCP that is to be segmented: up to 64 KB, with a segment size


def frames(
    *,
    sources: Given[Mac] | None = None,
    destinations: Given[Mac] | None = None,
    vlans: Given[int] | None = None,
    tagging: Collection[Tagging] = tuple(Tagging),
    contents: Collection[Content] = tuple(Content),
    sizes: Collection[Size] = tuple(Size),
    cut: bool | None = None,
) -> st.SearchStrategy[FrameBytes]:
    """Ethernet frames without FCS.

    ``vlans`` are those of outer tags. ``cut``: whether a snap length may have cut them (None), has to, or has not.
    Where no ``destinations`` are said, multicasts and BPDUs go to their groups. InvalidArgument if nothing is left.
    """
    for name, chosen in (("tagging", tagging), ("contents", contents), ("sizes", sizes)):
        if not chosen:
            raise InvalidArgument(f"{name} is empty: no frame is like that")
    if set(sizes) == {Size.SUPER} and Content.TCP not in contents:
        raise InvalidArgument("only TCP makes super-frames; let contents have Content.TCP")
    possible = [size for size in Size if size in sizes and not (size is Size.SUPER and Content.TCP not in contents)]
    return _frames(
        _Wanted(
            given_or(sources, st.just(SENDER) | macs()),
            given_or(destinations, st.just(RECEIVER) | macs()),
            destinations is None,
            given_or(vlans, vlan_ids()),
            [one for one in Tagging if one in tagging],
            [one for one in Content if one in contents],
            possible,
            cut,
        )
    )


# -- putting a frame together


@frozen
class _Wanted:
    sources: st.SearchStrategy[Mac]
    destinations: st.SearchStrategy[Mac]
    to_groups: bool
    vlans: st.SearchStrategy[int]
    tagging: list[Tagging]
    contents: list[Content]
    sizes: list[Size]
    cut: bool | None


@st.composite
def _frames(draw: st.DrawFn, wanted: _Wanted) -> FrameBytes:
    # what kind of frame it is comes first: then a plainer kind is found by changing just that
    tagging, size = draw(st.sampled_from(wanted.tagging)), draw(st.sampled_from(wanted.sizes))
    content = draw(st.sampled_from(wanted.contents))
    is_cut = draw(st.sampled_from([False, False, False, True])) if wanted.cut is None else wanted.cut
    source, destination = draw(wanted.sources), draw(wanted.destinations)
    tags = draw(_stacks(tagging, wanted.vlans))
    inside = draw(INSIDES[Content.TCP if size is Size.SUPER else content])
    if wanted.to_groups and inside.group is not None:
        destination = inside.group
    rest = draw(_sized(inside.body, size))
    data = int(destination).to_bytes(6, "big") + int(source).to_bytes(6, "big") + tags + rest
    if size is Size.RUNT:
        data = data[: draw(st.integers(14, min(59, len(data))))]
    data = data.ljust(ETHERNET_BYTES + is_cut, b"\0")
    kept = draw(st.integers(ETHERNET_BYTES, len(data) - 1)) if is_cut else len(data)
    mss = draw(st.sampled_from([1448, 1460, 536, 8948])) if size is Size.SUPER else 0
    return FrameBytes(data[:kept], len(data), mss)


@st.composite
def _stacks(draw: st.DrawFn, tagging: Tagging, vlans: st.SearchStrategy[int]) -> bytes:
    """The bytes of the tags; the first is 802.1Q but for some stacks."""
    if tagging is Tagging.UNTAGGED:
        return b""
    if tagging is Tagging.PRIORITY:
        return struct.pack(">HH", 0x8100, draw(tcis(0)))
    if tagging is Tagging.TAGGED:
        return struct.pack(">HH", 0x8100, draw(tcis(vlans.filter(bool))))
    tci, kind = draw(tcis(vlans)), draw(st.sampled_from([0x8100, 0x8100, 0x88A8]))
    kinds = st.sampled_from([0x8100, 0x88A8, 0x9100])
    inner = draw(st.lists(st.tuples(kinds, tcis()), min_size=1, max_size=2))
    return b"".join(struct.pack(">HH", *tag) for tag in [(kind, tci), *inner])


@st.composite
def _sized(draw: st.DrawFn, body: Body, size: Size) -> bytes:
    """EtherType and what is behind it, as long as is wanted."""
    headers = len(body(b"")) - 2
    if size in (Size.PLAIN, Size.RUNT):
        lengths = st.sampled_from([1500, 46, 1499]) | st.just(1500) | st.integers(0, 1500)
        return body(draw(st.binary(max_size=24) | lengths.map(lambda length: bytes(max(0, length - headers)))))
    if size is Size.JUMBO:
        lengths = st.sampled_from([1501, 1504, 1505, 4000, 8999, 9000, 9001]) | st.integers(1501, LARGEST_JUMBO)
        return body(bytes(max(0, draw(lengths) - headers)))
    return body(bytes(draw(st.integers(1501, LARGEST_IP)) - headers))

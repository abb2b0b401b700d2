"""A census of captures: what all frames say of their sources, counted in arrays of bounded size.

So a capture may be of any length: what is kept of a source is its frames, its VLANs and its first IP addresses.
"""

import ipaddress
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen
from numba import types

from iochain.batch import Rows
from iochain.frame import ALL_VLANS, VID_BITS, Mac
from iochain.kernels import words as w
from iochain.kernels.compiled import compiled, part
from iochain.kernels.parse import NETWORK, parse_row
from iochain.kernels.rows import ETHERNET_BYTES, ROWS

MOST_ADDRESSES: Final = 8
"""A source that speaks for more IP addresses than this is a router."""
STRAY_SHARE: Final = 0.01
"""A source with at most this share of its frames outside of one VLAN is in that one."""
_TABLE = types.Array(types.int64, 2, "C")
_NUMBERS = types.Array(types.int64, 1, "C")
_MOST_SOURCES = 1 << 16
_MOST_VLANS = 8
_MAC, _FRAMES, _CONTROL, _VLANS, _ADDRESSES = 0, 1, 2, 3, 4
"""Columns of a source; the last two count its VLANs and IP addresses, one more than are kept meaning: more."""
_VLAN_AT = 5
_ADDRESS_AT = _VLAN_AT + 2 * _MOST_VLANS
_COLUMNS = _ADDRESS_AT + 2 * (MOST_ADDRESSES + 1)
_USED, _IGNORED, _LONGEST = 0, 1, 2
"""Totals: sources in the table, frames from a group address or zero, the longest payload that is not TCP in bytes."""
_GROUP_BIT = 40
_TCP = 6
_MAPPED = 0xFFFF << 32
"""Above an IPv4 address in the low half of an IPv6 address (RFC 4291, 2.5.5.2)."""


@define
class Census:
    """What all frames of some captures say of their sources, in arrays that do not grow."""

    sources: npt.NDArray[np.int64] = field(factory=lambda: np.zeros((_MOST_SOURCES, _COLUMNS), np.int64))
    slots: npt.NDArray[np.int64] = field(factory=lambda: np.full(2 * _MOST_SOURCES, -1, np.int64))
    totals: npt.NDArray[np.int64] = field(factory=lambda: np.zeros(3, np.int64))
    vlan_frames: npt.NDArray[np.int64] = field(factory=lambda: np.zeros(VID_BITS + 1, np.int64))
    words: npt.NDArray[np.int64] = field(factory=lambda: np.zeros(w.COUNT, np.int64))
    frames: int = 0
    forgotten: int = 0  # sources

    def count(self, rows: Rows) -> None:
        """Take frames in."""
        self.frames += len(rows)
        done = 0
        while done < len(rows):
            done = count_sources(rows, done, self.slots, self.sources, self.totals, self.vlan_frames, self.words)
            if done < len(rows):
                self._forget()

    @property
    def ignored(self) -> int:
        """How many frames came from a group address or zero."""
        return int(self.totals[_IGNORED])

    @property
    def longest(self) -> int:
        """The longest payload that is not TCP, in bytes."""
        return int(self.totals[_LONGEST])

    def known(self) -> list["Machine"]:
        """All sources, in the order in which they were first seen."""
        return [Machine(row.tolist()) for row in self.sources[: self.totals[_USED]]]

    def _forget(self) -> None:
        """Make room: forget the half of the sources that sent least."""
        busiest = np.argsort(-self.sources[:, _FRAMES], kind="stable")[: len(self.sources) // 2]
        kept = self.sources[np.sort(busiest)]
        self.forgotten += len(self.sources) - len(kept)
        self.sources[: len(kept)] = kept
        self.sources[len(kept) :] = 0
        self.totals[_USED] = len(kept)
        self.slots[:] = -1
        index_sources(self.slots, self.sources, len(kept))


@part
def _slot_of(slots: Any, sources: Any, mac: int) -> int:
    """The slot that holds the number of a source, or the free one where it belongs."""
    mask = len(slots) - 1
    slot = (mac * 0x9E3779B97F4A7C1) >> 20 & mask
    while slots[slot] >= 0 and sources[slots[slot], _MAC] != mac:
        slot = (slot + 1) & mask
    return slot


@compiled(types.void(_NUMBERS, _TABLE, types.int64))
def index_sources(slots: Any, sources: Any, count: int) -> None:
    """Enter the first sources in empty slots."""
    for number in range(count):
        slots[_slot_of(slots, sources, sources[number, _MAC])] = number


@part
def _note_vlan(source: Any, vlan: int) -> None:
    for known in range(min(source[_VLANS], _MOST_VLANS)):
        if source[_VLAN_AT + 2 * known] == vlan:
            source[_VLAN_AT + 2 * known + 1] += 1
            return
    if source[_VLANS] < _MOST_VLANS:
        source[_VLAN_AT + 2 * source[_VLANS]] = vlan
        source[_VLAN_AT + 2 * source[_VLANS] + 1] = 1
    source[_VLANS] = min(source[_VLANS] + 1, _MOST_VLANS + 1)


@part
def _note_address(source: Any, high: int, low: int) -> None:
    for known in range(source[_ADDRESSES]):
        at = _ADDRESS_AT + 2 * known
        if source[at] == high and source[at + 1] == low:
            return
    if source[_ADDRESSES] <= MOST_ADDRESSES:
        source[_ADDRESS_AT + 2 * source[_ADDRESSES]] = high
        source[_ADDRESS_AT + 2 * source[_ADDRESSES] + 1] = low
        source[_ADDRESSES] += 1


@part
def _note_ipv4(source: Any, address: int) -> None:
    if 0 < address < 0xE0000000:  # neither "this host" nor a group
        _note_address(source, 0, _MAPPED | address)


@part
def _note_addresses(source: Any, words: Any) -> None:
    """The IP address that a frame speaks for: of its IP header, or of the ARP message's sender if that is itself."""
    present = words[w.PRESENT]
    if present >> w.IPV4_SOURCE & 1:
        _note_ipv4(source, words[w.IPV4_SOURCE])
    elif present >> w.ARP_SENDER_IP & 1:
        if words[w.ARP_SENDER_MAC] == words[w.SOURCE]:
            _note_ipv4(source, words[w.ARP_SENDER_IP])
    elif present >> w.IPV6_SOURCE_HIGH & 1:
        high, low = words[w.IPV6_SOURCE_HIGH], words[w.IPV6_SOURCE_LOW]
        is_group = high >> 56 & 0xFF == 0xFF
        is_link_local = high >> 54 & 0x3FF == 0x3FA
        if not is_group and not is_link_local and (high != 0 or low != 0):
            _note_address(source, high, low)


@part
def _is_control(destination: int) -> bool:
    """Whether an address is one of those that bridges talk by (802.1Q, table 8-1), or Cisco's CDP, DTP, PVST+."""
    return destination >> 4 == 0x0180C200000 or destination >> 1 == 0x01000CCCCCCC >> 1


@compiled(types.int64(ROWS, types.int64, _NUMBERS, _TABLE, _NUMBERS, _NUMBERS, _NUMBERS))
def count_sources(rows: Any, start: int, slots: Any, sources: Any, totals: Any, vlan_frames: Any, words: Any) -> int:
    """Count rows from ``start`` on, up to the first that needs more room; its index, or how many rows there are."""
    for i in range(start, len(rows)):
        parse_row(rows[i], words.ctypes.data, NETWORK)
        if words[w.PRESENT] >> w.TRANSPORT & 1 == 0 or words[w.TRANSPORT] != _TCP:
            totals[_LONGEST] = max(totals[_LONGEST], words[w.WIRE_LENGTH] - ETHERNET_BYTES)
        mac = words[w.SOURCE]
        vlan = words[w.TAG] & VID_BITS if words[w.PRESENT] >> w.TAG & 1 else 0
        if mac == 0 or mac >> _GROUP_BIT & 1:
            totals[_IGNORED] += 1
            vlan_frames[vlan] += 1
            continue
        slot = _slot_of(slots, sources, mac)
        if slots[slot] < 0:
            if totals[_USED] == len(sources):
                return i
            slots[slot] = totals[_USED]
            sources[totals[_USED], _MAC] = mac
            totals[_USED] += 1
        source = sources[slots[slot]]
        vlan_frames[vlan] += 1
        source[_FRAMES] += 1
        source[_CONTROL] += _is_control(words[w.DESTINATION])
        _note_vlan(source, vlan)
        _note_addresses(source, words)
    return len(rows)


@frozen
class Machine:
    """One source MAC, and what its frames say."""

    row: list[int] = field(repr=False)

    @property
    def mac(self) -> Mac:
        """Its address."""
        return Mac(self.row[_MAC])

    @property
    def frames(self) -> int:
        """How many it sent."""
        return self.row[_FRAMES]

    @property
    def vlans(self) -> dict[int, int]:
        """Frames by VLAN, most first; 0: untagged."""
        ends = _VLAN_AT + 2 * min(self.row[_VLANS], _MOST_VLANS)
        pairs = zip(self.row[_VLAN_AT:ends:2], self.row[_VLAN_AT + 1 : ends : 2], strict=True)
        return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))

    @property
    def has_more_vlans(self) -> bool:
        """Whether it sent in more VLANs than :attr:`vlans` has."""
        return self.row[_VLANS] > _MOST_VLANS

    @property
    def vlan(self) -> int:
        """The VLAN of its port group."""
        main, frames = next(iter(self.vlans.items()))
        return main if self.frames - frames <= STRAY_SHARE * self.frames else ALL_VLANS

    @property
    def addresses(self) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
        """The IP addresses that it speaks for; at most one more than a VM may have."""
        return [_address(*self.row[at : at + 2]) for at in range(_ADDRESS_AT, self._addresses_end, 2)]

    @property
    def only_ipv4(self) -> ipaddress.IPv4Address | None:
        """Its IPv4 address, if it has just one."""
        found = [address for address in self.addresses if isinstance(address, ipaddress.IPv4Address)]
        return found[0] if len(found) == 1 and not self.is_router else None

    @property
    def is_router(self) -> bool:
        """Whether it speaks for too many IP addresses to be their owner."""
        return self.row[_ADDRESSES] > MOST_ADDRESSES

    @property
    def is_switch(self) -> bool:
        """Whether it sends nothing but what bridges say to each other."""
        return self.row[_CONTROL] == self.frames

    @property
    def _addresses_end(self) -> int:
        return _ADDRESS_AT + 2 * self.row[_ADDRESSES]


def _address(high: int, low: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if high == 0 and low >> 32 == 0xFFFF:
        return ipaddress.IPv4Address(low & 0xFFFFFFFF)
    return ipaddress.IPv6Address((high & (1 << 64) - 1) << 64 | low & (1 << 64) - 1)

"""The receive filter: which destination addresses a port's guest takes (vmkapi_net_eth.h).

A port has one unicast address, and up to 32 exact multicast addresses. With more than 32 it falls back on a filter of
64 bits, in which other groups can collide with the wanted ones. Broadcast is always taken; a promiscuous port has no
filter in its chain.
"""

from binascii import crc32
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from attrs import frozen

from iochain.chain import Drop, Port, Reason, Verdict
from iochain.frame import BROADCAST, Derived, Frame, Mac
from iochain.kernels import words as w
from iochain.kernels.compiled import part
from iochain.kernels.parse import word

EXACT_SLOTS: Final = 32


@frozen
class ReceiveFilter:
    """``groups``: multicast addresses that the guest asked for, None for all; ``hashed``: 64 bits, 0 if not in use."""

    groups: frozenset[Mac] | None = None
    hashed: int = 0

    @classmethod
    def of(cls, groups: Iterable[Mac] | None) -> "ReceiveFilter":
        """The filter for these groups: exact up to 32 of them, hashed beyond."""
        if groups is None:
            return cls()
        wanted = frozenset(groups)
        if len(wanted) <= EXACT_SLOTS:
            return cls(wanted)
        hashed = 0
        for group in wanted:
            hashed |= 1 << multicast_hash(group)
        return cls(frozenset(), hashed)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        if not frame.destination.is_group:
            return frame if frame.destination == port.effective_mac else Drop(Reason.RECEIVE_FILTER, "of another port")
        if self.groups is None or frame.destination == BROADCAST or any(frame.destination == g for g in self.groups):
            return frame
        if self.hashed and self.hashed >> frame.derive(_hash_field()) & 1:
            return frame
        return Drop(Reason.RECEIVE_FILTER, "a group that the guest did not ask for")


def multicast_hash(group: int) -> int:
    """The bit of the 64-bit filter for a multicast address: little-endian CRC-32, not inverted, its top six bits.

    The header says only "LANCE style"; this is what Linux' drivers of that family do.
    """
    return (crc32(int(group).to_bytes(6, "big")) ^ 0xFFFFFFFF) >> 26


def ipv4_group_mac(address: int) -> Mac:
    """The MAC of an IPv4 multicast group: 01:00:5e and its low 23 bits; 32 groups share each (RFC 1112, 6.4)."""
    return Mac(0x01005E000000 | address & 0x7FFFFF)


def ipv6_group_mac(address: int) -> Mac:
    """The MAC of an IPv6 multicast group: 33:33 and its low 32 bits (RFC 2464, 7)."""
    return Mac(0x333300000000 | address & 0xFFFFFFFF)


@cache
def _hash_field() -> Derived:
    return Derived("multicast hash", hash_of_destination, 0, 64)


@part
def hash_of_destination(words: Any, _argument: int) -> int:
    """:func:`multicast_hash` of a frame's destination, for both engines."""
    crc = 0xFFFFFFFF
    for shift in range(40, -8, -8):
        crc ^= word(words, w.DESTINATION) >> shift & 0xFF
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc >> 26

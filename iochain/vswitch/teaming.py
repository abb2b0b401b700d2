"""Teaming: which uplink a frame takes, by the policy of the sending port group (vSphere Networking, "Teaming").

A stage of this module stands between forwarding and the uplinks. The uplinks *in use* are an entry of a table, kept by
whoever watches the links: active ones that are up, a standby in the place of each failed one, in the active order.
Where a formula is not published it is the emulator's choice, named as such; the lab's options switch it.

Beacon probing has two stages of its own, in the chains only where a team probes: one that takes the beacons in, and one
that sends on all uplinks while the beacons do not tell which of them failed.
"""

from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any, Final, Protocol

import numpy as np
from attrs import field, frozen

from iochain.chain import Consumed, Drop, Port, Ports, Reason, Verdict
from iochain.frame import Derived, Frame, Table
from iochain.kernels import words as w
from iochain.kernels.compiled import part
from iochain.kernels.parse import word

InUse = Table[str, tuple[str, ...]]
"""Uplinks in use, by the name of the team."""

BEACON_TYPE: Final = 0x8922
"""EtherType of beacons since ESX 4.1 (captures published by E. Tran and K. Elatov)."""

_UNTAGGED_NETWORK_OFFSET = 14


class Teaming(Protocol):
    """What the stages of this module have in common."""

    @property
    def team(self) -> str:
        """The name of the team."""

    @property
    def in_use(self) -> InUse:
        """The table of uplinks in use."""

    def home(self, uplinks: tuple[str, ...], port: Port) -> tuple[str, ...]:
        """The uplinks by which a port gets group frames: one, so that it gets one copy; all where they are one link."""

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        """The uplink for a frame that came in by a port."""


def in_use(active: tuple[str, ...], standby: tuple[str, ...], up: Collection[str]) -> tuple[str, ...]:
    """The uplinks that carry traffic: each active one that is up, or in its slot the next standby that is up."""
    spare = [uplink for uplink in standby if uplink in up]
    slots = [uplink if uplink in up else spare.pop(0) if spare else None for uplink in active]
    return tuple(uplink for uplink in slots if uplink is not None) or tuple(spare[:1])


def first_in_order(active: tuple[str, ...], standby: tuple[str, ...], up: Collection[str]) -> tuple[str, ...]:
    """The one uplink of explicit failover order: the first that is up, active before standby."""
    return tuple(uplink for uplink in active + standby if uplink in up)[:1]


def slots(active: Sequence[str], standby: Sequence[str], up: Collection[str]) -> tuple[str | None, ...]:
    """The places of a team, one for each active uplink, and who has each at the start; None: nobody."""
    spare = [uplink for uplink in standby if uplink in up]
    if not active:
        return tuple(spare[:1])
    return tuple(uplink if uplink in up else spare.pop(0) if spare else None for uplink in active)


def slots_kept(
    before: Sequence[str | None], active: Sequence[str], standby: Sequence[str], up: Collection[str]
) -> tuple[str | None, ...]:
    """The same without failback: who has a place keeps it while it is up; a free one goes to the first idle uplink.

    That is "rolling order" (API reference, HostNicTeamingPolicy.rollingOrder): an uplink that comes back stays idle
    until another fails.
    """
    kept = [uplink if uplink in up else None for uplink in before or (None,)]
    idle = [uplink for uplink in (*active, *standby) if uplink in up and uplink not in kept]
    return tuple(idle.pop(0) if uplink is None and idle else uplink for uplink in kept)


@frozen
class Shotgun:
    """While beacons are ambiguous every frame goes out by every uplink that has a link (vSphere Networking 6.5 p. 98).

    ``everywhere`` has these uplinks by team; none: the beacons tell, and the teaming policy chooses.
    """

    team: str
    everywhere: InUse = field(repr=False)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        uplinks = frame.ask(self.everywhere, self.team)
        return Ports(uplinks) if uplinks else frame


@frozen
class TakeBeacons:
    """Beacons of this host's own uplinks end here; those of other hosts are broadcasts like any other."""

    nics: Table[int, str] = field(repr=False)  # own physical NICs by MAC; empty: none of them

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        if frame.ethertype != BEACON_TYPE:
            return frame
        sender = frame.ask(self.nics, frame.source)
        return Consumed(Reason.BEACON, f"of {sender}") if sender else frame


@frozen
class ByPort:
    """Route based on originating virtual port: a port keeps its uplink until the team changes.

    The header calls it a hash of the port id, no more; here it is the port number modulo the uplinks in use, or with
    ``by_turn`` the ports one after the other as they connected (both published by observers).
    """

    team: str
    in_use: InUse = field(repr=False)
    by_turn: bool = False

    def home(self, uplinks: tuple[str, ...], port: Port) -> tuple[str, ...]:
        """The uplink that the port itself sends by."""
        turn = port.turn if self.by_turn else port.port_number
        return (uplinks[turn % len(uplinks)],) if uplinks else ()

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        return _to(self.home(frame.ask(self.in_use, self.team), port))


@frozen
class BySourceMac:
    """Route based on source MAC hash: the last byte modulo the uplinks in use (an observation, not a statement)."""

    team: str
    in_use: InUse = field(repr=False)

    def home(self, uplinks: tuple[str, ...], port: Port) -> tuple[str, ...]:
        """The uplink for the port's own MAC."""
        own = port.effective_mac
        return (uplinks[(own or 0) % 256 % len(uplinks)],) if uplinks else ()

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        return _hashed(frame, frame.ask(self.in_use, self.team), source_mac_hash)


@frozen
class ByIpHash:
    """Route based on IP hash: the addresses XORed, modulo the uplinks in use; all of them are one logical link.

    Two forms are published: whole addresses (KB 1007371), last octets (vSphere Networking 7.0). They differ only where
    the number of uplinks is no power of two. For IPv6 nothing is: the low 32 bits are taken. For other frames the
    words at the place of IPv4's addresses are (vSphere Networking 7.0).
    """

    team: str
    in_use: InUse = field(repr=False)
    last_octet: bool = False

    def home(self, uplinks: tuple[str, ...], port: Port) -> tuple[str, ...]:
        """All uplinks: the physical switch has them as one channel and sends one copy."""
        return uplinks

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        form = ip_hash_last_octet if self.last_octet else ip_hash_full
        return _hashed(frame, frame.ask(self.in_use, self.team), form)


@frozen
class Explicit:
    """Use explicit failover order: the first uplink that is up."""

    team: str
    in_use: InUse = field(repr=False)

    def home(self, uplinks: tuple[str, ...], port: Port) -> tuple[str, ...]:
        """The one in use."""
        return uplinks[:1]

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        return _to(frame.ask(self.in_use, self.team)[:1])


@frozen
class NoTeaming:
    """The type "none": all frames to uplinks are dropped (vmkapi_net_port_incompat.h)."""

    team: str
    in_use: InUse = field(repr=False)

    def home(self, uplinks: tuple[str, ...], port: Port) -> tuple[str, ...]:
        """None."""
        return ()

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        return Drop(Reason.NO_TEAMING)


def _to(uplinks: tuple[str, ...]) -> Verdict:
    return Ports(uplinks) if uplinks else Drop(Reason.NO_UPLINK)


def _hashed(frame: Frame, uplinks: tuple[str, ...], function: Callable[..., int]) -> Verdict:
    if not uplinks:
        return Drop(Reason.NO_UPLINK)
    return Ports((uplinks[frame.derive(_modulo(function, len(uplinks)))],))


@cache
def _modulo(function: Callable[..., int], uplinks: int) -> Derived:
    return Derived(f"{function.__name__.replace('_', ' ')} of {uplinks}", function, uplinks, uplinks)


@part
def source_mac_hash(words: Any, uplinks: int) -> int:
    """The last byte of the source MAC, modulo the number of uplinks."""
    return (word(words, w.SOURCE) & 0xFF) % uplinks


@part
def _xor_of_addresses(words: Any) -> int:
    """The 32 bits that both forms of the IP hash reduce; a Python function too, for the forms' Python forms."""
    present = word(words, w.PRESENT)
    if present >> w.NETWORK_OFFSET & 1 and word(words, w.NETWORK_OFFSET) == _UNTAGGED_NETWORK_OFFSET:
        if present >> w.IPV4_DESTINATION & 1:
            return word(words, w.IPV4_SOURCE) ^ word(words, w.IPV4_DESTINATION)
        if present >> w.IPV6_DESTINATION_LOW & 1:
            return (word(words, w.IPV6_SOURCE_LOW) ^ word(words, w.IPV6_DESTINATION_LOW)) & 0xFFFFFFFF
    if present >> w.WORD_AT_30 & 1:
        return word(words, w.WORD_AT_26) ^ word(words, w.WORD_AT_30)
    return 0


@part
def _remainder(number: int, uplinks: int) -> int:
    """A 32-bit number modulo the uplinks of a team: nearly always 1, 2 or 4, and dividing takes six times as long."""
    if uplinks & (uplinks - 1) == 0:
        return number & (uplinks - 1)
    return np.int64(np.uint32(number) % np.uint32(uplinks))  # type: ignore[return-value]


@part
def ip_hash_full(words: Any, uplinks: int) -> int:
    """The XOR of the 32-bit addresses, modulo the number of uplinks (KB 1007371)."""
    return _remainder(_xor_of_addresses(words), uplinks)


@part
def ip_hash_last_octet(words: Any, uplinks: int) -> int:
    """The XOR of the last octets, modulo the number of uplinks (vSphere Networking 7.0)."""
    return _remainder(_xor_of_addresses(words) & 0xFF, uplinks)

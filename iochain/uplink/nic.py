"""The physical NIC's header stages: link, and the VLAN tag at the border between frame and metadata.

Received: VLAN 4095 in a tag is refused; VLAN 0 names none, but its priority is kept. Sent: a tag is put in if VLAN or
priority are not zero, as VLAN | priority << 13; the drop eligible bit is not among what the kernel keeps
(linux_net.c and vmkapi_net_pkt.h of ESXi 6.7).
"""

from functools import cache
from typing import Any, Final

import numpy as np
from attrs import field, frozen

from iochain.chain import Drop, Port, Reason, Verdict
from iochain.frame import ALL_VLANS, DEI_BIT, Derived, Frame, Table
from iochain.kernels import words as w
from iochain.kernels.compiled import part
from iochain.kernels.parse import word
from iochain.kernels.rows import ETHERNET_BYTES, TAG_BYTES

TCP: Final = 6
_TPID: Final = 0x8100


@frozen
class Link:
    """Nothing passes a NIC without a link. ``up`` answers for the number of the uplink's port."""

    up: Table[int, bool] = field(repr=False)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        return frame if frame.ask(self.up, port.number) else Drop(Reason.LINK_DOWN)


@frozen
class ReceivedTag:
    """A tag that came from the wire: 4095 is no VLAN; what the kernel keeps of others is as in :class:`SentTag`."""

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        return Drop(Reason.INVALID_TAG) if frame.vlan == ALL_VLANS else _kept(frame)


@frozen
class SentTag:
    """The tag that the NIC puts in: none where VLAN and priority are both zero, and never with the DEI bit."""

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        return _kept(frame)


def _kept(frame: Frame) -> Frame:
    """The frame with the tag that VLAN and priority make, which is none if both are zero."""
    tci = frame.tci
    if tci is None or (frame.vlan != 0 and not tci & DEI_BIT):
        return frame
    kept = int(tci) & ~DEI_BIT
    return frame.with_tci(kept) if kept else frame.untagged()


@frozen
class Mtu:
    """Refuses what is longer than the MTU, layer 2 header and tags not counted (KB 419088; linux_net.c).

    A large packet, known by its segment size, passes: it is segmented behind, where its segments must fit. Where there
    are no offloads nobody knows large packets: all TCP passes (``tcp_passes``).
    """

    mtu: int
    tcp_passes: bool = False

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        if not frame.derive(longer_than(self.mtu)) or frame.mss is not None:
            return frame
        if self.tcp_passes and frame.transport == TCP:
            return frame
        return Drop(Reason.MTU_EXCEEDED, f"more than {self.mtu} bytes")


@cache
def longer_than(mtu: int) -> Derived:
    """Whether a frame is longer than ``mtu`` bytes behind its layer 2 header."""
    return Derived(f"longer than {mtu}", payload_is_longer, mtu, 2)


@part
def payload_is_longer(words: Any, mtu: int) -> int:
    """1 if the frame is longer than ``mtu`` behind its layer 2 header: 14 bytes, 18 with a tag in the frame."""
    header = ETHERNET_BYTES + (TAG_BYTES if word(words, w.ETHERTYPE) == _TPID else 0)
    return np.int64(word(words, w.WIRE_LENGTH) - header > mtu)  # type: ignore[return-value]

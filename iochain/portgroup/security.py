"""The security policies of a port group (vSphere Security, "Securing vSphere Standard Switches").

Promiscuous mode and MAC address changes decide what a port receives: the switch's tables of ports hold only what was
granted, so they need no stage in the way of a frame. Forged transmits is one: it is in the chain where the policy is
Reject, and not there where it is Accept.
"""

from enum import Enum, auto

from attrs import frozen

from iochain.chain import Drop, Port, Reason, Verdict
from iochain.frame import Frame, Mac, Table


@frozen
class ForgedTransmits:
    """Reject: a frame whose source is not the port's MAC is dropped; the guest is not told.

    The Security guide compares with the effective MAC, the Networking guide with that of the VM's configuration;
    ``initial`` picks the second.
    """

    initial: bool = False

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        own = port.initial_mac if self.initial else port.effective_mac
        return frame if frame.source == own else Drop(Reason.FORGED_TRANSMITS)


@frozen
class PromiscuousScope:
    """Keeps from a promiscuous port what neither comes from nor goes to its own port group (KB 324553).

    Present only where the option asks for it: KB 1002934 says that a promiscuous port sees the whole switch.
    ``portgroups`` answers for the number of a port, ``owners`` for (VLAN, MAC), with names of port groups.
    """

    portgroups: Table[int, str]
    owners: Table[tuple[int, int], tuple[str, ...]]

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        if frame.destination.is_group:
            return frame
        if frame.entry is not None and frame.ask(self.portgroups, frame.entry) == port.portgroup:
            return frame
        vlan = frame.vlan
        if port.portgroup in frame.ask(self.owners, 0 if vlan is None else vlan, frame.destination):
            return frame
        return Drop(Reason.RECEIVE_FILTER, "of another port group")


@frozen
class Disconnected:
    """The vNIC's "connected" box is not ticked: nothing passes."""

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        return Drop(Reason.DISCONNECTED)


STP_GROUP = Mac("01:80:c2:00:00:00")
PVST_GROUP = Mac("01:00:0c:cc:cc:cd")
_LLC_STP = 0x424203
_LLC_SNAP = 0xAAAA03


class Bpdu(Enum):
    """Kinds of BPDUs."""

    STP = auto()
    PVST = auto()

    @property
    def rule(self) -> str:
        """What a drop says of it."""
        return "PVST+" if self is Bpdu.PVST else ""


def bpdu_of(frame: Frame) -> Bpdu | None:
    """The kind of BPDU that a frame is, None if it is none.

    A BPDU is LLC 42 42 03 to 01:80:c2:00:00:00 (IEEE 802.1D), or SNAP to 01:00:0c:cc:cc:cd (Cisco's PVST+).
    """
    if not frame.destination.is_group:
        return None
    if frame.destination == STP_GROUP and frame.llc == _LLC_STP:
        return Bpdu.STP
    if frame.destination == PVST_GROUP and frame.llc == _LLC_SNAP:
        return Bpdu.PVST
    return None


@frozen
class GuestBpdu:
    """Drops spanning tree frames that guests send (Net.BlockGuestBPDU; vSphere Troubleshooting, BPDU)."""

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        kind = bpdu_of(frame)
        return Drop(Reason.GUEST_BPDU, kind.rule) if kind else frame

"""The reverse path check, on the way to a port: which frames from uplinks its team lets in. It stands only here.

A frame that a port group sends by one uplink comes back by the others where the physical switch floods it
(API, HostNicTeamingPolicy.reversePolicy; Net.ReversePathFwdCheck; KB 59235 for promiscuous ports). A published capture
shows the copies of the other uplinks at PortOutput and no more at VnicRx, hence the place at the head of the chain.
Which uplink counts for which frame is inferred from those texts.
"""

from attrs import field, frozen

from iochain.chain import Drop, Port, Reason, Verdict
from iochain.frame import Frame, Table
from iochain.vswitch.teaming import InUse, Teaming


@frozen
class ReversePath:
    """Lets a group frame in by the one uplink that the port's team uses for it, unicast by any active or used one.

    A group frame whose source is a port of this switch is its own reflection, and dropped while ``fwd_check`` is on.
    Ports in promiscuous mode have this stage only where Net.ReversePathFwdCheckPromisc is 1. ``uplinks`` gives the
    name of an uplink by port number (empty: not an uplink), ``own`` tells the MACs of this switch's ports. While
    beacons are ambiguous ``everywhere`` names the uplinks that all is sent on, and all of them are listened to.
    """

    teaming: Teaming = field(repr=False)
    active: tuple[str, ...]
    fwd_check: bool
    uplinks: Table[int, str] = field(repr=False)
    own: Table[int, bool] = field(repr=False)
    everywhere: InUse | None = field(default=None, repr=False)  # None: the team sends no beacons

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        if not frame.from_uplink or frame.entry is None:
            return frame
        uplink = frame.ask(self.uplinks, frame.entry)
        in_use = frame.ask(self.teaming.in_use, self.teaming.team)
        if not frame.destination.is_group:
            return frame if uplink in in_use or uplink in self.active else Drop(Reason.REVERSE_PATH, f"by {uplink}")
        if self.fwd_check and frame.ask(self.own, frame.source):
            return Drop(Reason.REFLECTION, f"by {uplink}")
        if uplink in self.teaming.home(in_use, port):
            return frame
        if self.everywhere is not None and uplink in frame.ask(self.everywhere, self.teaming.team):
            return frame
        return Drop(Reason.REVERSE_PATH, f"by {uplink}")

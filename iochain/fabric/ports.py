"""What a port of a physical switch lets in and out: link, spanning tree, BPDU Guard, frame size.

The spanning tree is not run frame by frame: it is computed from the cables (:mod:`iochain.topology.spanning`), and what
it comes to is an entry of a table. So a switch sends no BPDUs, and those that come in change nothing but what BPDU
Guard makes of them.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from attrs import field, frozen

from iochain.chain import Consumed, Drop, From, Port, Reason, Verdict
from iochain.frame import Frame, Table
from iochain.portgroup.security import bpdu_of
from iochain.uplink.nic import longer_than

_RESERVED: Final = 0x0180C2000000 >> 4
_LEAST_HEADERS: Final = 40  # of IPv4 and TCP without options


class PortState(Enum):
    """What a port of a physical switch is good for at a moment."""

    FORWARDING = "forwarding"
    BLOCKED = "blocked"
    NO_LINK = "no link"
    ERR_DISABLED = "err-disabled"

    def __repr__(self) -> str:
        return f"PortState.{self.name}"


States = Table[int, PortState]
"""States by port number."""

_REASONS: Final = {
    PortState.BLOCKED: Reason.BLOCKED,
    PortState.NO_LINK: Reason.NO_LINK,
    PortState.ERR_DISABLED: Reason.ERR_DISABLED,
}


@frozen
class OpenPort:
    """Lets frames through a port that forwards, and none through another; ``said``: the settings behind its states."""

    states: States = field(repr=False)
    said: Mapping[PortState, From] = field(factory=dict, eq=False, repr=False)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        state = frame.ask(self.states, port.number)
        return frame if state == PortState.FORWARDING else Drop(_REASONS[state], setting=self.said.get(state))


@frozen
class BpduGuard:
    """A BPDU that comes in shuts the port (err-disable) until somebody opens it (vSphere Troubleshooting, BPDU)."""

    states: States = field(repr=False)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        if bpdu_of(frame) is None:
            return frame
        frame.learn(self.states, port.number, answer=PortState.ERR_DISABLED)
        return Drop(Reason.BPDU_GUARD)


@frozen
class ForTheSwitch:
    """Takes in what a switch does not relay: 01:80:c2:00:00:00 to 0f (IEEE 802.1Q, 8.6.3), and PVST+ BPDUs.

    A switch without spanning tree relays BPDUs like other group frames, but nothing else of these.
    """

    spanning_tree: bool = True

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        if not frame.destination.is_group:
            return frame
        if bpdu_of(frame) is not None:
            return Consumed(Reason.FOR_THE_SWITCH, "a BPDU") if self.spanning_tree else frame
        return Consumed(Reason.FOR_THE_SWITCH) if frame.destination >> 4 == _RESERVED else frame


@frozen
class SwitchMtu:
    """Refuses what is longer than the MTU, layer 2 header and tags not counted.

    Of a super-frame that no NIC has cut it is the segments that count; their headers are taken to be the shortest.
    """

    mtu: int

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        if not frame.derive(longer_than(self.mtu)):
            return frame
        if frame.mss is not None and frame.mss <= self.mtu - _LEAST_HEADERS:
            return frame
        return Drop(Reason.MTU_EXCEEDED, f"more than {self.mtu} bytes")

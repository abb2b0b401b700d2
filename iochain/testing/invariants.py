"""What has to hold for every frame of every lab, told by nothing but the lab and where copies came out.

Each is a function of a frame that was sent; it raises AssertionError, with the explanation, where it does not hold.
Behind cables other rules than a host's say where frames go, so isolation and echo are looked at in labs without them.
"""

from collections import Counter
from collections.abc import Callable
from typing import NoReturn, TypeAlias

from iochain.chain import Port
from iochain.frame import ALL_VLANS, VID_BITS
from iochain.testing.framebytes import FrameBytes
from iochain.testing.sentences import Sent

Invariant: TypeAlias = Callable[[Sent], None]

_IN = ("entered", "generated", "copied", "split")
_OUT = ("delivered", "dropped", "merged", "consumed", "held")


def conservation(sent: Sent) -> None:
    """No copy vanishes and none comes of nothing."""
    came, went = (sum(sent.counted.get(name, 0) for name in names) for names in (_IN, _OUT))
    told = len(sent.outcome.deliveries) + len(sent.outcome.drops)
    counted = sent.counted.get("delivered", 0) + sent.counted.get("dropped", 0)
    others = sent.counted.get("generated", 0) > 0 or sent.counted.get("held", 0) < 0  # events brought them
    if came != went or told > counted or (told < counted and not others):
        _fail(sent, f"was not conserved: {came} copies came, {went} went ({dict(sent.counted)}), {told} are told of")


def isolation(sent: Sent) -> None:
    """Copies stay on the switch, and in the VLAN, that the frame came in by."""
    if _has_cables(sent):
        return
    origin = sent.wiring.port(sent.at)
    vlan, stacked = _vlan(origin, sent.frame), _is_stacked(sent.frame)
    for fate in sent.outcome.deliveries:
        port = sent.wiring.port(fate.port)
        if (port.host, port.switch) != (origin.host, origin.switch):
            _fail(sent, f"left its switch: a copy reached {port.name} of {port.switch} on {port.host}")
        own = _vlan(port, FrameBytes(fate.data))
        if own != vlan and not (stacked and _tells_by_tag(port)):  # an inner tag may have come to the front
            _fail(sent, f"left VLAN {vlan}: a copy reached {port.name} in VLAN {own}")


def no_echo(sent: Sent) -> None:
    """No copy goes back to the port that the frame came in by, and none from uplink to uplink."""
    if _has_cables(sent):
        return
    origin = sent.wiring.port(sent.at)
    for fate in sent.outcome.deliveries:
        port = sent.wiring.port(fate.port)
        if port.name == origin.name:
            _fail(sent, f"came back to its own port {port.name}")
        if origin.uplink and port.uplink:
            _fail(sent, f"went from uplink to uplink: a copy reached {port.name}")


def one_copy(sent: Sent) -> None:
    """No port gets the same frame twice."""
    for (port, _), count in Counter((fate.port, fate.data) for fate in sent.outcome.deliveries).items():
        if count > 1:
            _fail(sent, f"reached {port} {count} times")


def _has_cables(sent: Sent) -> bool:
    return bool(getattr(sent.wiring, "cables", ()))


def _tells_by_tag(port: Port) -> bool:
    """Whether frames at a port say their VLAN by their tag: at uplinks and where guests tag."""
    return port.uplink or port.vlan == ALL_VLANS


def _vlan(port: Port, frame: FrameBytes) -> int:
    """The VLAN of a frame outside a port: the port's, or what its tag names; 0 for none.

    On a port group without VLAN a guest's own tag counts where the lab lets it pass.
    """
    if port.vlan not in (None, 0, ALL_VLANS):
        return port.vlan or 0
    tci = frame.seen().carried_tag
    return tci & VID_BITS if tci >= 0 else 0


def _is_stacked(frame: FrameBytes) -> bool:
    return frame.seen().ethertype in (0x8100, 0x88A8, 0x9100)


def _fail(sent: Sent, what: str) -> NoReturn:
    raise AssertionError(f"the frame sent at {sent.at} {what}\n{sent.frame!r}\n{sent.why}")

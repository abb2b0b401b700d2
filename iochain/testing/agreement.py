"""Both engines on one stage: frames through a lab in which nothing but that stage decides."""

from collections.abc import Sequence
from typing import Any, Final

from iochain.chain import Drop, Element, Port, Ports, Reason, Verdict
from iochain.engine.network import Engine, Network
from iochain.frame import Frame
from iochain.lab import Lab
from iochain.replay import Fate, fates_of
from iochain.testing.breaches import ContractError
from iochain.testing.framebytes import FrameBytes, batch_of_frames
from iochain.topology.wiring import Wiring

_GAP_NS: Final = 1_000_000


def check_engines(element: Element, port: Port, frames: Sequence[FrameBytes]) -> None:
    """Each frame fares alike in both engines, where it comes first and where the like of it came before."""
    sent = [*frames, *frames]
    plain, paths = (_fates(element, port, sent, engine) for engine in (Engine.PLAIN, Engine.PATHS))
    for frame, one, other in zip(sent, plain, paths, strict=True):
        if one != other:
            what = (
                f"fares otherwise where paths are remembered: {_shown(other)}, and {_shown(one)} where all are walked"
            )
            raise ContractError(element, what, frame, port)


def _fates(element: Element, port: Port, frames: Sequence[FrameBytes], engine: Engine) -> list[list[Fate]]:
    """The fates of each frame, in a network of its own."""
    wiring = _lab(element.stage, port)
    network = Network.of(wiring, engine=engine)
    batch = batch_of_frames((frame, number * _GAP_NS) for number, frame in enumerate(frames))
    batch.rows["port"] = wiring.port("from").number
    found: list[list[Fate]] = [[] for _ in frames]
    try:
        for fate in fates_of(wiring, network.run(batch)):
            found[fate.frame - 1].append(fate)
    finally:
        network.restore()
    return found


def _lab(stage: Any, port: Port) -> Wiring:
    """Two ports and nothing between them but the stage; it is called with a port of its own, and its choice of ports,
    which this lab may not have, becomes a drop that names them."""

    def checked(frame: Frame, _: Port) -> Verdict:
        verdict: Verdict = stage(frame, port)
        return Drop(Reason.STAGE, repr(verdict)) if isinstance(verdict, Ports) else verdict

    def across(frame: Frame, _: Port) -> Verdict:
        return Ports(("to",))

    lab = Lab()
    portgroup = lab.host("esx1").vswitch("vSwitch0").portgroup("All", vlan=4095)
    for name in ("from", "to"):
        portgroup.vm(name)
    wiring = lab.wiring
    for name in ("from", "to"):
        for direction in ("input", "output"):
            wiring.chain(name, direction).elements.clear()
    for one in (checked, across):
        wiring.chain("from", "input").insert(one)
    return wiring


def _shown(fates: Sequence[Fate]) -> str:
    return " and ".join(f"{fate.dropped or 'delivered'} ({fate.data[12:18].hex(' ')} …)" for fate in fates) or "nothing"

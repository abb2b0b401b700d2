"""Frames of a test in a capture, with their fates as comments."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from iochain.capture import OutInterface, PcapngWriter
from iochain.replay import comment_of
from iochain.testing.framebytes import batch_of_frames
from iochain.testing.sentences import Sent
from iochain.topology.wiring import Wiring

_INBOUND: Final = 1
_OUTBOUND: Final = 2


def keep(sent: Iterable[Sent], wiring: Wiring, path: Path) -> int:
    """Write all that was sent, and each copy, to a pcapng with an interface for each port; gives how many frames.

    CaptureError if the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    interfaces = [OutInterface(port.name, f"{port.switch} of {port.host}") for port in wiring.ports]
    with PcapngWriter(path, interfaces) as writer:
        for one in sent:
            _write(writer, wiring, one.at, one.frame, one.time_ns, True, f"sent at {one.at}")
            for fate in (*one.outcome.deliveries, *one.outcome.drops):
                if fate.dropped is None:
                    _write(writer, wiring, fate.port, fate.data, fate.time_ns, False, f"delivered at {fate.port}")
                else:
                    said, incoming = comment_of(fate.dropped), fate.dropped.incoming
                    _write(writer, wiring, fate.port, fate.data, fate.time_ns, incoming, said)
        return writer.frames


def _write(
    writer: PcapngWriter, wiring: Wiring, name: str, data: bytes, time_ns: int, incoming: bool, comment: str
) -> None:
    """A frame on its way into the switch, or out of it; the direction is as the port's client sees it."""
    port = wiring.port(name)
    direction = _INBOUND if incoming == port.uplink else _OUTBOUND
    writer.write(batch_of_frames([(data, time_ns)]), wiring.ports.index(port), direction, writer.comment(comment))

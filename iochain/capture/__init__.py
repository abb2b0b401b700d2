"""Captures: reading and writing pcap and pcapng; a name loads when it is asked for, so that --help stays instant."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iochain.capture.endings import CaptureError, CutShort, Damage, Ending
    from iochain.capture.folder import PcapDirectory
    from iochain.capture.interfaces import Interface
    from iochain.capture.reader import CaptureReader, Piece, read_captures
    from iochain.capture.source import Source
    from iochain.capture.writer import OutInterface, PcapngWriter

__all__ = [
    "CaptureError",
    "CaptureReader",
    "CutShort",
    "Damage",
    "Ending",
    "Interface",
    "OutInterface",
    "PcapDirectory",
    "PcapngWriter",
    "Piece",
    "Source",
    "read_captures",
]

_HOMES = {
    "CaptureError": "endings",
    "CaptureReader": "reader",
    "CutShort": "endings",
    "Damage": "endings",
    "Ending": "endings",
    "Interface": "interfaces",
    "OutInterface": "writer",
    "PcapDirectory": "folder",
    "PcapngWriter": "writer",
    "Piece": "reader",
    "Source": "source",
    "read_captures": "reader",
}


def __getattr__(name: str) -> Any:
    """The public name, from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

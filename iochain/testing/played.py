"""What a sequence of events is made of."""

from typing import TypeAlias

from attrs import frozen

from iochain.experiment.live import Applied
from iochain.testing.framebytes import FrameBytes


@frozen
class Send:
    """A frame that a port's client sends, at a time in ns."""

    frame: FrameBytes
    at: str
    time_ns: int = 0


@frozen
class Happening:
    """Something that happens to the lab (:mod:`iochain.experiment.actions`), at a time in ns."""

    action: Applied
    time_ns: int = 0


Event: TypeAlias = Send | Happening
"""What may stand in a sequence of events."""

"""What can be wrong with a capture: not readable at all, cut short, or damaged in the middle."""

from attrs import frozen


class CaptureError(Exception):
    """A capture cannot be opened, is none, or cannot be written. The message names the file and the reason."""


@frozen
class CutShort:
    """The capture stops inside a record. Everything before it is whole and was handed out."""

    frame: int
    """The number of the last whole frame, from 1; 0 if there is none."""
    byte_offset: int
    """Where the torn record begins, in bytes from the start of the unpacked capture."""

    def __str__(self) -> str:
        return f"cut short after frame {self.frame}, at byte {self.byte_offset}"


@frozen
class Damage:
    """The capture makes no sense from some byte on. Everything before it was handed out."""

    offset: int
    """Where the damaged record begins, in bytes from the start of the unpacked capture."""
    message: str

    def __str__(self) -> str:
        return f"damaged at byte {self.offset}: {self.message}"


Ending = CutShort | Damage

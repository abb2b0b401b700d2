"""What is said of a stage that broke its contract."""

from typing import Final

from iochain.chain import Element, OnPackets, Port
from iochain.testing.framebytes import FrameBytes

RULES: Final = "what a stage must not do stands in docs/writing-a-stage.md"
MOST_SHOWN: Final = 120
"""Characters of a stage's repr."""


class ContractError(AssertionError):
    """A stage broke its contract: which, how, and a frame that shows it."""

    def __init__(self, element: Element, what: str, frame: FrameBytes | None = None, port: Port | None = None) -> None:
        self.what, self.frame = what, frame
        where = f" at port {port.name}" if port else ""
        shown = f"\n  frame: {frame!r}{where}" if frame is not None else ""
        is_function = hasattr(element.stage, "__name__") or isinstance(element.stage, OnPackets)
        said = "" if is_function else f" ({_short(repr(element.stage))})"
        super().__init__(f"stage {element.name!r}{said} {what}{shown}\n  {RULES}")


def _short(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"

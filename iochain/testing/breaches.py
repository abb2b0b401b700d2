"""What is said of a stage that broke its contract."""

from typing import Final

from iochain.chain import Element, Port
from iochain.testing.framebytes import FrameBytes

RULES: Final = "what a stage must not do stands in docs/writing-a-stage.md"


class ContractError(AssertionError):
    """A stage broke its contract: which, how, and a frame that shows it."""

    def __init__(self, element: Element, what: str, frame: FrameBytes | None = None, port: Port | None = None) -> None:
        self.what, self.frame = what, frame
        where = f" at port {port.name}" if port else ""
        shown = f"\n  frame: {frame!r}{where}" if frame is not None else ""
        super().__init__(f"stage {element.name!r} ({element.stage!r}) {what}{shown}\n  {RULES}")

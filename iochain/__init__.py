"""iochain: a packet-level emulator of the ESXi network IOChain. The public names; each loads when it is asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from iochain.version import __version__

if TYPE_CHECKING:
    from iochain.capture import CaptureError
    from iochain.chain import BatchStage, Chain, Drop, From, HeaderStage, Passed, Port, Ports, Reason, Verdict
    from iochain.engine.explanation import Explanation
    from iochain.frame import Frame, Mac, Table
    from iochain.lab import Lab, Net, Outcome
    from iochain.replay import Fate, Replay
    from iochain.topology.mistakes import LabError

_HOMES = {
    "BatchStage": "chain",
    "CaptureError": "capture",
    "Chain": "chain",
    "Drop": "chain",
    "Explanation": "engine.explanation",
    "Fate": "replay",
    "Frame": "frame",
    "From": "chain",
    "HeaderStage": "chain",
    "Lab": "lab",
    "LabError": "topology.mistakes",
    "Mac": "frame",
    "Net": "lab",
    "Outcome": "lab",
    "Passed": "chain",
    "Port": "chain",
    "Ports": "chain",
    "Reason": "chain",
    "Replay": "replay",
    "Table": "frame",
    "Verdict": "chain",
}

__all__ = [
    "BatchStage",
    "CaptureError",
    "Chain",
    "Drop",
    "Explanation",
    "Fate",
    "Frame",
    "From",
    "HeaderStage",
    "Lab",
    "LabError",
    "Mac",
    "Net",
    "Outcome",
    "Passed",
    "Port",
    "Ports",
    "Reason",
    "Replay",
    "Table",
    "Verdict",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """The public name, from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'iochain' has no attribute {name!r}")
    return getattr(import_module(f"iochain.{_HOMES[name]}"), name)

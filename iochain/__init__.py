"""iochain: a packet-level emulator of the ESXi network IOChain. The public names; each loads when it is asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from iochain.version import __version__

if TYPE_CHECKING:
    from iochain.batch import Batch, Instant, Waiting
    from iochain.capture import CaptureError
    from iochain.chain import BatchStage, Chain, Drop, From, HeaderStage, Passed, Port, Ports, Reason, Verdict
    from iochain.engine.explanation import Explanation
    from iochain.engine.network import Engine
    from iochain.engine.walk import StageError
    from iochain.frame import Derived, Frame, Mac, Table
    from iochain.inference import InferredLab, infer
    from iochain.lab import Lab, Net, Outcome
    from iochain.replay import Fate, Replay
    from iochain.topology.mistakes import LabError

_HOMES = {
    "Batch": "batch",
    "BatchStage": "chain",
    "CaptureError": "capture",
    "Chain": "chain",
    "Derived": "frame",
    "Drop": "chain",
    "Engine": "engine.network",
    "Explanation": "engine.explanation",
    "Fate": "replay",
    "Frame": "frame",
    "From": "chain",
    "HeaderStage": "chain",
    "InferredLab": "inference",
    "Instant": "batch",
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
    "StageError": "engine.walk",
    "Table": "frame",
    "Verdict": "chain",
    "Waiting": "batch",
    "infer": "inference",
}

__all__ = [
    "Batch",
    "BatchStage",
    "CaptureError",
    "Chain",
    "Derived",
    "Drop",
    "Engine",
    "Explanation",
    "Fate",
    "Frame",
    "From",
    "HeaderStage",
    "InferredLab",
    "Instant",
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
    "StageError",
    "Table",
    "Verdict",
    "Waiting",
    "__version__",
    "infer",
]


def __getattr__(name: str) -> Any:
    """The public name, from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'iochain' has no attribute {name!r}")
    return getattr(import_module(f"iochain.{_HOMES[name]}"), name)

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
    from iochain.experiment.actions import (
        cut_cable,
        link_down,
        link_speed,
        link_up,
        mend_cable,
        move,
        nic_down,
        nic_up,
        power_off,
        power_on,
        reopen,
        set_mac,
    )
    from iochain.frame import Derived, Frame, Mac, Table
    from iochain.inference import InferredLab, infer
    from iochain.lab import Lab
    from iochain.net import Net, Outcome
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
    "Net": "net",
    "Outcome": "net",
    "Passed": "chain",
    "Port": "chain",
    "Ports": "chain",
    "Reason": "chain",
    "Replay": "replay",
    "StageError": "engine.walk",
    "Table": "frame",
    "Verdict": "chain",
    "Waiting": "batch",
    "cut_cable": "experiment.actions",
    "infer": "inference",
    "link_down": "experiment.actions",
    "link_speed": "experiment.actions",
    "link_up": "experiment.actions",
    "mend_cable": "experiment.actions",
    "move": "experiment.actions",
    "nic_down": "experiment.actions",
    "nic_up": "experiment.actions",
    "power_off": "experiment.actions",
    "power_on": "experiment.actions",
    "reopen": "experiment.actions",
    "set_mac": "experiment.actions",
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
    "cut_cable",
    "infer",
    "link_down",
    "link_speed",
    "link_up",
    "mend_cable",
    "move",
    "nic_down",
    "nic_up",
    "power_off",
    "power_on",
    "reopen",
    "set_mac",
]


def __getattr__(name: str) -> Any:
    """The public name, from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'iochain' has no attribute {name!r}")
    return getattr(import_module(f"iochain.{_HOMES[name]}"), name)

"""For tests of virtual networks: Hypothesis strategies, the contract of stages, machines that play with a lab.

The pytest plugin (:mod:`iochain.testing.plugin`) comes by itself where pytest is. Names load when they are asked for;
the strategies need hypothesis.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iochain.testing.addresses import macs, priorities, tcis, vlan_ids
    from iochain.testing.configurations import labs, security_settings, shaping_settings, teaming_settings
    from iochain.testing.contract import ContractError, check_stage
    from iochain.testing.ethernet import Content, Size, Tagging, frames
    from iochain.testing.events import actions, changes, event_sequences, frames_at, sends
    from iochain.testing.framebytes import FrameBytes, batch_of_frames
    from iochain.testing.invariants import Invariant, conservation, isolation, no_echo, one_copy
    from iochain.testing.machine import LabMachine
    from iochain.testing.played import Happening, Send
    from iochain.testing.sentences import CheckedNet, Sent

_HOMES = {
    "CheckedNet": "sentences",
    "Content": "ethernet",
    "ContractError": "contract",
    "FrameBytes": "framebytes",
    "Happening": "played",
    "Invariant": "invariants",
    "LabMachine": "machine",
    "Send": "played",
    "Sent": "sentences",
    "Size": "ethernet",
    "Tagging": "ethernet",
    "actions": "events",
    "batch_of_frames": "framebytes",
    "changes": "events",
    "check_stage": "contract",
    "conservation": "invariants",
    "event_sequences": "events",
    "frames": "ethernet",
    "frames_at": "events",
    "isolation": "invariants",
    "labs": "configurations",
    "macs": "addresses",
    "no_echo": "invariants",
    "one_copy": "invariants",
    "priorities": "addresses",
    "security_settings": "configurations",
    "sends": "events",
    "shaping_settings": "configurations",
    "tcis": "addresses",
    "teaming_settings": "configurations",
    "vlan_ids": "addresses",
}

__all__ = [
    "CheckedNet",
    "Content",
    "ContractError",
    "FrameBytes",
    "Happening",
    "Invariant",
    "LabMachine",
    "Send",
    "Sent",
    "Size",
    "Tagging",
    "actions",
    "batch_of_frames",
    "changes",
    "check_stage",
    "conservation",
    "event_sequences",
    "frames",
    "frames_at",
    "isolation",
    "labs",
    "macs",
    "no_echo",
    "one_copy",
    "priorities",
    "security_settings",
    "sends",
    "shaping_settings",
    "tcis",
    "teaming_settings",
    "vlan_ids",
]


def __getattr__(name: str) -> Any:
    """The public name, from the module that defines it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'iochain.testing' has no attribute {name!r}")
    return getattr(import_module(f"iochain.testing.{_HOMES[name]}"), name)

"""Which of the frames that were tried break a rule: the meaning of statements, on columns."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from iochain.chain import Port
from iochain.frame import VID_BITS
from iochain.kernels import words as w
from iochain.verify.conditions import FIELDS, Mask
from iochain.verify.statements import Isolated, Never, NoSpoofing, Only, Ports, Reaches, Rule
from iochain.verify.trial import Numbers, Trial

Broken: TypeAlias = tuple[Numbers, Numbers]
"""Indices of frames that break a rule, each with the port where it shows."""


def breaches(rule: Rule, trial: Trial, ports: Sequence[Port], number: int = 0) -> Broken:
    """The frames of a trial that break a rule; ``number`` is the rule's, by which its wishes are known."""
    match rule:
        case Reaches():
            return _unmet(rule, trial, number)
        case Isolated(a=a, b=b):
            in_a, in_b = _inside(a, ports), _inside(b, ports)
            sender, port = trial.sender[trial.frame], trial.port
            return _where(trial, in_a[sender] & in_b[port] | in_b[sender] & in_a[port])
        case Never():
            allowed = _inside(rule.at, ports)[trial.port] & _inside(rule.source, ports)[trial.sender[trial.frame]]
            like = rule.frames.holds(trial.copies) & rule.sent.holds(trial.sent)[trial.frame]
            return _where(trial, allowed & like)
        case NoSpoofing():
            sends = _inside(rule.ports, ports)[trial.sender]
            forged = sends & (trial.sent[:, w.SOURCE] != _own_macs(ports)[trial.sender])
            for mac in rule.macs:
                forged &= trial.sent[:, w.SOURCE] != mac
            return _where(trial, forged[trial.frame])
        case Only():
            tags, _ = FIELDS["vlan"].column(trial.copies)
            of_policy = np.zeros(VID_BITS + 1, bool)
            of_policy[sorted(rule.vlans)] = True
            return _where(trial, _inside(rule.at, ports)[trial.port] & ~of_policy[tags])


def _unmet(rule: Reaches, trial: Trial, number: int) -> Broken:
    """The frames that were to arrive at a port and did not."""
    wanted = np.isin(trial.sender, sorted(rule.source)) & np.isin(trial.target, sorted(rule.to))
    wanted &= rule.frames.holds(trial.sent) & (trial.wish == number)
    span = 1 + max(int(trial.port.max(initial=0)), int(trial.target.max(initial=0)))
    arrived = np.isin(np.arange(len(trial)) * span + trial.target, trial.frame * span + trial.port)
    index = np.flatnonzero(wanted & ~arrived)
    return index, trial.target[index]


def _where(trial: Trial, broken: Mask) -> Broken:
    return trial.frame[broken], trial.port[broken]


def _inside(chosen: Ports, ports: Sequence[Port]) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(ports), bool)
    found[sorted(chosen)] = True
    return found


def _own_macs(ports: Sequence[Port]) -> Numbers:
    """The MAC that each port's configuration gives it; -1: none."""
    return np.array([-1 if port.initial_mac is None else int(port.initial_mac) for port in ports], np.int64)

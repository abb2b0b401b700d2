"""Statements of which not both can hold, whatever the lab: one wants a frame to arrive that the other forbids."""

import numpy as np

from iochain.topology.wiring import Wiring
from iochain.verify.breaches import breaches
from iochain.verify.candidates import Borders, Demand
from iochain.verify.conditions import Condition
from iochain.verify.contents import PLAIN
from iochain.verify.statements import Isolated, Never, NoSpoofing, Only, Reaches, Rule
from iochain.verify.trial import Trial, parsed

_MOST_PAIRS = 64


def contradiction(first: Rule, second: Rule, wiring: Wiring) -> str:
    """Why not both can hold; empty if they can, or if it takes the lab to tell."""
    if isinstance(first, Reaches) == isinstance(second, Reaches):
        return ""
    wish, ban = (first, second) if isinstance(first, Reaches) else (second, first)
    assert isinstance(wish, Reaches)
    if isinstance(ban, Only) or (isinstance(ban, Never) and _speaks_of_tags(ban.frames)):
        return ""  # tags change on the way
    for sender, receiver in _pairs(wish, ban):
        trial = _as_if_delivered(wish, sender, receiver, wiring)
        found, _ = breaches(ban, trial, wiring.ports)
        if len(found):
            frame = trial.frames[int(found[0])]
            ends = f"{wiring.ports[sender].name} to {wiring.ports[receiver].name}"
            return f"one wants a frame from {ends} to arrive that the other forbids, {frame[:18].hex(' ')}"
    return ""


def _pairs(wish: Reaches, ban: Rule) -> list[tuple[int, int]]:
    """Pairs of ports that both speak of."""
    pairs = [(a, b) for a in sorted(wish.source) for b in sorted(wish.to) if a != b]
    match ban:
        case Isolated(a=a, b=b):
            pairs = [(s, r) for s, r in pairs if (s in a and r in b) or (s in b and r in a)]
        case Never():
            pairs = [(s, r) for s, r in pairs if s in ban.source and r in ban.at]
        case NoSpoofing():
            pairs = [(s, r) for s, r in pairs if s in ban.ports]
    return pairs[:_MOST_PAIRS]


def _as_if_delivered(wish: Reaches, sender: int, receiver: int, wiring: Wiring) -> Trial:
    """The frames that a wish speaks of, each delivered as it was sent."""
    demand = Demand(wiring.ports[sender], wiring.ports[receiver], wish.frames)
    borders = Borders(wiring, vlans=[0], contents=[PLAIN])
    frames = list(demand.each(borders, [PLAIN]))
    words = parsed(frames)
    holds = np.flatnonzero(wish.frames.holds(words))
    frames = [frames[index] for index in holds]
    words = words[holds]
    here = np.full(len(frames), sender, np.int64)
    there = np.full(len(frames), receiver, np.int64)
    return Trial(frames, here, there, np.zeros(len(frames), np.int64), words, np.arange(len(frames)), there, words)


def _speaks_of_tags(condition: Condition) -> bool:
    return condition.tagged is not None or any(name in condition.fields for name in ("vlan", "priority"))

"""The search for frames that break statements: those at the borders, all statements in one run; then drawn ones."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from attrs import define, field, frozen

from iochain.chain import Port
from iochain.engine.network import Engine
from iochain.kernels.rows import ETHERNET_BYTES
from iochain.topology.wiring import Wiring
from iochain.verify.breaches import breaches
from iochain.verify.candidates import MOST_FRAMES, Borders, Demand, senders
from iochain.verify.conditions import ANY_FRAME, Condition
from iochain.verify.contents import Content
from iochain.verify.statements import Isolated, Never, NoSpoofing, Only, Ports, Reaches, Rule
from iochain.verify.trial import Trial, tried

_MOST_DEMANDS = 400
"""Pairs of ports of one ``reaches`` of which each frame is tried."""
TAGS: Final = (b"\x81\x00", b"\x88\xa8", b"\x91\x00")
KEPT = 12
"""Frames that break a statement and are kept as beginnings of a witness, the plainest first."""


@frozen
class Suspect:
    """A frame that broke a rule when it was tried, and the port where it showed."""

    frame: bytes
    sender: int
    port: int


@define
class Lines:
    """Frames that wait to be tried, with sender and target."""

    frames: list[bytes] = field(factory=list)
    sender: list[int] = field(factory=list)
    target: list[int] = field(factory=list)
    wish: list[int] = field(factory=list)  # number of the rule that wants it to arrive

    def add(self, frames: Iterable[bytes], sender: int, target: int = -1, wish: int = 0) -> None:
        """More frames of one sender."""
        before = len(self.frames)
        self.frames.extend(frames)
        self.sender.extend([sender] * (len(self.frames) - before))
        self.target.extend([target] * (len(self.frames) - before))
        self.wish.extend([wish] * (len(self.frames) - before))


@define
class Search:
    """A search in one lab for several rules at once. ``frames`` counts those that were tried."""

    wiring: Wiring
    rules: Sequence[Rule]
    engine: Engine | None = None
    frames: int = 0
    borders: Borders = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.borders = Borders.of(self.wiring, spoken_of(self.rules), conditions_of(self.rules))

    def at_borders(self) -> list[list[Suspect]]:
        """Frames at the borders of the lab that break each rule, the plainest first."""
        lines = Lines()
        sending = senders(self.wiring, self._sources())
        each = MOST_FRAMES // max(1, len(sending))
        for number in sending:
            lines.add(self.borders.frames(self.wiring.ports[number], each), number)
        for number, rule in enumerate(self.rules):
            if isinstance(rule, Reaches):
                self._demand(rule, number, lines)
        return self._suspects(lines)

    def drawn(self, contents: Sequence[bytes]) -> list[list[Suspect]]:
        """Frames that somebody drew, each sent by every port that is spoken of, and as one that is to arrive."""
        lines = Lines()
        sending = senders(self.wiring, self._sources())
        for number in sending[: max(1, MOST_FRAMES // max(1, len(contents)))]:
            lines.add(contents, number)
        bodies = [Content(body) for body in dict.fromkeys(map(_behind_tags, contents)) if body]
        for number, rule in enumerate(self.rules):
            if isinstance(rule, Reaches):
                self._demand(rule, number, lines, bodies)
        return self._suspects(lines)

    def broken_by(self, rule: Rule, frames: Sequence[bytes], sender: int, target: int = -1) -> list[Suspect | None]:
        """Of each frame whether it breaks a rule, and where."""
        trial = self._tried(frames, [sender] * len(frames), [target] * len(frames), [0] * len(frames))
        found: list[Suspect | None] = [None] * len(frames)
        for index, port in zip(*breaches(rule, trial, self.wiring.ports), strict=True):
            found[index] = found[index] or Suspect(frames[index], sender, int(port))
        return found

    def _sources(self) -> Ports:
        """The ports whose frames can break a rule that forbids something."""
        return frozenset().union(*(sources_of(rule, self.wiring.ports) for rule in self.rules))

    def _demand(self, rule: Reaches, number: int, lines: Lines, contents: Sequence[Content] | None = None) -> None:
        ports = self.wiring.ports
        pairs = [(a, b) for a in sorted(rule.source) for b in sorted(rule.to) if a != b]
        step = max(1, len(pairs) // _MOST_DEMANDS)
        for a, b in pairs[::step]:
            lines.add(Demand(ports[a], ports[b], rule.frames).each(self.borders, contents), a, b, number)

    def _tried(
        self, frames: Sequence[bytes], sender: Sequence[int], target: Sequence[int], wish: Sequence[int]
    ) -> Trial:
        self.frames += len(frames)
        return tried(self.wiring, frames, sender, target, self.engine, wish)

    def _suspects(self, lines: Lines) -> list[list[Suspect]]:
        trial = self._tried(lines.frames, lines.sender, lines.target, lines.wish)
        return [self._plainest(trial, rule, number) for number, rule in enumerate(self.rules)]

    def _plainest(self, trial: Trial, rule: Rule, number: int) -> list[Suspect]:
        """The first few frames that break a rule: shorter ones before longer ones, untagged before tagged ones."""
        index, port = breaches(rule, trial, self.wiring.ports, number)
        if not len(index):
            return []
        lengths = np.array([len(trial.frames[number]) for number in index])
        order = np.lexsort((index, lengths))[:KEPT]
        return [
            Suspect(trial.frames[one], int(trial.sender[one]), int(where))
            for one, where in zip(index[order], port[order], strict=True)
        ]


def _behind_tags(data: bytes) -> bytes:
    """EtherType and what is behind it, without tags; nothing where hosts send no such frames to each other."""
    at = ETHERNET_BYTES - 2
    while data[at : at + 2] in TAGS:
        at += 4
    return data[at:] if len(data) >= at + 2 and data[at] >= 6 else b""


def sources_of(rule: Rule, ports: Sequence[Port]) -> Ports:
    """The ports that have to send for a rule to be broken; none for one that is about frames to arrive."""
    match rule:
        case Isolated(a=a, b=b):
            return a | b
        case Never(source=source):
            return source
        case NoSpoofing():
            return rule.ports
        case Only():
            return frozenset(port.number for port in ports)
        case Reaches():
            return frozenset()


def spoken_of(rules: Sequence[Rule]) -> Ports:
    """The ports that rules name."""
    found: set[int] = set()
    for rule in rules:
        match rule:
            case Isolated(a=a, b=b):
                found |= a | b
            case Reaches(source=source, to=to):
                found |= source | to
            case Never(at=at):
                found |= at
            case NoSpoofing(ports=ports):
                found |= ports
            case Only(at=at):
                found |= at
    return frozenset(found)


def conditions_of(rules: Sequence[Rule]) -> list[Condition]:
    """What rules say of frames."""
    found: list[Condition] = []
    for rule in rules:
        if isinstance(rule, (Reaches, Never)):
            found.append(rule.frames)
        if isinstance(rule, Never):
            found.append(rule.sent)
    return [one for one in found if one != ANY_FRAME]

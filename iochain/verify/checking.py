"""Checking a policy: frames that break its statements are searched for, and replayed before they are told.

A violation is told only if its witness, a capture of one frame, breaks the statement when it is replayed alone.
"""

import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
from attrs import field, frozen

from iochain.batch import batch_of
from iochain.capture import OutInterface, PcapDirectory
from iochain.capture.folder import file_names
from iochain.chain import From
from iochain.changes import smallest_change
from iochain.engine.network import Engine
from iochain.engine.path import Dropped
from iochain.lab import Lab
from iochain.net import Outcome
from iochain.topology.wiring import Wiring
from iochain.verify.breaches import breaches
from iochain.verify.deciding import deciding
from iochain.verify.policyfile import Policy
from iochain.verify.search import Search, Suspect
from iochain.verify.shrinking import plainest
from iochain.verify.statements import Only, Reaches, Rule, Statement
from iochain.verify.trial import Trial, parsed, tried

EXAMPLES: Final = 200
"""Frames that are drawn for statements that no frame at the borders breaks."""
_ATTEMPTS: Final = 3


@frozen
class Witness:
    """One frame, sent at a port, that breaks a statement when it is replayed alone; ``port`` is where it shows."""

    frame: bytes = field(repr=False)
    at: str
    port: str
    outcome: Outcome = field(repr=False)

    @property
    def fate(self) -> str:
        """What became of it, in one sentence."""
        ports = list(dict.fromkeys(self.outcome.ports))
        if self.port in ports:
            return f"delivered at {self.port}"
        return f"not delivered at {self.port}: {self.outcome.explanation.why_not(self.port)}"


@frozen
class Violation:
    """A statement that does not hold: the witness, the setting that decided if a single one did, one that mends it."""

    witness: Witness
    setting: From | None
    change: str | None


@frozen
class Checked:
    """What came of a statement: None is a statement that nothing was found against."""

    statement: Statement
    violation: Violation | None

    @property
    def holds(self) -> bool:
        """Whether no frame was found that breaks it."""
        return self.violation is None


@frozen
class Result:
    """What came of a policy. ``examples`` is how many frames were drawn; 0 where hypothesis is not installed."""

    policy: str
    checked: tuple[Checked, ...]
    frames: int
    examples: int

    @property
    def violations(self) -> list[Checked]:
        """The statements that do not hold."""
        return [one for one in self.checked if not one.holds]


def check(
    lab: Lab, policy: Policy, *, examples: int = EXAMPLES, engine: Engine | None = None, settings: bool = True
) -> Result:
    """Search for frames that break the statements of a policy, and replay each that is found.

    ``settings``: whether the deciding setting of each is looked for. StageError if a stage breaks its contract.
    """
    wiring = lab.wiring
    search = Search(wiring, [statement.rule for statement in policy.statements], engine)
    found = [
        _confirmed(lab, search, statement.rule, suspects)
        for statement, suspects in zip(policy.statements, search.at_borders(), strict=True)
    ]
    drawn = 0
    if examples and find_spec("hypothesis") is not None and None in found:
        from iochain.verify.drawing import drawn_frames

        frames = drawn_frames(search.borders, examples)
        drawn = len(frames)
        for number, suspects in enumerate(search.drawn(frames)):
            if found[number] is None:
                found[number] = _confirmed(lab, search, policy.statements[number].rule, suspects)
    checked = []
    for statement, one in zip(policy.statements, found, strict=True):
        violation = None if one is None else _violation(lab, statement.rule, *one, settings)
        checked.append(Checked(statement, violation))
    return Result(policy.name, tuple(checked), search.frames, drawn)


def write_witnesses(result: Result, folder: Path) -> dict[str, Path]:
    """Write the witness of each violation to a pcap of its own; gives the files by the names of the statements.

    CaptureError if one cannot be written.
    """
    broken = [(one.statement.name, one.violation.witness) for one in result.checked if one.violation is not None]
    names = [name for name, _ in broken]
    if not broken:
        return {}
    with PcapDirectory(folder, [OutInterface(name) for name in names]) as directory:
        for number, (_, witness) in enumerate(broken):
            directory.write(batch_of([(witness.frame, 0)]), number)
    return {name: folder / file for name, file in zip(names, file_names(names), strict=True)}


def _confirmed(lab: Lab, search: Search, rule: Rule, suspects: Sequence[Suspect]) -> tuple[Suspect, Witness] | None:
    """The plainest of the frames that breaks the rule when it is replayed alone too; None if none does."""
    if not suspects:
        return None
    for suspect in (plainest(search, rule, suspects), *suspects[:_ATTEMPTS]):
        witness = _replayed(lab, search.wiring, rule, suspect)
        if witness is not None:
            return suspect, witness
    return None


def _replayed(lab: Lab, wiring: Wiring, rule: Rule, suspect: Suspect) -> Witness | None:
    """Replay a frame from a capture, as anybody can; None if it does not break the rule there."""
    sender = wiring.ports[suspect.sender].name
    with tempfile.TemporaryDirectory() as folder:
        with PcapDirectory(folder, [OutInterface("witness")]) as directory:
            directory.write(batch_of([(suspect.frame, 0)]), 0)
        outcome = lab.explain(Path(folder) / "witness.pcap", 1, at=sender)
    broken, where = breaches(rule, _trial_of(outcome, suspect, wiring, rule), wiring.ports)
    if not len(broken):
        return None
    ports = [wiring.ports[int(number)].name for number in where]
    named = wiring.ports[suspect.port].name
    return Witness(suspect.frame, sender, named if named in ports else ports[0], outcome)


def _trial_of(outcome: Outcome, suspect: Suspect, wiring: Wiring, rule: Rule) -> Trial:
    """What a replay brought, as a trial of one frame."""
    ports = [wiring.port(fate.port).number for fate in outcome.deliveries]
    target = suspect.port if isinstance(rule, Reaches) else -1
    return Trial(
        [suspect.frame],
        np.array([suspect.sender], np.int64),
        np.array([target], np.int64),
        np.zeros(1, np.int64),
        parsed([suspect.frame]),
        np.zeros(len(ports), np.int64),
        np.array(ports, np.int64),
        parsed([fate.data for fate in outcome.deliveries]),
    )


def _violation(lab: Lab, rule: Rule, suspect: Suspect, witness: Witness, settings: bool) -> Violation:
    """The violation with the setting that decided: of a drop its own, of a delivery the one that would stop it."""
    if not settings:
        return Violation(witness, None, None)
    if isinstance(rule, Reaches):
        why = _drop(lab.wiring, witness)
        if why is None:
            return Violation(witness, None, None)
        return Violation(witness, why.setting, smallest_change(lab.wiring, why))

    def is_broken(wiring: Wiring) -> bool:
        trial = tried(wiring, [suspect.frame], [suspect.sender], [-1])
        return bool(len(breaches(rule, trial, wiring.ports)[0]))

    vlans = sorted(rule.vlans)[:2] if isinstance(rule, Only) else ()
    where = Suspect(suspect.frame, suspect.sender, lab.wiring.port(witness.port).number)
    change = deciding(lab, where, is_broken, vlans)
    if change is None:
        return Violation(witness, None, None)
    return Violation(witness, change.setting, change.text)


def _drop(wiring: Wiring, witness: Witness) -> Dropped | None:
    """The drop that kept a frame from its port: the one there, or the last one before."""
    drops = [fate for fate in witness.outcome.drops if fate.dropped is not None]
    there = [fate.dropped for fate in drops if fate.port == witness.port]
    return (there or [fate.dropped for fate in drops] or [None])[-1]

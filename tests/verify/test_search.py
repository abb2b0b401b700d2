"""The search against brute force, on random labs and random statements.

``IOCHAIN_POLICY_LABS`` asks for another number of labs (the full one is 300).
"""

import os
import tempfile
from pathlib import Path

from brute_force import delivered, is_broken, universe
from random_policies import random_labs, random_policy

from iochain.lab import Lab
from iochain.verify.checking import Violation, check, write_witnesses
from iochain.verify.statements import Reaches, Rule

LABS = int(os.environ.get("IOCHAIN_POLICY_LABS", "12"))


def replays(lab: Lab, rule: Rule, violation: Violation, capture: Path) -> bool:
    """Whether the witness, replayed from its file, goes where the violation says."""
    witness = violation.witness
    fates = list(lab.replay(capture, at=witness.at).fates())
    arrived = witness.port in [fate.port for fate in fates if fate.dropped is None]
    return arrived != isinstance(rule, Reaches)


def test_finds_what_brute_force_finds_and_tells_nothing_that_does_not_replay() -> None:
    held = broken = known = missed = 0
    misses = []
    for number, lab in enumerate(random_labs(LABS)):
        policy = random_policy(lab, number)
        result = check(lab, policy, examples=0, settings=False)
        sent = universe(lab.wiring)
        copies = delivered(lab.wiring, sent)
        with tempfile.TemporaryDirectory() as folder:
            files = write_witnesses(result, Path(folder))
            for one in result.checked:
                rule = one.statement.rule
                held, broken = held + one.holds, broken + (not one.holds)
                if one.violation is not None:
                    assert replays(lab, rule, one.violation, files[one.statement.name])
                if is_broken(rule, lab, sent, copies):
                    known += 1
                    missed += one.holds
                    if one.holds:
                        misses.append((number, rule))
    print(f"{held} hold, {broken} do not; brute force finds {known}, of which {missed} were missed", misses)
    assert held >= 0.3 * (held + broken)
    assert broken >= 0.3 * (held + broken)
    assert missed <= 0.05 * known

"""The policies of examples/policies: right labs pass, each wrong one fails with witnesses that go where they say."""

import re
from pathlib import Path

import pytest

from iochain.lab import Lab
from iochain.verify.checking import Checked, check, write_witnesses
from iochain.verify.policyfile import load_policy

FOLDER = Path(__file__).parents[2] / "examples" / "policies"
POLICIES = sorted(path for path in FOLDER.glob("*.yaml") if not path.name.endswith(".lab.yaml"))
RIGHT = re.compile(r"^#   right: (.+)$", re.MULTILINE)
WRONG = re.compile(r"^#   wrong: (.+) → (.+)$", re.MULTILINE)


def wrong_labs() -> list[tuple[Path, list[str], set[str]]]:
    """Policy, settings that make the lab wrong, and the statements that do not hold then."""
    return [
        (path, settings.split(), set(names.split(", ")))
        for path in POLICIES
        for settings, names in WRONG.findall(path.read_text(encoding="utf-8"))
    ]


def right_labs() -> list[tuple[Path, list[str]]]:
    """Policy, and settings with which the lab is right too; the lab as it is comes first."""
    found: list[tuple[Path, list[str]]] = []
    for path in POLICIES:
        found.append((path, []))
        found += [(path, settings.split()) for settings in RIGHT.findall(path.read_text(encoding="utf-8"))]
    return found


def lab_of(policy: Path, settings: list[str]) -> Lab:
    return Lab.load(policy.with_suffix(".lab.yaml"), settings)


def test_there_are_scenarios() -> None:
    assert len(POLICIES) >= 6
    assert len(wrong_labs()) >= 20


@pytest.mark.parametrize(
    ("path", "settings"), right_labs(), ids=lambda value: value.stem if isinstance(value, Path) else None
)
def test_right_labs_pass(path: Path, settings: list[str]) -> None:
    lab = lab_of(path, settings)
    result = check(lab, load_policy(path, lab.wiring), examples=0 if settings else 100)
    assert [one.statement.name for one in result.violations] == []


@pytest.mark.parametrize(
    ("path", "settings", "names"), wrong_labs(), ids=lambda value: value.stem if isinstance(value, Path) else None
)
def test_wrong_labs_fail_with_a_witness(path: Path, settings: list[str], names: set[str], tmp_path: Path) -> None:
    lab = lab_of(path, settings)
    result = check(lab, load_policy(path, lab.wiring), examples=0)
    assert {one.statement.name for one in result.violations} == names
    files = write_witnesses(result, tmp_path)
    for one in result.violations:
        assert_replays(lab, one, files[one.statement.name])


def assert_replays(lab: Lab, one: Checked, capture: Path) -> None:
    """The witness goes where the violation says, in a replay of its capture."""
    assert one.violation is not None
    witness = one.violation.witness
    fates = list(lab.replay(capture, at=witness.at).fates())
    delivered = [fate.port for fate in fates if fate.dropped is None]
    if one.statement.kind == "reaches":
        assert witness.port not in delivered
        assert witness.fate.startswith(f"not delivered at {witness.port}: ")
    else:
        assert witness.port in delivered
        assert witness.fate == f"delivered at {witness.port}"

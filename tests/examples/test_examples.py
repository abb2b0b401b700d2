"""Every example runs, answers its question in words, and is as short as an example should be."""

import ast
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from iochain.engine.network import Engine, Fates
from iochain.replay import Fate, fates_of
from iochain.topology.wiring import Wiring

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
MOST_LINES = 60


def name(example: Path) -> str:
    return example.stem


@pytest.mark.parametrize("example", EXAMPLES, ids=name)
def test_says_the_same_in_both_engines(
    example: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that becomes of its frames is the same, too."""
    fates: list[Fate] = []

    def noted(wiring: Wiring, window: Fates) -> Iterator[Fate]:
        for fate in fates_of(wiring, window):
            fates.append(fate)
            yield fate

    monkeypatch.setattr("iochain.net.fates_of", noted)
    said = []
    for engine in (Engine.PLAIN, Engine.PATHS):
        monkeypatch.setenv("IOCHAIN_ENGINE", engine.value)
        runpy.run_path(str(example), run_name="__main__")
        said.append((capsys.readouterr().out, list(fates)))
        fates.clear()
    assert said[0][0].strip()
    assert said[0] == said[1]


@pytest.mark.parametrize("example", EXAMPLES, ids=name)
def test_begins_with_the_question_and_asserts_the_answer(example: Path) -> None:
    text = example.read_text(encoding="utf-8")
    question, _, answer = (ast.get_docstring(ast.parse(text)) or "").partition("\n\n")
    assert "?" in question
    assert answer
    assert text.count("\nassert ") >= 3
    assert len(text.splitlines()) < MOST_LINES


@pytest.mark.parametrize("example", EXAMPLES, ids=name)
def test_uses_public_names_only(example: Path) -> None:
    for node in ast.walk(ast.parse(example.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("iochain.")


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 12


def test_runs_from_the_shell_in_any_folder(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES[0].with_name("replay_a_capture.py"))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "393 frames went in" in done.stdout

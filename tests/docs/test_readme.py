"""The README shows what really comes out: its sessions are run, and its Python."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SESSIONS = re.findall(r"```text\n\$ (iochain [^\n]*)\n(.*?)```", README, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_are_sessions() -> None:
    assert len(SESSIONS) >= 3
    assert PYTHON


@pytest.mark.parametrize(("command", "shown"), SESSIONS, ids=[command for command, _ in SESSIONS])
def test_a_session_shows_what_comes_out(command: str, shown: str) -> None:
    """A line with just an ellipsis stands for lines that are left out."""
    found = subprocess.run(
        [sys.executable, "-m", "iochain.cli", *shlex.split(command)[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    ).stdout
    at = 0
    for part in re.split(r"(?m)^…\n", shown):
        assert part in found[at:], f"not in the output:\n{part}\nbut:\n{found[at:]}"
        at = found.index(part, at) + len(part)


@pytest.mark.parametrize("code", PYTHON)
def test_its_python_runs(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    exec(compile(code, "README.md", "exec"), {})


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target

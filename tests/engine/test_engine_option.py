"""The engine can be said wherever frames run, and makes no difference: on the command line, in Python, for tests."""

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from runpy import run_path
from typing import Any

import click
import pytest

from iochain import Lab
from iochain.cli import main, program
from iochain.engine.network import Engine, default_engine
from iochain.engine.plain import Plain
from iochain.engine.remembered import Remembered
from iochain.lab import PortHandle
from iochain.net import Net

ROOT = Path(__file__).parents[2]
CAPTURE, LAB = str(ROOT / "pcaps" / "web-and-db.pcapng"), str(ROOT / "pcaps" / "web-and-db.lab.yaml")
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
ENGINES = [engine.value for engine in Engine]
RUN_NO_FRAMES = {"lab check", "lab show", "lab effective", "lab draw", "lab infer", "lab schema"}
WEB, DB = "00:50:56:00:00:01", "00:50:56:00:00:02"


def commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """All commands with their names, those of groups too."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")
        else:
            yield before + name, command


def test_commands_that_run_frames_have_the_option() -> None:
    for name, command in commands(program):
        choices = [option.type for option in command.params if option.name == "engine"]
        if name in RUN_NO_FRAMES:
            assert choices == []
        else:
            (choice,) = choices
            assert isinstance(choice, click.Choice)
            assert sorted(choice.choices) == sorted(ENGINES)


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay", CAPTURE, "--lab", LAB],
        ["replay", CAPTURE, "--lab", LAB, "--set", "portgroup.Prod.vlan=20", "--at", "db", "--only", "drops"],
        ["explain", f"{CAPTURE}#17", "--lab", LAB, "--expect", "db"],
        ["explain", "--lab", LAB, "--at", "web", "--frame", f"Ether(src='{WEB}', dst='{DB}')"],
    ],
    ids=["replay", "replay with drops", "explain", "explain a text"],
)
def test_commands_say_the_same(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for engine in ENGINES:
        code = main([*arguments, "--engine", engine])
        told.append((code, capsys.readouterr()))
    assert told[0][1].out
    assert told == told[:1] * len(told)


@pytest.mark.parametrize("method", [Lab.send, Lab.start, PortHandle.send], ids=lambda method: method.__qualname__)
def test_methods_that_run_frames_take_it(method: Any) -> None:
    assert "engine" in inspect.signature(method).parameters


@pytest.mark.parametrize("engine", ENGINES)
def test_python_runs_the_one_that_is_said(engine: str) -> None:
    lab = Lab.load(LAB)
    frame = bytes.fromhex((DB + WEB).replace(":", "") + "88b5").ljust(60, b"\0")
    net = lab.start(engine)
    assert isinstance(net, Net)
    decider = getattr(net.network.decider, "inner", net.network.decider)  # of a network that keeps a journal
    assert type(decider) is (Plain if engine == "plain" else Remembered)
    outcomes = [
        net.send(frame, "web"),
        lab.send(frame, "web", engine=engine),
        lab.port("web").send(frame, engine=engine),
    ]
    assert all(outcome.ports == ("db", "sniffer") for outcome in outcomes)
    assert lab.replay(CAPTURE, engine=engine).engine.engine == engine
    assert lab.explain(CAPTURE, 17, engine=engine).ports


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="'fast' is not a valid Engine"):
        Lab.load(LAB).start("fast")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_environment_is_the_default(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOCHAIN_ENGINE", engine)
    assert default_engine() is Engine(engine)
    assert Lab.load(LAB).replay(CAPTURE, limit=5).engine.engine == engine


def test_the_whole_suite_takes_it() -> None:
    if engine := os.environ.get("IOCHAIN_ENGINE_WANTED"):
        assert default_engine().value == engine  # this is the run inside the run
        return
    for engine in ("plain", "paths"):
        command = [sys.executable, "-m", "pytest", "-q", "-n0", f"--engine={engine}", __file__, "-k", "whole_suite"]
        environment = {**os.environ, "IOCHAIN_ENGINE_WANTED": engine}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_say_the_same(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    for engine in ("plain", "paths"):
        monkeypatch.setenv("IOCHAIN_ENGINE", engine)
        said = StringIO()
        with redirect_stdout(said):
            run_path(str(example), run_name="__main__")
        told.append(said.getvalue())
    assert told[0] == told[1] != ""

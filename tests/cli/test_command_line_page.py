import re
import shlex
from contextlib import chdir
from pathlib import Path

import click
import pytest
from command_lines import ROOT

from iochain.cli import COMMANDS, LazyGroup, main, program
from iochain.cli.frametext import LAYERS

TEXT = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
EXAMPLES = [line for block in re.findall(r"^```sh\n(.*?)^```$", TEXT, re.M | re.S) for line in block.splitlines()]


@pytest.mark.parametrize("line", EXAMPLES)
def test_examples_run(line: str, tmp_path: Path) -> None:
    (tmp_path / "pcaps").symlink_to(ROOT / "pcaps")
    with chdir(tmp_path):
        assert main(shlex.split(line)[1:]) == 0


def commands(group: LazyGroup) -> list[click.Command]:
    """All commands below a group."""
    found: list[click.Command] = []
    for name in group.homes:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        found += commands(command) if isinstance(command, LazyGroup) else [command]
    return found


def test_every_command_and_option_is_on_the_page() -> None:
    names = {
        option for command in commands(program) for one in command.params for option in one.opts if option[0] == "-"
    }
    assert {name for name in names if f"`{name}" not in TEXT} == set()
    assert all(f"`iochain lab {command.name}`" in TEXT for command in commands(program) if command.name not in COMMANDS)


def test_every_layer_is_on_the_page() -> None:
    flat = " ".join(TEXT.split())
    assert ", ".join(LAYERS) in flat

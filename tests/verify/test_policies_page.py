"""The page about policies is run: its files, its five commands, and what they say."""

import re
import shlex
from contextlib import chdir
from pathlib import Path

import pytest

from iochain.cli import main
from iochain.verify.conditions import ETHERTYPES, FIELDS, PROTOCOLS
from iochain.verify.selection import CALLED
from iochain.verify.selection import KINDS as PORTS
from iochain.verify.statements import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "policies.md"
TEXT = PAGE.read_text(encoding="utf-8")
FILES = re.findall(r"^```yaml (\S+)\n(.*?)^```$", TEXT, re.M | re.S)
COMMANDS = re.findall(r"^```console\n\$ (.*?)\n(.*?)^```$", TEXT, re.M | re.S)


def test_from_a_failing_check_to_the_cause_in_five_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(COMMANDS) == 5
    with chdir(tmp_path):
        for name, text in FILES:
            Path(name).write_text(text, encoding="utf-8")
        for command, output in COMMANDS:
            code = main(shlex.split(command)[1:])
            said = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
            lines = output.splitlines()
            assert code == (1 if lines[-1] == "[1]" else 0), command
            for line in lines:
                if line not in ("...", "[1]"):
                    assert " ".join(line.split()) in said, line


def test_every_word_of_the_policy_file_is_on_the_page() -> None:
    for word in (*FIELDS, *ETHERTYPES, *PROTOCOLS, *CALLED, *PORTS, "tagged"):
        assert f"`{word}`" in TEXT, word
    for kind in KINDS.values():
        assert f"| `{kind}: " in TEXT


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (PAGE.parent / target).exists(), target

"""The documents of --json against their schema, and JUnit XML against what CI systems read."""

import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema  # type: ignore[import-untyped]
import pytest

from iochain.cli import main

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs" / "output-schema.json").read_text(encoding="utf-8"))
POLICY = str(ROOT / "examples" / "policies" / "guest-tags.yaml")
TAGS = str(ROOT / "examples" / "policies" / "guest-tags.lab.yaml")
CAPTURE, LAB = str(ROOT / "pcaps" / "web-and-db.pcapng"), str(ROOT / "pcaps" / "web-and-db.lab.yaml")
CHECK = ["check", TAGS, POLICY, "--examples", "0"]
WRONG = ["--set", "portgroup.Prod.vlan=4095"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (CHECK, 0),
        ([*CHECK, *WRONG], 1),
        (["diff", LAB, LAB, CAPTURE, "--set-b", "vm.db.connected=no"], 1),
        (["diff", LAB, LAB, CAPTURE, "--set-b", "portgroup.Prod.vlan=20"], 1),
        (["coverage", CAPTURE, "--lab", LAB], 0),
    ],
)
def test_documents_are_as_the_schema_says(
    arguments: list[str], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--witness", str(tmp_path / "w")] if arguments[0] == "check" else []
    assert main([*arguments, *more, "--json"]) == code
    jsonschema.validate(json.loads(capsys.readouterr().out), SCHEMA)


def test_junit_has_a_case_for_each_statement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "junit.xml"
    assert main([*CHECK, *WRONG, "--witness", str(tmp_path / "w"), "--junit", str(file)]) == 1
    suite = ElementTree.parse(file).getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("4", "3")
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["no-hopping", "tags-are-refused", "apart"]
    assert {path.name for path in (tmp_path / "w").iterdir()} == {f"{name}.pcap" for name in failed}
    assert "BROKEN" in capsys.readouterr().out

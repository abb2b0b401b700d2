import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from full_lab import FULL, changed, paths
from ruamel.yaml import YAML

from iochain.topology.labfile import LabError, load, structure
from iochain.topology.mistakes import key_text
from iochain.topology.schema import json_schema
from iochain.topology.shape import NAMES, fields

ROOT = Path(__file__).parents[2]
LABS = sorted(path for folder in ("pcaps", "examples") for path in ROOT.glob(f"{folder}/**/*.lab.yaml"))
CHECKER: Any = jsonschema.Draft202012Validator(json_schema())


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_every_key_has_its_words() -> None:
    schema = json_schema()
    for cls in NAMES:
        parts = [schema] if cls.__name__ == "LabSpec" else [schema["$defs"][cls.__name__]]
        records = [one for part in parts for one in (part, *part.get("anyOf", ())) if "properties" in one]
        for name, attribute in fields(cls).items():
            assert any(record["properties"][name]["description"] == attribute.metadata["doc"] for record in records)


def test_the_full_lab() -> None:
    CHECKER.validate(FULL)


@pytest.mark.parametrize("path", LABS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_labs_of_the_project(path: Path) -> None:
    load(path)
    CHECKER.validate(YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", [path for path, _ in paths(FULL)], ids=key_text)
@pytest.mark.parametrize("wrong", [{"no such key": 1}, -1, "no such value", ["a", "b"]], ids=str)
def test_what_the_schema_refuses_is_a_mistake(path: tuple[str | int, ...], wrong: Any) -> None:
    """The loader may know more (references, units in range), never less."""
    lab = changed(FULL, path, wrong)
    if not CHECKER.is_valid(lab):
        with pytest.raises(LabError):
            structure(lab)


def test_the_patterns_are_plain_enough_for_editors() -> None:
    for pattern in re.findall(r"'pattern': '([^']*)'", str(json_schema())):
        assert "(?" not in pattern
        re.compile(pattern)

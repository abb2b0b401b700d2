"""docs/testing.md: its Python, its lab and its tests are run."""

import doctest
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis.stateful import run_state_machine_as_test

from iochain import testing

pytest_plugins = "pytester"

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "testing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def test_its_python_runs() -> None:
    names: dict[str, Any] = {"__name__": "testing_page"}
    parse, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    for text in blocks("python"):
        if text.startswith(">>>"):
            said: list[str] = []
            test = parse.get_doctest(text, names, "testing.md", None, 0)
            runner.run(test, out=said.append, clear_globs=False)
            assert not said, "".join(said)
        else:
            exec(text, names)
    run_state_machine_as_test(names["Plays"], settings=names["TestPlays"].settings)


def test_its_tests_pass(pytester: pytest.Pytester) -> None:
    (lab,), (test,) = blocks("yaml"), blocks("pytest")
    pytester.makefile(".yaml", lab=lab)
    pytester.makepyfile(test)
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    done.assert_outcomes(passed=3)


def test_links_lead_somewhere() -> None:
    headings = {line.lstrip("# ").lower().replace(" ", "-") for line in TEXT.splitlines() if line.startswith("#")}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        path, _, heading = target.partition("#")
        assert "://" in target or not path or (DOCS / path).exists(), target
        assert path or heading in headings, target


def test_every_public_name_is_there_and_every_strategy_is_told_of() -> None:
    for name in testing.__all__:
        thing = getattr(testing, name)
        if callable(thing) and name.islower():
            assert f"`{name}" in TEXT or f"{name}(" in TEXT or f" {name}," in TEXT, name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        testing.nothing  # noqa: B018

"""CHANGELOG.md and CONTRIBUTING.md: their form, and that what they name is there."""

import re
from pathlib import Path

import pytest

from iochain.topology.advanced import ADVANCED

ROOT = Path(__file__).parents[2]
PAGES = ["CHANGELOG.md", "CONTRIBUTING.md"]
GROUPS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_links_and_paths_lead_somewhere(page: str) -> None:
    text = read(page)
    targets = {target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)}
    targets |= set(re.findall(r"`((?:\.ci|docs|examples|iochain|pcaps|tests)/[\w./-]*)`", text))
    assert targets
    for target in targets:
        assert target.startswith("https://") or (ROOT / target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_headings_of_other_pages_exist(page: str) -> None:
    for other, heading in re.findall(r"\]\((\w+\.md)#([\w-]+)\)", read(page)):
        there = [line.lstrip("# ").lower().replace(" ", "-") for line in read(other).splitlines() if line[:1] == "#"]
        assert heading in there, f"{other}#{heading}"


def test_the_changelog_keeps_its_form() -> None:
    headings = re.findall(r"^(##+) (.+)$", read("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == ("##", "[Unreleased]")
    for level, heading in headings:
        form = r"\[Unreleased\]|\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d"
        assert heading in GROUPS if level == "###" else re.fullmatch(form, heading), heading


def test_the_changelog_counts_advanced_settings() -> None:
    assert f"{len(ADVANCED)} advanced settings" in read("CHANGELOG.md")


def test_commands_are_those_of_ci() -> None:
    ci = read(".ci/run")
    for command in ("ruff check", "ruff format --check", "mypy", "lint-imports", "pytest"):
        assert command in read("CONTRIBUTING.md")
        assert command in ci

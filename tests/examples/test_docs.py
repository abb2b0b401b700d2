"""What the documentation says is run: Python blocks, doctests, lab files; and the reference is what the code says."""

import doctest
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iochain import Lab, Reason
from iochain.topology.shape import fields
from iochain.topology.spec import Options

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = ["lab-file.md", "stages.md", "writing-a-stage.md"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> Iterator[tuple[int, str]]:
    """Line and text of each fenced block of a language."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        if found[1] == language:
            yield text.count("\n", 0, found.start(2)), found[2]


def run_page(page: str) -> int:
    """Run all Python of a page in one namespace, in the current folder; the number of blocks."""
    names: dict[str, Any] = {"__name__": Path(page).stem.replace("-", "_")}
    count = 0
    for count, (line, text) in enumerate(blocks(page, "python"), 1):
        if text.startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(text, names, page, page, line)
            said: list[str] = []
            doctest.DocTestRunner(verbose=False).run(test, out=said.append, clear_globs=False)
            assert not said, "".join(said)
            names.update(test.globs)
        else:
            own = Path(f"block_{count}.py")  # compiled functions are cached beside a file that exists
            own.write_text("\n" * line + text, encoding="utf-8")
            exec(compile(own.read_text(encoding="utf-8"), str(own.resolve()), "exec"), names)
    return count


@pytest.mark.parametrize("page", PAGES)
def test_what_can_be_run_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _, text in blocks(page, "yaml"):
        Path("lab.yaml").write_text(text, encoding="utf-8")
        assert Lab.load("lab.yaml").warnings == ()
    assert run_page(page) >= 1


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    headings = {re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in text.splitlines()}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        elif "://" not in target:
            assert (DOCS / target.partition("#")[0]).exists(), target


def test_the_reference_of_the_lab_file_is_what_the_code_says() -> None:
    made = runpy.run_path(str(DOCS / "make_lab_file.py"))
    text = (DOCS / "lab-file.md").read_text(encoding="utf-8")
    below = text.partition(made["MARKER"])[2]
    assert below == "\n" + made["reference"](), "run: python docs/make_lab_file.py"


def test_keys_without_effect_are_read_by_no_stage_and_no_wiring() -> None:
    without_effect = runpy.run_path(str(DOCS / "make_lab_file.py"))["WITHOUT_EFFECT"]
    rooms = ("portgroup", "vswitch", "uplink", "engine")
    sources = [file for room in rooms for file in (ROOT / "iochain" / room).glob("*.py")]
    sources += [ROOT / "iochain" / "topology" / name for name in ("chains.py", "wiring.py", "entry.py", "expansion.py")]
    read = "\n".join(file.read_text(encoding="utf-8") for file in sources)
    assert [key for key in without_effect if re.search(rf"\b{key}\b", read)] == []


def test_every_drop_reason_is_told_as_the_code_has_it() -> None:
    text = (DOCS / "stages.md").read_text(encoding="utf-8")
    for reason in Reason:
        assert f"| `{reason.name}` | {reason.value} | {reason.esxi} |\n" in text
        assert text.count(f"`{reason.name}`") >= 2, f"{reason.name} is told of at no stage"


def test_every_stage_in_a_chain_is_told_of() -> None:
    text = (DOCS / "stages.md").read_text(encoding="utf-8")
    source = (ROOT / "iochain" / "topology" / "chains.py").read_text(encoding="utf-8")
    names = set(re.findall(r'Element\("([a-z ]+)"', source))
    assert len(names) >= 12
    for name in names:
        assert re.search(rf"^### {name}\b", text, re.MULTILINE), name


def test_every_option_is_told_of() -> None:
    text = (DOCS / "stages.md").read_text(encoding="utf-8")
    for option in fields(Options):
        assert f"`options.{option}: " in text

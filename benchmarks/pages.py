"""docs/performance.md: what was measured goes between its markers; the rest is written by hand and stays."""

from pathlib import Path
from typing import Any, Final

from bounds import BOUND_HEAD, FULL, Bound, markdown

PAGE: Final = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN: Final = "<!-- measured: written by benchmarks/run.py --page -->"
END: Final = "<!-- end of what was measured -->"


def write(document: dict[str, Any], page: Path = PAGE) -> None:
    """Put the numbers of a JSON file into the page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{measured(document)}\n\n{END}{after}", encoding="utf-8")


def measured(document: dict[str, Any]) -> str:
    """What stands between the markers."""
    replay = document["replay"]
    machine = ", ".join(f"{name} {value}" for name, value in replay["machine"].items())
    parts = [f"Measured on: {machine}. The least of {replay['repeat']} to {replay['most']} runs."]
    if any(section["size"] != FULL for section in document.values()):
        parts.append("**Some of these numbers are of small captures (`--quick`): rough, and not to be quoted.**")
    parts.append("Frames per CPU second, and ns of CPU time per frame (in brackets: of them in user mode):")
    parts.append(markdown(replay["head"], replay["rows"]))
    for name, section in document.items():
        bounds = [Bound(**bound) for bound in section["bounds"]]
        said = "" if section["size"] == FULL else " (quick)"
        parts.append(f"### {TITLES[name]}{said}\n\n{markdown(BOUND_HEAD, [bound.row for bound in bounds])}")
    return "\n\n".join(parts)


TITLES: Final = {
    "replay": "Against others",
    "ports": "Many ports",
    "keys": "Many keys",
    "flood": "Floods",
    "start": "Start",
    "packet_stage": "A stage of one's own",
}

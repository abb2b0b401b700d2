"""Bounds: what was measured beside what is wanted, as a table on the terminal and as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import click
from attrs import frozen

FULL, QUICK = "full", "quick"


@frozen
class Bound:
    """A measured number and the one that it must not pass: at most, or with ``at_least`` at least."""

    what: str
    measured: float
    wanted: float
    unit: str = ""
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the number is on the right side."""
        return self.measured >= self.wanted if self.at_least else self.measured <= self.wanted

    @property
    def row(self) -> tuple[str, str, str, str]:
        """What stands in a table."""
        side = "at least" if self.at_least else "at most"
        unit = f" {self.unit}" if self.unit else ""
        words = f"{side} {number(self.wanted)}{unit}"
        return self.what, f"{number(self.measured)}{unit}", words, "pass" if self.is_met else "FAIL"


BOUND_HEAD: Final = ("what", "measured", "wanted", "")


def number(value: float) -> str:
    """Three digits that count, and no exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for the terminal: the first column left, the others right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = []
    for row in [head, *rows]:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same as a table of a document."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def told(section: str, bounds: Sequence[Bound], is_quick: bool, json_path: Path | None, **more: Any) -> None:
    """Print bounds, and put them with what else was measured into a JSON file as one section; others in it stay."""
    click.echo(aligned(BOUND_HEAD, [bound.row for bound in bounds]))
    if is_quick:
        click.echo("quick sizes: for trends; what is wanted is meant for full ones")
    if json_path is None:
        return
    known = read(json_path) if json_path.exists() else {}
    size = QUICK if is_quick else FULL
    known[section] = {"size": size, **more, "bounds": [attrs.asdict(bound) for bound in bounds]}
    json_path.write_text(json.dumps(known, indent=2) + "\n")


def read(json_path: Path) -> dict[str, Any]:
    """All sections of a file that :func:`told` wrote."""
    sections: dict[str, Any] = json.loads(json_path.read_text())
    return sections


def quick_option(function: Any) -> Any:
    """``--quick``."""
    return click.option("--quick", is_flag=True, help="Small sizes: minutes become seconds, numbers become rough.")(
        function
    )


def json_option(function: Any) -> Any:
    """``--json``."""
    kind = click.Path(dir_okay=False, path_type=Path)
    return click.option("--json", "json_path", type=kind, help="Put the numbers into this file too.")(function)

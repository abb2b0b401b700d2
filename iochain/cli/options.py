"""Options that several commands have, and the lab that they name."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from attrs import frozen

from iochain.topology.spec import CapturedAt

if TYPE_CHECKING:
    from iochain.lab import Lab

Function = TypeVar("Function", bound=Callable[..., Any])


def lab_options(function: Function) -> Function:
    """``--lab`` and ``--set``."""
    return click.option("--lab", "lab_path", metavar="LAB", help="The lab file; without it one is inferred.")(
        set_option(function)
    )


def set_option(function: Function) -> Function:
    """``--set``."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change the lab, like portgroup.Prod.vlan=20 (may be given several times).",
    )(function)


def entry_options(function: Function) -> Function:
    """``--at``, ``--captured-at`` and ``--engine``."""
    at = click.option("--at", metavar="PORT", help="All frames enter by this port, whatever the lab's rules say.")
    captured_at = click.option(
        "--captured-at",
        type=click.Choice([place.value for place in CapturedAt]),
        help="Where the captures were taken, if not where the lab says.",
    )
    engine = click.option(
        "--engine",
        type=click.Choice(["auto", "paths", "plain"]),
        help="How frames are decided: by remembered paths, each frame stage by stage, or as it pays; same results.",
    )
    return at(captured_at(engine(function)))


def json_option(function: Function) -> Function:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Write one JSON document instead of text.")(function)


@frozen
class OpenedLab:
    """A lab, and how it was inferred if no file was given: its YAML text and a summary in words."""

    lab: "Lab"
    inferred_text: str = ""
    summary: str = ""


def open_lab(path: str | None, settings: Sequence[str], captures: Sequence[str]) -> OpenedLab:
    """The lab of a file, or one inferred from captures. LabError with its mistakes, CaptureError of a capture."""
    from iochain.lab import Lab
    from iochain.topology.labfile import load_text

    if path is not None:
        return OpenedLab(Lab.load(path, settings))
    if "-" in captures:
        raise click.UsageError("a lab cannot be inferred from standard input; give one with --lab")
    from iochain.inference import infer

    inferred = infer(captures)
    return OpenedLab(Lab.of(load_text(inferred.text, "inferred lab", settings)), inferred.text, inferred.summary)


def refuse_overwriting(option: str, output: str | None, *inputs: str | None) -> None:
    """Refuse to write over a file that the command reads. UsageError if it would be."""
    if output is None or not Path(output).is_file():
        return
    for one in inputs:
        if one is not None and Path(one).exists() and Path(output).samefile(one):
            raise click.UsageError(f"{option} {output} would overwrite a file that is read")


def engine_of(engine: str | None) -> dict[str, str]:
    """``--engine`` as an option of a replay; nothing if it was not given."""
    return {} if engine is None else {"engine": engine}


def place_of(captured_at: str | None) -> CapturedAt | None:
    """The value of ``--captured-at``."""
    return None if captured_at is None else CapturedAt(captured_at)

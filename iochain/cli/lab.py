"""``iochain lab``: check, show, draw and infer labs."""

import json
from pathlib import Path
from typing import Any, Final

import click

from iochain.cli import grouped, options
from iochain.cli.text import say

COMMANDS: Final = {
    "check": ("lab:check", "Say what is wrong in labs, all of it at once."),
    "show": ("lab:show", "Hosts, switches, effective policies, ports and their chains."),
    "draw": ("lab:draw", "Draw the wiring with its chains as SVG."),
    "effective": ("lab:effective", "The effective policy of a port group, and who set what."),
    "infer": ("lab:infer", "Write a first lab for captures."),
    "schema": ("lab:schema", "The JSON Schema of the lab file."),
}
lab = grouped("lab", "Check, show, draw and infer labs.", COMMANDS)

_lab_argument = click.argument("path", metavar="LAB")
_output_option = click.option("-o", "--output", metavar="FILE", help="Where to; standard output if not given.")


@click.command(epilog="Exit codes: 0 fine; 1 a lab has mistakes.")
@click.argument("paths", nargs=-1, required=True, metavar="LAB...")
@options.set_option
@options.json_option
def check(paths: tuple[str, ...], settings: tuple[str, ...], as_json: bool) -> int:
    """Read labs and say all mistakes with their lines, and what is allowed but strange."""
    from iochain.cli.mistakes import check_document, check_text
    from iochain.topology.labfile import LabError, LoadedLab, load

    results: list[LoadedLab | LabError] = []
    for path in paths:
        try:
            results.append(load(path, settings))
        except LabError as error:
            results.append(error)
    _say_or_json(check_document(results), check_text, as_json)
    return int(any(isinstance(result, LabError) for result in results))


@click.command()
@_lab_argument
@options.set_option
@options.json_option
def show(path: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Show what a lab comes to: every port group's effective policy with who set each value, every port with its id,
    its MAC, the uplink that teaming gives it, and its chains.
    """
    opened = options.open_lab(path, settings, ())
    from iochain.cli.lab_documents import show_document
    from iochain.cli.lab_text import show_text

    _say_or_json(show_document(opened), show_text, as_json)


@click.command()
@_lab_argument
@click.argument("portgroup")
@click.option("--host", help="The host, where several have a port group of this name.")
@options.set_option
@options.json_option
def effective(path: str, portgroup: str, host: str | None, settings: tuple[str, ...], as_json: bool) -> None:
    """Show the effective policy of a port group: switch defaults, the virtual switch, the port group itself."""
    opened = options.open_lab(path, settings, ())
    from iochain.cli.lab_documents import effective_document
    from iochain.cli.lab_text import effective_text

    _say_or_json(effective_document(opened, portgroup, host), effective_text, as_json)


@click.command()
@_lab_argument
@options.set_option
@_output_option
def draw(path: str, settings: tuple[str, ...], output: str | None) -> None:
    """Draw hosts, switches, port groups, ports with their chains, and uplinks.

    \b
    iochain lab draw lab.yaml -o lab.svg
    """
    options.refuse_overwriting("-o", output, path)
    opened = options.open_lab(path, settings, ())
    from iochain.topology.drawing import draw as drawn

    _write(drawn(opened.lab.wiring), output)


@click.command()
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@_output_option
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
def infer(captures: tuple[str, ...], output: str | None, force: bool) -> None:
    """Write a lab in which all frames of captures have a place: VMs from MACs, port groups from VLANs.

    It is a start to be corrected: a capture does not tell policies, nor which MACs are outside of the host.
    """
    if output is not None and Path(output).exists() and not force:
        raise click.UsageError(f"{output} is there already; --force overwrites it")
    options.refuse_overwriting("-o", output, *captures)
    from iochain.inference import infer as inferred_from

    inferred = inferred_from(captures)
    _write(inferred.text, output)
    if output is not None:
        say([inferred.summary])


@click.command()
def schema() -> None:
    """Write the JSON Schema of the lab file, for editors that complete and check."""
    from iochain.topology.schema import json_schema

    say([json.dumps(json_schema(), indent=2, ensure_ascii=False)])


def _say_or_json(document: dict[str, Any], text: Any, as_json: bool) -> None:
    say([json.dumps(document, indent=2, ensure_ascii=False)] if as_json else text(document))


def _write(text: str, output: str | None) -> None:
    """Write a text to a file, or to standard output. OSError if it cannot be written."""
    if output in (None, "-"):
        say([text.rstrip("\n")])
    else:
        Path(output or "").write_text(text, encoding="utf-8")
        say([f"{output} written"], err=True)

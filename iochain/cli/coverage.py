"""``iochain coverage``: which stages, verdicts and settings captures exercised, and which never."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iochain.cli import options
from iochain.cli.text import counted, say, table, title

if TYPE_CHECKING:
    from iochain.testing.coverage import Coverage


@click.command(
    short_help="Say which stages, verdicts and settings captures exercised, and which never.",
    epilog="Exit codes: 0 fine; 2 the input cannot be used, or a capture is damaged.",
)
@click.argument("captures", nargs=-1, metavar="[CAPTURE...]")
@options.lab_options
@click.option("--merge", multiple=True, metavar="FILE", help="Add what an earlier run wrote with -o, or pytest.")
@click.option("-o", "--output", metavar="FILE", help="Write the sum as JSON, to be merged later.")
@options.entry_options
@options.json_option
def coverage(
    captures: tuple[str, ...],
    lab_path: str | None,
    settings: tuple[str, ...],
    merge: tuple[str, ...],
    output: str | None,
    at: str | None,
    captured_at: str | None,
    engine: str | None,
    as_json: bool,
) -> int:
    """Replay captures through a lab and say what they exercised; or add up what earlier runs did.

    \b
    iochain coverage web.pcapng --lab lab.yaml -o web.json
    iochain coverage --merge web.json --merge tests.json
    """
    if not captures and not merge:
        raise click.UsageError("name captures, or earlier runs with --merge")
    options.refuse_overwriting("-o", output, *captures, lab_path)
    from iochain.testing.coverage import Coverage, covering

    total, damaged = Coverage(), False
    for path in merge:
        total.merge(Coverage.read(path))
    if captures:
        opened = options.open_lab(lab_path, settings, captures)
        chosen: dict[str, Any] = {"at": at, "captured_at": options.place_of(captured_at), **options.engine_of(engine)}
        with covering(total):
            damaged = opened.lab.replay(*captures, **chosen).damaged
    if output is not None:
        total.write(Path(output))
    say([json.dumps(total.document(), indent=2, ensure_ascii=False)] if as_json else text_of(total))
    return 2 if damaged else 0


def text_of(total: "Coverage") -> list[str]:
    """The table."""
    met = sum(bool(stage.met) for stage in total.stages.values())
    head = f"{met} of {counted(len(total.stages), 'stage')} met, {total.share:.0%} of what they may answer"
    rows = [(key, walks, f"{given}\nnever: {never}") for key, walks, given, never in total.rows()]
    return [title(head), "", *table("<><", ("stage", "walks", "answers and settings"), rows, indent="")]

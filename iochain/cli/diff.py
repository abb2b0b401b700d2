"""``iochain diff``: what two labs, or one lab with other settings, do differently with the same captures."""

import json
from pathlib import Path
from typing import Any

import click

from iochain.cli import options
from iochain.cli.moments import Moment, moment_given, span_ns
from iochain.cli.text import say


@click.command(
    short_help="Compare two labs: which frames of captures fare differently, and why.",
    epilog="Exit codes: 0 all frames fare alike; 1 some do not; 2 the input cannot be used, or a capture is damaged "
    "(what was before the damage was compared all the same).",
)
@click.argument("lab_a", metavar="LAB_A")
@click.argument("lab_b", metavar="LAB_B")
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@options.set_option
@click.option("--set-a", "settings_a", multiple=True, metavar="KEY=VALUE", help="Change the first lab only.")
@click.option("--set-b", "settings_b", multiple=True, metavar="KEY=VALUE", help="Change the second lab only.")
@click.option("--samples", metavar="FILE", help="Write some frames of each group to a pcapng.")
@click.option(
    "--each", type=click.IntRange(min=1), metavar="N", default=3, show_default=True, help="Samples of a group."
)
@click.option(
    "--from", "start", callback=moment_given, metavar="T", help="First moment, like 1.5 s or a date and time."
)
@click.option("--to", "stop", callback=moment_given, metavar="T", help="The first moment that is left out.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N frames of these.")
@options.entry_options
@options.json_option
def diff(
    lab_a: str,
    lab_b: str,
    captures: tuple[str, ...],
    settings: tuple[str, ...],
    settings_a: tuple[str, ...],
    settings_b: tuple[str, ...],
    samples: str | None,
    each: int,
    start: Moment | None,
    stop: Moment | None,
    captured_at: str | None,
    engine: str | None,
    as_json: bool,
    **rest: Any,
) -> int:
    """Replay captures through two labs, and group the frames whose fate changes by what became of them before and
    now, and by the setting that decided.

    \b
    iochain diff old.yaml new.yaml web.pcapng
    iochain diff lab.yaml lab.yaml web.pcapng --set-b portgroup.Prod.forged_transmits=reject
    """
    if "-" in captures:
        raise click.UsageError("standard input is read once; a comparison reads its captures twice")
    options.refuse_overwriting("--samples", samples, lab_a, lab_b, *captures)
    opened_a = options.open_lab(lab_a, (*settings, *settings_a), ())
    opened_b = options.open_lab(lab_b, (*settings, *settings_b), ())
    from iochain.cli.diff_documents import diff_document, diff_text
    from iochain.replay import Options
    from iochain.verify.difference import difference, write_samples

    start_ns, stop_ns = span_ns(start, stop, captures)
    place = options.place_of(captured_at)
    rest |= options.engine_of(engine)
    chosen = Options(start_ns=start_ns, stop_ns=stop_ns, captured_at=place, **rest)
    result = difference(opened_a.lab, opened_b.lab, captures, chosen, each)
    written = None if samples is None else write_samples(result, Path(samples))
    document = diff_document(result, opened_a, opened_b, captures, samples, written)
    say([json.dumps(document, indent=2, ensure_ascii=False)] if as_json else diff_text(document))
    return 2 if result.damaged else int(bool(result.groups))

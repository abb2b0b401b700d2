"""``iochain replay``: captures through a lab, and a summary of what became of the frames."""

import json
from collections.abc import Sequence
from typing import Any

import click

from iochain.cli import options
from iochain.cli.moments import Moment, moment_given, span_ns
from iochain.cli.text import say

POINTS = ("entered", "delivered", "dropped")


def points_given(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """The points of a list like ``entered,dropped``, each once."""
    if value is None:
        return None
    points = [one.strip() for one in value.split(",")]
    for point in points:
        if point not in POINTS:
            raise click.BadParameter(f'"{point}" is no point ({", ".join(POINTS)})', ctx, param)
    return tuple(dict.fromkeys(points))


@click.command(
    short_help="Run captures through a lab.",
    epilog="Exit codes: 0 fine; 2 the input cannot be used, or a capture is damaged (what was before the damage was "
    "replayed all the same).",
)
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@options.lab_options
@click.option(
    "-o",
    "--output",
    metavar="FILE|DIR/|-",
    help="Write the frames: to a pcapng, to a folder with a pcap for each port, or to standard output.",
)
@options.json_option
@click.option("--only", type=click.Choice(["drops"]), help="Show, and write, nothing but the drops.")
@click.option(
    "--from", "start", callback=moment_given, metavar="T", help="First moment, like 1.5 s or a date and time."
)
@click.option("--to", "stop", callback=moment_given, metavar="T", help="The first moment that is left out.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N frames of these.")
@options.entry_options
@click.option(
    "--points",
    callback=points_given,
    metavar="POINT,...",
    help="What is written: entered, delivered, dropped. Default: delivered,dropped.",
)
@click.option(
    "--timeline",
    type=click.Path(),
    metavar="FILE",
    help="What happens to the lab meanwhile: a YAML list of entries like {at: 5 s, link_down: esx01.vmnic0}.",
)
@click.option("--all-ports", is_flag=True, help="Show ports without traffic too.")
def replay(
    captures: tuple[str, ...],
    lab_path: str | None,
    settings: tuple[str, ...],
    output: str | None,
    as_json: bool,
    only: str | None,
    start: Moment | None,
    stop: Moment | None,
    points: tuple[str, ...] | None,
    all_ports: bool,
    captured_at: str | None,
    engine: str | None,
    **rest: Any,
) -> int:
    """Run captures (pcap or pcapng, plain, gzip or zstd; "-" is standard input) through a lab, merged by time.

    \b
    iochain replay web.pcapng --lab lab.yaml
    iochain replay web.pcapng --lab lab.yaml -o out.pcapng
    iochain replay web.pcapng --lab lab.yaml --set portgroup.Prod.vlan=20 --only drops
    """
    _refuse(output, as_json, only, points)
    options.refuse_overwriting("-o", output, *captures, lab_path, rest.get("timeline"))
    opened = options.open_lab(lab_path, settings, captures)
    from iochain.cli.documents import replay_document
    from iochain.cli.progress import ShownProgress
    from iochain.cli.replay_text import replay_text
    from iochain.replay import DEFAULT_POINTS

    start_ns, stop_ns = span_ns(start, stop, captures)
    chosen = ("dropped",) if only else points or DEFAULT_POINTS
    place = options.place_of(captured_at)
    with ShownProgress() as progress:
        result = opened.lab.replay(
            *captures,
            progress=progress,
            output=output,
            points=chosen,
            start_ns=start_ns,
            stop_ns=stop_ns,
            captured_at=place,
            **options.engine_of(engine),
            **rest,
        )
    document = replay_document(result, opened)
    if as_json:
        say([json.dumps(document, indent=2, ensure_ascii=False)])
    else:
        say(replay_text(document, only is not None, all_ports), err=output == "-")
    return 2 if result.damaged else 0


def _refuse(output: str | None, as_json: bool, only: str | None, points: Sequence[str] | None) -> None:
    """Say what cannot go together, before anything is written."""
    if only and points:
        raise click.UsageError("--only drops and --points both say what is written: give one of them")
    if output == "-" and as_json:
        raise click.UsageError("-o - and --json would both write to standard output")
    if points and output is None:
        raise click.UsageError("--points says what is written: give -o too")

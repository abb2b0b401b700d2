"""Moments on the command line: a time after the first frame (``1.5 s``), or a date and time."""

from collections.abc import Sequence

import click

from iochain.topology.moments import Moment, moment

__all__ = ["Moment", "first_time_ns", "moment", "moment_given", "span_ns"]


def moment_given(ctx: click.Context, param: click.Parameter, value: str | None) -> Moment | None:
    """The moment of an option, or click's error with the message."""
    try:
        return None if value is None else moment(value)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong), ctx, param) from None


def first_time_ns(captures: Sequence[str]) -> int:
    """When the first frame of captures was; 0 if there is none. CaptureError if one cannot be opened."""
    from iochain.capture import read_captures

    with read_captures(captures, limit=1) as reader:
        for batch, _ in reader:
            if len(batch):
                return int(batch.column("time_ns")[0])
    return 0


def span_ns(start: Moment | None, stop: Moment | None, captures: Sequence[str]) -> tuple[int | None, int | None]:
    """Start and stop since 1970, for a replay. Reads the first frame if one of them is relative."""
    given = [one for one in (start, stop) if one is not None]
    zero = 0
    if any(one.is_relative for one in given):
        if "-" in captures:
            raise click.UsageError("standard input is read once: say --from and --to with date and time")
        zero = first_time_ns(captures)
    ends = [None if one is None else one.ns + (zero if one.is_relative else 0) for one in (start, stop)]
    return ends[0], ends[1]

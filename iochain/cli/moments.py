"""Moments on the command line: a time after the first frame (``1.5 s``), or a date and time."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import click
from attrs import frozen

from iochain.topology.units import TIME_UNITS, shown, time_ns

_DATE: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?)? ?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ALLOWED: Final = "a time after the first frame, like 1.5 s or 500 ms, or a date and time like 2026-11-23T09:15:00.5Z"


@frozen
class Moment:
    """Nanoseconds after the first frame, or since 1970."""

    ns: int
    is_relative: bool


def moment(text: str) -> Moment:
    """The moment that a text says; without a zone it is UTC. ValueError if it says none."""
    if re.fullmatch(rf" *[0-9.]+ *({'|'.join(TIME_UNITS)}) *", text):
        return Moment(time_ns(text), True)
    found = _DATE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{shown(text)} is no moment ({_ALLOWED})")
    day, clock, fraction, zone = found.groups()
    try:
        when = datetime.fromisoformat(f"{day}T{clock or '00:00'}{zone or '+00:00'}")
        seconds = (when - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError) as wrong:
        raise ValueError(f"{shown(text)}: {wrong}") from None
    return Moment(seconds * 10**9 + int((fraction or "").ljust(9, "0")), False)


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

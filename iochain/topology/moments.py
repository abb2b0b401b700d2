"""Moments: a time after the first frame (``1.5 s``), or a date and time."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

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

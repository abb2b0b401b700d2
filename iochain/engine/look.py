"""The look at frames of captures for what they ask of adapters, as they enter; captures themselves say nothing."""

from typing import Any

from attrs import define, field

from iochain.batch import Batch
from iochain.engine.requests import Found, Requests
from iochain.engine.segments import Half
from iochain.uplink.checksum import asks


def _nobody_asks() -> dict[Any, bool]:
    return {asks: False}


@define
class Look:
    """One look, at the rows of one window: most ask for nothing, and are looked at closely only if they may.

    With ``skips`` rows are to go past all of ``input`` before its last segments.
    """

    requests: Requests
    input: Half
    skips: bool = False
    found: Found = Found.NOTHING
    known: dict[Any, bool] = field(factory=_nobody_asks)  # what banks need not ask, see Depot.passes

    def halts(self, rest: Batch) -> bool:
        """Look closely at the rows from one on that may ask for something; whether they cannot go on as others do."""
        rest.rows["port"] = 0  # one is like the other
        self.found = self.requests.mark(rest.rows)
        if self.found is Found.NOTHING:
            return False
        self.known.clear()
        return self.found is Found.LARGE or (self.skips and not self.input.can_be_skipped(rest, {}))

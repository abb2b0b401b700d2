"""Which difference between two labs gives a frame its other fate: the one that does so alone.

The labs' data are compared key by key. Each difference is put into the old lab alone, and the frame is replayed there:
if it fares as in the new lab, that is the setting that decided.
"""

import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from attrs import define, evolve, field, frozen

from iochain.batch import batch_of
from iochain.capture import CaptureError, OutInterface, PcapDirectory
from iochain.chain import From, plain
from iochain.engine.walk import StageError
from iochain.lab import Lab
from iochain.replay import Options, Windows
from iochain.topology.mistakes import KeyPath, LabError
from iochain.topology.shape import plain as plain_data
from iochain.topology.wiring import Wiring
from iochain.verify.fatesums import Kinds, Side

MOST: Final = 40
"""Differences that are tried."""
_ABSENT: Final = object()


@frozen
class Apart:
    """A key that the labs do not have alike, and its value in the new one."""

    path: KeyPath
    value: Any


@define
class Causes:
    """The differences of two labs, each alone in the old one."""

    old: Lab
    new: Lab
    options: Options
    apart: tuple[Apart, ...] = field(init=False)
    _wirings: dict[KeyPath, Wiring | None] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        found = _apart(plain_data(self.old.data), plain_data(self.new.data), ())
        self.apart = tuple(islice(found, MOST))
        self.options = evolve(self.options, start_ns=None, stop_ns=None, limit=None, timeline=None)

    @property
    def only(self) -> From | None:
        """The difference, if there is just one."""
        return self._setting(self.apart[0]) if len(self.apart) == 1 else None

    def of(self, capture: str, data: bytes, time_ns: int) -> From | None:
        """The difference that alone gives a frame the fate that it has in the new lab; None if no one does."""
        if not self.apart:
            return None
        with tempfile.TemporaryDirectory() as folder:
            name = Path(capture).stem or "sample"
            with PcapDirectory(folder, [OutInterface(name)]) as directory:
                directory.write(batch_of([(data, time_ns)]), 0)
            path = str(next(Path(folder).iterdir()))
            kinds = Kinds()
            before, after = (_fate(lab.wiring, path, self.options, kinds) for lab in (self.old, self.new))
            if before == after:
                return None
            for one in self.apart:
                wiring = self._wiring(one)
                if wiring is not None and _fate(wiring, path, self.options, kinds) == after:
                    return self._setting(one)
        return None

    def _wiring(self, one: Apart) -> Wiring | None:
        """The old lab with one difference; None where that is no lab."""
        if one.path not in self._wirings:
            lab = self.old.with_settings(())  # with the stages that were put into its chains, and data of its own
            level = lab.data
            for part in one.path[:-1]:
                level = level.setdefault(str(part), {})
            if one.value is _ABSENT:
                del level[str(one.path[-1])]
            else:
                level[str(one.path[-1])] = one.value
            try:
                self._wirings[one.path] = lab.wiring
            except (LabError, LookupError, ValueError):  # a chain may lack the neighbour of a user's stage
                self._wirings[one.path] = None
        return self._wirings[one.path]

    def _setting(self, one: Apart) -> From:
        value = "as by default" if one.value is _ABSENT else one.value
        if isinstance(value, (dict, list)):
            value = "other than before" if isinstance(value, dict) else tuple(value)
        lab = self.old if one.value is _ABSENT else self.new
        return self.new.wiring.settings.said(plain(value), lab.name, one.path)


def _fate(wiring: Wiring, path: str, options: Options, kinds: Kinds) -> int | None:
    """The sum of a frame that is replayed alone; None if it cannot be."""
    side = Side(wiring, kinds)
    try:
        for fates in Windows(wiring, [path], options):
            side.add(fates)
    except (CaptureError, StageError, LookupError):
        return None
    return int(side.sums[0][0]) if side.sums else 0


def _apart(old: Any, new: Any, path: KeyPath) -> Iterator[Apart]:
    """Keys whose values differ, the deepest that both labs have a mapping above."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        if old != new:
            yield Apart(path, new)
        return
    for key in dict.fromkeys([*old, *new]):
        yield from _apart(old.get(key, _ABSENT), new.get(key, _ABSENT), (*path, key))

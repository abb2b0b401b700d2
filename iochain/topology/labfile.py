"""The lab file: YAML text, or the same nested data from Python, to a lab that is checked in whole.

Everything that is wrong is collected, so one :class:`LabError` tells all mistakes of a lab with their places.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import attrs
from attrs import frozen

from iochain.topology.checks import check
from iochain.topology.expansion import expanded
from iochain.topology.mistakes import Finding, KeyPath, LabError, Mistake, Place, key_text
from iochain.topology.settings import apply
from iochain.topology.shape import Shaped, plain, shape
from iochain.topology.spec import LabSpec
from iochain.topology.yamltext import Written, read_file, read_text

__all__ = ["LabError", "LoadedLab", "expanded", "load", "load_text", "loaded", "structure", "with_settings"]

NO_PLACES: Final[Mapping[str, Place]] = MappingProxyType({})


@frozen
class LoadedLab:
    """A lab without mistakes, what it was read from, and what is allowed in it but strange."""

    spec: LabSpec
    places: Mapping[str, Place]
    warnings: tuple[Mistake, ...]
    name: str = "lab"
    data: Mapping[str, Any] = attrs.field(factory=dict, repr=False)


def load(path: Path | str, settings: Iterable[str] = ()) -> LoadedLab:
    """The lab of a file, with settings of the command line (see :func:`with_settings`). Raises LabError."""
    return load_text(read_file(path), str(path), settings)


def load_text(text: str, name: str = "lab", settings: Iterable[str] = ()) -> LoadedLab:
    """The lab of a YAML text; the name stands in messages. Raises LabError."""
    return _loaded(read_text(text, name), settings)


def structure(data: Mapping[str, Any] | LabSpec, places: Mapping[str, Place] = NO_PLACES, name: str = "lab") -> LabSpec:
    """The lab that nested data say; values of :mod:`iochain.topology.spec` may stand in them. Raises LabError."""
    return loaded(data, places, name).spec


def loaded(
    data: Mapping[str, Any] | LabSpec,
    places: Mapping[str, Place] = NO_PLACES,
    name: str = "lab",
    settings: Iterable[str] = (),
) -> LoadedLab:
    """The same after settings, with what is allowed but strange, and a copy of the data. Raises LabError."""
    return _loaded(Written(name, data, dict(places)), settings)


def with_settings(lab: LoadedLab | LabSpec | Mapping[str, Any], settings: Iterable[str]) -> LoadedLab:
    """The lab with texts like ``portgroup.Prod.vlan=20`` applied before it is checked. Raises LabError.

    The forms of a setting are in :mod:`iochain.topology.settings`.
    """
    if isinstance(lab, LoadedLab):
        return _loaded(Written(lab.name, lab.data, dict(lab.places)), settings)
    return _loaded(Written("lab", lab), settings)


def _loaded(written: Written, settings: Iterable[str]) -> LoadedLab:
    try:
        data = plain(written.data)
    except ValueError as wrong:
        raise LabError(written.name, [Mistake(None, "", str(wrong))]) from None
    if not isinstance(data, dict):
        message = "this is no lab; it begins with hosts:, and the hosts' names below"
        raise LabError(written.name, [*written.mistakes, Mistake(None, "", message)])
    written.data = data
    apply(written, settings)
    spec, shaped = shape(written.data)
    findings = [*shaped.findings, *_worth_telling(check(spec), shaped)]
    told = [(finding.warning, _placed(finding, written.places, shaped)) for finding in findings]
    mistakes = [*written.mistakes, *(mistake for warning, mistake in told if not warning)]
    if mistakes:
        raise LabError(written.name, sorted(mistakes, key=_line))
    warnings = tuple(sorted((mistake for _, mistake in told), key=_line))
    return LoadedLab(spec, written.places, warnings, written.name, written.data)


def _worth_telling(findings: Iterable[Finding], shaped: Shaped) -> list[Finding]:
    """Findings that are no mere consequence of a mistake that is told already."""
    if shaped.incomplete:
        return []
    return [finding for finding in findings if not any(above in shaped.wrong for above in _ways_up(finding.path))]


def _ways_up(path: KeyPath) -> list[KeyPath]:
    return [path[:length] for length in range(len(path), -1, -1)]


def _placed(finding: Finding, places: Mapping[str, Place], shaped: Shaped) -> Mistake:
    path = finding.path
    for above in _ways_up(path):
        if above in shaped.written:
            path = shaped.written[above] + path[len(above) :]
            break
    where = (places[key_text(above)] for above in _ways_up(path) if key_text(above) in places)
    return Mistake(next(where, None), key_text(path), finding.message)


def _line(mistake: Mistake) -> int:
    return mistake.place.line or 0 if mistake.place else 0

"""The timeline of a replay: a YAML file with what happens at which moment, in the time of the captures.

Each entry has ``at``, a time after the first frame (``5 s``) or a date and time, and one action::

    - at: 5 s
      link_down: esx01.vmnic0
    - at: 2026-11-23T09:15:00.5Z
      move: {vm: web, host: esx02}
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from os import PathLike, fspath
from typing import Any, Final

import attrs
from attrs import frozen

from iochain.experiment.actions import (
    CutCable,
    LinkDown,
    LinkSpeed,
    LinkUp,
    MendCable,
    Move,
    NicDown,
    NicUp,
    PowerOff,
    PowerOn,
    Reopen,
    SetMac,
)
from iochain.experiment.live import Action, Live
from iochain.topology.mistakes import LabError, Mistake, Place, guess
from iochain.topology.moments import Moment, moment
from iochain.topology.units import format_time, shown
from iochain.topology.yamltext import read_file, read_text

ACTIONS: Final[Mapping[str, Callable[..., Action]]] = {
    "link_down": LinkDown,
    "link_up": LinkUp,
    "link_speed": LinkSpeed,
    "nic_down": NicDown,
    "nic_up": NicUp,
    "power_on": PowerOn,
    "power_off": PowerOff,
    "move": Move,
    "set_mac": SetMac,
    "cut_cable": CutCable,
    "mend_cable": MendCable,
    "reopen": Reopen,
}
"""What an entry may say, by key. The value is the action's first argument, or a mapping with several."""
AT: Final = "at"


@frozen
class Happening:
    """An action at a moment, and where it is said."""

    at: Moment
    action: Action
    key: str = ""
    place: Place | None = None


@frozen
class Timeline:
    """What happens in a replay."""

    name: str
    happenings: tuple[Happening, ...]

    def put_on(self, live: Live, first_ns: int) -> int:
        """Put all on the agenda; gives the moment of the last. LabError with all mistakes of times and names.

        What the lab cannot do when the time has come is a LabError then.
        """
        mistakes, last_ns = [], first_ns
        for one in self.happenings:
            time_ns = one.at.ns + (first_ns if one.at.is_relative else 0)
            try:
                if time_ns < first_ns:
                    ahead = format_time(first_ns - time_ns)
                    raise ValueError(f"that is {ahead} before the first frame of the captures")
                live.check(one.action)
                live.agenda.at(time_ns, partial(self._happen, live, one))
                last_ns = max(last_ns, time_ns)
            except (LookupError, ValueError) as wrong:
                mistakes.append(Mistake(one.place, one.key, str(wrong.args[0])))
        if mistakes:
            raise LabError(self.name, mistakes)
        return last_ns

    def _happen(self, live: Live, one: Happening) -> None:
        """Have it happen, now. LabError if it cannot be as the lab is at this moment."""
        try:
            live.do(one.action)
        except (LookupError, ValueError) as wrong:
            raise LabError(self.name, [Mistake(one.place, one.key, str(wrong))]) from wrong


Given = str | PathLike[str] | Iterable[tuple[str, Action]] | Timeline
"""The path of a timeline's file, or pairs of a time (``5 s`` after the first frame, or a date and time) and action."""


def timeline_of(given: Given) -> Timeline:
    """The timeline of a file, or of pairs. LabError with all its mistakes."""
    if isinstance(given, Timeline):
        return given
    if isinstance(given, (str, PathLike)):
        return load(fspath(given))
    return Timeline("timeline", tuple(Happening(moment(time), action) for time, action in given))


def load(path: str) -> Timeline:
    """The timeline of a YAML file. LabError with all its mistakes."""
    text = read_file(path)
    if all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines()):
        return Timeline(path, ())
    written = read_text(text, path)
    mistakes: list[Mistake] = list(written.mistakes)
    if not isinstance(written.data, list):
        message = "this is no timeline; it is a list of entries like - {at: 5 s, link_down: esx01.vmnic0}"
        raise LabError(path, [*mistakes, Mistake(None, "", message)])
    found = []
    for index, entry in enumerate(written.data):
        try:
            found.append(_happening(entry, index, written.places))
        except _WrongError as wrong:
            place = written.places.get(wrong.key) or written.places.get(f"[{index}]")
            mistakes.append(Mistake(place, wrong.key, wrong.message))
    if mistakes:
        raise LabError(path, sorted(mistakes, key=lambda one: one.place.line or 0 if one.place else 0))
    return Timeline(path, tuple(found))


class _WrongError(Exception):
    """What is wrong with an entry, and at which key."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key, self.message = key, message


def _happening(entry: Any, index: int, places: Mapping[str, Place]) -> Happening:
    here = f"[{index}]"
    if not isinstance(entry, dict):
        raise _WrongError(here, f"{shown(entry)} stands where an entry like {{at: 5 s, link_down: vmnic0}} is needed")
    for name in entry:
        if name != AT and name not in ACTIONS:
            known = guess(name, [AT, *ACTIONS]) or f" ({AT}, {', '.join(ACTIONS)})"
            raise _WrongError(f"{here}.{name}", f'"{name}" is no action{known}')
    names = [name for name in entry if name != AT]
    if AT not in entry:
        raise _WrongError(here, 'the key "at" is missing (a time after the first frame, like 5 s, or a date and time)')
    if len(names) != 1:
        said = " and ".join(names) or "none"
        raise _WrongError(here, f"an entry has one action, this has {said} ({', '.join(ACTIONS)})")
    try:
        at = moment(entry[AT] if isinstance(entry[AT], str) else shown(entry[AT]))
    except ValueError as wrong:
        raise _WrongError(f"{here}.{AT}", str(wrong)) from None
    key = f"{here}.{names[0]}"
    return Happening(at, _action(names[0], entry[names[0]], key), key, places.get(key))


def _action(name: str, value: Any, key: str) -> Action:
    """The action that an entry says: its first argument, or several by name."""
    make: Any = ACTIONS[name]
    arguments: Sequence[Any] = attrs.fields(make)
    first = arguments[0].name
    given = value if isinstance(value, dict) else {first: value}
    known = {one.name: one for one in arguments}
    for argument, said in given.items():
        if argument not in known:
            raise _WrongError(f"{key}.{argument}", f'"{argument}" is no key of {name} ({", ".join(known)})')
        if not isinstance(said, str):
            raise _WrongError(key, f"{shown(said)} stands where one name is needed, like {name}: {_EXAMPLES[first]}")
    for argument in known.values():
        if argument.default is attrs.NOTHING and argument.name not in given:
            raise _WrongError(key, f'the key "{argument.name}" is missing')
    try:
        action: Action = make(**given)
    except (TypeError, ValueError) as wrong:
        raise _WrongError(key, str(wrong)) from None
    return action


_EXAMPLES: Final = {"port": "esx01.vmnic0", "vm": "web", "cable": "esx01.vmnic0"}

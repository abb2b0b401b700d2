"""The policy file: YAML with named statements, to values that are checked against the lab they speak of.

Everything that is wrong is collected, so one :class:`LabError` tells all mistakes with their places.
"""

from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from attrs import define, field, frozen

from iochain.topology.mistakes import KeyPath, LabError, Mistake, Place, guess, key_text
from iochain.topology.units import mac, mac_number, shown
from iochain.topology.wiring import Wiring
from iochain.topology.yamltext import Written, read_file, read_text
from iochain.verify.conditions import FIELDS, Condition, condition_of
from iochain.verify.contradictions import contradiction
from iochain.verify.selection import Names, selected
from iochain.verify.statements import KINDS, Isolated, Never, NoSpoofing, Only, Ports, Reaches, Rule, Statement

BECAUSE: Final = "because"


@frozen
class Policy:
    """The statements of a policy file, in its order."""

    name: str
    statements: tuple[Statement, ...]


def load_policy(path: Path | str, wiring: Wiring) -> Policy:
    """The policy of a file, about this lab. Raises LabError with all its mistakes."""
    return policy_of_text(read_file(path), wiring, str(path))


def policy_of_text(text: str, wiring: Wiring, name: str = "policy") -> Policy:
    """The policy of a YAML text; the name stands in messages. Raises LabError."""
    try:
        written = read_text(text, name)
    except LabError as error:
        told = [_of_policies(mistake) for mistake in error.mistakes]
        raise LabError(name, told) from None
    return _Reading(written, wiring).policy()


def _of_policies(mistake: Mistake) -> Mistake:
    """The message about an empty file speaks of labs; this one of policies."""
    message = mistake.message.replace("a lab begins with hosts:", "a policy begins with statements:")
    return Mistake(mistake.place, mistake.key, message)


@define
class _Reading:
    """A policy that is being read."""

    written: Written
    wiring: Wiring
    names: Names = field(init=False)
    mistakes: list[Mistake] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.names = Names.of(self.wiring)
        self.mistakes = list(self.written.mistakes)

    def policy(self) -> Policy:
        """The policy, or LabError."""
        data = self.written.data
        statements = self._statements(data) if isinstance(data, dict) else []
        if not isinstance(data, dict):
            self.fault((), "this is no policy; it begins with statements:, and their names below")
        if not self.mistakes:
            self._contradictions(statements)
        if self.mistakes:
            raise LabError(self.written.name, sorted(self.mistakes, key=_line))
        return Policy(self.written.name, tuple(statements))

    def fault(self, path: KeyPath, message: str) -> None:
        """Note a mistake at the place of a key, or of the nearest above it."""
        ways = [path[:length] for length in range(len(path), -1, -1)]
        places = self.written.places
        where = next((places[key_text(way)] for way in ways if way and key_text(way) in places), None)
        self.mistakes.append(Mistake(where, key_text(path), message))

    def place(self, path: KeyPath) -> Place | None:
        """Where a key stands."""
        return self.written.places.get(key_text(path))

    def _statements(self, data: Mapping[str, Any]) -> list[Statement]:
        for name in data:
            if name != "statements":
                self.fault((name,), f'"{name}" is no key of a policy{guess(name, ["statements"])} (statements)')
        said = data.get("statements")
        if not isinstance(said, dict) or not said:
            if "statements" in data or not data:
                self.fault(("statements",), f"{shown(said)} stands where statements are, by their names")
            return []
        found = [self._statement(("statements", name), name, value) for name, value in said.items()]
        return [statement for statement in found if statement is not None]

    def _statement(self, path: KeyPath, name: str, data: Any) -> Statement | None:
        words = list(KINDS.values())
        if not isinstance(data, dict):
            self.fault(path, f"{shown(data)} stands where a statement is: because:, and one of {', '.join(words)}")
            return None
        for key in data:
            if key not in (*words, BECAUSE):
                near = guess(key, (*words, BECAUSE)) or f" ({', '.join((*words, BECAUSE))})"
                self.fault((*path, key), f'"{key}" is no key of a statement{near}')
        if not isinstance(data.get(BECAUSE), str):
            self.fault((*path, BECAUSE), "the reason is missing: say why this is to hold")
        said = [word for word in words if word in data]
        if len(said) != 1:
            if said or not any(key not in (*words, BECAUSE) for key in data):
                message = f"it says {' and '.join(said) or 'nothing'}; a statement says one of {', '.join(words)}"
                self.fault(path, message)
            return None
        before = len(self.mistakes)
        rule = _RULES[said[0]](self, (*path, said[0]), data[said[0]])
        if rule is None or len(self.mistakes) > before:
            return None
        return Statement(name, str(data.get(BECAUSE)), rule, self.place(path))

    # -- the kinds of statements

    def isolated(self, path: KeyPath, data: Any) -> Rule | None:
        """``[A, B]``."""
        if not isinstance(data, list) or len(data) != 2:
            self.fault(path, f"{shown(data)} stands where two sides are needed: [A, B]")
            return None
        a, b = (self.ports((*path, index), side) for index, side in enumerate(data))
        both = sorted(self.wiring.ports[number].name for number in a & b)
        if both:
            self.fault(path, f"{', '.join(both[:5])} would be isolated from itself: it stands on both sides")
        return Isolated(a, b)

    def reaches(self, path: KeyPath, data: Any) -> Rule | None:
        """``{from: A, to: B, frames: …}``."""
        data = self.keys(path, data, ("from", "to"), ("frames",))
        if data is None:
            return None
        source, to = self.ports((*path, "from"), data["from"]), self.ports((*path, "to"), data["to"])
        if len(source | to) == 1 and source:
            self.fault(path, "a port is to reach itself; name two")
        return Reaches(source, to, self.frames((*path, "frames"), data.get("frames")))

    def never(self, path: KeyPath, data: Any) -> Rule | None:
        """``{frames: …, at: A, from: B, sent: …}``."""
        data = self.keys(path, data, ("at",), ("frames", "from", "sent"))
        if data is None:
            return None
        at = self.ports((*path, "at"), data["at"])
        everyone = frozenset(port.number for port in self.wiring.ports)
        source = self.ports((*path, "from"), data["from"]) if "from" in data else everyone
        frames, sent = (self.frames((*path, key), data.get(key)) for key in ("frames", "sent"))
        if frames.is_any and sent.is_any and "from" not in data:
            self.fault(path, "it forbids every frame; say which: frames, sent or from")
        return Never(at, source, frames, sent)

    def no_spoofing(self, path: KeyPath, data: Any) -> Rule | None:
        """Ports; or ``{ports: …, macs: […]}``."""
        if not isinstance(data, dict) or "ports" not in data:
            return NoSpoofing(self.own_macs(path, self.ports(path, data)))
        data = self.keys(path, data, ("ports",), ("macs",))
        if data is None:
            return None
        macs: set[int] = set()
        given = data.get("macs") or []
        for index, one in enumerate(given if isinstance(given, list) else [given]):
            try:
                macs.add(mac_number(mac(one)))
            except ValueError as wrong:
                self.fault((*path, "macs", index), str(wrong))
        return NoSpoofing(self.own_macs((*path, "ports"), self.ports((*path, "ports"), data["ports"])), frozenset(macs))

    def only(self, path: KeyPath, data: Any) -> Rule | None:
        """``{vlans: [10, 20-29], at: A}``."""
        data = self.keys(path, data, ("vlans", "at"), ())
        if data is None:
            return None
        given = data["vlans"] if isinstance(data["vlans"], list) else [data["vlans"]]
        vlans: set[int] = set()
        for index, one in enumerate(given):
            try:
                for span in FIELDS["vlan"].read(one):
                    vlans.update(range(span.low, span.high + 1))
            except ValueError as wrong:
                self.fault((*path, "vlans", index), str(wrong))
        return Only(frozenset(vlans), self.ports((*path, "at"), data["at"]))

    # -- their parts

    def keys(self, path: KeyPath, data: Any, needed: tuple[str, ...], others: tuple[str, ...]) -> Any:
        """The keys of a rule; None if they cannot be read."""
        if not isinstance(data, dict):
            self.fault(path, f"{shown(data)} stands where keys are needed: {', '.join((*needed, *others))}")
            return None
        for key in data:
            if key not in (*needed, *others):
                near = guess(key, (*needed, *others)) or f" ({', '.join((*needed, *others))})"
                self.fault((*path, key), f'"{key}" is no key of "{path[-1]}"{near}')
        missing = [key for key in needed if key not in data]
        for key in missing:
            self.fault(path, f'the key "{key}" is missing')
        return None if missing else data

    def ports(self, path: KeyPath, data: Any) -> Ports:
        """The ports that a selection names."""
        return selected(data, self.names, lambda below, message: self.fault((*path, *below), message))

    def own_macs(self, path: KeyPath, ports: Ports) -> Ports:
        """The same ports, all of which must have a MAC of their own to send from."""
        for number in sorted(ports):
            if self.wiring.ports[number].uplink:
                name = self.wiring.ports[number].name
                self.fault(path, f"{name} is an uplink: frames from everywhere come in by it, so nothing is its own")
                break
        return ports

    def frames(self, path: KeyPath, data: Any) -> Condition:
        """The condition on frames."""
        if data is None:
            return Condition()
        if not isinstance(data, dict):
            self.fault(path, f"{shown(data)} stands where fields of frames are: {', '.join(FIELDS)}, tagged")
            return Condition()
        return condition_of(data, lambda key, message: self.fault((*path, key), message))

    def _contradictions(self, statements: list[Statement]) -> None:
        """Tell of statements of which not both can hold, at the later one, with the place of the other."""
        for first, second in combinations(statements, 2):
            why = contradiction(first.rule, second.rule, self.wiring)
            if why:
                where = f" ({first.place})" if first.place else ""
                path = ("statements", second.name)
                self.fault(path, f'contradicts the statement "{first.name}"{where}: {why}')


_RULES: Final[dict[str, Callable[[_Reading, KeyPath, Any], Rule | None]]] = {
    "isolated": _Reading.isolated,
    "reaches": _Reading.reaches,
    "never": _Reading.never,
    "no_spoofing": _Reading.no_spoofing,
    "only": _Reading.only,
}


def _line(mistake: Mistake) -> int:
    return mistake.place.line or 0 if mistake.place else 0

"""From a frame that breaks a rule to the plainest that does: no payload, plain MACs, no tag that it can do without."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final

from attrs import frozen

from iochain.chain import PortKind
from iochain.frame import VID_BITS, Mac
from iochain.kernels.rows import ETHERNET_BYTES
from iochain.verify.candidates import Borders
from iochain.verify.contents import PLAIN, Content, contents_of, frame_of
from iochain.verify.search import Search, Suspect, conditions_of
from iochain.verify.statements import Reaches, Rule

_ROUNDS: Final = 12
_CUTS: Final = 24


@frozen
class Parts:
    """A frame taken apart."""

    destination: int
    source: int
    tci: int | None
    content: Content

    @classmethod
    def of(cls, frame: bytes) -> "Parts":
        """The parts of a frame."""
        tagged = frame[12:14] == b"\x81\x00" and len(frame) >= ETHERNET_BYTES + 4
        tci = int.from_bytes(frame[14:16], "big") if tagged else None
        rest = frame[16:] if tagged else frame[12:]
        return cls(int.from_bytes(frame[:6], "big"), int.from_bytes(frame[6:12], "big"), tci, Content(rest))

    @property
    def frame(self) -> bytes:
        """The bytes again."""
        return frame_of(self.destination, self.source, self.tci, self.content)


def plainest(search: Search, rule: Rule, suspects: Sequence[Suspect]) -> Suspect:
    """The plainest frame that breaks the rule, that can be had from some that do."""
    best = min(suspects, key=lambda one: _weight(one, search))
    for _ in range(_ROUNDS):
        frames = [parts.frame for parts in _plainer(best, rule, search)]
        weight = _weight(best, search)
        lighter = [frame for frame in dict.fromkeys(frames) if _weight(_with(best, frame), search) < weight]
        target = best.port if isinstance(rule, Reaches) else -1
        found = [one for one in search.broken_by(rule, lighter, best.sender, target) if one is not None]
        if not found:
            return best
        best = min(found, key=lambda one: _weight(one, search))
    return best


def _with(suspect: Suspect, frame: bytes) -> Suspect:
    return Suspect(frame, suspect.sender, suspect.port)


def _plainer(suspect: Suspect, rule: Rule, search: Search) -> Iterator[Parts]:
    """Frames like it with plainer parts, in all combinations; then with fewer bytes."""
    parts, borders = Parts.of(suspect.frame), search.borders
    contents = [PLAIN, *_contents(rule), *_shorter(parts.content)]
    if isinstance(rule, Reaches):  # its addresses and tag are those that it speaks of
        for content in contents:
            yield Parts(parts.destination, parts.source, parts.tci, content)
        return
    sender, receiver = (search.wiring.ports[number] for number in (suspect.sender, suspect.port))
    destinations = [int(mac) for mac in (receiver.effective_mac, receiver.initial_mac) if mac is not None]
    sources = [int(mac) for mac in (sender.effective_mac, sender.initial_mac) if mac is not None and not sender.uplink]
    tags: list[int | None] = [None]
    if parts.tci is not None:
        tags += [parts.tci & VID_BITS, *(vlan for vlan in borders.vlans if vlan < parts.tci & VID_BITS), 0]
    choices = product(
        dict.fromkeys([*destinations, (1 << 48) - 1, borders.outside, parts.destination]),
        dict.fromkeys([*sources, borders.outside, parts.source]),
        dict.fromkeys([*tags, parts.tci]),
        dict.fromkeys([*contents[:6], parts.content]),
    )
    for destination, source, tci, content in choices:
        yield Parts(destination, source, tci, content)
    for content in contents:
        yield Parts(parts.destination, parts.source, parts.tci, content)


def _contents(rule: Rule) -> list[Content]:
    """The shortest contents of what a rule speaks of."""
    return sorted(
        (content for one in conditions_of([rule]) for content in contents_of(one)), key=lambda one: len(one.data)
    )[:4]


def _shorter(content: Content) -> Iterator[Content]:
    """The same content cut, and with zeros for bytes of it."""
    data = content.data
    for length in sorted({2, 5, 10, 22, 30, 42, len(data) // 2, len(data) - 8, len(data) - 1}):
        if 2 <= length < len(data):
            yield Content(data[:length])
    for at in range(2, min(len(data), 2 + _CUTS)):
        if data[at]:
            yield Content(data[:at] + b"\0" + data[at + 1 :])


def _weight(suspect: Suspect, search: Search) -> tuple[object, ...]:
    """What makes a frame plain, the most important first; the least is the plainest."""
    parts, wiring = Parts.of(suspect.frame), search.wiring
    sender, receiver = wiring.ports[suspect.sender], wiring.ports[suspect.port]
    inside = sender.kind in (PortKind.VNIC, PortKind.VMKERNEL)
    own = (sender.effective_mac, sender.initial_mac) if inside else (Mac(search.borders.outside),)
    its = (receiver.effective_mac, receiver.initial_mac) if not receiver.uplink else (Mac(search.borders.outside),)
    return (
        len(parts.content.data),
        parts.tci is not None,
        _rank(parts.source, own, search.borders),
        _rank(parts.destination, its, search.borders),
        (parts.tci or 0) & ~VID_BITS,
        parts.content.data != PLAIN.data,
        parts.tci or 0,
        sum(map(bool, parts.content.data)),
        suspect.frame,
    )


def _rank(mac: int, first: Sequence[Mac | None], borders: Borders) -> int:
    """How plain a MAC is: one that is expected there, that of nobody, broadcast, one of the lab, any other."""
    if mac in [one for one in first if one is not None]:
        return 0
    if mac == borders.outside:
        return 1
    return 2 if mac == (1 << 48) - 1 else 3 if mac in borders.macs else 4

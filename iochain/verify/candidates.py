"""Frames that are tried first: those at the borders of what a lab can tell apart.

MACs of all ports, of groups and of nobody; the VLANs of the lab, those at the ends of the range and one of nobody; tags
that name no VLAN, priorities; contents of all kinds, and pairs of IP addresses for each uplink of a team. What stages
hold or compare with (numbers of their own, in their text or their tables) is tried too: a user's stage has its borders
there, and nobody has to tell of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any, Final

import attrs
from attrs import define, field, frozen

from iochain.chain import Chain, Port, PortKind
from iochain.frame import ALL_VLANS, BROADCAST, MAX_VLAN, Mac, Table
from iochain.testing.reading import functions_of
from iochain.topology.wiring import Wiring
from iochain.verify.conditions import Condition
from iochain.verify.contents import PLAIN, Content, contents_of, frame_of, usual

OUTSIDE: Final = 0x02_00_00_00_00_FE
"""The first MAC that is tried as one of nobody in the lab."""
GROUPS: Final = (
    int(BROADCAST),
    0x0100_5E00_0001,
    0x3333_0000_0001,
    0x0180_C200_0000,  # spanning tree
    0x0100_0CCC_CCCD,  # PVST+
    0x0180_C200_000E,  # LLDP
)
MOST_MACS: Final = 40
MOST_VLANS: Final = 16
MOST_NUMBERS: Final = 8
MOST_FRAMES: Final = 60_000
"""Frames of one search at the borders; where more would be needed, single fields are varied rather than all."""
LIKE_PORTS: Final = 3
"""So many ports that are configured alike send, where a lab has many."""
_MOST_SENDERS: Final = 48
_PRIORITY: Final = 5 << 13
_DEI: Final = 1 << 12


@define
class Borders:
    """The values that are tried."""

    wiring: Wiring
    macs: list[int] = field(factory=list)  # of ports, of the lab
    others: list[int] = field(factory=list)  # groups, and of nobody
    vlans: list[int] = field(factory=list)
    contents: list[Content] = field(factory=list)
    asked: list[Content] = field(factory=list)  # those that conditions name
    outside: int = OUTSIDE

    @classmethod
    def of(cls, wiring: Wiring, ports: Iterable[int], conditions: Sequence[Condition]) -> "Borders":
        """The borders of a lab; ``ports``, and what conditions name, come first."""
        spoken = sorted(ports)
        others = [port.number for port in wiring.ports if port.number not in set(spoken)]
        every = [wiring.ports[number] for number in (*spoken, *others)]
        macs = [int(mac) for port in every for mac in (port.effective_mac, port.initial_mac) if mac is not None]
        held = numbers_of_stages(wiring)
        named = [value for one in conditions for key in ("source", "destination") for value in one.values(key)]
        outside = _free(OUTSIDE, {*macs, *named})
        groups = [int(mac) for port in every[:MOST_MACS] for mac in port.groups or ()]
        sends_as = [int(mac) for port in every[:MOST_MACS] for mac in wiring.sends_as.get(port.name, ())]
        mac_like = [number for number in held if 1 << 32 <= number < 1 << 48]
        own = [vlan for port in every if (vlan := port.vlan) is not None and 0 < vlan < ALL_VLANS]
        named_vlans = [value for one in conditions for value in one.values("vlan")]
        small = [number for number in held if 0 < number < ALL_VLANS][:MOST_NUMBERS]
        vlans = _first([0, *named_vlans, *own, ALL_VLANS, 1, MAX_VLAN, *small], MOST_VLANS)
        types = _first([number for number in held if 0x600 <= number <= 0xFFFF], MOST_NUMBERS)
        ends = _first([number for number in held if 0 < number <= 0xFFFF], MOST_NUMBERS)
        asked = list(dict.fromkeys(content for one in conditions for content in contents_of(one)))
        contents = usual(1 + max((_size(team) for team in wiring.teams()), default=1), tuple(types), tuple(ends))
        return cls(
            wiring,
            _first(macs, MOST_MACS),
            _first([*named, *GROUPS, outside, *groups[:MOST_NUMBERS], *sends_as, *mac_like], MOST_MACS),
            [*vlans, _free(2, set(vlans))],
            list(dict.fromkeys([*asked, *contents])),
            asked[:MOST_NUMBERS],
            outside,
        )

    def tags(self) -> list[int | None]:
        """Tags: none, one that names no VLAN, each VLAN, one with a priority and one that may be dropped."""
        first = next((vlan for vlan in self.vlans if vlan), 1)
        return [None, *self.vlans, _PRIORITY, first | _PRIORITY, first | _DEI]

    def sources(self, port: Port) -> list[int]:
        """MACs that a port may send from: its own, one of nobody, those of some others."""
        own = [int(mac) for mac in (port.effective_mac, port.initial_mac) if mac is not None and not port.uplink]
        claimed = [int(mac) for mac in self.wiring.sends_as.get(port.name, ())]
        neighbours = [
            int(other.effective_mac)
            for other in self.wiring.ports
            if other.effective_mac is not None and (other.host, other.switch) == (port.host, port.switch)
        ]
        nics = [
            int(other.effective_mac or 0) for other in self.wiring.ports if other.uplink and other.host == port.host
        ]
        named = [mac for mac in self.others if mac != self.outside and not mac >> 40 & 1]
        return _first([*own, self.outside, *claimed, *neighbours[:3], *nics[:2], *named, *self.macs[:2]], 10)

    def usual_tags(self, port: Port) -> list[int | None]:
        """Tags that frames of a port usually have."""
        if port.kind in (PortKind.VNIC, PortKind.VMKERNEL) and port.vlan != ALL_VLANS:
            return [None]
        return [None, *(vlan for vlan in self.vlans if 0 < vlan < ALL_VLANS)][:6]

    def frames(self, port: Port, most: int = MOST_FRAMES) -> Iterator[bytes]:
        """Frames that a port sends, at most about so many: all combinations, or single fields varied."""
        sources, tags = self.sources(port), self.tags()
        destinations = [*self.macs, *self.others]
        usual_tags, few = self.usual_tags(port), [*self.macs[:6], *self.others]
        if len(sources) * len(destinations) * len(tags) <= most:
            chosen = [(d, s, t) for t in tags for d in destinations for s in sources]
        else:
            chosen = [(d, sources[0], t) for t in tags for d in destinations]
            chosen += [(d, s, t) for t in usual_tags for d in destinations for s in sources[1:]]
            chosen += [(d, s, t) for t in tags for d in few for s in sources[1:3]]
        for d, s, t in chosen:
            yield frame_of(d, s, t, PLAIN)
        for content in self.contents:
            for d in few:
                for t in (*usual_tags, 0):
                    yield frame_of(d, sources[0], t, content)
        for content in self.asked:
            for d, s, t in product(few, sources[:3], tags):
                yield frame_of(d, s, t, content)


@frozen
class Demand:
    """Frames that a port is to get from another one: those of ``reaches``."""

    sender: Port
    receiver: Port
    frames: Condition

    def each(self, borders: Borders, contents: Sequence[Content] | None = None) -> Iterator[bytes]:
        """The frames, of the contents that are given or of the borders' own. Which hold, the condition has to say."""
        some = contents if contents is not None else [one for one in borders.contents if one.is_ordinary]
        some = [*contents_of(self.frames), *some]
        for source in self.frames.values("source") or [_own(self.sender, borders)]:
            for destination in self.frames.values("destination") or [_own(self.receiver, borders)]:
                for tci in self._tags(borders):
                    for content in some:
                        yield frame_of(destination, source, tci, content)

    def _tags(self, borders: Borders) -> list[int | None]:
        """The tags that the sender's guest has to give them, or those that the condition names."""
        said, frames = self.frames.values("vlan"), self.frames
        priorities = frames.values("priority")
        if said or frames.tagged is not None or priorities:
            vlans = said or ([0] if frames.tagged is None or frames.tagged else [])
            plain: list[int | None] = [None] if not priorities and frames.tagged is not True else []
            untagged = plain if not said or frames.allows("vlan", 0) else []
            tags = [p << 13 | vlan for vlan in vlans if frames.tagged is not False for p in priorities or [0]]
            return [*untagged, *tags]
        inside = self.sender.kind in (PortKind.VNIC, PortKind.VMKERNEL)
        if inside and self.sender.vlan != ALL_VLANS:
            return [None]
        vlan = self.receiver.vlan or 0
        return [None, 1] if vlan == ALL_VLANS else [vlan or None]


def senders(wiring: Wiring, ports: Iterable[int]) -> list[int]:
    """The ports that send: all of them, or of many some of each kind that is configured alike."""
    every = sorted(ports)
    if len(every) <= _MOST_SENDERS:
        return every
    classes: dict[Any, list[int]] = {}
    for number in every:
        port = wiring.ports[number]
        odd = port.effective_mac != port.initial_mac
        key = (port.kind, port.host, port.switch, port.portgroup, odd, port.promiscuous, port.mac_accepted)
        classes.setdefault(key, []).append(number)
    return sorted(number for alike in classes.values() for number in alike[:LIKE_PORTS])


def numbers_of_stages(wiring: Wiring) -> list[int]:
    """Numbers that the stages of a lab hold, compare with, or have in small tables; those of the fewest first."""
    found: dict[int, int] = {}
    seen: set[int] = set()
    for chain in _chains(wiring):
        for element in chain:
            key = hash(type(element.stage)) if not attrs.has(type(element.stage)) else id(element.stage)
            if key not in seen:
                seen.add(key)
                for number in {*_held(element.stage), *_compared(element.stage)}:
                    found[number] = found.get(number, 0) + 1
    return sorted(found, key=lambda number: (found[number], number))


def _chains(wiring: Wiring) -> Iterator[Chain]:
    for _, _, data in wiring.graph.edges(data=True):
        if "chain" in data:
            yield data["chain"]
    for _, data in wiring.graph.nodes(data=True):
        if "chain" in data:
            yield data["chain"]


def _held(thing: Any, depth: int = 0) -> Iterator[int]:
    """Numbers in the attributes of a stage: in tuples and sets, and in small tables, too."""
    if isinstance(thing, int) and not isinstance(thing, bool):
        yield int(thing)
    elif isinstance(thing, (tuple, list, frozenset, set)) and depth < 4 and len(thing) <= 64:
        for one in thing:
            yield from _held(one, depth + 1)
    elif isinstance(thing, Table) and len(thing.entries()) <= 64:
        yield from _held(tuple(thing.entries()), depth + 1)
    elif attrs.has(type(thing)) and depth < 2:
        for attribute in attrs.fields(type(thing)):
            yield from _held(getattr(thing, attribute.name, None), depth + 1)


def _compared(stage: Any) -> Iterator[int]:
    """Numbers in the text of a stage: constants, and globals that it names."""
    for function in functions_of(stage):
        yield from _held(tuple(one for one in function.__code__.co_consts if isinstance(one, (int, tuple, frozenset))))
        for name in function.__code__.co_names:
            value = function.__globals__.get(name)
            if isinstance(value, (int, Mac, tuple, frozenset)):
                yield from _held(value, 1)


def _own(port: Port, borders: Borders) -> int:
    """A port's MAC; behind an uplink somebody's who is not in the lab."""
    inside = port.kind in (PortKind.VNIC, PortKind.VMKERNEL) and port.effective_mac is not None
    return int(port.effective_mac or 0) if inside else borders.outside


def _size(team: Any) -> int:
    return len(team.policy.active.value) + len(team.policy.standby.value)


def _free(first: int, taken: set[int]) -> int:
    while first in taken:
        first += 1
    return first


def _first(values: Iterable[int], most: int) -> list[int]:
    return list(dict.fromkeys(values))[:most]

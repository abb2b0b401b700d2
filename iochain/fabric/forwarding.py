"""Learning and forwarding of a physical switch (IEEE 802.1Q, 8.7 and 8.8).

A switch learns at which *place* a MAC is, by VLAN: a port, or a channel, which is several ports as one. Entries age;
who keeps the time is the engine, as no stage has a clock.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Final

from attrs import field, frozen

from iochain.chain import Drop, Group, Port, Ports, Reason, Verdict
from iochain.frame import Derived, Frame, Table

MEMBERS: Final = "member"
"""Kind of the group of a VLAN's ports."""

Places = Table[tuple[int, int], str]
"""Places by (VLAN, MAC); empty where none is known."""


@frozen
class Flood:
    """Where frames of a VLAN go whose destination is not known: ports that are in no channel, and channels.

    ``version`` changes with what else is here.
    """

    version: int = 0
    ports: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


@frozen
class Place:
    """A port or a channel that frames can leave by, and whether it carries a VLAN."""

    name: str
    is_channel: bool
    carries: Callable[[int], bool] = field(eq=False)


class Floods(Table[int, Flood]):
    """Floods by VLAN, made when they are asked for. All of them change together: they depend on one entry."""

    __slots__ = ("_made", "_places", "_version")

    def __init__(self, name: str) -> None:
        super().__init__(name, Flood())
        self._places: tuple[Place, ...] = ()
        self._version = 0
        self._made: dict[int, Flood] = {}

    def change(self, places: Sequence[Place]) -> None:
        """Frames can leave by just these places now."""
        if self._places != tuple(places):
            self._places = tuple(places)
            self._version += 1
            self._made = {}
            for watcher in self.watchers:
                watcher(self, 0)

    def get(self, key: int) -> Flood:
        """Where frames of a VLAN go."""
        if key not in self._made:
            carrying = [place for place in self._places if place.carries(key)]
            self._made[key] = Flood(
                self._version,
                tuple(place.name for place in carrying if not place.is_channel),
                tuple(place.name for place in carrying if place.is_channel),
            )
        return self._made[key]

    def depends_on(self, key: int) -> tuple[int, ...]:
        """The one entry that stands for all."""
        return (0,)


@frozen
class Learning:
    """Learns the place of a frame's source. ``moves`` counts for each MAC how often it came from another place.

    A group address as source is not learned. ``channels`` tells the channel of a port's name, where it is in one.
    """

    learned: Places = field(repr=False)
    moves: Table[int, int] = field(repr=False)
    channels: Mapping[str, str] = field(factory=dict)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        vlan = frame.vlan
        if vlan is None or frame.source.is_group:
            return frame
        here = self.channels.get(port.name, port.name)
        known = frame.ask(self.learned, vlan, frame.source)
        if known != here:
            frame.learn(self.learned, vlan, frame.source, answer=here)
            if known:
                frame.learn(self.moves, frame.source, answer=frame.ask(self.moves, frame.source) + 1)
        return frame


@frozen
class Switching:
    """Chooses the output ports: the place of the destination, or all other places of the VLAN.

    Of a channel one member is chosen by a hash of the frame (``hashed``: words and number of members to number), and a
    frame never goes back to the channel that it came from. ``members`` has the members of a channel that forward.
    """

    learned: Places = field(repr=False)
    floods: Floods = field(repr=False)
    members: Table[str, tuple[str, ...]] = field(repr=False)
    hashed: Callable[..., int] = field(repr=False)
    channels: Mapping[str, str] = field(factory=dict)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        vlan = frame.vlan
        if vlan is None:
            return Drop(Reason.VLAN_MISMATCH, "a frame without VLAN inside the switch")
        here = self.channels.get(port.name, port.name)
        if not frame.destination.is_group:
            is_own = frame.destination == frame.source  # just learned, and not in the table before the frame is through
            there = here if is_own else frame.ask(self.learned, vlan, frame.destination)
            if there == here:
                return Drop(Reason.NO_PORT, "to the place that it came from")
            if there:
                return Ports((self._port(frame, there),))
        flood = frame.ask(self.floods, vlan)
        chosen = tuple(self._port(frame, channel) for channel in flood.channels if channel != here)
        return Ports(chosen, Group(MEMBERS, int(vlan), flood.version), except_=port.name)

    def group(self, group: Group) -> tuple[str, ...]:
        """The ports of a VLAN that are in no channel, by name."""
        return self.floods.get(group.vlan).ports

    def _port(self, frame: Frame, place: str) -> str:
        """The port that a frame leaves by: the place itself, or a member of the channel."""
        if place not in self.channels.values():
            return place
        members = frame.ask(self.members, place)
        return members[frame.derive(_modulo(self.hashed, len(members)))] if len(members) > 1 else members[0]


@cache
def _modulo(function: Callable[..., int], members: int) -> Derived:
    return Derived(f"{function.__name__.replace('_', ' ')} of {members}", function, members, members)

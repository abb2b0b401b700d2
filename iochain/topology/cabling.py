"""Cables and ports of physical switches as the lab says them: what is at the ends, which settings hold at a port."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, frozen

from iochain.chain import From
from iochain.topology.expansion import uplinks
from iochain.topology.names import PortKind, PortName, PortNames, port_names
from iochain.topology.spec import (
    BitsPerSecond,
    CableSpec,
    LabSpec,
    LinkState,
    PortMode,
    SwitchPort,
    SwitchSpec,
    VlanRange,
)
from iochain.topology.units import vlans_of

if TYPE_CHECKING:
    from iochain.topology.effective import Settings

NS_PER_METRE: Final = 5
DEFAULT_METRES: Final = 5
DEFAULT_SPEED: Final = BitsPerSecond(10_000_000_000)
DEFAULT_QUEUE: Final = 1000
DEFAULT: Final = "the emulator's default"


@frozen
class CableEnds:
    """A cable of the lab with what is at its ends, and its name."""

    name: str
    a: PortName
    b: PortName
    spec: CableSpec

    @property
    def latency_ns(self) -> int:
        """As the lab says, or by its length."""
        if self.spec.latency is not None:
            return self.spec.latency
        return NS_PER_METRE * (DEFAULT_METRES if self.spec.metres is None else self.spec.metres)


def cable_ends(spec: LabSpec, names: PortNames) -> Iterator[CableEnds]:
    """The cables of a checked lab."""
    for cable in spec.fabric.cables:
        yield cable_between(cable, names)


def cable_between(cable: CableSpec, names: PortNames) -> CableEnds:
    """One cable. LookupError if an end is not there, ValueError if it has not two of them."""
    a, b = (names.find(end) for end in cable.ends)
    return CableEnds(cable.name or f"{a.name} to {b.name}", a, b, cable)


def with_links(spec: LabSpec) -> LabSpec:
    """The lab with those physical NICs down whose cable ends at a port that is down."""
    hosts = dict(spec.hosts)
    for cable in cable_ends(spec, port_names(spec)) if spec.fabric.cables else ():
        for end, other in ((cable.a, cable.b), (cable.b, cable.a)):
            if end.kind is PortKind.UPLINK and is_down(spec, other):
                nics = uplinks(hosts[end.host])
                nics[end.adapter] = evolve(nics[end.adapter], link=LinkState.DOWN)
                hosts[end.host] = evolve(hosts[end.host], nics=nics)
    return evolve(spec, hosts=hosts)


def is_down(spec: LabSpec, end: PortName) -> bool:
    """Whether the lab says that an end of a cable is down."""
    if end.kind is PortKind.UPLINK:
        return uplinks(spec.hosts[end.host])[end.adapter].link is LinkState.DOWN
    return _said(spec.fabric.switches[end.switch], end.adapter, "link") is LinkState.DOWN


def speed_said(spec: LabSpec, end: PortName) -> BitsPerSecond | None:
    """The speed of an end of a cable, where the lab says one."""
    if end.kind is PortKind.UPLINK:
        return uplinks(spec.hosts[end.host])[end.adapter].speed
    speed: BitsPerSecond | None = _said(spec.fabric.switches[end.switch], end.adapter, "speed")
    return speed


@frozen
class PortPolicy:
    """What holds for a port of a physical switch; each attribute a value with its origin."""

    mode: From
    vlan: From
    native_vlan: From
    allowed_vlans: From
    bpdu_guard: From
    speed: From
    queue: From
    link: From
    channel: From

    def carries(self, vlan: int) -> bool:
        """Whether frames of a VLAN pass the port."""
        if self.mode.value is PortMode.ACCESS:
            return bool(vlan == self.vlan.value)
        allowed = self.allowed_vlans.value
        return allowed is None or vlan in _vlans(allowed)


def port_policy(settings: "Settings", switch: str, port: str, other: PortName | None) -> PortPolicy:
    """What holds for a port: what it says itself, else its switch for all ports, else the emulator.

    Its speed, where neither says one, is that of what is at the ``other`` end of its cable.
    """
    level = _Levels(settings, switch, port)
    return PortPolicy(
        mode=level.mode(),
        vlan=level.said("vlan", 1),
        native_vlan=level.said("native_vlan", 1),
        allowed_vlans=level.said("allowed_vlans", None),
        bpdu_guard=level.said("bpdu_guard", False),
        speed=level.speed(other),
        queue=level.said("queue", DEFAULT_QUEUE),
        link=level.said("link", None),
        channel=level.said("channel", None),
    )


@cache
def _vlans(allowed: tuple[VlanRange, ...]) -> frozenset[int]:
    return vlans_of(allowed)


def mode_of(port: SwitchPort) -> PortMode | None:
    """Access or trunk: as said, or as what else is said at this level needs; None if nothing is said."""
    if port.mode is not None or port.vlan is not None:
        return port.mode or PortMode.ACCESS
    return None if (port.native_vlan, port.allowed_vlans) == (None, None) else PortMode.TRUNK


def _said(switch: SwitchSpec, port: str, name: str) -> Any:
    own = getattr(switch.ports.get(port, SwitchPort()), name)
    return getattr(switch.defaults, name) if own is None else own


@frozen
class _Levels:
    """The levels at which a setting of a port can be said."""

    settings: "Settings"
    switch: str
    port: str

    def said(self, name: str, default: Any) -> From:
        for level, say in self._levels():
            if getattr(level, name) is not None:
                return say(name, getattr(level, name))
        return From(default, DEFAULT, name)

    def mode(self) -> From:
        for level, say in self._levels():
            mode = mode_of(level)
            if mode is not None:
                names = ("mode", "vlan", "native_vlan", "allowed_vlans")
                return say(next(name for name in names if getattr(level, name) is not None), mode)
        return From(PortMode.TRUNK, DEFAULT, "mode")

    def speed(self, other: PortName | None) -> From:
        own = self.said("speed", None)
        if own.value is not None:
            return own
        speed = None if other is None else speed_said(self.settings.spec, other)
        if other is not None and speed is not None:
            return From(speed, f"{other.name} at the other end of the cable", "speed")
        return evolve(own, value=DEFAULT_SPEED)

    def _levels(self) -> Iterator[tuple[SwitchPort, Callable[[str, Any], From]]]:
        switch = self.settings.spec.fabric.switches[self.switch]
        path = ("fabric", "switches", self.switch)
        here, above = f"port {self.switch}.{self.port}", self.switch
        said = self.settings.said
        yield switch.ports.get(self.port, SwitchPort()), lambda k, v: said(v, here, (*path, "ports", self.port, k))
        yield switch.defaults, lambda k, v: said(v, above, (*path, "defaults", k))

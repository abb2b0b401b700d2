"""Effective policy, in the one place that computes it: switch default, virtual switch, port group; with who set what.

A standard switch has no settings of single ports (vSphere Networking, "Standard Switch Port Group Configuration").
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from iochain.chain import Element, From
from iochain.topology import advanced
from iochain.topology.mistakes import KeyPath, Place, key_text
from iochain.topology.spec import (
    Answer,
    BitsPerSecond,
    FailureDetection,
    Host,
    LabSpec,
    LoadBalancing,
    Portgroup,
    Teaming,
    Vswitch,
)

LAST_OPEN_VERSION = 6.7
"""Up to this version a standard switch accepts MAC changes and forged transmits by default (vSphere Security 7.0)."""


@frozen
class Policy:
    """What holds for the ports of a port group; each attribute a value with its origin."""

    vlan: From
    promiscuous: From
    mac_changes: From
    forged_transmits: From
    mtu: From
    load_balancing: From
    active: From
    standby: From
    failure_detection: From
    minimum_speed: From
    exact_speed: From
    full_duplex: From
    failback: From
    notify_switches: From
    shaping: From


@frozen
class Settings:
    """Looks up what the lab says, and remembers where. ``name`` is the file's, for places with a line."""

    spec: LabSpec
    places: Mapping[str, Place]
    name: str = ""
    _known: dict[tuple[str, str], From] = field(factory=dict, init=False, repr=False, eq=False)
    _elements: dict[Hashable, Element] = field(factory=dict, init=False, repr=False, eq=False)

    def version(self, host: str) -> str:
        """The ESXi version of a host."""
        return self.spec.hosts[host].esxi_version or self.spec.esxi_version

    def advanced(self, host: str, setting: str) -> From:
        """An advanced setting of a host, like Net.BlockGuestBPDU; -1 where its version does not have it."""
        known = self._known.get((host, setting))
        if known is None:
            known = self._known[host, setting] = self._advanced(host, setting)
        return known

    def option(self, name: str) -> From:
        """One of the emulator's own choices."""
        known = self._known.get(("", name))
        if known is None:
            known = self._known["", name] = self._option(name)
        return known

    def _advanced(self, host: str, setting: str) -> From:
        said = self.spec.hosts[host].settings
        if setting in said:
            return self.said(said[setting], f"advanced setting of {host}", ("hosts", host, "settings", setting))
        version = self.version(host)
        known = advanced.ADVANCED[setting].default(version)
        return From(-1 if known is None else known, f"default of ESXi {version}", f"{setting}")

    def _option(self, name: str) -> From:
        value = getattr(self.spec.options, name)
        default = type(self.spec.options)()
        origin = "the emulator's default" if value == getattr(default, name) else "the lab's options"
        return self.said(value, origin, ("options", name))

    def shared(self, elements: Sequence[Element]) -> list[Element]:
        """The same elements; each that is like one of another port is that one: many ports need little room."""
        return [self._elements.setdefault(_all_of(element), element) for element in elements]

    def said(self, value: Any, origin: str, path: KeyPath) -> From:
        """A value that the lab says, with its place in the file if it is there."""
        for length in range(len(path), 1, -1):
            place = self.places.get(key_text(path[:length]))
            if place is not None:
                line = f":{place.line}" if place.line is not None else ""
                return From(value, origin, key_text(path), f"{place.source}{line}")
        return From(value, origin, key_text(path))

    def policy(self, host: str, switch: str, portgroup: str) -> Policy:
        """The effective policy of a port group."""
        return _Levels(self, host, switch, portgroup).policy()


def _all_of(element: Element) -> Hashable:
    """All that is in an element, by value; itself where that cannot be."""
    everything = (element.name, element.stage, *element.settings.items(), element.because)
    try:
        hash(everything)
    except TypeError:  # something in it cannot be told from others by value
        return id(element)
    return everything


@frozen
class _Levels:
    settings: Settings
    host: str
    switch: str
    portgroup: str

    def policy(self) -> Policy:
        here: Host = self.settings.spec.hosts[self.host]
        above: Vswitch = here.vswitches[self.switch]
        own: Portgroup = above.portgroups[self.portgroup]
        version = self.settings.version(self.host)
        opened = Answer.ACCEPT if float(version) <= LAST_OPEN_VERSION else Answer.REJECT
        active, standby = self._uplinks(above, own)
        return Policy(
            vlan=self._own(("vlan",), own.vlan),
            promiscuous=self._level(("promiscuous",), own.promiscuous, above.promiscuous, Answer.REJECT),
            mac_changes=self._level(("mac_changes",), own.mac_changes, above.mac_changes, opened),
            forged_transmits=self._level(("forged_transmits",), own.forged_transmits, above.forged_transmits, opened),
            mtu=self.settings.said(above.mtu, self.switch, (*self._switch_path, "mtu")),
            load_balancing=self._teaming("load_balancing", own, above, LoadBalancing.PORT_ID),
            active=active,
            standby=standby,
            failure_detection=self._teaming("failure_detection", own, above, FailureDetection.LINK),
            minimum_speed=self._teaming("minimum_speed", own, above, BitsPerSecond(10_000_000)),
            exact_speed=self._teaming("exact_speed", own, above, None),
            full_duplex=self._teaming("full_duplex", own, above, False),
            failback=self._teaming("failback", own, above, True),
            notify_switches=self._teaming("notify_switches", own, above, True),
            shaping=self._level(("shaping",), own.shaping, above.shaping, None),
        )

    @property
    def _switch_path(self) -> KeyPath:
        return ("hosts", self.host, "vswitches", self.switch)

    def _own(self, path: KeyPath, value: Any) -> From:
        return self.settings.said(
            value, f"port group {self.portgroup}", (*self._switch_path, "portgroups", self.portgroup, *path)
        )

    def _above(self, path: KeyPath, value: Any) -> From:
        return self.settings.said(value, self.switch, (*self._switch_path, *path))

    def _level(self, path: KeyPath, own: Any, above: Any, default: Any) -> From:
        if own is not None:
            return self._own(path, own)
        if above is not None:
            return self._above(path, above)
        return From(default, f"default of ESXi {self.settings.version(self.host)}", str(path[-1]))

    def _teaming(self, name: str, own: Portgroup, above: Vswitch, default: Any) -> From:
        return self._level(("teaming", name), getattr(own.teaming, name), getattr(above.teaming, name), default)

    def _uplinks(self, above: Vswitch, own: Portgroup) -> tuple[From, From]:
        """Active and standby uplinks. A level that names any list decides on all three."""
        for teaming, say in ((own.teaming, self._own), (above.teaming, self._above)):
            if (teaming.active, teaming.standby, teaming.unused) != (None, None, None):
                active, standby = _lists(teaming, above.uplinks)
                return say(("teaming", "active"), active), say(("teaming", "standby"), standby)
        return self._above(("uplinks",), above.uplinks), self._above(("teaming", "standby"), ())


def _lists(teaming: Teaming, uplinks: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    standby, unused = teaming.standby or (), teaming.unused or ()
    if teaming.active is not None:
        return teaming.active, standby
    return tuple(uplink for uplink in uplinks if uplink not in standby and uplink not in unused), standby

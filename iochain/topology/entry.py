"""Where the frames of a capture enter the lab: a chain of rules, the first that applies decides.

A capture was taken somewhere, and the answer depends on where. In order: ``--at``, the lab's rules, the port that
claims the source MAC, and for all others an uplink. A frame that a VM sent and that was captured at an uplink or on
the wire has lost nothing but gained the tag of its port group, so the tag comes off; one from outside that was
captured inside a guest had a tag on the wire, so it is put on again.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from attrs import define, field, frozen

from iochain.chain import Chain, Drop, Element, Port, PortKind, Ports, Reason, Verdict
from iochain.frame import ALL_VLANS, VID_BITS, Frame, Mac, Table
from iochain.kernels.rows import NO_TAG
from iochain.topology.spec import CapturedAt, EntryRule
from iochain.topology.wiring import Wiring

CAPTURE = "capture"
FROM_OUTSIDE = "from outside"
BY_SOURCE = "source MAC of the port"


@define
class CaptureNames:
    """Names that entry rules go by: of capture files by source number, of their interfaces by interface number."""

    files: Table[int, str] = field(factory=lambda: Table("capture files", ""))
    interfaces: Table[int, str] = field(factory=lambda: Table("capture interfaces", ""))


@frozen
class _Tags:
    """What a capture's place does to tags. ``vlans``: the VLAN that the switch puts on what a port's guest sends."""

    captured_at: CapturedAt
    vlans: Table[str, int] = field(repr=False)

    def of_sent(self, frame: Frame, port: str) -> int | None:
        """The tag that a frame had when the port's guest sent it; None: as it is."""
        if self.captured_at is CapturedAt.GUEST:
            return None
        vlan = frame.ask(self.vlans, port)
        if not 0 < vlan < ALL_VLANS or frame.vlan != vlan:
            return None
        rest = int(frame.tci or 0) & ~VID_BITS
        return rest or NO_TAG


@frozen
class AtPort:
    """Frames that match all that a rule names enter at its port."""

    at: str
    tags: _Tags = field(repr=False)
    names: CaptureNames = field(repr=False)
    source_mac: Mac | None = None
    vlan: int | None = None
    interface: str | None = None
    file: str | None = None

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        """Enter there, or ask the next rule."""
        if self.source_mac is not None and frame.source != self.source_mac:
            return frame
        if self.vlan is not None and (0 if frame.vlan is None else frame.vlan) != self.vlan:
            return frame
        if self.interface is not None and not self._is_interface(frame):
            return frame
        if self.file is not None and not self._is_file(frame.ask(self.names.files, frame.origin)):
            return frame
        return Ports((self.at,), tag=self.tags.of_sent(frame, self.at))

    def _is_interface(self, frame: Frame) -> bool:
        number = frame.interface
        return number is not None and frame.ask(self.names.interfaces, number) == self.interface

    def _is_file(self, name: str) -> bool:
        wanted = self.file or ""
        return fnmatchcase(name, wanted) or fnmatchcase(name.replace("\\", "/").rpartition("/")[2], wanted)


@frozen
class BySource:
    """Frames whose source MAC a port claims (initial, effective, or said in ``sends_as``) enter there."""

    claims: Table[int, str] = field(repr=False)
    tags: _Tags = field(repr=False)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        """Enter there, or ask the next rule."""
        at = frame.ask(self.claims, frame.source)
        return Ports((at,), tag=self.tags.of_sent(frame, at)) if at else frame


@frozen
class FromOutside:
    """All other frames come from the physical network, by the first live uplink of the switch that they concern.

    That is the switch with their destination, else one with their VLAN, else the first. ``vlans`` tells the VLAN of a
    destination MAC, ``only_vlan`` the one of all ports if they have just one (-1: several).
    """

    captured_at: CapturedAt
    uplink_of_mac: Table[int, str] = field(repr=False)
    uplink_of_vlan: Table[int, str] = field(repr=False)
    vlans: Table[int, int] = field(repr=False)
    only_vlan: int = -1

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        """Enter at an uplink; a drop where the lab has none."""
        tag = self._tag(frame)
        vlan = frame.vlan if tag is None else tag & VID_BITS
        uplink = "" if frame.destination.is_group else frame.ask(self.uplink_of_mac, frame.destination)
        uplink = uplink or frame.ask(self.uplink_of_vlan, 0 if vlan is None else vlan)
        return Ports((uplink,), tag=tag) if uplink else Drop(Reason.NO_UPLINK, "the lab has no uplink to come in by")

    def _tag(self, frame: Frame) -> int | None:
        """The tag that the frame had on the wire, if it was captured behind the switch that took it off."""
        if self.captured_at is not CapturedAt.GUEST or frame.vlan not in (None, 0):
            return None
        vlan = self.only_vlan
        if not frame.destination.is_group:
            known = frame.ask(self.vlans, frame.destination)
            vlan = known if known >= 0 else vlan
        return int(frame.tci or 0) | vlan if 0 < vlan < ALL_VLANS else None


def entry_chain(
    wiring: Wiring, names: CaptureNames, at: str | None = None, captured_at: CapturedAt | None = None
) -> Chain:
    """The rules of a lab, with ``at`` before all others. LookupError if a port does not exist."""
    place = captured_at or wiring.spec.captured_at
    tags = _Tags(place, Table("VLANs of ports", 0, {p.name: p.vlan or 0 for p in wiring.ports if not p.uplink}))
    elements = [] if at is None else [Element(f"--at {at}", AtPort(wiring.port(at).name, tags, names))]
    for rule in wiring.spec.entry:
        elements.append(Element(_rule_name(rule, elements), _rule_stage(rule, wiring, tags, names)))
    elements.append(Element(BY_SOURCE, BySource(_claims(wiring), tags)))
    elements.append(Element(FROM_OUTSIDE, _from_outside(wiring, place)))
    return Chain(CAPTURE, elements)


def _rule_name(rule: EntryRule, taken: Iterable[Element]) -> str:
    said = {"source": rule.source_mac, "VLAN": rule.vlan, "interface": rule.interface, "file": rule.file}
    name = "rule " + ", ".join(f"{what} {value}" for what, value in said.items() if value is not None)
    same = sum(element.name == name or element.name.startswith(f"{name} (") for element in taken)
    return f"{name} ({same + 1})" if same else name


def _rule_stage(rule: EntryRule, wiring: Wiring, tags: _Tags, names: CaptureNames) -> AtPort:
    source = None if rule.source_mac is None else Mac(rule.source_mac)
    return AtPort(wiring.port(rule.at).name, tags, names, source, rule.vlan, rule.interface, rule.file)


def _claims(wiring: Wiring) -> Table[int, str]:
    """Port names by the MACs that they send from; of two that claim one, the first has it."""
    claims: Table[int, str] = Table("claimed MACs", "")
    for port in wiring.ports:
        if port.kind in (PortKind.VNIC, PortKind.VMKERNEL):
            for mac in (port.effective_mac, port.initial_mac, *wiring.sends_as[port.name]):
                if mac is not None and not claims.get(int(mac)):
                    claims.set(int(mac), port.name)
    return claims


def _from_outside(wiring: Wiring, place: CapturedAt) -> FromOutside:
    first = {switch: _first_uplink(wiring, switch) for switch in wiring.switches()}
    default = next((uplink for uplink in first.values() if uplink), "")
    of_mac: Table[int, str] = Table("uplinks by destination MAC", "")
    of_vlan: Table[int, str] = Table("uplinks by VLAN", default)
    vlans: Table[int, int] = Table("VLANs of MACs", -1)
    clients = [port for port in wiring.ports if port.kind in (PortKind.VNIC, PortKind.VMKERNEL)]
    for port in reversed(clients):  # of several, the first port says
        uplink, vlan = first[wiring.switch_name(port)], port.vlan or 0
        if uplink:
            of_vlan.set(vlan, uplink)
            of_mac.set(int(port.effective_mac or 0), uplink)
        vlans.set(int(port.effective_mac or 0), vlan)
    used = {port.vlan or 0 for port in clients}
    return FromOutside(place, of_mac, of_vlan, vlans, used.pop() if len(used) == 1 else -1)


def _first_uplink(wiring: Wiring, switch: str) -> str:
    """The first uplink of a switch that is up; else its first; else none."""
    mine = [port for port in wiring.ports if port.uplink and wiring.switch_name(port) == switch]
    live = [port for port in mine if wiring.tables[port.host].up.get(port.number)]
    return (live or mine)[0].name if mine else ""

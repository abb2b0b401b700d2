"""Forwarding of a standard switch: it knows the MAC of each of its ports from configuration, so it never learns.

Basic rules from vSphere Networking 8.0 and the white paper "VMware Virtual Networking Concepts": no frame goes from one
uplink to another, unknown unicast from an uplink is dropped, unknown unicast from a guest goes to one uplink. A MAC
that is known in another VLAN is unknown in this one.
"""

from attrs import field, frozen

from iochain.chain import Drop, From, Group, Port, Ports, Reason, Verdict
from iochain.frame import ALL_VLANS, Frame, Table, Value


class ByVlan(Table[tuple[int, int], tuple[str, ...]]):
    """Names by (VLAN, MAC); entries of VLAN 4095 hold in every VLAN. For members of a VLAN the MAC is 0."""

    __slots__ = ()

    def get(self, key: tuple[int, int]) -> tuple[str, ...]:
        """All names for a key, those of its VLAN first."""
        own = self._entries.get(key, ())
        everywhere = self._entries.get((ALL_VLANS, key[1]), ())
        return own + everywhere if own and everywhere else own or everywhere

    def depends_on(self, key: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """The entry of the key's own VLAN, and the one of all VLANs."""
        return (key, (ALL_VLANS, key[1]))

    def add(self, vlan: int, mac: int, name: str) -> None:
        """One more name for a key."""
        self.set((vlan, mac), (*self._entries.get((vlan, mac), ()), name))

    def take_out(self, vlan: int, mac: int, name: str) -> None:
        """One name less for a key."""
        names = list(self._entries.get((vlan, mac), ()))
        names.remove(name)
        self.set((vlan, mac), tuple(names))


CLIENTS = "client"
PROMISCUOUS = "promiscuous"


@frozen
class Refused:
    """A guest receives at a MAC that the switch did not grant: which port, and by which setting."""

    port: str
    setting: From


@frozen
class Forwarding:
    """Chooses the output ports. The way to the physical network is the sending port's team, which picks an uplink."""

    macs: ByVlan = field(repr=False)
    members: ByVlan = field(repr=False)
    promiscuous: ByVlan = field(repr=False)
    refused: Table[tuple[int, int], Refused | None] = field(repr=False)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        vlan = frame.vlan
        return (self._from_uplink if port.uplink else self._from_client)(frame, port, 0 if vlan is None else vlan)

    def group(self, group: Group) -> tuple[str, ...]:
        """The members of a group, by name."""
        return (self.members if group.kind == CLIENTS else self.promiscuous).get((group.vlan, 0))

    def _from_client(self, frame: Frame, port: Port, vlan: Value | int) -> Verdict:
        if frame.destination.is_group:
            return Ports(_team(port), Group(CLIENTS, int(vlan)), except_=port.name)
        found = frame.ask(self.macs, vlan, frame.destination)
        watching = self._watching(frame, vlan)
        own = None if watching is None else port.name  # without a group the answer is one for many ports
        if not found:
            return Ports(_team(port), watching, except_=own)
        if port.is_one_of(found):
            found = tuple(name for name in found if name != port.name)
            if not found and watching is None:
                return Drop(Reason.NO_PORT, "to the sender's own port")
        return Ports(found, watching, except_=own)

    def _from_uplink(self, frame: Frame, port: Port, vlan: Value | int) -> Verdict:
        if not frame.ask(self.members, vlan, 0):
            return Drop(Reason.VLAN_MISMATCH, "no port is in the frame's VLAN")
        if frame.destination.is_group:
            return Ports((), Group(CLIENTS, int(vlan)))
        found = frame.ask(self.macs, vlan, frame.destination)
        watching = self._watching(frame, vlan)
        if found or watching:
            return Ports(found, watching)
        refused = frame.ask(self.refused, vlan, frame.destination)
        refused = refused or frame.ask(self.refused, ALL_VLANS, frame.destination)
        if refused is not None:
            return Drop(Reason.MAC_CHANGES, f"at {refused.port}", refused.setting)
        return Drop(Reason.UNKNOWN_UNICAST)

    def _watching(self, frame: Frame, vlan: Value | int) -> Group | None:
        return Group(PROMISCUOUS, int(vlan)) if frame.ask(self.promiscuous, vlan, 0) else None


def _team(port: Port) -> tuple[str, ...]:
    """The way to the physical network: the uplinks of the port's port group."""
    return () if port.team is None else (port.team,)

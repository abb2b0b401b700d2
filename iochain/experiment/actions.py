"""What can happen to a network while it runs: small frozen values, each with ``apply(live)``.

``check(wiring)`` tells before the time has come whether the lab has what an action names.
"""

from collections.abc import Collection
from typing import Final

from attrs import field, frozen

from iochain.chain import PortKind
from iochain.experiment.fabric import give_link, links_of, take_link
from iochain.experiment.live import Live
from iochain.experiment.machines import adapter_mac
from iochain.kernels.rows import ETHERNET_BYTES
from iochain.topology.fabric import ERR_DISABLED, LINK, Cable
from iochain.topology.mistakes import guess
from iochain.topology.shape import fields
from iochain.topology.spec import BitsPerSecond, Duplex, Nic
from iochain.topology.values import read
from iochain.topology.wiring import Wiring

__all__ = [
    "CutCable",
    "LinkDown",
    "LinkSpeed",
    "LinkUp",
    "MendCable",
    "Move",
    "NicDown",
    "NicUp",
    "PowerOff",
    "PowerOn",
    "Reopen",
    "Send",
    "SetMac",
]

NIC: Final = "nic"
"""The cause of a physical NIC's lost link that its own host took down."""


@frozen
class _AtLink:
    """What happens to the link of an uplink, or of a port of a physical switch."""

    port: str

    def check(self, wiring: Wiring) -> None:
        """LookupError if there is no such port, or it is none with a link."""
        _with_link(wiring, self.port)


@frozen
class LinkDown(_AtLink):
    """The link of a port is lost, at both ends of its cable."""

    def apply(self, live: Live) -> None:
        """Frames are lost at once; the host sees it at its next poll."""
        take_link(live, _with_link(live.wiring, self.port), LINK)
        live.fabric.settle()


@frozen
class LinkUp(_AtLink):
    """The link of a port is there again."""

    def apply(self, live: Live) -> None:
        """The host sees it at its next poll."""
        give_link(live, _with_link(live.wiring, self.port), LINK)
        live.fabric.settle()


def _speed(value: "int | str") -> int:
    """Bits a second, as a NIC of the lab says them. ValueError for what is no rate, or out of range."""
    speed: int = read(BitsPerSecond, fields(Nic)["speed"], value)
    return speed


def _duplex(value: "Duplex | str") -> Duplex:
    duplex: Duplex = value if isinstance(value, Duplex) else read(Duplex, fields(Nic)["duplex"], value)
    return duplex


@frozen
class _AtNic:
    """What a host does with one of its physical NICs (esxcli network nic down, up)."""

    port: str

    def check(self, wiring: Wiring) -> None:
        """LookupError if there is no such uplink."""
        port = wiring.port(self.port)
        if not port.uplink:
            raise LookupError(f'"{self.port}" is no uplink')


@frozen
class NicDown(_AtNic):
    """A physical NIC is taken down by its host: only its own end has no link."""

    def apply(self, live: Live) -> None:
        """Frames are lost at once; the host sees it at its next poll."""
        live.hosts.links.lose(live.wiring.port(self.port).number, NIC)


@frozen
class NicUp(_AtNic):
    """A physical NIC is brought up by its host."""

    def apply(self, live: Live) -> None:
        """The host sees it at its next poll."""
        live.hosts.links.regain(live.wiring.port(self.port).number, NIC)


@frozen
class LinkSpeed(_AtNic):
    """The link of a physical NIC has another speed, as after a bad negotiation; ``duplex`` is full or half."""

    speed: int = field(converter=_speed)
    duplex: Duplex = field(default=Duplex.FULL, converter=_duplex)

    def apply(self, live: Live) -> None:
        """At once, on the host's side of the wire, and for teams that ask for speed or duplex."""
        live.hosts.links.negotiate(live.wiring.port(self.port).number, self.speed, self.duplex)


@frozen
class _OfVm:
    """What happens to a VM."""

    vm: str

    def check(self, wiring: Wiring) -> None:
        """LookupError if there is no such VM."""
        _known(self.vm, wiring.spec.vms, "VM")


@frozen
class PowerOn(_OfVm):
    """A VM starts: its vNICs connect."""

    def apply(self, live: Live) -> None:
        """At once."""
        live.hosts.machines.power_on(self.vm)


@frozen
class PowerOff(_OfVm):
    """A VM stops: its vNICs leave their switches."""

    def apply(self, live: Live) -> None:
        """At once."""
        live.hosts.machines.power_off(self.vm)


@frozen
class Move:
    """A VM moves to another port group, another host, or both: the switch-over, without what comes before it.

    One vNIC of several (``web.eth1``) moves to another port group only.
    """

    vm: str
    portgroup: str | None = None
    host: str | None = None

    def check(self, wiring: Wiring) -> None:
        """LookupError if there is no such VM, vNIC, host or port group, ValueError if it moves nowhere."""
        _with_vnic(wiring, self.vm)
        if self.portgroup is None and self.host is None:
            raise ValueError(f"{self.vm} moves nowhere: say portgroup, host, or both")
        if self.host is not None:
            _known(self.host, wiring.spec.hosts, "host")
        if self.portgroup is not None:
            _known(self.portgroup, {team.portgroup: team for team in wiring.teams()}, "port group")

    def apply(self, live: Live) -> None:
        """At once."""
        live.hosts.machines.move(self.vm, portgroup=self.portgroup, host=self.host)


@frozen
class SetMac:
    """The guest of a VM (or of one of its vNICs, ``web.eth1``) programs another effective MAC."""

    vm: str
    mac: str = field(converter=adapter_mac)

    def check(self, wiring: Wiring) -> None:
        """LookupError if there is no such VM or vNIC."""
        _with_vnic(wiring, self.vm)

    def apply(self, live: Live) -> None:
        """At once."""
        live.hosts.machines.set_mac(self.vm, self.mac)


@frozen
class _AtCable:
    """What happens to a cable, known by its name or a port at its end: in both directions, or ``toward`` a port."""

    cable: str
    toward: str | None = None

    def check(self, wiring: Wiring) -> None:
        """LookupError if there is no such cable, ValueError if ``toward`` is none of its ends."""
        self.receivers(wiring)

    def receivers(self, wiring: Wiring) -> tuple[Cable, tuple[int, ...]]:
        """The cable, and the ends that it no longer reaches, or reaches again."""
        cable = wiring.fabric.cable(self.cable)
        if self.toward is None:
            return cable, (cable.a, cable.b)
        end = wiring.port(self.toward).number
        if end not in (cable.a, cable.b):
            names = " and ".join(wiring.ports[port].name for port in (cable.a, cable.b))
            raise ValueError(f'"{self.toward}" is no end of cable {cable.name}; its ends are {names}')
        return cable, (end,)


def _cut(cable: Cable) -> str:
    """The cause of a link that is lost with its cable: none of the others has this name, whatever the cable's is."""
    return f"cable {cable.name}"


@frozen
class CutCable(_AtCable):
    """A cable is cut, in both directions or ``toward`` one of its ports."""

    def apply(self, live: Live) -> None:
        """What is on the cable is lost; ends that receive nothing lose their link."""
        cable, receivers = self.receivers(live.wiring)
        for receiver in receivers:
            live.network.cut(cable.other(receiver), live.now_ns)
            links_of(live, receiver).lose(receiver, _cut(cable))
        live.fabric.settle()


@frozen
class MendCable(_AtCable):
    """A cable is whole again, in both directions or ``toward`` one of its ports."""

    def apply(self, live: Live) -> None:
        """Ends that receive again have a link."""
        cable, receivers = self.receivers(live.wiring)
        for receiver in receivers:
            live.network.mend(cable.other(receiver))
            links_of(live, receiver).regain(receiver, _cut(cable))
        live.fabric.settle()


@frozen
class Reopen:
    """Somebody opens a port that BPDU Guard has shut (shutdown, no shutdown)."""

    port: str

    def check(self, wiring: Wiring) -> None:
        """LookupError if there is no such port, or it is none of a physical switch."""
        if wiring.port(self.port).kind is not PortKind.PHYSICAL:
            raise LookupError(f'"{self.port}" is no port of a physical switch')

    def apply(self, live: Live) -> None:
        """At once. ValueError if it is not shut."""
        number = live.wiring.port(self.port).number
        if ERR_DISABLED not in live.wiring.fabric.causes(number):
            raise ValueError(f"{self.port} is not err-disabled")
        give_link(live, number, ERR_DISABLED)
        live.fabric.settle()


@frozen
class Send:
    """A guest, or whatever is behind a port, sends a frame."""

    data: bytes
    port: str

    def check(self, wiring: Wiring) -> None:
        """LookupError if there is no such port, ValueError if it is no frame."""
        wiring.port(self.port)
        if len(self.data) < ETHERNET_BYTES:
            raise ValueError(f"{len(self.data)} bytes are no Ethernet frame ({ETHERNET_BYTES} at least)")

    def apply(self, live: Live) -> None:
        """Now."""
        live.enter(self.data, live.wiring.port(self.port).number)


def link_down(port: str) -> LinkDown:
    """The link of a port is lost, at both ends of its cable."""
    return LinkDown(port)


def link_up(port: str) -> LinkUp:
    """The link of a port is there again."""
    return LinkUp(port)


def nic_down(port: str) -> NicDown:
    """A physical NIC is taken down by its host."""
    return NicDown(port)


def nic_up(port: str) -> NicUp:
    """A physical NIC is brought up by its host."""
    return NicUp(port)


def link_speed(port: str, speed: "int | str", duplex: str = "full") -> LinkSpeed:
    """The link of a physical NIC has another speed, like ``1 Gbit/s``."""
    return LinkSpeed(port, speed, duplex)


def power_on(vm: str) -> PowerOn:
    """A VM starts."""
    return PowerOn(vm)


def power_off(vm: str) -> PowerOff:
    """A VM stops."""
    return PowerOff(vm)


def move(vm: str, portgroup: str | None = None, host: str | None = None) -> Move:
    """A VM moves to another port group, another host, or both; one vNIC of several to another port group."""
    return Move(vm, portgroup, host)


def set_mac(vm: str, mac: str) -> SetMac:
    """The guest of a VM programs another effective MAC."""
    return SetMac(vm, mac)


def cut_cable(cable: str, toward: str | None = None) -> CutCable:
    """A cable is cut, in both directions or toward one of its ports."""
    return CutCable(cable, toward)


def mend_cable(cable: str, toward: str | None = None) -> MendCable:
    """A cable is whole again, in both directions or toward one of its ports."""
    return MendCable(cable, toward)


def reopen(port: str) -> Reopen:
    """Somebody opens a port that BPDU Guard has shut."""
    return Reopen(port)


def _known(name: str, known: Collection[str], what: str) -> None:
    if name not in known:
        raise LookupError(f'there is no {what} "{name}"{guess(name, known)}')


def _with_link(wiring: Wiring, name: str) -> int:
    """The number of a port that has a link. LookupError if there is no such port, or it is a client's."""
    port = wiring.port(name)
    if not port.uplink and port.kind is not PortKind.PHYSICAL:
        raise LookupError(f'"{name}" has no link: it is no uplink, and no port of a physical switch')
    return port.number


def _with_vnic(wiring: Wiring, name: str) -> None:
    """LookupError if there is no VM of this name, and no vNIC."""
    if name not in wiring.spec.vms and wiring.port(name).kind is not PortKind.VNIC:
        raise LookupError(f'"{name}" is no VM, and no vNIC')

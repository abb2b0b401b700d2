"""What can happen to a network while it runs: small frozen values, each with ``apply(live)``."""

from typing import Literal

from attrs import frozen

from iochain.experiment.live import Live

Ends = Literal["both", "a to b", "b to a"]


@frozen
class LinkDown:
    """The link of a port is lost, at both ends of its cable."""

    port: str

    def apply(self, live: Live) -> None:
        """The host sees it at its next poll."""
        live.hosts.links.lose(live.wiring.port(self.port).number, "link")


@frozen
class LinkUp:
    """The link of a port is there again."""

    port: str

    def apply(self, live: Live) -> None:
        """The host sees it at its next poll."""
        live.hosts.links.regain(live.wiring.port(self.port).number, "link")


@frozen
class NicDown:
    """A physical NIC is taken down by its host (esxcli network nic down): only its own end has no link."""

    port: str

    def apply(self, live: Live) -> None:
        """At once."""
        live.hosts.links.lose(live.wiring.port(self.port).number, "nic")


@frozen
class NicUp:
    """A physical NIC is brought up by its host."""

    port: str

    def apply(self, live: Live) -> None:
        """At once."""
        live.hosts.links.regain(live.wiring.port(self.port).number, "nic")


@frozen
class PowerOn:
    """A VM starts: its vNICs connect."""

    vm: str

    def apply(self, live: Live) -> None:
        """At once."""
        live.hosts.machines.power_on(self.vm)


@frozen
class PowerOff:
    """A VM stops: its vNICs leave their switches."""

    vm: str

    def apply(self, live: Live) -> None:
        """At once."""
        live.hosts.machines.power_off(self.vm)


@frozen
class Move:
    """A VM moves to another port group, another host, or both."""

    vm: str
    portgroup: str | None = None
    host: str | None = None

    def apply(self, live: Live) -> None:
        """At once: the switch-over of a migration, without what comes before it."""
        live.hosts.machines.move(self.vm, portgroup=self.portgroup, host=self.host)


@frozen
class SetMac:
    """The guest of a VM (or of one of its vNICs, ``web.eth1``) programs another effective MAC."""

    vm: str
    mac: str

    def apply(self, live: Live) -> None:
        """At once."""
        live.hosts.machines.set_mac(self.vm, self.mac)


@frozen
class CutCable:
    """A cable is cut, in both directions or in one."""

    cable: str
    direction: Ends = "both"

    def apply(self, live: Live) -> None:
        """What is on the cable is lost; ends that receive nothing lose their link."""
        live.cables.cut(self.cable, self.direction)


@frozen
class MendCable:
    """A cable is whole again, in both directions or in one."""

    cable: str
    direction: Ends = "both"

    def apply(self, live: Live) -> None:
        """Ends that receive again have a link."""
        live.cables.mend(self.cable, self.direction)


@frozen
class Send:
    """A guest, or whatever is behind a port, sends a frame."""

    data: bytes
    port: str

    def apply(self, live: Live) -> None:
        """Now."""
        live.enter(self.data, live.wiring.port(self.port).number)


def link_down(port: str) -> LinkDown:
    """The link of a port is lost, at both ends of its cable."""
    return LinkDown(port)


def link_up(port: str) -> LinkUp:
    """The link of a port is there again."""
    return LinkUp(port)


def power_on(vm: str) -> PowerOn:
    """A VM starts."""
    return PowerOn(vm)


def power_off(vm: str) -> PowerOff:
    """A VM stops."""
    return PowerOff(vm)


def move(vm: str, portgroup: str | None = None, host: str | None = None) -> Move:
    """A VM moves to another port group, another host, or both."""
    return Move(vm, portgroup, host)


def set_mac(vm: str, mac: str) -> SetMac:
    """The guest of a VM programs another effective MAC."""
    return SetMac(vm, mac)


def cut_cable(cable: str, direction: Ends = "both") -> CutCable:
    """A cable is cut."""
    return CutCable(cable, direction)


def mend_cable(cable: str, direction: Ends = "both") -> MendCable:
    """A cable is whole again."""
    return MendCable(cable, direction)

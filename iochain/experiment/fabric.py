"""The physical switches of a running network: links that come and go, and ports that BPDU Guard shuts."""

from typing import Any, Self

from attrs import define

from iochain.chain import PortKind
from iochain.experiment.live import Live
from iochain.fabric.ports import PortState
from iochain.topology.fabric import ERR_DISABLED, LINK


@define
class Fabric:
    """What events do to physical switches. Links change one by one; :meth:`settle` makes what follows from them."""

    live: Live

    @classmethod
    def start(cls, live: Live) -> Self:
        """The fabric of a network that starts."""
        return cls(live)

    def lose(self, port: int, cause: str = LINK) -> None:
        """A port of a physical switch has no link for one more cause."""
        self.live.wiring.fabric.lose(port, cause)

    def regain(self, port: int, cause: str = LINK) -> None:
        """A cause is gone; the port has a link again if none is left."""
        self.live.wiring.fabric.regain(port, cause)

    def settle(self) -> None:
        """States, spanning tree, floods and channels as the links are now; levels anew where a state is another."""
        if self.live.wiring.fabric.settle():
            self.live.network.levels_changed()

    def guarded(self) -> None:
        """Take the link from both ends of the cables whose port BPDU Guard has just shut."""
        fabric = self.live.wiring.fabric
        shut = [port for port, state in fabric.states.entries().items() if state is PortState.ERR_DISABLED]
        for port in shut:
            if ERR_DISABLED not in fabric.causes(port):
                take_link(self.live, port, ERR_DISABLED)
        self.settle()


def take_link(live: Live, port: int, cause: str) -> None:
    """Both ends of the cable at a port lose their link."""
    for end in _ends(live, port):
        links_of(live, end).lose(end, cause)


def give_link(live: Live, port: int, cause: str) -> None:
    """The cause is gone at both ends of the cable at a port."""
    for end in _ends(live, port):
        links_of(live, end).regain(end, cause)


def links_of(live: Live, port: int) -> Any:
    """Who keeps the link of a port: the physical switches, or its host."""
    return live.fabric if live.wiring.ports[port].kind is PortKind.PHYSICAL else live.hosts.links


def _ends(live: Live, port: int) -> list[int]:
    cable = live.wiring.fabric.cable_at(port)
    return [port] if cable is None else [port, cable.other(port)]

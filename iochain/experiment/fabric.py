"""The physical switches of a running network: links that come and go, and ports that BPDU Guard shuts."""

from typing import Any, Self

from attrs import define, frozen

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

    def settle(self, live: Live) -> None:
        """States, spanning tree, floods and channels as the links are now; levels anew where a state is another."""
        network: Any = live.network
        if live.wiring.fabric.settle():
            network.levels_changed()

    def guarded(self, live: Live) -> None:
        """Take the link from both ends of the cables whose port BPDU Guard has just shut."""
        fabric = live.wiring.fabric
        shut = [port for port, state in fabric.states.entries().items() if state is PortState.ERR_DISABLED]
        for port in shut:
            if ERR_DISABLED not in fabric.causes(port):
                take_link(live, port, ERR_DISABLED)
        self.settle(live)


@frozen
class Reopen:
    """Somebody opens a port that BPDU Guard has shut (shutdown, no shutdown)."""

    port: str

    def apply(self, live: Live) -> None:
        """At once. LookupError if there is no such port, ValueError if it is not shut."""
        number = live.wiring.port(self.port).number
        if ERR_DISABLED not in live.wiring.fabric.causes(number):
            raise ValueError(f"{self.port} is not err-disabled")
        give_link(live, number, ERR_DISABLED)
        live.fabric.settle(live)


def take_link(live: Live, port: int, cause: str) -> None:
    """Both ends of the cable at a port lose their link."""
    for end in _ends(live, port):
        _links_of(live, end).lose(end, cause)


def give_link(live: Live, port: int, cause: str) -> None:
    """The cause is gone at both ends of the cable at a port."""
    for end in _ends(live, port):
        _links_of(live, end).regain(end, cause)


def _ends(live: Live, port: int) -> list[int]:
    cable = live.wiring.fabric.cable_at(port)
    return [port] if cable is None else [port, cable.other(port)]


def _links_of(live: Live, port: int) -> Any:
    """Who keeps the links of a port: the fabric, or the hosts."""
    return live.fabric if live.wiring.ports[port].kind is PortKind.PHYSICAL else live.hosts.links

"""Notify switches: RARP frames by which a host tells physical switches where a MAC is now.

A burst for each port that connected, moved, changed its MAC or its uplink: from the port's MAC to everybody, by the
uplink that the port uses, in its VLAN, never to other ports of the switch (vSphere Networking 6.0, "Notify switches";
KB 343401; K. Elatov's capture of a burst for bytes and times). The addresses in the frame are zero by our choice.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from attrs import define, field

from iochain.chain import Port
from iochain.experiment.links import MS, ways
from iochain.experiment.live import Live, Made
from iochain.frame import ALL_VLANS, BROADCAST, Mac
from iochain.topology.wiring import Team

NOTIFY: Final = "Net.NotifySwitch"
DURATION: Final = "Net.AdvertisementDuration"
ON_ENABLEMENT: Final = "Net.NetSendRARPOnPortEnablement"
AT_ONCE: Final = "Net.NetMaxRarpsPerInterval"
_SECOND_MS: Final = 1000
_HEADER: Final = bytes.fromhex("8035 0001 0800 06 04 0003")  # RARP; Ethernet, IPv4, their lengths; request (RFC 903)


def rarp(mac: Mac) -> bytes:
    """The 60 bytes of a notification: "who is MAC, tell MAC", both IP addresses 0.0.0.0."""
    own = int(mac).to_bytes(6, "big")
    return (int(BROADCAST).to_bytes(6, "big") + own + _HEADER + own + bytes(4) + own + bytes(4)).ljust(60, b"\0")


@define(eq=False)
class Notify:
    """The bursts that are under way. A new one of a port ends its old one."""

    live: Live
    _bursts: dict[int, int] = field(factory=dict)  # number of the last burst, by port number
    _last: int = 0
    _numbers: dict[str, int] = field(factory=dict)  # of uplinks, by name

    def __attrs_post_init__(self) -> None:
        self._numbers = {port.name: port.number for port in self.live.wiring.ports if port.uplink}

    def moved(self, ports: Sequence[Port]) -> None:
        """Ports send by other uplinks now."""
        self._begin(ports, connecting=False)

    def connected(self, ports: Sequence[Port]) -> None:
        """Ports have come to their switch; Net.NetSendRARPOnPortEnablement decides on the frame of that moment."""
        self._begin(ports, connecting=True)

    def _begin(self, ports: Iterable[Port], connecting: bool) -> None:
        by_host: dict[str, list[Port]] = {}
        for port in ports:
            if self._wanted(port):
                by_host.setdefault(port.host, []).append(port)
        for host, some in by_host.items():
            self._last += 1
            for port in some:
                self._bursts[port.number] = self._last
            for after_ms in self._times(host, connecting):
                self._plan(host, some, self._last, after_ms)

    def _wanted(self, port: Port) -> bool:
        """Whether the port's team notifies, and the switch knows the port by its MAC."""
        if port.team is None or not port.mac_accepted:
            return False
        team = self._team(port)
        advanced = self.live.wiring.settings.advanced(port.host, NOTIFY)
        return bool(team.policy.notify_switches.value) and advanced.value == 1

    def _times(self, host: str, connecting: bool) -> list[int]:
        settings = self.live.wiring.settings
        longest = settings.advanced(host, DURATION).value * _SECOND_MS
        least = 1 if connecting and settings.advanced(host, ON_ENABLEMENT).value == 0 else 0
        return [after for after in settings.option("rarp_ms").value if least <= after <= longest]

    def _plan(self, host: str, ports: Sequence[Port], burst: int, after_ms: int) -> None:
        """One frame for each port, in batches."""
        settings = self.live.wiring.settings
        at_once: int = settings.advanced(host, AT_ONCE).value
        between_ms: int = settings.option("rarp_batch_ms").value
        for number, first in enumerate(range(0, len(ports), at_once)):
            batch = [port.number for port in ports[first : first + at_once]]
            at = self.live.now_ns + (after_ms + number * between_ms) * MS
            self.live.agenda.at(at, lambda batch=batch: self._send(batch, burst))  # type: ignore[misc]

    def _send(self, numbers: Sequence[int], burst: int) -> None:
        ports = [self.live.wiring.ports[number] for number in numbers if self._bursts.get(number) == burst]
        frames = [frame for port in ports for frame in self._announcements(port)]
        if frames:
            self.live.send_all(frames)

    def _announcements(self, port: Port) -> Iterator[Made]:
        """By the uplink that the port uses now; of several that are one logical link, by the first."""
        wiring = self.live.wiring
        team = self._team(port)
        everywhere = wiring.tables[team.host].everywhere.get(team.name)
        vlan = None if port.vlan in (None, 0, ALL_VLANS) else port.vlan
        for uplink in everywhere or ways(wiring, team, port)[:1]:
            yield Made(rarp(Mac(port.effective_mac or 0)), self._numbers[uplink], vlan)

    def ended(self, port: Port) -> None:
        """A port has left its switch: nothing more is said of it."""
        self._bursts.pop(port.number, None)

    def _team(self, port: Port) -> Team:
        team: Team = self.live.wiring.graph.nodes[port.team or ""]["team"]
        return team

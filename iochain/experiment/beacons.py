"""Beacon probing: uplinks of a team that hear each other are sound, those that nobody hears or that hear nobody failed.

Beacons are real frames, one from each uplink in each probed VLAN at each interval; they cross whatever is between the
uplinks, so a cut anywhere upstream is found because they are lost. Interval and threshold (1 s, 3) are esxcli's own;
EtherType, "per VLAN in use" and the name of the NIC inside are observed; that an uplink has to be heard as well as to
hear, and the bytes of the body, are the emulator's choice. With two uplinks a fault is ambiguous, and every frame goes
out by both (vSphere Networking 6.5, "Network Failover Detection").
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from attrs import define, field

from iochain.batch import Batch
from iochain.experiment.agenda import Timer
from iochain.experiment.links import MS, Links
from iochain.experiment.live import Live, Made
from iochain.frame import BROADCAST, Mac
from iochain.topology.chains import probes
from iochain.topology.wiring import SwitchWiring, Team
from iochain.vswitch.teaming import BEACON_TYPE

MOST_VLANS: Final = "Net.MaxBeaconVlans"
AT_ONCE: Final = "Net.MaxBeaconsAtOnce"
_BODY_BYTES: Final = 46
_SOURCE: Final = slice(6, 12)
_VLAN_BITS: Final = 0x0FFF


def beacon(mac: Mac, name: str) -> bytes:
    """The 60 bytes of a beacon: to everybody, the NIC's MAC and its name inside."""
    own = int(mac).to_bytes(6, "big")
    body = own + name.encode()[: _BODY_BYTES - 7] + b"\0"
    return int(BROADCAST).to_bytes(6, "big") + own + BEACON_TYPE.to_bytes(2, "big") + body.ljust(_BODY_BYTES, b"\0")


@define(eq=False)
class Probed:
    """The probing teams of one switch, and when each of its uplinks last heard which other in which VLAN."""

    switch: SwitchWiring
    teams: list[Team]
    started_ns: int
    heard_ns: dict[tuple[int, str, str], int] = field(factory=dict)  # by VLAN, receiver, sender
    turns: int = 0


@define(eq=False)
class Beacons:
    """All probing of a network: by teams that ask for it and whose uplinks all have a cable in the lab."""

    live: Live
    links: Links
    probed: dict[str, list[Probed]] = field(factory=dict)  # by host
    _turns: Timer | None = None

    def start(self) -> None:
        """Send the first beacons now, and then at each interval."""
        wiring = self.live.wiring
        for host in wiring.tables:
            for switch in (wiring.switch(node) for node in wiring.switches() if _is_of(wiring.graph.nodes[node], host)):
                teams = [team for team in switch.teams.values() if probes(team.policy) and self._is_cabled(team)]
                if teams:
                    self.probed.setdefault(host, []).append(Probed(switch, teams, self.live.now_ns))
        if not self.probed:
            return
        self.links.sound = self.sound
        self.live.consumers.append(self.hear)
        self._turns = self.live.agenda.every(self.live.now_ns, self._interval_ns, self._turn)

    def stop(self) -> None:
        """Send no more beacons; uplinks are taken for what they were last."""
        if self._turns is not None:
            self._turns.cancel()

    def sound(self, team: Team, linked: AbstractSet[str]) -> set[str]:
        """The uplinks of a team that some other one hears and is heard by; one that has no other is sound."""
        probed = next((one for one in self.probed.get(team.host, ()) if team in one.teams), None)
        if (
            probed is None
            or len(linked) < 2
            or team.policy.vlan.value not in _vlans(probed, self._most_vlans(team.host))
        ):
            return set(linked)
        return {name for name in linked if any(self._meet(probed, team, name, other) for other in linked - {name})}

    def hear(self, batch: Batch) -> None:
        """Frames that switches took in: beacons are those at uplinks; physical switches take in others."""
        ports, times = batch.column("port").tolist(), batch.column("time_ns").tolist()
        for index, tag in enumerate(batch.column("tag").tolist()):
            receiver = self.live.wiring.ports[ports[index]]
            if not receiver.uplink:
                continue
            sender = self.live.wiring.tables[receiver.host].nics.get(
                int.from_bytes(batch.frame_bytes(index)[_SOURCE], "big")
            )
            for probed in self.probed.get(receiver.host, ()):
                if probed.switch.switch == receiver.switch:
                    vlan = max(tag, 0) & _VLAN_BITS
                    probed.heard_ns[vlan, receiver.name, sender] = times[index]

    def _is_cabled(self, team: Team) -> bool:
        """Whether beacons can come through at all: uplinks without a cable lead out of the lab."""
        names = (*team.policy.active.value, *team.policy.standby.value)
        fabric = self.live.wiring.fabric
        return all(fabric.cable_at(self.links.of(name).port.number) is not None for name in names)

    # -- an interval

    @property
    def _interval_ns(self) -> int:
        beacon_ms: int = self.live.wiring.settings.option("beacon_ms").value
        return beacon_ms * MS

    def _turn(self) -> None:
        """What was heard until now is judged, and the next beacons are sent."""
        for several in self.probed.values():
            for probed in several:
                self.links.judge(probed.teams)
                self._send(probed)
                probed.turns += 1

    def _send(self, probed: Probed) -> None:
        """Beacons of all uplinks that have a link, VLAN after VLAN; too many at once go on in the next millisecond."""
        at_once = max(1, self._setting(probed.switch.host, AT_ONCE))
        frames = [self._beacon(vlan, name) for vlan, name in self._due(probed)]
        for batch, first in enumerate(range(0, len(frames), at_once)):
            self.live.send_all(frames[first : first + at_once], time_ns=self.live.now_ns + batch * MS)

    def _beacon(self, vlan: int, name: str) -> Made:
        port = self.links.of(name).port
        return Made(beacon(Mac(port.effective_mac or 0), name.rpartition(".")[2]), port.number, vlan or None)

    def _due(self, probed: Probed) -> Iterator[tuple[int, str]]:
        """The VLANs and uplinks whose turn it is."""
        alternate = self.live.wiring.settings.option("beacon_alternate").value
        for vlan in _vlans(probed, self._most_vlans(probed.switch.host)):
            names = sorted(
                {name for team in probed.teams if team.policy.vlan.value == vlan for name in self.links.usable(team)}
            )
            if alternate and names:
                names = [names[probed.turns % len(names)]]
            for name in names:
                yield vlan, name

    # -- what was heard

    def _meet(self, probed: Probed, team: Team, one: str, other: str) -> bool:
        """Whether two uplinks heard each other within the last intervals."""
        return self._hears(probed, team, one, other) and self._hears(probed, team, other, one)

    def _hears(self, probed: Probed, team: Team, receiver: str, sender: str) -> bool:
        """Whether a beacon came through in so many intervals as may be missed. New links are given that time first."""
        options = self.live.wiring.settings
        patience = self._interval_ns * int(options.option("beacons_missed").value)
        if options.option("beacon_alternate").value:
            patience *= max(1, len(self.links.usable(team)))
        since = max(self.links.of(name).usable_since_ns for name in (receiver, sender))
        heard = probed.heard_ns.get((team.policy.vlan.value, receiver, sender), probed.started_ns)
        return max(heard, since) > self.live.now_ns - patience

    def _most_vlans(self, host: str) -> int:
        return self._setting(host, MOST_VLANS)

    def _setting(self, host: str, name: str) -> int:
        value: int = self.live.wiring.settings.advanced(host, name).value
        return value


def _vlans(probed: Probed, most: int) -> list[int]:
    """The VLANs of a switch that are probed."""
    return sorted({team.policy.vlan.value for team in probed.teams})[:most]


def _is_of(node: dict[str, object], host: str) -> bool:
    return node.get("host") == host and "wiring" in node

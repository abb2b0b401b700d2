"""Links of uplinks: when a host sees that one is lost or back, and which uplinks its teams then use.

A lost link stops frames at once. The host looks at multiples of Net.LinkStatePollTimeout from time 0; a link that is
back counts Net.TeamPolicyUpDelay later, and not while it is unstable (Net.LinkFlappingThreshold). That looks are at
these multiples, and that a link is stable again as soon as it was lost less often in the last minute, is the
emulator's choice. Facts: settings dumps; vSphere Networking 6.0 (failback); API, HostNicTeamingPolicy.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, Self

from attrs import define, evolve, field, frozen

from iochain.chain import Port
from iochain.experiment.agenda import Timer
from iochain.experiment.live import Live
from iochain.topology.chains import HostTables, meeting, probes
from iochain.topology.effective import Policy
from iochain.topology.spec import BitsPerSecond, Duplex, LoadBalancing
from iochain.topology.wiring import Team, Wiring
from iochain.uplink.wire import Wire
from iochain.vswitch.teaming import slots, slots_kept

POLL: Final = "Net.LinkStatePollTimeout"
UP_DELAY: Final = "Net.TeamPolicyUpDelay"
FLAPPING: Final = "Net.LinkFlappingThreshold"
IGNORE_SHOTGUN: Final = "Net.TeamingIgnoreShotgun"
MS: Final = 10**6
MINUTE_NS: Final = 60 * 10**9
IN_THE_LAB: Final = "lab"
"""Why a link is down that the lab describes as down."""

Moved = Callable[[Sequence[Port]], None]
"""Told the ports that send by an uplink by which they did not send before."""


@define(eq=False)
class Uplink:
    """A physical NIC: why it has no link (nothing: it has one), and what its host makes of that."""

    port: Port
    causes: set[str]
    seen: bool  # a link, at the last look
    usable: bool  # a link for long enough
    usable_since_ns: int
    lost_ns: list[int] = field(factory=list)  # looks of the last minute that found the link lost
    look: Timer | None = None
    delay: Timer | None = None

    @property
    def has_link(self) -> bool:
        """Whether frames pass."""
        return not self.causes


@frozen
class Failover:
    """What a host decided at a moment: the uplinks that a team uses from then on, and those it used before.

    ``everywhere``: it does not know which of them are good, and sends by all of these.
    """

    time_ns: int
    team: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    everywhere: tuple[str, ...] = ()

    def __str__(self) -> str:
        used, was = (", ".join(names) or "none" for names in (self.after, self.before))
        ambiguous = f"; beacons are ambiguous, all is sent by {', '.join(self.everywhere)}" if self.everywhere else ""
        return f"{self.team}: {used} (before: {was}){ambiguous}"


@define(eq=False)
class Links:
    """The uplinks of all hosts by port number, the teams that use them, and all that was decided about these."""

    live: Live
    moved: Moved
    uplinks: dict[int, Uplink]
    sound: Callable[[Team, AbstractSet[str]], set[str]] = field(default=lambda team, linked: set(linked))
    """Those uplinks of a team, of these that have a link, that its failure detection takes for sound."""
    decided: list[Failover] = field(factory=list)
    _numbers: dict[str, int] = field(factory=dict)
    _slots: dict[str, tuple[str | None, ...]] = field(factory=dict)  # by team

    @classmethod
    def start(cls, live: Live, moved: Moved) -> Self:
        """Links as the lab describes them, seen and settled."""
        uplinks = {}
        for port in live.wiring.ports:
            if port.uplink:
                up = live.wiring.tables[port.host].up.get(port.number)
                causes = set() if up else {IN_THE_LAB}
                uplinks[port.number] = Uplink(port, causes, up, up, live.now_ns)
        links = cls(live, moved, uplinks)
        links._numbers = {one.port.name: number for number, one in uplinks.items()}
        for team in live.wiring.teams():
            links._slots[team.name] = links._places(team, links._candidates(team))
        return links

    # -- what happens to a link

    def lose(self, number: int, cause: str) -> None:
        """An uplink's link is lost: at once for frames, at its next look for the host. Causes add up."""
        uplink = self._uplink(number)
        uplink.causes.add(cause)
        self._carry(uplink)

    def regain(self, number: int, cause: str) -> None:
        """A cause is gone; without any the link is back. "link" takes the lab's own with it."""
        uplink = self._uplink(number)
        uplink.causes.discard(cause)
        if cause == "link":
            uplink.causes.discard(IN_THE_LAB)
        self._carry(uplink)

    def negotiate(self, number: int, speed_bps: int, duplex: Duplex = Duplex.FULL) -> None:
        """A link has another speed: the wire at once, and the teams that ask for speed or duplex."""
        port = self._uplink(number).port
        physical = self._tables(port).physical
        physical[port.name] = evolve(physical[port.name], speed=BitsPerSecond(speed_bps), duplex=duplex)
        wiring = self.live.wiring
        chain = wiring.chain(port.name, "output")
        if "wire" in chain.names and isinstance(chain["wire"].stage, Wire):
            chain.replace("wire", evolve(chain["wire"].stage, rate_bps=speed_bps))
            self.live.replug(port, wiring.chain(port.name, "input"), chain)
        self.judge(self._teams_of(self.uplinks[number]))

    def usable(self, team: Team) -> set[str]:
        """The active and standby uplinks of a team whose link counts."""
        names = (*team.policy.active.value, *team.policy.standby.value)
        return {name for name in names if self.of(name).usable}

    def of(self, name: str) -> Uplink:
        """An uplink by name."""
        return self.uplinks[self._numbers[name]]

    def judge(self, teams: Collection[Team] | None = None) -> None:
        """Which uplinks teams use now; all teams unless some are named."""
        for team in list(self.live.wiring.teams()) if teams is None else teams:
            self._judge(team)

    # -- looking

    def _uplink(self, number: int) -> Uplink:
        if number not in self.uplinks:
            raise LookupError(f"{self.live.wiring.ports[number].name} is no uplink of a host")
        return self.uplinks[number]

    def _carry(self, uplink: Uplink) -> None:
        """Let frames pass or not, and have the host look."""
        up = self._tables(uplink.port).up
        if up.get(uplink.port.number) != uplink.has_link:
            up.set(uplink.port.number, uplink.has_link)
        if uplink.look is None and uplink.has_link != uplink.seen:
            period = self._setting(uplink.port, POLL) * MS
            at = -(-self.live.now_ns // period) * period
            uplink.look = self.live.agenda.at(at, lambda: self._look(uplink))

    def _look(self, uplink: Uplink) -> None:
        uplink.look = None
        if uplink.seen == uplink.has_link:
            return  # lost and back between two looks
        uplink.seen = uplink.has_link
        if uplink.delay is not None:
            uplink.delay.cancel()
            uplink.delay = None
        now = self.live.now_ns
        if uplink.seen:
            self._settle(uplink, now + self._setting(uplink.port, UP_DELAY) * MS)
            return
        uplink.lost_ns = [*(at for at in uplink.lost_ns if at > now - MINUTE_NS), now]
        if uplink.usable:
            uplink.usable = False
            self.judge(self._teams_of(uplink))

    def _settle(self, uplink: Uplink, at_ns: int) -> None:
        """A link that is seen is usable from ``at_ns`` on, and from when it is stable."""
        threshold = self._setting(uplink.port, FLAPPING)
        if threshold and len(uplink.lost_ns) >= threshold:
            at_ns = max(at_ns, uplink.lost_ns[-threshold] + MINUTE_NS)
        if at_ns > self.live.now_ns:
            uplink.delay = self.live.agenda.at(at_ns, lambda: self._use(uplink))
        else:
            self._use(uplink)

    def _use(self, uplink: Uplink) -> None:
        uplink.delay = None
        uplink.usable = True
        uplink.usable_since_ns = self.live.now_ns
        self.judge(self._teams_of(uplink))

    # -- teams

    def _teams_of(self, uplink: Uplink) -> list[Team]:
        name, here = uplink.port.name, (uplink.port.host, uplink.port.switch)
        return [
            team
            for team in self.live.wiring.teams()
            if (team.host, team.switch) == here and name in team.policy.active.value + team.policy.standby.value
        ]

    def _candidates(self, team: Team) -> set[str]:
        """The uplinks of a team that have a link and meet its criteria of speed and duplex."""
        return meeting(team.policy, self.live.wiring.tables[team.host].physical, self.usable(team))

    def _judge(self, team: Team) -> None:
        tables = self.live.wiring.tables[team.host]
        linked = self._candidates(team)
        sound = linked
        everywhere: tuple[str, ...] = ()
        if probes(team.policy):
            sound = self.sound(team, linked)
            if not sound:
                sound = linked
                everywhere = self._everywhere(team, linked)
        places = self._slots[team.name] = self._places(team, sound)
        used = tuple(name for name in places if name is not None)
        used_before = tables.in_use.get(team.name)
        if (used_before, tables.everywhere.get(team.name)) == (used, everywhere):
            return
        self.decided.append(Failover(self.live.now_ns, team.name, used_before, used, everywhere))
        before = {port: set(ways(self.live.wiring, team, port)) for port in self._clients(team)}
        for table, uplinks in ((tables.in_use, used), (tables.everywhere, everywhere)):
            if table.get(team.name) != uplinks:
                table.set(team.name, uplinks)
        moved = [port for port in before if set(ways(self.live.wiring, team, port)) - before[port]]
        if moved:
            self.moved(moved)

    def _places(self, team: Team, up: AbstractSet[str]) -> tuple[str | None, ...]:
        """Who has the places of a team: with failback as in order, without it who has one keeps it."""
        active, standby = _order(team.policy)
        before = self._slots.get(team.name)
        if before is None or team.policy.failback.value:
            return slots(active, standby, up)
        return slots_kept(before, active, standby, up)

    def _everywhere(self, team: Team, linked: AbstractSet[str]) -> tuple[str, ...]:
        """The uplinks that all is sent on while beacons do not tell which of them failed."""
        ignored = self.live.wiring.settings.advanced(team.host, IGNORE_SHOTGUN).value == 1
        order = (*team.policy.active.value, *team.policy.standby.value)
        return tuple(name for name in order if name in linked) if len(linked) > 1 and not ignored else ()

    def _clients(self, team: Team) -> Iterator[Port]:
        """The ports of a team that are on."""
        plugged = self.live.wiring.switch_of(team).plugged
        return (one.port for one in plugged.values() if one.off is None and one.team == team)

    def _tables(self, port: Port) -> HostTables:
        return self.live.wiring.tables[port.host]

    def _setting(self, port: Port, name: str) -> int:
        value: int = self.live.wiring.settings.advanced(port.host, name).value
        return value


def _order(policy: Policy) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Active and standby uplinks; explicit failover order has one place, and everybody else stands by for it."""
    active, standby = policy.active.value, policy.standby.value
    if policy.load_balancing.value is LoadBalancing.EXPLICIT:
        return active[:1], (*active[1:], *standby)
    return active, standby


def ways(wiring: Wiring, team: Team, port: Port) -> tuple[str, ...]:
    """The uplinks by which physical switches know a port: its home, or all while beacons are ambiguous."""
    tables = wiring.tables[team.host]
    in_use = tables.in_use.get(team.name)
    stage: Any = next((one.stage for one in wiring.team_chain(team.name) if one.name == "teaming"), None)
    home: tuple[str, ...] = stage.home(in_use, port) if hasattr(stage, "home") else in_use  # users' stages: none
    return tables.everywhere.get(team.name) or home

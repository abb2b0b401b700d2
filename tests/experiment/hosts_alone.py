"""Hosts without an engine: what they send and plug is written down, and time goes on as the test says."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from attrs import define, field

from iochain import Lab
from iochain.batch import Batch, batch_of, joined
from iochain.chain import Chain, Port
from iochain.experiment.agenda import Agenda
from iochain.experiment.hosts import Hosts
from iochain.experiment.live import Made
from iochain.kernels.rows import NO_TAG
from iochain.topology.wiring import Wiring

MS = 10**6
SECOND = 10**9


class Sent(NamedTuple):
    """A frame that a host made."""

    ms: float
    port: str
    data: bytes
    tag: int | None


@define(eq=False)
class Alone:
    """Stands for ``Live``."""

    wiring: Wiring
    agenda: Agenda = field(factory=Agenda)
    consumers: list[Any] = field(factory=list)
    sent: list[Sent] = field(factory=list)
    plugged: list[Port] = field(factory=list)
    hosts: Hosts = field(init=False)
    history: list[tuple[float, str, tuple[str, ...]]] = field(factory=list)  # ms, team, uplinks in use

    def __attrs_post_init__(self) -> None:
        self.hosts = Hosts.start(self)  # type: ignore[arg-type]
        for tables in self.wiring.tables.values():
            tables.in_use.watchers.append(lambda table, team: self.history.append((self.ms, team, table.get(team))))

    @property
    def now_ns(self) -> int:
        return self.agenda.now_ns

    @property
    def ms(self) -> float:
        return self.now_ns / MS

    def send_all(self, frames: Sequence[Made], side: str = "output", time_ns: int | None = None) -> int:
        assert side == "output"
        at = self.now_ns if time_ns is None else time_ns
        self.sent += [Sent(at / MS, self.wiring.ports[one.port].name, one.data, one.tag) for one in frames]
        return len(self.sent)

    def replug(self, port: Port, input_chain: Chain, output_chain: Chain) -> None:
        assert self.wiring.ports[port.number] is port
        assert self.wiring.chain(port.name, "input") is input_chain
        assert self.wiring.chain(port.name, "output") is output_chain
        self.plugged.append(port)

    # -- for tests

    def until(self, ms: float) -> None:
        self.agenda.run_due(int(ms * MS))

    def lose(self, uplink: str, cause: str = "link") -> None:
        self.hosts.links.lose(self.wiring.port(uplink).number, cause)

    def regain(self, uplink: str, cause: str = "link") -> None:
        self.hosts.links.regain(self.wiring.port(uplink).number, cause)

    def used(self, portgroup: str = "Prod") -> tuple[str, ...]:
        team = self.team(portgroup)
        return self.wiring.tables[team.host].in_use.get(team.name)

    def everywhere(self, portgroup: str = "Prod") -> tuple[str, ...]:
        team = self.team(portgroup)
        return self.wiring.tables[team.host].everywhere.get(team.name)

    def team(self, portgroup: str) -> Any:
        return next(team for team in self.wiring.teams() if team.portgroup == portgroup)

    def consume(self, frames: list[tuple[str, bytes, int | None]]) -> None:
        """The switches take these in now: receiving uplink, bytes, tag."""
        batches: list[Batch] = []
        for serial, (port, data, tag) in enumerate(frames, 1):
            batch = batch_of([(data, self.now_ns)], first_serial=serial)
            batch.rows["port"] = self.wiring.port(port).number
            batch.rows["tag"] = NO_TAG if tag is None else tag
            batches.append(batch)
        for consumer in self.consumers:
            consumer(joined(batches))


def one_host(version: str = "8.0", uplinks: int = 2, settings: Any = None, nics: Any = None, **teaming: Any) -> Lab:
    """A host with VMs a and b on VLAN 10, its uplinks on one physical switch."""
    lab = Lab(version)
    host = lab.host("esx1", settings=settings or {}, nics=nics or {})
    names = [f"vmnic{number}" for number in range(uplinks)]
    prod = host.vswitch("vSwitch0", uplinks=names).portgroup("Prod", vlan=10, teaming=teaming)
    prod.vm("a", mac="00:50:56:00:00:01")
    prod.vm("b", mac="00:50:56:00:00:02")
    lab.physical_switch("sw1", count=uplinks)
    for number, name in enumerate(names, 1):
        lab.cable(name, f"sw1.{number}")
    return lab


def alone(lab: Lab) -> Alone:
    return Alone(lab.start().wiring)

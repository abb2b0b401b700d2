"""The lab as Python writes it: hosts, switches, port groups and VMs in sentences, to be run, replayed, explained.

Until something is run a lab is plain data, the same nested data as a lab file; every mistake in it is told at once.
"""

from collections.abc import Callable, Iterable, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from attrs import define, field, frozen

from iochain.chain import Chain, Port
from iochain.engine.explanation import Explanation
from iochain.engine.network import Engine
from iochain.net import Net, Outcome
from iochain.replay import Options, Progress, Replay, replay, trace
from iochain.topology.effective import Policy
from iochain.topology.labfile import LoadedLab, load, loaded
from iochain.topology.mistakes import Mistake, Place
from iochain.topology.shape import plain
from iochain.topology.wiring import Direction, Wiring, wire

if TYPE_CHECKING:
    import networkx as nx
    from scapy.packet import Packet


class Lab:
    """Hosts, virtual switches, port groups and VMs; or read from a file by :meth:`load`.

    >>> lab = Lab()
    >>> switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"])
    >>> prod = switch.portgroup("Prod", vlan=10)
    >>> for name in ("web", "db"):
    ...     _ = prod.vm(name)
    >>> str(prod.port("web").output)
    'output of web: reverse path → vlan → receive filter → large split → checksum'
    """

    def __init__(self, esxi_version: str = "8.0", **keys: Any) -> None:
        """An empty lab; ``keys`` are those of a lab file's first level (``captured_at``, ``entry``, ``options``)."""
        self.data: dict[str, Any] = {"esxi_version": esxi_version, **keys}
        self.name = "lab"
        self.places: Mapping[str, Place] = {}
        self.warnings: tuple[Mistake, ...] = ()
        self._edits: list[tuple[str, Direction, Callable[[Chain], None]]] = []
        self._wiring: Wiring | None = None
        self._checked: LoadedLab | None = None  # what was last made of the data

    def __repr__(self) -> str:
        keys = "".join(f", {key}={value!r}" for key, value in self.data.items() if key != "esxi_version")
        return f"{type(self).__name__}({self.data.get('esxi_version', '8.0')!r}{keys})"

    @classmethod
    def load(cls, path: "str | PathLike[str]", settings: Iterable[str] = ()) -> Self:
        """The lab of a file, with settings like ``portgroup.Prod.vlan=20`` applied. LabError with all its mistakes."""
        return cls.of(load(Path(path), settings))

    @classmethod
    def of(cls, known: LoadedLab) -> Self:
        """A lab that was read."""
        lab = cls()
        lab.data, lab.name = plain(known.data), known.name  # data of its own, as they may be changed
        lab.places, lab.warnings = known.places, known.warnings
        lab._checked = known
        return lab

    def with_settings(self, settings: Iterable[str]) -> Self:
        """The same lab with settings like ``portgroup.Prod.forged_transmits=accept``. LabError if one is wrong."""
        changed = type(self).of(loaded(self.data, self.places, self.name, settings))
        changed._edits = list(self._edits)
        return changed

    # -- describing

    def host(self, name: str, **keys: Any) -> "HostDraft":
        """A host; the same one again where the name is known."""
        return HostDraft(self, name, _into(self, self._level("hosts"), name, keys))

    def vm(self, name: str, **keys: Any) -> "PortHandle":
        """A VM with one vNIC (``network="Prod"``), or several (``vnics={"eth0": {"network": "Prod"}, …}``)."""
        _into(self, self._level("vms"), name, keys)
        return PortHandle(self, name)

    def physical_switch(self, name: str, **keys: Any) -> "SwitchDraft":
        """A physical switch: ``count`` of its ports, ``mtu``, ``ageing`` …; the same one again where it is known."""
        fabric = self._level("fabric")
        return SwitchDraft(self, name, _into(self, _below(fabric, "switches"), name, keys))

    def cable(self, a: str, b: str, **keys: Any) -> Self:
        """A cable between two ports, like ``esx1.vmnic0`` and ``sw1.1``: ``latency``, or ``metres``; ``name``."""
        self._wiring = None
        fabric = self._level("fabric")
        fabric["cables"] = [*(fabric.get("cables") or ()), {"ends": [a, b], **keys}]
        return self

    def port(self, name: str) -> "PortHandle":
        """A port by name, like ``web``, ``web.eth1``, ``vmnic0`` or ``esx1.vmnic0``."""
        return PortHandle(self, name)

    # -- looking

    @property
    def wiring(self) -> Wiring:
        """The lab, checked and wired. LabError with all its mistakes."""
        if self._wiring is None:
            self._wiring = self._wire()
        return self._wiring

    @property
    def graph(self) -> "nx.MultiDiGraph[str]":
        """The wiring as a networkx graph; its edges carry the chains."""
        return self.wiring.graph

    def effective(self, portgroup: str, host: str | None = None) -> Policy:
        """The effective policy of a port group, each value with who set it. LookupError if there is none."""
        for team in self.wiring.teams():
            if team.portgroup == portgroup and host in (None, team.host):
                return team.policy
        raise LookupError(f'there is no port group "{portgroup}"')

    # -- running

    def start(self, engine: Engine | str | None = None) -> Net:
        """The lab, running: what ports and tables remember lasts from one frame to the next."""
        return Net(self._wire(), None if engine is None else Engine(engine))

    def send(self, packet: "Packet | bytes", at: str, time_ns: int = 0, engine: Engine | str | None = None) -> Outcome:
        """Send one frame at a port of a fresh network. LookupError if there is no such port."""
        net = self.start(engine)
        try:
            return net.send(packet, at, time_ns)
        finally:
            net.stop()

    def replay(self, *captures: "str | PathLike[str]", progress: Progress | None = None, **options: Any) -> Replay:
        """Replay captures, merged by time; ``options`` as in :class:`iochain.replay.Options`.

        CaptureError if one cannot be opened or the output not be written.
        """
        return replay(self._wire(), captures, Options(**options), progress)

    def explain(self, capture: "str | PathLike[str]", frame: int, **options: Any) -> Outcome:
        """Why frame number ``frame`` (from 1) of a capture went where it went, everything before it replayed too.

        LookupError if the capture has no such frame, or it was passed over.
        """
        wiring = self._wire()
        explanation = Explanation()
        fates = trace(wiring, fspath(capture), frame, explanation, Options(**options))
        if not explanation.steps:
            raise LookupError(f"{fspath(capture)}: there is no Ethernet frame {frame} in it")
        return Outcome.of(fates, explanation)

    # -- inside

    def _loaded(self) -> LoadedLab:
        """The lab, checked, which takes time in a large one. LabError with all its mistakes."""
        known = self._checked
        if known is None or known.data != self.data:
            known = self._checked = loaded(self.data, self.places, self.name)
        return known

    def _wire(self) -> Wiring:
        wiring = wire(self._loaded().spec, self.places, self.name)
        for port, direction, edit in self._edits:
            edit(wiring.chain(wiring.port(port).name, direction))
        return wiring

    def _level(self, name: str) -> dict[str, Any]:
        return _below(self.data, name)

    def _edit(self, port: str, direction: Direction, edit: Callable[[Chain], None]) -> None:
        """Change a chain now, and again each time that the lab is wired."""
        edit(self.wiring.chain(self.wiring.port(port).name, direction))
        self._edits.append((port, direction, edit))


def _into(lab: Lab, level: dict[str, Any], name: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    """Put keys under a name; the lab will be wired anew."""
    lab._wiring = None
    known = _below(level, name)
    known.update({key: _listed(value) for key, value in keys.items()})
    return known


def _below(level: dict[str, Any], name: str) -> dict[str, Any]:
    """What stands under a name; a new mapping where nothing does, as in a file that has only the name."""
    if level.get(name) is None:
        level[name] = {}
    below: dict[str, Any] = level[name]
    return below


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@define
class HostDraft:
    """A host that is being described."""

    lab: Lab
    name: str
    data: dict[str, Any] = field(repr=False)

    def vswitch(self, name: str, **keys: Any) -> "VswitchDraft":
        """A standard switch of the host."""
        return VswitchDraft(self, name, _into(self.lab, _below(self.data, "vswitches"), name, keys))

    def nic(self, name: str, **keys: Any) -> Self:
        """A physical NIC of the host: ``speed``, ``link``, ``mac``."""
        _into(self.lab, _below(self.data, "nics"), name, keys)
        return self

    def vmkernel(self, name: str, **keys: Any) -> "PortHandle":
        """A vmkernel adapter of the host."""
        _into(self.lab, _below(self.data, "vmkernel"), name, keys)
        return PortHandle(self.lab, f"{self.name}.{name}")


@define
class VswitchDraft:
    """A virtual switch that is being described."""

    host: HostDraft
    name: str
    data: dict[str, Any] = field(repr=False)

    def portgroup(self, name: str, **keys: Any) -> "PortgroupDraft":
        """A port group of the switch."""
        return PortgroupDraft(self, name, _into(self.host.lab, _below(self.data, "portgroups"), name, keys))


@define
class PortgroupDraft:
    """A port group that is being described."""

    vswitch: VswitchDraft
    name: str
    data: dict[str, Any] = field(repr=False)

    def vm(self, name: str, **keys: Any) -> "PortHandle":
        """A VM with one vNIC in this port group."""
        host = self.vswitch.host
        return host.lab.vm(name, host=host.name, network=self.name, **keys)

    def port(self, name: str) -> "PortHandle":
        """A port of the lab by name."""
        return self.vswitch.host.lab.port(name)


@define
class SwitchDraft:
    """A physical switch that is being described."""

    lab: Lab
    name: str
    data: dict[str, Any] = field(repr=False)

    def port(self, name: str | int, **keys: Any) -> "PortHandle":
        """A port of the switch, with what it says itself: ``mode``, ``vlan``, ``bpdu_guard``, ``channel`` …"""
        counted = str(name).isdecimal() and int(name) in range(1, 1 + (self.data.get("count") or 0))
        if keys or not (counted or str(name) in (self.data.get("ports") or {})):
            _into(self.lab, _below(self.data, "ports"), str(name), keys)
        return PortHandle(self.lab, f"{self.name}.{name}")


@frozen
class PortHandle:
    """A port of a lab, by name: its chains to look at and to change, its policy, frames to send from it."""

    lab: Lab = field(repr=False)
    name: str

    @property
    def port(self) -> Port:
        """What stages see of the port. LookupError if the lab has no such port."""
        return self.lab.wiring.port(self.name)

    @property
    def input(self) -> "ChainDraft":
        """The chain from the port's client to the switch."""
        return ChainDraft(self, "input")

    @property
    def output(self) -> "ChainDraft":
        """The chain from the switch to the port's client."""
        return ChainDraft(self, "output")

    def send(self, packet: "Packet | bytes", time_ns: int = 0, engine: Engine | str | None = None) -> Outcome:
        """Send one frame at this port of a fresh network."""
        return self.lab.send(packet, self.name, time_ns, engine)


@frozen
class ChainDraft:
    """A chain of a lab: changes are made in every network that is started from the lab."""

    port: PortHandle
    direction: Direction

    @property
    def chain(self) -> Chain:
        """The chain as it is wired now."""
        wiring = self.port.lab.wiring
        return wiring.chain(wiring.port(self.port.name).name, self.direction)

    def insert(
        self, stage: Any, *, before: str | None = None, after: str | None = None, name: str | None = None
    ) -> None:
        """Put a stage in (see :meth:`iochain.chain.Chain.insert`)."""
        self._edit(lambda chain: chain.insert(stage, before=before, after=after, name=name))

    def remove(self, name: str) -> None:
        """Take a stage out."""
        self._edit(lambda chain: chain.remove(name))

    def replace(self, name: str, stage: Any) -> None:
        """Put another stage in the place of one."""
        self._edit(lambda chain: chain.replace(name, stage))

    def move(self, name: str, *, before: str | None = None, after: str | None = None) -> None:
        """Put a stage at another place."""
        self._edit(lambda chain: chain.move(name, before=before, after=after))

    @property
    def names(self) -> list[str]:
        """The names of the stages, in order."""
        return self.chain.names

    def __str__(self) -> str:
        return str(self.chain)

    def _edit(self, edit: Callable[[Chain], None]) -> None:
        self.port.lab._edit(self.port.name, self.direction, edit)

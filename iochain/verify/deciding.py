"""Which setting lets a frame through that a statement forbids: the one whose change stops it and touches least else.

What a frame was dropped by tells its explanation. Of one that was delivered no stage says "because of me": often the
stage that would have stopped it is not in the chain. So the lab is asked: each setting near the frame's way is changed,
alone, and of those changes that stop the frame the one that alters the fewest other deliveries is told.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Any, Final

from attrs import field, frozen

from iochain.chain import From, Port, PortKind
from iochain.engine.walk import StageError
from iochain.frame import ALL_VLANS, BROADCAST
from iochain.lab import Lab
from iochain.topology.advanced import ADVANCED
from iochain.topology.mistakes import KeyPath, LabError
from iochain.topology.settings import key_of
from iochain.topology.shape import fields, inner
from iochain.topology.spec import Answer, Options, Portgroup
from iochain.topology.wiring import Wiring
from iochain.verify.candidates import Borders, Demand
from iochain.verify.conditions import ANY_FRAME
from iochain.verify.contents import PLAIN, frame_of
from iochain.verify.search import Suspect
from iochain.verify.trial import tried

_MOST_OTHERS: Final = 8
_FREE_VLANS: Final = (3999, 3998, 3997)


@frozen
class Change:
    """A setting as it is, and one that it could be: ``text`` is for ``--set``."""

    setting: From = field(eq=False)
    text: str


def deciding(
    lab: Lab, suspect: Suspect, is_broken: Callable[[Wiring], bool], vlans: Sequence[int] = ()
) -> Change | None:
    """The change that stops a frame and alters least else; None if no single one does.

    ``vlans`` are tried for the port groups beside no VLAN and one that nobody has.
    """
    found: list[tuple[int, int, Change]] = []
    ways: set[tuple[int, int]] | None = None
    control = _control(lab.wiring, suspect)
    for number, change in enumerate(_changes(lab.wiring, suspect, vlans)):
        try:
            wiring = lab.with_settings([change.text]).wiring
            if is_broken(wiring):
                continue
            ways = _ways(lab.wiring, control) if ways is None else ways
            found.append((len(ways ^ _ways(wiring, control)), number, change))
        except (LabError, StageError):  # what cannot be set says nothing
            continue
    return min(found, key=lambda one: one[:2])[2] if found else None


def _changes(wiring: Wiring, suspect: Suspect, vlans: Sequence[int]) -> Iterator[Change]:
    """Settings near a frame's way: of the port groups at its ends, of its host, and the emulator's choices."""
    ends = dict.fromkeys((wiring.ports[suspect.sender], wiring.ports[suspect.port]))
    for port in ends:
        if port.portgroup is not None:
            yield from _of_portgroup(wiring, port, vlans)
    for port in ends:
        if port.kind is PortKind.VNIC and _asks(wiring, port):
            path = _vnic_path(wiring, port)
            said = wiring.settings.said(True, f"vNIC of {port.name}", (*path, "promiscuous"))
            yield Change(said, _text(path, "promiscuous", "no"))
    for host in dict.fromkeys(port.host for port in ends if port.host):
        yield from _of_host(wiring, host)
    for name, key in fields(Options).items():
        kind, value = inner(key.type), getattr(wiring.spec.options, name)
        if isinstance(kind, type) and issubclass(kind, Enum):
            for other in kind:
                if other is not value:
                    yield Change(wiring.settings.option(name), f"options.{name}={other.value}")


def _of_portgroup(wiring: Wiring, port: Port, vlans: Sequence[int]) -> Iterator[Change]:
    path = ("hosts", port.host, "vswitches", port.switch, "portgroups", port.portgroup or "")
    policy = wiring.settings.policy(port.host, port.switch, port.portgroup or "")
    is_only_host = len(wiring.spec.hosts) == 1
    key = f"portgroup.{port.portgroup}" if is_only_host else ".".join(path)
    for name, field_of in fields(Portgroup).items():
        if inner(field_of.type) is Answer:
            now: From = getattr(policy, name)
            for other in Answer:
                if other is not now.value:
                    yield Change(now, f"{key}.{name}={other.value}")
    used = {one.vlan for one in wiring.ports}
    free = next(vlan for vlan in _FREE_VLANS if vlan not in used)
    for vlan in dict.fromkeys((*vlans, 0, free)):
        if vlan != policy.vlan.value:
            yield Change(policy.vlan, f"{key}.vlan={vlan}")


def _of_host(wiring: Wiring, host: str) -> Iterator[Change]:
    for name, known in ADVANCED.items():
        now = wiring.settings.advanced(host, name)
        if known.is_switch and now.value in (0, 1):
            yield Change(now, _text(("hosts", host, "settings"), name, str(1 - now.value)))


def _asks(wiring: Wiring, port: Port) -> bool:
    return any(
        vnic.promiscuous and port.name in (name, f"{name}.{label}")
        for name, vm in wiring.spec.vms.items()
        for label, vnic in vm.vnics.items()
    )


def _vnic_path(wiring: Wiring, port: Port) -> KeyPath:
    vm, _, label = port.name.rpartition(".")
    return ("vms", port.name) if port.name in wiring.spec.vms else ("vms", vm, "vnics", label)


def _text(path: KeyPath, name: str, value: str) -> str:
    """A change as ``--set`` takes it."""
    return f"{key_of((*path, name))}={value}"


def _control(wiring: Wiring, suspect: Suspect) -> list[tuple[bytes, int]]:
    """What ports near the frame's way would otherwise send: to each other, to nobody, to all."""
    ends = [wiring.ports[suspect.sender], wiring.ports[suspect.port]]
    near = [port for port in wiring.ports if (port.host, port.switch) == (ends[0].host, ends[0].switch)]
    some = list(dict.fromkeys([*ends, *near[:_MOST_OTHERS]]))
    borders = Borders(wiring, vlans=[0])
    found = []
    for sender in some:
        for receiver in some:
            if sender is not receiver:
                found += [(one, sender.number) for one in Demand(sender, receiver, ANY_FRAME).each(borders, [PLAIN])]
        own = int(sender.effective_mac or 0) if not sender.uplink else borders.outside
        tags = [None] if sender.vlan not in (None, ALL_VLANS) else [None, *{one.vlan for one in some if one.vlan}]
        found += [(frame_of(int(BROADCAST), own, tci, PLAIN), sender.number) for tci in tags]
    return found


def _ways(wiring: Wiring, control: list[tuple[bytes, int]]) -> Any:
    """Which frame was delivered where."""
    trial = tried(wiring, [one for one, _ in control], [port for _, port in control], [-1] * len(control))
    return set(zip(trial.frame.tolist(), trial.port.tolist(), strict=True))

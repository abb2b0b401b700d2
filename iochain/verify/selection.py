"""Ports that a statement speaks of: by port, VM, port group, label, VLAN, host, or kind; or a plain name."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import field, frozen

from iochain.chain import Port, PortKind
from iochain.topology.mistakes import guess
from iochain.topology.units import shown
from iochain.topology.wiring import Wiring

KINDS: Final = {"vm": PortKind.VNIC, "vmkernel": PortKind.VMKERNEL, "uplink": PortKind.UPLINK}
CALLED: Final = {
    "port": "port",
    "vm": "VM",
    "portgroup": "port group",
    "label": "label",
    "vlan": "VLAN with a port",
    "host": "host",
    "kind": "kind of ports",
}
"""The keys of a selection, and what a message calls what they name."""
PLAIN: Final = ("port", "vm", "portgroup", "label")
"""What a name that stands alone may be, the first that there is."""


@frozen
class Names:
    """The ports of a lab by all that they can be called by."""

    ports: Mapping[str, Mapping[str, frozenset[int]]] = field(repr=False)  # by key, then by name

    @classmethod
    def of(cls, wiring: Wiring) -> "Names":
        """The names of a lab."""
        found: dict[str, dict[str, set[int]]] = {key: {} for key in CALLED}
        for name in wiring.spec.vms:
            found["vm"][name] = set()
        for port in wiring.ports:
            for key, name in _names(port, wiring):
                found[key].setdefault(name, set()).add(port.number)
        return cls({key: {name: frozenset(numbers) for name, numbers in of.items()} for key, of in found.items()})

    def one(self, key: str, name: str) -> frozenset[int]:
        """The ports that a key's value names. ValueError if nothing has this name."""
        known = self.ports[key]
        if name in known:
            return known[name]
        near = guess(name, known) or f" ({', '.join(list(known)[:20]) or 'the lab has none'})"
        raise ValueError(f"there is no {CALLED[key]} {shown_name(name)}{near}")

    def plain(self, name: str) -> frozenset[int]:
        """The ports of a name that stands alone. ValueError if nothing, or more than one thing, is called so."""
        meant = {key: self.ports[key][name] for key in PLAIN if name in self.ports[key]}
        if len(set(meant.values())) > 1:
            ways = " or ".join(f"{{{key}: {name}}}" for key in meant)
            raise ValueError(f"{shown_name(name)} is the name of several things; write {ways}")
        if meant:
            return next(iter(meant.values()))
        known = [one for key in PLAIN for one in self.ports[key]]
        raise ValueError(f"there is no port, VM, port group or label {shown_name(name)}{guess(name, known)}")


def selected(data: Any, names: Names, fault: Callable[[tuple[str | int, ...], str], None]) -> frozenset[int]:
    """The ports that a selection names: a name, keys that all hold, or a list of which one holds.

    ``fault`` hears of each mistake: where it is below the selection, and the message.
    """
    if isinstance(data, list):
        if not data:
            fault((), "an empty list names no port")
        found = [selected(one, names, _below(fault, index)) for index, one in enumerate(data)]
        return frozenset().union(*found)
    if isinstance(data, dict):
        return _keyed(data, names, fault)
    try:
        if data is None:
            raise ValueError("a port is missing: write a name, or keys like {portgroup: Prod}")
        return names.plain(str(data))
    except ValueError as wrong:
        fault((), str(wrong))
        return frozenset()


def _keyed(
    data: Mapping[str, Any], names: Names, fault: Callable[[tuple[str | int, ...], str], None]
) -> frozenset[int]:
    found: frozenset[int] | None = None
    wrong = False
    for key, value in data.items():
        try:
            if key not in CALLED:
                raise ValueError(f'"{key}" names no ports{guess(key, CALLED) or " (" + ", ".join(CALLED) + ")"}')
            if value is None or isinstance(value, dict):
                raise ValueError(f"{shown(value)} stands where a name, or a list of names, is needed")
            given = value if isinstance(value, list) else [value]
            ports = frozenset().union(*(names.one(key, str(one)) for one in given))
            found = ports if found is None else found & ports
        except ValueError as mistake:
            wrong = True
            fault((key,), str(mistake))
    if not found and not wrong:
        fault((), "no port is all of this at once" if data else "nothing is said of which ports are meant")
    return found or frozenset()


def _below(fault: Callable[[tuple[str | int, ...], str], None], index: int) -> Callable[..., None]:
    return lambda path, message: fault((index, *path), message)


def shown_name(name: str) -> str:
    """A name as messages show it."""
    return f'"{name}"' if len(name) < 80 else f'"{name[:77]}..."'


def _names(port: Port, wiring: Wiring) -> "list[tuple[str, str]]":
    """All that a port can be called by."""
    found = [("port", port.name), ("host", port.host), ("switch", port.switch)]
    if port.host:
        found.append(("port", f"{port.host}.{port.name}"))
    found += [("kind", word) for word, kind in KINDS.items() if kind is port.kind]
    if port.portgroup is not None:
        found.append(("portgroup", port.portgroup))
        found.append(("vlan", str(port.vlan or 0)))
        group = wiring.spec.hosts[port.host].vswitches[port.switch].portgroups[port.portgroup]
        found += [("label", label) for label in group.labels]
    vm = port.name if port.name in wiring.spec.vms else port.name.rpartition(".")[0]
    if port.kind is PortKind.VNIC and vm in wiring.spec.vms:
        found.append(("vm", vm))
        found += [("label", label) for label in wiring.spec.vms[vm].labels]
    return [(key, name) for key, name in found if key in CALLED and name]

"""Settings of the command line: texts like ``portgroup.Prod.vlan=20``, put into the lab before it is checked.

``host.esx1.…``, ``nic.vmnic0.…``, ``vmk.vmk0.…``, ``vswitch.vSwitch0.…``, ``portgroup.Prod.…``, ``vm.web.…`` and
``switch.sw1.…`` (a physical one) stand for all things of that kind with that name, on whichever host; ``options.…`` and
whole paths as in the file (``hosts.esx1.vswitches.vSwitch0.mtu=9000``) are meant as they are. Names may have dots. A
list is ``a,b`` or ``[a, b]``; ``null`` takes a value back.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, Final, get_args, get_origin

import attrs
from attrs import frozen

from iochain.topology.mistakes import KeyPath, Mistake, Place, guess, key_text
from iochain.topology.shape import fields, inner
from iochain.topology.spec import Host, LabSpec, Nic, Portgroup, SwitchSpec, Vm, Vmkernel, Vnic, Vswitch
from iochain.topology.yamltext import Written, read_value

KINDS: Final[dict[str, type]] = {
    "host": Host,
    "nic": Nic,
    "vmk": Vmkernel,
    "vswitch": Vswitch,
    "portgroup": Portgroup,
    "vm": Vm,
    "switch": SwitchSpec,
}
CALLED: Final = {
    "host": "host",
    "nic": "physical NIC",
    "vmk": "vmkernel adapter",
    "vswitch": "virtual switch",
    "portgroup": "port group",
    "vm": "VM",
    "switch": "physical switch",
}


@frozen
class Target:
    """Where a setting goes: a place in the data that is there already, and the keys below it."""

    path: KeyPath
    cls: type
    rest: str


def apply(written: Written, settings: Iterable[str]) -> None:
    """Changes the data; what a setting says has the setting as its place. Notes what cannot be applied.

    The data are dicts and lists of the caller's own making and are changed in place.
    """
    for setting in settings:
        place = Place(f"--set {setting}")
        try:
            key, equals, text = setting.partition("=")
            if not equals:
                raise ValueError("a setting is written KEY=VALUE, like portgroup.Prod.vlan=20")
            for target in _targets(written.data, key.strip()):
                _put(written, target, text.strip(), place)
        except ValueError as wrong:
            written.mistakes.append(Mistake(place, "", str(wrong)))


def key_of(path: KeyPath) -> str:
    """A whole path as settings say it: a name that has dots stands there without quotes."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _targets(data: dict[str, Any], key: str) -> list[Target]:
    first, _, rest = key.partition(".")
    first = "vmk" if first == "vmkernel" else first
    if first.partition("[")[0] in fields(LabSpec):
        return [Target((), LabSpec, key)]
    if first not in KINDS:
        known = [*KINDS, *fields(LabSpec)]
        hint = guess(first, known) or f" ({', '.join(known)})"
        raise ValueError(f'"{first}" is nothing that can be set{hint}')
    there = list(_all(data, first))
    for name in sorted({str(path[-1]) for path in there}, key=len, reverse=True):
        if rest == name:
            raise ValueError(f"say which key of {name} is to be set, like {key}.{next(iter(fields(KINDS[first])))}")
        if rest.startswith(f"{name}."):
            below = rest[len(name) + 1 :]
            return [Target(path, KINDS[first], below) for path in there if path[-1] == name]
    name, names = rest.partition(".")[0], [str(path[-1]) for path in there]
    raise ValueError(f'there is no {CALLED[first]} "{name}"{guess(name, names)}')


def _all(data: dict[str, Any], kind: str) -> Iterator[KeyPath]:
    """The paths of all things of a kind."""
    if kind == "vm":
        yield from (("vms", name) for name in _dict(data.get("vms")))
    if kind == "switch":
        yield from (("fabric", "switches", name) for name in _dict(_dict(data.get("fabric")).get("switches")))
        return
    for host_name, host in _dict(data.get("hosts")).items():
        path = ("hosts", host_name)
        switches = _dict(_dict(host).get("vswitches"))
        if kind == "host":
            yield path
        elif kind == "vmk":
            yield from ((*path, "vmkernel", name) for name in _dict(_dict(host).get("vmkernel")))
        elif kind == "nic":
            uplinks = [one for switch in switches.values() for one in _list(_dict(switch).get("uplinks"))]
            names = dict.fromkeys([*_dict(_dict(host).get("nics")), *map(str, uplinks)])
            yield from ((*path, "nics", name) for name in names)
        else:
            for switch_name, switch in switches.items():
                place = (*path, "vswitches", switch_name)
                groups = _dict(_dict(switch).get("portgroups"))
                yield from [place] if kind == "vswitch" else ((*place, "portgroups", name) for name in groups)


def _dict(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}


def _list(data: Any) -> list[Any]:
    return data if isinstance(data, list) else []


def _put(written: Written, target: Target, text: str, place: Place) -> None:
    for end, kind in _ends(written.data, target):
        path = _as_written(written.data, end)
        level: Any = written.data
        for part, following in pairwise(path):
            there = level[part] if isinstance(part, int) else level.get(part)
            if not isinstance(there, list if isinstance(following, int) else dict):
                there = level[part] = {}
            level = there
        value = _value(text, kind)
        if value is None and isinstance(level, dict):
            level.pop(path[-1], None)
        else:
            level[path[-1]] = value
        below = key_text(path)
        for key in [key for key in written.places if key.startswith((f"{below}.", f"{below}["))]:
            del written.places[key]
        written.places[below] = place


def _ends(data: dict[str, Any], target: Target) -> Iterator[tuple[KeyPath, Any]]:
    """The whole paths that are meant, with the type of their values (None where there is no such key)."""
    here = _at(data, target.path)
    if (
        target.cls is Vm
        and target.rest.partition(".")[0] in fields(Vnic)
        and isinstance(_dict(here).get("vnics"), dict)
    ):
        for name in here["vnics"]:
            yield from _down(data, (*target.path, "vnics", name), Vnic, target.rest)
    else:
        yield from _down(data, target.path, target.cls, target.rest)


def _as_written(data: dict[str, Any], path: KeyPath) -> KeyPath:
    """The path, without ``vnics.eth0`` where the VM has the keys of its one vNIC directly."""
    vm = _dict(_at(data, path[:2]))
    short = path[0] == "vms" and path[2:4] == ("vnics", "eth0") and len(path) > 4
    return (*path[:2], *path[4:]) if short and "vnics" not in vm and any(name in vm for name in fields(Vnic)) else path


def _down(data: dict[str, Any], path: KeyPath, kind: Any, rest: str) -> Iterator[tuple[KeyPath, Any]]:
    """Follows the keys of a setting through the schema."""
    if not rest:
        yield path, kind
        return
    if isinstance(kind, type) and attrs.has(kind):
        name, _, below = rest.partition(".")
        known = {**(fields(Vnic) if kind is Vm else {}), **fields(kind)}
        name, _, index = name.partition("[")
        path = (*path, name)
        if index:
            path = (*path, _index(data, path, index))
            yield from _down(data, path, get_args(inner(known[name].type))[0] if name in known else None, below)
        else:
            yield from _down(data, path, inner(known[name].type) if name in known else None, below)
    elif get_origin(kind) is not None and isinstance(get_origin(kind), type) and get_origin(kind) is not tuple:
        of = get_args(kind)[1]
        names = sorted(_dict(_at(data, path)), key=len, reverse=True)
        name = (
            rest if not attrs.has(of) else next((one for one in names if rest == one or rest.startswith(f"{one}.")), "")
        )
        name = name or rest.partition(".")[0]
        yield from _down(data, (*path, name), of, rest[len(name) + 1 :])
    else:
        raise ValueError(f"there is nothing below {key_text(path)} that can be set")


def _index(data: dict[str, Any], path: KeyPath, text: str) -> int:
    entries = _list(_at(data, path))
    digits = text.removesuffix("]")
    if text.endswith("]") and digits.isdecimal() and len(digits) < 10 and int(digits) < len(entries):
        return int(digits)
    raise ValueError(f"there is no entry [{text} in {key_text(path)}; it has {len(entries)}, counted from 0")


def _at(data: Any, path: KeyPath) -> Any:
    for part in path:
        data = _list(data)[part] if isinstance(part, int) else _dict(data).get(part)
    return data


def _value(text: str, kind: Any) -> Any:
    if text in ("null", "~"):
        return None
    if text.startswith(("[", "{")):
        return read_value(text)
    if get_origin(kind) is tuple:
        return [entry.strip() for entry in text.split(",")]
    return text

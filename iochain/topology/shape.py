"""Nested data to the values of :mod:`iochain.topology.spec`, with all mistakes of shape and of single values.

One walk over the attrs fields serves files, settings of the command line and labs built in Python. Where something is
wrong a harmless value stands in, so the walk goes on and what depends on it can be checked too.
"""

from collections.abc import Mapping
from enum import Enum
from numbers import Integral
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

import attrs
from attrs import Attribute, Factory, define

from iochain.topology.mistakes import Finding, KeyPath, guess, nearest
from iochain.topology.spec import (
    BitsPerSecond,
    ByteCount,
    CableSpec,
    EntryRule,
    FabricSpec,
    Host,
    LabSpec,
    Mtu,
    Nanoseconds,
    Nic,
    Options,
    Portgroup,
    Shaping,
    SwitchPort,
    SwitchSpec,
    Teaming,
    VlanNumber,
    Vm,
    Vmkernel,
    Vnic,
    Vswitch,
)
from iochain.topology.units import shown
from iochain.topology.values import answer, is_answer, name_text, read

DEEPEST: Final = 40
"""Levels of nesting; a lab has nine."""

NAMES: Final[Mapping[type, str]] = {
    LabSpec: "a lab",
    Host: "a host",
    Nic: "a physical NIC",
    Vmkernel: "a vmkernel adapter",
    Vswitch: "a standard switch",
    Portgroup: "a port group",
    Teaming: "teaming",
    Shaping: "shaping",
    Vm: "a VM",
    Vnic: "a vNIC",
    FabricSpec: "the fabric",
    SwitchSpec: "a physical switch",
    SwitchPort: "a port of a physical switch",
    CableSpec: "a cable",
    EntryRule: "an entry rule",
    Options: "the options",
}

REFERRED: Final = ("uplinks", "count")
"""Keys whose values are names, or make names, that other keys refer to."""

DISTRIBUTED: Final = {
    "blocked": "blocked ports",
    "pvlan": "private VLANs",
    "private_vlan": "private VLANs",
    "trunk": "VLAN ranges; VLAN 4095 lets all VLANs pass",
    "vlans": "VLAN ranges; VLAN 4095 lets all VLANs pass",
    "mac_learning": "MAC learning",
    "ingress_shaping": "ingress shaping",
    "egress_shaping": "egress shaping",
    "lacp": "LACP",
    "lag": "LACP",
    "lags": "LACP",
    "nioc": "Network I/O Control",
    "netflow": "NetFlow",
    "ipfix": "NetFlow",
    "mirror": "port mirroring",
    "port_mirroring": "port mirroring",
    "ports": "settings for single ports",
    "overrides": "settings for single ports",
    "binding": "port binding",
    "filters": "traffic filtering and marking",
    "rules": "traffic filtering and marking",
    "multicast_snooping": "multicast snooping",
    "health_check": "health check",
}
"""What only a distributed switch has, by the key that somebody may look for it under."""


@define
class Shaped:
    """What the walk found beside the values."""

    findings: list[Finding] = Factory(list)
    wrong: set[KeyPath] = Factory(set)
    """Where a stand-in is: nothing more is to be said of such a place."""
    written: dict[KeyPath, KeyPath] = Factory(dict)
    """Where what has a short form was really written."""
    incomplete: bool = False
    """Whether something that others refer to may be lost, so that their mistakes would be no mistakes of theirs."""

    def mistake(self, path: KeyPath, message: str, *, at: KeyPath | None = None) -> None:
        """Note a mistake; the value that is missing or wrong is the one at ``at`` where this is another."""
        self.findings.append(Finding(path, message))
        self.wrong.add(path if at is None else at)


def shape(data: Any) -> tuple[LabSpec, Shaped]:
    """The lab that plain data (see :func:`plain`) say, and what is wrong with them."""
    shaped = Shaped()
    spec: LabSpec = _record(LabSpec, data, (), shaped)
    return spec, shaped


def plain(data: Any, depth: int = 0) -> Any:
    """Nested dicts, lists and scalars from data that may hold attrs values, enumeration members, tuples.

    Raises ValueError where the nesting is too deep (or has no end).
    """
    if depth > DEEPEST:
        raise ValueError("the data are nested too deeply for a lab")
    if attrs.has(type(data)):
        told = {a.name: getattr(data, a.name) for a in attrs.fields(type(data))}
        return {name: plain(value, depth + 1) for name, value in told.items() if value is not None}
    if isinstance(data, Enum):
        return data.value
    if isinstance(data, Mapping):
        names = [name_text(key) for key in data]
        twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
        if twice is not None:
            raise ValueError(f'the name "{twice}" is there twice')
        return {name: plain(value, depth + 1) for name, value in zip(names, data.values(), strict=True)}
    if not isinstance(data, int) and isinstance(data, Integral):
        return int(data)  # one of numpy's
    if isinstance(data, (list, tuple)):
        return [plain(value, depth + 1) for value in data]
    return data


def fields(cls: type) -> dict[str, "Attribute[Any]"]:
    """The keys of one level of the lab file."""
    return {a.name: a for a in attrs.fields(cls)}


def inner(kind: Any) -> Any:
    """``X`` of ``X | None``."""
    if get_origin(kind) in (UnionType, Union):
        return next(one for one in get_args(kind) if one is not type(None))
    return kind


def _record(cls: type, data: Any, path: KeyPath, shaped: Shaped) -> Any:
    if cls is Shaping and is_answer(data):
        return Shaping(enabled=answer(data))
    if cls is CableSpec and isinstance(data, list):
        shaped.written[(*path, "ends")] = path
        data = {"ends": data}
    if cls is Vm and (isinstance(data, dict) or data is None):
        data = _long_form(data or {}, path, shaped)
    if not isinstance(data, dict):
        if data is not None:
            shaped.mistake(path, f"{shown(data)} stands where {NAMES[cls]} is described; keys and values are needed")
            shaped.incomplete = True
            return _stand_in(cls)
        data = {}
    known = fields(cls)
    unknown = [name for name in data if name not in known]
    for name in unknown:
        _unknown(cls, name, path, shaped)
    misspelled = {nearest(name, known) for name in unknown}
    values = {}
    for name, attribute in known.items():
        if name in data:
            values[name] = _value(attribute, data[name], (*path, name), shaped)
        elif attribute.default is attrs.NOTHING:
            if name not in misspelled:  # else its absence has been told of
                shaped.mistake(path, f'the key "{name}" is missing ({attribute.metadata["doc"]})', at=(*path, name))
            shaped.wrong.add((*path, name))
            values[name] = _nothing(attribute.type)
    return cls(**values)


def _stand_in(cls: type) -> Any:
    return cls(**{name: _nothing(a.type) for name, a in fields(cls).items() if a.default is attrs.NOTHING})


def _nothing(kind: Any) -> Any:
    return {Mapping: {}, tuple: ()}.get(get_origin(kind), "")


def _long_form(data: dict[str, Any], path: KeyPath, shaped: Shaped) -> dict[str, Any]:
    """The VM with its one vNIC under ``vnics``, if its keys stand directly in the VM."""
    direct = [name for name in data if name in fields(Vnic)]
    if "vnics" in data:
        for name in direct:
            shaped.mistake((*path, name), "this key of a vNIC stands beside vnics; put it below one of them")
        return {name: value for name, value in data.items() if name not in direct}
    known = [*fields(Vm), *fields(Vnic)]
    misspelled = [name for name in data if name not in known and nearest(name, known) in fields(Vnic)]
    if any(nearest(name, known) == "vnics" for name in data if name not in known):
        return {name: value for name, value in data.items() if name not in direct}
    shaped.written[(*path, "vnics", "eth0")] = path
    eth0 = {name: value for name, value in data.items() if name in direct or name in misspelled}
    return {**{name: value for name, value in data.items() if name not in eth0}, "vnics": {"eth0": eth0}}


def _unknown(cls: type, name: str, path: KeyPath, shaped: Shaped) -> None:
    if name in DISTRIBUTED and cls in (Portgroup, Vswitch, Vm, Vnic, Host, Nic, LabSpec):
        message = f"a standard switch has no {DISTRIBUTED[name]}; distributed switches do (not modelled yet)"
        if ";" in DISTRIBUTED[name]:
            thing, instead = DISTRIBUTED[name].split("; ")
            message = f"a standard switch has no {thing}; distributed switches do (not modelled yet). {instead}"
    else:
        known = [*fields(cls), *(fields(Vnic) if cls is Vm else ())]
        message = f'"{name}" is no key of {NAMES[cls]}' + (guess(name, known) or f" ({', '.join(known)})")
        shaped.incomplete |= any(_holds_names(a.type) for a in fields(cls).values())
    shaped.mistake((*path, name), message)
    if cls is EntryRule:  # this may be the condition that it would seem to lack
        shaped.wrong.add(path)


def _holds_names(kind: Any) -> bool:
    return get_origin(kind) is Mapping and attrs.has(get_args(kind)[1])


def _value(attribute: "Attribute[Any]", data: Any, path: KeyPath, shaped: Shaped) -> Any:
    kind = attribute.type
    optional = inner(kind) is not kind
    kind = inner(kind)
    if data is None and optional:
        return None
    if attrs.has(kind):
        return _record(kind, data, path, shaped)
    if get_origin(kind) is Mapping:
        return _named(kind, attribute, data, path, shaped)
    if get_origin(kind) is tuple:
        return _listed(kind, attribute, data, path, shaped)
    return _scalar(kind, attribute, data, path, shaped)


def _named(kind: Any, attribute: "Attribute[Any]", data: Any, path: KeyPath, shaped: Shaped) -> dict[str, Any]:
    if data is None:
        data = {}
    if not isinstance(data, dict):
        shaped.mistake(path, f"{shown(data)} stands where names with values below are needed")
        shaped.incomplete = True
        return {}
    of = get_args(kind)[1]
    values = {}
    for name, entry in data.items():
        if not name:
            shaped.mistake((*path, name), "a name cannot be empty")
            shaped.incomplete = True
        elif attrs.has(of):
            values[name] = _record(of, entry, (*path, name), shaped)
        else:
            values[name] = _scalar(of, attribute, entry, (*path, name), shaped)
    return values


def _listed(kind: Any, attribute: "Attribute[Any]", data: Any, path: KeyPath, shaped: Shaped) -> tuple[Any, ...] | None:
    if data is None:
        return ()
    if not isinstance(data, list):
        hint = f": [{data}]" if isinstance(data, str) and len(data) < 60 and data.isprintable() else ""
        shaped.mistake(path, f"{shown(data)} stands where a list is needed{hint}")
        shaped.incomplete |= attribute.name in REFERRED
        return None if attribute.default is None else ()
    of = get_args(kind)[0]
    if attrs.has(of):
        return tuple(_record(of, entry, (*path, index), shaped) for index, entry in enumerate(data))
    return tuple(_scalar(of, attribute, entry, (*path, index), shaped) for index, entry in enumerate(data))


def _scalar(kind: Any, attribute: "Attribute[Any]", data: Any, path: KeyPath, shaped: Shaped) -> Any:
    try:
        if data is None:
            raise ValueError("a value is missing; write one or take the key out")
        if isinstance(data, (dict, list)):
            raise ValueError(f"{shown(data)} stands where one value is needed")
        return read(kind, attribute, data)
    except ValueError as wrong:
        shaped.mistake(path, str(wrong))
        shaped.incomplete |= attribute.name in REFERRED
        default = attribute.default
        own = inner(attribute.type) is kind  # else it is one entry of several
        return default if own and default is not attrs.NOTHING else _blank(kind)


def _blank(kind: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    return 0 if kind in (int, BitsPerSecond, ByteCount, Nanoseconds, VlanNumber, Mtu) else ""

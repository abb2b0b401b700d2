"""The JSON Schema of the lab file, made from :mod:`iochain.topology.spec`, for editors that complete and check.

It says what one key may hold. What only the whole lab tells (references, teams, names) is for the loader.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, get_args, get_origin

import attrs
from attrs import Attribute

from iochain.topology import units
from iochain.topology.advanced import ADVANCED
from iochain.topology.shape import NAMES, fields, inner
from iochain.topology.spec import (
    Answer,
    BitsPerSecond,
    ByteCount,
    CableSpec,
    LabSpec,
    MacAddress,
    Nanoseconds,
    Shaping,
    VlanRange,
    Vm,
    Vnic,
)
from iochain.topology.values import ANSWERS, RANGES, is_numeric

YES_OR_NO: Final[Mapping[str, Any]] = {"anyOf": [{"type": "boolean"}, {"enum": list(ANSWERS)}]}
WORD: Final[Mapping[str, Any]] = {"type": ["string", "number", "boolean"]}
"""A name; YAML may take an unquoted one for a number."""


def json_schema() -> dict[str, Any]:
    """The schema of a whole lab file (draft 2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "iochain lab file",
        **_record(LabSpec),
        "type": "object",
        "$defs": {cls.__name__: _definition(cls) for cls in NAMES if cls is not LabSpec},
    }


def _definition(cls: type) -> dict[str, Any]:
    if cls is Shaping:
        return {"description": _first_line(cls), "anyOf": [YES_OR_NO, _record(cls)]}
    if cls is Vm:
        return _vm()
    if cls is CableSpec:
        return {"description": _first_line(cls), "anyOf": [{"type": "array", "items": WORD}, _record(cls)]}
    return _record(cls)


def _record(cls: type) -> dict[str, Any]:
    needed = [name for name, attribute in fields(cls).items() if attribute.default is attrs.NOTHING]
    return {
        "description": _first_line(cls),
        "type": "object" if needed else ["object", "null"],
        "properties": {name: _property(attribute) for name, attribute in fields(cls).items()},
        "additionalProperties": False,
        **({"required": needed} if needed else {}),
    }


def _vm() -> dict[str, Any]:
    """A VM with ``vnics``, or with the keys of its one vNIC."""
    long = _record(Vm)
    short = _record(Vnic)
    own = {name: value for name, value in long["properties"].items() if name != "vnics"}
    short["properties"] = {**own, **short["properties"]}
    return {"description": long["description"], "anyOf": [long, short]}


def _property(attribute: "Attribute[Any]") -> dict[str, Any]:
    kind = inner(attribute.type)
    value = _value(kind, attribute)
    if kind is not attribute.type:
        value = {"anyOf": [value, {"type": "null"}]}
    default = _default(attribute.default)
    return {"description": attribute.metadata["doc"], **value, **({} if default is None else {"default": default})}


def _value(kind: Any, attribute: "Attribute[Any]") -> dict[str, Any]:
    if attrs.has(kind):
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if attribute.name == "settings":
        return {"type": ["object", "null"], "properties": _settings(), "additionalProperties": False}
    if get_origin(kind) is Mapping:
        entry = _value(get_args(kind)[1], attribute)
        return {"type": ["object", "null"], "propertyNames": {"minLength": 1}, "additionalProperties": entry}
    if get_origin(kind) is tuple:
        return {"type": ["array", "null"], "items": _value(get_args(kind)[0], attribute)}
    return _scalar(kind, attribute)


def _scalar(kind: Any, attribute: "Attribute[Any]") -> dict[str, Any]:
    more = attribute.metadata
    span = {name: more[name] for name in ("minimum", "maximum") if name in more}
    if "choices" in more:
        words = {"enum": list(more["choices"])}
        numbers = {"enum": sorted({float(one) for one in more["choices"]})} if is_numeric(more["choices"]) else None
        return {"anyOf": [words, numbers]} if numbers else words
    if kind in RANGES:
        _, lowest, highest = RANGES[kind]
        return _integer(minimum=lowest, maximum=highest)
    if isinstance(kind, type) and issubclass(kind, Enum):
        members = {"enum": [member.value for member in kind]}
        return {"anyOf": [members, YES_OR_NO]} if kind is Answer else members
    if kind is BitsPerSecond or kind is ByteCount:
        names = units.RATE_UNITS if kind is BitsPerSecond else units.SIZE_UNITS
        return {"anyOf": [{"type": "integer", **span}, {"type": "string", "pattern": units.pattern(names)}]}
    if kind is Nanoseconds:
        return {"type": "string", "pattern": units.pattern(units.TIME_UNITS, plain=False)}
    if kind is VlanRange:
        return {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": units.VLAN_RANGE_PATTERN}]}
    if kind is int:
        return _integer(**span)
    simple = {bool: YES_OR_NO, str: WORD, MacAddress: {"type": "string", "pattern": units.MAC_PATTERN}}
    return dict(simple[kind])


def _integer(**span: int) -> dict[str, Any]:
    """A number; in quotes it is understood as well."""
    return {"anyOf": [{"type": "integer", **span}, {"type": "string", "pattern": "^-?[0-9]+$"}]}


def _settings() -> dict[str, Any]:
    """Every known advanced setting, with the range of all versions together."""
    known = {}
    for setting in ADVANCED.values():
        span = {"minimum": min(setting.minima.values())}
        if setting.maxima:
            span["maximum"] = max(setting.maxima.values())
        known[setting.name] = {"description": setting.doc, **_integer(**span)}
    return known


def _default(default: Any) -> Any:
    if isinstance(default, Enum):
        return default.value
    return default if isinstance(default, (bool, int, str)) else None


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").partition("\n\n")[0]

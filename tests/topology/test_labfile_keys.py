"""Every key of the schema with a wrong type, a wrong value, a wrong name: one mistake, in the right place."""

from enum import Enum
from typing import Any

import attrs
import pytest
from full_lab import FULL, at, changed, paths, renamed, written

from iochain.topology import spec as spec_module
from iochain.topology.labfile import LabError, load_text, structure
from iochain.topology.mistakes import KeyPath, Mistake, key_text
from iochain.topology.shape import NAMES, fields
from iochain.topology.spec import Vm, Vnic

NAMED = {"hosts", "vms", "nics", "vswitches", "portgroups", "vmkernel", "vnics", "settings", "switches", "ports"}
"""Keys below which stand names, not keys."""

KEYS = [path for path, _ in paths(FULL) if isinstance(path[-1], str) and not (len(path) > 1 and path[-2] in NAMED)]
SCALARS = [path for path, value in paths(FULL) if not isinstance(value, (dict, list)) and value is not None]
TEXTS = {"uplinks", "network", "host", "labels", "at", "interface", "file", "ends", "name", "channel"}
"""Keys with any text as their value: only what it refers to can be wrong."""


def mistakes_of(data: Any) -> tuple[tuple[Mistake, ...], dict[str, int]]:
    text, lines = written(data)
    with pytest.raises(LabError) as error:
        load_text(text, "lab.yaml")
    return error.value.mistakes, lines


def test_the_full_lab_is_right_and_says_every_key() -> None:
    lab = load_text(written(FULL)[0])
    assert [str(warning) for warning in lab.warnings] == []
    said = {path[-1] for path in KEYS}
    assert said == {name for cls in NAMES for name in fields(cls)}
    assert structure(lab.spec) == lab.spec  # attrs values are understood at every level


def test_every_class_of_the_schema_has_a_name() -> None:
    classes = {one for one in vars(spec_module).values() if isinstance(one, type) and attrs.has(one)}
    assert classes == set(NAMES)


@pytest.mark.parametrize("path", KEYS, ids=key_text)
def test_a_misspelled_key(path: KeyPath) -> None:
    name = str(path[-1])
    wrong = f"{name}q" if len(name) < 5 else name[:-2] + name[-1] + name[-2] + "q"
    mistakes, lines = mistakes_of(renamed(FULL, path, wrong))
    place = key_text((*path[:-1], wrong))
    assert [mistake.key for mistake in mistakes] == [place]
    assert mistakes[0].place is not None
    assert mistakes[0].place.line == lines[place]
    assert f'"{wrong}" is no key of' in mistakes[0].message
    assert f'is "{name}" meant?' in mistakes[0].message


@pytest.mark.parametrize("path", [path for path, _ in paths(FULL)], ids=key_text)
def test_a_wrong_type(path: KeyPath) -> None:
    value = at(FULL, path)
    wrong: Any = {"some": ["thing"]} if isinstance(value, list) else "something"
    if not isinstance(value, (dict, list)) and value is not None:
        wrong = ["some", "thing"]
    mistakes, lines = mistakes_of(changed(FULL, path, wrong))
    assert [mistake.key for mistake in mistakes] == [key_text(path)]
    assert mistakes[0].place is not None
    assert mistakes[0].place.line == lines[key_text(path)]


@pytest.mark.parametrize("path", [path for path in SCALARS if not TEXTS & set(path[-2:])], ids=key_text)
def test_a_wrong_value(path: KeyPath) -> None:
    mistakes, lines = mistakes_of(changed(FULL, path, "no such value"))
    assert [mistake.key for mistake in mistakes] == [key_text(path)]
    assert mistakes[0].place is not None
    assert mistakes[0].place.line == lines[key_text(path)]
    assert "no such value" in mistakes[0].message


REFERENCES = {"network", "host", "at", "ends"}


@pytest.mark.parametrize("path", [path for path in SCALARS if REFERENCES & set(path[-2:])], ids=key_text)
def test_a_wrong_reference(path: KeyPath) -> None:
    mistakes, lines = mistakes_of(changed(FULL, path, "no such thing"))
    assert [mistake.key for mistake in mistakes] == [key_text(path)]
    assert mistakes[0].place is not None
    assert mistakes[0].place.line == lines[key_text(path)]
    assert "there is no" in mistakes[0].message


def may_be_nothing(path: KeyPath) -> bool:
    beside = set(at(FULL, path[:-1]))
    levels = [{**fields(cls), **(fields(Vnic) if cls is Vm else {})} for cls in NAMES]
    kind = next(level[str(path[-1])].type for level in levels if beside <= set(level))
    return type(None) in getattr(kind, "__args__", ())


@pytest.mark.parametrize("path", [path for path in SCALARS if path in KEYS and not may_be_nothing(path)], ids=key_text)
def test_nothing_as_a_value(path: KeyPath) -> None:
    mistakes, lines = mistakes_of(changed(FULL, path, None))
    assert [mistake.key for mistake in mistakes] == [key_text(path)]
    assert mistakes[0].place is not None
    assert mistakes[0].place.line == lines[key_text(path)]


@pytest.mark.parametrize("path", [path for path in SCALARS if path in KEYS and may_be_nothing(path)], ids=key_text)
def test_nothing_means_not_said(path: KeyPath) -> None:
    without = {key: value for key, value in at(FULL, path[:-1]).items() if key != path[-1]}
    unsaid = {key: value for key, value in FULL.items() if key != "entry"}
    if path[0] != "entry":
        left_out = load_text(written(changed(unsaid, path[:-1], without))[0])
        assert load_text(written(changed(unsaid, path, None))[0]).spec == left_out.spec


ENUMS = [
    (path, member)
    for path in SCALARS
    for cls in NAMES
    if path[-1] in fields(cls)
    for kind in [fields(cls)[str(path[-1])].type]
    for one in (kind, *getattr(kind, "__args__", ()))
    if isinstance(one, type) and issubclass(one, Enum)
    for member in one
]


@pytest.mark.parametrize(("path", "member"), [(p, m) for p, m in ENUMS if p[0] != "vms"], ids=str)
def test_every_member_is_read(path: KeyPath, member: Enum) -> None:
    found: Any = load_text(written(changed(FULL, path, member.value))[0]).spec
    for part in path:
        found = found[part] if isinstance(found, dict) or isinstance(part, int) else getattr(found, str(part))
    assert found is member


@pytest.mark.parametrize(("path", "member"), [(p, m) for p, m in ENUMS if p[0] != "vms"], ids=str)
def test_a_slip_of_the_pen_in_a_member(path: KeyPath, member: Enum) -> None:
    mistakes, _ = mistakes_of(changed(FULL, path, f"{member.value}e"))
    assert f'is "{member.value}" meant?' in mistakes[0].message
    assert len(mistakes) == 1

"""YAML 1.2 text to nested data that keeps what was written, and the line of every key.

Scalars stay text: what ``yes``, ``10`` or ``8.0`` means depends on the key that they stand behind, and a port group may
well be called ``yes``. Only null becomes None. Anchors, aliases, merge keys and tags are refused.
"""

import re
import warnings
from pathlib import Path
from typing import Any, Final

from attrs import Factory, define
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from iochain.topology.mistakes import KeyPath, LabError, Mistake, Place, key_text
from iochain.topology.units import shown

DEEPEST: Final = 40
"""Levels of nesting; a lab has nine."""


@define
class Written:
    """Nested dicts, lists and text of a lab, with the place of each key and the mistakes found while reading."""

    name: str
    data: Any
    places: dict[str, Place] = Factory(dict)
    mistakes: list[Mistake] = Factory(list)


def read_file(path: Path | str) -> str:
    """The text of a file; LabError where there is none."""
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise LabError(str(path), [Mistake(None, "", f"the file cannot be read: {reason}")]) from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        message = f"byte {content[problem.start]:#04x} is not UTF-8; save the file as UTF-8"
        raise LabError(str(path), [Mistake(Place(str(path), line), "", message)]) from None


def read_text(text: str, name: str) -> Written:
    """The data of a YAML text; LabError where it is no YAML."""
    root = _composed(text, name)
    written = Written(name, None)
    if root is None:
        raise LabError(name, [Mistake(None, "", "the file is empty; a lab begins with hosts:")])
    _refuse(root, written, set())
    if written.mistakes:
        raise LabError(name, written.mistakes)
    written.data = _data(root, (), written)
    return written


def read_value(text: str) -> Any:
    """The data of a short text; ValueError where it is no YAML."""
    try:
        return read_text(text, "value").data
    except LabError as error:
        raise ValueError(f"{shown(text)}: {error.mistakes[0].message}") from None


def _composed(text: str, name: str) -> Node | None:
    yaml = YAML(typ="rt", pure=True)
    yaml.max_depth = DEEPEST
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of anchors, which are refused below
            node: Node | None = yaml.compose(text)
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        message = ", ".join(part for part in (problem.context, problem.problem) if part)
        message += "; indent with spaces" if "'\\t'" in message else ""
        place = Place(name, mark.line + 1) if mark else None
        raise LabError(name, [Mistake(place, "", f"this is no YAML: {message}")]) from None
    except ReaderError as problem:
        line = text.count("\n", 0, problem.position) + 1
        message = f"the character U+{ord(text[problem.position]):04X} is not allowed in YAML"
        raise LabError(name, [Mistake(Place(name, line), "", message)]) from None
    except YAMLError as problem:
        reason = re.sub(r"\s+", " ", str(problem)).strip()
        raise LabError(name, [Mistake(None, "", f"this is no YAML: {reason}")]) from None
    return node


def _refuse(node: Node, written: Written, seen: set[int]) -> None:
    """Notes anchors, merge keys and tags; stops at them, so a value that contains itself does no harm."""
    if id(node) in seen:
        return
    seen.add(id(node))
    place = Place(written.name, node.start_mark.line + 1)
    tag = str(node.tag)
    if node.anchor:
        message = f"anchors and aliases (&{node.anchor}, *{node.anchor}) are not understood; write the value out"
        written.mistakes.append(Mistake(place, "", message))
    elif tag == "tag:yaml.org,2002:merge":
        written.mistakes.append(Mistake(place, "", "merge keys (<<) are not understood; write the keys out"))
    elif not tag.startswith("tag:yaml.org,2002:"):
        written.mistakes.append(Mistake(place, "", f"the tag {shown(tag)} is not understood; leave it out"))
    elif isinstance(node, MappingNode):
        for name, value in node.value:
            _refuse(name, written, seen)
            _refuse(value, written, seen)
    elif isinstance(node, SequenceNode):
        for entry in node.value:
            _refuse(entry, written, seen)


def _data(node: Node, path: KeyPath, written: Written) -> Any:
    if isinstance(node, MappingNode):
        return _mapping(node, path, written)
    if isinstance(node, SequenceNode):
        for index, entry in enumerate(node.value):
            written.places[key_text((*path, index))] = Place(written.name, entry.start_mark.line + 1)
        return [_data(entry, (*path, index), written) for index, entry in enumerate(node.value)]
    return None if node.tag == "tag:yaml.org,2002:null" else str(node.value)


def _mapping(node: MappingNode, path: KeyPath, written: Written) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for name, value in node.value:
        line = name.start_mark.line + 1
        place = Place(written.name, line)
        if not isinstance(name, ScalarNode):
            written.mistakes.append(Mistake(place, key_text(path), "a key has to be a word, not a list or a mapping"))
            continue
        key = str(name.value)
        text = key_text((*path, key))
        if key in data:
            first = written.places[text].line
            written.mistakes.append(Mistake(place, text, f"this key is already in line {first}"))
            continue
        written.places[text] = place
        data[key] = _data(value, (*path, key), written)
    return data

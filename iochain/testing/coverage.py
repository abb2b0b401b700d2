"""Coverage: which stages, verdicts and settings a replay or a run of tests exercised, and which never.

Stages are told by their name in the chain and their class or function; what a stage may answer stands in its text. With
remembered paths only frames that walk are counted, so a number says how many *different* frames met a stage, not how
many frames did.
"""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, Final, Self

from attrs import define, field

from iochain.chain import Chain, Drop, Element, From, OnPackets, Ports, Reason, Verdict, plain
from iochain.engine.path import Dropped
from iochain.engine.walk import Walker
from iochain.frame import Asked, Frame
from iochain.testing.reading import functions_of
from iochain.topology.mistakes import LabError, Mistake
from iochain.topology.wiring import Wiring

FORMAT: Final = "iochain coverage 1"
PASS, SPREAD, RAN = "pass", "ports", "ran"
"""Verdicts beside the names of reasons: goes on, is sent to ports, was run by (of a batch stage)."""
_DEEPEST: Final = 3


@define
class StageCoverage:
    """One stage: how often it gave each verdict (0: it may, and never did), and how often it went by each setting."""

    verdicts: dict[str, int] = field(factory=dict)
    settings: dict[str, int] = field(factory=dict)  # by "name value"

    @property
    def met(self) -> int:
        """How many walks met it."""
        return sum(self.verdicts.values())


@define
class Coverage:
    """What was exercised. Stages that were in some chain and never met are there with zeros."""

    stages: dict[str, StageCoverage] = field(factory=dict)
    _keys: dict[Any, str] = field(factory=dict, repr=False)

    # -- hearing (see :class:`iochain.engine.walk.Observer`)

    def wired(self, wiring: Wiring) -> None:
        """A network begins: its stages, what they may answer, the settings that they have."""
        for element in _elements(wiring):
            stage = self._stage(element)
            for setting in (*element.settings.values(), element.because):
                if setting is not None:
                    stage.settings.setdefault(_said(setting), 0)

    def step(self, where: str, element: Element, before: Frame, verdict: Verdict, asked: Sequence[Asked]) -> None:
        """A header stage has spoken."""
        stage = self._stage(element)
        match verdict:
            case Drop(reason=reason):
                _count(stage.verdicts, reason.name)
            case Ports():
                _count(stage.verdicts, SPREAD)
            case _:
                _count(stage.verdicts, PASS)
        settings = element.settings
        read = [settings[str(one.key)] for one in asked if one.thing is element.stage and one.key in settings]
        for said in {_said(setting) for setting in (*read, element.because) if setting is not None}:
            _count(stage.settings, said)

    def ran(self, element: Element) -> None:
        """A batch stage has got frames."""
        stage = self._stage(element)
        _count(stage.verdicts, RAN)
        for setting in (*element.settings.values(), element.because):
            if setting is not None:
                _count(stage.settings, _said(setting))

    def lost(self, dropped: Dropped) -> None:
        """A batch stage drops frames for this reason."""
        for key, stage in self.stages.items():
            if RAN in stage.verdicts and key.startswith(f"{dropped.stage} ("):
                _count(stage.verdicts, dropped.drop.reason.name)

    # -- telling

    def merge(self, other: "Coverage") -> None:
        """Add what another run exercised."""
        for key, stage in other.stages.items():
            own = self.stages.setdefault(key, StageCoverage())
            for mine, theirs in ((own.verdicts, stage.verdicts), (own.settings, stage.settings)):
                for name, count in theirs.items():
                    mine[name] = mine.get(name, 0) + count

    def document(self) -> dict[str, Any]:
        """All of it, to be written as JSON."""
        return {
            "format": FORMAT,
            "stages": {
                key: {
                    "verdicts": dict(sorted(stage.verdicts.items())),
                    "settings": dict(sorted(stage.settings.items())),
                }
                for key, stage in sorted(self.stages.items())
            },
        }

    def write(self, path: Path | str) -> None:
        """Write it as JSON. OSError if that is not possible."""
        Path(path).write_text(json.dumps(self.document(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """What a document says. ValueError if it is none of coverage."""
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(f'this is no coverage; its "format" would be "{FORMAT}"')
        coverage = cls()
        try:
            for key, said in document["stages"].items():
                verdicts, settings = (
                    {str(k): int(n) for k, n in said[what].items()} for what in ("verdicts", "settings")
                )
                coverage.stages[str(key)] = StageCoverage(verdicts, settings)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ValueError("this coverage is damaged: its stages cannot be read") from None
        return coverage

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The coverage of a file. LabError, which names the file, if it cannot be read."""
        try:
            return cls.of(json.loads(Path(path).read_text(encoding="utf-8")))
        except OSError as problem:
            raise LabError(str(path), [Mistake(None, "", f"the file cannot be read: {problem.strerror}")]) from None
        except ValueError as problem:
            message = "this is no JSON" if isinstance(problem, json.JSONDecodeError) else str(problem)
            raise LabError(str(path), [Mistake(None, "", message)]) from None

    @property
    def share(self) -> float:
        """How many of the verdicts that stages may give were given."""
        counts = [count for stage in self.stages.values() for count in stage.verdicts.values()]
        return sum(map(bool, counts)) / len(counts) if counts else 1.0

    def rows(self) -> list[tuple[str, str, str, str]]:
        """A table: stage, walks that met it, verdicts and settings that it gave and went by, and those never."""
        rows = []
        for key, stage in sorted(self.stages.items()):
            both = {**stage.verdicts, **stage.settings}
            given = ", ".join(name for name, count in both.items() if count)
            never = ", ".join(name for name, count in both.items() if not count)
            rows.append((key, f"{stage.met:,}", given or "–", never or "–"))
        return rows

    # -- inside

    def _stage(self, element: Element) -> StageCoverage:
        """The stage of an element; a new one has zeros for all that it may answer."""
        kind = kind_of(element.stage)
        key = self._keys.setdefault((element.name, kind), f"{element.name} ({_name(kind)})")
        stage = self.stages.get(key)
        if stage is None:
            stage = self.stages[key] = StageCoverage(dict.fromkeys(possible(element), 0))
        return stage


@contextmanager
def covering(coverage: Coverage) -> Iterator[Coverage]:
    """Have all networks that begin meanwhile be heard."""
    Walker.observers.append(coverage)
    try:
        yield coverage
    finally:
        Walker.observers.remove(coverage)


def possible(element: Element) -> list[str]:
    """The verdicts that a stage may give, as its text says; where there is none to be read, that it goes on."""
    functions = tuple(functions_of(element.stage))
    if element.is_batch:
        named = {name for function in functions for name in function.__code__.co_names}
        return [RAN, *sorted(named & set(Reason.__members__))]
    found: list[str] = []
    for function in functions:
        if function.__name__ == "__call__" or isinstance(element.stage, FunctionType):
            found += _answers(function)
    return list(dict.fromkeys(found)) or [PASS]


def kind_of(stage: Any) -> Any:
    """What a stage is one of: its class, or the function itself."""
    if isinstance(stage, OnPackets):
        return stage.function
    return stage if isinstance(stage, FunctionType) else type(stage)


def _name(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind))


@cache
def _answers(function: FunctionType, depth: int = 0) -> tuple[str, ...]:
    """What the text of a function returns: frames, drops with their reasons, ports; and what those return it calls."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return ()
    arguments = function.__code__.co_varnames[:2]
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Return) and node.value is not None:
            for end in _ends(node.value):
                found += _answer(end, arguments, function, depth)
    return tuple(dict.fromkeys(found))


def _ends(value: ast.expr) -> Iterator[ast.expr]:
    match value:
        case ast.IfExp(body=body, orelse=other):
            yield from _ends(body)
            yield from _ends(other)
        case ast.BoolOp(values=values):
            for one in values:
                yield from _ends(one)
        case _:
            yield value


def _answer(end: ast.expr, arguments: Sequence[str], function: FunctionType, depth: int) -> Iterable[str]:
    match end:
        case ast.Name(id=name) if name in arguments:
            return (PASS,)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name))) if name in arguments and name != "self":
            return (PASS,)
        case ast.Call(func=ast.Name(id="Drop" | "Consumed"), args=[ast.Attribute(attr=reason), *_]):
            return (reason,)
        case ast.Call(func=ast.Name(id="Ports")):
            return (SPREAD,)
        case ast.Call(func=ast.Name(id=name)) if depth < _DEEPEST:
            called = function.__globals__.get(name)
            return _answers(called, depth + 1) if isinstance(called, FunctionType) else ()
        case ast.Call(func=func) if depth < _DEEPEST:
            owner = function.__globals__.get(function.__qualname__.partition(".")[0])
            methods = {one.attr for one in ast.walk(func) if isinstance(one, ast.Attribute)}
            called_ones = [vars(owner).get(name) for name in sorted(methods)] if isinstance(owner, type) else []
            return [a for one in called_ones if isinstance(one, FunctionType) for a in _answers(one, depth + 1)]
    return ()


def _elements(wiring: Wiring) -> Iterator[Element]:
    for _, _, data in wiring.graph.edges(data=True):
        yield from _chain(data)
    for _, data in wiring.graph.nodes(data=True):
        yield from _chain(data)


def _chain(data: Mapping[str, Any]) -> Iterator[Element]:
    chain = data.get("chain")
    if isinstance(chain, Chain):
        yield from chain


def _said(setting: From) -> str:
    return f"{setting.name} {plain(setting.value)}"


def _count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1

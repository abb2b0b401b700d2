"""Mutants of stages: one small fault each, made in the syntax tree of a function and put in its place.

A mutant is the code of one function; it is put into the function that is there already, so whoever holds it has the
fault, and taken out again.
"""

import ast
import copy
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from attrs import frozen

MODULES: Final = (
    "iochain.portgroup.vlan",
    "iochain.portgroup.security",
    "iochain.portgroup.receive",
    "iochain.vswitch.forwarding",
    "iochain.vswitch.reverse_path",
    "iochain.vswitch.teaming",
)
COMPARISONS: Final[dict[type, type]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
OPERATORS: Final[dict[type, type]] = {
    ast.Add: ast.Sub,
    ast.Mod: ast.FloorDiv,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
LEFT_OUT: Final = (
    "in_use",
    "first_in_order",
    "slots",
    "slots_kept",
    "ipv4_group_mac",
    "ipv6_group_mac",
    "Shotgun.__call__",
)
"""No parts of stages, or of what happens in time: frames that are sent alone do not meet them."""
OTHER: Final = {
    "source": "destination",
    "destination": "source",
    "effective_mac": "initial_mac",
    "initial_mac": "effective_mac",
    "members": "promiscuous",
    "promiscuous": "members",
    "macs": "refused",
    "active": "standby",
    "team": "name",
}
"""Attributes, and others of the same kind: wrong ports, wrong tables."""


@frozen
class Mutant:
    """A function with a fault: where, and what became of the text there."""

    module: str
    function: str
    line: int
    fault: str
    code: CodeType

    def __str__(self) -> str:
        return f"{self.module.removeprefix('iochain.')}:{self.line} {self.name}"

    @property
    def name(self) -> str:
        """A name that lasts while the line numbers change."""
        return f"{self.function}: {self.fault}"

    def put_in(self) -> None:
        """Have the function do wrong, in this process, for good."""
        function_of(import_module(self.module), self.function).__code__ = self.code


def mutants() -> list[Mutant]:
    """All mutants of all modules."""
    return [mutant for module in MODULES for mutant in _of(module)]


def function_of(module: ModuleType, name: str) -> FunctionType:
    """A function or method by its qualified name; of a part of kernels the Python function."""
    thing: Any = module
    for one in name.split("."):
        thing = vars(thing)[one] if isinstance(thing, type) else getattr(thing, one)
    thing = getattr(thing, "__wrapped__", thing)
    thing = thing.fget if isinstance(thing, property) else getattr(thing, "__func__", thing)
    assert isinstance(thing, FunctionType), thing
    return thing


def _of(module: str) -> Iterator[Mutant]:
    path = Path(import_module(module).__file__ or "")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for name, place in _functions(tree):
        if name in LEFT_OUT:
            continue
        function = _at(tree, place)
        for number, (node, _) in enumerate(_faults(function)):
            mutated = copy.deepcopy(tree)
            faults = list(_faults(_at(mutated, place)))
            before = _told(node)
            changed, do = faults[number]
            do()
            ast.fix_missing_locations(mutated)
            code = _code(compile(mutated, str(path), "exec"), name)
            said = f"{before} becomes {_told(changed)}"
            yield Mutant(module, name, getattr(node, "lineno", 0), said, code)


def _told(node: ast.AST) -> str:
    """The text of a node in one line; of a branch its condition."""
    shown = node.test if isinstance(node, ast.If) else node
    return ("if " if isinstance(node, ast.If) else "") + " ".join(ast.unparse(shown).split())


def _functions(tree: ast.Module) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Qualified names, and where each function is: index in the module, and in its class."""
    for first, node in enumerate(tree.body):
        if isinstance(node, ast.FunctionDef):
            yield node.name, (first,)
        elif isinstance(node, ast.ClassDef):
            for second, inner in enumerate(node.body):
                if isinstance(inner, ast.FunctionDef):
                    yield f"{node.name}.{inner.name}", (first, second)


def _at(tree: ast.Module, place: tuple[int, ...]) -> ast.FunctionDef:
    node: Any = tree
    for index in place:
        node = node.body[index]
    assert isinstance(node, ast.FunctionDef)
    return node


def _code(module: CodeType, name: str) -> CodeType:
    """The code of a function in that of its module."""
    found = [module]
    for one in found:
        if one.co_qualname == name:
            return one
        found += [const for const in one.co_consts if isinstance(const, CodeType)]
    raise LookupError(name)


def _faults(function: ast.FunctionDef) -> Iterator[tuple[ast.AST, Any]]:
    """Nodes of a function's body, each with what makes it wrong."""
    for statement in function.body:
        for node in ast.walk(statement):
            for do in _wrong(node):
                yield node, do


def _wrong(node: ast.AST) -> Iterator[Any]:
    match node:
        case ast.Compare(ops=ops):
            for at, op in enumerate(ops):
                if type(op) in COMPARISONS:
                    yield lambda at=at, op=op: ops.__setitem__(at, COMPARISONS[type(op)]())
        case ast.If() | ast.IfExp():
            for value in (False, True):
                yield lambda value=value: setattr(node, "test", ast.Constant(value))
        case ast.BoolOp(op=op):
            yield lambda: setattr(node, "op", ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not()):
            yield lambda: node.__setattr__("operand", ast.UnaryOp(ast.Not(), node.operand))
        case ast.BinOp(op=op) if type(op) in OPERATORS:
            yield lambda: setattr(node, "op", OPERATORS[type(op)]())
        case ast.Constant() if type(number := node.value) is int:
            yield lambda: setattr(node, "value", number + 1)
        case ast.keyword(arg="except_"):
            yield lambda: setattr(node, "value", ast.Constant(None))
        case ast.Attribute(attr=name, ctx=ast.Load()) if name in OTHER:
            yield lambda: setattr(node, "attr", OTHER[name])

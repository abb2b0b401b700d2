"""What the text of a stage tells: things that no run would show, because nobody can watch them.

It is read as far as it can be found: the function, or the methods of the class. What cannot be read is passed over.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any, Final

from iochain.chain import Element
from iochain.frame import Table
from iochain.testing.breaches import ContractError

CLOCKS: Final = frozenset(("time", "random", "datetime", "secrets", "uuid", "os"))
"""Modules whose answers change from call to call."""
TALKS: Final = frozenset(("print", "open", "input", "exec", "eval"))
_MOST_KEYS: Final = 32
_MOST_CONSTANTS: Final = 64


def check_source(element: Element) -> None:
    """ContractError, with file and line, for the first thing in a stage's text that breaks the contract."""
    for function in functions_of(element.stage):
        for line, what in found_in(function):
            place = f"{function.__code__.co_filename}:{line}"
            raise ContractError(element, f"{what} ({place})")


def constants_of(stage: Any, tables: Iterable[Table[Any, Any]]) -> list[int]:
    """The whole numbers that a stage may compare with: in its text, its settings, and the keys of its tables."""
    found: set[int] = set()
    for function in functions_of(stage):
        known = inspect.getclosurevars(function)
        _gather([*_constants(function.__code__), *known.globals.values(), *known.nonlocals.values()], found)
    _gather([getattr(stage, a.name, None) for a in getattr(type(stage), "__attrs_attrs__", ())], found)
    for table in tables:
        _gather(list(table.entries())[:_MOST_KEYS], found)
    return sorted(found)[:_MOST_CONSTANTS]


def _constants(code: CodeType) -> Iterator[Any]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _constants(constant)
        else:
            yield constant


def _gather(things: Iterable[Any], found: set[int]) -> None:
    for thing in things:
        if isinstance(thing, int):
            found.add(int(thing))
        elif isinstance(thing, (tuple, list, set, frozenset)):
            _gather(list(thing)[:_MOST_KEYS], found)


def functions_of(stage: Any) -> Iterator[FunctionType]:
    """The Python functions that a stage is made of."""
    if isinstance(stage, FunctionType):
        yield stage
        return
    if (function := getattr(stage, "__func__", None)) is not None:
        yield function
        return
    for cls in type(stage).__mro__[:-1]:
        for name, thing in vars(cls).items():
            called = name == "__call__" or not name.startswith("__")
            if called and isinstance(thing, FunctionType):
                yield thing


def found_in(function: FunctionType) -> Iterator[tuple[int, str]]:
    """Lines, and what is wrong with them."""
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):  # nothing to read
        return
    for node in ast.walk(tree):
        what = _wrong(node)
        if what:
            yield first + getattr(node, "lineno", 1) - 1, what


def _wrong(node: ast.AST) -> str:
    match node:
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [left, *others]
            for at, op in enumerate(ops):
                both = sides[at : at + 2]
                if isinstance(op, (ast.Is, ast.IsNot)) and not any(_is_none(side) for side in both):
                    return f'compares with "is" ({ast.unparse(node)}); what is read is compared with =='
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            return f"keeps {', '.join(names)} outside itself; what is to be remembered is an entry of a table"
        case ast.Attribute(value=ast.Name(id="self"), ctx=ast.Store(), attr=name):
            return f"keeps {name} in itself; what is to be remembered is an entry of a table"
        case ast.Call(func=ast.Name(id=name)) if name in TALKS:
            return f"calls {name}(); a stage neither talks nor reads files"
        case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=name)) if module in CLOCKS:
            return f"calls {module}.{name}(); a stage asks no clock and no chance"
    return ""


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None

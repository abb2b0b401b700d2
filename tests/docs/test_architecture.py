"""ARCHITECTURE.md against what is there: names, rooms, layers, dependencies, and the gap that it admits."""

import ast
import configparser
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from attrs import field, frozen

from iochain import Drop, Frame, Lab, Port, Reason, Table, Verdict
from iochain.batch import FOREVER, Batch, Instant, batch_of
from iochain.engine.network import Network
from iochain.replay import fates_of

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "iochain"
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUOTED = re.findall(r"`([^`\n]+)`", FENCE.sub("", TEXT))
PATHS = sorted({name for name in QUOTED if re.fullmatch(r"[\w./-]+(/|\.(py|md|toml|cfg|lock))", name)})
DOTTED = sorted({name for name in QUOTED if re.fullmatch(r"(iochain|networkx)(\.\w+)+", name)})
CLASSES = sorted({name for name in QUOTED if re.fullmatch(r"[A-Z][a-z]\w*(\.\w+)*", name)} - {"None"})
CONSTANTS = sorted({name for name in QUOTED if re.fullmatch(r"[A-Z][A-Z_]+", name)})
MODULES = sorted(PACKAGE.rglob("*.py"))
CAME_WITH = {"llvmlite": "numba"}  # numba's own IR builder
NAMED_OTHERWISE = {"ruamel": "ruamel.yaml"}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def defined(body: list[ast.stmt]) -> Iterator[str]:
    """The names that a module defines at its first level."""
    for node in body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield name


DEFINED = {module_name(path): set(defined(tree_of(path).body)) for path in MODULES}


def homes(name: str) -> list[Any]:
    """Everything of this name that a module of iochain defines."""
    return [getattr(import_module(module), name) for module, names in DEFINED.items() if name in names]


def has(thing: Any, attribute: str) -> bool:
    """Whether a class has an attribute, a method, a member or an attrs field of this name."""
    return hasattr(thing, attribute) or attribute in getattr(thing, "__annotations__", {})


def table_under(title: str) -> list[list[str]]:
    """The cells of the rows of the first table behind a text."""
    lines = TEXT[TEXT.index(title) :].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def fenced(language: str) -> list[str]:
    return next(found[2] for found in FENCE.finditer(TEXT) if found[1] == language).splitlines()


def requirements(text: str) -> list[str]:
    return sorted(re.split(r"[><=~! ]", line)[0] for line in text.split())


def imported(path: Path) -> Iterator[str]:
    """The top-level packages that a module imports."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def setup_cfg() -> configparser.ConfigParser:
    read = configparser.ConfigParser()
    read.read(ROOT / "setup.cfg")
    return read


# -- names


def test_the_text_has_names_to_check() -> None:
    assert len(PATHS) > 20
    assert len(CLASSES) > 40


@pytest.mark.parametrize("path", PATHS)
def test_paths_exist(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", DOTTED)
def test_modules_exist(name: str) -> None:
    try:
        import_module(name)
    except ImportError:
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(module), attribute), name


@pytest.mark.parametrize("name", CLASSES)
def test_classes_exist(name: str) -> None:
    first, *rest = name.split(".")
    known = homes(first)
    assert known, f"nothing in iochain is called {first}"
    assert len(rest) < 2
    assert not rest or any(has(thing, rest[0]) for thing in known), name


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_exist(name: str) -> None:
    assert homes(name) or name in Reason.__members__


def test_links_lead_somewhere() -> None:
    headings = {re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in TEXT.splitlines()}
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXT):
        path, _, heading = target.partition("#")
        assert not path or (ROOT / path).exists(), target
        assert path or heading in headings, target


# -- rooms and layers


def test_the_house_is_the_folder() -> None:
    told = [line.split()[0] for line in fenced("text")[1:]]
    there = [path.name for path in PACKAGE.iterdir() if path.suffix == ".py"]
    there += [f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")]
    assert sorted(told) == sorted(there)


def test_layers_are_those_of_the_contract() -> None:
    read = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = [layer.replace("iochain.", "") for layer in read["tool"]["importlinter"]["contracts"][0]["layers"]]
    there = [" | ".join(one for one in layer.split(" | ") if not one.startswith("(")) for layer in layers]
    assert fenced("layers") == [layer for layer in there if layer]
    planned = {name for layer in layers for name in re.findall(r"\((\w+)\)", layer)}
    assert {row[0] for row in table_under("**Rooms that will come**")} == planned


@pytest.mark.parametrize("room", [row[0] for row in table_under("**Rooms that will come**")])
def test_planned_rooms_are_not_there_yet(room: str) -> None:
    assert not (PACKAGE / room).exists()
    assert not (PACKAGE / f"{room}.py").exists()


def test_nobody_inside_imports_from_the_face() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir()} | {path.stem for path in PACKAGE.glob("*.py")}
    for path in MODULES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and node.module == "iochain":
                assert {alias.name for alias in node.names} <= rooms, path


# -- dependencies


def test_the_tables_name_all_dependencies() -> None:
    read = setup_cfg()
    assert sorted(row[0] for row in table_under("## Dependencies")) == requirements(read["options"]["install_requires"])
    extras = read["options.extras_require"]
    told = sorted(row[0] for row in table_under("For tests and development"))
    assert told == sorted(requirements(extras["test"]) + requirements(extras["dev"]))


def test_what_is_imported_is_a_dependency_and_the_other_way_round() -> None:
    testing = [path for path in MODULES if PACKAGE / "testing" in path.parents]
    needed, for_tests = (
        {CAME_WITH.get(name, NAMED_OTHERWISE.get(name, name)) for path in paths for name in imported(path)}
        - sys.stdlib_module_names
        - {"iochain"}
        for paths in ([path for path in MODULES if path not in testing], testing)
    )
    read = setup_cfg()
    assert sorted(needed) == requirements(read["options"]["install_requires"])
    assert for_tests - needed <= set(requirements(read["options.extras_require"]["test"]))


# -- the order of writes


LAST: Table[int, int] = Table("length of the last frame", -1)


@frozen
class Notes:
    """Writes on the way in."""

    last: Table[int, int] = field(repr=False)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        frame.learn(self.last, 0, answer=int(frame.length))
        return frame


@frozen
class Compares:
    """Reads on the way out: the frame itself was the last one that came in."""

    last: Table[int, int] = field(repr=False)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        return frame if frame.ask(self.last, 0) == frame.length else Drop(Reason.STAGE)


def reasons(pieces: list[tuple[slice, Instant]]) -> list[Reason | None]:
    """Fates of three frames from web to db, run in windows."""
    lab = Lab()
    prod = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod")
    web, db = prod.vm("web"), prod.vm("db")
    web.input.insert(Notes(LAST))
    db.output.insert(Compares(LAST))
    head = bytes.fromhex(f"{db.port.effective_mac}{web.port.effective_mac}".replace(":", "") + "88b5")
    batch: Batch = batch_of((head + bytes(50 + number), number * 1000) for number in range(3))
    network = Network.of(lab.wiring)
    batch.rows["port"] = web.port.number
    found = [
        fate.reason for piece, until in pieces for fate in fates_of(network.wiring, network.run(batch[piece], until))
    ]
    network.restore()
    return found


def test_a_write_is_seen_by_the_same_frame_where_each_has_a_window() -> None:
    windows = [(slice(0, 1), Instant(1000)), (slice(1, 2), Instant(2000)), (slice(2, 3), FOREVER)]
    assert reasons(windows) == [None, None, None]


def test_a_write_is_seen_in_the_order_of_frames_in_one_window() -> None:
    assert reasons([(slice(None), FOREVER)]) == [None, None, None]

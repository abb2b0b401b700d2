"""The pytest plugin: fixtures ``lab`` and ``net``, the frames of failing tests as captures, and the engine of a run.

It is loaded in every run of pytest, so everything but pytest is imported when it is needed.
"""

import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from iochain.lab import Lab
    from iochain.testing.sentences import CheckedNet

ENGINE: Final = "IOCHAIN_ENGINE"
COVERAGE: Final = "iochain_cov"
_NETS: Final = pytest.StashKey[list[Any]]()
_ENGINE_BEFORE: Final = pytest.StashKey[str | None]()
_COVERAGE: Final = pytest.StashKey[Any]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the command line."""
    group = parser.getgroup("iochain", "virtual networks of ESXi")
    group.addoption(
        "--iochain-engine",
        choices=["auto", "paths", "plain"],
        help="engine of all labs that do not choose one",
    )
    group.addoption("--iochain-lab", metavar="FILE", help="lab of the fixtures lab and net, where a test names none")
    group.addoption(
        "--iochain-pcap", metavar="DIR", help="keep the frames of failing tests there, as pcapng with their fates"
    )
    group.addoption(
        "--iochain-cov",
        metavar="FILE",
        nargs="?",
        const="",
        help="say which stages, verdicts and settings the tests exercised; and write it to a JSON file",
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marker, and the engine; that goes into the environment, so that commands which tests run have it too."""
    config.addinivalue_line("markers", "lab(file, *settings): lab file of the fixtures lab and net, and changes to it")
    config.stash[_ENGINE_BEFORE] = os.environ.get(ENGINE)
    engine = config.getoption("--iochain-engine")
    if engine is not None:
        os.environ[ENGINE] = engine
    if config.getoption("--iochain-cov") is not None:
        from iochain.engine.walk import Walker
        from iochain.testing.coverage import Coverage

        config.stash[_COVERAGE] = Coverage()
        Walker.observers.append(config.stash[_COVERAGE])


def pytest_unconfigure(config: pytest.Config) -> None:
    """The environment is as it was, and nobody listens."""
    coverage = config.stash.get(_COVERAGE, None)
    if coverage is not None:
        from iochain.engine.walk import Walker

        Walker.observers.remove(coverage)
    before = config.stash.get(_ENGINE_BEFORE, None)
    if before is None:
        os.environ.pop(ENGINE, None)
    else:
        os.environ[ENGINE] = before


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of xdist hands its coverage on."""
    coverage, handed = session.config.stash.get(_COVERAGE, None), getattr(session.config, "workeroutput", None)
    if coverage is not None and handed is not None:
        handed[COVERAGE] = coverage.document()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """A worker of xdist has ended: take its coverage up."""
    coverage = node.config.stash.get(_COVERAGE, None)
    said = getattr(node, "workeroutput", {}).get(COVERAGE)
    if coverage is not None and said is not None:
        from iochain.testing.coverage import Coverage

        coverage.merge(Coverage.of(said))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The table of coverage, and its file."""
    coverage = config.stash.get(_COVERAGE, None)
    if coverage is None:
        return
    terminalreporter.section(f"iochain coverage: {coverage.share:.0%} of what stages may answer")
    for stage, walks, given, never in coverage.rows():
        terminalreporter.write_line(f"{stage:<36} {walks:>9}  {given}")
        if never != "–":
            terminalreporter.write_line(f"{'':<46}  never: {never}")
    path = config.getoption("--iochain-cov")
    if path:
        try:
            coverage.write(path)
        except OSError as problem:
            terminalreporter.write_line(f"{path}: cannot be written: {problem.strerror}", red=True)
        else:
            terminalreporter.write_line(f"written to {path}")


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> "Lab":
    """The lab of a file: of the mark ``@pytest.mark.lab("x.yaml", "portgroup.Prod.vlan=20")``, of an indirect parameter
    (``parametrize("lab", ["x.yaml"], indirect=True)``), or of ``--iochain-lab``. Files are looked for beside the test,
    then in the folder that pytest was started for.
    """
    from iochain.lab import Lab
    from iochain.topology.mistakes import LabError

    name, settings = _named(request)
    try:
        return Lab.load(_found(name, request), settings)
    except LabError as error:
        mistakes = str(error)
    pytest.fail(mistakes, pytrace=False)


@pytest.fixture
def net(request: pytest.FixtureRequest, lab: "Lab") -> "Iterator[CheckedNet]":
    """The lab, running: ``net.send(frame, at="web").reaches("db")``."""
    from iochain.testing.sentences import CheckedNet

    running = CheckedNet(lab.start())
    request.node.stash.setdefault(_NETS, []).append(running)
    yield running
    running.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the frames of a test that failed."""
    report = yield
    folder = item.config.getoption("--iochain-pcap")
    if folder and report.when == "call" and report.failed:
        report.sections += [("iochain", said) for said in _kept(item, Path(folder))]
    return report


def _kept(item: pytest.Item, folder: Path) -> Iterator[str]:
    """Keeps the frames of an item's nets; gives for each what is to be said of its capture."""
    from iochain.capture import CaptureError
    from iochain.testing.keeping import keep

    name = re.sub(r"[^\w.-]+", "_", item.nodeid).strip("_")
    for running in item.stash.get(_NETS, []):
        if running.sent:
            path = folder / f"{name}.pcapng"
            try:
                yield f"{keep(running.sent, running.wiring, path)} frames are kept in {path}"
            except (CaptureError, OSError) as problem:  # the test has failed for a reason of its own, which is told
                yield f"its frames cannot be kept: {problem}"


def _named(request: pytest.FixtureRequest) -> tuple[str, tuple[str, ...]]:
    """The lab that a test wants, and changes to it."""
    parameter = getattr(request, "param", None)
    marker = request.node.get_closest_marker("lab")
    if parameter is not None:
        name, *settings = (parameter,) if isinstance(parameter, (str, os.PathLike)) else parameter
        return os.fspath(name), tuple(settings)
    if marker is not None:
        if not marker.args:
            raise pytest.UsageError('the mark names no file; write @pytest.mark.lab("lab.yaml")')
        return os.fspath(marker.args[0]), tuple(marker.args[1:])
    said = request.config.getoption("--iochain-lab")
    if said is None:
        pytest.fail('the test names no lab; mark it with @pytest.mark.lab("lab.yaml"), or say --iochain-lab', False)
    return str(said), ()


def _found(name: str, request: pytest.FixtureRequest) -> Path:
    """Where the file is: beside the test, or in the root folder; else as it was said, for the message."""
    places = [request.path.parent / name, request.config.rootpath / name]
    return next((place for place in places if place.exists()), Path(name))

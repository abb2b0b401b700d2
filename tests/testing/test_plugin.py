"""The pytest plugin, in runs of pytest of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from iochain import Lab
from iochain.capture import read_captures
from iochain.testing import CheckedNet
from iochain.testing.keeping import keep

pytest_plugins = "pytester"

LAB = """\
hosts:
  esx1:
    vswitches:
      vSwitch0:
        uplinks: [vmnic0]
        portgroups:
          Prod: {vlan: 10, forged_transmits: reject}
          Other: {vlan: 20}
vms:
  web: {network: Prod, mac: "00:50:56:00:00:01"}
  db: {network: Prod, mac: "00:50:56:00:00:02"}
  far: {network: Other, mac: "00:50:56:00:00:03"}
"""
HEAD = """\
import pytest
from iochain import Reason
from iochain.testing import FrameBytes

TO_DB = FrameBytes.of("005056000002 005056000001 88b5")
FORGED = FrameBytes.of("005056000002 005056000099 88b5")
"""


@pytest.fixture(scope="module", autouse=True)
def _kernels_are_loaded() -> None:
    """Runs inside this process forget the modules that they import first, and numba can be imported only once."""
    lab = Lab()
    lab.host("esx1").vswitch("vSwitch0").portgroup("Prod").vm("web")
    keep([CheckedNet(lab.start()).send(bytes(60), at="web")], lab.wiring, Path(os.devnull))


@pytest.fixture
def run(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with a lab in it."""
    pytester.makefile(".yaml", lab=LAB)
    return pytester


def ran(pytester: pytest.Pytester, test: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(test_it=HEAD + test)
    return pytester.runpytest("-p", "no:cacheprovider", *options)


# -- fixtures


def test_the_lab_of_a_mark(run: pytest.Pytester) -> None:
    done = ran(
        run,
        """
@pytest.mark.lab("lab.yaml")
def test_reaches(net):
    net.send(TO_DB, at="web").reaches("db").reaches_only("db").does_not_reach("far", "vmnic0")

@pytest.mark.lab("lab.yaml", "vm.db.network=Other")
def test_settings(lab, net):
    assert lab.port("db").port.portgroup == "Other"
    net.send(TO_DB, at="web").does_not_reach("db")
""",
    )
    done.assert_outcomes(passed=2)


def test_the_lab_of_a_parameter(run: pytest.Pytester) -> None:
    test = """
@pytest.mark.parametrize("lab", ["lab.yaml", ("lab.yaml", "portgroup.Other.vlan=10")], indirect=True)
def test_names(lab, net):
    assert net.wiring.port("far").vlan in (10, 20)
"""
    ran(run, test).assert_outcomes(passed=2)


def test_the_lab_of_the_command_line(run: pytest.Pytester) -> None:
    test = """
def test_reaches(net):
    net.send(TO_DB, at="web").reaches("db")
"""
    ran(run, test, "--iochain-lab", "lab.yaml").assert_outcomes(passed=1)
    without = ran(run, test)
    without.assert_outcomes(errors=1)
    without.stdout.fnmatch_lines(["*the test names no lab; mark it with @pytest.mark.lab*"])


def test_a_lab_beside_the_test_is_found(run: pytest.Pytester) -> None:
    below = run.mkdir("below")
    (below / "own.yaml").write_text(LAB, encoding="utf-8")
    test = 'import pytest\n@pytest.mark.lab("own.yaml")\ndef test_it(net):\n    assert net.wiring.port("web")\n'
    (below / "test_own.py").write_text(test, encoding="utf-8")
    run.runpytest("-p", "no:cacheprovider", "below").assert_outcomes(passed=1)


def test_mistakes_of_a_lab_are_told_without_a_traceback(run: pytest.Pytester) -> None:
    run.makefile(".yaml", wrong=LAB.replace("vlan: 20", "vlan: 5000"))
    test = '@pytest.mark.lab("wrong.yaml")\ndef test_it(net):\n    pass\n'
    done = ran(run, test)
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*wrong.yaml: 1 mistake", "*line 8*5000 is no VLAN number (0 to 4095)"])
    assert "labfile.py" not in done.stdout.str()
    assert "During handling" not in done.stdout.str()


def test_a_mark_without_a_file_is_told(run: pytest.Pytester) -> None:
    done = ran(run, "@pytest.mark.lab()\ndef test_it(net):\n    pass\n")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*the mark names no file*"])


def test_a_fixture_of_ones_own_comes_first(run: pytest.Pytester) -> None:
    test = "@pytest.fixture\ndef net():\n    return 5\n\ndef test_it(net):\n    assert net == 5\n"
    ran(run, test).assert_outcomes(passed=1)


# -- failures show why


@pytest.mark.parametrize(
    ("assertion", "said"),
    [
        (
            'net.send(FORGED, at="web").reaches("db")',
            ["*the frame sent at web did not reach db: it was dropped before*forged transmits*", "*DROP*lab.yaml:7*"],
        ),
        ('net.send(TO_DB, at="web").reaches_only("vmnic0")', ["*did not reach vmnic0*"]),
        ('net.send(TO_DB, at="web").reaches_only()', ["*reached db too, not only nothing*"]),
        ('net.send(TO_DB, at="web").does_not_reach("db")', ["*reached db*", "*forwarding*to db*"]),
        ('net.send(TO_DB, at="web").dropped()', ["*was not dropped: it reached db*"]),
        ('net.send(TO_DB, at="web").dropped(at="far")', ["*was not dropped for far: no copy of it was there*"]),
        (
            'net.send(FORGED, at="web").dropped(Reason.SHAPER)',
            ["*was dropped for FORGED_TRANSMITS at stage forged transmits, not SHAPER*"],
        ),
        ('net.send(TO_DB, at="wbe")', ['*there is no port "wbe"; is "web" meant?*']),
        ('net.send(TO_DB, at="web").reaches("dbb")', ['*there is no port "dbb"; is "db" meant?*']),
    ],
)
def test_a_failure_shows_the_explanation(run: pytest.Pytester, assertion: str, said: list[str]) -> None:
    done = ran(run, f'@pytest.mark.lab("lab.yaml")\ndef test_it(net):\n    {assertion}\n')
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(said)
    if "there is no port" not in said[0]:
        done.stdout.fnmatch_lines(["*FrameBytes.of(*"])
        assert "sentences.py" not in done.stdout.str(), "the traceback ends in the test"


def test_drops_that_are_as_said(run: pytest.Pytester) -> None:
    test = """
@pytest.mark.lab("lab.yaml")
def test_it(net):
    net.send(FORGED, at="web").dropped().dropped(Reason.FORGED_TRANSMITS).dropped(stage="forged transmits")
    net.send(FORGED, at="web").dropped(Reason.FORGED_TRANSMITS, at="web").reaches_only()
"""
    ran(run, test).assert_outcomes(passed=1)


# -- captures of failures


def test_frames_of_failing_tests_are_kept_with_their_fates(run: pytest.Pytester) -> None:
    test = """
@pytest.mark.lab("lab.yaml")
@pytest.mark.parametrize("port", ["db", "far"])
def test_it(net, port):
    net.send(FORGED, at="web")
    net.send(TO_DB, at="web", time_ns=5000).reaches(port)
"""
    done = ran(run, test, "--iochain-pcap", "kept")
    done.assert_outcomes(passed=1, failed=1)
    (path,) = (run.path / "kept").iterdir()
    assert path.name == "test_it.py_test_it_far.pcapng"
    done.stdout.fnmatch_lines(["*4 frames are kept in kept*test_it_far.pcapng*"])
    data = path.read_bytes()
    for comment in (b"sent at web", b"delivered at db", b"dropped, web", b"forged transmits"):
        assert comment in data
    with read_captures([str(path)]) as reader:
        frames = [batch.frame_bytes(i) for batch, _ in reader for i in range(len(batch))]
        assert [interface.name for interface in reader.interfaces] == ["vmnic0", "web", "db", "far"]
    assert len(frames) == 4
    assert frames[0].startswith(bytes.fromhex("005056000002005056000099"))


def test_what_cannot_be_written_is_told_beside_the_results(run: pytest.Pytester) -> None:
    test = 'def test_it(net):\n    net.send(TO_DB, at="web").reaches("far")\n'
    marked = f'@pytest.mark.lab("lab.yaml")\n{test}'
    done = ran(run, marked, "--iochain-pcap", "lab.yaml/kept", "--iochain-cov", "lab.yaml/coverage.json")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["its frames cannot be kept: *lab.yaml*", "lab.yaml/coverage.json: cannot be written: *"])
    assert "INTERNALERROR" not in str(done.stdout)


def test_nothing_is_kept_where_nothing_failed_or_nobody_asked(run: pytest.Pytester) -> None:
    test = '@pytest.mark.lab("lab.yaml")\ndef test_it(net):\n    net.send(TO_DB, at="web").reaches({!r})\n'
    ran(run, test.format("db"), "--iochain-pcap", "kept").assert_outcomes(passed=1)
    ran(run, test.format("far")).assert_outcomes(failed=1)
    assert not (run.path / "kept").exists()


# -- the engine, and the start of pytest


def test_the_engine_of_a_run_and_the_environment_afterwards(
    run: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IOCHAIN_ENGINE", raising=False)
    test = """
from iochain.engine.network import default_engine

def test_it():
    assert default_engine().value == "plain"
"""
    ran(run, test, "--iochain-engine=plain").assert_outcomes(passed=1)
    ran(run, test, "--iochain-engine=paths").assert_outcomes(failed=1)
    assert "IOCHAIN_ENGINE" not in os.environ


def test_an_engine_that_there_is_not_is_refused(run: pytest.Pytester) -> None:
    done = ran(run, "", "--iochain-engine=fast")
    assert done.ret == pytest.ExitCode.USAGE_ERROR


def test_options_and_marks_are_explained(run: pytest.Pytester) -> None:
    run.runpytest("--help").stdout.fnmatch_lines(["*--iochain-engine*", "*--iochain-lab=FILE*", "*--iochain-pcap=DIR*"])
    run.runpytest("--markers").stdout.fnmatch_lines(["@pytest.mark.lab(file, [*]settings)*"])


def test_the_plugin_loads_nothing_before_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text(
        "import sys\n\ndef test_it():\n"
        "    loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "    assert 'iochain' in loaded\n"
        "    assert not loaded & {'numpy', 'numba', 'scapy', 'networkx', 'ruamel'}\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

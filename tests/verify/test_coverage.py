"""Coverage: what a stage may answer, what it did, sums of runs, and the report in pytest."""

import json
from pathlib import Path

import pytest

from iochain.chain import Drop, Element, Port, Reason, Verdict
from iochain.cli import main
from iochain.frame import Frame
from iochain.lab import Lab
from iochain.portgroup.security import Disconnected, ForgedTransmits
from iochain.portgroup.vlan import AccessVlan
from iochain.testing.coverage import Coverage, covering, possible
from iochain.vswitch.forwarding import Forwarding
from iochain.vswitch.teaming import ByIpHash, ByPort

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
CAPTURE, LAB = str(ROOT / "pcaps" / "web-and-db.pcapng"), str(ROOT / "pcaps" / "web-and-db.lab.yaml")
WEB, DB = "005056000001", "005056000002"


def no_ssh(frame: Frame, port: Port) -> Verdict:
    """A user's own stage."""
    return Drop(Reason.STAGE, "ssh") if frame.destination_port == 22 else frame


def lab_of() -> Lab:
    lab = Lab(esxi_version="8.0")
    prod = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod", vlan=10)
    prod.vm("web", mac="00:50:56:00:00:01")
    prod.vm("db", mac="00:50:56:00:00:02")
    prod.port("web").input.insert(no_ssh)
    return lab


@pytest.mark.parametrize(
    ("stage", "verdicts"),
    [
        (AccessVlan(10), {"pass", "VLAN_MISMATCH"}),
        (ForgedTransmits(), {"pass", "FORGED_TRANSMITS"}),
        (Disconnected(), {"DISCONNECTED"}),
        (no_ssh, {"pass", "STAGE"}),
        (ByPort("t", None), {"ports", "NO_UPLINK"}),  # type: ignore[arg-type]
        (ByIpHash("t", None), {"ports", "NO_UPLINK"}),  # type: ignore[arg-type]
    ],
)
def test_what_a_stage_may_answer_stands_in_its_text(stage: object, verdicts: set[str]) -> None:
    assert set(possible(Element("x", stage))) == verdicts


def test_forwarding_answers_in_other_functions() -> None:
    stage = lab_of().wiring.forwarding("vSwitch0")
    assert isinstance(stage, Forwarding)
    assert {"ports", "NO_PORT", "UNKNOWN_UNICAST", "VLAN_MISMATCH", "MAC_CHANGES"} == set(possible(Element("x", stage)))


@pytest.mark.parametrize("engine", ["plain", "paths"])
def test_what_was_met_and_what_never(engine: str) -> None:
    lab = lab_of()
    with covering(Coverage()) as coverage:
        lab.send(bytes.fromhex(DB + WEB + "88b5"), at="web", engine=engine)
    own = coverage.stages["no_ssh (no_ssh)"]
    assert own.verdicts == {"pass": 1, "STAGE": 0}
    vlan = coverage.stages["vlan (AccessVlan)"]
    assert (vlan.verdicts["pass"], vlan.verdicts["VLAN_MISMATCH"], vlan.settings["vlan 10"]) == (1, 0, 1)
    assert coverage.stages["teaming (ByPort)"].met == 0
    assert 0 < coverage.share < 1
    lab.send(bytes.fromhex(DB + WEB + "88b5"), at="web", engine=engine)
    assert own.met == 1, "nobody listens any more"


def test_batch_stages_and_their_drops() -> None:
    lab = Lab()
    prod = lab.host("esx1").vswitch("vSwitch0").portgroup("Prod", shaping={"average": "1 kbit/s", "burst": "1 B"})
    prod.vm("web", mac="00:50:56:00:00:01")
    prod.vm("db", mac="00:50:56:00:00:02")
    with covering(Coverage()) as coverage:
        net = lab.start()
        for _ in range(2000):
            net.offer(bytes.fromhex(DB + WEB + "88b5"), at="web", time_ns=0)
        net.run("10 s")
        net.stop()
    (shaper,) = [stage for key, stage in coverage.stages.items() if key.startswith("shaper")]
    assert shaper.verdicts["ran"]
    assert shaper.verdicts["SHAPER"]


def test_runs_add_up_and_files_are_read_back(tmp_path: Path) -> None:
    with covering(Coverage()) as coverage:
        lab_of().send(bytes.fromhex(DB + WEB + "88b5"), at="web")
    coverage.write(tmp_path / "a.json")
    total = Coverage.read(tmp_path / "a.json")
    assert total.document() == coverage.document()
    total.merge(coverage)
    assert total.stages["no_ssh (no_ssh)"].verdicts == {"pass": 2, "STAGE": 0}


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.json"
    assert main(["coverage", CAPTURE, "--lab", LAB, "-o", str(file)]) == 0
    said = capsys.readouterr().out
    assert "never: FORGED_TRANSMITS" in " ".join(said.split())
    assert main(["coverage", "--merge", str(file), "--merge", str(file), "--json"]) == 0
    once, twice = json.loads(file.read_text(encoding="utf-8")), json.loads(capsys.readouterr().out)
    assert twice["stages"]["forwarding (Forwarding)"]["verdicts"]["ports"] == (
        2 * once["stages"]["forwarding (Forwarding)"]["verdicts"]["ports"]
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "the file cannot be read"),
        ("{", "this is no JSON"),
        ("[]", 'this is no coverage; its "format" would be "iochain coverage 1"'),
        ('{"format": "iochain coverage 1", "stages": {"a": 1}}', "this coverage is damaged"),
    ],
)
def test_files_that_are_no_coverage(
    content: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    assert main(["coverage", "--merge", str(file)]) == 2
    assert message in capsys.readouterr().err


TEST = """
from iochain import Lab

def test_two_vms():
    lab = Lab()
    prod = lab.host("esx1").vswitch("vSwitch0").portgroup("Prod")
    for name in ("a", "b"):
        prod.vm(name)
    assert lab.send(bytes.fromhex("005056000002" "005056000001" "88b5"), at="a").ports == ("b",)
"""


@pytest.mark.parametrize("arguments", [["-p", "no:xdist"], ["-n", "2"]])
def test_the_report_in_pytest(pytester: pytest.Pytester, arguments: list[str]) -> None:
    pytester.makepyfile(test_one=TEST, test_two=TEST)
    done = pytester.runpytest_subprocess("--iochain-cov=cov.json", *arguments)
    done.assert_outcomes(passed=2)
    done.stdout.fnmatch_lines(
        ["*iochain coverage: *% of what stages may answer*", "*forwarding (Forwarding) * 2  ports*"]
    )
    written = Coverage.read(pytester.path / "cov.json")
    assert written.stages["forwarding (Forwarding)"].verdicts["ports"] == 2

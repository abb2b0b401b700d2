import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from command_lines import CAPTURE, LAB, ROOT, run

from iochain.topology.labfile import load
from iochain.topology.schema import json_schema

LABS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("pcaps/*.lab.yaml"))
MISTAKES = "tests/cli/golden/mistakes.lab.yaml"


def test_check_says_all_and_goes_by_the_worst() -> None:
    assert run("lab", "check", *LABS).code == 0
    ran = run("lab", "check", LAB, MISTAKES)
    assert ran.code == 1
    assert f"{LAB}: fine" in ran.out
    assert "line 9  vms.web.network" in ran.out


@pytest.mark.parametrize("lab", LABS)
def test_show_names_every_port(lab: str) -> None:
    ran = run("lab", "show", lab)
    ports = json.loads(run("lab", "show", lab, "--json").out)["ports"]
    assert ran.code == 0
    assert all(f"  {port['name']} " in ran.out for port in ports)
    assert all(" → ".join(port["input"]) in " ".join(ran.out.split()) for port in ports)


def test_show_goes_by_settings() -> None:
    assert "[vmnic0]" in run("lab", "show", LAB).out
    assert "MTU 9000" in run("lab", "show", LAB, "--set", "vswitch.vSwitch0.mtu=9000").out


def test_effective_says_who_set_a_value() -> None:
    ran = run("lab", "effective", LAB, "Prod", "--set", "portgroup.Prod.forged_transmits=accept")
    assert "--set portgroup.Prod.forged_transmits=accept" in " ".join(ran.out.split())
    assert run("lab", "effective", LAB, "Pord").code == 2


def test_draw_writes_svg(tmp_path: Path) -> None:
    out = tmp_path / "lab.svg"
    assert run("lab", "draw", LAB, "-o", str(out)).code == 0
    assert ElementTree.fromstring(out.read_text(encoding="utf-8")).tag.endswith("svg")
    assert run("lab", "draw", LAB).out.strip() == out.read_text(encoding="utf-8").strip()
    assert run("lab", "draw", LAB, "-o", str(tmp_path / "no" / "lab.svg")).code == 2


def test_an_inferred_lab_is_a_lab(tmp_path: Path) -> None:
    out = tmp_path / "lab.yaml"
    assert run("lab", "infer", CAPTURE, "-o", str(out)).code == 0
    assert len(load(out).spec.vms) == 3
    again = run("lab", "infer", CAPTURE, "-o", str(out))
    assert again.code == 2
    assert "--force" in again.err
    assert run("lab", "infer", CAPTURE).out == out.read_text(encoding="utf-8")


def test_schema_is_that_of_the_lab_file() -> None:
    assert json.loads(run("lab", "schema").out) == json.loads(json.dumps(json_schema()))

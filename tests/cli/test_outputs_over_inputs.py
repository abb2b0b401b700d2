"""No command writes over a file that it reads, whatever the way by which the file is named."""

from pathlib import Path

import pytest

from iochain import Lab
from iochain.capture import CaptureError
from iochain.cli import main

PCAPS = Path(__file__).parents[2] / "pcaps"
POLICY = "statements: {apart: {because: they are, isolated: [web, db]}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab, a capture that is called as a VM of it is, a policy, and a timeline, all read by commands."""
    (tmp_path / "web.pcap").write_bytes((PCAPS / "web-and-db.pcapng").read_bytes())
    (tmp_path / "lab.yaml").write_bytes((PCAPS / "web-and-db.lab.yaml").read_bytes())
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "events.yaml").write_text("- {at: 1 s, power_off: db}\n")
    (tmp_path / "link").symlink_to(tmp_path / "web.pcap")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "replay web.pcap --lab lab.yaml -o web.pcap",
        "replay web.pcap --lab lab.yaml -o link",
        "replay web.pcap --lab lab.yaml -o lab.yaml",
        "replay web.pcap --lab lab.yaml -o ./",
        "replay web.pcap --lab lab.yaml --timeline events.yaml -o events.yaml",
        "diff lab.yaml lab.yaml web.pcap --set-b portgroup.Prod.vlan=99 --samples web.pcap",
        "diff lab.yaml lab.yaml web.pcap --set-b portgroup.Prod.vlan=99 --samples lab.yaml",
        "coverage web.pcap --lab lab.yaml -o web.pcap",
        "coverage web.pcap --lab lab.yaml -o lab.yaml",
        "lab draw lab.yaml -o lab.yaml",
        "lab infer web.pcap -o link --force",
        "check lab.yaml policy.yaml --junit policy.yaml",
        "check lab.yaml policy.yaml --junit lab.yaml",
    ],
)
def test_what_is_read_is_not_overwritten(folder: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(line.split()) == 2
    assert "would overwrite a" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_nor_in_python(folder: Path) -> None:
    lab = Lab.load("lab.yaml")
    for output in ("web.pcap", "./"):
        with pytest.raises(CaptureError, match=r"web\.pcap: would overwrite a capture that is read"):
            lab.replay("link", output=output)

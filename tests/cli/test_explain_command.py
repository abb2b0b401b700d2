import json

import pytest
from command_lines import CAPTURE, LAB, run

FRAME = "Ether(src='00:50:56:00:00:01', dst='00:50:56:00:00:02')/IP(src='10.0.0.1', dst='10.0.0.2')/TCP(dport=80)"


def test_a_frame_of_text_goes_its_way() -> None:
    ran = run("explain", "--frame", FRAME, "--at", "web", "--lab", LAB, "--expect", "db")
    assert ran.code == 0
    assert "It reached db." in ran.out
    assert "tag 10 put on" in ran.out
    assert "set by vlan 10 from port group Prod (pcaps/web-and-db.lab.yaml:14)" in " ".join(ran.out.split())


def test_the_same_frame_in_hexadecimal() -> None:
    by_layers = json.loads(run("explain", "--frame", FRAME, "--at", "web", "--lab", LAB, "--json").out)
    colons = ":".join(by_layers["sent"][at : at + 2] for at in range(0, len(by_layers["sent"]), 2))
    by_digits = json.loads(run("explain", "--frame", colons, "--at", "web", "--lab", LAB, "--json").out)
    assert by_digits == by_layers


def test_what_was_expected_and_is_not_is_exit_code_1() -> None:
    forged = FRAME.replace("00:50:56:00:00:01", "00:50:56:00:00:09")
    ran = run("explain", "--frame", forged, "--at", "web", "--lab", LAB, "--expect", "db")
    assert ran.code == 1
    assert "It did not reach db" in ran.out
    assert "forged transmits" in ran.out


def test_a_setting_changes_the_answer() -> None:
    forged = FRAME.replace("00:50:56:00:00:01", "00:50:56:00:00:09")
    settings = ["--set", "portgroup.Prod.forged_transmits=accept"]
    assert run("explain", "--frame", forged, "--at", "web", "--lab", LAB, "--expect", "db", *settings).code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a frame by capture and number"),
        ([f"{CAPTURE}#1", "--frame", "00", "--at", "web"], "name a frame by capture and number"),
        ([CAPTURE], "names no frame"),
        ([f"{CAPTURE}#0"], "names no frame"),
        ([f"{CAPTURE}#1e3"], "names no frame"),
        ([f"{CAPTURE}#99999"], "there is no Ethernet frame 99999"),
        (["gone.pcap#1"], "cannot be opened"),
        (["--frame", FRAME], "--frame needs --at"),
        (["--frame", FRAME, "--at", "wbe"], 'is "web" meant?'),
        ([f"{CAPTURE}#1", "--expect", "wbe"], 'is "web" meant?'),
        (["--frame", "0050", "--at", "web"], "2 bytes are no Ethernet frame"),
    ],
)
def test_questions_that_cannot_be_answered(arguments: list[str], said: str) -> None:
    ran = run("explain", *arguments, "--lab", LAB)
    assert ran.code == 2
    assert said in ran.err
    assert ran.out == ""

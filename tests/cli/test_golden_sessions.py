import pytest
from command_lines import CAPTURE, LAB, is_golden, run, session


def test_the_first_session_of_the_readme() -> None:
    text = session(
        ["replay", CAPTURE, "--lab", LAB],
        ["replay", CAPTURE, "--lab", LAB, "--set", "portgroup.Monitor.promiscuous=reject"],
        ["explain", f"{CAPTURE}#17", "--lab", LAB, "--expect", "db"],
        ["lab", "effective", LAB, "Prod"],
    )
    assert is_golden("web-and-db.txt", text)


WRONG = {
    "unknown-option": ["replay", CAPTURE, "--labb", LAB],
    "missing-capture": ["replay", "nothing-here.pcap", "--lab", LAB],
    "lab-with-mistakes": ["replay", CAPTURE, "--lab", "tests/cli/golden/mistakes.lab.yaml"],
    "bad-set": ["replay", CAPTURE, "--lab", LAB, "--set", "portgroup.Pord.vlan=20", "--set", "vm.web"],
    "bad-frame": [
        "explain",
        "--lab",
        LAB,
        "--at",
        "web",
        "--frame",
        "Ether(src='00:50:56:00:00:01', dst='00:50:56:00:00:02')/IP(dest='10.0.0.2')",
    ],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_command_line_is_told_in_one_message(name: str) -> None:
    assert is_golden(f"{name}.txt", session(WRONG[name]))
    ran = run(*WRONG[name])
    assert ran.code == 2
    assert ran.out == ""
    assert "Traceback" not in ran.err


LINES = [
    [],
    ["replay"],
    ["explain"],
    *(["lab", name] for name in ("check", "show", "effective", "draw", "infer", "schema")),
    ["lab"],
]


@pytest.mark.parametrize("command", LINES, ids=" ".join)
def test_every_help_can_be_read(command: list[str]) -> None:
    ran = run(*command, "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: iochain {' '.join(command)}".rstrip())
    assert max(map(len, ran.out.splitlines())) <= 100


def test_exit_codes_are_in_the_help() -> None:
    assert all(f"\n    {code} " in run("--help").out for code in (0, 1, 2, 3, 130))


def test_version() -> None:
    assert run("--version").out.startswith("iochain ")

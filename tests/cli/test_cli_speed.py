import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from command_lines import LAB, ROOT, ethernet, pcap

HELP_S, REPLAY_S = 0.3, 1.0
SLACK = 1.5
"""Machines that build are slower and shared; the limits themselves are for a quiet one."""
PROGRAM = "import sys; from iochain.cli import main; sys.exit(main())"


def best_of(runs: int, *arguments: str) -> float:
    """Seconds of CPU time of the quickest of some runs, each in a process of its own.

    All of it runs in one thread, so that on a quiet machine this is the wall time; beside other work it stays true.
    """
    return min(_cpu_seconds(*arguments) for _ in range(runs))


def _cpu_seconds(*arguments: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def loaded_by(*arguments: str) -> set[str]:
    """The packages that a command line loads."""
    program = (
        "import sys; from iochain.cli import main; main(sys.argv[1:]); sys.stdout.flush()\n"
        "print('loaded', *{name.partition('.')[0] for name in sys.modules})"
    )
    command = [sys.executable, "-c", program, *arguments]
    out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return set(out.rpartition("loaded ")[2].split())


@pytest.fixture
def thousand(tmp_path: Path) -> str:
    """A capture of 1,000 frames."""
    return str(pcap(tmp_path / "a.pcap", [(number * 1000, ethernet(size=400)) for number in range(1000)]))


def test_help_is_instant() -> None:
    taken = best_of(5, "--help")
    print(f"iochain --help: {taken:.3f} s of CPU")
    assert taken < HELP_S * SLACK
    assert not {"numpy", "numba", "networkx", "attr", "rich", "scapy"} & loaded_by("--help")
    assert not {"numpy", "numba", "networkx"} & loaded_by("replay", "--help")


def test_a_replay_of_a_thousand_frames_takes_no_second(thousand: str) -> None:
    best_of(1, "replay", thousand, "--lab", LAB)  # compiles what was never compiled
    taken = best_of(5, "replay", thousand, "--lab", LAB)
    print(f"iochain replay of 1,000 frames: {taken:.3f} s of CPU")
    assert taken < REPLAY_S * SLACK
    assert not {"rich", "scapy", "hypothesis", "matplotlib", "scipy"} & loaded_by("replay", thousand, "--lab", LAB)


def test_a_closed_pipe_is_no_fault(thousand: str) -> None:
    command = f'"{sys.executable}" -c "{PROGRAM}" lab schema | head -c 10'
    ran = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, check=False)
    assert ran.stderr == b""
    assert ran.stdout == b'{\n  "$schem'[:10]


def test_no_output_and_a_full_disk_are_told() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", PROGRAM, "lab", "schema"]
        ran = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ran.returncode == 2
    assert "No space left" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_letters_that_cannot_be_written_are_no_fault(tmp_path: Path) -> None:
    capture = str(pcap(tmp_path / "a\udcff→.pcap", [(0, ethernet())]))
    for encoding in ("ascii", "utf-8"):
        command = [sys.executable, "-c", PROGRAM, "replay", capture, "--lab", LAB]
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
        assert b"1 frame entered" in ran.stdout

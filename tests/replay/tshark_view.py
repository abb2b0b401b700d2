"""What tshark sees in a capture: numbers of frames by display filter, and fields. Nothing of iochain is in it."""

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PCAPS = ROOT / "pcaps"
TSHARK = shutil.which("tshark")
needs_tshark = pytest.mark.skipif(TSHARK is None, reason="tshark is not installed")
HARMLESS = "This could be dangerous"


def tshark(path: Path, *arguments: str) -> list[str]:
    """The lines that tshark prints; it must have nothing to complain of."""
    assert TSHARK is not None
    done = subprocess.run([TSHARK, "-n", "-r", str(path), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if line and HARMLESS not in line] == []
    return done.stdout.splitlines()


def count(path: Path, display_filter: str) -> int:
    """How many frames pass a display filter."""
    return len(tshark(path, "-Y", display_filter, "-T", "fields", "-e", "frame.number"))


def fields(path: Path, *names: str) -> list[tuple[str, ...]]:
    """Fields of all frames; of several values the first."""
    wanted = [argument for name in names for argument in ("-e", name)]
    lines = tshark(path, "-T", "fields", "-E", "separator=|", "-E", "occurrence=f", *wanted)
    return [tuple(line.split("|")) for line in lines]


def tally(path: Path, *names: str) -> Counter[tuple[str, ...]]:
    """How often each combination of fields occurs."""
    return Counter(fields(path, *names))

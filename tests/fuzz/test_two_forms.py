"""The compiled and the checked form of the kernels do the same, on the whole corpus and on recordings.

The form is chosen when iochain is imported, so each runs in a process of its own.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "pcaps").glob("*.pcap*"))
FIRST_BYTES = 6000
REPLAYS = """
import sys
from hashlib import sha256
from pathlib import Path
from iochain import Lab

for name in ("web-and-db.pcapng", "vrrp-takeover.pcapng", "trunk.pcapng"):
    lab = Lab.load(f"pcaps/{name.partition('.')[0]}.lab.yaml")
    result = lab.replay(f"pcaps/{name}", output=sys.argv[1], limit=80)
    written = sha256(Path(sys.argv[1]).read_bytes()).hexdigest()
    print(name, [str(drop) for drop in result.drops], result.entries, written)
"""


def said_by(is_checked: bool, *arguments: str) -> list[str]:
    """The lines of a Python process of the one form or the other."""
    environment = os.environ | {"IOCHAIN_CHECKED": str(int(is_checked))}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout.splitlines()


def both_say(*arguments: str) -> list[str]:
    """What both forms say, which is the same."""
    compiled, checked = said_by(False, *arguments), said_by(True, *arguments)
    assert compiled == checked
    return compiled


@pytest.mark.parametrize("target", ["reader", "parser"])
def test_corpus(target: str) -> None:
    """No kernel reaches beyond its memory, and rows, words, endings and written bytes are the same."""
    lines = both_say("-m", "fuzz.outcomes", target)
    assert len(lines) == len(list((ROOT / "fuzz" / "corpus" / target).iterdir())) > 50


def test_texts_of_frames() -> None:
    assert len(said_by(False, "-m", "fuzz.outcomes", "frame_text")) > 50


def test_beginnings_of_recordings() -> None:
    lines = both_say("-m", "fuzz.outcomes", "reader", *(f"{name}:{FIRST_BYTES}" for name in RECORDINGS))
    assert len(lines) == len(RECORDINGS)
    assert all("cut short" in line for line in lines)


def test_replays(tmp_path: Path) -> None:
    assert len(both_say("-c", REPLAYS, str(tmp_path / "output.pcapng"))) == 3


def test_what_the_checked_form_refuses() -> None:
    said_by(True, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/fuzz/checked_cases.py")

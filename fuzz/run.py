"""Fuzzing all targets, one after the other: ``python -m fuzz.run --seconds 60``; exit code 1 if an input is at fault.

Inputs that reach something new stay in a folder of their own beside the temporary files and are forgotten at the end,
unless ``--keep FOLDER`` names one; inputs at fault are kept in ``--faults`` (``fuzz/faults``).
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz.outcomes import CORPUS, TARGETS

_LAST_WORDS = 6000


def main() -> int:
    """Run the targets asked for, each its share of the time."""
    asked = argparse.ArgumentParser(prog="python -m fuzz.run", description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(TARGETS)}; all, if none is named")
    asked.add_argument("--seconds", type=int, default=60, help="for all targets together")
    asked.add_argument("--keep", type=Path, help="folder for inputs that reach something new")
    asked.add_argument("--faults", type=Path, default=Path("fuzz/faults"), help="folder for inputs at fault")
    given = asked.parse_args()
    targets = given.targets or TARGETS
    if unknown := set(targets) - set(TARGETS):
        asked.error(f"there is no target {', '.join(sorted(unknown))} (there are {', '.join(TARGETS)})")
    with tempfile.TemporaryDirectory() as folder:
        share = max(given.seconds // len(targets), 1)
        codes = [run(target, share, given.keep or Path(folder), given.faults) for target in targets]
    return 1 if any(codes) else 0


def run(target: str, seconds: int, keep: Path, faults: Path) -> int:
    """Fuzz one target for so long, and say how much was tried, or all that libFuzzer says of a fault; 0 if none."""
    new = keep / target
    new.mkdir(parents=True, exist_ok=True)
    faults.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={faults}/{target}-", "-print_final_stats=1"]
    command = [sys.executable, "-m", "fuzz.one", target, str(new), str(CORPUS / target), *options]
    environment = os.environ | {"IOCHAIN_CHECKED": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    said = done.stdout + done.stderr
    if done.returncode:
        print(said[-_LAST_WORDS:])
    tried = re.search(r"number_of_executed_units: (\d+)", said)
    print(
        f"{target}: {tried.group(1) if tried else 'no'} inputs in {seconds} s, {len(list(new.iterdir()))} reached more"
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())

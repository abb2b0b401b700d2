"""Puts each mutant into a process of its own and has the properties look for it; says which of them survive.

``python tests/mutation/kill_mutants.py [--every N]``. The exit code is 1 if fewer than 90 % are killed, or if a
survivor is not explained in docs/mutation.md.
"""

import os
import sys
import time
from pathlib import Path
from typing import Final

import click
from mutants import Mutant, mutants
from properties import Broken, properties

LEAST: Final = 0.9
LONGEST_S: Final = 240
PAGE: Final = Path(__file__).parents[2] / "docs" / "mutation.md"


def is_killed(mutant: Mutant) -> bool:
    """Whether a property does not hold in a process that has this fault; one that hangs is killed too."""
    child = os.fork()
    if not child:
        os._exit(_broken(mutant))
    started = time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status != 0
        if time.monotonic() - started > LONGEST_S:
            os.kill(child, 9)
            os.waitpid(child, 0)
            return True
        time.sleep(0.02)


def _broken(mutant: Mutant) -> int:
    """1 if a property does not hold."""
    sys.stderr = sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  (until the process ends)
    try:
        mutant.put_in()
        for one in properties():
            one()
    except (Exception, Broken):
        return 1
    return 0


@click.command(help=__doc__)
@click.option("--every", default=1, help="Only each so many-th mutant.")
def main(every: int) -> None:
    chosen = mutants()[::every]
    for one in properties():
        one()
    survivors = []
    for number, mutant in enumerate(chosen):
        if not is_killed(mutant):
            survivors.append(mutant)
            click.echo(f"{number}: survived: {mutant}")
    share = 1 - len(survivors) / len(chosen)
    click.echo(f"{len(chosen)} mutants, {len(survivors)} survive: {share:.1%} are killed")
    told = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    silent = [mutant for mutant in survivors if f"`{mutant.name}`" not in told]
    for mutant in silent:
        click.echo(f"not explained in {PAGE.name}: {mutant.name}")
    raise SystemExit(int(share < LEAST or bool(silent)))


if __name__ == "__main__":
    main()

"""Start: the time on the clock of ``iochain --help``, and of 1,000 frames, compiled before and for the first time."""

import json
import shutil
import sys
from pathlib import Path

import click
import made
from bounds import Bound, json_option, quick_option, told
from processes import fresh_kernels, run, work_folder

FRAMES, VMS = 1_000, 4


@click.command(help=__doc__)
@quick_option
@json_option
def main(quick: bool, json_path: Path | None) -> None:
    repeat, firsts = (5, 1) if quick else (20, 3)
    program = Path(sys.executable).with_name("iochain")
    with work_folder() as name:
        folder = Path(name)
        environment = {**fresh_kernels(folder), "PYTHONDONTWRITEBYTECODE": ""}  # bytecode is kept, as kernels are
        lab = folder / "lab.yaml"
        lab.write_text(json.dumps(made.lab(made.SMALL, vms=VMS).data))
        capture = made.write(made.SMALL, FRAMES, folder / "short.pcap", made.usual_flows(made.SMALL, VMS, 20))
        replay = [str(program), "replay", str(capture), "--lab", str(lab)]
        first = []
        for _ in range(firsts):
            shutil.rmtree(folder / "numba-cache", ignore_errors=True)
            first.append(run(replay, environment))
        warm = [run(replay, environment) for _ in range(repeat)]
        asked = [run([program, "--help"], environment) for _ in range(repeat)]
    bounds = [
        Bound("iochain --help", min(cost.wall_s for cost in asked), 0.15, "s"),
        Bound(f"{FRAMES:,} frames", min(cost.wall_s for cost in warm), 0.7, "s"),
        Bound(f"{FRAMES:,} frames, the first time", min(cost.wall_s for cost in first), 8, "s"),
    ]
    cpu = [min(cost.cpu_s for cost in costs) for costs in (asked, warm, first)]
    click.echo("CPU time: " + ", ".join(f"{seconds:.2f} s" for seconds in cpu))
    told("start", bounds, quick, json_path, cpu_s=cpu)


if __name__ == "__main__":
    main()

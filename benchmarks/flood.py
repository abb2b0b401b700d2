"""Floods: a broadcast from each of 10,000 ports, to all others and an uplink."""

import json
from pathlib import Path

import click
import made
import numpy as np
from bounds import Bound, json_option, quick_option, told
from processes import cheapest, fresh_kernels, replay_command, run, work_folder


def broadcasts(vms: int, path: Path) -> Path:
    """A capture of one broadcast from each VM."""
    flows = made.flows_of(made.SMALL, np.arange(vms), np.full(vms, made.EVERYBODY), np.full(vms, 0xFFFFFFFF))
    return made.write(made.SMALL, vms, path, flows, made.in_turn_then_at_random(vms))


@click.command(help=__doc__)
@quick_option
@json_option
def main(quick: bool, json_path: Path | None) -> None:
    vms = 2_000 if quick else 10_000
    with work_folder() as name:
        folder = Path(name)
        capture, few = (broadcasts(count, folder / f"{count}.pcap") for count in (vms, 1_000))
        quiet = made.write(made.SMALL, 1, folder / "one.pcap")
        run(replay_command("small", few, vms=1_000, floods=True), fresh_kernels(folder))  # all kernels are compiled
        start = cheapest([run(replay_command("small", quiet, vms=vms), fresh_kernels(folder)) for _ in range(2)])
        cost = run(replay_command("small", capture, vms=vms, floods=True), fresh_kernels(folder))
    said = json.loads(cost.said)
    copies = vms * vms  # all others, and an uplink
    if said["delivered"] != copies:
        raise SystemExit(f"{said['delivered']:,} copies came, not {copies:,}")
    click.echo(f"{copies:,} copies: {cost.cpu_s:.1f} s of CPU time, {cost.wall_s:.1f} s; start {start.cpu_s:.1f} s")
    bounds = [
        Bound(f"a broadcast from each of {vms:,} ports, CPU time", cost.cpu_s, 10, "s"),
        Bound(f"a broadcast from each of {vms:,} ports, memory", said["peak_mb"], 300, "MB"),
    ]
    told("flood", bounds, quick, json_path, copies=copies, start_s=start.cpu_s, wall_s=cost.wall_s)


if __name__ == "__main__":
    main()

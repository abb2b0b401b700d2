"""A comparison of two labs against two replays: CPU time of whole processes, and memory, on a million frames.

The labs differ in one port group: its VMs are on another VLAN (some frames are delivered elsewhere), or its policy.
``flood`` is a capture of broadcasts on one VLAN of 20 VMs, whose fates are many copies each.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

import click
import made
import numpy as np
from attrs import evolve
from bounds import Bound, json_option, quick_option, told
from processes import cheapest, fresh_kernels, run, work_folder
from replaying import peak_mb

from iochain import Lab

MOST_REPLAYS: Final = 2.5
MOST_MB: Final = 400
KINDS: Final = ("small", "imix", "mtu", "flood")
CHANGES: Final = {
    "small": "portgroup.VLAN10.teaming.active=vmnic0",
    "imix": "portgroup.VLAN11.vlan=10",
    "mtu": "vm.vm1.connected=no",
    "flood": "vm.vm3.connected=no",
}
FLOOD_VMS: Final = 20
FLOOD_SHARE: Final = 10
"""Frames of the other captures to one broadcast: each is copied to all VMs."""


def traffic_of(kind: str) -> made.Traffic:
    """What a capture is made of."""
    return evolve(made.SMALL, name="flood", gap_ns=20_000) if kind == "flood" else made.ALL[kind]


def lab_of(kind: str) -> Lab:
    """The lab of a capture."""
    return made.lab(traffic_of(kind), vms=FLOOD_VMS if kind == "flood" else made.VMS)


def capture(kind: str, frames: int, folder: Path) -> Path:
    """The capture of a kind."""
    traffic, path = traffic_of(kind), folder / f"{kind}.pcap"
    if kind != "flood":
        return made.write(traffic, frames, path)
    numbers = np.arange(FLOOD_VMS)
    everybody = np.full(FLOOD_VMS, made.EVERYBODY)
    return made.write(traffic, frames // FLOOD_SHARE, path, made.flows_of(traffic, numbers, everybody))


@click.group(invoke_without_command=True, help=__doc__)
@quick_option
@json_option
@click.option("--repeat", default=3, help="Runs of each, of which the cheapest counts.")
@click.pass_context
def main(ctx: click.Context, quick: bool, json_path: Path | None, repeat: int) -> None:
    if ctx.invoked_subcommand:
        return
    frames = 100_000 if quick else 1_000_000
    bounds, said = [], {}
    with work_folder() as name:
        folder = Path(name)
        environment = fresh_kernels(folder)
        for kind in KINDS:
            path = capture(kind, frames, folder)
            costs = {}
            for what in ("replay", "diff"):
                command = [sys.executable, __file__, what, kind, str(path)]
                run(command, environment)  # the kernels are compiled
                costs[what] = cheapest([run(command, environment) for _ in range(repeat)])
            found = json.loads(costs["diff"].said)
            ratio = costs["diff"].cpu_s / costs["replay"].cpu_s
            said[kind] = {"replay_s": costs["replay"].cpu_s, "diff_s": costs["diff"].cpu_s, **found}
            click.echo(f"{kind}: replay {costs['replay'].cpu_s:.2f} s, diff {costs['diff'].cpu_s:.2f} s, {found}")
            bounds.append(Bound(f"{kind}: diff, in replays", ratio, MOST_REPLAYS))
            bounds.append(Bound(f"{kind}: memory", found["peak_mb"], MOST_MB, "MB"))
    told("diff", bounds, quick, json_path, **said)


@main.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("path")
def replay(kind: str, path: str) -> None:
    """One replay."""
    done = lab_of(kind).replay(path)
    click.echo(json.dumps({"frames": done.counters.entered, "peak_mb": peak_mb()}))


@main.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("path")
def diff(kind: str, path: str) -> None:
    """One comparison."""
    from iochain.verify.difference import difference

    old = lab_of(kind)
    result = difference(old, old.with_settings([CHANGES[kind]]), [path])
    found: dict[str, Any] = {"frames": result.frames, "changed": result.changed, "groups": len(result.groups)}
    if not result.changed:
        raise SystemExit("nothing differs")
    click.echo(json.dumps({**found, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()

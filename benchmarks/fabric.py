"""A network that changes: 8 hosts with 20 VMs and 2 uplinks each, two physical switches, a failover in the middle.

Measured is the CPU time of a steady frame by the switches that it passes ("hop"), against a replay of the same frames
through one virtual switch that has all the VMs.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import click
import made
import numpy as np
from attrs import evolve
from bounds import Bound, json_option, quick_option, told
from processes import cheapest, fresh_kernels, run, work_folder

from iochain import Lab
from iochain.engine.counters import FRAMES, IN
from iochain.experiment.actions import LinkDown
from iochain.topology.units import format_time

HOSTS: Final = 8
VMS: Final = 20
TRAFFIC: Final = made.SMALL
DURATION_NS: Final = 200 * 10**6
"""Of the frames, however many they are: the failover is at half of it, at a multiple of the poll."""
POLL_MS: Final = 100
LEAST_SHARE: Final = 0.25


def one_switch() -> Lab:
    """All VMs on one virtual switch."""
    return made.lab(TRAFFIC, vms=HOSTS * VMS)


def several_hosts() -> Lab:
    """The same VMs on eight hosts with an uplink to each of two physical switches."""
    lab = Lab()
    cabled = [lab.physical_switch(name, defaults={"mode": "trunk"}, count=HOSTS + 1) for name in ("sw1", "sw2")]
    for number in range(HOSTS):
        host = lab.host(f"esx{number}", settings={"Net.LinkStatePollTimeout": POLL_MS})
        host.nic("vmnic0", speed="40 Gbit/s").nic("vmnic1", speed="40 Gbit/s")
        group = host.vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"]).portgroup("Prod", vlan=TRAFFIC.vlans[0])
        for vm in range(number * VMS, (number + 1) * VMS):
            group.vm(f"vm{vm}", mac=made.mac_text(vm))
        for nic, switch in enumerate(cabled):
            lab.cable(f"esx{number}.vmnic{nic}", f"{switch.name}.{number + 1}", latency="50 ns")
    lab.cable(f"sw1.{HOSTS + 1}", f"sw2.{HOSTS + 1}", latency="50 ns")
    return lab


LABS: Final = {"one": one_switch, "fabric": several_hosts}


def capture(frames: int, path: Path) -> Path:
    """Frames between the VMs, in as many flows as the main benchmark has."""
    random = np.random.default_rng(made.SEED)
    source = random.integers(0, HOSTS * VMS, made.FLOWS)
    target = (source + random.integers(1, HOSTS * VMS, made.FLOWS)) % (HOSTS * VMS)
    return made.write(
        evolve(TRAFFIC, gap_ns=DURATION_NS // frames), frames, path, made.flows_of(TRAFFIC, source, target)
    )


class Marks:
    """CPU time by frames so far."""

    def __init__(self) -> None:
        self.marks: list[tuple[int, float]] = []

    def __call__(self, bytes_read: int, bytes_total: int | None, frames: int) -> None:
        """A window is done."""
        self.marks.append((frames, time.process_time()))


@click.group(invoke_without_command=True, help=__doc__)
@quick_option
@json_option
@click.option("--repeat", default=3, help="Runs of each, of which the cheapest counts.")
@click.pass_context
def main(ctx: click.Context, quick: bool, json_path: Path | None, repeat: int) -> None:
    if ctx.invoked_subcommand:
        return
    frames = 100_000 if quick else 1_000_000
    with work_folder() as name:
        folder = Path(name)
        path, environment = capture(frames, folder / "capture.pcap"), fresh_kernels(folder)
        said: dict[str, Any] = {}
        for lab in LABS:
            command = [sys.executable, __file__, "replay", lab, str(path), str(frames)]
            run(command, environment)  # the kernels are compiled
            said[lab] = json.loads(cheapest([run(command, environment) for _ in range(repeat)]).said)
    one, fabric = said["one"], said["fabric"]
    share = fabric["per_hop"] / one["per_hop"]
    click.echo(f"one switch: {one['per_hop'] / 1e6:.2f} M frames/s a hop; {one['hops']:.2f} hops a frame")
    click.echo(f"fabric:     {fabric['per_hop'] / 1e6:.2f} M frames/s a hop; {fabric['hops']:.2f} hops a frame")
    click.echo(f"            {fabric['windows']}; {fabric['dropped']:,} dropped, {fabric['generated']} generated")
    bounds = [Bound("speed of a hop, of that of a single switch", share, LEAST_SHARE, at_least=True)]
    told("fabric", bounds, quick, json_path, **said)


@main.command()
@click.argument("lab", type=click.Choice(list(LABS)))
@click.argument("path")
@click.argument("frames", type=int)
def replay(lab: str, path: str, frames: int) -> None:
    """One replay; says in JSON what it came to."""
    marks = Marks()
    half = format_time(DURATION_NS // 2)
    timeline = [(half, LinkDown("esx0.vmnic0"))] if lab == "fabric" else None
    done = LABS[lab]().replay(path, progress=marks, engine="paths", timeline=timeline)
    if lab == "one" and done.counters.dropped:
        raise SystemExit(f"{done.counters.dropped:,} frames were dropped: {done.drops[:3]}")
    steady = [mark for mark in marks.marks if mark[0] >= frames // 5]
    hops = int(done.counters.ports[:, IN, :, FRAMES].sum()) / done.counters.entered
    cpu_s = (steady[-1][1] - steady[0][1]) / (steady[-1][0] - steady[0][0])
    counted = {name: getattr(done.counters, name) for name in ("entered", "generated", "delivered", "dropped")}
    click.echo(json.dumps({**counted, "hops": hops, "per_hop": hops / cpu_s, "windows": done.engine.windows}))


if __name__ == "__main__":
    main()

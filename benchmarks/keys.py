"""Many keys: 1,000,000 pairs of VMs against 200, what learning a pair costs, its memory, and 500,000 IP pairs."""

import json
from pathlib import Path
from typing import Final

import click
import made
import numpy as np
from bounds import Bound, json_option, quick_option, told
from made import Flows, Numbers, Traffic
from processes import Marks, fresh_kernels, marks_of, ns_between, replay_command, run, work_folder

FEW: Final = 200
VMS, QUICK_VMS = 1_001, 201
PAIRS, QUICK_PAIRS = 500_000, 50_000
ROUTER: Final = made.OUTSIDE


def all_pairs(vms: int) -> tuple[Numbers, Numbers]:
    """Sender and receiver of every pair of VMs."""
    source, other = np.divmod(np.arange(vms * (vms - 1)), vms - 1)
    return source, (source + 1 + other) % vms


def marks(name: str, capture: Path, vms: int, folder: Path) -> Marks:
    """A replay of a capture without output, as CPU time by frames."""
    return marks_of(run(replay_command(name, capture, vms=vms, one_vlan=True, marks=True), fresh_kernels(folder)))


def peak_of(name: str, capture: Path, vms: int, folder: Path) -> float:
    """Memory in MB of a replay of a capture with output, at its most."""
    output = folder / "output.pcapng"
    command = replay_command(name, capture, vms=vms, one_vlan=True, output=output)
    said: dict[str, float] = json.loads(run(command, fresh_kernels(folder)).said)
    output.unlink()
    return said["peak_mb"]


def steady_and_filling(traffic: Traffic, vms: int, steady: int, repeat: int, folder: Path) -> tuple[float, ...]:
    """CPU time in ns of a frame with few keys and with many, in µs of the first frame of a pair, and memory in MB."""
    kind = made.on_one_vlan(traffic)
    source, target = all_pairs(vms)
    keys = len(source)
    few_flows = made.flows_of(kind, source[: keys : keys // FEW][:FEW], target[: keys : keys // FEW][:FEW])
    few = made.write(kind, steady, folder / "few.pcap", few_flows)
    pick = made.in_turn_then_at_random(keys)
    many = made.write(kind, keys + steady, folder / "many.pcap", made.flows_of(kind, source, target), pick)
    with_few, with_many, filling = [], [], []
    for _ in range(repeat):
        with_few.append(ns_between(marks(traffic.name, few, vms, folder), steady // 10))
        found = marks(traffic.name, many, vms, folder)
        with_many.append(ns_between(found, keys))
        filling.append(ns_between(found, 1, keys))
    peak_mb = peak_of(traffic.name, many, vms, folder)
    few.unlink()
    many.unlink()
    return min(with_few), min(with_many), (min(filling) - min(with_many)) / 1000, peak_mb


def address_pairs(pairs: int, frames: int, repeat: int, folder: Path) -> tuple[float, float]:
    """CPU time in ns of a frame to a router: few pairs of IP addresses, and many."""
    best = []
    for count in (FEW, pairs):
        numbers = np.arange(count)
        flows: Flows = made.flows_of(made.SMALL, numbers % made.VMS, np.full(count, ROUTER), 0x0B000000 + numbers * 7)
        capture = made.write(made.SMALL, frames, folder / f"pairs-{count}.pcap", flows)
        best.append((capture, list[float]()))
    for _ in range(repeat):
        for capture, found in best:
            found.append(ns_between(marks("small", capture, made.VMS, folder), frames // 10))
    return min(best[0][1]), min(best[1][1])


@click.command(help=__doc__)
@quick_option
@json_option
def main(quick: bool, json_path: Path | None) -> None:
    vms, pairs = (QUICK_VMS, QUICK_PAIRS) if quick else (VMS, PAIRS)
    steady, repeat = (500_000, 2) if quick else (3_000_000, 3)
    keys = vms * (vms - 1)
    bounds = []
    with work_folder() as name:
        for traffic, wanted in ((made.SMALL, 2.0), (made.IMIX, 1.5)):
            few, many, filling, peak_mb = steady_and_filling(traffic, vms, steady, repeat, Path(name))
            click.echo(f"{traffic.name}: a frame {few:.0f} ns with {FEW} keys, {many:.0f} ns with {keys:,}")
            bounds.append(Bound(f"{traffic.name}: {keys:,} keys against {FEW}", many / few, wanted, "×"))
            bounds.append(Bound(f"{traffic.name}: the first frame of a pair", filling, 15, "µs"))
            bounds.append(Bound(f"{traffic.name}: memory with {keys:,} keys, with output", peak_mb, 400, "MB"))
        few, many = address_pairs(pairs, steady, repeat, Path(name))
    click.echo(f"IP hash: a frame {few:.0f} ns with {FEW} pairs of addresses, {many:.0f} ns with {pairs:,}")
    bounds.append(Bound(f"IP hash: {pairs:,} pairs of addresses against {FEW}", many / few, 1.15, "×"))
    told("keys", bounds, quick, json_path)


if __name__ == "__main__":
    main()

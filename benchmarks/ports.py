"""Idle ports cost nothing: 10,000 ports against 4, per frame and per window."""

import time
from pathlib import Path
from typing import Final

import click
import made
from bounds import Bound, json_option, quick_option, told
from processes import fresh_kernels, marks_of, ns_between, replay_command, run, work_folder

from iochain.batch import Instant, batch_of
from iochain.engine.network import Engine, Network

FEW, MANY = 4, 10_000
GAP_NS: Final = 1_000_000


def ns_per_frame(frames: int, repeat: int, folder: Path) -> dict[int, float]:
    """CPU time of a steady frame between the same four VMs, by how many VMs there are; runs take turns."""
    flows = made.usual_flows(made.SMALL, FEW, 20)
    capture = made.write(made.SMALL, frames, folder / "few.pcap", flows)
    best: dict[int, float] = {}
    for _ in range(repeat):
        for vms in (FEW, MANY):
            command = replay_command("small", capture, vms=vms, marks=True)
            ns = ns_between(marks_of(run(command, fresh_kernels(folder))), frames // 5)
            best[vms] = min(ns, best.get(vms, ns))
    return best


def us_per_window(vms: int, windows: int) -> float:
    """CPU time in µs of a window with one frame, by segment that the frame could pass."""
    wiring = made.lab(made.SMALL, vms=vms).wiring
    network = Network.of(wiring, engine=Engine.PATHS)
    frame = bytes.fromhex((made.mac_text(1) + made.mac_text(0)).replace(":", "") + "0800").ljust(60, b"\0")
    batches = [batch_of([(frame, number * GAP_NS)], first_serial=number + 1) for number in range(windows)]
    for batch in batches:
        batch.rows["port"] = wiring.port("vm0").number
    started = 0.0
    for number, batch in enumerate(batches):
        if number == windows // 10:
            started = time.process_time()
        assert len(network.run(batch, Instant((number + 1) * GAP_NS)).delivered) == 1
    segments = len(network.input.junctions) + len(network.output.junctions)
    return (time.process_time() - started) / (windows - windows // 10) / segments * 1e6


@click.command(help=__doc__)
@quick_option
@json_option
def main(quick: bool, json_path: Path | None) -> None:
    frames, repeat, windows = (400_000, 3, 2_000) if quick else (3_000_000, 7, 20_000)
    with work_folder() as name:
        ns = ns_per_frame(frames, repeat, Path(name))
    click.echo(f"a frame: {ns[FEW]:.0f} ns with {FEW} ports, {ns[MANY]:.0f} ns with {MANY:,}")
    few, many = (min(us_per_window(vms, windows) for _ in range(3)) for vms in (FEW, MANY))
    bounds = [
        Bound(f"{MANY:,} ports against {FEW}, a frame", ns[MANY] / ns[FEW], 1.1, "×"),
        Bound(f"a segment and window, {FEW} ports", few, 10, "µs"),
        Bound(f"a segment and window, {MANY:,} ports", many, 10, "µs"),
    ]
    told("ports", bounds, quick, json_path, ns_per_frame=ns)


if __name__ == "__main__":
    main()

"""One replay as a process of its own, which the other benchmarks measure; says in JSON what became of the frames."""

import gc
import json
import os
import resource
import time
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line tool does

import click
import made

from iochain.chain import Drop, Port, Reason, Verdict
from iochain.frame import Frame
from iochain.lab import Lab
from iochain.replay import Replay


class Marks:
    """The process's CPU time after each window, and of it in user mode, by frames so far: how fast a part was."""

    def __init__(self) -> None:
        self.marks: list[tuple[int, float, float]] = []

    def __call__(self, bytes_read: int, bytes_total: int | None, frames: int) -> None:
        """A window is done."""
        self.marks.append((frames, time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_utime))


def function_of_packets(packet: Any) -> Any:
    """Lets every packet pass."""
    return packet


def looks_at_whole_frames(frame: Frame, port: Port) -> Verdict:
    """Lets every frame pass, having looked at it as a packet."""
    return frame if len(frame.scapy) else Drop(Reason.STAGE)


OWN: Final = {"packets": function_of_packets, "whole": looks_at_whole_frames}


@click.command()
@click.argument("traffic", type=click.Choice(list(made.ALL)))
@click.argument("captures", nargs=-1, required=True)
@click.option("--engine", default="paths", help="plain or paths.")
@click.option("-o", "--output", help="Write one pcapng with all frames.")
@click.option("--shaped", is_flag=True, help="Shaping on every port of a VM.")
@click.option("--one-vlan", is_flag=True, help="All VMs on the first VLAN.")
@click.option("--vms", default=made.VMS, help="How many VMs the lab has.")
@click.option("--marks", is_flag=True, help="Say the CPU time after each window too.")
@click.option("--own", type=click.Choice(list(OWN)), help="Put a stage of this kind on the last VM's port.")
@click.option("--offloads", default="esxi", help="esxi, pure or none.")
@click.option("--floods", is_flag=True, help="Frames may be copied: deliveries may outnumber frames.")
def main(
    traffic: str,
    captures: tuple[str, ...],
    engine: str,
    output: str | None,
    shaped: bool,
    one_vlan: bool,
    vms: int,
    marks: bool,
    own: str | None,
    offloads: str,
    floods: bool,
) -> None:
    gc.set_threshold(400_000)  # as the command line tool does
    kind = made.on_one_vlan(made.ALL[traffic]) if one_vlan else made.ALL[traffic]
    progress = Marks()
    lab = made.lab(kind, shaped, vms).with_settings([f"options.offloads={offloads}"])
    if own is not None:
        put_in(lab, own, vms)
    done = lab.replay(*captures, progress=progress if marks else None, output=output, engine=engine)
    _check(done, floods, output is not None)
    print(json.dumps({**said_of(done), "peak_mb": peak_mb(), "marks": progress.marks}))
    gc.freeze()  # this too


def put_in(lab: Lab, own: str, vms: int) -> None:
    """Put a stage into both chains of the last VM's port."""
    port = lab.port(f"vm{vms - 1}")
    for chain in (port.input, port.output):
        chain.insert(OWN[own])


def said_of(done: Replay) -> dict[str, int]:
    """The counters of a replay."""
    counters = done.counters
    return {
        "entered": counters.entered,
        "delivered": counters.delivered,
        "dropped": counters.dropped,
        "written": done.written,
        "stages_ns": sum(stage.ns for stage in done.engine.stages),
        "stages_times": sum(stage.times for stage in done.engine.stages),
    }


def peak_mb() -> float:
    """Most memory that the process had resident, in MB; the system's count of a child begins with its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def _check(done: Replay, floods: bool, is_written: bool) -> None:
    """Every frame is delivered, or the numbers would speak of something else."""
    counters = done.counters
    wrong = counters.dropped or (counters.delivered != counters.entered and not floods)
    if wrong or (is_written and done.written != counters.delivered):
        raise SystemExit(f"not every frame was delivered: {said_of(done)} {done.drops[:5]}")


if __name__ == "__main__":
    main()

"""A function of a Scapy packet on one port of twenty: what frames cost that do not pass it, and those that do."""

import json
from pathlib import Path
from typing import Final

import click
import made
from bounds import Bound, json_option, quick_option, told
from processes import fresh_kernels, marks_of, ns_between, replay_command, run, work_folder

VMS: Final = 20
KINDS: Final = {
    None: "no stage",
    "packets": "a function of packets",
    "whole": "a header stage that looks at the packet",
}
LEAST_RATE: Final = 0.8
"""Of frames that do not pass the stage, against those of a lab without it."""


def captures(frames: int, few: int, folder: Path) -> tuple[Path, Path]:
    """Frames among all VMs but the last and from these to outside; and few frames of all twenty."""
    others = made.write(made.SMALL, frames, folder / "others.pcap", made.usual_flows(made.SMALL, VMS - 1))
    return others, made.write(made.SMALL, few, folder / "all.pcap", made.usual_flows(made.SMALL, VMS))


def ns_of_others(capture: Path, frames: int, repeat: int, environment: dict[str, str]) -> dict[str | None, float]:
    """CPU time in ns of a steady frame that does not pass the stage, by its kind; runs take turns, the least counts."""
    best: dict[str | None, float] = {}
    for _ in range(repeat):
        for kind in KINDS:
            cost = run(replay_command("small", capture, vms=VMS, own=kind, marks=True), environment)
            ns = ns_between(marks_of(cost), frames // 5)
            best[kind] = min(ns, best.get(kind, ns))
    return best


def us_of_own(capture: Path, kind: str, environment: dict[str, str]) -> float:
    """Time on the clock in µs of a frame at the stage, as the summary of the replay names it."""
    said: dict[str, int] = json.loads(run(replay_command("small", capture, vms=VMS, own=kind), environment).said)
    return said["stages_ns"] / max(said["stages_times"], 1) / 1000


@click.command(help=__doc__)
@quick_option
@json_option
def main(quick: bool, json_path: Path | None) -> None:
    frames, repeat = (400_000, 3) if quick else (4_000_000, 7)
    with work_folder() as name:
        folder, environment = Path(name), fresh_kernels(Path(name))
        others, every = captures(frames, 20_000, folder)
        run(replay_command("small", every, vms=VMS), environment)  # the kernels are compiled
        ns = ns_of_others(others, frames, repeat, environment)
        own_us = {kind: us_of_own(every, kind, environment) for kind in KINDS if kind is not None}
    for kind, what in KINDS.items():
        at_it = f"; {own_us[kind]:.0f} µs at the stage" if kind is not None else ""
        click.echo(f"{what}: {ns[kind]:.0f} ns a frame that does not pass it{at_it}")
    bounds = [
        Bound(f"rate beside {what}", ns[None] / ns[kind], LEAST_RATE, "×", at_least=True)
        for kind, what in KINDS.items()
        if kind is not None
    ]
    told(
        "packet_stage", bounds, quick, json_path, others_ns={str(kind): one for kind, one in ns.items()}, own_us=own_us
    )


if __name__ == "__main__":
    main()

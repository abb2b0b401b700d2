"""What offloads cost frames that ask for nothing: small frames with the default uplinks, and without offloads."""

from pathlib import Path
from typing import Final

import click
import made
from bounds import Bound, json_option, quick_option, told
from processes import fresh_kernels, marks_of, ns_between, replay_command, run, work_folder

PROFILES: Final = ("esxi", "pure", "none")
LEAST_RATE: Final = 0.75
"""Of frames with the default offloads, against those without any."""


def ns_of_frames(capture: Path, frames: int, repeat: int, environment: dict[str, str]) -> dict[str, float]:
    """CPU time in ns of a steady frame, by profile; runs take turns, the least counts."""
    best: dict[str, float] = {}
    for _ in range(repeat):
        for profile in PROFILES:
            cost = run(replay_command("small", capture, offloads=profile, marks=True), environment)
            ns = ns_between(marks_of(cost), frames // 5)
            best[profile] = min(ns, best.get(profile, ns))
    return best


@click.command(help=__doc__)
@quick_option
@json_option
def main(quick: bool, json_path: Path | None) -> None:
    frames, repeat = (400_000, 3) if quick else (4_000_000, 7)
    with work_folder() as name:
        folder, environment = Path(name), fresh_kernels(Path(name))
        capture = made.write(made.SMALL, frames, folder / "small.pcap", made.usual_flows(made.SMALL))
        run(replay_command("small", made.write(made.SMALL, 20_000, folder / "few.pcap")), environment)  # compiles
        ns = ns_of_frames(capture, frames, repeat, environment)
    for profile in PROFILES:
        click.echo(f"offloads {profile}: {ns[profile]:.1f} ns a frame")
    bounds = [Bound("rate with offloads", ns["none"] / ns["esxi"], LEAST_RATE, "×", at_least=True)]
    told("idle_offloads", bounds, quick, json_path, frame_ns=ns)


if __name__ == "__main__":
    main()

"""Processes, run whole and measured: CPU time (user and system) as the system counts it, and time on the clock."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from attrs import evolve, frozen

HERE: Final = Path(__file__).parent
SETTLED: Final = 1.04
"""The two cheapest runs of something differ by this factor at most, once there were enough of them."""


@frozen
class Cost:
    """What a process took, in seconds, and what it said on standard output; ``frames_before`` are not in the time."""

    cpu_s: float
    user_s: float
    wall_s: float
    said: str
    frames_before: int = 0


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Cost:
    """Run a program to its end. SystemExit with what it said if it fails: a benchmark of a failure is worth nothing."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env={**os.environ, **(environment or {})},
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        for file in (output, errors):
            file.seek(0)
        if process.returncode:
            words = " ".join(map(str, command))
            raise SystemExit(f"{words}: exit code {process.returncode}\n{errors.read()[-2000:]}")
        return Cost(usage.ru_utime + usage.ru_stime, usage.ru_utime, wall_s, output.read())


def cheapest(costs: Sequence[Cost]) -> Cost:
    """The one of several runs that took least CPU time: what is above it is the machine's other work."""
    return min(costs, key=lambda cost: cost.cpu_s)


def is_settled(costs: Sequence[Cost]) -> bool:
    """Whether two runs took about the least: on a machine that others use too, a least that came once may be luck."""
    least = sorted(cost.cpu_s for cost in costs)[:2]
    return len(least) == 2 and least[1] <= least[0] * SETTLED


Marks = Sequence[tuple[int, float]]
"""CPU seconds of a replay by frames so far (``replaying.py --marks``)."""


def marks_of(cost: Cost) -> Marks:
    """The marks that a replay said."""
    return [(int(frames), float(cpu_s)) for frames, cpu_s, _ in json.loads(cost.said)["marks"]]


def behind(cost: Cost, frames: int) -> Cost:
    """What a replay took behind its first ``frames`` frames, up to the process's end; all of it, if that is one window.

    Both the frames that are left, and the time, begin with the window in which that frame is.
    """
    marks = json.loads(cost.said)["marks"]
    done, cpu_s, user_s = next(mark for mark in marks if mark[0] >= frames)
    if done == marks[-1][0]:
        return cost
    return evolve(cost, cpu_s=cost.cpu_s - cpu_s, user_s=cost.user_s - user_s, frames_before=done)


def ns_between(marks: Marks, first: int, last: int | None = None) -> float:
    """CPU time in ns of a frame, from the first mark at or after frame ``first`` on, up to that for ``last``."""
    begin = next(mark for mark in marks if mark[0] >= first)
    end = marks[-1] if last is None else next(mark for mark in marks if mark[0] >= last)
    return (end[1] - begin[1]) / (end[0] - begin[0]) * 1e9


def work_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for captures that is deleted at the end."""
    return tempfile.TemporaryDirectory(prefix="iochain-benchmark-")


def fresh_kernels(folder: Path) -> dict[str, str]:
    """An environment with a cache of its own: no kernel of an older state of the code is loaded."""
    return {"NUMBA_CACHE_DIR": str(folder / "numba-cache")}


def replay_command(traffic: str, *captures: Path, **options: object) -> list[str]:
    """The command line of benchmarks/replaying.py; options with an underscore for a dash, ``True`` for a flag."""
    words = [sys.executable, str(HERE / "replaying.py"), traffic, *map(str, captures)]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif value not in (None, False):
            words.extend((flag, str(value)))
    return words

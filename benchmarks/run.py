"""The main benchmark: three captures through iochain, and through what else reads and writes captures.

    python benchmarks/run.py [--quick] [--only small,imix,mtu] [--repeat 3] [--most 10] [--json FILE [--write-docs]]
    python benchmarks/run.py --page FILE

Counted is the CPU time (user and system) of whole processes, the least of several runs that take turns. A steady
frame costs (time of the large capture - time of the small one) / the difference in frames, so start-up counts nowhere.
iochain takes longer to start than for many frames, and two starts differ by as much: of it is subtracted what the same
process had taken when it had done as many frames as the small capture has. After so many runs as ``--repeat`` says,
those go on whose two cheapest still differ: the machine's other work was in them.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import click
import made
import pages
from attrs import asdict, define, field, frozen
from bounds import Bound, aligned, json_option, quick_option, read, told
from machine import described
from processes import HERE, Cost, behind, cheapest, fresh_kernels, is_settled, replay_command, run, work_folder

SIZES: Final = {"small": (2_000_000, 12_000_000), "imix": (1_000_000, 6_000_000), "mtu": (300_000, 1_800_000)}
QUICK_SIZES: Final = {"small": (200_000, 2_000_000), "imix": (100_000, 1_000_000), "mtu": (30_000, 300_000)}
SLOW_SIZES: Final = {False: (5_000, 30_000), True: (1_000, 5_000)}
"""Frames for what walks each frame in Python, by whether the sizes are quick."""
FILTERS: Final = {"small": "udp", "imix": "vlan and udp", "mtu": "tcp"}
MEMORY_BYTES: Final = 4_000_000_000

IOCHAIN, IOCHAIN_QUIET = "iochain, one pcapng", "iochain, no output"
SHAPED, SHAPED_QUIET = "iochain, shaped, one pcapng", "iochain, shaped, no output"
PLAIN, COPY, TCPDUMP = "iochain, plain engine", "cp", "tcpdump -r -w, filter"
BASELINE, BASELINE_QUIET = "C program, one pcapng", "C program, no output"
SCAPY, DPKT = "Scapy loop", "dpkt loop"


@frozen
class Job:
    """One capture, and where things are that a contender needs."""

    traffic: made.Traffic
    frames: int
    capture: Path
    output: Path
    ports: Path
    baseline: Path


@frozen
class Contender:
    """Somebody who is measured: the command, and whether it is so slow that it gets few frames."""

    name: str
    command: Callable[[Job], Sequence[str | Path]]
    is_slow: bool = False
    is_iochain: bool = False
    writes: bool = True

    @property
    def has_marks(self) -> bool:
        """Whether it says what it took by frames, so that the large capture tells what a start takes."""
        return self.is_iochain and not self.is_slow


@frozen
class Measured:
    """What a contender took for steady frames of one traffic, at least, and what its runs over the large capture said.

    ``wall_share`` is time on the clock by CPU time of a whole run, the least of all.
    """

    traffic: str
    contender: str
    frames: int
    cpu_s: float
    user_s: float
    wall_share: float
    peak_mb: float | None = None

    @property
    def ns(self) -> float:
        """CPU time of a steady frame, in ns."""
        return self.cpu_s / self.frames * 1e9

    @property
    def user_ns(self) -> float:
        """The user part of it: what the program itself does, with less of the machine's weather."""
        return self.user_s / self.frames * 1e9

    @property
    def per_second(self) -> float:
        """Frames per CPU second."""
        return 1e9 / self.ns


def contenders() -> list[Contender]:
    """All who can be measured here; those who are compared stand together, in the same weather of the machine."""
    c_program, tcpdump = shutil.which("cc"), shutil.which("tcpdump")
    found = [
        Contender(IOCHAIN, lambda job: _replay(job, output=job.output), is_iochain=True),
        c_program and Contender(BASELINE, lambda job: [job.baseline, job.capture, job.ports, job.output]),
        Contender(SHAPED, lambda job: _replay(job, output=job.output, shaped=True), is_iochain=True),
        tcpdump and Contender(TCPDUMP, _tcpdump),
        Contender(COPY, lambda job: ["cp", job.capture, job.output]),
        Contender(IOCHAIN_QUIET, lambda job: _replay(job), is_iochain=True, writes=False),
        c_program and Contender(BASELINE_QUIET, lambda job: [job.baseline, job.capture, job.ports], writes=False),
        Contender(SHAPED_QUIET, lambda job: _replay(job, shaped=True), is_iochain=True, writes=False),
        Contender(PLAIN, lambda job: _replay(job, engine="plain"), is_slow=True, is_iochain=True, writes=False),
        Contender(SCAPY, lambda job: _loop(job, "scapy"), is_slow=True),
        find_spec("dpkt") and Contender(DPKT, lambda job: _loop(job, "dpkt"), is_slow=True),
    ]
    return [who for who in found if isinstance(who, Contender)]


def compiled_baseline(folder: Path) -> Path:
    """The C program, compiled."""
    program = folder / "baseline"
    run(["cc", "-O3", "-o", program, HERE / "baseline.c"])
    return program


@define
class Course:
    """A run of all contenders over all traffic."""

    folder: Path
    sizes: dict[str, tuple[int, int]]
    slow: tuple[int, int]
    repeat: int
    most: int
    environment: dict[str, str]
    baseline: Path = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.baseline = compiled_baseline(self.folder) if shutil.which("cc") else self.folder / "no-compiler"

    def measured(self, name: str) -> list[Measured]:
        """All contenders over one traffic, taking turns until the least of each is settled."""
        turns = [(who, frames) for who in contenders() for frames in self._frames(name, who)]
        costs: Costs = {(who.name, frames): [] for who, frames in turns}
        for number in range(1, max(self.repeat, self.most) + 1):
            if number > self.repeat:
                turns = [turn for turn in turns if not self._is_settled(name, *turn, costs)]
            for who, frames in turns:
                _progress(f"{name}: {who.name}, {frames:,} frames, run {number}")
                costs[who.name, frames].append(self._run(who, self.job(name, frames)))
        _progress("")
        return [self._measured(name, who, costs) for who in contenders()]

    def job(self, name: str, frames: int) -> Job:
        """A capture of so many frames, made if it is not there, and the ports of its lab."""
        traffic = made.ALL[name]
        capture = made.write(traffic, frames, self.folder / f"{name}-{frames}.pcap")
        ports = self.folder / f"{name}.ports"
        if not ports.exists():
            made.write_ports(made.lab(traffic).wiring.ports, ports)
        return Job(traffic, frames, capture, self.folder / "output", ports, self.baseline)

    def memory(self, name: str) -> tuple[float, float]:
        """Peak memory in MB of a replay with output, and how many GB were read: the capture as often as makes 4 GB."""
        job = self.job(name, self.sizes[name][1])
        size = job.capture.stat().st_size
        times = min(4, -(-MEMORY_BYTES // size))
        command = replay_command(name, *[job.capture] * times, output=job.output)
        _progress(f"memory: {name}, {times} times at once")
        cost = run(command, self.environment)
        job.output.unlink()
        _progress("")
        return float(json.loads(cost.said)["peak_mb"]), times * size / 1e9

    def _frames(self, name: str, who: Contender) -> tuple[int, ...]:
        """The sizes that are run: both, or the large one."""
        if who.has_marks:
            return self.sizes[name][1:]
        return self.slow if who.is_slow else self.sizes[name]

    def _is_settled(self, name: str, who: Contender, frames: int, costs: "Costs") -> bool:
        return is_settled(self._counted(name, who, costs[who.name, frames]))

    def _counted(self, name: str, who: Contender, costs: Sequence[Cost]) -> list[Cost]:
        """What counts of runs."""
        return [behind(cost, self.sizes[name][0]) for cost in costs] if who.has_marks else list(costs)

    def _run(self, who: Contender, job: Job) -> Cost:
        """One run; the last output is deleted before it, so that nobody pays for cutting that off."""
        job.output.unlink(missing_ok=True)
        if who.writes and not who.is_slow:
            touch_memory(job.output, job.capture.stat().st_size * 7 // 5)
        cost = run(who.command(job), self.environment)
        _check(who, job, cost)
        return cost

    def _measured(self, name: str, who: Contender, costs: "Costs") -> Measured:
        sizes = self._frames(name, who)
        large = costs[who.name, sizes[-1]]
        best = cheapest(self._counted(name, who, large))
        frames, cpu_s, user_s = sizes[-1] - best.frames_before, best.cpu_s, best.user_s
        if not who.has_marks:
            small = cheapest(costs[who.name, sizes[0]])
            if small.cpu_s < best.cpu_s:  # else noise is greater than the difference, and all frames count
                frames, cpu_s, user_s = frames - sizes[0], cpu_s - small.cpu_s, user_s - small.user_s
        peak = max(float(json.loads(cost.said)["peak_mb"]) for cost in large) if who.is_iochain else None
        share = min(cost.wall_s / max(cost.cpu_s, 1e-6) for cost in large)
        return Measured(name, who.name, frames, cpu_s, user_s, share, peak)


Costs = dict[tuple[str, int], list[Cost]]
"""Of all runs by contender and number of frames."""


def bounds_of(results: Sequence[Measured]) -> list[Bound]:
    """What is wanted of the numbers, as far as they were measured."""
    by_name = {(one.traffic, one.contender): one for one in results}
    found: list[Bound] = []

    def times(what: str, name: str, one: str, other: str, wanted: float, at_least: bool = False) -> None:
        """CPU time of one by that of the other; with ``at_least`` its speed by that of the other."""
        if (name, one) in by_name and (name, other) in by_name:
            ratio = by_name[name, one].ns / by_name[name, other].ns
            found.append(Bound(f"{name}: {what}", 1 / ratio if at_least else ratio, wanted, "×", at_least))

    for name in made.ALL:
        is_small = name == "small"
        times("speed against tcpdump", name, IOCHAIN, TCPDUMP, 1.1 if is_small else 1.2, at_least=True)
        times("CPU against C, with output", name, IOCHAIN, BASELINE, 2 if is_small else 1.5)
        times("CPU against C, without output", name, IOCHAIN_QUIET, BASELINE_QUIET, 2)
        if name != "mtu":
            times("shaped against not, with output", name, SHAPED, IOCHAIN, 1.75 if is_small else 1.3)
            times("shaped against not, without output", name, SHAPED_QUIET, IOCHAIN_QUIET, 1.75 if is_small else 1.3)
        times("speed of C against cp", name, BASELINE, COPY, 0.6, at_least=True)
    if ("imix", IOCHAIN) in by_name:
        found.append(Bound("imix: clock by CPU, with output", by_name["imix", IOCHAIN].wall_share, 0.75, "×"))
    return found


def touch_memory(scratch: Path, size: int) -> None:
    """Have the page cache hold so many bytes once, and let go of them.

    A virtual machine gives memory back to its host that was free for seconds, and pays two or three times as much for
    the next page cache as one that still has it.
    """
    piece = bytes(1 << 20)
    with scratch.open("wb") as file:
        for _ in range(size >> 20):
            file.write(piece)
    scratch.unlink()


def _replay(job: Job, **options: object) -> list[str]:
    return replay_command(job.traffic.name, job.capture, marks=options.get("engine") != "plain", **options)


def _loop(job: Job, which: str) -> list[str | Path]:
    return [sys.executable, HERE / "loops.py", which, job.capture, job.output]


def _tcpdump(job: Job) -> list[str | Path]:
    return ["tcpdump", "-r", job.capture, "-w", job.output, FILTERS[job.traffic.name]]


def _check(who: Contender, job: Job, cost: Cost) -> None:
    """Who lost frames is not compared."""
    if who.name in (COPY, TCPDUMP, SCAPY, DPKT):
        if job.output.stat().st_size != job.capture.stat().st_size:
            raise SystemExit(f"{who.name}: {job.output} is not as long as {job.capture}")
    elif json.loads(cost.said)["delivered"] != job.frames:
        raise SystemExit(f"{who.name}: not every frame was delivered: {cost.said}")


def _progress(words: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{words}", nl=False, err=True)
    elif words:
        click.echo(words, err=True)


def _check_room(folder: Path, sizes: dict[str, tuple[int, int]], names: Sequence[str]) -> None:
    """Captures, and an output of up to twice the largest one, have to fit."""
    needed = [sum(made.size_of(made.ALL[name], frames) for frames in sizes[name]) for name in names]
    wanted = sum(needed) + 2 * MEMORY_BYTES
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise SystemExit(f"{folder}: {free / 1e9:.1f} GB are free, {wanted / 1e9:.1f} GB are needed; see --folder")


@contextmanager
def _work_folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with work_folder() as name:
        yield Path(name)


def table_of(results: Sequence[Measured]) -> tuple[list[str], list[list[str]]]:
    """Head and rows: million frames per CPU second, and ns per frame, of each contender over each traffic."""
    names = list(dict.fromkeys(one.traffic for one in results))
    by_name = {(one.traffic, one.contender): one for one in results}
    rows = []
    for who in dict.fromkeys(one.contender for one in results):
        some = [by_name[name, who] for name in names]
        ns = (f"{one.ns:,.1f} ({one.user_ns:,.1f})" for one in some)
        rows.append([who, *(_frames_text(one.per_second) for one in some), *ns])
    return ["", *names, *(f"{name}, ns (user)" for name in names)], rows


def _frames_text(per_second: float) -> str:
    return f"{per_second / 1e6:.2f} M" if per_second >= 1e6 else f"{per_second / 1e3:.3g} k"


@click.command(help=__doc__.partition("\n")[0])
@quick_option
@json_option
@click.option("--only", default=",".join(made.ALL), help="small, imix, mtu, or several with commas.")
@click.option("--repeat", default=3, help="How many runs of each at least; the cheapest counts.")
@click.option("--most", default=10, help="How many runs of one at most, where the two cheapest differ by over 4 %.")
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), help="Keep captures here, for the next run."
)
@click.option("--no-memory", is_flag=True, help="Leave out the run over 4 GB.")
@click.option("--write-docs", is_flag=True, help="Put the numbers of the JSON file into docs/performance.md then.")
@click.option("--page", type=click.Path(exists=True, path_type=Path), help="Put those of a file there, and do no more.")
def main(
    quick: bool,
    json_path: Path | None,
    only: str,
    repeat: int,
    most: int,
    folder: Path | None,
    no_memory: bool,
    write_docs: bool,
    page: Path | None,
) -> None:
    if page is not None:
        pages.write(read(page))
        return
    if write_docs and json_path is None:
        raise click.UsageError("--write-docs takes its numbers from a file: give --json too")
    names = only.split(",")
    if unknown := set(names) - set(made.ALL):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: there are {', '.join(made.ALL)}")
    sizes = QUICK_SIZES if quick else SIZES
    with _work_folder(folder) as place:
        _check_room(place, sizes, names)
        environment = fresh_kernels(place)
        shutil.rmtree(place / "numba-cache", ignore_errors=True)
        course = Course(place, sizes, SLOW_SIZES[quick], repeat, most, environment)
        for name in names:
            run(
                replay_command(name, course.job(name, SLOW_SIZES[quick][0]).capture, output=place / "output"),
                environment,
            )
        results = [one for name in names for one in course.measured(name)]
        bounds = bounds_of(results)
        if not no_memory:
            peak_mb, size_gb = course.memory(names[-1])
            bounds.append(Bound(f"{names[-1]}: memory, {size_gb:.1f} GB with output", peak_mb, 250, "MB"))
    click.echo(aligned(*table_of(results)))
    click.echo("frames per CPU second; ns of CPU time per frame, and of them in user mode\n")
    document: dict[str, Any] = {"machine": described(), "results": [asdict(one) for one in results]}
    head, rows = table_of(results)
    told("replay", bounds, quick, json_path, **document, head=head, rows=rows, repeat=repeat, most=most)
    if write_docs and json_path:
        pages.write(read(json_path))


if __name__ == "__main__":
    main()

"""The benchmarks measure what they say: their captures are right, every frame is delivered, the C program agrees."""

import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q
from scapy.utils import PcapReader

from iochain.capture import read_captures

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))  # its programs find each other as scripts do

import bounds
import flood
import keys
import made
import pages
import ports
import processes
import run
from bounds import Bound

FRAMES = 480
TRAFFIC = list(made.ALL.values())

each_traffic = pytest.mark.parametrize("traffic", TRAFFIC, ids=lambda traffic: traffic.name)
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmarks")


def capture_of(traffic: made.Traffic, folder: Path) -> Path:
    return made.write(traffic, FRAMES, folder / f"{traffic.name}.pcap")


def frames_of(capture: Path) -> Counter[tuple[str, bytes]]:
    """How often each frame is in a capture, by the name of its interface."""
    found: Counter[tuple[str, bytes]] = Counter()
    with read_captures([str(capture)]) as reader:
        for batch, _ in reader:
            numbers = batch.column("interface").tolist()
            found.update((reader.interfaces[n].name, batch.frame_bytes(i)) for i, n in enumerate(numbers))
    return found


@each_traffic
def test_captures_are_right(traffic: made.Traffic, folder: Path) -> None:
    capture = capture_of(traffic, folder)
    assert capture.stat().st_size == made.size_of(traffic, FRAMES)
    with PcapReader(str(capture)) as reader:
        frames = list(reader)
    beside = 4 if traffic.tagged else 0
    assert [len(frame) for frame in frames] == [
        traffic.lengths[i % len(traffic.lengths)] + beside for i in range(FRAMES)
    ]
    macs = {made.mac_text(vm): vm for vm in range(made.VMS)}
    inside = 0
    for frame in frames:
        vlan = traffic.vlans[macs[frame.src] % len(traffic.vlans)]
        assert (frame[Dot1Q].vlan if Dot1Q in frame else None) == (vlan if traffic.tagged else None)
        assert frame[IP].len == len(frame) - beside - 14
        assert (UDP if traffic.protocol == 17 else TCP) in frame
        if frame.dst in macs:
            inside += 1
            assert frame.dst != frame.src
            assert traffic.vlans[macs[frame.dst] % len(traffic.vlans)] == vlan
    assert FRAMES // 4 < inside < FRAMES * 3 // 4
    times = [int(frame.time * 10**9) for frame in frames]
    assert set(np.diff(times).tolist()) == {traffic.gap_ns}


@pytest.mark.parametrize("shaped", [False, True], ids=["unshaped", "shaped"])
@pytest.mark.parametrize("engine", ["plain", "paths"])
@each_traffic
def test_every_frame_is_delivered(traffic: made.Traffic, engine: str, shaped: bool, folder: Path) -> None:
    output = folder / "out.pcapng"
    done = made.lab(traffic, shaped).replay(capture_of(traffic, folder), engine=engine, output=str(output))
    assert done.drops == []
    assert done.counters.entered == done.counters.delivered == done.written == FRAMES
    ports = {name for name, _ in frames_of(output)}
    assert {"vmnic0", "vmnic1"} < ports


@needs_cc
@each_traffic
def test_the_c_program_delivers_the_same_frames(traffic: made.Traffic, folder: Path) -> None:
    capture, lab = capture_of(traffic, folder), made.lab(traffic)
    made.write_ports(lab.wiring.ports, folder / "ports")
    lab.replay(capture, output=str(folder / "ours.pcapng"))
    command = [run.compiled_baseline(folder), capture, folder / "ports"]
    assert processes.run(command).said == processes.run([*command, folder / "theirs.pcapng"]).said
    assert frames_of(folder / "theirs.pcapng") == frames_of(folder / "ours.pcapng")


@needs_cc
def test_a_course_measures_all_sizes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [who for who in run.contenders() if who.name in (run.IOCHAIN, run.BASELINE, run.COPY)]
    monkeypatch.setattr(run, "contenders", lambda: chosen)
    results = run.Course(folder, {"small": (100, 20_000)}, (10, 20), 1, 1, {}).measured("small")
    assert [one.contender for one in results] == [who.name for who in chosen]
    assert all(one.frames <= 20_000 and one.ns > 0 for one in results)
    assert next(one.frames for one in results if one.contender == run.IOCHAIN) < 20_000 - 10_000
    head, rows = run.table_of(results)
    assert len(head) == len(rows[0]) == 3
    assert [bound.what for bound in run.bounds_of(results)] == [
        "small: CPU against C, with output",
        "small: speed of C against cp",
    ]


def test_all_pairs_are_met_once_first(folder: Path) -> None:
    source, target = keys.all_pairs(6)
    pairs = set(zip(source.tolist(), target.tolist(), strict=True))
    assert pairs == {(a, b) for a in range(6) for b in range(6) if a != b}
    pick = made.in_turn_then_at_random(30)
    first = np.concatenate([pick(0, 20), pick(20, 20)])
    assert sorted(first[:30].tolist()) == list(range(30))
    assert set(first[30:].tolist()) <= set(range(30))


@pytest.mark.parametrize("engine", ["plain", "paths"])
def test_many_pairs_are_delivered(engine: str, folder: Path) -> None:
    kind = made.on_one_vlan(made.IMIX)
    flows = made.flows_of(kind, *keys.all_pairs(6))
    capture = made.write(kind, 60, folder / "pairs.pcap", flows, made.in_turn_then_at_random(30))
    done = made.lab(kind, vms=6).replay(capture, engine=engine)
    assert done.drops == []
    assert done.counters.delivered == 60


@pytest.mark.parametrize("engine", ["plain", "paths"])
def test_floods_reach_everybody(engine: str, folder: Path) -> None:
    done = made.lab(made.SMALL, vms=12).replay(flood.broadcasts(12, folder / "flood.pcap"), engine=engine)
    assert done.drops == []
    assert done.counters.delivered == 12 * 12


def test_a_window_is_measured() -> None:
    assert 0 < ports.us_per_window(4, 20) < 100_000


def test_a_process_that_fails_is_no_measurement() -> None:
    with pytest.raises(SystemExit, match="exit code 3"):
        processes.run(["sh", "-c", "echo no >&2; exit 3"])


def test_steady_frames_cost_the_difference() -> None:
    one = run.Measured("small", run.COPY, 10_000, 0.001, 0.0005, 1.0)
    assert one.ns == pytest.approx(100)
    assert one.user_ns == pytest.approx(50)
    assert one.per_second == pytest.approx(10_000_000)
    marks = [(0, 1.0), (100, 1.5), (200, 1.5), (400, 1.50002)]
    assert processes.ns_between(marks, 150) == pytest.approx(100)
    assert processes.ns_between(marks, 0, 50) == pytest.approx(5_000_000)


def test_of_a_replay_counts_what_is_behind_the_frames_of_the_small_capture() -> None:
    said = '{"marks": [[100, 1.0, 0.5], [250, 1.25, 0.75], [400, 1.5, 1.0]]}'
    cost = processes.Cost(2.0, 1.5, 3.0, said)
    assert processes.behind(cost, 200) == processes.Cost(0.75, 0.75, 3.0, said, 250)
    assert processes.behind(cost, 300) == cost  # nothing is behind them


def test_a_least_is_settled_once_it_came_twice() -> None:
    costs = [processes.Cost(cpu_s, 0.0, 0.0, "") for cpu_s in (1.5, 1.0, 1.03)]
    assert processes.is_settled(costs)
    assert not processes.is_settled(costs[:2])
    assert not processes.is_settled(costs[:1])


@pytest.mark.parametrize(
    ("measured", "wanted", "at_least", "met"),
    [(1.0, 2.0, False, True), (3.0, 2.0, False, False), (1.0, 2.0, True, False), (2.0, 2.0, True, True)],
)
def test_bounds(measured: float, wanted: float, at_least: bool, met: bool) -> None:
    bound = Bound("this", measured, wanted, "×", at_least)
    assert bound.is_met == met
    assert bound.row[3] == ("pass" if met else "FAIL")


def test_the_page_keeps_what_is_written_by_hand(tmp_path: Path) -> None:
    page, numbers = tmp_path / "performance.md", tmp_path / "numbers.json"
    page.write_text(f"# Performance\n\n{pages.BEGIN}\nold\n{pages.END}\n\nBy hand.\n")
    head, rows = ["", "small"], [["cp", "40 M"]]
    bounds.told("start", [Bound("--help", 0.1, 0.15, "s")], True, numbers, cpu_s=[0.1])
    bounds.told("replay", [], False, numbers, machine={"CPU": "X"}, head=head, rows=rows, repeat=3, most=10)
    document = bounds.read(numbers)
    pages.write(document, page)
    pages.write(document, page)
    text = page.read_text()
    assert text.startswith("# Performance\n")
    assert text.endswith("\nBy hand.\n")
    assert "old" not in text
    assert text.count("| cp | 40 M |") == 1
    assert "| --help | 0.1 s | at most 0.15 s | pass |" in text
    assert "`--quick`" in text

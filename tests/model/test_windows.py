"""Neither the pieces in which captures are read nor the windows in which a network runs change a byte of the result."""

import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from comparisons import EXAMPLES, long_run
from hypothesis import event, given
from hypothesis import strategies as st

from iochain import Lab
from iochain.batch import FOREVER, Instant, batch_of
from iochain.engine.counters import Counters
from iochain.engine.network import Engine, Network
from iochain.replay import Fate, Replay, fates_of

PIECES = [256, 300, 1000, 4096, 1 << 20]
START_NS = 1_700_000_000_000_000_000
MACS = {name: bytes.fromhex("0050560000") + bytes([i]) for i, name in enumerate(("web", "db", "app", "sniffer"), 1)}
ROUTER = bytes.fromhex("0200000000fe")
BROADCAST = b"\xff" * 6

property_run = long_run(EXAMPLES // 2)


def slow_lab() -> Lab:
    """Shapers, slow uplinks with short queues, a promiscuous port, several VLANs: many frames are held, some lost."""
    lab = Lab()
    host = lab.host("esx1", settings={"Net.MaxNetifTxQueueLen": 4})
    host.nic("vmnic0", speed="10 Mbit/s").nic("vmnic1", speed="100 Mbit/s")
    switch = host.vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"])
    shaped = switch.portgroup("Shaped", vlan=10, shaping={"average": "5 Mbit/s", "peak": "20 Mbit/s", "burst": "4 KB"})
    shaped.vm("web", mac=MACS["web"].hex(":"))
    shaped.vm("db", mac=MACS["db"].hex(":"))
    switch.portgroup("Free", vlan=10).vm("app", mac=MACS["app"].hex(":"))
    switch.portgroup("Watch", vlan=4095, promiscuous="accept").vm("sniffer", promiscuous=True)
    return lab


Sent = tuple[int, bytes]


@st.composite
def streams(draw: st.DrawFn) -> list[Sent]:
    """Frames with their times; bursts at one moment, and gaps in which nothing or everything drains."""
    time_ns = START_NS + draw(st.sampled_from([0, 0, 1, 1_000_000]))
    frames: list[Sent] = []
    for _ in range(draw(st.integers(1, 60))):
        time_ns += draw(st.sampled_from([0, 0, 0, 1, 67_200, 800_000, 5_000_000]))
        sender = draw(st.sampled_from(["web", "web", "db", "app", "router"]))
        source = MACS.get(sender, ROUTER)
        destination = draw(st.sampled_from([MACS["web"], MACS["app"], MACS["sniffer"], ROUTER, ROUTER, BROADCAST]))
        tag = b"\x81\x00\x00\x0a" if sender == "router" else b""
        body = bytes([len(frames)]) * draw(st.sampled_from([10, 100, 800, 1400]))
        frames.append((time_ns, destination + source + tag + b"\x88\xb5" + body))
    return frames


def pcap(frames: Sequence[Sent]) -> bytes:
    """A pcap with times in nanoseconds."""
    made = struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
    for time_ns, data in frames:
        made += struct.pack("<IIII", *divmod(time_ns, 10**9), len(data), len(data)) + data
    return made


def counted(counters: Counters) -> tuple[Any, ...]:
    """All that counters say, to compare."""
    drops = sorted(
        (str(drop.dropped), drop.frames, drop.bytes, drop.first_order, drop.first_time_ns)
        for drop in counters.drops.values()
    )
    sums = (counters.entered, counters.copied, counters.split, counters.delivered, counters.dropped, counters.merged)
    return counters.ports.tolist(), drops, sums


@property_run
@given(st.lists(streams(), min_size=1, max_size=3), st.sampled_from(PIECES))
def test_the_size_of_pieces_changes_no_byte(captures: list[list[Sent]], piece_bytes: int) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f"{number}.pcap" for number in range(len(captures))]
        for path, frames in zip(paths, captures, strict=True):
            path.write_bytes(pcap(frames))
        whole, cut = (replayed(paths, folder / f"out{size}.pcapng", size) for size in (1 << 24, piece_bytes))
        assert (folder / f"out{piece_bytes}.pcapng").read_bytes() == (folder / f"out{1 << 24}.pcapng").read_bytes()
    assert counted(cut.counters) == counted(whole.counters)
    assert cut.entries == whole.entries
    assert (cut.first_ns, cut.last_ns, cut.written) == (whole.first_ns, whole.last_ns, whole.written)
    event(f"drops: {whole.counters.dropped > 0}")


def replayed(paths: Sequence[Path], output: Path, piece_bytes: int) -> Replay:
    """A replay whose sums hold at its end."""
    done = slow_lab().replay(*paths, output=str(output), piece_bytes=piece_bytes)
    done.counters.check(0)
    return done


@st.composite
def cuts(draw: st.DrawFn, frames: Sequence[Sent]) -> list[Instant]:
    """Ends of windows: at a frame, so that it is the first of the next, or at a time between and after frames."""
    first, last = frames[0][0], frames[-1][0]
    at_frame = st.integers(0, len(frames) - 1).map(lambda i: Instant(frames[i][0], i + 1))
    at_time = st.integers(first, last + 20_000_000).map(Instant)
    return [*sorted(draw(st.lists(st.one_of(at_frame, at_time), max_size=8))), FOREVER]


@pytest.mark.parametrize("engine", Engine)
@property_run
@given(st.data())
def test_windows_change_nothing(engine: Engine, data: st.DataObject) -> None:
    frames = data.draw(streams(), "frames")
    ends = data.draw(cuts(frames), "ends of windows")
    whole, counters = run(frames, [FOREVER], engine)
    cut, other_counters = run(frames, ends, engine)
    assert cut == whole
    assert counted(other_counters) == counted(counters)


def run(frames: Sequence[Sent], ends: Sequence[Instant], engine: Engine) -> tuple[list[Fate], Counters]:
    """All fates and the counters of a network that runs in these windows; at the end of each the sums hold."""
    wiring = slow_lab().wiring
    network = Network.of(wiring, engine=engine)
    batch = batch_of([(frame, time_ns) for time_ns, frame in frames])
    ports = {MACS[name]: wiring.port(name).number for name in MACS}
    batch.rows["port"] = [ports.get(frame[6:12], wiring.port("vmnic0").number) for _, frame in frames]
    places = [Instant(time_ns, order) for order, (time_ns, _) in enumerate(frames, 1)]
    fates: list[Fate] = []
    for begin, end in pairwise([Instant(0), *ends]):
        inside = [begin <= place < end for place in places]
        here = batch[inside]
        found = list(fates_of(wiring, network.run(here, end)))
        assert all(fate.time_ns <= end.time_ns for fate in found)
        fates.extend(found)
    network.counters.check(network.held)
    assert network.held == 0
    return fates, network.counters

"""Both engines replay random captures alike, whatever the size of pieces: entry rules, output, counters.

Frames of a capture find their port by the entry chain, and may go from there to an output chain by one look-up; the
labs, frames and users' stages are those of the other comparison.
"""

import os
import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from changing_labs import START_NS, Send, Story, Tables, stories
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from labs_and_frames import as_iochain

import iochain
from iochain.replay import Replay

EXAMPLES = int(os.environ.get("IOCHAIN_EXAMPLES", "200")) // 2
LEAST_DELIVERED = 0.3
REPEATED = 8
"""A story's frames come so many times, so that most are known."""

met: Counter[str] = Counter()


def lab_of(story: Story) -> iochain.Lab:
    """The lab of the first run, with users' stages in the chains of its ports."""
    lab, tables = as_iochain(story.lab).with_settings(story.runs[0].settings), Tables()
    for number, one in enumerate(story.own):
        if one.chain != "switch":
            port = lab.port(one.place)
            chain = port.input if one.chain == "input" else port.output
            names = chain.names
            before = names[one.at] if one.at < len(names) else None
            chain.insert(tables.stage(one.kind), before=before, name=f"own {number}: {one.kind}")
    return lab


def pcap(sends: Sequence[Send]) -> bytes:
    """A pcap with times in nanoseconds."""
    time_ns, made = START_NS, struct.pack("<IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 18, 1)
    for send in sends:
        time_ns += send.gap_ns
        made += struct.pack("<IIII", *divmod(time_ns, 10**9), len(send.data), len(send.data)) + send.data
    return made


def replayed(lab: iochain.Lab, capture: Path, engine: str, piece_bytes: int) -> tuple[Replay, bytes]:
    """The replay, and the output."""
    output = capture.with_suffix(f".{engine}.{piece_bytes}.pcapng")
    done = lab.replay(capture, output=output, engine=engine, piece_bytes=piece_bytes)
    done.counters.check(0)
    return done, output.read_bytes()


def counted(done: Replay) -> tuple[object, ...]:
    """All that is counted."""
    counters = done.counters
    drops = sorted(map(repr, counters.drops.values()))
    return counters.ports.tolist(), drops, done.entries, counters.delivered, counters.copied, counters.split


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_replays_agree(data: st.DataObject) -> None:
    story: Story = data.draw(stories(), "story")
    sends = [one for window in story.runs[0].windows for one in window if isinstance(one, Send)] * REPEATED
    pieces = data.draw(st.sampled_from([300, 4096, 1 << 20]), "size of pieces")
    lab = lab_of(story)
    with TemporaryDirectory() as folder:
        capture = Path(folder) / "capture.pcap"
        capture.write_bytes(pcap(sends))
        plain, output = replayed(lab, capture, "plain", 1 << 20)
        paths, other = replayed(lab, capture, "paths", pieces)
    assert counted(paths) == counted(plain)
    assert other == output
    met.update({"frames": len(sends), "delivered": min(len(sends), plain.counters.delivered)})
    met.update({"plain walks": plain.engine.walks, "walks": paths.engine.walks})


def test_many_frames_were_delivered_and_remembered() -> None:
    if not met:
        pytest.skip("the comparison did not run here")
    assert met["delivered"] >= LEAST_DELIVERED * met["frames"]
    assert met["walks"] <= met["plain walks"] / 2

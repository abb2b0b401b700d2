"""Both engines replay random captures alike, whatever the size of pieces: entry rules, output, counters.

Frames of a capture find their port by the entry chain, and may go from there to an output chain by one look-up; the
labs, frames and users' stages are those of the other comparison.
"""

import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from changing_labs import START_NS, Send, Story, Tables, stories
from comparisons import EXAMPLES, assert_many_were_delivered, long_run
from hypothesis import given
from hypothesis import strategies as st
from labs_and_frames import as_iochain

import iochain
from iochain.replay import Replay

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


@long_run(EXAMPLES // 2)
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
    met.update({"frame": len(sends), "delivered": min(len(sends), plain.counters.delivered)})
    met.update({"plain walks": plain.engine.walks, "walks": paths.engine.walks})


def test_many_frames_were_delivered_and_remembered() -> None:
    assert_many_were_delivered(met)
    assert met["walks"] <= met["plain walks"] / 2

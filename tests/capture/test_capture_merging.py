"""Several captures as one: order, pieces, numbers of interfaces, the beginning and the end."""

import gzip
from pathlib import Path

import pytest
from captures_made import (
    BIG,
    LITTLE,
    Sent,
    block,
    frame,
    interface,
    nanoseconds,
    old_packet,
    packet,
    pcap,
    read_whole,
    section,
    seen,
    simple_packet,
    written,
)
from hypothesis import event, given, settings
from hypothesis import strategies as st

from iochain.batch import FOREVER, Instant, order_of
from iochain.capture import read_captures


def test_order(tmp_path: Path) -> None:
    """Time first, then the source, then the number in it."""
    paths = [
        written(tmp_path, pcap([Sent(time, frame(time)) for time in times]), name)
        for name, times in (("a", [10, 20, 20, 40]), ("b", [5, 20, 20, 50]), ("c", []), ("d", [20]))
    ]
    _, batch = read_whole(*paths)
    expected = [(5, 1, 1), (10, 0, 1)]
    expected += [(20, 0, 2), (20, 0, 3), (20, 1, 2), (20, 1, 3), (20, 3, 1), (40, 0, 4), (50, 1, 4)]
    assert batch.column("time_ns").tolist() == [time for time, _, _ in expected]
    assert batch.column("order").tolist() == [order_of(source, serial) for _, source, serial in expected]
    assert batch.column("interface").tolist() == [1, 0, 0, 0, 1, 1, 3, 0, 1]


def test_interfaces_that_are_described_late(tmp_path: Path) -> None:
    """Those before a source's first frame come first; the others in the order of their frames, the unused last."""
    first = section() + nanoseconds(name="a0") + packet(1, frame(1)) + nanoseconds(name="a1") + nanoseconds(name="a2")
    first += packet(50, frame(2), 2) + packet(60, frame(3), 0) + interface(link=113)
    second = section() + nanoseconds(name="b0") + interface(link=105) + packet(2, frame(4)) + nanoseconds(name="b1")
    second += packet(40, frame(5), 2)
    paths = [written(tmp_path, first, "a"), written(tmp_path, second, "b")]
    for piece_bytes in (256, 1 << 20):
        reader, batch = read_whole(*paths, piece_bytes=piece_bytes)
        names = [reader.interfaces[number].name for number in batch.column("interface").tolist()]
        assert names == ["a0", "b0", "b1", "a2", "a0"]
        assert [i.name or i.link_name for i in reader.interfaces] == [
            "a0",
            "b0",
            "IEEE802_11",
            "b1",
            "a2",
            "a1",
            "LINUX_SLL",
        ]


@pytest.mark.parametrize("piece_bytes", [256, 1 << 20])
def test_beginning_end_and_limit(tmp_path: Path, piece_bytes: int) -> None:
    frames = [Sent(time, frame(time)) for time in range(0, 1000, 10)]
    paths = [written(tmp_path, pcap(frames), "a"), written(tmp_path, pcap(frames), "b")]
    for start, stop, limit, expected in [
        (100, 150, None, [100, 100, 110, 110, 120, 120, 130, 130, 140, 140]),
        (101, 121, None, [110, 110, 120, 120]),
        (980, None, None, [980, 980, 990, 990]),
        (None, 11, None, [0, 0, 10, 10]),
        (None, None, 3, [0, 0, 10]),
        (500, None, 1, [500]),
        (500, 500, None, []),
        (2000, None, None, []),
        (None, None, 0, []),
        (-5, 1, None, [0, 0]),
    ]:
        reader, batch = read_whole(*paths, piece_bytes=piece_bytes, start_ns=start, stop_ns=stop, limit=limit)
        assert batch.column("time_ns").tolist() == expected
        assert [source.ending for source in reader.sources] == [None, None]


def test_the_last_frame_waits_for_the_next_and_keeps_its_memory(tmp_path: Path) -> None:
    """A window ends where the next frame comes; a frame that waits while blocks are passed over stays what it was."""
    passed_over = block(11, bytes(600)) * 8
    path = written(
        tmp_path,
        section() + nanoseconds() + b"".join(packet(i * 1000, frame(i, 300)) + passed_over for i in range(6)),
    )
    with read_captures([path], piece_bytes=1024) as reader:
        pieces = [(seen(piece.batch), piece.until) for piece in reader]
    assert [sent for some, _ in pieces for sent in some] == [Sent(i * 1000, frame(i, 300), 300) for i in range(6)]
    assert [until.time_ns for _, until in pieces[:-1]] == [some[-1].time_ns + 1000 for some, _ in pieces[:-1]]


def test_no_capture_at_all() -> None:
    with read_captures([]) as reader:
        assert [(len(batch), until) for batch, until in reader] == [(0, FOREVER)]


def test_many_sources(tmp_path: Path) -> None:
    paths = [
        written(tmp_path, pcap([Sent(i * 7 + source % 5, frame(i)) for i in range(20)]), str(source))
        for source in range(40)
    ]
    batch = read_whole(*paths, piece_bytes=256)[1]
    keys = list(zip(batch.column("time_ns").tolist(), batch.column("order").tolist(), strict=True))
    assert len(keys) == 800
    assert keys == sorted(keys)


made_blocks = st.lists(
    st.tuples(
        st.sampled_from(["enhanced", "old", "simple", "other", "interface", "foreign", "section"]),
        st.integers(0, 3000),
        st.integers(0, 700),
    ),
    max_size=40,
)


def made_pcapng(blocks: list[tuple[str, int, int]], order: str) -> tuple[bytes, list[tuple[int, int, str]]]:
    """A capture of these blocks, and (time, serial, name of the interface) of its Ethernet frames."""
    data = section(order) + nanoseconds(order, "0")
    names, expected, serial, latest = ["0"], [], 0, 0
    for number, (kind, time, length) in enumerate(blocks, 1):
        which, name = time % len(names), str(number)
        if kind == "interface":
            data += nanoseconds(order, name)
            names.append(name)
        elif kind == "foreign":
            data += interface(order, link=113)
            names.append("")
        elif kind == "section":
            order = LITTLE if order == BIG else BIG
            data += section(order) + nanoseconds(order, name)
            names = [name]
        elif kind == "other":
            data += block(0xB0, bytes(length), order)
        else:
            serial += 1
            if kind == "simple":
                which, time = 0, latest
                data += simple_packet(frame(serial, length), order=order)
            else:
                make = packet if kind == "enhanced" else old_packet
                data += make(time, frame(serial, length), which, order)
            if names[which] and length >= 14:
                latest = max(latest, time)
                expected.append((latest, serial, names[which]))
    return data, expected


@settings(max_examples=120, deadline=None)
@given(
    sources=st.lists(st.tuples(made_blocks, st.sampled_from([LITTLE, BIG]), st.booleans()), min_size=1, max_size=4),
    piece_bytes=st.integers(256, 3000),
    start_ns=st.integers(0, 1500),
    stop_ns=st.integers(500, 4000),
    limit=st.none() | st.integers(0, 50),
)
def test_pieces_change_nothing(  # type: ignore[no-untyped-def]
    tmp_path_factory: pytest.TempPathFactory, sources, piece_bytes: int, start_ns: int, stop_ns: int, limit: int | None
) -> None:
    """Any blocks, any number of sources, any piece size: the frames that were made, in order; `until` is kept."""
    paths, expected = [], []
    for number, (blocks, order, is_packed) in enumerate(sources):
        data, frames = made_pcapng(blocks, order)
        expected += [(time, order_of(number, serial), name) for time, serial, name in frames]
        folder = tmp_path_factory.getbasetemp()
        paths.append(written(folder, gzip.compress(data, 1, mtime=0) if is_packed else data, f"piece{number}"))
    expected = sorted(key for key in expected if start_ns <= key[0] < stop_ns)[:limit]
    reader = read_captures(paths, piece_bytes=piece_bytes, start_ns=start_ns, stop_ns=stop_ns, limit=limit)
    got, bounds = [], [Instant(0)]
    for batch, until in reader:
        keys = [(int(row["time_ns"]), int(row["order"]), int(row["interface"])) for row in batch.rows]
        assert all(bounds[-1] <= key[:2] < until for key in keys)
        assert bounds[-1] <= until
        bounds.append(until)
        got += [(time, order, reader.interfaces[interface].name) for time, order, interface in keys]
    assert got == expected
    assert bounds[-1] == FOREVER
    assert FOREVER not in bounds[:-1]
    event(f"{min(len(bounds) - 1, 5)} pieces, {min(len(got), 10)} frames")

"""Writing: what is written can be read again, by us, by tshark and by Scapy."""

import errno
import io
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from captures_made import Sent, frame, needs_tshark, pcap, read_whole, seen, tshark_fields, written
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.utils import PcapNgReader, PcapReader, PcapWriter

from iochain.batch import Batch, batch_of, joined
from iochain.capture import CaptureError, OutInterface, PcapDirectory, PcapngWriter, read_captures
from iochain.capture.folder import file_names
from iochain.capture.writer import ByPort, option
from iochain.version import __version__

TWO = [OutInterface("web → vSwitch0", "what web sends"), OutInterface("vmnic0")]
TAGGED = bytes(range(12)) + b"\x81\x00\xe0\x14\x08\x00" + bytes(range(44))


def padded(batch: Batch, pads: list[int]) -> Batch:
    """The same frames with zeros behind them."""
    batch.column("pad")[:] = pads
    return batch


def test_what_is_written_is_read(tmp_path: Path) -> None:
    batch = padded(batch_of([(frame(1), 5), (TAGGED, 2**62 + 1), (frame(3, 14), 7)]), [0, 3, 46])
    path = str(tmp_path / "out.pcapng")
    with PcapngWriter(path, TWO) as writer:
        writer.write(batch, np.array([0, 1, 0]))
        assert writer.frames == 3
    reader, again = read_whole(path)
    assert seen(again)[:2] == [Sent(5, frame(1), 60), Sent(2**62 + 1, TAGGED + bytes(3), 65)]
    assert again.frame_bytes(2) == frame(3, 14) + bytes(46)
    assert again.column("interface").tolist() == [0, 1, 0]
    assert [(i.name, i.description) for i in reader.interfaces] == [(o.name, o.description) for o in TWO]
    assert writer.bytes == Path(path).stat().st_size
    assert f"iochain {__version__}".encode() in Path(path).read_bytes()


def test_a_frame_with_fewer_captured_bytes(tmp_path: Path) -> None:
    """Tag and padding count in both lengths."""
    batch = padded(read_whole(written(tmp_path, pcap([Sent(1, TAGGED, 1000)])))[1], [2])
    path = str(tmp_path / "out.pcapng")
    with PcapngWriter(path, TWO) as writer:
        writer.write(batch, 0)
    assert seen(read_whole(path)[1]) == [Sent(1, TAGGED + bytes(2), 1002)]


@needs_tshark
@pytest.mark.tshark
def test_tshark_reads_it(tmp_path: Path) -> None:
    batch = batch_of([(frame(1), 1_700_000_000_000_000_001), (TAGGED, 1_700_000_000_000_000_002), (frame(2), 5)])
    path = str(tmp_path / "out.pcapng")
    with PcapngWriter(path, TWO, comment="of the section") as writer:
        comments = [writer.comment("dropped: VLAN"), -1, writer.comment("ä" * 40000)]
        assert writer.comment("dropped: VLAN") == 0
        writer.write(batch, np.array([0, 1, 1]), np.array([0, 1, 2], np.uint8), np.array(comments))
    fields = ("frame.time_epoch", "frame.interface_name", "frame.interface_description", "frame.packet_flags_direction")
    got = tshark_fields(path, *fields, "frame.len", "frame.comment")
    assert [row[:5] for row in got] == [
        ["1700000000.000000001", "web → vSwitch0", "what web sends", "", "60"],
        ["1700000000.000000002", "vmnic0", "", "0x00000001", "62"],
        ["0.000000005", "vmnic0", "", "0x00000002", "60"],
    ]
    assert [row[5][:40] for row in got] == ["dropped: VLAN", "", "ä" * 40]
    assert len(tshark_fields(path, "frame.number")) == 3


def test_comments_are_cut_between_characters() -> None:
    assert option(1, "ä" * 40000) == b"\1\0\xfe\xff" + "ä".encode() * 32767 + bytes(2)


def test_many_comments(tmp_path: Path) -> None:
    batch = batch_of([(frame(i), i) for i in range(200)])
    path = tmp_path / "out.pcapng"
    with PcapngWriter(path, TWO) as writer:
        writer.write(batch, 0, 2, np.array([writer.comment(f"comment {i % 100}") for i in range(200)]))
    found = [comment for _, comment in scapy_frames(path)]
    assert found == [f"comment {i % 100}".encode() for i in range(200)]


def scapy_frames(path: Path) -> list[tuple[bytes, bytes | None]]:
    """What Scapy reads: bytes and comment."""
    with PcapNgReader(str(path)) as reader:
        return [(bytes(found), found.comment) for found in reader]


def test_pieces_are_whole_blocks(tmp_path: Path) -> None:
    """Whatever is written at a time can be read: a process that is killed leaves no more than one torn block."""
    pieces: list[bytes] = []

    class Stream(io.BytesIO):
        def write(self, data) -> int:  # type: ignore[no-untyped-def]
            pieces.append(bytes(data))
            return len(pieces[-1])

    batch = joined(batch_of([(frame(i, 200), i)]) for i in range(1000))
    with PcapngWriter(Stream(), TWO) as writer:
        for _ in range(20):
            writer.write(batch, 0)
    assert len(pieces) == 6
    for count in range(1, len(pieces) + 1):
        reader, _ = read_whole(written(tmp_path, b"".join(pieces[:count])))
        assert reader.sources[0].ending is None
    assert sum(map(len, pieces)) == writer.bytes


def test_a_stream_may_take_fewer_bytes() -> None:
    taken = bytearray()

    class Slow(io.RawIOBase):
        def write(self, data) -> int:  # type: ignore[no-untyped-def]
            taken.extend(bytes(data[:100]))
            return min(len(data), 100)

    with PcapngWriter(Slow(), TWO) as writer:  # type: ignore[arg-type]
        writer.write(batch_of([(frame(1, 1000), 1)]), 0)
    assert len(taken) == writer.bytes


def test_a_frame_greater_than_the_buffer(tmp_path: Path) -> None:
    path, long = str(tmp_path / "out.pcapng"), frame(1, 3 << 20)
    with PcapngWriter(path, TWO) as writer, PcapDirectory(tmp_path / "all", TWO) as folder:
        for batch in (batch_of([(frame(0), 0), (long, 1), (frame(2), 2)]), batch_of([(long, 3)])):
            writer.write(batch, 0, 0, writer.comment("long"))
            folder.write(batch, 1)
    for name in (path, str(tmp_path / "all" / "vmnic0.pcap")):
        assert [s.data for s in seen(read_whole(name)[1])] == [frame(0), long, frame(2), long]


def test_standard_output(tmp_path: Path) -> None:
    saved = os.dup(1)
    file = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
    try:
        os.dup2(file, 1)
        with PcapngWriter("-", TWO) as writer:
            writer.write(batch_of([(frame(1), 1)]), 0)
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(file)
    assert seen(read_whole(str(tmp_path / "out"))[1]) == [Sent(1, frame(1), 60)]


def test_the_same_bytes_every_time(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        with PcapngWriter(tmp_path / name, TWO) as writer:
            for number in range(50):  # buffers whose old content must not shine through
                writer.write(batch_of([(frame(number, 61 + number % 3), number)]), 0, 1, writer.comment("x"))
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]


@pytest.mark.parametrize(("path", "reason"), [("none/out", "No such file"), (".", "Is a directory")])
def test_cannot_be_created(tmp_path: Path, path: str, reason: str) -> None:
    with pytest.raises(CaptureError, match=f"{tmp_path / path}: cannot be written: {reason}"):
        PcapngWriter(tmp_path / path, TWO)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk() -> None:
    with pytest.raises(CaptureError, match="/dev/full: cannot be written: No space left"):
        PcapngWriter("/dev/full", TWO)


def test_a_disk_that_becomes_full() -> None:
    """The reason is said once for each attempt, and closing is quiet: nothing follows what was refused."""

    class Full(io.BytesIO):
        def write(self, data) -> int:  # type: ignore[no-untyped-def]
            if self.tell() > 1000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data[:700])

    with PcapngWriter(Full(), TWO) as writer:
        writer.write(batch_of([(frame(1, 2000), 1)]), 0)
        for _ in range(2):
            with pytest.raises(CaptureError, match="the stream: cannot be written: No space left on device"):
                writer.flush()


def test_what_is_refused_beside_is_said_at_the_end() -> None:
    """Nobody gives more frames after the fault: closing is the only moment that can tell of it, once."""
    refused = threading.Event()

    class Full(io.BytesIO):
        def write(self, data) -> int:  # type: ignore[no-untyped-def]
            if self.tell() > 1 << 20:
                refused.set()
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    writer = PcapngWriter(Full(), TWO)
    writer.write(batch_of([(frame(1, 1 << 16), 1)] * 20), 0)
    writer.write(batch_of([(frame(1, 1 << 16), 2)] * 40), 0)
    assert refused.wait(60)
    with pytest.raises(CaptureError, match="the stream: cannot be written: No space left on device"):
        writer.close()
    writer.close()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CaptureError, match="file: cannot be made: File exists"):
        PcapDirectory(tmp_path / "file", TWO)
    folder = PcapDirectory(tmp_path / "in", [OutInterface("a")])
    (tmp_path / "in" / "a.pcap").mkdir()
    with pytest.raises(CaptureError, match=r"a.pcap: cannot be written: Is a directory"):
        folder.write(batch_of([(frame(1), 1)]), 0)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"interface": 2}, "interface numbers must be from 0 to 1"),
        ({"interface": np.array([0, -1])}, "interface numbers must be from 0 to 1"),
        ({"interface": np.array([0])}, "1 interface numbers for 2 frames"),
        ({"interface": 0, "direction": 3}, "direction numbers must be from 0 to 2"),
        ({"interface": 0, "comment": np.array([0, -1])}, "comment numbers must be from -1 to -1"),
    ],
)
def test_numbers_out_of_range(numbers, message: str) -> None:  # type: ignore[no-untyped-def]
    with PcapngWriter(io.BytesIO(), TWO) as writer, pytest.raises(ValueError, match=message):
        writer.write(batch_of([(frame(1), 1), (frame(2), 2)]), **numbers)


def test_a_folder(tmp_path: Path) -> None:
    """A file per interface that had a frame, in the order of the batches; one without frames makes none."""
    interfaces = [*TWO, OutInterface("never"), OutInterface("VMNIC0")]
    batch = batch_of([(frame(i), 10**9 + i) for i in range(6)])
    with PcapDirectory(tmp_path / "deep" / "out", interfaces) as folder:
        for _ in range(3):
            folder.write(batch, np.array([0, 1, 0, 3, 1, 0]), np.zeros(6, np.uint8), np.full(6, -1))
        assert folder.frames == 18
    files = {path.name: path for path in (tmp_path / "deep" / "out").iterdir()}
    assert sorted(files) == ["VMNIC0-2.pcap", "vmnic0.pcap", "web_vSwitch0.pcap"]
    assert sum(path.stat().st_size for path in files.values()) == folder.bytes
    times = read_whole(str(files["vmnic0.pcap"]))[1].column("order")
    assert len(times) == 6
    assert [s.data for s in seen(read_whole(str(files["web_vSwitch0.pcap"]))[1])] == [frame(0), frame(2), frame(5)] * 3


def test_file_names() -> None:
    assert file_names(["a/b", "../x", "", "...", "A_B", "a b", "é", "vm.1"]) == [
        "a_b.pcap",
        "x.pcap",
        "interface.pcap",
        "interface-2.pcap",
        "A_B-2.pcap",
        "a_b-3.pcap",
        "interface-3.pcap",
        "vm.1.pcap",
    ]


frames_made = st.lists(
    st.tuples(
        st.integers(0, 2**60), st.binary(min_size=14, max_size=200), st.integers(0, 1), st.integers(0, 2), st.booleans()
    ),
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(frames=frames_made, piece_bytes=st.integers(256, 2000))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, frames, piece_bytes: int) -> None:  # type: ignore[no-untyped-def]
    """Any frames, written and read: the same bytes and times, at the same interfaces."""
    frames.sort(key=lambda made: made[0])
    path = tmp_path_factory.getbasetemp() / "round.pcapng"
    with PcapngWriter(path, TWO) as writer:
        comment = writer.comment("this one")
        which, direction = np.array([f[2] for f in frames], np.int32), np.array([f[3] for f in frames], np.uint8)
        comments = np.array([comment if f[4] else -1 for f in frames], np.int32)
        writer.write(batch_of([(data, time) for time, data, *_ in frames]), which, direction, comments)
    batch = read_whole(str(path), piece_bytes=piece_bytes)[1]
    assert seen(batch) == [Sent(time, data, len(data)) for time, data, *_ in frames]
    assert batch.column("interface").tolist() == which.tolist()
    assert scapy_frames(path) == [(f[1], b"this one" if f[4] else None) for f in frames]


@settings(max_examples=50, deadline=None)
@given(frames=frames_made, is_nano=st.booleans(), order=st.sampled_from("<>"))
def test_scapy_agrees(tmp_path_factory: pytest.TempPathFactory, frames, is_nano: bool, order: str) -> None:  # type: ignore[no-untyped-def]
    """A pcap that Scapy wrote reads as Scapy reads it."""
    path = str(tmp_path_factory.getbasetemp() / "scapy.pcap")
    times = sorted(made[0] % 2**61 for made in frames)
    with PcapWriter(path, linktype=1, nano=is_nano, endianness=order) as scapy:
        scapy.write_header(None)
        for time, (_, data, *_) in zip(times, frames, strict=True):
            seconds, rest = divmod(time, 10**9)
            scapy._write_packet(
                data, linktype=1, sec=seconds, usec=rest if is_nano else rest // 1000, wirelen=len(data) + 4
            )
    with PcapReader(path) as scapy_reader:
        expected = [(int(found.time * 10**9), bytes(found), found.wirelen) for found in scapy_reader]
    assert [tuple(sent) for sent in seen(read_whole(path, piece_bytes=512)[1])] == expected


def test_reading_while_writing(tmp_path: Path) -> None:
    """Frames go from reader to writer without a copy between; the output is the input in nanoseconds."""
    source = written(tmp_path, pcap([Sent(i, frame(i, 60 + i % 1400)) for i in range(5000)]))
    with read_captures([source], piece_bytes=4096) as reader, PcapngWriter(tmp_path / "out", TWO) as writer:
        for piece in reader:
            writer.write(piece.batch, piece.batch.column("interface"), 1)
    assert seen(read_whole(str(tmp_path / "out"))[1]) == seen(read_whole(source)[1])


def test_by_port_is_the_same(tmp_path: Path) -> None:
    """Many frames at ports, tagged and padded, some packed on the other core; and into a folder."""
    batch = joined(batch_of([(frame(i, 14 + i % 1500), i), (TAGGED, i)]) for i in range(1500))
    batch.column("pad")[::7] = 5
    ports = np.arange(len(batch)) % 3
    batch.column("port")[:] = ports
    tables = ByPort(np.array([1, 0, 1]), np.array([2, 0, 1], np.uint8))
    with PcapngWriter(str(tmp_path / "rows"), TWO) as rows, PcapngWriter(str(tmp_path / "ports"), TWO) as by_port:
        for _ in range(3):
            rows.write(batch, tables.interface[ports], tables.direction[ports])
            by_port.write_by_port(batch, tables)
        assert (rows.bytes, rows.frames) == (by_port.bytes, by_port.frames)
    assert (tmp_path / "rows").read_bytes() == (tmp_path / "ports").read_bytes()
    with PcapDirectory(tmp_path / "a", TWO) as one, PcapDirectory(tmp_path / "b", TWO) as other:
        one.write(batch, tables.interface[ports])
        other.write_by_port(batch, tables)
    for name in ("vmnic0.pcap", "web_vSwitch0.pcap"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("port", [-1, 2, 2**31 - 1])
def test_ports_that_no_table_has(tmp_path: Path, port: int) -> None:
    batch = batch_of([(frame(i), i) for i in range(3)])
    batch.column("port")[:] = [0, port, 1]
    with (
        PcapngWriter(str(tmp_path / "made"), TWO) as writer,
        pytest.raises(ValueError, match=f"port {port} of a frame is not among those to write"),
    ):
        writer.write_by_port(batch, ByPort(np.arange(2), np.ones(2, np.uint8)))
    assert seen(read_whole(str(tmp_path / "made"))[1]) == [Sent(0, frame(0), 60)]


def test_tables_are_checked(tmp_path: Path) -> None:
    with PcapngWriter(str(tmp_path / "made"), TWO) as writer:
        for tables in (ByPort(np.arange(3), np.ones(3, np.uint8)), ByPort(np.arange(2), np.full(2, 3, np.uint8))):
            with pytest.raises(ValueError, match="must be from 0 to"):
                writer.write_by_port(batch_of([]), tables)


@pytest.mark.parametrize("length", [14, 43, 44, 45, 75, 76, 77, 108, 267, 268, 269, 300])
@pytest.mark.parametrize("tag", [-1, 7])
def test_frames_copied_in_steps(tmp_path: Path, length: int, tag: int) -> None:
    batch = batch_of([(frame(i, length), i) for i in range(10)])
    batch.column("tag")[:] = tag
    path = str(tmp_path / "made")
    with PcapngWriter(path, TWO) as writer:
        writer.write(batch, 0)
    again = read_whole(path)[1]
    assert [again.frame_bytes(i) for i in range(10)] == [batch.frame_bytes(i) for i in range(10)]

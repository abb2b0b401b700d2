"""Captures made byte by byte for the tests, what is read of them, and tshark's opinion."""

import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from iochain.batch import Batch, joined
from iochain.capture import CaptureReader, read_captures

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "captures"
TSHARK = shutil.which("tshark")
needs_tshark = pytest.mark.skipif(TSHARK is None, reason="tshark is not installed")

LITTLE, BIG = "<", ">"
PACKETS = {"enhanced": 6, "old": 2}


class Sent(NamedTuple):
    """One frame of a capture that is made."""

    time_ns: int
    data: bytes
    wire_length: int | None = None


def frame(number: int, length: int = 60) -> bytes:
    """An untagged frame that is like no other."""
    return (bytes(12) + b"\x08\x00" + struct.pack(">I", number) + bytes(range(256)) * (length // 256 + 1))[:length]


def pcap(frames: Sequence[Sent], order: str = LITTLE, unit_ns: int = 1, link: int = 1, snap: int = 65535) -> bytes:
    """A pcap of these frames."""
    magic = 0xA1B23C4D if unit_ns == 1 else 0xA1B2C3D4
    made = struct.pack(f"{order}IHHIIII", magic, 2, 4, 0, 0, snap, link)
    for time_ns, data, wire in frames:
        seconds, rest = divmod(time_ns, 10**9)
        made += struct.pack(f"{order}IIII", seconds, rest // unit_ns, len(data), wire or len(data)) + data
    return made


def block(kind: int, body: bytes, order: str = LITTLE) -> bytes:
    """A block of a pcapng."""
    body += bytes(-len(body) % 4)
    return struct.pack(f"{order}II", kind, len(body) + 12) + body + struct.pack(f"{order}I", len(body) + 12)


def options(said: dict[int, bytes], order: str = LITTLE) -> bytes:
    """Options and their end."""
    made = b"".join(
        struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in said.items()
    )
    return made + bytes(4) if said else b""


def section(order: str = LITTLE, said: dict[int, bytes] | None = None) -> bytes:
    """A section header."""
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1) + options(said or {}, order), order)


def interface(order: str = LITTLE, link: int = 1, snap: int = 0, said: dict[int, bytes] | None = None) -> bytes:
    """An interface description."""
    return block(1, struct.pack(f"{order}HHI", link, 0, snap) + options(said or {}, order), order)


def packet(
    stamp: int,
    data: bytes,
    which: int = 0,
    order: str = LITTLE,
    wire: int | None = None,
    said: dict[int, bytes] | None = None,
) -> bytes:
    """An enhanced packet block; ``stamp`` in the units of its interface."""
    head = struct.pack(f"{order}IIIII", which, stamp >> 32, stamp & 0xFFFFFFFF, len(data), wire or len(data))
    return block(6, head + data + bytes(-len(data) % 4) + options(said or {}, order), order)


def old_packet(stamp: int, data: bytes, which: int = 0, order: str = LITTLE, drops: int = 0xFFFF) -> bytes:
    """The packet block that is obsolete."""
    head = struct.pack(f"{order}HHIIII", which, drops, stamp >> 32, stamp & 0xFFFFFFFF, len(data), len(data))
    return block(2, head + data, order)


def simple_packet(data: bytes, wire: int | None = None, order: str = LITTLE) -> bytes:
    """A simple packet block: no time, no interface."""
    return block(3, struct.pack(f"{order}I", wire or len(data)) + data, order)


def nanoseconds(order: str = LITTLE, name: str = "") -> bytes:
    """An interface whose stamps are nanoseconds."""
    return interface(order, said={9: b"\x09"} | ({2: name.encode()} if name else {}))


def written(folder: Path, data: bytes, name: str = "made") -> str:
    """The path of a file with this content."""
    path = folder / name
    path.write_bytes(data)
    return str(path)


def read_whole(*paths: str, **options: Any) -> tuple[CaptureReader, Batch]:
    """The reader at its end, and all frames."""
    with read_captures(paths, **options) as reader:
        return reader, joined(piece.batch for piece in reader)


def seen(batch: Batch) -> list[Sent]:
    """The frames of a batch, to compare with those made; the tag put back into the bytes."""
    extra = [0 if tag < 0 else 4 for tag in batch.column("tag").tolist()]
    wires = batch.column("wire_length").tolist()
    times = batch.column("time_ns").tolist()
    return [Sent(times[i], batch.frame_bytes(i), wires[i] + extra[i]) for i in range(len(batch))]


def tshark_fields(path: str, *fields: str) -> list[list[str]]:
    """What tshark prints for these fields, frame by frame; it may complain and end early."""
    assert TSHARK is not None
    command = [TSHARK, "-n", "-r", path, "-T", "fields", "-E", "separator=|"]
    for name in fields:
        command += ["-e", name]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return [line.split("|") for line in answer.stdout.splitlines()]

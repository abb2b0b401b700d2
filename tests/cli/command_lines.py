"""Runs command lines inside the test's process, and compares what they say with golden files."""

import os
import struct
from collections.abc import Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from attrs import frozen

from iochain.cli import main

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
LAB = "pcaps/web-and-db.lab.yaml"
CAPTURE = "pcaps/web-and-db.pcapng"
WEB, DB = bytes.fromhex("005056000001"), bytes.fromhex("005056000002")
START_NS = 1_700_000_000 * 10**9


@frozen
class Ran:
    """What a command line said, and its exit code."""

    code: int
    out: str
    err: str


def run(*arguments: str) -> Ran:
    """Run a command line in the root of the project."""
    out, err = StringIO(), StringIO()
    with chdir(ROOT), redirect_stdout(out), redirect_stderr(err):
        code = main(arguments)
    return Ran(code, out.getvalue(), err.getvalue())


def session(*lines: Sequence[str]) -> str:
    """Command lines with what they say, as one sees them in a terminal."""
    said = []
    for arguments in lines:
        ran = run(*arguments)
        code = f"[exit code {ran.code}]\n" if ran.code else ""
        said.append(f"$ iochain {' '.join(map(_quoted, arguments))}\n{ran.out}{ran.err}{code}")
    return "\n".join(said)


def is_golden(name: str, text: str) -> bool:
    """Whether a golden file holds this text; IOCHAIN_NEW_GOLDEN=1 writes it first."""
    path = GOLDEN / name
    if os.environ.get("IOCHAIN_NEW_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
    return True


def pcap(path: Path, frames: Sequence[tuple[int, bytes]], link_type: int = 1) -> Path:
    """A pcap of (nanoseconds, bytes) after START_NS."""
    records = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 18, link_type)]
    for offset_ns, data in frames:
        seconds, rest = divmod(START_NS + offset_ns, 10**9)
        records.append(struct.pack("<IIII", seconds, rest, len(data), len(data)) + data)
    path.write_bytes(b"".join(records))
    return path


def ethernet(source: bytes = WEB, destination: bytes = DB, size: int = 60) -> bytes:
    """A frame without meaning, of some bytes."""
    return (destination + source + b"\x88\xb5").ljust(size, b"\0")


def _quoted(argument: str) -> str:
    return f'"{argument}"' if any(one in argument for one in " '()") else argument

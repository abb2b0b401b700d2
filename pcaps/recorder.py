"""Recording at an interface with tcpdump (pcap) or dumpcap (pcapng), without words on the machine that records."""

import gzip
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from network import PATIENCE_S, Network

_SECTION, _INTERFACE, _STATISTICS = 0x0A0D0D0A, 1, 5
_KEPT_OPTIONS = {
    _SECTION: (),
    _INTERFACE: (2, 9, 11),  # if_name, if_tsresol, if_filter; not if_os
    _STATISTICS: (2, 3, 4, 5, 7),
}


@contextmanager
def recorded(
    network: Network,
    namespace: str,
    interfaces: str | tuple[str, ...],
    path: Path,
    *,
    snap: int = 262_144,
    nanoseconds: bool = True,
) -> Iterator[None]:
    """Record what passes an interface of the namespace while the block runs; the file's name says in which format.

    ``.pcap`` is written by tcpdump, ``.pcapng`` by dumpcap (always in ns); ``.gz`` and ``.zst`` are packed afterwards.
    With several interfaces (dumpcap only) just what comes in by each is recorded: every frame once, where it entered.
    """
    raw = network.folder / path.name.removesuffix(".gz").removesuffix(".zst")
    length = ("-s", str(snap))
    if raw.suffix == ".pcapng":
        one = isinstance(interfaces, str)
        select = ["-i", interfaces] if one else [word for name in interfaces for word in ("-i", name, "-f", "inbound")]
        running = network.start(namespace, "dumpcap", *select, *length, "-w", str(raw))
        running.says("File: ")
    else:
        unit = "nano" if nanoseconds else "micro"
        options = ("-Z", "root", "-U", "-B", "16384", *length, f"--time-stamp-precision={unit}")
        running = network.start(namespace, "tcpdump", "-i", str(interfaces), *options, "-w", str(raw))
        running.says("listening on")
    time.sleep(0.3)
    yield
    time.sleep(1.2)  # the kernel hands a quiet ring over once a second
    running.process.send_signal(signal.SIGINT)
    running.process.wait(timeout=PATIENCE_S)
    if raw.suffix == ".pcapng":
        in_order = raw.with_stem("in-order")
        subprocess.run(["reordercap", str(raw), str(in_order)], check=True, capture_output=True, timeout=PATIENCE_S)
        raw.write_bytes(without_machine(in_order.read_bytes()))
    _pack(raw, path)


def without_machine(pcapng: bytes) -> bytes:
    """A little-endian pcapng without the options that name hardware, operating system and program."""
    result, at = [], 0
    while at < len(pcapng):
        kind, total = struct.unpack_from("<II", pcapng, at)
        block = pcapng[at : at + total]
        if kind in _KEPT_OPTIONS:
            fixed = {_SECTION: 24, _INTERFACE: 16, _STATISTICS: 20}[kind]
            body = block[8:fixed] + _options(block[fixed:-4], _KEPT_OPTIONS[kind])
            block = struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)
        result.append(block)
        at += total
    return b"".join(result)


def _options(options: bytes, kept: tuple[int, ...]) -> bytes:
    result, at = b"", 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from("<HH", options, at)
        end = at + 4 + (length + 3) // 4 * 4
        if code in kept:
            result += options[at:end]
        at = end
    return result + bytes(4) if result else b""


def _pack(raw: Path, path: Path) -> None:
    match path.suffix:
        case ".gz":
            path.write_bytes(gzip.compress(raw.read_bytes(), 9, mtime=0))
        case ".zst":
            subprocess.run(["zstd", "-q", "-f", "-19", str(raw), "-o", str(path)], check=True, timeout=PATIENCE_S)
        case _:
            path.write_bytes(raw.read_bytes())

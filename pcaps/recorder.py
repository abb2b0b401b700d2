"""Recording at interfaces with tcpdump (pcap) or dumpcap (pcapng), without words on the machine that records."""

import gzip
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from network import PATIENCE_S, Network, Running

_SECTION, _INTERFACE, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 5, 6
_IF_NAME, _IF_TSRESOL, _EPB_FLAGS = 2, 9, 2
_INBOUND = 1
_KEPT_OPTIONS = {_SECTION: (), _INTERFACE: (_IF_NAME, _IF_TSRESOL), _STATISTICS: (2, 3, 4, 5, 7)}
_FIXED_BYTES = {_SECTION: 24, _INTERFACE: 16, _STATISTICS: 20}
_NANOSECOND_PCAP = 0xA1B23C4D


@contextmanager
def recorded(
    network: Network, namespace: str, interface: str, path: Path, *, snap: int = 262_144, nanoseconds: bool = True
) -> Iterator[None]:
    """Record what passes an interface of the namespace while the block runs; the file's name says in which format.

    ``.pcap`` is written by tcpdump, ``.pcapng`` by dumpcap (always in ns); ``.gz`` and ``.zst`` are packed afterwards.
    """
    raw = network.folder / path.name.removesuffix(".gz").removesuffix(".zst")
    length = ("-s", str(snap))
    if raw.suffix == ".pcapng":
        running = network.start(namespace, "dumpcap", "-i", interface, *length, "-w", str(raw))
        running.says("File: ")
    else:
        unit = "nano" if nanoseconds else "micro"
        running = _tcpdump(network, namespace, interface, raw, *length, f"--time-stamp-precision={unit}")
    time.sleep(0.3)
    yield
    _finish(running)
    if raw.suffix == ".pcapng":
        raw.write_bytes(without_machine(raw.read_bytes()))
    _pack(raw, path)


@contextmanager
def recorded_entering(network: Network, namespace: str, interfaces: tuple[str, ...], path: Path) -> Iterator[None]:
    """Record what comes in by each of the interfaces, so every frame once: where it entered. Makes one pcapng."""
    parts = {name: network.folder / f"{name}.pcap" for name in interfaces}
    precision = "--time-stamp-precision=nano"
    running = [_tcpdump(network, namespace, name, part, "-Q", "in", precision) for name, part in parts.items()]
    time.sleep(0.3)
    yield
    for one in running:
        _finish(one)
    path.write_bytes(joined({name: part.read_bytes() for name, part in parts.items()}))


def without_machine(pcapng: bytes) -> bytes:
    """A little-endian pcapng without the options that name hardware, operating system and program."""
    result, at = [], 0
    while at < len(pcapng):
        kind, total = struct.unpack_from("<II", pcapng, at)
        block = pcapng[at : at + total]
        if kind in _KEPT_OPTIONS:
            fixed = _FIXED_BYTES[kind]
            block = _block(kind, block[8:fixed] + _only(block[fixed:-4], _KEPT_OPTIONS[kind]))
        result.append(block)
        at += total
    return b"".join(result)


def joined(captures: dict[str, bytes]) -> bytes:
    """One pcapng of several little-endian nanosecond pcaps, an interface for each, packets in the order of time."""
    blocks = [_block(_SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))]
    packets = []
    for number, (name, capture) in enumerate(captures.items()):
        options = _option(_IF_NAME, name.encode()) + _option(_IF_TSRESOL, b"\x09") + bytes(4)
        blocks.append(_block(_INTERFACE, struct.pack("<HHI", 1, 0, 262_144) + options))
        packets += [(time_ns, number, length, data) for time_ns, length, data in _packets(capture)]
    flags = _option(_EPB_FLAGS, struct.pack("<I", _INBOUND)) + bytes(4)
    for time_ns, number, length, data in sorted(packets, key=lambda packet: packet[:2]):
        fixed = struct.pack("<IIIII", number, time_ns >> 32, time_ns & 0xFFFFFFFF, len(data), length)
        blocks.append(_block(_PACKET, fixed + _padded(data) + flags))
    return b"".join(blocks)


def _packets(pcap: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Time (ns), length on the wire and bytes of each packet."""
    (magic,) = struct.unpack_from("<I", pcap)
    if magic != _NANOSECOND_PCAP:
        raise ValueError(f"no little-endian nanosecond pcap: it begins with {magic:#x}")
    at = 24
    while at < len(pcap):
        seconds, nanoseconds, captured, length = struct.unpack_from("<4I", pcap, at)
        yield seconds * 10**9 + nanoseconds, length, pcap[at + 16 : at + 16 + captured]
        at += 16 + captured


def _block(kind: int, body: bytes) -> bytes:
    total = len(body) + 12
    return struct.pack("<II", kind, total) + body + struct.pack("<I", total)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _only(options: bytes, kept: tuple[int, ...]) -> bytes:
    result, at = b"", 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from("<HH", options, at)
        if code in kept:
            result += _option(code, options[at + 4 : at + 4 + length])
        at += 4 + (length + 3) // 4 * 4
    return result + bytes(4) if result else b""


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _tcpdump(network: Network, namespace: str, interface: str, path: Path, *options: str) -> Running:
    usual = ("-Z", "root", "-U", "-B", "16384", "-w", str(path))
    running = network.start(namespace, "tcpdump", "-i", interface, *usual, *options)
    running.says("listening on")
    return running


def _finish(running: Running) -> None:
    time.sleep(1.2)  # the kernel hands a quiet ring over once a second
    running.process.send_signal(signal.SIGINT)
    running.process.wait(timeout=PATIENCE_S)


def _pack(raw: Path, path: Path) -> None:
    match path.suffix:
        case ".gz":
            path.write_bytes(gzip.compress(raw.read_bytes(), 9, mtime=0))
        case ".zst":
            subprocess.run(["zstd", "-q", "-f", "-19", str(raw), "-o", str(path)], check=True, timeout=PATIENCE_S)
        case _:
            path.write_bytes(raw.read_bytes())

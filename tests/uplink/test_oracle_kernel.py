"""The Linux kernel as oracle of segmentation: byte by byte, live in a namespace (root), and from recorded pairs.

``IOCHAIN_NEW_GOLDEN=1`` records pairs anew into pcaps/golden/. In tunnels the outer header is the kernel's: its UDP
source port and first identification, which are free, are taken from the first segment; all else has to agree.
"""

import json
import os
import random
import shutil
import struct
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest
import zstandard
from large_packets import LargePacket, data_of, from_random, large_packet
from segmenter import segments_of

from iochain.batch import FOREVER, Batch, batch_of
from iochain.uplink.checksum import Checksum
from iochain.uplink.segmentation import Segmentation

HERE = Path(__file__).parent
GOLDEN = HERE.parents[1] / "pcaps" / "golden"
MODES = ("plain", "vxlan", "vxlan-sums", "vxlan6")
PACKETS = {"plain": 500, "vxlan": 500, "vxlan-sums": 100, "vxlan6": 100}
RECORDED = 40
RECORDED_LARGEST = 9000
OUTER = {"vxlan": 50, "vxlan-sums": 50, "vxlan6": 70}  # bytes before the inner frame
LARGEST = {"plain": 65535, "vxlan": 65400, "vxlan-sums": 65400, "vxlan6": 65400}


def requests(mode: str, count: int, largest: int) -> list[LargePacket]:
    """The same packets in each run."""
    return [large_packet(from_random(random.Random(f"{mode} {number}")), largest) for number in range(count)]


def by_kernel(mode: str, packets: list[LargePacket]) -> list[list[bytes]]:
    """The segments that the Linux kernel makes of each."""
    lines = [json.dumps({"frame": p.frame.hex(), "mss": p.mss, "transport": p.transport}) for p in packets]
    run = subprocess.run(
        ["unshare", "--net", sys.executable, HERE / "kernel_oracle.py", mode],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
    )
    if "Unknown device type" in run.stderr:
        pytest.skip(f"this kernel cannot do it: {run.stderr.splitlines()[0]}")
    assert run.returncode == 0, run.stderr
    return [[bytes.fromhex(frame) for frame in json.loads(line)] for line in run.stdout.splitlines()]


def as_sent(mode: str, packet: LargePacket, first_segment: bytes) -> bytes:
    """The large packet as the kernel sent it: in a tunnel, behind the outer headers of its first segment."""
    if mode == "plain":
        return packet.frame
    outer = bytearray(first_segment[: OUTER[mode]])
    udp, length = OUTER[mode] - 16, OUTER[mode] - 14 + len(packet.frame)
    struct.pack_into("!H", outer, 18 if mode == "vxlan6" else 16, length - 40 * (mode == "vxlan6"))
    struct.pack_into("!H", outer, udp + 4, length + 14 - udp)
    return bytes(outer) + packet.frame


def by_iochain(frames: list[bytes], sizes: list[int]) -> list[list[bytes]]:
    """The segments that iochain makes of each."""
    batch = batch_of([(frame, number) for number, frame in enumerate(frames)])
    batch.rows["mss"], batch.rows["checksum"] = sizes, Checksum.MUST
    stage = Segmentation(mtu=0)
    passed = stage.run(stage.start(), batch, FOREVER)
    assert not len(passed.dropped), passed.drops
    return grouped(passed.batch)


def grouped(batch: Batch) -> list[list[bytes]]:
    """The frames of a batch, those of one instant together."""
    pairs = [(int(batch.rows["time_ns"][i]), batch.frame_bytes(i)) for i in range(len(batch))]
    return [[frame for _, frame in group] for _, group in groupby(pairs, lambda pair: pair[0])]


@pytest.mark.root
@pytest.mark.parametrize("mode", MODES)
def test_segments_are_the_kernels(mode: str) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root, and unshare")
    packets = requests(mode, PACKETS[mode], LARGEST[mode])
    kernels = by_kernel(mode, packets)
    assert all(kernels)
    sent = [as_sent(mode, packet, segments[0]) for packet, segments in zip(packets, kernels, strict=True)]
    for packet, frame, ours, theirs in zip(
        packets, sent, by_iochain(sent, [packet.mss for packet in packets]), kernels, strict=True
    ):
        assert ours == theirs, (packet.mss, frame.hex())
        assert list(segments_of(frame, packet.mss)) == theirs
    if os.environ.get("IOCHAIN_NEW_GOLDEN"):
        record(mode)


def record(mode: str) -> None:
    """Write some pairs of smaller packets: frames of one instant are a large packet and its segments."""
    packets = requests(mode, RECORDED, RECORDED_LARGEST)
    kernels = by_kernel(mode, packets)
    frames = [
        (frame, number)
        for number, (packet, segments) in enumerate(zip(packets, kernels, strict=True))
        for frame in [as_sent(mode, packet, segments[0]), *segments]
    ]
    GOLDEN.mkdir(exist_ok=True)
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 1)
    records = [struct.pack("<IIII", number, 0, len(frame), len(frame)) + frame for frame, number in frames]
    golden(mode).write_bytes(zstandard.ZstdCompressor(19).compress(head + b"".join(records)))


def golden(mode: str) -> Path:
    return GOLDEN / f"segmentation-{mode}.pcap.zst"


def recorded(mode: str) -> list[list[bytes]]:
    """The frames of each instant of a recorded file."""
    data = zstandard.ZstdDecompressor().decompress(golden(mode).read_bytes(), max_output_size=1 << 26)
    at, found = 24, []
    while at < len(data):
        number, _, length, _ = struct.unpack_from("<IIII", data, at)
        found.append((number, data[at + 16 : at + 16 + length]))
        at += 16 + length
    return [[frame for _, frame in group] for _, group in groupby(found, lambda pair: pair[0])]


@pytest.mark.parametrize("mode", MODES)
def test_segments_are_the_recorded_ones(mode: str) -> None:
    pairs = recorded(mode)
    assert len(pairs) == RECORDED
    sizes = [len(data_of(first)) for _, first, *_ in pairs]
    assert by_iochain([large for large, *_ in pairs], sizes) == [segments for _, *segments in pairs]

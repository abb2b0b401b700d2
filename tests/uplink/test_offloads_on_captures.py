"""Captures with large, tunnelled and cut frames through a lab with every combination of offloads."""

import struct
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import frozen
from segmenter import TCP, has_right_sums, packets, with_seed

from iochain import Lab
from iochain.batch import joined, source_and_serial
from iochain.capture import CaptureError, read_captures
from iochain.engine.network import Engine
from iochain.replay import Fate

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "captures"
WORDS = ("TSO", "gso", "bigtcp", "vxlan", "geneve", "jumbo", "pcapng-example", "truncated", "aoe", "stp-heap", "test00")
OWN = [ROOT / "pcaps" / name for name in ("superframes-whole.pcap", "guest-bridge.pcap", "ipv6-nd.pcapng")]
OTHERS = sorted(path for path in SHARED.iterdir() if path.suffix != ".tsv") if SHARED.is_dir() else []
CAPTURES = OWN + [path for path in OTHERS if any(word in path.name for word in WORDS)]
MTU = 1500
NICS: dict[str, dict[str, Any]] = {
    "by the NIC": {"driver": "icen"},
    "by the kernel": {"driver": "ntg3", "tso": False, "cso": False},
    "in halves": {"driver": "icen", "tso": False, "tso6": False},
}
COMBINATIONS = list(product(NICS, (True, False), ("esxi", "pure", "none"), ("web", "vmnic0")))


@frozen
class Known:
    """A frame of a capture: its bytes, whether all of them are there, and what it asks for."""

    data: bytes
    is_whole: bool
    asks: bool


@cache
def lab(nic: str, large_packets: bool, profile: str) -> Lab:
    """One VM that sends, one that sees everything, all VLANs."""
    made = Lab(options={"offloads": profile})
    host = made.host("esx1")
    host.nic("vmnic0", **NICS[nic])
    switch = host.vswitch("vSwitch0", uplinks=["vmnic0"], promiscuous="accept", forged_transmits="accept")
    everything = switch.portgroup("All", vlan=4095)
    everything.vm("web")
    everything.vm("sniffer", promiscuous=True, large_packets=large_packets)
    return made


def known_frames(path: Path) -> dict[int, Known]:
    """The frames of a capture by number. Skips a capture that is none of Ethernet."""
    try:
        batch = joined(piece.batch for piece in read_captures([path]))
    except CaptureError:
        pytest.skip("no capture of Ethernet")
    found = {}
    for i, row in enumerate(batch.rows):
        is_whole = row["length"] == row["wire_length"]
        data = batch.frame_bytes(i)
        asks = bool(row["wire_length"] > MTU + 14) or (is_whole and is_undone(data))
        found[source_and_serial(int(row["order"]))[1]] = Known(data, bool(is_whole), asks)
    return found


def is_undone(data: bytes) -> bool:
    """Whether a checksum field holds the sum of a pseudo-header only."""
    try:
        return data in (with_seed(data), with_seed(data, with_length=False))
    except (struct.error, IndexError):
        return False


def is_right(data: bytes) -> bool:
    """Whether all checksums of a frame are right; True for what has none."""
    try:
        return has_right_sums(data) if packets(data)[-1].protocol == TCP else True
    except (struct.error, IndexError):
        return True


def longest(path: Path, uplink: str) -> int:
    """Bytes behind the layer 2 header of the longest frame that was delivered at the uplink."""
    with read_captures([path]) as reader:
        batch = joined(piece.batch for piece in reader)
        names = [interface.name for interface in reader.interfaces]
    here = np.array([names[number] == uplink for number in batch.column("interface")], bool)
    return max((int(row["wire_length"]) - 14 for row in batch.rows[here]), default=0)


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_every_combination_of_offloads(path: Path, tmp_path: Path) -> None:
    known = known_frames(path)
    for nic, large_packets, profile, entry in COMBINATIONS:
        outputs = {}
        for engine in (Engine.PLAIN, Engine.PATHS):
            output = tmp_path / f"{engine.value}.pcapng"
            done = lab(nic, large_packets, profile).replay(
                path, at=entry, output=str(output), points=("delivered",), engine=engine
            )
            done.counters.check(0)
            outputs[engine] = output.read_bytes()
            assert done.counters.entered == len(known)
        assert outputs[Engine.PLAIN] == outputs[Engine.PATHS]
        case = f"{nic}, {large_packets=}, {profile}, at {entry}"
        if profile != "none":
            assert done.counters.split > 0 or "gso" not in path.name or entry != "web", case
            assert longest(tmp_path / "paths.pcapng", "vmnic0") <= MTU + 4, case  # a tag in the frame does not count
        assert [wrong for fate in done.fates() if (wrong := _wrong(fate, known, profile, entry))] == [], case


def _wrong(fate: Fate, known: dict[int, Known], profile: str, entry: str) -> str:
    """What is wrong with a delivery, if anything."""
    sent = known[fate.frame]
    if fate.dropped is not None or not sent.is_whole:
        return ""
    where = f"frame {fate.frame} at {fate.port}"
    if profile == "none" or not sent.asks:
        was_put_together = profile == "esxi" and entry == "vmnic0"
        same = _behind_tag(fate.data).startswith(_behind_tag(sent.data))
        return "" if same or was_put_together else f"{where} was changed"
    return "" if is_right(fate.data) else f"{where} has wrong sums"


def _behind_tag(data: bytes) -> bytes:
    """Addresses and what is behind the tag, which may have lost its drop eligible bit."""
    return data[:12] + (data[16:] if data[12:14] == b"\x81\x00" else data[12:])


def all_words() -> Iterator[str]:
    """Words that some capture is chosen by."""
    return (word for word in WORDS if any(word in path.name for path in OTHERS))


@pytest.mark.skipif(not OTHERS, reason="the shared captures are not here")
def test_every_kind_of_capture_is_there() -> None:
    assert {"gso", "bigtcp", "vxlan", "geneve", "truncated"} <= set(all_words())

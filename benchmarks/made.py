"""The captures and labs of the benchmarks: made, seeded, and such that every frame is delivered.

``small`` is 64-byte UDP over 2,000 flows of 200 VMs, ``imix`` 7:4:1 of 64, 594 and 1,518 bytes over 10 VLANs, tagged
as on a trunk, ``mtu`` 1,514-byte TCP. Frames leave by two uplinks under IP hash where their destination is outside.
"""

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
from attrs import frozen

from iochain import Lab

SEED = 20_180_601
VMS = 200
FLOWS = 2_000
PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 0xFFFF, 1)
START_NS = 1_700_000_000 * 10**9


@frozen
class Traffic:
    """What a capture is made of. ``gap_ns`` keeps the uplinks from filling up."""

    name: str
    lengths: tuple[int, ...]  # frame lengths without FCS, repeated in this order
    vlans: tuple[int, ...]  # 0: untagged
    protocol: int
    gap_ns: int


SMALL = Traffic("small", (60,), (10,), 17, 200)
IMIX = Traffic("imix", (60,) * 7 + (590,) * 4 + (1514,), tuple(range(10, 20)), 17, 1000)
MTU = Traffic("mtu", (1514,), (10,), 6, 3000)
ALL = {traffic.name: traffic for traffic in (SMALL, IMIX, MTU)}


def mac(vm: int) -> int:
    """The MAC of VM number ``vm``, from 0; from 1,000 on of machines outside."""
    return (0x005056000001 if vm < 1000 else 0x020000000001) + vm


def lab(traffic: Traffic, shaped: bool = False) -> Lab:
    """200 VMs in as many port groups as VLANs, two uplinks under IP hash, all three policies at reject."""
    made = Lab(captured_at="guest")
    host = made.host("esx1")
    for nic in ("vmnic0", "vmnic1"):
        host.nic(nic, speed="40 Gbit/s")
    policy = {"promiscuous": "reject", "mac_changes": "reject", "forged_transmits": "reject"}
    switch = host.vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"], teaming={"load_balancing": "iphash"}, **policy)
    shaping = {"shaping": {"average": "20 Gbit/s", "burst": "100 MB"}} if shaped else {}
    for vlan in traffic.vlans:
        group = switch.portgroup(f"VLAN{vlan}", vlan=vlan, **shaping)
        for vm in range(VMS):
            if traffic.vlans[vm % len(traffic.vlans)] == vlan:
                group.vm(f"vm{vm}", mac=":".join(f"{mac(vm) >> s & 255:02x}" for s in range(40, -8, -8)))
    return made


def write(traffic: Traffic, frames: int, path: Path) -> None:
    """Write a pcap of so many frames, in pieces of bounded size."""
    source, target, flow_vlan = _flows(traffic)
    random = np.random.default_rng(SEED)
    with path.open("wb") as file:
        file.write(PCAP_HEADER)
        for first in range(0, frames, 1 << 16):
            count = min(1 << 16, frames - first)
            flow = random.integers(0, FLOWS, count)
            numbers = np.arange(first, first + count)
            lengths = np.array(traffic.lengths)[numbers % len(traffic.lengths)]
            file.write(_records(traffic, numbers, lengths, source[flow], target[flow], flow_vlan[flow]))


def _flows(traffic: Traffic) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Sender, receiver and VLAN of each flow; half of the receivers are outside."""
    random = np.random.default_rng(SEED)
    source = random.integers(0, VMS, FLOWS)
    lanes = len(traffic.vlans)
    inside = (source + lanes * random.integers(1, VMS // lanes, FLOWS)) % VMS  # another VM of the same VLAN
    outside = 1000 + random.integers(0, 1000, FLOWS)
    target = np.where(np.arange(FLOWS) % 2 == 0, inside, outside)
    return source, target, np.array(traffic.vlans)[source % lanes]


def _records(
    traffic: Traffic,
    numbers: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    source: npt.NDArray[np.int64],
    target: npt.NDArray[np.int64],
    vlan: npt.NDArray[np.int64],
) -> bytes:
    """The pcap records of some frames. Each is written into a row as long as the longest, then the rows are cut."""
    longest = int(lengths.max())
    rows = np.zeros((len(numbers), 16 + longest), np.uint8)
    times = START_NS + numbers * traffic.gap_ns
    head = np.stack([times // 10**9, times % 10**9, lengths, lengths], axis=1).astype("<u4")
    rows[:, :16] = head.view(np.uint8)
    for shift in range(6):
        rows[:, 16 + shift] = _mac_column(target) >> (40 - 8 * shift) & 255
        rows[:, 22 + shift] = _mac_column(source) >> (40 - 8 * shift) & 255
    rows[:, 28], rows[:, 29], rows[:, 30], rows[:, 38] = 8, 0, 0x45, 64
    _big_endian(rows, 32, lengths - 14, 2)
    rows[:, 39] = traffic.protocol
    _big_endian(rows, 42, 0x0A000000 + source, 4)
    _big_endian(rows, 46, 0x0A010000 + target, 4)
    rows[:, 50:54] = 0x1F, 0x90, 0x1F, 0x91
    _big_endian(rows, 54, lengths - 34, 2)
    if traffic.protocol == 6:
        rows[:, 62], rows[:, 63] = 0x50, 0x10
    keep = np.arange(16 + longest)[None, :] < 16 + lengths[:, None]
    return rows[keep].tobytes()


def _mac_column(vm: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.where(vm < 1000, 0x005056000001, 0x020000000001) + vm


def _big_endian(rows: npt.NDArray[np.uint8], at: int, values: npt.NDArray[np.int64], size: int) -> None:
    for byte in range(size):
        rows[:, at + byte] = values >> 8 * (size - 1 - byte) & 255

"""The captures and labs of the benchmarks: made, seeded, and such that every frame is delivered.

``small`` is 64-byte UDP (with FCS) over 2,000 flows of 200 VMs, ``imix`` 7:4:1 of 64, 594 and 1,518 bytes over 10
VLANs, tagged as at an uplink, ``mtu`` TCP of 1,500 bytes. Half of the flows stay on the host; the others leave by two
uplinks under IP hash.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from attrs import evolve, frozen

from iochain import Lab
from iochain.chain import Port

SEED: Final = 20_180_601
VMS: Final = 200
FLOWS: Final = 2_000
OUTSIDE: Final = 1_000_000
"""Machines with this number or a higher one are not on the host."""
EVERYBODY: Final = -1
"""As a receiver: broadcast."""
START_NS: Final = 1_700_000_000 * 10**9
PCAP_HEADER: Final = np.array([0xA1B23C4D, 2 | 4 << 16, 0, 0, 0xFFFF, 1], "<u4").tobytes()

Numbers = npt.NDArray[np.int64]
Pick = Callable[[int, int], Numbers]
"""The flows of frames, by the number of the first one and how many they are."""

_RECORD, _TAG, _PIECE = 16, 4, 1 << 16
_FIRST_INSIDE, _FIRST_OUTSIDE = 0x005056000001, 0x020000000001
_SOURCE_NET, _TARGET_NET = 0x0A000000, 0x0B000000


@frozen
class Traffic:
    """What a capture is made of. ``gap_ns`` keeps the uplinks from filling up."""

    name: str
    lengths: tuple[int, ...]  # frame lengths without tag and FCS, repeated in this order
    vlans: tuple[int, ...]
    protocol: int
    gap_ns: int
    tagged: bool = False  # captured at the uplink: with the tags that the switch puts on


SMALL: Final = Traffic("small", (60,), (10,), 17, 200)
IMIX: Final = Traffic("imix", (60,) * 7 + (590,) * 4 + (1514,), tuple(range(10, 20)), 17, 1000, tagged=True)
MTU: Final = Traffic("mtu", (1514,), (10,), 6, 3000)
ALL: Final = {traffic.name: traffic for traffic in (SMALL, IMIX, MTU)}


def on_one_vlan(traffic: Traffic) -> Traffic:
    """The same traffic with all VMs on the first VLAN."""
    return evolve(traffic, vlans=traffic.vlans[:1])


@frozen(eq=False)
class Flows:
    """Sender, receiver (from OUTSIDE on: not on the host; EVERYBODY), address of the receiver and VLAN of each flow."""

    source: Numbers
    target: Numbers
    address: Numbers
    vlan: Numbers


def lab(traffic: Traffic, shaped: bool = False, vms: int = VMS) -> Lab:
    """VMs in as many port groups as VLANs, two uplinks under IP hash, all three policies at reject."""
    made = Lab(captured_at="uplink" if traffic.tagged else "guest")
    host = made.host("esx1")
    for nic in ("vmnic0", "vmnic1"):
        host.nic(nic, speed="40 Gbit/s")
    policy = {"promiscuous": "reject", "mac_changes": "reject", "forged_transmits": "reject"}
    switch = host.vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"], teaming={"load_balancing": "iphash"}, **policy)
    shaping = {"shaping": {"average": "20 Gbit/s", "burst": "100 MB"}} if shaped else {}
    groups = [switch.portgroup(f"VLAN{vlan}", vlan=vlan, **shaping) for vlan in traffic.vlans]
    for vm in range(vms):
        groups[vm % len(groups)].vm(f"vm{vm}", mac=mac_text(vm))
    return made


def mac_text(vm: int) -> str:
    """The MAC of a VM as lab files have it."""
    return (_FIRST_INSIDE + vm).to_bytes(6, "big").hex(":")


def usual_flows(traffic: Traffic, vms: int = VMS, flows: int = FLOWS) -> Flows:
    """Every second flow goes to another VM of the same VLAN, the others outside."""
    random = np.random.default_rng(SEED)
    source = random.integers(0, vms, flows)
    lanes = len(traffic.vlans)
    inside = (source + lanes * random.integers(1, vms // lanes, flows)) % vms
    target = np.where(np.arange(flows) % 2 == 0, inside, OUTSIDE + random.integers(0, 1000, flows))
    return flows_of(traffic, source, target)


def flows_of(traffic: Traffic, source: Numbers, target: Numbers, address: Numbers | None = None) -> Flows:
    """Flows from VMs to machines, with the VLANs of the VMs, and an IP address a machine unless others are given."""
    vlan = np.array(traffic.vlans)[source % len(traffic.vlans)]
    return Flows(source, target, _TARGET_NET + target if address is None else address, vlan)


def at_random(flows: int) -> Pick:
    """A flow by chance for each frame."""
    random = np.random.default_rng(SEED)
    return lambda first, count: random.integers(0, flows, count)


def in_turn_then_at_random(flows: int) -> Pick:
    """Each flow once, in an order by chance, and then at random."""
    later, order = at_random(flows), np.random.default_rng(SEED).permutation(flows)

    def pick(first: int, count: int) -> Numbers:
        once = order[first : first + count]
        return np.concatenate([once, later(first, count - len(once))])

    return pick


def size_of(traffic: Traffic, frames: int) -> int:
    """How many bytes a capture of so many frames has."""
    whole, rest = divmod(frames, len(traffic.lengths))
    beside = _RECORD + _TAG * traffic.tagged
    return len(PCAP_HEADER) + whole * sum(traffic.lengths) + sum(traffic.lengths[:rest]) + frames * beside


def write(traffic: Traffic, frames: int, path: Path, flows: Flows | None = None, pick: Pick | None = None) -> Path:
    """Write a pcap of so many frames, unless one of the right size is there; gives its path."""
    if path.exists() and path.stat().st_size == size_of(traffic, frames):
        return path
    chosen = flows or usual_flows(traffic)
    pick = pick or at_random(len(chosen.source))
    with path.open("wb") as file:
        file.write(PCAP_HEADER)
        for first in range(0, frames, _PIECE):
            numbers = np.arange(first, min(first + _PIECE, frames))
            file.write(_records(traffic, numbers, chosen, pick(first, len(numbers))).tobytes())
    return path


def write_ports(ports: list[Port], path: Path) -> None:
    """Write the ports of a lab for the C program: name, VLAN and MAC of a VM's, or the name of an uplink."""
    lines = [f"{p.name} -1 0" if p.uplink else f"{p.name} {p.vlan} {int(p.effective_mac or 0):x}" for p in ports]
    path.write_text("".join(f"{line}\n" for line in lines))


def _records(traffic: Traffic, numbers: Numbers, flows: Flows, flow: Numbers) -> npt.NDArray[np.uint8]:
    """The pcap records of some frames. Each is written into a row as long as the longest, then the rows are cut."""
    network = 14 + _TAG * traffic.tagged
    inner = np.array(traffic.lengths)[numbers % len(traffic.lengths)]
    lengths = inner + _TAG * traffic.tagged
    rows = np.zeros((len(numbers), _RECORD + int(lengths.max())), np.uint8)
    times = START_NS + numbers * traffic.gap_ns
    head = np.stack([times // 10**9, times % 10**9, lengths, lengths], axis=1).astype("<u4")
    rows[:, :_RECORD] = head.view(np.uint8)
    frame = rows[:, _RECORD:]
    _put(frame, 0, _mac(flows.target[flow]), 6)
    _put(frame, 6, _mac(flows.source[flow]), 6)
    if traffic.tagged:
        frame[:, 12] = 0x81
        _put(frame, 14, flows.vlan[flow], 2)
    frame[:, network - 2] = 8
    _put_ipv4(frame[:, network:], traffic.protocol, inner - 14, _SOURCE_NET + flows.source[flow], flows.address[flow])
    if len(traffic.lengths) == 1:
        return rows.reshape(-1)
    cut: npt.NDArray[np.uint8] = rows[np.arange(rows.shape[1])[None, :] < _RECORD + lengths[:, None]]
    return cut


def _put_ipv4(packet: npt.NDArray[np.uint8], protocol: int, length: Numbers, source: Numbers, target: Numbers) -> None:
    """IPv4 and what the protocol's header must have; the payload stays zero."""
    packet[:, 0], packet[:, 8], packet[:, 9] = 0x45, 64, protocol
    _put(packet, 2, length, 2)
    _put(packet, 12, source, 4)
    _put(packet, 16, target, 4)
    packet[:, 20:24] = 0x1F, 0x90, 0x1F, 0x91
    if protocol == 6:
        packet[:, 32], packet[:, 33] = 0x50, 0x10
    else:
        _put(packet, 24, length - 20, 2)


def _mac(machine: Numbers) -> Numbers:
    known = np.where(machine < OUTSIDE, _FIRST_INSIDE + machine, _FIRST_OUTSIDE + machine - OUTSIDE)
    return np.where(machine == EVERYBODY, 0xFFFFFFFFFFFF, known)


def _put(rows: npt.NDArray[np.uint8], at: int, values: Numbers, size: int) -> None:
    for byte in range(size):
        rows[:, at + byte] = values >> 8 * (size - 1 - byte) & 255

"""A first lab for captures that have none: port groups from their VLANs, VMs from their source MACs, and why of each.

What a capture cannot say is left at ESXi's defaults and named in comments. Addresses are counted in a table of bounded
size, so a capture may be of any length: what is kept of a source is its frames, its VLANs and its first IP addresses.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterator, Sequence
from os import PathLike, fspath
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen
from numba import types

from iochain.batch import Rows
from iochain.capture import Source, read_captures
from iochain.frame import ALL_VLANS, MAX_VLAN, VID_BITS, Mac
from iochain.kernels import words as w
from iochain.kernels.compiled import compiled, part
from iochain.kernels.parse import NETWORK, parse_row
from iochain.kernels.rows import ROWS

MOST_VMS: Final = 1_000
"""Of more sources the busiest become VMs."""
MOST_ADDRESSES: Final = 8
"""A source that speaks for more IP addresses than this is a router."""
STRAY_SHARE: Final = 0.01
"""A source with at most this share of its frames outside of one VLAN is in that one."""
ESXI_VERSION: Final = "8.0"
_STANDARD_MTU, _LARGEST_MTU = 1500, 9000
_LISTED_OUTSIDE = 50
_LISTED_ADDRESSES = 4
_SHARED_MACS = {0x00005E0001: "VRRP", 0x00005E0002: "VRRP for IPv6", 0x00000C07AC: "HSRP", 0x0007B40001: "GLBP"}
"""First five bytes of MACs that move between machines (RFC 9568; Cisco's HSRP and GLBP)."""


@frozen
class InferredLab:
    """A lab file that was inferred: its text with comments, the same as nested data, and a summary in sentences."""

    text: str
    data: dict[str, Any] = field(repr=False)
    summary: str = field(repr=False)


def infer(captures: Sequence["str | PathLike[str]"], *, limit: int | None = None) -> InferredLab:
    """Propose a lab for captures, from all frames or the first ``limit``. CaptureError if one cannot be read.

    One host ``esx1`` with ``vSwitch0`` and ``vmnic0``; a port group for each VLAN (outer tag); a VM for each unicast
    source MAC, on a port group of VLAN 4095 if it sends in several VLANs. Sources with more than eight IP addresses,
    sources of nothing but spanning tree and its like, and all behind the busiest 1,000 stay outside.
    """
    names = [fspath(capture) for capture in captures]
    census = _Census()
    with read_captures(names, limit=limit) as reader:
        for piece in reader:
            census.count(piece.batch.rows)
        notes = [note for source in reader.sources for note in _notes(source)]
    draft = _Draft.of(census)
    return InferredLab(_text(draft, names, notes), _data(draft), _summary(draft, names, notes))


# -- counting

_TABLE = types.Array(types.int64, 2, "C")
_NUMBERS = types.Array(types.int64, 1, "C")
_MOST_SOURCES = 1 << 16
_MOST_VLANS = 8
_MAC, _FRAMES, _CONTROL, _VLANS, _ADDRESSES = 0, 1, 2, 3, 4
"""Columns of a source; the last two count its VLANs and IP addresses, one more than are kept meaning: more."""
_VLAN_AT = 5
_ADDRESS_AT = _VLAN_AT + 2 * _MOST_VLANS
_COLUMNS = _ADDRESS_AT + 2 * (MOST_ADDRESSES + 1)
_USED, _IGNORED, _LONGEST = 0, 1, 2
"""Totals: sources in the table, frames from a group address or zero, the longest payload that is not TCP in bytes."""
_GROUP_BIT = 40
_TCP = 6
_ETHERNET_BYTES = 14
_MAPPED = 0xFFFF << 32
"""Above an IPv4 address in the low half of an IPv6 address (RFC 4291, 2.5.5.2)."""


@define
class _Census:
    """What all frames of some captures say of their sources, in arrays that do not grow."""

    sources: npt.NDArray[np.int64] = field(factory=lambda: np.zeros((_MOST_SOURCES, _COLUMNS), np.int64))
    slots: npt.NDArray[np.int64] = field(factory=lambda: np.full(2 * _MOST_SOURCES, -1, np.int64))
    totals: npt.NDArray[np.int64] = field(factory=lambda: np.zeros(3, np.int64))
    vlan_frames: npt.NDArray[np.int64] = field(factory=lambda: np.zeros(VID_BITS + 1, np.int64))
    words: npt.NDArray[np.int64] = field(factory=lambda: np.zeros(w.COUNT, np.int64))
    frames: int = 0
    forgotten: int = 0  # sources

    def count(self, rows: Rows) -> None:
        """Take frames in."""
        self.frames += len(rows)
        done = 0
        while done < len(rows):
            done = count_sources(rows, done, self.slots, self.sources, self.totals, self.vlan_frames, self.words)
            if done < len(rows):
                self._forget()

    def known(self) -> list["_Machine"]:
        """All sources, in the order in which they were first seen."""
        return [_Machine(row.tolist()) for row in self.sources[: self.totals[_USED]]]

    def _forget(self) -> None:
        """Make room: forget the half of the sources that sent least."""
        busiest = np.argsort(-self.sources[:, _FRAMES], kind="stable")[: len(self.sources) // 2]
        kept = self.sources[np.sort(busiest)]
        self.forgotten += len(self.sources) - len(kept)
        self.sources[: len(kept)] = kept
        self.sources[len(kept) :] = 0
        self.totals[_USED] = len(kept)
        self.slots[:] = -1
        index_sources(self.slots, self.sources, len(kept))


@part
def _slot_of(slots: Any, sources: Any, mac: int) -> int:
    """The slot that holds the number of a source, or the free one where it belongs."""
    mask = len(slots) - 1
    slot = (mac * 0x9E3779B97F4A7C1) >> 20 & mask
    while slots[slot] >= 0 and sources[slots[slot], _MAC] != mac:
        slot = (slot + 1) & mask
    return slot


@compiled(types.void(_NUMBERS, _TABLE, types.int64))
def index_sources(slots: Any, sources: Any, count: int) -> None:
    """Enter the first sources in empty slots."""
    for number in range(count):
        slots[_slot_of(slots, sources, sources[number, _MAC])] = number


@part
def _note_vlan(source: Any, vlan: int) -> None:
    for known in range(min(source[_VLANS], _MOST_VLANS)):
        if source[_VLAN_AT + 2 * known] == vlan:
            source[_VLAN_AT + 2 * known + 1] += 1
            return
    if source[_VLANS] < _MOST_VLANS:
        source[_VLAN_AT + 2 * source[_VLANS]] = vlan
        source[_VLAN_AT + 2 * source[_VLANS] + 1] = 1
    source[_VLANS] = min(source[_VLANS] + 1, _MOST_VLANS + 1)


@part
def _note_address(source: Any, high: int, low: int) -> None:
    for known in range(source[_ADDRESSES]):
        at = _ADDRESS_AT + 2 * known
        if source[at] == high and source[at + 1] == low:
            return
    if source[_ADDRESSES] <= MOST_ADDRESSES:
        source[_ADDRESS_AT + 2 * source[_ADDRESSES]] = high
        source[_ADDRESS_AT + 2 * source[_ADDRESSES] + 1] = low
        source[_ADDRESSES] += 1


@part
def _note_ipv4(source: Any, address: int) -> None:
    if 0 < address < 0xE0000000:  # neither "this host" nor a group
        _note_address(source, 0, _MAPPED | address)


@part
def _note_addresses(source: Any, words: Any) -> None:
    """The IP address that a frame speaks for: of its IP header, or of the ARP message's sender if that is itself."""
    present = words[w.PRESENT]
    if present >> w.IPV4_SOURCE & 1:
        _note_ipv4(source, words[w.IPV4_SOURCE])
    elif present >> w.ARP_SENDER_IP & 1:
        if words[w.ARP_SENDER_MAC] == words[w.SOURCE]:
            _note_ipv4(source, words[w.ARP_SENDER_IP])
    elif present >> w.IPV6_SOURCE_HIGH & 1:
        high, low = words[w.IPV6_SOURCE_HIGH], words[w.IPV6_SOURCE_LOW]
        is_group = high >> 56 & 0xFF == 0xFF
        is_link_local = high >> 54 & 0x3FF == 0x3FA
        if not is_group and not is_link_local and (high != 0 or low != 0):
            _note_address(source, high, low)


@part
def _is_control(destination: int) -> bool:
    """Whether an address is one of those that bridges talk by (802.1Q, table 8-1), or Cisco's CDP, DTP, PVST+."""
    return destination >> 4 == 0x0180C200000 or destination >> 1 == 0x01000CCCCCCC >> 1


@compiled(types.int64(ROWS, types.int64, _NUMBERS, _TABLE, _NUMBERS, _NUMBERS, _NUMBERS))
def count_sources(rows: Any, start: int, slots: Any, sources: Any, totals: Any, vlan_frames: Any, words: Any) -> int:
    """Count rows from ``start`` on, up to the first that needs more room; its index, or how many rows there are."""
    for i in range(start, len(rows)):
        parse_row(rows[i], words.ctypes.data, NETWORK)
        if words[w.PRESENT] >> w.TRANSPORT & 1 == 0 or words[w.TRANSPORT] != _TCP:
            totals[_LONGEST] = max(totals[_LONGEST], words[w.WIRE_LENGTH] - _ETHERNET_BYTES)
        mac = words[w.SOURCE]
        vlan = words[w.TAG] & VID_BITS if words[w.PRESENT] >> w.TAG & 1 else 0
        if mac == 0 or mac >> _GROUP_BIT & 1:
            totals[_IGNORED] += 1
            vlan_frames[vlan] += 1
            continue
        slot = _slot_of(slots, sources, mac)
        if slots[slot] < 0:
            if totals[_USED] == len(sources):
                return i
            slots[slot] = totals[_USED]
            sources[totals[_USED], _MAC] = mac
            totals[_USED] += 1
        source = sources[slots[slot]]
        vlan_frames[vlan] += 1
        source[_FRAMES] += 1
        source[_CONTROL] += _is_control(words[w.DESTINATION])
        _note_vlan(source, vlan)
        _note_addresses(source, words)
    return len(rows)


# -- judging


@frozen
class _Machine:
    """One source MAC, and what its frames say."""

    row: list[int] = field(repr=False)

    @property
    def mac(self) -> Mac:
        return Mac(self.row[_MAC])

    @property
    def frames(self) -> int:
        return self.row[_FRAMES]

    @property
    def vlans(self) -> dict[int, int]:
        """Frames by VLAN, most first; 0: untagged."""
        ends = _VLAN_AT + 2 * min(self.row[_VLANS], _MOST_VLANS)
        pairs = zip(self.row[_VLAN_AT:ends:2], self.row[_VLAN_AT + 1 : ends : 2], strict=True)
        return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))

    @property
    def vlan(self) -> int:
        """The VLAN of its port group."""
        main, frames = next(iter(self.vlans.items()))
        return main if self.frames - frames <= STRAY_SHARE * self.frames else ALL_VLANS

    @property
    def addresses(self) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
        """The IP addresses that it speaks for; at most one more than a VM may have."""
        return [_address(*self.row[at : at + 2]) for at in range(_ADDRESS_AT, self._addresses_end, 2)]

    @property
    def only_ipv4(self) -> ipaddress.IPv4Address | None:
        """Its IPv4 address, if it has just one."""
        found = [address for address in self.addresses if isinstance(address, ipaddress.IPv4Address)]
        return found[0] if len(found) == 1 and not self.is_router else None

    @property
    def is_router(self) -> bool:
        """Whether it speaks for too many IP addresses to be their owner."""
        return self.row[_ADDRESSES] > MOST_ADDRESSES

    @property
    def is_switch(self) -> bool:
        """Whether it sends nothing but what bridges say to each other."""
        return self.row[_CONTROL] == self.frames

    @property
    def _addresses_end(self) -> int:
        return _ADDRESS_AT + 2 * self.row[_ADDRESSES]


def _address(high: int, low: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if high == 0 and low >> 32 == 0xFFFF:
        return ipaddress.IPv4Address(low & 0xFFFFFFFF)
    return ipaddress.IPv6Address((high & (1 << 64) - 1) << 64 | low & (1 << 64) - 1)


@frozen
class _Draft:
    """The lab as it was decided."""

    frames: int
    ignored: int
    forgotten: int
    portgroups: dict[str, int]  # VLANs by name
    vlan_frames: dict[int, int]
    vms: dict[str, _Machine]
    outside: list[tuple[_Machine, str]]  # and why
    tagged: int  # frames of VMs that carry the tag of their port group
    longest: int  # payload in bytes

    @classmethod
    def of(cls, census: _Census) -> "_Draft":
        """Decide who is a VM and where."""
        machines = census.known()
        inside, outside = _sides(machines)
        vlans = {int(vlan): int(census.vlan_frames[vlan]) for vlan in np.flatnonzero(census.vlan_frames)}
        needed = {vlan for vlan in vlans if vlan <= MAX_VLAN} | {machine.vlan for machine in inside}
        return cls(
            census.frames,
            int(census.totals[_IGNORED]),
            census.forgotten,
            {_portgroup(vlan): vlan for vlan in sorted(needed or {0})},
            vlans,
            _named(inside),
            outside,
            sum(machine.vlans[machine.vlan] for machine in inside if 0 < machine.vlan < ALL_VLANS),
            int(census.totals[_LONGEST]),
        )

    @property
    def captured_at(self) -> str:
        """Inside of guests no frame has the tag that its port group puts on."""
        return "uplink" if self.tagged else "guest"

    @property
    def mtu(self) -> int | None:
        """The MTU that lets the longest frame pass, if the default does not."""
        return _LARGEST_MTU if self.longest > _STANDARD_MTU else None

    @property
    def trunks(self) -> list[str]:
        """VMs that tag their frames themselves."""
        return [name for name, machine in self.vms.items() if machine.vlan == ALL_VLANS]


def _sides(machines: list[_Machine]) -> tuple[list[_Machine], list[tuple[_Machine, str]]]:
    """The VMs, and who stays outside and why; each in the order in which they were first seen."""
    outside = {int(machine.mac): why for machine in machines if (why := _why_outside(machine))}
    inside = [machine for machine in machines if int(machine.mac) not in outside]
    inhabited = {vlan for machine in inside for vlan in machine.vlans}
    for machine in machines:
        if machine.is_router and not machine.is_switch and inhabited.isdisjoint(machine.vlans):
            inside.append(machine)  # among routers only: the first is taken in, or nobody would get a frame
            inhabited.update(machine.vlans)
            del outside[int(machine.mac)]
    busiest = sorted(inside, key=lambda machine: -machine.frames)[:MOST_VMS]
    kept = {int(machine.mac) for machine in busiest}
    outside.update({int(m.mac): f"not among the busiest {MOST_VMS:,}" for m in inside if int(m.mac) not in kept})
    return (
        [machine for machine in machines if int(machine.mac) in kept],
        [(machine, outside[int(machine.mac)]) for machine in machines if int(machine.mac) in outside],
    )


def _why_outside(machine: _Machine) -> str:
    if machine.is_switch:
        return "sends only control frames of bridges (spanning tree, LLDP, CDP …): a physical switch"
    if machine.is_router:
        return f"speaks for more than {MOST_ADDRESSES} IP addresses: a router"
    return ""


def _portgroup(vlan: int) -> str:
    return {0: "Untagged", ALL_VLANS: "Trunk"}.get(vlan, f"VLAN{vlan}")


def _named(machines: list[_Machine]) -> dict[str, _Machine]:
    """VMs by name: by their IPv4 address, if they have one; one that others have too gets numbered."""
    named: dict[str, _Machine] = {}
    owners: Counter[str] = Counter()
    for machine in machines:
        address = machine.only_ipv4
        stem = "vm" if address is None else f"vm-{address}".replace(".", "-")
        owners[stem] += 1
        number = owners[stem]
        named[f"vm{number}" if address is None else stem if number == 1 else f"{stem}-{number}"] = machine
    return named


# -- telling


def _data(draft: _Draft) -> dict[str, Any]:
    """The lab as the text says it."""
    vswitch: dict[str, Any] = {"uplinks": ["vmnic0"]}
    if draft.mtu is not None:
        vswitch["mtu"] = draft.mtu
    vswitch["portgroups"] = {name: {"vlan": vlan} for name, vlan in draft.portgroups.items()}
    data: dict[str, Any] = {
        "esxi_version": ESXI_VERSION,
        "captured_at": draft.captured_at,
        "hosts": {"esx1": {"nics": {"vmnic0": {"speed": "10 Gbit/s"}}, "vswitches": {"vSwitch0": vswitch}}},
    }
    if draft.vms:
        data["vms"] = {
            name: {"network": _portgroup(machine.vlan), "mac": str(machine.mac)} for name, machine in draft.vms.items()
        }
    return data


def _text(draft: _Draft, names: Sequence[str], notes: Sequence[str]) -> str:
    return "\n".join([*_head(draft, names, notes), *_host(draft), *_vms(draft), *_outside(draft)]) + "\n"


_UNKNOWN = f"""\
# What frames cannot tell:
# - which machines are VMs: take those that run elsewhere out of vms:, their frames then come in by vmnic0
# - who never sent: a VM that only listens has to be added
# - security policies: ESXi {ESXI_VERSION} defaults hold. "promiscuous: accept" matters if a VM listens to others,
#   "forged_transmits: accept" if one sends from several MACs (a bridge, VRRP); say these with its sends_as"""


def _head(draft: _Draft, names: Sequence[str], notes: Sequence[str]) -> Iterator[str]:
    yield f"# Inferred from {_captures(names)}: {_count(draft.frames, 'frame')}. A proposal, to be checked and changed."
    for note in (*notes, *_cautions(draft)):
        yield f"# Note: {note}"
    yield _UNKNOWN
    yield f'esxi_version: "{ESXI_VERSION}"'
    yield f"captured_at: {draft.captured_at}  # {_where(draft)}"


def _cautions(draft: _Draft) -> Iterator[str]:
    """What makes the lab less than it could be."""
    if not draft.frames:
        yield "there is no Ethernet frame, so nothing could be inferred; name port groups and VMs yourself"
    elif not draft.vms:
        yield "no VM could be inferred, so no port takes the frames that come in by vmnic0; add VMs"
    if draft.ignored:
        what = "from 00:00:00:00:00:00 (a loopback interface?) or a group address"
        yield f"{_count(draft.ignored, 'frame')} {what}, so of no machine"
    if draft.forgotten:
        yield f"there are very many sources; {draft.forgotten:,} that sent little were forgotten on the way"


def _where(draft: _Draft) -> str:
    if draft.tagged:
        return f"{_count(draft.tagged, 'frame')} of VMs with the tag of their port group, which guests do not see"
    if draft.trunks:
        return "tags are those of VMs that send in several VLANs"
    return "no frame of a VM carries a tag"


def _host(draft: _Draft) -> Iterator[str]:
    yield "hosts:"
    yield "  esx1:"
    yield "    nics:"
    yield "      vmnic0: {speed: 10 Gbit/s}  # assumed"
    yield "    vswitches:"
    yield "      vSwitch0:"
    yield "        uplinks: [vmnic0]"
    if draft.mtu is not None:
        yield f"        mtu: {draft.mtu}  # frames that are not TCP have up to {draft.longest:,} bytes of payload"
    yield "        portgroups:"
    for name, vlan in draft.portgroups.items():
        yield f"          {name}: {{vlan: {vlan}}}  # {_about_portgroup(draft, vlan)}"


def _about_portgroup(draft: _Draft, vlan: int) -> str:
    members = sum(machine.vlan == vlan for machine in draft.vms.values())
    if vlan == ALL_VLANS:
        return f"for {_count(members, 'VM')} with frames in several VLANs"
    frames = _count(draft.vlan_frames.get(vlan, 0), "frame")
    return f"{frames} {f'with tag {vlan}' if vlan else 'without a tag'}, {_count(members, 'VM')}"


def _vms(draft: _Draft) -> Iterator[str]:
    if draft.vms:
        yield "vms:"
    for name, machine in draft.vms.items():
        network = _portgroup(machine.vlan)
        yield f'  {name}: {{network: {network}, mac: "{machine.mac}"}}  # {_about(machine)}'


def _about(machine: _Machine) -> str:
    """What is known of a machine, in a line."""
    said = [_count(machine.frames, "frame")]
    addresses = machine.addresses
    if addresses and not machine.is_router:
        more = len(addresses) - _LISTED_ADDRESSES
        listed = ", ".join(map(str, addresses[:_LISTED_ADDRESSES]))
        said.append(f"speaks for {listed}{f' and {more} more' if more > 0 else ''}")
    if machine.is_router:
        said.append(f"a router with more than {MOST_ADDRESSES} IP addresses, here as its VLAN has no other VM")
    if len(machine.vlans) > 1:
        more_vlans = " and more" if machine.row[_VLANS] > _MOST_VLANS else ""
        said.append(f"VLANs {', '.join(str(vlan or 'untagged') for vlan in machine.vlans)}{more_vlans}")
    shared = _SHARED_MACS.get(machine.mac >> 8)
    if shared:
        said.append(f"an address of {shared}: give it to the VM that sends from it, as sends_as")
    return "; ".join(said)


def _outside(draft: _Draft) -> Iterator[str]:
    if not draft.outside:
        return
    yield f"# Outside, no VMs ({len(draft.outside):,}); their frames come in by vmnic0:"
    for machine, why in draft.outside[:_LISTED_OUTSIDE]:
        yield f"#   {machine.mac}: {_count(machine.frames, 'frame')}; {why}"
    if len(draft.outside) > _LISTED_OUTSIDE:
        yield f"#   … and {len(draft.outside) - _LISTED_OUTSIDE:,} more"


def _summary(draft: _Draft, names: Sequence[str], notes: Sequence[str]) -> str:
    """A few sentences, one a line."""
    lines = [f"{_captures(names)}: {_count(draft.frames, 'frame')}"]
    lines += [*notes, *_cautions(draft)]
    listed = [f"{_count(len(draft.portgroups), 'port group')} ({_some(draft.portgroups)})"]
    listed.append(_count(len(draft.vms), "VM") + (f" ({_some(draft.vms)})" if draft.vms else ""))
    lines.append(", ".join(listed))
    lines.append(f"captured at: {draft.captured_at} ({_where(draft)})")
    for why, count in Counter(why for _, why in draft.outside).items():
        found = [str(machine.mac) for machine, reason in draft.outside if reason == why]
        lines.append(f"outside: {count:,} ({_some(found)}): {why}")
    return "\n".join(lines)


def _notes(source: Source) -> Iterator[str]:
    """What of a capture was not read."""
    name = _file_name(source.path)
    for link, count in source.passed_over.items():
        yield f"{name}: {_count(count, 'frame')} passed over, of link type {link}, not Ethernet"
    if source.short:
        yield f"{name}: {_count(source.short, 'frame')} passed over, too short for Ethernet"
    if source.ending is not None:
        yield f"{name}: {source.ending}"


def _captures(names: Sequence[str]) -> str:
    files = list(map(_file_name, names))
    return _some(files) if files else "no capture"


def _some(names: "Sequence[str] | dict[str, Any]", most: int = 6) -> str:
    """The first few names."""
    listed = list(names)
    return ", ".join(listed[:most]) + (f" … and {len(listed) - most:,} more" if len(listed) > most else "")


def _file_name(path: str) -> str:
    """The last part of a path, fit for a comment."""
    name = path.replace("\\", "/").rpartition("/")[2]
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def _count(number: int, what: str) -> str:
    """A number with its noun."""
    if not number:
        return f"no {what}"
    return f"{number:,} {what}{'' if number == 1 else 's'}"

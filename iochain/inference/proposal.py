"""A first lab for captures that have none: port groups from their VLANs, VMs from their source MACs, and why of each.

What a capture cannot say is left at ESXi's defaults and named in comments.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from os import PathLike, fspath
from typing import Any, Final

from attrs import field, frozen

from iochain.capture import Source, read_captures
from iochain.frame import ALL_VLANS
from iochain.inference.census import MOST_ADDRESSES, Census, Machine
from iochain.inference.draft import Draft, portgroup_of

ESXI_VERSION: Final = "8.0"
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
    census = Census()
    with read_captures(names, limit=limit) as reader:
        for piece in reader:
            census.count(piece.batch.rows)
        notes = [note for source in reader.sources for note in _notes(source)]
    draft = Draft.of(census)
    return InferredLab(_text(draft, names, notes), _data(draft), _summary(draft, names, notes))


def _data(draft: Draft) -> dict[str, Any]:
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
            name: {"network": portgroup_of(machine.vlan), "mac": str(machine.mac)}
            for name, machine in draft.vms.items()
        }
    return data


def _text(draft: Draft, names: Sequence[str], notes: Sequence[str]) -> str:
    return "\n".join([*_head(draft, names, notes), *_host(draft), *_vms(draft), *_outside(draft)]) + "\n"


_UNKNOWN = f"""\
# What frames cannot tell:
# - which machines are VMs: take those that run elsewhere out of vms:, their frames then come in by vmnic0
# - who never sent: a VM that only listens has to be added
# - security policies: ESXi {ESXI_VERSION} defaults hold. "promiscuous: accept" matters if a VM listens to others,
#   "forged_transmits: accept" if one sends from several MACs (a bridge, VRRP); say these with its sends_as"""


def _head(draft: Draft, names: Sequence[str], notes: Sequence[str]) -> Iterator[str]:
    yield f"# Inferred from {_captures(names)}: {_count(draft.frames, 'frame')}. A proposal, to be checked and changed."
    for note in (*notes, *_cautions(draft)):
        yield f"# Note: {note}"
    yield _UNKNOWN
    yield f'esxi_version: "{ESXI_VERSION}"'
    yield f"captured_at: {draft.captured_at}  # {_where(draft)}"


def _cautions(draft: Draft) -> Iterator[str]:
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


def _where(draft: Draft) -> str:
    if draft.tagged:
        return f"{_count(draft.tagged, 'frame')} of VMs with the tag of their port group, which guests do not see"
    if draft.trunks:
        return "tags are those of VMs that send in several VLANs"
    return "no frame of a VM carries a tag"


def _host(draft: Draft) -> Iterator[str]:
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
        yield f"          {name}: {{vlan: {vlan}}}  # {_aboutportgroup_of(draft, vlan)}"


def _aboutportgroup_of(draft: Draft, vlan: int) -> str:
    members = sum(machine.vlan == vlan for machine in draft.vms.values())
    if vlan == ALL_VLANS:
        return f"for {_count(members, 'VM')} with frames in several VLANs"
    frames = _count(draft.vlan_frames.get(vlan, 0), "frame")
    return f"{frames} {f'with tag {vlan}' if vlan else 'without a tag'}, {_count(members, 'VM')}"


def _vms(draft: Draft) -> Iterator[str]:
    if draft.vms:
        yield "vms:"
    for name, machine in draft.vms.items():
        network = portgroup_of(machine.vlan)
        yield f'  {name}: {{network: {network}, mac: "{machine.mac}"}}  # {_about(machine)}'


def _about(machine: Machine) -> str:
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
        more_vlans = " and more" if machine.has_more_vlans else ""
        said.append(f"VLANs {', '.join(str(vlan or 'untagged') for vlan in machine.vlans)}{more_vlans}")
    shared = _SHARED_MACS.get(machine.mac >> 8)
    if shared:
        said.append(f"an address of {shared}: give it to the VM that sends from it, as sends_as")
    return "; ".join(said)


def _outside(draft: Draft) -> Iterator[str]:
    if not draft.outside:
        return
    yield f"# Outside, no VMs ({len(draft.outside):,}); their frames come in by vmnic0:"
    for machine, why in draft.outside[:_LISTED_OUTSIDE]:
        yield f"#   {machine.mac}: {_count(machine.frames, 'frame')}; {why}"
    if len(draft.outside) > _LISTED_OUTSIDE:
        yield f"#   … and {len(draft.outside) - _LISTED_OUTSIDE:,} more"


def _summary(draft: Draft, names: Sequence[str], notes: Sequence[str]) -> str:
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

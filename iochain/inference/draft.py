"""The draft of a lab, from a census: who is a VM, on which port group, who stays outside, and why."""

from collections import Counter
from typing import Final

import numpy as np
from attrs import frozen

from iochain.frame import ALL_VLANS, MAX_VLAN
from iochain.inference.census import MOST_ADDRESSES, Census, Machine

MOST_VMS: Final = 1_000
"""Of more sources the busiest become VMs."""
_STANDARD_MTU, _LARGEST_MTU = 1500, 9000


@frozen
class Draft:
    """The lab as it was decided."""

    frames: int
    ignored: int
    forgotten: int
    portgroups: dict[str, int]  # VLANs by name
    vlan_frames: dict[int, int]
    vms: dict[str, Machine]
    outside: list[tuple[Machine, str]]  # and why
    tagged: int  # frames of VMs that carry the tag of their port group
    longest: int  # payload in bytes

    @classmethod
    def of(cls, census: Census) -> "Draft":
        """Decide who is a VM and where."""
        machines = census.known()
        inside, outside = _sides(machines)
        vlans = {int(vlan): int(census.vlan_frames[vlan]) for vlan in np.flatnonzero(census.vlan_frames)}
        needed = {vlan for vlan in vlans if vlan <= MAX_VLAN} | {machine.vlan for machine in inside}
        return cls(
            census.frames,
            census.ignored,
            census.forgotten,
            {portgroup_of(vlan): vlan for vlan in sorted(needed or {0})},
            vlans,
            _named(inside),
            outside,
            sum(machine.vlans[machine.vlan] for machine in inside if 0 < machine.vlan < ALL_VLANS),
            census.longest,
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


def _sides(machines: list[Machine]) -> tuple[list[Machine], list[tuple[Machine, str]]]:
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


def _why_outside(machine: Machine) -> str:
    if machine.is_switch:
        return "sends only control frames of bridges (spanning tree, LLDP, CDP …): a physical switch"
    if machine.is_router:
        return f"speaks for more than {MOST_ADDRESSES} IP addresses: a router"
    return ""


def portgroup_of(vlan: int) -> str:
    """The name of a VLAN's port group."""
    return {0: "Untagged", ALL_VLANS: "Trunk"}.get(vlan, f"VLAN{vlan}")


def _named(machines: list[Machine]) -> dict[str, Machine]:
    """VMs by name: by their IPv4 address, if they have one; one that others have too gets numbered."""
    named: dict[str, Machine] = {}
    owners: Counter[str] = Counter()
    for machine in machines:
        address = machine.only_ipv4
        stem = "vm" if address is None else f"vm-{address}".replace(".", "-")
        owners[stem] += 1
        number = owners[stem]
        named[f"vm{number}" if address is None else stem if number == 1 else f"{stem}-{number}"] = machine
    return named

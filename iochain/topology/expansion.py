"""The lab written out in full: counted VMs one by one, every address, every uplink, every VM's host."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Final

from attrs import evolve

from iochain.topology.spec import Host, LabSpec, MacAddress, Nic, Vm, Vnic
from iochain.topology.units import mac_number, mac_text

FIRST_VNIC: Final = 0x005056000001
FIRST_VMKERNEL: Final = 0x005056600001
FIRST_NIC: Final = 0x020000000001
"""First default addresses: VMware's range for addresses given by hand, ESXi's for vmkernel, a locally given one."""


def expanded(spec: LabSpec) -> LabSpec:
    """The same lab without ``count``, without absent hosts and addresses. Doing it twice changes nothing.

    Of a counted VM with a given MAC the first has it and the others the following ones; ``effective_mac`` and
    ``sends_as`` are the same for all of them, as with clusters that share an address. Addresses that are made skip all
    given ones and go up in the order of the lab, so they are the same in every run.
    """
    vms = dict(each_vm(spec))
    taken = set(_given(spec.hosts, vms))
    vnics, vmkernels, nics = (_free(first, taken) for first in (FIRST_VNIC, FIRST_VMKERNEL, FIRST_NIC))
    return evolve(
        spec,
        vms={name: _addressed_vm(vm, vnics) for name, vm in vms.items()},
        hosts={name: _addressed_host(host, vmkernels, nics) for name, host in spec.hosts.items()},
    )


def each_vm(spec: LabSpec) -> Iterator[tuple[str, Vm]]:
    """Every VM with its name: counted ones one by one, and each with its host."""
    only_host = next(iter(spec.hosts)) if len(spec.hosts) == 1 else None
    for name, vm in spec.vms.items():
        placed = evolve(vm, host=vm.host if vm.host is not None else only_host, count=None)
        if vm.count is None:
            yield name, placed
        for index in range(vm.count or 0):
            vnics = {label: _following(vnic, index) for label, vnic in vm.vnics.items()}
            yield f"{name}-{index + 1}", evolve(placed, vnics=vnics)


def uplinks(host: Host) -> dict[str, Nic]:
    """The host's physical NICs, those that are only named as uplinks with default values."""
    named = [uplink for switch in host.vswitches.values() for uplink in switch.uplinks]
    return {**host.nics, **{uplink: Nic() for uplink in named if uplink not in host.nics}}


def _following(vnic: Vnic, index: int) -> Vnic:
    if vnic.mac is None or index == 0:
        return vnic
    return evolve(vnic, mac=mac_text((mac_number(vnic.mac) + index) % (1 << 48)))


def _given(hosts: Mapping[str, Host], vms: Mapping[str, Vm]) -> Iterator[MacAddress]:
    for host in hosts.values():
        yield from (nic.mac for nic in host.nics.values() if nic.mac)
        for vmkernel in host.vmkernel.values():
            yield from (vmkernel.sends_as if vmkernel.mac is None else (vmkernel.mac, *vmkernel.sends_as))
    for vm in vms.values():
        for vnic in vm.vnics.values():
            yield from (mac for mac in (vnic.mac, vnic.effective_mac, *vnic.sends_as) if mac)


def _free(first: int, taken: Iterable[MacAddress]) -> Iterator[MacAddress]:
    """Addresses from this one on that nobody has; nothing else counts in the same range, so they need no noting."""
    return (address for address in (mac_text(number) for number in count(first)) if address not in taken)


def _addressed_vm(vm: Vm, addresses: Iterator[MacAddress]) -> Vm:
    if all(vnic.mac for vnic in vm.vnics.values()):
        return vm
    return evolve(vm, vnics={name: evolve(vnic, mac=vnic.mac or next(addresses)) for name, vnic in vm.vnics.items()})


def _addressed_host(host: Host, vmkernels: Iterator[MacAddress], nics: Iterator[MacAddress]) -> Host:
    return evolve(
        host,
        vmkernel={name: evolve(vmk, mac=vmk.mac or next(vmkernels)) for name, vmk in host.vmkernel.items()},
        nics={name: evolve(nic, mac=nic.mac or next(nics)) for name, nic in uplinks(host).items()},
    )

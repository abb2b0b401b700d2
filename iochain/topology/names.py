"""The names of a lab's ports, as rules, captures and reports use them.

A VM with one vNIC is the port ``web``, with several it is ``web.eth0`` and ``web.eth1``. Uplinks and vmkernel adapters
are ``vmnic0`` and ``vmk0`` in a lab of one host, else ``esx1.vmnic0`` and ``esx1.vmk0``. The long form is always
understood.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cached_property

from attrs import field, frozen

from iochain.topology.expansion import each_vm, uplinks
from iochain.topology.mistakes import guess
from iochain.topology.spec import Host, LabSpec, SwitchSpec


class PortKind(Enum):
    """What is at a port."""

    VNIC = "vNIC"
    VMKERNEL = "vmkernel adapter"
    UPLINK = "uplink"
    PHYSICAL = "port of a physical switch"


@frozen
class PortName:
    """A port by name, and where it is. ``switch`` and ``host`` are empty only where the lab is mistaken about them,

    ``switch`` also for a physical NIC that is no uplink of any switch, ``host`` for ports of physical switches.
    """

    name: str
    kind: PortKind
    host: str
    switch: str
    portgroup: str | None
    vm: str | None
    adapter: str
    """The vNIC in its VM, the vmkernel adapter or physical NIC in its host, the port of a physical switch."""

    @property
    def long_name(self) -> str:
        """The name that is understood whatever else is in the lab."""
        if self.kind is PortKind.PHYSICAL:
            return self.name
        return f"{self.host if self.vm is None else self.vm}.{self.adapter}"


@frozen(slots=False)
class PortNames:
    """All ports of a lab in its order: of each host vmkernel adapters and uplinks, then VMs', physical switches'."""

    ports: tuple[PortName, ...]
    clashes: tuple[tuple[PortName, PortName], ...] = field(default=())
    """Pairs of ports that would have the same name."""

    def find(self, name: str) -> PortName:
        """The port of this name. Raises LookupError with the nearest name."""
        if name not in self._known:
            raise LookupError(f'there is no port "{name}"{guess(name, self._known)}')
        return self._known[name]

    @cached_property
    def _known(self) -> Mapping[str, PortName]:
        return {**{port.long_name: port for port in self.ports}, **{port.name: port for port in self.ports}}


def port_names(spec: LabSpec) -> PortNames:
    """The ports of a lab, counted VMs one by one."""
    first: dict[str, PortName] = {}
    clashes = []
    for port in (*_host_ports(spec), *_vm_ports(spec), *_fabric_ports(spec)):
        if port.name in first:
            clashes.append((first[port.name], port))
        first.setdefault(port.name, port)
    return PortNames(tuple(first.values()), tuple(clashes))


def switch_of(host: Host, network: str) -> str:
    """The switch that has this port group, or nothing."""
    return next((name for name, switch in host.vswitches.items() if network in switch.portgroups), "")


def _host_ports(spec: LabSpec) -> Iterator[PortName]:
    for host_name, host in spec.hosts.items():
        prefix = "" if len(spec.hosts) == 1 else f"{host_name}."
        for name, vmkernel in host.vmkernel.items():
            network = vmkernel.network
            switch = switch_of(host, network)
            yield PortName(f"{prefix}{name}", PortKind.VMKERNEL, host_name, switch, network, None, name)
        for name in uplinks(host):
            switch = next((label for label, one in host.vswitches.items() if name in one.uplinks), "")
            yield PortName(f"{prefix}{name}", PortKind.UPLINK, host_name, switch, None, None, name)


def _vm_ports(spec: LabSpec) -> Iterator[PortName]:
    places = {host_name: _switches(host) for host_name, host in spec.hosts.items()}
    for vm_name, vm in each_vm(spec):
        host = vm.host or ""
        for name, vnic in vm.vnics.items():
            switch = places.get(host, {}).get(vnic.network, "")
            port = vm_name if len(vm.vnics) == 1 else f"{vm_name}.{name}"
            yield PortName(port, PortKind.VNIC, host, switch, vnic.network, vm_name, name)


def _fabric_ports(spec: LabSpec) -> Iterator[PortName]:
    for name, switch in spec.fabric.switches.items():
        for port in switch_ports(switch):
            yield PortName(f"{name}.{port}", PortKind.PHYSICAL, "", name, None, None, port)


def switch_ports(switch: SwitchSpec) -> list[str]:
    """The ports of a physical switch: the counted ones, then those that are only named."""
    return list(dict.fromkeys([*map(str, range(1, (switch.count or 0) + 1)), *switch.ports]))


def _switches(host: Host) -> Mapping[str, str]:
    """The switch of each port group."""
    return {network: name for name, switch in host.vswitches.items() for network in switch.portgroups}

"""VMs while a network runs: they are powered on and off, move, and their guests change MACs; what follows in switches.

A vNIC that connects gets the next port id of its switch, so its uplink may be another (S22 of what trips up users: a
VM that was powered off and on is a new port). A move to another host is the switch-over at one instant.
"""

from collections.abc import Mapping
from typing import Any, Final

from attrs import define, evolve, field

from iochain.chain import Chain, Element, Port
from iochain.experiment.live import Live
from iochain.experiment.notify import Notify
from iochain.frame import Mac
from iochain.topology.chains import client_chains
from iochain.topology.mistakes import guess
from iochain.topology.spec import MacAddress, Vm, Vnic
from iochain.topology.units import mac as mac_of
from iochain.topology.wiring import Direction, Plugged, SwitchWiring, node_name, vnic_port, why_off

_MOST_NAMES: Final = 10


@define(eq=False)
class Machines:
    """The VMs of a running network, by what has become of them since its start."""

    live: Live
    notify: Notify
    _vms: dict[str, Vm] = field(factory=dict)  # as they are now, where they changed

    def power_on(self, name: str) -> None:
        """The VM's vNICs connect, each at a port of its own; nothing happens if it is on. LookupError if unknown."""
        vm = self.vm(name)
        if not vm.powered_on:
            self._become(name, evolve(vm, powered_on=True))

    def power_off(self, name: str) -> None:
        """The VM's vNICs leave their switches: their MACs are unknown, and what is still sent at them is dropped."""
        vm = self.vm(name)
        if vm.powered_on:
            self._become(name, evolve(vm, powered_on=False), same=True)

    def move(self, name: str, portgroup: str | None = None, host: str | None = None) -> None:
        """The VM, or one vNIC of it (``web.eth1``), is on another port group, the VM on another host, or both.

        LookupError if there is no such VM, port group or host; ValueError if one vNIC is to change hosts.
        """
        vm_name, only = self._named(name)
        vm = self.vm(vm_name)
        if host is not None and only is not None and len(vm.vnics) > 1:
            raise ValueError(f'"{name}" is one vNIC; a VM changes its host as a whole ("{vm_name}")')
        target = vm.host if host is None else host
        assert target is not None
        if target not in self.live.wiring.spec.hosts:
            raise LookupError(f'there is no host "{target}"{self._hint(target, self.live.wiring.spec.hosts)}')
        vnics = {}
        for vnic_name, vnic in vm.vnics.items():
            network = portgroup if portgroup is not None and only in (None, vnic_name) else vnic.network
            self._switch(target, network)
            vnics[vnic_name] = evolve(vnic, network=network)
        self._become(vm_name, evolve(vm, host=target, vnics=vnics))

    def set_mac(self, name: str, mac: str) -> None:
        """The guest of a VM's one vNIC, or of ``web.eth1``, programs another address to receive at.

        LookupError if there is no such vNIC, ValueError if it is no address of an adapter.
        """
        vm_name, only = self._named(name)
        vm = self.vm(vm_name)
        if only is None:
            if len(vm.vnics) > 1:
                each = ", ".join(f"{vm_name}.{vnic}" for vnic in vm.vnics)
                raise LookupError(f'"{name}" has several vNICs; name one of them ({each})')
            only = next(iter(vm.vnics))
        address = adapter_mac(mac)
        number = Mac(address)
        if number == Mac(vm.vnics[only].effective_mac or vm.vnics[only].mac or 0):
            return
        vnics = {**vm.vnics, only: evolve(vm.vnics[only], effective_mac=address)}
        self._become(vm_name, evolve(vm, vnics=vnics), same=True, notify_same=True)

    def vm(self, name: str) -> Vm:
        """A VM as it is now. LookupError if there is none of this name."""
        known = self.live.wiring.spec.vms
        if name not in known:
            raise LookupError(f'there is no VM "{name}"{self._hint(name, known)}')
        return self._vms.get(name, known[name])

    # -- inside

    def _become(self, name: str, vm: Vm, same: bool = False, notify_same: bool = False) -> None:
        """Plug every vNIC of a VM that differs from before anew; ``same``: it keeps its port."""
        before = self.vm(name)
        self._vms[name] = vm
        connected: list[Port] = []
        for vnic_name, vnic in vm.vnics.items():
            if (before.host, before.powered_on, before.vnics[vnic_name]) == (vm.host, vm.powered_on, vnic):
                continue
            port = self._plug(vnic_port(name, vm, vnic_name), name, vm, vnic, same)
            if vm.powered_on and vnic.connected and (not same or notify_same):
                connected.append(port)
        self.notify.connected(connected)

    def _plug(self, port_name: str, vm_name: str, vm: Vm, vnic: Vnic, same: bool) -> Port:
        wiring = self.live.wiring
        old = wiring.port(port_name)
        left = wiring.switch(node_name(wiring.spec, old.host, old.switch))
        own = {side: _own_stages(left, old, wiring.chain(port_name, side)) for side in _SIDES}
        gone = left.unplug(port_name)
        self.notify.ended(old)
        switch = self._switch(vm.host or "", vnic.network)
        off = why_off(port_name, vm_name, vnic, vm.powered_on)
        port = switch.plug(port_name, vnic, old.kind, off, old, same)
        chains = {side: wiring.chain(port_name, side) for side in _SIDES}
        for side in _SIDES:
            _put_in(chains[side], own[side])
        assert gone.port.number == port.number
        self.live.replug(port, chains["input"], chains["output"])
        return port

    def _switch(self, host: str, portgroup: str) -> SwitchWiring:
        """The switch of a host that has a port group. LookupError if there is none."""
        wiring = self.live.wiring
        known: dict[str, str] = {}
        for name, vswitch in wiring.spec.hosts[host].vswitches.items():
            known.update(dict.fromkeys(vswitch.portgroups, name))
        if portgroup not in known:
            raise LookupError(f'there is no port group "{portgroup}" on {host}{self._hint(portgroup, known)}')
        return wiring.switch(node_name(wiring.spec, host, known[portgroup]))

    def _named(self, name: str) -> tuple[str, str | None]:
        """The VM that a name means, and which of its vNICs, if one."""
        known = self.live.wiring.spec.vms
        vm_name, _, vnic = name.rpartition(".")
        if name not in known and vm_name in known and vnic in known[vm_name].vnics:
            return vm_name, vnic
        return name, None

    def _hint(self, name: str, known: Mapping[str, object]) -> str:
        return guess(name, known) or (f" ({', '.join(known)})" if len(known) <= _MOST_NAMES else "")


def adapter_mac(value: Any) -> MacAddress:
    """An address that an adapter may have. ValueError for what is none, and for that of a group or all zero."""
    address = mac_of(value)
    if Mac(address).is_group or not Mac(address):
        raise ValueError(f"{address} is no address of an adapter (first byte even, not all zero)")
    return address


_SIDES: Final[tuple[Direction, Direction]] = ("input", "output")


def _own_stages(switch: SwitchWiring, port: Port, chain: Chain) -> list[tuple[str | None, Element]]:
    """The stages that a user put into a port's chain, each with the name of the stage before it."""
    if chain.version == 0:
        return []
    plugged = switch.plugged[port.name]
    made = set(_made(switch, plugged, chain).names)
    before = [None, *chain.names]
    return [(name, one) for name, one in zip(before, chain, strict=False) if one.name not in made]


def _made(switch: SwitchWiring, plugged: Plugged, chain: Chain) -> Chain:
    """The chain of this side as it was before anybody changed it."""
    both = client_chains(
        plugged.port, plugged.adapter, plugged.team, switch.tables, switch.own, switch.wiring, plugged.off
    )
    return next(one for one in both if one.name == chain.name)


def _put_in(chain: Chain, own: "list[tuple[str | None, Element]]") -> None:
    """Put a user's stages into a chain that was made anew, where their neighbours are there again."""
    for before, element in own:
        if element.name in chain.names or (before is not None and before not in chain.names):
            continue
        at = 0 if before is None else chain.names.index(before) + 1
        chain.elements.insert(at, element)
        chain.version += 1

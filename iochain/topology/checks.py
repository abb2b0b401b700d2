"""What a lab must not say although each of its values is fine: references, teams, addresses, names of ports."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from iochain.topology.advanced import ADVANCED, unknown
from iochain.topology.expansion import each_vm, uplinks
from iochain.topology.fabric_checks import (
    alike_channels,
    carried_vlans,
    fitting_mtus,
    matched_speeds,
    no_loops,
    sound_cables,
    sound_switches,
)
from iochain.topology.mistakes import Finding, KeyPath, guess
from iochain.topology.names import PortKind, PortName, port_names
from iochain.topology.spec import (
    FailureDetection,
    Host,
    LabSpec,
    LoadBalancing,
    MacAddress,
    Portgroup,
    Shaping,
    Teaming,
    UplinkPoint,
    Vm,
    Vnic,
    Vswitch,
)
from iochain.topology.units import format_rate, mac_number
from iochain.uplink.capabilities import ADAPTERS, driver_of

GUESTS_TAG: Final = 4095
SEGMENT_HEADERS: Final = 40
"""Bytes of IPv4 and TCP headers without options, the least that a segment has."""
FIRST_NATIVE_VERSION: Final = 7.0
"""From this version on there are only native drivers."""


def check(spec: LabSpec) -> list[Finding]:
    """All that is wrong or strange in a lab, in the order of the rules below."""
    return [finding for rule in RULES for finding in rule(spec)]


def some_host(spec: LabSpec) -> Iterator[Finding]:
    """A lab has a host."""
    if not spec.hosts:
        yield Finding(("hosts",), "the lab has no host")


def known_settings(spec: LabSpec) -> Iterator[Finding]:
    """Advanced settings exist in the host's version and are in range."""
    for name, host in spec.hosts.items():
        version = host.esxi_version or spec.esxi_version
        for setting, value in host.settings.items():
            path = ("hosts", name, "settings", setting)
            wrong = ADVANCED[setting].mistake(value, version) if setting in ADVANCED else unknown(setting)
            if wrong:
                yield Finding(path, wrong)


def one_switch_each(spec: LabSpec) -> Iterator[Finding]:
    """A physical NIC is an uplink of one switch, once."""
    for host_name, host in spec.hosts.items():
        owners: dict[str, str] = {}
        for switch_name, switch in host.vswitches.items():
            for index, uplink in enumerate(switch.uplinks):
                if uplink in owners:
                    path = ("hosts", host_name, "vswitches", switch_name, "uplinks", index)
                    where = "here" if owners[uplink] == switch_name else f"of {owners[uplink]}"
                    yield Finding(path, f"{uplink} is already an uplink {where}")
                owners.setdefault(uplink, switch_name)


def unique_portgroups(spec: LabSpec) -> Iterator[Finding]:
    """Networks are named by their port group, so its name is there once in a host."""
    for host_name, host in spec.hosts.items():
        owners: dict[str, str] = {}
        for switch_name, switch in host.vswitches.items():
            for portgroup in switch.portgroups:
                if portgroup in owners:
                    place = ("hosts", host_name, "vswitches", switch_name, "portgroups", portgroup)
                    message = f"{owners[portgroup]} has a port group of this name too; a host has each name once"
                    yield Finding(place, message)
                owners.setdefault(portgroup, switch_name)


def own_uplinks(spec: LabSpec) -> Iterator[Finding]:
    """Teaming names uplinks of its switch, each on one list (API reference, VMwareUplinkPortOrderPolicy)."""
    for path, teaming, switch in _teamings(spec):
        listed: dict[str, str] = {}
        for order in ("active", "standby", "unused"):
            for index, uplink in enumerate(getattr(teaming, order) or ()):
                place = (*path, order, index)
                if uplink not in switch.uplinks:
                    names = ", ".join(switch.uplinks) or "none"
                    hint = guess(uplink, switch.uplinks) or f" ({names})"
                    yield Finding(place, f'"{uplink}" is no uplink of this switch{hint}')
                elif uplink in listed:
                    yield Finding(place, f"{uplink} is already listed as {listed[uplink]}")
                listed.setdefault(uplink, order)


def sound_teams(spec: LabSpec) -> Iterator[Finding]:
    """IP hash has all uplinks active and link status only; beacons do not go with VLAN 4095 (KB 402719)."""
    for path, switch in _switches(spec):
        yield from _strange_team((*path, "teaming"), switch.teaming, Teaming(), switch)
        for name, portgroup in switch.portgroups.items():
            place = (*path, "portgroups", name)
            if portgroup.teaming != Teaming():
                yield from _strange_team((*place, "teaming"), portgroup.teaming, switch.teaming, switch)
            detection = portgroup.teaming.failure_detection or switch.teaming.failure_detection
            if portgroup.vlan == GUESTS_TAG and detection is FailureDetection.BEACON:
                yield _warning((*place, "vlan"), "beacon probing is not supported with VLAN 4095")


def peak_above_average(spec: LabSpec) -> Iterator[Finding]:
    """The peak rate is at least the average."""
    for path, switch in _switches(spec):
        yield from _low_peak((*path, "shaping"), switch.shaping)
        for name, portgroup in switch.portgroups.items():
            yield from _low_peak((*path, "portgroups", name, "shaping"), portgroup.shaping)


def known_networks(spec: LabSpec) -> Iterator[Finding]:
    """VMs and vmkernel adapters are on port groups of their host, and VMs on hosts of the lab."""
    networks = {name: _networks(host) for name, host in spec.hosts.items()}
    for host_name, host in spec.hosts.items():
        for name, vmkernel in host.vmkernel.items():
            place = ("hosts", host_name, "vmkernel", name, "network")
            yield from _no_network(place, vmkernel.network, host_name, networks)
    for vm_name, vm in spec.vms.items():
        path = ("vms", vm_name)
        host_name = vm.host if vm.host is not None else next(iter(spec.hosts), "")
        if vm.host is None and len(spec.hosts) > 1:
            yield Finding((*path, "host"), f"say on which host this VM runs ({', '.join(spec.hosts)})")
        elif host_name in spec.hosts:
            for name, vnic in vm.vnics.items():
                yield from _no_network((*path, "vnics", name, "network"), vnic.network, host_name, networks)
        elif spec.hosts:
            hint = guess(host_name, spec.hosts) or f" ({', '.join(spec.hosts)})"
            yield Finding((*path, "host"), f'there is no host "{host_name}"{hint}')


def segments_fit(spec: LabSpec) -> Iterator[Finding]:
    """Segments with their headers fit the MTU (linux_net.c: "oversized tsoMss"), and a guest's MTU its switch's."""
    for path, vnic, switch, mtu in _vnics_mtus(spec):
        own = mtu if vnic.mtu is None else vnic.mtu
        if vnic.mtu is not None and vnic.mtu > mtu:
            yield _warning((*path, "mtu"), f"{switch} refuses frames above its own MTU of {mtu} (KB 435411)")
        most = min(own, mtu) - SEGMENT_HEADERS
        if vnic.mss is not None and vnic.mss > most:
            why = f"the MTU of {min(own, mtu)} less {SEGMENT_HEADERS} for IPv4 and TCP; linux_net.c"
            yield Finding((*path, "mss"), f"{vnic.mss} is above the MTU (1 to {max(most, 1)}: {why})")


def able_adapters(spec: LabSpec) -> Iterator[Finding]:
    """Nobody is asked for what it cannot do: adapters of guests, drivers of the old kind in new versions."""
    for path, vnic in _vnics(spec):
        adapter = ADAPTERS[vnic.adapter]
        for name in ("tso", "checksum", "large_packets", "lro"):
            if getattr(vnic, name) and not getattr(adapter, name):
                message = f"an adapter of kind {vnic.adapter} cannot do this (Performance Best Practices)"
                yield Finding((*path, name), message)
        if vnic.lro and vnic.large_packets is False:
            yield Finding((*path, "lro"), "what is put together is a large packet; the guest takes none (KB 318877)")
    for host_name, host in spec.hosts.items():
        version = host.esxi_version or spec.esxi_version
        for name, nic in host.nics.items():
            path = ("hosts", host_name, "nics", name)
            if driver_of(nic.driver).is_vmklinux and float(version) >= FIRST_NATIVE_VERSION:
                message = f"{nic.driver} is a driver of the old kind (vmklinux), which ESXi {version} does not have"
                yield _warning((*path, "driver"), message)
            if nic.tso and nic.sg is False:
                yield _warning((*path, "tso"), "a NIC without scatter-gather is not offered TSO (linux_net.c)")


def point_without_cables(spec: LabSpec) -> Iterator[Finding]:
    """What is on a cable has passed the NIC; with this point it has not."""
    if spec.options.uplink_point is UplinkPoint.KERNEL and spec.fabric.cables:
        message = "with this no NIC does its part: what is on cables is as the kernel handed it over; say wire"
        yield _warning(("options", "uplink_point"), message)


def right_kind_of_address(spec: LabSpec) -> Iterator[Finding]:
    """An adapter's own address is that of one adapter, its groups are group addresses."""
    for path, mac in _own_addresses(spec):
        if mac and _is_group(mac):
            yield Finding(path, f"{mac} is a group address; an adapter needs one of its own (first byte even)")
        elif mac and not mac_number(mac):
            yield Finding(path, f"{mac} is no address of an adapter")
    for path, vnic in _vnics(spec):
        for index, mac in enumerate(vnic.groups or ()):
            if mac and not _is_group(mac):
                yield Finding((*path, "groups", index), f"{mac} is no multicast address (first byte odd)")
        last = mac_number(vnic.mac) + (spec.vms[str(path[1])].count or 1) - 1 if vnic.mac else 0
        if vnic.mac and last >> 40 != mac_number(vnic.mac) >> 40:
            yield Finding((*path, "mac"), "there are not enough addresses after this one for all the VMs")


def unique_addresses(spec: LabSpec) -> Iterator[Finding]:
    """One address at two ports is a cluster, or a slip of the pen."""
    for names in ("vms", "hosts"):
        owners: dict[MacAddress, str] = {}
        for path, name, mac in _ports_addresses(spec) if names == "vms" else _nics_addresses(spec):
            if mac in owners:
                yield _warning(path, f"{mac} is also the address of {owners[mac]}")
            owners.setdefault(mac, name)
    yield from _shared_with_nics(spec)
    yield from _programmed_twice(spec)


def unique_names(spec: LabSpec) -> Iterator[Finding]:
    """No two ports have one name."""
    for first, second in port_names(spec).clashes:
        message = f'the port "{second.name}" has the name of another one ({_described(first)})'
        yield Finding(_path(spec, second), message)


def real_entries(spec: LabSpec) -> Iterator[Finding]:
    """Frames enter at ports that exist, under some condition."""
    names = port_names(spec) if spec.entry else None
    for index, rule in enumerate(spec.entry):
        conditions = (rule.source_mac, rule.vlan, rule.interface, rule.file)
        if all(condition is None for condition in conditions):
            message = "the rule matches every frame; name at least one of source_mac, vlan, interface, file"
            yield Finding(("entry", index), message)
        try:
            if names:
                names.find(rule.at)
        except LookupError as wrong:
            yield Finding(("entry", index, "at"), str(wrong.args[0]))


RULES: Final[tuple[Callable[[LabSpec], Iterator[Finding]], ...]] = (
    some_host,
    known_settings,
    one_switch_each,
    unique_portgroups,
    own_uplinks,
    sound_teams,
    peak_above_average,
    known_networks,
    segments_fit,
    able_adapters,
    point_without_cables,
    right_kind_of_address,
    unique_addresses,
    unique_names,
    real_entries,
    sound_switches,
    sound_cables,
    matched_speeds,
    alike_channels,
    no_loops,
    fitting_mtus,
    carried_vlans,
)


def _warning(path: KeyPath, message: str) -> Finding:
    return Finding(path, message, warning=True)


def _switches(spec: LabSpec) -> Iterator[tuple[KeyPath, Vswitch]]:
    for host_name, host in spec.hosts.items():
        for name, switch in host.vswitches.items():
            yield ("hosts", host_name, "vswitches", name), switch


def _teamings(spec: LabSpec) -> Iterator[tuple[KeyPath, Teaming, Vswitch]]:
    for path, switch in _switches(spec):
        yield (*path, "teaming"), switch.teaming, switch
        for name, portgroup in switch.portgroups.items():
            yield (*path, "portgroups", name, "teaming"), portgroup.teaming, switch


def _vnics(spec: LabSpec) -> Iterator[tuple[KeyPath, Vnic]]:
    for vm_name, vm in spec.vms.items():
        for name, vnic in vm.vnics.items():
            yield ("vms", vm_name, "vnics", name), vnic


def _vnics_mtus(spec: LabSpec) -> Iterator[tuple[KeyPath, Vnic, str, int]]:
    """The vNICs whose network is there, each with the name and the MTU of its switch."""
    switches = {
        host_name: {
            name: (switch_name, switch.mtu)
            for switch_name, switch in host.vswitches.items()
            for name in switch.portgroups
        }
        for host_name, host in spec.hosts.items()
    }
    for path, vnic in _vnics(spec):
        host = spec.vms[str(path[1])].host or next(iter(spec.hosts), "")
        switch, mtu = switches.get(host, {}).get(vnic.network, ("", 0))
        if switch:
            yield path, vnic, switch, mtu


def _strange_team(path: KeyPath, own: Teaming, above: Teaming, switch: Vswitch) -> Iterator[Finding]:
    """Warnings on a team's own settings together with those that it takes from its switch."""
    if (own.load_balancing or above.load_balancing) is not LoadBalancing.IP_HASH:
        return
    orders = own if (own.active, own.standby, own.unused) != (None, None, None) else above
    active = switch.uplinks if orders.active is None else orders.active
    listed = (*active, *(orders.standby or ()))
    if orders.standby:
        yield _warning(path, "IP hash needs all uplinks active; here some are standby")
    if orders.unused or any(uplink not in listed for uplink in switch.uplinks):
        yield _warning(path, "IP hash needs all uplinks active; here some are unused")
    if (own.failure_detection or above.failure_detection) is FailureDetection.BEACON:
        yield _warning(path, "beacon probing does not go with IP hash; set failure_detection: link")


def _low_peak(path: KeyPath, shaping: Shaping | None) -> Iterator[Finding]:
    if shaping and shaping.peak is not None and shaping.peak < shaping.average:
        message = f"{format_rate(shaping.peak)} is less than the average ({format_rate(shaping.average)})"
        yield Finding((*path, "peak"), message)


def _networks(host: Host) -> dict[str, Portgroup]:
    return {name: portgroup for switch in host.vswitches.values() for name, portgroup in switch.portgroups.items()}


def _no_network(
    path: KeyPath, network: str, host_name: str, networks: Mapping[str, Mapping[str, Portgroup]]
) -> Iterator[Finding]:
    if network not in networks[host_name]:
        where = f" on {host_name}" if len(networks) > 1 else ""
        known = networks[host_name]
        hint = guess(network, known) or (f" ({', '.join(known)})" if 0 < len(known) <= 10 else "")
        yield Finding(path, f'there is no port group "{network}"{where}{hint}')


def _own_addresses(spec: LabSpec) -> Iterator[tuple[KeyPath, MacAddress | None]]:
    for path, vnic in _vnics(spec):
        yield (*path, "mac"), vnic.mac
        yield (*path, "effective_mac"), vnic.effective_mac
    for host_name, host in spec.hosts.items():
        for name, vmkernel in host.vmkernel.items():
            yield ("hosts", host_name, "vmkernel", name, "mac"), vmkernel.mac
        for name, nic in host.nics.items():
            yield ("hosts", host_name, "nics", name, "mac"), nic.mac


def _ports_addresses(spec: LabSpec) -> Iterator[tuple[KeyPath, str, MacAddress]]:
    for host_name, host in spec.hosts.items():
        for name, vmkernel in host.vmkernel.items():
            if vmkernel.mac:
                yield ("hosts", host_name, "vmkernel", name, "mac"), f"{host_name}.{name}", vmkernel.mac
    written = _written_names(spec)
    for vm_name, vm in each_vm(spec):
        for name, vnic in vm.vnics.items():
            if vnic.mac:
                yield ("vms", written[vm_name], "vnics", name, "mac"), f"{vm_name}.{name}", vnic.mac


def _nics_addresses(spec: LabSpec) -> Iterator[tuple[KeyPath, str, MacAddress]]:
    for host_name, host in spec.hosts.items():
        for name, nic in uplinks(host).items():
            if nic.mac:
                yield ("hosts", host_name, "nics", name, "mac"), f"{host_name}.{name}", nic.mac


def _shared_with_nics(spec: LabSpec) -> Iterator[Finding]:
    """vmkernel adapters with the address of a NIC, as vmk0 often has: physical switches see it at two ports."""
    nics = {mac: name for _, name, mac in _nics_addresses(spec)}
    for host_name, host in spec.hosts.items():
        for name, vmkernel in host.vmkernel.items():
            if vmkernel.mac in nics:
                path = ("hosts", host_name, "vmkernel", name, "mac")
                yield _warning(path, f"{vmkernel.mac} is also the address of {nics[vmkernel.mac]}")


def _programmed_twice(spec: LabSpec) -> Iterator[Finding]:
    """Guests that programmed one address, as a cluster of Microsoft's NLB does, each but the first."""
    owners: dict[MacAddress, str] = {}
    for path, vnic in _vnics(spec):
        mac, name = vnic.effective_mac, f"{path[1]}.{path[3]}"
        if mac is not None and mac != vnic.mac:
            if mac in owners:
                yield _warning((*path, "effective_mac"), f"{mac} is also programmed by {owners[mac]}")
            owners.setdefault(mac, name)


def _written_names(spec: LabSpec) -> dict[str, str]:
    """The name in the file by the name of each VM."""
    return {each: name for name, vm in spec.vms.items() for each in _each_name(name, vm)}


def _each_name(name: str, vm: Vm) -> list[str]:
    return [name] if vm.count is None else [f"{name}-{index + 1}" for index in range(vm.count)]


def _is_group(mac: MacAddress) -> bool:
    return bool(mac_number(mac) >> 40 & 1)


def _described(port: PortName) -> str:
    if port.kind is PortKind.PHYSICAL:
        return str(port.kind.value)
    return f"{port.kind.value} of {port.vm if port.vm is not None else port.host}"


def _path(spec: LabSpec, port: PortName) -> KeyPath:
    if port.vm is not None:
        return ("vms", _written_names(spec)[port.vm])
    if port.kind is PortKind.PHYSICAL:
        return ("fabric", "switches", port.switch)
    return ("hosts", port.host)

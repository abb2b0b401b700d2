"""The smallest change of a lab that lets a dropped frame pass the stage that dropped it, as one setting of ``--set``.

One setting is one step: behind the stage that it opens the next one may refuse the frame, and names its own.
"""

from collections.abc import Callable
from typing import Final

from iochain.chain import Port, PortKind, Reason
from iochain.engine.path import Dropped
from iochain.frame import ALL_VLANS
from iochain.topology.chains import BPDU
from iochain.topology.mistakes import KeyPath
from iochain.topology.settings import key_of
from iochain.topology.spec import Vnic
from iochain.topology.wiring import Wiring

LARGEST_MTU: Final = 9000
LARGEST_SWITCH_MTU: Final = 9216


def smallest_change(wiring: Wiring, dropped: Dropped) -> str | None:
    """``KEY=VALUE`` for :meth:`iochain.lab.Lab.with_settings`; None where no single setting would help."""
    change = _CHANGES.get(dropped.drop.reason)
    if change is None or dropped.port < 0:
        return None
    return change(wiring, wiring.ports[dropped.port], dropped)


def _forged(wiring: Wiring, port: Port, dropped: Dropped) -> str | None:
    return _of_portgroup(wiring, port, "forged_transmits=accept")


def _mac_changes(wiring: Wiring, port: Port, dropped: Dropped) -> str | None:
    refused = wiring.port(dropped.drop.rule.removeprefix("at "))
    return _of_portgroup(wiring, refused, "mac_changes=accept")


def _bpdu(wiring: Wiring, port: Port, dropped: Dropped) -> str | None:
    return f"host.{port.host}.settings.{BPDU}=0"


def _own_tag(wiring: Wiring, port: Port, dropped: Dropped) -> str | None:
    """A guest that tags by itself needs VGT."""
    by_guest = dropped.incoming and port.kind is PortKind.VNIC
    return _of_portgroup(wiring, port, f"vlan={ALL_VLANS}") if by_guest else None


def _unknown(wiring: Wiring, port: Port, dropped: Dropped) -> str | None:
    """A guest on the same switch that asked for promiscuous mode and was refused would see the frame."""
    for other in wiring.ports:
        if (other.host, other.switch) == (port.host, port.switch) and _asks_in_vain(wiring, other):
            return _of_portgroup(wiring, other, "promiscuous=accept")
    return None


def _asks_in_vain(wiring: Wiring, port: Port) -> bool:
    vm, _, name = port.name.rpartition(".")
    known = wiring.spec.vms.get(port.name) or wiring.spec.vms.get(vm)
    if port.kind is not PortKind.VNIC or known is None or port.promiscuous:
        return False
    vnic: Vnic = known.vnics[name] if name in known.vnics else next(iter(known.vnics.values()))
    return vnic.promiscuous


def _mtu(wiring: Wiring, port: Port, dropped: Dropped) -> str | None:
    if port.kind is PortKind.PHYSICAL:
        path: KeyPath = ("fabric", "switches", port.switch, "mtu")
        size = wiring.spec.fabric.switches[port.switch].mtu
        return f"{key_of(path)}={LARGEST_SWITCH_MTU}" if size < LARGEST_SWITCH_MTU else None
    if port.kind is PortKind.VNIC and not dropped.incoming:  # the guest's own
        return f"{key_of((*_vnic(wiring, port), 'mtu'))}={LARGEST_MTU}"
    path = ("hosts", port.host, "vswitches", port.switch, "mtu")
    mtu = wiring.spec.hosts[port.host].vswitches[port.switch].mtu
    return f"{key_of(path)}={LARGEST_MTU}" if mtu < LARGEST_MTU else None


def _shaper(wiring: Wiring, port: Port, dropped: Dropped) -> str | None:
    return _of_portgroup(wiring, port, "shaping=off")


def _connect(wiring: Wiring, port: Port, dropped: Dropped) -> str | None:
    vnic = _vnic(wiring, port)
    if dropped.setting is not None and dropped.setting.key == "powered_on":
        return f"{key_of((*vnic[:2], 'powered_on'))}=yes"
    return f"{key_of((*vnic, 'connected'))}=yes"


def _vnic(wiring: Wiring, port: Port) -> KeyPath:
    """The place of a port's vNIC in the lab; with one vNIC its keys may stand at the VM."""
    vm, _, name = port.name.rpartition(".")
    return ("vms", port.name) if port.name in wiring.spec.vms else ("vms", vm, "vnics", name)


def _of_portgroup(wiring: Wiring, port: Port, setting: str) -> str:
    """A setting of a port's port group: by its short path where only one host can be meant."""
    if len(wiring.spec.hosts) == 1:
        return f"portgroup.{port.portgroup}.{setting}"
    path = ("hosts", port.host, "vswitches", port.switch, "portgroups", port.portgroup or "")
    return f"{key_of(path)}.{setting}"


_CHANGES: Final[dict[Reason, Callable[[Wiring, Port, Dropped], str | None]]] = {
    Reason.FORGED_TRANSMITS: _forged,
    Reason.MAC_CHANGES: _mac_changes,
    Reason.GUEST_BPDU: _bpdu,
    Reason.VLAN_MISMATCH: _own_tag,
    Reason.UNKNOWN_UNICAST: _unknown,
    Reason.MTU_EXCEEDED: _mtu,
    Reason.SHAPER: _shaper,
    Reason.DISCONNECTED: _connect,
}

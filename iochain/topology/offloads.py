"""Which offload stages stand in a port's chains: who segments, sums and puts together there, and which setting says so.

What a physical NIC offers and the settings leave on, the NIC does; the rest is the kernel's (vSphere Networking 7.0,
"TCP Segmentation Offload"). Kernel first, so that a capture between the two shows what the NIC was handed. Settings by
the published dumps, capabilities by :mod:`iochain.uplink.capabilities`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import evolve, frozen

from iochain.chain import Element, From, Port
from iochain.topology.effective import Settings
from iochain.topology.spec import Nic, OffloadProfile, UplinkPoint, Vmkernel, Vnic
from iochain.uplink.aggregation import Adaptive, Aggregation
from iochain.uplink.capabilities import ADAPTERS, Capability, driver_of
from iochain.uplink.checksum import ChecksumFill
from iochain.uplink.headers import ALL_KINDS, By, Kind
from iochain.uplink.segmentation import LargeSplit, Segmentation, SplitMode

HW_TSO: Final = "Net.UseHwTSO"
HW_TSO6: Final = "Net.UseHwTSO6"
UPLINK_SPLIT: Final = "Net.UplinkTSOSplit"
HW_CSUM6: Final = "Net.UseHwIPv6Csum"
ANY_CSUM6: Final = "Net.UseHwCsumForIPv6Csum"
NO_INNER_IPV6: Final = "Net.DontOffloadInnerIPv6"
LRO_CSUM: Final = "Net.NetEnableSwCsumForLro"
NO_LOCAL_CSUM: Final = "Net.NoLocalCSum"
NETPOLL_LRO: Final = "Net.NetpollSwLRO"
HW_LRO: Final = "Net.Vmxnet3HwLRO"
VMXNET_LRO: Final = {"vmxnet3": "Net.Vmxnet3SwLRO", "vmxnet2": "Net.Vmxnet2SwLRO"}
VMXNET3_LRO, VMXNET2_LRO = VMXNET_LRO.values()
PROMISCUOUS_LRO: Final = "Net.VmxnetPromDisableLro"
VMXNET_LENGTH: Final = "Net.VmxnetLROMaxLength"
VMKERNEL_LRO: Final = "Net.TcpipDefLROEnabled"
VMKERNEL_LENGTH: Final = "Net.TcpipDefLROMaxLength"
VMKLINUX_LRO: Final = "Net.VmklnxLROEnabled"
VMKLINUX_MOST: Final = "Net.VmklnxLROMaxAggr"
LRO_LENGTH: Final = "Net.LRODefMaxLength"
LRO_THRESHOLD: Final = "Net.LRODefThreshold"
LRO_NUMERATOR: Final = "Net.LRODefUseRatioNumer"
LRO_DENOMINATOR: Final = "Net.LRODefUseRatioDenom"
LRO_BACKOFF: Final = "Net.LRODefBackoffPeriod"
VMXNET_THRESHOLD: Final = "Net.VmxnetLROThreshold"
VMXNET_NUMERATOR: Final = "Net.VmxnetLROUseRatioNumer"
VMXNET_DENOMINATOR: Final = "Net.VmxnetLROUseRatioDenom"
VMXNET_BACKOFF: Final = "Net.VmxnetLROBackoffPeriod"
TSO_SPLIT: Final = "Net.VmxnetDoTsoSplit"
TSO_SPLIT_SIZE: Final = "Net.VmxnetTsoSplitSize"
TSO_SPLIT_BOUND: Final = "Net.VmxnetTsoSplitBnd"

_LRO_ADAPTIVE: Final = (LRO_THRESHOLD, LRO_NUMERATOR, LRO_DENOMINATOR, LRO_BACKOFF)
_VMXNET_ADAPTIVE: Final = (VMXNET_THRESHOLD, VMXNET_NUMERATOR, VMXNET_DENOMINATOR, VMXNET_BACKOFF)
_OFF_BY: Final[Mapping[str, tuple[Capability, ...]]] = {
    HW_TSO: (Capability.TSO,),
    HW_TSO6: (Capability.TSO6, Capability.TSO6_EXT),
    HW_CSUM6: (Capability.CSO6, Capability.CSO6_EXT),
}
"""Capabilities that an uplink does not offer while this setting is 0."""


@frozen
class NicOffloads:
    """What a physical NIC offers, each with who says so, and the kinds of packets that it segments and sums itself."""

    capabilities: Mapping[Capability, From]
    segments: frozenset[Kind]
    sums: frozenset[Kind]


def nic_offloads(settings: Settings, host: str, name: str, nic: Nic) -> NicOffloads:
    """What an uplink offers: its driver's capabilities, what the lab says of the NIC, what the host's settings leave.

    TSO needs scatter-gather, and checksums of the same kind (linux_net.c).
    """
    offered = {each: _capability(settings, host, name, nic, each) for each in Capability}
    any_offset = offered[Capability.OBO]
    if any_offset.value:
        also = [Capability.VXLAN, Capability.GENEVE]
        also += [Capability.CSO6] if settings.advanced(host, ANY_CSUM6).value else []
        offered |= {each: any_offset for each in also if getattr(nic, each.value) is None}
    for key, capabilities in _OFF_BY.items():
        setting = settings.advanced(host, key)
        if not setting.value:
            offered |= {each: evolve(setting, value=False) for each in capabilities}
    there = frozenset(each for each, said in offered.items() if said.value)
    inner_ipv6 = settings.advanced(host, NO_INNER_IPV6).value != 1
    sums = frozenset(kind for kind in summed_by(there) if inner_ipv6 or not _is_inner_ipv6(kind))
    return NicOffloads(offered, segmented_by(there) & sums, sums)


def segmented_by(capabilities: frozenset[Capability]) -> frozenset[Kind]:
    """The kinds of packets that a NIC with these capabilities segments itself."""
    if Capability.SG not in capabilities:
        return frozenset()
    return frozenset(kind for kind in summed_by(capabilities) if _TSO[_inner(kind)] in capabilities)


def summed_by(capabilities: frozenset[Capability]) -> frozenset[Kind]:
    """The kinds of packets whose checksums a NIC with these capabilities fills itself.

    VXLAN over IPv6 is nothing that the kernel would ask of a NIC (linux_net.c).
    """
    known = (kind for kind in ALL_KINDS if _CSO[_inner(kind)] in capabilities)
    return frozenset(kind for kind in known if not _tunnel(kind) or _IN_TUNNEL.get(_tunnel(kind)) in capabilities)


def uplink_output(settings: Settings, host: str, name: str, nic: Nic, mtu: From) -> list[Element]:
    """Behind the header stages of an uplink, towards its wire: the kernel's part, then the NIC's."""
    if settings.option("offloads").value is OffloadProfile.NONE:
        return []
    offers = nic_offloads(settings, host, name, nic)
    tso, cso = offers.capabilities[Capability.TSO], offers.capabilities[Capability.CSO]
    split = settings.advanced(host, UPLINK_SPLIT)
    halfway = offers.sums - offers.segments if split.value == 1 else frozenset()
    elements = [
        _segmentation("segmentation", ALL_KINDS - offers.segments - halfway, By.KERNEL, mtu, tso),
        _segmentation("split", halfway, By.KERNEL, mtu, split, sums=False),
        _checksum("checksum", ALL_KINDS - offers.sums, By.KERNEL, cso),
    ]
    if settings.option("uplink_point").value is UplinkPoint.WIRE:
        elements += [
            _segmentation("NIC segmentation", offers.segments, By.NIC, mtu, tso),
            _checksum("NIC checksum", offers.sums, By.NIC, cso),
        ]
    return [element for element in elements if element.stage.kinds]


def uplink_input(settings: Settings, host: str, name: str, nic: Nic, mtu: int) -> list[Element]:
    """Before the header stages of an uplink: what puts received segments together, if anything does.

    The NIC (if VMXNET3 is to take it; that the NIC does not do it else is our choice), the old drivers' own code, or
    netpoll.
    """
    if settings.option("offloads").value is not OffloadProfile.ESXI:
        return []
    legacy, netpoll = settings.advanced(host, VMKLINUX_LRO), settings.advanced(host, NETPOLL_LRO)
    hardware = _capability(settings, host, name, nic, Capability.LRO)
    most = settings.advanced(host, VMKLINUX_MOST).value
    if hardware.value and settings.advanced(host, HW_LRO).value:
        return [_lro(Aggregation.hardware, hardware, settings, host, mtu)]
    if legacy.value and most and driver_of(nic.driver).is_vmklinux:
        return [_lro(Aggregation.vmklinux, legacy, settings, host, mtu, max_frames=most)]
    if netpoll.value != 1:
        return []
    length, adaptive = settings.advanced(host, LRO_LENGTH).value, _adaptive(settings, host, _LRO_ADAPTIVE)
    return [_lro(Aggregation.netpoll, netpoll, settings, host, mtu, max_bytes=length, adaptive=adaptive)]


def delivery(settings: Settings, port: Port, adapter: Vnic | Vmkernel, mtu: From) -> list[Element]:
    """Behind the header stages of a client's port: LRO, cutting or splitting of large packets, checksums."""
    profile = settings.option("offloads").value
    if profile is OffloadProfile.NONE:
        return []
    elements: list[Element] = []
    if takes_large_packets(adapter):
        if profile is OffloadProfile.ESXI:
            elements += _lro_at_delivery(settings, port, adapter, mtu.value)
            elements += _large_split(settings, port.host, adapter)
    else:
        key = "lro" if getattr(adapter, "lro", None) is False else "large_packets"
        large = From(False, f"the adapter of {port.name}", key)
        elements.append(_segmentation("segmentation", ALL_KINDS, By.KERNEL, mtu, large))
    local = settings.advanced(port.host, NO_LOCAL_CSUM)
    if not local.value:
        elements.append(_checksum("checksum", ALL_KINDS, By.KERNEL, local))
    return elements


def takes_large_packets(adapter: Vnic | Vmkernel) -> bool:
    """Whether packets larger than the MTU may be delivered; the vmkernel's own stack takes them.

    A guest that does not opt in to LRO gets none, of LRO or of another VM's TSO: the kernel has one flag for both
    (vmkapi_net_pkt.h). That ``large_packets`` says more than ``lro``, where the lab says both, is our choice.
    """
    if isinstance(adapter, Vmkernel):
        return True
    if adapter.large_packets is None and adapter.lro is False:
        return False
    return _said(adapter.large_packets, ADAPTERS[adapter.adapter].large_packets)


def asks_for_tso(adapter: Vnic | Vmkernel) -> bool:
    """Whether a client hands over super-frames to be segmented."""
    return isinstance(adapter, Vmkernel) or _said(adapter.tso, ADAPTERS[adapter.adapter].tso)


def asks_for_checksums(adapter: Vnic | Vmkernel) -> bool:
    """Whether a client leaves checksums to be filled."""
    return isinstance(adapter, Vmkernel) or _said(adapter.checksum, ADAPTERS[adapter.adapter].checksum)


# -- single stages


def _segmentation(name: str, kinds: frozenset[Kind], by: By, mtu: From, because: From, sums: bool = True) -> Element:
    stage = Segmentation(mtu.value, kinds=kinds, by=by, sums=sums)
    return Element(name, stage, {"mtu": mtu, "kinds": because}, mtu)


def _checksum(name: str, kinds: frozenset[Kind], by: By, because: From) -> Element:
    return Element(name, ChecksumFill(kinds=kinds, by=by), {"kinds": because}, because)


def _lro(
    kind: Callable[..., Aggregation], because: From, settings: Settings, host: str, mtu: int, **limits: Any
) -> Element:
    """LRO of frames whose checksums the NIC has verified; the setting says whether the large packet gets one."""
    sums = settings.advanced(host, LRO_CSUM)
    return Element("LRO", kind(mtu, verify=True, sums=bool(sums.value), **limits), {"sums": sums}, because)


def _adaptive(settings: Settings, host: str, names: tuple[str, ...]) -> Adaptive:
    threshold, numerator, denominator, backoff = (settings.advanced(host, name).value for name in names)
    return Adaptive(threshold=threshold, numerator=numerator, denominator=denominator, backoff=backoff)


def _lro_at_delivery(settings: Settings, port: Port, adapter: Vnic | Vmkernel, mtu: int) -> list[Element]:
    """LRO at delivery. Where the poll of the uplinks puts segments together already there is none (our choice)."""
    host = port.host
    if settings.advanced(host, NETPOLL_LRO).value == 1:
        return []
    if isinstance(adapter, Vmkernel):
        enabled, length = settings.advanced(host, VMKERNEL_LRO), settings.advanced(host, VMKERNEL_LENGTH).value
        lro = _lro(Aggregation.vmkernel, enabled, settings, host, mtu, max_bytes=length)
        return [lro] if enabled.value else []
    key = VMXNET_LRO.get(adapter.adapter)
    if key is None or not _said(adapter.lro, ADAPTERS[adapter.adapter].lro):
        return []
    enabled = settings.advanced(host, key)
    if not enabled.value or (port.promiscuous and settings.advanced(host, PROMISCUOUS_LRO).value):
        return []
    length, adaptive = settings.advanced(host, VMXNET_LENGTH).value, _adaptive(settings, host, _VMXNET_ADAPTIVE)
    return [_lro(Aggregation.vmxnet3, enabled, settings, host, mtu, max_bytes=length, adaptive=adaptive)]


def _large_split(settings: Settings, host: str, adapter: Vnic | Vmkernel) -> list[Element]:
    """Large packets for a VM cut in few pieces. What ESXi takes for traffic both ways is not known: all is cut."""
    mode = settings.advanced(host, TSO_SPLIT)
    if isinstance(adapter, Vmkernel) or adapter.adapter not in VMXNET_LRO or not mode.value:
        return []
    size, bound = settings.advanced(host, TSO_SPLIT_SIZE).value, settings.advanced(host, TSO_SPLIT_BOUND).value
    return [Element("large split", LargeSplit(SplitMode(mode.value), size, bound), {"mode": mode}, mode)]


# -- capabilities


def _capability(settings: Settings, host: str, name: str, nic: Nic, capability: Capability) -> From:
    said = getattr(nic, capability.value)
    if said is not None:
        return settings.said(said, f"NIC {name}", ("hosts", host, "nics", name, capability.value))
    return From(capability in driver_of(nic.driver).capabilities, f"driver {nic.driver}", capability.value)


_CSO: Final = {"IPV4": Capability.CSO, "IPV6": Capability.CSO6, "IPV6_EXTENSIONS": Capability.CSO6_EXT}
_TSO: Final = {"IPV4": Capability.TSO, "IPV6": Capability.TSO6, "IPV6_EXTENSIONS": Capability.TSO6_EXT}
_IN_TUNNEL: Final = {"VXLAN": Capability.VXLAN, "GENEVE": Capability.GENEVE}


def _tunnel(kind: Kind) -> str:
    """What encapsulates packets of this kind; empty: nothing."""
    before, mark, _ = kind.name.partition("_IPV")
    return before if mark else ""


def _inner(kind: Kind) -> str:
    """The kind of the innermost packet."""
    return kind.name[kind.name.rindex("IPV") :]


def _is_inner_ipv6(kind: Kind) -> bool:
    return bool(_tunnel(kind)) and _inner(kind) != "IPV4"


def _said(own: bool | None, default: bool) -> bool:
    return default if own is None else own

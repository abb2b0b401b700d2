"""The advanced settings of a host that bear on its network: defaults and ranges by ESXi version.

Settings whose values are texts (schedulers) are left out.
"""

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from iochain.topology.mistakes import guess
from iochain.topology.spec import ESXI_VERSIONS

SOURCE: Final = "published settings dumps of ESXi 6.0 U3 to 9.0.1"

Versioned = Mapping[str, int]
"""Values by the version from which on they hold."""


@frozen
class AdvancedSetting:
    """One setting. Before the first version with a default there is none."""

    name: str
    defaults: Versioned
    minima: Versioned
    maxima: Versioned
    doc: str

    def default(self, version: str) -> int | None:
        """Its default, or None where this version does not have it."""
        return _at(self.defaults, version)

    def minimum(self, version: str) -> int | None:
        """The smallest value that it takes."""
        return _at(self.minima, version)

    def maximum(self, version: str) -> int | None:
        """The largest value that it takes, None if that is not known."""
        return _at(self.maxima, version)

    @property
    def is_switch(self) -> bool:
        """Whether it is yes or no, 1 or 0; others are numbers."""
        return set(self.minima.values()) == {0} and set(self.maxima.values()) == {1}

    def mistake(self, value: int, version: str) -> str | None:
        """What is wrong with this value in this version."""
        lowest, highest = self.minimum(version), self.maximum(version)
        if self.default(version) is None:
            return f"ESXi {version} has no {self.name}; {next(iter(self.defaults))} and later have it"
        if highest is None and lowest is not None and value < lowest:
            return f"{value} is too small for {self.name} (from {lowest}; {SOURCE})"
        if lowest is not None and highest is not None and not lowest <= value <= highest:
            return f"{value} is out of the range of {self.name} ({lowest} to {highest}; {SOURCE})"
        return None


def default(name: str, version: str) -> int:
    """The setting's default in this version. Raises LookupError for what this version does not have."""
    if name not in ADVANCED:
        raise LookupError(unknown(name))
    value = ADVANCED[name].default(version)
    if value is None:
        raise LookupError(ADVANCED[name].mistake(0, version))
    return value


def unknown(name: str) -> str:
    """What to say of a setting that is not in the table."""
    return f'"{name}" is no advanced setting that the emulator knows{guess(name, ADVANCED)}'


def _at(values: Versioned, version: str) -> int | None:
    position = ESXI_VERSIONS.index(version)
    held = [value for since, value in values.items() if ESXI_VERSIONS.index(since) <= position]
    return held[-1] if held else None


def _setting(
    name: str, defaults: int | Versioned, minima: int | Versioned, maxima: int | Versioned | None, doc: str
) -> AdvancedSetting:
    def versioned(values: int | Versioned | None) -> Versioned:
        if values is None:
            return {}
        return {ESXI_VERSIONS[0]: values} if isinstance(values, int) else values

    return AdvancedSetting(f"Net.{name}", versioned(defaults), versioned(minima), versioned(maxima), doc)


_SETTINGS: Final = (
    _setting("BlockGuestBPDU", {"6.0": 0, "8.0": 1}, 0, 1, "drop guests' BPDUs"),
    _setting("ReversePathFwdCheck", 1, 0, 1, "drop group frames that come back from the physical switches"),
    _setting("ReversePathFwdCheckPromisc", {"6.0": 0, "9.0": 1}, 0, 1, "the same for promiscuous ports"),
    _setting("TeamPolicyUpDelay", 100, 0, {"6.0": 600_000, "7.0": 1_800_000}, "ms from link-up until an uplink counts"),
    _setting("LinkFlappingThreshold", 60, 0, 65_535, "link-downs a minute before a link is unstable"),
    _setting("LinkStatePollTimeout", 500, 100, 90_000, "ms between looks at the links"),
    _setting("MaxBeaconVlans", 100, 0, 4096, "VLANs that beacons are sent on"),
    _setting("MaxBeaconsAtOnce", 100, 0, 4096, "beacons sent at once"),
    _setting("TeamingIgnoreShotgun", {"8.0": 0}, 0, 1, "no sending on all uplinks while beacons are ambiguous"),
    _setting("NotifySwitch", 1, 0, 1, "notify frames to the physical switches"),
    _setting("AdvertisementDuration", 60, 0, 255, "s that RARP frames are sent for"),
    _setting("NetSendRARPOnPortEnablement", 1, 0, 1, "RARP at once when a port is enabled"),
    _setting("NetMaxRarpsPerInterval", 128, 1, None, "RARP frames at once"),
    _setting("EtherswitchHashSize", 1, 0, 4, "the MAC table has ports times 2 to this power entries"),
    _setting("MinEtherLen", 60, {"6.0": 0, "6.5": 60}, 1518, "bytes that shorter frames are padded to"),
    _setting("NetShaperQueueSizeMin", 10, 1, 500, "packets that a shaper's queue holds at least"),
    _setting("NetShaperQueueSizeMax", 500, 1, 5000, "packets that a shaper's queue holds at most"),
    _setting("NetShaperQueuePerL3L4Flow", 1, 0, 1, "a shaper's queue for each flow"),
    _setting("IGMPQueryInterval", 125, 32, 3600, "s between queries of the snooping querier"),
    _setting("IGMPVersion", 3, 2, 3, "the querier's IGMP version"),
    _setting("MLDVersion", 2, 1, 2, "the querier's MLD version"),
    _setting("IGMPV3MaxSrcIPNum", 10, 1, 32, "sources of an IPv4 group"),
    _setting("MLDV2MaxSrcIPNum", 10, 1, 32, "sources of an IPv6 group"),
    _setting("IGMPQueries", 2, 0, 2, "queries after vMotion and failover"),
    _setting("LACPActorSystemPriority", {"8.0": 1}, 1, 65_535, "the host's LACP system priority"),
    _setting("LACPEnableIndividualPort", {"8.0": 0}, 0, 1, "whether a LAG is down with all its members"),
    _setting("MaxPortRxQueueLen", 80, 1, 500, "packets in a port's receive queue"),
    _setting("MaxNetifTxQueueLen", 2000, 1, 10_000, "packets in a physical NIC's transmit queue"),
    _setting("PortDisableTimeout", 5000, 0, None, "ms to drain a port before it is disabled"),
    _setting("NetSchedHClkLeafQueueDepthPkt", 640, 1, 10_000, "packets in a leaf queue of the hclk scheduler"),
    _setting("UseHwTSO", 1, 0, 1, "whether uplinks offer TSO over IPv4"),
    _setting("UseHwTSO6", 1, 0, 1, "whether uplinks offer TSO over IPv6"),
    _setting("UplinkTSOSplit", {"8.0": 1}, 0, 1, "from 8.0 U3: NICs sum what the kernel segments"),
    _setting("UseHwIPv6Csum", 1, 0, 1, "whether NICs fill checksums over IPv6"),
    _setting("UseHwCsumForIPv6Csum", 1, 0, 1, "the same for NICs that sum at any offset (obo)"),
    _setting("EnableOuterCsum", {"6.5": 1}, 0, 1, "whether the uplink layer fills the outer checksum of tunnels"),
    _setting("DontOffloadInnerIPv6", {"6.5": 0}, 0, 1, "NICs do nothing for IPv6 inside tunnels"),
    _setting("NetEnableSwCsumForLro", 1, 0, 1, "whether LRO frames get a checksum"),
    _setting("NoLocalCSum", 0, 0, 1, "frames between VMs of a host keep a checksum that was not filled"),
    _setting("NetpollSwLRO", {"6.5": 1}, 0, 1, "LRO where the kernel polls a physical NIC"),
    _setting("LRODefMaxLength", 65_535, 1, 65_535, "bytes of a frame that this LRO makes at most"),
    _setting("LRODefThreshold", 4000, 1, None, "packets between its decisions whether it pays"),
    _setting("LRODefUseRatioNumer", 1, 1, None, "it pays below this share of packets that are left: numerator"),
    _setting("LRODefUseRatioDenom", 3, 1, None, "the same: denominator"),
    _setting("LRODefBackoffPeriod", 8, 0, None, "decisions that it then rests"),
    _setting("Vmxnet2HwLRO", 1, 0, 1, "VMXNET2 takes what the NIC put together"),
    _setting("Vmxnet2SwLRO", 1, 0, 1, "LRO at delivery to VMXNET2"),
    _setting("Vmxnet3HwLRO", 1, 0, 1, "VMXNET3 takes what the NIC put together"),
    _setting("Vmxnet3SwLRO", 1, 0, 1, "LRO at delivery to VMXNET3"),
    _setting("VmxnetLROMaxLength", 32_000, 1, 65_535, "bytes of a frame that LRO at delivery makes at most"),
    _setting("VmxnetLROThreshold", 4000, 1, None, "packets between its decisions whether it pays"),
    _setting("VmxnetLROUseRatioNumer", 2, 1, None, "it pays below this share of packets that are left: numerator"),
    _setting("VmxnetLROUseRatioDenom", 3, 1, None, "the same: denominator"),
    _setting("VmxnetLROBackoffPeriod", 8, 0, None, "decisions that it then rests"),
    _setting("VmxnetPromDisableLro", 1, 0, 1, "no LRO at delivery to a promiscuous port"),
    _setting("VmxnetSwLROSL", 1, 0, 1, "the short-lived variant of LRO at delivery"),
    _setting("VmxnetDoLroSplit", 1, 0, 1, "LRO at delivery does not make one single packet of everything"),
    _setting("VmxnetLroSplitBnd", {"6.0": 12, "6.5": 64}, 2, 255, "packets from which on it does so all the same"),
    _setting("VmknicDoLroSplit", 0, 0, 1, "the same at vmkernel adapters"),
    _setting("VmknicLroSplitBnd", 12, 2, 255, "the same at vmkernel adapters"),
    _setting("VmklnxLROEnabled", 0, 0, 1, "LRO of drivers of the old kind (vmklinux)"),
    _setting("VmklnxLROMaxAggr", 6, 0, 24, "packets that it puts together at most"),
    _setting("TcpipDefLROEnabled", 1, 0, 1, "LRO at vmkernel adapters"),
    _setting("TcpipDefLROMaxLength", 32_768, 1, 65_535, "bytes of a frame that it makes at most"),
    _setting("VmxnetDoTsoSplit", 1, 0, 3, "super-frames for a VM of the host: whole, halved, hybrid, in set pieces"),
    _setting("VmxnetTsoSplitSize", 17_500, 1500, 65_535, "bytes of these pieces, where the setting above is 2 or 3"),
    _setting("VmxnetTsoSplitBnd", 12, 2, 255, "packets in a list from which on this size is the threshold"),
    _setting("VmxnetBiDirNoTsoSplit", 1, 0, 1, "no such splitting where traffic goes both ways"),
    _setting("Vmxnet3RxPollBound", 256, 0, 4096, "packets that a vNIC takes in one poll"),
    _setting("Vmxnet3RxQueueBound", {"8.0": 256}, 0, 8192, "packets behind a vNIC's ring"),
    _setting("Vmxnet3RxBurstQueueLimit", {"8.0": 512}, 0, 16_384, "packets of a vNIC's burst queue"),
    _setting("Vmxnet3AllowTruncation", {"8.0": 0}, 0, 1, "whether a packet too large for a vNIC is cut"),
    _setting("CoalesceDefaultOn", 1, 0, 1, "whether interrupts of vNICs are coalesced"),
    _setting("CoalesceRBCRate", 4000, 100, 100_000, "interrupts a second that a vNIC gets at most"),
    _setting("NetSplitRxMode", 1, 0, 1, "several threads for copies to many receivers"),
    _setting("NetVMTxType", 2, 1, 3, "threads that send: one a vNIC, one a VM, one a queue"),
    _setting("NetSchedMaxPktSend", 256, 100, 4096, "packets that a driver is handed at once"),
    _setting("NetSchedInFlightMaxBytesDefault", 200_000, 1500, 1_500_000, "bytes on their way in a physical NIC"),
    _setting("NetSchedCoalesceTxUsecs", 33, 1, 125, "us that completions of sent packets wait at most"),
    _setting("TcpipHeapMax", {"6.0": 512, "6.7": 1024}, 32, 16_384, "MB of memory of the vmkernel's TCP/IP stack"),
    _setting("NetPollDispatchBudget", {"9.0": 1024}, 128, 32_768, "dispatches that a list of packets may cause"),
    _setting("NetPollSplitRxThres", {"9.0": 128}, 32, 10_000, "packets from which on a list is split"),
    _setting("Vmxnet3NonTsoPacketGtMtuAllowed", {"7.0": 0}, 0, 1, "whether a vNIC gets packets larger than its MTU"),
    _setting("VLANMTUCheckMode", {"6.5": 1}, 0, 1, "health check of VLAN and MTU"),
    _setting("FollowHardwareMac", 0, 0, 1, "whether vmk0's MAC follows the physical NIC's"),
    _setting("GuestIPHack", 0, 0, 1, "a chain element that learns addresses from guests' ARP"),
    _setting("SendIGMPReportToUplink", 0, 0, 1, "IGMP reports to the uplink"),
)

ADVANCED: Final[Mapping[str, AdvancedSetting]] = {setting.name: setting for setting in _SETTINGS}
"""All known settings by name."""

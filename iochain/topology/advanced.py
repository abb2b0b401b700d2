"""The advanced settings of a host that bear on its network: defaults and ranges by ESXi version.

From the published settings dumps of ESXi 6.0 U3 to 9.0.1. Settings whose values are texts (schedulers) are left out.
"""

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from iochain.topology.mistakes import guess
from iochain.topology.spec import ESXI_VERSIONS

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

    def mistake(self, value: int, version: str) -> str | None:
        """What is wrong with this value in this version."""
        lowest, highest = self.minimum(version), self.maximum(version)
        if self.default(version) is None:
            return f"ESXi {version} has no {self.name}; {next(iter(self.defaults))} and later have it"
        if highest is None and lowest is not None and value < lowest:
            return f"{value} is too small for {self.name} (from {lowest})"
        if lowest is not None and highest is not None and not lowest <= value <= highest:
            return f"{value} is out of the range of {self.name} ({lowest} to {highest})"
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
    _setting("Vmxnet3NonTsoPacketGtMtuAllowed", {"7.0": 0}, 0, 1, "whether a vNIC gets packets larger than its MTU"),
    _setting("VLANMTUCheckMode", {"6.5": 1}, 0, 1, "health check of VLAN and MTU"),
    _setting("FollowHardwareMac", 0, 0, 1, "whether vmk0's MAC follows the physical NIC's"),
    _setting("GuestIPHack", 0, 0, 1, "a chain element that learns addresses from guests' ARP"),
    _setting("SendIGMPReportToUplink", 0, 0, 1, "IGMP reports to the uplink"),
)

ADVANCED: Final[Mapping[str, AdvancedSetting]] = {setting.name: setting for setting in _SETTINGS}
"""All known settings by name."""

"""What a lab file says: hosts, uplinks, virtual switches, port groups, VMs, as frozen values.

Each class is one level of the file and each attribute one key; ``None`` means "not said here": a port group then takes
its virtual switch's value, and the switch takes the default of its ESXi version (:mod:`iochain.topology.effective`).
The text behind a key (``doc``) goes into the JSON Schema and the reference of the lab file. Types name the unit:
text like ``100 Mbit/s`` or ``4 MB`` becomes a number once, when the file is read.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, NewType

from attrs import field, frozen

from iochain.uplink.capabilities import ADAPTERS, DRIVER_ALIASES, DRIVERS, Capability

BitsPerSecond = NewType("BitsPerSecond", int)
ByteCount = NewType("ByteCount", int)
Nanoseconds = NewType("Nanoseconds", int)
VlanNumber = NewType("VlanNumber", int)
VlanRange = NewType("VlanRange", str)
"""One VLAN, ``10``, or several in a row, ``20-29``; 1 to 4094."""
Mtu = NewType("Mtu", int)
MacAddress = NewType("MacAddress", str)
"""Six bytes in lower case hexadecimal with colons, as ESXi writes them."""

ESXI_VERSIONS: Final = ("6.0", "6.5", "6.7", "7.0", "8.0", "9.0")
RATES: Final = {"minimum": 1_000, "maximum": 10**12}
"""The range of rates in bit/s: 1 kbit/s, the finest step of the vSphere Client, to 1 Tbit/s."""


class Answer(Enum):
    """What a security policy says to a request (vSphere Security, "Securing vSphere Standard Switches")."""

    ACCEPT = "accept"
    REJECT = "reject"


class LoadBalancing(Enum):
    """Teaming policies of a standard switch by esxcli's names (vSphere Networking, "Load Balancing Algorithms")."""

    PORT_ID = "portid"
    SOURCE_MAC = "mac"
    IP_HASH = "iphash"
    EXPLICIT = "explicit"
    NONE = "none"


class FailureDetection(Enum):
    """How a failed uplink is noticed (vSphere Networking, "Network Failover Detection")."""

    LINK = "link"
    BEACON = "beacon"


class LinkState(Enum):
    """Whether a physical NIC has a link."""

    UP = "up"
    DOWN = "down"


class Duplex(Enum):
    """Whether a link sends and receives at the same time."""

    FULL = "full"
    HALF = "half"


class CapturedAt(Enum):
    """Where a capture was taken: inside the guests, at the host's uplinks, or outside on the wire."""

    GUEST = "guest"
    UPLINK = "uplink"
    WIRE = "wire"


class ForgedReference(Enum):
    """The address that a sent frame's source is compared with. The sources disagree; the emulator chooses EFFECTIVE."""

    EFFECTIVE = "effective"
    INITIAL = "initial"


class PromiscuousScope(Enum):
    """What a promiscuous port sees: KB 1002934 says the switch, KB 324553 the port group. Our default is the first."""

    SWITCH_VLAN = "switch_vlan"
    PORTGROUP = "portgroup"


class GuestTag(Enum):
    """What happens to a guest's own VLAN tag on a port group without VLAN. Unknown; the emulator drops."""

    DROP = "drop"
    PASS = "pass"


class IpHash(Enum):
    """The two published forms of the IP hash: whole addresses (KB 1007371), last octets (vSphere Networking 7.0)."""

    FULL = "full"
    LAST_OCTET = "last_octet"


class PortHash(Enum):
    """How a port id picks an uplink: by its port number, or one after the other as ports connect. Not published."""

    PORT_NUMBER = "port_number"
    ROUND_ROBIN = "round_robin_at_connect"


class OffloadProfile(Enum):
    """Which offloads there are: ESXi's; only those that no setting of ESXi can spare (segmentation, checksums); none.

    With NONE a super-frame stays whole wherever it goes, and no checksum is touched.
    """

    ESXI = "esxi"
    PURE = "pure"
    NONE = "none"


class SegmentSize(Enum):
    """The segment size of a captured super-frame, which no capture says. The emulator chooses FLOW, else the MTU."""

    FLOW = "flow"
    MTU = "mtu"


class UplinkPoint(Enum):
    """Where frames that leave by an uplink are shown: behind the NIC, or between kernel and NIC (UplinkSndKernel)."""

    WIRE = "wire"
    KERNEL = "kernel"


class PortMode(Enum):
    """What a port of a physical switch does with tags: none for one VLAN, or the tags of many."""

    ACCESS = "access"
    TRUNK = "trunk"


class ChannelHash(Enum):
    """How a physical switch picks a member of a channel; IP hash on the host goes with src-dst-ip (KB 1004048)."""

    SRC_DST_IP = "src-dst-ip"
    SRC_MAC = "src-mac"


class NativeTag(Enum):
    """What a trunk does with a frame tagged with its native VLAN. Switches differ; the emulator chooses DROP."""

    DROP = "drop"
    PASS = "pass"


def key(default: Any, doc: str, **more: Any) -> Any:
    """An optional key of the lab file with its documentation; more: ``minimum`` and ``maximum``, or ``choices``."""
    if isinstance(default, (dict, list)):
        return field(factory=type(default), metadata={"doc": doc, **more})
    return field(default=default, metadata={"doc": doc, **more})


def capability(which: Capability) -> Any:
    """The key of a capability of a physical NIC."""
    return key(None, f"whether it {which.doc} ({which.vsish}); default: as its driver")


def required(doc: str, **more: Any) -> Any:
    """A key that has to be there."""
    return field(metadata={"doc": doc, **more})


@frozen
class Shaping:
    """Outbound traffic shaping of each port (vSphere Networking, "Traffic Shaping Policy")."""

    enabled: bool = key(True, "no switches shaping off where the virtual switch has it on")
    average: BitsPerSecond = key(BitsPerSecond(100_000_000), "long-term rate of each port, like 100 Mbit/s", **RATES)
    peak: BitsPerSecond | None = key(
        None, "highest rate while burst is left; at least the average; default: the average", **RATES
    )
    burst: ByteCount = key(
        ByteCount(102_400 * 1024),
        "bytes above the average that a port may save up, like 4 MB",
        minimum=1,
        maximum=1 << 30,
    )


@frozen
class Teaming:
    """Which uplinks a port group uses, and how (vSphere Networking, "Teaming and Failover Policy")."""

    load_balancing: LoadBalancing | None = key(None, "how an uplink is chosen for a frame")
    active: tuple[str, ...] | None = key(None, "uplinks in use, in order; default: all that are not standby")
    standby: tuple[str, ...] | None = key(None, "uplinks that replace failed active ones, in order")
    unused: tuple[str, ...] | None = key(None, "uplinks never to be used")
    failure_detection: FailureDetection | None = key(None, "how a failed uplink is noticed")
    minimum_speed: BitsPerSecond | None = key(
        None, "slower links count as failed (checkSpeed minimum), like 1 Gbit/s", **RATES
    )
    exact_speed: BitsPerSecond | None = key(
        None, "links of another speed count as failed (checkSpeed exact), like 10 Gbit/s", **RATES
    )
    full_duplex: bool | None = key(None, "whether half-duplex links count as failed (checkDuplex)")
    failback: bool | None = key(None, "whether a recovered uplink is used again at once")
    notify_switches: bool | None = key(None, "whether RARP frames tell the physical switches of a change")


@frozen
class Portgroup:
    """A port group of a standard switch."""

    vlan: VlanNumber = key(
        VlanNumber(0), "0: no VLAN (EST); 1 to 4094: tagged by the switch (VST); 4095: by guests (VGT)"
    )
    promiscuous: Answer | None = key(None, "whether a guest's request for promiscuous mode is granted")
    mac_changes: Answer | None = key(None, "whether a guest may receive at another MAC than its initial one")
    forged_transmits: Answer | None = key(None, "whether a guest may send from another MAC than its own")
    teaming: Teaming = key(Teaming(), "uplinks of this port group, where they differ from the switch's")
    shaping: Shaping | None = key(None, "shaping of each port, where it differs from the switch's")
    labels: tuple[str, ...] = key((), "words of your own to address the port group by")


@frozen
class Vswitch:
    """A standard switch. Its policies hold for all its port groups that say nothing else."""

    uplinks: tuple[str, ...] = key((), "physical NICs of this host that are its uplinks, in order")
    mtu: Mtu = key(Mtu(1500), "largest layer 2 payload, 1 to 9000")
    promiscuous: Answer | None = key(None, "whether a guest's request for promiscuous mode is granted")
    mac_changes: Answer | None = key(None, "whether a guest may receive at another MAC than its initial one")
    forged_transmits: Answer | None = key(None, "whether a guest may send from another MAC than its own")
    teaming: Teaming = key(Teaming(), "how its uplinks are used")
    shaping: Shaping | None = key(None, "shaping of each client port, off unless given")
    portgroups: Mapping[str, Portgroup] = key({}, "its port groups by name")


@frozen
class Nic:
    """A physical NIC (vmnic)."""

    speed: BitsPerSecond = key(BitsPerSecond(10_000_000_000), "link speed, like 10 Gbit/s", **RATES)
    duplex: Duplex = key(Duplex.FULL, "whether the link sends and receives at once")
    link: LinkState = key(LinkState.UP, "whether it has a link")
    mac: MacAddress | None = key(None, "its address; default: made from its place in the lab")
    driver: str = key("generic", "its driver, which says what it can", choices=(*DRIVERS, *DRIVER_ALIASES))
    sg: bool | None = capability(Capability.SG)
    cso: bool | None = capability(Capability.CSO)
    cso6: bool | None = capability(Capability.CSO6)
    cso6_ext: bool | None = capability(Capability.CSO6_EXT)
    tso: bool | None = capability(Capability.TSO)
    tso6: bool | None = capability(Capability.TSO6)
    tso6_ext: bool | None = capability(Capability.TSO6_EXT)
    vxlan: bool | None = capability(Capability.VXLAN)
    geneve: bool | None = capability(Capability.GENEVE)
    obo: bool | None = capability(Capability.OBO)
    lro: bool | None = capability(Capability.LRO)


@frozen
class Vmkernel:
    """A vmkernel adapter (vmk)."""

    network: str = required("its port group")
    mac: MacAddress | None = key(None, "its address; default: made from its place in the lab")
    sends_as: tuple[MacAddress, ...] = key(
        (), "further source addresses by which frames of a capture are known as its own"
    )


@frozen
class Vnic:
    """A virtual NIC: what the platform gave it, and what its guest does with it."""

    network: str = required("its port group")
    mac: MacAddress | None = key(
        None, "initial MAC, as in the VM's configuration; default: made from its place in the lab"
    )
    effective_mac: MacAddress | None = key(None, "MAC that the guest programmed; default: the initial one")
    sends_as: tuple[MacAddress, ...] = key((), "further source addresses that the guest sends from")
    promiscuous: bool = key(False, "whether the guest asks for promiscuous reception")
    groups: tuple[MacAddress, ...] | None = key(None, "multicast addresses that the guest receives; default: all")
    adapter: str = key("vmxnet3", "kind of adapter, which says what it can", choices=tuple(ADAPTERS))
    mtu: Mtu | None = key(None, "the guest's MTU; default: its switch's")
    tso: bool | None = key(None, "whether the guest hands over super-frames to be segmented; default: as its adapter")
    checksum: bool | None = key(None, "whether the guest leaves checksums to be filled; default: as its adapter")
    mss: int | None = key(
        None, "segment size of its super-frames; default: options.mss decides", minimum=1, maximum=65_535
    )
    large_packets: bool | None = key(
        None, "whether the guest takes packets larger than its MTU (TSO and LRO frames); default: as its adapter"
    )
    lro: bool | None = key(
        None,
        "whether received segments are put together for the guest; default: as its adapter, if large_packets. "
        "no: packets larger than its MTU are cut before delivery",
    )
    connected: bool = key(True, "no: the port is there, but nothing passes")


@frozen
class Vm:
    """A virtual machine. With one vNIC its keys may stand here (``network: Prod``), with more under ``vnics``."""

    vnics: Mapping[str, Vnic] = required("its vNICs by name: eth0, eth1 …")
    host: str | None = key(None, "where it runs; may be left out where there is one host")
    powered_on: bool = key(True, "no: it is off until something powers it on")
    count: int | None = key(
        None, "so many like VMs: NAME-1, NAME-2 … with addresses of their own", minimum=1, maximum=100_000
    )
    labels: tuple[str, ...] = key((), "words of your own to address the VM by")


@frozen
class Host:
    """An ESXi host."""

    esxi_version: str | None = key(None, "its version, where it differs from the lab's", choices=ESXI_VERSIONS)
    settings: Mapping[str, int] = key({}, "advanced settings, like Net.BlockGuestBPDU: 0")
    nics: Mapping[str, Nic] = key({}, "its physical NICs by name: vmnic0, vmnic1 …")
    vswitches: Mapping[str, Vswitch] = key({}, "its standard switches by name, in the order of their portset numbers")
    vmkernel: Mapping[str, Vmkernel] = key({}, "its vmkernel adapters by name: vmk0 …")


@frozen
class EntryRule:
    """Where frames of a capture enter that match all that the rule names."""

    at: str = required("the port that they enter by")
    source_mac: MacAddress | None = key(None, "frames from this address")
    vlan: VlanNumber | None = key(None, "frames with this tag; 0: frames without one")
    interface: str | None = key(None, "frames of the pcapng interface of this name")
    file: str | None = key(None, "frames of the capture file of this name (* and ? are wild)")


@frozen
class Options:
    """Choices of the emulator where no source says what ESXi does, or where sources contradict each other."""

    forged_reference: ForgedReference = key(ForgedReference.EFFECTIVE, "address that forged transmits compares with")
    promiscuous_scope: PromiscuousScope = key(PromiscuousScope.SWITCH_VLAN, "what a promiscuous port sees")
    est_guest_tag: GuestTag = key(GuestTag.DROP, "a guest's own tag on a port group without VLAN")
    ip_hash: IpHash = key(IpHash.FULL, "form of the IP hash")
    port_hash: PortHash = key(PortHash.PORT_NUMBER, "how the originating port picks an uplink")
    rarp_ms: tuple[int, ...] = key(
        (0, 786, 1786, 2786, 4786, 7786),
        "ms after an event at which notify frames (RARP) of a port are sent",
        minimum=0,
        maximum=255_000,
    )
    rarp_batch_ms: int = key(
        30, "ms between batches of Net.NetMaxRarpsPerInterval notify frames", minimum=1, maximum=60_000
    )
    beacon_ms: int = key(1000, "ms between beacons of an uplink", minimum=1, maximum=3_600_000)
    beacons_missed: int = key(3, "so many missed beacons in a row are a failure", minimum=1, maximum=1000)
    beacon_alternate: bool = key(False, "whether the uplinks of a switch send beacons by turns, one an interval")
    offloads: OffloadProfile = key(
        OffloadProfile.ESXI, "esxi: as ESXi; pure: neither LRO nor splitting for delivery; none: no offload at all"
    )
    mss: SegmentSize = key(
        SegmentSize.FLOW, "segment size of captured super-frames: the flow's largest segment so far, or the MTU"
    )
    uplink_point: UplinkPoint = key(
        UplinkPoint.WIRE, "deliveries at uplinks: as on the wire, or as the kernel hands them to the NIC"
    )
    native_tag: NativeTag = key(NativeTag.DROP, "a frame tagged with the native VLAN of a physical switch's trunk")


@frozen
class SwitchPort:
    """A port of a physical switch."""

    mode: PortMode | None = key(None, "default: access where the port says vlan, else trunk")
    vlan: int | None = key(None, "VLAN of an access port; default: 1", minimum=1, maximum=4094)
    native_vlan: int | None = key(
        None, "VLAN of a trunk's frames without tag; 0: none, they are dropped; default: 1", minimum=0, maximum=4094
    )
    allowed_vlans: tuple[VlanRange, ...] | None = key(None, "VLANs that a trunk carries, [10, 20-29]; default: all")
    bpdu_guard: bool | None = key(None, "whether a BPDU that comes in shuts the port (err-disable); default: no")
    speed: BitsPerSecond | None = key(None, "link speed; default: that of the cable's other end, or 10 Gbit/s", **RATES)
    queue: int | None = key(None, "frames that may wait for the wire; default: 1000", minimum=1, maximum=100_000)
    link: LinkState | None = key(None, "default: up where a cable is; up without one: what is behind is not modelled")
    channel: str | None = key(None, "its static channel: ports of the switch that say the same name are one link")


@frozen
class SwitchSpec:
    """A physical switch."""

    count: int | None = key(None, "so many ports, by name 1, 2, 3 …", minimum=1, maximum=10_000)
    ports: Mapping[str, SwitchPort] = key({}, "its ports by name; of counted ones those that differ")
    defaults: SwitchPort = key(SwitchPort(), "what holds at its ports that say nothing else")
    mtu: int = key(1500, "largest layer 2 payload, 1 to 9216", minimum=1, maximum=9216)
    ageing: Nanoseconds = key(
        Nanoseconds(300 * 10**9),
        "time after its last frame at which a MAC is forgotten, like 300 s",
        minimum=10**9,
        maximum=10**6 * 10**9,
    )
    priority: int = key(32_768, "for the spanning tree: the lowest is the root", minimum=0, maximum=61_440)
    channel_hash: ChannelHash = key(ChannelHash.SRC_DST_IP, "how it picks a member of a channel")


@frozen
class CableSpec:
    """A cable between two ports."""

    ends: tuple[str, ...] = required("two ports: physical NICs of hosts (esx1.vmnic0), ports of switches (sw1.1)")
    name: str | None = key(None, "its name; default: its ends, like esx1.vmnic0 to sw1.1")
    metres: int | None = key(None, "length, 5 ns of latency a metre; default: 5", minimum=0, maximum=100_000)
    latency: Nanoseconds | None = key(
        None, "latency, like 500 ns, where the length does not say it", minimum=0, maximum=10**9
    )


@frozen
class FabricSpec:
    """The physical network between the hosts."""

    spanning_tree: bool = key(True, "whether a spanning tree breaks loops; it is computed at once, not frame by frame")
    switches: Mapping[str, SwitchSpec] = key({}, "the physical switches by name")
    cables: tuple[CableSpec, ...] = key(
        (), "the cables; [esx1.vmnic0, sw1.1] is short for {ends: [esx1.vmnic0, sw1.1]}"
    )


@frozen
class LabSpec:
    """A whole lab."""

    esxi_version: str = key("8.0", "version whose defaults hold: 6.0, 6.5, 6.7, 7.0, 8.0 or 9.0", choices=ESXI_VERSIONS)
    hosts: Mapping[str, Host] = key({}, "the hosts by name")
    vms: Mapping[str, Vm] = key({}, "the virtual machines by name")
    fabric: FabricSpec = key(FabricSpec(), "the physical network; without one frames leave the lab at the uplinks")
    captured_at: CapturedAt = key(CapturedAt.GUEST, "where the captures were taken")
    entry: tuple[EntryRule, ...] = key((), "where frames of a capture enter, first match first")
    options: Options = key(Options(), "choices where ESXi's behaviour is not published")

"""What a physical NIC's driver and a virtual adapter can: the table of who segments, sums and puts together.

A NIC's driver tells the kernel its capabilities (vmkapi_net_uplink.h of ESXi 6.7, whose numbers stand here, and
vsish's names); what the NIC cannot, the kernel does in software (vSphere Networking 7.0, "TCP Segmentation Offload").
Which of the two does it changes no byte on the wire, only who is counted, and what a capture between them shows.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from attrs import frozen


class Capability(Enum):
    """A capability of an uplink: its key in the lab file, its number in the kernel's interface, and its vsish name."""

    number: int
    vsish: str
    doc: str

    SG = "sg", 1, "CAP_SG", "sends frames that lie in pieces; without it there is no TSO"
    CSO = "cso", 4, "CAP_IP_CSUM", "fills TCP and UDP checksums over IPv4"
    CSO6 = "cso6", 5, "CAP_IP6_CSUM", "fills TCP and UDP checksums over IPv6"
    CSO6_EXT = "cso6_ext", 6, "CAP_IP6_CSUM_EXT_HDRS", "the same behind IPv6 extension headers"
    TSO = "tso", 9, "CAP_TSO", "segments TCP over IPv4"
    TSO6 = "tso6", 10, "CAP_TSO6", "segments TCP over IPv6"
    TSO6_EXT = "tso6_ext", 11, "CAP_TSO6_EXT_HDRS", "the same behind IPv6 extension headers"
    VXLAN = "vxlan", 25, "CAP_ENCAP", "does for the inner packet of VXLAN what it does for others"
    LRO = "lro", 32, "CAP_LRO", "puts received TCP segments together"
    GENEVE = "geneve", 38, "CAP_GENEVE_OFFLOAD", "does for the inner packet of Geneve what it does for others"
    OBO = "obo", 0, "CAP_OFFSET_BASED_OFFLOAD", "offsets are told: any tunnel, and sums over IPv6"

    def __new__(cls, key: str, number: int, vsish: str, doc: str) -> "Capability":
        """A member whose value is its key."""
        member = object.__new__(cls)
        member._value_ = key
        member.number, member.vsish, member.doc = number, vsish, doc
        return member


@frozen
class Ring:
    """Descriptors of a ring: default and most."""

    default: int
    most: int


@frozen
class Driver:
    """What a pNIC driver offers. ``sources`` says where that is known from, ``rings`` are (receive, transmit)."""

    capabilities: frozenset[Capability]
    rings: tuple[Ring, Ring]
    doc: str
    sources: str

    @property
    def is_vmklinux(self) -> bool:
        """Whether it is a driver of the old kind, which ESXi 7.0 no longer has."""
        return "vmklinux" in self.doc


_C = Capability
_PLAIN: Final = frozenset({_C.SG, _C.CSO, _C.TSO})
_BOTH: Final = _PLAIN | {_C.CSO6, _C.TSO6}
_EXTENDED: Final = _BOTH | {_C.CSO6_EXT, _C.TSO6_EXT}
_TUNNELS: Final = frozenset({_C.VXLAN, _C.GENEVE})
_COMMON: Final = "capabilities: common knowledge of the hardware; "


def _rings(receive: int, transmit: int, most_receive: int = 4096, most_transmit: int = 4096) -> tuple[Ring, Ring]:
    return Ring(receive, most_receive), Ring(transmit, most_transmit)


DRIVERS: Final[Mapping[str, Driver]] = {
    "generic": Driver(_EXTENDED, _rings(1024, 1024), "a NIC that can all but tunnels and LRO", "the emulator's choice"),
    "ixgben": Driver(
        _BOTH | {_C.VXLAN},
        _rings(1024, 2048),
        "Intel 82599, X540, X550 (native)",
        _COMMON + "rings: intel/mfd-network-adapter, of the driver in ENS",
    ),
    "ixgbe": Driver(
        _BOTH | {_C.TSO6_EXT, _C.LRO},
        _rings(512, 1024),
        "Intel 82599, X540 (vmklinux, to ESXi 6.7)",
        "source of the driver; IPv6 TSO, also behind extension headers, is always offered by vmklinux (linux_net.c)",
    ),
    "igbn": Driver(_BOTH, _rings(256, 256), "Intel I350, I210 (native)", _COMMON + "rings: as of igb"),
    "igb": Driver(
        _BOTH | {_C.TSO6_EXT}, _rings(256, 256), "Intel I350 (vmklinux, to ESXi 6.7)", "source of the driver"
    ),
    "ne1000": Driver(_PLAIN, _rings(256, 256), "Intel 82574, I217, I219 (native)", _COMMON + "rings: as of e1000e"),
    "e1000e": Driver(
        _BOTH | {_C.TSO6_EXT}, _rings(256, 256), "Intel 82574 (vmklinux, to ESXi 6.7)", "source of the driver"
    ),
    "i40en": Driver(
        _BOTH | _TUNNELS,
        _rings(1024, 1024),
        "Intel X710, XL710, X722",
        _COMMON + "rings: intel/mfd-network-adapter, version 2.5.0.28",
    ),
    "icen": Driver(_EXTENDED | _TUNNELS, _rings(1024, 1024), "Intel E810", _COMMON + "rings: not found"),
    "nmlx4_en": Driver(
        _BOTH | {_C.VXLAN},
        _rings(1024, 512, 8192, 8192),
        "Mellanox ConnectX-3 (native)",
        _COMMON + "rings: source of mlx4_en",
    ),
    "nmlx5_core": Driver(
        _EXTENDED | _TUNNELS | {_C.LRO},
        _rings(1024, 1024, 8192, 8192),
        "Mellanox ConnectX-4 and later",
        _COMMON + "rings: not found",
    ),
    "bnxtnet": Driver(
        _EXTENDED | _TUNNELS | {_C.LRO}, _rings(512, 512), "Broadcom NetXtreme-E", _COMMON + "rings: not found"
    ),
    "qfle3": Driver(
        _BOTH | {_C.VXLAN, _C.LRO},
        _rings(1024, 4078, 4078, 4078),
        "QLogic 578xx (native)",
        _COMMON + "rings: source of bnx2x",
    ),
    "ntg3": Driver(_PLAIN, _rings(200, 511, 511, 511), "Broadcom NetXtreme BCM57xx", _COMMON + "rings: not found"),
    "nvmxnet3": Driver(
        _BOTH, _rings(512, 512), "VMXNET3 as the uplink of a nested host", "source of vmxnet3 for Linux"
    ),
}
"""Driver profiles by the driver's name, as ``esxcli network nic list`` shows it."""

DRIVER_ALIASES: Final[Mapping[str, str]] = {"nmlx5": "nmlx5_core", "nmlx4": "nmlx4_en"}


@frozen
class Adapter:
    """What a virtual NIC lets its guest ask for, and take."""

    tso: bool
    checksum: bool
    large_packets: bool
    lro: bool
    doc: str


ADAPTERS: Final[Mapping[str, Adapter]] = {
    "vmxnet3": Adapter(True, True, True, True, "VMXNET3: all offloads, both ways"),
    "vmxnet2": Adapter(True, True, True, True, "VMXNET2 (Enhanced VMXNET): as VMXNET3"),
    "e1000e": Adapter(True, True, False, False, "Intel 82574: TSO and checksums outwards, no large packets inwards"),
    "e1000": Adapter(True, True, False, False, "Intel 82545EM: the same"),
    "vlance": Adapter(False, False, False, False, "AMD PCnet32: nothing"),
}
"""Virtual adapters (Performance Best Practices, "Virtual Network Adapters": TSO with VMXNET2, VMXNET3, E1000, E1000e;
large packets and LRO: vmxnet3 and its back end only)."""


def driver_of(name: str) -> Driver:
    """The profile of a driver. KeyError if there is none."""
    return DRIVERS[DRIVER_ALIASES.get(name, name)]

"""The numbers of the pcap and pcapng formats, and the names of link types.

Sources: the IETF drafts "PCAP Capture File Format" (draft-ietf-opsawg-pcap), "PCAP Now Generic" (draft-ietf-opsawg-
pcapng) and the registry of link types (draft-ietf-opsawg-pcaplinktype).
"""

from enum import Enum
from typing import Final


class Format(Enum):
    """What kind of capture a source is."""

    PCAP = "pcap"
    PCAPNG = "pcapng"


class Packing(Enum):
    """What a capture is packed with."""

    PLAIN = "plain"
    GZIP = "gzip"
    ZSTD = "zstd"


PCAP_MICROSECONDS: Final = 0xA1B2C3D4
PCAP_NANOSECONDS: Final = 0xA1B23C4D
PCAP_HEADER_BYTES: Final = 24
PCAP_RECORD_BYTES: Final = 16
PCAP_VERSION: Final = (2, 4)
LINK_TYPE_MASK: Final = 0xFFFF
"""The link type in a pcap header; the bits above say how long a frame check sequence is, or are reserved."""

SECTION_BLOCK: Final = 0x0A0D0D0A
INTERFACE_BLOCK: Final = 1
OLD_PACKET_BLOCK: Final = 2
SIMPLE_PACKET_BLOCK: Final = 3
ENHANCED_PACKET_BLOCK: Final = 6
BYTE_ORDER_MAGIC: Final = 0x1A2B3C4D
SWAPPED_ORDER_MAGIC: Final = 0x4D3C2B1A
BLOCK_BYTES: Final = 12
"""A block without a body: type, total length, and total length again."""
SECTION_BYTES: Final = 28
INTERFACE_BYTES: Final = 20
SIMPLE_PACKET_BYTES: Final = 16
PACKET_BYTES: Final = 32
"""An enhanced packet block, and the old packet block alike, without data and options."""

OPTION_END: Final = 0
OPTION_COMMENT: Final = 1
OPTION_USER_APPLICATION: Final = 4
OPTION_INTERFACE_NAME: Final = 2
OPTION_INTERFACE_DESCRIPTION: Final = 3
OPTION_TIME_RESOLUTION: Final = 9
OPTION_TIME_OFFSET: Final = 14
OPTION_PACKET_FLAGS: Final = 2
MAX_OPTION_BYTES: Final = 0xFFFF

MAX_RECORD_BYTES: Final = 16 << 20
"""No frame, and no block that must be read whole, may be longer: a greater length is a damaged file."""

LINK_ETHERNET: Final = 1

GZIP_MAGIC: Final = b"\x1f\x8b"
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"

FOREIGN: Final = {
    b"\xa1\xb2\xcd\x34": "a pcap with Kuznetsov's patch",
    b"\x34\xcd\xb2\xa1": "a pcap with Kuznetsov's patch",
    b"snoop": "a snoop capture",
    b"XCP\0": "a NetXray capture",
    b"RTSS": "a Network Monitor capture",
    b"GMBU": "a Network Monitor capture",
    b"\xfd7zXZ": "packed with xz",
    b"BZh": "packed with bzip2",
    b"\x04\x22\x4d\x18": "packed with lz4",
    b"PK\x03\x04": "a ZIP archive",
}
"""How files begin that people take for a capture that can be read."""

_LINK_NAMES: Final = {
    0: "NULL",
    1: "ETHERNET",
    3: "AX25",
    6: "IEEE802_5",
    7: "ARCNET_BSD",
    8: "SLIP",
    9: "PPP",
    10: "FDDI",
    50: "PPP_HDLC",
    51: "PPP_ETHER",
    100: "ATM_RFC1483",
    101: "RAW",
    104: "C_HDLC",
    105: "IEEE802_11",
    107: "FRELAY",
    108: "LOOP",
    113: "LINUX_SLL",
    114: "LTALK",
    117: "PFLOG",
    119: "IEEE802_11_PRISM",
    122: "IP_OVER_FC",
    123: "SUNATM",
    127: "IEEE802_11_RADIOTAP",
    129: "ARCNET_LINUX",
    139: "MTP2_WITH_PHDR",
    140: "MTP2",
    141: "MTP3",
    142: "SCCP",
    143: "DOCSIS",
    144: "LINUX_IRDA",
    163: "IEEE802_11_AVS",
    165: "BACNET_MS_TP",
    166: "PPP_PPPD",
    177: "LINUX_LAPD",
    187: "BLUETOOTH_HCI_H4",
    189: "USB_LINUX",
    192: "PPI",
    195: "IEEE802_15_4_WITHFCS",
    197: "ERF",
    201: "BLUETOOTH_HCI_H4_WITH_PHDR",
    220: "USB_LINUX_MMAPPED",
    224: "FC_2",
    227: "CAN_SOCKETCAN",
    228: "IPV4",
    229: "IPV6",
    230: "IEEE802_15_4_NOFCS",
    231: "DBUS",
    239: "NFLOG",
    242: "IPOIB",
    247: "INFINIBAND",
    248: "SCTP",
    249: "USBPCAP",
    251: "BLUETOOTH_LE_LL",
    253: "NETLINK",
    256: "BLUETOOTH_LE_LL_WITH_PHDR",
    276: "LINUX_SLL2",
}


def link_name(link_type: int) -> str:
    """The registry's name of a link type, without the LINKTYPE_ before it."""
    return _LINK_NAMES.get(link_type, f"link type {link_type}")

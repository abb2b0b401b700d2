"""The words of a parsed frame: one number for each header field, and one that says which of the others are there.

A parsed frame is a vector of int64, :data:`COUNT` long. Word ``PRESENT`` has bit *i* set where word *i* holds a value:
absent is not zero, and a frame that was cut inside a header has the fields before the cut and not those behind it.
Field layouts: IEEE 802.3, 802.1Q; RFC 826, 791, 8200, 9293, 768, 792, 4443.
"""

from typing import Final

PRESENT: Final = 0
DESTINATION: Final = 1
SOURCE: Final = 2
TAG: Final = 3  # TCI of the outer 802.1Q tag
ETHERTYPE: Final = 4  # behind the outer tag; at most 1500: a length
INNER_TCI: Final = 5  # of the second tag, 0x8100, 0x88a8 or 0x9100
THIRD_TCI: Final = 6
NETWORK_TYPE: Final = 7  # EtherType behind all tags
LLC: Final = 8  # DSAP << 16 | SSAP << 8 | control
ARP_OPERATION: Final = 9
ARP_SENDER_MAC: Final = 10
ARP_SENDER_IP: Final = 11
ARP_TARGET_MAC: Final = 12
ARP_TARGET_IP: Final = 13
IPV4_HEADER_LENGTH: Final = 14  # bytes
IPV4_TOS: Final = 15
IPV4_TOTAL_LENGTH: Final = 16
IPV4_ID: Final = 17
IPV4_FRAGMENT: Final = 18  # flags << 13 | offset
IPV4_TTL: Final = 19
IPV4_PROTOCOL: Final = 20
IPV4_SOURCE: Final = 21
IPV4_DESTINATION: Final = 22
IPV6_TRAFFIC_CLASS: Final = 23
IPV6_FLOW_LABEL: Final = 24
IPV6_PAYLOAD_LENGTH: Final = 25
IPV6_NEXT_HEADER: Final = 26
IPV6_HOP_LIMIT: Final = 27
IPV6_SOURCE_HIGH: Final = 28
IPV6_SOURCE_LOW: Final = 29
IPV6_DESTINATION_HIGH: Final = 30
IPV6_DESTINATION_LOW: Final = 31
IPV6_EXTENSIONS: Final = 32  # bits: EXTENSION_…
IPV6_FRAGMENT: Final = 33  # offset in units of 8 bytes << 3 | more fragments
TRANSPORT: Final = 34  # protocol number of what follows IPv4, or IPv6 and its extension headers
SOURCE_PORT: Final = 35
DESTINATION_PORT: Final = 36
TCP_SEQUENCE: Final = 37
TCP_ACKNOWLEDGMENT: Final = 38
TCP_HEADER_LENGTH: Final = 39  # bytes
TCP_FLAGS: Final = 40
TCP_WINDOW: Final = 41
UDP_LENGTH: Final = 42
ICMP_TYPE: Final = 43
ICMP_CODE: Final = 44
LENGTH: Final = 45  # captured bytes without the outer tag
WIRE_LENGTH: Final = 46  # the same before the snap length cut
ENTRY: Final = 47  # number of the port that the frame came in by
INTERFACE: Final = 48  # number of the capture interface
ORIGIN: Final = 49  # number of the source of frames (the capture file)
MSS: Final = 50  # of a super-frame
NETWORK_OFFSET: Final = 51  # bytes from the first address byte, the outer tag not counted
TRANSPORT_OFFSET: Final = 52
PAYLOAD_OFFSET: Final = 53
WORD_AT_26: Final = 54  # the 32 bits where an untagged IPv4 frame has its source address
WORD_AT_30: Final = 55  # and its destination address
FROM_UPLINK: Final = 56  # 1: the frame came in by an uplink, 0: by a client's port
COUNT: Final = 57

EXTENSION_HOP_BY_HOP: Final = 1
EXTENSION_ROUTING: Final = 2
EXTENSION_FRAGMENT: Final = 4
EXTENSION_DESTINATION: Final = 8
EXTENSION_AUTHENTICATION: Final = 16
EXTENSION_OTHER: Final = 32

NAMES: Final = tuple(
    sorted(
        (name for name, value in globals().items() if name.isupper() and not name.startswith(("EXTENSION", "COUNT"))),
        key=lambda name: int(globals()[name]),
    )
)
"""Name of each word, by its number."""

LINK_WORDS: Final = frozenset(
    (PRESENT, DESTINATION, SOURCE, TAG, ETHERTYPE, LENGTH, WIRE_LENGTH, ENTRY, INTERFACE, ORIGIN, MSS, FROM_UPLINK)
)
"""Words that are known without looking behind the first EtherType."""

NETWORK_WORDS: Final = LINK_WORDS.union(
    (INNER_TCI, THIRD_TCI, NETWORK_TYPE, NETWORK_OFFSET, LLC, WORD_AT_26, WORD_AT_30),
    range(ARP_OPERATION, IPV6_DESTINATION_LOW + 1),
)
"""Words that are known without looking behind IP addresses and extension headers."""

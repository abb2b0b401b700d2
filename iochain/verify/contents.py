"""What stands behind the addresses and the tag of a frame that is tried: EtherType and the shortest headers of it."""

import struct
from itertools import product
from typing import Final

from attrs import frozen

from iochain.kernels.rows import ETHERNET_BYTES
from iochain.verify.conditions import CONTENT, ETHERTYPES, PROTOCOLS, Condition

EXPERIMENTAL: Final = 0x88B5
"""EtherType for local experiments (IEEE 802): nothing is known of what is behind it."""
SENDER_IP: Final = 0x0A000001
RECEIVER_IP: Final = 0x0A000002
_TCP, _UDP, _ICMP = PROTOCOLS["tcp"], PROTOCOLS["udp"], PROTOCOLS["icmp"]
_MOST: Final = 24
_SMALLEST_TYPE: Final = 0x600
_TTL: Final = 64


@frozen
class Content:
    """EtherType (or length) and what is behind it. ``is_ordinary``: hosts send such frames to each other."""

    data: bytes
    is_ordinary: bool = True

    @property
    def ethertype(self) -> int:
        """Its first two bytes."""
        return int.from_bytes(self.data[:2], "big")


def frame_of(destination: int, source: int, tci: int | None, content: Content) -> bytes:
    """The bytes of a frame; ``tci`` is that of its 802.1Q tag, None: it has none."""
    tag = b"" if tci is None else struct.pack(">HH", 0x8100, tci)
    return destination.to_bytes(6, "big") + source.to_bytes(6, "big") + tag + content.data


PLAIN: Final = Content(EXPERIMENTAL.to_bytes(2, "big"))


def ipv4(protocol: int, source: int, destination: int, transport: bytes) -> Content:
    """An IPv4 packet without options."""
    header = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(transport), 0, 0, _TTL, protocol, 0, source, destination)
    total = sum(struct.unpack(">10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    header = header[:10] + checksum.to_bytes(2, "big") + header[12:]
    return Content(struct.pack(">H", ETHERTYPES["ipv4"]) + header + transport)


def ipv6(protocol: int, transport: bytes, difference: int = 3) -> Content:
    """An IPv6 packet between two addresses of one network."""
    head = struct.pack(">IHBB", 6 << 28, len(transport), protocol, _TTL)
    network = 0xFD << 120
    ends = (network | 1).to_bytes(16, "big") + (network | 1 ^ difference).to_bytes(16, "big")
    return Content(struct.pack(">H", ETHERTYPES["ipv6"]) + head + ends + transport)


def transport(protocol: int, source_port: int = 1024, destination_port: int = 80) -> bytes:
    """The shortest header of a transport protocol; nothing for those that are not known."""
    if protocol == _TCP:
        return struct.pack(">HHIIBBHHH", source_port, destination_port, 0, 0, 0x50, 0x02, 1024, 0, 0)
    if protocol == _UDP:
        return struct.pack(">HHHH", source_port, destination_port, 8, 0)
    return struct.pack(">BBHHH", 8, 0, 0xF7FF, 0, 0) if protocol == _ICMP else b""


def arp(kind: str = "arp") -> Content:
    """A question for an address, or a reverse one."""
    body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 3 if kind == "rarp" else 1)
    ends = bytes(6) + SENDER_IP.to_bytes(4, "big") + bytes(6) + RECEIVER_IP.to_bytes(4, "big")
    return Content(struct.pack(">H", ETHERTYPES[kind]) + body + ends)


def usual(differences: int, ethertypes: tuple[int, ...] = (), ports: tuple[int, ...] = ()) -> list[Content]:
    """Contents of all kinds: pairs of IP addresses whose last octets differ in ``differences`` ways, and what hosts
    send to switches rather than to each other.
    """
    found = [PLAIN]
    pairs = [(_UDP, RECEIVER_IP ^ n) for n in range(max(1, differences))]
    found += [ipv4(protocol, SENDER_IP, address, transport(protocol)) for protocol, address in pairs]
    found += [ipv4(protocol, SENDER_IP, RECEIVER_IP, transport(protocol)) for protocol in (_TCP, _ICMP)]
    for port in ports:
        found += [ipv4(kind, SENDER_IP, RECEIVER_IP, transport(kind, port, port)) for kind in (_TCP, _UDP)]
    found += [ipv6(_UDP, transport(_UDP)), ipv6(_TCP, transport(_TCP), 2), arp(), arp("rarp")]
    found += [Content(kind.to_bytes(2, "big")) for kind in ethertypes if kind >= _SMALLEST_TYPE]
    return [*found, *_of_switches()]


def _of_switches() -> list[Content]:
    """What is no traffic between hosts: BPDUs, LLDP, LACP, headers that are cut, tags behind a tag."""
    bpdu, pvst = b"\x42\x42\x03", b"\xaa\xaa\x03\x00\x00\x0c\x01\x0b"
    lengths = [len(llc).to_bytes(2, "big") + llc for llc in (bpdu, pvst)]
    stacked = [struct.pack(">HHH", tag, tci, EXPERIMENTAL) for tag, tci in ((0x8100, 20), (0x8100, 0), (0x88A8, 10))]
    packets = [ipv4(_UDP, SENDER_IP, RECEIVER_IP ^ n, transport(_UDP)).data for n in range(4)]
    stacked += [b"\x81\x00\x00\x14" + packet for packet in packets]
    others = [kind.to_bytes(2, "big") for kind in (0x88CC, 0x8809, 0x0800, 0x0806, 0x86DD)]
    return [Content(data, is_ordinary=False) for data in (*lengths, *stacked, *others)]


def contents_of(condition: Condition) -> list[Content]:
    """Contents whose fields are at the ends of what a condition allows; none where it says nothing of them."""
    named = [name for name in CONTENT if name in condition.fields]
    if not named:
        return []
    values = [condition.values(name) for name in named]
    found = []
    for chosen in list(product(*values))[:_MOST]:
        content = _built(dict(zip(named, chosen, strict=True)))
        if content is not None:
            found.append(content)
    return list(dict.fromkeys(found))


def _built(fields: dict[str, int]) -> Content | None:
    """The shortest content with these fields; None where they do not go together."""
    has_ports = "source_port" in fields or "destination_port" in fields
    has_ip = has_ports or any(name in fields for name in ("protocol", "source_ip", "destination_ip"))
    ethertype = fields.get("ethertype", ETHERTYPES["ipv4"] if has_ip else EXPERIMENTAL)
    if ethertype in (ETHERTYPES["arp"], ETHERTYPES["rarp"]) and not has_ip:
        content = arp("arp" if ethertype == ETHERTYPES["arp"] else "rarp")
    elif ethertype in (ETHERTYPES["ipv4"], ETHERTYPES["ipv6"]):
        protocol = fields.get("protocol", _TCP if has_ports else _UDP)
        ends = transport(protocol, fields.get("source_port", 1024), fields.get("destination_port", 80))
        source, destination = fields.get("source_ip", SENDER_IP), fields.get("destination_ip", RECEIVER_IP)
        is_4 = ethertype == ETHERTYPES["ipv4"]
        content = ipv4(protocol, source, destination, ends) if is_4 else ipv6(protocol, ends)
    elif "llc" in fields and "ethertype" not in fields and not has_ip:
        content = Content(b"\x00\x03" + fields["llc"].to_bytes(3, "big"))
    elif has_ip or "llc" in fields:
        return None
    else:
        content = Content(ethertype.to_bytes(2, "big"))
    if "length" in fields:
        wanted = fields["length"] - ETHERNET_BYTES + 2
        return Content(content.data + bytes(wanted - len(content.data))) if wanted >= len(content.data) else None
    return content

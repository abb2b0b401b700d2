"""The small programs that the recordings run inside namespaces: a tagging relay, multicast senders and receivers."""

import argparse
import ipaddress
import itertools
import select
import socket
import struct
import time
from collections.abc import Callable

_ETH_P_ALL, _ETH_P_8021Q = 3, 0x8100
_SOL_PACKET, _PACKET_AUXDATA, _PACKET_OUTGOING = 263, 8, 4
_TAG_VALID = 0x10
_AUXDATA = struct.Struct("=IIIHHHH")  # struct tpacket_auxdata of linux/if_packet.h


def relay(trunk: str, ports: list[str]) -> None:
    """Carry frames between access ports (``NAME``, ``NAME=VLAN`` or ``NAME=VLAN/PRIORITY``) and a tagged trunk.

    A port without a number is untagged; VLAN 0 with a priority is a priority tag, and belongs to the untagged ports.
    Frames of one VLAN also pass between its access ports, as on any switch.
    """
    uplink = _packet_socket(trunk)
    access = {_packet_socket(name): tag for name, tag in map(_port, ports)}
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([uplink, *access], [], [])
        for source in readable:
            frame, tag = _received(source)
            if not frame:
                continue
            if source is uplink:
                vlan = (tag or 0) & 0xFFF
            else:
                vlan = (access[source] or 0) & 0xFFF
                uplink.send(_tagged(frame, access[source]))
            for port, own in access.items():
                if port is not source and (own or 0) & 0xFFF == vlan:
                    port.send(frame)


def receive(groups: list[str], seconds: float) -> None:
    """Be a member of the groups (``ADDRESS:PORT``) for so many seconds; an own address just listens."""
    sockets = []
    for group in groups:
        address, port = _endpoint(group)
        receiver = socket.socket(_family(address), socket.SOCK_DGRAM)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        receiver.bind((address, port) if "." in address else (address, port, 0, socket.if_nametoindex("eth0")))
        if not ipaddress.ip_address(address).is_multicast:
            print(f"listening at {address}", flush=True)
        elif "." in address:
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, _by_interface(address))
        else:
            membership = socket.inet_pton(socket.AF_INET6, address) + struct.pack("=i", socket.if_nametoindex("eth0"))
            receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
        sockets.append(receiver)
    print("ready", flush=True)
    time.sleep(seconds)


def send(to: str, count: int, size: int, interval: float, payload: bytes = b"", own_port: int = 0) -> None:
    """Send datagrams of so many payload bytes to ``ADDRESS:PORT``, numbered like RTP, so many seconds apart."""
    address, port = _endpoint(to)
    sender = socket.socket(_family(address), socket.SOCK_DGRAM)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sender.bind(("", own_port))
    if "." in address:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _by_interface("0.0.0.0"))
    for number in range(count):
        rtp = struct.pack(">BBHII", 0x80, 8, number, number * 160, 0x10C4A1)
        sound = bytes(itertools.islice(itertools.cycle(range(256)), max(0, size - len(rtp))))
        sender.sendto(payload or rtp + sound, (address, port))
        time.sleep(interval)


def mdns(name: str, address: str, count: int) -> None:
    """Ask for a service by multicast DNS, and announce an own one (RFC 6762)."""
    service = _dns_name("_http._tcp.local")
    query = struct.pack(">6H", 0, 0, 1, 0, 0, 0) + service + struct.pack(">HH", 12, 1)
    host = _dns_name(f"{name}.local")
    record = host + struct.pack(">HHIH", 1, 0x8001, 120, 4) + socket.inet_aton(address)
    answer = struct.pack(">6H", 0, 0x8400, 0, 1, 0, 0) + record
    for _ in range(count):
        send("224.0.0.251:5353", 1, 0, 0.3, query, own_port=5353)
        send("224.0.0.251:5353", 1, 0, 0.3, answer, own_port=5353)


def querier(count: int, interval: float) -> None:
    """Ask for all groups (IGMPv3 general query, RFC 3376), so many seconds apart."""
    message = struct.pack(">BBH4sBBH", 0x11, 10, 0, bytes(4), 2, 125, 0)
    message = message[:2] + struct.pack(">H", _checksum(message)) + message[4:]
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes.fromhex("94040000"))  # router alert
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _by_interface("0.0.0.0"))
        for _ in range(count):
            sender.sendto(message, ("224.0.0.1", 0))
            time.sleep(interval)


def main() -> None:
    """Run one of the programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("relay")
    command.add_argument("trunk")
    command.add_argument("ports", nargs="+")
    command = commands.add_parser("receive")
    command.add_argument("groups", nargs="+")
    command.add_argument("--seconds", type=float, default=5)
    command = commands.add_parser("send")
    command.add_argument("to")
    command.add_argument("--count", type=int, default=100)
    command.add_argument("--size", type=int, default=172)
    command.add_argument("--interval", type=float, default=0.02)
    command = commands.add_parser("mdns")
    command.add_argument("name")
    command.add_argument("address")
    command.add_argument("--count", type=int, default=3)
    command = commands.add_parser("querier")
    command.add_argument("--count", type=int, default=2)
    command.add_argument("--interval", type=float, default=2)
    arguments = vars(parser.parse_args())
    programs: dict[str, Callable[..., None]] = {
        "relay": relay,
        "receive": receive,
        "send": send,
        "mdns": mdns,
        "querier": querier,
    }
    programs[arguments.pop("command")](**arguments)


def _packet_socket(interface: str) -> socket.socket:
    result = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    result.bind((interface, _ETH_P_ALL))
    result.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
    return result


def _port(text: str) -> tuple[str, int | None]:
    """Name and tag control information of an access port."""
    name, _, number = text.partition("=")
    vlan, _, priority = number.partition("/")
    return name, int(vlan) | int(priority or 0) << 13 if number else None


def _received(port: socket.socket) -> tuple[bytes, int | None]:
    """A frame that came in, and its tag, which the kernel takes out of the bytes; nothing for what went out."""
    frame, ancillary, _, address = port.recvmsg(65_600, socket.CMSG_SPACE(_AUXDATA.size))
    if address[2] == _PACKET_OUTGOING:
        return b"", None
    for level, kind, data in ancillary:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            status, *_, tag, _ = _AUXDATA.unpack(data[: _AUXDATA.size])
            return frame, tag if status & _TAG_VALID else None
    return frame, None


def _tagged(frame: bytes, tag: int | None) -> bytes:
    return frame if tag is None else frame[:12] + struct.pack(">HH", _ETH_P_8021Q, tag) + frame[12:]


def _endpoint(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET if "." in address else socket.AF_INET6


def _by_interface(group: str) -> bytes:
    """A struct ip_mreqn that names eth0 by its number."""
    return socket.inet_aton(group) + struct.pack("=4xi", socket.if_nametoindex("eth0"))


def _dns_name(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


if __name__ == "__main__":
    main()

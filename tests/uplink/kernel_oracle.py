"""The Linux kernel segments TCP packets: a program for a network namespace of its own (``unshare --net``).

    unshare --net python kernel_oracle.py plain|vxlan|vxlan-sums|vxlan6 < requests > segments

A request is a JSON line: a frame (hex), its mss (0: only the checksum is asked for, of UDP over plain IP too), and
where its TCP header begins. It goes into a TAP with a header that
asks for segmentation (IFF_VNET_HDR); a bridge hands it to a veth whose segmentation and checksum offload are off, or to
a VXLAN device above that. An answer is a JSON line: the frames that come out at the other end of the veth.
"""

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import time
from typing import Any

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
NEEDS_CSUM, TSO_IPV4, TSO_IPV6, ECN = 1, 1, 4, 0x80
ETH_P_ALL = 3
UDP = 17
SIOCETHTOOL, ETHTOOL_STXCSUM, ETHTOOL_STSO = 0x8946, 0x17, 0x1F
LARGEST = 1 << 17
WAIT_S = 2.0
DEVICES = """
link set lo up
link add va type veth peer name vb
link set va mtu 60000 up
link set vb mtu 60000 up
link add name switch type bridge
link set switch mtu 60000 up
link set tap master switch up
"""
UNDERLAY = """
addr add 10.9.0.1/24 dev va
addr add fd09::1/64 dev va nodad
neigh add 10.9.0.2 lladdr 02:00:00:00:09:02 dev va
neigh add fd09::2 lladdr 02:00:00:00:09:02 dev va
"""
VXLAN = {
    "vxlan": "link add vx type vxlan id 42 local 10.9.0.1 remote 10.9.0.2 dev va dstport 4789 noudpcsum",
    "vxlan-sums": "link add vx type vxlan id 42 local 10.9.0.1 remote 10.9.0.2 dev va dstport 8472 udpcsum",
    "vxlan6": "link add vx type vxlan id 42 local fd09::1 remote fd09::2 dev va dstport 4789 udp6zerocsumtx",
}


def main(mode: str) -> None:
    tap = open_tap()
    ip(DEVICES)
    switch_off("va", ETHTOOL_STSO)
    switch_off("va", ETHTOOL_STXCSUM)
    if mode == "plain":
        ip("link set va master switch")
    else:
        ip(UNDERLAY + VXLAN[mode] + "\nlink set vx mtu 50000 master switch up")
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    out.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
    out.bind(("vb", 0))
    out.settimeout(WAIT_S)
    for line in sys.stdin:
        print(json.dumps(segments(tap, out, json.loads(line))), flush=True)


def switch_off(device: str, command: int) -> None:
    """What ``ethtool --offload`` does: one of a device's offloads off."""
    value = (ctypes.c_uint32 * 2)(command, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP16x", device.encode(), ctypes.addressof(value)))


def open_tap() -> int:
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", b"tap", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    return tap


def ip(commands: str) -> None:
    """Run iproute2 commands, one a line."""
    for command in commands.strip().splitlines():
        subprocess.run(["ip", *command.split()], check=True)


def segments(tap: int, out: socket.socket, request: dict[str, Any]) -> list[str]:
    """Hand a frame to the kernel, and wait until all of its payload has come out, in one or in several frames."""
    frame, mss, start = bytes.fromhex(request["frame"]), request["mss"], request["transport"]
    is_udp = not mss and frame[23 if start == 34 else 20] == UDP
    headers, field = start + (8 if is_udp else (frame[start + 12] >> 4) * 4), 6 if is_udp else 16
    kind = TSO_IPV6 if frame[12:14] == b"\x86\xdd" else TSO_IPV4
    kind |= ECN if mss and frame[start + 13] & 0x80 else 0
    count = -(-(len(frame) - headers) // mss) if mss else 1
    os.write(tap, struct.pack("=BBHHHH", NEEDS_CSUM, kind if mss else 0, headers, mss, start, field) + frame)
    found: list[str] = []
    until = time.monotonic() + WAIT_S
    while len(found) < count and time.monotonic() < until:
        data, address = out.recvfrom(LARGEST)
        if address[2] != socket.PACKET_OUTGOING and frame[6:12] in data[:128]:
            found.append(data.hex())
    return found


if __name__ == "__main__":
    main(sys.argv[1])

"""What one would write without iochain: a loop over the frames of a capture with Scapy or dpkt.

    python benchmarks/loops.py scapy|dpkt CAPTURE OUTPUT

Reads each frame, asks for its addresses, its tag and its IP addresses, and writes it again; no rule is applied.
"""

import sys
from importlib import import_module
from typing import Any


def scapy_loop(capture: str, output: str) -> int:
    """Read, look and write; how many frames had what they should."""
    from scapy.layers.inet import IP
    from scapy.layers.l2 import Dot1Q
    from scapy.utils import PcapReader, PcapWriter

    count = 0
    with PcapReader(capture) as frames, PcapWriter(output) as writer:
        for frame in frames:
            tag = frame[Dot1Q].vlan if Dot1Q in frame else 0
            count += bool(frame.src and frame.dst and tag >= 0 and frame[IP].src and frame[IP].dst)
            writer.write(frame)
    return count


def dpkt_loop(capture: str, output: str) -> int:
    """The same with dpkt."""
    dpkt: Any = import_module("dpkt")
    count = 0
    with open(capture, "rb") as read, open(output, "wb") as written:  # noqa: PTH123  (what one would write)
        writer = dpkt.pcap.Writer(written)
        for time_s, data in dpkt.pcap.Reader(read):
            ethernet = dpkt.ethernet.Ethernet(data)
            tag = ethernet.vlan_tags[0].id if getattr(ethernet, "vlan_tags", None) else 0
            count += bool(ethernet.src and ethernet.dst and tag >= 0 and ethernet.data.src and ethernet.data.dst)
            writer.writepkt(data, time_s)
    return count


LOOPS = {"scapy": scapy_loop, "dpkt": dpkt_loop}

if __name__ == "__main__":
    print(LOOPS[sys.argv[1]](sys.argv[2], sys.argv[3]))

"""Shaping is set on a port group of a standard switch, yet downloads of its VM are as fast as before. Why?

A standard switch shapes outbound traffic only: what a VM sends into the switch. What comes to the VM, from outside or
from its neighbour, passes no shaper; only a distributed switch can shape that way too.
"""

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from iochain import Lab

FRAMES, FRAME_BYTES = 100, 1514
VM, SERVER = "00:50:56:00:00:01", "02:00:00:00:00:fe"

lab = Lab(esxi_version="8.0")
switch = lab.host("esx1").nic("vmnic0", speed="1 Gbit/s").vswitch("vSwitch0", uplinks=["vmnic0"])
prod = switch.portgroup("Prod", shaping={"average": "10 Mbit/s"})
prod.vm("vm", mac=VM)


def frame(source: str, destination: str) -> bytes:
    """A full-sized UDP frame."""
    head = Ether(src=source, dst=destination) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP()
    return bytes(head / bytes(FRAME_BYTES - len(head)))


def mbits_per_s(lab: Lab, sent: bytes, at: str) -> float:
    """The rate at which a port's frames arrive, when it sends them at 1 Gbit/s."""
    net, gap_ns = lab.start(), FRAME_BYTES * 8
    outcomes = [net.send(sent, at=at, time_ns=number * gap_ns) for number in range(FRAMES)]
    times = [fate.time_ns for outcome in outcomes for fate in outcome.deliveries]
    return (FRAMES - 1) * FRAME_BYTES * 8 / (times[-1] - times[0]) * 1000


upload = mbits_per_s(lab, frame(VM, SERVER), at="vm")
download = mbits_per_s(lab, frame(SERVER, VM), at="vmnic0")
print(f"Shaping with 10 Mbit/s: upload {upload:.1f} Mbit/s, download {download:.0f} Mbit/s.")
print("Where the shaper stands:", prod.port("vm").input, "and", prod.port("vm").output, sep="\n  ")
assert abs(upload - 10) < 0.1
assert abs(download - 1000) < 1
assert "shaper" in prod.port("vm").input.names
assert "shaper" not in prod.port("vm").output.names

free = lab.with_settings(["portgroup.Prod.shaping=off"])
unshaped = mbits_per_s(free, frame(VM, SERVER), at="vm")
print(f"\nWithout shaping: upload {unshaped:.0f} Mbit/s.")
assert unshaped > 900
assert "shaper" not in free.port("vm").input.names

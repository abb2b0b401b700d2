"""Traffic shaping of a port group says 100 Mbit/s: is that for all its VMs together?

No, for each port: two VMs that send as much as they can get 100 Mbit/s each, 200 together. Here each sends a hundred
frames at once, and the rates are taken from the times at which the uplink has sent them.
"""

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from iochain import Lab

FRAMES, FRAME_BYTES = 100, 1514
MACS = {"web": "00:50:56:00:00:01", "db": "00:50:56:00:00:02"}


def frame_of(vm: str) -> bytes:
    """A full-sized UDP frame to outside."""
    head = Ether(src=MACS[vm], dst="02:00:00:00:00:fe") / IP(src="10.0.0.1", dst="10.0.0.254") / UDP()
    return bytes(head / bytes(FRAME_BYTES - len(head)))


def rates(lab: Lab) -> dict[str, float]:
    """Mbit/s of each VM that leave by vmnic0."""
    net = lab.start()
    sent_at: dict[str, list[int]] = {vm: [] for vm in MACS}
    for _ in range(FRAMES):
        for vm in MACS:
            sent_at[vm] += [fate.time_ns for fate in net.send(frame_of(vm), at=vm).deliveries]
    return {vm: (FRAMES - 1) * FRAME_BYTES * 8 / (times[-1] - times[0]) * 1000 for vm, times in sent_at.items()}


lab = Lab(esxi_version="8.0")
switch = lab.host("esx1").nic("vmnic0", speed="10 Gbit/s").vswitch("vSwitch0", uplinks=["vmnic0"])
prod = switch.portgroup("Prod", shaping={"average": "100 Mbit/s"})
for name, mac in MACS.items():
    prod.vm(name, mac=mac)

shaped = rates(lab)
print(lab.effective("Prod").shaping.origin, "shapes each port:")
print(f"With 100 Mbit/s: web gets {shaped['web']:.1f}, db gets {shaped['db']:.1f}, not half of it each.")
assert all(abs(rate - 100) < 1 for rate in shaped.values())

halved = rates(lab.with_settings(["portgroup.Prod.shaping.average=50 Mbit/s"]))
print(f"With 50 Mbit/s: web gets {halved['web']:.1f}, db gets {halved['db']:.1f}.")
assert all(abs(rate - 50) < 1 for rate in halved.values())

free = rates(lab.with_settings(["portgroup.Prod.shaping=off"]))
print(f"Without shaping: web gets {free['web']:.0f}, db gets {free['db']:.0f}: they share the 10 Gbit/s of vmnic0.")
assert all(rate > 4000 for rate in free.values())

"""Somebody pulls a cable of a host. What is lost until VMs' frames go by the other uplink, and who tells the switch?

The host looks at its links each 500 ms (Net.LinkStatePollTimeout). What is sent until then is lost, and so is what was
on the cable. Then the VM has its other uplink, and RARP frames tell the physical switch. When the cable is back the VM
returns 100 ms after the host has seen it (Net.TeamPolicyUpDelay), if failback is on.
"""

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from iochain import Lab, cut_cable, mend_cable

VM, ROUTER = "00:50:56:00:00:01", "02:00:00:00:00:fe"

lab = Lab(esxi_version="8.0")
switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"], teaming={"load_balancing": "explicit"})
switch.portgroup("Prod", vlan=10).vm("web", mac=VM)
lab.physical_switch("sw1", count=3).port(3, link="up")  # behind it the router
lab.cable("vmnic0", "sw1.1")
lab.cable("vmnic1", "sw1.2")

frame = Ether(src=VM, dst=ROUTER) / IP(src="10.0.10.1", dst="10.0.10.254") / UDP()
RARP = b"\x80\x35"


def story(lab: Lab) -> tuple[list[int], list[float]]:
    """Times (ms) of frames that did not arrive, of one each 10 ms; and of RARP frames. Cut at 5.2 s, mended at 8 s."""
    net = lab.start()
    for number in range(1000):
        net.offer(frame, "web", f"{10 * number} ms")
    net.at("5200 ms", cut_cable("vmnic0 to sw1.1"))
    net.at("8 s", mend_cable("vmnic0 to sw1.1"))
    run = net.run(until="12 s")
    rarps = [fate.time_ns / 1e6 for fate in run if fate.port == "sw1.3" and RARP in fate.data]
    arrived = {fate.frame for fate in run if fate.port == "sw1.3" and RARP not in fate.data}
    print(*(f"{one.time_ns / 1e9} s  {one}" for one in net.failovers), sep="\n")
    return [10 * number for number in range(1000) if number + 1 not in arrived], rarps


lost, rarps = story(lab)
print(f"{len(lost)} frames are lost, those from {lost[0] / 1000} s to {lost[-1] / 1000} s.")
print("RARP frames come at", *(f"{ms / 1000:.3f}" for ms in rarps), "s: of the failover, and of the way back.")
assert (lost[0], lost[-1], len(lost)) == (5200, 5490, 30)
assert [int(ms) for ms in rarps][:4] == [5500, 6286, 7286, 8100]

lost, rarps = story(lab.with_settings(["host.esx1.settings.Net.LinkStatePollTimeout=2000"]))
print(f"With a look each 2 s: {len(lost)} frames.")
assert (lost[0], lost[-1]) == (5200, 5990)

lost, rarps = story(lab.with_settings(["portgroup.Prod.teaming.failback=no"]))
print(f"Without failback the VM stays; the {len(rarps)} RARP frames of the failover are all.")
assert len(rarps) == 5  # the sixth is due later than 12 s

"""Microsoft NLB in unicast mode: why does only one node get requests, and what has "notify switches" to do with it?

The nodes share one MAC, and hide it: they send from others. So the physical switch never learns where it is, and floods
what goes to it to all nodes. A RARP frame for the shared MAC ends that: the switch has it on one port from then on.
"""

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from iochain import Lab, power_on

CLUSTER, CLIENT = "02:bf:0a:00:00:01", "02:00:00:00:00:99"
HIDDEN = ["02:01:0a:00:00:01", "02:02:0a:00:00:01"]  # what the nodes send from

lab = Lab(esxi_version="8.0")
lab.physical_switch("sw1", count=3).port(3, link="up")  # behind it the client
for number in (1, 2):
    switch = lab.host(f"esx{number}").vswitch("vSwitch0", uplinks=["vmnic0"])
    nlb = switch.portgroup("NLB", mac_changes="accept", forged_transmits="accept")
    nlb.vm(f"node{number}", effective_mac=CLUSTER, powered_on=False)
    lab.cable(f"esx{number}.vmnic0", f"sw1.{number}")

request = Ether(src=CLIENT, dst=CLUSTER) / IP(src="192.0.2.9", dst="192.0.2.1") / TCP(dport=80, flags="S")


def reached(lab: Lab) -> set[str]:
    """The nodes that get a client's request once both run, and have sent something."""
    net = lab.start()
    for number, mac in enumerate(HIDDEN, 1):
        net.at(f"{number} s", power_on(f"node{number}"))
        hello = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / IP(src="192.0.2.1")
        net.offer(hello, f"node{number}", "3 s")
    net.run(until="20 s")
    net.offer(request, "sw1.3", "20 s")
    return {fate.port for fate in net.run(until="21 s") if not fate.dropped}


notified = reached(lab)
print("Notify switches yes: a request reaches", *sorted(notified))
assert notified == {"node2"}

silent = [f"hosts.esx{n}.vswitches.vSwitch0.portgroups.NLB.teaming.notify_switches=no" for n in (1, 2)]
unknown = reached(lab.with_settings(silent))
print("Notify switches no: it reaches", *sorted(unknown))
assert unknown == {"node1", "node2"}

refused = reached(lab.with_settings([*silent, "hosts.esx2.vswitches.vSwitch0.portgroups.NLB.mac_changes=reject"]))
print("Where MAC address changes are rejected the node gets none at all; left is", *refused)
assert refused == {"node1"}

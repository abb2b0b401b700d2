"""keepalived or FRR with a virtual MAC (00:00:5e:00:01:xx): a backup takes over, and nobody gets through. Why?

The virtual MAC is not the vNIC's own. To send from it "forged transmits" has to be accepted; and as the virtual switch
does not know it, frames to it arrive only at a port in promiscuous mode. The physical switch needs to be told as well:
that does the new master's gratuitous ARP, which leaves only if forged transmits are accepted.
"""

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether

from iochain import Lab

VIRTUAL, CLIENT, EVERYONE = "00:00:5e:00:01:0a", "02:00:00:00:00:99", "ff:ff:ff:ff:ff:ff"

lab = Lab(esxi_version="8.0")
lab.physical_switch("sw1", count=3).port(3, link="up")  # behind it the client
for number in (1, 2):
    switch = lab.host(f"esx{number}").vswitch("vSwitch0", uplinks=["vmnic0"])
    switch.portgroup("VRRP").vm(f"router{number}", promiscuous=True)
    lab.cable(f"esx{number}.vmnic0", f"sw1.{number}")

gratuitous = Ether(src=VIRTUAL, dst=EVERYONE) / ARP(op=2, hwsrc=VIRTUAL, psrc="10.0.0.1", pdst="10.0.0.1")
packet = Ether(src=CLIENT, dst=VIRTUAL) / IP(src="10.0.0.9", dst="192.0.2.1") / UDP()


def reached(lab: Lab) -> list[str]:
    """Who gets a packet to the virtual MAC while router1 is master (2 s), and when router2 took over (4 s)."""
    net = lab.start()
    for second, master in ((1, "router1"), (3, "router2")):
        net.offer(gratuitous, master, f"{second} s")
        net.offer(packet, "sw1.3", f"{second + 1} s")
    return [fate.port for fate in net.run(until="5 s") if not fate.dropped and bytes(packet) in fate.data]


def both(*settings: str) -> list[str]:
    """Settings of the port group on both hosts."""
    where = "hosts.esx{}.vswitches.vSwitch0.portgroups.VRRP.{}"
    return [where.format(number, setting) for number in (1, 2) for setting in settings]


print("Defaults of ESXi 8.0:", reached(lab) or "nobody gets it.")
assert reached(lab) == []

forged = lab.with_settings(both("forged_transmits=accept"))
print("Forged transmits accepted:", reached(forged) or "it comes to the right host, which does not know the MAC.")
assert reached(forged) == []

promiscuous = lab.with_settings(both("forged_transmits=accept", "promiscuous=accept"))
print("Promiscuous mode too:", *reached(promiscuous))
assert reached(promiscuous) == ["router1", "router2"]

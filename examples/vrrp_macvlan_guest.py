"""Keepalived or FRR in a VM has a macvlan for the VRRP MAC, and the virtual address does not answer. Why?

It sends from 00:00:5e:00:01:xx without programming it into its vNIC, so it needs two settings: forged transmits:
accept, or adverts and answers are dropped at its port; and promiscuous mode: accept, or nothing to that MAC comes in.
MAC address changes do not matter to it, as its vNIC keeps its MAC. (The other kind of guest:
vrrp_virtual_mac_programmed.py.)
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether
from scapy.layers.vrrp import VRRP

from iochain import Lab, Reason

VIRTUAL, CLIENT = "00:00:5e:00:01:0a", "02:00:00:00:00:fe"

lab = Lab(esxi_version="8.0")
switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"])
balancers = switch.portgroup("Balancers", forged_transmits="accept", promiscuous="accept", mac_changes="reject")
balancers.vm("lb1", promiscuous=True)

advert = Ether(src=VIRTUAL, dst="01:00:5e:00:00:12") / IP(src="10.0.0.2", dst="224.0.0.18", ttl=255) / VRRP(vrid=10)
ping = Ether(src=CLIENT, dst=VIRTUAL) / IP(src="10.0.0.9", dst="10.0.0.100") / ICMP()

assert lab.send(advert, at="lb1").ports == ("vmnic0",)
assert lab.send(ping, at="vmnic0").ports == ("lb1",)
print("Forged transmits and promiscuous mode accepted: adverts leave, and pings to the virtual address arrive.")

no_forged = lab.with_settings(["portgroup.Balancers.forged_transmits=reject"])
silent = no_forged.send(advert, at="lb1")
print("\nWithout forged transmits no advert leaves:", silent.explanation.why_not("vmnic0"))
why = silent.drops[0].dropped
assert why
assert why.drop.reason is Reason.FORGED_TRANSMITS
assert why.setting == no_forged.effective("Balancers").forged_transmits
assert no_forged.send(ping, at="vmnic0").ports == ("lb1",)

no_promiscuous = lab.with_settings(["portgroup.Balancers.promiscuous=reject"])
deaf = no_promiscuous.send(ping, at="vmnic0")
print("\nWithout promiscuous mode no ping arrives:", deaf.explanation.why_not("lb1"))
print("What keeps it away:", no_promiscuous.effective("Balancers").promiscuous)
why = deaf.drops[0].dropped
assert why
assert why.drop.reason is Reason.UNKNOWN_UNICAST
assert no_promiscuous.send(advert, at="lb1").ports == ("vmnic0",)

changes = lab.with_settings(["portgroup.Balancers.mac_changes=accept"])
print("\nMAC address changes make no difference.")
assert changes.send(advert, at="lb1").ports == ("vmnic0",)
assert changes.send(ping, at="vmnic0").ports == ("lb1",)

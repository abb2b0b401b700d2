"""A firewall in a VM programs the VRRP MAC into its vNIC, and the virtual address does not answer. Why?

Its effective MAC is not its initial one any more, so it needs MAC address changes: accept, or nothing to that MAC
comes in. Promiscuous mode it does not need. Forged transmits depend on whom you believe: the Security guide compares
with the effective MAC (our default: no need), the Networking guide with the initial one (then accept is needed).
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether
from scapy.layers.vrrp import VRRP

from iochain import Lab, Reason

VIRTUAL, CLIENT = "00:00:5e:00:01:0a", "02:00:00:00:00:fe"

lab = Lab(esxi_version="8.0")
switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"])
balancers = switch.portgroup("Balancers", mac_changes="accept", forged_transmits="reject", promiscuous="reject")
balancers.vm("lb1", effective_mac=VIRTUAL)

advert = Ether(src=VIRTUAL, dst="01:00:5e:00:00:12") / IP(src="10.0.0.2", dst="224.0.0.18", ttl=255) / VRRP(vrid=10)
ping = Ether(src=CLIENT, dst=VIRTUAL) / IP(src="10.0.0.9", dst="10.0.0.100") / ICMP()

assert lab.send(advert, at="lb1").ports == ("vmnic0",)
assert lab.send(ping, at="vmnic0").ports == ("lb1",)
print("MAC address changes accepted: adverts leave, and pings to the virtual address arrive.")

no_changes = lab.with_settings(["portgroup.Balancers.mac_changes=reject"])
deaf = no_changes.send(ping, at="vmnic0")
print("\nWithout MAC address changes no ping arrives:", deaf.explanation.why_not("lb1"))
why = deaf.drops[0].dropped
assert why
assert why.drop.reason is Reason.MAC_CHANGES
assert why.setting == no_changes.effective("Balancers").mac_changes
assert no_changes.send(advert, at="lb1").ports == ("vmnic0",)

by_the_other_guide = lab.with_settings(["options.forged_reference=initial"])
silent = by_the_other_guide.send(advert, at="lb1")
print("\nIf the initial MAC counts, no advert leaves:", silent.explanation.why_not("vmnic0"))
why = silent.drops[0].dropped
assert why
assert why.drop.reason is Reason.FORGED_TRANSMITS
assert by_the_other_guide.send(ping, at="vmnic0").ports == ("lb1",)

safe = by_the_other_guide.with_settings(["portgroup.Balancers.forged_transmits=accept"])
print("\nWith forged transmits accepted as well, it works by either guide.")
assert safe.send(advert, at="lb1").ports == ("vmnic0",)
assert safe.send(ping, at="vmnic0").ports == ("lb1",)

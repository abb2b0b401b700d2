"""A pfSense pair flaps, or pings say DUP!, as the firewall hears its own multicast. Where does the copy come from?

Its port group is promiscuous and has two active uplinks in one network. What it sends by one of them the physical
switch floods to the other. Ports in promiscuous mode take it in, unless Net.ReversePathFwdCheckPromisc is 1: that is so
from ESXi 9.0 on, and before that it can be set. (On a real host promiscuous mode has then to be switched off and on.)
"""

from scapy.layers.inet import IP
from scapy.layers.l2 import Ether

from iochain import Lab, Reason

FIREWALL, CARP_MAC, CARP_GROUP = "00:50:56:00:00:05", "00:00:5e:00:01:01", "01:00:5e:00:00:12"

lab = Lab(esxi_version="8.0")
switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"])
wan = switch.portgroup("WAN", vlan=10, promiscuous="accept", forged_transmits="accept", mac_changes="accept")
wan.vm("pfsense", mac=FIREWALL, promiscuous=True)
lab.physical_switch("sw1", count=2)
lab.cable("vmnic0", "sw1.1")
lab.cable("vmnic1", "sw1.2")

advertisement = Ether(src=CARP_MAC, dst=CARP_GROUP) / IP(src="192.0.2.2", dst="224.0.0.18", proto=112)

heard = lab.send(advertisement, at="pfsense")
print("ESXi 8.0: pfsense's advertisement comes back to", *heard.ports)
assert heard.ports == ("pfsense",)

checked = lab.with_settings(["host.esx1.settings.Net.ReversePathFwdCheckPromisc=1"])
silent = checked.send(advertisement, at="pfsense")
(drop,) = [fate.dropped for fate in silent.drops if fate.port == "pfsense"]
print("With Net.ReversePathFwdCheckPromisc 1 it does not:", drop)
assert silent.ports == ()
assert drop
assert drop.drop.reason is Reason.REVERSE_PATH

newer = lab.with_settings(["esxi_version=9.0"])
print("ESXi 9.0 has that by default.")
assert newer.send(advertisement, at="pfsense").ports == ()

one = lab.with_settings(["portgroup.WAN.teaming.active=vmnic0", "portgroup.WAN.teaming.standby=vmnic1"])
print("With one active uplink only the other still takes the copy in:", *one.send(advertisement, at="pfsense").ports)
assert one.send(advertisement, at="pfsense").ports == ("pfsense",)

single = lab.with_settings(["nic.vmnic1.link=down"])
print("Without a second link there is no copy.")
assert single.send(advertisement, at="pfsense").ports == ()

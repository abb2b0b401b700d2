"""The sniffer VM's port group is promiscuous, but it sees only one VLAN. How does it get to see all?

A promiscuous port gets what the VLAN of its port group lets in: with VLAN 10 that VLAN only, and untagged. With VLAN
4095 it gets every VLAN, with tags. And the guest itself must ask for promiscuous mode (start the capture).
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Dot1Q, Ether

from iochain import Lab

WEB, DB, ROUTER = "00:50:56:00:00:01", "00:50:56:00:00:02", "02:00:00:00:00:fe"

lab = Lab(esxi_version="8.0")
switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"])
switch.portgroup("Front", vlan=10).vm("web", mac=WEB)
switch.portgroup("Back", vlan=20).vm("db", mac=DB)
switch.portgroup("Monitor", vlan=10, promiscuous="accept").vm("sniffer", promiscuous=True)

from_web = Ether(src=WEB, dst=ROUTER) / IP(src="10.0.10.1", dst="10.0.10.254") / ICMP()
from_db = Ether(src=DB, dst=ROUTER) / IP(src="10.0.20.2", dst="10.0.20.254") / ICMP()

seen, missed = lab.send(from_web, at="web"), lab.send(from_db, at="db")
print("With", lab.effective("Monitor").vlan, "the sniffer sees web's frame, without a tag.")
print("Of db's it sees nothing:", missed.explanation.why_not("sniffer"))
assert set(seen.ports) == {"vmnic0", "sniffer"}
assert Dot1Q not in seen.at("sniffer")
assert missed.ports == ("vmnic0",)

all_vlans = lab.with_settings(["portgroup.Monitor.vlan=4095"])
print("\nWith", all_vlans.effective("Monitor").vlan, "it sees both, with their tags.")
assert all_vlans.send(from_web, at="web").at("sniffer")[Dot1Q].vlan == 10
assert all_vlans.send(from_db, at="db").at("sniffer")[Dot1Q].vlan == 20

refused = all_vlans.with_settings(["portgroup.Monitor.promiscuous=reject"])
print("\nWithout promiscuous mode it sees neither:", refused.effective("Monitor").promiscuous)
assert refused.send(from_web, at="web").ports == refused.send(from_db, at="db").ports == ("vmnic0",)

not_asked = all_vlans.with_settings(["vm.sniffer.promiscuous=no"])
print("Nor does it see any where the port group would grant it but its guest does not ask.")
assert not_asked.send(from_web, at="web").ports == not_asked.send(from_db, at="db").ports == ("vmnic0",)

"""Two VMs on different port groups with the same VLAN, on one switch: does their traffic leave the host?

No. The switch forwards by VLAN and MAC, whatever the port group: the frame goes to the other VM directly, untagged,
and no uplink sees it. Only with different VLANs does it leave, tagged, for a router to carry it over.
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Dot1Q, Ether

from iochain import Lab

WEB, DB = "00:50:56:00:00:01", "00:50:56:00:00:02"

lab = Lab(esxi_version="8.0")
switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"])
switch.portgroup("Front", vlan=10).vm("web", mac=WEB)
switch.portgroup("Back", vlan=10).vm("db", mac=DB)

ping = Ether(src=WEB, dst=DB) / IP(src="10.0.10.1", dst="10.0.10.2") / ICMP()

local = lab.send(ping, at="web")
print("Front and Back both with VLAN 10:")
print(local.explanation)
print("So vmnic0 sees nothing:", local.explanation.why_not("vmnic0"))
assert local.ports == ("db",)
assert bytes(local.at("db")) == bytes(ping)  # untagged, not a byte changed

routed = lab.with_settings(["portgroup.Back.vlan=20"])
gone = routed.send(ping, at="web")
print("\nBack with VLAN 20:")
print(gone.explanation)
print("So db gets nothing:", gone.explanation.why_not("db"))
assert gone.ports == ("vmnic0",)
assert gone.at("vmnic0")[Dot1Q].vlan == routed.effective("Front").vlan.value == 10

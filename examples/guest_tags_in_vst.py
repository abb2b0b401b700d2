"""A guest tags its frames with VLAN 20, and its port group has VLAN 10: what becomes of them?

They are dropped at its port (ESXi: VLAN mismatch). With a VLAN of its own a port group expects untagged frames; a
guest that is to tag by itself needs VLAN 4095. A priority tag (VLAN 0) names no VLAN and passes. That the drop exists
is documented (its counter is); that every such frame meets it is the emulator's choice.
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Dot1Q, Ether

from iochain import Lab, Reason

GUEST, ROUTER = "00:50:56:00:00:01", "02:00:00:00:00:fe"

lab = Lab(esxi_version="8.0")
switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"])
switch.portgroup("Prod", vlan=10).vm("guest", mac=GUEST)

ip = IP(src="10.0.20.1", dst="10.0.20.254") / ICMP()
tagged = Ether(src=GUEST, dst=ROUTER) / Dot1Q(vlan=20) / ip
urgent = Ether(src=GUEST, dst=ROUTER) / Dot1Q(vlan=0, prio=5) / ip

refused = lab.send(tagged, at="guest")
print("Port group with VLAN 10:", refused.explanation.why_not("vmnic0"))
assert refused.ports == ()
why = refused.drops[0].dropped
assert why
assert why.drop.reason is Reason.VLAN_MISMATCH
assert why.drop.reason.esxi == "VLAN mismatch"
assert why.setting == lab.effective("Prod").vlan

passed = lab.send(urgent, at="guest")
print("\nA priority tag gets the port group's VLAN and keeps its priority:")
print(passed.explanation)
assert (passed.at("vmnic0")[Dot1Q].vlan, passed.at("vmnic0")[Dot1Q].prio) == (10, 5)

trunk = lab.with_settings(["portgroup.Prod.vlan=4095"]).send(tagged, at="guest")
print("\nWith VLAN 4095 the frame leaves by", *trunk.ports, "as the guest tagged it")
assert trunk.at("vmnic0")[Dot1Q].vlan == 20

"""A nested ESXi, or a container with a MAC of its own (macvlan, LXD, Docker), has no network. What does it need?

Forged transmits: accept, or its frames are dropped as they leave its VM (ESXi: MAC forgery). Then also promiscuous
mode: accept, as the switch knows only the vNIC's own MAC and drops the answers. From 7.0 on both are reject by default.
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Dot1Q, Ether

from iochain import Lab, Reason

CONTAINER, ROUTER = "02:42:ac:11:00:02", "02:00:00:00:00:fe"

lab = Lab(esxi_version="8.0")
switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"])
switch.portgroup("Nested", vlan=10).vm("nested", promiscuous=True)

question = Ether(src=CONTAINER, dst=ROUTER) / IP(src="10.0.10.7", dst="10.0.10.1") / ICMP()
answer = Ether(src=ROUTER, dst=CONTAINER) / Dot1Q(vlan=10) / IP(src="10.0.10.1", dst="10.0.10.7") / ICMP(type=0)

closed = lab.send(question, at="nested")
print("By default, the container's ping does not leave:", closed.explanation.why_not("vmnic0"))
assert closed.ports == ()
why = closed.drops[0].dropped
assert why
assert why.drop.reason is Reason.FORGED_TRANSMITS
assert why.setting == lab.effective("Nested").forged_transmits
assert str(why.setting) == "forged_transmits reject from default of ESXi 8.0"

half = lab.with_settings(["portgroup.Nested.forged_transmits=accept"])
assert half.send(question, at="nested").ports == ("vmnic0",)
unheard = half.send(answer, at="vmnic0")
print("\nWith forged_transmits: accept it leaves, but no answer arrives:", unheard.explanation.why_not("nested"))
print("What keeps it away:", half.effective("Nested").promiscuous)
why = unheard.drops[0].dropped
assert why
assert why.drop.reason is Reason.UNKNOWN_UNICAST

works = half.with_settings(["portgroup.Nested.promiscuous=accept"])
heard = works.send(answer, at="vmnic0")
print("\nWith promiscuous: accept too, the answer arrives at", *heard.ports)
assert works.send(question, at="nested").ports == ("vmnic0",)
assert heard.ports == ("nested",)

old = lab.with_settings(["esxi_version=6.7"])
print("\nUp to 6.7 the ping would have left:", old.effective("Nested").forged_transmits)
assert old.send(question, at="nested").ports == ("vmnic0",)

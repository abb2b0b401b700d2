"""The physical network is VLAN 1, so the port group says VLAN 1, and nothing gets through. Why?

A virtual switch knows no native VLAN: with VLAN 1 it sends frames with tag 1. On the trunk VLAN 1 is the native one,
which has no tag, and the physical switch drops frames that carry it. Either the port group has VLAN 0, or the trunk's
native VLAN is another.
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Dot1Q, Ether

from iochain import Lab, Reason

VM, ROUTER = "00:50:56:00:00:01", "02:00:00:00:00:fe"

lab = Lab(esxi_version="8.0")
lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Office", vlan=1).vm("pc", mac=VM)
sw1 = lab.physical_switch("sw1", count=2)
sw1.port(1, mode="trunk", native_vlan=1)
sw1.port(2, vlan=1, link="up")  # an access port; behind it, not modelled, the router
lab.cable("vmnic0", "sw1.1")

ping = Ether(src=VM, dst=ROUTER) / IP(src="192.0.2.1", dst="192.0.2.254") / ICMP()

tagged = lab.send(ping, at="pc")
(drop,) = [fate.dropped for fate in tagged.drops]
print("VLAN 1, native VLAN 1:", drop)
assert tagged.ports == ()
assert drop
assert drop.drop.reason is Reason.VLAN_MISMATCH

untagged = lab.with_settings(["portgroup.Office.vlan=0"]).send(ping, at="pc")
print("VLAN 0, native VLAN 1: the ping reaches", *untagged.ports)
assert untagged.ports == ("sw1.2",)

other_native = lab.with_settings(["fabric.switches.sw1.ports.1.native_vlan=99"]).send(ping, at="pc")
print("VLAN 1, native VLAN 99: the ping reaches", *other_native.ports)
assert other_native.ports == ("sw1.2",)
assert Dot1Q not in other_native.at("sw1.2")

"""Two VMs of one host on different virtual switches, same VLAN: can they talk without the physical switch?

No. A virtual switch knows the MACs of its own ports only, and switches of a host are not connected with each other.
The frame leaves by an uplink of the first, with its tag, and must come back by an uplink of the second.
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Dot1Q, Ether

from iochain import Lab

WEB, DB = "00:50:56:00:00:01", "00:50:56:00:00:02"

lab = Lab(esxi_version="8.0")
host = lab.host("esx1")
host.vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Front", vlan=10).vm("web", mac=WEB)
host.vswitch("vSwitch1", uplinks=["vmnic1"]).portgroup("Back", vlan=10).vm("db", mac=DB)

ping = Ether(src=WEB, dst=DB) / IP(src="10.0.10.1", dst="10.0.10.2") / ICMP()

left = lab.send(ping, at="web")
print("From web, on vSwitch0:")
print(left.explanation)
assert left.ports == ("vmnic0",)
assert left.at("vmnic0")[Dot1Q].vlan == lab.effective("Front").vlan.value == 10

back = lab.send(left.at("vmnic0"), at="vmnic1")
print("\nIf the physical switch brings it to vmnic1:")
print(back.explanation)
assert back.ports == ("db",)
assert Dot1Q not in back.at("db")

moved = lab.with_settings(["vm.db.network=Front"]).send(ping, at="web")
print("\nWith db on vSwitch0 as well, the frame stays in the host: it goes to", *moved.ports)
assert moved.ports == ("db",)

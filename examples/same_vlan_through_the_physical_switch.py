"""Two VMs of one host, same VLAN, on different virtual switches: by which way do they talk?

By the physical network: out by an uplink of the one virtual switch, and in again by an uplink of the other. If the
physical switch does not carry the VLAN on one of these ports, the VMs of one and the same host do not reach each other.
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether

from iochain import Lab, Reason

WEB, DB = "00:50:56:00:00:01", "00:50:56:00:00:02"

lab = Lab(esxi_version="8.0")
host = lab.host("esx1")
host.vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Front", vlan=10).vm("web", mac=WEB)
host.vswitch("vSwitch1", uplinks=["vmnic1"]).portgroup("Back", vlan=10).vm("db", mac=DB)
lab.physical_switch("sw1", count=2)
lab.cable("vmnic0", "sw1.1")
lab.cable("vmnic1", "sw1.2")

ping = Ether(src=WEB, dst=DB) / IP(src="10.0.10.1", dst="10.0.10.2") / ICMP()

there = lab.send(ping, at="web")
print("The ping reaches", *there.ports, "after", there.deliveries[0].time_ns, "ns on the wire.")
assert there.ports == ("db",)
assert there.deliveries[0].time_ns > 0

not_allowed = lab.with_settings(["fabric.switches.sw1.ports.2.allowed_vlans=20-29"]).send(ping, at="web")
(drop,) = [fate.dropped for fate in not_allowed.drops]
print("If sw1.2 carries VLANs 20 to 29 only:", drop)
assert not_allowed.ports == ()
assert drop
assert drop.drop.reason is Reason.NO_PORT

local = lab.with_settings(["vm.db.network=Front"]).send(ping, at="web")
print("On one virtual switch it stays in the host, and takes", local.deliveries[0].time_ns, "ns.")
assert local.ports == ("db",)
assert local.deliveries[0].time_ns == 0

"""A standard switch without any uplink: do its VMs still reach each other, and what becomes of the rest?

VMs on the same VLAN talk, as before. All that is for somewhere else is dropped at the switch: unknown MACs, other
VLANs, and the one copy of each broadcast that would have gone out.
"""

from scapy.layers.l2 import ARP, Ether

from iochain import Lab, Reason

WEB, DB, ROUTER = "00:50:56:00:00:01", "00:50:56:00:00:02", "02:00:00:00:00:fe"

lab = Lab(esxi_version="8.0")
prod = lab.host("esx1").vswitch("vSwitch0").portgroup("Internal", vlan=10)
prod.vm("web", mac=WEB)
prod.vm("db", mac=DB)

who_has = ARP(hwsrc=WEB, psrc="10.0.10.1", pdst="10.0.10.2")
to_db = Ether(src=WEB, dst=DB) / who_has
to_all = Ether(src=WEB, dst="ff:ff:ff:ff:ff:ff") / who_has
to_router = Ether(src=WEB, dst=ROUTER) / who_has

assert lab.send(to_db, at="web").ports == ("db",)
print("Without uplinks, web reaches db.")

lost = lab.send(to_router, at="web")
print("\nA frame to the router does not get far:")
print(lost.explanation)
assert lost.ports == ()
why = lost.drops[0].dropped
assert why
assert why.drop.reason is Reason.NO_UPLINK

broadcast = lab.send(to_all, at="web")
why = broadcast.drops[0].dropped
assert why
assert why.drop.reason is Reason.NO_UPLINK
assert broadcast.ports == ("db",)
print("\nA broadcast reaches", *broadcast.ports, "and its copy for outside is dropped:", why)
print("What decided:", why.setting)
assert why.setting == lab.effective("Internal").active

connected = lab.with_settings(["vswitch.vSwitch0.uplinks=vmnic0"])
print("\nWith vmnic0 as uplink, the router's frame leaves by", *connected.send(to_router, at="web").ports)
assert connected.send(to_router, at="web").ports == ("vmnic0",)
assert set(connected.send(to_all, at="web").ports) == {"db", "vmnic0"}

down = connected.with_settings(["nic.vmnic0.link=down"])
print("With its link down, all is as without it.")
why = down.send(to_router, at="web").drops[0].dropped
assert why
assert why.drop.reason is Reason.NO_UPLINK

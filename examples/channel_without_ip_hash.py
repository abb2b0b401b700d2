"""The physical switch has the host's ports in a static channel, but the port group balances by port id. What is lost?

The switch takes both cables for one link, and sends each flow on one of them by its own hash. What comes in by an
uplink that is not active for the port group is dropped, and so are broadcasts that come by another than the VM's own.
Unicast by an active uplink is taken, so with all uplinks active it looks as if it worked.
"""

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from iochain import Lab, Reason

VM, ROUTER, EVERYONE = "00:50:56:00:00:01", "02:00:00:00:00:fe", "ff:ff:ff:ff:ff:ff"

lab = Lab(esxi_version="8.0")
switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"])
switch.portgroup("Prod").vm("web", mac=VM)
sw1 = lab.physical_switch("sw1", count=3)
sw1.port(3, link="up")  # behind it the router
for number in (1, 2):
    sw1.port(number, channel="po1")
    lab.cable(f"vmnic{number - 1}", f"sw1.{number}")


def received(lab: Lab, to: str) -> int:
    """How many of a hundred flows from the router reach web."""
    net = lab.start()
    for number in range(100):
        frame = Ether(src=ROUTER, dst=to) / IP(src=f"10.0.1.{number}", dst="10.0.0.1") / UDP()
        net.offer(frame, "sw1.3", f"{number + 1} ms")
    run = net.run(until="1 s")
    assert {fate.dropped.drop.reason for fate in run if fate.dropped} <= {Reason.REVERSE_PATH}
    return len([fate for fate in run if not fate.dropped])


print("By port id, both uplinks active:", received(lab, VM), "unicast flows of 100 arrive,")
print("but only", received(lab, EVERYONE), "broadcasts.")
assert (received(lab, VM), received(lab, EVERYONE)) == (100, 50)

one = lab.with_settings(["portgroup.Prod.teaming.active=vmnic0", "portgroup.Prod.teaming.unused=vmnic1"])
print("With vmnic1 unused:", received(one, VM), "and", received(one, EVERYONE))
assert (received(one, VM), received(one, EVERYONE)) == (50, 50)

by_hash = lab.with_settings(["portgroup.Prod.teaming.load_balancing=iphash"])
print("By IP hash, as a channel needs it:", received(by_hash, VM), "and", received(by_hash, EVERYONE))
assert (received(by_hash, VM), received(by_hash, EVERYONE)) == (100, 100)

"""One NIC of a static channel is taken down in the host (esxcli network nic down). Why are half of the flows dead?

The host sends by the other NIC at once. But its command does not take the light from the cable: the physical switch
still has two ports in the channel, and goes on sending half of the flows to the one that nobody listens to.
"""

from typing import Any

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from iochain import Lab, cut_cable, nic_down

VM, ROUTER = "00:50:56:00:00:01", "02:00:00:00:00:fe"

lab = Lab(esxi_version="8.0")
switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"], teaming={"load_balancing": "iphash"})
switch.portgroup("Prod").vm("web", mac=VM)
sw1 = lab.physical_switch("sw1", count=3)
sw1.port(3, link="up")  # behind it the router
for number in (1, 2):
    sw1.port(number, channel="po1")
    lab.cable(f"vmnic{number - 1}", f"sw1.{number}", name=f"cable {number}")


def flows(event: Any) -> tuple[int, int]:
    """How many of a hundred flows still pass after the event, from web and to web."""
    net = lab.start()
    net.at("1 s", event)
    for number in range(100):
        out = Ether(src=VM, dst=ROUTER) / IP(src="10.0.0.1", dst=f"10.0.1.{number}") / UDP()
        back = Ether(src=ROUTER, dst=VM) / IP(src=f"10.0.1.{number}", dst="10.0.0.1") / UDP()
        net.offer(out, "web", f"{2000 + 2 * number} ms")
        net.offer(back, "sw1.3", f"{2001 + 2 * number} ms")
    run = net.run(until="3 s")
    ports = [fate.port for fate in run if not fate.dropped]
    return ports.count("sw1.3"), ports.count("web")


sent, received = flows(nic_down("vmnic0"))
print(f"vmnic0 down in the host: {sent} of 100 flows get out, {received} get in.")
assert (sent, received) == (100, 50)

sent, received = flows(cut_cable("cable 1"))
print(f"The cable pulled instead: {sent} get out, {received} get in.")
assert (sent, received) == (100, 100)

sent, received = flows(lambda live: None)
print(f"Nothing touched: {sent} and {received}.")
assert (sent, received) == (100, 100)

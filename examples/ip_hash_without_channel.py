"""The port group balances by IP hash, and the physical switch complains of a flapping MAC. What is missing?

The channel. By IP hash one VM's frames leave by all uplinks; to a switch whose ports are no channel its MAC moves from
port to port with each of them. IP hash needs a static channel, and a static channel needs IP hash.
"""

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from iochain import Lab, Mac

VM, ROUTER = "00:50:56:00:00:01", "02:00:00:00:00:fe"

lab = Lab(esxi_version="8.0")
switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"], teaming={"load_balancing": "iphash"})
switch.portgroup("Prod").vm("web", mac=VM)
lab.physical_switch("sw1", count=3).port(3, link="up")  # behind it the router
for number in (0, 1):
    lab.cable(f"vmnic{number}", f"sw1.{number + 1}")


def moves(lab: Lab, flows: int = 10) -> int:
    """How often the switch saw the MAC of web at another port, over ten flows with ten frames each."""
    net = lab.start()
    for number in range(10 * flows):
        flow = Ether(src=VM, dst=ROUTER) / IP(src="10.0.0.1", dst=f"10.0.1.{number % flows}") / UDP()
        net.offer(flow, "web", f"{number + 1} ms")
    assert [fate.port for fate in net.run(until="1 s") if not fate.dropped] == ["sw1.3"] * 10 * flows
    return net.wiring.fabric.switches["sw1"].moves.get(Mac(VM))


print("Without a channel the MAC moved", moves(lab), "times in 0.1 s.")
assert moves(lab) == 99

channel = lab.with_settings([f"fabric.switches.sw1.ports.{port}.channel=po1" for port in (1, 2)])
print("With a static channel it moved", moves(channel), "times.")
assert moves(channel) == 0

by_port = lab.with_settings(["vswitch.vSwitch0.teaming.load_balancing=portid"])
print("By port id, without a channel, as well:", moves(by_port))
assert moves(by_port) == 0

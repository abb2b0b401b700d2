"""Beacon probing with two uplinks: why does every frame leave twice when one of them fails upstream?

Of two uplinks that do not hear each other any more nobody can say which one failed. So the host sends everything by
both, until they do. A third uplink tells. Net.TeamingIgnoreShotgun (8.0 U3e and later) keeps it to one, right or wrong.
"""

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from iochain import Lab, cut_cable, mend_cable

VM, ROUTER = "00:50:56:00:00:01", "02:00:00:00:00:fe"


def a_lab(uplinks: int) -> Lab:
    """Each uplink on a switch of its own, where somebody listens; one more switch between these."""
    lab = Lab(esxi_version="8.0")
    team = lab.host("esx1").vswitch("vSwitch0", uplinks=[f"vmnic{number}" for number in range(uplinks)])
    team.portgroup("Prod", teaming={"failure_detection": "beacon"}).vm("web", mac=VM)
    lab.physical_switch("core", count=uplinks)
    for number in range(uplinks):
        lab.physical_switch(f"rack{number}", count=3).port(3, link="up")
        lab.cable(f"vmnic{number}", f"rack{number}.1")
        lab.cable(f"rack{number}.2", f"core.{number + 1}", name=f"upstream {number}")
    return lab


def copies(lab: Lab, mended: bool = False) -> list[str]:
    """Where a frame of web goes, 10 s after rack1 lost its way on."""
    net = lab.start()
    net.at("5 s", cut_cable("upstream 1"))
    if mended:
        net.at("10 s", mend_cable("upstream 1"))
    net.run(until="15500 ms")
    net.offer(Ether(src=VM, dst=ROUTER) / IP(dst="192.0.2.254") / UDP(), "web", "15500 ms")
    return sorted(fate.port for fate in net.run(until="15600 ms") if not fate.dropped)


two = copies(a_lab(2))
print("Two uplinks, rack1 cut off: the frame is seen at", *two)
assert two == ["rack0.3", "rack1.3"]

mended = copies(a_lab(2), mended=True)
print("Once the cable is mended it leaves once, and each rack sees one copy:", *mended)
assert mended == ["rack0.3", "rack1.3"]

ignoring = copies(a_lab(2).with_settings(["host.esx1.settings.Net.TeamingIgnoreShotgun=1"]))
print("With Net.TeamingIgnoreShotgun 1, in vain:", *ignoring)
assert len(ignoring) == 1

three = copies(a_lab(3))
print("Three uplinks: rack1's is known to have failed, and the frame goes by another, once:", *three)
assert three == ["rack0.3", "rack2.3"]

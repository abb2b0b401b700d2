"""The switch behind an uplink has lost its own way on, the host's link is still up, and VMs are cut off. Who notices?

Link status only does not: it knows the next cable only. Beacon probing does, with three uplinks or more: each sends a
beacon each second, and one that neither hears nor is heard has failed when three in a row were missed.
"""

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from iochain import Lab, cut_cable

VM, ROUTER = "00:50:56:00:00:01", "02:00:00:00:00:fe"

lab = Lab(esxi_version="8.0")
switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1", "vmnic2"])
switch.portgroup("Prod", vlan=10).vm("web", mac=VM)
lab.physical_switch("core", count=4).port(4, link="up")  # behind it the router
for number in (1, 2, 3):
    lab.physical_switch(f"rack{number}", count=2)
    lab.cable(f"vmnic{number - 1}", f"rack{number}.1")
    lab.cable(f"rack{number}.2", f"core.{number}", name=f"upstream {number}")

frame = Ether(src=VM, dst=ROUTER) / IP(src="10.0.10.1", dst="10.0.10.254") / UDP()


def sent_in_vain(lab: Lab) -> list[float]:
    """The moments (s) at which web sent what did not arrive: a frame each 10 ms; its upstream cable is cut at 5.5 s."""
    net = lab.start()
    for number in range(2000):
        net.offer(frame, "web", f"{10 * number + 5} ms")
    net.at("5500 ms", cut_cable("upstream 3"))  # web's uplink is vmnic2
    run = net.run(until="20 s")
    arrived = {fate.frame for fate in run if fate.port == "core.4"}
    return [(10 * number + 5) / 1000 for number in range(2000) if number + 1 not in arrived]


lost = sent_in_vain(lab)
print(f"Link status only: {len(lost)} of 2000 frames lost, from {lost[0]} s on until the end.")
assert (len(lost), lost[0], lost[-1]) == (1450, 5.505, 19.995)

probing = lab.with_settings(["vswitch.vSwitch0.teaming.failure_detection=beacon"])
lost = sent_in_vain(probing)
print(f"Beacon probing: {len(lost)} lost, from {lost[0]} s to {lost[-1]} s. Beacons of 6, 7 and 8 s were missed.")
assert (len(lost), lost[0], lost[-1]) == (350, 5.505, 8.995)

patient = probing.with_settings(["options.beacons_missed=5"])
lost = sent_in_vain(patient)
print(f"With five beacons that may be missed: until {lost[-1]} s.")
assert lost[-1] == 10.995

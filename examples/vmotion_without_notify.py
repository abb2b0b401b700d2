"""After a migration a VM cannot be reached for minutes, though it runs. What did the physical switch not learn?

That the VM's MAC is on another port now. It learns that from the first frame that the VM sends, and until then frames
go to the old host, which drops them. "Notify switches" is for that: the new host sends RARP frames in the VM's name.
"""

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from iochain import Lab, move

VM, CLIENT = "00:50:56:00:00:01", "02:00:00:00:00:99"

lab = Lab(esxi_version="8.0")
for host in ("esx1", "esx2"):
    lab.host(host).vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod")
lab.vm("web", host="esx1", network="Prod", mac=VM)
lab.physical_switch("sw1", count=3).port(3, link="up")  # behind it the client
lab.cable("esx1.vmnic0", "sw1.1")
lab.cable("esx2.vmnic0", "sw1.2")

request = Ether(src=CLIENT, dst=VM) / IP(src="192.0.2.9", dst="192.0.2.1") / UDP(dport=53)
answer = Ether(src=VM, dst=CLIENT) / IP(src="192.0.2.1", dst="192.0.2.9") / UDP(sport=53)

NOT = "portgroup.Prod.teaming.notify_switches=no"


def requests_lost(lab: Lab, speaks_s: int = 30) -> int:
    """A request each 100 ms for a minute; web is heard at the start, moves at 10 s, and sends something again later."""
    net = lab.start()
    for time_s in (0, speaks_s):
        net.offer(answer, "web", f"{time_s} s")
    for number in range(600):
        net.offer(request, "sw1.3", f"{number}50 ms" if number else "50 ms")
    net.at("10 s", move("web", host="esx2"))
    run = net.run(until="60 s")
    lost = [fate for fate in run if fate.dropped and bytes(request) in fate.data]
    assert [fate.port for fate in run].count("web") + len(lost) == 600
    assert {fate.port for fate in lost} <= {"esx1.vmnic0"}
    if lost:
        print(f"  esx1 dropped them from {lost[0].time_ns / 1e9:.2f} s to {lost[-1].time_ns / 1e9:.2f} s")
    return len(lost)


print("Notify switches: yes")
told = requests_lost(lab)
print(f"  {told} of 600 requests lost")
assert told == 0

print("Notify switches: no")
untold = requests_lost(lab.with_settings([NOT]))
print(f"  {untold} of 600 requests lost, until web sent something by itself")
assert untold == 200

print("Notify switches: no, but web sends something at 12 s")
soon = requests_lost(lab.with_settings([NOT]), speaks_s=12)
print(f"  {soon} of 600 requests lost")
assert soon == 20

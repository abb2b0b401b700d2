"""One VM bridges two networks, and then host after host loses its network. How does BPDU Guard come to that?

The VM's bridge sends BPDUs. The physical switch shuts the port that one comes in by; the host fails over, and the next
BPDU shuts the next port. When no uplink is left, HA starts the VM on another host, where it goes on. From ESXi 8.0 on
guests' BPDUs are dropped in the host (Net.BlockGuestBPDU 1).
"""

from scapy.layers.l2 import LLC, STP, Dot3

from iochain import Lab, Reason, move

GUEST = "00:50:56:00:00:05"
HOSTS = ("esx1", "esx2")

lab = Lab(esxi_version="7.0")
sw1 = lab.physical_switch("sw1", count=5, defaults={"bpdu_guard": True})
for number, name in enumerate(HOSTS):
    switch = lab.host(name).vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"])
    switch.portgroup("Prod", forged_transmits="accept")
    lab.cable(f"{name}.vmnic0", f"sw1.{2 * number + 1}")
    lab.cable(f"{name}.vmnic1", f"sw1.{2 * number + 2}")
lab.vm("bridge", host="esx1", network="Prod", mac=GUEST)

bpdu = Dot3(src=GUEST, dst="01:80:c2:00:00:00") / LLC(dsap=0x42, ssap=0x42, ctrl=3) / STP()


def shut_ports(lab: Lab) -> list[tuple[float, str]]:
    """When (s) BPDU Guard shut which port: a BPDU each 2 s; at 9 s HA starts the VM on esx2."""
    net = lab.start()
    for time_s in range(2, 20, 2):
        net.offer(bpdu, "bridge", f"{time_s} s")
    net.at("9 s", move("bridge", host="esx2"))
    drops = [(fate, fate.dropped.drop.reason) for fate in net.run(until="20 s") if fate.dropped]
    return [(fate.time_ns // 10**6 / 1000, fate.port) for fate, reason in drops if reason is Reason.BPDU_GUARD]


shut = shut_ports(lab)
print("ESXi 7.0:", *(f"{port} shut at {time} s;" for time, port in shut))
assert sorted(port for _, port in shut) == ["sw1.1", "sw1.2", "sw1.3", "sw1.4"]
assert [time for time, _ in shut] == [2, 4, 10, 12]

safe = shut_ports(lab.with_settings(["esxi_version=8.0"]))
print("ESXi 8.0:", safe or "none is shut.")
assert safe == []

unguarded = shut_ports(lab.with_settings(["fabric.switches.sw1.defaults.bpdu_guard=no"]))
print("ESXi 7.0, no BPDU Guard:", unguarded or "none is shut.")
assert unguarded == []

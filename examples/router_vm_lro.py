"""Downloads through a router VM crawl, though ping and DNS are fast and uploads are too. Why?

Large receive offload: the host puts received TCP segments together, and the router gets packets longer than the MTU of
its other interface. They must not be fragmented, so it answers "fragmentation needed"; the server sends the same again,
in segments as short as before, and so on. A VM that is the end of its connections is glad of large packets; one that
forwards must not get them (in a Linux guest: ``ethtool -K eth0 lro off``).
"""

from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from iochain import Lab

SERVER, LEFT, RIGHT, PC = "02:00:00:00:00:99", "00:50:56:00:00:01", "00:50:56:00:00:02", "00:50:56:00:00:03"
MTU, SIZE, TRIPS, TRIP_NS = 1500, 1460, 10, 1_000_000
FILE = bytes(7 * SIZE)

lab = Lab(esxi_version="8.0")
lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Outside")
lab.host("esx1").vswitch("vSwitch1").portgroup("Inside").vm("pc", mac=PC)
lab.vm("router", vnics={"left": {"network": "Outside", "mac": LEFT}, "right": {"network": "Inside", "mac": RIGHT}})


def routed(packet: Packet) -> tuple[Packet, str]:
    """What the router makes of a packet, and at which of its vNICs: forward it, or say that it is too long."""
    if packet.len > MTU and packet.flags.DF:
        too_long = ICMP(type=3, code=4, nexthopmtu=MTU) / bytes(packet)[:28]
        return Ether(src=LEFT, dst=SERVER) / IP(src="192.0.2.1", dst=packet.src) / too_long, "router.left"
    return Ether(src=RIGHT, dst=PC) / IP(src=packet.src, dst=packet.dst, ttl=63) / packet.payload, "router.right"


def download(lab: Lab) -> tuple[int, list[int], int]:
    """Bytes that the PC gets in ten round trips, lengths of what the router gets, and how often it complains."""
    net, missing, lengths, complaints = lab.start(), set(range(0, len(FILE), SIZE)), set(), 0
    for start_ns in range(0, TRIPS * TRIP_NS, TRIP_NS):
        for seq in sorted(missing):  # never more than 1,500 bytes leave the server
            tcp = IP(src="192.0.2.9", dst="10.0.0.3", flags="DF") / TCP(sport=80, seq=seq, flags="A")
            net.offer(Ether(src=SERVER, dst=LEFT) / tcp / FILE[seq : seq + SIZE], "vmnic0", start_ns + seq)
        for fate in net.run(until=start_ns + TRIP_NS // 2):
            lengths.add(fate.scapy[IP].len)
            net.offer(*routed(fate.scapy[IP]))
        arrived = net.run(until=start_ns + TRIP_NS)
        missing -= {fate.scapy[TCP].seq for fate in arrived if fate.port == "pc"}
        complaints += sum(fate.port == "vmnic0" for fate in arrived)
    return len(FILE) - SIZE * len(missing), sorted(lengths), complaints


done, lengths, complaints = download(lab)
print(f"As ESXi is by default the PC gets {done} of {len(FILE)} bytes in {TRIPS} round trips.")
print(f"The router got packets of {lengths} bytes, and said {complaints} times that {MTU} is the most.")
assert (done, complaints) == (0, 2 * TRIPS)
assert min(lengths) > MTU

no_netpoll, no_vmxnet3 = (f"host.esx1.settings.Net.{kind}SwLRO=0" for kind in ("Netpoll", "Vmxnet3"))
for cure in (["vm.router.vnics.left.large_packets=no"], [no_netpoll, no_vmxnet3]):
    print("All of it is there at once with", *cure)
    assert download(lab.with_settings(cure)) == (len(FILE), [MTU], 0)
assert download(lab.with_settings([no_netpoll]))[0] == 0  # LRO at delivery takes its place

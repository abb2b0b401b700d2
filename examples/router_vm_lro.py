"""Downloads through a router VM crawl, though ping and DNS are fast and uploads are too. Why?

Large receive offload: the host puts received TCP segments together, and the router gets packets longer than the MTU of
its other interface. They must not be fragmented, so it answers "fragmentation needed"; the server sends the same again,
in segments as short as before, and so on. A VM that is the end of its connections is glad of large packets; one that
forwards must not get them (in a Linux guest: ``ethtool -K eth0 lro off``; on the host: Net.NetpollSwLRO and others).
"""

from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from iochain import Lab

SERVER, ROUTER_LEFT, ROUTER_RIGHT, PC = (
    "02:00:00:00:00:99",
    "00:50:56:00:00:01",
    "00:50:56:00:00:02",
    "00:50:56:00:00:03",
)
SEGMENT, SEGMENTS, MTU = 1460, 7, 1500
FILE = bytes(i % 251 for i in range(SEGMENT * SEGMENTS))
DONT_FRAGMENT = 2
TRIPS, MILLISECOND = 10, 1_000_000  # ns

lab = Lab(esxi_version="8.0")
outside = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Outside")
inside = lab.host("esx1").vswitch("vSwitch1").portgroup("Inside")
lab.vm(
    "router",
    vnics={"left": {"network": "Outside", "mac": ROUTER_LEFT}, "right": {"network": "Inside", "mac": ROUTER_RIGHT}},
)
inside.vm("pc", mac=PC)


def segment(number: int) -> Packet:
    """A part of the file on its way to the router, as it leaves the server: never longer than 1,500 bytes."""
    ip = IP(src="192.0.2.9", dst="10.0.0.3", flags=DONT_FRAGMENT)
    tcp = TCP(sport=80, dport=40000, seq=number * SEGMENT, ack=1, flags="A")
    return Ether(src=SERVER, dst=ROUTER_LEFT) / ip / tcp / FILE[number * SEGMENT : (number + 1) * SEGMENT]


def routed(frame: Packet) -> tuple[str, Packet]:
    """What the router does with a frame, and at which of its vNICs: forward it, or say that it is too long."""
    packet = frame[IP]
    if packet.len > MTU and packet.flags.DF:
        too_long = IP(src="192.0.2.1", dst=packet.src) / ICMP(type=3, code=4, nexthopmtu=MTU) / bytes(packet)[:28]
        return "router.left", Ether(src=ROUTER_LEFT, dst=SERVER) / too_long
    packet.ttl -= 1
    del packet.chksum
    return "router.right", Ether(src=ROUTER_RIGHT, dst=PC) / packet


def download(lab: Lab) -> tuple[int, set[int], int]:
    """Bytes that the PC has after ten round trips, lengths that the router received, and complaints at the server."""
    net = lab.start()
    arrived: dict[int, bytes] = {}
    lengths: set[int] = set()
    complaints = 0
    for start_ns in range(0, TRIPS * MILLISECOND, MILLISECOND):
        for number in range(SEGMENTS):
            if number * SEGMENT not in arrived:
                net.offer(segment(number), "vmnic0", start_ns + number * 2_000)
        for fate in net.run(until=start_ns + MILLISECOND // 2):
            assert fate.port == "router.left"
            lengths.add(fate.scapy[IP].len)
            at, answer = routed(fate.scapy)
            net.offer(answer, at)
        for fate in net.run(until=start_ns + MILLISECOND):
            if fate.port == "pc":
                arrived[fate.scapy[TCP].seq] = bytes(fate.scapy[TCP].payload)
            complaints += fate.port == "vmnic0"
    net.stop()
    whole = b"".join(arrived[at] for at in sorted(arrived))
    assert whole == FILE[: len(whole)]
    return len(whole), lengths, complaints


print("As ESXi is by default:")
done, lengths, complaints = download(lab)
print(f"  after {TRIPS} round trips the PC has {done} of {len(FILE)} bytes")
print(f"  the router got packets of {sorted(lengths)} bytes")
print(f"  and answered 'fragmentation needed' {complaints} times, to a server that never sent more than {MTU} bytes")
assert done == 0
assert min(lengths) > MTU
assert complaints >= TRIPS

CURES = {
    "LRO off in the router's guest": ["vm.router.vnics.left.large_packets=no"],
    "LRO off on the host": ["host.esx1.settings.Net.NetpollSwLRO=0", "host.esx1.settings.Net.Vmxnet3SwLRO=0"],
}
for cure, settings in CURES.items():
    done, lengths, complaints = download(lab.with_settings(settings))
    print(f"{cure}: all {done} bytes in one round trip, packets of {sorted(lengths)} bytes, {complaints} complaints")
    assert (done, lengths, complaints) == (len(FILE), {MTU}, 0)

halfway = download(lab.with_settings(["host.esx1.settings.Net.NetpollSwLRO=0"]))
print(f"Net.NetpollSwLRO=0 alone does not help: LRO at delivery takes over, and the PC has {halfway[0]} bytes")
assert halfway[0] == 0

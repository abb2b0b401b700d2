"""vmk0 and the port group have MTU 9000, and "vmkping -s 8972 -d" gets no answer. Where does it end?

At the first hop with a smaller MTU: the virtual switch, or a physical one that nobody thought of. Small pings pass, so
all seems well. -d forbids fragments, so nothing smaller is sent. (Nobody answers here: what arrives is enough.)
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from iochain import Lab, Reason

VMK, STORAGE = "00:50:56:60:00:01", "02:00:00:00:00:99"

lab = Lab(esxi_version="8.0")
host = lab.host("esx1")
host.vswitch("vSwitch0", uplinks=["vmnic0"], mtu=9000).portgroup("Storage", vlan=30)
host.vmkernel("vmk0", network="Storage", mac=VMK)
sw1 = lab.physical_switch("sw1", count=2, mtu=9216)
sw1.port(2, vlan=30, link="up")  # behind it the storage
lab.cable("vmnic0", "sw1.1")


def ping(size: int) -> Ether:
    """vmkping -d -s SIZE: 8 bytes of ICMP and 20 of IP come on top."""
    return Ether(src=VMK, dst=STORAGE) / IP(src="10.0.30.1", dst="10.0.30.9", flags="DF") / ICMP() / Raw(bytes(size))


def where_it_ends(lab: Lab, size: int) -> str:
    """The port of its delivery, or of its drop."""
    outcome = lab.send(ping(size), at="vmk0")
    if outcome.ports:
        return outcome.ports[0]
    (drop,) = outcome.drops
    assert drop.dropped
    assert drop.dropped.drop.reason is Reason.MTU_EXCEEDED
    print(f"  {drop.port}: {drop.dropped}")
    return f"dropped at {drop.port}"


print("MTU 9000 everywhere, 9216 on the physical switch: it reaches", where_it_ends(lab, 8972))
assert where_it_ends(lab, 8972) == "sw1.2"

print("The physical switch has 1500:")
small_switch = lab.with_settings(["fabric.switches.sw1.mtu=1500"])
assert where_it_ends(small_switch, 8972) == "dropped at sw1.1"
assert where_it_ends(small_switch, 1472) == "sw1.2"

print("The virtual switch has 1500:")
assert where_it_ends(lab.with_settings(["vswitch.vSwitch0.mtu=1500"]), 8972) == "dropped at vmk0"

"""A VM migrates to a host with a port group of the same name, and loses its network. What differs?

Its VLAN. Settings of standard switches are each host's own, and only the name of the port group has to agree. There the
VM's frames leave with another tag, and those for it find nobody.
"""

from scapy.layers.l2 import ARP, Ether

from iochain import Lab, move

VM, DB, EVERYONE = "00:50:56:00:00:01", "00:50:56:00:00:02", "ff:ff:ff:ff:ff:ff"

lab = Lab(esxi_version="8.0")
lab.physical_switch("sw1", count=3)
for number, vlan in ((1, 10), (2, 20), (3, 10)):
    lab.host(f"esx{number}").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod", vlan=vlan)
    lab.cable(f"esx{number}.vmnic0", f"sw1.{number}")
lab.vm("web", host="esx1", network="Prod", mac=VM)
lab.vm("db", host="esx3", network="Prod", mac=DB)

question = Ether(src=VM, dst=EVERYONE) / ARP(hwsrc=VM, psrc="10.0.10.1", pdst="10.0.10.2")


def reached(lab: Lab, host: str) -> tuple[str, ...]:
    """Who gets web's ARP request after it moved to a host."""
    net = lab.start()
    net.at("1 s", move("web", host=host))
    net.run(until="2 s")
    net.offer(question, "web", "2 s")
    return tuple(fate.port for fate in net.run(until="2500 ms") if not fate.dropped)


print("On esx3, VLAN 10 as on esx1, web's request reaches", *reached(lab, "esx3"))
assert reached(lab, "esx3") == ("db",)

print("On esx2, VLAN 20, it reaches", *reached(lab, "esx2") or ["nobody."])
assert "db" not in reached(lab, "esx2")

same = lab.with_settings(["hosts.esx2.vswitches.vSwitch0.portgroups.Prod.vlan=10"])
print("With VLAN 10 on esx2 too:", *reached(same, "esx2"))
assert reached(same, "esx2") == ("db",)

"""A VM bridges two networks, and one switch port of the host after the other is err-disabled by BPDU Guard. Why?

Up to 7.0 a guest's BPDUs leave the host (Net.BlockGuestBPDU is 0). BPDU Guard shuts the port, the VM fails over to the
next uplink and takes its BPDUs along. From 8.0 on the setting is 1, and they are dropped at the VM's port.
"""

from scapy.layers.l2 import LLC, STP, Dot3

from iochain import Lab, Reason

GUEST = "00:50:56:00:00:05"

lab = Lab(esxi_version="7.0")
switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"])
switch.portgroup("Prod").vm("bridge", mac=GUEST)

bpdu = Dot3(src=GUEST, dst="01:80:c2:00:00:00") / LLC(dsap=0x42, ssap=0x42, ctrl=3) / STP()

first = lab.send(bpdu, at="bridge")
print("ESXi 7.0, both links up: the BPDU leaves by", *first.ports)
assert len(first.ports) == 1

guarded = lab.with_settings([f"nic.{first.ports[0]}.link=down"])
second = guarded.send(bpdu, at="bridge")
print(f"BPDU Guard has shut {first.ports[0]}: it now leaves by", *second.ports)
assert len(second.ports) == 1
assert second.ports != first.ports

blocked = lab.with_settings(["esxi_version=8.0"]).send(bpdu, at="bridge")
print("\nESXi 8.0: no uplink sees it,", blocked.explanation.why_not("vmnic0"))
assert blocked.ports == ()
why = blocked.drops[0].dropped
assert why
assert why.drop.reason is Reason.GUEST_BPDU
assert str(why.setting) == "Net.BlockGuestBPDU 1 from default of ESXi 8.0"

by_hand = lab.with_settings(["host.esx1.settings.Net.BlockGuestBPDU=1"]).send(bpdu, at="bridge")
why = by_hand.drops[0].dropped
assert why
assert by_hand.ports == ()
print("\nThe cure on 7.0:", why.setting)

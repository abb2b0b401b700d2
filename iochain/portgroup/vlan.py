"""The VLAN stage of a port group: what its VLAN number does to frames that come in and that go out.

EST (0), VST (1 to 4094) and VGT (4095) as in vSphere Networking, "VLAN Configuration" and KB 311764. The switch has no
native VLAN: a port group with VLAN 1 tags with 1. What happens to a frame that its guest tagged is not published; the
switch's counter for mismatches is (``vlan_tag_mismatch_rx``), so such a frame is dropped, and a priority tag, which
names no VLAN, is not.
"""

from attrs import frozen

from iochain.chain import Drop, Port, Reason, Verdict
from iochain.frame import ALL_VLANS, Frame


@frozen
class AccessVlan:
    """VST, from the guest: the port group's VLAN goes on; a guest that names a VLAN by itself is refused."""

    vlan: int

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        if frame.vlan not in (None, 0):  # 0 is a priority tag: it names no VLAN
            return Drop(Reason.VLAN_MISMATCH, "the guest tagged the frame itself")
        return frame.on_vlan(self.vlan)


@frozen
class NoVlan:
    """EST, from the guest: nothing goes on; a guest's own tag is refused, unless the option says that it passes."""

    guest_tag_passes: bool = False

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        if frame.vlan in (None, 0):
            return frame
        if not self.guest_tag_passes:
            return Drop(Reason.VLAN_MISMATCH, "the guest tagged the frame itself")
        return Drop(Reason.INVALID_TAG) if frame.vlan == ALL_VLANS else frame


@frozen
class GuestVlan:
    """VGT, from the guest: the guest tags as it likes, but 4095 is no VLAN (vmkapi_net_vlan.h)."""

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        return Drop(Reason.INVALID_TAG) if frame.vlan == ALL_VLANS else frame


@frozen
class VlanMember:
    """EST and VST, to the guest: only frames of the port group's VLAN, and without their tag."""

    vlan: int

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        found = frame.vlan
        if found == self.vlan or (self.vlan == 0 and found is None):
            return frame.untagged()
        return Drop(Reason.VLAN_MISMATCH)

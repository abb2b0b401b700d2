"""VLANs at the ports of physical switches: inside the switch every frame has a VLAN and carries its tag.

What switches do with tags that they do not expect differs between makers; the choices of the emulator are named here.
"""

from attrs import field, frozen

from iochain.chain import Drop, Port, Reason, Verdict
from iochain.frame import ALL_VLANS, Frame, Table

Carried = Table[int, bool]
"""Whether a port carries a VLAN."""


@frozen
class AccessIn:
    """An access port takes frames without tag into its VLAN; a priority tag names none, other tags are refused.

    That it refuses even the tag of its own VLAN is the emulator's choice (switches differ).
    """

    vlan: int

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        if frame.vlan in (None, 0):
            return frame.on_vlan(self.vlan)
        return Drop(Reason.VLAN_MISMATCH, "tagged, at an access port")


@frozen
class AccessOut:
    """An access port sends the frames of its VLAN, without tag."""

    vlan: int

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        return frame.untagged() if frame.vlan == self.vlan else Drop(Reason.VLAN_MISMATCH)


@frozen
class TrunkIn:
    """A trunk takes the tags of the VLANs that it carries; frames without tag are in the native VLAN (0: none).

    A frame tagged with the native VLAN is refused unless ``native_tag_passes``: a port group with VLAN 1 has no network
    on a trunk with native VLAN 1, as people find.
    """

    native_vlan: int
    allowed_vlans: Carried = field(repr=False)
    native_tag_passes: bool = False

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        vlan = frame.vlan
        if vlan is None or vlan == 0:
            if self.native_vlan == 0:
                return Drop(Reason.VLAN_MISMATCH, "without tag, and the trunk has no native VLAN")
            if not frame.ask(self.allowed_vlans, self.native_vlan):
                return Drop(Reason.VLAN_MISMATCH, "the trunk does not carry its native VLAN")
            return frame.on_vlan(self.native_vlan)
        if vlan == ALL_VLANS:
            return Drop(Reason.INVALID_TAG)
        if vlan == self.native_vlan and not self.native_tag_passes:
            return Drop(Reason.VLAN_MISMATCH, "tagged with the trunk's native VLAN")
        if not frame.ask(self.allowed_vlans, vlan):
            return Drop(Reason.VLAN_MISMATCH, "the trunk does not carry this VLAN")
        return frame


@frozen
class TrunkOut:
    """A trunk sends frames with their tag, those of its native VLAN without."""

    native_vlan: int
    allowed_vlans: Carried = field(repr=False)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        vlan = frame.vlan
        if vlan is None or not frame.ask(self.allowed_vlans, vlan):
            return Drop(Reason.VLAN_MISMATCH, "the trunk does not carry this VLAN")
        return frame.untagged() if vlan == self.native_vlan else frame

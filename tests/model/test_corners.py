"""Corners where iochain and the slow model once disagreed, one by one, with what the reference says."""

import pytest

from iochain import Lab

VM1, VM2, OUTSIDE = "00:50:56:00:00:01", "00:50:56:00:00:02", "02:00:00:00:00:fe"


def frame(destination: str, source: str, tag: bytes = b"") -> bytes:
    """An 80-byte frame, with a tag's bytes where it has one."""
    return bytes.fromhex((destination + source).replace(":", "")) + tag + b"\x88\xb5" + bytes(66)


def tagged(tci: int) -> bytes:
    return b"\x81\x00" + tci.to_bytes(2, "big")


@pytest.mark.parametrize(
    ("received", "kept"),
    [
        (tagged(10), tagged(10)),
        (tagged(0xA00A), tagged(0xA00A)),
        (tagged(0x100A), tagged(10)),  # the drop eligible bit
        (tagged(0xB00A), tagged(0xA00A)),
        (tagged(0), b""),  # neither VLAN nor priority
        (tagged(0x1000), b""),
        (tagged(0xA000), tagged(0xA000)),
        (b"", b""),
    ],
)
def test_a_guest_with_vlan_4095_gets_what_the_kernel_keeps_of_a_tag(received: bytes, kept: bytes) -> None:
    """VLAN and priority are in the metadata, the tag is made of them anew (reference, 1.1 and 3.6)."""
    lab = Lab(hosts={"esx1": {"vswitches": {"vSwitch0": {"uplinks": ["vmnic0"], "portgroups": {"Trunk": {}}}}}})
    lab.data["hosts"]["esx1"]["vswitches"]["vSwitch0"]["portgroups"]["Trunk"]["vlan"] = 4095
    lab.vm("vm1", network="Trunk", mac=VM1)
    [fate] = lab.send(frame(VM1, OUTSIDE, received), at="vmnic0").deliveries
    assert fate.data == frame(VM1, OUTSIDE, kept)


def test_vlan_4095_is_no_vlan_where_guests_tags_pass() -> None:
    lab = Lab(options={"est_guest_tag": "pass"})
    lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod").vm("vm1", mac=VM1)
    [fate] = lab.send(frame(OUTSIDE, VM1, tagged(4095)), at="vm1").drops
    assert fate.dropped is not None
    assert fate.dropped.drop.reason.name == "INVALID_TAG"
    assert lab.send(frame(OUTSIDE, VM1, tagged(20)), at="vm1").ports == ("vmnic0",)


@pytest.mark.parametrize("vlan", [0, 10, 4095])
def test_a_port_group_wide_promiscuous_port_sees_its_port_groups_frames_in_any_vlan(vlan: int) -> None:
    lab = Lab(options={"promiscuous_scope": "portgroup"})
    switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"])
    watched = switch.portgroup("Watched", vlan=vlan, promiscuous="accept")
    watched.vm("vm1", mac=VM1)
    watched.vm("sniffer", promiscuous=True)
    switch.portgroup("Other", vlan=vlan).vm("vm2", mac=VM2)
    tag = tagged(10) if vlan else b""
    assert lab.send(frame(VM1, OUTSIDE, tag), at="vmnic0").ports == ("vm1", "sniffer")
    assert lab.send(frame(VM2, OUTSIDE, tag), at="vmnic0").ports == ("vm2",)


@pytest.mark.parametrize(("vlan", "reason"), [(10, "MAC_CHANGES"), (20, "UNKNOWN_UNICAST")])
def test_a_refused_mac_is_unknown_in_another_vlan(vlan: int, reason: str) -> None:
    """4.1: an address of another VLAN counts as unknown."""
    lab = Lab()
    switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"])
    switch.portgroup("Prod", vlan=10).vm("vm1", mac=VM1, effective_mac="00:50:56:00:00:0a")
    switch.portgroup("Other", vlan=20).vm("vm2", mac=VM2)
    [fate] = lab.send(frame("00:50:56:00:00:0a", OUTSIDE, tagged(vlan)), at="vmnic0").drops
    assert fate.dropped is not None
    assert fate.dropped.drop.reason.name == reason

"""The smallest change: with it, the stage that dropped frames drops none of them any more."""

from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import LLC, STP, Dot1Q, Dot3, Ether
from scapy.packet import Packet, Raw

from iochain import Lab, Reason
from iochain.changes import smallest_change

PCAPS = Path(__file__).parents[2] / "pcaps"
WEB, FOREIGN, OUTSIDE = "00:50:56:00:00:01", "02:42:ac:11:00:02", "02:00:00:00:00:fe"


def lab(**keys: object) -> Lab:
    made = Lab()
    group = made.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod", vlan=10)
    group.vm("web", mac=WEB, **keys)
    return made


@pytest.mark.parametrize(
    ("at", "frame", "keys", "reason", "change"),
    [
        ("web", Ether(src=FOREIGN, dst=OUTSIDE), {}, Reason.FORGED_TRANSMITS, "portgroup.Prod.forged_transmits=accept"),
        (
            "vmnic0",
            Ether(src=OUTSIDE, dst=FOREIGN) / Dot1Q(vlan=10),
            {"effective_mac": FOREIGN},
            Reason.MAC_CHANGES,
            "portgroup.Prod.mac_changes=accept",
        ),
        (
            "web",
            Dot3(src=WEB, dst="01:80:c2:00:00:00") / LLC() / STP(),
            {},
            Reason.GUEST_BPDU,
            "host.esx1.settings.Net.BlockGuestBPDU=0",
        ),
        ("web", Ether(src=WEB, dst=OUTSIDE) / Dot1Q(vlan=20), {}, Reason.VLAN_MISMATCH, "portgroup.Prod.vlan=4095"),
        (
            "vmnic0",
            Ether(src=OUTSIDE, dst=FOREIGN) / Dot1Q(vlan=10),
            {"promiscuous": True},
            Reason.UNKNOWN_UNICAST,
            "portgroup.Prod.promiscuous=accept",
        ),
        (
            "web",
            Ether(src=WEB, dst=OUTSIDE) / IP() / UDP() / Raw(bytes(2000)),
            {},
            Reason.MTU_EXCEEDED,
            "hosts.esx1.vswitches.vSwitch0.mtu=9000",
        ),
        ("web", Ether(src=WEB, dst=OUTSIDE), {"connected": False}, Reason.DISCONNECTED, "vms.web.connected=yes"),
        ("web", Ether(src=WEB, dst=OUTSIDE), {"powered_on": False}, Reason.DISCONNECTED, "vms.web.powered_on=yes"),
    ],
)
def test_the_change_lets_the_frame_pass(
    at: str, frame: Packet, keys: dict[str, object], reason: Reason, change: str
) -> None:
    made = lab(**keys)
    (drop,) = made.send(frame, at).drops
    assert drop.dropped is not None
    assert (drop.reason, smallest_change(made.wiring, drop.dropped)) == (reason, change)
    outcome = made.with_settings([change]).send(frame, at)
    assert outcome.deliveries
    assert not outcome.drops


def test_with_several_hosts_the_whole_path_is_named() -> None:
    made = lab()
    made.host("esx2").vswitch("vSwitch0").portgroup("Prod")
    made.data["vms"]["web"]["host"] = "esx1"
    (drop,) = made.send(Ether(src=FOREIGN, dst=OUTSIDE), "web").drops
    assert drop.dropped is not None
    change = smallest_change(made.wiring, drop.dropped)
    assert change == "hosts.esx1.vswitches.vSwitch0.portgroups.Prod.forged_transmits=accept"
    assert made.with_settings([change]).send(Ether(src=FOREIGN, dst=OUTSIDE), "web").ports == ("esx1.vmnic0",)


@pytest.mark.parametrize("hosts", [1, 2])
def test_names_may_have_dots_and_spaces(hosts: int) -> None:
    made = Lab()
    names = [f"esx{number + 1}.example.org" for number in range(hosts)]
    for name in names:
        made.host(name).vswitch("v.0", uplinks=["vmnic0"]).portgroup("VM Network 1.0")
    made.vm("web.example.org", host=names[0], network="VM Network 1.0", mac=WEB)
    to_all = "ff:ff:ff:ff:ff:ff"
    bpdu = Dot3(src=WEB, dst="01:80:c2:00:00:00") / LLC() / STP()
    for frame in (Ether(src=FOREIGN, dst=to_all), Ether(src=WEB, dst=to_all) / Raw(bytes(2000)), bpdu):
        (drop,) = made.send(frame, "web.example.org").drops
        assert drop.dropped is not None
        change = smallest_change(made.wiring, drop.dropped)
        assert change is not None
        assert made.with_settings([change]).send(frame, "web.example.org").deliveries


def test_each_change_ends_its_drops_of_a_replay() -> None:
    made = Lab.load(PCAPS / "guest-bridge.lab.yaml")
    replay = made.replay(PCAPS / "guest-bridge.pcap")
    changes = {drop.dropped: replay.change(drop) for drop in replay.drops}
    assert len(changes) == 3
    for dropped, change in changes.items():
        assert change is not None
        again = made.with_settings([change]).replay(PCAPS / "guest-bridge.pcap")
        assert dropped.drop.reason not in {drop.dropped.drop.reason for drop in again.drops}

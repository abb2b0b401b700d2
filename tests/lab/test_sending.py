"""Frames sent into a lab: where copies come out and when, what they are, and why."""

from pathlib import Path
from textwrap import dedent

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet
from scapy.utils import wrpcap

from iochain import Lab
from iochain.batch import batch_of, order_of
from iochain.chain import Reason
from iochain.engine.explanation import Explanation
from iochain.experiment.actions import Send
from iochain.testing import FrameBytes

WEB, DB, ROUTER, EVERYONE = "00:50:56:00:00:01", "00:50:56:00:00:02", "02:00:00:00:00:fe", "ff:ff:ff:ff:ff:ff"
MOVED = "00:50:56:00:00:77"
SECOND = 10**9


def two_vms(**switch: object) -> Lab:
    """Web and db in VLAN 10; the uplink of web is vmnic0, that of db vmnic1."""
    lab = Lab()
    prod = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"], **switch).portgroup("Prod", vlan=10)
    prod.vm("web", mac=WEB)
    prod.vm("db", mac=DB)
    return lab


def packet(source: str, destination: str) -> Packet:
    return Ether(src=source, dst=destination) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2)


def tagged(source: str, destination: str, vlan: int = 10, priority: int = 0) -> Packet:
    return Ether(src=source, dst=destination) / Dot1Q(vlan=vlan, prio=priority) / ARP(psrc="10.0.0.1", pdst="10.0.0.2")


def told(lab: Lab, sent: Packet, at: str) -> str:
    return str(lab.send(sent, at).explanation)


def golden(text: str) -> str:
    return dedent(text).strip("\n")


# -- explanations


def test_to_a_vm_of_the_same_port_group() -> None:
    assert told(two_vms(), packet(WEB, DB), "web") == golden("""
        web → vSwitch0  mtu               pass
                        bpdu filter       pass
                        forged transmits  pass
                        vlan              pass  tag 10 put on  [vlan 10 from port group Prod]
        vSwitch0        forwarding        to db
        vSwitch0 → db   reverse path      pass
                        vlan              pass  tag 10 taken off  [vlan 10 from port group Prod]
                        receive filter    pass
    """)


def test_from_outside_to_all() -> None:
    assert told(two_vms(), tagged(ROUTER, EVERYONE, priority=5), "vmnic0") == golden("""
        vmnic0 → vSwitch0  link            pass
                           vlan            pass
                           mtu             pass
        vSwitch0           forwarding      to the client ports of VLAN 10
        vSwitch0 → web     reverse path    pass
                           vlan            pass  tag 10 priority 5 taken off  [vlan 10 from port group Prod]
                           receive filter  pass
        vSwitch0 → db      reverse path    DROP  came in by an uplink that the port's team does not use for it \
(by vmnic0)  [load_balancing portid from default of ESXi 8.0]
    """)


def test_a_forged_source() -> None:
    assert told(two_vms(), packet(DB, WEB), "web") == golden("""
        web → vSwitch0  mtu               pass
                        bpdu filter       pass
                        forged transmits  DROP  the source MAC is not the port's (forged transmits: reject)  \
[forged_transmits reject from default of ESXi 8.0]
    """)


def test_no_uplink_has_a_link() -> None:
    lab = two_vms(forged_transmits="accept")
    lab.host("esx1").nic("vmnic0", link="down").nic("vmnic1", link="down")
    assert told(lab, packet(WEB, ROUTER), "web") == golden("""
        web → vSwitch0   mtu          pass
                         bpdu filter  pass
                         vlan         pass  tag 10 put on  [vlan 10 from port group Prod]
        vSwitch0         forwarding   to uplinks of Prod
        uplinks of Prod  teaming      DROP  the port group has no uplink that is up  \
[uplinks [vmnic0, vmnic1] from vSwitch0]
    """)
    assert told(lab, tagged(ROUTER, WEB), "vmnic0") == golden("""
        vmnic0 → vSwitch0  link  DROP  the uplink has no link  [link down from NIC vmnic0]
    """)


def test_a_disconnected_vnic() -> None:
    lab = two_vms()
    lab.vm("web", connected=False)
    assert told(lab, packet(WEB, DB), "web") == golden("""
        web → vSwitch0  port  DROP  the vNIC is disconnected  [connected no from vNIC of web]
    """)


def test_a_refused_mac() -> None:
    lab = two_vms()
    lab.vm("web", effective_mac=MOVED)
    last = told(lab, tagged(ROUTER, MOVED), "vmnic0").splitlines()[-1]
    assert last.split("forwarding  ")[1] == (
        "DROP  the guest receives at a MAC that the switch refused (MAC address changes: reject) (at web)  "
        "[mac_changes reject from default of ESXi 8.0]"
    )


def test_a_setting_tells_its_line_in_the_lab_file(tmp_path: Path) -> None:
    path = tmp_path / "small.lab.yaml"
    path.write_text(
        dedent("""\
        esxi_version: "6.7"
        hosts:
          esx1:
            vswitches:
              vSwitch0:
                portgroups:
                  Prod:
                    vlan: 10
                    forged_transmits: reject
        vms:
          web: {network: Prod, mac: "00:50:56:00:00:01"}
        """),
        encoding="utf-8",
    )
    last = told(Lab.load(path), packet(DB, WEB), "web").splitlines()[-1]
    assert last.endswith(f"[forged_transmits reject from port group Prod ({path}:9)]")


def test_steps_say_what_was_read_and_asked() -> None:
    steps = {step.stage: step for step in two_vms().send(packet(WEB, DB), "web").explanation.steps}
    assert steps["forged transmits"].read == (("source", WEB),)
    assert ("web's effective mac", WEB) in steps["forged transmits"].consulted
    assert steps["bpdu filter"].read == (("group bit of destination", "0"),)
    assert ("destination", DB) in steps["forwarding"].read
    assert ("MACs", "db") in steps["forwarding"].consulted
    assert ("longer than 1500", "0") in steps["mtu"].consulted


# -- why not


@pytest.mark.parametrize(
    ("sent", "at", "port", "parts"),
    [
        (packet(WEB, DB), "web", "db", ["it did reach db"]),
        (packet(WEB, DB), "web", "vmnic0", ["at stage forwarding", "to db", "MACs: db"]),
        (packet(DB, WEB), "web", "db", ["dropped", "web → vSwitch0", "forged transmits", "default of ESXi 8.0"]),
        (tagged(ROUTER, EVERYONE), "vmnic0", "db", ["on its way to db", "reverse path", "by vmnic0"]),
        (tagged(ROUTER, WEB, vlan=20), "vmnic0", "web", ["dropped", "vSwitch0", "no port is in the frame's VLAN"]),
        (packet(WEB, ROUTER), "web", "db", ["at stage forwarding", "uplinks of Prod"]),
    ],
)
def test_why_not(sent: Packet, at: str, port: str, parts: list[str]) -> None:
    sentence = two_vms().send(sent, at).explanation.why_not(port)
    assert [part for part in parts if part not in sentence] == []


def test_a_drop_in_a_batch_stage_is_explained() -> None:
    lab = two_vms()
    lab.port("web").input.insert(lambda packet: None, name="mine", before="vlan")
    explanation = lab.send(packet(WEB, DB), "web").explanation
    last = explanation.steps[-1]
    assert (last.where, last.stage, last.outcome) == ("web → vSwitch0", "mine", "DROP")
    assert "dropped before, web → vSwitch0, at stage mine" in explanation.why_not("db")


def test_a_drop_in_a_batch_stage_of_the_output_is_no_arrival() -> None:
    lab = two_vms()
    lab.port("db").output.insert(lambda packet: None, name="mine")
    outcome = lab.send(packet(WEB, EVERYONE), "web")
    assert outcome.ports == ("vmnic0",)
    assert "dropped on its way to db, at stage mine" in outcome.explanation.why_not("db")


def test_a_full_queue_is_explained() -> None:
    """A queue of ten, behind a bucket for one frame: the twelfth of twelve at once finds no room."""
    net, explanation = two_vms(shaping={"average": "8 kbit/s", "burst": "100 B"}).start(), Explanation()
    batch = batch_of([(bytes(packet(WEB, DB)).ljust(100, b"\0"), 0)] * 12)
    batch.rows["port"] = net.wiring.port("web").number
    net.network.listen(order_of(0, 12), explanation)
    assert len(net.network.run(batch).dropped) == 1
    assert "web → vSwitch0, at stage shaper: the shaper's queue is full" in explanation.why_not("db")


def test_why_not_an_uplink_where_the_team_has_none() -> None:
    lab = two_vms(teaming={"load_balancing": "none"})
    sentence = lab.send(packet(WEB, EVERYONE), "web").explanation.why_not("vmnic0")
    assert sentence.endswith(
        f"; uplinks of Prod dropped it at stage teaming: {Reason.NO_TEAMING.value} [load_balancing none from vSwitch0]"
    )


def test_what_was_consulted_is_told_once() -> None:
    for step in two_vms().send(packet(WEB, ROUTER), "web").explanation.steps:
        assert len(step.consulted) == len(set(step.consulted))


# -- outcomes


def test_copies_are_packets_again() -> None:
    sent = packet(WEB, ROUTER) / (b"x" * 100)
    outcome = two_vms().send(sent, "web")
    got = outcome.at("vmnic0")
    assert outcome.ports == ("vmnic0",)
    assert (got[Dot1Q].vlan, got[IP].dst, got[UDP].dport) == (10, "10.0.0.2", 2)
    assert bytes(got[IP]) == bytes(Ether(bytes(sent))[IP])
    with pytest.raises(LookupError, match=r"no copy reached db: .* at stage forwarding"):
        outcome.at("db")


def test_bytes_are_frames_too() -> None:
    data = bytes(packet(WEB, DB))
    (fate,) = two_vms().send(data, "web").deliveries
    assert (fate.port, fate.data, fate.frame, fate.source, fate.dropped) == ("db", data, 1, 0, None)


def test_a_port_sends_by_itself() -> None:
    lab = two_vms()
    assert lab.port("web").send(packet(WEB, DB)).ports == ("db",)


def test_drops_have_place_reason_and_setting() -> None:
    (fate,) = two_vms().send(packet(DB, WEB), "web").drops
    dropped = fate.dropped
    assert dropped is not None
    assert (fate.port, dropped.where, dropped.stage) == ("web", "web → vSwitch0", "forged transmits")
    assert dropped.drop.reason is Reason.FORGED_TRANSMITS
    assert str(dropped) == f"forged transmits: {Reason.FORGED_TRANSMITS.value}"
    assert dropped.setting is not None
    assert dropped.setting.origin == "default of ESXi 8.0"


@pytest.mark.parametrize("data", [b"", b"short", bytes(13)])
def test_what_is_no_frame(data: bytes) -> None:
    with pytest.raises(ValueError, match=f"{len(data)} bytes are no Ethernet frame \\(14 at least\\)"):
        two_vms().send(data, "web")


def test_a_port_that_is_not_there() -> None:
    with pytest.raises(LookupError, match='there is no port "wep"; is "web" meant'):
        two_vms().send(bytes(60), "wep")


# -- times


def test_a_local_copy_takes_no_time_and_one_on_the_wire_its_own() -> None:
    """10 Gbit/s: 60 bytes, FCS and preamble take 57.6 ns, told when the last bit is sent."""
    lab = two_vms(forged_transmits="accept")
    outcome = lab.send(packet(WEB, EVERYONE), "web", time_ns=5 * SECOND)
    assert [(fate.port, fate.time_ns) for fate in outcome.deliveries] == [
        ("db", 5 * SECOND),
        ("vmnic0", 5 * SECOND + 61),  # four bytes of tag are 3.2 ns more
    ]


def test_a_running_net_remembers_and_a_fresh_one_does_not() -> None:
    """8 kbit/s and a burst of one frame: the second frame waits until the bucket is full again."""
    lab = two_vms(shaping={"average": "8 kbit/s", "burst": "100 B"})
    data = bytes(packet(WEB, DB)).ljust(100, b"\0")
    net = lab.start()
    times = [net.send(data, "web", time_ns).deliveries[0].time_ns for time_ns in (0, 1000, 300_000_000)]
    assert times == [0, 100_000_000, 300_000_000]
    assert lab.send(data, "web", 1000).deliveries[0].time_ns == 1000
    assert net.sent == 3


def test_frames_of_a_net_are_numbered() -> None:
    net = two_vms().start()
    assert [net.send(packet(WEB, DB), "web", i).deliveries[0].frame for i in range(3)] == [1, 2, 3]


# -- captures


def test_frames_of_a_capture_are_replayed_and_explained(tmp_path: Path) -> None:
    capture = tmp_path / "talk.pcap"
    sent = [packet(WEB, DB), packet(DB, WEB), Ether(src=ROUTER, dst=DB) / IP() / TCP(), packet(WEB, ROUTER)]
    for i, one in enumerate(sent):
        one.time = 1_600_000_000 + i
    wrpcap(str(capture), sent)
    lab = two_vms()
    done = lab.replay(capture)
    assert [(fate.frame, fate.port) for fate in done.fates()] == [(1, "db"), (2, "web"), (3, "db"), (4, "vmnic0")]
    assert [fate.time_ns for fate in done.deliveries("db")] == [1_600_000_000 * SECOND, 1_600_000_002 * SECOND]
    assert done.entries == {
        ("source MAC of the port", "web"): 2,
        ("source MAC of the port", "db"): 1,
        ("from outside", "vmnic0"): 1,
    }
    assert list(done.dropped()) == []
    outcome = lab.explain(capture, 3)
    assert outcome.ports == ("db",)
    assert "from outside" in str(outcome.explanation)
    with pytest.raises(LookupError, match="there is no Ethernet frame 5 in it"):
        lab.explain(capture, 5)


# -- frames that say more than their bytes


def test_a_segment_size_that_a_frame_says_itself() -> None:
    large = bytes(Ether(src=WEB, dst=ROUTER) / IP(src="10.0.0.1", dst="10.0.0.2") / TCP() / bytes(4000))
    assert [len(fate.data) for fate in two_vms().send(large, "web").deliveries] == [1518, 1518, 1138]
    said = FrameBytes(large, mss=1000)
    assert [len(fate.data) for fate in two_vms().send(said, "web").deliveries] == [1058] * 4
    runt = two_vms().send(FrameBytes(large, mss=4000), "web")
    assert [fate.reason for fate in runt.drops] == [Reason.DEVICE_REFUSED]


def test_a_frame_that_was_cut_is_as_long_as_it_was() -> None:
    whole = bytes(packet(WEB, ROUTER) / bytes(2000))
    cut = FrameBytes(whole[:60], wire_length=len(whole))
    assert [fate.reason for fate in two_vms().send(cut, "web").drops] == [Reason.MTU_EXCEEDED]
    assert two_vms().send(whole[:60], "web").ports == ("vmnic0",)


def test_an_action_sends_as_a_call_does() -> None:
    large = bytes(Ether(src=WEB, dst=ROUTER) / IP(src="10.0.0.1", dst="10.0.0.2") / TCP() / bytes(4000))
    whole = bytes(packet(WEB, ROUTER) / bytes(2000))
    for frame in (large, FrameBytes(large, mss=1000), FrameBytes(whole[:60], wire_length=len(whole))):
        outcome = two_vms().send(frame, "web")
        net = two_vms().start()
        net.at("1 s", Send(frame, "web"))
        sent = [(len(fate.data), fate.reason) for fate in net.run("2 s")]
        assert sent == [(len(fate.data), fate.reason) for fate in (*outcome.deliveries, *outcome.drops)]
        assert net.network.counters.entered == 1

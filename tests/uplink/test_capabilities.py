"""Who segments, sums and puts together: drivers, settings and adapters, by table, and by what a lab then does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import fields
from large_packets import in_tunnel, tcp_frame
from offload_lab import CUT_BY_KERNEL, DB, ROUTER, WEB, lab
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap
from segmenter import UDP, has_right_sums, with_seed

from iochain import Lab, Reason
from iochain.capture import read_captures
from iochain.chain import Chain
from iochain.engine.offload_counts import OffloadCount
from iochain.replay import Replay
from iochain.topology.offloads import NicOffloads, nic_offloads, segmented_by, summed_by
from iochain.topology.spec import Nic
from iochain.uplink.capabilities import ADAPTERS, DRIVER_ALIASES, DRIVERS, Capability, driver_of
from iochain.uplink.headers import ALL_KINDS, PLAIN_KINDS, Kind


def large(target: bytes, size: int = 4000, **more: Any) -> bytes:
    """What web's guest hands to its adapter: more than one segment, with an unfilled checksum."""
    return with_seed(tcp_frame(payload=bytes(range(250)) * (size // 250), macs=target + WEB, **more))


def replayed(made: Lab, *frames: bytes, at: str = "web", folder: Path) -> Replay:
    packets = [Ether(frame) for frame in frames]
    for number, packet in enumerate(packets):
        packet.time = 1 + number / 10**6
    wrpcap(str(folder / "sent.pcap"), packets)
    return made.replay(folder / "sent.pcap", at=at)


def at(done: Replay, port: str) -> list[bytes]:
    return [fate.data for fate in done.deliveries(port)]


def counted(done: Replay) -> dict[tuple[str, str, str], tuple[int, int]]:
    """Frames, and what was made of them, by port, work, and who did it."""
    return {(one.port, one.what, one.by): (one.frames, one.made) for one in done.offloads}


# -- the table


@pytest.mark.parametrize("name", DRIVERS)
def test_a_driver(name: str) -> None:
    driver = DRIVERS[name]
    assert driver.doc
    assert driver.sources
    assert all(0 < ring.default <= ring.most for ring in driver.rings)
    assert segmented_by(driver.capabilities) <= summed_by(driver.capabilities) <= ALL_KINDS
    assert Kind.IPV4 in segmented_by(driver.capabilities)


def test_names() -> None:
    assert {each.value for each in Capability} <= {field.name for field in fields(Nic)}
    assert all(driver_of(alias) is DRIVERS[name] for alias, name in DRIVER_ALIASES.items())
    assert [each.number for each in Capability if each.number] == [1, 4, 5, 6, 9, 10, 11, 25, 32, 38]
    assert set(ADAPTERS) >= {"vmxnet3", "vmxnet2", "e1000", "e1000e"}


ALL = frozenset(Capability)
IPV4_ONLY = {Kind.IPV4, Kind.VXLAN_IPV4, Kind.GENEVE_IPV4}
OUTER_IPV6 = {kind for kind in ALL_KINDS if kind.name.startswith("VXLAN6")}


@pytest.mark.parametrize(
    ("capabilities", "segments", "sums"),
    [
        (frozenset(), set(), set()),
        (ALL, ALL_KINDS - OUTER_IPV6, ALL_KINDS - OUTER_IPV6),
        (ALL - {Capability.SG}, set(), ALL_KINDS - OUTER_IPV6),
        (ALL - {Capability.TSO6, Capability.TSO6_EXT}, IPV4_ONLY, ALL_KINDS - OUTER_IPV6),
        (ALL - {Capability.CSO6, Capability.CSO6_EXT}, IPV4_ONLY, IPV4_ONLY),
        (ALL - {Capability.VXLAN, Capability.GENEVE}, PLAIN_KINDS, PLAIN_KINDS),
        (frozenset({Capability.TSO, Capability.SG}), set(), set()),  # no TSO without checksums
    ],
)
def test_kinds(capabilities: frozenset[Capability], segments: set[Kind], sums: set[Kind]) -> None:
    assert segmented_by(capabilities) == segments
    assert summed_by(capabilities) == sums


def offers(**more: Any) -> NicOffloads:
    wiring = lab(**more).wiring
    return nic_offloads(wiring.settings, "esx1", "vmnic0", wiring.spec.hosts["esx1"].nics["vmnic0"])


@pytest.mark.parametrize(
    ("nic", "settings", "segments", "sums"),
    [
        ({}, {}, PLAIN_KINDS, PLAIN_KINDS),
        ({"tso": False}, {}, PLAIN_KINDS - {Kind.IPV4}, PLAIN_KINDS),
        ({}, {"Net.UseHwTSO": 0}, PLAIN_KINDS - {Kind.IPV4}, PLAIN_KINDS),
        ({}, {"Net.UseHwTSO6": 0}, {Kind.IPV4}, PLAIN_KINDS),
        ({}, {"Net.UseHwIPv6Csum": 0}, {Kind.IPV4}, {Kind.IPV4}),
        ({"driver": "ntg3"}, {}, {Kind.IPV4}, {Kind.IPV4}),
        ({"driver": "ntg3", "obo": True}, {}, IPV4_ONLY, {*IPV4_ONLY, Kind.IPV6, Kind.VXLAN_IPV6, Kind.GENEVE_IPV6}),
        ({"driver": "ntg3", "obo": True}, {"Net.UseHwCsumForIPv6Csum": 0}, IPV4_ONLY, IPV4_ONLY),
        ({"driver": "icen"}, {"Net.DontOffloadInnerIPv6": 1}, {*IPV4_ONLY, *PLAIN_KINDS}, {*IPV4_ONLY, *PLAIN_KINDS}),
        ({"driver": "icen", "vxlan": False, "geneve": False}, {}, PLAIN_KINDS, PLAIN_KINDS),
        ({"driver": "icen", "sg": False, "vxlan": False, "geneve": False}, {}, set(), PLAIN_KINDS),
    ],
)
def test_what_an_uplink_offers(
    nic: Mapping[str, Any], settings: Mapping[str, int], segments: set[Kind], sums: set[Kind]
) -> None:
    found = offers(nic=nic, settings=settings)
    assert set(found.segments) == segments
    assert set(found.sums) == sums


def test_every_capability_says_who_set_it() -> None:
    found = offers(nic={"driver": "i40en", "tso6": False}, settings={"Net.UseHwTSO": 0}).capabilities
    assert str(found[Capability.CSO]) == "cso yes from driver i40en"
    assert str(found[Capability.TSO6]) == "tso6 no from NIC vmnic0"
    assert str(found[Capability.TSO]) == "Net.UseHwTSO no from advanced setting of esx1"


# -- where stages stand

WHOLE = ["segmentation", "checksum", "NIC segmentation", "NIC checksum"]


@pytest.mark.parametrize(
    ("more", "output", "received"),
    [
        ({}, WHOLE, ["LRO"]),
        ({"nic": CUT_BY_KERNEL}, ["segmentation", "checksum"], ["LRO"]),
        ({"nic": {"tso": False}}, ["segmentation", "split", *WHOLE[1:]], ["LRO"]),
        ({"nic": {"tso": False}, "version": "7.0"}, WHOLE, ["LRO"]),
        ({"nic": {"tso": False}, "settings": {"Net.UplinkTSOSplit": 0}}, WHOLE, ["LRO"]),
        ({"options": {"uplink_point": "kernel"}}, ["segmentation", "checksum"], ["LRO"]),
        ({"options": {"offloads": "pure"}}, WHOLE, []),
        ({"options": {"offloads": "none"}}, [], []),
        ({"settings": {"Net.NetpollSwLRO": 0}}, WHOLE, []),
        ({"settings": {"Net.NetpollSwLRO": 0}, "nic": {"lro": True}}, WHOLE, ["LRO"]),
        ({"settings": {"Net.NetpollSwLRO": 0, "Net.Vmxnet3HwLRO": 0}, "nic": {"lro": True}}, WHOLE, []),
        ({"version": "6.0"}, WHOLE, []),
        ({"version": "6.0", "nic": {"driver": "igb"}, "settings": {"Net.VmklnxLROEnabled": 1}}, WHOLE, ["LRO"]),
    ],
)
def test_stages_of_an_uplink(more: Mapping[str, Any], output: list[str], received: list[str]) -> None:
    wiring = lab(**more).wiring
    assert wiring.chain("vmnic0", "output").names == ["link", "vlan", "mtu", *output, "wire"]
    assert wiring.chain("vmnic0", "input").names == [*received, "link", "vlan", "mtu"]


@pytest.mark.parametrize(
    ("more", "stages"),
    [
        ({}, ["large split", "checksum"]),
        ({"db": {"large_packets": False}}, ["segmentation", "checksum"]),
        ({"db": {"lro": False}}, ["segmentation", "checksum"]),
        ({"db": {"lro": False, "large_packets": True}}, ["large split", "checksum"]),
        ({"db": {"adapter": "e1000"}}, ["segmentation", "checksum"]),
        ({"settings": {"Net.VmxnetDoTsoSplit": 0}}, ["checksum"]),
        ({"settings": {"Net.VmxnetDoTsoSplit": 0, "Net.NoLocalCSum": 1}}, []),
        ({"options": {"offloads": "pure"}}, ["checksum"]),
        ({"options": {"offloads": "none"}}, []),
        ({"version": "6.0"}, ["LRO", "large split", "checksum"]),
        ({"settings": {"Net.NetpollSwLRO": 0}}, ["LRO", "large split", "checksum"]),
        ({"settings": {"Net.NetpollSwLRO": 0, "Net.Vmxnet3SwLRO": 0}}, ["large split", "checksum"]),
        ({"settings": {"Net.NetpollSwLRO": 0}, "db": {"lro": False}}, ["segmentation", "checksum"]),
        ({"settings": {"Net.NetpollSwLRO": 0}, "db": {"promiscuous": True}}, ["large split", "checksum"]),
        (
            {"settings": {"Net.NetpollSwLRO": 0, "Net.VmxnetPromDisableLro": 0}, "db": {"promiscuous": True}},
            ["LRO", "large split", "checksum"],
        ),
        ({"db": {"mtu": 1400}}, ["mtu", "large split", "checksum"]),
        ({"db": {"mtu": 1400}, "version": "6.5"}, ["large split", "checksum"]),
        ({"db": {"mtu": 1400}, "settings": {"Net.Vmxnet3NonTsoPacketGtMtuAllowed": 1}}, ["large split", "checksum"]),
    ],
)
def test_stages_before_delivery(more: Mapping[str, Any], stages: list[str]) -> None:
    chain: Chain = lab(**more).wiring.chain("db", "output")
    assert [name for name in chain.names if name not in ("reverse path", "vlan", "receive filter")] == stages


def test_stages_before_a_vmkernel_adapter() -> None:
    made = lab(settings={"Net.NetpollSwLRO": 0})
    made.host("esx1").vmkernel("vmk0", network="Prod")
    assert made.wiring.chain("vmk0", "output").names[-2:] == ["LRO", "checksum"]
    assert made.with_settings(["host.esx1.settings={Net.NetpollSwLRO: 0, Net.TcpipDefLROEnabled: 0}"]).wiring.chain(
        "vmk0", "output"
    ).names[-1:] == ["checksum"]


# -- what they do


@pytest.mark.parametrize(
    ("more", "work"),
    [
        ({}, {("vmnic0", "segmented", "NIC"): (1, 3)}),
        ({"nic": CUT_BY_KERNEL}, {("vmnic0", "segmented", "kernel"): (1, 3)}),
        ({"settings": {"Net.UseHwTSO": 0}, "version": "7.0"}, {("vmnic0", "segmented", "kernel"): (1, 3)}),
        (
            {"nic": {"tso": False}},
            {("vmnic0", "segmented", "kernel"): (1, 3), ("vmnic0", "checksum filled", "NIC"): (3, 3)},
        ),
    ],
)
def test_who_did_it_changes_no_byte(
    more: Mapping[str, Any], work: dict[tuple[str, str, str], tuple[int, int]], tmp_path: Path
) -> None:
    sent = large(ROUTER)
    done = replayed(lab(**more), sent, folder=tmp_path)
    assert counted(done) == {("web", "handed over", "guest"): (1, 1), **work}
    assert at(done, "vmnic0") == at(replayed(lab(), sent, folder=tmp_path), "vmnic0")
    assert all(has_right_sums(frame) and len(frame) <= 1514 for frame in at(done, "vmnic0"))


def test_a_tunnel_that_the_nic_does_not_know_is_the_kernels(tmp_path: Path) -> None:
    sent = in_tunnel(with_seed(tcp_frame(payload=bytes(4000))))
    sent = ROUTER + WEB + sent[12:]
    for nic, by in (({}, "kernel"), ({"driver": "i40en"}, "NIC")):
        done = replayed(lab(nic=nic), sent, folder=tmp_path)
        assert counted(done)["vmnic0", "segmented", by] == (1, 3)
        assert all(has_right_sums(frame) for frame in at(done, "vmnic0"))


def test_counters_have_the_names_of_clientstats(tmp_path: Path) -> None:
    done = replayed(lab(db={"large_packets": False}), large(ROUTER), large(DB), folder=tmp_path)
    assert done.offloads == [
        OffloadCount("vmnic0", "segmented", "NIC", "pktsTsoTxOK", 1, 4054, 3),
        OffloadCount("web", "handed over", "guest", "pktsTsoTxOK", 2, 8108, 2),
        OffloadCount("db", "segmented", "kernel", "pktsSwTsoRx", 1, 4054, 3),
    ]


@pytest.mark.parametrize(
    ("more", "sizes"),
    [
        ({}, [54 + 2920, 54 + 1080]),  # halved: two segments and one
        ({"settings": {"Net.VmxnetDoTsoSplit": 0}}, [4054]),
        ({"options": {"offloads": "pure"}}, [4054]),
        ({"db": {"large_packets": False}}, [1514, 1514, 1134]),
        ({"db": {"lro": False}}, [1514, 1514, 1134]),
        ({"db": {"adapter": "e1000e"}}, [1514, 1514, 1134]),
    ],
)
def test_large_packets_between_vms(more: Mapping[str, Any], sizes: list[int], tmp_path: Path) -> None:
    delivered = at(replayed(lab(**more), large(DB), folder=tmp_path), "db")
    assert list(map(len, delivered)) == sizes
    assert all(map(has_right_sums, delivered))


def test_a_local_checksum_is_filled_unless_a_setting_says_no(tmp_path: Path) -> None:
    sent = with_seed(tcp_frame(payload=b"hello", macs=DB + WEB, protocol=UDP))
    assert has_right_sums(at(replayed(lab(), sent, folder=tmp_path), "db")[0])
    assert at(replayed(lab(settings={"Net.NoLocalCSum": 1}), sent, folder=tmp_path), "db") == [sent]
    assert at(replayed(lab(options={"offloads": "none"}), sent, folder=tmp_path), "db") == [sent]
    assert at(replayed(lab(web={"checksum": False}), sent, folder=tmp_path), "db") == [sent]


@pytest.mark.parametrize("web", [{"tso": False}, {"adapter": "vlance"}])
def test_who_asks_for_no_tso_has_no_large_packets(web: Mapping[str, Any], tmp_path: Path) -> None:
    done = replayed(lab(web=web), large(ROUTER), folder=tmp_path)
    assert [(drop.dropped.stage, drop.dropped.drop.reason) for drop in done.drops] == [("mtu", Reason.MTU_EXCEEDED)]


@pytest.mark.parametrize(
    ("more", "sizes"),
    [
        ({}, [1054] * 3),  # as the largest full segment of the flow
        ({"options": {"mss": "mtu"}}, [1514, 1514, 134]),
        ({"web": {"mss": 600}}, [654] * 5),
    ],
)
def test_the_segment_size(more: dict[str, Any], sizes: list[int], tmp_path: Path) -> None:
    before = tcp_frame(payload=bytes(1000), macs=ROUTER + WEB)
    done = replayed(lab(**more), before, large(ROUTER, 3000, sequence=2000), folder=tmp_path)
    assert list(map(len, at(done, "vmnic0"))) == [1054, *sizes]


@pytest.mark.parametrize(
    ("more", "sizes"),
    [({"mtu": 9000}, [9014, 1094]), ({"mtu": 9000, "web": {"mss": 8000}}, [8054, 2054]), ({}, [1514] * 6 + [1294])],
)
def test_jumbo_frames(more: dict[str, Any], sizes: list[int], tmp_path: Path) -> None:
    done = replayed(lab(**more), large(ROUTER, 10_000), folder=tmp_path)
    assert list(map(len, at(done, "vmnic0"))) == sizes


def test_a_guest_refuses_what_is_longer_than_its_mtu(tmp_path: Path) -> None:
    datagram = tcp_frame(payload=bytes(1450), macs=DB + WEB, protocol=UDP)
    done = replayed(lab(db={"mtu": 1400, "large_packets": True}), datagram, large(DB), folder=tmp_path)
    assert [(drop.dropped.where, drop.frames) for drop in done.drops] == [("vSwitch0 → db", 1)]
    assert len(at(done, "db")) == 2


# -- what points show


def test_what_the_kernel_hands_to_the_nic(tmp_path: Path) -> None:
    sent = large(ROUTER)
    seen = lab(options={"uplink_point": "kernel"})
    assert at(replayed(seen, sent, folder=tmp_path), "vmnic0") == [sent]
    kernel = lab(options={"uplink_point": "kernel"}, nic=CUT_BY_KERNEL)
    assert at(replayed(kernel, sent, folder=tmp_path), "vmnic0") == at(replayed(lab(), sent, folder=tmp_path), "vmnic0")
    halfway = lab(options={"uplink_point": "kernel"}, nic={"tso": False})
    frames = at(replayed(halfway, sent, folder=tmp_path), "vmnic0")
    assert list(map(len, frames)) == [1514, 1514, 1134]
    assert not any(map(has_right_sums, frames))


def test_lro_at_the_uplink_and_segments_again_for_who_takes_no_large_packets(tmp_path: Path) -> None:
    sent = [tcp_frame(payload=bytes(1000), macs=DB + ROUTER, sequence=1 + 1000 * k, identification=k) for k in range(3)]
    for db, sizes in (({}, [3054]), ({"large_packets": False}, [1054] * 3)):
        made = lab(db=db, settings={"Net.VmxnetDoTsoSplit": 0})
        done = replayed(made, *sent, at="vmnic0", folder=tmp_path)
        assert list(map(len, at(done, "db"))) == sizes
        assert done.counters.merged == 2
        assert all(map(has_right_sums, at(done, "db")))
    done = replayed(lab(options={"offloads": "pure"}), *sent, at="vmnic0", folder=tmp_path)
    assert at(done, "db") == sent


def test_the_explanation_tells_of_cuts() -> None:
    steps = lab(nic={"tso": False}).send(large(ROUTER), "web").explanation.steps
    assert (steps[-1].where, steps[-1].stage, steps[-1].outcome) == ("vSwitch0 → vmnic0", "split", "cut into 3")
    steps = lab(web={"mss": 1460}).send(large(ROUTER, tcp_options=bytes(4)), "web").explanation.steps
    assert (steps[-1].stage, steps[-1].outcome) == ("NIC segmentation", "DROP")
    assert str(steps[-1].setting) == "mtu 1500 from vSwitch0"


def test_a_change_lets_a_guest_receive_more(tmp_path: Path) -> None:
    datagram = tcp_frame(payload=bytes(1450), macs=DB + WEB, protocol=UDP)
    made = lab(db={"mtu": 1400})
    done = replayed(made, datagram, folder=tmp_path)
    [change] = [done.change(drop) for drop in done.drops]
    assert change == "vms.db.mtu=9000"
    assert not replayed(made.with_settings([change]), datagram, folder=tmp_path).drops


def test_what_enters_is_shown_as_it_came(tmp_path: Path) -> None:
    sent, output = large(ROUTER), tmp_path / "out.pcapng"
    replayed(lab(), sent, folder=tmp_path)
    lab().replay(tmp_path / "sent.pcap", at="web", output=str(output), points=("entered", "delivered"))
    with read_captures([output]) as reader:
        frames = [(batch.frame_bytes(i), batch.rows["interface"][i]) for batch, _ in reader for i in range(len(batch))]
        shown = [(reader.interfaces[number].name, len(frame)) for frame, number in frames]
    assert shown == [("web", 4054), ("vmnic0", 1514), ("vmnic0", 1514), ("vmnic0", 1134)]
    assert frames[0][0] == sent

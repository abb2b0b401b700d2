"""Known answers: published examples of what ESXi does with a frame, and those that follow from published rules."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from stage_frames import PORT, frame_of

from iochain import Lab, LabError
from iochain.batch import FOREVER, Batch, batch_of
from iochain.chain import Drop, Port, PortKind, Ports, Reason
from iochain.frame import Mac, Table
from iochain.portgroup.receive import ReceiveFilter, ipv4_group_mac, ipv6_group_mac, multicast_hash
from iochain.topology.spec import Answer
from iochain.vswitch.shaping import Shaper
from iochain.vswitch.teaming import ByPort, BySourceMac

A, B, OUTSIDE, EVERYONE = "00:50:56:00:00:0a", "00:50:56:00:00:0b", "02:00:00:00:99:99", "ff:ff:ff:ff:ff:ff"
ALL_VERSIONS = ("6.0", "6.5", "6.7", "7.0", "8.0", "9.0")


def ethernet(destination: str, source: str, tci: int | None = None, rest: bytes = b"\x08\x00" + bytes(46)) -> bytes:
    tag = b"" if tci is None else struct.pack(">HH", 0x8100, tci)
    return bytes.fromhex((destination + source).replace(":", "")) + tag + rest


def ipv4(source: str, destination: str, length: int = 20) -> bytes:
    """EtherType and IPv4 header with zeros behind."""
    addresses = bytes(int(part) for address in (source, destination) for part in address.split("."))
    return b"\x08\x00" + struct.pack(">BBHIBBH", 0x45, 0, length, 0, 64, 17, 0) + addresses + bytes(length - 20)


def two_vms(version: str = "8.0", uplinks: Sequence[str] = ("vmnic0", "vmnic1"), **portgroup: Any) -> Lab:
    """VMs a and b in one port group of a switch."""
    lab = Lab(version)
    prod = lab.host("esx1").vswitch("vSwitch0", uplinks=uplinks).portgroup("Prod", **portgroup)
    prod.vm("a", mac=A)
    prod.vm("b", mac=B)
    return lab


def tci_of(raw: bytes) -> int | None:
    return int.from_bytes(raw[14:16], "big") if raw[12:14] == b"\x81\x00" else None


# -- T-1: IP hash

IP_HASHES = [  # source, destination, {uplinks: (last octets, whole addresses)}
    ("10.0.0.1", "10.0.0.2", {2: (1, 1), 3: (0, 0), 4: (3, 3)}),
    ("10.0.0.1", "10.0.0.3", {2: (0, 0), 3: (2, 2), 4: (2, 2)}),
    ("10.0.0.1", "10.0.0.4", {2: (1, 1), 3: (2, 2), 4: (1, 1)}),
    ("164.18.1.84", "164.18.1.160", {2: (0, 0)}),  # worked out in frankdenneman.nl 2011-02-24
    ("164.18.1.84", "164.18.1.195", {2: (1, 1)}),
    ("192.168.100.101", "192.168.100.120", {4: (1, 1)}),  # worked out in Denneman, "NFS and IP-HASH"
    ("192.168.100.101", "192.168.100.130", {4: (3, 3)}),
    ("192.168.100.101", "192.168.100.140", {4: (1, 1)}),
    ("192.168.100.101", "192.168.100.150", {4: (3, 3)}),
    ("192.168.1.10", "8.8.8.8", {2: (0, 0), 3: (2, 2), 4: (2, 2)}),
    ("10.0.0.1", "10.0.1.2", {3: (0, 1)}),  # here the two published forms differ
    ("10.0.0.1", "10.0.2.2", {2: (1, 1), 3: (0, 2), 4: (3, 3)}),
]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("form", ["last_octet", "full"])
@pytest.mark.parametrize(("source", "destination", "answers"), IP_HASHES)
def test_ip_hash(source: str, destination: str, answers: Mapping[int, Sequence[int]], form: str, swapped: bool) -> None:
    if swapped:
        source, destination = destination, source
    for count, forms in answers.items():
        uplinks = [f"vmnic{i}" for i in range(count)]
        lab = Lab(options={"ip_hash": form})
        switch = lab.host("esx1").vswitch("vSwitch0", uplinks=uplinks, teaming={"load_balancing": "iphash"})
        switch.portgroup("Prod").vm("a", mac=A)
        outcome = lab.send(ethernet(OUTSIDE, A, rest=ipv4(source, destination)), "a")
        assert outcome.ports == (f"vmnic{forms[form == 'full']}",)


# -- T-2: port ids


@pytest.mark.parametrize(
    ("port_id", "portset", "number"),
    [
        (16777219, 1, 3),
        (33554435, 2, 3),
        (33554437, 2, 5),
        (50331649, 3, 1),
        (50331650, 3, 2),
        (50331651, 3, 3),
        (67108867, 4, 3),
        (83886082, 5, 2),
        (2214592518, 4, 6),  # an uplink of 7.0 or later: the top bit is set
    ],
)
def test_port_id_decodes(port_id: int, portset: int, number: int) -> None:
    port = Port("p", 0, port_id, PortKind.VNIC, "esx1", "vSwitch0")
    assert (port_id >> 24 & 0x7F, port.port_number) == (portset, number)


@pytest.mark.parametrize(("version", "top"), [("6.0", 0), ("6.7", 0), ("7.0", 1 << 31), ("9.0", 1 << 31)])
def test_ports_are_numbered_like_that(version: str, top: int) -> None:
    lab = Lab(version)
    host = lab.host("esx1")
    host.vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Management Network")
    host.vmkernel("vmk0", network="Management Network")
    second = host.vswitch("vSwitch1", uplinks=["vmnic2", "vmnic3"]).portgroup("Prod")
    second.vm("a")
    second.vm("b")
    ids = {port.name: port.id for port in lab.wiring.ports}
    assert ids == {
        "vmnic0": top | 0x01000002,
        "vmk0": 0x01000003,
        "vmnic2": top | 0x02000002,
        "vmnic3": top | 0x02000003,
        "a": 0x02000004,
        "b": 0x02000005,
    }


# -- T-3: port id and source MAC


@pytest.mark.parametrize(
    ("source", "index"),
    [
        ("00:50:56:00:00:0a", {2: 0, 3: 1, 4: 2}),
        ("00:50:56:00:00:0b", {2: 1, 3: 2, 4: 3}),
        ("00:50:56:9a:1b:2c", {2: 0, 3: 2, 4: 0}),
        ("00:0c:29:6e:7f:ff", {2: 1, 3: 0, 4: 3}),
    ],
)
def test_source_mac_picks_the_uplink(source: str, index: Mapping[int, int]) -> None:
    for count, expected in index.items():
        uplinks = tuple(f"vmnic{i}" for i in range(count))
        stage = BySourceMac("team", Table("in use", (), {"team": uplinks}))
        assert stage(frame_of(ethernet(OUTSIDE, source)), PORT) == Ports((f"vmnic{expected}",))
        assert stage.home(uplinks, Port("p", 0, 0, PortKind.VNIC, "", "", effective_mac=Mac(source))) == (
            f"vmnic{expected}",
        )


@pytest.mark.parametrize(("count", "expected"), [(2, 1), (3, 2), (4, 1)])
def test_port_number_picks_the_uplink(count: int, expected: int) -> None:
    stage = ByPort("team", Table("in use", (), {"team": tuple(f"vmnic{i}" for i in range(count))}))
    port = Port("p", 0, 33554437, PortKind.VNIC, "esx1", "vSwitch0")
    assert stage(frame_of(ethernet(OUTSIDE, A)), port) == Ports((f"vmnic{expected}",))


def test_ports_in_turn_pick_uplinks_in_turn() -> None:
    lab = Lab(options={"port_hash": "round_robin_at_connect"})
    prod = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"]).portgroup("Prod")
    for name in ("vm1", "vm2", "vm3"):
        prod.vm(name)
    sent = [lab.send(ethernet(OUTSIDE, str(lab.port(name).port.initial_mac)), name) for name in ("vm1", "vm2", "vm3")]
    assert [outcome.ports for outcome in sent] == [("vmnic0",), ("vmnic1",), ("vmnic0",)]


# -- T-4: shaping

KIB = 1024
SECOND = 10**9


def alike(frames: int, size: int) -> Batch:
    """Like frames that are all there at time 0."""
    one = batch_of([(bytes(size), 0)])
    batch = Batch(np.repeat(one.rows, frames), one.pins)
    batch.rows["order"] = np.arange(1, frames + 1)
    return batch


def released(shaper: Shaper, frames: int, size: int) -> Any:
    """Release times of like frames that are all there at time 0."""
    batch = alike(frames, size)
    return shaper.run(shaper.start(), batch, FOREVER).batch.column("time_ns")


def test_a_full_bucket_gives_the_peak_rate_for_8b_over_p_minus_a() -> None:
    burst, average, peak, size = 1000 * KIB, 1_000_000, 2_000_000, 1000
    times = released(Shaper(average, peak, burst, 4000), 4000, size)
    at_peak = 8.192
    sent = int(np.searchsorted(times, at_peak * SECOND)) * size
    assert sent == pytest.approx(2_048_000, abs=size)
    rates = size * 8 * SECOND / np.diff(times)
    assert rates[: int(0.99 * sent / size)] == pytest.approx(peak)
    assert rates[int(1.01 * sent / size) :] == pytest.approx(average)


def test_each_port_has_the_average_for_itself() -> None:
    shaper = Shaper(100_000_000, 100_000_000, 4_000_000, 20_000)
    bank = Shaper.bank([shaper, shaper])
    batch = alike(20_000, 1500)
    out = bank.run(batch, np.arange(20_000, dtype=np.int32) % 2, FOREVER).batch
    for lane in (0, 1):
        times = out.column("time_ns")[out.column("order") % 2 == 1 - lane]
        assert (len(times) - 1) * 1500 * 8 * SECOND / int(times[-1] - times[0]) == pytest.approx(100e6, rel=1e-6)


def test_a_peak_below_the_average_is_refused() -> None:
    with pytest.raises(LabError, match="peak"):
        _ = two_vms(shaping={"average": "2 Mbit/s", "peak": "1 Mbit/s"}).wiring


# -- T-8: frames and sizes


@pytest.mark.parametrize(
    ("mtu", "vlan", "on_wire"), [(1500, 0, 1518), (1500, 10, 1522), (9000, 0, 9018), (9000, 10, 9022)]
)
def test_largest_frame(mtu: int, vlan: int, on_wire: int) -> None:
    lab = Lab()
    lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"], mtu=mtu).portgroup("Prod", vlan=vlan).vm("a", mac=A)
    largest = ethernet(OUTSIDE, A, rest=ipv4("10.0.0.1", "10.0.0.2", mtu))
    (sent,) = lab.send(largest, "a").deliveries
    assert len(sent.data) + 4 == on_wire
    (drop,) = lab.send(largest + b"\0", "a").drops
    assert drop.dropped is not None
    assert drop.dropped.drop.reason is Reason.MTU_EXCEEDED


@pytest.mark.parametrize(("vlan", "padded"), [(0, 60), (10, 64)])
def test_an_arp_request_is_padded(vlan: int, padded: int) -> None:
    request = ethernet(EVERYONE, A, rest=bytes.fromhex("08060001080006040001") + bytes(20))
    assert len(request) == 42
    lab = two_vms(vlan=vlan, uplinks=["vmnic0"])
    outcome = lab.send(request, "a")
    sizes = {fate.port: len(fate.data) for fate in outcome.deliveries}
    assert sizes == {"vmnic0": padded, "b": 42}


@pytest.mark.parametrize(
    ("vlan", "guest_tci", "sent"),
    [
        (100, 5 << 13, 0xA064),
        (0, 5 << 13, 0xA000),
        (0, 0, None),
        (0, None, None),
        (100, None, 0x0064),
        (4095, 5 << 13 | 100, 0xA064),
        (4095, 5 << 13 | 1 << 12 | 100, 0xA064),  # the drop eligible bit is not kept
    ],
)
def test_tag_on_the_wire(vlan: int, guest_tci: int | None, sent: int | None) -> None:
    (out,) = two_vms(vlan=vlan).send(ethernet(OUTSIDE, A, guest_tci), "a").deliveries
    assert tci_of(out.data) == sent


@pytest.mark.parametrize(
    ("vlan", "tci", "ports", "delivered"),
    [
        (0, 4095, (), None),
        (4095, 4095, (), None),
        (0, 3 << 13, ("a",), None),  # VLAN 0 names none: a port without VLAN takes it, and shows no tag
        (4095, 3 << 13, ("a",), 3 << 13),
        (10, 3 << 13, (), None),
        (10, 3 << 13 | 10, ("a",), None),
        (4095, 3 << 13 | 10, ("a",), 3 << 13 | 10),
    ],
)
def test_tag_from_the_wire(vlan: int, tci: int, ports: tuple[str, ...], delivered: int | None) -> None:
    outcome = two_vms(vlan=vlan, uplinks=["vmnic0"]).send(ethernet(A, OUTSIDE, tci), "vmnic0")
    assert outcome.ports == ports
    assert [tci_of(fate.data) for fate in outcome.deliveries] == [delivered] * len(ports)


# -- T-9: defaults by version


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_security_defaults_and_who_set_them(version: str) -> None:
    policy = two_vms(version).effective("Prod")
    opened = Answer.ACCEPT if version in ("6.0", "6.5", "6.7") else Answer.REJECT
    found = (policy.promiscuous, policy.mac_changes, policy.forged_transmits)
    assert [one.value for one in found] == [Answer.REJECT, opened, opened]
    assert {one.origin for one in found} == {f"default of ESXi {version}"}


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_guest_bpdus(version: str) -> None:
    bpdu = ethernet("01:80:c2:00:00:00", A, rest=bytes.fromhex("0026424203") + bytes(35))
    outcome = two_vms(version).send(bpdu, "a")
    if version in ("8.0", "9.0"):
        assert outcome.ports == ()
        assert "from default of ESXi" in str(outcome.explanation)
    else:
        assert set(outcome.ports) == {"b", "vmnic0"}


@pytest.mark.parametrize("version", ALL_VERSIONS)
@pytest.mark.parametrize("promiscuous", [False, True])
def test_reverse_path_defaults(version: str, promiscuous: bool) -> None:
    lab = two_vms(version, promiscuous="accept")
    lab.vm("b", promiscuous=promiscuous)
    came_back = ethernet(EVERYONE, A)
    hears_it = promiscuous and version != "9.0"
    for uplink in ("vmnic0", "vmnic1"):
        assert lab.send(came_back, uplink).ports == (("b",) if hears_it else ())
    lab.host("esx1", settings={"Net.ReversePathFwdCheck": 0, "Net.ReversePathFwdCheckPromisc": 0})
    assert "b" in lab.send(came_back, "vmnic1").ports  # port 5 of two uplinks: its home is vmnic1
    assert ("b" in lab.send(came_back, "vmnic0").ports) is promiscuous


# -- T-11: multicast


@pytest.mark.parametrize(
    ("address", "mac"),
    [
        ((239, 1, 1, 1), "01:00:5e:01:01:01"),
        ((238, 129, 1, 1), "01:00:5e:01:01:01"),
        ((224, 0, 0, 251), "01:00:5e:00:00:fb"),
    ],
)
def test_ipv4_groups(address: Sequence[int], mac: str) -> None:
    assert ipv4_group_mac(int.from_bytes(bytes(address), "big")) == Mac(mac)


def test_ipv6_group() -> None:
    assert ipv6_group_mac(0xFF02 << 112 | 1) == Mac("33:33:00:00:00:01")


@pytest.mark.parametrize(
    ("mac", "bit"), [("01:00:5e:00:00:01", 54), ("01:00:5e:00:00:fb", 33), ("33:33:00:00:00:01", 23)]
)
def test_bits_of_the_hash_filter(mac: str, bit: int) -> None:
    assert multicast_hash(Mac(mac)) == bit
    crowd = [Mac(0x01005E100000 + i) for i in range(40)]
    assert ReceiveFilter.of([*crowd, Mac(mac)]).hashed >> bit & 1


def test_basic_multicast_delivers_both_groups_of_one_mac() -> None:
    lab = two_vms(uplinks=["vmnic0"])
    lab.vm("a", groups=["01:00:5e:01:01:01"])
    lab.vm("b", groups=[])
    for group in ((239, 1, 1, 1), (238, 129, 1, 1)):
        mac = str(ipv4_group_mac(int.from_bytes(bytes(group), "big")))
        assert lab.send(ethernet(mac, OUTSIDE), "vmnic0").ports == ("a",)


@pytest.mark.parametrize(("groups", "false_positive"), [(32, False), (33, True)])
def test_the_33rd_group_makes_the_filter_a_hash(groups: int, false_positive: bool) -> None:
    wanted = [Mac(0x01005E000000 + i) for i in range(groups)]
    bits = {multicast_hash(group) for group in wanted}
    like = next(Mac(0x01005E7F0000 + i) for i in range(9999) if multicast_hash(0x01005E7F0000 + i) in bits)
    unlike = next(Mac(0x01005E7F0000 + i) for i in range(9999) if multicast_hash(0x01005E7F0000 + i) not in bits)
    lab = two_vms(uplinks=["vmnic0"])
    lab.vm("a", groups=[str(group) for group in wanted])
    lab.vm("b", groups=[])
    for group in wanted:
        assert lab.send(ethernet(str(group), OUTSIDE), "vmnic0").ports == ("a",)
    assert lab.send(ethernet(str(like), OUTSIDE), "vmnic0").ports == (("a",) if false_positive else ())
    assert lab.send(ethernet(str(unlike), OUTSIDE), "vmnic0").ports == ()


# -- T-12: forwarding; VLAN 10, the team of a is vmnic0, that of b vmnic1


@pytest.mark.parametrize(
    ("at", "destination", "source", "tci", "outputs"),
    [
        ("a", B, A, None, {"b": None}),
        ("a", OUTSIDE, A, None, {"vmnic0": 10}),
        ("a", EVERYONE, A, None, {"b": None, "vmnic0": 10}),
        ("vmnic0", A, OUTSIDE, 10, {"a": None}),
        ("vmnic0", OUTSIDE, "02:00:00:00:00:77", 10, {}),
        ("vmnic0", EVERYONE, OUTSIDE, 10, {"a": None}),
        ("vmnic1", EVERYONE, OUTSIDE, 10, {"b": None}),
        ("vmnic1", EVERYONE, A, 10, {}),
        ("vmnic0", EVERYONE, OUTSIDE, 20, {}),
    ],
)
def test_forwarding(at: str, destination: str, source: str, tci: int | None, outputs: Mapping[str, int | None]) -> None:
    outcome = two_vms(vlan=10).send(ethernet(destination, source, tci), at)
    assert {fate.port: tci_of(fate.data) for fate in outcome.deliveries} == outputs


def test_a_vlan_without_a_port_is_a_mismatch() -> None:
    (drop,) = two_vms(vlan=10).send(ethernet(EVERYONE, OUTSIDE, 20), "vmnic0").drops
    assert drop.dropped is not None
    assert drop.dropped.drop == Drop(Reason.VLAN_MISMATCH, "no port is in the frame's VLAN")


@pytest.mark.parametrize(("down", "left"), [("vmnic0", "vmnic1"), ("vmnic1", "vmnic0")])
def test_without_the_link_of_its_uplink_a_port_is_at_home_on_the_other(down: str, left: str) -> None:
    lab = two_vms(vlan=10)
    lab.host("esx1").nic(down, link="down")
    for name, mac in (("a", A), ("b", B)):
        assert lab.send(ethernet(OUTSIDE, mac), name).ports == (left,)
    assert set(lab.send(ethernet(EVERYONE, OUTSIDE, 10), left).ports) == {"a", "b"}
    assert lab.send(ethernet(A, OUTSIDE, 10), down).ports == ()

"""Each capture of pcaps/ has what it was made for, a lab, and a README row: asked of tshark, not of ourselves."""

import shutil
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

PCAPS = Path(__file__).parents[2] / "pcaps"
CAPTURES = sorted(path for path in PCAPS.iterdir() if ".pcap" in path.name)
MOST_BYTES = 8_000_000
LONGEST_UNTAGGED = 1514
README = (PCAPS / "README.md").read_text(encoding="utf-8")

pytestmark = [
    pytest.mark.tshark,
    pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed"),
]


@cache
def fields(capture: str, *names: str) -> tuple[tuple[str, ...], ...]:
    """The named fields of every frame, as text."""
    select = [word for name in names for word in ("-e", name)]
    command = ["tshark", "-n", "-r", str(PCAPS / capture), "-T", "fields", "-E", "occurrence=f", *select]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    return tuple(tuple(line.split("\t")) for line in lines)


def values(capture: str, name: str) -> Counter[str]:
    return Counter(value for (value,) in fields(capture, name) if value)


def stem(capture: Path) -> str:
    return capture.name[: capture.name.index(".pcap")]


def test_there_are_captures_and_they_are_small() -> None:
    assert len(CAPTURES) >= 9
    assert sum(capture.stat().st_size for capture in CAPTURES) < MOST_BYTES
    assert (PCAPS / "web-and-db.pcapng").stat().st_size < 300_000


@pytest.mark.parametrize("capture", CAPTURES, ids=stem)
def test_has_a_lab_that_begins_with_its_question(capture: Path) -> None:
    lab = (PCAPS / f"{stem(capture)}.lab.yaml").read_text(encoding="utf-8")
    comment = lab[: lab.index("\nesxi_version")]
    assert all(line.startswith("# ") for line in comment.splitlines())
    assert "?" in comment


@pytest.mark.parametrize("capture", CAPTURES, ids=stem)
def test_has_a_row_in_the_readme_with_its_number_of_frames(capture: Path) -> None:
    (row,) = [line for line in README.splitlines() if line.startswith(f"| [{capture.name}]")]
    assert int(row.split("|")[4]) == len(fields(capture.name, "frame.number"))


def test_no_lab_is_without_its_capture() -> None:
    labs = {path.name.removesuffix(".lab.yaml") for path in PCAPS.glob("*.lab.yaml")}
    assert labs == {stem(capture) for capture in CAPTURES}


@pytest.mark.parametrize("capture", CAPTURES, ids=stem)
def test_is_ethernet_in_the_order_of_time_and_well_formed(capture: Path) -> None:
    rows = fields(capture.name, "frame.encap_type", "frame.time_epoch", "_ws.malformed")
    assert {kind for kind, *_ in rows} == {"1"}
    times = [time for _, time, *_ in rows]
    assert times == sorted(times)
    assert not any(malformed for *_, malformed in rows)


@pytest.mark.parametrize("capture", CAPTURES, ids=stem)
def test_says_nothing_about_the_machine_that_recorded(capture: Path) -> None:
    answer = subprocess.run(["capinfos", "-F", str(capture)], capture_output=True, text=True, check=True, timeout=60)
    for word in ("Capture hardware", "Capture oper-sys", "Capture application", "Operating system"):
        assert word not in answer.stdout


@pytest.mark.parametrize("capture", CAPTURES, ids=stem)
def test_sources_are_those_of_the_readme(capture: Path) -> None:
    known = ("00:50:56:00:00:0", "00:50:56:60:00:01", "00:00:5e:00:01:0a", "02:42:ac:11:00:0", "02:00:00:00:00:f")
    assert all(source.startswith(known) for source in values(capture.name, "eth.src"))


def test_web_and_db_speak_many_protocols_on_one_network() -> None:
    protocols = {layer for (layers,) in fields("web-and-db.pcapng", "frame.protocols") for layer in layers.split(":")}
    assert protocols >= {"arp", "icmp", "icmpv6", "dns", "http", "tcp", "ipv6"}
    sources = set(values("web-and-db.pcapng", "eth.src"))
    assert sources == {"00:50:56:00:00:01", "00:50:56:00:00:02", "02:00:00:00:00:fe"}
    assert not values("web-and-db.pcapng", "vlan.id")


@pytest.mark.parametrize(("capture", "snapped"), [("iperf3-superframes.pcap", True), ("superframes-whole.pcap", False)])
def test_superframes_are_longer_than_any_frame_on_a_wire(capture: str, snapped: bool) -> None:
    lengths = [(int(length), int(kept)) for length, kept in fields(capture, "frame.len", "frame.cap_len")]
    superframes = [(length, kept) for length, kept in lengths if length > LONGEST_UNTAGGED]
    assert len(superframes) >= 20
    assert max(length for length, _ in superframes) > 60_000
    assert all((kept <= 256) == snapped for _, kept in superframes)


def test_superframes_go_beside_and_outside_and_by_ipv6() -> None:
    rows = fields("iperf3-superframes.pcap", "frame.len", "eth.dst", "ipv6.dst")
    destinations = {(mac, bool(ipv6)) for length, mac, ipv6 in rows if int(length) > LONGEST_UNTAGGED}
    assert destinations >= {
        ("00:50:56:00:00:02", False),
        ("02:00:00:00:00:fe", False),
        ("00:50:56:00:00:02", True),
        ("00:50:56:00:00:01", False),
    }


def test_dhcp_has_every_step_and_a_broadcast_offer() -> None:
    discover, offer, request, acknowledgement, release = "12357"
    kinds = values("dhcp.pcap", "dhcp.option.dhcp")
    assert set(kinds) >= {discover, offer, request, acknowledgement, release}
    offers = {mac for kind, mac in fields("dhcp.pcap", "dhcp.option.dhcp", "eth.dst") if kind == offer}
    assert "ff:ff:ff:ff:ff:ff" in offers
    assert len(offers) > 1
    assert values("dhcp.pcap", "arp.opcode")
    assert values("dhcp.pcap", "dns.qry.name")


def test_two_multicast_groups_share_a_mac() -> None:
    groups = {ip for mac, ip in fields("multicast.pcap", "eth.dst", "ip.dst") if mac == "01:00:5e:01:01:01"}
    assert groups >= {"239.1.1.1", "238.129.1.1"}
    version_2_leave, version_2_report, version_3_report, query = "0x17", "0x16", "0x22", "0x11"
    messages = values("multicast.pcap", "igmp.type")
    assert set(messages) >= {version_2_leave, version_2_report, version_3_report, query}
    assert "33:33:00:01:00:02" in values("multicast.pcap", "eth.dst")
    assert values("multicast.pcap", "udp.dstport")["5353"]


def test_ipv6_detects_duplicates_and_is_advertised_a_router() -> None:
    rows = fields("ipv6-nd.pcapng", "icmpv6.type", "ipv6.src", "ipv6.dst", "eth.src")
    assert {kind for kind, *_ in rows} >= {"133", "134", "135", "136", "128", "129", "143"}
    assert [1 for kind, source, *_ in rows if (kind, source) == ("135", "::")]
    duplicate = "fd00:10::250:56ff:fe00:2"
    assert ("136", duplicate, "ff02::1", "00:50:56:00:00:02") in rows


def test_trunk_has_two_vlans_priority_tags_and_untagged_frames() -> None:
    tags = Counter(fields("trunk.pcapng", "vlan.id", "vlan.priority"))
    assert set(tags) == {("10", "0"), ("20", "0"), ("0", "3"), ("0", "5"), ("", "")}
    both_ways = {source for source, vlan in fields("trunk.pcapng", "eth.src", "vlan.id") if vlan == "10"}
    assert both_ways == {"00:50:56:00:00:01", "02:00:00:00:00:fe"}


def test_guest_bridge_sends_from_inner_addresses_and_bpdus() -> None:
    assert set(values("guest-bridge.pcap", "eth.src")) >= {"02:42:ac:11:00:02", "02:42:ac:11:00:03"}
    assert values("guest-bridge.pcap", "eth.dst")["01:80:c2:00:00:00"] > 3
    assert values("guest-bridge.pcap", "stp.type")


@pytest.mark.parametrize("capture", ["vrrp.pcap", "vrrp-takeover.pcapng"])
def test_vrrp_adverts_come_from_the_virtual_mac_and_traffic_goes_to_it(capture: str) -> None:
    virtual = "00:00:5e:00:01:0a"
    assert {mac for mac, router in fields(capture, "eth.src", "vrrp.virt_rtr_id") if router} == {virtual}
    assert values(capture, "eth.dst")[virtual] > 10


def test_takeover_has_one_virtual_mac_on_two_ports_and_each_frame_once() -> None:
    rows = fields("vrrp-takeover.pcapng", "frame.interface_name", "eth.src")
    ports = {port for port, mac in rows if mac == "00:00:5e:00:01:0a"}
    assert ports == {"lb1", "lb2"}
    own = {port: {mac for at, mac in rows if at == port} - {"00:00:5e:00:01:0a"} for port in ("lb1", "lb2", "web")}
    assert own == {"lb1": {"00:50:56:00:00:06"}, "lb2": {"00:50:56:00:00:07"}, "web": {"00:50:56:00:00:01"}}


def test_uplink_of_two_hosts_is_tagged_throughout_and_packed() -> None:
    assert set(fields("two-hosts-uplink.pcap.zst", "vlan.id")) == {("10",)}
    assert (PCAPS / "two-hosts-uplink.pcap.zst").read_bytes()[:4] == bytes.fromhex("28b52ffd")

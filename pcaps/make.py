"""Makes the captures of this folder: real programs in network namespaces of their own, recorded as they talk.

Run as root: ``python3 pcaps/make.py [NAME ...]``. Nothing is sent outside the namespaces, which are gone afterwards.
Addresses are the same in every run; times, ports and sequence numbers are not, so the captures are kept in git.
"""

import argparse
import json
import os
import shutil
import signal
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from network import Network, RecordingError, Running
from recorder import recorded, recorded_entering

HERE = Path(__file__).parent
TOOLS = (
    *("ip", "ethtool", "tcpdump", "dumpcap", "zstd"),
    *("ping", "arping", "curl", "iperf3", "dnsmasq", "busybox", "udhcpc", "keepalived"),
)
LONGEST_S = 600
STOPPING = (signal.SIGALRM, signal.SIGTERM, signal.SIGINT)

WEB, DB, APP, NESTED = (f"00:50:56:00:00:{number:02x}" for number in (1, 2, 4, 5))  # 3 is the labs' sniffer
LB1, LB2, VOICE, STORAGE = (f"00:50:56:00:00:{number:02x}" for number in range(6, 10))
VMK0 = "00:50:56:60:00:01"
ROUTER, PBX = "02:00:00:00:00:fe", "02:00:00:00:00:fd"
CONTAINERS = ("02:42:ac:11:00:02", "02:42:ac:11:00:03")


def web_and_db(network: Network, capture: Path) -> None:
    """Two VMs and the router on one network: ARP, neighbour discovery, ping, DNS, a web page made from a database."""
    switch(network)
    pages = make_pages(network.folder)
    network.machine("web", WEB, "10.0.10.1/24", "fd00:10::1/64")
    network.machine("db", DB, "10.0.10.2/24", "fd00:10::2/64")
    network.machine("router", ROUTER, "10.0.10.254/24", "fd00:10::fe/64")
    serve_names(network, "router")
    serve_pages(network, "web", 80, pages)
    serve_pages(network, "db", 8080, pages)
    with recorded(network, "switch", "br0", capture):
        network.run("web", "ping", "-c", "5", "-i", "0.2", "10.0.10.254")
        network.run("web", "busybox", "nslookup", "db.lab.example", "10.0.10.254")
        network.run("web", "ping", "-c", "10", "-i", "0.1", "10.0.10.2")
        for _ in range(6):
            network.run("web", "curl", "-sS", "-o", "/dev/null", "http://10.0.10.2:8080/rows.json")
        network.run("router", "curl", "-sS", "-o", "/dev/null", "http://10.0.10.1/index.html")
        network.run("db", "ping", "-6", "-c", "5", "-i", "0.2", "fd00:10::1")
        network.run("web", "curl", "-sS", "-o", "/dev/null", "http://[fd00:10::2]:8080/rows.json")
        network.run("router", "curl", "-sS", "-o", "/dev/null", "http://10.0.10.1/index.html")
        network.run("db", "ping", "-c", "1", "-s", "1472", "-M", "do", "10.0.10.1")
        network.run("db", "arping", "-c", "2", "-I", "eth0", "10.0.10.77", may_fail=True)


def superframes(network: Network, capture: Path) -> None:
    """Bulk TCP as the guest's own stack hands it to a virtual NIC with TSO: to the VM beside it, and outside."""
    bulk_machines(network)
    with recorded(network, "web", "eth0", capture, snap=256):
        network.run("web", "iperf3", "-c", "10.0.0.2", "-n", "24M", "-b", "800M")
        network.run("web", "iperf3", "-c", "10.0.0.254", "-n", "24M", "-b", "800M")
        network.run("web", "iperf3", "-c", "10.0.0.2", "-n", "8M", "-R")
        network.run("web", "iperf3", "-c", "fd00::2", "-n", "8M")


def superframes_whole(network: Network, capture: Path) -> None:
    """A short piece of the same with every payload byte, so that it can be cut into segments."""
    bulk_machines(network)
    with recorded(network, "web", "eth0", capture, nanoseconds=False):
        network.run("web", "iperf3", "-c", "10.0.0.254", "-n", "1500K", "-l", "64K")


def dhcp(network: Network, capture: Path) -> None:
    """Three VMs get their addresses, two of them again after a release, then look for a name and reach it."""
    switch(network)
    network.machine("router", ROUTER, "10.0.10.254/24")
    for name, mac in (("web", WEB), ("db", DB), ("app", APP)):
        network.machine(name, mac)
    hosts = [f"--dhcp-host={mac},10.0.10.{i},{name}" for i, (name, mac) in enumerate((("web", WEB), ("db", DB)), 1)]
    options = ("--dhcp-range=10.0.10.100,10.0.10.120,5m", "--dhcp-option=option:router,10.0.10.254")
    serve_names(network, "router", *hosts, *options, "--no-ping", "--dhcp-leasefile=" + str(network.folder / "leases"))
    script = network.folder / "leased"
    script.write_text('#!/bin/sh\n[ -z "$ip" ] || ip address replace "$ip/$mask" dev "$interface"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    client = ("udhcpc", "-i", "eth0", "-n", "-s", str(script))
    with recorded(network, "switch", "br0", capture):
        network.run("web", *client, "-q", "-x", "hostname:web")
        network.run("db", *client, "-q", "-a", "-x", "hostname:db")
        network.run("app", *client, "-q", "-B", "-x", "hostname:app")
        network.run("web", "busybox", "nslookup", "db.lab.example", "10.0.10.254")
        network.run("web", "ping", "-c", "5", "-i", "0.2", "10.0.10.2")
        network.run("app", "ping", "-c", "3", "-i", "0.2", "10.0.10.1")
        for name in ("web", "db"):
            network.run(name, "ip", "address", "flush", "dev", "eth0")
            asking = network.start(name, *client, "-f", "-R", "-x", f"hostname:{name}")
            asking.says("lease of")
            time.sleep(0.5)
            asking.process.send_signal(signal.SIGTERM)
            asking.process.wait(timeout=10)
        network.run("app", "arping", "-c", "3", "-I", "eth0", "10.0.10.254")


def multicast(network: Network, capture: Path) -> None:
    """Four VMs with different groups, two of which share one MAC; a querier, IGMPv2 and v3, MLD, multicast DNS."""
    switch(network)
    network.machine("web", WEB, "10.0.10.1/24", "fd00:10::1/64")
    network.machine("db", DB, "10.0.10.2/24", "fd00:10::2/64")
    network.machine("app", APP, "10.0.10.4/24")
    network.machine("voice", VOICE, "10.0.10.8/24")
    network.machine("router", ROUTER, "10.0.10.254/24")
    network.sysctl("app", "ipv4/conf/eth0/force_igmp_version", "2")
    with recorded(network, "switch", "br0", capture):
        query = network.program("router", "querier", "--count", "3", "--interval", "3")
        members = [
            network.program("db", "receive", "239.1.1.1:5004", "--seconds", "7"),
            network.program("app", "receive", "238.129.1.1:5004", "239.1.2.3:6000", "--seconds", "5"),
            network.program("voice", "receive", "239.1.2.3:6000", "224.0.0.251:5353", "--seconds", "9"),
            network.program("db", "receive", "[ff15::1:2]:5006", "--seconds", "6"),
        ]
        for member in members:
            member.says("ready")
        senders = [
            network.program("web", "send", "239.1.1.1:5004", "--count", "300"),
            network.program("voice", "send", "238.129.1.1:5004", "--count", "200", "--interval", "0.03"),
            network.program(
                "router", "send", "239.1.2.3:6000", "--count", "100", "--interval", "0.06", "--size", "1316"
            ),
            network.program("web", "send", "[ff15::1:2]:5006", "--count", "60", "--interval", "0.1", "--size", "200"),
            network.program("db", "mdns", "db", "10.0.10.2"),
            network.program("app", "mdns", "app", "10.0.10.4"),
        ]
        for program in (*senders, query, *members):
            program.ends()


def ipv6_nd(network: Network, capture: Path) -> None:
    """Machines come up: duplicate address detection, router advertisement, autoconfiguration, and one address twice."""
    switch(network)
    network.machine("router", ROUTER, "fd00:10::fe/64")
    for name, mac in (("web", WEB), ("db", DB), ("app", APP)):
        network.namespace(name, ipv6=True)
        network.cable("switch", name, name, mac=mac)
    advertise = ("--enable-ra", "--dhcp-range=fd00:10::,ra-only,64,10m", "--ra-param=eth0,4,600")
    serve_names(network, "router", *advertise, "--dhcp-leasefile=" + str(network.folder / "leases"))
    with recorded(network, "switch", "br0", capture):
        for name in ("web", "db"):
            network.run(name, "ip", "link", "set", "eth0", "up")
            time.sleep(4)
        autoconfigured = "fd00:10::250:56ff:fe00:"
        network.run("web", "ping", "-6", "-c", "8", "-i", "0.2", autoconfigured + "2")
        network.run("db", "ping", "-6", "-c", "4", "-i", "0.2", "fd00:10::fe")
        network.run("web", "ping", "-6", "-c", "3", "-i", "0.2", "ff02::1%eth0")
        network.run("app", "ip", "address", "add", autoconfigured + "2/64", "dev", "eth0")  # db has it already
        network.run("app", "ip", "link", "set", "eth0", "up")
        time.sleep(3)
        network.run("web", "ping", "-6", "-c", "2", "-i", "0.2", "-W", "1", "fd00:10::99", may_fail=True)
        network.run("app", "ping", "-6", "-c", "5", "-i", "0.2", autoconfigured + "1")
        time.sleep(5)  # neighbours are asked again whether they are still there


def trunk(network: Network, capture: Path) -> None:
    """A host's uplink as a trunk: VLANs 10 and 20, priority tags of voice and storage, untagged management."""
    network.namespace("host")
    network.namespace("fabric")
    inside = {"web": (WEB, "10.0.10.1/24"), "db": (DB, "10.0.20.2/24"), "vmk0": (VMK0, "10.0.0.10/24"),
              "voice": (VOICE, "10.0.0.8/24"), "storage": (STORAGE, "10.0.0.9/24")}  # fmt: skip
    outside = {"gw10": "10.0.10.254/24", "gw20": "10.0.20.254/24", "gw": "10.0.0.254/24", "pbx": "10.0.0.253/24"}
    pages = make_pages(network.folder)
    for name, (mac, address) in inside.items():
        network.machine(name, mac, address, switch="host", bridge="")
    for name, address in outside.items():
        network.machine(name, PBX if name == "pbx" else ROUTER, address, switch="fabric", bridge="")
        serve_pages(network, name, 80, pages)
    serve_pages(network, "web", 80, pages)
    trunk_cable(
        network, ("web=10", "db=20", "vmk0", "voice=0/5", "storage=0/3"), ("gw10=10", "gw20=20", "gw", "pbx=0/5")
    )
    for name, address in (("voice", "10.0.0.8"), ("pbx", "10.0.0.253")):
        network.program(name, "receive", f"{address}:5004", "--seconds", "60").says("ready")
    with recorded(network, "host", "vmnic0", capture):
        talk = ("--count", "150")
        calls = [
            network.program("voice", "send", "10.0.0.253:5004", *talk),
            network.program("pbx", "send", "10.0.0.8:5004", *talk),
        ]
        for name, gateway in (("web", "10.0.10.254"), ("db", "10.0.20.254"), ("vmk0", "10.0.0.254")):
            network.run(name, "ping", "-c", "8", "-i", "0.1", gateway)
            network.run(name, "curl", "-sS", "-o", "/dev/null", f"http://{gateway}/rows.json")
        for _ in range(3):
            network.run("storage", "curl", "-sS", "-o", "/dev/null", "http://10.0.0.254/rows.json")
        network.run("gw10", "curl", "-sS", "-o", "/dev/null", "http://10.0.10.1/index.html")
        network.run("gw20", "ping", "-c", "5", "-i", "0.1", "10.0.20.2")
        for call in calls:
            call.ends()


def guest_bridge(network: Network, capture: Path) -> None:
    """A VM that bridges two containers: their own addresses as sources behind one vNIC, and the bridge's BPDUs."""
    switch(network)
    network.machine("web", WEB, "10.0.10.1/24")
    network.machine("router", ROUTER, "10.0.10.254/24")
    pages = make_pages(network.folder)
    serve_pages(network, "web", 80, pages)
    network.namespace("nested")
    network.cable("switch", "nested", "nested", mac=NESTED)
    network.bridge("nested", "docker0", stp=True, mac=NESTED)
    network.run("nested", "ip", "address", "add", "10.0.10.5/24", "dev", "docker0")
    for number, mac in enumerate(CONTAINERS, 2):
        network.machine(f"container{number}", mac, f"10.0.10.5{number}/24", switch="nested", bridge="docker0")
        serve_pages(network, f"container{number}", 8000, pages)
    with recorded(network, "switch", "br0", capture):
        network.run("nested", "ip", "link", "set", "eth0", "master", "docker0")
        network.run("nested", "ip", "link", "set", "eth0", "up")
        time.sleep(5)  # listening and learning, two seconds each
        network.run("nested", "ping", "-c", "10", "-i", "0.1", "10.0.10.1")
        network.run("nested", "curl", "-sS", "-o", "/dev/null", "http://10.0.10.1/rows.json")
        for number in (2, 3):
            network.run(f"container{number}", "ping", "-c", "8", "-i", "0.1", "10.0.10.1")
            network.run(f"container{number}", "curl", "-sS", "-o", "/dev/null", "http://10.0.10.1/index.html")
        network.run("router", "curl", "-sS", "-o", "/dev/null", "http://10.0.10.52:8000/rows.json")
        network.run("router", "ping", "-c", "20", "-i", "0.1", "10.0.10.1")


def vrrp(network: Network, capture: Path) -> None:
    """Two load balancers share a virtual address and its MAC; one is in charge, its clients are inside and outside."""
    with_load_balancers(network)
    with recorded(network, "switch", "br0", capture):
        start_balancers(network)
        use_virtual_address(network)


def vrrp_takeover(network: Network, capture: Path) -> None:
    """The balancer in charge stops, the other takes over; recorded where frames enter, as both send from one MAC."""
    with_load_balancers(network)
    with recorded_entering(network, "switch", ("lb1", "lb2", "web", "router"), capture):
        first, second = start_balancers(network)
        use_virtual_address(network)
        first.process.terminate()
        second.says("Entering MASTER STATE")
        use_virtual_address(network)


def two_hosts_uplink(network: Network, capture: Path) -> None:
    """Web on this host, db on another, both on VLAN 10: all they say to each other passes the uplink with its tag."""
    network.namespace("host")
    network.namespace("fabric")
    network.machine("web", WEB, "10.0.10.1/24", "fd00:10::1/64", switch="host", bridge="")
    network.machine("app", APP, "10.0.10.4/24", switch="host", bridge="")
    network.machine("db", DB, "10.0.10.2/24", "fd00:10::2/64", switch="fabric", bridge="")
    network.machine("router", ROUTER, "10.0.10.254/24", switch="fabric", bridge="")
    serve_names(network, "router")
    pages = make_pages(network.folder)
    serve_pages(network, "web", 80, pages)
    serve_pages(network, "db", 8080, pages)
    trunk_cable(network, ("web=10", "app=10"), ("db=10", "router=10"))
    with recorded(network, "host", "vmnic0", capture):
        network.run("web", "ping", "-c", "5", "-i", "0.2", "10.0.10.254")
        network.run("web", "busybox", "nslookup", "db.lab.example", "10.0.10.254")
        for _ in range(6):
            network.run("web", "curl", "-sS", "-o", "/dev/null", "http://10.0.10.2:8080/rows.json")
        network.run("app", "ping", "-c", "10", "-i", "0.1", "10.0.10.2")
        network.run("router", "curl", "-sS", "-o", "/dev/null", "http://10.0.10.1/index.html")
        network.run("db", "ping", "-6", "-c", "5", "-i", "0.2", "fd00:10::1")
        network.run("db", "ping", "-c", "2", "-i", "0.2", "-s", "1472", "-M", "do", "10.0.10.1")


RECORDINGS: dict[str, Callable[[Network, Path], None]] = {
    "web-and-db.pcapng": web_and_db,
    "iperf3-superframes.pcap": superframes,
    "superframes-whole.pcap": superframes_whole,
    "dhcp.pcap": dhcp,
    "multicast.pcap": multicast,
    "ipv6-nd.pcapng": ipv6_nd,
    "trunk.pcapng": trunk,
    "guest-bridge.pcap": guest_bridge,
    "vrrp.pcap": vrrp,
    "vrrp-takeover.pcapng": vrrp_takeover,
    "two-hosts-uplink.pcap.zst": two_hosts_uplink,
}


def switch(network: Network) -> None:
    """The namespace with the bridge that the VMs are at, which says nothing by itself."""
    network.namespace("switch")
    network.bridge("switch")


def bulk_machines(network: Network) -> None:
    """Web, a VM beside it and the router, with offloads as virtual NICs have them; iperf3 listens."""
    switch(network)
    for name, mac, last in (("web", WEB, "1"), ("db", DB, "2"), ("router", ROUTER, "254")):
        ipv6 = () if name == "router" else (f"fd00::{last}/64",)
        network.machine(name, mac, f"10.0.0.{last}/24", *ipv6)
        network.offloads_on("switch", name, name)
        if name != "web":
            network.start(name, "iperf3", "-s")
            network.wait_for_port(name, 5201)


def with_load_balancers(network: Network) -> None:
    """Web, the router, and two balancers that serve the same pages."""
    switch(network)
    pages = make_pages(network.folder)
    machines = {"web": (WEB, 1), "router": (ROUTER, 254), "lb1": (LB1, 6), "lb2": (LB2, 7)}
    for name, (mac, last) in machines.items():
        network.machine(name, mac, f"10.0.10.{last}/24")
    for name in ("lb1", "lb2"):
        serve_pages(network, name, 80, pages)


def start_balancers(network: Network) -> list[Running]:
    """keepalived in both: the first takes charge, the second stands by."""
    result = []
    for name, priority, state in (("lb1", 150, "MASTER"), ("lb2", 100, "BACKUP")):
        settings = network.folder / f"{name}.conf"
        settings.write_text(keepalived_settings(priority))
        files = (f"--{kind}={network.folder / name}.{kind}" for kind in ("pid", "vrrp_pid"))
        result.append(network.start(name, "keepalived", "-n", "-l", "-P", "-f", str(settings), *files))
        result[-1].says(f"Entering {state} STATE")
    return result


def use_virtual_address(network: Network) -> None:
    """Ping and a page, from inside and from outside."""
    for name in ("web", "router"):
        network.run(name, "ping", "-c", "10", "-i", "0.1", "10.0.10.100")
        network.run(name, "curl", "-sS", "-o", "/dev/null", "http://10.0.10.100/index.html")


def trunk_cable(network: Network, inside: tuple[str, ...], outside: tuple[str, ...]) -> None:
    """Join ``host`` and ``fabric`` by a cable that carries tags, put on and taken off by a relay at each end."""
    network.cable("fabric", "swp1", "host", mac="02:00:00:00:00:01", nic="vmnic0", bridge="")
    network.run("host", "ip", "link", "set", "vmnic0", "up")
    network.program("host", "relay", "vmnic0", *inside).says("ready")
    network.program("fabric", "relay", "swp1", *outside).says("ready")


def serve_names(network: Network, machine: str, *options: str) -> None:
    """DNS of lab.example (and what the options add: DHCP, router advertisements) by dnsmasq."""
    records = ("--host-record=web.lab.example,10.0.10.1", "--host-record=db.lab.example,10.0.10.2")
    plain = ("--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=")
    network.start(machine, "dnsmasq", *plain, *records, "--domain=lab.example", "--local=/lab.example/", *options)
    network.wait_for_port(machine, 53)


def serve_pages(network: Network, machine: str, port: int, pages: Path) -> None:
    """A web server, on IPv4 and on IPv6 where the machine has it."""
    everywhere = "::" if "inet6" in network.run(machine, "ip", "address", "show", "dev", "eth0") else "0.0.0.0"
    network.start(machine, "python3", "-m", "http.server", str(port), "--bind", everywhere, "--directory", str(pages))
    network.wait_for_port(machine, port)


def make_pages(folder: Path) -> Path:
    """A page, and rows as a database might give them (24 kB)."""
    pages = folder / "pages"
    pages.mkdir()
    (pages / "index.html").write_text("<!doctype html><title>web</title><p>Hello from web.lab.example.\n" * 40)
    rows = [{"id": number, "name": f"customer {number}", "balance": number * 37 % 1000} for number in range(450)]
    (pages / "rows.json").write_text(json.dumps(rows))
    return pages


def keepalived_settings(priority: int) -> str:
    """One virtual router with number 10: its MAC is 00:00:5e:00:01:0a (RFC 5798, section 7.3)."""
    return f"""
global_defs {{
    router_id lab
    vrrp_garp_master_delay 1
}}
vrrp_instance web {{
    state BACKUP
    interface eth0
    use_vmac vrrp10
    virtual_router_id 10
    priority {priority}
    advert_int 0.5
    version 3
    virtual_ipaddress {{
        10.0.10.100/24
    }}
}}
"""


def main() -> None:
    """Make the captures that are named, or all."""
    parser = argparse.ArgumentParser(description="Make the captures of this folder anew (as root).")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(RECORDINGS)}; default: all")
    names = parser.parse_args().names or list(RECORDINGS)
    if unknown := [name for name in names if name not in RECORDINGS]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(RECORDINGS)}")
    if os.geteuid() != 0:
        parser.error("network namespaces need root")
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        parser.error(f"not installed: {', '.join(missing)}")
    for stopping in STOPPING:
        signal.signal(stopping, _give_up)
    signal.alarm(LONGEST_S)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # frames of two processors overtake each other
    for name in names:
        print(name, flush=True)
        try:
            with Network() as network:
                RECORDINGS[name](network, HERE / name)
        except RecordingError as error:
            sys.exit(f"{name}: {error}")


def _give_up(signal_number: int, frame: FrameType | None) -> None:
    """Leave by the way that clears up, and let nothing disturb it."""
    for stopping in STOPPING:
        signal.signal(stopping, signal.SIG_IGN)
    sys.exit(f"stopped by {signal.Signals(signal_number).name}")


if __name__ == "__main__":
    main()

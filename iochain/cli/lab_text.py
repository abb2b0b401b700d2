"""Labs as text: effective policies with who set them, ports and chains."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from iochain.cli.documents import Document
from iochain.cli.mistakes import place_text
from iochain.cli.text import counted, notes, table, title, wrapped
from iochain.topology.units import format_time


def show_text(document: Document) -> Iterator[str]:
    """Host by host and switch by switch: port groups, ports, chains."""
    ports = document["ports"]
    groups = document["portgroups"]
    hosts = document["hosts"]
    physical, cables = document["physical_switches"], document["cables"]
    of_switches = sum(len(switch["ports"]) for switch in physical)
    clients = sum(port["kind"] != "uplink" for port in ports) - of_switches
    more = f", {counted(len(physical), 'physical switch', 'physical switches')} and {counted(len(cables), 'cable')}"
    more = more if physical or cables else ""
    yield title(
        f"{document['lab']}: {counted(len(hosts), 'host')}, {counted(len(document['switches']), 'switch', 'switches')},"
        f" {counted(len(groups), 'port group')}, {counted(clients, 'port')} and"
        f" {counted(len(ports) - clients - of_switches, 'uplink')}{more}; captured at {document['captured_at']}"
    )
    versions = {host["name"]: host["esxi_version"] for host in hosts}
    for switch in document["switches"]:
        key = (switch["host"], switch["name"])
        uplinks = ", ".join(switch["uplinks"]) or "none"
        where = f"{switch['name']} on {switch['host']} (ESXi {versions[switch['host']]})"
        yield from ("", title(f"{where}: MTU {switch['mtu']}, uplinks {uplinks}"))
        for group in groups:
            if (group["host"], group["switch"]) == key:
                yield from ("", f"  Port group {group['name']}")
                yield from _policy(group["policy"], "    ")
        mine = [port for port in ports if (port["host"], port["switch"]) == key]
        yield from ("", *_ports(mine), "", *_chains(mine))
    for switch in physical:
        mine = [port for port in ports if (port["host"], port["switch"]) == ("", switch["name"])]
        yield from ("", *_physical_switch(switch), "", *_chains(mine))
    if cables:
        rows = [(*cable["ends"], format_time(cable["latency_ns"])) for cable in cables]
        yield from ("", title("Cables"), *table("<<>", ("from", "to", "latency"), rows))
    if document["warnings"]:
        yield from ("", title("Warnings"))
        yield from notes(place_text(warning) + warning["message"] for warning in document["warnings"])


def effective_text(document: Document) -> Iterator[str]:
    """The policy of one port group."""
    yield title(f"Port group {document['portgroup']} in {document['lab']}")
    yield from _policy(document["policy"], "  ")


def _policy(policy: Mapping[str, Any], indent: str) -> Iterator[str]:
    rows = []
    for name, value in policy.items():
        place = f" ({value['place']})" if value["place"] else ""
        shown = "off" if name == "shaping" and value["value"] == "None" else value["value"]
        rows.append((name, shown, f"{value['origin']}{place}"))
    yield from table("<<<", ("", "", ""), rows, indent)


def _ports(ports: list[Document]) -> Iterator[str]:
    head = ("port", "kind", "port group", "VLAN", "id", "MAC", "sends by")
    rows = [
        (
            port["name"],
            port["kind"],
            port["portgroup"] or "",
            "" if port["vlan"] is None else str(port["vlan"]),
            str(port["id"]),
            _macs(port),
            ", ".join(port["sends_by"]) if port["kind"] != "uplink" else "",
        )
        for port in ports
    ]
    yield from table("<<<>><<", head, rows)


def _physical_switch(switch: Document) -> Iterator[str]:
    """A physical switch and its ports; those without cable that are alike are told once."""
    ageing = format_time(switch["ageing_ns"])
    yield title(
        f"Physical switch {switch['name']}: MTU {switch['mtu']}, ageing {ageing}, priority {switch['priority']}"
    )
    rows = []
    for said, same in groupby(switch["ports"], key=_said_of_switch_port):
        names = [port["name"] for port in same]
        rows.append((names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}", *said))
    yield from table("<<<<<<<", ("port", "other end", "state", "VLAN", "speed", "channel", "BPDU Guard"), rows)


def _said_of_switch_port(port: Document) -> tuple[str, ...]:
    policy = {name: value["value"] for name, value in port["policy"].items()}
    vlan = f"trunk {policy['allowed_vlans']}, native {policy['native_vlan']}"
    if policy["mode"] == "access":
        vlan = f"access {policy['vlan']}"
    channel = "" if policy["channel"] == "none" else policy["channel"]
    return port["other_end"] or "", port["state"], vlan, policy["speed"], channel, policy["bpdu_guard"]


def _macs(port: Document) -> str:
    effective, initial = port["effective_mac"], port["initial_mac"]
    return effective if effective == initial or initial is None else f"{effective} (initially {initial})"


def _chains(ports: list[Document]) -> Iterator[str]:
    """The chains; those of ports that have the same are told once."""
    yield "  Chains"
    ways = [(port["name"], way, tuple(port[way])) for port in ports for way in ("input", "output")]
    ways.sort(key=lambda way: (way[1], way[2]))
    for (way, chain), same in groupby(ways, key=lambda way: (way[1], way[2])):
        names = [name for name, _, _ in same]
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        yield from (f"    {line}" for line in wrapped(f"{way} of {shown}: {' → '.join(chain) or '(empty)'}", 94))

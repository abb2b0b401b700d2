"""Labs as text: effective policies with who set them, ports and chains."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from iochain.cli.documents import Document
from iochain.cli.mistakes import place_text
from iochain.cli.text import counted, notes, table, title, wrapped


def show_text(document: Document) -> Iterator[str]:
    """Host by host and switch by switch: port groups, ports, chains."""
    ports = document["ports"]
    groups = document["portgroups"]
    hosts = document["hosts"]
    clients = sum(port["kind"] != "uplink" for port in ports)
    yield title(
        f"{document['lab']}: {counted(len(hosts), 'host')}, {counted(len(document['switches']), 'switch', 'switches')},"
        f" {counted(len(groups), 'port group')}, {counted(clients, 'port')} and"
        f" {counted(len(ports) - clients, 'uplink')}; captured at {document['captured_at']}"
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

"""A lab that says every key of the schema, and a YAML writer that tells the line of each."""

from collections.abc import Iterator
from typing import Any

from iochain.topology.mistakes import KeyPath, key_text

POLICY = {"promiscuous": "reject", "mac_changes": "accept", "forged_transmits": "yes"}
SHAPING = {"enabled": "on", "average": "100 Mbit/s", "peak": "0.2 Gbit/s", "burst": "4 MB"}

CAPABILITIES = {
    "driver": "i40en",
    "sg": "yes",
    "cso": "yes",
    "cso6": "no",
    "cso6_ext": "no",
    "tso": "off",
} | dict.fromkeys(("tso6", "tso6_ext", "vxlan", "geneve", "obo", "lro"), "no")

FULL: dict[str, Any] = {
    "esxi_version": 8.0,
    "hosts": {
        "esx1": {
            "esxi_version": "7.0",
            "settings": {"Net.BlockGuestBPDU": 1},
            "nics": {
                "vmnic0": {
                    "speed": "10 Gbit/s",
                    "duplex": "full",
                    "link": "up",
                    "mac": "02-00-00-00-00-77",
                    **CAPABILITIES,
                },
                "vmnic1": {"speed": 25000000000, "link": "down"},
            },
            "vswitches": {
                "vSwitch0": {
                    "uplinks": ["vmnic0", "vmnic1", "vmnic2"],
                    "mtu": 9000,
                    **POLICY,
                    "teaming": {
                        "load_balancing": "portid",
                        "active": ["vmnic0"],
                        "standby": ["vmnic1"],
                        "unused": ["vmnic2"],
                        "failure_detection": "link",
                        "minimum_speed": "10 Mbit/s",
                        "exact_speed": "10 Gbit/s",
                        "full_duplex": "yes",
                        "failback": "yes",
                        "notify_switches": "no",
                    },
                    "shaping": SHAPING,
                    "portgroups": {
                        "Prod": {
                            "vlan": 10,
                            **POLICY,
                            "teaming": {"load_balancing": "explicit", "active": ["vmnic1", "vmnic0"]},
                            "shaping": "off",
                            "labels": ["red", "blue"],
                        },
                        "10": None,
                    },
                }
            },
            "vmkernel": {"vmk0": {"network": 10, "mac": "0050.5666.0001", "sends_as": ["00:50:56:66:00:02"]}},
        },
    },
    "vms": {
        "web": {
            "host": "esx1",
            "count": 2,
            "powered_on": "yes",
            "labels": ["front"],
            "network": "Prod",
            "mac": "00:50:56:00:00:0A",
            "effective_mac": "00:50:56:00:01:0a",
            "sends_as": ["00:50:56:00:02:0a"],
            "promiscuous": "true",
            "groups": ["01:00:5e:00:00:01"],
            "adapter": "vmxnet3",
            "mtu": 9000,
            "tso": "yes",
            "checksum": "on",
            "mss": 1448,
            "large_packets": "no",
            "lro": "no",
            "connected": "yes",
        },
        "router": {"vnics": {"eth0": {"network": "Prod"}, "eth1": {"network": "10"}}},
    },
    "fabric": {
        "spanning_tree": "yes",
        "switches": {
            "sw1": {
                "count": 4,
                "ports": {
                    "1": {
                        "mode": "trunk",
                        "bpdu_guard": "yes",
                        "speed": "10 Gbit/s",
                        "queue": 500,
                        "channel": "po1",
                    },
                    "2": {"vlan": 10, "link": "down"},
                    "3": {"native_vlan": 2, "allowed_vlans": [10, "20-29"]},
                },
                "defaults": {"queue": 100},
                "mtu": 9216,
                "ageing": "300 s",
                "priority": 4096,
                "channel_hash": "src-mac",
            }
        },
        "cables": [
            {"ends": ["vmnic0", "sw1.1"], "name": "left", "metres": 10},
            {"ends": ["esx1.vmnic1", "sw1.2"], "latency": "500 ns"},
        ],
    },
    "captured_at": "uplink",
    "entry": [{"at": "web-1", "source_mac": "00:50:56:00:00:0a", "vlan": 0, "interface": "i", "file": "*.pcap"}],
    "options": {
        "forged_reference": "initial",
        "promiscuous_scope": "portgroup",
        "est_guest_tag": "pass",
        "ip_hash": "last_octet",
        "port_hash": "round_robin_at_connect",
        "native_tag": "pass",
        "rarp_ms": [0, 1000],
        "rarp_batch_ms": 30,
        "beacon_ms": 1000,
        "beacons_missed": 3,
        "beacon_alternate": "yes",
        "offloads": "pure",
        "mss": "mtu",
        "uplink_point": "wire",
    },
}


def written(data: Any) -> tuple[str, dict[str, int]]:
    """The data as YAML in block style, and the line of each key path."""
    lines: list[str] = []
    places: dict[str, int] = {}
    _write(data, (), lines, places, 0)
    return "\n".join(lines) + "\n", places


def paths(data: Any, above: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every key path with its value."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*above, key), value
        yield from paths(value, (*above, key))


def at(data: Any, path: KeyPath) -> Any:
    """The value at a path."""
    for part in path:
        data = data[part]
    return data


def changed(data: Any, path: KeyPath, value: Any) -> Any:
    """The data with another value at a path."""
    if not path:
        return value
    if isinstance(data, list):
        return [changed(entry, path[1:], value) if index == path[0] else entry for index, entry in enumerate(data)]
    return {**data, path[0]: changed(data.get(path[0]), path[1:], value)}


def renamed(data: Any, path: KeyPath, name: str) -> Any:
    """The data with another name for the key at a path, in the same line."""
    parent = {name if key == path[-1] else key: value for key, value in at(data, path[:-1]).items()}
    return changed(data, path[:-1], parent)


def _write(data: Any, path: KeyPath, lines: list[str], places: dict[str, int], depth: int) -> None:
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        start = "  " * depth + ("-" if isinstance(key, int) else f'"{key}":')
        places[key_text((*path, key))] = len(lines) + 1
        if isinstance(value, (dict, list)) and value:
            if isinstance(key, int):
                _entry(value, (*path, key), lines, places, depth)
                continue
            lines.append(start)
            _write(value, (*path, key), lines, places, depth + 1)
        else:
            lines.append(f"{start} {_scalar(value)}")


def _entry(data: Any, path: KeyPath, lines: list[str], places: dict[str, int], depth: int) -> None:
    """A list entry whose first key stands beside the dash."""
    first = len(lines)
    _write(data, path, lines, places, depth + 1)
    lines[first] = "  " * depth + "- " + lines[first].lstrip()


def _scalar(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        return "{}" if isinstance(value, dict) else "[]"
    return (
        f'"{value}"'
        if isinstance(value, str) and value not in ("yes", "no", "on", "off", "true")
        else str(value).lower()
    )

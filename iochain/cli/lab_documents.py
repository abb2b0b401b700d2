"""Labs as JSON documents: what a lab comes to once it is wired."""

import attrs

from iochain.chain import From, Port
from iochain.cli.documents import Document, heading, port_document, setting
from iochain.cli.options import OpenedLab
from iochain.topology.effective import Policy
from iochain.topology.units import format_rate, format_size
from iochain.topology.wiring import Wiring


def show_document(opened: OpenedLab) -> Document:
    """Hosts, switches with the effective policies of their port groups, ports with their chains."""
    wiring = opened.lab.wiring
    spec = wiring.spec
    return {
        **heading("lab show", opened),
        "esxi_version": spec.esxi_version,
        "captured_at": spec.captured_at.value,
        "hosts": [{"name": name, "esxi_version": wiring.settings.version(name)} for name in spec.hosts],
        "switches": [
            {"name": name, "host": host, "mtu": switch.mtu, "uplinks": list(switch.uplinks)}
            for host, on_host in spec.hosts.items()
            for name, switch in on_host.vswitches.items()
        ],
        "portgroups": [
            {"name": team.portgroup, "host": team.host, "switch": team.switch, "policy": _policy(team.policy)}
            for team in wiring.teams()
        ],
        "ports": [_port(wiring, port) for port in wiring.ports],
    }


def effective_document(opened: OpenedLab, portgroup: str, host: str | None) -> Document:
    """The effective policy of one port group. LookupError if there is none of the name."""
    policy = opened.lab.effective(portgroup, host)
    return {**heading("lab effective", opened), "portgroup": portgroup, "host": host, "policy": _policy(policy)}


def _policy(policy: Policy) -> Document:
    return {field.name: _value(getattr(policy, field.name)) for field in attrs.fields(Policy)}


def _value(value: From) -> Document | None:
    """A value of a policy with its origin; shaping in the lab file's units."""
    shaping = value.value
    if not attrs.has(type(shaping)):
        return setting(value)
    text = "off"
    if shaping.enabled:
        peak = shaping.average if shaping.peak is None else shaping.peak
        text = f"average {format_rate(shaping.average)}, peak {format_rate(peak)}, burst {format_size(shaping.burst)}"
    return setting(attrs.evolve(value, value=text))


def _port(wiring: Wiring, port: Port) -> Document:
    return {
        **port_document(port),
        "id": port.id,
        "vlan": port.vlan,
        "initial_mac": None if port.initial_mac is None else str(port.initial_mac),
        "effective_mac": None if port.effective_mac is None else str(port.effective_mac),
        "sends_as": [str(mac) for mac in wiring.sends_as.get(port.name, ())],
        "sends_by": _uplinks(wiring, port),
        "input": wiring.chain(port.name, "input").names,
        "output": wiring.chain(port.name, "output").names,
    }


def _uplinks(wiring: Wiring, port: Port) -> list[str]:
    """The uplinks that the port's team may choose for its own frames."""
    if port.team is None:
        return []
    stage = wiring.team_chain(port.team)["teaming"].stage
    return list(stage.home(stage.in_use.get(stage.team), port))

"""Labs as JSON documents: what a lab comes to once it is wired."""

from typing import Final

import attrs

from iochain.chain import From, Port
from iochain.cli.documents import Document, heading, port_document, setting
from iochain.cli.options import OpenedLab
from iochain.topology.cabling import PortPolicy
from iochain.topology.effective import Policy
from iochain.topology.fabric import PhysicalSwitch
from iochain.topology.units import format_rate, format_size
from iochain.topology.wiring import Wiring

POLICY_OF_SWITCH_PORTS: Final = tuple(field.name for field in attrs.fields(PortPolicy))


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
        "physical_switches": [_physical_switch(wiring, switch) for switch in wiring.fabric.switches.values()],
        "cables": [
            {
                "name": cable.name,
                "ends": [wiring.ports[cable.a].name, wiring.ports[cable.b].name],
                "latency_ns": cable.latency_ns,
            }
            for cable in wiring.cables
        ],
    }


def effective_document(opened: OpenedLab, portgroup: str, host: str | None) -> Document:
    """The effective policy of one port group. LookupError if there is none of the name."""
    policy = opened.lab.effective(portgroup, host)
    return {**heading("lab effective", opened), "portgroup": portgroup, "host": host, "policy": _policy(policy)}


def _policy(policy: Policy) -> Document:
    return {field.name: _value(field.name, getattr(policy, field.name)) for field in attrs.fields(Policy)}


def _value(name: str, value: From) -> Document | None:
    """A value of a policy with its origin; speeds and shaping in the lab file's units."""
    if name in ("minimum_speed", "exact_speed"):
        return setting(attrs.evolve(value, value="any" if value.value is None else format_rate(value.value)))
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


def _physical_switch(wiring: Wiring, switch: PhysicalSwitch) -> Document:
    """A physical switch, with what holds at its ports."""
    spec = wiring.spec.fabric.switches[switch.name]
    return {
        "name": switch.name,
        "mtu": spec.mtu,
        "ageing_ns": switch.ageing_ns,
        "priority": switch.priority,
        "stages": wiring.switch_chain(switch.name).names,
        "ports": [_switch_port(wiring, switch, port) for port in switch.ports],
    }


def _switch_port(wiring: Wiring, switch: PhysicalSwitch, port: Port) -> Document:
    fabric = wiring.fabric
    cable = fabric.cable_at(port.number)
    policy = switch.policies[port.name]
    return {
        "name": port.name,
        "state": fabric.states.get(port.number).value,
        "other_end": None if cable is None else wiring.ports[cable.other(port.number)].name,
        "policy": {name: setting(_as_text(name, getattr(policy, name))) for name in POLICY_OF_SWITCH_PORTS},
    }


def _as_text(name: str, value: From) -> From:
    """A setting of a switch port in the lab file's units."""
    if name == "speed":
        return attrs.evolve(value, value=format_rate(value.value))
    unsaid = {"allowed_vlans": "all", "channel": "none", "link": "as its cable"}
    return attrs.evolve(value, value=unsaid[name]) if value.value is None else value


def _uplinks(wiring: Wiring, port: Port) -> list[str]:
    """The uplinks that the port's team may choose for its own frames."""
    if port.team is None:
        return []
    stage = wiring.team_chain(port.team)["teaming"].stage
    return list(stage.home(stage.in_use.get(stage.team), port))

"""What a lab's physical network must not say although each of its values is fine: cables, ports, channels, loops."""

from collections.abc import Iterator, Mapping
from typing import Final

from iochain.topology.cabling import (
    DEFAULT_SPEED,
    CableEnds,
    PortPolicy,
    cable_between,
    is_down,
    mode_of,
    port_policy,
    speed_said,
)
from iochain.topology.effective import Settings
from iochain.topology.mistakes import Finding, KeyPath, guess
from iochain.topology.names import PortKind, PortName, PortNames, port_names, switch_ports
from iochain.topology.spanning import End, Link, loop
from iochain.topology.spec import LabSpec, LinkState, NativeTag, PortMode, SwitchPort, SwitchSpec
from iochain.topology.units import format_rate

_GUESTS_TAG: Final = 4095
_PRIORITY_STEP: Final = 4096
_SWITCHES: Final[KeyPath] = ("fabric", "switches")
_CABLES: Final[KeyPath] = ("fabric", "cables")
_ALIKE: Final = ("mode", "vlan", "native_vlan", "allowed_vlans", "bpdu_guard", "speed", "queue")


def sound_switches(spec: LabSpec) -> Iterator[Finding]:
    """Physical switches have names of their own, and ports that say what goes with their mode."""
    virtual = {name for host in spec.hosts.values() for name in host.vswitches}
    for name, switch in spec.fabric.switches.items():
        path = (*_SWITCHES, name)
        for taken, what in ((spec.hosts, "host"), (spec.vms, "VM"), (virtual, "virtual switch")):
            if name in taken:
                yield Finding(path, f"a {what} has the name {name} already")
        if switch.priority % _PRIORITY_STEP:
            near = switch.priority // _PRIORITY_STEP * _PRIORITY_STEP
            message = f"{switch.priority} is no multiple of {_PRIORITY_STEP} (like {near})"
            yield Finding((*path, "priority"), message)
        if switch.defaults.channel is not None:
            message = "all ports of a switch cannot be one channel; say channel at each of its members"
            yield Finding((*path, "defaults", "channel"), message)
        yield from _sound_port((*path, "defaults"), switch.defaults)
        for port, own in switch.ports.items():
            yield from _sound_port((*path, "ports", port), own)


def sound_cables(spec: LabSpec) -> Iterator[Finding]:
    """A cable has two ends, each at a port that is there, that takes cables, and that has no other one."""
    names = port_names(spec) if spec.fabric.cables else PortNames(())
    used: dict[str, str] = {}
    known: set[str] = set()
    for index, cable in enumerate(spec.fabric.cables):
        path = (*_CABLES, index)
        if len(cable.ends) != 2:
            yield Finding((*path, "ends"), f"a cable has two ends, this one {len(cable.ends)}")
        if cable.latency is not None and cable.metres is not None:
            yield Finding((*path, "latency"), "say the latency or the metres, which make one; not both")
        for number, end in enumerate(cable.ends[:2]):
            yield from _sound_end(spec, (*path, "ends", number), end, names, used)
        name = cable.name or " to ".join(cable.ends)
        if name in known and cable.name is not None:
            yield Finding((*path, "name"), f'another cable has the name "{name}"')
        known.add(name)


def matched_speeds(spec: LabSpec) -> Iterator[Finding]:
    """Both ends of a cable have one speed."""
    for index, cable in _cables(spec):
        a, b = speed_said(spec, cable.a), speed_said(spec, cable.b)
        if a is not None and b is not None and a != b:
            message = (
                f"{cable.a.name} has {format_rate(a)} and {cable.b.name} {format_rate(b)}; both ends of a cable have "
                "one speed (a switch port that says none takes the other's)"
            )
            yield Finding((*_CABLES, index), message)


def alike_channels(spec: LabSpec) -> Iterator[Finding]:
    """The members of a channel are alike, and lead to one neighbour; between switches both ends are channels."""
    others = _others(spec)
    for name, switch in spec.fabric.switches.items():
        for channel, ports in _channels(switch).items():
            first = ports[0]
            for port in ports[1:]:
                path = (*_SWITCHES, name, "ports", port)
                differing = [key for key in _ALIKE if _said(switch, port, key) != _said(switch, first, key)]
                if differing:
                    message = f"{', '.join(differing)} differ from port {first}; members of a channel are alike"
                    yield Finding((*path, "channel"), message)
            yield from _one_neighbour(spec, name, channel, ports, others)


def no_loops(spec: LabSpec) -> Iterator[Finding]:
    """Without a spanning tree the cables make no loop."""
    if spec.fabric.spanning_tree:
        return
    links = {}
    for _, cable in _cables(spec):
        if cable.a.kind is cable.b.kind is PortKind.PHYSICAL and not _is_down(spec, cable):
            a, b = sorted((_end(spec, cable.a), _end(spec, cable.b)), key=lambda end: (end.switch, end.place))
            links[(a.place, b.place)] = Link(a, b, DEFAULT_SPEED)
    found = loop(links.values())
    if found:
        way = ", ".join(f"{link.a.place} to {link.b.place}" for link in found)
        message = f"the cables make a loop ({way}), which only a spanning tree breaks"
        yield Finding(("fabric", "spanning_tree"), message)


def fitting_mtus(spec: LabSpec) -> Iterator[Finding]:
    """Frames of a host that are longer than the MTU of the physical switch are lost there (KB 419088)."""
    for index, cable in _cables(spec):
        for end, other in ((cable.a, cable.b), (cable.b, cable.a)):
            if end.kind is PortKind.UPLINK and end.switch and other.kind is PortKind.PHYSICAL:
                mtu, physical = spec.hosts[end.host].vswitches[end.switch].mtu, spec.fabric.switches[other.switch].mtu
                if mtu > physical:
                    message = f"{end.switch} of {end.host} has MTU {mtu}, but {other.switch} only {physical}"
                    yield Finding((*_CABLES, index), message, warning=True)


def carried_vlans(spec: LabSpec) -> Iterator[Finding]:
    """The VLANs of port groups are carried by the switch ports behind their uplinks (what VLAN health check finds)."""
    settings = Settings(spec, {})
    for index, cable in _cables(spec):
        for end, other in ((cable.a, cable.b), (cable.b, cable.a)):
            if end.kind is not PortKind.UPLINK or not end.switch or other.kind is not PortKind.PHYSICAL:
                continue
            if is_down(spec, end) or is_down(spec, other):
                continue
            policy = port_policy(settings, other.switch, other.adapter, None)
            for name, portgroup in spec.hosts[end.host].vswitches[end.switch].portgroups.items():
                wrong = _not_carried(portgroup.vlan, policy, spec.options.native_tag)
                if wrong:
                    message = f"port group {name} of {end.host} {wrong} at {other.name}, behind {end.name}"
                    yield Finding((*_CABLES, index), message, warning=True)


def _not_carried(vlan: int, policy: PortPolicy, native_tag: NativeTag) -> str:
    """Why frames of a port group get no further than the switch port, if so."""
    native = policy.native_vlan.value
    if vlan == _GUESTS_TAG:
        return ""
    if policy.mode.value is PortMode.ACCESS:
        return f"has VLAN {vlan}, but tags are refused" if vlan else ""
    if vlan == 0:
        return "" if native and policy.carries(native) else "has no VLAN, and there is no native one"
    if vlan == native and native_tag is NativeTag.DROP:
        return f"has VLAN {vlan}, which is the native one, expected without tag,"
    return "" if policy.carries(vlan) else f"has VLAN {vlan}, which is not carried"


def _sound_port(path: KeyPath, port: SwitchPort) -> Iterator[Finding]:
    mode = mode_of(port)
    if mode is PortMode.ACCESS:
        for name in ("native_vlan", "allowed_vlans"):
            if getattr(port, name) is not None:
                yield Finding((*path, name), f"an access port has a vlan and no {name}; trunks have (mode: trunk)")
    elif mode is PortMode.TRUNK and port.vlan is not None:
        message = "a trunk has native_vlan and allowed_vlans; a vlan is for access ports (mode: access)"
        yield Finding((*path, "vlan"), message)
    if port.channel is not None and port.link is LinkState.UP:
        yield Finding((*path, "link"), "what is not modelled cannot be at the other end of a channel")


def _sound_end(spec: LabSpec, path: KeyPath, end: str, names: PortNames, used: dict[str, str]) -> Iterator[Finding]:
    try:
        port = names.find(end)
    except LookupError as unknown:
        switch, _, number = end.partition(".")
        if switch in spec.fabric.switches:
            ports = switch_ports(spec.fabric.switches[switch])
            has = f"ports {ports[0]} to {ports[-1]}" if ports else "no ports yet; say count: 24, or name them"
            yield Finding(path, f'{switch} has no port "{number}" ({has}){guess(number, ports) if ports else ""}')
        else:
            yield Finding(path, str(unknown.args[0]))
        return
    if port.kind not in (PortKind.UPLINK, PortKind.PHYSICAL):
        yield Finding(path, f"{port.name} is a {port.kind.value}; cables join physical NICs and ports of switches")
    elif port.name in used:
        yield Finding(path, f"{port.name} has a cable already ({used[port.name]})")
    elif port.kind is PortKind.UPLINK and not port.switch:
        message = f"{port.name} is no uplink of any virtual switch: nothing uses this cable"
        yield Finding(path, message, warning=True)
    used.setdefault(port.name, f"cables[{path[2]}]")


def _one_neighbour(
    spec: LabSpec, switch: str, channel: str, ports: list[str], others: Mapping[str, PortName]
) -> Iterator[Finding]:
    """Where the members of a channel lead; a channel that nobody knows of at the other end is a mistake of cabling."""
    found: dict[tuple[str, str], str] = {}
    for port in ports:
        other = others.get(f"{switch}.{port}")
        if other is None:
            continue
        if other.kind is PortKind.PHYSICAL:
            at = spec.fabric.switches[other.switch].ports.get(other.adapter, SwitchPort()).channel
            found[(other.switch, at or other.adapter)] = other.name
            if at is None:
                message = f"channel {channel} leads to {other.name}, which is in no channel; both ends have to be"
                yield Finding((*_SWITCHES, switch, "ports", port, "channel"), message)
        else:
            found[(other.host, other.switch)] = other.name
    if len(found) > 1:
        message = f"channel {channel} leads to {' and '.join(found.values())}; a channel has one neighbour"
        yield Finding((*_SWITCHES, switch, "ports", ports[0], "channel"), message)


def _channels(switch: SwitchSpec) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, port in switch.ports.items():
        if port.channel is not None:
            found.setdefault(port.channel, []).append(name)
    return found


def _said(switch: SwitchSpec, port: str, key: str) -> object:
    own = getattr(switch.ports[port], key)
    return getattr(switch.defaults, key) if own is None else own


def _cables(spec: LabSpec) -> Iterator[tuple[int, CableEnds]]:
    """The cables whose ends are all right, with their places in the list."""
    names = port_names(spec) if spec.fabric.cables else PortNames(())
    for index, cable in enumerate(spec.fabric.cables):
        try:
            ends = cable_between(cable, names)
        except (LookupError, ValueError):
            continue
        if all(end.kind in (PortKind.UPLINK, PortKind.PHYSICAL) for end in (ends.a, ends.b)):
            yield index, ends


def _others(spec: LabSpec) -> dict[str, PortName]:
    """What is at the other end of the cable at a port."""
    found = {}
    for _, cable in _cables(spec):
        found[cable.a.name], found[cable.b.name] = cable.b, cable.a
    return found


def _end(spec: LabSpec, port: PortName) -> End:
    """A port as the end of a link: it, or its channel."""
    channel = spec.fabric.switches[port.switch].ports.get(port.adapter, SwitchPort()).channel
    return End(port.switch, port.name if channel is None else f"{port.switch} {channel}", 0)


def _is_down(spec: LabSpec, cable: CableEnds) -> bool:
    return is_down(spec, cable.a) or is_down(spec, cable.b)

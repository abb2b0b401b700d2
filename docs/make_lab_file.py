"""Writes the reference part of docs/lab-file.md from the lab file's own description (iochain/topology/spec.py).

    python docs/make_lab_file.py

What stands above the marker is written by hand and stays; a test holds the rest to what this script says.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final, get_args, get_origin

import attrs
from attrs import Attribute

from iochain import Lab
from iochain.chain import plain
from iochain.experiment import beacons, links, notify
from iochain.topology import chains, offloads, units
from iochain.topology.advanced import ADVANCED, AdvancedSetting
from iochain.topology.shape import NAMES, fields, inner
from iochain.topology.spec import (
    ESXI_VERSIONS,
    BitsPerSecond,
    ByteCount,
    CableSpec,
    EntryRule,
    FabricSpec,
    Host,
    LabSpec,
    MacAddress,
    Nanoseconds,
    Nic,
    Options,
    Portgroup,
    Shaping,
    SwitchPort,
    SwitchSpec,
    Teaming,
    VlanRange,
    Vm,
    Vmkernel,
    Vnic,
    Vswitch,
)
from iochain.topology.values import RANGES, is_numeric
from iochain.uplink.capabilities import ADAPTERS, DRIVERS, Capability

MARKER: Final = "<!-- From here on made by docs/make_lab_file.py; change iochain/topology/spec.py instead. -->\n"
FILE: Final = Path(__file__).with_name("lab-file.md")

LEVELS: Final[Mapping[type, tuple[str, str]]] = {
    LabSpec: ("The lab", ""),
    Host: ("Hosts", "hosts.HOST"),
    Nic: ("Physical NICs", "hosts.HOST.nics.NIC"),
    Vswitch: ("Standard switches", "hosts.HOST.vswitches.SWITCH"),
    Portgroup: ("Port groups", "hosts.HOST.vswitches.SWITCH.portgroups.PORTGROUP"),
    Teaming: ("Teaming", "….SWITCH.teaming and ….PORTGROUP.teaming"),
    Shaping: ("Shaping", "….SWITCH.shaping and ….PORTGROUP.shaping"),
    Vmkernel: ("vmkernel adapters", "hosts.HOST.vmkernel.VMK"),
    Vm: ("VMs", "vms.VM"),
    Vnic: ("vNICs", "vms.VM.vnics.VNIC"),
    FabricSpec: ("The fabric", "fabric"),
    SwitchSpec: ("Physical switches", "fabric.switches.SWITCH"),
    SwitchPort: ("Ports of physical switches", "fabric.switches.SWITCH.ports.PORT and ….SWITCH.defaults"),
    CableSpec: ("Cables", "fabric.cables[0], fabric.cables[1] …"),
    EntryRule: ("Entry rules", "entry[0], entry[1] …"),
    Options: ("Options", "options"),
}
"""Title and place of each level of the file, in the order of the reference."""

WITHOUT_EFFECT: Final = ("labels",)
"""Keys that are read, checked and shown in the effective policy, but that no stage uses yet."""

INHERITED: Final = ("promiscuous", "mac_changes", "forged_transmits", "load_balancing", "shaping")


def reference() -> str:
    """The part of the file below the marker."""
    return (
        "\n".join([*_defaults(), *(line for cls in LEVELS for line in _level(cls)), *_drivers(), *_advanced()]) + "\n"
    )


def _defaults() -> Iterator[str]:
    """What a standard switch does where neither it nor the port group says anything, by version."""
    yield "## Defaults of a standard switch"
    yield ""
    yield f"| ESXi | {' | '.join(f'`{name}`' for name in INHERITED)} |"
    yield f"| --- |{' --- |' * len(INHERITED)}"
    for version in ESXI_VERSIONS:
        lab = Lab(version)
        lab.host("esx1").vswitch("vSwitch0").portgroup("Prod")
        policy = lab.effective("Prod")
        held = [getattr(policy, name).value for name in INHERITED]
        yield f"| {version} | {' | '.join('off' if value is None else plain(value) for value in held)} |"
    yield ""


def _level(cls: type) -> Iterator[str]:
    title, place = LEVELS[cls]
    yield f"## {title}"
    yield ""
    yield _first_line(cls) + (f" Place: `{place}`." if place else "")
    yield ""
    yield "| key | value | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for name, attribute in fields(cls).items():
        doc = attribute.metadata["doc"] + ("; **no effect yet**" if name in WITHOUT_EFFECT else "")
        yield f"| `{name}` | {_value(attribute)} | {_default(attribute)} | {doc} |"
    yield ""
    words = _words_of(cls)
    for kind, names in words.items():
        yield f"- {', '.join(f'`{name}`' for name in names)}: {_first_line(kind)}"
    if words:
        yield ""


def _words_of(cls: type) -> dict[type, list[str]]:
    """The enumerations of a level, each with the keys that take its words."""
    found: dict[type, list[str]] = {}
    for name, attribute in fields(cls).items():
        kind = inner(attribute.type)
        if isinstance(kind, type) and issubclass(kind, Enum):
            found.setdefault(kind, []).append(name)
    return found


def _value(attribute: "Attribute[Any]") -> str:
    """What a key may hold, in words."""
    kind, more = inner(attribute.type), attribute.metadata
    if attribute.name == "settings":
        return "[advanced settings](#advanced-settings) with numbers"
    if attrs.has(kind):
        return ("yes, no, or " if kind is Shaping else "") + _link(kind)
    if get_origin(kind) is Mapping:
        return f"names, with {_link(get_args(kind)[1])} below each"
    if get_origin(kind) is tuple:
        of = get_args(kind)[0]
        return f"list, each {_link(of)}" if attrs.has(of) else f"list of {_plural(of)}"
    if "choices" in more:
        mark = '"' if is_numeric(more["choices"]) else ""
        return ", ".join(f"`{mark}{choice}{mark}`" for choice in more["choices"])
    return _scalar(kind, more)


def _scalar(kind: Any, more: Mapping[str, Any]) -> str:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{member.value}`" for member in kind)
    if kind in RANGES:
        return "{1} to {2}".format(*RANGES[kind])
    if kind is BitsPerSecond:
        return f"rate, {units.format_rate(more['minimum'])} to {units.format_rate(more['maximum'])}"
    if kind is ByteCount:
        return f"size, {units.format_size(more['minimum'])} to {units.format_size(more['maximum'])}"
    if kind is Nanoseconds:
        return f"time, {units.format_time(more['minimum'])} to {units.format_time(more['maximum'])}"
    if kind is int:
        return f"{more['minimum']} to {more['maximum']}"
    return {bool: "yes or no", str: "name", MacAddress: "MAC address"}[kind]


def _plural(kind: Any) -> str:
    return {str: "names", int: "numbers", MacAddress: "MAC addresses", VlanRange: "VLANs and ranges of them"}[kind]


def _default(attribute: "Attribute[Any]") -> str:
    default, kind = attribute.default, inner(attribute.type)
    if default is attrs.NOTHING:
        return "**must be there**"
    if kind is BitsPerSecond and default is not None:
        return units.format_rate(default)
    if kind is ByteCount and default is not None:
        return units.format_size(default)
    if kind is Nanoseconds and default is not None:
        return units.format_time(default)
    if default is None or attrs.has(kind) or isinstance(default, attrs.Factory) or default == ():  # type: ignore[arg-type]
        return ""
    return f'`"{default}"`' if is_numeric(attribute.metadata.get("choices", ("",))) else f"`{plain(default)}`"


def _link(cls: type) -> str:
    return f"[{NAMES[cls]}](#{LEVELS[cls][0].lower().replace(' ', '-')})"


def _drivers() -> Iterator[str]:
    """What the driver of a physical NIC, and the adapter of a guest, can."""
    yield "## Drivers"
    yield ""
    yield (
        "What a NIC with this `driver` can; each capability is a key of the [physical NIC](#physical-nics) and can be "
        "said beside it. Rings are (default, most) of receive and transmit, and have **no effect yet**."
    )
    yield ""
    yield "| driver | NIC | capabilities | rings | known from |"
    yield "| --- | --- | --- | --- | --- |"
    for name, driver in DRIVERS.items():
        able = ", ".join(f"`{each.value}`" for each in Capability if each in driver.capabilities)
        rings = " and ".join(f"({ring.default}, {ring.most})" for ring in driver.rings)
        yield f"| `{name}` | {driver.doc} | {able} | {rings} | {driver.sources} |"
    yield ""
    yield "## Adapters"
    yield ""
    yield 'What a guest\'s `adapter` can (Performance Best Practices, "Virtual Network Adapters").'
    yield ""
    yield "| adapter | | `tso` | `checksum` | `large_packets` | `lro` |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, adapter in ADAPTERS.items():
        able = " | ".join(plain(value) for value in (adapter.tso, adapter.checksum, adapter.large_packets, adapter.lro))
        yield f"| `{name}` | {adapter.doc} | {able} |"
    yield ""


def _advanced() -> Iterator[str]:
    """The advanced settings, those that stages read first."""
    used = {
        value
        for module in (chains, offloads, beacons, links, notify)
        for value in vars(module).values()
        if isinstance(value, str) and value.startswith("Net.")
    }
    yield "## Advanced settings"
    yield ""
    yield (
        "Below `hosts.HOST.settings`. Defaults and ranges are those of the published settings dumps of ESXi 6.0 U3 to "
        "9.0.1, the ranges here those of 9.0. Stages and hosts read the first part of the table; others are checked, "
        "and have **no effect yet**."
    )
    yield ""
    yield "| setting | default | range | effect | meaning |"
    yield "| --- | --- | --- | --- | --- |"
    for setting in sorted(ADVANCED.values(), key=lambda setting: setting.name not in used):
        effect = "yes" if setting.name in used else "no"
        yield f"| `{setting.name}` | {_versions(setting)} | {_range(setting)} | {effect} | {setting.doc} |"


def _versions(setting: AdvancedSetting) -> str:
    held = [
        f"{value}" + ("" if since == ESXI_VERSIONS[0] else f" from {since}")
        for since, value in setting.defaults.items()
    ]
    return ", ".join(held)


def _range(setting: AdvancedSetting) -> str:
    newest = ESXI_VERSIONS[-1]
    highest = setting.maximum(newest)
    if setting.is_switch:
        return "0 or 1"
    return f"{setting.minimum(newest)} to {highest}" if highest is not None else f"from {setting.minimum(newest)}"


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").partition("\n\n")[0].replace("\n", " ").replace("``", "`")


if __name__ == "__main__":
    by_hand = FILE.read_text(encoding="utf-8").partition(MARKER)[0]
    FILE.write_text(by_hand + MARKER + "\n" + reference(), encoding="utf-8")

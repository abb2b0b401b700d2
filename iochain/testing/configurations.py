"""Strategies for settings and for valid labs, made from the attributes of :mod:`iochain.topology.spec`.

A key whose type says what it may hold comes by itself; only keys that refer to other things of the lab, or that have to
agree with another key, have a line here. They allow everything unless told otherwise, and shrink to a lab that says
nothing that it need not say.
"""

from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import Any, Final, TypeAlias, get_args, get_origin

import attrs
from attrs import Attribute, frozen
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from iochain.frame import ALL_VLANS
from iochain.lab import Lab
from iochain.testing.addresses import Given, given_or, macs, vlan_ids
from iochain.topology.advanced import ADVANCED
from iochain.topology.checks import check
from iochain.topology.mistakes import KeyPath
from iochain.topology.names import port_names
from iochain.topology.shape import fields, inner, shape
from iochain.topology.spec import (
    Answer,
    BitsPerSecond,
    ByteCount,
    EntryRule,
    Host,
    LabSpec,
    MacAddress,
    Mtu,
    Nic,
    Portgroup,
    Shaping,
    Teaming,
    VlanNumber,
    Vm,
    Vmkernel,
    Vnic,
    Vswitch,
)

Data: TypeAlias = dict[str, Any]
Strategies: TypeAlias = Mapping[str, st.SearchStrategy[Any]]
Size: TypeAlias = int | tuple[int, int]
"""At most so many, or at least and at most."""

NO_OWN: Final[Strategies] = MappingProxyType({})
ADDRESSES: Final = macs(group=False).filter(bool).map(str)
LABELS: Final = st.lists(st.sampled_from(["front", "back", "test"]), max_size=2, unique=True)
_ATTEMPTS: Final = 5
_NEEDED: Final = ("network", "at", "hosts", "vms", "vswitches", "portgroups")
ORDERS: Final = ("active", "standby", "unused")

BY_TYPE: Final[Strategies] = {
    "bool": st.booleans(),
    VlanNumber.__name__: vlan_ids(),
    Mtu.__name__: st.sampled_from([1500, 9000, 1400, 64]) | st.integers(1, 9000),
    MacAddress.__name__: ADDRESSES,
}
"""What keys of a type may hold, by the name of the type."""


def security_settings() -> st.SearchStrategy[Data]:
    """What a switch or a port group says of promiscuous mode, MAC address changes and forged transmits."""
    return said(Portgroup, only=[name for name, key in fields(Portgroup).items() if inner(key.type) is Answer])


@st.composite
def teaming_settings(draw: st.DrawFn, uplinks: Sequence[str] = ("vmnic0", "vmnic1")) -> Data:
    """What a switch or a port group says of teaming, the lists of uplinks among it."""
    data = draw(said(Teaming, without=ORDERS))
    if uplinks and draw(st.sampled_from([False, True])):
        places = {uplink: draw(st.sampled_from(ORDERS)) for uplink in draw(st.permutations(uplinks))}
        for order in ORDERS:
            if draw(st.booleans()):
                data[order] = [uplink for uplink, place in places.items() if place == order]
    return data


@st.composite
def shaping_settings(draw: st.DrawFn) -> Data:
    """What a switch or a port group says of outbound shaping."""
    data = draw(said(Shaping))
    average = int(data.get("average", Shaping().average))
    if data.get("peak", average) < average:
        data["peak"], data["average"] = average, data["peak"]
    return data


@st.composite
def labs(
    draw: st.DrawFn,
    *,
    hosts: Size = 2,
    vswitches: Size = 2,
    uplinks: Size = 3,
    portgroups: Size = 3,
    vms: Size = 4,
    vmkernels: Size = 1,
    vlans: Given[int] | None = None,
    advanced: bool = True,
    options: bool = True,
) -> Lab:
    """Valid labs: hosts, switches of each host, uplinks and port groups of each switch, VMs in all, vmkernel adapters
    of each host. A size is a largest number, or a smallest and a largest one.

    ``vlans`` are those of port groups; they repeat, as VLANs do. ``advanced`` and ``options``: whether advanced
    settings and the emulator's choices are said.
    """
    some, perhaps = (hosts, vswitches, portgroups, vms), (uplinks, vmkernels)
    sizes = _Sizes(*(_span(size, 1) for size in some), *(_span(size, 0) for size in perhaps))
    pool = draw(st.lists(given_or(vlans, vlan_ids()), min_size=1, max_size=3))
    if vlans is None:
        pool += [0, ALL_VLANS]
    drawing = _Drawing(sizes, st.sampled_from(pool), advanced)
    data = draw(said(LabSpec, without=() if options else ("options",)))
    data["hosts"] = {
        f"esx{number + 1}": draw(_hosts(drawing, number, data.get("esxi_version", "8.0")))
        for number in range(draw(st.integers(*sizes.hosts)))
    }
    networks = [(host, name) for host, said_of in data["hosts"].items() for name in _networks(said_of)]
    if sizes.vms[1]:
        data["vms"] = {
            f"vm{number}": draw(_vms(networks, with_host=len(data["hosts"]) > 1))
            for number in range(draw(st.integers(*sizes.vms)))
        }
    spec = without_mistakes(data)
    assume(spec is not None)
    assert spec is not None
    if draw(st.sampled_from([False, False, True])):
        names = [port.name for port in port_names(spec).ports if port.switch]
        if names:
            data["entry"] = draw(st.lists(_entry_rules(names), max_size=2))
    return Lab(data.pop("esxi_version", "8.0"), **data)


def said(
    cls: type, own: Strategies = NO_OWN, *, only: Collection[str] | None = None, without: Collection[str] = ()
) -> st.SearchStrategy[Data]:
    """Some keys of a level of the lab file with values; ``own`` are the strategies of keys that types do not tell."""
    known = {**typed(cls), **own}
    there = {name: known[name] for name in fields(cls) if name in known and name not in without}
    return _said(cls, {name: strategy for name, strategy in there.items() if only is None or name in only})


@st.composite
def _said(draw: st.DrawFn, cls: type, strategies: Strategies) -> Data:
    """Mostly few keys: what is hard to find is found by few things said together, and large labs cost time."""
    needed = [name for name in strategies if fields(cls)[name].default is attrs.NOTHING]
    others = tuple(name for name in strategies if name not in needed)
    chosen = [*needed, *(draw(_some_of(others)) if others else ())]
    return {name: draw(strategies[name]) for name in chosen}


@cache
def _some_of(names: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    each = st.sampled_from(names)
    few, many = (st.lists(each, unique=True, max_size=size) for size in (min(2, len(names)), len(names)))
    return few | few | few | many


# -- single keys


@cache
def typed(cls: type) -> Strategies:
    """What the keys of a level may hold, where their types tell that."""
    found = {name: _of_type(inner(key.type), key) for name, key in fields(cls).items()}
    return {name: strategy for name, strategy in found.items() if strategy is not None}


def _of_type(kind: Any, key: "Attribute[Any]") -> st.SearchStrategy[Any] | None:
    if "choices" in key.metadata:
        return st.sampled_from(key.metadata["choices"])
    if attrs.has(kind):
        return said(kind) if all(a.default is not attrs.NOTHING for a in attrs.fields(kind)) else None
    if get_origin(kind) is tuple:
        each = _of_type(get_args(kind)[0], key)
        return None if each is None or attrs.has(get_args(kind)[0]) else st.lists(each, max_size=3)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from([member.value for member in kind])
    if kind in (BitsPerSecond, ByteCount, int) and "minimum" in key.metadata:
        return _numbers(key)
    return BY_TYPE.get(getattr(kind, "__name__", ""))


def _numbers(key: "Attribute[Any]") -> st.SearchStrategy[int]:
    """Numbers in a key's range, its default and the ends of the range first."""
    lowest, highest = key.metadata["minimum"], key.metadata["maximum"]
    usual = [key.default] if isinstance(key.default, int) and lowest <= key.default <= highest else []
    return st.sampled_from([*usual, lowest, highest]) | st.integers(lowest, highest)


@st.composite
def _advanced(draw: st.DrawFn, version: str) -> dict[str, int]:
    """Some advanced settings of this version."""
    known = [name for name, setting in ADVANCED.items() if setting.default(version) is not None]
    chosen = {}
    for name in draw(st.lists(st.sampled_from(known), max_size=4, unique=True)):
        lowest, highest = ADVANCED[name].minimum(version) or 0, ADVANCED[name].maximum(version)
        span = st.integers(lowest, 1 << 31 if highest is None else highest)
        chosen[name] = draw(st.sampled_from([lowest, highest or lowest]) | span)
    return chosen


# -- the parts of a lab


@frozen
class _Sizes:
    """Least and most of each."""

    hosts: tuple[int, int]
    vswitches: tuple[int, int]
    portgroups: tuple[int, int]
    vms: tuple[int, int]
    uplinks: tuple[int, int]
    vmkernels: tuple[int, int]


@frozen
class _Drawing:
    sizes: _Sizes
    vlans: st.SearchStrategy[int]
    advanced: bool


def _span(size: Size, fewest: int) -> tuple[int, int]:
    least, most = (min(fewest, size), size) if isinstance(size, int) else size
    if not 0 <= least <= most:
        raise InvalidArgument(f"{size!r} is no size: a number, or (at least, at most)")
    return least, most


@st.composite
def _hosts(draw: st.DrawFn, drawing: _Drawing, number: int, lab_version: str) -> Data:
    sizes = drawing.sizes
    host = draw(said(Host))
    if drawing.advanced and (chosen := draw(_advanced(host.get("esxi_version", lab_version)))):
        host["settings"] = chosen
    nics: list[str] = []
    host["vswitches"] = {}
    for switch in range(draw(st.integers(*sizes.vswitches))):
        own = [f"vmnic{len(nics) + index}" for index in range(draw(st.integers(*sizes.uplinks)))]
        nics += own
        host["vswitches"][f"vSwitch{switch}"] = draw(_vswitches(drawing, f"{number}{switch}", own))
    said_of = {name: draw(said(Nic)) for name in nics}
    host["nics"] = {name: data for name, data in said_of.items() if data}
    networks = _networks(host)
    if networks and sizes.vmkernels[1]:
        network = {"network": st.sampled_from(networks)}
        count = draw(st.integers(*sizes.vmkernels))
        host["vmkernel"] = {f"vmk{index}": draw(said(Vmkernel, network)) for index in range(count)}
    return {key: value for key, value in host.items() if value != {}}


@st.composite
def _vswitches(draw: st.DrawFn, drawing: _Drawing, number: str, uplinks: list[str]) -> Data:
    teaming, shaping = teaming_settings(uplinks), shaping_settings() | st.booleans()
    both = {"teaming": teaming, "shaping": shaping}
    switch = draw(said(Vswitch, both, without=("uplinks", "portgroups")))
    switch["uplinks"] = uplinks
    switch["portgroups"] = {
        f"PG{number}{index}": draw(said(Portgroup, {**both, "vlan": drawing.vlans, "labels": LABELS}))
        for index in range(draw(st.integers(*drawing.sizes.portgroups)))
    }
    return switch


@st.composite
def _vms(draw: st.DrawFn, networks: Sequence[tuple[str, str]], *, with_host: bool) -> Data:
    """A VM with one vNIC, rarely with two, rarely several like it."""
    host, _ = draw(st.sampled_from(networks))
    groups = st.lists(macs(group=True).map(str), max_size=3, unique=True)
    own = {"network": st.sampled_from([name for where, name in networks if where == host]), "groups": groups}
    vm = draw(said(Vm, {"labels": LABELS, "count": st.integers(1, 3)}, without=("vnics", "host")))
    if with_host:
        vm["host"] = host
    vnics = st.lists(said(Vnic, own), min_size=1, max_size=2)
    several = draw(vnics)
    return {**vm, **several[0]} if len(several) == 1 else {**vm, "vnics": {f"eth{i}": v for i, v in enumerate(several)}}


@st.composite
def _entry_rules(draw: st.DrawFn, ports: Sequence[str]) -> Data:
    words = st.sampled_from(["eth0", "*.pcap"])
    rule = draw(said(EntryRule, {"at": st.sampled_from(ports), "interface": words, "file": words}))
    return rule if len(rule) > 1 else {**rule, "source_mac": draw(ADDRESSES)}


def _networks(host: Data) -> list[str]:
    return [name for switch in host.get("vswitches", {}).values() for name in switch["portgroups"]]


# -- agreement


def without_mistakes(data: Data) -> LabSpec | None:
    """The lab that data say, keys that a mistake names taken back from them; None if that does not help.

    What keys demand of each other the checks of the lab know, so it need not be said here again.
    """
    for _ in range(_ATTEMPTS):
        spec, shaped = shape(data)
        findings = [finding for finding in (*shaped.findings, *check(spec)) if not finding.warning]
        if not findings:
            return spec
        gone = [_taken_back(data, finding.path) for finding in findings]
        if not any(gone):
            return None
    return None


def _taken_back(data: Any, path: KeyPath) -> bool:
    """Whether the key at a path was there, and is now gone; the keys of a single vNIC may stand in their VM."""
    if path[2:4] == ("vnics", "eth0") and path[0] == "vms" and "vnics" not in data["vms"][path[1]]:
        path = (*path[:2], *path[4:])
    *above, last = path
    for part in above:
        if part not in data and not isinstance(data, list):
            return False
        data = data[part]
    if not isinstance(data, dict) or last not in data or last in _NEEDED:
        return False
    del data[last]
    return True

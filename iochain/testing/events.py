"""Strategies for what happens in a lab: frames that make sense at a port, actions, and sequences of both."""

from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from iochain.chain import Port
from iochain.experiment.actions import (
    CutCable,
    LinkDown,
    LinkUp,
    MendCable,
    Move,
    NicDown,
    NicUp,
    PowerOff,
    PowerOn,
    SetMac,
)
from iochain.experiment.live import Applied
from iochain.frame import ALL_VLANS, Mac
from iochain.lab import Lab
from iochain.testing.addresses import macs
from iochain.testing.configurations import typed
from iochain.testing.ethernet import Tagging, frames
from iochain.testing.framebytes import FrameBytes
from iochain.testing.played import Event, Happening, Send
from iochain.topology.spec import Options, Portgroup, Vnic, Vswitch
from iochain.topology.wiring import Wiring

GAPS_NS: Final = (0, 1, 67_200, 1_000_000, 1_000_000_000)


CHANGED: Final[Mapping[str, type]] = {"portgroup": Portgroup, "vswitch": Vswitch, "vm": Vnic, "options": Options}
"""Kinds of things whose settings are changed, and what says their keys."""

NESTED: Final = ("teaming", "shaping")
"""Keys with keys below them."""


def frames_at(lab: Lab | Wiring, port: str, **kinds: Any) -> st.SearchStrategy[FrameBytes]:
    """Frames for a port of a lab: any, but mostly from the port's own address, to addresses and VLANs of the lab.

    ``kinds`` are arguments of :func:`iochain.testing.frames`. LookupError if there is no such port.
    """
    wiring = lab.wiring if isinstance(lab, Lab) else lab
    here = wiring.port(port)
    own, others = _addresses(wiring, here)
    tagged = here.uplink or here.vlan == ALL_VLANS
    usual = [Tagging.UNTAGGED, Tagging.TAGGED] if tagged else [Tagging.UNTAGGED]
    said: dict[str, Any] = {
        "sources": st.sampled_from(own) | st.sampled_from([*own, *others]) | macs(),
        "destinations": st.sampled_from(others) | macs(group=True) | macs(),
        "vlans": sorted({one.vlan for one in wiring.ports if one.vlan} | {10}),
    }
    likely = frames(**{**said, "tagging": usual, **kinds})
    return likely | frames(**{**said, "vlans": None, **kinds})


@st.composite
def sends(draw: st.DrawFn, /, lab: Lab | Wiring, *, time_ns: int = 0, **kinds: Any) -> Send:
    """A frame at any port of a lab; ``kinds`` as in :func:`frames_at`. InvalidArgument if it has no ports."""
    wiring = lab.wiring if isinstance(lab, Lab) else lab
    if not wiring.ports:
        raise InvalidArgument("the lab has no ports: nothing can be sent")
    at = draw(st.sampled_from([port.name for port in wiring.ports]))
    return Send(draw(frames_at(wiring, at, **kinds)), at, time_ns)


def actions(lab: Lab | Wiring) -> st.SearchStrategy[Applied]:
    """What can happen to a lab: VMs are powered and moved, guests change their MAC, links and cables fail and recover.

    Whether it can happen at that moment, the lab says itself when it is to: LookupError or ValueError.
    """
    wiring = lab.wiring if isinstance(lab, Lab) else lab
    spec = wiring.spec
    vms, hosts = st.sampled_from(list(spec.vms)), st.none() | st.sampled_from(list(spec.hosts))
    portgroups = st.none() | st.sampled_from(sorted({team.portgroup for team in wiring.teams()}))
    uplinks = [port.name for port in wiring.ports if port.uplink]
    found: list[st.SearchStrategy[Applied]] = []
    if spec.vms:
        macs_of_guests = macs(group=False).filter(bool).map(str)
        found += [
            st.builds(PowerOff, vms),
            st.builds(PowerOn, vms),
            st.builds(Move, vms, portgroups, hosts),
            st.builds(SetMac, vms, macs_of_guests),
        ]
    if uplinks:
        found += [st.builds(kind, st.sampled_from(uplinks)) for kind in (LinkDown, LinkUp, NicDown, NicUp)]
    if wiring.cables:
        names = st.sampled_from([cable.name for cable in wiring.cables])
        found += [st.builds(kind, names) for kind in (CutCable, MendCable)]
    return st.one_of(found)


@st.composite
def event_sequences(
    draw: st.DrawFn,
    /,
    lab: Lab | Wiring,
    *,
    events: int | tuple[int, int] = (1, 20),
    start_ns: int = 0,
    happenings: bool = True,
    **kinds: Any,
) -> list[Event]:
    """Events of a lab in the order of their times: at most so many, or at least and at most.

    Without ``happenings`` only frames are sent; ``kinds`` as in :func:`frames_at`.
    """
    least, most = (1, events) if isinstance(events, int) else events
    wiring = lab.wiring if isinstance(lab, Lab) else lab
    found: list[Event] = []
    time_ns = start_ns
    for _ in range(draw(st.integers(least, most))):
        what: st.SearchStrategy[Event] = sends(wiring, time_ns=time_ns, **kinds)
        if happenings:
            what |= st.builds(Happening, actions(wiring), st.just(time_ns))
        found.append(draw(what))
        time_ns += draw(st.sampled_from(GAPS_NS))
    return found


@st.composite
def changes(draw: st.DrawFn, /, lab: Lab) -> str:
    """Changes of one setting of a lab, as text like ``portgroup.Prod.forged_transmits=accept``.

    Whether the lab can be like that, it says itself when the change is made: LabError.
    """
    kind = draw(st.sampled_from([kind for kind in CHANGED if _names(lab, kind)]))
    name = draw(st.sampled_from(_names(lab, kind)))
    values = {key: value for key, value in typed(CHANGED[kind]).items() if key not in NESTED}
    key = draw(st.sampled_from(sorted(values)))
    return f"{name}.{key}={_text(draw(values[key]))}"


def _names(lab: Lab, kind: str) -> list[str]:
    """The things of a kind, as settings name them."""
    if kind == "options":
        return ["options"]
    if kind == "vm":
        return [f"vm.{name}" for name, vm in _below(lab.data, "vms") if "vnics" not in (vm or {})]
    switches = [both for _, host in _below(lab.data, "hosts") for both in _below(host, "vswitches")]
    if kind == "vswitch":
        return sorted({f"vswitch.{name}" for name, _ in switches})
    return sorted({f"portgroup.{name}" for _, switch in switches for name, _ in _below(switch, "portgroups")})


def _below(data: Any, name: str) -> list[tuple[str, Any]]:
    """The names below a key of a lab's data, and what they hold; none where the key, or its value, is not there."""
    return list(((data or {}).get(name) or {}).items())


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"[{', '.join(map(_text, value))}]" if isinstance(value, list) else str(value)


def _addresses(wiring: Wiring, here: Port) -> tuple[list[Mac], list[Mac]]:
    """The port's own addresses, as its guest and the platform see them, and those of others; a stranger at uplinks."""
    stranger = Mac("02:00:00:00:00:fe")
    own: list[Mac] = []
    others: list[Mac] = []
    for port in wiring.ports:
        if not port.uplink:
            found = [mac for mac in (port.effective_mac, port.initial_mac) if mac]
            (own if port.name == here.name else others).extend(found)
    return list(dict.fromkeys(own)) or [stranger], list(dict.fromkeys(others)) or [stranger]

"""The drawing of a lab: hosts, their switches with port groups on the left and uplinks on the right, and the chains.

Port groups of one VLAN have one colour. Ports of a port group with like chains stand together, their chains once
below them; of many only the first are drawn and the others counted. A team is drawn once for all its port groups.
Where there is a physical network its switches stand at the right of the hosts, with cables as lines.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import ceil, log
from typing import Any, Final

from attrs import define, evolve, field, frozen

from iochain.chain import PortKind
from iochain.frame import ALL_VLANS
from iochain.topology.outline import (
    Alike,
    CableOutline,
    Group,
    HostOutline,
    PhysicalOutline,
    SwitchOutline,
    UplinkEnd,
    Use,
    cable_outlines,
    description_of,
    outline,
    physical_outline,
    title_of,
)
from iochain.topology.picture import INK, MUTED, PAPER, Box, Line, Picture, text_width
from iochain.topology.spec import LoadBalancing
from iochain.topology.wiring import Wiring

TEAMING: Final = {
    LoadBalancing.PORT_ID: "by originating port",
    LoadBalancing.SOURCE_MAC: "by source MAC",
    LoadBalancing.IP_HASH: "by IP hash",
    LoadBalancing.EXPLICIT: "explicit failover",
    LoadBalancing.NONE: "none",
}


def draw(wiring: Wiring) -> str:
    """The lab as the text of an SVG file; the same lab gives the same text."""
    return picture(wiring).svg()


def picture(wiring: Wiring) -> Picture:
    """The drawing of a lab before it is text."""
    hosts = outline(wiring)
    switches = [switch for host in hosts for switch in host.switches]
    vlans = sorted({group.vlan for switch in switches for group in switch.groups})
    columns = _Columns(_group_width(switches), _switch_width(switches), _uplink_width(switches))
    physical, cables = physical_outline(wiring), cable_outlines(wiring)
    whole = Picture(title_of(hosts, physical, len(cables)), description_of(hosts, physical, cables))
    sheet = _Sheet(whole, columns, _colours(vlans))
    if physical or cables:
        _place_beside(hosts, physical, cables, sheet)
    else:
        _place(hosts, sheet)
    return sheet.picture


# fmt: off
_COLOURS = (
    "#1f5fa8", "#a84e17", "#1f7a4d", "#8a3fa0", "#a3243b", "#0f7285", "#7a6200", "#5a4fcf", "#5b7510", "#8c4a2f",
)
# fmt: on
_UNTAGGED, _GUESTS_TAG = "#4a5563", "#222a35"
_GROUND, _HOST_FILL, _SWITCH_FILL, _CHIP_FILL, _EDGE = "#f4f6f9", "#e6ebf2", "#cfd8e5", "#edf1f6", "#b4bfce"
_UP, _DOWN = "#1a6b43", "#a8231b"
_LARGE, _SIZE, _SMALL, _TINY = 15, 13, 11, 10
_ROW, _HEAD, _LINE, _CHIP, _PAD, _GAP, _MARGIN = 20, 26, 16, 16, 10, 14, 20
_NARROW, _WIDE = 280, 440
_BAR, _WIDE_BAR, _TEAM = 120, 220, 216
_STUB, _SPREAD = 40, 90
"""Room for lines: from ports to a switch and from it to its teams, and from these to uplinks."""
_DIRECTION, _ARRIVAL = 42, 14
_SHAPE = 1.4
"""How much wider than high a drawing of many hosts should be."""
_CABLES = 110
"""Room for cables: between hosts and physical switches, and at the right of these."""
_LEGEND = "input: from port to switch · output: from switch to port · line to an uplink: active; dashed: standby"
_CABLE_LEGEND = f"{_LEGEND}, or a cable that carries nothing"


@frozen
class _Columns:
    """How wide the columns of a host are, alike in all hosts."""

    group: float
    switch: float
    uplink: float

    @property
    def bar(self) -> float:
        """Where the switch begins, from the left of the port groups."""
        return self.group + _STUB

    @property
    def team(self) -> float:
        return self.bar + self.switch + _STUB

    @property
    def ends(self) -> float:
        return self.team + _TEAM + _SPREAD

    @property
    def host(self) -> float:
        return self.ends + self.uplink + 2 * _PAD


def _group_width(switches: Iterable[SwitchOutline]) -> float:
    """So wide that names and MACs have room, within limits."""
    width: float = _NARROW
    for switch in switches:
        for group in switch.groups:
            head = text_width(group.name, _SIZE, True) + text_width(group.vlan_text, _SMALL, True)
            rows = [
                text_width(port.name, _SIZE) + text_width(bundle.about(port), _SMALL)
                for bundle in group.bundles
                for port in bundle.drawn
            ]
            width = max(width, *rows, head) if rows else max(width, head)
    return ceil(min(width + 2 * _PAD + _GAP, _WIDE))


def _switch_width(switches: Iterable[SwitchOutline]) -> float:
    names = [text_width(switch.name, _SIZE, True) + 2 * _PAD for switch in switches]
    return ceil(min(max([_BAR, *names]), _WIDE_BAR))


def _uplink_width(switches: Iterable[SwitchOutline]) -> float:
    heads = [
        text_width(uplink.name, _SIZE, True) + text_width(uplink.state, _SMALL) + 2 * _PAD + _GAP
        for switch in switches
        for uplink in switch.uplinks
    ]
    return ceil(min(max([_NARROW * 0.9, *heads]), _WIDE))


def _colours(vlans: Iterable[int]) -> Mapping[int, str]:
    tagged = [vlan for vlan in vlans if 0 < vlan < ALL_VLANS]
    own = {vlan: _COLOURS[number % len(_COLOURS)] for number, vlan in enumerate(tagged)}
    return {0: _UNTAGGED, ALL_VLANS: _GUESTS_TAG, **own}


def _place(hosts: Sequence[HostOutline], sheet: "_Sheet") -> None:
    """Draw hosts in so many columns that the picture has a shape for screens."""
    width = sheet.columns.host
    heights = [_Sheet(Picture(), sheet.columns, sheet.colours).host(host, 0, 0) for host in hosts]

    def size(columns: int) -> tuple[float, float]:
        rows = [max(heights[at : at + columns]) for at in range(0, len(heights), columns)]
        return columns * (width + _GAP) - _GAP, sum(rows) + _GAP * (len(rows) - 1)

    def strangeness(columns: int) -> float:
        across, down = size(columns)
        cells = columns * ceil(len(hosts) / columns)
        return abs(log(across / down / _SHAPE)) + log(cells / len(hosts))

    columns = min(range(1, len(hosts) + 1), key=strangeness)
    across, down = size(columns)
    whole = sheet.picture
    whole.width, whole.height = across + 2 * _MARGIN, down + 2 * _MARGIN + _ROW
    whole.boxes.append(Box(0, 0, whole.width, whole.height, _GROUND, radius=0))
    y: float = _MARGIN
    for at in range(0, len(hosts), columns):
        for column, host in enumerate(hosts[at : at + columns]):
            sheet.host(host, _MARGIN + column * (width + _GAP), y)
        y += max(heights[at : at + columns]) + _GAP
    whole.label(_LEGEND, _MARGIN, whole.height - _MARGIN + _SMALL / 2, across, size=_SMALL, colour=MUTED)


def _place_beside(
    hosts: Sequence[HostOutline], physical: Sequence[PhysicalOutline], cables: Sequence[CableOutline], sheet: "_Sheet"
) -> None:
    """Draw hosts below each other, physical switches at their right, and cables between them."""
    whole, left = sheet.picture, sheet.columns.host + _CABLES
    ground = Box(0, 0, 0, 0, _GROUND, radius=0)
    whole.boxes.append(ground)
    y: float = _MARGIN
    for host in hosts:
        y += sheet.host(host, _MARGIN, y) + _GAP
    width, down = _physical_width(physical), float(_MARGIN)
    for switch in physical:
        down += sheet.physical(switch, _MARGIN + left, down, width) + _GAP
    for number, cable in enumerate(cables):
        sheet.cable(cable, _CABLES / 2 + number % 5 * 16)
    whole.width = left + width + 2 * _MARGIN + _CABLES * bool(cables)
    whole.height = max(y, down) + _MARGIN + _ROW
    whole.boxes[0] = evolve(ground, width=whole.width, height=whole.height)
    legend = _CABLE_LEGEND if cables else _LEGEND
    whole.label(legend, _MARGIN, whole.height - _MARGIN + _SMALL / 2, whole.width, size=_SMALL, colour=MUTED)


def _physical_width(physical: Iterable[PhysicalOutline]) -> float:
    rows = [
        text_width(end.port.name, _SIZE) + text_width(end.about, _SMALL)
        for switch in physical
        for bundle in switch.bundles
        for end in bundle.drawn
    ]
    return ceil(min(max([_NARROW, *rows]) + 2 * _PAD + _GAP, _WIDE))


@define
class _Sheet:
    """Draws one thing below the other; each method takes where to begin, and gives how high it became."""

    picture: Picture
    columns: _Columns
    colours: Mapping[int, str]
    ends: dict[str, tuple[float, float, float]] = field(factory=dict)
    """Where cables arrive, by port: left and right edge, and the line."""

    def host(self, host: HostOutline, x: float, y: float) -> float:
        """A host: its name, and its switches below each other."""
        under = len(self.picture.boxes)
        version = f"ESXi {host.version}"
        room = self.columns.host - 2 * _PAD - text_width(version, _SMALL) - _GAP
        name = self.picture.label(host.name, x + _PAD, y + 22, room, size=_LARGE, bold=True)
        self.picture.label(version, name.box[2] + _GAP, y + 22, room, size=_SMALL, colour=MUTED)
        height: float = 36
        for switch in host.switches:
            height += self.switch(switch, x + _PAD, y + height) + _GAP
        if not host.switches:
            self.picture.label("no switch", x + _PAD, y + height + _SMALL, room, size=_SMALL, colour=MUTED)
            height += _ROW + _GAP
        self.picture.boxes.insert(under, Box(x, y, self.columns.host, height, _HOST_FILL, _EDGE, 8))
        return height

    def switch(self, switch: SwitchOutline, x: float, y: float) -> float:
        """A switch as a bar between its port groups and its uplinks."""
        columns, under = self.columns, len(self.picture.boxes)
        bar = self._bar(switch, x + columns.bar, y)
        _, groups = self._stacked(switch.groups, self.group, x, y)
        teams, uses = self._stacked(switch.uses, self.use, x + columns.team, y)
        ends, nics = self._stacked(switch.uplinks, self.uplink, x + columns.ends, y)
        if not switch.groups:
            self._remark("no port group", x, y)
        if not switch.uplinks:
            self._remark("no uplink", x + columns.ends, y)
        arrivals = {uplink.port.name: top for uplink, top in zip(switch.uplinks, ends, strict=True)}
        for number, (use, top) in enumerate(zip(switch.uses, teams, strict=True)):
            self._team(use, x, top + _ARRIVAL, arrivals, _ARRIVAL + number % 4 * 7)
        height = max(bar, groups, uses, nics)
        self.picture.boxes.insert(under, Box(x + columns.bar, y, columns.switch, height, _SWITCH_FILL, _EDGE))
        return height

    def group(self, group: Group, x: float, y: float) -> float:
        """A port group: its VLAN, its ports, and the chains of these."""
        under, width, colour = len(self.picture.boxes), self.columns.group, self.colours[group.vlan]
        self._head(group.name, group.vlan_text, x, y, colour)
        height: float = _HEAD
        for bundle in group.bundles:
            height += self._bundle(bundle, x, y + height, colour)
        if not group.bundles:
            self._remark("no port", x + _PAD, y + height)
            height += _ROW
        self.picture.boxes.insert(under, Box(x, y, width, height + 4, PAPER, colour))
        return height + 4

    def use(self, use: Use, x: float, y: float) -> float:
        """A team: how it chooses, and for whom among which uplinks."""
        height = _ROW + _LINE * len(use.lines) + 6
        self.picture.boxes.append(Box(x, y, _TEAM, height, PAPER, self._colour_of(use)))
        room = _TEAM - 2 * _PAD
        self.picture.label(f"teaming {TEAMING[use.kind]}", x + _PAD, y + 16, room, size=_SMALL, bold=True)
        for number, line in enumerate(use.lines, 1):
            self.picture.label(line, x + _PAD, y + 17 + number * _LINE, room, size=_SMALL, colour=MUTED)
        return height

    def uplink(self, uplink: UplinkEnd, x: float, y: float) -> float:
        """An uplink: link, speed, MAC, chains."""
        under, width = len(self.picture.boxes), self.columns.uplink
        self._right(uplink.state, x, y + 18, width, colour=_UP if uplink.up else _DOWN)
        room = width - 2 * _PAD - _GAP - text_width(uplink.state, _SMALL)
        self.picture.label(uplink.name, x + _PAD, y + 18, room, size=_SIZE, bold=True)
        mac = str(uplink.port.effective_mac)
        self.picture.label(mac, x + _PAD, y + 34, width - 2 * _PAD, size=_SMALL, colour=MUTED)
        self.ends[uplink.port.name] = (x + width, x + width, y + 14)
        height = 42 + self._chains(uplink.input, uplink.output, x, y + 42, width)
        self.picture.boxes.insert(under, Box(x, y, width, height, PAPER, INK if uplink.up else _DOWN))
        return height

    def physical(self, switch: PhysicalOutline, x: float, y: float, width: float) -> float:
        """A physical switch: its ports row by row, the chains of like ones below them."""
        under, room = len(self.picture.boxes), width - 2 * _PAD
        self._right(f"MTU {switch.mtu}", x, y + 20, width)
        head = room - _GAP - text_width(f"MTU {switch.mtu}", _SMALL)
        self.picture.label(switch.name, x + _PAD, y + 20, head, size=_LARGE, bold=True)
        height = 32 + self._chips(switch.stages, x + _PAD, y + 32, room) + 4
        for bundle in switch.bundles:
            for end in bundle.drawn:
                self._right(end.about, x, y + height + 14, width, colour=MUTED)
                left = room - _GAP - text_width(end.about, _SMALL)
                self.picture.label(end.port.name, x + _PAD, y + height + 14, left, size=_SIZE)
                self.ends[end.port.name] = (x, x + width, y + height + _ROW / 2)
                height += _ROW
            if bundle.more:
                text = f"… and {bundle.more:,} more without link" if bundle.drawn else f"… and {bundle.more:,} more"
                self.picture.label(text, x + _PAD, y + height + 14, room, size=_SIZE, colour=MUTED)
                height += _ROW
            height += self._chains(bundle.input, bundle.output, x, y + height, width) + 4
        self.picture.boxes.insert(under, Box(x, y, width, height, _SWITCH_FILL, INK, 8))
        return height

    def cable(self, cable: CableOutline, bulge: float) -> None:
        """A cable: across, or between two ports on one side by way of a bulge at their right."""
        a, b = self.ends[cable.a], self.ends[cable.b]
        colour = _DOWN if cable.is_idle else INK
        if (a[1] < b[0]) != (b[1] < a[0]):
            start, end = (a, b) if a[1] < b[0] else (b, a)
            self.picture.lines.append(Line(start[1], start[2], end[0], end[2], colour, cable.is_idle))
        else:
            self.picture.lines.append(Line(a[1], a[2], b[1], b[2], colour, cable.is_idle, bulge=bulge))

    # -- parts of these

    def _stacked(
        self, things: Iterable[Any], draw_one: Callable[[Any, float, float], float], x: float, y: float
    ) -> tuple[list[float], float]:
        """Things below each other: where each begins, and how high they are together."""
        tops: list[float] = []
        height: float = 0
        for thing in things:
            height += _GAP if tops else 0
            tops.append(y + height)
            height += draw_one(thing, x, y + height)
        return tops, height

    def _bar(self, switch: SwitchOutline, x: float, y: float) -> float:
        room = self.columns.switch - 2 * _PAD
        self.picture.label(switch.name, x + _PAD, y + 18, room, size=_SIZE, bold=True)
        self.picture.label(f"MTU {switch.mtu}", x + _PAD, y + 36, room, size=_SMALL)
        return 46 + self._chips(switch.stages, x + _PAD, y + 46, room) + 4

    def _head(self, name: str, vlan: str, x: float, y: float, colour: str) -> None:
        width = self.columns.group
        self.picture.boxes.append(Box(x, y, width, _HEAD, colour))
        self._right(vlan, x, y + 18, width, colour=PAPER, bold=True)
        room = width - 2 * _PAD - _GAP - text_width(vlan, _SMALL, True)
        self.picture.label(name, x + _PAD, y + 18, room, size=_SIZE, bold=True, colour=PAPER)

    def _bundle(self, bundle: Alike, x: float, y: float, colour: str) -> float:
        """Like ports row by row, each with its line to the switch, and their chains."""
        width, height = self.columns.group, 4.0
        for port in bundle.drawn:
            about = bundle.about(port)
            self._right(about, x, y + height + 14, width, colour=MUTED)
            room = width - 2 * _PAD - _GAP - text_width(about, _SMALL)
            bold = port.kind is PortKind.VMKERNEL
            self.picture.label(port.name, x + _PAD, y + height + 14, room, size=_SIZE, bold=bold)
            self._to_switch(x, y + height + _ROW / 2, colour, dashed=not bundle.connected)
            height += _ROW
        if bundle.more:
            text = f"… and {bundle.more:,} more"
            self.picture.label(text, x + _PAD, y + height + 14, width - 2 * _PAD, size=_SIZE, colour=MUTED)
            self._to_switch(x, y + height + _ROW / 2, colour, width=3)
            height += _ROW
        return height + self._chains(bundle.input, bundle.output, x, y + height, width)

    def _to_switch(self, x: float, y: float, colour: str, dashed: bool = False, width: float = 1.6) -> None:
        self.picture.lines.append(Line(x + self.columns.group, y, x + self.columns.bar, y, colour, dashed, width))

    def _chains(self, entering: Sequence[str], leaving: Sequence[str], x: float, y: float, width: float) -> float:
        """The chains of a port as chips: input above output."""
        height = 2.0
        for name, stages in (("input", entering), ("output", leaving)):
            self.picture.label(name, x + _PAD, y + height + 12, _DIRECTION, size=_TINY, colour=MUTED)
            at = x + _PAD + _DIRECTION
            height += self._chips(stages, at, y + height, width - 2 * _PAD - _DIRECTION)
        return height + 4

    def _chips(self, stages: Sequence[str], x: float, y: float, room: float) -> float:
        """Stages one after the other, in as many rows as it takes."""
        at, row = x, y
        for stage in stages or ("(nothing)",):
            width = min(text_width(stage, _TINY) + 10, room)
            if at + width > x + room:
                at, row = x, row + _CHIP + 4
            self.picture.boxes.append(Box(at, row, width, _CHIP, _CHIP_FILL, _EDGE, 3))
            self.picture.label(stage, at + 5, row + 12, room - 10, size=_TINY)
            at += width + 4
        return row - y + _CHIP + 4

    def _team(self, use: Use, x: float, y: float, tops: Mapping[str, float], arrival: float) -> None:
        """Lines from the switch to a team, and from it to its active and standby uplinks."""
        colour, columns = self._colour_of(use), self.columns
        self.picture.lines.append(Line(x + columns.bar + columns.switch, y, x + columns.team, y, colour))
        for names, dashed in ((use.active, False), (use.standby, True)):
            for name in names:
                if name in tops:
                    end = tops[name] + arrival
                    self.picture.lines.append(Line(x + columns.team + _TEAM, y, x + columns.ends, end, colour, dashed))

    def _colour_of(self, use: Use) -> str:
        """The colour of its port groups, if they have one."""
        found = {self.colours[group.vlan] for group in use.groups}
        return found.pop() if len(found) == 1 else INK

    def _right(self, text: str, x: float, y: float, width: float, **style: Any) -> None:
        """A small text that ends at the right of a box."""
        room = width - 2 * _PAD
        self.picture.label(text, x + width - _PAD, y, room, size=_SMALL, is_right=True, **style)

    def _remark(self, text: str, x: float, y: float) -> None:
        self.picture.label(text, x, y + 15, _NARROW, size=_SMALL, colour=MUTED)

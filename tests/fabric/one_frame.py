"""Frames for the stages of physical switches, and one frame's way through a whole wiring, stage by stage, no engine."""

import struct
from collections import deque

from attrs import define, field

from iochain import Lab
from iochain.batch import batch_of
from iochain.chain import Chain, Drop, Port, PortKind, Ports, Reason, Verdict
from iochain.frame import Frame, Mac, Notes
from iochain.kernels.parse import parse
from iochain.kernels.rows import FROM_UPLINK, NO_TAG
from iochain.topology.wiring import Wiring

A, B, C = Mac("00:50:56:00:00:0a"), Mac("00:50:56:00:00:0b"), Mac("00:50:56:00:00:0c")
GROUP = Mac("01:00:5e:00:00:01")
EVERYONE = Mac("ff:ff:ff:ff:ff:ff")
PORT = Port("sw1.1", 7, 1, PortKind.PHYSICAL, "", "sw1")
BPDU = (Mac("01:80:c2:00:00:00"), b"\x00\x26\x42\x42\x03" + bytes(35))
PVST = (Mac("01:00:0c:cc:cc:cd"), b"\x00\x32\xaa\xaa\x03\x00\x00\x0c\x01\x0b" + bytes(42))
LLDP = (Mac("01:80:c2:00:00:0e"), b"\x88\xcc" + bytes(44))


def data(
    destination: int = B, source: int = A, tci: int | None = None, rest: bytes = b"\x08\x00", size: int = 60
) -> bytes:
    """An Ethernet frame, padded with zeros to ``size`` bytes (the tag not counted)."""
    tag = b"" if tci is None else struct.pack(">HH", 0x8100, tci)
    head = int(destination).to_bytes(6, "big") + int(source).to_bytes(6, "big")
    return head + tag + rest + bytes(max(0, size - 12 - len(rest)))


def frame_of(raw: bytes, entry: Port | None = None, tag: int | None = None) -> Frame:
    """What a stage sees of a frame that came in by a port, with this tag in the place of its own."""
    batch = batch_of([(raw, 0)])
    if entry is not None:
        batch.rows["entry"] = entry.number
        batch.rows["flags"] = FROM_UPLINK if entry.uplink else 0
    (words,) = parse(batch.rows).tolist()
    return Frame(words, Notes(), tag=tag)


def frame(
    destination: int = B, source: int = A, tci: int | None = None, rest: bytes = b"\x08\x00", size: int = 60
) -> Frame:
    """:func:`data` as a frame."""
    return frame_of(data(destination, source, tci, rest, size))


@define
class Way:
    """What became of a frame: ports with the tag that each got, drops by port, and how many ports it entered."""

    delivered: list[tuple[str, int]] = field(factory=list)
    dropped: list[tuple[str, Reason]] = field(factory=list)
    entered: list[str] = field(factory=list)

    @property
    def ports(self) -> list[str]:
        """The ports that got it, sorted."""
        return sorted(port for port, _ in self.delivered)


def across(wiring: Wiring, raw: bytes, at: str) -> Way:
    """Send one frame, and follow all copies of it over all cables; what stages learn is written at once."""
    way = Way()
    first = frame_of(raw)
    coming = deque([(wiring.port(at), first.carried_tag)])
    while coming:
        port, tag = coming.popleft()
        assert port.name not in way.entered, f"a second copy came in by {port.name}"
        way.entered.append(port.name)
        for out, switched in _switched(wiring, port, frame_of(raw, port, tag), way):
            left = _through(wiring.chain(out.name, "output"), frame_of(raw, port, switched), out)
            if isinstance(left, Drop):
                way.dropped.append((out.name, left.reason))
                continue
            assert isinstance(left, Frame)
            cable = wiring.fabric.cable_at(out.number)
            if cable is None:
                way.delivered.append((out.name, left.carried_tag))
            else:
                coming.append((wiring.ports[cable.other(out.number)], left.carried_tag))
    return way


def _switched(wiring: Wiring, port: Port, frame: Frame, way: Way) -> list[tuple[Port, int]]:
    """The ports that a switch sends a frame to, with its tag."""
    entered = _through(wiring.chain(port.name, "input"), frame, port)
    node = wiring.switch_node(port.name)
    chosen = _through(wiring.switch_chain(node), entered, port) if isinstance(entered, Frame) else entered
    for table, key, answer in frame.notes.writes:
        table.set(key, answer)
    if isinstance(chosen, Drop):
        way.dropped.append((port.name, chosen.reason))
        return []
    assert isinstance(chosen, Ports)
    assert isinstance(entered, Frame)
    names = set(wiring.forwarding(node).group(chosen.group)) - {chosen.except_} if chosen.group else set()
    teams = {team.name for team in wiring.teams()}
    for name in chosen.ports:
        if name in teams:
            uplinks = _through(wiring.team_chain(name), entered, port)
            names |= set(uplinks.ports) if isinstance(uplinks, Ports) else set()
        else:
            names.add(name)
    if not names:
        way.dropped.append((port.name, Reason.NO_PORT))
    tag = entered.carried_tag if chosen.tag is None else chosen.tag
    return [(port, tag) for port in wiring.ports if port.name in names]


def _through(chain: Chain, frame: Frame, port: Port) -> Verdict:
    """Through the header stages of a chain."""
    verdict: Verdict = frame
    for element in chain:
        if not element.is_batch:
            verdict = element.stage(verdict, port)
            if not isinstance(verdict, Frame):
                return verdict
    return verdict


def untagged(way: Way) -> bool:
    """Whether all copies were delivered without tag."""
    return all(tag == NO_TAG for _, tag in way.delivered)


def two_hosts(**switch: object) -> Lab:
    """A VM on each of two hosts, behind one physical switch of eight ports."""
    lab = Lab()
    for number in (1, 2):
        prod = lab.host(f"esx{number}").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod", vlan=10)
        prod.vm(f"vm{number}", mac=f"00:50:56:00:00:0{number}")
        lab.cable(f"esx{number}.vmnic0", f"sw1.{number}")
    lab.physical_switch("sw1", count=8, **switch)
    return lab

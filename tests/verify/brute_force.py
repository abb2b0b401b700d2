"""Statements tried on every frame of a small universe, by the plain engine, with a meaning of statements of its own.

It shares nothing with :mod:`iochain.verify` but the values that statements are: frames are read byte by byte here.
"""

from collections.abc import Iterator, Sequence

from iochain.batch import batch_of
from iochain.chain import Port, PortKind
from iochain.engine.network import Engine, Network
from iochain.lab import Lab
from iochain.topology.wiring import Wiring
from iochain.verify.conditions import Condition, Span
from iochain.verify.statements import Isolated, Never, NoSpoofing, Only, Reaches, Rule

OUTSIDE, BROADCAST, GROUP = 0x0200000000AA, (1 << 48) - 1, 0x01005E000001
PLAIN = bytes.fromhex("88b5")
IPV4 = bytes.fromhex("0800 4500001c00000000401166cf0a0000010a000002 0400005000080000")
IPV4_ODD = bytes.fromhex("0800 4500001c00000000401166ce0a0000010a000003 0400005000080000")
CONTENTS = (PLAIN, IPV4, IPV4_ODD)
GAP_NS = 1000 * 10**9
Sent = tuple[int, bytes]
Delivery = tuple[int, bytes]


def universe(wiring: Wiring) -> list[Sent]:
    """Every frame of the universe, with its sender."""
    macs = [int(port.effective_mac) for port in wiring.ports if port.effective_mac]
    vlans = sorted({port.vlan for port in wiring.ports if port.vlan})[:4]
    tags = [None, 0, *vlans, *({5, 4095} - set(vlans))]
    found = []
    for port in wiring.ports:
        own = [int(mac) for mac in {port.effective_mac, port.initial_mac} if mac]
        others = [mac for mac in macs if mac not in own][:2]
        for source in dict.fromkeys([*own, *others, OUTSIDE]):
            for destination in dict.fromkeys([*macs, OUTSIDE, BROADCAST, GROUP]):
                for tag in tags:
                    contents = CONTENTS if destination in (OUTSIDE, BROADCAST) and source in own else CONTENTS[:1]
                    found += [(port.number, frame(destination, source, tag, content)) for content in contents]
    return found


def frame(destination: int, source: int, tag: int | None, content: bytes) -> bytes:
    tagged = b"" if tag is None else b"\x81\x00" + tag.to_bytes(2, "big")
    return destination.to_bytes(6, "big") + source.to_bytes(6, "big") + tagged + content


def delivered(wiring: Wiring, sent: Sequence[Sent]) -> list[list[Delivery]]:
    """The copies of each frame."""
    network = Network.of(wiring, engine=Engine.PLAIN)
    batch = batch_of((data, (number + 1) * GAP_NS) for number, (_, data) in enumerate(sent))
    batch.rows["port"] = [port for port, _ in sent]
    copies = network.run(batch).delivered
    network.restore()
    found: list[list[Delivery]] = [[] for _ in sent]
    for index in range(len(copies)):
        number = int(copies.rows["order"][index]) - 1
        found[number].append((int(copies.rows["port"][index]), copies.frame_bytes(index)))
    return found


def is_broken(rule: Rule, lab: Lab, sent: Sequence[Sent], copies: Sequence[list[Delivery]]) -> bool:
    """Whether a frame of the universe, or one that is to arrive, breaks a rule."""
    if isinstance(rule, Reaches):
        return any(unmet(rule, lab.wiring))
    ports = lab.wiring.ports
    return any(
        breaks(rule, ports, sender, data, where, copy)
        for (sender, data), arrived in zip(sent, copies, strict=True)
        for where, copy in arrived
    )


def breaks(rule: Rule, ports: Sequence[Port], sender: int, data: bytes, where: int, copy: bytes) -> bool:
    """Whether one delivery is what a rule forbids."""
    match rule:
        case Isolated(a=a, b=b):
            return (sender in a and where in b) or (sender in b and where in a)
        case Never(at=at, source=source, frames=frames, sent=sent):
            return where in at and sender in source and like(copy, frames) and like(data, sent)
        case NoSpoofing(ports=own, macs=macs):
            source_mac = int.from_bytes(data[6:12], "big")
            return sender in own and source_mac not in macs and source_mac != int(ports[sender].initial_mac or 0)
        case Only(vlans=vlans, at=at):
            return where in at and vlan_of(copy) not in vlans
    raise AssertionError(rule)


def unmet(rule: Reaches, wiring: Wiring) -> Iterator[bool]:
    """Of each frame that is to arrive whether it does not."""
    for a in rule.source:
        for b in rule.to - {a}:
            sender, receiver = wiring.ports[a], wiring.ports[b]
            for data in natural(sender, receiver):
                if like(data, rule.frames):
                    ((*copies,),) = delivered(wiring, [(a, data)])
                    yield b not in [where for where, _ in copies]


def natural(sender: Port, receiver: Port) -> list[bytes]:
    """Frames as the sender's guest would send them to the receiver."""
    source = OUTSIDE if sender.uplink else int(sender.effective_mac or 0)
    destination = OUTSIDE + 1 if receiver.uplink else int(receiver.effective_mac or 0)
    tags: list[int | None] = [None]
    if sender.kind is PortKind.UPLINK or sender.vlan == 4095:
        tags = [None, 1] if receiver.vlan == 4095 else [receiver.vlan or None]
    return [frame(destination, source, tag, content) for tag in tags for content in CONTENTS]


def like(data: bytes, condition: Condition) -> bool:
    """Whether a frame is as a condition says, for the few fields that random statements name."""
    values = {
        "destination": int.from_bytes(data[:6], "big"),
        "source": int.from_bytes(data[6:12], "big"),
        "vlan": vlan_of(data),
        "ethertype": int.from_bytes(data[16:18] if is_tagged(data) else data[12:14], "big"),
    }
    if condition.tagged is not None and is_tagged(data) != condition.tagged:
        return False
    return all(any(one_of(values[name], span) for span in spans) for name, spans in condition.fields.items())


def one_of(value: int, span: Span) -> bool:
    return span.low <= value & span.mask <= span.high


def is_tagged(data: bytes) -> bool:
    return data[12:14] == b"\x81\x00"


def vlan_of(data: bytes) -> int:
    return int.from_bytes(data[14:16], "big") & 0x0FFF if is_tagged(data) else 0

"""Stages of one's own in a lab, of each kind, under both engines; and what happens where one is at fault."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from attrs import frozen
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from iochain import Lab
from iochain.batch import EMPTY, Batch, Instant, Waiting, batch_of, joined
from iochain.chain import Drop, Passed, Port, Ports, Reason, Verdict
from iochain.engine.network import Engine, Network
from iochain.engine.walk import StageError
from iochain.frame import Frame, Mac, Table
from iochain.replay import Fate, fates_of

WEB, DB, OUTSIDE = "00:50:56:00:00:01", "00:50:56:00:00:02", "02:00:00:00:00:fe"
Sent = tuple[str, bytes, int]  # port, bytes, time in ns

pytestmark = pytest.mark.parametrize("engine", Engine)


def lab_of_two() -> Lab:
    lab = Lab()
    prod = (
        lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod", vlan=10, forged_transmits="accept")
    )
    prod.vm("web", mac=WEB)
    prod.vm("db", mac=DB)
    return lab


def frame(destination: str = DB, source: str = WEB, rest: bytes = b"\x88\xb5" + bytes(46)) -> bytes:
    return bytes.fromhex((destination + source).replace(":", "")) + rest


def run(lab: Lab, sent: Sequence[Sent], engine: Engine, cuts: Sequence[int] = ()) -> list[Fate]:
    """What becomes of frames, run in windows that end before the frames with these numbers (from 0)."""
    wiring = lab.start().wiring
    network = Network.of(wiring, engine=engine)
    batch = batch_of([(data, time_ns) for _, data, time_ns in sent])
    batch.rows["port"] = [wiring.port(at).number for at, _, _ in sent]
    fates: list[Fate] = []
    begin = 0
    for end in cuts:
        until = Instant(sent[end][2], int(batch.rows["order"][end]))
        fates += fates_of(wiring, network.run(batch[begin:end], until))
        begin = end
    fates += fates_of(wiring, network.run(batch[begin:]))
    network.counters.check(network.held)
    assert network.held == 0
    return fates


def delivered(fates: Sequence[Fate]) -> list[tuple[int, str]]:
    """Numbers of delivered frames, and where."""
    return [(fate.frame, fate.port) for fate in fates if fate.dropped is None]


def dropped(fates: Sequence[Fate]) -> list[tuple[int, str, str]]:
    """Numbers of dropped frames, at which stage, by which rule."""
    return [(f.frame, f.dropped.stage, f.dropped.drop.rule) for f in fates if f.dropped is not None]


# -- header stages


def no_echo(frame: Frame, port: Port) -> Verdict:
    return Drop(Reason.STAGE, "echo") if frame.source == port.effective_mac else frame


@frozen
class OnlyTo:
    mac: Mac

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        return frame if frame.destination == self.mac else Drop(Reason.STAGE, f"not to {self.mac}")


def test_a_function_is_a_stage(engine: Engine) -> None:
    lab = lab_of_two()
    lab.port("db").output.insert(no_echo, before="vlan")
    stages = "reverse path → no_echo → vlan → receive filter → large split → checksum"
    assert str(lab.port("db").output) == f"output of db: {stages}"
    fates = run(lab, [("web", frame(), 0), ("web", frame(source=DB), 1), ("web", frame(), 2)], engine)
    assert delivered(fates) == [(1, "db"), (3, "db")]
    assert dropped(fates) == [(2, "no_echo", "echo")]


def test_what_is_asked_as_text_is_told_apart(engine: Engine) -> None:
    def only_db(frame: Frame, port: Port) -> Verdict:
        return frame if str(frame.destination) == DB else Drop(Reason.STAGE, f"to {frame.destination}")

    lab = lab_of_two()
    lab.port("web").input.insert(only_db)
    fates = run(lab, [("web", frame(), 0), ("web", frame(OUTSIDE), 1), ("web", frame("02:00:00:00:00:77"), 2)], engine)
    assert delivered(fates) == [(1, "db")]
    assert dropped(fates) == [(2, "only_db", f"to {OUTSIDE}"), (3, "only_db", "to 02:00:00:00:00:77")]


def test_an_object_is_a_stage(engine: Engine) -> None:
    lab = lab_of_two()
    lab.port("web").input.insert(OnlyTo(Mac(DB)), name="only db")
    fates = run(lab, [("web", frame(), 0), ("web", frame(OUTSIDE), 1)], engine)
    assert delivered(fates) == [(1, "db")]
    assert dropped(fates) == [(2, "only db", f"not to {DB}")]


def test_a_stage_changes_the_tag(engine: Engine) -> None:
    lab = lab_of_two()
    lab.port("web").input.insert(lambda frame, port: frame.with_tci(5 << 13 | 10), name="mark", after="vlan")
    (fate,) = run(lab, [("web", frame(OUTSIDE), 0)], engine)
    assert (fate.port, fate.data[12:16]) == ("vmnic0", b"\x81\x00\xa0\x0a")


def test_a_stage_makes_a_tag_of_a_field(engine: Engine) -> None:
    def by_protocol(frame: Frame, port: Port) -> Verdict:
        assert frame.ipv4 is not None
        return frame.on_vlan(frame.ipv4.protocol)

    lab = lab_of_two()
    lab.port("web").input.insert(by_protocol)
    packets = [Ether(src=WEB, dst=OUTSIDE) / IP(proto=number) for number in (6, 17, 6)]
    fates = run(lab, [("web", bytes(packet), 1000 * i) for i, packet in enumerate(packets)], engine)
    assert [fate.data[14:16] for fate in fates] == [b"\0\x06", b"\0\x11", b"\0\x06"]


def test_a_stage_chooses_ports(engine: Engine) -> None:
    lab = lab_of_two()
    lab.port("web").input.insert(lambda frame, port: Ports(("vmnic0", "db", "db")), name="mirror")
    assert sorted(delivered(run(lab, [("web", frame(), 0)], engine))) == [(1, "db"), (1, "vmnic0")]


def test_no_ports_at_all_are_a_drop_with_its_place(engine: Engine) -> None:
    lab = lab_of_two()
    lab.port("web").input.insert(lambda frame, port: Ports(()), name="nowhere")
    (fate,) = run(lab, [("web", frame(), 0)], engine)
    assert fate.dropped is not None
    assert (fate.port, fate.dropped.where, fate.dropped.stage) == ("web", "web → vSwitch0", "nowhere")
    assert fate.dropped.drop == Drop(Reason.NO_PORT)


def test_removed_replaced_moved(engine: Engine) -> None:
    lab = lab_of_two()
    output = lab.port("db").output
    output.insert(no_echo)
    output.replace("no_echo", OnlyTo(Mac(WEB)))
    output.move("no_echo", before="reverse path")
    output.remove("receive filter")
    assert output.names == ["no_echo", "reverse path", "vlan", "large split", "checksum"]
    assert dropped(run(lab, [("web", frame(), 0)], engine)) == [(1, "no_echo", f"not to {WEB}")]


def test_an_edit_holds_in_every_network_and_in_labs_made_of_it(engine: Engine) -> None:
    lab = lab_of_two()
    lab.port("web").input.insert(OnlyTo(Mac(DB)))
    for one in (lab, lab, lab.with_settings(["portgroup.Prod.vlan=20"])):
        assert delivered(run(one, [("web", frame(OUTSIDE), 0)], engine)) == []
        assert delivered(run(one, [("web", frame(), 0)], engine)) == [(1, "db")]
    lab.port("web").input.remove("only to")
    assert delivered(run(lab, [("web", frame(OUTSIDE), 0)], engine)) == [(1, "vmnic0")]


# -- functions of a Scapy packet

PACKET = Ether(dst=DB, src=WEB) / IP(src="10.0.0.1", dst="10.0.0.2", ttl=64) / UDP() / Raw(b"payload")


def one_hop_less(packet: Packet) -> Packet:
    packet[IP].ttl -= 1
    del packet[IP].chksum
    return packet


def longer(packet: Packet) -> Packet:
    return packet / Raw(b"and more")


def only_udp(packet: Packet) -> Packet | None:
    return packet if UDP in packet else None


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda packet: packet, bytes(PACKET)),
        (lambda packet: True, bytes(PACKET)),
        (one_hop_less, bytes(one_hop_less(Ether(bytes(PACKET))))),
        (longer, bytes(PACKET) + b"and more"),
        (lambda packet: bytes(packet)[:14], bytes(PACKET)[:14]),
        (only_udp, bytes(PACKET)),
        (lambda packet: None, None),
        (lambda packet: False, None),
    ],
)
def test_a_function_of_a_packet(function: Any, expected: bytes | None, engine: Engine) -> None:
    lab = lab_of_two()
    lab.port("web").input.insert(function, name="mine", before="vlan")
    fates = run(lab, [("web", bytes(PACKET), 0), ("web", bytes(PACKET), 5)], engine)
    if expected is None:
        assert [number for number, stage, _ in dropped(fates) if stage == "mine"] == [1, 2]
    else:
        assert [(fate.frame, fate.port, fate.data) for fate in fates] == [(1, "db", expected), (2, "db", expected)]


def test_a_packet_without_payload_is_given_back_unchanged(engine: Engine) -> None:
    lab = lab_of_two()
    lab.port("web").input.insert(lambda packet: packet, name="mine", before="vlan")
    assert delivered(run(lab, [("web", frame(rest=b"\x88\xb5"), 0)], engine)) == [(1, "db")]


def test_a_function_of_a_packet_sees_the_tag_and_may_change_it(engine: Engine) -> None:
    seen: list[bytes] = []

    def retag(packet: Packet) -> bytes:
        data = bytes(packet)
        seen.append(data)
        return data[:14] + b"\x60\x0a" + data[16:]

    lab = lab_of_two()
    lab.port("web").input.insert(retag)
    (fate,) = run(lab, [("web", frame(OUTSIDE), 0)], engine)
    assert [data[12:16] for data in seen] == [b"\x81\x00\x00\x0a"]
    assert fate.data[12:16] == b"\x81\x00\x60\x0a"


# -- batch stages


@frozen
class Delay:
    """Holds each frame for a time."""

    ns: int

    def start(self) -> Waiting:
        return Waiting()

    def run(self, state: Waiting, batch: Batch, until: Instant) -> Passed:
        rows = batch.rows.copy()
        rows["time_ns"] += self.ns
        return Passed(state.release(Batch(rows, batch.pins), until))


@frozen
class Halves:
    """Splits each frame in two, of which the second has no bytes behind its EtherType."""

    def start(self) -> None:
        return None

    def run(self, state: None, batch: Batch, until: Instant) -> Passed:
        rows = np.repeat(batch.rows, 2)
        rows["part"][1::2] = 1
        rows["length"][1::2] = rows["wire_length"][1::2] = 14
        return Passed(Batch(rows, batch.pins), split=len(batch))


@frozen
class Pairs:
    """Merges each two frames into the second of them; what is over at the end goes on alone."""

    def start(self) -> list[Batch]:
        return []

    def run(self, state: list[Batch], batch: Batch, until: Instant) -> Passed:
        waiting = joined([*state, batch])
        state.clear()
        whole = len(waiting) // 2 * 2
        out = [waiting[1:whole:2]]
        if len(waiting) > whole:
            is_end = until == Instant(2**63 - 1, 2**63 - 1)
            (out if is_end else state).append(waiting[whole:])
        return Passed(joined(out), merged=whole // 2)


@frozen
class EverySecond:
    """Drops every second frame for one of two reasons."""

    def start(self) -> list[int]:
        return []

    def run(self, state: Any, batch: Batch, until: Instant) -> Passed:
        odd = batch.column("order") % 2 == 0
        lost = batch[odd]
        why = (np.arange(len(lost)) % 2).astype(np.int32)
        drops = (Drop(Reason.STAGE, "second"), Drop(Reason.STAGE, "fourth"))
        return Passed(batch[~odd], lost, why, drops)


SIX: list[Sent] = [("web", frame(), 100 * i) for i in range(6)]


@pytest.mark.parametrize("cuts", [(), (3,), (1, 2, 5)])
@pytest.mark.parametrize("chain", ["input", "output"])
def test_a_stage_that_holds(chain: str, cuts: Sequence[int], engine: Engine) -> None:
    lab = lab_of_two()
    getattr(lab.port("web" if chain == "input" else "db"), chain).insert(Delay(250))
    fates = run(lab, SIX, engine, cuts)
    assert [(fate.frame, fate.time_ns) for fate in fates] == [(i + 1, 100 * i + 250) for i in range(6)]


@pytest.mark.parametrize("cuts", [(), (3,)])
def test_a_stage_that_splits(cuts: Sequence[int], engine: Engine) -> None:
    lab = lab_of_two()
    lab.port("web").input.insert(Halves(), before="vlan")
    fates = run(lab, SIX[:4], engine, cuts)
    assert delivered(fates) == [(i, "db") for i in (1, 1, 2, 2, 3, 3, 4, 4)]
    assert [len(fate.data) for fate in fates] == [60, 14] * 4


@pytest.mark.parametrize("cuts", [(), (3,), (1, 2, 3, 4)])
def test_a_stage_that_merges(cuts: Sequence[int], engine: Engine) -> None:
    lab = lab_of_two()
    lab.port("web").input.insert(Pairs(), before="vlan")
    assert delivered(run(lab, SIX[:5], engine, cuts)) == [(2, "db"), (4, "db"), (5, "db")]


def test_a_batch_stage_that_drops(engine: Engine) -> None:
    lab = lab_of_two()
    lab.port("db").output.insert(EverySecond(), name="lossy")
    fates = run(lab, SIX, engine)
    assert delivered(fates) == [(1, "db"), (3, "db"), (5, "db")]
    assert dropped(fates) == [(2, "lossy", "second"), (4, "lossy", "fourth"), (6, "lossy", "second")]


def test_all_kinds_in_one_chain_on_several_ports(engine: Engine) -> None:
    lab = lab_of_two()
    web = lab.port("web").input
    web.insert(Delay(1000), before="vlan", name="delay")
    web.insert(longer, after="delay")
    web.insert(Halves(), after="longer")
    web.insert(no_echo, after="halves", name="never")
    web.remove("never")
    lab.port("db").output.insert(Delay(10))
    lab.port("db").input.insert(Halves())
    back = frame(WEB, DB)
    fates = run(lab, [("web", frame(), 0), ("db", back, 1), ("web", frame(), 2)], engine, cuts=(2,))
    assert [(fate.frame, fate.port, fate.time_ns, len(fate.data)) for fate in fates] == [
        (2, "web", 1, 60),
        (2, "web", 1, 14),
        (1, "db", 1010, 68),
        (1, "db", 1010, 14),
        (3, "db", 1012, 68),
        (3, "db", 1012, 14),
    ]


# -- learning


def test_a_stage_learns_in_the_order_of_frames(engine: Engine) -> None:
    seen: Table[int, bool] = Table("seen", False)

    def once(frame: Frame, port: Port) -> Verdict:
        if frame.ask(seen, frame.source):
            return Drop(Reason.STAGE, "seen before")
        frame.learn(seen, frame.source, answer=True)
        return frame

    lab = lab_of_two()
    lab.port("web").input.insert(once)
    sources = [WEB, WEB, DB, WEB, DB, OUTSIDE]
    fates = run(lab, [("web", frame("02:00:00:00:00:77", source), i) for i, source in enumerate(sources)], engine)
    assert delivered(fates) == [(1, "vmnic0"), (3, "vmnic0"), (6, "vmnic0")]
    assert [number for number, _, _ in dropped(fates)] == [2, 4, 5]


def test_two_stages_share_what_one_learned(engine: Engine) -> None:
    """What went out may come back: a firewall with memory."""
    talks: Table[tuple[int, int], bool] = Table("talks", False)

    def outwards(frame: Frame, port: Port) -> Verdict:
        frame.learn(talks, frame.destination, frame.source, answer=True)
        return frame

    def inwards(frame: Frame, port: Port) -> Verdict:
        return frame if frame.ask(talks, frame.source, frame.destination) else Drop(Reason.STAGE, "not asked for")

    lab = lab_of_two()
    lab.port("web").input.insert(outwards)
    lab.port("db").input.insert(inwards)
    answer, question = ("db", frame(WEB, DB), 0), ("web", frame(DB, WEB), 0)
    sent = [(at, data, i) for i, (at, data, _) in enumerate([answer, answer, question, answer, question, answer])]
    fates = run(lab, sent, engine)
    assert delivered(fates) == [(3, "db"), (4, "web"), (5, "db"), (6, "web")]
    assert [number for number, _, _ in dropped(fates)] == [1, 2]


# -- stages at fault


def raises(frame: Frame, port: Port) -> Verdict:
    raise RuntimeError("out of ideas")


def raises_on_packet(packet: Packet) -> Packet:
    raise RuntimeError("out of ideas")


@frozen
class RaisesInBatch:
    def start(self) -> None:
        return None

    def run(self, state: None, batch: Batch, until: Instant) -> Passed:
        raise RuntimeError("out of ideas")


@frozen
class ReturnsNothing:
    def start(self) -> None:
        return None

    def run(self, state: None, batch: Batch, until: Instant) -> None:
        return None


SHOWN = f"<Frame {WEB} to {DB}"


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (raises, ["raised RuntimeError: out of ideas", SHOWN]),
        (lambda frame, port: None, ["returned None, which is no verdict", SHOWN]),
        (lambda frame, port: True, ["returned True, which is no verdict", SHOWN]),
        (lambda frame, port: frame.vlans, ["raised AttributeError", "vlans", SHOWN]),
        (lambda frame, port: {1: frame}[frame.source], ["ask a table with it", SHOWN]),
        (lambda frame, port: Ports(("nowhere",)), ["chose port 'nowhere', which does not exist", SHOWN]),
        (raises_on_packet, ["raised RuntimeError: out of ideas", "frame 1"]),
        (lambda packet: b"short", ["returned 5 bytes, which are no Ethernet frame", "frame 1"]),
        (lambda packet: 3.5, ["returned 3.5, which is no packet", "frame 1"]),
        (lambda packet: 100, ["returned 100, which is no packet", "frame 1"]),
        (RaisesInBatch(), ["raised RuntimeError: out of ideas", "frame 1"]),
        (ReturnsNothing(), ["returned None, which is no Passed", "frame 1"]),
        (lambda frame, port: frame.on_vlan(5000), ["5000 is no VLAN number (0 to 4095)", SHOWN]),
        (lambda frame, port: frame.with_tci(70000), ["70000 is no tag control information", SHOWN]),
    ],
    ids=[
        "raises",
        "none",
        "true",
        "no field",
        "hash",
        "unknown port",
        "packet: raises",
        "packet: short",
        "packet: no packet",
        "packet: number",
        "batch: raises",
        "batch: nothing",
        "no VLAN",
        "no tag",
    ],
)
def test_a_stage_at_fault_stops_the_run_and_is_named(stage: Any, said: list[str], engine: Engine) -> None:
    lab = lab_of_two()
    lab.port("web").input.insert(stage, name="mine")
    with pytest.raises(StageError) as error:
        run(lab, [("web", frame(), 0)], engine)
    message = str(error.value)
    assert "stage 'mine' at web → vSwitch0" in message
    for part in said:
        assert part in message


def test_a_batch_stage_that_loses_a_frame_is_found_out(engine: Engine) -> None:
    @frozen
    class Loses:
        def start(self) -> None:
            return None

        def run(self, state: None, batch: Batch, until: Instant) -> Passed:
            return Passed(EMPTY)

    lab = lab_of_two()
    lab.port("web").input.insert(Loses())
    with pytest.raises(Exception, match=r"1 frames came .* but 0 went"):
        run(lab, [("web", frame(), 0)], engine)


def test_a_batch_stage_in_a_switch_is_refused(engine: Engine) -> None:
    lab = lab_of_two()
    wiring = lab.start().wiring
    wiring.switch_chain("vSwitch0").insert(Delay(5), before="forwarding")
    with pytest.raises(Exception, match="batch stage 'delay' stands in a switch; only a port's chain may have one"):
        Network.of(wiring, engine=engine)

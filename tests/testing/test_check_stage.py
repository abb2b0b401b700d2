"""The contract of stages: every stage of every chain keeps it, and each way to break it is told."""

import random
import time
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import pytest
from attrs import define, field, frozen
from scapy.packet import Packet

from iochain import Batch, Drop, Frame, Instant, Lab, Passed, Port, Ports, Reason, Table, Verdict, Waiting
from iochain.batch import joined
from iochain.chain import BatchStage
from iochain.frame import Derived
from iochain.testing import Content, ContractError, FrameBytes, Size, Tagging, check_stage, frames
from iochain.testing.contract import reachable_tables
from iochain.topology.wiring import Wiring

# -- all stages that ship, found in the chains of labs that have them


def rich_lab() -> Lab:
    """A lab whose chains have as many different stages as its keys can put there."""
    lab = Lab("8.0", options={"promiscuous_scope": "portgroup"})
    host = lab.host("esx1", settings={"Net.ReversePathFwdCheckPromisc": 1})
    shaping = {"average": "1 Mbit/s", "peak": "2 Mbit/s", "burst": "3 KB"}
    switch = host.vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1", "vmnic2"], shaping=shaping)
    host.nic("vmnic2", link="down")
    for number, balancing in enumerate(("portid", "mac", "iphash", "explicit", "none")):
        teaming = {"load_balancing": balancing}
        vlan = (0, 10, 10, 4095, 20)[number]
        group = switch.portgroup(f"PG{number}", vlan=vlan, teaming=teaming, promiscuous="accept")
        group.vm(f"vm{number}", groups=["01:00:5e:00:00:01"])
        group.vm(f"watch{number}", promiscuous=True)
        group.vm(f"off{number}", connected=False)
    host.vmkernel("vmk0", network="PG1")
    return lab


def chains_of(wiring: Wiring) -> Iterator[tuple[Any, Port]]:
    """Every stage with the port that it stands at; those of switches and teams at a VM's port, and at an uplink."""
    for port in wiring.ports:
        for direction in ("input", "output"):
            for element in wiring.chain(port.name, direction):
                yield element.stage, port
    client, uplink = (next(port for port in wiring.ports if port.uplink is is_uplink) for is_uplink in (False, True))
    for switch in wiring.switches():
        for element in wiring.switch_chain(switch):
            yield element.stage, client
            yield element.stage, uplink
    for team in wiring.teams():
        for element in wiring.team_chain(team.name):
            yield element.stage, client


def shipped() -> list[tuple[Any, Port]]:
    """One stage of each kind and each kind of port."""
    found: dict[Any, tuple[Any, Port]] = {}
    for stage, port in chains_of(rich_lab().wiring):
        found.setdefault((type(stage), port.kind, getattr(stage, "vlan", None)), (stage, port))
    return list(found.values())


SHIPPED = shipped()


@pytest.mark.parametrize(
    ("stage", "port"), SHIPPED, ids=lambda one: one.name if isinstance(one, Port) else type(one).__name__
)
def test_every_stage_keeps_its_contract(stage: Any, port: Port) -> None:
    check_stage(stage, port, max_examples=60)


def test_there_are_stages_of_all_rooms() -> None:
    rooms = {type(stage).__module__.split(".")[1] for stage, _ in SHIPPED}
    assert rooms >= {"portgroup", "vswitch", "uplink"}
    assert len({type(stage) for stage, _ in SHIPPED}) >= 20
    assert any(isinstance(stage, BatchStage) for stage, _ in SHIPPED)


# -- stages of users that keep it


def no_telnet(frame: Frame, port: Port) -> Verdict:
    return Drop(Reason.STAGE, "telnet") if frame.destination_port == 23 else frame


def to_the_second_uplink(frame: Frame, port: Port) -> Verdict:
    return Ports(("vmnic1",)) if frame.vlan == 10 else frame


def only_short(packet: Packet) -> Packet | None:
    return packet if len(packet) < 100 else None


def looks_at_bytes(frame: Frame, port: Port) -> Verdict:
    return Drop(Reason.STAGE) if len(frame.scapy) % 2 else frame


@frozen
class FirstMac:
    """Learns, as a stage may."""

    known: Table[int, int] = field(repr=False, factory=lambda: Table("first MACs", -1))

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        known = frame.ask(self.known, port.number)
        if known < 0:
            frame.learn(self.known, port.number, answer=int(frame.source))
            return frame
        return frame if frame.source == known else Drop(Reason.STAGE)


@frozen
class Delay:
    """Holds each frame for a while."""

    ns: int

    def start(self) -> Waiting:
        return Waiting()

    def run(self, state: Waiting, batch: Batch, until: Instant) -> Passed:
        rows = batch.rows.copy()
        rows["time_ns"] += self.ns
        return Passed(state.release(Batch(rows, batch.pins), until))


@pytest.mark.parametrize(
    "stage", [no_telnet, to_the_second_uplink, only_short, looks_at_bytes, FirstMac(), Delay(70_000)]
)
def test_stages_of_users_that_keep_it(stage: Any) -> None:
    check_stage(stage)


# -- header stages that break it


def says_nothing(frame: Frame, port: Port) -> Verdict:
    if frame.destination_port == 23:
        return Drop(Reason.STAGE)
    return None  # type: ignore[return-value]


def raises(frame: Frame, port: Port) -> Verdict:
    return Drop(Reason.STAGE) if frame.ipv4.source == 1 else frame  # type: ignore[union-attr]


def in_a_set(frame: Frame, port: Port) -> Verdict:
    return frame if frame.ethertype in {0x0800, 0x0806} else Drop(Reason.STAGE)


class Color(Enum):
    RED = 1


@frozen
class ComparesByIdentity:
    color: Color = Color.RED

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        return frame if self.color is Color.RED else Drop(Reason.STAGE)


def asks_a_clock(frame: Frame, port: Port) -> Verdict:
    return frame if time.time() else Drop(Reason.STAGE)


def throws_dice(frame: Frame, port: Port) -> Verdict:
    return frame if random.random() < 0.5 else Drop(Reason.STAGE)


def talks(frame: Frame, port: Port) -> Verdict:
    print(frame)
    return frame


@define
class CountsInItself:
    count: int = 0

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        self.count += 1
        return frame if self.count % 7 else Drop(Reason.STAGE)


@frozen
class CountsInAList:
    calls: list[int] = field(factory=list)

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        self.calls.append(1)
        return frame if len(self.calls) < 50 else Drop(Reason.STAGE)


@frozen
class RemembersMacs:
    """The same when it is asked twice in a row; otherwise when others came between."""

    last: list[int] = field(factory=lambda: [0])

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        source = int(frame.source)
        before, self.last[0] = self.last[0], max(self.last[0], source)
        return frame if source >= before else Drop(Reason.STAGE)


def reads_unnoted(frame: Frame, port: Port) -> Verdict:
    return Drop(Reason.STAGE) if frame._words[1] & 1 else frame


def changes_words(frame: Frame, port: Port) -> Verdict:
    frame._words[1] = 0  # type: ignore[index]
    return frame


SEEN: Table[int, int] = Table("seen", 0, {0x88B5: 1, 0x0800: 2})


def asks_past_the_frame(frame: Frame, port: Port) -> Verdict:
    return Drop(Reason.STAGE) if SEEN.get(0x0800) else frame


def writes_by_itself(frame: Frame, port: Port) -> Verdict:
    SEEN.set(0x1234, 5)
    return frame


TOO_LARGE = Derived("too large", lambda words, argument: 9, 0, 2)


def derives_out_of_range(frame: Frame, port: Port) -> Verdict:
    frame.derive(TOO_LARGE)
    return frame


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (says_nothing, "answered None, which is no verdict"),
        (raises, "raised AttributeError: 'NoneType' object has no attribute 'source'"),
        (in_a_set, "raised TypeError: a frame's field has no hash"),
        (ComparesByIdentity(), 'compares with "is" (self.color is Color.RED)'),
        (asks_a_clock, "calls time.time()"),
        (throws_dice, "calls random.random()"),
        (talks, "calls print()"),
        (CountsInItself(), "keeps count in itself"),
        (CountsInAList(), "answered"),
        (RemembersMacs(), "it remembers something that is in no table"),
        (reads_unnoted, "depends on other bits of the frame, which it did not note"),
        (changes_words, "changed the frame in its hands"),
        (asks_past_the_frame, "depends on entries of tables that it did not ask"),
        (writes_by_itself, "wrote to a table itself"),
        (derives_out_of_range, "asked too large, which gave 9 (0 to 1 was said)"),
    ],
)
def test_what_a_stage_must_not_do_is_told(stage: Any, said: str) -> None:
    entries = SEEN.entries()
    try:
        with pytest.raises(ContractError) as told:
            check_stage(stage)
    finally:
        SEEN.reset(entries)
    assert said in str(told.value)
    assert "docs/writing-a-stage.md" in str(told.value)


def test_a_breach_is_shown_with_a_plain_frame() -> None:
    with pytest.raises(ContractError) as told:
        check_stage(raises)
    assert told.value.frame == FrameBytes.of("005056000002 005056000001 88b5")


def test_a_breach_that_needs_a_rare_frame_is_shown_with_the_plainest_of_its_kind() -> None:
    def odd(frame: Frame, port: Port) -> Verdict:
        return None if frame.vlan == 20 else frame  # type: ignore[return-value]

    with pytest.raises(ContractError) as told:
        check_stage(odd)
    assert told.value.frame == FrameBytes.of("005056000002 005056000001 81000014 88b5")


def test_numbers_that_a_stage_compares_with_are_tried() -> None:
    def rare(frame: Frame, port: Port) -> Verdict:
        if frame.tcp is not None and frame.tcp.window == 31337:
            return None  # type: ignore[return-value]
        return Drop(Reason.STAGE) if frame.priority == 6 and frame.tci > 99 else frame  # type: ignore[operator]

    with pytest.raises(ContractError, match=r"is no verdict .*, with tcp_window 0x7a69"):
        check_stage(rare)


def test_frames_can_be_said() -> None:
    def only_udp(frame: Frame, port: Port) -> Verdict:
        return frame if frame.udp_length is not None else None  # type: ignore[return-value]

    check_stage(
        only_udp, frames=frames(contents=[Content.UDP], tagging=[Tagging.UNTAGGED], sizes=[Size.PLAIN], cut=False)
    )


# -- batch stages that break it


@frozen
class Batches:
    """A batch stage that is one function of a state, a batch and an instant."""

    function: Callable[[list[Batch], Batch, Instant], Passed] = field(repr=False)

    def start(self) -> list[Batch]:
        return []

    def run(self, state: list[Batch], batch: Batch, until: Instant) -> Passed:
        return self.function(state, batch, until)


def loses(state: list[Batch], batch: Batch, until: Instant) -> Passed:
    return Passed(batch[1:])


def in_place(state: list[Batch], batch: Batch, until: Instant) -> Passed:
    batch.rows["mss"] = 1
    return Passed(batch)


def by_window(state: list[Batch], batch: Batch, until: Instant) -> Passed:
    rows = batch.rows.copy()
    rows["mss"] = len(batch)
    return Passed(Batch(rows, batch.pins))


def earlier(state: list[Batch], batch: Batch, until: Instant) -> Passed:
    rows = batch.rows.copy()
    rows["time_ns"] -= 1
    return Passed(Batch(rows, batch.pins))


def too_late(state: list[Batch], batch: Batch, until: Instant) -> Passed:
    rows = batch.rows.copy()
    rows["time_ns"] += 10**9
    return Passed(Batch(rows, batch.pins))


def keeps_for_ever(state: list[Batch], batch: Batch, until: Instant) -> Passed:
    state.extend(batch[i : i + 1] for i in range(len(batch)))
    return Passed(batch[:0])


def twice(state: list[Batch], batch: Batch, until: Instant) -> Passed:
    return Passed(joined([batch, batch]), split=len(batch))


def without_reason(state: list[Batch], batch: Batch, until: Instant) -> Passed:
    return Passed(batch[:0], batch)


def is_nothing(state: list[Batch], batch: Batch, until: Instant) -> Passed:
    return None  # type: ignore[return-value]


def fails(state: list[Batch], batch: Batch, until: Instant) -> Passed:
    raise ValueError("no")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (loses, "lost or made frames: 1 came + 0 waited + 0 split - 0 merged is not 0 went on + 0 dropped + 0 wait"),
        (in_place, "changed rows in place"),
        (by_window, "gives something else where windows end elsewhere"),
        (earlier, "an earlier time"),
        (too_late, "in the window from"),
        (keeps_for_ever, "still holds"),
        (twice, "gave two frames one place"),
        (without_reason, "and why says []"),
        (is_nothing, "returned None, which is no Passed"),
        (fails, "raised ValueError: no"),
    ],
)
def test_what_a_batch_stage_must_not_do_is_told(
    function: Callable[[list[Batch], Batch, Instant], Passed], said: str
) -> None:
    with pytest.raises(ContractError) as told:
        check_stage(Batches(function))
    assert said in str(told.value)


class Shared(Batches):
    """Its bank mixes up its ports."""

    @classmethod
    def bank(cls, stages: list[Any]) -> Any:
        return Mixed()


@define
class Mixed:
    count: int = 0
    held: int = 0

    def run(self, batch: Batch, lanes: Any, until: Instant) -> Passed:
        rows = batch.rows.copy()
        for row in rows:
            self.count += 1
            row["mss"] = self.count
        return Passed(Batch(rows, batch.pins))


def test_a_bank_that_mixes_its_ports_is_found() -> None:
    with pytest.raises(ContractError, match="does something else in a bank of several ports than alone"):
        check_stage(Shared(lambda state, batch, until: Passed(batch)))


# -- what it looks at


def test_tables_are_found_wherever_a_stage_holds_them() -> None:
    own: Table[int, int] = Table("own", 0)
    other: Table[int, int] = Table("other", 0)

    def closes(frame: Frame, port: Port) -> Verdict:
        return frame if frame.ask(other, 1) else Drop(Reason.STAGE)

    assert reachable_tables(FirstMac(own)) == [own]
    assert reachable_tables(closes) == [other]
    assert SEEN in reachable_tables(asks_past_the_frame)


def test_what_is_no_stage_is_refused() -> None:
    with pytest.raises(TypeError, match="is no stage"):
        check_stage(5)

"""Physical switches in the engines: many frames in one window go as each goes alone, stage by stage."""

from collections import Counter

import pytest
from any_fabric import any_labs
from attrs import define, field
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from one_frame import BPDU, EVERYONE, across, data, two_hosts

from iochain import Lab
from iochain.batch import batch_of, order_of
from iochain.chain import Reason
from iochain.engine.network import Engine
from iochain.engine.running import RunningNetwork
from iochain.frame import Mac
from iochain.kernels.rows import NO_TAG

MACS = [Mac(f"02:00:00:00:00:0{number}") for number in range(1, 5)]
FRAMES = 30
Sent = list[tuple[str, bytes]]


@define
class Result:
    """Deliveries (frame, port, tag) and drops (frame, port, reason), each with how often."""

    delivered: Counter[tuple[int, str, int]] = field(factory=Counter)
    dropped: Counter[tuple[int, str, Reason]] = field(factory=Counter)
    learned: dict[str, dict[tuple[int, int], str]] = field(factory=dict)
    moves: dict[tuple[str, Mac], int] = field(factory=dict)


def one_by_one(lab: Lab, sent: Sent) -> Result:
    wiring, result = lab.wiring, Result()
    for number, (at, raw) in enumerate(sent, 1):
        way = across(wiring, raw, at)
        result.delivered.update((number, port, tag) for port, tag in way.delivered)
        result.dropped.update((number, port, reason) for port, reason in way.dropped)
    result.learned = {name: switch.learned.entries() for name, switch in wiring.fabric.switches.items()}
    result.moves = wiring.fabric.mac_moves()
    return result


def together(lab: Lab, sent: Sent, engine: Engine, gap_ns: int) -> Result:
    """All frames at once in one run, ``gap_ns`` after each other."""
    wiring, result = lab.wiring, Result()
    network = RunningNetwork.of(wiring, engine=engine)
    batch = batch_of([(raw, number * gap_ns) for number, (_, raw) in enumerate(sent)])
    batch.rows["port"] = [wiring.port(at).number for at, _ in sent]
    fates = network.run(batch)
    for row in fates.delivered.rows:
        result.delivered[(_number(row["order"]), wiring.ports[row["port"]].name, int(row["tag"]))] += 1
    for row, why in zip(fates.dropped.rows, fates.why, strict=True):
        dropped = fates.whys[why]
        result.dropped[(_number(row["order"]), wiring.ports[dropped.port].name, dropped.drop.reason)] += 1
    result.learned = {name: switch.learned.entries() for name, switch in wiring.fabric.switches.items()}
    result.moves = wiring.fabric.mac_moves()
    network.restore()
    return result


def _number(order: int) -> int:
    return int(order) - order_of(0, 0)


@given(any_labs(), st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_frames_go_as_they_would_go_alone(lab: Lab, choices: st.DataObject) -> None:
    edges = [port.name for port in lab.wiring.ports if lab.wiring.fabric.cable_at(port.number) is None]
    if not edges:
        return
    frames = st.tuples(
        st.sampled_from(edges),
        st.builds(data, st.sampled_from([*MACS, EVERYONE]), st.sampled_from(MACS), st.sampled_from([None, 10, 20])),
    )
    sent = choices.draw(st.lists(frames, min_size=1, max_size=FRAMES), "frames")
    expected = one_by_one(_again(lab), sent)
    for engine in (Engine.PLAIN, Engine.PATHS):
        found = together(_again(lab), sent, engine, gap_ns=10**6)
        assert (found.delivered, found.dropped) == (expected.delivered, expected.dropped)
        assert (found.learned, found.moves) == (expected.learned, expected.moves)
    event(f"{'some' if expected.moves else 'no'} moves")
    event(f"{'some' if expected.delivered else 'no'} deliveries")


def _again(lab: Lab) -> Lab:
    return lab.with_settings([])


@pytest.mark.parametrize("engine", [Engine.PLAIN, Engine.PATHS])
def test_a_bpdu_at_a_switch_without_guard_is_consumed(engine: Engine) -> None:
    lab = two_hosts()
    lab.physical_switch("sw1").port(7, link="up")
    network = RunningNetwork.of(lab.wiring, engine=engine)
    batch = batch_of([(data(BPDU[0], MACS[0], rest=BPDU[1]), 0)])
    batch.rows["port"] = lab.wiring.port("sw1.7").number
    fates = network.run(batch)
    assert (len(fates.delivered), len(fates.dropped)) == (0, 0)
    assert network.counters.consumed == 1


@pytest.mark.parametrize("engine", [Engine.PLAIN, Engine.PATHS])
def test_time_on_the_way(engine: Engine) -> None:
    """Wire of the host, cable, wire of the switch, cable: whole nanoseconds, rounded up at each sender."""
    lab = two_hosts()
    network = RunningNetwork.of(lab.wiring, engine=engine)
    batch = batch_of([(data(EVERYONE, Mac("00:50:56:00:00:01")), 1000)])
    batch.rows["port"] = lab.wiring.port("vm1").number
    (row,) = network.run(batch).delivered.rows
    sent_ns = -(-(64 + 4 + 8) * 8 // 10)  # 60 bytes and the tag, FCS, preamble at 10 Gbit/s
    assert row["time_ns"] == 1000 + 2 * (sent_ns + 25)
    assert row["tag"] == NO_TAG

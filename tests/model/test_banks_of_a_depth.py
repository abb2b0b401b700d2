"""Batch stages between two depths: chains of different lengths side by side; what waits where a port is replugged."""

from itertools import pairwise
from typing import Any, Literal

import pytest
from comparisons import long_run
from hypothesis import event, given
from hypothesis import strategies as st

from iochain import Lab
from iochain.batch import FOREVER, Instant, batch_of, joined
from iochain.engine.network import Engine, Network
from iochain.replay import Fate, fates_of
from iochain.topology.wiring import Wiring

SENDERS = ("web", "db", "app")
MACS = {name: bytes.fromhex("0050560000") + bytes([i]) for i, name in enumerate(SENDERS, 1)}
OUTSIDE = bytes.fromhex("0200000000fe")
SECOND = 10**9


def lab() -> Lab:
    """Of three senders one has a stage of a user's before its shaper, one a shaper, one nothing; the wire is slow."""
    made = Lab()
    host = made.host("esx1")
    host.nic("vmnic0", speed="10 Mbit/s")
    switch = host.vswitch("vSwitch0", uplinks=["vmnic0"])
    shaped = switch.portgroup("Shaped", shaping={"average": "5 Mbit/s", "peak": "8 Mbit/s", "burst": "2 KB"})
    for name in ("web", "db"):
        shaped.vm(name, mac=MACS[name].hex(":"))
    switch.portgroup("Free").vm("app", mac=MACS["app"].hex(":"))
    made.port("web").input.insert(any_packet, before="shaper")
    return made


def any_packet(packet: Any) -> Any:
    return packet


def frame(sender: str, receiver: str, size: int) -> bytes:
    return MACS.get(receiver, OUTSIDE) + MACS[sender] + b"\x88\xb5" + bytes(size - 14)


def ran(frames: list[tuple[int, str, bytes]], ends: list[Instant], engine: Engine) -> list[Fate]:
    wiring = lab().wiring
    network = Network.of(wiring, engine=engine)
    batch = batch_of([(data, time_ns) for time_ns, _, data in frames])
    batch.rows["port"] = [wiring.port(sender).number for _, sender, _ in frames]
    places = [Instant(time_ns, order) for order, (time_ns, _, _) in enumerate(frames, 1)]
    fates: list[Fate] = []
    for begin, end in pairwise([Instant(0), *ends]):
        here = batch[[begin <= place < end for place in places]]
        fates.extend(fates_of(wiring, network.run(here, end)))
    network.counters.check(0)
    return fates


@long_run(60)
@given(st.data())
def test_chains_of_all_lengths_side_by_side(data: st.DataObject) -> None:
    at, frames = 0, []
    for _ in range(data.draw(st.integers(1, 30), "frames")):
        at += data.draw(st.sampled_from([0, 1, 100_000, 2_000_000]))
        sender, receiver = data.draw(st.sampled_from(SENDERS)), data.draw(st.sampled_from([*SENDERS, "outside"]))
        frames.append((at, sender, frame(sender, receiver, data.draw(st.sampled_from([60, 400, 1514])))))
    cuts = sorted(data.draw(st.sets(st.integers(0, at + 1), max_size=6), "ends of windows"))
    truth = ran(frames, [FOREVER], Engine.PLAIN)
    for engine in (Engine.PLAIN, Engine.PATHS):
        assert ran(frames, [*map(Instant, cuts), FOREVER], engine) == truth
    event("dropped" if any(fate.dropped for fate in truth) else "all arrive")


def replugged(wiring: Wiring, network: Network, name: str, side: Literal["input", "output"]) -> None:
    port = wiring.port(name)
    half = network.input if side == "input" else network.output
    half.replug(port, wiring.chain(name, side), wiring, network.decider.walker, side == "input")


@pytest.mark.parametrize("engine", [Engine.PLAIN, Engine.PATHS])
@pytest.mark.parametrize(("name", "side"), [("db", "input"), ("vmnic0", "output")])
def test_what_waits_before_a_new_chain_does_not_wait_again(
    name: str, side: Literal["input", "output"], engine: Engine
) -> None:
    wiring = lab().wiring
    data = frame("db", "outside", 1514)
    times = []
    for is_replugged in (False, True):
        network = Network.of(wiring, engine=engine)
        batch = batch_of([(data, 0), (data, 0), (data, SECOND)])
        batch.rows["port"] = wiring.port("db").number
        done = [network.run(batch[:2], Instant(1_000_000)).delivered]
        assert network.held > 0
        if is_replugged:
            replugged(wiring, network, name, side)
        done.append(network.run(batch[2:], FOREVER).delivered)
        times.append(joined(done).column("time_ns").tolist())
    assert times[1] == times[0]

"""Drops for want of time or by a stage of one's own, which the slow model has not: their numbers by hand."""

import pytest

from iochain import Lab
from iochain.batch import batch_of
from iochain.chain import Drop, Port, Reason, Verdict
from iochain.engine.network import Engine, Network
from iochain.frame import Frame
from iochain.replay import Fate, fates_of

SENT = 50
WEB, OUTSIDE = bytes.fromhex("005056000001"), bytes.fromhex("0200000000fe")
THOUSAND_BYTES = OUTSIDE + WEB + b"\x88\xb5" + bytes(986)
THOUSAND = 1000
MILLISECOND = 1_000_000


def sent_at_once(lab: Lab, engine: Engine) -> list[Fate]:
    """The fates of 50 frames of 1000 bytes that web sends at the same moment."""
    network = Network.of(lab.wiring, engine=engine)
    batch = batch_of([(THOUSAND_BYTES, 0)] * SENT)
    batch.rows["port"] = lab.wiring.port("web").number
    fates = list(fates_of(lab.wiring, network.run(batch)))
    network.counters.check(network.held)
    assert network.held == 0
    return fates


def drops(fates: list[Fate]) -> list[Reason]:
    """The reasons of all drops."""
    return [fate.dropped.drop.reason for fate in fates if fate.dropped is not None]


def times(fates: list[Fate]) -> list[int]:
    """When frames were delivered."""
    return [fate.time_ns for fate in fates if fate.dropped is None]


@pytest.mark.parametrize("engine", Engine)
def test_a_shaper_lets_one_pass_keeps_ten_and_drops_the_rest(engine: Engine) -> None:
    """8 Mbit/s is a frame a millisecond; a burst of two frames has the shortest queue, 10."""
    lab = Lab()
    lab.host("esx1").nic("vmnic0", speed="1 Tbit/s")
    shaping = {"average": "8 Mbit/s", "burst": "2000 B"}
    lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod", shaping=shaping).vm(
        "web", mac=WEB.hex(":")
    )
    fates = sent_at_once(lab, engine)
    assert drops(fates) == [Reason.SHAPER] * (SENT - 11)
    assert [time // MILLISECOND for time in times(fates)] == list(range(11))


@pytest.mark.parametrize("engine", Engine)
def test_an_uplink_sends_one_keeps_what_its_queue_takes_and_drops_the_rest(engine: Engine) -> None:
    """A frame of 1000 bytes takes 1024 byte times with FCS, preamble and gap: 8192 ns at 1 Gbit/s, the gap last."""
    lab = Lab()
    lab.host("esx1", settings={"Net.MaxNetifTxQueueLen": 5}).nic("vmnic0", speed="1 Gbit/s")
    lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod").vm("web", mac=WEB.hex(":"))
    fates = sent_at_once(lab, engine)
    assert drops(fates) == [Reason.TRANSMIT_QUEUE] * (SENT - 6)
    assert times(fates) == [8192 * number - 96 for number in range(1, 7)]


def never(frame: Frame, port: Port) -> Verdict:
    return Drop(Reason.STAGE, "never")


def only_large(packet: object) -> object:
    return packet if len(packet) > THOUSAND else None  # type: ignore[arg-type]


@pytest.mark.parametrize("stage", [never, only_large])
@pytest.mark.parametrize("engine", Engine)
def test_a_stage_of_ones_own_drops_all(engine: Engine, stage: object) -> None:
    lab = Lab()
    prod = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod")
    prod.vm("web", mac=WEB.hex(":")).input.insert(stage, before="vlan")
    fates = sent_at_once(lab, engine)
    assert drops(fates) == [Reason.STAGE] * SENT
    assert {fate.port for fate in fates} == {"web"}

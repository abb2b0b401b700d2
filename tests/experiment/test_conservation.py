"""Nothing vanishes in networks that change: a sum in every window stops a run that lost a frame."""

from typing import Any

import pytest
from attrs import evolve

from iochain import Engine, Lab, Net, cut_cable
from iochain.batch import EMPTY, Batch
from iochain.chain import Passed
from iochain.engine.cables import Cables
from iochain.engine.counters import ConservationError, Counters
from iochain.uplink.wire import Wires

A = "00:50:56:00:00:01"
BROADCAST = b"\xff" * 6 + bytes.fromhex("005056000001") + b"\x88\xb5" + bytes(46)
ENGINES = [Engine.PLAIN, Engine.PATHS]


def running(engine: Engine) -> Net:
    """A VM that broadcasts each ms to an outside port behind a cable of 5 ms; the cable is cut at 12 ms."""
    lab = Lab()
    lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod", vlan=10).vm("a", mac=A)
    lab.physical_switch("sw1", count=2).port(2, vlan=10, link="up")
    lab.cable("vmnic0", "sw1.1", latency="5 ms", name="cable")
    net = lab.start(engine)
    for number in range(20):
        net.offer(BROADCAST, "a", number * 10**6)
    net.at("12 ms", cut_cable("cable"))
    return net


def one_less(batch: Batch) -> Batch:
    return batch[1:]


def lost_on_the_cable(monkeypatch: pytest.MonkeyPatch) -> None:
    arriving = Cables.arriving
    monkeypatch.setattr(Cables, "arriving", lambda *given: one_less(arriving(*given)))


def lost_in_a_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    lose = Cables.lose

    def forget(cables: Cables, sender: int) -> Batch:
        lose(cables, sender)
        return EMPTY

    monkeypatch.setattr(Cables, "lose", forget)


def lost_at_a_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    send = Wires._send

    def forget(wires: Wires, *given: Any) -> Passed:
        passed = send(wires, *given)
        return evolve(passed, batch=one_less(passed.batch))

    monkeypatch.setattr(Wires, "_send", forget)


def not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counters, "count_drops", lambda *given: None)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fault", [lost_on_the_cable, lost_in_a_cut, lost_at_a_wire, not_counted])
def test_a_frame_that_vanishes_stops_the_run(fault: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    net = running(engine)
    with pytest.raises(ConservationError, match=r"frames came .* but .* went"):
        net.run("1 s")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_sum_is_looked_at_in_every_window(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    check = Counters.check

    def look(counters: Counters, held: int) -> None:
        looks.append(held)
        check(counters, held)

    monkeypatch.setattr(Counters, "check", look)
    net = running(engine)
    assert len(net.run("1 s")) == 20
    assert len(looks) >= net.network.report.windows > 1
    counters = net.network.counters
    assert counters.delivered + counters.dropped == counters.entered + counters.copied == 20

"""Stages of users' own where the engine does not yet keep its word; each goes to the engine's tests once it does."""

from pathlib import Path

import pytest
from attrs import field, frozen
from scapy.layers.l2 import Ether

from iochain import Drop, Frame, Lab, Port, Ports, Reason, Table, Verdict
from iochain.engine.walk import StageError

PCAPS = Path(__file__).parents[2] / "pcaps"
WEB = "00:50:56:00:00:01"


@frozen
class Thrice:
    """Lets three frames of each source pass."""

    seen: Table[int, int] = field(repr=False, factory=lambda: Table("frames seen", 0))

    def __call__(self, frame: Frame, port: Port) -> Verdict:
        count = frame.ask(self.seen, frame.source)
        if count == 3:
            return Drop(Reason.STAGE, "the fourth")
        frame.learn(self.seen, frame.source, answer=count + 1)
        return frame


def by_vmnic0(frame: Frame, port: Port) -> Verdict:
    return Ports(("vmnic0",))


@pytest.mark.xfail(reason="tables of users' stages keep what a run before learnt", strict=True)
def test_fates_are_those_of_the_replay_although_a_stage_learns() -> None:
    lab = Lab.load(PCAPS / "web-and-db.lab.yaml")
    lab.port("web").input.insert(Thrice())
    replay = lab.replay(PCAPS / "web-and-db.pcapng")
    assert sum(1 for _ in replay.dropped()) == replay.counters.dropped > 0


@pytest.mark.xfail(reason="the frame vanishes: ConservationError", strict=True)
def test_ports_before_a_batch_stage_are_taken_or_refused_by_name() -> None:
    lab = Lab("8.0")
    web = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod").vm("web", mac=WEB)
    web.input.insert(by_vmnic0)
    web.input.insert(lambda packet: packet, name="on packets")
    try:
        ports = web.send(Ether(src=WEB, dst="02:00:00:00:00:fe")).ports
    except StageError as refused:
        assert "by_vmnic0" in str(refused)  # noqa: PT017
    else:
        assert ports == ("vmnic0",)

"""Stages of users' own: a run leaves their tables as it found them; ports cannot be chosen too early."""

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


def test_fates_are_those_of_the_replay_although_a_stage_learns() -> None:
    lab = Lab.load(PCAPS / "web-and-db.lab.yaml")
    lab.port("web").input.insert(Thrice())
    replay = lab.replay(PCAPS / "web-and-db.pcapng")
    assert sum(1 for _ in replay.dropped()) == replay.counters.dropped > 0


@pytest.mark.parametrize("engine", ["plain", "paths"])
def test_nobody_watches_a_table_after_the_run(engine: str) -> None:
    stage = Thrice()
    lab = Lab.load(PCAPS / "web-and-db.lab.yaml")
    lab.port("web").input.insert(stage)
    assert lab.replay(PCAPS / "web-and-db.pcapng", engine=engine).counters.dropped > 0
    assert (stage.seen.watchers, stage.seen.entries()) == ([], {})


def test_ports_before_a_batch_stage_are_refused_by_name() -> None:
    lab = Lab("8.0")
    web = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod").vm("web", mac=WEB)
    web.input.insert(by_vmnic0)
    web.input.insert(lambda packet: packet, name="on packets")
    with pytest.raises(StageError, match="'by_vmnic0' at web → vSwitch0 chose ports"):
        web.send(Ether(src=WEB, dst="02:00:00:00:00:fe"))

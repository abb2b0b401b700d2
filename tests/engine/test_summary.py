"""What deciding took: stages that each frame has to pass by itself are named with their cost; full memory is told."""

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from scapy.packet import Packet

from iochain import Drop, Frame, Lab, Port, Reason, Verdict
from iochain.batch import batch_of
from iochain.cli.documents import replay_document
from iochain.cli.options import OpenedLab
from iochain.cli.replay_text import replay_text
from iochain.engine.network import Engine, Network
from iochain.engine.summary import EngineSummary
from iochain.replay import Replay

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))  # its programs find each other as scripts do

import made

ROOT = Path(__file__).parents[2]
FRAMES, PORTS = 400, 20
SCHEMA = json.loads((ROOT / "docs" / "output-schema.json").read_text(encoding="utf-8"))


def whole(frame: Frame, port: Port) -> Verdict:
    return frame if len(frame.scapy) else Drop(Reason.STAGE)


def on_packet(packet: Packet) -> Packet:
    return packet


def replayed(lab: Lab, folder: Path, engine: str) -> Replay:
    """Twenty VMs that send in turn; vm3 has whatever was put into its chain."""
    flows = made.usual_flows(made.SMALL, PORTS, 40)
    return lab.replay(made.write(made.SMALL, FRAMES, folder / "twenty.pcap", flows), engine=engine)


@pytest.mark.parametrize(("stage", "kind"), [(whole, "walks"), (on_packet, "runs")])
@pytest.mark.parametrize("engine", ["plain", "paths"])
def test_a_stage_that_each_frame_has_to_pass_is_named(stage: Any, kind: str, engine: str, tmp_path: Path) -> None:
    lab = made.lab(made.SMALL, vms=PORTS)
    lab.port("vm3").input.insert(stage)
    done = replayed(lab, tmp_path, engine)
    sent = sum(count for (_, port), count in done.entries.items() if port == "vm3")
    assert 0 < sent < FRAMES
    document = replay_document(done, OpenedLab(lab))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    (cost,) = document["engine"]["stages"]
    where = "vm3 → vSwitch0"
    assert (cost["where"], cost["stage"], cost["kind"]) == (where, stage.__name__, kind)
    assert cost["times"] == sent
    assert 0 < cost["each_ns"] == cost["ns"] // cost["times"]
    text = " ".join("\n".join(replay_text(document)).split())
    assert f"stage {stage.__name__}, {where}, " in text
    assert f"{cost['times']} {'walks' if kind == 'walks' else 'frames'}, " in text


@pytest.mark.parametrize("chain", ["switch", "input"])
def test_the_stage_that_looked_is_named_and_not_the_one_that_spoke_last(chain: str) -> None:
    wiring = made.lab(made.SMALL, vms=4).wiring
    (switch,) = wiring.switches()
    inserted = wiring.switch_chain(switch) if chain == "switch" else wiring.chain("vm0", "input")
    inserted.insert(whole, before=inserted.names[0], name="looks")
    inserted.insert(whole, after="looks", name="looks again")
    summary = ran(Network.of(wiring, engine=Engine.PATHS), frames=3)
    (cost,) = summary.stages
    assert (cost.where, cost.stage) == ("vm0 → vSwitch0" if chain == "input" else switch, "looks")
    assert cost.times == 3


def test_a_full_memory_is_told() -> None:
    network = Network.of(made.lab(made.SMALL, vms=40).wiring, engine=Engine.PATHS)
    network.decider.most_keys = 5  # type: ignore[attr-defined]
    summary = ran(network, frames=40)
    assert summary.limit_reached > 1
    assert summary.forgotten >= 5 * summary.limit_reached
    (note,) = summary.notes()
    assert note.startswith("5 keys of paths were in use ")


def test_walks_and_keys_are_counted() -> None:
    wiring = made.lab(made.SMALL, vms=4).wiring
    plain, paths = (ran(Network.of(wiring, engine=engine), frames=100) for engine in (Engine.PLAIN, Engine.PATHS))
    assert plain.walks >= 200  # at the switch and in the output chain
    assert plain.keys == 0 < paths.walks <= paths.keys <= 2 * paths.walks < 30  # to the switch, and through it
    assert not [*plain.notes(), *paths.notes()]


def ran(network: Network, frames: int) -> EngineSummary:
    """What it took that vm0 sends so many frames, to all others in turn."""
    vms = len([port for port in network.wiring.ports if not port.uplink])
    macs = [bytes.fromhex(made.mac_text(vm).replace(":", "")) for vm in range(vms)]
    data = [macs[1 + number % (vms - 1)] + macs[0] + b"\x88\xb5" + bytes(46) for number in range(frames)]
    batch = batch_of([(one, 1000 * number) for number, one in enumerate(data)])
    batch.rows["port"] = network.wiring.port("vm0").number
    network.run(batch)
    return EngineSummary.of(network, "paths")

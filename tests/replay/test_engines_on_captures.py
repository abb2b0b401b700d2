"""Both engines make the same of every capture at hand: in its own lab, and with shaping, IP hash, promiscuous ports.

Compared are the output byte for byte, which says of each fate its time, port, bytes, and why, all counters, and where
frames entered; of some frames the explanation too. Captures of other programs are read where they are there.
"""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from iochain import Lab
from iochain.capture import CaptureError
from iochain.engine.counters import Counters
from iochain.inference import infer
from iochain.replay import Fate, Replay

ROOT = Path(__file__).resolve().parents[2]
OWN = sorted(path for path in (ROOT / "pcaps").iterdir() if ".pcap" in path.name)
SHARED_FOLDER = ROOT.parent / "shared" / "captures"
SHARED = sorted(path for path in SHARED_FOLDER.iterdir() if path.suffix != ".tsv") if SHARED_FOLDER.is_dir() else []
MOST_FATES = 30_000
"""Of a capture, one by one; the output is compared to its end."""
EXPLAINED = (1, 2, 17, 60)


def as_it_is(lab: Lab) -> Lab:
    return lab


def shaped(lab: Lab) -> Lab:
    """Every port shaped so that frames wait, and some are lost."""
    rates = ("average=1 Mbit/s", "burst=4 KB")
    return lab.with_settings([f"{name}.shaping.{rate}" for name in groups(lab) for rate in rates])


def ip_hash(lab: Lab) -> Lab:
    """All teams by IP hash, over one more uplink than there was."""
    changed = Lab(**deepcopy(lab.data))
    for number, (_, _, switch) in enumerate(switches(changed)):
        switch["uplinks"] = [*switch.get("uplinks", []), f"vmnic{90 + number}"]
    return changed.with_settings([f"{name}.teaming.load_balancing=iphash" for name in groups(lab)])


def watched(lab: Lab) -> Lab:
    """A promiscuous VM in each switch, on all VLANs."""
    changed = Lab(**deepcopy(lab.data))
    for number, (host, _, switch) in enumerate(switches(changed)):
        name = f"everything{number}"
        switch.setdefault("portgroups", {})[name] = {"vlan": 4095, "promiscuous": "accept"}
        changed.vm(name, host=host, network=name, promiscuous=True)
    return changed


def switches(lab: Lab) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Host, name and data of each switch."""
    for host, data in lab.data["hosts"].items():
        for name, switch in data.get("vswitches", {}).items():
            yield host, name, switch


def groups(lab: Lab) -> Iterator[str]:
    """The whole path of each port group."""
    for host, name, switch in switches(lab):
        for group in switch.get("portgroups", {}):
            yield f"hosts.{host}.vswitches.{name}.portgroups.{group}"


VARIANTS: Mapping[str, Callable[[Lab], Lab]] = {
    "as it is": as_it_is,
    "shaped": shaped,
    "IP hash": ip_hash,
    "watched": watched,
}


def counted(counters: Counters) -> tuple[Any, ...]:
    """All that counters say, to compare."""
    sums = (counters.entered, counters.copied, counters.split, counters.delivered, counters.dropped, counters.merged)
    return counters.ports.tolist(), sorted(map(repr, counters.drops.values())), sums


def fates(done: Replay) -> list[tuple[Fate, str, str]]:
    """The fates with what their comparison leaves out."""
    return [(fate, f"{fate.dropped}", f"{fate.setting}") for fate in islice(done.fates(), MOST_FATES)]


def agree(lab: Lab, capture: Path, folder: Path, closely: bool) -> Replay:
    """Replay in both engines, and compare; CaptureError where it cannot be read.

    The output says of each fate its time, port, bytes, and why; ``closely`` compares the fates themselves as well, and
    explanations.
    """
    outputs = [folder / "plain.pcapng", folder / "paths.pcapng"]
    plain, paths = (
        lab.replay(capture, output=output, engine=engine)
        for engine, output in zip(("plain", "paths"), outputs, strict=True)
    )
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert counted(paths.counters) == counted(plain.counters)
    assert (paths.entries, paths.first_ns, paths.last_ns) == (plain.entries, plain.first_ns, plain.last_ns)
    assert (paths.super_frames, paths.hints) == (plain.super_frames, plain.hints)
    if closely:
        assert fates(paths) == fates(plain)
        count = plain.counters.entered
        for number in (one for one in EXPLAINED if one <= count and not plain.sources[0].passed_over):
            told = [lab.explain(capture, number, engine=engine) for engine in ("plain", "paths")]
            assert told[0] == told[1]
            assert told[0].explanation.steps == told[1].explanation.steps
    return plain


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("capture", OWN, ids=lambda path: path.name)
def test_own_captures(capture: Path, variant: str, tmp_path: Path) -> None:
    lab = VARIANTS[variant](Lab.load(capture.with_name(f"{capture.name.partition('.')[0]}.lab.yaml")))
    done = agree(lab, capture, tmp_path, closely=VARIANTS[variant] is as_it_is)
    assert done.counters.delivered


def test_variants_are_what_they_say() -> None:
    capture = ROOT / "pcaps" / "web-and-db.pcapng"
    lab = Lab.load(ROOT / "pcaps" / "web-and-db.lab.yaml")
    done = {name: change(lab).replay(capture) for name, change in VARIANTS.items()}
    assert [fate.time_ns for fate in done["shaped"].fates()] != [fate.time_ns for fate in done["as it is"].fates()]
    assert len(done["IP hash"].wiring.ports) == len(done["as it is"].wiring.ports) + 1
    assert any(done["watched"].deliveries("everything0"))


@pytest.mark.skipif(not SHARED, reason="the shared captures are not here")
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("capture", SHARED, ids=lambda path: path.name)
def test_shared_captures(capture: Path, variant: str, tmp_path: Path) -> None:
    try:
        lab = Lab(**infer([capture]).data)
        agree(VARIANTS[variant](lab), capture, tmp_path, closely=False)
    except CaptureError as error:
        message = str(error)
    else:
        return
    assert message.startswith(str(capture))

"""Floods to many ports: decided by lines that were met before, with the same outcome as walking each copy."""

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from hypothesis import event, given, settings
from hypothesis import strategies as st

from iochain.batch import Instant, batch_of
from iochain.chain import Drop, Port, Reason, Verdict
from iochain.engine import floods
from iochain.engine.explanation import Explanation
from iochain.engine.network import Engine, Network
from iochain.frame import Frame
from iochain.lab import Lab
from iochain.topology.wiring import Wiring

VMS = 80
GAP_NS = 1_000
BROADCAST, GROUP, OTHER_GROUP = "ffffffffffff", "01005e000001", "01005e000002"


def many_vms() -> Lab:
    """Guests on a VLAN and with tags of their own; some take few multicast groups, one is promiscuous."""
    lab = Lab()
    lab.host("esx1").nic("vmnic0", speed="10 Gbit/s")
    switch = lab.host("esx1").vswitch("vSwitch0", uplinks=["vmnic0", "vmnic1"])
    switch.portgroup("Prod", vlan=10)
    switch.portgroup("Trunk", vlan=4095, promiscuous="accept")
    for number in range(VMS):
        keys: dict[str, Any] = {"groups": [mac_text(GROUP)]} if number % 3 == 0 else {}
        lab.vm(f"vm{number}", mac=mac_of(number), network="Trunk" if number % 20 == 7 else "Prod", **keys)
    lab.data["vms"]["vm27"]["promiscuous"] = True
    return lab


def mac_of(number: int) -> str:
    return mac_text(f"0050560000{number:02x}")


def mac_text(digits: str) -> str:
    return bytes.fromhex(digits).hex(":")


def flood(sender: str, destination: str, tag: int | None = None, kind: str = "0800") -> bytes:
    """A frame of a sender's MAC."""
    tagged = "" if tag is None else f"8100{tag:04x}"
    return bytes.fromhex(destination + sender.replace(":", "") + tagged + kind).ljust(60, b"\0")


Fate = tuple[Any, ...]


def fates(
    wiring: Wiring, windows: Sequence[Sequence[tuple[int, bytes]]], engine: Engine, flaps: int = 3
) -> tuple[list[Fate], int]:
    """What became of frames at ports, with the counters; and how many copies were recalled.

    In every window whose number is divided by ``flaps`` vmnic0 has no link.
    """
    network = Network.of(wiring, engine=engine)
    found: list[Fate] = []
    now_ns, serial = 0, 1
    for number, frames in enumerate(windows):
        if number % flaps in (0, flaps - 1):
            wiring.tables["esx1"].up.set(wiring.port("vmnic0").number, number % flaps == 0)
        batch = batch_of([(data, now_ns + i * GAP_NS) for i, (_, data) in enumerate(frames)], 0, serial)
        batch.rows["port"] = [port for port, _ in frames]
        now_ns, serial = now_ns + len(frames) * GAP_NS, serial + len(frames)
        done = network.run(batch, Instant(now_ns))
        columns = ("time_ns", "order", "port", "tag", "entry", "part")
        found += [("delivered", *row) for row in done.delivered.rows[list(columns)].tolist()]
        lost = done.dropped.rows[list(columns)].tolist()
        found += [("dropped", *row, str(done.whys[why])) for row, why in zip(lost, done.why.tolist(), strict=True)]
    found.append((network.counters.copied, network.counters.dropped, network.counters.ports.tolist()))
    return found, 0 if network.floods is None else network.floods.recalled


ports = st.integers(0, VMS + 1)
frames = st.builds(
    lambda port, *rest: (port, flood(mac_of(max(0, port - 2)), *rest)),
    ports,
    st.sampled_from((BROADCAST, GROUP, OTHER_GROUP, "005056000003")),
    st.sampled_from((None, None, 0, 10, 20, 4095)),
    st.sampled_from(("0800", "0806", "86dd")),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(frames, min_size=1, max_size=8), min_size=2, max_size=6))
def test_engines_agree_on_floods(windows: list[list[tuple[int, bytes]]]) -> None:
    wiring = many_vms().wiring
    with patch.object(floods, "WORTH_IT", 1), patch("iochain.engine.network.WORTH_IT", 1):
        found, recalled = fates(wiring, windows, Engine.PATHS)
    event("some copies are recalled" if recalled else "none is")
    assert found == fates(wiring, windows, Engine.PLAIN)[0]


def test_floods_of_a_kind_are_known_before_long() -> None:
    wiring = many_vms().wiring
    windows = [[(2 + sender, flood(mac_of(sender), BROADCAST))] for sender in range(16)]
    found, recalled = fates(wiring, windows, Engine.PATHS, flaps=12)
    assert found == fates(wiring, windows, Engine.PLAIN, flaps=12)[0]
    assert recalled >= 4 * VMS


def test_more_kinds_of_floods_than_lines() -> None:
    wiring = many_vms().wiring
    kinds = [flood(mac_of(1), f"01005e0001{number:02x}") for number in range(5)]
    windows = [[(3, kind)] for _ in range(4) for kind in kinds for _ in range(3)]
    with patch.object(floods, "MOST_LINES", 2):
        found, recalled = fates(wiring, windows, Engine.PATHS)
    assert found == fates(wiring, windows, Engine.PLAIN)[0]
    assert recalled >= VMS


def test_copies_that_cannot_be_remembered_walk_in_every_flood() -> None:
    seen: list[str] = []

    def looks(frame: Frame, port: Port) -> Verdict:
        seen.append(port.name)
        return frame if len(frame.scapy) else Drop(Reason.STAGE)

    lab = many_vms()
    lab.port("vm5").output.insert(looks)
    windows = [[(2, flood(mac_of(0), BROADCAST))] for _ in range(6)]
    assert fates(lab.wiring, windows, Engine.PATHS)[0] == fates(lab.wiring, windows, Engine.PLAIN)[0]
    assert seen == ["vm5"] * 12


def test_who_listens_hears_each_copy() -> None:
    wiring = many_vms().wiring
    network = Network.of(wiring, engine=Engine.PATHS)
    for number in range(4):
        heard = Explanation()
        network.listen(number + 1, heard)
        batch = batch_of([(flood(mac_of(0), BROADCAST), number * GAP_NS)], 0, number + 1)
        batch.rows["port"] = 2
        delivered = network.run(batch, Instant((number + 1) * GAP_NS)).delivered
        assert len(delivered) > 70
        del network.decider.listeners[number + 1]
        assert len(heard.steps) > 70

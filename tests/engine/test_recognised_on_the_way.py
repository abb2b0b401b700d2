"""What frames ask of adapters is found as they enter, wherever in a window the first that asks for something stands."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap

from iochain import Lab
from iochain.chain import Reason
from iochain.engine.network import Engine
from iochain.replay import Options, Replay, replay

WEB, OUTSIDE = "00:50:56:00:00:01", "02:00:00:00:00:01"
FRAMES = 100


def lab(**settings: Any) -> Lab:
    made = Lab()
    host = made.host("esx1")
    host.nic("vmnic0")
    prod = host.vswitch("vSwitch0", uplinks=["vmnic0"]).portgroup("Prod", vlan=10, **settings)
    prod.vm("web", mac=WEB)
    prod.vm("db", mac="00:50:56:00:00:02")
    return made


def ordinary(number: int) -> Packet:
    """Some are full segments, which are looked at closely and ask for nothing."""
    if number % 40 == 7:
        return Ether(dst=OUTSIDE, src=WEB) / IP(src="10.0.0.1", dst="10.9.9.9") / TCP(flags="A") / Raw(bytes(1300))
    return Ether(dst=OUTSIDE, src=WEB) / IP(src="10.0.0.1", dst="10.9.9.9") / UDP(dport=number) / Raw(bytes(30))


def large() -> Packet:
    """As a guest gives it to its adapter."""
    return Ether(dst=OUTSIDE, src=WEB) / IP(src="10.0.0.1", dst="10.9.9.9") / TCP(flags="A") / Raw(bytes(6000))


def undone() -> Packet:
    """The guest has left the checksum to its adapter: the field has the sum of the pseudo-header (UDP, 38 bytes)."""
    seed = 0x0A00 + 0x0001 + 0x0A09 + 0x0909 + 17 + 38
    return Ether(dst=OUTSIDE, src=WEB) / IP(src="10.0.0.1", dst="10.9.9.9") / UDP(chksum=seed) / Raw(bytes(30))


def received() -> Packet:
    return Ether(dst=WEB, src=OUTSIDE) / Dot1Q(vlan=10) / IP(src="10.9.9.9", dst="10.0.0.1") / UDP() / Raw(bytes(30))


def ran(capture: Path, engine: Engine, piece_bytes: int, **settings: Any) -> tuple[Replay, list[Any]]:
    done = replay(lab(**settings).wiring, [capture], Options(engine=engine, piece_bytes=piece_bytes))
    return done, [(fate.port, fate.time_ns, fate.frame, fate.data, str(fate.reason)) for fate in done.fates()]


@pytest.mark.parametrize("asking", [large, undone])
@pytest.mark.parametrize("piece_bytes", [1 << 12, 1 << 22])
@pytest.mark.parametrize("first", [None, 0, 1, 31, 32, 33, 64, FRAMES - 1])
def test_engines_agree_wherever_the_first_that_asks_stands(
    first: int | None, piece_bytes: int, asking: Callable[[], Packet], tmp_path: Path
) -> None:
    packets = [received() if number > 70 and number % 5 == 3 else ordinary(number) for number in range(FRAMES)]
    if first is not None:
        packets[first] = asking()
    if first == 32:
        packets[90] = asking()
    for number, packet in enumerate(packets):
        packet.time = 1 + number / 1000
    capture = tmp_path / "frames.pcap"
    wrpcap(str(capture), packets)
    (plain, plain_fates), (paths, paths_fates) = (ran(capture, engine, piece_bytes) for engine in list(Engine)[:2])
    assert paths_fates == plain_fates
    assert paths.counters.ports.tolist() == plain.counters.ports.tolist()
    assert paths.entries == plain.entries
    assert list(paths.offloads) == list(plain.offloads)
    count = {None: 0, 32: 2}.get(first, 1)
    assert paths.counters.split == plain.counters.split == (4 * count if asking is large else 0)
    filled = [one.frames for one in paths.offloads if one.what == "checksum filled"]
    assert sum(filled) == (count if asking is undone else 0) or asking is large


@pytest.mark.parametrize("piece_bytes", [256, 1 << 12, 1 << 22])
@pytest.mark.parametrize("first", [0, 20, 64])
def test_what_a_shaper_holds_still_asks_in_later_windows(first: int, piece_bytes: int, tmp_path: Path) -> None:
    packets = [ordinary(8 + number % 30) for number in range(FRAMES)]
    packets[first] = packets[first + 3] = undone()
    for number, packet in enumerate(packets):
        packet.time = 1 + number / 1000
    capture = tmp_path / "frames.pcap"
    wrpcap(str(capture), packets)
    shaping = {"average": "500 kbit/s", "burst": "200 B"}
    plain, paths = (ran(capture, engine, piece_bytes, shaping=shaping) for engine in list(Engine)[:2])
    assert paths[1] == plain[1]
    assert list(paths[0].offloads) == list(plain[0].offloads)
    assert {str(Reason.SHAPER)} < {reason for *_, reason in plain[1]}
    assert sum(one.frames for one in paths[0].offloads if one.what == "checksum filled") > 0

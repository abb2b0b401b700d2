"""Whole labs with offloads under random traffic: engines and windows agree, sums are right, nothing is over the MTU."""

from typing import NamedTuple

from hypothesis import event, given, settings
from hypothesis import strategies as st
from large_packets import large_packets, tcp_frame
from offload_lab import CUT_BY_KERNEL, DB, ROUTER, WEB, lab
from segmenter import UDP, has_right_sums, packets, with_seed

from iochain import Lab
from iochain.batch import FOREVER, Instant, batch_of, order_of
from iochain.engine.network import Engine, Network
from iochain.replay import Fate, fates_of

MTU = 1500


class Sent(NamedTuple):
    data: bytes
    at: str
    after_ns: int  # after the frame before


@st.composite
def traffic(draw: st.DrawFn) -> list[Sent]:
    """Large packets and datagrams of web, undone or done, and segments of two flows that come in by the uplink."""
    found = []
    sequences = [1, 1]
    for _ in range(draw(st.integers(1, 12))):
        gap = draw(st.sampled_from([0, 1, 1000, 20_000, 80_000]))
        kind = draw(st.sampled_from(["large", "datagram", "segment", "segment"]))
        target = draw(st.sampled_from([DB, ROUTER]))
        if kind == "large":
            frame = target + WEB + draw(large_packets()).frame[12:]
            found.append(Sent(frame, "web", gap))
        elif kind == "datagram":
            done = tcp_frame(payload=bytes(draw(st.integers(1, 1472))), macs=target + WEB, protocol=UDP)
            found.append(Sent(with_seed(done) if draw(st.booleans()) else done, "web", gap))
        else:
            flow, size = draw(st.integers(0, 1)), draw(st.sampled_from([1, 100, 1448]))
            version, flags = draw(st.sampled_from([4, 6])), draw(st.sampled_from([0x10, 0x18]))
            sent = tcp_frame(
                payload=bytes(size),
                version=version,
                sequence=sequences[flow],
                flags=flags,
                macs=DB + ROUTER,
                ports=(5000 + flow, 80),
            )
            sequences[flow] += size if draw(st.booleans()) else 0  # some come again, or too early
            found.append(Sent(sent, "vmnic0", gap))
    return found


LABS = st.builds(
    lab,
    nic=st.sampled_from([{}, CUT_BY_KERNEL, {"tso": False}, {"driver": "icen"}, {"lro": True}]),
    settings=st.sampled_from(
        [{}, {"Net.NetpollSwLRO": 0}, {"Net.VmxnetDoTsoSplit": 0}, {"Net.VmxnetDoTsoSplit": 3}, {"Net.UseHwTSO6": 0}]
    ),
    version=st.sampled_from(["7.0", "8.0"]),
    options=st.sampled_from([{}, {"offloads": "pure"}, {"mss": "mtu"}]),
    db=st.sampled_from([{}, {"large_packets": False}, {"lro": False}, {"adapter": "e1000"}]),
)


def run(made: Lab, sent: list[Sent], engine: Engine, ends: list[int]) -> list[Fate]:
    """All fates, with windows that end before the frames of these numbers."""
    wiring = made.wiring
    network = Network.of(wiring, engine=engine)
    times, now = [], 10**9
    for one in sent:
        now += one.after_ns
        times.append(now)
    batch = batch_of([(one.data, time_ns) for one, time_ns in zip(sent, times, strict=True)])
    for row, one in zip(batch.rows, sent, strict=True):
        row["port"] = wiring.port(one.at).number
    fates: list[Fate] = []
    first = 0
    for end in [*sorted(set(ends)), len(sent)]:
        until = Instant(times[end], order_of(0, end + 1)) if end < len(sent) else FOREVER
        fates += fates_of(wiring, network.run(batch[first:end], until))
        first = end
    network.counters.check(0)
    return fates


@settings(max_examples=60, deadline=None)
@given(LABS, traffic(), st.lists(st.integers(1, 11), max_size=3))
def test_engines_and_windows_agree_and_all_is_right(made: Lab, sent: list[Sent], ends: list[int]) -> None:
    fates = run(made, sent, Engine.PLAIN, [])
    assert run(made, sent, Engine.PATHS, []) == fates
    assert run(made, sent, Engine.PLAIN, [end for end in ends if end < len(sent)]) == fates
    event(f"{len(fates) - len(sent)} more than sent")
    for fate in fates:
        assert fate.dropped is None or fate.dropped.drop.reason.name in (
            "UNKNOWN_UNICAST",
            "DEVICE_REFUSED",
            "TSO_FAILED",
        )
        if fate.dropped is None:
            assert has_right_sums(fate.data)
            outer = packets(fate.data)[0]
            assert fate.port != "vmnic0" or outer.end - outer.ip <= MTU

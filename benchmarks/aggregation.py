"""LRO against a plain C loop of the same work (aggregation.c), in frames per CPU second.

    python benchmarks/aggregation.py

Both sides get the same frames in memory, in batches of the size that readers hand on; what goes out is compared byte by
byte first. The best of several turns counts.
"""

import ctypes
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from bounds import BOUND_HEAD, Bound, aligned, number
from clibrary import library
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

from iochain.batch import FOREVER, Batch, batch_of
from iochain.uplink.aggregation import Aggregation
from iochain.uplink.checksum import Checksum

MOST_TIMES_C: Final = 1.5
FEWEST_FRAMES_PER_SECOND: Final = 2e6
TURNS: Final = 1000
FRAMES: Final = 690
"""A MiB of 1,514 bytes."""

Bytes = npt.NDArray[np.uint8]


def received(flows: int, payload: int = 1448, count: int = FRAMES) -> Batch:
    """Frames of so many flows in turn, each in order, with timestamps; from an uplink, 1 µs apart."""
    options = [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))]
    ethernet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="10.0.0.1", dst="10.0.0.2", flags="DF")
    random = np.random.default_rng(1)
    frames = []
    for i in range(count):
        tcp = TCP(sport=40000 + i % flows, dport=80, seq=i // flows * payload, flags="A", options=options)
        frames.append((bytes(ethernet / tcp / random.bytes(payload)), 1000 * i))
    return from_uplink(frames)


def datagrams(count: int) -> Batch:
    """Small UDP frames: nothing to put together."""
    ethernet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="10.0.0.1", dst="10.0.0.2")
    data = bytes(ethernet / UDP(sport=1, dport=2) / bytes(18))
    return from_uplink([(data, 1000 * i) for i in range(count)])


def from_uplink(frames: list[tuple[bytes, int]]) -> Batch:
    """Frames that a NIC received."""
    batch = batch_of(frames)
    batch.rows["flags"] = 1
    return batch


def seconds(*works: Callable[[], object], before: Callable[[], object] = lambda: None) -> list[float]:
    """CPU time of the fastest turn of each; turns alternate, and ``before`` is done before each and does not count."""
    best = [float("inf")] * len(works)
    for _ in range(TURNS):
        before()
        for i, work in enumerate(works):
            started = time.process_time()
            work()
            best[i] = min(best[i], time.process_time() - started)
    return best


def in_c(function: Any, batch: Batch, stage: Aggregation, out: Bytes) -> Callable[[], int]:
    """The C loop over a batch whose frames lie one behind the other."""
    function.restype = ctypes.c_int64
    lengths, times = batch.rows["length"].astype(np.int64), batch.rows["time_ns"].copy()
    first, *arrays = (ctypes.c_void_p(int(batch.rows["address"][0])), *map(_pointer, (lengths, times)))
    numbers = [ctypes.c_int64(value) for value in (len(batch), stage.poll_ns, stage.verify)]
    return lambda: int(function(first, *arrays, *numbers, _pointer(out))) if len(lengths) and len(times) else 0


def _pointer(array: npt.NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def compared(name: str, stage: Aggregation, batch: Batch, function: Any) -> tuple[str, float, float]:
    """A name, and frames per second of the stage and of the C loop; both have to put out the same bytes."""
    out: Bytes = np.zeros(2 * int(batch.rows["length"].sum()), np.uint8)
    loop, state = in_c(function, batch, stage, out), stage.start()
    made = stage.run(state, batch, FOREVER).batch
    written = loop()
    assert b"".join(made.frame_bytes(i) for i in range(len(made))) == out[:written].tobytes(), name
    ours, theirs = seconds(lambda: stage.run(state, batch, FOREVER), loop, before=lambda: later(batch))
    return name, len(batch) / ours, len(batch) / theirs


def later(batch: Batch) -> None:
    """The same frames a second later: time goes on."""
    batch.rows["time_ns"] += 10**9


def main() -> None:
    plain, verifying = Aggregation.netpoll(1500), Aggregation.netpoll(1500, verify=True)
    verified = [received(flows) for flows in (1, 8)]
    for batch in verified:
        batch.rows["checksum"] = Checksum.VERIFIED
    small = received(8, 10, 14_000)
    small.rows["checksum"] = Checksum.VERIFIED
    loop = library("aggregation").aggregate
    found = [
        compared("one flow of 1,514 bytes", plain, verified[0], loop),
        compared("eight flows of 1,514 bytes", plain, verified[1], loop),
        compared("eight flows of 1,514 bytes, verified here", verifying, received(8), loop),
        compared("eight flows of 76 bytes", plain, small, loop),
    ]
    rows = [(name, number(ours / 1e6), number(c / 1e6), number(c / ours)) for name, ours, c in found]
    print(aligned(("", "iochain, M frames/s", "C, M frames/s", "times C"), rows))
    bounds = [Bound(name, c / ours, MOST_TIMES_C, "times C") for name, ours, c in found[:3]]
    bounds += [Bound(name, ours, FEWEST_FRAMES_PER_SECOND, "frames/s", at_least=True) for name, ours, _ in found[:3]]
    print(aligned(BOUND_HEAD, [bound.row for bound in bounds]))
    others = datagrams(16_000)
    state = verifying.start()
    (passing,) = seconds(lambda: verifying.run(state, others, FOREVER))
    print(f"UDP frames of 60 bytes, handed on as they are: {number(passing / len(others) * 1e9)} ns a frame")


if __name__ == "__main__":
    main()

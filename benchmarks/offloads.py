"""Segmentation and checksum fill against a plain C loop of the same work (offloads.c), in gigabytes per CPU second.

    python benchmarks/offloads.py

Both sides get the same frames in memory; the results are compared byte by byte first. The best of several turns counts.
"""

import ctypes
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from bounds import BOUND_HEAD, Bound, aligned, number
from clibrary import library
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from iochain.batch import FOREVER, Batch, batch_of
from iochain.uplink.checksum import Checksum, ChecksumFill
from iochain.uplink.recognition import Recognition
from iochain.uplink.segmentation import Segmentation

MOST_TIMES_C: Final = 1.5
MSS: Final = 1448
TURNS: Final = 200
Bytes = npt.NDArray[np.uint8]


def frames(count: int, payload: int) -> Batch:
    """TCP frames with timestamps, whose checksum is still to be filled."""
    options = [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))]
    packet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="10.0.0.1", dst="10.0.0.2", flags="DF")
    packet /= TCP(sport=40000, dport=5201, flags="PA", options=options, chksum=0)
    data = bytes(packet / np.random.default_rng(1).bytes(payload))
    batch = batch_of((data, index) for index in range(count))
    batch.rows["checksum"] = Checksum.MUST
    batch.rows["port"] = 0
    return batch


def seconds(work: Callable[[], object]) -> float:
    """CPU time of the fastest of several turns."""
    best = float("inf")
    for _ in range(TURNS):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


def in_c(function: Any, batch: Batch, out: Bytes, *more: int) -> Callable[[], int]:
    """One of the C loops over a batch whose frames lie one behind the other."""
    lengths = batch.rows["length"].astype(np.int64)
    function.restype = ctypes.c_int64
    first = ctypes.c_void_p(int(batch.rows["address"][0]))
    arguments = [ctypes.c_int64(value) for value in (len(batch), *more)]
    return lambda: int(
        function(first, ctypes.c_void_p(lengths.ctypes.data), *arguments, ctypes.c_void_p(out.ctypes.data))
    )


def compared(name: str, stage: Any, batch: Batch, in_c_loop: Callable[[], int], out: Bytes) -> tuple[str, float, float]:
    """A name, and bytes per second of the stage and of the C loop; both have to write the same bytes."""
    state = stage.start()
    made = stage.run(state, batch, FOREVER).batch
    written = in_c_loop()
    assert b"".join(made.frame_bytes(i) for i in range(len(made))) == out[:written].tobytes(), name
    size = int(batch.rows["length"].sum())
    return name, size / seconds(lambda: stage.run(state, batch, FOREVER)), size / seconds(in_c_loop)


def main() -> None:
    large, full, small = frames(16, 65_160), frames(690, MSS), frames(14_563, 6)  # a MiB each, as readers hand on
    large.rows["mss"] = MSS
    out = np.zeros(2 * int(max(batch.rows["length"].sum() for batch in (large, full, small))), np.uint8)
    loops = library("offloads")
    found = [
        compared("segmentation of 64 KB", Segmentation(1500), large, in_c(loops.segment, large, out, MSS), out),
        compared("checksum fill, 1,514 bytes", ChecksumFill(), full, in_c(loops.fill, full, out), out),
        compared("checksum fill, 72 bytes", ChecksumFill(), small, in_c(loops.fill, small, out), out),
    ]
    rows = [(name, number(ours / 1e9), number(c / 1e9), number(c / ours)) for name, ours, c in found]
    print(aligned(("", "iochain, GB/s", "C, GB/s", "times C"), rows))
    bounds = [Bound(name, c / ours, MOST_TIMES_C, "times C") for name, ours, c in found[:2]]
    print(aligned(BOUND_HEAD, [bound.row for bound in bounds]))
    small.rows["checksum"] = Checksum.AS_IT_IS
    recognition = Recognition.of(np.array([1500], np.int32))
    recognition.mark(small.rows)
    cost = seconds(lambda: recognition.mark(small.rows)) / len(small) * 1e9
    print(f"recognition of ordinary frames of 72 bytes: {number(cost)} ns a frame")


if __name__ == "__main__":
    main()

"""Many frames tried at once: each sent at a port, alone, and where its copies were delivered."""

import copy
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from attrs import frozen

from iochain.batch import FOREVER, Batch, untagged_rows
from iochain.engine.network import Engine, Fates, Network
from iochain.experiment.fabric import Fabric
from iochain.experiment.running import Experiment
from iochain.kernels.checked import known
from iochain.kernels.parse import parse
from iochain.kernels.rows import ADDRESS_BYTES, NO_TAG, NOWHERE, ROW, SERIAL_BITS
from iochain.topology.wiring import Wiring
from iochain.verify.conditions import Words

GAP_NS: Final = 1000 * 10**9
"""Between two frames: shapers have saved up again by then, and switches forgotten."""
_SERIALS: Final = (1 << SERIAL_BITS) - 1
Numbers = npt.NDArray[np.int64]


@frozen(eq=False)
class Trial:
    """Frames that were sent, and the copies that were delivered.

    ``target`` is where a frame is to arrive, or -1; ``wish`` the number of the rule that wants it to.
    """

    frames: Sequence[bytes]
    sender: Numbers  # port by frame
    target: Numbers  # port by frame
    wish: Numbers  # rule by frame
    sent: Words  # parsed frames
    frame: Numbers  # by copy: index of the frame
    port: Numbers  # by copy: where it was delivered
    copies: Words  # parsed copies

    def __len__(self) -> int:
        return len(self.frames)


def tried(
    wiring: Wiring,
    frames: Sequence[bytes],
    sender: Sequence[int],
    target: Sequence[int],
    engine: Engine | None = None,
    wish: Sequence[int] | None = None,
) -> Trial:
    """Send each frame at its port, long after the one before. StageError if a stage breaks its contract."""
    batch = _batch(frames, np.array(sender, np.int32))
    sent = parse(batch.rows)
    delivered = [fates.delivered for fates in _run(wiring, batch, engine)]
    ports, owners, copies = [], [], []
    for copies_of in delivered:
        some = copies_of[copies_of.column("order") >> SERIAL_BITS == 0]  # others are frames that hosts make
        ports.append(some.column("port").astype(np.int64))
        owners.append((some.column("order") & _SERIALS) - 1)
        copies.append(parse(np.ascontiguousarray(some.rows)))
    return Trial(
        frames,
        np.array(sender, np.int64),
        np.array(target, np.int64),
        np.zeros(len(frames), np.int64) if wish is None else np.array(wish, np.int64),
        sent,
        np.concatenate(owners) if owners else np.zeros(0, np.int64),
        np.concatenate(ports) if ports else np.zeros(0, np.int64),
        np.concatenate(copies) if copies else sent[:0],
    )


def parsed(frames: Sequence[bytes]) -> Words:
    """The words of frames that were not sent anywhere."""
    return parse(_batch(frames, np.zeros(len(frames), np.int32)).rows)


def _run(wiring: Wiring, batch: Batch, engine: Engine | None) -> list[Fates]:
    """The windows of a fresh network; with cables it is one that hears of what happens to them.

    Hosts send no beacons: teams are as at the start, where a witness finds them when it is replayed alone. For the same
    reason a port that BPDU Guard shuts is open again for the next frame.
    """
    if wiring.cables:
        experiment = Experiment.of(copy.deepcopy(wiring), engine=engine)
        experiment.start()
        experiment.live.hosts.beacons.stop()
        experiment.live.fabric = _Reopening.start(experiment.live)
        batch, _ = experiment.network.recognise(batch, entering=False)
        last_ns = int(batch.rows["time_ns"][-1]) if len(batch) else 0
        return list(experiment.windows(batch, FOREVER, last_event_ns=last_ns))
    network = Network.of(wiring, engine=engine)
    try:
        batch, _ = network.recognise(batch, entering=False)
        return list(network.windows(batch))
    finally:
        network.restore()


class _Reopening(Fabric):
    """Physical switches whose ports BPDU Guard shuts for one frame only."""

    def guarded(self) -> None:
        """No link is taken, so all ports are as before."""
        self.settle()


def _batch(frames: Sequence[bytes], sender: npt.NDArray[np.int32]) -> Batch:
    """Rows on one piece of memory; their serials count the frames from 1."""
    memory = known(np.frombuffer(b"".join(frames) or b"\0", np.uint8))
    lengths = np.fromiter(map(len, frames), np.int64, len(frames))
    rows = np.zeros(len(frames), ROW)
    rows["address"] = memory.ctypes.data + np.cumsum(lengths) - lengths
    rows["order"] = np.arange(1, len(frames) + 1)
    rows["time_ns"] = rows["order"] * GAP_NS
    rows["length"] = rows["wire_length"] = lengths
    rows["tag"], rows["skip"] = NO_TAG, ADDRESS_BYTES
    rows["entry"] = rows["interface"] = NOWHERE
    rows["port"] = sender
    return Batch(untagged_rows(rows), (memory,))

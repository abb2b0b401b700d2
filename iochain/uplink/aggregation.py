"""LRO: received TCP segments of one flow, put together into one large packet before the switch or the guest sees them.

Which frames are put together is written down for one kind only, vmklinux (inet_lro.c of ESXi 6.7); of the others the
emulator chooses the same with what the settings say. Nothing is held longer than a poll: that begins with the first
TCP data that comes when none is open, and ends some time later or with so many frames of TCP data, as netpoll and the
NIC's interrupt moderation have it. A session that a frame ends, and that frame, leave 1 ns after it, so that nothing
depends on where windows end. The "short-lived" variant of Net.VmxnetSwLROSL is not published, and not modelled; nor
are queues, so the sessions are those of a port.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from attrs import define, field, frozen

from iochain.banked import Banked
from iochain.batch import EMPTY, Batch, Instant, Waiting, joined_pins, pins_of
from iochain.chain import Passed
from iochain.kernels.checked import known
from iochain.kernels.rows import ROW
from iochain.uplink import candidates as c
from iochain.uplink import sessions as s

LONGEST: Final = 65535
"""Bytes of the longest IPv4 packet."""


@frozen
class Adaptive:
    """Go on only where it pays: after so many candidates the frames must have become fewer than a ratio of them.

    If they have not, that many candidates times ``backoff`` pass as they are (Net.LRODefThreshold, UseRatioNumer,
    UseRatioDenom, BackoffPeriod). Decided between polls.
    """

    threshold: int = 4000
    numerator: int = 1
    denominator: int = 3
    backoff: int = 8


class Aggregated(IntEnum):
    """What is counted for each port: a column of ``Aggregators.counters``."""

    FRAMES = 0  # that went into large ones
    BYTES = 1  # of large ones
    LARGE = 2  # made
    UNSERVED = 3  # candidates that found no session free
    PAUSED = 4  # candidates that passed as the adaptive decision was against it
    WRONG = 5  # candidates with a wrong checksum (rx_csum_offload_errors)


@frozen
class Aggregation(Banked["Aggregators"]):
    """How far TCP segments are put together, and which; lengths are of IP packets.

    A large packet is done when it has ``max_frames``, or more than ``max_bytes`` less the MTU. ``other_options``: TCP
    options other than a timestamp are no hindrance where they are equal; ``flush_on_psh``: a PSH ends a packet and is
    in it, else it is lost if a later segment had it; ``same_macs``: both addresses must be the first segment's, which
    vmklinux does not ask; ``sums``: the large packet's TCP checksum is made right (Net.NetEnableSwCsumForLro). Only
    segments whose checksum was verified are put together; with ``verify`` those from uplinks are looked at here, as
    the NIC does, if they are candidates otherwise.
    """

    mtu: int = 1500
    max_bytes: int = LONGEST
    max_frames: int = LONGEST
    sessions: int = 8
    poll_ns: int = 50_000
    poll_frames: int = 64
    ipv6: bool = True
    other_options: bool = True
    flush_on_psh: bool = True
    same_macs: bool = True
    sums: bool = True
    verify: bool = False
    adaptive: Adaptive | None = None

    @classmethod
    def hardware(cls, mtu: int, **more: Any) -> "Aggregation":
        """By the NIC, for its receive queues. What it does exactly is the NIC's own; the emulator chooses netpoll's."""
        return cls(mtu, **more)

    @classmethod
    def netpoll(cls, mtu: int, **more: Any) -> "Aggregation":
        """By the poll of a physical NIC (Net.NetpollSwLRO)."""
        return cls(mtu, **more)

    @classmethod
    def vmxnet3(cls, mtu: int, **more: Any) -> "Aggregation":
        """At delivery to a vNIC (Net.Vmxnet3SwLRO, Net.VmxnetLROMaxLength)."""
        return cls(mtu, **{"max_bytes": 32000, **more})

    @classmethod
    def vmkernel(cls, mtu: int, **more: Any) -> "Aggregation":
        """At a vmkernel adapter (Net.TcpipDefLROEnabled, Net.TcpipDefLROMaxLength)."""
        return cls(mtu, **{"max_bytes": 32768, **more})

    @classmethod
    def vmklinux(cls, mtu: int, max_frames: int = 6, **more: Any) -> "Aggregation":
        """By the driver layer of legacy drivers (Net.VmklnxLROEnabled, Net.VmklnxLROMaxAggr)."""
        only = dict.fromkeys(("ipv6", "other_options", "flush_on_psh", "same_macs", "sums"), False)
        return cls(mtu, max_frames=max_frames, **{**only, **more})

    @classmethod
    def bank(cls, stages: Sequence["Aggregation"]) -> "Aggregators":
        """The sessions of many ports, in arrays."""
        return Aggregators.of(stages)

    @property
    def rules(self) -> int:
        """The yes and no of the settings, as bits."""
        bits = {
            c.IPV6: self.ipv6,
            c.OTHER_OPTIONS: self.other_options,
            c.FLUSH_ON_PSH: self.flush_on_psh,
            c.SAME_MACS: self.same_macs,
            c.SUMS: self.sums,
            c.VERIFY: self.verify,
        }
        return sum(bit for bit, is_set in bits.items() if is_set)


_NOTHING: Final = np.zeros((0, s.PIECE_COLUMNS), np.int64)


@define
class Aggregators:
    """The sessions of many ports: see :mod:`iochain.uplink.sessions`. ``in_sessions`` is how many frames these hold.

    ``memory`` is a batch of these frames, so that their bytes stay where the sessions and their pieces point, in a copy
    of the bank too.
    """

    lanes: npt.NDArray[np.int64]
    sessions: npt.NDArray[np.int64]
    heads: npt.NDArray[np.void]
    listed: npt.NDArray[np.int64]
    pieces: npt.NDArray[np.int64] = _NOTHING
    memory: Batch = EMPTY
    in_sessions: int = 0
    waiting: Waiting = field(factory=Waiting)
    handed: npt.NDArray[np.int64] = field(factory=lambda: np.zeros(s.HANDED_COLUMNS, np.int64))

    @classmethod
    def of(cls, stages: Sequence[Aggregation]) -> "Aggregators":
        """No poll, no session."""
        lanes = np.zeros((len(stages), s.LANE_COLUMNS), np.int64)
        for lane, stage in zip(lanes, stages, strict=True):
            lane[: s.THRESHOLD] = (
                stage.mtu,
                min(stage.max_bytes, LONGEST),
                stage.max_frames,
                stage.sessions,
                stage.rules,
                max(1, stage.poll_ns),
                stage.poll_frames,
            )
            if stage.adaptive is not None:
                adaptive = stage.adaptive
                decision = adaptive.threshold, adaptive.numerator, adaptive.denominator, adaptive.backoff
                lane[s.THRESHOLD : s.DEADLINE] = decision
            lane[s.NOT_BEFORE] = np.iinfo(np.int64).min
        slots = len(stages) * max((stage.sessions for stage in stages), default=1)
        return cls(
            lanes,
            np.zeros((slots, s.SESSION_COLUMNS), np.int64),
            np.zeros(slots, ROW),
            np.zeros(len(stages) + 1, np.int64),
        )

    @staticmethod
    def concerns(rows: npt.NDArray[np.void]) -> bool:
        """Whether any row may be put together with others: received TCP data."""
        return bool(s.concern(rows))

    @property
    def held(self) -> int:
        """How many frames are in sessions, or wait for their time."""
        return self.in_sessions + len(self.waiting)

    def __len__(self) -> int:
        return self.held

    @property
    def counters(self) -> npt.NDArray[np.int64]:
        """What was counted: a row for each lane, a column for each :class:`Aggregated`."""
        return self.lanes[:, s.COUNTED :]

    def run(self, batch: Batch, lanes: npt.NDArray[np.int32], until: Instant) -> Passed:
        """Take frames into sessions, or give them out; all sessions whose poll ends before ``until`` go out too.

        A batch without TCP data is handed on as it is, where nothing is held.
        """
        first = 0 if self.in_sessions else int(s.pass_by(batch.rows, lanes, self.lanes))
        if first == len(batch) and not self.held:
            return Passed(batch)
        most = self.in_sessions + len(batch)
        out, made = np.empty(most, ROW), np.empty((most // 2, s.SESSION_COLUMNS), np.int64)
        pieces = np.empty((most, s.PIECE_COLUMNS), np.int64)
        if self.in_sessions:
            pieces[: len(self.pieces)] = self.pieces
        self.handed[s.NEXT_PIECE] = len(self.pieces)
        filled, count, merged, room, is_due = s.put_together(
            batch.rows,
            lanes,
            first,
            until.time_ns,
            self.lanes,
            self.sessions,
            self.heads,
            pieces,
            self.listed,
            out,
            made,
            self.handed,
        )
        pins = joined_pins((batch, self.memory)) if self.memory.pins else batch.pins
        self._keep(pieces, pins, most - filled - merged)
        if count:
            memory = known(np.empty(room, np.uint8))
            s.assemble(made[:count], pieces, out, memory)
            pins = (*pins, memory)
        batch = Batch(out[:filled], pins)
        if not is_due or len(self.waiting):
            batch = self.waiting.release(batch, until)
        return Passed(batch, merged=merged)

    def _keep(self, pieces: npt.NDArray[np.int64], pins: tuple[object, ...], held: int) -> None:
        """Keep what open sessions need, and no more."""
        self.in_sessions = held
        if not held:
            self.pieces, self.memory = _NOTHING, EMPTY
            return
        kept = np.empty((held, s.PIECE_COLUMNS), np.int64)
        count = int(s.keep_pieces(self.lanes, self.sessions, pieces, self.listed, kept))
        self.pieces = kept[:count].copy()
        rows = np.zeros(count, ROW)
        rows["address"] = self.pieces[:, s.PIECE_AT] - 1  # in the frame's headers, whatever payload was captured
        self.memory = Batch(rows, pins_of(rows, pins))

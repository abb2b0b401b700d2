"""TCP segmentation: a large packet becomes segments of ``mss`` bytes, in the NIC or in the kernel (TSO, software TSO).

ESXi publishes which packets are refused (linux_net.c), that the IPv4 identification grows by one a segment and that
CWR goes with the first (vmkapi_net_pkt.h); all else is as Linux does it (tcp_offload.c), which is the emulator's
choice: FIN and PSH in the last segment, all other fields and options copied, outer headers of VXLAN and Geneve on every
segment with lengths, identification and checksum of their own, a jumbo payload option (RFC 2675) left out. All segments
have the time of their packet, and are numbered by ``part``.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum, IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from attrs import define, frozen
from numba import types

from iochain.banked import Banked
from iochain.batch import Batch, Instant
from iochain.chain import Drop, Passed, Reason
from iochain.kernels.checked import known
from iochain.kernels.compiled import compiled, part
from iochain.kernels.raw import (
    copy,
    load_be16,
    load_be32,
    load_le16,
    load_u8,
    store_be16,
    store_be32,
    store_le16,
    store_u8,
)
from iochain.kernels.rows import ADDRESS_BYTES, ROW, ROWS
from iochain.uplink import headers as h
from iochain.uplink.checksum import asks, folded, header_total, inner_pseudo, outer_pseudo, store_sum, total
from iochain.uplink.headers import ALL_KINDS, By, Kind, bits_of, find_all, get, put


class Segmented(IntEnum):
    """Columns of :attr:`Segmenters.counters`: large packets and their bytes, what came of them, what was dropped."""

    FRAMES = 0
    BYTES = 1
    SEGMENTS = 2
    DROPPED = 3


@frozen
class Segmentation(Banked["Segmenters"]):
    """Large TCP packets of these kinds become segments; whatever has no ``mss``, or is of another kind, passes.

    Headers from the IP header on and ``mss`` have to fit into ``mtu``; 0: that is not checked. Without ``sums`` the
    segments' checksums are left to who comes next (Net.UplinkTSOSplit). With ``accurate_ecn`` CWR stays in all.
    """

    mtu: int
    kinds: frozenset[Kind] = ALL_KINDS
    by: By = By.KERNEL
    sums: bool = True
    accurate_ecn: bool = False

    @classmethod
    def bank(cls, stages: Sequence["Segmentation"]) -> "Segmenters":
        """The stages of many ports."""
        return Segmenters.of(stages)


class SplitMode(Enum):
    """Net.VmxnetDoTsoSplit: how a large packet is cut before a VM gets it."""

    NONE = 0
    HALVED = 1
    HYBRID = 2
    PIECES = 3

    def __repr__(self) -> str:
        return f"SplitMode.{self.name}"


@frozen
class LargeSplit(Banked["Splitters"]):
    """Large TCP packets become two or more that are large still, before a VM gets them (Net.VmxnetDoTsoSplit).

    HALVED: the first half has ceil(n / 2) of n segments. PIECES: of at most ``size`` bytes of payload, in whole
    segments. HYBRID: halves, or pieces where a half would be longer than ``size``. Once ``bound`` large packets have
    come at one instant, only what is longer than ``size`` is cut. ESXi publishes the settings and not the rounding, nor
    what HYBRID does: the emulator's choice. Packets that cannot be cut pass.
    """

    mode: SplitMode
    size: int = 17500
    bound: int = 12

    @classmethod
    def bank(cls, stages: Sequence["LargeSplit"]) -> "Splitters":
        """The stages of many ports."""
        return Splitters.of(stages)


# Columns of a lane's settings.
_MTU, _KINDS, _BY, _SUMS, _KEEPS_CWR = range(5)
_MODE, _SIZE, _BOUND, _AT, _CAME = range(5)


@define
class Cutters(ABC):
    """The settings of the stages of many ports, and what they did to large packets: a row of ``counters`` each."""

    lanes: npt.NDArray[np.int64]
    counters: npt.NDArray[np.int64]
    held: int = 0

    concerns = staticmethod(asks)

    def run(self, batch: Batch, lanes: npt.NDArray[np.int32], until: Instant) -> Passed:
        """Cut large packets; nothing waits here."""
        index = _large(batch.rows)
        if not len(index):
            return Passed(batch)
        found = find_all(batch.rows, index)
        work = np.zeros((len(index), _WORK_COLUMNS), np.int64)
        self.plan(batch.rows, lanes, index, found, work)
        return _cut(batch, index, found, work)

    @abstractmethod
    def plan(
        self, rows: Any, lanes: npt.NDArray[np.int32], index: npt.NDArray[np.int64], found: Any, work: Any
    ) -> None:
        """Say in ``work`` what becomes of each row in ``index``, and count it."""


@define
class Segmenters(Cutters):
    """Those of :class:`Segmentation`."""

    @classmethod
    def of(cls, stages: Sequence[Segmentation]) -> "Segmenters":
        """Nothing counted."""
        settings = [
            (stage.mtu, bits_of(stage.kinds), stage.by is By.NIC, stage.sums, stage.accurate_ecn) for stage in stages
        ]
        return cls(np.array(settings, np.int64), np.zeros((len(stages), len(Segmented)), np.int64))

    def plan(
        self, rows: Any, lanes: npt.NDArray[np.int32], index: npt.NDArray[np.int64], found: Any, work: Any
    ) -> None:
        """All its segments, or a drop."""
        plan_segments(rows, lanes, self.lanes, self.counters, index, found, work)


@define
class Splitters(Cutters):
    """Those of :class:`LargeSplit`, each with its last instant, and how many large packets came at that."""

    @classmethod
    def of(cls, stages: Sequence[LargeSplit]) -> "Splitters":
        """Nothing counted."""
        settings = [(stage.mode.value, stage.size, stage.bound, -1, 0) for stage in stages]
        return cls(np.array(settings, np.int64), np.zeros((len(stages), len(Segmented)), np.int64))

    def plan(
        self, rows: Any, lanes: npt.NDArray[np.int32], index: npt.NDArray[np.int64], found: Any, work: Any
    ) -> None:
        """Pieces, by how many came at the instant before."""
        came = np.empty(len(index), np.int64)
        count_arrivals(rows, lanes, self.lanes, index, came)
        plan_pieces(rows, lanes, self.lanes, self.counters, came, index, found, work)


def _large(rows: Any) -> npt.NDArray[np.int64]:
    """The indices of the rows that have an mss."""
    index = np.empty(len(rows), np.int64)
    return index[: find_large(rows, index)]


def _cut(batch: Batch, index: npt.NDArray[np.int64], found: npt.NDArray[np.int64], work: Any) -> Passed:
    """Do what ``work`` says to the rows in ``index``, into rows and memory of their own."""
    pieces, room, dropped = (int(work[:, column].sum()) for column in (_PIECES, _ROOM, _IS_DROPPED))
    if dropped == 0 and room == 0:
        return Passed(batch)
    memory = known(np.empty(room, np.uint8))
    rows, lost = np.empty(len(batch) - len(index) + pieces, ROW), np.empty(dropped, ROW)
    why = np.empty(dropped, np.int32)
    cut(batch.rows, index, found, work, rows, lost, why, memory)
    out = Batch(rows, (*batch.pins, memory))
    return Passed(out, Batch(lost, batch.pins), why, _DROPS, len(rows) + dropped - len(batch))


# What is done with a row: cut into so many pieces (1: it passes, 0: it is dropped) of so many segments each, which
# take so many bytes of memory; whether it is dropped and why, and how it is done.
_PIECES, _UNITS, _ROOM, _IS_DROPPED, _WHY, _HOW = range(6)
_WORK_COLUMNS = 6
_WITH_SUMS, _WITH_CWR = 1, 2

_NOT_IP, _NOT_TCP, _RUNT, _LARGE_MSS, _CUT_HEADERS = range(5)
_ERRORS: Final = (
    "no IP packet",
    "no TCP packet, or a fragment",
    "runt: no more payload than one segment",
    "mss and headers exceed the MTU",
)
_DROPS: Final = (
    *(Drop(Reason.TSO_FAILED, error) for error in _ERRORS),
    *(Drop(Reason.DEVICE_REFUSED, error) for error in _ERRORS),
    Drop(Reason.CUT_HEADERS),
)

_JUMBO_BYTES = 8
_IPV6_BYTES = 40
_FIN, _PSH, _CWR = 0x01, 0x08, 0x80
_MUST = 1  # Checksum.MUST; compiled code knows no enums
_ROW_INDEX = types.Array(types.int64, 1, "C")
_TABLE = types.Array(types.int64, 2, "C")
_LANES = types.Array(types.int32, 1, "C")
_BYTES = types.Array(types.uint8, 1, "C")


@part
def _error_of(mss: int, mtu: int, found: int) -> int:
    """Which error keeps a packet from being segmented, or -1 (linux_net.c, the checks of TSO)."""
    result = get(found, h.RESULT)
    if result == h.CUT:
        return _CUT_HEADERS
    if result == h.NOT_IP:
        return _NOT_IP
    if result != h.FOUND or get(found, h.PROTOCOL) != h.TCP:
        return _NOT_TCP
    if get(found, h.END) - get(found, h.PAYLOAD) <= mss:
        return _RUNT
    is_too_large = 0 < mtu < mss + _header_bytes(found)
    return _LARGE_MSS if is_too_large else -1


@part
def _header_bytes(found: int) -> int:
    """Bytes of a segment's headers from the outermost IP header on."""
    network = get(found, h.OUTER_NETWORK) if get(found, h.OUTER_NETWORK) else get(found, h.NETWORK)
    return get(found, h.PAYLOAD) - network - (_JUMBO_BYTES if get(found, h.JUMBO) else 0)


@part
def _room(row: Any, pieces: int, found: int) -> int:
    """Bytes of memory for all pieces: their headers, and the payload as far as it was captured."""
    end = min(row.length, get(found, h.END))
    headers = get(found, h.PAYLOAD) - (_JUMBO_BYTES if get(found, h.JUMBO) else 0)
    return headers * pieces + max(end - get(found, h.PAYLOAD), 0) + _JUMBO_BYTES  # type: ignore[no-any-return]


@compiled(types.int64(ROWS, _ROW_INDEX))
def find_large(rows: Any, index: Any) -> int:
    """Fill ``index`` with the rows that have an mss; gives how many."""
    count = 0
    for i in range(len(rows)):
        index[count] = i
        count += 1 if rows[i].mss != 0 else 0
    return count


@compiled(types.void(ROWS, _LANES, _TABLE, _TABLE, _ROW_INDEX, _TABLE, _TABLE))
def plan_segments(rows: Any, lanes: Any, settings: Any, counters: Any, index: Any, found: Any, work: Any) -> None:
    """Say in ``work`` what becomes of each row in ``index``, and count it."""
    vectors = found.ctypes.data
    for i in range(len(index)):
        row, lane = rows[index[i]], lanes[index[i]]
        headers = vectors + h.BYTES * i
        is_whole = get(headers, h.RESULT) == h.FOUND
        if is_whole and settings[lane, _KINDS] >> get(headers, h.KIND) & 1 == 0:
            work[i, _PIECES] = 1
            continue
        error = _error_of(row.mss, settings[lane, _MTU], headers)
        if error >= 0:
            work[i, _IS_DROPPED] = 1
            work[i, _WHY] = 2 * _CUT_HEADERS if error == _CUT_HEADERS else error + _CUT_HEADERS * settings[lane, _BY]
            counters[lane, 3] += 1
            continue
        pieces = (get(headers, h.END) - get(headers, h.PAYLOAD) + row.mss - 1) // row.mss
        work[i, _PIECES], work[i, _UNITS] = pieces, 1
        work[i, _ROOM] = _room(row, pieces, headers)
        work[i, _HOW] = settings[lane, _SUMS] * _WITH_SUMS + settings[lane, _KEEPS_CWR] * _WITH_CWR
        counters[lane, 0] += 1
        counters[lane, 1] += row.wire_length
        counters[lane, 2] += pieces


@compiled(types.void(ROWS, _LANES, _TABLE, _ROW_INDEX, _ROW_INDEX))
def count_arrivals(rows: Any, lanes: Any, settings: Any, index: Any, came: Any) -> None:
    """Fill ``came`` with how many large packets of the same lane and instant came before each in ``index``."""
    for i in range(len(index)):
        lane, time_ns = settings[lanes[index[i]]], rows[index[i]].time_ns
        if lane[_AT] != time_ns:
            lane[_AT], lane[_CAME] = time_ns, 0
        came[i] = lane[_CAME]
        lane[_CAME] += 1


@part
def _units(mode: int, size: int, mss: int, payload: int) -> int:
    """How many segments each piece has."""
    segments = (payload + mss - 1) // mss
    half, in_size = (segments + 1) // 2, max(size // mss, 1)
    if mode == 1 or (mode == 2 and half <= in_size):
        return half
    return in_size


@compiled(types.void(ROWS, _LANES, _TABLE, _TABLE, _ROW_INDEX, _ROW_INDEX, _TABLE, _TABLE))
def plan_pieces(
    rows: Any, lanes: Any, settings: Any, counters: Any, came: Any, index: Any, found: Any, work: Any
) -> None:
    """Say in ``work`` into which pieces each row in ``index`` is cut, and count it."""
    vectors = found.ctypes.data
    for i in range(len(index)):
        row, lane = rows[index[i]], lanes[index[i]]
        headers = vectors + h.BYTES * i
        work[i, _PIECES] = 1
        mode, size = settings[lane, _MODE], settings[lane, _SIZE]
        payload = get(headers, h.END) - get(headers, h.PAYLOAD)
        if mode == 0 or _error_of(row.mss, 0, headers) >= 0:
            continue
        if came[i] >= settings[lane, _BOUND] and payload <= size:
            continue
        units = _units(mode, size, row.mss, payload)
        pieces = (payload + units * row.mss - 1) // (units * row.mss)
        if pieces < 2:
            continue
        work[i, _PIECES], work[i, _UNITS] = pieces, units
        work[i, _ROOM] = _room(row, pieces, headers)
        work[i, _HOW] = 0 if row.checksum == _MUST else _WITH_SUMS
        counters[lane, 0] += 1
        counters[lane, 1] += row.wire_length
        counters[lane, 2] += pieces


@part
def _without_jumbo(address: int, found: int) -> None:
    """Take the jumbo payload header out of the headers at an address, and out of the offsets."""
    jumbo, payload = get(found, h.JUMBO), get(found, h.PAYLOAD)
    store_u8(address + get(found, h.NETWORK) + 6, load_u8(address + jumbo))
    for at in range(jumbo, payload - _JUMBO_BYTES):
        store_u8(address + at, load_u8(address + at + _JUMBO_BYTES))
    if get(found, h.FINAL) > jumbo:
        put(found, h.FINAL, get(found, h.FINAL) - _JUMBO_BYTES)
    put(found, h.TRANSPORT_AT, get(found, h.TRANSPORT_AT) - _JUMBO_BYTES)
    put(found, h.PAYLOAD, payload - _JUMBO_BYTES)


@part
def _store_length(address: int, length: int) -> None:
    """Write a length of 16 bits; 0 where it does not fit, as in packets beyond 64 KB."""
    store_be16(address, length if length <= 0xFFFF else 0)


@part
def _number_ip(base: int, network: int, is_6: int, end: int, number: int) -> None:
    """Write length, identification and checksum of an IP header whose packet ends at offset ``end``."""
    header = base + network
    if is_6:
        _store_length(header + 4, end - network - _IPV6_BYTES)
        return
    _store_length(header + 2, end - network)
    store_be16(header + 4, load_be16(header + 4) + number)
    store_le16(header + 10, 0)
    store_sum(header + 10, header_total(header, (load_u8(header) & 15) * 4), 0)


@part
def _sum_tcp(base: int, end: int, payload_sum: int, found: int, is_done: int) -> None:
    """Write the TCP checksum, or the sum of the pseudo-header where it is not to be done."""
    at = get(found, h.TRANSPORT_AT)
    addresses = inner_pseudo(base, found, end - at)
    store_le16(base + at + 16, folded(addresses))
    if is_done:
        store_le16(base + at + 16, 0)
        store_sum(base + at + 16, addresses + header_total(base + at, get(found, h.PAYLOAD) - at) + payload_sum, 0)


@part
def _sum_outer(base: int, end: int, payload_sum: int, found: int, is_done: int) -> None:
    """Write the outer UDP header's length, and its checksum where it has one."""
    at = get(found, h.OUTER_TRANSPORT)
    _store_length(base + at + 4, end - at)
    if load_le16(base + at + 6) == 0:
        return
    addresses = outer_pseudo(base, found, end - at)
    store_le16(base + at + 6, folded(addresses))
    if is_done:
        store_le16(base + at + 6, 0)
        store_sum(base + at + 6, addresses + total(base + at, get(found, h.PAYLOAD) - at) + payload_sum, 1)


@part
def _write_headers(base: int, end: int, number: int, sequence: int, flags: int, found: int) -> None:
    """Make the copied headers those of the piece that ends at offset ``end``: all but the checksums over payload."""
    transport = base + get(found, h.TRANSPORT_AT)
    store_be32(transport + 4, sequence)
    store_u8(transport + 13, flags)
    _number_ip(base, get(found, h.NETWORK), get(found, h.NETWORK_6), end, number)
    if get(found, h.OUTER_NETWORK):
        _number_ip(base, get(found, h.OUTER_NETWORK), get(found, h.OUTER_6), end, number)


@part
def _gather_headers(row: Any, address: int, found: int) -> None:
    """Copy a row's headers to an address, in one piece."""
    copy(address, row.address, ADDRESS_BYTES)
    copy(address + ADDRESS_BYTES, row.address + row.skip, get(found, h.PAYLOAD) - ADDRESS_BYTES)
    if get(found, h.JUMBO):
        _without_jumbo(address, found)


@part
def _flags_of(flags: int, is_first: int, is_last: int, keeps_cwr: int) -> int:
    """The TCP flags of a piece."""
    kept = 0xFF
    if not is_first and not keeps_cwr:
        kept &= ~_CWR
    if not is_last:
        kept &= ~(_FIN | _PSH)
    return flags & kept


@part
def _cut_row(row: Any, found: int, pieces: int, units: int, how: int, out: Any, first: int, address: int) -> int:
    """Write the pieces of a row to ``out`` from ``first`` on, and their bytes to an address; gives where these end."""
    source = row.address + row.skip + get(found, h.PAYLOAD) - ADDRESS_BYTES
    payload = get(found, h.END) - get(found, h.PAYLOAD)
    captured = min(row.length, get(found, h.END)) - get(found, h.PAYLOAD)
    _gather_headers(row, address, found)
    template, headers, at = address, get(found, h.PAYLOAD), get(found, h.TRANSPORT_AT)
    sequence, flags, size = load_be32(template + at + 4), load_u8(template + at + 13), units * row.mss
    outer, outer_at = get(found, h.OUTER_NETWORK), get(found, h.OUTER_TRANSPORT)
    numbers = load_be16(template + get(found, h.NETWORK) + 4)
    outer_numbers = load_be16(template + outer + 4) if outer else 0
    outer_sum = load_le16(template + outer_at + 6) if outer else 0
    for k in range(pieces):
        start = k * size
        here = min(size, payload - start)
        there = max(min(here, captured - start), 0)
        if k:
            copy(address, template, headers)
            if not get(found, h.NETWORK_6):
                store_be16(address + get(found, h.NETWORK) + 4, numbers)
            if outer:
                store_le16(address + outer_at + 6, outer_sum)
                if not get(found, h.OUTER_6):
                    store_be16(address + outer + 4, outer_numbers)
        copy(address + headers, source + start, there)
        end = headers + here
        kept = _flags_of(flags, k == 0, k == pieces - 1, how & _WITH_CWR)
        _write_headers(address, end, k * units, sequence + start, kept, found)
        is_done = 1 if how & _WITH_SUMS and there == here else 0
        payload_sum = total(source + start, there) if is_done else 0  # what was just written could not be read at once
        _sum_tcp(address, end, payload_sum, found, is_done)
        if outer:
            _sum_outer(address, end, payload_sum, found, is_done)
        piece = out[first + k]
        piece.address, piece.skip, piece.pad = address, ADDRESS_BYTES, 0
        piece.length, piece.wire_length = headers + there, end
        piece.part = row.part + k * units
        piece.mss = row.mss if here > row.mss else 0
        piece.checksum = (0 if row.checksum == _MUST else row.checksum) if is_done else _MUST
        address += headers + there
    return address


@compiled(types.void(ROWS, _ROW_INDEX, _TABLE, _TABLE, ROWS, ROWS, _LANES, _BYTES))
def cut(rows: Any, index: Any, found: Any, work: Any, out: Any, lost: Any, why: Any, memory: Any) -> None:
    """Copy rows to ``out``, those in ``index`` as pieces or to ``lost``, as ``work`` says; bytes go to ``memory``."""
    address = memory.ctypes.data
    made = dropped = begin = 0
    vectors = found.ctypes.data
    for i in range(len(index) + 1):
        end = index[i] if i < len(index) else len(rows)
        for j in range(begin, end):
            out[made] = rows[j]
            made += 1
        if i == len(index):
            break
        begin = end + 1
        row, pieces = rows[end], work[i, _PIECES]
        if work[i, _IS_DROPPED]:
            lost[dropped] = row
            why[dropped] = work[i, _WHY]
            dropped += 1
            continue
        for k in range(pieces):
            out[made + k] = row
        if pieces > 1:
            headers = vectors + h.BYTES * i
            address = _cut_row(row, headers, pieces, work[i, _UNITS], work[i, _HOW], out, made, address)
        made += pieces

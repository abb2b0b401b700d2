"""TCP and UDP checksums, as NICs and kernel compute and check them (vmkapi_net_pkt.h: must-checksum, verified).

A sum is the ones' complement sum of 16-bit words (RFC 1071) over pseudo-header and packet (RFC 9293, 768, 8200), taken
64 bits at a time in the order that memory has them: the sum does not mind. A UDP sum of 0 is sent as 0xFFFF. Seeds that
guests leave in the field are not used (VMXNET3 has its segments' lengths left out of them); all is computed from
scratch. In VXLAN and Geneve it is the inner checksum that is asked for; the outer UDP checksum is made again where
there is one.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from attrs import define, frozen
from numba import types

from iochain.banked import Banked
from iochain.batch import Batch, Instant
from iochain.chain import Drop, Passed, Reason
from iochain.kernels.checked import CHECKED, known
from iochain.kernels.compiled import compiled, part
from iochain.kernels.raw import copy, load_le16, load_le32, load_le64, load_u8, store_le16, words_at
from iochain.kernels.rows import ADDRESS_BYTES, ROWS
from iochain.kernels.select import copied
from iochain.uplink import headers as h
from iochain.uplink.headers import ALL_KINDS, By, Kind, bits_of, find_all, get


class Checksum(IntEnum):
    """What is known of a frame's TCP or UDP checksum: the row's column of this name."""

    AS_IT_IS = 0
    """Sent: done. Received: not verified."""
    MUST = 1
    """Still to be computed; the field holds the sum of the pseudo-header."""
    VERIFIED = 2
    """Checked already, or the frame never left the host's memory."""


def asks(rows: Any) -> bool:
    """Whether any row asks for something: segmentation, or a checksum. About a nanosecond a row."""
    return bool(any_asks(rows))


class Filled(IntEnum):
    """Columns of :attr:`Fills.counters`."""

    FRAMES = 0
    BYTES = 1
    DROPPED = 2


class Checked(IntEnum):
    """Columns of :attr:`Checks.counters`; WRONG is what drivers call rx_csum_offload_errors."""

    RIGHT = 0
    WRONG = 1


@frozen
class ChecksumFill(Banked["Fills"]):
    """Frames whose checksum must be computed get it, if they are of one of these kinds; all others pass untouched.

    A frame whose payload the snap length cut stays as it is: nobody can sum what is not there (the emulator's choice).
    """

    kinds: frozenset[Kind] = ALL_KINDS
    by: By = By.KERNEL

    @classmethod
    def bank(cls, stages: Sequence["ChecksumFill"]) -> "Fills":
        """The stages of many ports."""
        return Fills.of(stages)


@frozen
class ChecksumCheck(Banked["Checks"]):
    """A NIC checks what it receives: right frames are verified, wrong ones pass as they are, and are counted.

    What the snap length cut is taken to be right (the emulator's choice).
    """

    kinds: frozenset[Kind] = ALL_KINDS

    @classmethod
    def bank(cls, stages: Sequence["ChecksumCheck"]) -> "Checks":
        """The stages of many ports."""
        return Checks.of(stages)


@define
class Fills:
    """What the stages of many ports may fill, and what they did: a row of ``counters`` each."""

    kinds: npt.NDArray[np.int64]
    counters: npt.NDArray[np.int64]
    held: int = 0

    @classmethod
    def of(cls, stages: Sequence[ChecksumFill]) -> "Fills":
        """Nothing counted."""
        kinds = np.array([bits_of(stage.kinds) for stage in stages], np.int64)
        return cls(kinds, np.zeros((len(stages), len(Filled)), np.int64))

    concerns = staticmethod(asks)

    def run(self, batch: Batch, lanes: npt.NDArray[np.int32], until: Instant) -> Passed:
        """Fill checksums; nothing waits here."""
        index = marked(batch.rows, Checksum.MUST)
        if not len(index):
            return Passed(batch)
        made, why = _fill(batch, lanes, index, self.kinds, self.counters)
        if int(why.max(initial=PASSES)) < 0:
            return Passed(made)
        lost = why >= 0
        return Passed(made[~lost], batch[lost], why[lost], _DROPS)


@define
class Checks:
    """What the stages of many ports may check, and what they found: a row of ``counters`` each."""

    kinds: npt.NDArray[np.int64]
    counters: npt.NDArray[np.int64]
    held: int = 0

    @classmethod
    def of(cls, stages: Sequence[ChecksumCheck]) -> "Checks":
        """Nothing counted."""
        kinds = np.array([bits_of(stage.kinds) for stage in stages], np.int64)
        return cls(kinds, np.zeros((len(stages), len(Checked)), np.int64))

    def run(self, batch: Batch, lanes: npt.NDArray[np.int32], until: Instant) -> Passed:
        """Check checksums, and note in each row what was found."""
        index = marked(batch.rows, Checksum.AS_IT_IS)
        if len(index):
            batch = Batch(copied(batch.rows), batch.pins)
            verify(batch.rows, lanes, self.kinds, self.counters, index, find_all(batch.rows, index))
        return Passed(batch)


def filled(batch: Batch) -> Batch:
    """The frames with all checksums that must be computed, as a capture writes them that shows none undone.

    What cannot be filled stays as it is.
    """
    index = marked(batch.rows, Checksum.MUST)
    if not len(index):
        return batch
    counters, kinds = np.zeros((1, len(Filled)), np.int64), np.array([bits_of(ALL_KINDS)], np.int64)
    return _fill(batch, np.zeros(len(batch), np.int32), index, kinds, counters)[0]


def _fill(
    batch: Batch,
    lanes: npt.NDArray[np.int32],
    index: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.int64],
    counters: npt.NDArray[np.int64],
) -> tuple[Batch, npt.NDArray[np.int32]]:
    """The batch with the rows in ``index`` filled, and what became of each row: nothing is said where all are plain."""
    rows, why = copied(batch.rows), np.zeros(0, np.int32)
    room = int(batch.rows["length"][index].sum())
    memory = known(np.empty(room + _PAGE, np.uint8))
    start = _apart(memory.ctypes.data, int(rows["address"][index[0]]))
    others, vector = np.empty(len(index), np.int64), np.empty(h.COLUMNS, np.int64)
    count, start = fill_plain(rows, lanes, kinds, counters, index, memory, start, vector, others)
    if count:
        found, why = find_all(rows, others[:count]), np.full(len(batch), PASSES, np.int32)
        plan(rows, lanes, kinds, counters, others[:count], found, why)
        fill(rows, others[:count], found, why, memory, start)
    return Batch(rows, (*batch.pins, memory)), why


def _apart(address: int, source: int) -> int:
    """How far behind an address to begin to copy from a source: half a page apart, as far as pages go.

    Loads wait for earlier stores to addresses that agree in their lower 12 bits, which costs a third of all time.
    """
    return (source + _PAGE // 2 - address) % _PAGE


def marked(rows: Any, state: Checksum) -> npt.NDArray[np.int64]:
    """The indices of the rows whose checksum is in this state."""
    index = np.empty(len(rows), np.int64)
    return index[: find_marked(rows, int(state), index)]  # numba takes long over an enum


# What becomes of a row: it passes, is filled, or is dropped for one of _DROPS.
FILLS, PASSES = -2, -1
_NO_SUM, _CUT_HEADERS = range(2)
_DROPS: Final = (Drop(Reason.CHECKSUM), Drop(Reason.CUT_HEADERS))
RIGHT, WRONG, NO_SUM = range(3)
"""What a check finds; NO_SUM: a UDP packet without checksum."""

_PAGE: Final = 4096
_LOW: Final = 0xFFFFFFFF
_TCP_FIELD, _UDP_FIELD = 16, 6
_ROW_INDEX = types.Array(types.int64, 1, "C")
_TABLE = types.Array(types.int64, 2, "C")
_LANES = types.Array(types.int32, 1, "C")
_BYTES = types.Array(types.uint8, 1, "C")


@part
def _loaded_words(address: int, words: int) -> int:
    """The sum of so many 64-bit words, each as two numbers of 32 bits."""
    low = high = 0
    for i in range(words):
        word = load_le64(address + 8 * i)
        low += word & _LOW
        high += word >> 32 & _LOW
    return low + high


@part
def _array_words(address: int, words: int) -> int:
    """The same over an array, which the compiler makes vectors of: five times as fast."""
    array = words_at(address, words)
    low = high = 0
    for i in range(words):
        low += array[i] & _LOW
        high += array[i] >> 32 & _LOW
    return low + high


_words = _loaded_words if CHECKED else _array_words


@part
def total(address: int, count: int) -> int:
    """The ones' complement sum of ``count`` bytes, not folded; the last of an odd number is followed by a zero."""
    whole = count >> 3
    result = _words(address, whole)
    at = address + 8 * whole
    if count & 4:
        result += load_le32(at)
        at += 4
    if count & 2:
        result += load_le16(at)
        at += 2
    if count & 1:
        result += load_u8(at)
    return result


@part
def header_total(address: int, count: int) -> int:
    """The same of a header, whose bytes are a multiple of four: too few for vectors, and less to compile."""
    result = 0
    for at in range(address, address + count, 4):
        result += load_le32(at)
    return result


@part
def folded(value: int) -> int:
    """A sum in 16 bits, carries added at the lower end."""
    value = (value & _LOW) + (value >> 32)
    value = (value & 0xFFFF) + (value >> 16)
    value = (value & 0xFFFF) + (value >> 16)
    return (value & 0xFFFF) + (value >> 16)


@part
def swapped(value: int) -> int:
    """A 16-bit number as sums see it: its two bytes in the order that frames have them."""
    return (value & 0xFF) << 8 | value >> 8 & 0xFF


@part
def pseudo(base: int, network: int, is_6: int, final: int, protocol: int, length: int) -> int:
    """The sum of the pseudo-header of a packet whose IP header is at ``base + network``; not folded."""
    if is_6:
        addresses = header_total(base + network + 8, 16) + header_total(base + final, 16)
    else:
        addresses = load_le32(base + network + 12) + load_le32(base + final)
    return addresses + (protocol << 8) + swapped(length & 0xFFFF) + swapped(length >> 16)


@part
def field_of(found: int) -> int:
    """The offset of the checksum of the packet that was found."""
    return get(found, h.TRANSPORT_AT) + (_TCP_FIELD if get(found, h.PROTOCOL) == h.TCP else _UDP_FIELD)


@part
def inner_pseudo(base: int, found: int, length: int) -> int:
    """The sum of the pseudo-header of the packet that was found, were it so long behind its IP headers."""
    network, is_6, final = get(found, h.NETWORK), get(found, h.NETWORK_6), get(found, h.FINAL)
    return pseudo(base, network, is_6, final, get(found, h.PROTOCOL), length)


@part
def outer_pseudo(base: int, found: int, length: int) -> int:
    """The same of the UDP packet that carries it."""
    network, is_6, final = get(found, h.OUTER_NETWORK), get(found, h.OUTER_6), get(found, h.OUTER_FINAL)
    return pseudo(base, network, is_6, final, h.UDP, length)


@part
def checksum_of(value: int, is_udp: int) -> int:
    """The checksum that a sum makes; a UDP checksum of 0 would mean that there is none."""
    checksum = 0xFFFF - folded(value)
    return 0xFFFF if is_udp and checksum == 0 else checksum


@part
def store_sum(address: int, value: int, is_udp: int) -> None:
    """Write the checksum that a sum makes."""
    store_le16(address, checksum_of(value, is_udp))


@part
def _inner_checksum(base: int, found: int) -> int:
    """The right checksum of the packet that was found, whatever its field holds."""
    at, end = get(found, h.TRANSPORT_AT), get(found, h.END)
    others = 0xFFFF - load_le16(base + field_of(found))
    value = inner_pseudo(base, found, end - at) + total(base + at, end - at) + others
    return checksum_of(value, 1 if get(found, h.PROTOCOL) == h.UDP else 0)


@part
def _outer_checksum(base: int, found: int, change: int) -> int:
    """The same of the UDP packet that carries it, with ``change`` the sum of what became of the bytes inside."""
    at, end = get(found, h.OUTER_TRANSPORT), get(found, h.OUTER_END)
    others = 0xFFFF - load_le16(base + at + _UDP_FIELD)
    return checksum_of(outer_pseudo(base, found, end - at) + total(base + at, end - at) + others + change, 1)


@part
def is_seed(base: int, found: int) -> int:
    """1: the field holds the sum of the pseudo-header and nothing else; with the length, or for TCP without."""
    length = get(found, h.END) - get(found, h.TRANSPORT_AT)
    held = load_le16(base + field_of(found))
    if held == folded(inner_pseudo(base, found, length)):
        return 1
    return 1 if get(found, h.PROTOCOL) == h.TCP and held == folded(inner_pseudo(base, found, 0)) else 0


@part
def is_outer_seed(base: int, found: int) -> int:
    """The same of the UDP packet that carries it."""
    at = get(found, h.OUTER_TRANSPORT)
    held = load_le16(base + at + _UDP_FIELD)
    return 1 if held == folded(outer_pseudo(base, found, get(found, h.OUTER_END) - at)) else 0


@part
def _check(base: int, at: int, end: int, addresses: int) -> int:
    return RIGHT if folded(addresses + total(base + at, end - at)) == 0xFFFF else WRONG


@part
def check_inner(base: int, captured: int, found: int) -> int:
    """RIGHT, WRONG or NO_SUM for the packet that was found; what was cut is taken to be right."""
    at, end = get(found, h.TRANSPORT_AT), get(found, h.END)
    if get(found, h.PROTOCOL) == h.UDP and load_le16(base + field_of(found)) == 0:
        return WRONG if get(found, h.NETWORK_6) else NO_SUM
    return RIGHT if end > captured else _check(base, at, end, inner_pseudo(base, found, end - at))


@part
def check_outer(base: int, captured: int, found: int) -> int:
    """The same for the UDP packet that carries it; tunnels may leave their checksum out over IPv6 too (RFC 6935)."""
    at, end = get(found, h.OUTER_TRANSPORT), get(found, h.OUTER_END)
    if load_le16(base + at + _UDP_FIELD) == 0:
        return NO_SUM
    return RIGHT if end > captured else _check(base, at, end, outer_pseudo(base, found, end - at))


@part
def check_found(row: Any, found: int) -> int:
    """RIGHT, WRONG or NO_SUM for a row whose headers were found, the outer UDP checksum included."""
    base = row.address + row.skip - ADDRESS_BYTES
    if get(found, h.RESULT) != h.FOUND:
        return NO_SUM
    inner = check_inner(base, row.length, found)
    if get(found, h.OUTER_NETWORK) and check_outer(base, row.length, found) == WRONG:
        return WRONG
    return inner


@compiled(types.boolean(ROWS))
def any_asks(rows: Any) -> bool:
    """Whether any row has an mss, or a checksum that must be computed."""
    found = False
    for i in range(len(rows)):
        found |= rows[i].mss != 0 or rows[i].checksum == 1
    return found


@compiled(types.int64(ROWS, types.int64, _ROW_INDEX))
def find_marked(rows: Any, state: int, index: Any) -> int:
    """Fill ``index`` with the rows whose checksum is in a state; gives how many."""
    count = 0
    for i in range(len(rows)):
        index[count] = i
        count += 1 if rows[i].checksum == state else 0
    return count


@compiled(types.void(ROWS, _LANES, _ROW_INDEX, _TABLE, _ROW_INDEX, _TABLE, _LANES))
def plan(rows: Any, lanes: Any, kinds: Any, counters: Any, index: Any, found: Any, why: Any) -> None:
    """Say in ``why`` what becomes of the rows in ``index``, and count it."""
    vectors = found.ctypes.data
    for i in range(len(index)):
        row, lane = rows[index[i]], lanes[index[i]]
        headers = vectors + h.BYTES * i
        result, is_tunnel = get(headers, h.RESULT), get(headers, h.OUTER_NETWORK) != 0
        if result == h.FOUND or is_tunnel:
            kind = get(headers, h.KIND)
            end = get(headers, h.OUTER_END) if is_tunnel else get(headers, h.END)
            if kinds[lane] >> kind & 1 == 0 or end > row.length:
                continue
            why[index[i]] = FILLS
            counters[lane, 0] += 1
            counters[lane, 1] += row.wire_length
        else:
            why[index[i]] = _CUT_HEADERS if result == h.CUT else _NO_SUM
            counters[lane, 2] += 1


@part
def _write_sums(base: int, found: int, address: int) -> None:
    """Write the checksums of a frame at ``base`` into its copy at an address.

    Sums are taken over the frame, not over the copy: what was just written could not be read at once.
    """
    is_tunnel, is_found = get(found, h.OUTER_NETWORK) != 0, get(found, h.RESULT) == h.FOUND
    change = 0
    if is_found and (not is_tunnel or is_seed(base, found) or not is_outer_seed(base, found)):
        checksum, field = _inner_checksum(base, found), field_of(found)
        change = checksum + 0xFFFF - load_le16(base + field)
        store_le16(address + field, checksum)
    if is_tunnel and load_le16(base + get(found, h.OUTER_TRANSPORT) + _UDP_FIELD) != 0:
        store_le16(address + get(found, h.OUTER_TRANSPORT) + _UDP_FIELD, _outer_checksum(base, found, change))


@part
def _fill_row(row: Any, found: int, address: int) -> int:
    """Give a row bytes of its own at an address, with the checksum; gives the address behind them."""
    copy(address, row.address, ADDRESS_BYTES)
    copy(address + ADDRESS_BYTES, row.address + row.skip, row.length - ADDRESS_BYTES)
    _write_sums(row.address + row.skip - ADDRESS_BYTES, found, address)
    row.address, row.skip, row.checksum = address, ADDRESS_BYTES, 0
    return address + row.length  # type: ignore[no-any-return]


@compiled(
    types.UniTuple(types.int64, 2)(
        ROWS, _LANES, _ROW_INDEX, _TABLE, _ROW_INDEX, _BYTES, types.int64, _ROW_INDEX, _ROW_INDEX
    )
)
def fill_plain(
    rows: Any, lanes: Any, kinds: Any, counters: Any, index: Any, memory: Any, start: int, vector: Any, others: Any
) -> tuple[int, int]:
    """Fill those rows of ``index`` that are plain packets, and note the others, in one pass over all.

    Gives how many others there are, and where in ``memory`` is room for them.
    """
    base, found, count = memory.ctypes.data, vector.ctypes.data, 0
    address = base + start
    for i in range(len(index)):
        row, lane = rows[index[i]], lanes[index[i]]
        if not h.find_plain(row.address + row.skip - ADDRESS_BYTES, row.length, row.wire_length, found):
            others[count] = index[i]
            count += 1
        elif kinds[lane] & 1 and get(found, h.END) <= row.length:
            counters[lane, 0] += 1
            counters[lane, 1] += row.wire_length
            address = _fill_row(row, found, address)
    return count, address - base


@compiled(types.void(ROWS, _ROW_INDEX, _TABLE, _LANES, _BYTES, types.int64))
def fill(rows: Any, index: Any, found: Any, why: Any, memory: Any, start: int) -> None:
    """Rows that are filled get bytes of their own in ``memory``, from ``start`` on, with the checksum."""
    address = memory.ctypes.data + start
    vectors = found.ctypes.data
    for i in range(len(index)):
        if why[index[i]] == FILLS:
            address = _fill_row(rows[index[i]], vectors + h.BYTES * i, address)


@compiled(types.void(ROWS, _LANES, _ROW_INDEX, _TABLE, _ROW_INDEX, _TABLE))
def verify(rows: Any, lanes: Any, kinds: Any, counters: Any, index: Any, found: Any) -> None:
    """Note in the rows in ``index`` that their checksum is right, and count right and wrong ones."""
    vectors = found.ctypes.data
    for i in range(len(index)):
        row, lane = rows[index[i]], lanes[index[i]]
        headers = vectors + h.BYTES * i
        if get(headers, h.RESULT) != h.FOUND or kinds[lane] >> get(headers, h.KIND) & 1 == 0:
            continue
        result = check_found(row, headers)
        if result == RIGHT:
            row.checksum = 2
            counters[lane, 0] += 1
        elif result == WRONG:
            counters[lane, 1] += 1

"""What a captured frame asked of its NIC: segmentation, checksum (vmkapi_net_pkt.h: large-TCP with MSS, must-checksum).

A capture has no such metadata. A TCP frame longer than the MTU is a large packet; its segment size is that of the
largest full segment which its flow has sent so far, else what the MTU leaves. A full segment is one that another had to
follow: data without PSH, FIN, SYN or RST, and at least 536 bytes (RFC 9293, 3.7.1). A checksum field that holds the
sum of the pseudo-header, as guests leave it, and would be wrong as a checksum, is still to be filled. All of this is
the emulator's choice. In a lab without offloads nobody asks at the entry; there the wire has large packets sized.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from attrs import define, field
from numba import types

from iochain.kernels.compiled import compiled, part, part_in_line
from iochain.kernels.raw import (
    keep_apart,
    load_be16,
    load_le16,
    load_le32,
    load_le64,
    load_u8,
    prefetch,
    row_at,
    wrapped,
)
from iochain.kernels.rows import ADDRESS_BYTES, ETHERNET_BYTES, ROW_BYTES, ROWS, TAG_BYTES
from iochain.uplink import headers as h
from iochain.uplink.checksum import (
    RIGHT,
    check_inner,
    check_outer,
    header_total,
    is_outer_seed,
    is_seed,
    swapped,
)
from iochain.uplink.headers import find_all, get

SMALLEST_FULL_SEGMENT: Final = 536
FLOWS: Final = 1 << 14
"""How many flows are remembered; a newer one takes the place of an older at chance, the same in each run."""


def _no_flows() -> npt.NDArray[np.int64]:
    return np.zeros(FLOWS, np.int64)


@define
class Recognition:
    """Marks frames of captures, in the order of everything; ``mtus`` is by port number, 0: no large packets there.

    Without ``from_flows`` the segment size is always what the MTU leaves.
    """

    mtus: npt.NDArray[np.int32]
    from_flows: bool = True
    _keys: npt.NDArray[np.int64] = field(factory=_no_flows, repr=False)
    _sizes: npt.NDArray[np.int64] = field(factory=_no_flows, repr=False)

    @classmethod
    def of(cls, mtus: npt.NDArray[np.int32], from_flows: bool = True) -> "Recognition":
        """Nothing seen yet."""
        return cls(np.ascontiguousarray(mtus, np.int32), from_flows)

    def mark(self, rows: Any) -> int:
        """Note in rows that have their port what they ask for; gives how many ask for something.

        A few nanoseconds for an ordinary frame: only those that look like it are parsed.
        """
        index = np.empty(len(rows), np.int64)
        index = index[: find_suspects(rows, self.mtus, index)]
        if not len(index):
            return 0
        found = find_all(rows, index)
        return mark_rows(rows, self.mtus, self.from_flows, index, found, self._keys, self._sizes)


def give_sizes(rows: Any, mtus: npt.NDArray[np.int32]) -> None:
    """Give large packets that have no segment size what the MTU leaves; ``mtus`` is by row, 0: not asked of this row.

    For labs without offloads, where nobody looks at frames as they enter.
    """
    index = np.empty(len(rows), np.int64)
    index = index[: find_large(rows, mtus, index)]
    if len(index):
        size_rows(rows, mtus, index, find_all(rows, index))


_IPV4, _IPV6, _PLAIN_IPV4 = 0x0008, 0xDD86, 0x450008  # as a little-endian load sees them; the last without options
_TAG_TYPES = (0x0081, 0xA888, 0x0091)
_TUNNEL_PORTS = (4789, 8472, 6081)
_EXTENSIONS = (0, 43, 60)
_FULL_FLAGS, _FULL = 0x1F, 0x10  # of FIN, SYN, RST, PSH and ACK only ACK
_MIXER = -7046029254386353131  # 0x9E3779B97F4A7C15: the golden ratio's fraction, as hashing by multiplication takes it
_LEAST_HEADERS = 40  # of IPv4 and TCP, where a cut frame does not show its own
_AHEAD = 32  # rows: their bytes are fetched before it is their turn
_LAST_ASKED = ADDRESS_BYTES + 40  # where the checksum of TCP over IPv4 is
_ROW_INDEX = types.Array(types.int64, 1, "C")
_TABLE = types.Array(types.int64, 2, "C")
_PORTS = types.Array(types.int32, 1, "C")


@part
def is_long(row: Any, mtu: int) -> bool:
    """Whether a row is longer than its port's MTU, layer 2 header and a tag not counted."""
    over = row.wire_length - ETHERNET_BYTES - mtu
    if mtu == 0 or over <= 0:
        return False
    return bool(over > TAG_BYTES or load_le16(row.address + row.skip) != _TAG_TYPES[0])


@part
def _is_zero(value: int) -> bool:
    """Whether a sum of at most 40 bits, greater than 0, is zero in ones' complement: a multiple of 0xFFFF."""
    return np.uint64(value) % np.uint64(0xFFFF) == np.uint64(0)  # type: ignore[no-any-return]  # compiled: one multiplication


@part
def _looks_undone(addresses: int, protocol: int, length: int, held: int) -> bool:
    """Whether a checksum field holds the sum of a pseudo-header; only a large packet's may leave the length out."""
    return _is_zero(addresses + (protocol << 8) + swapped(length) + 0xFFFF - held)


@part
def _is_small_full_segment(tcp: int, length: int, room: int) -> bool:
    """Whether TCP data is a full segment that is smaller than what the MTU has room for (``room`` bytes behind IP)."""
    payload = length - (load_u8(tcp + 12) >> 4) * 4
    if payload < SMALLEST_FULL_SEGMENT or length >= room:
        return False
    return bool(load_u8(tcp + 13) & _FULL_FLAGS == _FULL)


@part
def _asks_of_transport(at: int, there: int, addresses: int, protocol: int, length: int, room: int) -> bool:
    """Whether TCP or UDP at an address, of which ``there`` bytes are captured, has to be looked at closely."""
    if protocol == h.TCP:
        if length >= SMALLEST_FULL_SEGMENT and there >= 14 and _is_small_full_segment(at, length, room):
            return True
        return there >= 18 and _looks_undone(addresses, protocol, length, load_le16(at + 16))
    if protocol == h.UDP and there >= 8:
        return load_be16(at + 2) in _TUNNEL_PORTS or _looks_undone(addresses, protocol, length, load_le16(at + 6))
    return False


@part_in_line
def _is_suspect(row: Any, mtu: int) -> bool:
    """Whether a row has to be looked at closely; what is neither long, odd, a tunnel nor undone has not."""
    if is_long(row, mtu):
        return True
    rest, there = row.address + row.skip, row.length - ADDRESS_BYTES
    if there < 30:
        return False
    start = load_le32(rest)
    if start & 0xFFFFFF == _PLAIN_IPV4:
        addresses = load_le32(rest + 14) + load_le32(rest + 18)
        length = load_be16(rest + 4) - 20
        return _asks_of_transport(rest + 22, there - 22, addresses, load_u8(rest + 11), length, mtu - 20)
    ethertype = start & 0xFFFF
    if ethertype == _IPV6 and there >= 50:
        protocol = load_u8(rest + 8)
        if protocol in (h.TCP, h.UDP):
            return _asks_of_transport(
                rest + 42, there - 42, header_total(rest + 10, 32), protocol, load_be16(rest + 6), mtu - 40
            )
        return protocol in _EXTENSIONS
    return ethertype in (_IPV4, *_TAG_TYPES)


@part
def unsuspected(first: int, count: int, end: int, mtu: int) -> int:
    """How many of the rows at an address come before one that has to be looked at closely; rows go on up to ``end``."""
    keep_apart()
    last = end - ROW_BYTES
    for i in range(count):
        row = first + ROW_BYTES * i
        ahead = row_at(min(row + ROW_BYTES * _AHEAD, last)).address
        prefetch(ahead + ETHERNET_BYTES)
        prefetch(ahead + _LAST_ASKED)
        if _is_suspect(row_at(row), mtu):
            return i
    return count


@compiled(types.int64(ROWS, _PORTS, _ROW_INDEX))
def find_suspects(rows: Any, mtus: Any, index: Any) -> int:
    """Fill ``index`` with the rows that have to be looked at closely; gives how many."""
    count = 0
    for i in range(len(rows)):
        ahead = rows[min(i + _AHEAD, len(rows) - 1)].address
        prefetch(ahead + ETHERNET_BYTES)
        prefetch(ahead + _LAST_ASKED)
        index[count] = i
        count += _is_suspect(rows[i], mtus[rows[i].port])
    return count


@part
def _flow(base: int, found: int) -> int:
    """The key of a packet's flow: addresses and ports, mixed into 64 bits."""
    network = base + get(found, h.NETWORK)
    key = load_le32(base + get(found, h.TRANSPORT_AT))
    if get(found, h.NETWORK_6):
        for at in range(8, 40, 8):
            key = wrapped((key ^ load_le64(network + at)) * _MIXER)
            key ^= key >> 29
    else:
        key = wrapped((key ^ load_le64(network + 12)) * _MIXER)
        key ^= key >> 29
    return wrapped(key * _MIXER)


@part
def _size_of(mtu: int, full: int, found: int) -> int:
    """The segment size of a long frame, 0: it is no large packet. ``full`` is its flow's full segment, 0: not known."""
    result, protocol = get(found, h.RESULT), get(found, h.PROTOCOL)
    if result == h.CUT and protocol != h.UDP:
        return max(mtu - _LEAST_HEADERS, 1)
    if result != h.FOUND or protocol != h.TCP:
        return 0
    network = get(found, h.OUTER_NETWORK) if get(found, h.OUTER_NETWORK) else get(found, h.NETWORK)
    size = mtu - (get(found, h.PAYLOAD) - network)
    if full:
        size = min(size, full)
    return size if 0 < size < get(found, h.END) - get(found, h.PAYLOAD) else 0


@part
def _is_undone(row: Any, base: int, found: int) -> int:
    """1: the field of the packet, or of the tunnel that carries it, holds a seed and no checksum.

    One packet in 65,536 has a checksum that equals its seed: only one that is wrong is undone.
    """
    captured = row.length
    is_seed_inside = get(found, h.RESULT) == h.FOUND and is_seed(base, found)
    if is_seed_inside and (get(found, h.END) > captured or check_inner(base, captured, found) != RIGHT):
        return 1
    if get(found, h.OUTER_NETWORK) and is_outer_seed(base, found):
        return 1 if get(found, h.OUTER_END) > captured or check_outer(base, captured, found) != RIGHT else 0
    return 0


@compiled(types.int64(ROWS, _PORTS, types.boolean, _ROW_INDEX, _TABLE, _ROW_INDEX, _ROW_INDEX))
def mark_rows(rows: Any, mtus: Any, from_flows: int, index: Any, found: Any, keys: Any, sizes: Any) -> int:
    """Write mss and checksum of the rows in ``index``, and remember full segments; gives how many ask for something."""
    marked = 0
    vectors = found.ctypes.data
    for i in range(len(index)):
        row, mtu = rows[index[i]], mtus[rows[index[i]].port]
        headers = vectors + h.BYTES * i
        base = row.address + row.skip - ADDRESS_BYTES
        full = 0
        if from_flows and get(headers, h.RESULT) == h.FOUND and get(headers, h.PROTOCOL) == h.TCP:
            flow = _flow(base, headers)
            slot = flow >> 20 & FLOWS - 1
            full = sizes[slot] if keys[slot] == flow else 0
            payload = get(headers, h.END) - get(headers, h.PAYLOAD)
            flags = load_u8(base + get(headers, h.TRANSPORT_AT) + 13)
            is_full = payload >= SMALLEST_FULL_SEGMENT and flags & _FULL_FLAGS == _FULL
            if is_full and not is_long(row, mtu):
                keys[slot], sizes[slot] = flow, max(payload, full)
        if is_long(row, mtu):
            row.mss = _size_of(mtu, full, headers)
        if _is_undone(row, base, headers):
            row.checksum = 1
        marked += 1 if row.mss != 0 or row.checksum == 1 else 0
    return marked


@compiled(types.int64(ROWS, _PORTS, _ROW_INDEX))
def find_large(rows: Any, mtus: Any, index: Any) -> int:
    """Fill ``index`` with the rows that are longer than their MTU and have no mss; gives how many."""
    count = 0
    for i in range(len(rows)):
        if rows[i].mss == 0 and is_long(rows[i], mtus[i]):
            index[count] = i
            count += 1
    return count


@compiled(types.void(ROWS, _PORTS, _ROW_INDEX, _TABLE))
def size_rows(rows: Any, mtus: Any, index: Any, found: Any) -> None:
    """Write the mss of the rows in ``index``, of which no flow is known."""
    for i in range(len(index)):
        row = rows[index[i]]
        row.mss = _size_of(mtus[index[i]], 0, found.ctypes.data + h.BYTES * i)

"""Loads, stores and copies at plain addresses, against Python's own conversion."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import types

from iochain.kernels import raw
from iochain.kernels.compiled import compiled

INT64S = types.Array(types.int64, 1, "C")


@compiled(types.void(types.int64, INT64S))
def load_all(address: int, out: Any) -> None:
    out[0] = raw.load_u8(address)
    out[1], out[2] = raw.load_le16(address), raw.load_be16(address)
    out[3], out[4] = raw.load_le32(address), raw.load_be32(address)
    out[5], out[6] = raw.load_le64(address), raw.load_be64(address)
    out[7] = raw.load_mac(address)


@compiled(types.void(types.int64, types.int64))
def store_all(address: int, value: int) -> None:
    """Each in sixteen bytes of its own."""
    raw.store_u8(address, value)
    raw.store_le16(address + 16, value)
    raw.store_be16(address + 32, value)
    raw.store_le32(address + 48, value)
    raw.store_be32(address + 64, value)
    raw.store_le64(address + 80, value)
    raw.store_be64(address + 96, value)


@compiled(types.void(types.int64, types.int64, types.int64))
def copy_bytes(target: int, source: int, count: int) -> None:
    raw.copy(target, source, count)


def memory_of(data: bytes) -> Any:
    return np.frombuffer(bytearray(data), np.uint8)


@given(st.binary(min_size=24, max_size=24), st.integers(0, 15))
@settings(deadline=None)
def test_loads_at_any_address(data: bytes, at: int) -> None:
    memory, out = memory_of(data), np.zeros(8, np.int64)
    load_all(memory.ctypes.data + at, out)

    def number(size: int, order: Any, signed: bool = False) -> int:
        return int.from_bytes(data[at : at + size], order, signed=signed)

    assert out.tolist() == [
        data[at],
        number(2, "little"),
        number(2, "big"),
        number(4, "little"),
        number(4, "big"),
        number(8, "little", signed=True),
        number(8, "big", signed=True),
        number(6, "big"),
    ]


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 7))
@settings(deadline=None)
def test_stores_write_the_low_bits_and_nothing_else(value: int, at: int) -> None:
    memory = memory_of(b"\xee" * 120)
    store_all(memory.ctypes.data + at, value)
    expected = bytearray(b"\xee" * 120)
    shapes = [(1, "little"), (2, "little"), (2, "big"), (4, "little"), (4, "big"), (8, "little"), (8, "big")]
    for i, (size, order) in enumerate(shapes):
        low: Any = value & (1 << 8 * size) - 1
        expected[at + 16 * i : at + 16 * i + size] = low.to_bytes(size, order)
    assert memory.tobytes() == bytes(expected)


@given(st.binary(max_size=64), st.integers(0, 7))
@settings(deadline=None)
def test_copies_just_so_many_bytes(data: bytes, at: int) -> None:
    source, target = memory_of(data or b"\0"), memory_of(b"\xee" * 80)
    copy_bytes(target.ctypes.data + at, source.ctypes.data, len(data))
    assert target.tobytes() == b"\xee" * at + data + b"\xee" * (80 - at - len(data))

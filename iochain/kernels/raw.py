"""Unaligned loads, stores and copies at plain addresses, compiled to the one machine instruction they are.

Every other kernel reads frames through these helpers; numpy indexing is two to nine times slower for the same work
(docs/performance.md). They check nothing: a caller hands them only addresses whose length it has checked. That callers
do is tested in the checked form (:mod:`iochain.kernels.checked`), whose helpers stand here under the same names.
Addresses are int64 throughout, because numba treats an int64 and a uint64 argument as different functions.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, from_dtype, types
from numba.core import cgutils
from numba.extending import intrinsic

from iochain.kernels import checked
from iochain.kernels.checked import CHECKED
from iochain.kernels.compiled import part
from iochain.kernels.rows import ROW

_ROW = from_dtype(ROW)
_BYTE_POINTER = ir.IntType(8).as_pointer()


def _loader(bits: int, swap: bool) -> Callable[..., Any]:
    """An intrinsic that loads ``bits`` bits at an address, swapped to the host's order if ``swap``, zero-extended."""
    if CHECKED:
        return checked.loader(bits, swap)

    @intrinsic
    def load(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            word = ir.IntType(bits)
            value = builder.load(builder.inttoptr(arguments[0], word.as_pointer()))
            value.align = 1
            if swap:
                value = builder.bswap(value)
            return value if bits == 64 else builder.zext(value, ir.IntType(64))

        return types.int64(types.int64), generate

    return load  # type: ignore[no-any-return]


def _storer(bits: int, swap: bool) -> Callable[..., Any]:
    """An intrinsic that stores the low ``bits`` bits of a value at an address, swapped first if ``swap``."""
    if CHECKED:
        return checked.storer(bits, swap)

    @intrinsic
    def store(typing_context: Any, address: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            word = ir.IntType(bits)
            value = arguments[1] if bits == 64 else builder.trunc(arguments[1], word)
            if swap:
                value = builder.bswap(value)
            written = builder.store(value, builder.inttoptr(arguments[0], word.as_pointer()))
            written.align = 1
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return store  # type: ignore[no-any-return]


load_u8 = _loader(8, swap=False)
load_le16, load_be16 = _loader(16, swap=False), _loader(16, swap=True)
load_le32, load_be32 = _loader(32, swap=False), _loader(32, swap=True)
load_le64, load_be64 = _loader(64, swap=False), _loader(64, swap=True)
store_u8 = _storer(8, swap=False)
store_le16, store_be16 = _storer(16, swap=False), _storer(16, swap=True)
store_le32, store_be32 = _storer(32, swap=False), _storer(32, swap=True)
store_le64, store_be64 = _storer(64, swap=False), _storer(64, swap=True)


@intrinsic
def _copy(typing_context: Any, target: Any, source: Any, count: Any) -> Any:
    """Copy ``count`` bytes from address ``source`` to address ``target``; the two ranges do not overlap."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, source, count = arguments
        cgutils.raw_memcpy(
            builder, builder.inttoptr(target, _BYTE_POINTER), builder.inttoptr(source, _BYTE_POINTER), count, 1
        )
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def _row_at(typing_context: Any, address: Any) -> Any:
    """The row at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return _ROW(types.int64), generate


@intrinsic
def _keep_apart(typing_context: Any) -> Any:
    """Keep the part that calls this out of its callers' code: one that fills the registers, or is seldom called."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def _prefetch(typing_context: Any, address: Any) -> Any:
    """Have the cache line at an address fetched; a hint, which changes nothing."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        function = builder.module.declare_intrinsic(
            "llvm.prefetch", [_BYTE_POINTER], ir.FunctionType(ir.VoidType(), [_BYTE_POINTER, word, word, word])
        )
        at = builder.inttoptr(arguments[0], _BYTE_POINTER)
        builder.call(function, [at, word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(types.int64), generate


copy: Callable[..., Any] = checked.copy if CHECKED else _copy
row_at: Callable[..., Any] = checked.row_at if CHECKED else _row_at
keep_apart: Callable[..., Any] = checked.keep_apart if CHECKED else _keep_apart
prefetch: Callable[..., Any] = checked.prefetch if CHECKED else _prefetch


@part
def signed(address: int) -> int:
    """An array's ``ctypes.data`` as the signed number that addresses are: one or the other would be a float."""
    return np.int64(address)  # type: ignore[return-value]


@part
def load_mac(address: int) -> int:
    """The six bytes at ``address`` as one number, the first byte highest."""
    return (load_be32(address) << 16) | load_be16(address + 4)  # type: ignore[no-any-return]


def _pointer() -> Callable[..., Any]:
    """An intrinsic that makes a pointer of an address, for :func:`words_at`."""

    @intrinsic
    def pointer(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], _BYTE_POINTER)

        return types.voidptr(types.int64), generate

    return pointer  # type: ignore[no-any-return]


_as_pointer = _pointer()


@part
def _compiled_words_at(address: int, count: int) -> Any:
    return carray(_as_pointer(address), count, np.int64)


words_at = checked.words_at if CHECKED else _compiled_words_at
"""``count`` int64 at an address as an array that nobody counts: for handing on inside of loops."""


@part
def _as_it_is(value: int) -> int:
    return value


wrapped: Callable[[int], int] = checked.wrapped if CHECKED else _as_it_is
"""A product or sum as the 64 bits that hold it; compiled numbers are so already, Python's are not."""

"""The system's write, as kernels call it: a thread that packs and writes need not ask for the GIL between the two."""

import ctypes
import os
from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from iochain.kernels.checked import CHECKED, check
from iochain.kernels.compiled import part
from iochain.kernels.raw import keep_apart


def _found() -> int:
    """The address of the C library's ``write``; 0 on systems that have none to be found so."""
    if os.name != "posix":
        return 0
    return ctypes.cast(ctypes.CDLL(None).write, ctypes.c_void_p).value or 0


WRITE: Final = _found()
"""The address of the function that kernels are to write with, or 0."""
_WRITE_TYPE: Final = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)


@intrinsic  # type: ignore[untyped-decorator]
def _call(typing_context: Any, function: Any, file: Any, address: Any, count: Any) -> Any:
    """Call ``write``, whose address is given. Why it failed is not asked: who writes the rest in Python hears that."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function, file, address, count = arguments
        word, number, byte = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(word, [number, byte, word]).as_pointer()
        there = [builder.trunc(file, number), builder.inttoptr(address, byte), count]
        return builder.call(builder.inttoptr(function, kind), there)

    return types.int64(types.int64, types.int64, types.int64, types.int64), generate


def _call_checked(function: int, file: int, address: int, count: int) -> int:
    """The same in the checked form."""
    check(address, count)
    return int(_WRITE_TYPE(function)(file, address, count))


call: Callable[..., Any] = _call_checked if CHECKED else _call


@part
def write_all(function: int, file: int, address: int, end: int) -> int:
    """Write the bytes from one address to another to a file; returns the address of the first that were not taken."""
    keep_apart()
    while address < end:
        taken = call(function, file, address, end - address)
        if taken <= 0:
            break
        address += taken
    return address

"""The checked form of kernels: plain Python that knows which memory it may touch, for tests and fuzzing.

With ``IOCHAIN_CHECKED=1`` in the environment when iochain is first imported, nothing is compiled: kernels and their
parts run as they are written, records read and write through :class:`Records`, and every load, store and copy is held
against the memory that was told of with :func:`known`. Some hundred times slower, and the same results.
"""

import ctypes
import os
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import update_wrapper
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from iochain.kernels.rows import ROW

CHECKED: Final = os.environ.get("IOCHAIN_CHECKED", "") not in ("", "0")
"""Whether this process runs the checked form."""

_SIGNED_BITS: Final = 64


class OutOfBounds(Exception):  # noqa: N818 - what happened, not a fault of the caller's to be handled
    """A kernel reached for memory that is not its own, or wrote where it may only read."""

    def __init__(self, address: int, size: int) -> None:
        super().__init__(f"{size} bytes at address {address:#x} are not in any memory known")
        self.address = address
        self.size = size


def known(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Say that kernels may reach into this array while it lives, and gives it back. The compiled form notes nothing.

    The array object itself must live: a view that is made for this call and dropped is forgotten with it. An array
    that is not writeable may only be read.
    """
    if CHECKED and array.nbytes:
        for number in [number for number, region in _REGIONS.items() if region.array() is None]:
            del _REGIONS[number]
        _REGIONS[id(array)] = _Region(array)
    return array


def check(address: int, size: int, written: bool = False) -> None:
    """Raise OutOfBounds unless all bytes lie in one known memory; nothing in the compiled form.

    No bytes may be anywhere.
    """
    if not CHECKED or size == 0:
        return
    if size > 0:
        for region in _REGIONS.values():
            if region.holds(address, size, written):
                return
    raise OutOfBounds(address, size)


@contextmanager
def only(arrays: Iterable[npt.NDArray[Any]]) -> Iterator[None]:
    """For a while only these arrays are known: a fence around memory that is known as a whole."""
    before = dict(_REGIONS)
    _REGIONS.clear()
    for array in arrays:
        known(array)
    try:
        yield
    finally:
        _REGIONS.clear()
        _REGIONS.update(before)


class _Region:
    """Where the bytes of an array lie, as long as it lives."""

    __slots__ = ("array", "start", "stop", "writeable")

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self.array = weakref.ref(array)
        self.start = array.ctypes.data
        self.stop = self.start + array.nbytes
        self.writeable = array.flags.writeable

    def holds(self, address: int, size: int, written: bool) -> bool:
        """Whether the bytes are all in it, and may be written if they are to be."""
        is_inside = self.start <= address and address + size <= self.stop
        return is_inside and (self.writeable or not written) and self.array() is not None


_REGIONS: Final[dict[int, _Region]] = {}


# -- what stands for the intrinsics of iochain.kernels.raw


def loader(bits: int, swap: bool) -> Callable[..., Any]:
    """A checked load; 64 bits give a signed number, as the compiled one does."""
    size, order = bits // 8, _order(swap)

    def load(address: int) -> int:
        check(address, size)
        return int.from_bytes(ctypes.string_at(int(address), size), order, signed=bits == _SIGNED_BITS)

    return load


def storer(bits: int, swap: bool) -> Callable[..., Any]:
    """A checked store of the low bits of a value."""
    size, order, mask = bits // 8, _order(swap), (1 << bits) - 1

    def store(address: int, value: int) -> None:
        check(address, size, written=True)
        ctypes.memmove(int(address), (int(value) & mask).to_bytes(size, order), size)

    return store


def copy(target: int, source: int, count: int) -> None:
    """A checked copy. Raises ValueError where the ranges overlap, for which the compiled one is not made."""
    target, source, count = int(target), int(source), int(count)
    check(source, count)
    check(target, count, written=True)
    if count and abs(target - source) < count:
        raise ValueError(f"a copy of {count} bytes onto itself, {target - source} bytes on")
    ctypes.memmove(target, source, count)


def wrapped(value: int) -> int:
    """The lower 64 bits of a number, as a signed one."""
    return ((int(value) + (1 << 63)) & ((1 << 64) - 1)) - (1 << 63)


def words_at(address: int, count: int) -> npt.NDArray[np.int64]:
    """So many int64 at an address, as an array; all of them have to be in known memory."""
    check(address, 8 * count, written=True)
    memory: Any = (ctypes.c_int64 * count).from_address(int(address))
    return np.frombuffer(memory, np.int64)


def row_at(address: int) -> "Record":
    """The row at an address, which has to be in known memory."""
    check(address, ROW.itemsize, written=True)
    memory: Any = (ctypes.c_uint8 * ROW.itemsize).from_address(int(address))
    record: Record = Records(np.frombuffer(memory, ROW))[0]
    return record


def keep_apart() -> None:
    """Where machine code stands is nothing to plain Python."""


def prefetch(address: int) -> None:
    """A hint to the cache, which may name any address."""


def _order(swap: bool) -> Literal["big", "little"]:
    """The order of bytes in memory."""
    return "big" if swap else "little"


# -- what stands for compiled kernels


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel that runs as plain Python: its arrays are known while it runs, their records have attributes.

    Sums beyond 64 bits wrap in arrays, as compiled; what does not fit where it is stored raises OverflowError.
    """

    def run(*arguments: Any) -> Any:
        with _known_while(arguments), np.errstate(over="ignore"):
            return _plain(function(*map(_as_in_kernels, arguments)))

    update_wrapper(run, function)
    run.py_func = function  # type: ignore[attr-defined]
    return run


class Records:
    """An array of records as kernels see it: elements have attributes, which are Python's numbers."""

    __slots__ = ("_array", "_limits")

    def __init__(self, array: npt.NDArray[np.void]) -> None:
        self._array = array
        self._limits = _LIMITS.get(array.dtype) or _LIMITS.setdefault(array.dtype, _limits(array.dtype))

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, index: int) -> "Record":
        """Element ``index``, to be read and written; IndexError beyond the array."""
        return Record(self._array[index], self._limits)

    def __setitem__(self, index: int, record: "Record") -> None:
        self._array[index] = record._void

    @property
    def ctypes(self) -> Any:
        """Where the records lie, as of the array."""
        return self._array.ctypes


class Record:
    """One record: attributes are its fields, and writing one writes to the array."""

    __slots__ = ("_limits", "_void")
    _limits: "Limits"
    _void: Any

    def __init__(self, void: np.void, limits: "Limits") -> None:
        object.__setattr__(self, "_void", void)
        object.__setattr__(self, "_limits", limits)

    def __getattr__(self, name: str) -> int:
        if name not in self._limits:
            raise AttributeError(f"a record has no field {name!r}")
        return int(self._void[name])

    def __setattr__(self, name: str, value: int) -> None:
        least, most = self._limits[name]
        if not least <= value <= most:
            raise OverflowError(f"{name} is {value}; it can be from {least} to {most}")
        self._void[name] = value


Limits = dict[str, tuple[int, int]]
_LIMITS: Final[dict[Any, Limits]] = {}


def _limits(dtype: Any) -> Limits:
    """The least and greatest value of each field of a record."""
    shapes = {name: np.iinfo(shape) for name, (shape, *_) in dtype.fields.items()}
    return {name: (int(info.min), int(info.max)) for name, info in shapes.items()}


@contextmanager
def _known_while(arguments: Iterable[Any]) -> Iterator[None]:
    """The arrays among the arguments are known until the call ends."""
    views = [known(argument.view()) for argument in arguments if isinstance(argument, np.ndarray)]
    try:
        yield
    finally:
        views.clear()


def _as_in_kernels(argument: Any) -> Any:
    """An argument as kernels see it."""
    return Records(argument) if isinstance(argument, np.ndarray) and argument.dtype.names else argument


def _plain(result: Any) -> Any:
    """A result as compiled kernels give it: Python's numbers, alone or several."""
    if isinstance(result, tuple):
        return tuple(map(_plain, result))
    return result.item() if isinstance(result, np.generic) else result

"""How kernels are compiled: when first called, kept on disk, without the GIL, typed for mypy."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Final, TypeVar, cast

from numba import njit
from numba.core.compiler_lock import global_compiler_lock
from numba.core.runtime import rtsys
from numba.extending import register_jitable

from iochain.kernels.checked import CHECKED, kernel

Function = TypeVar("Function", bound=Callable[..., Any])

OPTIONS: Final = {"cache": True, "nogil": True, "error_model": "numpy"}


def compiled(signature: Any) -> Callable[[Function], Function]:
    """A kernel: a top-level function that is compiled for one explicit signature, at its first call.

    The machine code is kept in numba's cache, so later starts only load it; what a run does not call costs nothing.
    The plain Python function stays reachable as ``.py_func``. Signatures are given as numba types, not as strings:
    strings of many arrays go wrong in writing. The cache watches the function's own file only, so a change in a part
    of another file needs the ``__pycache__`` folders cleared. In the checked form (:mod:`iochain.kernels.checked`)
    nothing is compiled.
    """

    def make(function: Function) -> Function:
        return cast(Function, kernel(function) if CHECKED else _Kernel(function, signature))

    return make


def part(function: Function) -> Function:
    """A part of kernels: compiled into each kernel that calls it, and plain Python for all others.

    That it is not put in line has to be said: numba hands a caller's wish for itself down to what it calls.
    """
    if CHECKED:
        return function
    made: Function = register_jitable(error_model="numpy", forceinline=False)(function)
    return made


def part_in_line(function: Function) -> Function:
    """The same, put in line wherever it is called: for large parts of a hot loop, whose calls cost some 4 ns each."""
    if CHECKED:
        return function
    made: Function = register_jitable(error_model="numpy", forceinline=True)(function)
    return made


class _Kernel:
    """A function that replaces itself by its compiled form."""

    def __init__(self, function: Callable[..., Any], signature: Any) -> None:
        self.py_func, self.signature = function, signature
        self._run: Callable[..., Any] = self._compile_and_run
        update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        return self._run(*arguments)

    def _compile_and_run(self, *arguments: Any) -> Any:
        self._run = kept(self.py_func, self.signature) or njit(self.signature, **OPTIONS)(self.py_func)
        return self._run(*arguments)


def kept(function: Callable[..., Any], signature: Any) -> Callable[..., Any] | None:
    """The machine code that numba's cache keeps of a kernel; None if it has none, or keeps it in another way.

    What numba itself does to load it first fills its registries of types and functions, which only compiling needs:
    0.11 s and 14 MB of every start. Kernels may not hash, nor run in numba's threads: these need what is not filled.
    """
    dispatcher: Any = njit(**OPTIONS)(function)
    try:
        with global_compiler_lock:
            rtsys.initialize(dispatcher.targetctx)
            found = dispatcher._cache._load_overload(signature, dispatcher.targetctx)
    except (AttributeError, TypeError):  # another version of numba
        return None
    if found is None:
        return None
    dispatcher.add_overload(found)
    dispatcher.disable_compile()
    return cast(Callable[..., Any], dispatcher)

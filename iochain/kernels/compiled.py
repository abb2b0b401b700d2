"""How kernels are compiled: ahead of the first call, kept on disk, without the GIL, typed for mypy."""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(signature: Any, **options: Any) -> Callable[[Function], Function]:
    """Compile a top-level function for one explicit signature; the machine code is kept in numba's cache.

    The plain Python function stays reachable as ``.py_func``. Signatures are given as numba types, not as strings:
    strings of many arrays go wrong in writing. The cache watches the function's own file only, so a change in a
    helper of another file needs the ``__pycache__`` folders cleared.
    """

    def compile_it(function: Function) -> Function:
        compiled: Function = njit(signature, cache=True, nogil=True, error_model="numpy", **options)(function)
        return compiled

    return compile_it

"""Kernels are compiled once, and only loaded later, without what numba needs for compiling."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from numba import types

from iochain.kernels.compiled import kept
from iochain.kernels.order import is_sorted
from iochain.kernels.rows import ROW

RUN = """
import sys
import numpy as np
from iochain.kernels.order import is_sorted
from iochain.kernels.rows import ROW
rows = np.zeros(3, ROW)
rows["time_ns"] = 1, 2, int(sys.argv[1])
print(is_sorted(rows), "numba.cpython.charseq" in sys.modules)
"""


def test_what_was_compiled_before_is_loaded_without_the_registries_of_the_compiler(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "IOCHAIN_CHECKED": ""}
    said = [
        subprocess.run([sys.executable, "-c", RUN, last], env=environment, capture_output=True, text=True, check=True)
        for last in ("3", "3", "1")
    ]
    assert [one.stdout.split() for one in said] == [["True", "True"], ["True", "False"], ["False", "False"]]


def not_a_kernel_of_ours(number: int) -> int:
    return number + 1


def test_what_was_never_compiled_is_not_kept() -> None:
    assert kept(not_a_kernel_of_ours, types.int64(types.int64)) is None
    assert is_sorted(np.zeros(2, ROW))

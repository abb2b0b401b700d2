"""A C program of this folder as a library whose functions can be called."""

import ctypes
import subprocess
import tempfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent


def library(name: str) -> ctypes.CDLL:
    """The C program of this name, compiled. CalledProcessError if the compiler refuses it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.so"
        subprocess.run(["cc", "-O3", "-shared", "-fPIC", "-o", path, HERE / f"{name}.c"], check=True)
        return ctypes.CDLL(str(path))  # stays mapped when the file is gone

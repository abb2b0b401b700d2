"""The machine that something is measured on, in words."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def described() -> dict[str, str]:
    """CPU, cores, kernel, and versions of what the numbers depend on."""
    return {
        "CPU": _cpu(),
        "cores": str(os.cpu_count()),
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
        **{package: version(package) for package in ("iochain", "numba", "numpy")},
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return f"{said.get('model name', platform.processor())}, {float(said.get('cpu MHz', 0)) / 1000:.1f} GHz"

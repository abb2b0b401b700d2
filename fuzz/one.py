"""Fuzzing one target with atheris: ``IOCHAIN_CHECKED=1 python -m fuzz.one reader FOLDER… -max_total_time=60``.

Everything behind the target's name goes to libFuzzer (https://llvm.org/docs/LibFuzzer.html). What it finds new goes
into the first folder; an input at fault is written to a file that its last lines name.
"""

import sys
import tempfile
from importlib import import_module
from typing import Any

atheris: Any = import_module("atheris")  # it comes without types
INSTRUMENTED = {
    "reader": ["iochain.capture", "iochain.kernels", "iochain.batch"],
    "parser": ["iochain.capture.packing", "iochain.kernels", "iochain.batch"],
    "frame_text": ["iochain.cli.frametext"],
}


def main(name: str, *options: str) -> None:
    """Fuzz until libFuzzer stops."""
    with atheris.instrument_imports(include=INSTRUMENTED[name]):
        target: Any = import_module(f"fuzz.fuzz_{name}")
        from iochain.kernels.checked import CHECKED
    if not CHECKED:
        sys.exit("fuzzing is done in the checked form: set IOCHAIN_CHECKED=1")
    with tempfile.NamedTemporaryFile("w", suffix=".dict") as words:
        words.writelines(f'"{_escaped(word)}"\n' for word in target.WORDS)
        words.flush()
        arguments = [f"-dict={words.name}", f"-max_len={target.LONGEST}", "-timeout=60", "-rss_limit_mb=2048"]
        mutators = {"custom_mutator": _mutator(target.mutate)} if hasattr(target, "mutate") else {}
        atheris.Setup([sys.argv[0], *arguments, *options], lambda data: _run(target, data), **mutators)
        atheris.Fuzz()


def _run(target: Any, data: bytes) -> None:
    target.outcome(data)


def _escaped(word: bytes) -> str:
    """A byte string as libFuzzer's dictionaries have it."""
    return "".join(f"\\x{byte:02x}" for byte in word)


def _mutator(mutate: Any) -> Any:
    """The target's way to change an input, as atheris calls it."""
    return lambda data, longest, seed: mutate(data, longest, seed, atheris.Mutate)


if __name__ == "__main__":
    main(*sys.argv[1:])

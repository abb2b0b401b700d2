"""What every input of a corpus leads to, a line of JSON each: ``python -m fuzz.outcomes reader FILE…``.

In the checked form (``IOCHAIN_CHECKED=1``) and the compiled form it must print the same.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

TARGETS = ("reader", "parser", "frame_text")
CORPUS = Path(__file__).parent / "corpus"


def outcome_lines(target: str, paths: Iterable[Path], first_bytes: int | None = None) -> Iterator[str]:
    """A line for each file: its name and what it led to; only its first bytes where that is said."""
    outcome = import_module(f"fuzz.fuzz_{target}").outcome
    for path in paths:
        yield json.dumps([path.name, outcome(path.read_bytes()[:first_bytes])])


def corpus_of(target: str) -> list[Path]:
    """The kept inputs of a target, by name."""
    return sorted(path for path in (CORPUS / target).iterdir() if path.is_file())


def main(target: str, *names: str) -> None:
    """Print the lines of these files, or of the whole corpus; ``FILE:4096`` is the first 4,096 bytes of a file."""
    if not names:
        print(*outcome_lines(target, corpus_of(target)), sep="\n")
    for name in names:
        path, _, count = name.partition(":")
        print(*outcome_lines(target, [Path(path)], int(count) if count else None), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

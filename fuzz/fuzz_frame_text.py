"""Fuzzing of frames given as text: a frame, or a message that names the place; nothing else, and nothing is run."""

import random
import re
from collections.abc import Callable
from typing import Final

from fuzz.frames import Outcome
from iochain.cli.frametext import LARGEST_FRAME, LAYERS, SMALLEST_FRAME, FrameTextError, frame_bytes

LONGEST: Final = 1024
WORDS: Final = tuple(
    word.encode()
    for word in (
        *LAYERS,
        *("src=", "dst=", "type=", "vlan=", "sport=", "dport=", "options=", "load=", "len=", "flags=", "op=", "qd="),
        *("'00:50:56:00:00:01'", "'10.0.0.1'", "'fe80::1'", "b'\\x00'", "[('NOP', None)]", "0x8100", "1e9", "-1"),
        *("()", "/", "(", ")", "=", ",", "[", "]", "{", "}", "lambda:", "*", "**", "f''", "'"),
    )
)
"""Texts worth trying."""

_TOKEN: Final = re.compile(r"[A-Za-z_0-9]+=?|'[^']*'|\s+|.", re.DOTALL)
_VALUE: Final = re.compile(r"[0-9]|'|[a-z]")


def outcome(data: bytes) -> Outcome:
    """The frame that a text says, or why it says none."""
    text = data.decode("utf-8", "replace")
    try:
        frame = frame_bytes(text)
    except FrameTextError as error:
        return _refusal(error, text)
    assert SMALLEST_FRAME <= len(frame) <= LARGEST_FRAME
    return [frame.hex()]


def mutate(data: bytes, longest: int, seed: int, mutated: Callable[[bytes, int], bytes]) -> bytes:
    """Put a token in another's place, take one out or repeat some, three times out of four; else change bytes."""
    chance = random.Random(seed)
    tokens = _TOKEN.findall(data.decode("utf-8", "replace"))
    if len(tokens) < 2 or chance.random() < 0.25:
        return mutated(data, longest)
    for _ in range(chance.randint(1, 4)):
        at, other = chance.randrange(len(tokens)), chance.randrange(len(tokens))
        match chance.randrange(5):
            case 0:
                tokens[at] = tokens[other]
            case 1:
                tokens[at] = chance.choice(WORDS).decode()
            case 2:
                tokens[at] = _other_value(chance) if _VALUE.match(tokens[at]) else tokens[at]
            case 3 if len(tokens) > 2:
                del tokens[at]
            case _:
                tokens[at:at] = tokens[other : other + chance.randint(1, 8)]
    return "".join(tokens).encode()[:longest]


def _refusal(error: FrameTextError, text: str) -> Outcome:
    assert str(error)
    assert error.column is None or 0 <= error.column <= len(text)
    return [error.message, error.column]


def _other_value(chance: random.Random) -> str:
    """A number or a string of some kind."""
    number = chance.choice([0, 1, 14, 255, 256, 0xFFFF, 1 << 16, (1 << 32) - 1, 1 << 64, chance.getrandbits(40)])
    return chance.choice(
        [str(number), f"-{number}", hex(number), f"'{number}'", f"b'x' * {number}", f"[{number}]", "''"]
    )

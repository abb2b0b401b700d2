"""Hints: where many drops of one kind look as if the frames had been let in at the wrong place."""

from collections.abc import Callable, Sequence
from typing import Final

from iochain.chain import Reason
from iochain.engine.counters import DropCount
from iochain.topology.spec import CapturedAt
from iochain.topology.wiring import Wiring

LEAST_SHARE: Final = 0.05
"""Fewer drops of a kind than this share of all frames are no reason to doubt the rules of entry."""


def hints(wiring: Wiring, captured_at: CapturedAt | None, drops: Sequence[DropCount], entered: int) -> list[str]:
    """Sentences that name the drops, the likely mistake, and what to try."""
    place = captured_at or wiring.spec.captured_at
    found = []
    for drop in drops:
        advice = _ADVICE.get(drop.dropped.drop.reason)
        if advice is not None and drop.frames >= max(LEAST_SHARE * entered, 1):
            said = advice(drop, place)
            if said:
                found.append(f"{drop.frames} frames: {said}")
    return found


def _forged(drop: DropCount, place: CapturedAt) -> str:
    return (
        f"{drop.dropped.where} sends from MACs that are not its own. If another machine sent them, "
        "name its MACs with sends_as, or leave --at out"
    )


def _mismatch(drop: DropCount, place: CapturedAt) -> str:
    if not drop.dropped.incoming:
        return ""
    if "guest tagged" in drop.dropped.drop.rule and place is CapturedAt.GUEST:
        return (
            "frames of a guest carry a tag that its port group puts on. Was the capture taken at an uplink? "
            "Then say --captured-at uplink"
        )
    if "no port is in" in drop.dropped.drop.rule and place is not CapturedAt.GUEST:
        return (
            "frames came in by an uplink without the tag of any port group. Was the capture taken inside a guest? "
            "Then say --captured-at guest"
        )
    if "no port is in" in drop.dropped.drop.rule:
        return "frames came in by an uplink in a VLAN that no port group has"
    return ""


def _unknown(drop: DropCount, place: CapturedAt) -> str:
    return (
        "frames came in from outside to MACs that no port has. If VMs sent them, let these claim their source MACs "
        "with sends_as"
    )


def _reverse(drop: DropCount, place: CapturedAt) -> str:
    return (
        f"frames from outside came in by one uplink only, and {drop.dropped.where.rpartition(' ')[2]} listens to "
        "another. A physical switch floods to all uplinks; an entry rule (entry: …, at: …) can say by which they came"
    )


_ADVICE: Final[dict[Reason, Callable[[DropCount, CapturedAt], str]]] = {
    Reason.FORGED_TRANSMITS: _forged,
    Reason.VLAN_MISMATCH: _mismatch,
    Reason.UNKNOWN_UNICAST: _unknown,
    Reason.REVERSE_PATH: _reverse,
}

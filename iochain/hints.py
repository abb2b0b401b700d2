"""Hints: where many drops of one kind look as if the frames had been let in at the wrong place."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from iochain.chain import Reason
from iochain.engine.counters import DropCount
from iochain.topology.entry import BY_SOURCE
from iochain.topology.spec import CapturedAt
from iochain.topology.wiring import Wiring

LEAST_SHARE: Final = 0.05
"""Fewer drops of a kind than this share of all frames are no reason to doubt the rules of entry."""


def hints(
    wiring: Wiring,
    captured_at: CapturedAt | None,
    drops: Sequence[DropCount],
    entries: Mapping[tuple[str, str], int],
) -> list[str]:
    """Sentences that name the drops, the likely mistake, and what to try; ``entries``: frames by (rule, port)."""
    entered = sum(entries.values())
    place = captured_at or wiring.spec.captured_at
    found = []
    for drop in drops:
        advice = _ADVICE.get(drop.dropped.drop.reason)
        if drop.dropped.drop.reason is Reason.FORGED_TRANSMITS and not _sent_by_rule(wiring, drop, entries):
            continue
        if advice is not None and drop.frames >= max(LEAST_SHARE * entered, 1):
            said = advice(drop, place)
            if said:
                found.append(f"{drop.frames} frame{'' if drop.frames == 1 else 's'}: {said}")
    return found


def _sent_by_rule(wiring: Wiring, drop: DropCount, entries: Mapping[tuple[str, str], int]) -> bool:
    """Whether frames entered at the port by a rule. Else the lab itself says that the port sends from foreign MACs."""
    port = wiring.ports[drop.dropped.port].name
    return any(at == port and rule != BY_SOURCE for rule, at in entries)


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
        return "frames came in by an uplink in a VLAN in which the switch has no connected port"
    return ""


def _unknown(drop: DropCount, place: CapturedAt) -> str:
    return (
        "frames came in from outside to MACs that no port has. If VMs sent them, let these claim their source MACs "
        "with sends_as"
    )


def _reverse(drop: DropCount, place: CapturedAt) -> str:
    return (
        f"frames from outside came in by one uplink only, and {drop.dropped.where.rpartition(' → ')[2]} listens to "
        "another. A physical switch floods to all uplinks; an entry rule (entry: …, at: …) can say by which they came"
    )


_ADVICE: Final[dict[Reason, Callable[[DropCount, CapturedAt], str]]] = {
    Reason.FORGED_TRANSMITS: _forged,
    Reason.VLAN_MISMATCH: _mismatch,
    Reason.UNKNOWN_UNICAST: _unknown,
    Reason.REVERSE_PATH: _reverse,
}

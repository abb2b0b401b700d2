"""Why a frame went where it went: every stage that it passed, what the stage read, and which setting decided.

Nothing of it is written in a stage. It is told from what stages were seen to read and to answer.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import define, field, frozen

from iochain.chain import Drop, Element, From, Port, Ports, Verdict, plain
from iochain.engine.path import Dropped
from iochain.engine.walk import decided_by
from iochain.frame import PRIORITY_SHIFT, VID_BITS, Asked, Derived, Frame, Mac, Table, look_on
from iochain.kernels import words as w
from iochain.kernels.rows import NO_TAG

_MAC_WORDS = {w.DESTINATION, w.SOURCE, w.ARP_SENDER_MAC, w.ARP_TARGET_MAC}
_IPV4_WORDS = {w.IPV4_SOURCE, w.IPV4_DESTINATION, w.ARP_SENDER_IP, w.ARP_TARGET_IP}
_GROUP_BIT = 1 << 40


@frozen
class Step:
    """One stage on a frame's way. ``outcome``: "pass", "to …", "cut into …" or "DROP"; ``read``: fields with values."""

    where: str
    stage: str
    outcome: str
    detail: str = ""
    read: tuple[tuple[str, str], ...] = ()
    consulted: tuple[tuple[str, str], ...] = ()
    setting: From | None = None

    @property
    def is_drop(self) -> bool:
        """Whether the frame, or the copy, ended here."""
        return self.outcome == "DROP"


@define
class Explanation:
    """The steps of one frame and of its copies, in the order in which they were taken."""

    frame: str = ""
    steps: list[Step] = field(factory=list)
    _walk: list[int] | None = field(default=None, repr=False)
    _masks: list[int] = field(factory=list, repr=False)

    def step(self, where: str, element: Element, before: Frame, verdict: Verdict, asked: Sequence[Asked]) -> None:
        """A stage has spoken (see :class:`iochain.engine.walk.Listener`)."""
        if before.notes.masks is not self._walk:  # each walk notes into a list of its own
            self._walk, self._masks = before.notes.masks, [0] * w.COUNT
        read = tuple(_read(before, self._masks))
        self._masks = list(before.notes.masks)
        outcome, detail = _outcome(before, verdict)
        consulted = tuple(dict.fromkeys(_consulted(element, asked)))
        setting = decided_by(element, asked)
        if isinstance(verdict, Drop) and verdict.setting is not None:
            setting = verdict.setting
        self.steps.append(Step(where, element.name, outcome, detail, read, consulted, setting))

    def lost(self, dropped: Dropped) -> None:
        """A batch stage dropped it (see :class:`iochain.engine.walk.Listener`)."""
        outcome, detail = _dropped(dropped.drop)
        self.steps.append(Step(dropped.where, dropped.stage, outcome, detail, setting=dropped.setting))

    def cut(self, where: str, stage: str, pieces: int) -> None:
        """A batch stage made several of it (see :class:`iochain.engine.walk.Listener`)."""
        self.steps.append(Step(where, stage, f"cut into {pieces}", ""))

    def mark(self) -> int:
        """How far it has come (see :class:`iochain.engine.walk.Listener`)."""
        return len(self.steps)

    def back_to(self, mark: int) -> None:
        """Forget the steps since then: they will be taken again."""
        del self.steps[mark:]

    def why_not(self, port: str) -> str:
        """Why the frame did not reach a port, in one sentence; what it says if it did."""
        own = [step for step in self.steps if step.where.endswith(f"→ {port}")]
        if own:
            last = own[-1]
            if last.is_drop:
                return f"it was dropped on its way to {port}, at stage {last.stage}: {_because(last)}"
            return f"it did reach {port}"
        chosen = [step for step in self.steps if step.outcome.startswith("to ") and step.where != "capture"]
        if chosen:
            first = chosen[0]  # the switch; a team's choice among uplinks comes after it
            elsewhere = f"{first.where} sent it elsewhere at stage {first.stage}: {first.outcome}{_given(first)}"
            teams = [step for step in self.steps if step.is_drop and step.where in first.outcome]
            lost = [f"{step.where} dropped it at stage {step.stage}: {_because(step)}" for step in teams]
            return "; ".join([elsewhere, *lost])
        ends = [step for step in self.steps if step.is_drop]
        if ends:
            return f"it was dropped before, {ends[-1].where}, at stage {ends[-1].stage}: {_because(ends[-1])}"
        return "it never came as far as the switch"

    def __str__(self) -> str:
        return "\n".join([self.frame, *self.lines()] if self.frame else self.lines())

    def lines(self) -> Iterator[str]:
        """The steps as a table in text: where, stage, outcome, detail, setting."""
        where_width = max((len(step.where) for step in self.steps), default=0)
        stage_width = max((len(step.stage) for step in self.steps), default=0)
        last = ""
        for step in self.steps:
            where = step.where if step.where != last else ""
            last = step.where
            setting = f"  [{step.setting}]" if step.setting and (step.is_drop or step.detail) else ""
            detail = f"  {step.detail}" if step.detail else ""
            yield f"{where:<{where_width}}  {step.stage:<{stage_width}}  {step.outcome}{detail}{setting}".rstrip()


def _because(step: Step) -> str:
    return step.detail + (f" [{step.setting}]" if step.setting else "")


def _given(step: Step) -> str:
    said = "; ".join(f"{name}: {value}" for name, value in step.consulted)
    return f" ({said})" if said else ""


def _outcome(before: Frame, verdict: Verdict) -> tuple[str, str]:
    match verdict:
        case Drop():
            return _dropped(verdict)
        case Ports():
            ends = list(verdict.ports)
            if verdict.group is not None:
                ends.append(f"the {verdict.group}" + (f" but {verdict.except_}" if verdict.except_ else ""))
            return "to " + (" and ".join(ends) or "nowhere"), ""
        case Frame():
            return "pass", _tag_change(before, verdict)


def _dropped(drop: Drop) -> tuple[str, str]:
    return "DROP", drop.reason.value + (f" ({drop.rule})" if drop.rule else "")


def _tag_change(before: Frame, after: Frame) -> str:
    (_, old), (_, new) = look_on(before), look_on(after)
    if old == new:
        return ""
    if new == NO_TAG:
        return f"tag {_tag(old)} taken off"
    return f"tag {_tag(new)} put on" if old == NO_TAG else f"tag {_tag(old)} becomes {_tag(new)}"


def _tag(tci: int) -> str:
    priority = tci >> PRIORITY_SHIFT
    return f"{tci & VID_BITS}" + (f" priority {priority}" if priority else "")


def _read(frame: Frame, known: Sequence[int]) -> Iterator[tuple[str, str]]:
    """Fields that were read since ``known``, each with its value; absent ones are told too."""
    masks, (words, _) = frame.notes.masks, look_on(frame)
    for word in range(1, w.COUNT):
        fresh = masks[word] & ~(known[word] if known else 0)
        absent = masks[w.PRESENT] & ~(known[w.PRESENT] if known else 0) & ~words[w.PRESENT] & 1 << word
        if absent:
            yield w.NAMES[word].lower().replace("_", " "), "absent"
        elif fresh:
            yield _named(word, fresh, words[word])


def _named(word: int, bits: int, value: int) -> tuple[str, str]:
    name = w.NAMES[word].lower().replace("_", " ")
    if word in _MAC_WORDS:
        if bits == _GROUP_BIT:
            return f"group bit of {name}", str(value >> 40 & 1)
        return name, str(Mac(value))
    if word in _IPV4_WORDS:
        return name, ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))
    if word == w.TAG:
        return ("VLAN", str(value & VID_BITS)) if bits == VID_BITS else ("tag", f"{value & bits & 0xFFFF:#06x}")
    if word in (w.ETHERTYPE, w.NETWORK_TYPE, w.LLC):
        return name, f"{value:#06x}"
    return name, str(value)


def _consulted(element: Element, asked: Sequence[Asked]) -> Iterator[tuple[str, str]]:
    """Tables, derived fields, and attributes of the port that a stage asked."""
    for one in asked:
        if isinstance(one.thing, Table):
            yield one.thing.name, _answer(one.answer)
        elif isinstance(one.thing, Derived):
            yield one.thing.name, str(one.answer)
        elif isinstance(one.thing, Port) and isinstance(one.key, str) and one.key != "name":
            yield f"{one.thing.name}'s {str(one.key).replace('_', ' ')}", _answer(one.answer)


def _answer(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in (None, "") else plain(value)

"""The contract of a stage, checked: :func:`check_stage` for any stage, a user's too.

Nothing here knows a stage. Frames are drawn, what a stage reads is watched, and what it must not depend on is changed:
frames' bits that it did not read, entries of tables that it did not ask, the order of calls, the ends of windows.
"""

import inspect
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from attrs import define, field
from hypothesis import strategies as st

from iochain.chain import BatchStage, Drop, Element, Port, PortKind, Ports, Verdict, as_element
from iochain.frame import Derived, Frame, Mac, Notes, Table, look_on
from iochain.kernels import words as w
from iochain.testing.agreement import check_engines
from iochain.testing.batches import check_batch_stage
from iochain.testing.breaches import ContractError
from iochain.testing.drawing import hold
from iochain.testing.framebytes import FrameBytes
from iochain.testing.reading import check_source, constants_of

__all__ = ["ContractError", "check_stage"]

PORT: Final = Port(
    "web",
    3,
    0x01000005,
    PortKind.VNIC,
    "esx1",
    "vSwitch0",
    "Prod",
    10,
    Mac("00:50:56:00:00:01"),
    Mac("00:50:56:00:00:01"),
    "uplinks of Prod",
    1,
)
"""The port that a stage is checked at where none is given: of a VM in VLAN 10."""


def check_stage(
    stage: Any,
    port: Port = PORT,
    *,
    frames: st.SearchStrategy[FrameBytes] | None = None,
    max_examples: int = 100,
) -> None:
    """Hold a stage of any kind to its contract. ContractError says what it broke, with a small frame that shows it.

    A header stage is pure (the same answer twice and in any order, nothing changed in its hands), answers a verdict and
    never raises, its notes tell all that decides, both engines agree on it, and its code does nothing that cannot be
    watched. A batch stage loses no frame and makes none, and neither windows nor neighbours change what it does.
    ``frames`` are drawn where none are given. The same frames are drawn each time.
    """
    element = as_element(stage)
    if isinstance(element.stage, BatchStage):
        check_batch_stage(element, frames, max_examples)
        return
    check_source(element)
    check = _Checked(element, port, reachable_tables(element.stage))
    for rule in (check.answers, check.compared, check.reads):
        hold(rule, _pairs, frames, max_examples)
    check.order()
    check_engines(element, port, check.met)


def _pairs(drawn: st.SearchStrategy[FrameBytes]) -> dict[str, Any]:
    """A frame, the port that it came in by, and another frame."""
    return {"frame": drawn, "entry": st.integers(-1, 3), "other": drawn}


@define
class _Answer:
    """What a stage answered to one frame, and what it noted."""

    verdict: Any
    frame: Frame

    @property
    def notes(self) -> Notes:
        return self.frame.notes

    @property
    def said(self) -> object:
        """All that it comes to: the verdict, and the writes that it asks for."""
        return told(self.verdict), [(id(table), key, answer) for table, key, answer in self.notes.writes]

    def __str__(self) -> str:
        return shown(self.verdict)


def told(verdict: Verdict) -> object:
    """What a verdict comes to, whatever else the frame is: its new tag, the drop, or the ports."""
    return ("on", verdict.new_tag) if isinstance(verdict, Frame) else verdict


def shown(verdict: Any) -> str:
    """A verdict in words."""
    if not isinstance(verdict, Frame):
        return repr(verdict)
    tag = verdict.new_tag
    return "the frame" + ("" if tag is None else " without tag" if tag < 0 else f" with tag {tag:#06x}")


@define
class _Checked:
    """A header stage at a port, and the frames that it met."""

    element: Element
    port: Port
    tables: Sequence[Table[Any, Any]]
    met: list[FrameBytes] = field(factory=list)
    first: list[tuple[FrameBytes, int, object]] = field(factory=list)
    constants: Sequence[int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.constants = constants_of(self.element.stage, self.tables)

    def answers(self, frame: FrameBytes, entry: int, other: FrameBytes) -> None:
        """It answers a verdict, the same one twice, and leaves its hands clean."""
        seen = frame.seen(entry, from_uplink=entry == 0)
        before, entries = list(look_on(seen)[0]), [table.entries() for table in self.tables]
        answer = self._call(seen, frame)
        if list(look_on(seen)[0]) != before:
            self._breach("changed the frame in its hands; a changed frame is a new one (frame.with_tci(…))", frame)
        if [table.entries() for table in self.tables] != entries:
            for table, before_it in zip(self.tables, entries, strict=True):
                table.reset(before_it)
            self._breach("wrote to a table itself; ask for the write: frame.learn(table, key, answer=…)", frame)
        again = self._call(frame.seen(entry, from_uplink=entry == 0), frame)
        if again.said != answer.said:
            self._breach(f"answered {answer} first, and {again} when asked again", frame)
        if isinstance(answer.verdict, Frame) and answer.verdict is not seen:
            words, _ = look_on(answer.verdict)
            if words is not look_on(seen)[0]:
                self._breach("answered another frame than it was given", frame)
        self._derived(answer, frame)
        if not self.met or len(frame) < 2000:
            self.met.append(frame)
            self.first.append((frame, entry, answer.said))

    def reads(self, frame: FrameBytes, entry: int, other: FrameBytes) -> None:
        """What it noted is what decides: other bits and other entries of tables may be anything."""
        answer = self._call(frame.seen(entry, from_uplink=entry == 0), frame)
        notes = answer.notes
        if notes.whole:  # said to depend on everything
            return
        words, foreign = look_on(answer.frame)[0], look_on(other.seen((entry + 2) % 4, from_uplink=entry != 0))[0]
        alike = [a & mask | b & ~mask for a, b, mask in zip(words, foreign, _signed(notes.masks), strict=True)]
        if all(one.thing.of(alike) == one.answer for one in notes.asked if isinstance(one.thing, Derived)):
            self._same(answer, Frame(alike, Notes()), frame, "other bits of the frame, which it did not note")
        with _Fewer(self.tables, notes):
            again = frame.seen(entry, from_uplink=entry == 0)
            self._same(answer, again, frame, "entries of tables that it did not ask (frame.ask)")

    def compared(self, frame: FrameBytes, entry: int, other: FrameBytes) -> None:
        """Where a field that it reads has a number that it knows, it answers as well."""
        answer = self._call(frame.seen(entry, from_uplink=entry == 0), frame)
        if answer.notes.whole:
            return
        words = look_on(answer.frame)[0]
        for word, mask in enumerate(answer.notes.masks):
            if word == w.PRESENT or not mask or not words[w.PRESENT] >> word & 1:
                continue
            lowest = (mask & -mask).bit_length() - 1
            for number in {constant << shift for constant in self.constants for shift in (0, lowest)}:
                if number >= 0 and not number & ~mask:
                    told_so = [*words]
                    told_so[word] = words[word] & ~mask | number if mask >> 63 == 0 else number
                    self._called(Frame(told_so, Notes()), frame, f" with {w.NAMES[word].lower()} {number:#x}")

    def order(self) -> None:
        """Asked for the same frames the other way round, it answers the same."""
        for frame, entry, before in reversed(self.first):
            answer = self._call(frame.seen(entry, from_uplink=entry == 0), frame)
            if answer.said != before:
                what = f"answered {answer} to a frame to which it answered otherwise before it met others"
                self._breach(f"{what}: it remembers something that is in no table", frame)

    def _same(self, answer: _Answer, changed: Frame, frame: FrameBytes, what: str) -> None:
        try:
            verdict = self.element.stage(changed, self.port)
        except Exception as error:
            self._breach(f"depends on {what}: it raised {type(error).__name__} ({error}) when they changed", frame)
        if not isinstance(verdict, (Frame, Drop, Ports)) or _Answer(verdict, changed).said != answer.said:
            self._breach(f"depends on {what}: it answered {answer}, and {shown(verdict)} when they changed", frame)

    def _call(self, seen: Frame, frame: FrameBytes) -> _Answer:
        return _Answer(self._called(seen, frame), seen)

    def _called(self, seen: Frame, frame: FrameBytes, changed: str = "") -> Any:
        """The verdict; ``changed`` says what is not as in the bytes that are shown."""
        try:
            verdict = self.element.stage(seen, self.port)
        except Exception as error:
            self._breach(f"raised {type(error).__name__}: {error}{changed}", frame, error)
        if not isinstance(verdict, (Frame, Drop, Ports)):
            what = f"answered {verdict!r}, which is no verdict (the frame, a Drop, or Ports)"
            self._breach(f"{what}{',' if changed else ''}{changed}", frame)
        return verdict

    def _derived(self, answer: _Answer, frame: FrameBytes) -> None:
        for one in answer.notes.asked:
            if isinstance(one.thing, Derived) and not 0 <= one.answer < one.thing.outcomes:
                range_ = f"0 to {one.thing.outcomes - 1}"
                self._breach(f"asked {one.thing.name}, which gave {one.answer} ({range_} was said)", frame)

    def _breach(self, what: str, frame: FrameBytes, cause: Exception | None = None) -> NoReturn:
        raise ContractError(self.element, what, frame, self.port) from cause


@define
class _Fewer:
    """Takes out of tables what was not asked, for a while."""

    tables: Sequence[Table[Any, Any]]
    notes: Notes
    kept: list[dict[Any, Any]] = field(factory=list)

    def __enter__(self) -> None:
        for table in self.tables:
            entries = table.entries()
            self.kept.append(entries)
            asked = {
                key for one in self.notes.asked if one.thing is table for key in (one.key, *table.depends_on(one.key))
            }
            table.reset({key: answer for key, answer in entries.items() if key in asked})

    def __exit__(self, *error: object) -> None:
        for table, entries in zip(self.tables, self.kept, strict=True):
            table.reset(entries)


def reachable_tables(stage: Any) -> list[Table[Any, Any]]:
    """The tables that a stage holds: in its attributes, in what these hold, and in the closure of a function."""
    found: dict[int, Table[Any, Any]] = {}
    seen: set[int] = set()
    todo = [stage]
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, (str, bytes, int, type)):
            continue
        seen.add(id(thing))
        if isinstance(thing, Table):
            found[id(thing)] = thing
        elif isinstance(thing, (list, tuple, set, frozenset)):
            todo.extend(thing)
        elif isinstance(thing, dict):
            todo.extend(thing.values())
        elif inspect.isfunction(thing):
            todo.extend(inspect.getclosurevars(thing).nonlocals.values())
            todo.extend(one for one in inspect.getclosurevars(thing).globals.values() if isinstance(one, Table))
        elif type(thing).__module__ != "builtins":
            names = [*getattr(thing, "__dict__", {}), *(a.name for a in getattr(type(thing), "__attrs_attrs__", ()))]
            todo.extend(getattr(thing, name) for name in dict.fromkeys(names))
    return list(found.values())


def _signed(masks: Sequence[int]) -> list[int]:
    """Masks of 64 bits as the int64 that words are."""
    assert len(masks) == w.COUNT
    return [mask - (1 << 64) if mask >> 63 else mask for mask in masks]

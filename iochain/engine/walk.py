"""The walk: one frame through the Python stages of one segment, to the path that it takes.

Stages see themselves and their port through views that note what is read, so which setting decided is known without a
line of it in a stage. A stage that breaks its contract stops the run: frame, port and stage are named.
"""

from collections.abc import Callable, Container, Sequence
from time import perf_counter_ns
from types import FunctionType, MethodType
from typing import Any, ClassVar, NamedTuple, Protocol

from attrs import define, field, frozen

from iochain.chain import Chain, Drop, Element, From, Port, Ports, Reason, Verdict
from iochain.engine.path import UNCHANGED, Dropped, Path, Spread
from iochain.frame import Asked, Frame, Notes, Table
from iochain.topology.wiring import Wiring


class StageError(Exception):
    """A stage broke its contract: it raised, or returned what is no verdict. Names frame, port and stage."""


class Listener(Protocol):
    """Whoever wants to hear of each stage of a walk, and of what batch stages drop."""

    def step(self, where: str, element: Element, before: Frame, verdict: Verdict, asked: Sequence[Asked]) -> None:
        """A stage has spoken, having asked these things; ``before.notes`` has the bits that the walk read so far."""

    def lost(self, dropped: Dropped) -> None:
        """A batch stage has dropped the frame, or a copy or piece of it."""

    def cut(self, where: str, stage: str, pieces: int) -> None:
        """A batch stage has made so many pieces of the frame."""

    def mark(self) -> int:
        """How much it has heard."""

    def back_to(self, mark: int) -> None:
        """Forget what was heard since then: the window is run again."""


class Observer(Protocol):
    """Whoever wants to hear of all networks of this process: what stages there are, and what they say."""

    def wired(self, wiring: Wiring) -> None:
        """A network begins."""

    def step(self, where: str, element: Element, before: Frame, verdict: Verdict, asked: Sequence[Asked]) -> None:
        """A header stage has spoken in a walk. Frames that take a remembered path do not walk."""

    def ran(self, element: Element) -> None:
        """A batch stage has got frames."""

    def lost(self, dropped: Dropped) -> None:
        """A batch stage drops frames for this reason."""


class Watched:
    """A view of a stage or a port that notes which of its attributes are read.

    ``settings`` names the attributes to be noted, None for all. The others never change, and are kept as they are.
    """

    def __init__(self, thing: Any, notes: Notes, settings: Container[str] | None = None) -> None:
        self._thing, self._notes, self._settings = thing, notes, settings

    def __getattr__(self, name: str) -> Any:
        thing = self._thing
        value = getattr(thing, name)
        if type(value) is MethodType and value.__self__ is thing:  # its own reads are to be noted too
            value = MethodType(value.__func__, self)
        elif self._settings is None or name in self._settings:
            self._notes.asked.append(Asked(thing, name, value))
            return value
        self.__dict__[name] = value
        return value


class WatchedPort(Watched):
    """A view of a port. Whether it is one of some ports is noted as just that, with their names as the key."""

    def is_one_of(self, names: tuple[str, ...]) -> bool:
        """Whether it is one of these ports."""
        port: Port = self._thing
        answer = port.is_one_of(names)
        self._notes.asked.append(Asked(port, names, answer))
        return answer


@frozen
class Bound:
    """An element that is ready to be called."""

    element: Element
    call: Callable[[Frame, Any], Verdict]


@frozen
class Segment:
    """Header stages between two batch stages. ``forwards``: they end at the switch, and its stages follow.

    Only where no batch stage follows may a stage choose ports (``chooses``): a frame cannot be in two places.
    """

    where: str
    port: Port
    view: Any  # the port, watched
    incoming: bool
    elements: tuple[Bound, ...]
    forwards: bool = False
    chooses: bool = False
    switch: str = ""
    switch_elements: tuple[Bound, ...] = ()


class Seam(NamedTuple):
    """Where a walk came to the switch, or to a team: its path so far, the bits that were read since the last seam, and
    how many things were asked until then."""

    path: Path
    masks: list[int]
    asked: int


class Diary(Protocol):
    """Whoever keeps a record of walks, to find out whether frames were decided in a right order."""

    def note(self, notes: Notes) -> None:
        """A frame has walked; the notes say which, and what it asked."""

    def write(self, notes: Notes, table: Table[Any, Any], key: Any) -> None:
        """It is about to write to a table."""


@define
class Cost:
    """How many frames something had, and the time that they took."""

    frames: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        """One more frame."""
        self.frames += 1
        self.ns += ns


@define
class Walker:
    """Walks frames. One at a time: the notes of a walk are those of the last one."""

    wiring: Wiring
    notes: Notes
    numbers: dict[str, int]
    teams: dict[str, tuple[Bound, ...]]
    initial: dict[int, tuple[Table[Any, Any], dict[Any, Any]]] = field(factory=dict)  # tables before stages wrote
    diary: Diary | None = None
    walks: int = 0
    walk_ns: int = 0  # time on the clock that they took
    has_seams: bool = False  # what is read before the switch, there and at the team is noted apart
    seams: list[Seam] = field(factory=list)  # of the last walk
    whole: dict[tuple[str, str], Cost] = field(factory=dict)  # of walks, by the stage that first saw a whole frame
    _looked: tuple[str, str] = ("", "")
    observers: ClassVar[list[Observer]] = []

    @classmethod
    def of(cls, wiring: Wiring) -> "Walker":
        """A walker of a wiring."""
        for observer in cls.observers:
            observer.wired(wiring)
        walker = cls(wiring, Notes(), {port.name: port.number for port in wiring.ports}, {})
        for team in wiring.teams():
            walker.teams[team.name] = walker.bind(wiring.team_chain(team.name))
        return walker

    def bind(self, chain: "Chain | Sequence[Element]") -> tuple[Bound, ...]:
        """The elements of a chain, each ready to be called with its reads noted."""
        return tuple(Bound(element, self._caller(element)) for element in chain)

    def view(self, port: Port) -> Any:
        """A port as stages see it."""
        return WatchedPort(port, self.notes)

    def walk(self, segment: Segment, frame: Frame, listener: Listener | None = None, at_switch: bool = False) -> Path:
        """The path of a frame through a segment. StageError if a stage breaks its contract.

        A frame that is ``at_switch`` has passed the segment's own stages before, and has the tag that it got there.
        """
        started = perf_counter_ns()
        self.seams.clear()
        path = self._path(segment, frame, listener, at_switch)
        if self.diary is not None:
            self.diary.note(self.notes)
        spent_ns = perf_counter_ns() - started
        self.walks += 1
        self.walk_ns += spent_ns
        if self.notes.whole:
            self.whole.setdefault(self._looked, Cost()).add(spent_ns)
        return path

    def _path(self, segment: Segment, frame: Frame, listener: Listener | None, at_switch: bool) -> Path:
        last = segment.elements[-1].element.name if segment.elements else ""
        end = self._through(() if at_switch else segment.elements, segment.where, segment, frame, listener)
        if end.verdict is None and segment.forwards:
            if listener is None:
                tag = end.frame.new_tag
                self._seam(Path(UNCHANGED if tag is None else tag, stage=last))
            end = self._through(segment.switch_elements, segment.switch, segment, end.frame, listener)
            if end.verdict is None:
                raise StageError(f"{segment.switch}: its stages chose no ports for {frame!r}, and did not drop it")
        tag = UNCHANGED if end.frame.new_tag is None else end.frame.new_tag
        match end.verdict:
            case None:
                return Path(tag, stage=last)
            case Drop() as drop:
                return Path(tag, drops=(_dropped(segment, end, drop),), stage=end.stage)
            case Ports() as ports:
                if not segment.chooses:
                    raise StageError(
                        f"stage {end.stage!r} at {end.where} chose ports; that is for the last stages of an input "
                        "chain, behind all its batch stages, and for the switch"
                    )
                return self._spread(segment, end, ports, tag, listener)

    def write(self) -> None:
        """Do the writes that the last walk asked for."""
        for table, key, answer in self.notes.writes:
            if id(table) not in self.initial:
                self.initial[id(table)] = (table, table.entries())
            if self.diary is not None:
                self.diary.write(self.notes, table, key)
            table.set(key, answer)

    def restore(self) -> None:
        """Give tables back the entries that they had before stages wrote to them."""
        for table, entries in self.initial.values():
            table.reset(entries)
        self.initial.clear()

    def _through(
        self, elements: tuple[Bound, ...], where: str, segment: Segment, frame: Frame, listener: Listener | None
    ) -> "_Ended":
        """Call stage after stage, until one drops or chooses ports."""
        notes = self.notes
        for bound in elements:
            first, was_whole = len(notes.asked), notes.whole
            try:
                verdict = bound.call(frame, segment.view)
            except Exception as error:
                raise StageError(_fault(bound, where, frame, f"raised {type(error).__name__}: {error}")) from error
            if not isinstance(verdict, (Frame, Drop, Ports)):
                raise StageError(_fault(bound, where, frame, f"returned {verdict!r}, which is no verdict"))
            if notes.whole and not was_whole:
                self._looked = (where, bound.element.name)
            if listener is not None:
                listener.step(where, bound.element, frame, verdict, notes.asked[first:])
            for observer in self.observers:
                observer.step(where, bound.element, frame, verdict, notes.asked[first:])
            if not isinstance(verdict, Frame):
                return _Ended(verdict, frame, where, bound.element, first, notes)
            frame = verdict
        return _Ended(None, frame, where, None, 0, notes)

    def _spread(self, segment: Segment, end: "_Ended", chosen: Ports, tag: int, listener: Listener | None) -> Path:
        """Resolve what was chosen: teams to uplinks, names to numbers."""
        ports: list[int] = []
        drops: list[Dropped] = []
        is_one = chosen.group is None and chosen.tag is None and len(chosen.ports) == 1
        if is_one and chosen.ports[0] in self.teams and listener is None:
            self._seam(Path(tag, stage=end.stage, team=chosen.ports[0]))
        tag = tag if chosen.tag is None else chosen.tag
        for name in chosen.ports:
            if name not in self.teams:
                ports.append(self._number(name, end))
                continue
            team = self._through(self.teams[name], name, segment, end.frame, listener)
            if isinstance(team.verdict, Drop):
                drops.append(_dropped(segment, team, team.verdict))
            elif team.verdict is not None:
                ports.extend(self._number(uplink, team) for uplink in team.verdict.ports)
        if not ports and chosen.group is None:
            nowhere = _dropped(segment, end, Drop(Reason.NO_PORT))
            return Path(tag, drops=tuple(drops) or (nowhere,), stage=end.stage)
        is_flood = chosen.group is not None and chosen.except_ is not None
        except_ = self.numbers.get(str(chosen.except_), -1) if is_flood else -1  # else paths would differ for nothing
        spread = Spread(tuple(sorted(set(ports))), segment.switch if chosen.group else "", chosen.group, except_)
        return Path(tag, spread, tuple(drops), end.stage)

    def _seam(self, path: Path) -> None:
        """The frame has come to the switch, or from there to a team: what is read from now on is noted by itself."""
        if self.has_seams:
            self.seams.append(Seam(path, self.notes.begin_part(), len(self.notes.asked)))

    def _number(self, name: str, end: "_Ended") -> int:
        if name not in self.numbers:
            what = f"chose port {name!r}, which does not exist"
            raise StageError(f"stage {end.stage!r} at {end.where} {what} (frame {end.frame!r})")
        return self.numbers[name]

    def _caller(self, element: Element) -> Callable[[Frame, Any], Verdict]:
        """The stage's call, on a view of the stage that notes which of its settings it reads."""
        stage = element.stage
        function = getattr(type(stage), "__call__", None)  # noqa: B004  (a class may have none)
        if isinstance(stage, FunctionType) or not isinstance(function, FunctionType):
            return stage  # type: ignore[no-any-return]
        return MethodType(function, Watched(stage, self.notes, element.settings))


def decided_by(element: Element, asked: Sequence[Asked]) -> From | None:
    """The setting behind what a stage did: the last of its settings that it read, else the one that put it there."""
    said = element.settings
    for one in reversed(asked):
        if one.thing is element.stage and one.key in said:
            return said[str(one.key)]
    return element.because


class _Ended(NamedTuple):
    """How a walk through some stages ended: at which stage, if any, and what that one asked from ``first`` on."""

    verdict: Drop | Ports | None
    frame: Frame
    where: str
    element: Element | None
    first: int
    notes: Notes

    @property
    def stage(self) -> str:
        return self.element.name if self.element else ""

    @property
    def decided(self) -> From | None:
        return decided_by(self.element, self.notes.asked[self.first :]) if self.element else None


def _dropped(segment: Segment, end: _Ended, drop: Drop) -> Dropped:
    setting = drop.setting or end.decided
    return Dropped(end.where, segment.port.number, segment.incoming, end.stage, drop, setting)


def _fault(bound: Bound, where: str, frame: Frame, what: str) -> str:
    return f"stage {bound.element.name!r} at {where} {what} (frame {frame!r})"

"""The agenda: what is to happen at which moment of virtual time. The order is (time, source, serial), never chance.

An event at a moment comes before the frames of that moment.
"""

from collections.abc import Callable
from heapq import heappop, heappush

from attrs import define, field

from iochain.kernels.rows import MAX_TIME_NS
from iochain.topology.units import format_time

Event = Callable[[], object]
"""What is called when its moment has come."""


@define(eq=False)
class Timer:
    """An event that waits, once or again and again (``period_ns``)."""

    time_ns: int
    source: int
    serial: int
    event: Event = field(repr=False)
    period_ns: int = 0
    is_cancelled: bool = False

    def cancel(self) -> None:
        """It will not happen (again)."""
        self.is_cancelled = True

    def __lt__(self, other: "Timer") -> bool:
        return (self.time_ns, self.source, self.serial) < (other.time_ns, other.source, other.serial)


@define
class Agenda:
    """Events by (time, source, serial): of one moment those of smaller sources come first, then as they were put in."""

    now_ns: int = 0
    done: int = 0  # events that have happened
    _heap: list[Timer] = field(factory=list, repr=False)
    _serial: int = 0

    def at(self, time_ns: int, event: Event, source: int = 0) -> Timer:
        """Have something happen at a moment. ValueError if that is in the past."""
        return self._put(Timer(time_ns, source, self._next_serial(), event))

    def every(self, start_ns: int, period_ns: int, event: Event, source: int = 0) -> Timer:
        """Have something happen at ``start_ns`` and then each ``period_ns``. ValueError if that cannot be."""
        if period_ns <= 0:
            raise ValueError(f"a period of {period_ns} ns never ends; it must be 1 ns or more")
        return self._put(Timer(start_ns, source, self._next_serial(), event, period_ns))

    @property
    def next_ns(self) -> int | None:
        """When the next event happens; None if there is none."""
        while self._heap and self._heap[0].is_cancelled:
            heappop(self._heap)
        return self._heap[0].time_ns if self._heap else None

    def run_due(self, time_ns: int) -> int:
        """Let all happen that is due at ``time_ns`` or before, in order; gives how many events that were."""
        before = self.done
        while (due := self.next_ns) is not None and due <= time_ns:
            timer = heappop(self._heap)
            self.now_ns = timer.time_ns
            if timer.period_ns:
                self._put(timer, timer.time_ns + timer.period_ns)
            self.done += 1
            timer.event()
        self.now_ns = max(self.now_ns, time_ns)
        return self.done - before

    def _next_serial(self) -> int:
        self._serial += 1
        return self._serial

    def _put(self, timer: Timer, time_ns: int | None = None) -> Timer:
        if time_ns is not None:
            timer.time_ns = time_ns
        if timer.time_ns < self.now_ns:
            past, now = format_time(max(timer.time_ns, 0)), format_time(self.now_ns)
            raise ValueError(f"an event at {past} is in the past: it is {now} already")
        if timer.time_ns > MAX_TIME_NS:
            raise ValueError(f"an event at {timer.time_ns} ns is too late; the last moment is {MAX_TIME_NS} ns")
        heappush(self._heap, timer)
        return timer

"""The agenda: order by time, source and serial; timers that end; no event in the past."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iochain.experiment.agenda import Agenda


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=30))
def test_order_is_time_source_serial(events: list[tuple[int, int]]) -> None:
    agenda, done = Agenda(), list[tuple[int, int, int]]()
    for serial, (time_ns, source) in enumerate(events):
        agenda.at(time_ns, lambda mine=(time_ns, source, serial): done.append(mine), source)  # type: ignore[misc]
    assert agenda.run_due(10) == len(events)
    assert done == sorted(done)
    assert agenda.now_ns == 10


def test_what_is_due_and_what_is_not() -> None:
    agenda, done = Agenda(), list[int]()
    for time_ns in (3, 1, 2):
        agenda.at(time_ns, lambda time_ns=time_ns: done.append(time_ns))  # type: ignore[misc]
    assert agenda.next_ns == 1
    agenda.run_due(2)
    assert done == [1, 2]
    assert agenda.next_ns == 3


def test_again_and_again_until_cancelled() -> None:
    agenda, done = Agenda(), list[int]()
    timer = agenda.every(5, 10, lambda: done.append(agenda.now_ns))
    agenda.run_due(30)
    timer.cancel()
    agenda.run_due(100)
    assert done == [5, 15, 25]
    assert agenda.next_ns is None


def test_an_event_of_the_same_moment_that_an_event_asks_for() -> None:
    agenda, done = Agenda(), list[str]()
    agenda.at(1, lambda: agenda.at(1, lambda: done.append("later")))
    agenda.at(1, lambda: done.append("first"))
    agenda.run_due(1)
    assert done == ["first", "later"]


def test_a_timer_that_cancels_itself() -> None:
    agenda, done = Agenda(), list[int]()

    def once() -> None:
        done.append(agenda.now_ns)
        timer.cancel()

    timer = agenda.every(1, 1, once)
    agenda.run_due(5)
    assert done == [1]


def test_the_past_is_refused() -> None:
    agenda = Agenda()
    agenda.run_due(7 * 10**9)
    with pytest.raises(ValueError, match="an event at 5 s is in the past: it is 7 s already"):
        agenda.at(5 * 10**9, print)
    with pytest.raises(ValueError, match="a period of 0 ns never ends"):
        agenda.every(8 * 10**9, 0, print)
    with pytest.raises(ValueError, match="too late"):
        agenda.at(2**63, print)

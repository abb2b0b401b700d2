"""Rows: their size, their order, the tags lifted out of their bytes."""

import bisect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iochain.batch import Batch, Instant, Rows, Waiting, batch_of, joined, order_of, source_and_serial
from iochain.kernels.order import first_from, is_sorted, order_of_rows, sorted_rows
from iochain.kernels.rows import MAX_TIME_NS, NO_TAG, NOWHERE, ROW, TAG_AT

ADDRESSES = bytes.fromhex("005056000002005056000001")
ORDER = ("time_ns", "order", "part", "port")


def test_a_row_is_one_cache_line() -> None:
    assert ROW.itemsize == 64
    assert ROW.isalignedstruct


def test_the_entry_follows_the_tag() -> None:
    offsets = {name: ROW.fields[name][1] for name in ("tag", "entry")}  # type: ignore[index]
    assert offsets == {"tag": TAG_AT, "entry": TAG_AT + 4}


# -- order

keys = st.tuples(*[st.integers(0, 2)] * 4)


def rows_of(places: list[tuple[int, ...]]) -> Rows:
    """Rows at these places in the order of everything; ``length`` tells them apart."""
    rows = np.zeros(len(places), ROW)
    for i, place in enumerate(places):
        for name, value in zip(ORDER, place, strict=True):
            rows[i][name] = value
    rows["length"] = np.arange(len(places))
    return rows


@given(st.lists(keys, max_size=12))
@settings(deadline=None)
def test_rows_are_sorted_as_python_sorts_and_equal_ones_stay(places: list[tuple[int, ...]]) -> None:
    rows = rows_of(places)
    expected = sorted(range(len(places)), key=lambda i: places[i])
    assert sorted_rows(rows)["length"].tolist() == expected
    assert order_of_rows(rows).tolist() == expected
    assert is_sorted(rows) == (places == sorted(places))
    if is_sorted(rows):
        assert sorted_rows(rows) is rows


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 300),
    st.sampled_from([1, 40, 10**6, MAX_TIME_NS]),
    st.sampled_from([0, 3, 10**4, MAX_TIME_NS]),
    st.sampled_from([(), (0,), (MAX_TIME_NS,), (-(2**63),), (-1, MAX_TIME_NS)]),
)
@settings(deadline=None)
def test_rows_are_sorted_however_far_they_stand_from_their_places(
    seed: int, count: int, span: int, moved: int, others: tuple[int, ...]
) -> None:
    random = np.random.default_rng(seed)
    times = np.sort(random.integers(0, span, count, endpoint=True))
    times += random.integers(0, np.minimum(moved, MAX_TIME_NS - times), endpoint=True)
    places = [(time, int(order)) for time, order in zip(times.tolist(), random.integers(0, 3, count), strict=True)]
    places += [(time, 0) for time in others]
    rows = rows_of([(*place, 0, 0) for place in places])
    expected = sorted(range(len(places)), key=lambda i: places[i])
    assert order_of_rows(rows).tolist() == expected
    assert sorted_rows(rows)["length"].tolist() == expected


@given(keys, keys)
@settings(deadline=None)
def test_two_rows_are_sorted_by_their_places(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    assert is_sorted(rows_of([left, right])) == (left <= right)


@given(st.lists(keys, max_size=12), st.integers(0, 3), st.integers(0, 3))
@settings(deadline=None)
def test_first_from_is_where_bisection_says(places: list[tuple[int, ...]], time_ns: int, order: int) -> None:
    places.sort()
    assert first_from(rows_of(places), time_ns, order) == bisect.bisect_left([p[:2] for p in places], (time_ns, order))


@given(st.lists(keys, max_size=10), st.lists(st.integers(0, 3), max_size=4))
@settings(deadline=None)
def test_waiting_frames_come_out_in_order_each_once(places: list[tuple[int, ...]], ends: list[int]) -> None:
    waiting, out = Waiting(), []
    more = Batch(rows_of(places))
    for end in [*sorted(ends), 4]:
        due = waiting.release(more, Instant(end))
        assert (due.column("time_ns") < end).all()
        assert (waiting.batch.column("time_ns") >= end).all()
        more = Batch(rows_of([]))
        out.append(due)
    assert joined(out).column("length").tolist() == sorted(range(len(places)), key=lambda i: places[i])


@given(st.integers(0, 2**23 - 1), st.integers(1, 2**40 - 1))
def test_an_order_number_is_source_and_serial(source: int, serial: int) -> None:
    assert source_and_serial(order_of(source, serial)) == (source, serial)


# -- tags


@pytest.mark.parametrize(
    ("types", "tag", "rest"),
    [
        ("0800 11", NO_TAG, "0800 11"),
        ("8100 a064 0800 11", 0xA064, "0800 11"),
        ("8100 0000 0800", 0, "0800"),
        ("8100 ffff 8100 000b 0800", 0xFFFF, "8100 000b 0800"),  # just the outer one
        ("88a8 0064 8100 000b 0800", NO_TAG, "88a8 0064 8100 000b 0800"),
        ("8100 000a 08", NO_TAG, "8100 000a 08"),  # cut inside the EtherType behind it
        ("8100 000a", NO_TAG, "8100 000a"),
    ],
)
def test_the_outer_tag_is_carried_beside_the_bytes(types: str, tag: int, rest: str) -> None:
    data = ADDRESSES + bytes.fromhex(types)
    batch = batch_of([(data, 5)])
    (row,) = batch.rows
    assert row["tag"] == tag
    assert row["length"] == row["wire_length"] == 12 + len(bytes.fromhex(rest))
    assert row["skip"] == (12 if tag == NO_TAG else 16)
    assert batch.frame_bytes(0) == data
    batch.rows["tag"] = NO_TAG
    assert batch.frame_bytes(0) == ADDRESSES + bytes.fromhex(rest)


@given(st.lists(st.binary(min_size=14, max_size=80), max_size=8), st.integers(0, 3))
@settings(deadline=None)
def test_a_batch_gives_back_the_bytes_that_it_was_made_of(frames: list[bytes], source: int) -> None:
    batch = batch_of([(data, 10 * i) for i, data in enumerate(frames)], source, first_serial=7)
    assert [batch.frame_bytes(i) for i in range(len(batch))] == frames
    assert batch.column("time_ns").tolist() == [10 * i for i in range(len(frames))]
    assert [source_and_serial(order) for order in batch.column("order").tolist()] == [
        (source, 7 + i) for i in range(len(frames))
    ]
    assert set(batch.column("entry").tolist()) <= {NOWHERE}


def test_a_tag_put_on_and_padding_are_written_and_nothing_is_copied() -> None:
    batch = batch_of([(ADDRESSES + b"\x08\x00abc", 0)])
    batch.rows["tag"], batch.rows["pad"] = 0xA00A, 2
    assert batch.frame_bytes(0) == ADDRESSES + bytes.fromhex("8100a00a0800") + b"abc\0\0"
    assert batch[:].frame_bytes(0) == batch[np.array([0])].frame_bytes(0) == batch.frame_bytes(0)


def test_joined_batches_keep_all_memory_alive() -> None:
    parts = [batch_of([(ADDRESSES + bytes([8, 0, i]), i)]) for i in range(3)]
    expected = [part.frame_bytes(0) for part in parts]
    whole = joined([*parts, parts[0]])
    del parts
    assert [whole.frame_bytes(i) for i in range(4)] == [*expected, expected[0]]
    assert len(whole.pins) == 3

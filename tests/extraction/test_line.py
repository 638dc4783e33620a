"""Packing on a line, against counting place by place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.extraction.line import (
    counted,
    merged,
    pack_longest_first,
    room,
    stretches,
    unblocked,
)

intervals = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 40)).map(lambda p: (p[0], p[0] + p[1])),
    min_size=1,
    max_size=10,
)
NONE = np.zeros(0, np.int64)


def columns(pairs):
    return np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])


def count_by_definition(pairs, place):
    return sum(a <= place <= b for a, b in pairs)


def profile_at(breaks, counts, place):
    at = np.searchsorted(breaks, place, side="right") - 1
    return 0 if at < 0 else counts[at]


@given(intervals)
def test_counts_are_those_of_each_place(pairs):
    breaks, counts = counted(*columns(pairs))
    for place in range(-1, 103):
        assert profile_at(breaks, counts, place) == count_by_definition(pairs, place)


@given(intervals)
def test_merged_intervals_hold_the_same_places_and_are_apart(pairs):
    first, last = merged(np.zeros(len(pairs), np.int64), *columns(pairs), 200)
    held = {x for a, b in zip(first, last, strict=True) for x in range(a, b + 1)}
    assert held == {x for a, b in pairs for x in range(a, b + 1)}
    assert (first[1:] > last[:-1] + 1).all()


@given(intervals, st.lists(st.integers(-20, 120), max_size=6), st.integers(1, 15))
def test_unblocked_starts_are_those_a_square_away(pairs, squares, length):
    wide = merged(np.zeros(len(pairs), np.int64), *columns(pairs), 200)
    first, last = unblocked(wide, np.array(squares, np.int64), length)
    left = {x for a, b in zip(first, last, strict=True) for x in range(a, b + 1)}
    before = {x for a, b in zip(*wide, strict=True) for x in range(a, b + 1)}
    assert left == {x for x in before if all(abs(x - s) >= length for s in squares)}


@given(intervals, st.integers(1, 15), st.integers(1, 3), st.lists(st.integers(0, 90), max_size=3))
def test_squares_are_apart_on_ground_seen_often_enough_and_none_fits_any_more(
    pairs, length, fewest, there
):
    there = np.array(there, np.int64)
    starts = pack_longest_first(
        *counted(*columns(pairs)), length=length, fewest=fewest, squares=there
    )
    for i, s in enumerate(starts):
        assert count_by_definition(pairs, s) >= fewest
        assert all(abs(s - t) >= length for t in [*starts[:i], *there])
    for place in range(0, 101):
        free = all(abs(place - t) >= length for t in [*starts, *there])
        assert not (free and count_by_definition(pairs, place) >= fewest)


@given(intervals, st.integers(1, 15))
def test_longest_series_are_served_first(pairs, length):
    breaks, counts = counted(*columns(pairs))
    starts = pack_longest_first(breaks, counts, length=length, fewest=1, squares=NONE)
    top = counts.max()
    first, last = stretches(breaks, counts == top)
    # Alone, the ground of the highest count takes as many squares as one can step through it.
    alone, free_from = 0, -1_000
    for a, b in zip(first, last, strict=True):
        begin = max(a, free_from)
        if begin <= b:
            number = int(room(np.array([begin]), np.array([b]), length)[0])
            alone, free_from = alone + number, begin + number * length
    assert sum(profile_at(breaks, counts, s) == top for s in starts) == alone


def test_a_square_slides_to_leave_room_for_two_neighbours():
    # Seen twice on [0, 20]; three times in the middle, where one square has slack to slide.
    breaks, counts = counted(np.array([0, 0, 8]), np.array([20, 20, 14]))
    starts = pack_longest_first(breaks, counts, length=10, fewest=2, squares=NONE)
    assert sorted(starts.tolist()) == [0, 10, 20]


@pytest.mark.parametrize("fewest", [1, 2])
def test_an_empty_line_takes_nothing(fewest):
    assert len(pack_longest_first(NONE, NONE, length=5, fewest=fewest, squares=NONE)) == 0

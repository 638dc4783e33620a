from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import box

from workbench.geo.dates import ONE_PASS_SECONDS, acquisition_dates, group_name, tile_dates
from workbench.geo.tile import Tile

MISSING = [None, float("nan"), np.float64("nan"), pd.NA, pd.NaT, "", "  "]
passes = st.lists(
    st.tuples(
        st.integers(0, 12).map(lambda k: 900.0 * k), st.sampled_from(["a", "b", None, np.nan])
    ),
    max_size=8,
)


def by_definition(pieces) -> list[set[int]]:
    """Dates as the classes of the relation, found by joining pairs until nothing changes."""
    classes = [{i} for i in range(len(pieces))]

    def linked(i, j):
        (t, g), (u, h) = pieces[i], pieces[j]
        if not isinstance(g, str) or not isinstance(h, str):
            return isinstance(g, str) == isinstance(h, str) and t == u
        return g == h and abs(t - u) <= 3600

    joined = True
    while joined:
        joined = False
        for a in classes:
            b = next(
                (c for c in classes if c is not a and any(linked(i, j) for i in a for j in c)), None
            )
            if b is not None:
                classes.remove(b)
                a |= b
                joined = True
                break
    return sorted(classes, key=min)


@given(pieces=passes)
def test_dates_are_the_classes_of_pieces_linked_within_an_hour(pieces):
    date = acquisition_dates([t for t, _ in pieces], [g for _, g in pieces])
    found = [set(np.flatnonzero(date == d).tolist()) for d in np.unique(date)]
    assert sorted(found, key=min) == by_definition(pieces)
    first = [min(pieces[i][0] for i in members) for members in found]
    assert first == sorted(first)  # numbered in the order of their first times, without gaps
    assert np.unique(date).tolist() == list(range(len(found)))


@pytest.mark.parametrize("missing", MISSING, ids=repr)
def test_an_unknown_group_is_none_and_joins_nothing(missing):
    assert group_name(missing) is None
    half_an_hour = acquisition_dates([0, 1800], [missing, missing])
    assert half_an_hour.tolist() == [0, 1]
    assert acquisition_dates([0, 0], [missing, "DT1"]).tolist().count(0) == 1


@pytest.mark.parametrize(
    ("value", "name"), [("DT7 ", "DT7"), (7, "7"), (7.0, "7"), (np.int64(7), "7"), (7.5, "7.5")]
)
def test_a_group_is_text(value, name):
    assert group_name(value) == name


@pytest.mark.parametrize(("gap", "dates"), [(ONE_PASS_SECONDS, 1), (ONE_PASS_SECONDS + 1, 2)])
def test_a_pass_has_no_gap_of_more_than_an_hour(gap, dates):
    assert len(set(acquisition_dates([0, gap], ["orbit 65", "orbit 65"]).tolist())) == dates


def test_a_tile_keeps_a_missing_group_missing():
    start = datetime(2023, 6, 1, 10, tzinfo=UTC)
    ground = box(9, 50, 10, 51)
    tiles = [
        Tile(f"{i}", start + timedelta(minutes=i), ground, "EPSG:32632", group=group)
        for i, group in enumerate([*MISSING, "DT1", "DT1 "])
    ]
    assert [t.group for t in tiles] == [None] * len(MISSING) + ["DT1", "DT1"]
    assert tile_dates(tiles).tolist() == [*range(len(MISSING)), 7, 7]

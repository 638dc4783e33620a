"""Classes, colours and told values against the values they stand for."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.viz.map_colours import MOST_CLASSES, NO_VALUE, column_colouring, series_colouring

numbers = st.lists(
    st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")), st.just(float("inf"))), max_size=60
)


def told_text(colouring, row):
    """What a click tells, as the page puts it together."""
    if colouring.has_missing and colouring.codes[row] == 0:
        return NO_VALUE
    if colouring.names is not None:
        return colouring.names[colouring.told[row]]
    return colouring.origin + colouring.told[row] / 10.0**colouring.decimals


def limits(label):
    """Lower and upper border of a class of numbers, from its name."""
    text = label.replace("−", "-").replace(",", "")
    if text.startswith("below "):
        return -np.inf, float(text.removeprefix("below "))
    if text.endswith(" or more"):
        return float(text.removesuffix(" or more")), np.inf
    low, _, high = text.partition(" to ")
    return (float(low), float(high)) if high else (float(low), np.nextafter(float(low), np.inf))


@given(numbers)
def test_every_number_lies_in_the_class_that_its_legend_names(values):
    found = column_colouring("v", pd.Series(values, dtype=float))
    assert len(found.labels) == len(found.colours) <= MOST_CLASSES + 1
    assert sum(found.counts) == len(values)
    assert sorted(found.listed) == list(range(len(found.labels)))
    for row, value in enumerate(values):
        label = found.labels[found.codes[row]]
        if not np.isfinite(value):
            assert label == NO_VALUE
            continue
        low, high = limits(label)
        slack = 1e-9 * max(abs(low) if np.isfinite(low) else 0, 1e-6)
        assert low - slack <= value < high + slack or value == low
        spread = np.ptp(np.array(values)[np.isfinite(values)])
        assert told_text(found, row) == pytest.approx(value, abs=max(spread / 400, 1e-6))


def test_legends_are_round_and_open_at_both_ends():
    values = pd.Series(np.linspace(0, 1, 1001))
    found = column_colouring("score", values, "mIoU")
    assert found.name == "score (mIoU)"
    assert found.labels[0] == "below 0.2"
    assert found.labels[-1] == "0.8 or more"


def test_outliers_do_not_swallow_the_legend():
    values = pd.Series([*np.linspace(0, 1, 200), 1e9])
    counts = column_colouring("v", values).counts
    assert max(counts) < 0.5 * len(values)


def test_differences_are_two_coloured_and_the_farthest_from_zero_lie_on_top():
    values = pd.Series([-0.9, -0.3, -0.05, 0.05, 0.3, 0.9] * 10)
    found = column_colouring("A − B", values)
    strong = found.codes[np.abs(values) == 0.9].min()
    assert strong > found.codes[np.abs(values) == 0.05].max()
    red, blue = (np.array([int(c[k : k + 2], 16) for c in found.colours]) for k in (1, 5))
    for row, value in enumerate(values):
        code = found.codes[row]
        assert (red[code] > blue[code]) == (value > 0)
    lower = [limits(found.labels[k])[0] for k in found.listed]
    assert lower == sorted(lower)


def test_few_whole_numbers_have_a_class_each():
    found = column_colouring("n", pd.Series([3, 1, 3, 7]))
    assert found.labels == ("1", "3", "7")
    assert found.counts == (1, 2, 1)


def test_names_are_classes_and_the_rarest_lies_on_top():
    found = column_colouring("split", pd.Series(["train"] * 5 + ["test"] * 2 + [None]))
    assert found.labels == (NO_VALUE, "train", "test")
    assert found.counts == (1, 5, 2)
    assert found.listed == (1, 2, 0)
    assert told_text(found, 0) == "train"


def test_many_names_share_one_class_but_keep_their_text():
    names = [f"name {k:02d}" for k in range(30) for _ in range(30 - k)]
    found = column_colouring("n", pd.Series(names))
    assert found.labels[0] == "23 rarer names"
    assert len(found.labels) == MOST_CLASSES - 1
    for row in (0, 100, len(names) - 1):
        assert told_text(found, row) == names[row]


def test_truth_values_are_yes_and_no():
    for values in (pd.Series([True, False, True]), pd.Series([True, False, None], dtype=object)):
        found = column_colouring("leak", values)
        assert set(found.labels) - {NO_VALUE} == {"yes", "no"}


@pytest.mark.parametrize(
    ("end", "label"),
    [
        ("2022-01-05", "2022-01-01"),
        ("2022-02-20", "week of 2021-12-27"),
        ("2022-08-01", "2022-01"),
        ("2023-12-31", "2022 Q1"),
        ("2028-01-01", "2022"),
        ("2052-01-01", "2022 to 2025"),
    ],
)
def test_dates_are_cut_into_calendar_stretches(end, label):
    days = pd.Series(pd.date_range("2022-01-01", end, periods=50, tz="UTC"))
    found = column_colouring("first", days)
    assert found.labels[0] == label
    assert len(found.labels) <= MOST_CLASSES
    assert told_text(found, 49) == end
    assert (np.diff(found.codes) >= 0).all()


@pytest.mark.parametrize("dtype", ["float64", "object", "datetime64[ns]", "category"])
def test_nothing_and_only_missing_values_have_a_legend(dtype):
    assert column_colouring("v", pd.Series([], dtype=dtype)).counts == ()
    only = column_colouring("v", pd.Series([None, None], dtype=dtype))
    assert only.labels == (NO_VALUE,)
    assert only.counts == (2,)


def test_series_have_the_classes_of_the_legend():
    assert series_colouring(np.array([1, 5, 6, 10, 60])).counts == (1, 0, 0, 0, 2, 0, 2)

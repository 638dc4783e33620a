"""Acquisition dates: which tiles or patches belong to one pass of a sensor and count once.

The one definition, used by the plan, the extraction, pairs and counts alike.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

ONE_PASS_SECONDS = 3600.0
"""Tiles of one group without a longer gap between them belong to one pass of the sensor."""


class Dated(Protocol):
    """What has a date: a tile."""

    @property
    def acquired(self) -> datetime:
        """Start of the acquisition."""

    @property
    def group(self) -> str | None:
        """Pass that it is a piece of; None if it is not known."""


def acquisition_dates(
    time: Sequence[float] | NDArray[np.float64], group: Iterable[Any] | None = None
) -> NDArray[np.int64]:
    """Number acquisition dates: pieces of one pass are one date.

    Two acquisitions are of one date if they have the same group (datatake, orbit) and are at most
    an hour apart, or are linked by others of the group that are; so a group that names an orbit
    flown again days later is a date each time. Without a group nothing says that two acquisitions
    belong together but the very same time: tiles of two sensors half an hour apart are two dates,
    and one with a group is never of one date with one without.

    Args:
        time: (N,) seconds since a common start; all must be finite.
        group: (N,) name of the pass each is a piece of. None, NaN, NA and blanks: not known.

    Returns:
        (N,) number of each one's date, counted from 0 in the order of the dates' first times.

    Example:
        >>> acquisition_dates([0, 4, 1800, 4], ["DT1", "DT1", None, "DT2"]).tolist()
        [0, 0, 2, 1]
    """
    time = np.asarray(time, dtype=np.float64)
    names = [None] * len(time) if group is None else [group_name(value) for value in group]
    known = {name: i for i, name in enumerate(sorted({n for n in names if n is not None}))}
    code = np.array([-1 if name is None else known[name] for name in names], dtype=np.int64)
    order = np.lexsort((time, code))
    in_order = code[order]
    longest = np.where(in_order[1:] >= 0, ONE_PASS_SECONDS, 0.0)
    is_new = np.ones(len(time), dtype=bool)
    is_new[1:] = (in_order[1:] != in_order[:-1]) | (np.diff(time[order]) > longest)
    first_time = time[order][is_new]
    rank = np.empty(len(first_time), dtype=np.int64)
    rank[np.argsort(first_time, kind="stable")] = np.arange(len(first_time))
    date = np.empty(len(time), dtype=np.int64)
    date[order] = rank[np.cumsum(is_new) - 1]
    return date


def tile_dates(tiles: Sequence[Dated]) -> NDArray[np.int64]:
    """Number the acquisition date of each tile: (N,), counted from 0 in the order of time."""
    return acquisition_dates([t.acquired.timestamp() for t in tiles], [t.group for t in tiles])


def group_name(value: Any) -> str | None:
    """Read the name of a group: None for what a table writes where nothing is known.

    A whole number that a table turned into a float (a column of numbers with gaps) is written
    without its ".0".

    Args:
        value: Text, a number, None, NaN, NaT or NA.

    Example:
        >>> group_name(float("nan")), group_name(" "), group_name(12.0), group_name("DT7 ")
        (None, None, '12', 'DT7')
    """
    if is_missing(value):
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return str(value).strip()


def is_missing(value: Any) -> bool:
    """Tell whether a table's value says that nothing is known: None, NaN, NaT, NA or blank text."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, float | np.floating):
        return math.isnan(value)
    # NaT and NA by name, so that this module does not need pandas.
    return type(value).__name__ in ("NAType", "NaTType")

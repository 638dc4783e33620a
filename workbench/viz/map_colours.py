"""What a location is coloured by: classes, their colours and names, and the value told on a click.

Numbers and dates are cut into at most nine classes with round borders, so that a legend can name
and count each and switch it off. Colours tell classes apart with any colour vision: a light-to-dark
ramp, purple to orange around zero, or Okabe and Ito's for names. No value is a class of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.viz import palettes

if TYPE_CHECKING:
    import pandas as pd

MOST_CLASSES = 9
"""Most classes of a legend, without that of no value."""
NO_VALUE, NO_VALUE_COLOUR = "no value", "#c3c9d0"
_LEVELS = 2_000  # most levels that values told on a click are rounded to; a tenth of it at least
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_LEAST = 1e-300  # width of a class below which there are no round steps any more


@dataclass(frozen=True)
class Colouring:
    """One way to colour the locations of a map."""

    name: str
    """What is coloured, with its unit: heading of the legend."""
    codes: NDArray[np.int64]
    """(n,) class of each location, an index into `labels`. Where squares share a pixel, the one of
    the highest index shows."""
    labels: tuple[str, ...]
    """Names of the classes, any text; class 0 is that of no value, if anything has none."""
    colours: tuple[str, ...]
    """"#rrggbb" of each class."""
    told: NDArray[np.int64] | None = None
    """(n,) what a click tells: row of `names`, or a count of 10 ** -`decimals` from `origin`."""
    names: tuple[str, ...] | None = None
    """Texts that `told` counts; None where it counts numbers."""
    origin: float = 0.0
    decimals: int = 0
    on_top: str = "the highest class"
    """What shows where squares share a pixel."""
    order: tuple[int, ...] | None = None
    """Classes as a legend lists them; None for their own order."""
    has_missing: bool = False
    """Whether class 0 is that of no value."""

    @property
    def listed(self) -> tuple[int, ...]:
        """Classes as a legend lists them, that of no value last."""
        order = tuple(range(len(self.labels))) if self.order is None else self.order
        return (*order[1:], 0) if self.has_missing else order

    @property
    def counts(self) -> tuple[int, ...]:
        """Locations in each class."""
        return tuple(np.bincount(self.codes, minlength=len(self.labels)).tolist())


def series_colouring(n_dates: NDArray[np.int64]) -> Colouring:
    """Colour by number of dates, >= 1 each.

    Example:
        >>> series_colouring(np.array([1, 2, 2, 12])).counts
        (1, 2, 0, 0, 0, 0, 1)
    """
    steps = np.array(palettes.SERIES_STEPS)
    codes = np.searchsorted(steps, n_dates, side="right") - 1
    labels = tuple(palettes.series_label(k) for k in range(len(steps)))
    codes = np.maximum(codes, 0).astype(np.int64)
    on_top = "the longest series"
    return Colouring("Dates of a location", codes, labels, palettes.SERIES_COLOURS, on_top=on_top)


def column_colouring(name: str, values: "pd.Series[Any]", unit: str = "") -> Colouring:
    """Colour by a column of numbers, dates, truth values or names; what is missing stays missing.

    Args:
        name: What the values are.
        values: One a location, in their order.
        unit: Unit of numbers.

    Returns:
        At most `MOST_CLASSES` classes and one for no value. Whole numbers of few values have a
        class each; other numbers are cut at round borders between their 2nd and 98th percentile,
        with open classes at both ends; dates by day, week, month, quarter or year; of names, the
        eight most frequent have classes and the rest share one.

    Example:
        >>> import pandas as pd
        >>> found = column_colouring("score", pd.Series([0.1, 0.52, 0.9, None]))
        >>> found.labels[0], found.counts[0], found.told
        ('no value', 1, array([  0, 420, 800,   0]))
    """
    import pandas as pd

    title = f"{name} ({unit})" if unit else name
    if pd.api.types.is_datetime64_any_dtype(values):
        return _dates(title, values)
    if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
        return _names(title, values)
    return _numbers(title, values.to_numpy(dtype=float, na_value=np.nan))


def numbers_of(colouring: Colouring) -> NDArray[np.float64]:
    """Give the numbers a colouring was made of, to its decimals; NaN where there is no value.

    Raises:
        ValueError: If it is one of names or dates.
    """
    if colouring.names is not None or colouring.told is None:
        raise ValueError(
            f"Aggregates need numbers, but {colouring.name!r} has names or dates.\n"
            "Colour by a column of numbers, or count locations with `colour_by=None`."
        )
    values = colouring.origin + colouring.told * 10.0**-colouring.decimals
    missing = (colouring.codes == 0) & colouring.has_missing
    return np.where(missing, np.nan, values)


def _with_missing(
    title: str,
    known: NDArray[np.bool_],
    codes: NDArray[np.int64],
    labels: Sequence[str],
    colours: Sequence[str],
    **told: Any,
) -> Colouring:
    """Put the class of no value below the others, if anything has none; `codes` are the known."""
    missing = int(not known.all())
    everywhere = np.zeros(len(known), np.int64)
    everywhere[known] = codes + missing
    if "told" in told:
        spread = np.zeros(len(known), np.int64)
        spread[known] = told["told"]
        told["told"] = spread
    if "order" in told:
        told["order"] = (*range(missing), *(k + missing for k in told["order"]))
    return Colouring(
        title,
        everywhere,
        (NO_VALUE,) * missing + tuple(labels),
        (NO_VALUE_COLOUR,) * missing + tuple(colours),
        has_missing=bool(missing),
        **told,
    )


def _numbers(title: str, values: NDArray[np.float64]) -> Colouring:
    known = np.isfinite(values)
    found = values[known]
    if not len(found):
        return _with_missing(title, known, np.zeros(0, np.int64), (), ())
    origin, decimals = float(found.min()), _decimals(found)
    counted = (found - origin) * 10.0**decimals
    told: dict[str, Any] = {"origin": origin, "decimals": decimals}
    told["told"] = np.rint(np.clip(counted, 0, 2**31 - 1)).astype(np.int64)
    distinct = np.unique(found)
    if len(distinct) <= MOST_CLASSES and (distinct == np.rint(distinct)).all():
        labels = [_signed(f"{value:,.0f}") for value in distinct]
        return _ordered(title, known, np.searchsorted(distinct, found), labels, distinct, told)
    low, high = np.percentile(found, (2, 98))
    edges = _round_edges(float(low), float(high), float(found.min()), float(found.max()))
    codes = np.searchsorted(edges, found, side="right")
    middle = np.concatenate([[edges[0] - 1e-9], edges])  # the lower border names the side of zero
    return _ordered(title, known, codes, _range_labels(edges), middle, told)


def _ordered(
    title: str,
    known: NDArray[np.bool_],
    codes: NDArray[np.int64],
    labels: Sequence[str],
    lower: NDArray[np.float64],
    told: dict[str, Any],
) -> Colouring:
    """Colour classes from low to high; on both sides of zero the farthest from it lie on top."""
    colours = _ramp(lower)
    if not 0 < (lower < 0).sum() < len(lower):
        return _with_missing(title, known, codes, labels, colours, **told)
    distance = np.where(lower < 0, (lower < 0).sum() - np.arange(len(lower)), 0)
    distance += np.where(lower >= 0, np.arange(len(lower)) - (lower < 0).sum() + 1, 0)
    raised = np.argsort(distance, kind="stable")  # class of each new one
    rank = np.argsort(raised)
    told = {**told, "order": tuple(rank.tolist()), "on_top": "the value farthest from zero"}
    by_rank = [[values[k] for k in raised] for values in (labels, colours)]
    return _with_missing(title, known, rank[codes], *by_rank, **told)


def _decimals(values: NDArray[np.float64]) -> int:
    """Decimals that tell a tenth of `_LEVELS` values apart, or more; none where all are whole."""
    if (values == np.rint(values)).all():
        return 0
    spread = float(np.ptp(values)) or abs(float(values[0])) or 1.0
    return int(np.clip(np.ceil(np.log10(_LEVELS / spread)) - 1, 0, 9))


def _round_edges(low: float, high: float, least: float, most: float) -> NDArray[np.float64]:
    """Inner borders of up to `MOST_CLASSES` classes: multiples of a round step within the range."""
    if high <= low:
        low, high = least, most
    if high <= low:  # one value only: a round border below it
        size = 10.0 ** (np.floor(np.log10(abs(low))) - 2) if low else 1.0
        return np.array([np.floor(low / size) * size if size else 0.0])  # no step is that small
    if (width := (high - low) / MOST_CLASSES) < _LEAST:
        return np.array([(low + high) / 2])
    size = 10.0 ** np.floor(np.log10(width))
    for step in (factor * size for factor in (*_STEPS, 20.0)):
        edges = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
        if 1 <= len(edges) < MOST_CLASSES:
            return edges
    return np.array([(low + high) / 2])


def _range_labels(edges: NDArray[np.float64]) -> list[str]:
    exact = [d for d in range(7) if np.allclose(edges, np.round(edges, d), rtol=1e-12, atol=1e-15)]
    if exact:
        text = [_signed(f"{round(edge, exact[0]) + 0.0:,.{exact[0]}f}") for edge in edges]
    else:
        text = [_signed(f"{edge + 0.0:.10g}") for edge in edges]
    between = [f"{a} to {b}" for a, b in pairwise(text)]
    return [f"below {text[0]}", *between, f"{text[-1]} or more"]


def _signed(number: str) -> str:
    return number.replace("-", "−")


def _ramp(lower: NDArray[np.float64]) -> list[str]:
    """Light to dark; or, where values lie on both sides of zero, purple below and orange above."""
    count = len(lower)
    negative = int((lower < 0).sum())
    if not 0 < negative < count:
        return [palettes.ramp(k / max(count - 1, 1)) for k in range(count)]
    most = max(negative, count - negative)
    below = [palettes.around_zero(-(negative - k) / most) for k in range(negative)]
    return below + [palettes.around_zero((k + 1) / most) for k in range(count - negative)]


def _dates(title: str, values: "pd.Series[Any]") -> Colouring:
    import pandas as pd

    known = values.notna().to_numpy()
    times = pd.to_datetime(values[known], utc=True).dt.tz_localize(None)
    if not len(times):
        return _with_missing(title, known, np.zeros(0, np.int64), (), ())
    days, told = np.unique(times.to_numpy().astype("datetime64[D]"), return_inverse=True)
    number, labels = _periods(times)
    colours = [palettes.ramp(k / max(len(labels) - 1, 1)) for k in range(len(labels))]
    names = tuple(str(day) for day in days)
    return _with_missing(
        title, known, number, labels, colours, told=told, names=names, on_top="the latest"
    )


def _periods(times: "pd.Series[Any]") -> tuple[NDArray[np.int64], list[str]]:
    """Number equal stretches of time without a gap in the numbers, and name them."""
    import pandas as pd

    for frequency in ("D", "W", "M", "Q", "Y"):
        first, last = (pd.Period(time, frequency) for time in (times.min(), times.max()))
        count = last.ordinal - first.ordinal + 1
        if count <= MOST_CLASSES:
            numbers = pd.PeriodIndex(times.dt.to_period(frequency)).asi8 - first.ordinal
            return numbers, [_period_label(first + k, frequency) for k in range(count)]
    years = times.dt.year.to_numpy()
    length = -(-(int(years.max() - years.min()) + 1) // MOST_CLASSES)
    numbers = (years - years.min()) // length
    starts = [int(years.min()) + length * k for k in range(int(numbers.max()) + 1)]
    return numbers.astype(np.int64), [f"{start} to {start + length - 1}" for start in starts]


def _period_label(period: Any, frequency: str) -> str:
    if frequency == "W":
        return f"week of {period.start_time:%Y-%m-%d}"
    return f"{period.year} Q{period.quarter}" if frequency == "Q" else str(period)


def _names(title: str, values: "pd.Series[Any]") -> Colouring:
    import pandas as pd

    known = values.notna().to_numpy()
    truth = pd.api.types.is_bool_dtype(values.dropna().infer_objects())
    texts = values[known].map({True: "yes", False: "no"}) if truth else values[known].map(str)
    # The rarest stands highest: it is the one that a crowd would hide.
    counts = texts.value_counts()
    ordered = sorted(counts.index, key=lambda text: (-counts[text], text))
    place = {text: k for k, text in enumerate(ordered)}
    told = texts.map(place).to_numpy(dtype=np.int64)
    single = len(ordered) if len(ordered) <= MOST_CLASSES - 1 else MOST_CLASSES - 2
    labels, colours = ordered[:single], palettes.class_colours(single)
    rarer = int(single < len(ordered))
    if rarer:
        # Rarer names that share a class lie below, like what has no value.
        labels = [f"{len(ordered) - single:,} rarer names", *labels]
        colours = [palettes.OTHERS, *colours]
        codes = np.where(told < single, told + 1, 0)
    else:
        codes = told
    return _with_missing(
        title,
        known,
        codes,
        labels,
        colours,
        told=told,
        names=tuple(ordered),
        on_top="the rarest",
        order=(*range(rarer, len(labels)), *range(rarer)),
    )

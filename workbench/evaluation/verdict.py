"""What a comparison found, in one paragraph: the tie, the difference, what is lost, and why.

Where the boundary scores favour different models, no model is called the better one: the paragraph
says at which widths each is ahead, and whether a shift, blocks or fields away from boundaries
explain it.
"""

import math
from collections.abc import Mapping
from typing import Protocol

import pandas as pd

from workbench.evaluation.label_noise import LabelShift
from workbench.evaluation.statistics import PairedDifference

_SHARE = 0.1  # a part is named if it is at least that share of what is lost
_GAIN = 0.02  # a shift is named if moving the labels back gains so much Boundary IoU


class Pair(Protocol):
    """What is said of two models; the second has the worse boundaries."""

    @property
    def first(self) -> str: ...
    @property
    def second(self) -> str: ...
    @property
    def miou(self) -> PairedDifference: ...
    @property
    def boundary(self) -> PairedDifference: ...
    @property
    def area(self) -> PairedDifference: ...
    @property
    def ranking(self) -> pd.DataFrame: ...
    @property
    def attribution(self) -> pd.DataFrame: ...
    @property
    def measure(self) -> str: ...
    @property
    def test(self) -> PairedDifference: ...
    @property
    def contradicts(self) -> bool: ...
    @property
    def widths(self) -> pd.DataFrame: ...
    @property
    def shifts(self) -> Mapping[str, LabelShift]: ...
    @property
    def blocks(self) -> Mapping[str, float]: ...


def verdict(pair: Pair) -> str:
    """Say in one paragraph how two models differ, and what the second one loses.

    Every number is counted on the patches compared. Only what the tests separate, corrected for all
    pairs, is called a difference; if the boundary scores contradict each other, no model is called
    worse.

    Args:
        pair: Two models, with their tests, ranking and attribution.
    """
    parts = [_tie(pair), _boundaries(pair)]
    if pair.contradicts:
        parts += [_ahead(pair), _losses(pair), _losses(pair, turned=True), *_causes(pair)]
    elif not pair.test.is_tie:
        parts += [_losses(pair), _thin(pair), _gains(pair), *_causes(pair)]
    parts.append(_disputed(pair))
    return " ".join(part for part in parts if part)


def _points(test: PairedDifference) -> str:
    if math.isnan(test.low):
        return f"{signed(100 * test.difference)} points, no interval"
    return (
        f"{signed(100 * test.difference)} points, {100 * test.level:.0f} % interval "
        f"{signed(100 * test.low)} to {signed(100 * test.high)}"
    )


def signed(value: float) -> str:
    """Two digits and a sign; zero has none, so that there is no "-0.00"; a dash for NaN.

    Example:
        >>> signed(-0.001), signed(1.234)
        ('0.00', '+1.23')
    """
    if math.isnan(value):
        return "-"
    return f"{value:+.2f}" if round(value, 2) else "0.00"


def _tie(pair: Pair) -> str:
    said = "tied" if pair.miou.is_tie else "not tied"
    few = f"; {pair.miou.warning}" if not pair.miou.claims else ""
    return (
        f"{pair.first} and {pair.second} are {said} in mIoU on {pair.miou.n_images} patches "
        f"({_points(pair.miou)}{few})."
    )


def _boundaries(pair: Pair) -> str:
    if math.isnan(pair.boundary.difference):
        return "There are too few boundaries in these patches to compare."
    found = (
        f"Boundary IoU {_points(pair.boundary)}; area under the boundary curve {_points(pair.area)}"
    )
    if pair.contradicts:
        return f"Their boundary scores disagree, so neither is called the better one ({found})."
    p = f"; p = {pair.test.p_corrected:.2g}"
    p += ", corrected for all pairs" if pair.test.p_corrected != pair.test.p_value else ""
    if pair.test.is_tie:
        return f"Their boundaries are not told apart either ({found}{p})."
    link = "But" if pair.miou.is_tie else "And"
    return f"{link} {pair.second} draws the worse boundaries ({found}{p})."


def _ahead(pair: Pair) -> str:
    """At which tolerances each model has the higher curve."""
    told = []
    for name, rows in (
        (pair.first, pair.widths[pair.widths["low"] > 0]),
        (pair.second, pair.widths[pair.widths["high"] < 0]),
    ):
        if len(rows):
            ends = rows["tolerance_m"].agg(["min", "max"])
            span = f"{ends['min']:g} to {ends['max']:g} m"
            span = span if ends["min"] < ends["max"] else f"{ends['min']:g} m"
            told.append(f"{name} is ahead at tolerances of {span}")
    if not told:
        rising = pair.widths.dropna().sort_values("difference")
        if not len(rising):
            return ""
        low, high = rising.iloc[0], rising.iloc[-1]
        told.append(
            f"their difference goes from {signed(100 * low['difference'])} points at "
            f"{low['tolerance_m']:g} m to {signed(100 * high['difference'])} at "
            f"{high['tolerance_m']:g} m"
        )
    said = ", ".join(told)
    return f"By the boundary curve {said}; Boundary IoU counts a band along the boundaries alone."


def _causes(pair: Pair) -> list[str]:
    """A shift or blocks of a model's maps, if there are any."""
    told = []
    for name, shift in pair.shifts.items():
        if shift.whole != (0, 0) and shift.gain >= _GAIN:
            y, x = shift.whole
            least = "at least " if shift.at_edge else ""
            told.append(
                f"The maps of {name} fit the labels better if moved by {least}{y:+d} rows and "
                f"{x:+d} columns (Boundary IoU {signed(100 * shift.gain)} points): a shift, not "
                "its boundaries' shape, costs it scores at narrow tolerances."
            )
    if pair.blocks and len(set(pair.blocks.values())) + (len(pair.blocks) == 1) > 1:
        sides = " and ".join(f"of {p:g} px in those of {n}" for n, p in pair.blocks.items())
        told.append(f"There are blocks in the maps: {sides}.")
    elif pair.blocks:
        (side,) = set(pair.blocks.values())
        told.append(f"There are blocks of {side:g} px in the maps of both.")
    return told


def _losses(pair: Pair, *, turned: bool = False) -> str:
    """Where the pixels lie that only the first model (or, turned, the second) gets right."""
    name, column = (pair.second, "only_second") if turned else (pair.first, "only_first")
    total = int(_rows(pair, "class")[column].sum())
    if not total:
        return ""
    named = []
    for table in ("class", "distance_m", "object_m2"):
        rows = _rows(pair, table)
        rows = rows[(rows["lost"] < 0) if turned else (rows["lost"] > 0)]
        rows = rows.sort_values(column, ascending=False)
        if len(rows) and (top := rows.iloc[0])[column] >= _SHARE * total:
            share = f"{100 * top[column] / total:.0f} %"
            named.append(f"{share} are {_part(table, top['part'])}")
    said = f"Of the {total:,} pixels that only {name} gets right, " + ", ".join(named)
    return f"{said}." if named else ""


def _part(table: str, part: str) -> str:
    return {"class": f"of class {part}", "distance_m": part, "object_m2": f"in {part}"}[table]


def _thin(pair: Pair) -> str:
    """The structures, by width, of which the second model loses the largest share."""
    rows = _rows(pair, "width_m")
    rows = rows[rows["pixels"] > 0].iloc[: len(rows) - 1]
    if not len(rows):
        return ""
    lost = (rows["first"] - rows["second"]).to_numpy()
    part, first, second = rows.iloc[int(lost.argmax())][["part", "first", "second"]]
    if lost.max() <= 0.01:
        return ""
    return f"Of {part} it keeps {100 * second:.0f} % where {pair.first} keeps {100 * first:.0f} %."


def _gains(pair: Pair) -> str:
    """What the second model has in return."""
    rows = _rows(pair, "distance_m")
    gained, lost = int(rows["only_second"].sum()), int(rows["only_first"].sum())
    if not gained:
        return ""
    net = rows["lost"].to_numpy()
    where = f", most of all {rows['part'].iloc[int(net.argmin())]}" if net.min() < 0 else ""
    return (
        f"In return {pair.second} alone is right on {gained:,} pixels "
        f"({gained / max(1, lost):.2f} of what it loses){where}."
    )


def _disputed(pair: Pair) -> str:
    if not len(pair.ranking):
        return ""
    top = pair.ranking.iloc[0]
    return (
        f"They disagree most on patch {top['id']} ({100 * top['area']:.1f} % of its pixels, "
        f"{top['objects']:.0f} objects)."
    )


def _rows(pair: Pair, table: str) -> pd.DataFrame:
    found: pd.DataFrame = pair.attribution[pair.attribution["by"] == table]
    return found

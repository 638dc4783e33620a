"""What a comparison found, in one paragraph: the tie, the difference, and what is lost."""

from typing import Protocol

import pandas as pd

from workbench.evaluation.statistics import PairedDifference

_SHARE = 0.1  # a part is named if it is at least that share of what is lost


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


def verdict(pair: Pair) -> str:
    """Say in one paragraph how two models differ, and what the second one loses.

    Every number is counted on the patches compared. Only what their intervals separate is called a
    difference.

    Args:
        pair: Two models, with their tests, ranking and attribution.
    """
    parts = [_tie(pair), _boundaries(pair)]
    if not (pair.boundary.is_tie and pair.area.is_tie):
        parts += [_losses(pair), _thin(pair), _gains(pair)]
    parts.append(_disputed(pair))
    return " ".join(part for part in parts if part)


def _points(test: PairedDifference) -> str:
    return (
        f"{100 * test.difference:+.2f} points, {100 * test.level:.0f} % interval "
        f"{100 * test.low:+.2f} to {100 * test.high:+.2f}"
    )


def _tie(pair: Pair) -> str:
    said = "tied" if pair.miou.is_tie else "not tied"
    return (
        f"{pair.first} and {pair.second} are {said} in mIoU on {pair.miou.n_images} patches "
        f"({_points(pair.miou)})."
    )


def _boundaries(pair: Pair) -> str:
    found = (
        f"Boundary IoU {_points(pair.boundary)}; area under the boundary curve {_points(pair.area)}"
    )
    if pair.boundary.is_tie and pair.area.is_tie:
        return f"Their boundaries are not told apart either ({found})."
    link = "But" if pair.miou.is_tie else "And"
    return f"{link} {pair.second} draws the worse boundaries ({found})."


def _losses(pair: Pair) -> str:
    """Where the pixels lie that only the first model gets right."""
    total = int(_rows(pair, "class")["only_first"].sum())
    if not total:
        return ""
    named = []
    for table in ("class", "distance_m", "object_m2"):
        rows = _rows(pair, table)
        rows = rows[rows["lost"] > 0].sort_values("only_first", ascending=False)
        if len(rows) and (top := rows.iloc[0])["only_first"] >= _SHARE * total:
            share = f"{100 * top['only_first'] / total:.0f} %"
            named.append(f"{share} are {_part(table, top['part'])}")
    said = f"Of the {total:,} pixels that only {pair.first} gets right, " + ", ".join(named)
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

"""From the rows of a study to lines of a figure: score by labels, by step, by protocol.

A line is what differs in seed, draw and the drawn axis alone: rows that differ in anything else are
refused, as a mean over them would mean nothing. Values are interquartile means over seeds; below
five seeds there is no interval.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from workbench.errors import EvaluationError
from workbench.evaluation.statistics_seeds import score_of_seeds, summarise_seeds
from workbench.training.validation import step_to_share

FREE = ("seed", "draw")
"""Columns of a cell in which the rows of one point differ."""


def scores_by(
    frame: pd.DataFrame,
    metric: str,
    *,
    lines: Sequence[str],
    axis: str,
    level: float = 0.95,
    draws: int = 2000,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Sum up one metric for each line and each place on an axis.

    Where labels were drawn several times, seeds *and* draws are drawn again for the interval. A
    seed enters with all its draws; one that lacks a draw is left out.

    Args:
        frame: Rows of a study, as `ResultsTable.frame` gives them.
        metric: Column of the scores, in [0, 1] for most.
        lines: Columns whose values tell the lines apart.
        axis: Column of the axis, as "fraction" or "protocol".
        level: Level of the intervals, in (0, 1).
        draws: Number of draws of seeds and labels, >= 100.
        rng: Source of the draws.

    Returns:
        One row a point, in the order of the rows or of a numeric axis: the columns of `lines` and
        the axis, value, low, high (NaN below five seeds), n_seeds, n_draws, and single (the scores
        of each seed and draw).

    Raises:
        EvaluationError: If there is no row, a column is missing, or rows of one point differ in
            more than seed and draw.
    """
    keys = [*lines, axis]
    require_one_line(frame, [*keys, metric], keys)
    rows = []
    for names, point in frame.groupby(keys, sort=False, dropna=False):
        table = point.pivot_table(metric, "seed", "draw", aggfunc="last").dropna()
        scores = table.to_numpy(dtype=float)
        options: dict[str, Any] = {"level": level, "draws": draws, "rng": rng}
        if scores.shape[1] > 1:
            found = score_of_seeds(list(scores), **options)
        else:
            found = summarise_seeds(scores[:, 0], **options)
        row: dict[str, Any] = dict(zip(keys, names, strict=True))
        row |= {"value": found.iqm, "low": found.low, "high": found.high}
        row |= {"n_seeds": found.n_seeds, "n_draws": scores.shape[1]}
        rows.append(row | {"single": tuple(scores.ravel().tolist())})
    points = pd.DataFrame(rows)
    if pd.api.types.is_numeric_dtype(points[axis]):
        points = points.sort_values(axis, kind="stable", ignore_index=True)
    return points


def curves_by_step(
    frame: pd.DataFrame,
    *,
    lines: Sequence[str],
    level: float = 0.95,
    draws: int = 2000,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Sum up validation scores for each line and each step at which there was a look.

    Args:
        frame: Rows of a study that carry curve_steps and curve_scores.
        lines: Columns whose values tell the lines apart.
        level: Level of the band over seeds, in (0, 1).
        draws: Number of draws of seeds, >= 100.
        rng: Source of the draws.

    Returns:
        One row a look: the columns of `lines`, step, value, low, high, n_seeds.

    Raises:
        EvaluationError: If there is no row with a curve, or rows of one line differ in more than
            seed and draw.
    """
    looks = _looks(frame, lines)
    rows = []
    for names, look in looks.groupby([*lines, "step"], sort=False, dropna=False):
        found = summarise_seeds(look["score"], level=level, draws=draws, rng=rng)
        row = dict(zip([*lines, "step"], names, strict=True))
        row |= {"value": found.iqm, "low": found.low, "high": found.high}
        rows.append(row | {"n_seeds": found.n_seeds})
    return pd.DataFrame(rows).sort_values("step", kind="stable", ignore_index=True)


def time_to_share(
    frame: pd.DataFrame, *, lines: Sequence[str], share: float = 0.95
) -> pd.DataFrame:
    """Say how soon runs come to a share of their final validation score.

    Of each run the first look counts at which the score is at least that share of the one after
    the last step; looks between two that were taken are not guessed. Seconds are the run's, in
    proportion to its steps. A run whose final score is not above zero never arrives.

    Args:
        frame: Rows of a study that carry curve_steps, curve_scores and seconds.
        lines: Columns whose values tell the lines apart.
        share: In (0, 1].

    Returns:
        One row a line: the columns of `lines`, steps and seconds (medians over runs), fewest and
        most (steps), final (interquartile mean over runs), every (steps between looks), n_runs,
        n_arrived.

    Raises:
        EvaluationError: If the share is out of its range, or as in `curves_by_step`.
    """
    if not 0 < share <= 1:
        raise EvaluationError(f"A share of the final score is in (0, 1], got {share!r}.")
    looks = _looks(frame, lines)
    rows = []
    for names, line in looks.groupby(list(lines), sort=False, dropna=False):
        runs = [run.sort_values("step") for _, run in line.groupby("run", sort=False)]
        steps = np.array([_first_look(run, share) for run in runs])
        seconds = steps * [run["seconds"].iloc[0] / run["step"].iloc[-1] for run in runs]
        arrived = steps[~np.isnan(steps)]
        middle = [float(np.median(v)) if len(arrived) else math.nan
                  for v in (arrived, seconds[~np.isnan(steps)])]  # fmt: skip
        row: dict[str, Any] = dict(zip(lines, names, strict=True))
        row |= dict(zip(("steps", "seconds"), middle, strict=True))
        row["fewest"], row["most"] = (
            (arrived.min(), arrived.max()) if len(arrived) else (math.nan, math.nan)
        )
        final = [run["score"].iloc[-1] for run in runs]
        row["final"] = summarise_seeds(final, rng=np.random.default_rng(0)).iqm
        row["every"] = float(np.median(np.diff(np.unique(line["step"]))))
        rows.append(row | {"n_runs": len(runs), "n_arrived": len(arrived)})
    return pd.DataFrame(rows)


def require_one_line(frame: pd.DataFrame, needed: Sequence[str], keys: Sequence[str]) -> None:
    """Refuse rows that cannot be summed up as points of a line.

    Args:
        frame: Rows of a study.
        needed: Columns that must be there.
        keys: Columns whose values tell the points apart.

    Raises:
        EvaluationError: If there is no row, a column is missing, or rows of one point differ in a
            column of the cell other than seed and draw.
    """
    if not len(frame):
        raise EvaluationError("A figure of a study needs rows, but there are none.\nRun the study.")
    if missing := [name for name in [*needed, *FREE] if name not in frame]:
        raise EvaluationError(
            f"The figure needs the column {missing[0]!r}, but the results have "
            f"{', '.join(map(str, frame.columns))}."
        )
    design = frame.attrs.get("design", [])
    for name in (c for c in design if c not in {*keys, *FREE} and c in frame):
        values = frame[name].map(lambda v: "" if _is_missing(v) else str(v))
        counts = values.groupby([frame[k] for k in keys], dropna=False).nunique()
        if (counts > 1).any():
            found = ", ".join(sorted(set(values))[:4])
            raise EvaluationError(
                f"Points of one line must differ in seed and draw alone, but differ in {name!r} "
                f"({found}).\nName {name!r} among the lines, or choose rows of one."
            )


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _looks(frame: pd.DataFrame, lines: Sequence[str]) -> pd.DataFrame:
    """One row for each look of each run: the lines' columns, run, seconds, step, score."""
    require_one_line(frame, [*lines, "curve_steps", "curve_scores", "seconds"], lines)
    parts = [
        pd.DataFrame({"step": np.asarray(steps, dtype=int), "score": np.asarray(scores, float)})
        .assign(run=number, seconds=seconds, **{name: row[name] for name in lines})
        for number, (steps, scores, seconds, (_, row)) in enumerate(
            zip(frame["curve_steps"], frame["curve_scores"], frame["seconds"], frame.iterrows(),
                strict=True)
        )
        if len(steps) > 1
    ]  # fmt: skip
    looks = pd.concat(parts, ignore_index=True).dropna(subset="score") if parts else pd.DataFrame()
    if not len(looks):
        raise EvaluationError(
            "A curve needs runs with at least two looks at validation, but none has.\n"
            "Run a convergence study, with `eval_every` smaller than `steps`."
        )
    return looks


def _first_look(run: pd.DataFrame, share: float) -> float:
    """Step of the first look at a share of the last one's score; NaN if that is not above zero."""
    return step_to_share(run["step"].tolist(), run["score"].tolist(), share)

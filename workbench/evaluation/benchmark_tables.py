"""Benchmark tables: our runs beside the published numbers, in the same shape, with what is known.

A cell is the interquartile mean over seeds with its interval over seeds and images. Cells of one
block were meant to be compared: each gets the letters of its ties, and is called best only if it
is separated from every other one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.errors import ManifestError
from workbench.evaluation.published_tables import published_table
from workbench.evaluation.results import ResultsTable
from workbench.evaluation.statistics_many import Comparisons, compare_all, floor_of
from workbench.evaluation.statistics_seeds import SeedSummary, score_of_seeds
from workbench.evaluation.table_notes import (
    notes_on_cells,
    notes_on_data,
    notes_on_published,
    table_definitions,
)
from workbench.evaluation.table_rows import require_cells, sliced

OURS = {
    "F1 Score": "micro_f1",
    "mIoU": "micro_iou",
    "Mean IoU": "micro_iou",
    "Overall Accuracy": "overall_accuracy",
    "OA": "overall_accuracy",
}
"""Our metric for each printed one, by what it most likely means."""
ERRORS = ("rmse", "ece")
"""Metrics of which less is better."""
COSTS = ("parameters_trained", "flops", "seconds", "peak_memory_mb")
"""Columns of the results that say what a run cost."""


@dataclass(frozen=True)
class TableShape:
    """How a table is laid out."""

    rows: tuple[str, ...]
    """Columns of the results that name a row."""
    columns: tuple[str, ...]
    """Columns of the results, and "metric", that name a column."""
    block: tuple[str, ...]
    """What cells share that are compared with each other."""
    published: str | None = None
    """Name of the published table of this shape."""
    cost: str = "parameters_trained"
    """Cost by which cells are dominated: "parameters_trained", "seconds", "flops" or
    "peak_memory_mb"."""


SHAPES: Mapping[str, TableShape] = {
    "forest_segmentation": TableShape(
        ("decoder", "encoder", "init"),
        ("metric",),
        ("decoder", "encoder", "metric"),
        "forest_segmentation",
    ),
    "ssl_comparison": TableShape(
        ("protocol", "init"),
        ("task", "encoder"),
        ("trained", "task", "encoder"),
        "ssl_comparison",
    ),
    "large_vits": TableShape(("protocol",), ("task", "encoder"), ("trained", "task"), "large_vits"),
}
"""Shapes of the talk's tables; "trained" joins scratch and full, which train everything."""


@dataclass(frozen=True)
class BenchmarkTable:
    """A table ready to be shown."""

    title: str
    """Title for people."""
    shape: TableShape
    """How it is laid out."""
    cells: pd.DataFrame
    """One row a cell: the columns of the shape, metric, value, low, high (percent; NaN where not
    run or with fewer than five seeds), n_seeds, letters, is_best, is_dominated, cost (the one it
    may be dominated by), parameters_trained, flops, seconds, peak_memory_mb (medians over seeds),
    floor (percent: differences below are not separated), leak_share, published (percent, as
    printed), printed_metric (what it most likely is), printed_bold, flags."""
    definitions: Mapping[str, str]
    """What each metric is: ours by its name, a printed one by its printed name."""
    notes: tuple[str, ...]
    """What a reader must know, one sentence each."""


def benchmark_table(
    results: ResultsTable | None,
    shape: TableShape | str,
    *,
    metrics: Mapping[str, str] | str | None = None,
    where: Mapping[str, Any] | None = None,
    data: str | None = None,
    title: str | None = None,
    level: float = 0.95,
    draws: int = 2000,
    rng: np.random.Generator,
) -> BenchmarkTable:
    """Lay results out beside the published numbers.

    Args:
        results: Our runs; None for the published numbers alone.
        shape: A shape, or the name of one of the talk's tables.
        metrics: Metric of each task, or one for all; None for those the published table most
            likely means.
        where: Values that a row of the results must have to enter, as ``{"fraction": 1.0}``; see
            `table_rows.usual_slice`.
        data: What our runs were judged on, for the notes, as "the simulated campaign".
        title: Title; None for that of the published table.
        level: Level of intervals and of ties, in (0, 1).
        draws: Number of draws, >= 100.
        rng: Source of the draws.

    Raises:
        ManifestError: If a column of the shape, or a metric, is not in the results; if rows of
            one cell differ in anything but the seed; or if rows of one task are from several
            splits.
    """
    layout = SHAPES[shape] if isinstance(shape, str) else shape
    printed = _published_cells(layout)
    runs = _runs(results, layout, metrics, printed, where or {})
    ours, notes = _our_cells(results, runs, layout, level=level, draws=draws, rng=rng)
    keys = list(dict.fromkeys([*layout.rows, *layout.columns]))
    cells = _side_by_side(ours, printed, keys)
    if not ours.empty:
        notes = [*notes_on_data(data, where or {}, cells), *notes]
    definitions = table_definitions(results, runs, layout.published)
    if title is None:
        title = published_table(layout.published).title if layout.published else "Results"
    return BenchmarkTable(
        title, layout, cells, definitions, (*notes, *notes_on_published(layout.published))
    )


def _published_cells(layout: TableShape) -> pd.DataFrame:
    columns = ["decoder", "encoder", "init", "protocol", "task", "metric", "published",
               "printed_metric", "printed_bold", "flags"]  # fmt: skip
    if layout.published is None:
        return pd.DataFrame(columns=columns)
    table = published_table(layout.published)
    frame = table.frame.rename(columns={"value": "published", "bold": "printed_bold"})
    odd: dict[int, list[str]] = {}
    for flag in table.flags:
        if flag.kind != "identity":
            odd.setdefault(flag.row, []).append(flag.text)
    frame["flags"] = ["; ".join(odd.get(row, [])) for row in range(len(frame))]
    frame["metric"] = frame["metric"].map(lambda name: OURS.get(name, name))
    frame["printed_metric"] = frame["metric"]
    return frame[columns]


def _runs(
    results: ResultsTable | None,
    layout: TableShape,
    metrics: Mapping[str, str] | str | None,
    printed: pd.DataFrame,
    where: Mapping[str, Any],
) -> pd.DataFrame:
    """One row for each run and metric that enter the table."""
    names = [*layout.rows, *layout.columns, *layout.block]
    frame = pd.DataFrame({"key": []}) if results is None else results.frame()
    if frame.empty:
        return pd.DataFrame(columns=["key", *dict.fromkeys([*names, "metric"])])
    frame["trained"] = frame["protocol"].replace({"scratch": "full"})
    frame = sliced(frame, where)
    missing = sorted(set(names) - {"metric"} - set(frame.columns))
    if missing:
        raise ManifestError(
            f"The table needs the column {missing[0]!r}, but the results have: "
            f"{', '.join(map(str, frame.columns))}."
        )
    require_cells(frame, [*names, "task"])
    parts = []
    for task, of_task in frame.groupby("task", sort=False):
        wanted = metrics if isinstance(metrics, str) else (metrics or {}).get(str(task))
        known = printed.loc[printed["task"] == task, "metric"].unique().tolist()
        for metric in [wanted] if wanted else known or ["macro_miou"]:
            if metric not in of_task or of_task[metric].isna().all():
                raise ManifestError(f"No run of the task {task!r} has the metric {metric!r}.")
            parts.append(of_task.assign(metric=metric, score=of_task[metric]))
    return pd.concat(parts, ignore_index=True)


def _our_cells(
    results: ResultsTable | None,
    runs: pd.DataFrame,
    layout: TableShape,
    *,
    level: float,
    draws: int,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, list[str]]:
    if results is None or runs.empty:
        return pd.DataFrame(), []
    keys = list(dict.fromkeys([*layout.rows, *layout.columns]))
    rows: list[dict[str, Any]] = []
    for _, block in runs.groupby(list(layout.block), sort=False):
        cells = list(block.groupby(keys, sort=False))
        metric = str(block["metric"].iloc[0])
        seeds = {
            str(i): [results.record(key).scores()[metric] for key in cell["key"]]
            for i, (_, cell) in enumerate(cells)
        }
        groups = results.record(str(block["key"].iloc[0])).groups
        options: dict[str, Any] = {"groups": groups, "level": level, "draws": draws, "rng": rng}
        compared = None
        if len(seeds) > 1:
            compared = compare_all(seeds, higher_is_better=metric not in ERRORS, **options)
        for i, (names, cell) in enumerate(cells):
            summary = score_of_seeds(seeds[str(i)], **options)
            row = {"metric": metric} | dict(zip(keys, names, strict=True))
            rows.append(row | _cell(summary, cell, layout, compared, str(i)))
        done = rows[-len(cells) :]
        beaten = dominated([r["value"] for r in done], [r["cost"] for r in done], metric=metric)
        for row, is_beaten in zip(done, beaten, strict=True):
            row["is_dominated"] = is_beaten
    frame = pd.DataFrame(rows)
    return frame, notes_on_cells(frame, layout.cost, level)


def _cell(
    summary: SeedSummary,
    cell: pd.DataFrame,
    layout: TableShape,
    compared: Comparisons | None,
    name: str,
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "value": 100 * summary.iqm,
        "low": 100 * summary.low,
        "high": 100 * summary.high,
    }
    found |= {"n_seeds": summary.n_seeds, "cost": float(cell[layout.cost].median())}
    found |= {name: float(cell[name].median()) for name in COSTS}
    found |= {"leak_share": float(cell["leak_share"].max()), "letters": "", "is_best": False}
    found |= {"floor": np.nan, "is_dominated": False}
    if compared is not None and compared.claims:
        found["letters"] = compared.letters[name]
        found["is_best"] = compared.best == {name}
        found["floor"] = 100 * _block_floor(compared, int(cell["n_groups"].iloc[0]))
    return found


def _block_floor(compared: Comparisons, n_groups: int) -> float:
    """The median over pairs of the smallest difference that is found with a chance of 80 %."""
    return floor_of(float(compared.table["standard_error"].median()), n_groups).smallest


def dominated(scores: Sequence[float], costs: Sequence[float], *, metric: str) -> list[bool]:
    """Say of each cell whether another one costs no more and scores no less, one of them better.

    Example:
        >>> dominated([70.0, 71.0, 71.0], [10, 10, 50], metric="macro_miou")
        [True, False, True]
    """
    sign = -1 if metric in ERRORS else 1
    cells = [(sign * score, cost) for score, cost in zip(scores, costs, strict=True)]
    return [
        any(
            score >= mine and cost <= paid and (score, -cost) != (mine, -paid)
            for score, cost in cells
        )
        for mine, paid in cells
    ]


def _side_by_side(ours: pd.DataFrame, printed: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    about = ["published", "printed_metric", "printed_bold", "flags"]
    published = printed[[*keys, *about]] if len(printed) else None
    if ours.empty:
        if published is None:
            raise ManifestError("A table needs results or published numbers, but has neither.")
        ours = pd.DataFrame(columns=keys)
        for name in ("value", "low", "high", "cost", *COSTS, "floor", "leak_share", "n_seeds"):
            ours[name] = pd.Series(dtype=float)
        for name in ("metric", "letters", "is_best", "is_dominated"):
            ours[name] = pd.Series(dtype=object)
    if published is None:
        return ours.assign(published=np.nan, printed_metric="", printed_bold=False, flags="")
    if "metric" not in keys:
        ours = ours.rename(columns={"metric": "our_metric"})
    cells = published.merge(ours, on=keys, how="outer", sort=False)
    order = {key: i for i, key in enumerate(map(tuple, published[keys].to_numpy()))}
    place = [order.get(key, len(order)) for key in map(tuple, cells[keys].to_numpy())]
    cells = cells.iloc[np.argsort(place, kind="stable")].reset_index(drop=True)
    if "metric" not in keys:
        cells["metric"] = cells.pop("our_metric").fillna(cells["printed_metric"])
    for name in ("flags", "letters", "printed_metric"):
        cells[name] = cells[name].fillna("").astype(str)
    cells["n_seeds"] = cells["n_seeds"].fillna(0).astype(int)
    for name in ("is_best", "is_dominated", "printed_bold"):
        cells[name] = cells[name].eq(True)
    return cells

"""The talk's tables from the studies of a run: which slice of a study, which metric, which data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.evaluation.benchmark_tables import (
    SHAPES,
    BenchmarkTable,
    TableShape,
    benchmark_table,
)
from workbench.evaluation.claims import CLAIMS, verdicts
from workbench.evaluation.published_tables import DESIGN, published_table
from workbench.evaluation.results import ResultsTable
from workbench.evaluation.table_rows import sliced, usual_slice

OUR_TASKS = TableShape(
    ("protocol", "init"), ("task", "encoder", "decoder"), ("trained", "task", "encoder", "decoder")
)
"""Every task of a study, in the form of the talk's large table."""
OUR_DESIGNS = TableShape(("decoder", "encoder", "stem", "loss"), ("metric",), ("metric",))
"""Designs of a segmentation study, all compared with each other."""
PREFERRED = ("macro_miou", "macro_f1", "r2")
"""The metric that is shown of a task, the first that it has."""


def found_study(run: str | Path, name: str) -> ResultsTable | None:
    """Give the study of a run, None if that step has not run.

    Args:
        run: Folder of the run.
        name: As "transfer" or "forest".
    """
    path = Path(run) / "studies" / f"{name}.parquet"
    table = ResultsTable(path)
    return table if table.finished() else None


def found_text(results: ResultsTable | None, name: str, notebook: str) -> str:
    """Say in one sentence what a study holds, or what to run to have one.

    Args:
        results: The study, None if there is none.
        name: As "transfer".
        notebook: The notebook that runs it.
    """
    if results is None:
        return (
            f"No study {name!r} in this run yet: only the published numbers are shown. "
            f"Run {notebook}.ipynb with the same run_dir first."
        )
    frame = results.frame()
    seeds = frame.groupby([c for c in DESIGN if c in frame], dropna=False)["seed"].nunique()
    fewest, most = int(seeds.min()), int(seeds.max())
    count = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return (
        f"Study {name!r}: {len(frame)} trainings of {', '.join(frame['task'].unique())}; "
        f"seeds of a cell: {count}."
    )


def preferred_metrics(frame: pd.DataFrame) -> dict[str, str]:
    """Choose the metric of each task: macro mIoU of maps, macro F1 of label vectors, R² of density.

    Args:
        frame: Rows of a study.
    """
    chosen = {}
    for task, rows in frame.groupby("task", sort=False):
        has = [m for m in PREFERRED if m in rows and rows[m].notna().all()]
        if has:
            chosen[str(task)] = has[0]
    return chosen


def talk_table(
    name: str,
    results: ResultsTable | None,
    *,
    data: str,
    draws: int = 2000,
    rng: np.random.Generator,
) -> BenchmarkTable:
    """Lay the runs of a study that have a place in one of the talk's tables beside what it printed.

    Args:
        name: "forest_segmentation", "ssl_comparison" or "large_vits".
        results: The study; None for the printed numbers alone.
        data: What the study was judged on.
        draws: Number of draws, >= 100.
        rng: Source of the draws.
    """
    shape = SHAPES[name]
    where = talk_slice(name, results)
    if results is None or where is None:
        return benchmark_table(None, shape, rng=rng)
    return benchmark_table(results, shape, where=where, data=data, draws=draws, rng=rng)


def talk_slice(name: str, results: ResultsTable | None) -> dict[str, Any] | None:
    """Which rows of a study belong into one of the talk's tables; None if none do."""
    if results is None:
        return None
    frame, shape = results.frame(), SHAPES[name]
    printed = published_table(name).frame
    where: dict[str, Any] = {}
    # sizes of transformers are a table of their own, whose encoders are told by name
    limited = ("task", "encoder") if name == "large_vits" else ("task",)
    for column in limited:
        shared = [v for v in printed[column].unique() if v in set(frame[column])]
        if not shared:
            return None
        if set(frame[column]) - set(shared):
            where[column] = tuple(shared)
    rows = sliced(frame, where)
    return where | usual_slice(rows, [*shape.rows, *shape.columns, *shape.block])


def study_table(
    results: ResultsTable,
    shape: TableShape,
    *,
    title: str,
    metrics: Mapping[str, str] | str | None = None,
    draws: int = 2000,
    rng: np.random.Generator,
) -> BenchmarkTable:
    """Lay out a study by itself, with all labels and one setting of what the table does not show.

    Args:
        results: The study.
        shape: What tells its rows and columns.
        title: Title.
        metrics: Metric of each task, or one for all; None: `preferred_metrics`.
        draws: Number of draws, >= 100.
        rng: Source of the draws.
    """
    frame = results.frame()
    chosen = preferred_metrics(frame) if metrics is None else metrics
    where: dict[str, Any] = {}
    if not isinstance(chosen, str) and set(frame["task"]) - set(chosen):
        where["task"] = tuple(chosen)
    rows = sliced(frame, where)
    where |= usual_slice(rows, [*shape.rows, *shape.columns, *shape.block])
    return benchmark_table(
        results, shape, metrics=chosen, where=where, title=title, draws=draws, rng=rng
    )


def study_tables(
    studies: Mapping[str, ResultsTable | None], *, draws: int = 2000, rng: np.random.Generator
) -> dict[str, BenchmarkTable]:
    """Lay out each study that there is: by design if it varies stem and loss, else by protocol.

    Args:
        studies: By name; None for those that have not run.
        draws: Number of draws, >= 100.
        rng: Source of the draws.
    """
    found = {}
    for name, results in studies.items():
        if results is None:
            continue
        is_designs = {"stem", "loss"} <= set(results.frame())
        title = f"{name.capitalize()}: every {'design' if is_designs else 'task and protocol'}"
        shape = OUR_DESIGNS if is_designs else OUR_TASKS
        found[name] = study_table(results, shape, title=title, draws=draws, rng=rng)
    return found


def talk_verdicts(
    studies: Mapping[str, ResultsTable | None], *, draws: int = 2000, rng: np.random.Generator
) -> pd.DataFrame:
    """Judge every reading of the talk by the printed numbers and by the study of its kind.

    Args:
        studies: "forest" for the readings of the forest table, "transfer" for all others.
        draws: Number of draws, >= 100.
        rng: Source of the draws.

    Returns:
        As `claims.verdicts`.
    """
    parts = []
    for claim in CLAIMS:
        name = "forest" if claim.published == "forest_segmentation" else "transfer"
        results = studies.get(name)
        metric: dict[str, str] = {}
        where: dict[str, Any] = {}
        if results is not None:
            frame = results.frame()
            metric = preferred_metrics(frame)
            where = {"task": tuple(metric)}
            where |= usual_slice(sliced(frame, where), DESIGN)
        parts.append(verdicts([claim], results, metric=metric, where=where, draws=draws, rng=rng))
    return pd.concat(parts, ignore_index=True)

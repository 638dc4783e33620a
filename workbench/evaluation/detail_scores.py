"""Scores of the detail budget: what fine structures each design keeps, and what it costs."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.evaluation.detail_bound import through_stride
from workbench.evaluation.detail_budget import FAMILIES, factors_of, levels_of, output_stride
from workbench.evaluation.factorial import factor_effects, with_clear
from workbench.evaluation.forest import design_name
from workbench.evaluation.kept import KeptPredictions
from workbench.evaluation.model_scores import mean_of_known, score_model
from workbench.evaluation.predictions import Predictions
from workbench.evaluation.results import ResultsTable
from workbench.evaluation.statistics_many import holm
from workbench.evaluation.structures import width_recall
from workbench.evaluation.study import StudyCell

Floats: TypeAlias = NDArray[np.float64]
Scores: TypeAlias = Mapping[StudyCell, Mapping[str, Floats]]
"""(N,) score of each test image, by measure, of each training."""

MEASURES: Mapping[str, str] = {
    "miou": "mIoU",
    "boundary_iou": "Boundary IoU",
    "curve_area": "Area under the boundary curve",
    "thin_recall": "Recall of thin structures",
}
"""What each image is scored by, all in [0, 1] and higher for better, and the words for it."""
THIN_PX, BAND_PX = 2, 1
"""Structures up to so many pixels wide are thin; width of the band of Boundary IoU."""
TOLERANCES_PX = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Of the boundary curve, in pixels, as the pixels of the two scenes differ."""


def detail_scores(maps: NDArray[Any], truth: Predictions) -> dict[str, Floats]:
    """Score maps image by image by the `MEASURES`, means over the classes that are there.

    Args:
        maps: (N, H, W) class indices, in the order of the targets.
        truth: The targets. Its first class is the ground on which structures lie; thin ones are
            looked for in the others.

    Returns:
        (N,) by measure; NaN where an image has nothing to judge.

    Raises:
        EvaluationError: If the maps do not fit the targets.
    """
    gsd = truth.gsd
    found = score_model("", maps, truth, [gsd * t for t in TOLERANCES_PX], BAND_PX)
    per_image = found.miou.per_image
    thin = width_recall(
        maps, np.asarray(truth.maps), classes=range(1, len(truth.classes)),
        widths_m=[THIN_PX * gsd], gsd=gsd, ignore_index=truth.ignore_index,
    )  # fmt: skip
    recall, pixels = (np.asarray(v, np.float64)[:, 0] for v in (thin.recall, thin.pixels))
    hits = np.where(pixels > 0, recall * pixels, 0.0).sum(-1)
    total = pixels.sum(-1)
    return {
        "miou": per_image,
        "boundary_iou": found.boundary,
        "curve_area": found.area,
        "thin_recall": np.where(total > 0, hits / np.maximum(total, 1), np.nan),
    }


def budget_scores(kept: KeptPredictions, cells: Sequence[StudyCell]) -> Scores:
    """Score the kept maps of trainings of one task.

    Raises:
        EvaluationError: If there are no maps of a cell.
    """
    truth = kept.targets(cells[0].task)
    return {cell: detail_scores(kept.of(cell).of(truth.ids), truth) for cell in cells}


def budget_effects(
    scores: Scores,
    *,
    groups: Sequence[Any],
    measures: Sequence[str] = tuple(MEASURES),
    draws: int = 2000,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Main effects and interactions of each family's factors, on each measure.

    Args:
        scores: Of all combinations, as `budget_scores` gives them.
        groups: (N,) block of each image, drawn as a whole.
        measures: Of `MEASURES`.
        draws: Bootstrap draws, >= 100.
        rng: Source of the draws.

    Returns:
        As `factor_effects`, in points (hundredths), with encoder and measure before them. Factors
        with one level have no effect and no row. p_holm is corrected for all effects on all
        measures of the table.

    Raises:
        EvaluationError: If a combination is missing.
    """
    tables = []
    for encoder in FAMILIES:
        factors = factors_of(list(scores), encoder)
        if not factors:
            continue
        for measure in measures:
            stacked: dict[tuple[Any, ...], list[Floats]] = {}
            for cell, found in scores.items():
                if cell.encoder == encoder:
                    stacked.setdefault(levels_of(cell), []).append(found[measure])
            seeds = {levels: np.stack(rows) for levels, rows in stacked.items()}
            table = factor_effects(seeds, factors, groups=groups, draws=draws, rng=rng)
            table.insert(0, "measure", measure)
            table.insert(0, "encoder", encoder)
            tables.append(table)
    whole = pd.concat(tables, ignore_index=True)
    ends = ["estimate", "low", "high"]
    whole = whole.assign(**(100 * whole[ends]), p_holm=holm(whole["p_value"]))
    return with_clear(whole, 0.95)


def stride_scores(truth: Predictions, strides: Sequence[int]) -> pd.DataFrame:
    """Score the truth seen through each stride: what class shares on that grid keep.

    Returns:
        One row a stride, indexed by it; means over images of the `MEASURES`.

    Raises:
        EvaluationError: If a stride does not divide the images.
    """
    rows = {}
    for stride in strides:
        coarse = through_stride(
            truth.maps, stride=stride, classes=len(truth.classes), ignore_index=truth.ignore_index
        )
        found = detail_scores(np.asarray(coarse), truth)
        rows[stride] = {name: float(mean_of_known(values, 0)) for name, values in found.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("stride")


def budget_designs(scores: Scores, results: ResultsTable, truth: Predictions) -> pd.DataFrame:
    """Lay designs out with their scores, the bounds of their strides and their costs.

    Args:
        scores: As `budget_scores` gives them.
        results: Where the trainings are.
        truth: The targets.

    Returns:
        One row a design: design, stride, seeds, each measure (mean over seeds and images, in
        [0, 1]) and bound_MEASURE, parameters (millions), gflops and seconds of a training,
        as `results.Cost` defines them.

    Raises:
        EvaluationError: If a stride does not divide the images.
    """
    costs: Any = results.frame().set_index("key")
    bounds = stride_scores(truth, sorted({output_stride(cell) for cell in scores}))
    rows = []
    for cell, found in scores.items():
        cost, stride = costs.loc[cell.key], output_stride(cell)
        row = {"design": design_name(cell), "stride": stride, "seeds": 1}
        row |= {name: float(mean_of_known(values, 0)) for name, values in found.items()}
        row |= {f"bound_{name}": bounds.loc[stride, name] for name in MEASURES}
        row |= {"parameters": cost["parameters_trained"] / 1e6, "gflops": cost["flops"] / 1e9}
        rows.append({**row, "seconds": cost["seconds"]})
    how = dict.fromkeys(rows[0], "mean") | {"design": "first", "seeds": "sum", "stride": "first"}
    grouped = pd.DataFrame(rows).groupby("design", sort=False)
    return grouped.agg(how).reset_index(drop=True)

"""Trainings of a study beside one fixed model: each with its interval and its paired test."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import EvaluationError
from workbench.evaluation.factorial import factor_effects
from workbench.evaluation.resampling import Interval, Resampled, bootstrap_interval
from workbench.evaluation.results import ResultsTable
from workbench.evaluation.score_records import ScoreRecord
from workbench.evaluation.scores import AnyScore
from workbench.evaluation.statistics import PairedDifference, paired_bootstrap
from workbench.evaluation.statistics_many import compare_all, holm
from workbench.evaluation.study import StudyCell


def beside(
    results: ResultsTable,
    cells: Sequence[StudyCell],
    baseline: ScoreRecord,
    metric: str,
    *,
    name: Callable[[StudyCell], str] = str,
    level: float = 0.95,
    draws: int = 2000,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Compare each training with a baseline on the same images, block by block.

    A row is about one trained network and not about its design: another seed is another network.

    Args:
        results: Where the trainings are.
        cells: Which of them.
        baseline: Of the other model, with the group of each image.
        metric: Name of the score, as "iou/forest".
        name: Names a cell for people.
        level: Level of the intervals, in (0, 1).
        draws: Bootstrap draws, >= 100.
        rng: Source of the draws.

    Returns:
        One row a cell: training, then decoder, encoder, stem, loss, seed; score with low and high;
        gain over the baseline with gain_low and gain_high; p_value, and p_holm corrected for the
        number of rows; above (True if p_holm and the interval say so); parameters, gflops
        and seconds of its training, as `results.Cost` defines them.

    Raises:
        EvaluationError: If a training is not in the table, or has no such score.
    """
    costs: Any = results.frame().set_index("key")
    if missing := [cell for cell in cells if cell.key not in costs.index]:
        raise EvaluationError(
            f"Only finished trainings are compared, but {missing[0]} is not in {results.path} "
            f"({len(missing)} in all).\nRun the study first."
        )
    against = score_of(baseline, metric)
    rows = []
    for cell in cells:
        record = results.record(cell.key)
        rules: dict[str, Any] = {"groups": record.groups, "level": level, "draws": draws}
        own = bootstrap_interval(score_of(record, metric), rng=rng, **rules)
        test = paired_bootstrap(score_of(record, metric), against, rng=rng, **rules)
        rows.append({"training": name(cell), **_row(cell, own, test, costs.loc[cell.key])})
    found = pd.DataFrame(rows)
    found.insert(13, "p_holm", holm(found["p_value"]))
    return found.assign(above=(found["p_holm"] <= 1 - level) & (found["gain_low"] > 0))


def _row(cell: StudyCell, own: Interval, test: PairedDifference, cost: Any) -> dict[str, Any]:
    """A cell, its score, its gain over the baseline and what it cost."""
    return {
        "decoder": cell.decoder,
        "encoder": cell.encoder,
        "stem": cell.options.get("stem", ""),
        "loss": cell.options.get("loss", ""),
        "seed": cell.seed,
        "score": own.estimate,
        "low": own.low,
        "high": own.high,
        "gain": test.difference,
        "gain_low": test.low,
        "gain_high": test.high,
        "p_value": test.p_value,
        "parameters": int(cost["parameters_trained"]),
        "gflops": float(cost["flops"]) / 1e9,
        "seconds": float(cost["seconds"]),
    }


def score_of(record: ScoreRecord, metric: str) -> AnyScore:
    """Give a score of a record by its name.

    Raises:
        EvaluationError: If it has no such score.
    """
    scores = record.scores()
    if metric not in scores:
        raise EvaluationError(f"There is no score {metric!r}.\nScores are {', '.join(scores)}.")
    return scores[metric]


def stem_and_loss(
    results: ResultsTable,
    cells: Sequence[StudyCell],
    *,
    metric: str = "macro_miou",
    draws: int = 2000,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Take stem and loss apart, where every combination of the two was trained.

    Args:
        results: Where the trainings are.
        cells: Trainings of one decoder, with both stems and both losses.
        metric: Name of the score, of which the mean over images is compared.
        draws: Bootstrap draws, >= 100.
        rng: Source of the draws.

    Returns:
        As `factor_effects`; estimate, low and high in points (hundredths).

    Raises:
        EvaluationError: If a combination is missing, or has no such score.
    """
    factors = {"stem": ("standard", "detail"), "loss": ("cross_entropy", "boundary")}
    found: dict[tuple[str, ...], list[NDArray[np.float64]]] = {}
    groups: tuple[str, ...] | None = None
    for cell in cells:
        record = results.record(cell.key)
        per_image = score_of(record, metric).per_image
        assert per_image is not None  # a ranking; label maps have none
        found.setdefault(tuple(str(cell.options[f]) for f in factors), []).append(per_image)
        groups = record.groups
    scores = {levels: np.stack(seeds) for levels, seeds in found.items()}
    table = factor_effects(scores, factors, groups=groups, draws=draws, rng=rng)
    ends = ["estimate", "low", "high"]
    return table.assign(**(100 * table[ends]))


def tied_designs(
    results: ResultsTable,
    cells: Sequence[StudyCell],
    metric: str,
    *,
    name: Callable[[StudyCell], str],
    draws: int = 2000,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Say which designs are told apart on these images, whatever their seed.

    Args:
        results: Where the trainings are.
        cells: Trainings of several designs.
        metric: Name of the score.
        name: Names the design of a cell: cells of one name are its seeds.
        draws: Bootstrap draws, >= 100.
        rng: Source of the draws.

    Returns:
        One row a design, best first: design, seeds, score (interquartile mean over seeds), letters
        (designs that share one are tied). With fewer than five seeds all are.

    Raises:
        EvaluationError: If there is no such score.
    """
    models: dict[str, list[Resampled]] = {}
    groups: tuple[str, ...] | None = None
    for cell in cells:
        record = results.record(cell.key)
        models.setdefault(name(cell), []).append(score_of(record, metric))
        groups = record.groups
    found = compare_all(models, groups=groups, draws=draws, rng=rng)
    rows = [
        {"design": design, "seeds": len(models[design]), "score": value,
         "letters": found.letters[design]}
        for design, value in found.scores.items()
    ]  # fmt: skip
    return pd.DataFrame(rows).sort_values("score", ascending=False, ignore_index=True)

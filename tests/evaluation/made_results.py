"""Made-up results of known quality: what a study would have written."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from workbench.evaluation.results import CellResult, Cost, DataStamp, ResultsTable
from workbench.evaluation.score_records import ScoreRecord
from workbench.evaluation.study import StudyCell, run_study

N_IMAGES = 24


def made_result(cell: StudyCell, right: float, cost: int) -> CellResult:
    """Counts of two classes of which the share `right` is right, seeds and images apart."""
    rng = np.random.default_rng([cell.seed, int(1e6 * right), len(cell.encoder)])
    hard = np.random.default_rng(0).normal(0, 0.05, N_IMAGES)  # the same for every model
    share = np.clip(right + hard + rng.normal(0, 0.004) + rng.normal(0, 0.01, N_IMAGES), 0, 1)
    hits = (1000 * share).astype(int)
    confusions = np.zeros((N_IMAGES, 2, 2), dtype=int)
    confusions[:, 0, 0] = confusions[:, 1, 1] = hits
    confusions[:, 0, 1] = confusions[:, 1, 0] = 1000 - hits
    images = tuple(f"i{k}" for k in range(N_IMAGES))
    groups = tuple(f"g{k // 2}" for k in range(N_IMAGES))
    settings = {"classes": ["no tree", "tree"], "bins": 15}
    return CellResult(
        ScoreRecord("segmentation", settings, images, {"confusions": confusions}, groups),
        DataStamp("m1", "s1", 0.25, 40),
        Cost(cost, 1e9, 1.5, 100.0),
        {"training": cell.seed},
    )


def made_table(
    path: Path,
    quality: Mapping[tuple[str, str, str, str], tuple[float, int]],
    *,
    n_seeds: int = 5,
    task: str = "forest",
) -> ResultsTable:
    """Results of cells (decoder, encoder, init, protocol) -> (share right, parameters trained)."""
    table = ResultsTable(path)
    cells = {
        StudyCell(task, encoder, init, protocol, decoder, seed=seed): known
        for (decoder, encoder, init, protocol), known in quality.items()
        for seed in range(n_seeds)
    }
    report = run_study(cells, lambda cell: made_result(cell, *cells[cell]), table)
    assert report.count("finished") == len(cells)
    return table


FOREST = {
    ("unet", "resnet18", "random", "scratch"): (0.80, 100),
    ("unet", "resnet18", "moco", "full"): (0.90, 100),
    ("unet", "resnet18", "dino", "full"): (0.901, 200),
    ("unet", "resnet50", "random", "scratch"): (0.80, 300),
    ("unet", "resnet50", "dino", "full"): (0.95, 300),
}

"""Trainings beside a baseline: gains, intervals and costs, from scores that are known."""

import numpy as np
import pytest
import torch

from workbench.errors import EvaluationError
from workbench.evaluation import CellResult, Cost, DataStamp, ResultsTable, SegmentationTally
from workbench.evaluation.beside import beside, stem_and_loss, tied_designs
from workbench.evaluation.study import StudyCell

IMAGES = tuple(f"p{i:02d}" for i in range(24))
GROUPS = [f"b{i // 3}" for i in range(24)]


def record(wrong, seed=0):
    """Counts of maps in which a share of the pixels is wrong."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, (len(IMAGES), 16, 16))
    pred = np.where(rng.random(truth.shape) < wrong, 1 - truth, truth)
    tally = SegmentationTally(("other", "forest"))
    tally.add(torch.eye(2)[torch.from_numpy(pred)].movedim(-1, 1), torch.from_numpy(truth), IMAGES)
    return tally.record().grouped(GROUPS)


def cell(stem, loss, seed=0):
    options = {"stem": stem, "loss": loss}
    return StudyCell("forest", "resnet18", "random", "scratch", "unet", seed, options=options)


WRONG = {
    ("standard", "cross_entropy"): 0.3,
    ("detail", "cross_entropy"): 0.2,
    ("standard", "boundary"): 0.3,
    ("detail", "boundary"): 0.2,
}


@pytest.fixture
def results(tmp_path):
    table = ResultsTable(tmp_path / "t.parquet")
    for number, (levels, wrong) in enumerate(WRONG.items()):
        one = cell(*levels)
        cost = Cost(10 + number, 2e9, 1.5, 100.0)
        result = CellResult(record(wrong, number), DataStamp("m", "s", 0.0, 9), cost)
        table.append(one.key, one.columns(), result)
    return table


def test_a_gain_is_the_difference_of_the_pooled_scores_and_clear_where_it_is_large(results):
    cells, pixels = [cell(*levels) for levels in WRONG], record(0.3, 9)
    table = beside(results, cells, pixels, "iou/forest", rng=np.random.default_rng(0))
    base = pixels.scores()["iou/forest"].value
    own = [results.record(c.key).scores()["iou/forest"].value for c in cells]
    assert table["gain"].to_numpy() == pytest.approx(np.array(own) - base)
    assert table["score"].to_list() == pytest.approx(own)
    assert table["above"].to_list() == [False, True, False, True]
    assert (table["p_holm"] >= table["p_value"]).all()
    assert ((table["low"] < table["score"]) & (table["score"] < table["high"])).all()
    assert table["parameters"].to_list() == [10, 11, 12, 13]
    assert table["gflops"].to_list() == [2.0] * 4


def test_worse_than_the_baseline_is_never_above_it(results):
    table = beside(
        results, [cell("standard", "boundary")], record(0.05), "macro_miou",
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert table["p_holm"][0] < 0.05
    assert not table["above"][0]


def test_the_stem_has_its_effect_and_the_loss_has_none(results):
    found = stem_and_loss(results, [cell(*lv) for lv in WRONG], rng=np.random.default_rng(0))
    found = found.set_index("effect")
    assert found["low"]["stem"] > 0
    assert found["low"]["loss"] <= 0 <= found["high"]["loss"]
    assert not found["clear"].any()  # one training each says nothing about other trainings
    assert found["estimate"]["stem"] > 5  # points


def test_designs_of_one_seed_are_never_told_apart(results):
    cells = [cell(*levels) for levels in WRONG]
    found = tied_designs(
        results, cells, "iou/forest", name=lambda c: "/".join(c.options.values()),
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert found["score"].is_monotonic_decreasing
    assert set(found["letters"]) == {"a"}
    assert set(found["seeds"]) == {1}


def test_what_is_missing_is_named(results):
    rng = np.random.default_rng(0)
    with pytest.raises(EvaluationError, match="Only finished trainings are compared"):
        beside(results, [cell("detail", "boundary", 3)], record(0.3), "iou/forest", rng=rng)
    with pytest.raises(EvaluationError, match="no score 'iou/wood'"):
        beside(results, [cell("detail", "boundary")], record(0.3), "iou/wood", rng=rng)
    with pytest.raises(EvaluationError, match="every combination of the factors"):
        stem_and_loss(results, [cell("detail", "boundary")], rng=rng)

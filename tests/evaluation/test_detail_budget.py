"""The detail budget: its cells, its scores against hand counts, and effects that were planted."""

from collections import Counter

import numpy as np
import pytest

from workbench.errors import EvaluationError
from workbench.evaluation.detail_budget import (
    FAMILIES,
    budget_cells,
    factors_of,
    levels_of,
    output_stride,
    thin_task,
)
from workbench.evaluation.detail_scores import (
    MEASURES,
    budget_effects,
    detail_scores,
    stride_scores,
)
from workbench.evaluation.forest import forest_cells
from workbench.evaluation.predictions import Predictions
from workbench.evaluation.study import StudyCell


def truth_of(maps, classes=("ground", "hedge"), gsd=10.0):
    ids = tuple(f"p{i}" for i in range(len(maps)))
    return Predictions("target", ids, np.asarray(maps, np.uint8), classes, gsd, len(classes))


def lines():
    """Two maps with a line of 1 pixel and a block of 6."""
    maps = np.zeros((2, 16, 16), np.uint8)
    maps[:, 3, 2:14] = 1
    maps[:, 8:14, 5:11] = 1
    return maps


@pytest.mark.parametrize("task", ["thin", "forest"])
def test_every_combination_is_trained_with_every_seed(task):
    cells = budget_cells("small", task)
    for encoder, names in FAMILIES.items():
        factors = factors_of(cells, encoder)
        assert tuple(factors) == names
        count = Counter(levels_of(c) for c in cells if c.encoder == encoder)
        assert len(count) == np.prod([len(levels) for levels in factors.values()])
        assert len(set(count.values())) == 1
    assert len({c.key for c in cells}) == len(cells)


@pytest.mark.parametrize("scale", ["test", "demo"])
def test_the_forest_of_small_scales_is_trained_in_notebook_06_already(scale):
    known = {cell.key for cell in forest_cells(scale)}
    assert {cell.key for cell in budget_cells(scale, "forest")} <= known


def test_unknown_scales_and_tasks_are_refused():
    with pytest.raises(EvaluationError, match="no scale 'huge'"):
        budget_cells("huge", "thin")
    with pytest.raises(EvaluationError, match="no task 'roads'"):
        budget_cells("demo", "roads")


def test_strides_are_those_of_the_finest_maps():
    def cell(encoder, decoder, **options):
        return StudyCell("thin", encoder, "random", "scratch", decoder, 0, options=options)

    assert output_stride(cell("resnet18", "unet", stem="standard")) == 2
    assert output_stride(cell("resnet18", "unet", stem="detail")) == 1
    assert output_stride(cell("resnet18", "deeplabv3+", stem="detail")) == 4
    assert output_stride(cell("vit_small", "upconv", stem="standard", token_size=8)) == 8


def test_a_perfect_map_scores_one_and_a_lost_line_is_counted():
    truth = truth_of(lines())
    for values in detail_scores(truth.maps, truth).values():
        assert values == pytest.approx([1, 1])
    found = lines()
    found[0, 3, 2:8] = 0  # half of the thin line of the first map
    scores = detail_scores(found, truth)
    assert scores["thin_recall"] == pytest.approx([0.5, 1])
    assert scores["miou"][0] == pytest.approx((208 / 214 + 42 / 48) / 2)
    assert all(values[0] < values[1] == 1 for values in scores.values())


def test_a_map_without_thin_structures_has_no_recall_of_them():
    maps = np.zeros((1, 16, 16), np.uint8)
    maps[0, 4:12, 4:12] = 1
    assert np.isnan(detail_scores(maps, truth_of(maps))["thin_recall"]).all()


def test_a_stride_keeps_all_or_less():
    table = stride_scores(truth_of(lines()), [1, 2, 4])
    assert table.loc[1].tolist() == pytest.approx([1, 1, 1, 1])
    assert (table.loc[2] < 1).all()
    assert (table.loc[4] <= table.loc[2]).all()


def test_planted_effects_come_back_in_points():
    cells = [c for c in budget_cells("small", "thin") if c.encoder == "resnet18"]
    rng = np.random.default_rng(0)
    base = rng.uniform(0.3, 0.5, 24)
    worth = {"detail": 0.1, "boundary": 0.2, "deeplabv3+": -0.05}
    scores = {
        c: dict.fromkeys(MEASURES, base + sum(worth.get(level, 0) for level in levels_of(c)))
        for c in cells
    }
    table = budget_effects(
        scores, groups=np.repeat(range(12), 2), measures=["boundary_iou"], draws=200, rng=rng
    )
    main = table.set_index("effect")["estimate"]
    assert main[["stem", "loss", "decoder"]].tolist() == pytest.approx([10, 20, -5])
    assert main[[e for e in main.index if "×" in e]].tolist() == pytest.approx([0, 0, 0])
    assert table.set_index("effect").loc[["stem", "loss", "decoder"], "clear"].all()


def test_the_scene_of_thin_structures_is_the_same_with_the_same_seed():
    one, two = (thin_task("test", seed=3) for _ in range(2))
    assert one.stamp == two.stamp != thin_task("test", seed=4).stamp
    assert one.gsd_m == 10

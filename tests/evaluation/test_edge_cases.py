"""Edge cases of every metric of the detail lab, and what holds for all of them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.test_boundary import blobs
from workbench.errors import EvaluationError
from workbench.evaluation.blockiness import blockiness
from workbench.evaluation.boundary import boundary_iou, iou, trimap_iou
from workbench.evaluation.comparison import compare_models
from workbench.evaluation.curves import boundary_curve
from workbench.evaluation.distances import contour_distances
from workbench.evaluation.label_noise import shift_scores
from workbench.evaluation.objects import geometry, object_scores
from workbench.evaluation.structures import skeleton_scores, width_recall

SEEDS = st.integers(0, 2**32 - 1)
ONE = {"classes": [1]}


def square(side: int, low: int, high: int) -> np.ndarray:
    found = np.zeros((side, side), int)
    found[low:high, low:high] = 1
    return found


# ---- Boundary IoU


def test_boundary_iou_of_nothing_of_one_and_of_small_objects():
    empty, small = np.zeros((12, 12), int), square(12, 4, 7)
    assert math.isnan(boundary_iou(empty, empty, dilation=2, **ONE)[0])
    assert boundary_iou(small, empty, dilation=2, **ONE)[0] == 0
    assert boundary_iou(empty, small, dilation=2, **ONE)[0] == 0
    grown = square(12, 4, 8)
    band = boundary_iou(grown, small, dilation=3, **ONE)
    assert band == iou(grown, small, **ONE) == 9 / 16


def test_the_edge_of_the_image_is_a_boundary_unless_it_is_said_not_to_be():
    target, pred = np.ones((10, 10), int), np.ones((10, 10), int)
    pred[4:6, 4:6] = 0
    framed, open_ = (boundary_iou(pred, target, dilation=1, border=b, **ONE)[0] for b in (1, 0))
    assert framed == 36 / (36 + 12)
    assert open_ == 0  # the target has no boundary, the prediction one around its hole


# ---- Boundary F1


def test_boundary_f1_of_nothing_of_one_and_at_the_edge_of_the_image():
    empty, low = np.zeros((9, 9), int), square(9, 0, 4)
    scores = [contour_distances(p, t, **ONE).boundary_f1([1])[0, 0] for p, t in
              ((empty, empty), (low, empty), (empty, low), (low, low))]  # fmt: skip
    assert math.isnan(scores[0])
    assert scores[1:] == [0, 0, 1]
    taller = low.copy()
    taller[4:6, :4] = 1
    framed, open_ = (
        contour_distances(taller, low, border=b, **ONE).boundary_f1([0])[0, 0]
        for b in (True, False)
    )
    assert framed > open_  # both run along the edge, where one of the two counts it


# ---- trimap


def test_a_trimap_around_the_target_does_not_see_what_is_false_far_away():
    target = square(40, 4, 12)
    pred = target.copy()
    pred[30:36, 30:36] = 1
    rules = {"distances": [2.0], **ONE}
    assert trimap_iou(pred, target, around="target", **rules)[0, 0] == 1
    assert trimap_iou(pred, target, around="both", **rules)[0, 0] < 0.8
    nothing = np.zeros_like(target)
    assert math.isnan(trimap_iou(nothing, nothing, around="both", **rules)[0, 0])


# ---- distances


def test_hd95_is_the_larger_of_two_directed_percentiles_and_not_a_pooled_one():
    target = square(60, 20, 40)
    pred = target.copy()
    pred[5, 5:8] = 1  # few of many: gone in the pooled percentile and in the directed one
    found = contour_distances(pred, target, **ONE)
    assert found.hausdorff()[0] > 20
    assert found.hausdorff(95)[0] == 0
    thin = np.zeros_like(target)
    thin[20, 20:23] = 1  # 3 px against 76: their direction says 0, the other one far
    found = contour_distances(thin, target, **ONE)
    directed = [d.percentile(95)[0] for d in (found.of_pred, found.of_target)]
    pooled = np.percentile(torch.cat([found.of_pred.distance, found.of_target.distance]), 95)
    assert directed[0] == 0
    assert found.hausdorff(95)[0] == directed[1] > pooled


def test_assd_pools_and_masd_does_not():
    target, pred = square(40, 10, 30), square(40, 10, 12)
    found = contour_distances(pred, target, **ONE)
    sums = [float(d.distance.sum()) for d in (found.of_pred, found.of_target)]
    counts = [len(d.distance) for d in (found.of_pred, found.of_target)]
    assert found.assd()[0] == pytest.approx(sum(sums) / sum(counts))
    assert found.masd()[0] == pytest.approx(
        sum(s / n for s, n in zip(sums, counts, strict=True)) / 2
    )
    assert found.assd()[0] > found.masd()[0] + 1


@pytest.mark.parametrize("empty", ["inf", "nan"])
def test_distances_to_nothing_follow_the_policy(empty):
    target, nothing = square(9, 2, 5), np.zeros((9, 9), int)
    for pair in ((nothing, target), (target, nothing)):
        found = contour_distances(*pair, empty=empty, **ONE)
        for value in (found.hausdorff(), found.hausdorff(95), found.assd(), found.masd()):
            assert math.isnan(value[0]) if empty == "nan" else value[0] == math.inf
    both = contour_distances(nothing, nothing, empty=empty, **ONE)
    assert all(math.isnan(v[0]) for v in (both.hausdorff(), both.assd(), both.masd()))


def test_surface_dice_at_tolerance_zero_with_spacing_and_at_the_edge():
    target, moved = square(20, 4, 10), np.roll(square(20, 4, 10), 1, 1)
    pixels, surfels = (
        contour_distances(moved, target, spacing=(10.0, 30.0), elements=e, **ONE)
        for e in ("pixels", "surfels")
    )
    assert pixels.surface_dice([0])[0, 0] == 0.5  # top and bottom share five pixels of twenty each
    # the right side's inner pixels lie 10 or 20 m below the other's top, the left side's 30 m apart
    assert pixels.surface_dice([9.9, 10, 20, 29.9, 30])[:, 0].tolist() == [0.5, 0.6, 0.7, 0.7, 1]
    assert 0 < surfels.surface_dice([0])[0, 0] < 1
    assert surfels.surface_dice([0])[0, 0] != 0.5  # lengths and not pixels
    whole = np.ones((8, 8), int)
    framed, open_ = (contour_distances(whole, whole, border=b, **ONE) for b in (True, False))
    assert framed.surface_dice([0])[0, 0] == 1
    assert math.isnan(open_.surface_dice([0])[0, 0])  # no contour at all


# ---- lines and objects


def test_cldice_without_a_skeleton_and_of_single_pixels():
    empty, dot = np.zeros((7, 7), int), square(7, 3, 4)
    assert math.isnan(skeleton_scores(empty, empty, **ONE).cldice[0])
    assert skeleton_scores(dot, empty, **ONE).cldice[0] == 0
    assert skeleton_scores(dot, dot, **ONE).cldice[0] == 1
    block = square(7, 2, 4)  # 2 × 2 may be thinned to nothing
    assert skeleton_scores(block, block, **ONE).cldice[0] == 1


def test_objects_hang_together_by_corners_and_merged_ones_match_at_most_once():
    diagonal = np.eye(8, dtype=int)
    row = object_scores(diagonal, diagonal, **ONE).iloc[0]
    assert (row["targets"], row["matched_recall"], row["pq"]) == (1, 1, 1)
    target = np.zeros((10, 20), int)
    target[2:8, 1:8], target[2:8, 9:19] = 1, 1
    merged = target.copy()
    merged[2:8, 8] = 1
    row = object_scores(merged, target, **ONE).iloc[0]
    assert (row["targets"], row["predictions"]) == (2, 1)
    assert (row["touched_recall"], row["matched_recall"]) == (1, 0.5)
    half = np.zeros((10, 20), int)
    half[2:8, 1:8] = 1
    exactly_half = half.copy()
    exactly_half[2:8, 8:15] = 1
    row = object_scores(exactly_half, half, **ONE).iloc[0]
    assert (row["touched_recall"], row["matched_recall"]) == (1, 0)  # IoU must exceed 0.5
    table = object_scores(target, target, sizes_m2=[42 * 900], gsd=30, **ONE)
    assert table["targets"].tolist() == [1, 1]  # bins are areas on the ground, their end included


def test_shapes_of_empty_maps_have_no_ratios():
    empty, some = np.zeros((9, 9), int), square(9, 2, 6)
    ratios = ["perimeter_ratio", "fragment_ratio", "compactness_ratio"]
    assert geometry(some, empty, **ONE)[ratios].isna().all(axis=None)
    lost = geometry(empty, some, **ONE).iloc[0]
    assert (lost["perimeter_ratio"], lost["fragment_ratio"]) == (0, 0)
    assert lost["euler_difference"] == -1


def test_constant_maps_have_no_blocks():
    found = blockiness(np.ones((3, 64, 64), int), classes=2, offset=None)
    assert found.period is None
    assert math.isnan(found.score)


# ---- what always holds


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_perfect_where_labels_are_is_exactly_one_for_every_metric(seed):
    rng = np.random.default_rng(seed)
    target = blobs(rng, 2, classes=3)
    pred = target.copy()
    target[rng.random(target.shape) < 0.05] = 9
    y, x = rng.integers(0, 16, 2)
    target[:, y : y + 7, x : x + 9] = 9
    pred[target == 9] = rng.integers(0, 3, (target == 9).sum())
    rules = {"classes": 3, "ignore_index": 9}
    skeletons = skeleton_scores(pred, target, **rules)
    widths = width_recall(pred, target, widths_m=[20, 50], gsd=10, **rules)
    objects = object_scores(pred, target, **rules)
    shapes = geometry(pred, target, border=True, **rules)
    curve = boundary_curve(pred, target, gsd=10, draws=100, **rules)
    scores = [
        *(skeletons.precision, skeletons.recall, skeletons.cldice, widths.recall),
        objects[["touched_recall", "matched_recall", "matched_precision", "pq"]].to_numpy(),
        shapes[["perimeter_ratio", "fragment_ratio", "compactness_ratio"]].to_numpy(),
        curve[["score", "precision", "recall"]].to_numpy(),
    ]
    for score in scores:
        assert set(score[~np.isnan(score)].ravel()) <= {1.0}
    assert (shapes["euler_difference"] == 0).all()


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_exchange_and_translation_change_nothing(seed):
    rng = np.random.default_rng(seed)
    pair = [np.pad(m, ((0, 0), (12, 12), (12, 12))) for m in (blobs(rng, 1), blobs(rng, 1))]
    steps = rng.integers(-8, 9, 2)
    moved = [np.roll(m, steps, (1, 2)) for m in pair]
    for function, rules in ((boundary_iou, {"dilation": 2}), (iou, {})):
        here = function(*pair, **ONE, **rules)
        np.testing.assert_array_equal(here, function(*pair[::-1], **ONE, **rules))
        np.testing.assert_array_equal(here, function(*moved, **ONE, **rules))
    near = {"distances": [0, 3], "around": "both", **ONE}
    np.testing.assert_array_equal(trimap_iou(*pair, **near), trimap_iou(*pair[::-1], **near))
    np.testing.assert_array_equal(trimap_iou(*pair, **near), trimap_iou(*moved, **near))
    there, back = (object_scores(*p, **ONE).iloc[0] for p in (pair, pair[::-1]))
    for name in ("touched", "matched"):
        np.testing.assert_equal(there[f"{name}_recall"], back[f"{name}_precision"])
    np.testing.assert_equal(there["pq"], back["pq"])
    assert there.equals(object_scores(*moved, **ONE).iloc[0])
    lines, turned = skeleton_scores(*pair, **ONE), skeleton_scores(*pair[::-1], **ONE)
    np.testing.assert_array_equal(lines.precision, turned.recall)
    np.testing.assert_array_equal(lines.cldice, turned.cldice)
    by_width = [width_recall(*p, widths_m=[2], gsd=1, **ONE).recall for p in (pair, moved)]
    np.testing.assert_array_equal(*by_width)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.floats(0.1, 100))
def test_the_size_of_a_pixel_scales_lengths_and_nothing_else(seed, size):
    rng = np.random.default_rng(seed)
    pair = blobs(rng, 2), blobs(rng, 2)
    one, other = (geometry(*pair, classes=2, gsd=g) for g in (1.0, size))
    np.testing.assert_allclose(other["perimeter_m"], size * one["perimeter_m"])
    names = ["perimeter_ratio", "fragment_ratio", "compactness_ratio", "euler_difference"]
    np.testing.assert_allclose(other[names], one[names])
    steps = [0.0, 1.0, 2.0, 5.0]
    curves = [
        boundary_curve(*pair, classes=2, tolerances_m=[g * s for s in steps], gsd=g, draws=100)
        for g in (1.0, size)
    ]
    np.testing.assert_allclose(curves[0]["score"], curves[1]["score"])
    assert (curves[0].groupby("class")["score"].diff().dropna() >= 0).all()
    bands = [boundary_iou(*pair, classes=2, dilation_m=3 * g, gsd=g) for g in (1.0, size)]
    np.testing.assert_array_equal(*bands)


# ---- tensors


def test_tensors_give_what_arrays_give():
    rng = np.random.default_rng(5)
    pair = [blobs(rng, 4, classes=3) for _ in range(2)]
    pair[1][:, :3] = 9
    tensors = [torch.from_numpy(m) for m in pair]
    rules = {"classes": 3, "ignore_index": 9}
    for measure in ("surface_dice", "boundary_f1"):
        here, there = (
            boundary_curve(*m, gsd=10, measure=measure, **rules) for m in (pair, tensors)
        )
        assert here.equals(there)
    found = contour_distances(*tensors, **rules)
    assert all(isinstance(v, torch.Tensor) for v in (found.hausdorff(), found.surface_dice([1])))
    near = {"distances": [1, 2], **rules}
    np.testing.assert_array_equal(trimap_iou(*tensors, **near).numpy(), trimap_iou(*pair, **near))
    wide = {"widths_m": [2], "gsd": 1, **rules}
    assert isinstance(width_recall(*tensors, **wide).recall, torch.Tensor)
    for table in (object_scores, geometry, shift_scores):
        assert table(*tensors, **rules).equals(table(*pair, **rules))
    assert blockiness(tensors[0], classes=3) == blockiness(pair[0], classes=3)


# ---- bad input


def test_images_without_a_label_are_in_no_score_of_a_comparison():
    rng = np.random.default_rng(6)
    ids = [f"p{k}" for k in range(8)]
    target = blobs(rng, 8).astype(int)
    first, second = target.copy(), np.roll(target, 1, 1)
    target[3] = 9
    maps = [dict(zip(ids, m, strict=True)) for m in (first, second, target)]
    rules = {"classes": 2, "gsd": 10.0, "ignore_index": 9, "draws": 100}
    (pair,) = compare_models({"A": maps[0], "B": maps[1]}, maps[2], **rules).pairs
    assert pair.ranking.set_index("id").loc["p3", "score"] == 0
    without = [{k: v for k, v in m.items() if k != "p3"} for m in maps]
    (other,) = compare_models({"A": without[0], "B": without[1]}, without[2], **rules).pairs
    assert pair.miou.difference == pytest.approx(other.miou.difference)
    assert pair.area.difference == pytest.approx(other.area.difference)
    assert pair.attribution.equals(other.attribution)


def test_labels_outside_of_the_classes_are_refused_with_their_cure():
    target = np.zeros((5, 5), int)
    target[0] = 255
    with pytest.raises(EvaluationError, match=r"255 occurs \(5 pixels\)") as told:
        boundary_iou(np.zeros((5, 5), int), target, classes=2, dilation=1)
    assert "ignore_index" in str(told.value)


def test_a_huge_nodata_beside_listed_classes_needs_no_huge_table():
    from workbench.evaluation.label_maps import label_pair

    labels = np.array([[0, 7, 2**32 - 1], [300_000, 7, 0]], np.uint32)
    pair = label_pair(labels, labels, classes=[7, 300_000, 5])
    assert pair.target.tolist() == [[[3, 0, 3], [1, 0, 3]]]


@pytest.mark.parametrize("gsd", [np.float32(10), np.int64(10), 10, 10.0])
def test_numbers_of_numpy_are_numbers(gsd):
    from workbench.evaluation.label_maps import positive_spacing

    assert positive_spacing(gsd) == (10.0, 10.0)

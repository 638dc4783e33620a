"""Lines, widths, objects and shapes, against their definitions and made examples."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.measure import euler_number
from skimage.morphology import skeletonize

from workbench.errors import EvaluationError
from workbench.evaluation.bands import widths
from workbench.evaluation.objects import geometry, object_scores
from workbench.evaluation.structures import skeleton_scores, width_recall


def blobs(seed: int, n: int = 6, side: int = 30, classes: int = 2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, classes, side, side))
    return np.argmax(ndimage.gaussian_filter(noise, (0, 0, 1.5, 1.5)), axis=1)


def test_cldice_is_its_definition():
    pred, target = blobs(0, classes=3), blobs(1, classes=3)
    found = skeleton_scores(torch.from_numpy(pred), target, classes=3)
    assert isinstance(found.cldice, torch.Tensor)
    for i, k in np.ndindex(6, 3):
        p, t = pred[i] == k, target[i] == k
        share = [t[skeletonize(p)].mean(), p[skeletonize(t)].mean()]
        assert found.precision[i, k] == pytest.approx(share[0])
        assert found.recall[i, k] == pytest.approx(share[1])
        assert found.cldice[i, k] == pytest.approx(2 * share[0] * share[1] / sum(share))


def test_lines_of_one_pixel_empty_masks_and_ignored_pixels():
    target = np.zeros((12, 12), int)
    target[5, 1:11] = 1
    broken = target.copy()
    broken[5, 4:6] = 0
    found = skeleton_scores(broken, target, classes=3)
    assert found.recall[1] == pytest.approx(0.8)
    assert found.precision[1] == 1
    assert math.isnan(found.cldice[2])
    missing = skeleton_scores(np.zeros_like(target), target, classes=[1])
    assert (missing.precision[0], missing.recall[0], missing.cldice[0]) == (0, 0, 0)
    hidden = np.where(broken == target, target, 9)
    assert skeleton_scores(broken, hidden, classes=2, ignore_index=9).cldice.tolist() == [1, 1]


def test_width_is_the_side_of_the_largest_square():
    labels = blobs(3, n=3, side=24, classes=3)
    found = widths(torch.from_numpy(labels.astype(np.uint8)), None, 6).numpy()
    padded = np.pad(labels, ((0, 0), (7, 7), (7, 7)), constant_values=-1)
    for i, k in np.ndindex(3, 3):
        mask = (padded[i] == k) | (padded[i] == -1)
        expected = sum(
            ndimage.binary_opening(mask, np.ones((s, s))).astype(int) for s in range(1, 8)
        )
        inside = padded[i] == k
        np.testing.assert_array_equal(found[i][labels[i] == k], expected[inside])


def test_recall_by_width_tells_lost_roads_from_lost_fields():
    target = np.zeros((2, 40, 40), int)
    target[:, 4], target[:, 10:12], target[:, 20:36, 10:30] = 1, 1, 1
    pred = target.copy()
    pred[:, 4] = 0
    pred[:, 10:12, :10] = 0
    found = width_recall(pred, target, classes=[1], widths_m=[10, 20, 60], gsd=10)
    assert found.recall[0, :, 0].tolist()[:2] == [0, 0.75]
    assert found.recall[0, 3, 0] == 1
    assert math.isnan(found.recall[0, 2, 0])
    assert found.pixels[..., 0].sum(-1).tolist() == (target == 1).sum((1, 2)).tolist()
    with pytest.raises(EvaluationError, match="Widths must rise by a pixel"):
        width_recall(pred, target, classes=[1], widths_m=[5], gsd=10)


def test_objects_are_found_touched_or_lost_by_size():
    target = np.zeros((2, 30, 30), int)
    target[0, 2:4, 2:4] = 1  # 4 px: lost
    target[0, 10:20, 10:20] = 1  # 100 px: matched
    target[1, 5:9, 5:9] = 1  # 16 px: touched by one pixel
    pred = np.zeros_like(target)
    pred[0, 10:20, 11:20] = 1  # IoU 0.9
    pred[1, 8, 8] = 1
    pred[1, 20:22, 20:22] = 1  # false
    found = object_scores(pred, target, classes=[1], sizes_m2=[500, 5000], gsd=10)
    assert found["to_m2"].tolist() == [500, 5000, math.inf]
    assert found["targets"].tolist() == [1, 1, 1]
    assert found["touched_recall"].tolist() == [0, 1, 1]
    assert found["matched_recall"].tolist() == [0, 0, 1]
    assert found["predictions"].tolist() == [2, 0, 1]
    assert found["touched_precision"].tolist()[::2] == [0.5, 1]
    everything = object_scores(pred, target, classes=[1]).iloc[0]
    assert everything["pq"] == pytest.approx(2 * 0.9 / (3 + 3))
    with pytest.raises(EvaluationError, match="Areas must be positive and rise"):
        object_scores(pred, target, classes=[1], sizes_m2=[50, 5])


def test_perfect_on_valid_pixels_is_perfect_for_objects_and_shapes():
    target, pred = blobs(5), blobs(5)
    target[:, 8:14, 5:20] = 9
    pred[:, 10:12] = 1
    pred = np.where(target == 9, pred, target)
    objects = object_scores(pred, target, classes=2, ignore_index=9)
    assert (objects[["matched_recall", "matched_precision", "pq"]] == 1).all(axis=None)
    shapes = geometry(pred, target, classes=2, ignore_index=9)
    assert (shapes[["perimeter_ratio", "fragment_ratio", "compactness_ratio"]] == 1).all(axis=None)


def test_geometry_of_known_shapes_and_of_random_ones():
    target = np.zeros((1, 20, 20), int)
    target[0, 4:14, 4:14] = 1
    pred = target.copy()
    pred[0, 8:10, 8:10] = 0  # a hole
    pred[0, 17, 17] = 1  # a fragment
    found = geometry(pred, target, classes=3, gsd=10).set_index("class")
    corners = 2 * math.sqrt(2) * 10
    assert found.perimeter_m[1] == pytest.approx(4 * 90 + corners)
    assert found.perimeter_ratio[1] == pytest.approx(1 + (40 + 2 * corners) / (360 + corners))
    assert found.fragment_ratio[1] == 2
    assert found.euler_difference[1] == 0  # one fragment more, one hole more
    assert math.isnan(found.perimeter_ratio[2])
    a, b = blobs(6, n=1), blobs(7, n=1)
    euler = [euler_number(m[0] == 1, connectivity=2) for m in (a, b)]
    assert geometry(a, b, classes=[1]).euler_difference[0] == euler[0] - euler[1]

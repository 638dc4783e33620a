"""Boundary scores against their definitions, against other people's code, and by what must hold."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from workbench.errors import EvaluationError
from workbench.evaluation.boundary import boundary_iou, iou, trimap_iou
from workbench.evaluation.contours import distance_to
from workbench.evaluation.distances import contour_distances


def blobs(rng: np.random.Generator, n: int, side: int = 24, classes: int = 2) -> np.ndarray:
    """(N, H, W) label maps of some structure, from coarse to noise."""
    scale = rng.choice([0, 0, 1, 2, 4], n)
    noise = rng.normal(size=(n, classes, side, side + 3))
    fields = [
        [ndimage.gaussian_filter(f, s) if s else f for f in image]
        for image, s in zip(noise, scale, strict=True)
    ]
    return np.argmax(fields, axis=1).astype(np.uint8)


def erosion_band(mask: np.ndarray, distance: int, *, border: bool) -> np.ndarray:
    kept = ndimage.binary_erosion(mask, np.ones((3, 3)), distance, border_value=not border)
    return mask & ~kept


def contour(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask)


@pytest.mark.parametrize("border", [True, False])
@pytest.mark.parametrize("distance", [1, 2, 5])
def test_boundary_iou_is_the_iou_of_what_erosion_removes(border, distance):
    rng = np.random.default_rng(distance)
    pred, target = blobs(rng, 12, classes=4), blobs(rng, 12, classes=4)
    found = boundary_iou(pred, target, classes=4, dilation=distance, border=border)
    for i, k in np.ndindex(12, 4):
        p, t = (erosion_band(m[i] == k, distance, border=border) for m in (pred, target))
        assert found[i, k] == pytest.approx((p & t).sum() / (p | t).sum(), nan_ok=True)


def test_what_only_one_map_shows_scores_zero_and_what_none_shows_has_no_score():
    target, pred = np.zeros((8, 8), int), np.full((8, 8), 1)
    for score in (boundary_iou(pred, target, classes=3, dilation=1), iou(pred, target, classes=3)):
        assert score[:2].tolist() == [0, 0]
        assert math.isnan(score[2])
    found = contour_distances(pred, target, classes=3)
    assert found.hausdorff()[:2].tolist() == found.assd()[:2].tolist() == [math.inf, math.inf]
    for shares in (found.boundary_f1([3]), found.surface_dice([3]), found.recall([3])):
        assert shares[0, :2].tolist() == [0, 0]
        assert math.isnan(shares[0, 2])
    assert math.isnan(found.masd()[2])
    unsaid = contour_distances(pred, target, classes=3, empty="nan")
    assert np.isnan(unsaid.hausdorff(95)).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_band_wider_than_the_object_gives_the_ordinary_iou(seed):
    rng = np.random.default_rng(seed)
    pred, target = blobs(rng, 2, classes=3), blobs(rng, 2, classes=3)
    wide = boundary_iou(pred, target, classes=3, dilation=40)
    np.testing.assert_array_equal(wide, iou(pred, target, classes=3))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_right_on_every_valid_pixel_is_exactly_one(seed):
    rng = np.random.default_rng(seed)
    target = blobs(rng, 3, classes=3)
    pred = target.copy()
    y, x = rng.integers(0, 16, 2)
    target[:, y : y + 7, x : x + 9] = 255
    target[rng.random(target.shape) < 0.05] = 255
    pred[target == 255] = rng.integers(0, 200, (target == 255).sum())
    rules = {"classes": 3, "ignore_index": 255}
    scores = [boundary_iou(pred, target, dilation=d, **rules) for d in (1, 3, 0.05)]
    scores += [trimap_iou(pred, target, distances=[0, 2], around="both", **rules)]
    for elements in ("pixels", "surfels"):
        found = contour_distances(pred, target, elements=elements, **rules)
        scores += [found.boundary_f1([0]), found.surface_dice([0]), 1 + found.hausdorff(95)]
    for score in scores:
        assert set(score[~np.isnan(score)]) <= {1.0}


def test_an_ignored_block_makes_no_boundary():
    target = np.ones((20, 20), int)
    target[6:12, 6:12] = 9
    pred = np.where(target == 9, 0, 1)
    pred[3, 3] = 0  # one wrong pixel
    score = boundary_iou(pred, target, classes=[1], dilation=1, border=False, ignore_index=9)
    assert score.tolist() == [0]  # the only band is the one around the wrong pixel
    pred[3, 3] = 1
    assert math.isnan(
        boundary_iou(pred, target, classes=[1], dilation=1, border=False, ignore_index=9)[0]
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_symmetry_translation_monotony_and_scale(seed):
    rng = np.random.default_rng(seed)
    pred, target = (np.pad(m, ((0, 0), (12, 12), (12, 12))) for m in (blobs(rng, 1), blobs(rng, 1)))
    steps = rng.integers(-10, 11, 2)
    moved = [np.roll(m, steps, (1, 2)) for m in (pred, target)]
    there, back = (contour_distances(*m, classes=[1]) for m in ((pred, target), (target, pred)))
    away, far = (
        contour_distances(*moved, classes=[1]),
        contour_distances(pred, target, classes=[1], spacing=30.0),
    )
    limits = [0, 1, 1.5, 2, 4, 8]
    for same in (back, away):
        for name in ("hausdorff", "assd", "masd"):
            np.testing.assert_allclose(getattr(there, name)(), getattr(same, name)())
        np.testing.assert_array_equal(there.surface_dice(limits), same.surface_dice(limits))
    np.testing.assert_allclose(far.hausdorff(95), 30 * there.hausdorff(95))
    assert (np.diff(there.surface_dice(limits), axis=-2) >= 0).all()
    assert (np.diff(there.boundary_f1(limits), axis=-2) >= 0).all()
    np.testing.assert_array_equal(there.precision(limits), back.recall(limits))
    np.testing.assert_array_equal(
        boundary_iou(pred, target, classes=[1], dilation=2),
        boundary_iou(*moved[::-1], classes=[1], dilation=2),
    )


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (30.0, 10.0), (0.5, 4.0)])
@pytest.mark.parametrize("density", [0.5, 0.02, 0.0005])
def test_the_distance_transform_is_exact(spacing, density):
    rng = np.random.default_rng(1)
    edge = rng.random((5, 70, 90)) < density
    edge[:, 1, 2] = True
    found = distance_to(torch.from_numpy(edge), spacing=spacing)
    for e, f in zip(edge, found.numpy(), strict=True):
        np.testing.assert_allclose(f, ndimage.distance_transform_edt(~e, spacing), rtol=1e-12)
    near = distance_to(torch.from_numpy(edge), spacing=spacing, limit=7.0)
    assert torch.equal(near.where(near <= 7, 0), found.where(found <= 7, 0))
    assert distance_to(torch.zeros(1, 4, 4, dtype=torch.bool)).isinf().all()


def test_trimap_is_the_iou_near_the_true_boundary_or_near_any():
    rng = np.random.default_rng(0)
    pred, target = blobs(rng, 6, classes=3), blobs(rng, 6, classes=3)
    for around in ("target", "both"):
        found = trimap_iou(pred, target, classes=3, distances=[1.5, 4], around=around)
        for i, k, d in np.ndindex(6, 3, 2):
            maps = [target[i]] if around == "target" else [target[i], pred[i]]
            edges = [contour(np.pad(m == c, 1, "edge"))[1:-1, 1:-1] for m in maps for c in range(3)]
            near = ndimage.distance_transform_edt(~np.any(edges, axis=0)) <= (1.5, 4)[d]
            p, t = (pred[i] == k) & near, (target[i] == k) & near
            assert found[i, d, k] == pytest.approx((p & t).sum() / (p | t).sum(), nan_ok=True)


def test_tensors_come_back_as_tensors_and_any_batch_shape_is_kept():
    rng = np.random.default_rng(2)
    pred, target = (blobs(rng, 6).reshape(2, 3, 24, 27) for _ in range(2))
    tensors = torch.from_numpy(pred), torch.from_numpy(target)
    rules = {"classes": 2, "dilation": 2}
    score = boundary_iou(*tensors, **rules)
    assert isinstance(score, torch.Tensor)
    assert score.shape == (2, 3, 2)
    np.testing.assert_array_equal(score, boundary_iou(pred, target, **rules))
    one = boundary_iou(pred[1, 2] > 0, target[1, 2, :, ::-1][:, ::-1] > 0, **rules)
    np.testing.assert_array_equal(one, score[1, 2])
    assert contour_distances(*tensors, classes=2).boundary_f1([1, 2, 3]).shape == (2, 3, 3, 2)
    summed = boundary_iou(pred, target, **rules, accumulated=True)
    whole = [boundary_iou(pred, target, classes=[k], dilation=2, accumulated=True) for k in (0, 1)]
    np.testing.assert_array_equal(summed, np.ravel(whole))


def test_widths_in_metres_are_rounded_to_pixels():
    rng = np.random.default_rng(3)
    maps = blobs(rng, 2)[0], blobs(rng, 2)[1]
    for kind in ({"dilation_m": 61, "gsd": 30}, {"dilation": 2 / math.hypot(24, 27)}):
        np.testing.assert_array_equal(
            boundary_iou(*maps, classes=2, **kind), boundary_iou(*maps, classes=2, dilation=2)
        )


def test_tolerances_count_what_lies_exactly_on_them():
    target = np.zeros((12, 12), int)
    target[2:9, 2:9] = 1
    pred = np.roll(target, 3, 1)
    assert contour_distances(pred, target, classes=[1], spacing=0.1).hausdorff()[0] > 0.3
    assert contour_distances(pred, target, classes=[1], spacing=0.1).surface_dice([0.3])[0, 0] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pred": np.zeros((4, 5), int)}, "must have one shape"),
        ({"pred": np.full((4, 4), 3)}, "Every label of the prediction must be a class"),
        ({"target": np.full((4, 4), -1)}, "Every label of the target must be a class"),
        ({"pred": np.zeros((4, 4))}, "must be whole numbers, but the prediction is float64"),
        ({"pred": torch.zeros(4, 4)}, "must be whole numbers, but the prediction is torch.float32"),
        ({"classes": 0}, "There must be at least one class"),
        ({"classes": [1, 1]}, "must be distinct indices"),
        ({"pred": [[0]]}, "must be a numpy array or a torch tensor"),
    ],
)
def test_maps_that_do_not_fit_are_refused(change, message):
    given_ = {"pred": np.zeros((4, 4), int), "target": np.zeros((4, 4), int), "classes": 3} | change
    with pytest.raises(EvaluationError, match=message):
        boundary_iou(**given_)


@pytest.mark.parametrize("spacing", [-1.0, 0.0, math.nan, (1.0, -2.0), (1.0, 1.0, 1.0)])
def test_a_pixel_has_a_positive_size(spacing):
    maps = np.zeros((2, 4, 4), int)
    with pytest.raises(EvaluationError, match="must be positive and finite"):
        contour_distances(*maps, classes=2, spacing=spacing)


@pytest.mark.parametrize("width", [0, -1, 1.5, 0.0])
def test_a_band_has_a_width(width):
    maps = np.zeros((2, 4, 4), int)
    with pytest.raises(EvaluationError, match="width of a boundary band"):
        boundary_iou(*maps, classes=2, dilation=width)
    with pytest.raises(EvaluationError, match="Tolerances must be numbers from 0"):
        contour_distances(*maps, classes=2).surface_dice([-1.0])


def test_an_image_that_is_all_ignored_has_no_scores():
    pred, target = np.zeros((2, 5, 5), int), np.zeros((2, 5, 5), int)
    target[1] = 7
    score = boundary_iou(pred, target, classes=2, ignore_index=7)
    assert np.isnan(score[1]).all()
    assert score[0, 0] == 1


@pytest.mark.slow
@pytest.mark.parametrize("spacing", [None, (3.0, 10.0)])
def test_monai_agrees_on_a_thousand_masks(spacing):
    from monai.metrics import compute_average_surface_distance as average
    from monai.metrics import compute_hausdorff_distance as hausdorff
    from monai.metrics import compute_surface_dice as dice

    rng = np.random.default_rng(7)
    pred, target = blobs(rng, 500), blobs(rng, 500)
    p, t = (torch.from_numpy(m[:, None]) for m in (pred, target))
    limit = 2.0 if spacing is None else 10.5
    found = contour_distances(pred, target, classes=[1], spacing=spacing or 1.0)
    surfels = contour_distances(
        pred, target, classes=[1], spacing=spacing or 1.0, elements="surfels"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rules = {"include_background": True, "spacing": spacing}
        expected = {
            "hd": hausdorff(p, t, **rules),
            "hd95": hausdorff(p, t, percentile=95, **rules),
            "assd": average(p, t, symmetric=True, **rules),
            "nsd": dice(p, t, [limit], **rules),
            "surfels": dice(p, t, [limit], use_subvoxels=True, **rules),
        }
    ours = {
        "hd": found.hausdorff(),
        "hd95": found.hausdorff(95),
        "assd": found.assd(),
        "nsd": found.surface_dice([limit])[:, 0],
        "surfels": surfels.surface_dice([limit])[:, 0],
    }
    for name, values in expected.items():
        known = ~values.isnan().numpy()  # MONAI has no number where both are empty
        assert known.mean() > 0.95
        near = 4e-6 if name == "hd95" else 1e-6  # MONAI interpolates percentiles in float32
        np.testing.assert_allclose(ours[name][known], values.numpy()[known], rtol=near, atol=1e-6)


@pytest.mark.slow
def test_percentiles_are_those_of_exact_distances_on_a_thousand_masks():
    rng = np.random.default_rng(9)
    pred, target = blobs(rng, 500), blobs(rng, 500)
    found = contour_distances(pred, target, classes=2, spacing=(3.0, 10.0))
    ours = {percent: found.hausdorff(percent) for percent in (95, 100, 50)}
    means = found.masd()
    for i, k in np.ndindex(500, 2):
        edges = [contour(m[i] == k) for m in (pred, target)]
        if not (edges[0].any() and edges[1].any()):
            continue
        maps = [ndimage.distance_transform_edt(~e, (3.0, 10.0)) for e in edges]
        both = maps[1][edges[0]], maps[0][edges[1]]
        for percent, values in ours.items():
            expected = max(np.percentile(d, percent) for d in both)
            assert values[i, k] == pytest.approx(expected, rel=1e-9)
        assert means[i, k] == pytest.approx(np.mean([d.mean() for d in both]), rel=1e-9)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_surface_distance_agrees_on_a_thousand_masks():
    import surface_distance as other

    rng = np.random.default_rng(8)
    pred, target = blobs(rng, 1000), blobs(rng, 1000)
    both = (pred > 0).any((1, 2)) & (target > 0).any((1, 2))
    found = contour_distances(pred, target, classes=[1], spacing=(2.0, 3.0), elements="surfels")
    score = found.surface_dice([4.0])[:, 0, 0]
    means = [d.summed / d.total for d in (found.of_target, found.of_pred)]
    for i in both.nonzero()[0]:
        d = other.compute_surface_distances(target[i] > 0, pred[i] > 0, (2.0, 3.0))
        assert score[i] == pytest.approx(other.compute_surface_dice_at_tolerance(d, 4.0), abs=1e-6)
        there = other.compute_average_surface_distance(d)
        assert [float(m[i]) for m in means] == pytest.approx(there, abs=1e-6)

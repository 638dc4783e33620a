"""The curve over tolerances: equal to single tolerances, rising, with a meaningful band."""

import numpy as np
import pytest

from workbench.errors import EvaluationError
from workbench.evaluation import boundary_curve, boundary_iou, contour_distances, curve_areas
from workbench.evaluation.boundary import iou
from workbench.evaluation.curves import area_under, curve_band


def lost_line_and_hole() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A field with a road of 2 px; a map without the road; a map with a hole as large."""
    target = np.zeros((512, 512), np.uint8)
    target[40:174, 40:174] = 1
    road = np.zeros_like(target)
    road[300:302, 60:435] = 1
    target |= road
    hole = target.copy()
    hole[90:115, 90:120] = 0
    return target, target * (1 - road), hole


def test_equal_iou_hides_what_the_boundary_shows():
    target, lost, hole = lost_line_and_hole()
    rules = {"classes": [1]}
    for pred in (lost, hole):
        assert round(float(iou(pred, target, **rules)[0]), 4) == 0.9599
    assert iou(lost, target, **rules) == iou(hole, target, **rules)
    narrow = [boundary_iou(p, target, dilation=2, **rules)[0] for p in (lost, hole)]
    wide = [boundary_iou(p, target, dilation=9, **rules)[0] for p in (lost, hole)]
    assert narrow[0] < narrow[1] - 0.1  # a narrow band prefers the hole,
    assert wide[0] > wide[1] + 0.02  # a wide one the lost road:
    curves = [boundary_curve(p, target, gsd=10, **rules) for p in (lost, hole)]
    areas = [curve_areas(c)[1] for c in curves]  # the curve tells them apart
    assert areas[0] < areas[1] - 0.2
    nsd = [contour_distances(p, target, classes=[1]).surface_dice([2])[0, 0] for p in (lost, hole)]
    assert nsd[0] < 0.6
    assert nsd[1] > 0.9


def test_every_point_is_the_score_of_its_tolerance():
    rng = np.random.default_rng(0)
    pred, target = rng.integers(0, 3, (2, 5, 20, 20))
    at = [0.0, 15.0, 30.0, 100.0]
    for measure in ("surface_dice", "boundary_f1"):
        curve = boundary_curve(
            pred, target, classes=3, tolerances_m=at, gsd=15, measure=measure
        ).set_index(["class", "tolerance_m"])
        for t in at:
            found = contour_distances(pred, target, classes=3, spacing=15.0)
            expected = getattr(found, measure)([t])[:, 0].mean(0)
            assert curve.score.xs(t, level=1).to_numpy() == pytest.approx(expected)
        assert (curve.score.groupby("class").diff().dropna() >= 0).all()
        assert (curve.low <= curve.score).all()
        assert (curve.score <= curve.high).all()


def test_the_order_of_tolerances_does_not_matter():
    rng = np.random.default_rng(1)
    pred, target = rng.integers(0, 2, (2, 1, 20, 20))
    found = contour_distances(pred, target, classes=2)
    mixed, sorted_ = found.surface_dice([2, 0, 1]), found.surface_dice([0, 1, 2])
    np.testing.assert_array_equal(mixed[:, [1, 2, 0]], sorted_)


def test_a_class_that_is_nowhere_has_no_curve_and_one_image_no_band():
    target = np.zeros((10, 10), int)
    target[3:6, 3:6] = 1
    curve = boundary_curve(target, target, classes=3, gsd=10, tolerances_m=[0, 5])
    assert curve.score[curve["class"] == 2].isna().all()
    assert (curve.score[curve["class"] == 1] == 1).all()
    assert curve.low.isna().all()
    assert curve.images.tolist() == [1, 1, 1, 1, 0, 0]


def test_the_band_widens_when_images_come_in_groups():
    rng = np.random.default_rng(2)
    place = np.repeat(rng.normal(0.7, 0.1, 20), 10)
    curves = (place + rng.normal(0, 0.01, 200))[:, None, None]
    alone, grouped = (curve_band(curves, groups=g) for g in (None, np.repeat(range(20), 10)))
    assert (grouped[1] - grouped[0]) > 2 * (alone[1] - alone[0])


def test_the_area_is_a_mean_score():
    assert area_under([0, 10, 30], [[0, 1, 1], [0.5, 0.5, 0.5]]).tolist() == pytest.approx(
        [25 / 30, 0.5]
    )
    assert area_under([5], [[0.25]]).tolist() == [0.25]


def test_bad_tolerances_and_measures_are_refused():
    maps = np.zeros((2, 4, 4), int)
    with pytest.raises(EvaluationError, match="Tolerances must be numbers from 0"):
        boundary_curve(*maps, classes=2, gsd=10, tolerances_m=[-5])
    with pytest.raises(EvaluationError, match="must be positive and finite"):
        boundary_curve(*maps, classes=2, gsd=-10)
    with pytest.raises(ValueError, match="`measure` must be"):
        boundary_curve(*maps, classes=2, gsd=10, measure="dice")

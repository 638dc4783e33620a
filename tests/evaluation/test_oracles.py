"""Every metric of the detail lab against its definition, on a thousand random masks each.

250 images of four classes are a thousand masks; ignored pixels, non-square pixels and both ways of
taking the edge of the image are among them. Hausdorff and mean distances have their oracles in
`test_boundary`, from MONAI, surface-distance and exact distance transforms.
"""

import math

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import euler_number
from skimage.morphology import skeletonize

from tests.evaluation.test_boundary import blobs
from workbench.evaluation.boundary import boundary_iou, iou, trimap_iou
from workbench.evaluation.curves import boundary_curve, curve_areas
from workbench.evaluation.distances import contour_distances
from workbench.evaluation.objects import geometry, object_scores
from workbench.evaluation.structures import skeleton_scores, width_recall

pytestmark = pytest.mark.slow

IMAGES, CLASSES, IGNORED = 250, 4, 9
SPACING = (3.0, 10.0)
NEAR = {"rel": 1e-6, "abs": 1e-6, "nan_ok": True}
CROSS, SQUARE = ndimage.generate_binary_structure(2, 1), np.ones((3, 3))


@pytest.fixture(scope="module")
def maps():
    """Prediction and target, (IMAGES, 24, 27); every other target is partly ignored."""
    rng = np.random.default_rng(2026)
    pred, target = blobs(rng, IMAGES, classes=CLASSES), blobs(rng, IMAGES, classes=CLASSES)
    near = rng.random(target.shape) < 0.6
    pred = np.where(near, target, pred)  # masks that overlap, as those of models do
    target[::5][target[::5] == 3], pred[::3][pred[::3] == 3] = 0, 1  # classes that are missing
    holes = rng.random((IMAGES, 1, 1)) < 0.5
    blocks = ndimage.gaussian_filter(rng.normal(size=target.shape), (0, 3, 3)) > 0.09
    target[holes & blocks] = IGNORED
    return pred, target


def ratio(above: float, below: float) -> float:
    return above / below if below else math.nan


def each(maps):
    """Image, class, the two masks without ignored pixels, and the valid pixels."""
    pred, target = maps
    for i, k in np.ndindex(IMAGES, CLASSES):
        valid = target[i] != IGNORED
        yield i, k, (pred[i] == k) & valid, target[i] == k, valid


def band(mask, valid, distance, *, border):
    """What so many erosions by 3 × 3 remove; ignored pixels are eroded with their neighbours."""
    kept = ndimage.binary_erosion(mask | ~valid, SQUARE, distance, border_value=not border)
    return mask & ~kept


def contour(mask, valid, *, border=True):
    """Pixels with a valid neighbour of four outside of the mask."""
    return mask & ~ndimage.binary_erosion(mask | ~valid, CROSS, border_value=not border)


@pytest.mark.parametrize("border", [True, False])
def test_boundary_iou(maps, border):
    rules = {"classes": CLASSES, "border": border, "ignore_index": IGNORED}
    found = {d: boundary_iou(*maps, dilation=d, **rules) for d in (1, 3)}
    for i, k, p, t, valid in each(maps):
        for d, values in found.items():
            bands = [band(m, valid, d, border=border) for m in (p, t)]
            expected = ratio((bands[0] & bands[1]).sum(), (bands[0] | bands[1]).sum())
            assert values[i, k] == pytest.approx(expected, **NEAR)


def test_iou_and_its_accumulated_form(maps):
    found = iou(*maps, classes=CLASSES, ignore_index=IGNORED)
    counts = np.zeros((CLASSES, 2))
    for i, k, p, t, _ in each(maps):
        pair = (p & t).sum(), (p | t).sum()
        counts[k] += pair
        assert found[i, k] == pytest.approx(ratio(*pair), **NEAR)
    summed = iou(*maps, classes=CLASSES, ignore_index=IGNORED, accumulated=True)
    assert summed == pytest.approx(counts[:, 0] / counts[:, 1], **NEAR)


@pytest.mark.parametrize("border", [True, False])
def test_boundary_f1_precision_and_recall(maps, border):
    limits = [0.0, 3.0, 10.5, 25.0]
    found = contour_distances(
        *maps, classes=CLASSES, spacing=SPACING, border=border, ignore_index=IGNORED
    )
    ours = np.stack([found.precision(limits), found.recall(limits), found.boundary_f1(limits)])
    for i, k, p, t, valid in each(maps):
        edges = [contour(m, valid, border=border) for m in (p, t)]
        shares = []
        for own, other in (edges, edges[::-1]):
            away = ndimage.distance_transform_edt(~other, SPACING) if other.any() else np.inf
            away = np.broadcast_to(away, own.shape)[own]
            shares.append([(away <= limit).mean() if own.any() else 0.0 for limit in limits])
        precision, recall = np.array(shares)
        both = precision + recall
        f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
        expected = np.stack([precision, recall, f1])
        if not (edges[0].any() or edges[1].any()):
            expected[:] = np.nan
        assert ours[:, i, :, k] == pytest.approx(expected, **NEAR)


@pytest.mark.parametrize("around", ["target", "both"])
def test_trimap_iou(maps, around):
    limits = [0.0, 3.0, 12.0]
    found = trimap_iou(
        *maps,
        classes=CLASSES,
        distances=limits,
        spacing=SPACING,
        around=around,
        ignore_index=IGNORED,
    )
    near = {}
    for i, k, p, t, valid in each(maps):
        if k == 0:
            given = (maps[1][i], maps[0][i]) if around == "both" else (maps[1][i],)
            masks = [(m == c) & valid for m in given for c in range(CLASSES)]
            edge = np.any([contour(m, valid, border=False) for m in masks], axis=0)
            away = np.full(edge.shape, np.inf)
            if edge.any():
                away = ndimage.distance_transform_edt(~edge, SPACING)
            near = {limit: (away <= limit) & valid for limit in limits}
        for n, where in enumerate(near.values()):
            expected = ratio((p & t & where).sum(), ((p | t) & where).sum())
            assert found[i, n, k] == pytest.approx(expected, **NEAR)


def test_cldice_and_skeleton_recall(maps):
    found = skeleton_scores(*maps, classes=CLASSES, ignore_index=IGNORED)
    for i, k, p, t, _ in each(maps):
        shares = []
        for own, other in ((p, t), (t, p)):
            line = skeletonize(own)
            line = line if line.any() else own
            shares.append(other[line].mean() if own.any() else 0.0)
        if not (p.any() or t.any()):
            shares = [math.nan, math.nan]
        assert found.precision[i, k] == pytest.approx(shares[0], **NEAR)
        assert found.recall[i, k] == pytest.approx(shares[1], **NEAR)
        cldice = ratio(2 * shares[0] * shares[1], sum(shares)) if sum(shares) else 0.0
        assert found.cldice[i, k] == pytest.approx(cldice, **NEAR)


def test_objects_by_size(maps):
    limits = [5 * 4.0, 30 * 4.0, np.inf]  # m² at 2 m pixels
    for i, k, p, t, _ in each(maps):
        if k == 0:
            pair = [m[i] for m in maps]
            rules = {"sizes_m2": limits[:2], "gsd": 2.0, "ignore_index": IGNORED}
            table = object_scores(*pair, classes=CLASSES, **rules).set_index(["class", "to_m2"])
        (parts_p, n_p), (parts_t, n_t) = (ndimage.label(m, SQUARE) for m in (p, t))
        iou_of = np.zeros((n_p + 1, n_t + 1))
        for a, b in np.ndindex(n_p, n_t):
            one, other = parts_p == a + 1, parts_t == b + 1
            iou_of[a + 1, b + 1] = (one & other).sum() / (one | other).sum()
        areas = [4.0 * np.bincount(parts.ravel())[1:] for parts in (parts_p, parts_t)]
        size_p, size_t = (np.searchsorted(limits, area) for area in areas)
        for n, limit in enumerate(limits):
            row = table.loc[(k, limit)]
            mine, theirs = iou_of[1:, 1:][size_p == n], iou_of[1:, 1:][:, size_t == n]
            hits = theirs.max(0, initial=0), mine.max(1, initial=0)
            expected = {
                "targets": len(hits[0]),
                "predictions": len(hits[1]),
                "touched_recall": ratio((hits[0] > 0).sum(), len(hits[0])),
                "matched_recall": ratio((hits[0] > 0.5).sum(), len(hits[0])),
                "touched_precision": ratio((hits[1] > 0).sum(), len(hits[1])),
                "matched_precision": ratio((hits[1] > 0.5).sum(), len(hits[1])),
                "pq": ratio(2 * hits[0][hits[0] > 0.5].sum(), len(hits[0]) + len(hits[1])),
            }
            assert row[list(expected)].to_dict() == pytest.approx(expected, **NEAR)


@pytest.mark.filterwarnings("ignore")
def test_perimeter_fragment_and_compactness_ratios():
    from surface_distance import compute_surface_distances

    rng = np.random.default_rng(11)
    pred, target = (blobs(rng, IMAGES, classes=CLASSES) for _ in range(2))
    for i in range(IMAGES):
        table = geometry(pred[i], target[i], classes=CLASSES, gsd=2.0, border=True)
        for k, row in table.set_index("class").iterrows():
            p, t = pred[i] == k, target[i] == k
            if not (p.any() and t.any()):
                assert math.isnan(row["compactness_ratio"])
                assert math.isnan(row["perimeter_ratio"]) == (not t.any())
                continue
            lines = compute_surface_distances(t, p, (2.0, 2.0))
            long_t, long_p = (lines[f"surfel_areas_{name}"].sum() for name in ("gt", "pred"))
            fragments = [ndimage.label(m, SQUARE)[1] for m in (p, t)]
            expected = {
                "perimeter_m": long_t,
                "perimeter_ratio": long_p / long_t,
                "fragments": fragments[1],
                "fragment_ratio": fragments[0] / fragments[1],
                "compactness_ratio": (p.sum() / long_p**2) / (t.sum() / long_t**2),
                "euler_difference": euler_number(p, 2) - euler_number(t, 2),
            }
            assert row[list(expected)].to_dict() == pytest.approx(expected, **NEAR)


def test_recall_by_width(maps):
    widest = 5
    found = width_recall(
        *maps, classes=CLASSES, widths_m=[20.0, 50.0], gsd=10.0, ignore_index=IGNORED
    )
    for i, k, p, t, valid in each(maps):
        # what the edge or ignored pixels cut goes on there
        beyond = np.pad(~valid, widest + 1, constant_values=True)
        free = np.pad(t, widest + 1) | beyond
        held = [
            ndimage.binary_opening(free, np.ones((side, side))) for side in range(1, widest + 2)
        ]
        width = np.sum(held, axis=0)[widest + 1 : -widest - 1, widest + 1 : -widest - 1]
        for n, (low, high) in enumerate(((0, 2), (2, 5), (5, 99))):
            where = t & (width > low) & (width <= high)
            assert found.pixels[i, n, k] == where.sum()
            assert found.recall[i, n, k] == pytest.approx(
                ratio((p & where).sum(), where.sum()), **NEAR
            )


@pytest.mark.parametrize("elements", ["pixels", "surfels"])
def test_every_point_of_the_curve_is_the_metric_of_its_tolerance(maps, elements):
    limits = [0.0, 3.0, 7.5, 10.0, 30.0, 100.0]
    rules = {"classes": CLASSES, "ignore_index": IGNORED, "elements": elements}
    single = np.stack(
        [contour_distances(*maps, spacing=3.0, **rules).surface_dice([t])[:, 0] for t in limits], 1
    )
    for i in range(IMAGES):
        curve = boundary_curve(
            *(m[i] for m in maps), tolerances_m=limits, gsd=3.0, **rules, draws=100
        )
        points = curve["score"].to_numpy().reshape(CLASSES, -1)
        np.testing.assert_allclose(points.T, single[i], rtol=1e-6, atol=1e-6)
        area = ((points[:, 1:] + points[:, :-1]) / 2 * np.diff(limits) / 100).sum(1)
        assert curve_areas(curve).to_numpy() == pytest.approx(area, **NEAR)
    for i, k, p, t, valid in each(maps) if elements == "pixels" else ():
        edges = [contour(m, valid) for m in (p, t)]
        if edges[0].any() and edges[1].any():
            away = [ndimage.distance_transform_edt(~e, (3.0, 3.0)) for e in edges]
            both = np.concatenate([away[1][edges[0]], away[0][edges[1]]])
            expected = [(both <= limit).mean() for limit in limits]
            assert single[i, :, k] == pytest.approx(expected, **NEAR)


def test_the_masks_are_of_all_kinds(maps):
    pred, target = maps
    masks = [(bool(p.any()), bool(t.any()), bool(valid.all())) for _, _, p, t, valid in each(maps)]
    assert len(masks) == 1000
    assert len(set(masks)) >= 7  # with and without each map's class, with and without ignored
    assert 0.05 < (target == IGNORED).mean() < 0.2
    assert 0.05 < (pred != target).mean() < 0.6

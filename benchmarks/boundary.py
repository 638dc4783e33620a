"""Boundary scores of a batch of 15 classes: ours against the approaches of peers, in one run.

The batch is 8 × 512 × 512; the prediction is the truth with displaced, ragged boundaries.

ours        boundary_iou; contour_distances, then the curve of 21 tolerances, HD95, ASSD and NSD
one-hot     Boundary IoU as a common logging metric of segmentation tools computes it, written anew
            from its definition: one mask for each image and class, eroded and dilated by 3 × 3
            pooling, the difference being a two-sided band; then the IoU of the bands
MONAI       compute_hausdorff_distance (95), compute_surface_dice (one tolerance) and
            compute_average_surface_distance of one-hot maps, on the CPU

Peers are slow: at quick scale they are timed on fewer images, and times are compared per image.
"""

import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from harness import measured, parse_scale, report
from scipy import ndimage

from workbench.evaluation import boundary_iou, contour_distances
from workbench.evaluation.curves import TOLERANCES_M, area_under

IMAGES, SIDE, CLASSES, GSD = 8, 512, 15, 10.0
THICKNESS = 2  # pixels of the peer's band
PEER_IMAGES = {"quick": 2, "full": 8}


def batch() -> tuple[np.ndarray, np.ndarray]:
    """Truth of smooth regions, and a prediction with its boundaries moved by some pixels."""
    rng = np.random.default_rng(0)
    truth = np.empty((IMAGES, SIDE, SIDE), np.uint8)
    pred = np.empty_like(truth)
    y, x = np.indices((SIDE, SIDE))
    for i in range(IMAGES):
        fields = [
            ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 12) for _ in range(CLASSES)
        ]
        truth[i] = np.argmax(fields, axis=0)
        steps = [ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 3) * 30 for _ in range(2)]
        rows, columns = (
            np.clip(np.rint(at + step), 0, SIDE - 1).astype(int)
            for at, step in zip((y, x), steps, strict=True)
        )
        pred[i] = truth[i][rows, columns]
    return pred, truth


def pooled_band(masks: torch.Tensor) -> torch.Tensor:
    """Dilation less erosion of (N, 1, H, W) masks, one step of 3 × 3 at a time."""
    wide, narrow = masks, masks
    for _ in range(THICKNESS):
        wide = torch.nn.functional.max_pool2d(wide, 3, stride=1, padding=1)
        narrow = -torch.nn.functional.max_pool2d(-narrow, 3, stride=1, padding=1)
    return wide - narrow


def one_hot_boundary_iou(pred: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """IoU of two-sided bands, image by image and class by class."""
    found = np.empty((len(pred), CLASSES))
    for i, k in np.ndindex(found.shape):
        p, t = (
            pooled_band((torch.from_numpy(m[i]) == k).float()[None, None]) > 0
            for m in (pred, truth)
        )
        union = int((p | t).sum())
        found[i, k] = int((p & t).sum()) / union if union else np.nan
    return found


def monai_scores(pred: np.ndarray, truth: np.ndarray) -> list[np.ndarray]:
    """HD95, NSD at 20 m and ASSD of every image and class."""
    from monai.metrics import (
        compute_average_surface_distance,
        compute_hausdorff_distance,
        compute_surface_dice,
    )

    p, t = (
        torch.nn.functional.one_hot(torch.from_numpy(m).long(), CLASSES).movedim(-1, 1)
        for m in (pred, truth)
    )
    rules = {"include_background": True, "spacing": GSD}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [
            compute_hausdorff_distance(p, t, percentile=95, **rules),
            compute_surface_dice(p, t, [20.0] * CLASSES, **rules),
            compute_average_surface_distance(p, t, symmetric=True, **rules),
        ]
    return [values.numpy() for values in found]


def our_scores(pred: np.ndarray, truth: np.ndarray) -> list[np.ndarray]:
    """HD95, NSD at 20 m, ASSD, and the curve of 21 tolerances with its area."""
    found = contour_distances(pred, truth, classes=CLASSES, spacing=GSD)
    curve = found.surface_dice(TOLERANCES_M)
    area = area_under(TOLERANCES_M, np.moveaxis(curve, 1, -1))
    return [found.hausdorff(95), curve[:, TOLERANCES_M.index(20.0)], found.assd(), curve, area]


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Score the batch in every way, check that they agree, and report."""
    args = parse_scale(__doc__)
    few = PEER_IMAGES[args.scale]
    pred, truth = batch()
    boundary_iou(pred[:1], truth[:1], classes=CLASSES)  # what is done once is not timed
    our_scores(pred[:1], truth[:1])
    ours = measured(lambda: boundary_iou(pred, truth, classes=CLASSES, dilation=2), repeats=5)
    curve = measured(lambda: our_scores(pred, truth), repeats=3)
    monai_scores(pred[:1, :64, :64], truth[:1, :64, :64])  # its import counts for nobody
    pooled = seconds(lambda: one_hot_boundary_iou(pred[:few], truth[:few]))
    peer = measured(lambda: monai_scores(pred[:few], truth[:few]))
    for own, other in zip(curve.result, peer.result, strict=False):
        np.testing.assert_allclose(own[:few], other, rtol=1e-5)  # MONAI works in float32
    per_image = {
        "boundary IoU, ours": ours.seconds / IMAGES,
        "boundary IoU, one-hot": pooled / few,
        "curve of 21 + HD95 + NSD + ASSD, ours": curve.seconds / IMAGES,
        "HD95 + NSD + ASSD, MONAI": peer.seconds / few,
    }
    wrong = float((pred != truth).mean())
    print(f"{IMAGES} × {SIDE} × {SIDE}, {CLASSES} classes, {wrong:.1%} of the pixels wrong; "
          f"peers timed on {few} images")  # fmt: skip
    for name, value in per_image.items():
        print(f"  {name:38s} {1e3 * value:8.1f} ms an image")
    biou, _, ours_curve, monai = per_image.values()
    biou_speedup, curve_speedup = pooled / few / biou, monai / ours_curve
    peak = max(ours.peak_mb, curve.peak_mb)
    report(
        f"{IMAGES} × {SIDE} × {SIDE}, {CLASSES} classes: Boundary IoU at least 30 × faster than by "
        "pooling one-hot masks; the curve of 21 tolerances with HD95, NSD and ASSD at least 20 × "
        "faster than MONAI's HD95, NSD and ASSD; under 1 GB",
        biou_speedup >= 30 and curve_speedup >= 20 and peak < 1000,
        peak_mb=peak,
        biou_speedup=biou_speedup,
        curve_speedup=curve_speedup,
        biou_ms=1e3 * ours.seconds,
        curve_ms=1e3 * curve.seconds,
        biou_over_monai=monai / biou,
        peer_images=few,
    )


if __name__ == "__main__":
    main()

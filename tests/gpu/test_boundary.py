"""Boundary scores of maps on a CUDA device are those of the CPU."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import ndimage

from workbench.evaluation.boundary import boundary_iou
from workbench.evaluation.curves import boundary_curve
from workbench.evaluation.distances import contour_distances

pytestmark = pytest.mark.gpu

CLASSES, IGNORED = 5, 255


@pytest.fixture
def maps():
    """Predictions and targets (6, 48, 50) of some structure, part of the targets ignored."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(2):
        noise = ndimage.gaussian_filter(rng.normal(size=(6, CLASSES, 48, 50)), (0, 0, 2, 2))
        found.append(torch.from_numpy(noise.argmax(1).astype(np.uint8)))
    found[1][:, :5, :7] = IGNORED
    return found


def on_both(maps):
    return [[m.to(device) for m in maps] for device in ("cpu", "cuda")]


def test_distances_of_contours(maps):
    here, there = (
        contour_distances(*pair, classes=CLASSES, ignore_index=IGNORED) for pair in on_both(maps)
    )
    for name in ("assd", "masd", "hausdorff"):
        found = getattr(there, name)()
        assert found.device.type == "cuda"
        torch.testing.assert_close(found.cpu(), getattr(here, name)(), equal_nan=True)


@pytest.mark.parametrize("dilation", [1, 3])
def test_boundary_iou(maps, dilation):
    here, there = (
        boundary_iou(*pair, classes=CLASSES, dilation=dilation, ignore_index=IGNORED)
        for pair in on_both(maps)
    )
    assert there.device.type == "cuda"
    torch.testing.assert_close(there.cpu(), here, equal_nan=True)


@pytest.mark.parametrize("measure", ["surface_dice", "boundary_f1"])
def test_boundary_curve(maps, measure):
    here, there = (
        boundary_curve(*pair, classes=CLASSES, gsd=30.0, ignore_index=IGNORED, measure=measure)
        for pair in on_both(maps)
    )
    pd.testing.assert_frame_equal(there, here, check_exact=False, rtol=1e-5)

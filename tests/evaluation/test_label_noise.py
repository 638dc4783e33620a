"""Labels that were moved are found moved; what is certain scores alone; strides keep their
share."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from workbench.errors import EvaluationError
from workbench.evaluation.boundary import boundary_iou, iou
from workbench.evaluation.detail_bound import stride_bounds, through_stride
from workbench.evaluation.label_noise import certain_target, estimate_shift, shift_scores


def ground(seed: int = 0, n: int = 6, side: int = 64) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(n, 3, side, side))
    return ndimage.gaussian_filter(noise, (0, 0, 3, 3)).argmax(1).astype(np.uint8)


def predicted(truth: np.ndarray, seed: int = 1) -> np.ndarray:
    """The truth with ragged boundaries: some pixels take the label of a neighbour."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(truth.shape[1:])
    steps = rng.integers(-1, 2, (2, *truth.shape))
    side = truth.shape[1] - 1
    rows, columns = np.clip(y + steps[0], 0, side), np.clip(x + steps[1], 0, side)
    return truth[np.arange(len(truth))[:, None, None], rows, columns]


@pytest.mark.parametrize("seed", [0, 7, 8])
@pytest.mark.parametrize("shift", [(1, 0), (0, -1), (-1, -1), (-2, 1), (0, 0)])
def test_a_known_shift_is_recovered(shift, seed):
    truth = ground(seed)
    labels = np.roll(truth, shift, (1, 2))
    found = estimate_shift(predicted(truth, seed + 1), labels, classes=3)
    assert found.whole == shift
    assert (found.rows, found.columns) == pytest.approx(shift, abs=0.3)
    assert (found.gain > 0) == (shift != (0, 0))


def test_scores_against_shifts_are_those_of_moved_labels():
    truth = ground()
    labels = np.roll(truth, (0, 1), (1, 2))
    labels[:, :6] = 7
    table = shift_scores(truth, labels, classes=3, largest=2, ignore_index=7)
    table = table.set_index(["rows", "columns"])
    assert table.loc[(0, 1), ["miou", "boundary_iou"]].tolist() == [1, 1]
    middle = (slice(None), slice(4, -4), slice(4, -4))
    here = iou(truth[middle], labels[middle], classes=3, ignore_index=7, accumulated=True)
    assert table.loc[(0, 0), "miou"] == pytest.approx(here.mean())
    with pytest.raises(EvaluationError, match="Images must be larger than twice the largest shift"):
        shift_scores(truth, labels, classes=3, largest=40, ignore_index=7)
    with pytest.raises(EvaluationError, match="neither map has one"):
        estimate_shift(np.zeros((9, 9), int), np.zeros((9, 9), int), classes=2, largest=1)


def test_certain_pixels_lie_away_from_every_boundary():
    truth = ground()
    truth[:, :4] = 9
    sure = certain_target(truth, distance=20.0, spacing=10.0, ignore_index=9)
    for t, s in zip(truth, sure, strict=True):
        known = t != 9
        edge = np.zeros_like(known)
        for axis in (0, 1):
            a, b = np.moveaxis(t, axis, 0)[:-1], np.moveaxis(t, axis, 0)[1:]
            differ = (a != b) & (a != 9) & (b != 9)
            np.moveaxis(edge, axis, 0)[:-1] |= differ
            np.moveaxis(edge, axis, 0)[1:] |= differ
        away = 10 * ndimage.distance_transform_edt(~edge) + 5
        np.testing.assert_array_equal(s == 9, ~known | (away < 20))
    tensor = certain_target(torch.from_numpy(truth), distance=2, ignore_index=9)
    np.testing.assert_array_equal(tensor, sure)
    noisy = predicted(ground())
    score = [iou(noisy, t, classes=3, ignore_index=9, accumulated=True) for t in (truth, sure)]
    assert (score[1] > score[0]).all()
    with pytest.raises(EvaluationError, match="must be positive, not 0"):
        certain_target(truth, distance=0, ignore_index=9)


def test_a_stride_keeps_less_the_coarser_it_is():
    truth = ground()
    bounds = stride_bounds(truth, classes=3, strides=(1, 2, 4, 8), gsd=10)
    means = bounds.groupby("stride")[["iou", "boundary_iou", "curve_area"]].mean()
    assert (means.loc[1] == 1).all()
    assert (means.diff().dropna() < 0).all(axis=None)
    assert means.loc[8, "boundary_iou"] < means.loc[8, "iou"]
    coarse = through_stride(truth, stride=4, classes=3)
    found = bounds[(bounds["stride"] == 4)]["boundary_iou"]
    expected = boundary_iou(coarse, truth, classes=3, border=False, accumulated=True)
    np.testing.assert_array_equal(found, expected)


def test_what_is_wider_than_the_stride_and_on_its_grid_is_kept_and_lines_are_lost():
    truth = np.zeros((1, 32, 32), int)
    truth[0, 8:16, 8:24], truth[0, 26] = 1, 1
    kept = through_stride(truth, stride=4, classes=2, enlarged="nearest")
    assert (kept[0, 8:16, 8:24] == 1).all()
    assert (kept[0, 24:] == 0).all()
    masked = np.where(truth == 1, truth, 9)
    masked[0, 8] = 0
    filled = through_stride(masked, stride=4, classes=2, enlarged="nearest", ignore_index=9)
    assert (filled[0, 24:28] == 1).all()  # among known pixels all are lines
    with pytest.raises(EvaluationError, match="5 does not divide"):
        through_stride(truth, stride=5, classes=2)


def test_a_shift_beyond_the_search_is_found_or_said():
    """Labels moved by ten pixels: the search widens to them, or says that it stops too early."""
    rng = np.random.default_rng(17)
    whole = ndimage.gaussian_filter(rng.normal(size=(120, 120)), 4) > 0
    target, pred = whole[20:100, 20:100].astype(int), whole[20:100, 30:110].astype(int)
    found = estimate_shift(pred, target, classes=2, largest=3)
    assert found.whole == (0, 10)
    assert not found.at_edge
    assert found.searched >= 10
    short = estimate_shift(pred, target, classes=2, largest=3, widest=3)
    assert short.at_edge
    assert "at least 3 px" in str(short)

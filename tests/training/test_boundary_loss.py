"""Weights near boundaries against brute force, and what must make no boundary."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional as F

from workbench.errors import TrainingError
from workbench.training.boundary_loss import FORMS, BoundaryWeightedLoss

IGNORED = 255


def label_map(seed, size=24, ignored=0.0):
    """Blobs of three classes, (2, H, W); a share of the pixels ignored."""
    rng = np.random.default_rng(seed)
    fields = ndimage.gaussian_filter(rng.normal(size=(3, 2, size, size)), (0, 0, 3, 3))
    labels = fields.argmax(0)
    labels[rng.random(labels.shape) < ignored] = IGNORED
    return torch.from_numpy(labels)


def plain_weights(target, nearness, strength):
    """From g to weights, as the definition says."""
    known = (target != IGNORED).numpy()
    raw = np.where(known, 1 + strength * nearness, 0)
    return raw / raw[known].mean()


def plain_changes(labels):
    """Pixel by pixel: is there a labelled neighbour of another class?"""
    found = np.zeros(labels.shape, dtype=bool)
    for (y, x), value in np.ndenumerate(labels):
        for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            v, u = y + dy, x + dx
            if 0 <= v < labels.shape[0] and 0 <= u < labels.shape[1] and value != IGNORED:
                found[y, x] |= labels[v, u] not in (value, IGNORED)
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("ignored", [0.0, 0.1])
def test_band_and_gaussian_follow_their_definition(seed, ignored):
    target = label_map(seed, ignored=ignored)
    distance = np.stack([ndimage.distance_transform_edt(~plain_changes(m)) for m in target.numpy()])
    band = BoundaryWeightedLoss("band", strength=4, width=2.5, ignore_index=IGNORED)
    expected = plain_weights(target, (distance < 2.5).astype(float), 4)
    np.testing.assert_allclose(band.weights(target), expected, rtol=1e-5)
    smooth = BoundaryWeightedLoss("gaussian", strength=4, sigma=2, ignore_index=IGNORED)
    expected = plain_weights(target, np.exp(-(distance**2) / 8), 4)
    np.testing.assert_allclose(smooth.weights(target), expected, rtol=2e-3)


def test_objects_follow_u_nets_formula():
    """Three objects on background 0: distances to the nearest two, one transform for each."""
    labels = np.zeros((20, 30), dtype=np.int64)
    labels[2:8, 2:10], labels[2:8, 13:20], labels[12:18, 5:25] = 1, 1, 2
    target = torch.from_numpy(labels)[None]
    objects = [labels == 2, *(ndimage.label(labels == 1)[0] == i for i in (1, 2))]
    distances = np.sort([ndimage.distance_transform_edt(~o) for o in objects], axis=0)
    nearness = np.exp(-((distances[0] + distances[1]) ** 2) / (2 * 5**2))
    loss = BoundaryWeightedLoss("objects", strength=10, sigma=5, background=0)
    expected = plain_weights(target, nearness[None], 10)
    np.testing.assert_allclose(loss.weights(target), expected, rtol=5e-3)
    gap, open_ground = loss.weights(target)[0, 4, 11], loss.weights(target)[0, 4, 28]
    assert gap > 3 * open_ground


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ignore_index", [None, IGNORED])
def test_strength_0_is_plain_cross_entropy_bit_for_bit(form, ignore_index):
    target = label_map(1, ignored=0.2 if ignore_index else 0)
    logits = [torch.randn(2, 3, 24, 24).requires_grad_()]
    logits.append(logits[0].detach().clone().requires_grad_())
    ours = BoundaryWeightedLoss(form, strength=0, ignore_index=ignore_index)(logits[0], target)
    plain = F.cross_entropy(logits[1], target, ignore_index=ignore_index or -100)
    ours.backward(), plain.backward()
    assert torch.equal(ours, plain)
    assert torch.equal(logits[0].grad, logits[1].grad)


@pytest.mark.parametrize("form", FORMS)
def test_the_mean_weight_is_1_and_the_loss_the_weighted_mean(form):
    target = label_map(2, ignored=0.1)
    loss = BoundaryWeightedLoss(form, strength=7, ignore_index=IGNORED)
    weights, known = loss.weights(target), target != IGNORED
    assert weights[known].mean() == pytest.approx(1, rel=1e-5)
    assert (weights[~known] == 0).all()
    logits = torch.randn(2, 3, 24, 24)
    each = F.cross_entropy(logits, target, ignore_index=IGNORED, reduction="none")
    expected = (each * weights)[known].mean()
    torch.testing.assert_close(loss(logits, target), expected)
    even = torch.zeros(2, 3, 24, 24)  # every pixel costs log 3, whatever it weighs
    torch.testing.assert_close(loss(even, target), torch.tensor(3.0).log())


@pytest.mark.parametrize("form", FORMS)
def test_ignored_pixels_and_the_frame_make_no_boundary(form):
    """One class and a cross of ignored pixels: everything that is labelled weighs the same."""
    target = torch.zeros(1, 20, 20, dtype=torch.int64)
    target[0, 9:11, :] = target[0, :, 5] = IGNORED
    loss = BoundaryWeightedLoss(form, strength=9, ignore_index=IGNORED)
    weights = loss.weights(target)[target != IGNORED]
    torch.testing.assert_close(weights, torch.ones_like(weights))


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_without_labels_gives_0(form):
    logits = torch.randn(1, 3, 8, 8).requires_grad_()
    target = torch.full((1, 8, 8), IGNORED)
    loss = BoundaryWeightedLoss(form, ignore_index=IGNORED)(logits, target)
    loss.backward()
    assert loss == 0
    assert (logits.grad == 0).all()


def test_more_weight_at_boundaries_moves_the_gradient_there():
    target = label_map(3)
    near = torch.from_numpy(np.stack([plain_changes(m) for m in target.numpy()]))
    shares = []
    for strength in (0, 5):
        logits = torch.zeros(2, 3, 24, 24).requires_grad_()
        BoundaryWeightedLoss("band", strength=strength, width=1)(logits, target).backward()
        size = logits.grad.abs().sum(1)
        shares.append(float(size[near].sum() / size.sum()))
    assert shares[1] > 1.5 * shares[0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"form": "fuzzy"}, "No boundary loss 'fuzzy'"),
        ({"strength": -1}, "needs strength >= 0"),
        ({"strength": float("nan")}, "needs strength >= 0"),
        ({"width": 0}, "width > 0"),
        ({"sigma": 0}, "sigma > 0"),
    ],
)
def test_options_without_sense_are_refused(options, sentence):
    with pytest.raises(TrainingError, match=sentence):
        BoundaryWeightedLoss(**options)

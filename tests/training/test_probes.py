"""Probes against scikit-learn and planted classes, and what they leave untouched."""

import pytest
import torch
from torch import nn

from workbench.training.probes import (
    ProbeTask,
    frozen_features,
    knn_score,
    linear_score,
    probe_baselines,
)


def planted(seed, *, apart, n=90, width=12, classes=3):
    """Features of classes that lie `apart` standard deviations from the middle."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    x = torch.randn(n, width, generator=generator) + apart * torch.eye(classes, width)[y]
    return x[: n // 2], y[: n // 2], x[n // 2 :], y[n // 2 :]


@pytest.mark.parametrize("score", [knn_score, linear_score])
def test_planted_classes_are_found_and_noise_is_not(score):
    assert min(score(*planted(seed, apart=6)) for seed in range(3)) > 0.95
    blind = [score(*planted(seed, apart=0)) for seed in range(8)]
    assert 0.2 < sum(blind) / len(blind) < 0.45


def test_vote_equals_that_of_scikit_learn():
    import numpy as np
    from sklearn.neighbors import KNeighborsClassifier

    x, y, test, truth = planted(0, apart=1.5)
    middle = x.mean(dim=0)
    model = KNeighborsClassifier(7, metric="cosine", weights=lambda d: np.exp((1 - d) / 0.1))
    model.fit((x - middle).numpy(), y.numpy())
    known = model.score((test - middle).numpy(), truth.numpy())
    assert knn_score(x, y, test, truth, neighbours=7, temperature=0.1) == pytest.approx(known)


@pytest.mark.parametrize("width", [12, 80])
def test_linear_classifier_equals_that_of_scikit_learn(width):
    from sklearn.linear_model import RidgeClassifier

    x, y, test, truth = (part.numpy() for part in planted(2, apart=1.5, width=width))
    mean, std = x.mean(axis=0), x.std(axis=0)
    model = RidgeClassifier(alpha=0.05 * len(x)).fit((x - mean) / std, y)
    known = model.score((test - mean) / std, truth)
    assert 0.4 < known < 1
    assert linear_score(*planted(2, apart=1.5, width=width), penalty=0.05) == pytest.approx(known)


def test_scores_do_not_depend_on_scale_order_or_batches():
    x, y, test, truth = planted(1, apart=1.5)
    turned = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    known = linear_score(x, y, test, truth)
    assert linear_score(x[turned] * 100, y[turned], test * 100, truth) == known
    encoder = nn.Flatten()
    images = x[:, :, None, None]
    task = ProbeTask(images, y, test[:, :, None, None], truth)
    assert task(encoder, batch_size=7) == task(encoder, batch_size=64)
    assert task(encoder).linear == known
    assert task.chance == pytest.approx(1 / 3, abs=0.02)


def test_the_encoder_is_left_as_it_was():
    encoder = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Dropout(0.5))
    encoder[2].eval()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    images = torch.randn(6, 4, 1, 1, generator=torch.Generator().manual_seed(0))
    features = frozen_features(encoder, images, batch_size=4)
    assert [module.training for module in encoder] == [True, True, False]
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert not features.requires_grad
    assert not features.is_inference()


def test_one_class_alone_is_no_reason_to_fail():
    x, y, test, truth = planted(0, apart=2)
    assert linear_score(x, y * 0, test, truth * 0) == knn_score(x, y * 0, test, truth * 0) == 1


def test_a_class_for_each_image_is_asked_for():
    x, y, test, truth = planted(0, apart=2)
    with pytest.raises(ValueError, match="A probe needs one class for each of its images"):
        knn_score(x, y[:3], test, truth)
    with pytest.raises(ValueError, match="A probe needs one class"):
        linear_score(x[:0], y[:0], test, truth)


class Clipped(nn.Module):
    """BatchNorm, then values clipped to [-1, 1], then the mean and spread of each channel."""

    def __init__(self, channels, norm):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels) if norm else nn.Identity()

    def forward(self, images):
        values = self.norm(images).clamp(-1, 1)
        return torch.cat([values.mean(dim=(2, 3)), values.std(dim=(2, 3))], dim=1)


def patches_of_two_classes(*, level, texture, offset=0.0):
    """Noise of 3 channels; the second class is `level` brighter and varies `texture` times more."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(120) % 2
    noise = torch.randn(120, 3, 16, 16, generator=generator)
    noise = noise - noise.mean(dim=(2, 3), keepdim=True)
    wobble = 0.05 * torch.randn(120, 3, 1, 1, generator=generator)
    second = y[:, None, None, None]
    x = offset + wobble + level * second + 0.3 * noise * (1 + (texture - 1) * second)
    return ProbeTask(x[:60], y[:60], x[60:], y[60:])


def test_mean_spectrum_sees_brightness_and_not_texture():
    bright = probe_baselines(Clipped(3, False), patches_of_two_classes(level=1.0, texture=1.0))
    assert list(bright) == ["mean spectrum", "random weights"]
    assert bright["mean spectrum"].linear == bright["mean spectrum"].knn == 1
    rough = probe_baselines(Clipped(3, False), patches_of_two_classes(level=0.0, texture=2.0))
    assert rough["mean spectrum"].linear < 0.7
    assert rough["random weights"].linear == 1


def test_statistics_of_the_data_are_told_from_random_weights():
    task = patches_of_two_classes(level=1.0, texture=1.0, offset=50.0)
    encoder = Clipped(3, True).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    scores = probe_baselines(encoder, task, batch_size=16)
    assert scores["random weights"].linear == pytest.approx(task.chance)  # all clipped to 1
    assert scores["random weights, BatchNorm of the data"].linear == 1
    assert encoder.training
    for name, value in encoder.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)

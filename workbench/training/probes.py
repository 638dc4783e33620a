"""What frozen features are worth: a nearest-neighbour vote and a linear classifier on top of them.

Both are deterministic: no seed, no order of batches. `ProbeTask` holds a small labelled set, so
that a loop can ask for the scores every so many steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.training.batchnorm import batchnorm_layers, with_statistics_of

_TINY = 1e-12


@dataclass(frozen=True)
class ProbeScores:
    """What a probe found, on images it did not learn from."""

    knn: float
    """Accuracy of the neighbours' vote, in [0, 1]."""
    linear: float
    """Accuracy of the linear classifier, in [0, 1]."""


@dataclass(frozen=True)
class ProbeTask:
    """A small labelled set, in two parts that must not share a location."""

    train_images: Tensor
    """(N, C, H, W) as the encoder takes them, standardised."""
    train_classes: Tensor
    """(N,) int64 class of each."""
    test_images: Tensor
    """(M, C, H, W)."""
    test_classes: Tensor
    """(M,) int64."""

    def __post_init__(self) -> None:
        _check(self.train_images, self.train_classes, self.test_images, self.test_classes)

    @property
    def chance(self) -> float:
        """Accuracy of always answering the commonest class of the training part."""
        commonest = self.train_classes.bincount().argmax()
        return float((self.test_classes == commonest).float().mean())

    def __call__(self, encoder: nn.Module, *, batch_size: int = 64) -> ProbeScores:
        """Score an encoder; it is left as it was found.

        Args:
            encoder: (B, C, H, W) to (B, D).
            batch_size: Images at once.
        """
        train = frozen_features(encoder, self.train_images, batch_size=batch_size)
        test = frozen_features(encoder, self.test_images, batch_size=batch_size)
        parts = (train, self.train_classes, test, self.test_classes)
        return ProbeScores(knn_score(*parts), linear_score(*parts))


def mean_spectrum(images: Tensor) -> Tensor:
    """Average the pixels of each image: (N, C, H, W) to (N, C), features without a network."""
    return images.mean(dim=(2, 3))


def probe_baselines(
    untrained: nn.Module, task: ProbeTask, *, batch_size: int = 64
) -> dict[str, ProbeScores]:
    """Score what pretraining has to beat: the mean spectrum, and the network with random weights.

    A network with BatchNorm is scored a third time, with the statistics of its layers taken from
    the training part, which alone may move the scores.

    Args:
        untrained: The encoder before pretraining, (B, C, H, W) to (B, D); it is left as it was.
        task: The labelled set; its test part gives no statistics.
        batch_size: Images at once.

    Returns:
        Scores by name: "mean spectrum", "random weights", and where there is BatchNorm "random
        weights, BatchNorm of the data".
    """
    means = mean_spectrum(task.train_images.float()), mean_spectrum(task.test_images.float())
    parts = (means[0], task.train_classes, means[1], task.test_classes)
    scores = {
        "mean spectrum": ProbeScores(knn_score(*parts), linear_score(*parts)),
        "random weights": task(untrained, batch_size=batch_size),
    }
    if batchnorm_layers(untrained):
        twin = with_statistics_of(untrained, task.train_images, batch_size=batch_size)
        scores["random weights, BatchNorm of the data"] = task(twin, batch_size=batch_size)
    return scores


def frozen_features(
    encoder: Callable[[Tensor], Tensor], images: Tensor, *, batch_size: int = 64
) -> Tensor:
    """Encode images in evaluation mode, without gradients.

    Args:
        encoder: (B, C, H, W) to (B, D); a module is put back into its mode afterwards.
        images: (N, C, H, W), on any device.
        batch_size: Images at once.

    Returns:
        (N, D) float32 on the CPU.
    """
    modules = list(encoder.modules()) if isinstance(encoder, nn.Module) else []
    modes = [module.training for module in modules]
    device = _device(encoder, images)
    if modules:
        modules[0].eval()
    try:
        with torch.inference_mode():
            parts = [encoder(part.to(device)).float().cpu() for part in images.split(batch_size)]
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
    return torch.cat(parts).clone()  # a plain tensor again, outside of inference mode


def knn_score(
    train: Tensor,
    train_classes: Tensor,
    test: Tensor,
    test_classes: Tensor,
    *,
    neighbours: int = 20,
    temperature: float = 0.07,
) -> float:
    """Accuracy of a vote of the nearest training features, weighted by exp(cosine / temperature).

    Args:
        train: (N, D) features; they are centred on their mean, then scaled to length 1.
        train_classes: (N,) int64, >= 0.
        test: (M, D).
        test_classes: (M,).
        neighbours: Voters, at most N count.
        temperature: > 0; smaller gives the nearest more weight.

    Returns:
        In [0, 1]; a tie goes to the smaller class.

    Raises:
        ValueError: If shapes disagree or a part is empty.

    References:
        Wu et al. 2018, section 3.4, https://arxiv.org/abs/1805.01978
    """
    _check(train, train_classes, test, test_classes)
    middle = train.float().mean(dim=0)
    known = functional.normalize(train.float() - middle, dim=1)
    asked = functional.normalize(test.float() - middle, dim=1)
    cosine, nearest = (asked @ known.T).topk(min(neighbours, len(known)), dim=1)  # (M, k)
    classes = int(max(train_classes.max(), test_classes.max())) + 1
    votes = torch.zeros(len(asked), classes).scatter_add_(
        1, train_classes[nearest], (cosine / temperature).exp()
    )
    return float((votes.argmax(dim=1) == test_classes).float().mean())


def linear_score(
    train: Tensor,
    train_classes: Tensor,
    test: Tensor,
    test_classes: Tensor,
    *,
    penalty: float = 1e-2,
) -> float:
    """Accuracy of a linear classifier on standardised features: ridge regression, in closed form.

    Args:
        train: (N, D) features.
        train_classes: (N,) int64, >= 0.
        test: (M, D).
        test_classes: (M,).
        penalty: Weight of the squared coefficients, per training image, > 0.

    Returns:
        In [0, 1].

    Raises:
        ValueError: If shapes disagree or a part is empty.
    """
    _check(train, train_classes, test, test_classes)
    mean, std = train.double().mean(dim=0), train.double().std(dim=0, unbiased=False)
    known, asked = ((part.double() - mean) / std.clamp_min(_TINY) for part in (train, test))
    classes = int(max(train_classes.max(), test_classes.max())) + 1
    wanted = functional.one_hot(train_classes, classes).double() * 2 - 1  # (N, K)
    middle = wanted.mean(dim=0)
    alpha = penalty * len(known)
    if known.shape[1] <= len(known):
        gram = known.T @ known + alpha * torch.eye(known.shape[1])
        weights = torch.linalg.solve(gram, known.T @ (wanted - middle))
    else:  # the same weights from the smaller of the two systems
        gram = known @ known.T + alpha * torch.eye(len(known))
        weights = known.T @ torch.linalg.solve(gram, wanted - middle)
    answers = (asked @ weights + middle).argmax(dim=1)
    return float((answers == test_classes).float().mean())


def _check(train: Tensor, train_classes: Tensor, test: Tensor, test_classes: Tensor) -> None:
    shapes: Sequence[tuple[int, ...]] = [
        tuple(part.shape) for part in (train, train_classes, test, test_classes)
    ]
    fits = len(train) == len(train_classes) > 0 and len(test) == len(test_classes) > 0
    if not fits or train.shape[1:] != test.shape[1:]:
        raise ValueError(
            f"A probe needs one class for each of its images, in both parts, got the shapes "
            f"{', '.join(map(str, shapes))}."
        )


def _device(encoder: Callable[[Tensor], Tensor], images: Tensor) -> torch.device:
    parameters = encoder.parameters() if isinstance(encoder, nn.Module) else iter(())
    first = next(parameters, None)
    return images.device if first is None else first.device

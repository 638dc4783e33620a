"""What a network responds to: the adapter's filters by band, and tokens as a few components."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workbench.training.probes import frozen_features


class _OneLevel(nn.Module):
    """One of an encoder's feature maps as a module of its own."""

    def __init__(self, encoder: nn.Module, level: int) -> None:
        super().__init__()
        self.encoder, self.level = encoder, level

    def forward(self, images: Tensor) -> Tensor:
        """Give (B, D, h, w)."""
        maps: list[Tensor] = self.encoder.feature_maps(images)  # type: ignore[operator]
        return maps[self.level]


def filter_responses(adapter: nn.Module, spectra: Tensor) -> NDArray[np.float64]:
    """Say how strongly each output of a spectral adapter answers to each band.

    The answer is the mean absolute derivative over the given spectra: how much output k changes
    when band c changes by one (a standard deviation, if spectra are standardised).

    Args:
        adapter: (N, C, H, W) to (N, K, H, W), pixel by pixel; it is left as it was found.
        spectra: (N, C) spectra as the adapter is given them, best of real pixels.

    Returns:
        (K, C) >= 0.
    """
    was_training = adapter.training
    adapter.eval()
    given = spectra.detach().float()[:, :, None, None].clone().requires_grad_(True)
    try:
        with torch.enable_grad():
            answers = adapter(given)  # (N, K, 1, 1)
            rows = [
                torch.autograd.grad(answer.sum(), given, retain_graph=True)[0]
                for answer in answers.unbind(dim=1)
            ]
    finally:
        adapter.train(was_training)
    slopes = torch.stack(rows)[..., 0, 0]  # (K, N, C)
    return slopes.abs().mean(dim=1).double().cpu().numpy()


def order_of_filters(responses: NDArray[np.floating]) -> NDArray[np.int64]:
    """Sort filters by the middle of what they answer to, first band first.

    Args:
        responses: (K, C) >= 0.

    Returns:
        (K,) numbers of the filters.

    Example:
        >>> order_of_filters(np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])).tolist()
        [1, 2, 0]
    """
    weight = responses / np.maximum(responses.sum(axis=1, keepdims=True), 1e-12)
    return np.argsort(weight @ np.arange(responses.shape[1]), kind="stable")


def token_components(
    encoder: nn.Module, images: Tensor, *, components: int = 3, level: int = -1
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Project the tokens of some images onto their principal components, the same for all images.

    Args:
        encoder: With `feature_maps`; it is left as it was found.
        images: (B, C, H, W) as the encoder takes them.
        components: How many, at most the width of the features.
        level: Which of the feature maps, from fine to coarse; -1 is the coarsest, of a ViT its
            last block.

    Returns:
        (B, components, h, w) scores, and (components,) share of the variance each explains, in
        [0, 1]. The sign is chosen so that the largest loading is positive.
    """
    maps = frozen_features(_OneLevel(encoder, level), images)  # (B, D, h, w)
    shape = maps.shape
    tokens = maps.movedim(1, -1).reshape(-1, shape[1]).double()
    tokens = tokens - tokens.mean(dim=0)
    variance, axes = torch.linalg.eigh(tokens.T @ tokens / len(tokens))
    axes = axes.flip(1)[:, :components]  # (D, components), largest variance first
    strongest = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))
    scores = tokens @ (axes * strongest.sign())
    variance = variance.flip(0).clamp_min(0)
    share = variance[:components] / variance.sum().clamp_min(1e-12)
    pictures = scores.reshape(shape[0], *shape[2:], -1).movedim(-1, 1)
    return pictures.float().numpy(), share.numpy()

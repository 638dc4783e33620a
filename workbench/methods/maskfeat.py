"""MaskFeat: from visible tokens, tell the edges of hidden ones, band by band."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import MethodError
from workbench.methods.masking import (
    MaskedMethod,
    hidden_count,
    prediction_spread,
    variance_over_tokens,
)
from workbench.methods.pretext import PretextOutput


class MaskFeat(MaskedMethod):
    """Masked feature prediction, with histograms of oriented gradients as the feature.

    The encoder sees all places, hidden ones as a learned token; one linear layer tells the
    histograms of the hidden tokens. Where the paper has three colours and cells of 8 × 8 pixels,
    here every band has one histogram for each token: the cell is the token.

    Args:
        encoder: A ViT of workbench.models.
        mask_ratio: Fraction of tokens hidden, in (0, 1), kept exactly.
        blocks: Hide rectangles of tokens, as the paper does; else tokens one by one.
        orientations: Bins of a histogram, over 180°.
        hog_bands: Numbers of the bands whose edges are told; None: all.

    Raises:
        MethodError: If the encoder has no such band, or its token is smaller than two pixels.

    References:
        Wei et al. 2021, https://arxiv.org/abs/2112.09133.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        mask_ratio: float = 0.4,
        blocks: bool = True,
        orientations: int = 9,
        hog_bands: Sequence[int] | None = None,
    ) -> None:
        super().__init__(encoder)
        self.mask_ratio, self.blocks, self.orientations = mask_ratio, blocks, orientations
        hidden_count(math.prod(self.grid), mask_ratio)  # refuses a wrong ratio now
        self.hog_bands = list(range(self.bands)) if hog_bands is None else list(hog_bands)
        if not all(0 <= band < self.bands for band in self.hog_bands) or not self.hog_bands:
            raise MethodError(
                f"MaskFeat's hog_bands must be numbers from 0 to {self.bands - 1}, but are "
                f"{self.hog_bands}."
            )
        self.hole = nn.Parameter(torch.empty(self.width).normal_(std=0.02))
        self.predict = nn.Linear(self.width, len(self.hog_bands) * orientations)

    def forward(
        self, views: list[Tensor], generator: torch.Generator | None = None
    ) -> PretextOutput:
        """Hide tokens, and compare what is told of them with their histograms."""
        images = self.images(views)
        mask = self.drawn_mask(views, self.mask_ratio, generator, blocks=self.blocks)
        tokens = self.encoded_with_holes(images, mask, self.hole)
        target = histograms(images[:, self.hog_bands], self.token_size, self.orientations)
        told = self.predict(tokens[mask]).float()  # (hidden in all, bands · orientations)
        loss = F.mse_loss(told, target[mask])
        with torch.no_grad():
            shown = F.mse_loss(self.predict(tokens[~mask]).float(), target[~mask])
        diagnostics = {
            "masked_loss": loss.detach(),
            "visible_loss": shown,
            "prediction_spread": prediction_spread(told, target[mask]),
            "chance_loss": variance_over_tokens(target[mask]),
        }
        return PretextOutput(loss, diagnostics, tokens.detach().float().mean(1))


@torch.no_grad()
def histograms(images: Tensor, cell: int, orientations: int = 9) -> Tensor:
    """Give histograms of oriented gradients, each of unit length, as scikit-image does.

    Gradients are differences of the two neighbours, 0 at the image's edge. Directions are taken
    without sign, weighted by the gradient's size, and each counts for one bin.

    Args:
        images: (B, C, H, W)
        cell: Side of a cell, pixels; it divides H and W.
        orientations: Bins over 180°.

    Returns:
        (B, L, C · orientations) float32, cells row by row, the band slowest.
    """
    images = images.float()
    down, right = torch.zeros_like(images), torch.zeros_like(images)
    down[:, :, 1:-1] = images[:, :, 2:] - images[:, :, :-2]
    right[..., 1:-1] = images[..., 2:] - images[..., :-2]
    size = torch.hypot(down, right)
    turn = torch.atan2(down, right) % math.pi
    number = (turn * (orientations / math.pi)).long().clamp(max=orientations - 1)
    counts = [F.avg_pool2d(size * (number == k), cell) for k in range(orientations)]
    found = torch.stack(counts, dim=2)  # (B, C, orientations, H / cell, W / cell)
    found = found / (found.square().sum(2, keepdim=True) + 1e-10).sqrt()
    return found.flatten(3).flatten(1, 2).mT

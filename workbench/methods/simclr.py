"""SimCLR: tell the two views of a location from all other locations of the batch."""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from lightly.loss import NTXentLoss  # type: ignore[import-untyped]
from lightly.models.modules.heads import SimCLRProjectionHead  # type: ignore[import-untyped]
from torch import Tensor, nn

from workbench.methods.gathering import processes
from workbench.methods.pretext import (
    Family,
    PretextMethod,
    PretextOutput,
    concatenated,
    full_precision,
    retrieval,
)


class SimCLR(PretextMethod):
    """Simple contrastive learning: the negatives are the batch, gathered over all processes.

    Head and loss are lightly's. Its negatives are one batch: gradients gathered over smaller
    batches have fewer of them and learn something else; take MoCo where memory is short.

    Args:
        encoder: Trained on both views.
        hidden_dim: Width of the head's hidden layer.
        output_dim: Width of the projections.
        temperature: Of the softmax, > 0.

    References:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709 (equation 1).
    """

    family: ClassVar[Family] = "contrastive"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        hidden_dim: int = 2048,
        output_dim: int = 128,
        temperature: float = 0.1,
    ) -> None:
        super().__init__(encoder)
        self.head = SimCLRProjectionHead(self.width, hidden_dim, output_dim)
        self.loss = NTXentLoss(temperature, gather_distributed=True)

    def forward(
        self, views: list[Tensor], generator: torch.Generator | None = None
    ) -> PretextOutput:
        """Compare the first two views; further ones are not used."""
        self.require_views(views)
        features = concatenated(views[:2], self.encoder)
        one, two = (z.float() for z in self.head(torch.cat(features)).chunk(2))
        with full_precision(one):
            loss = self.loss(one, two)
        with torch.no_grad():
            cosines = F.normalize(one, dim=1) @ F.normalize(two, dim=1).T  # (B, B)
            diagnostics = {
                "positive_similarity": cosines.diagonal().mean(),
                **retrieval(one, two),
                "chance_loss": torch.tensor(math.log(2 * len(one) * processes() - 1)),
            }
        return PretextOutput(loss, diagnostics, features[0].detach().float(), one.detach())

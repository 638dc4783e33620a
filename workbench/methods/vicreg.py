"""VICReg: views agree, every output varies, and no two outputs say the same."""

from typing import ClassVar

import torch
from lightly.loss import VICRegLoss  # type: ignore[import-untyped]
from lightly.loss.vicreg_loss import (  # type: ignore[import-untyped]
    covariance_loss,
    invariance_loss,
    variance_loss,
)
from lightly.models.modules.heads import VICRegProjectionHead  # type: ignore[import-untyped]
from torch import Tensor, nn

from workbench.methods.pretext import (
    Family,
    PretextMethod,
    PretextOutput,
    full_precision,
    retrieval,
)


class VICReg(PretextMethod):
    """Variance, invariance and covariance, each a term of its own.

    Head and loss are lightly's, variance and covariance taken over all processes. They are those
    of a batch: gradients gathered over smaller batches learn something else.

    Args:
        encoder: Trained on both views.
        hidden_dim: Width of the head's hidden layers.
        output_dim: Number of outputs.
        invariance: Weight of the distance between views, >= 0.
        variance: Weight of the outputs' want of spread, >= 0.
        covariance: Weight of what outputs have in common, >= 0.

    References:
        Bardes et al. 2021, https://arxiv.org/abs/2105.04906 (equation 6).
    """

    family: ClassVar[Family] = "redundancy"
    projection_std: ClassVar[float | None] = 1.0

    def __init__(
        self,
        encoder: nn.Module,
        *,
        hidden_dim: int = 8192,
        output_dim: int = 8192,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
    ) -> None:
        super().__init__(encoder)
        self.head = VICRegProjectionHead(self.width, hidden_dim, output_dim)
        self.loss = VICRegLoss(invariance, variance, covariance, gather_distributed=True)

    def forward(
        self, views: list[Tensor], generator: torch.Generator | None = None
    ) -> PretextOutput:
        """Compare the first two views; further ones are not used."""
        self.require_views(views)
        features = [self.encoder(view) for view in views[:2]]
        one, two = (self.head(f).float() for f in features)
        with full_precision(one):
            loss = self.loss(one, two)
        with torch.no_grad(), full_precision(one):
            diagnostics = {
                "invariance": invariance_loss(one, two),
                "variance": variance_loss(one),
                "covariance": covariance_loss(one),
                "output_std": one.std(0).mean(),
                **retrieval(one, two),
            }
        return PretextOutput(loss, diagnostics, features[0].detach().float(), one.detach())

"""Barlow Twins: make the outputs of two views agree, and each output say something of its own."""

from typing import ClassVar

import torch
from lightly.loss import BarlowTwinsLoss  # type: ignore[import-untyped]
from lightly.models.modules.heads import BarlowTwinsProjectionHead  # type: ignore[import-untyped]
from torch import Tensor, nn

from workbench.methods.gathering import gathered_with_gradient
from workbench.methods.pretext import (
    Family,
    PretextMethod,
    PretextOutput,
    full_precision,
    retrieval,
)


class BarlowTwins(PretextMethod):
    """Redundancy reduction: the cross-correlation of two views is to be the identity.

    Head and loss are lightly's. The loss is given the outputs of all processes: its own way of
    sharing standardises in each process alone, which is another loss than that of one process.
    The correlation is that of a batch: gradients gathered over smaller batches learn something
    else.

    Args:
        encoder: Trained on both views.
        hidden_dim: Width of the head's two hidden layers.
        output_dim: Number of outputs that are to differ.
        off_diagonal: Weight of the part that makes outputs differ, > 0.

    References:
        Zbontar et al. 2021, https://arxiv.org/abs/2103.03230 (equation 1).
    """

    family: ClassVar[Family] = "redundancy"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        hidden_dim: int = 8192,
        output_dim: int = 8192,
        off_diagonal: float = 5e-3,
    ) -> None:
        super().__init__(encoder)
        self.head = BarlowTwinsProjectionHead(self.width, hidden_dim, output_dim)
        self.loss = BarlowTwinsLoss(off_diagonal)

    def forward(
        self, views: list[Tensor], generator: torch.Generator | None = None
    ) -> PretextOutput:
        """Correlate the first two views; further ones are not used."""
        self.require_views(views)
        features = [self.encoder(view) for view in views[:2]]
        one, two = (self.head(f).float() for f in features)
        with full_precision(one):
            loss = self.loss(gathered_with_gradient(one), gathered_with_gradient(two))
        with torch.no_grad():
            cosines = nn.functional.cosine_similarity(one - one.mean(0), two - two.mean(0), dim=0)
            diagnostics = {
                "agreement": cosines.mean(),
                "output_std": one.std(0).mean(),
                **retrieval(one, two),
                # of views that do not belong together: no output correlates with itself
                "chance_loss": loss + (1 - (1 - cosines).square()).sum(),
            }
        return PretextOutput(loss, diagnostics, features[0].detach().float(), one.detach())

"""SimSiam: two views predict each other; stopping one side's gradient is all that holds."""

from typing import ClassVar

import torch
from lightly.loss import NegativeCosineSimilarity  # type: ignore[import-untyped]
from lightly.models.modules.heads import (  # type: ignore[import-untyped]
    SimSiamPredictionHead,
    SimSiamProjectionHead,
)
from torch import Tensor, nn

from workbench.methods.pretext import Family, PretextMethod, PretextOutput, retrieval


class SimSiam(PretextMethod):
    """Simple siamese networks: no negatives, no momentum network.

    Heads and loss are lightly's. The paper also holds the predictor's learning rate constant; that
    is the training's to do, and its recipe does not. The loss is -1 both for a perfect run and for
    a collapse: watch `output_std`, which the paper wants near 1 / sqrt(output_dim).

    Args:
        encoder: Trained on both views.
        hidden_dim: Width of the projector's hidden layers.
        output_dim: Width of projections and predictions.
        bottleneck_dim: Width of the predictor's hidden layer.

    References:
        Chen and He 2020, https://arxiv.org/abs/2011.10566 (Algorithm 1).
    """

    family: ClassVar[Family] = "distillation"

    def __init__(
        self,
        encoder: nn.Module,
        *,
        hidden_dim: int = 2048,
        output_dim: int = 2048,
        bottleneck_dim: int = 512,
    ) -> None:
        super().__init__(encoder)
        self.head = SimSiamProjectionHead(self.width, hidden_dim, output_dim)
        self.predictor = SimSiamPredictionHead(output_dim, bottleneck_dim, output_dim)
        self.loss = NegativeCosineSimilarity()

    def forward(
        self, views: list[Tensor], generator: torch.Generator | None = None
    ) -> PretextOutput:
        """Predict each of the first two views from the other; further ones are not used."""
        self.require_views(views)
        features = [self.encoder(view) for view in views[:2]]
        said = [self.head(f) for f in features]
        predicted = [self.predictor(z).float() for z in said]
        one, two = (z.detach().float() for z in said)
        loss = (self.loss(predicted[0], two) + self.loss(predicted[1], one)) / 2
        unit = nn.functional.normalize(one, dim=1)
        diagnostics = {"output_std": unit.std(0).mean(), "positive_similarity": -loss.detach()}
        diagnostics |= retrieval(one, two)
        return PretextOutput(loss, diagnostics, features[0].detach().float(), one)

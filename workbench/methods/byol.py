"""BYOL: predict what a slow copy of oneself says of the other view, without negatives."""

from typing import ClassVar

import torch
from lightly.loss import NegativeCosineSimilarity  # type: ignore[import-untyped]
from lightly.models.modules.heads import (  # type: ignore[import-untyped]
    BYOLPredictionHead,
    BYOLProjectionHead,
)
from torch import Tensor, nn

from workbench.methods.momentum import cosine, follow, momentum_copy
from workbench.methods.pretext import Family, PretextMethod, PretextOutput, retrieval


class BYOL(PretextMethod):
    """Bootstrap your own latent.

    Heads and the cosine are lightly's; the loss is the paper's, 2 - 2 cos for each direction, so
    that it lies in [0, 8] for both. Each view has a pass of its own, as the paper's BatchNorm has.

    Args:
        encoder: Trained as the online network.
        hidden_dim: Width of the hidden layers of projector and predictor.
        output_dim: Width of projections and predictions.
        momentum: Of the target network at the start, in [0, 1]; it goes to 1 along a cosine.

    References:
        Grill et al. 2020, https://arxiv.org/abs/2006.07733 (equation 2).
    """

    family: ClassVar[Family] = "distillation"
    motion: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        *,
        hidden_dim: int = 4096,
        output_dim: int = 256,
        momentum: float = 0.996,
    ) -> None:
        super().__init__(encoder)
        self.momentum = momentum
        self.head = BYOLProjectionHead(self.width, hidden_dim, output_dim)
        self.predictor = BYOLPredictionHead(output_dim, hidden_dim, output_dim)
        self.teacher_encoder = momentum_copy(encoder)
        self.teacher_head = momentum_copy(self.head)
        self.similarity = NegativeCosineSimilarity()
        self.register_buffer("motion", torch.zeros(()))

    def forward(
        self, views: list[Tensor], generator: torch.Generator | None = None
    ) -> PretextOutput:
        """Predict each of the first two views from the other; further ones are not used."""
        self.require_views(views)
        features = [self.encoder(view) for view in views[:2]]
        projected = [self.head(f) for f in features]
        predicted = [self.predictor(z).float() for z in projected]
        with torch.no_grad():
            wanted = [self.teacher_head(self.teacher_encoder(v)).float() for v in views[:2]]
        cosines = [-self.similarity(p, w) for p, w in zip(predicted, reversed(wanted), strict=True)]
        loss = 4 - 2 * (cosines[0] + cosines[1])
        diagnostics = {"positive_similarity": (cosines[0] + cosines[1]).detach() / 2}
        diagnostics |= retrieval(predicted[0].detach(), wanted[1])
        if self.progress < 0.99:  # at the end the paper's schedule lets the target stand
            diagnostics["teacher_motion"] = self.motion.clone()
        projections = projected[0].detach().float()
        return PretextOutput(loss, diagnostics, features[0].detach().float(), projections)

    @torch.no_grad()
    def update(self, progress: float) -> None:
        """Let the target network follow."""
        super().update(progress)
        momentum = cosine(progress, self.momentum, 1.0)
        self.motion.copy_(follow(self.encoder, self.teacher_encoder, momentum))
        follow(self.head, self.teacher_head, momentum)

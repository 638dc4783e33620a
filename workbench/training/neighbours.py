"""Nearest neighbours as a model: the labels of the most similar training images, averaged."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.errors import TrainingError


class NeighbourModel(nn.Module):
    """Votes of the most similar training images, by the cosine of frozen features.

    Args:
        encoder: (B, C, H, W) to (B, D).
        features: (N, D) of the training images.
        labels: (N, K) 0 or 1.
        neighbours: How many vote; all of them if there are fewer images.

    Raises:
        TrainingError: If there is no training image.
    """

    memory: Tensor
    labels: Tensor

    def __init__(
        self, encoder: nn.Module, features: Tensor, labels: Tensor, neighbours: int = 10
    ) -> None:
        super().__init__()
        if len(features) == 0:
            raise TrainingError("Neighbours need at least one training image, got none.")
        self.encoder = encoder
        self.neighbours = min(neighbours, len(features))
        self.register_buffer("memory", functional.normalize(features.float(), dim=1))
        self.register_buffer("labels", labels.float())

    def features(self, images: Tensor) -> list[Tensor]:
        """Give [(B, D)]."""
        return [self.encoder(images)]

    def decode(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Give (B, K) logits of the share of the votes, with one vote of each kind added."""
        alike = functional.normalize(features[0].float(), dim=1) @ self.memory.T
        votes = self.labels[alike.topk(self.neighbours, dim=1).indices].sum(1)
        return torch.logit((votes + 1) / (self.neighbours + 2))

    def forward(self, images: Tensor) -> Tensor:
        """Give (B, K) logits of images (B, C, H, W)."""
        return self.decode(self.features(images), (images.shape[2], images.shape[3]))

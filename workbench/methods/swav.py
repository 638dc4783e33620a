"""SwAV: predict from one view to which cluster the other view of a location belongs."""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from lightly.loss import SwaVLoss  # type: ignore[import-untyped]
from lightly.models.modules.heads import SwaVProjectionHead  # type: ignore[import-untyped]
from torch import Tensor, nn

from workbench.errors import MethodError
from workbench.methods.gathering import gathered, processes, rank
from workbench.methods.pretext import (
    Family,
    PretextMethod,
    PretextOutput,
    concatenated,
    full_precision,
)


class SwAV(PretextMethod):
    """Swapped assignments between views, with multi-crop.

    Head, loss and Sinkhorn's algorithm are lightly's, the assignments balanced over all processes.
    The prototypes are our own: lightly's have a bias, which the paper's have not. They go back to
    unit length in `update`. For batches much smaller than the number of prototypes the paper
    balances over a queue of earlier projections too: `queue_size`.

    Args:
        encoder: Trained on all views.
        global_views: Number of views of full size, which are assigned; further ones only predict.
        hidden_dim: Width of the head's hidden layer.
        output_dim: Width of the projections.
        prototypes: Number of clusters.
        temperature: Of the prediction, > 0.
        epsilon: Of Sinkhorn's algorithm, > 0: the smaller, the harder the assignments.
        iterations: Of Sinkhorn's algorithm.
        freeze_prototypes: Share of the training in which the prototypes stand still.
        queue_size: Projections of earlier steps, of each global view and over all processes, that
            are assigned with the batch; 0: none.
        queue_from: Share of the training from which they are.

    References:
        Caron et al. 2020, https://arxiv.org/abs/2006.09882 (equations 1 to 5).
    """

    family: ClassVar[Family] = "clustering"
    queue: Tensor
    filled: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        *,
        global_views: int = 2,
        hidden_dim: int = 2048,
        output_dim: int = 128,
        prototypes: int = 3000,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        iterations: int = 3,
        freeze_prototypes: float = 0.00125,
        queue_size: int = 0,
        queue_from: float = 0.075,
    ) -> None:
        super().__init__(encoder)
        if min(temperature, epsilon) <= 0:
            raise MethodError(
                "SwAV needs a temperature and an epsilon > 0, but got one that is not."
            )
        self.global_views, self.freeze_prototypes = global_views, freeze_prototypes
        self.queue_from = queue_from
        self.head = SwaVProjectionHead(self.width, hidden_dim, output_dim)
        self.prototypes = nn.Linear(output_dim, prototypes, bias=False)
        self.loss = SwaVLoss(temperature, iterations, epsilon, sinkhorn_gather_distributed=True)
        self.register_buffer("queue", torch.zeros(global_views, queue_size, output_dim))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))
        self._waiting: list[Tensor] = []
        self._to_unit_length()

    def forward(
        self, views: list[Tensor], generator: torch.Generator | None = None
    ) -> PretextOutput:
        """Assign the global views to prototypes, and predict each from every other view."""
        self.require_views(views)
        features = concatenated(views, self.encoder)
        projected = [F.normalize(self.head(f).float(), dim=1) for f in features]
        weight = self.prototypes.weight
        if self.progress < self.freeze_prototypes:  # 0 times: still in use, to parallel training
            weight = weight.detach() + 0.0 * weight
        with full_precision(weight):
            scores = [F.linear(z, weight) for z in projected]
            seen, local = scores[: self.global_views], scores[self.global_views :]
            loss: Tensor = self.loss(seen, local, self._queued(weight))[0]
        if self.training and torch.is_grad_enabled() and self.queue.shape[1]:
            self._waiting.append(torch.stack(projected[: self.global_views], dim=1).detach())
        seen_first = projected[0].detach()
        return PretextOutput(
            loss, self._diagnostics(seen), features[0].detach().float(), seen_first
        )

    @torch.no_grad()
    def update(self, progress: float) -> None:
        """Bring the prototypes back to unit length, and this step's projections into the queue."""
        super().update(progress)
        self._to_unit_length()
        for projections in self._waiting:
            newest = gathered(projections).transpose(0, 1)  # (V, N, P)
            size = self.queue.shape[1]
            self.queue.copy_(torch.cat([newest, self.queue], dim=1)[:, :size])
            self.filled.copy_((self.filled + newest.shape[1]).clamp(max=size))
        self._waiting.clear()

    @torch.no_grad()
    def _queued(self, weight: Tensor) -> list[Tensor] | None:
        """Scores of the queue for each global view, once it is full and its time has come."""
        size = self.queue.shape[1]
        if not size or self.progress < self.queue_from or int(self.filled) < size:
            return None
        own = size // processes()  # the assignments are balanced over the parts of all processes
        start = rank() * own
        return [F.linear(earlier[start : start + own], weight) for earlier in self.queue]

    @torch.no_grad()
    def _to_unit_length(self) -> None:
        self.prototypes.weight.copy_(F.normalize(self.prototypes.weight, dim=1))

    @torch.no_grad()
    def _diagnostics(self, scores: list[Tensor]) -> dict[str, Tensor]:
        shares = (torch.cat(scores) / self.loss.temperature).softmax(1)
        used = shares.argmax(1).unique().numel() / min(shares.shape)
        return {
            "prediction_entropy": torch.special.entr(shares).sum(1).mean(),  # nats
            "prototypes_used": torch.tensor(used),  # of those that the batch could use
            "chance_loss": torch.tensor(math.log(shares.shape[1])),
        }

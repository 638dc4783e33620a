"""MoCo-v2: tell a location from thousands of others, which a queue of keys remembers."""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from lightly.models.modules.heads import MoCoProjectionHead  # type: ignore[import-untyped]
from torch import Tensor, nn

from workbench.errors import MethodError
from workbench.methods.gathering import gathered, put_back, shuffled
from workbench.methods.momentum import follow, momentum_copy
from workbench.methods.pretext import Family, PretextMethod, PretextOutput, full_precision


class MoCo(PretextMethod):
    """Momentum contrast, second version.

    The query is a view of a location, its positive key another view seen by a momentum network,
    and its negatives are the keys of earlier steps. Defaults are the paper's.

    The queue of lightly's memory bank is not used: it drops what goes beyond its end, and is not
    part of a checkpoint. Ours goes round, and a resumed run finds it as it was. Keys enter in
    `update`, in the order of their batches, so a step gathered from several smaller batches sees
    the same negatives in each. With several processes each one's keys enter all queues.

    **Shuffled BatchNorm.** With BatchNorm in the encoder, the positive can be told by the
    statistics of its batch. The paper lets each GPU normalise a random share of the keys; so do
    we with several processes. Within one process there is no other share, and the leak stays;
    synchronised BatchNorm and encoders with LayerNorm have no use for the shuffle.

    Args:
        encoder: Trained as the query network.
        output_dim: Width of the keys.
        hidden_dim: Width of the head's hidden layer; None: the encoder's width.
        head_norm: BatchNorm in the head.
        queue_size: Number of keys remembered.
        temperature: Of the softmax, > 0.
        momentum: Of the key network, in [0, 1].
        shuffle: Shuffle the keys between processes before the key network sees them.
        copy_at_start: Start the key network as a copy. False draws it anew, which is a defect of
            published code, for those who must repeat it.

    References:
        He et al. 2020, https://arxiv.org/abs/1911.05722 (Algorithm 1); Chen et al. 2020,
        https://arxiv.org/abs/2003.04297.
    """

    family: ClassVar[Family] = "contrastive"
    queue: Tensor
    position: Tensor
    entered: Tensor
    steps: Tensor
    motion: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        *,
        output_dim: int = 128,
        hidden_dim: int | None = None,
        head_norm: bool = False,
        queue_size: int = 65_536,
        temperature: float = 0.2,
        momentum: float = 0.999,
        shuffle: bool = True,
        copy_at_start: bool = True,
    ) -> None:
        super().__init__(encoder)
        if queue_size < 1 or temperature <= 0:
            raise MethodError(
                "MoCo needs a queue_size >= 1 and a temperature > 0, but got "
                f"{queue_size} and {temperature}."
            )
        self.temperature, self.momentum, self.shuffle = temperature, momentum, shuffle
        hidden = hidden_dim or self.width
        self.head = MoCoProjectionHead(self.width, hidden, output_dim, batch_norm=head_norm)
        self.key_encoder = momentum_copy(encoder, same_weights=copy_at_start)
        self.key_head = momentum_copy(self.head, same_weights=copy_at_start)
        self.register_buffer("queue", F.normalize(torch.randn(queue_size, output_dim), dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.long))
        self.register_buffer("entered", torch.full((queue_size,), -1))  # in which step; -1: random
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.register_buffer("motion", torch.zeros(()))
        self._waiting: list[Tensor] = []

    def forward(
        self, views: list[Tensor], generator: torch.Generator | None = None
    ) -> PretextOutput:
        """Ask for each query of view 1 which key is that of view 2; further views are not used."""
        self.require_views(views)
        features = self.encoder(views[0])
        queries = F.normalize(self.head(features).float(), dim=1)
        keys = self.keys(views[1], generator)
        loss, logits = info_nce(queries, keys, self.queue, self.temperature)
        if self.training and torch.is_grad_enabled():
            self._waiting.append(keys)
        diagnostics = self._diagnostics(logits.detach())
        return PretextOutput(loss, diagnostics, features.detach().float(), queries.detach())

    @torch.no_grad()
    def keys(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Give the unit keys (B, P) of images as the momentum network sees them."""
        if self.shuffle:
            images, order = shuffled(images, generator)
        keys = F.normalize(self.key_head(self.key_encoder(images)).float(), dim=1)
        return put_back(keys, order) if self.shuffle else keys

    @torch.no_grad()
    def update(self, progress: float) -> None:
        """Let the key network follow, and the step's keys enter the queue."""
        super().update(progress)
        self.motion.copy_(follow(self.encoder, self.key_encoder, self.momentum))
        follow(self.head, self.key_head, self.momentum)
        self.steps += 1
        for keys in self._waiting:
            self._enter(gathered(keys))
        self._waiting.clear()

    def _enter(self, keys: Tensor) -> None:
        """Overwrite the oldest keys of the queue by new ones, going round at its end."""
        size = len(self.queue)
        newest = keys[-size:]
        places = (self.position + torch.arange(len(newest), device=keys.device)) % size
        self.queue[places] = newest
        self.entered[places] = self.steps
        self.position.copy_((self.position + len(newest)) % size)

    def _diagnostics(self, logits: Tensor) -> dict[str, Tensor]:
        known = self.entered >= 0
        age = ((self.steps - self.entered) * known).sum() / known.sum().clamp(min=1)
        similarity = logits * self.temperature
        return {
            "positive_similarity": similarity[:, 0].mean(),
            "negative_similarity": similarity[:, 1:].mean(),
            "top1": (logits.argmax(1) == 0).float().mean(),
            "queue_age": age,  # steps, mean over the keys
            "queue_newest": self.steps - self.entered.max(),
            "queue_filled": known.float().mean(),
            "teacher_motion": self.motion.clone(),  # of the key network, in the last step
            "chance_loss": torch.tensor(math.log(logits.shape[1])),
        }


def info_nce(
    queries: Tensor, keys: Tensor, negatives: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Compute the contrastive loss against a set of negatives.

    Args:
        queries: (B, P) of unit length.
        keys: (B, P) of unit length, the positive of each query.
        negatives: (K, P) of unit length, the same for all queries.
        temperature: > 0.

    Returns:
        The mean cross-entropy, a scalar, and the logits (B, 1 + K), the positive first.

    References:
        He et al. 2020, equation 1.
    """
    with full_precision(queries):
        positive = (queries * keys).sum(1, keepdim=True)  # (B, 1)
        logits = torch.cat([positive, queries @ negatives.T], dim=1) / temperature
        target = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
        return F.cross_entropy(logits, target), logits

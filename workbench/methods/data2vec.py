"""data2vec: from visible tokens, tell what a slow teacher makes of hidden ones in context."""

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import MethodError
from workbench.methods.masking import MaskedMethod, hidden_count, prediction_spread
from workbench.methods.momentum import follow, momentum_copy
from workbench.methods.pretext import Family, PretextOutput


class Data2Vec(MaskedMethod):
    """Self-distillation of contextualised tokens.

    The teacher, a momentum network, sees the whole image; the mean of its last blocks' outputs,
    each standardised over the width, is what the student tells of hidden tokens, which it sees as
    a learned token. Watch `target_std`: it falls to 0 in a collapse.

    Args:
        encoder: A ViT of workbench.models, with `block_outputs`.
        mask_ratio: Fraction of tokens hidden, in (0, 1), kept exactly.
        blocks: Hide rectangles of tokens, as the paper does; else tokens one by one.
        last_blocks: Number of the teacher's blocks in the mean; at most all.
        beta: Error at which the loss goes from a square to a straight line, > 0.
        momentum: Of the teacher at the start, in [0, 1].
        momentum_end: Of the teacher at the end, reached in a straight line; both the same for
            images in the paper.

    Raises:
        MethodError: If the encoder has no `block_outputs`.

    References:
        Baevski et al. 2022, https://arxiv.org/abs/2202.03555 (equations 1 and 2).
    """

    family: ClassVar[Family] = "distillation"
    motion: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        *,
        mask_ratio: float = 0.6,
        blocks: bool = True,
        last_blocks: int = 6,
        beta: float = 2.0,
        momentum: float = 0.9998,
        momentum_end: float = 0.9998,
    ) -> None:
        super().__init__(encoder)
        if not callable(getattr(encoder, "block_outputs", None)):
            raise MethodError(
                "Data2Vec learns from the blocks of a ViT, but "
                f"{type(encoder).__name__} has no `block_outputs`."
            )
        self.mask_ratio, self.blocks, self.beta = mask_ratio, blocks, beta
        hidden_count(math.prod(self.grid), mask_ratio)  # refuses a wrong ratio now
        depth: Any = encoder.blocks
        self.last_blocks = min(last_blocks, len(depth))
        self.momenta = (momentum, momentum_end)
        self.hole = nn.Parameter(torch.empty(self.width).normal_(std=0.02))
        self.predict = nn.Linear(self.width, self.width)
        self.teacher_encoder = momentum_copy(encoder)
        self.register_buffer("motion", torch.zeros(()))

    def forward(
        self, views: list[Tensor], generator: torch.Generator | None = None
    ) -> PretextOutput:
        """Hide tokens from the student, and compare what it tells with the teacher's."""
        images = self.images(views)
        mask = self.drawn_mask(views, self.mask_ratio, generator, blocks=self.blocks)
        target = self.targets(images)
        tokens = self.encoded_with_holes(images, mask, self.hole)
        told, wanted = self.predict(tokens[mask]).float(), target[mask]
        loss = F.smooth_l1_loss(told, wanted, beta=self.beta)
        diagnostics = {
            "masked_loss": loss.detach(),
            "target_std": target.flatten(0, 1).std(0).mean(),
            "prediction_spread": prediction_spread(told, wanted),
            "chance_loss": F.smooth_l1_loss(
                wanted.mean(0, keepdim=True).expand_as(wanted), wanted, beta=self.beta
            ),
            "teacher_motion": self.motion.clone(),
        }
        return PretextOutput(loss, diagnostics, tokens.detach().float().mean(1))

    @torch.no_grad()
    def targets(self, images: Tensor) -> Tensor:
        """Give the teacher's tokens: (B, L, D) float32, the mean of its last blocks."""
        outputs: Any = self.teacher_encoder.block_outputs
        found = [
            F.layer_norm(tokens[:, 1:].float(), tokens.shape[-1:])
            for tokens in outputs(images, last=self.last_blocks)
        ]
        return torch.stack(found).mean(0)

    @torch.no_grad()
    def update(self, progress: float) -> None:
        """Let the teacher follow."""
        super().update(progress)
        start, end = self.momenta
        momentum = start + (end - start) * progress
        self.motion.copy_(follow(self.encoder, self.teacher_encoder, momentum))

"""A small student learns from a large teacher: its pooled features, its tokens, or both.

It is a pretext method like the others: `pretrain` trains it, and the student is what is delivered.
"""

from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.errors import MethodError
from workbench.methods.pretext import Family, PretextMethod, PretextOutput, encoder_size


class Distillation(PretextMethod):
    """Feature and token distillation from a frozen teacher.

    The student's features go through a linear layer to the teacher's width, and are compared with
    the teacher's after both are normalised to mean 0 and deviation 1, feature by feature vector.
    Tokens are compared at the coarser of the two grids, to which the finer one is averaged; so
    student and teacher may differ in token size, and a ResNet may learn from a transformer.

    The teacher is frozen and in evaluation mode: its BatchNorm does not move either.

    Args:
        encoder: The student.
        teacher: A pretrained encoder of the same bands, as `load_checkpoint` gives it.
        features: Weight of the loss on pooled features, >= 0.
        tokens: Weight of the loss on tokens, >= 0.

    Raises:
        MethodError: If the two take different bands, or both weights are 0.

    References:
        Romero et al. 2015, https://arxiv.org/abs/1412.6550; Wei et al. 2022,
        https://arxiv.org/abs/2205.14141 (normalised targets).
    """

    family: ClassVar[Family] = "distillation"
    views_needed: ClassVar[int] = 1
    smallest_batch: ClassVar[int] = 1

    def __init__(
        self,
        encoder: nn.Module,
        teacher: nn.Module,
        *,
        features: float = 1.0,
        tokens: float = 1.0,
    ) -> None:
        super().__init__(encoder)
        bands = [getattr(network, "bands", None) for network in (encoder, teacher)]
        if bands[0] != bands[1]:
            raise MethodError(
                f"Student and teacher must take the same bands, but take {bands[0]} and {bands[1]}."
            )
        if min(features, tokens) < 0 or features + tokens == 0:
            raise MethodError(
                "Distillation needs weights >= 0 of which one is above 0, but got "
                f"features={features} and tokens={tokens}."
            )
        self.weights = (features, tokens)
        self.teacher = teacher.requires_grad_(False).eval()
        width = encoder_size(teacher, "width", for_whom="Distillation")
        self.to_features = nn.Linear(self.width, width) if features else None
        self.to_tokens = nn.Linear(self.width, width) if tokens else None

    def train(self, mode: bool = True) -> Self:
        """Switch the student's mode; the teacher stays in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(
        self, views: list[Tensor], generator: torch.Generator | None = None
    ) -> PretextOutput:
        """Compare student and teacher on every view."""
        self.require_views(views)
        parts = [self._compare(view) for view in views]
        loss = torch.stack([part[0] for part in parts]).mean()
        names = parts[0][2]
        diagnostics = {n: torch.stack([part[2][n] for part in parts]).mean() for n in names}
        return PretextOutput(loss, diagnostics, parts[0][1].detach().float())

    def _compare(self, images: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Loss, the student's pooled features, and diagnostics of one view."""
        with_tokens = self.to_tokens is not None
        ours, our_map = pooled_and_map(self.encoder, images, with_map=with_tokens)
        with torch.no_grad():
            theirs, their_map = pooled_and_map(self.teacher, images, with_map=with_tokens)
        diagnostics = {}
        loss = torch.zeros((), device=images.device)
        if self.to_features is not None:
            found = distance_to(self.to_features(ours), theirs)
            diagnostics["features_loss"] = found.detach()
            loss = loss + self.weights[0] * found
        if self.to_tokens is not None:
            assert our_map is not None
            assert their_map is not None
            our_map, their_map = at_one_grid(our_map, their_map)
            tokens, targets = (m.flatten(2).transpose(1, 2) for m in (our_map, their_map))
            found = distance_to(self.to_tokens(tokens), targets)
            diagnostics["tokens_loss"] = found.detach()
            loss = loss + self.weights[1] * found
        return loss, ours, diagnostics


def distance_to(found: Tensor, target: Tensor) -> Tensor:
    """Mean smooth-L1 distance of feature vectors (..., D), each normalised: a scalar float32."""
    size = target.shape[-1:]
    ours, theirs = F.layer_norm(found.float(), size), F.layer_norm(target.float(), size)
    return F.smooth_l1_loss(ours, theirs)


def pooled_and_map(
    encoder: nn.Module, images: Tensor, *, with_map: bool
) -> tuple[Tensor, Tensor | None]:
    """Give pooled features (B, D), and the last feature map (B, D, h, w), in one pass if it can be.

    Args:
        encoder: A transformer with `forward_tokens`, or a network with `feature_maps`.
        images: (B, C, H, W).
        with_map: Whether the map is wanted.
    """
    if not with_map:
        return encoder(images), None
    if hasattr(encoder, "forward_tokens"):
        tokens: Tensor = encoder.forward_tokens(images)  # type: ignore[operator]
        grid = encoder.grid(images)  # type: ignore[operator]
        return tokens[:, 0], tokens[:, 1:].transpose(1, 2).unflatten(2, grid)
    last: Tensor = encoder.feature_maps(images)[-1]  # type: ignore[operator]
    return last.mean((2, 3)), last


def at_one_grid(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """Average the finer of two maps to the grid of the coarser one."""
    height = min(ours.shape[2], theirs.shape[2])
    width = min(ours.shape[3], theirs.shape[3])
    first, second = (F.adaptive_avg_pool2d(m, (height, width)) for m in (ours, theirs))
    return first, second

"""DINO: a student learns what its own slow teacher says of other views, without negatives."""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from lightly.loss import DINOLoss  # type: ignore[import-untyped]
from lightly.models.modules.heads import ProjectionHead  # type: ignore[import-untyped]
from torch import Tensor, nn

from workbench.errors import MethodError
from workbench.methods.gathering import summed
from workbench.methods.momentum import cosine, follow, momentum_copy
from workbench.methods.pretext import (
    Family,
    PretextMethod,
    PretextOutput,
    concatenated,
    full_precision,
)


class DINO(PretextMethod):
    """Self-distillation with no labels, with multi-crop.

    The first `global_views` views are of full size and go to student and teacher; all further ones
    are local crops and go to the student only. Views of one size share a pass. Defaults are the
    paper's for a ViT-S; `teacher_temperature` with its warm-up and `momentum` are what its authors
    advise to change first.

    The loss is lightly's, the centre is not: lightly (1.6) moves it in every forward pass, so that
    gradients gathered over n batches move it n times. Ours collects the teacher's outputs and moves
    once, in `update`, by the mean over all batches and processes of the step.

    The trained encoder is the student. The paper evaluates `teacher_encoder`.

    Args:
        encoder: Trained as the student.
        global_views: Number of views of full size.
        hidden_dim: Width of the head's two hidden layers.
        bottleneck_dim: Width of the head before its last layer.
        output_dim: Number of prototypes.
        head_norm: BatchNorm in the head; the paper has it with no ViT.
        norm_last_layer: Keep the prototypes at unit length.
        student_temperature: > 0.
        teacher_temperature: > 0, at the end of its warm-up.
        teacher_temperature_start: > 0, at the start.
        temperature_warmup: Share of the training in which it goes from one to the other.
        freeze_last_layer: Share of the training in which the prototypes stand still.
        momentum: Of the teacher at the start, in [0, 1].
        momentum_end: Of the teacher at the end.
        momentum_until: Share of the training at which the end is reached. Published code ends
            after a tenth of its epochs: a teacher that from then on stands still.
        center_momentum: In [0, 1].
        copy_head_at_start: Start the teacher's head as a copy too. False draws it anew, which is
            a defect of published code, for those who must repeat it.

    References:
        Caron et al. 2021, https://arxiv.org/abs/2104.14294 (Algorithm 1).
    """

    family: ClassVar[Family] = "distillation"
    smallest_batch: ClassVar[int] = 1
    has_projections: ClassVar[bool] = False  # similarities to prototypes: entropies tell of those
    motion: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        *,
        global_views: int = 2,
        hidden_dim: int = 2048,
        bottleneck_dim: int = 256,
        output_dim: int = 65_536,
        head_norm: bool = False,
        norm_last_layer: bool = True,
        student_temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        teacher_temperature_start: float = 0.04,
        temperature_warmup: float = 0.0,
        freeze_last_layer: float = 0.01,
        momentum: float = 0.996,
        momentum_end: float = 1.0,
        momentum_until: float = 1.0,
        center_momentum: float = 0.9,
        copy_head_at_start: bool = True,
    ) -> None:
        super().__init__(encoder)
        if min(student_temperature, teacher_temperature, teacher_temperature_start) <= 0:
            raise MethodError("DINO needs temperatures > 0, but got one that is not.")
        self.global_views = global_views
        self.temperatures = (teacher_temperature_start, teacher_temperature, temperature_warmup)
        self.freeze_last_layer = freeze_last_layer
        self.momenta = (momentum, momentum_end, momentum_until)
        self.head = DINOHead(
            self.width, hidden_dim, bottleneck_dim, output_dim, head_norm, norm_last_layer
        )
        self.teacher_encoder = momentum_copy(encoder)
        self.teacher_head = momentum_copy(self.head, same_weights=copy_head_at_start)
        self.loss = CenteredLoss(output_dim, student_temperature, center_momentum)
        self.register_buffer("motion", torch.zeros(()))

    def forward(
        self, views: list[Tensor], generator: torch.Generator | None = None
    ) -> PretextOutput:
        """Compare the student's word on every view with the teacher's on every other global one."""
        self.require_views(views)
        features = concatenated(views, self.encoder)
        freeze = self.progress < self.freeze_last_layer
        student = [self.head(f, freeze_last=freeze).float() for f in features]
        with torch.no_grad():
            seen = concatenated(views[: self.global_views], self.teacher_encoder)
            teacher = [self.teacher_head(f).float() for f in seen]
        temperature = self.teacher_temperature
        watching = not (self.training and torch.is_grad_enabled())
        loss = self.loss(teacher, student, temperature, keep=not watching)
        diagnostics = self._diagnostics(torch.cat(teacher), student[0].detach(), temperature)
        return PretextOutput(loss, diagnostics, features[0].detach().float())

    @property
    def teacher_temperature(self) -> float:
        """The teacher's temperature at this point of the training."""
        start, end, warmup = self.temperatures
        if self.progress >= warmup:
            return end
        return start + (end - start) * self.progress / warmup

    @property
    def teacher_momentum(self) -> float:
        """The teacher's momentum at this point of the training."""
        start, end, until = self.momenta
        return cosine(self.progress / until, start, end) if until > 0 else end

    @torch.no_grad()
    def update(self, progress: float) -> None:
        """Let the teacher follow, and the centre move."""
        super().update(progress)
        momentum = self.teacher_momentum
        self.motion.copy_(follow(self.encoder, self.teacher_encoder, momentum))
        follow(self.head, self.teacher_head, momentum)
        self.loss.move_center()

    @torch.no_grad()
    def _diagnostics(
        self, teacher: Tensor, student: Tensor, temperature: float
    ) -> dict[str, Tensor]:
        said = ((teacher - self.loss.center[0]) / temperature).softmax(-1)
        answered = (student / self.loss.student_temp).softmax(-1)
        found = {  # entropies in units of log(output_dim): 1 is uniform, 0 is one prototype
            "teacher_entropy": entropy(said).mean(),
            "teacher_mean_entropy": entropy(said.mean(0)),
            "student_entropy": entropy(answered).mean(),
            "center_norm": self.loss.center.norm(),
            "center_drift": self.loss.drift.clone(),
            "chance_loss": torch.tensor(math.log(teacher.shape[-1])),
        }
        if self.progress < 0.99:  # at the end the paper's schedule lets the teacher stand
            found["teacher_motion"] = self.motion.clone()
        return found


def entropy(shares: Tensor) -> Tensor:
    """Entropy over the last axis in units of its largest: (..., K) shares give (...), in [0, 1]."""
    return torch.special.entr(shares).sum(-1) / math.log(shares.shape[-1])


class DINOHead(nn.Module):
    """Three layers, then unit length, then prototypes of unit length.

    The layers are lightly's; the last one is our own, as lightly's uses PyTorch's old weight
    normalisation, which cannot be copied after a forward pass and is going to be removed.

    Args:
        input_dim: Width of the features.
        hidden_dim: Width of the hidden layers.
        bottleneck_dim: Width before the last layer.
        output_dim: Number of prototypes.
        batch_norm: BatchNorm in the hidden layers.
        norm_last_layer: Prototypes stay at unit length; else their length is learned.
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int,
        bottleneck_dim: int,
        output_dim: int,
        batch_norm: bool = False,
        norm_last_layer: bool = True,
    ) -> None:
        super().__init__()
        sizes = [(input_dim, hidden_dim), (hidden_dim, hidden_dim)]
        norms = [nn.BatchNorm1d(hidden_dim) if batch_norm else None for _ in sizes]
        hidden = [(*size, norm, nn.GELU()) for size, norm in zip(sizes, norms, strict=True)]
        self.layers = ProjectionHead([*hidden, (hidden_dim, bottleneck_dim, None, None)])
        for module in self.layers.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.prototypes = nn.Linear(bottleneck_dim, output_dim, bias=False)
        self.length = nn.Parameter(torch.ones(output_dim, 1), requires_grad=not norm_last_layer)

    def forward(self, features: Tensor, *, freeze_last: bool = False) -> Tensor:
        """Give (B, output) similarities to the prototypes.

        Args:
            features: (B, input)
            freeze_last: Let no gradient reach the prototypes: theirs is then exactly 0.
        """
        weight = self.length * F.normalize(self.prototypes.weight, dim=1)
        if freeze_last:  # 0 times the weight: to parallel training it is still a weight in use
            weight = weight.detach() + 0.0 * weight
        return F.linear(F.normalize(self.layers(features), dim=-1), weight)


class CenteredLoss(DINOLoss):
    """lightly's DINO loss, with a centre that waits for the optimiser's step."""

    drift: Tensor

    def __init__(self, output_dim: int, student_temp: float, center_momentum: float) -> None:
        super().__init__(output_dim, student_temp=student_temp, center_momentum=center_momentum)
        self.register_buffer("drift", torch.zeros(()))
        self._waiting: list[tuple[Tensor, int]] = []  # no buffers: each process has its own
        self._keep = False

    def forward(
        self, teacher: list[Tensor], student: list[Tensor], temperature: float, *, keep: bool
    ) -> Tensor:
        """Compute the cross-entropy over all pairs of different views.

        Args:
            teacher: (B, output) float32 of each global view.
            student: (B, output) float32 of every view, the global ones first.
            temperature: Of the teacher.
            keep: Remember the teacher's outputs for `move_center`.
        """
        self._keep = keep
        with full_precision(self.center):
            loss: Tensor = super().forward(teacher, student, teacher_temp=temperature)
        return loss

    @torch.no_grad()
    def update_center(self, teacher_out: Tensor) -> None:
        """Remember outputs (V, B, output); lightly's loss calls this in its forward pass."""
        if self._keep:
            views, batch = teacher_out.shape[:2]
            self._waiting.append((teacher_out.sum((0, 1)), views * batch))

    @torch.no_grad()
    def move_center(self) -> None:
        """Move the centre by the mean of all outputs since the last call, over all processes."""
        if not self._waiting:
            return
        count = torch.tensor([float(sum(n for _, n in self._waiting))], device=self.center.device)
        total = torch.stack([part for part, _ in self._waiting]).sum(0)
        self._waiting.clear()
        mean = summed(total) / summed(count)
        step = (1 - self.center_momentum) * (mean - self.center)
        self.center += step
        self.drift.copy_(step.norm())

"""What every pretext method is: a module that takes views and gives a loss with its diagnostics."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import MethodError
from workbench.methods.options import RecordsOptions, options_of

Family = Literal["contrastive", "clustering", "distillation", "redundancy", "masked"]


@dataclass(frozen=True)
class PretextOutput:
    """What one forward pass of a pretext method gives."""

    loss: Tensor
    """Scalar float32, the mean over this process's batch; its gradient trains the method."""
    diagnostics: dict[str, Tensor]
    """Detached scalars that tell a healthy run from a collapse, each method its own. `chance_loss`,
    where it is given, is the loss of an answer that knows nothing of the image it is given for."""
    embeddings: Tensor
    """(N, D) float32, detached: pooled features of the trained encoder, to be watched."""
    projections: Tensor | None = None
    """(N, P) float32, detached: what the loss compares, one row for each location, to be watched:
    it can collapse while the features still differ. None where a method has no projections."""


class PretextMethod(RecordsOptions, nn.Module):
    """A way of learning without labels: views in, loss out.

    A training loop calls the module on views, goes backward, steps its optimiser and then calls
    `update`. Whatever belongs to a *step* (momentum networks, queues, centres, schedules) moves
    in `update` alone, so that gradients gathered over several smaller batches learn the same as
    one large batch. Randomness comes from the generator that is passed in.

    Args:
        encoder: The network that is to be trained and kept: images (B, C, H, W) to (B, width),
            with `width` as an attribute.

    Raises:
        MethodError: If the encoder has no `width`.
    """

    family: ClassVar[Family]
    """What can go wrong, and so what is watched."""
    views_needed: ClassVar[int] = 2
    """Smallest number of views of full size, at least."""
    smallest_batch: ClassVar[int] = 2
    """Smallest number of locations in a batch of one process."""
    has_projections: ClassVar[bool] = True
    """Whether the outputs of a `head`, if there is one, are embeddings that should differ."""
    projection_std: ClassVar[float | None] = None
    """Standard deviation that the loss wants of each output; None: only directions count."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.width = encoder_size(encoder, "width", for_whom=type(self).__name__)
        self.progress = 0.0

    def options(self) -> dict[str, Any]:
        """List all constructor options but the encoder, as they are now, in plain values."""
        return options_of(self, leave_out=self.encoder)

    def forward(
        self, views: list[Tensor], generator: torch.Generator | None = None
    ) -> PretextOutput:
        """Compute the loss of a batch.

        Args:
            views: Each (B, C, H, W) float32, standardised: the same B locations in each, those
                of full size first. With temporal positives one of each date.
            generator: For what is drawn at random (masks); None: torch's own.

        Raises:
            MethodError: If there are too few views, or too few locations in them.
        """
        raise NotImplementedError

    def update(self, progress: float) -> None:
        """Move what belongs to a step; call it once after each step of the optimiser.

        Args:
            progress: Share of the training that is done, in [0, 1].

        Raises:
            MethodError: If the progress is outside [0, 1].
        """
        if not 0 <= progress <= 1:
            raise MethodError(
                f"Progress must be a share of the training in [0, 1], got {progress}."
            )
        self.progress = float(progress)

    def get_extra_state(self) -> dict[str, float]:
        """Keep how far the training was: schedules go on there after a checkpoint is loaded."""
        return {"progress": self.progress}

    def set_extra_state(self, state: dict[str, float]) -> None:
        """Take up what `get_extra_state` kept."""
        self.progress = state["progress"]

    def require_views(self, views: list[Tensor]) -> None:
        """Refuse views that the method cannot learn from.

        Raises:
            MethodError: If there are too few views, or too few locations, or not the same
                number of them in each.
        """
        name = type(self).__name__
        if len(views) < self.views_needed:
            raise MethodError(
                f"{name} needs {self.views_needed} views of each location, but got {len(views)}.\n"
                "Set the number of views in the view pipeline, or use temporal positives."
            )
        sizes = sorted({len(view) for view in views})
        if len(sizes) > 1:
            raise MethodError(
                f"{name}: all views must show the same locations, but hold {sizes} of them."
            )
        if sizes[0] < self.smallest_batch:
            raise MethodError(
                f"{name} compares the locations of a batch, so it needs at least "
                f"{self.smallest_batch}, but got a batch of {sizes[0]}.\n"
                "Use a larger batch, and drop the last one if it is smaller."
            )


def full_precision(like: Tensor) -> torch.autocast:
    """Switch autocast off on a tensor's device: losses and similarities are taken in float32."""
    return torch.autocast(like.device.type, enabled=False)


def encoder_size(encoder: nn.Module, name: str, *, for_whom: str) -> int:
    """Give a size that an encoder states about itself, such as its `width`.

    Raises:
        MethodError: If the encoder does not have it.
    """
    value: Any = getattr(encoder, name, None)
    if not isinstance(value, int):
        raise MethodError(
            f"{for_whom} needs an encoder that states its {name!r} as a whole number, but "
            f"{type(encoder).__name__} has {value!r}.\nTake one from workbench.models."
        )
    return value


@torch.no_grad()
def retrieval(one: Tensor, two: Tensor) -> dict[str, Tensor]:
    """How often the output of one view finds its own location among those of the other views.

    Args:
        one: (B, P) outputs of the first views.
        two: (B, P) of the second views, in the same order.

    Returns:
        top1, the share of locations found, and top1_chance, what guessing would find.
    """
    first, second = (F.normalize(each.float() - each.float().mean(0), dim=1) for each in (one, two))
    nearest = (first @ second.T).argmax(1)
    found = (nearest == torch.arange(len(one), device=one.device)).float().mean()
    return {"top1": found, "top1_chance": torch.tensor(1 / len(one))}


def concatenated(views: list[Tensor], network: nn.Module) -> list[Tensor]:
    """Run a network once for all views of one size, and give the outputs view by view.

    Neighbours of one size share a pass, so BatchNorm sees them together, as in DINO and SwAV.

    Args:
        views: Each (B, C, H, W).
        network: Gives (N, D) for (N, C, H, W).

    Returns:
        One (B, D) for each view.
    """
    found: list[Tensor] = []
    start = 0
    for stop in range(1, len(views) + 1):
        if stop == len(views) or views[stop].shape[1:] != views[start].shape[1:]:
            found += network(torch.cat(views[start:stop])).chunk(stop - start)
            start = stop
    return found

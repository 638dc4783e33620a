"""What the processes of one training tell each other: batches gathered, batches shuffled."""

import torch
from lightly.utils.dist import gather  # type: ignore[import-untyped]
from torch import Tensor
from torch import distributed as dist


def processes() -> int:
    """Number of processes that train together; 1 without torch.distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if processes() > 1 else 0


@torch.no_grad()
def gathered(batch: Tensor) -> Tensor:
    """Lay the batches of all processes one after the other, in order of rank, without gradient.

    Args:
        batch: (B, ...), of the same shape in every process.

    Returns:
        (B · processes, ...)
    """
    if processes() == 1:
        return batch.detach()
    parts = [torch.empty_like(batch) for _ in range(processes())]
    dist.all_gather(parts, batch.detach().contiguous())
    return torch.cat(parts)


def gathered_with_gradient(batch: Tensor) -> Tensor:
    """Lay the batches of all processes one after the other; each one's gradient finds its way back.

    If every process takes the same loss of all of them, parallel training's mean of the gradients
    is the gradient of that loss in one process.

    Args:
        batch: (B, ...), of the same shape in every process.

    Returns:
        (B · processes, ...)
    """
    return torch.cat(gather(batch.contiguous())) if processes() > 1 else batch


@torch.no_grad()
def summed(values: Tensor) -> Tensor:
    """Add up a tensor over all processes, without gradient."""
    if processes() > 1:
        values = values.clone()
        dist.all_reduce(values)
    return values


@torch.no_grad()
def shuffled(batch: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Deal the locations of all processes out anew (MoCo's shuffled BatchNorm).

    Args:
        batch: (B, ...), of the same shape in every process.
        generator: Draws the order; that of rank 0 counts for all.

    Returns:
        (B, ...) this process's new share, and the order (B · processes,) for `put_back`. With one
        process both are as they were: its BatchNorm sees the same locations in any order.
    """
    everything = gathered(batch)
    if processes() == 1:
        return everything, torch.arange(len(batch), device=batch.device)
    drawn_on = generator.device if generator is not None else batch.device
    order = torch.randperm(len(everything), generator=generator, device=drawn_on).to(batch.device)
    dist.broadcast(order, src=0)
    return everything[order.chunk(processes())[rank()]], order


@torch.no_grad()
def put_back(batch: Tensor, order: Tensor) -> Tensor:
    """Undo `shuffled`: give back this process's own locations, in their own order."""
    if processes() == 1:
        return batch
    return gathered(batch)[order.argsort().chunk(processes())[rank()]]

"""Momentum networks: copies that follow a trained network and are never trained themselves."""

import copy
import math
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def momentum_copy(network: Network, *, same_weights: bool = True) -> Network:
    """Copy a network into one that shares no storage with it and takes no gradient.

    Args:
        network: The trained network.
        same_weights: Start with its weights, as all papers do. False draws new ones, as some
            published code does by mistake: the copy then follows from another start.

    Returns:
        The copy, in the same mode and on the same device.
    """
    twin = copy.deepcopy(network)
    if not same_weights:
        _draw_again(twin)
    return twin.requires_grad_(False)


@torch.no_grad()
def follow(network: nn.Module, twin: nn.Module, momentum: float) -> Tensor:
    """Move a momentum network: twin ← momentum · twin + (1 - momentum) · network.

    Parameters move, in their own order. Buffers (BatchNorm's running statistics) stay the twin's
    own: it sees its own views.

    Args:
        network: The trained network.
        twin: Its momentum copy.
        momentum: In [0, 1]; at 1 the copy stands still.

    Returns:
        How far the copy moved, relative to its length: ‖new - old‖ / ‖old‖, a scalar.
    """
    ours: list[Tensor] = list(network.parameters())
    theirs: list[Tensor] = list(twin.parameters())
    moved = (1.0 - momentum) * _distance(ours, theirs) / _norm(theirs)
    torch._foreach_lerp_(theirs, ours, 1.0 - momentum)
    return moved


def cosine(progress: float, start: float, end: float) -> float:
    """Go from start to end along half a cosine.

    Args:
        progress: In [0, 1]; beyond 1 it is the end.
        start: Value at 0.
        end: Value at 1.

    Example:
        >>> [round(cosine(p, 0.9, 1.0), 3) for p in (0, 0.5, 1, 2)]
        [0.9, 0.95, 1.0, 1.0]
    """
    return end - (end - start) * (math.cos(math.pi * min(progress, 1.0)) + 1) / 2


@torch.no_grad()
def distance(network: nn.Module, twin: nn.Module) -> Tensor:
    """Relative distance of two networks' parameters, ‖network - twin‖ / ‖network‖, a scalar."""
    ours: list[Tensor] = list(network.parameters())
    theirs: list[Tensor] = list(twin.parameters())
    return _distance(ours, theirs) / _norm(ours)


def _distance(ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
    """Length of the difference, without holding all of it at once."""
    return torch.stack([(a - b).norm() for a, b in zip(ours, theirs, strict=True)]).norm()


def _norm(tensors: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    """Length of all tensors as one vector."""
    return torch.stack(torch._foreach_norm(tensors)).norm()


@torch.no_grad()
def _draw_again(network: nn.Module) -> None:
    """Draw all weights anew: each layer by its own rule, free parameters as ViTs draw them."""
    drawn: set[int] = set()
    for module in network.modules():
        draw = getattr(module, "reset_parameters", None)
        if callable(draw):
            draw()
            drawn |= {id(p) for p in module.parameters(recurse=False)}
    for parameter in network.parameters():
        if id(parameter) not in drawn:
            nn.init.trunc_normal_(parameter, std=0.02)

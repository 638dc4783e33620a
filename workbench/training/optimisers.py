"""Optimisers by name, with the weights that must not decay in a group of their own."""

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from workbench.training.schedules import peak_rate
from workbench.training.settings import PretrainSettings

_NEVER_DECAYED = ("pos_embed", "cls_token", "mask_token")


def parameter_groups(method: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Sort the trained parameters: matrices decay; biases, norms and embeddings of places do not.

    Args:
        method: Whose parameters with a gradient are trained.
        decay: Weight decay of the first group, >= 0.

    Returns:
        Two groups, each with `params`, `weight_decay` and `decays`; an empty one is left out.
    """
    trained = [(name, p) for name, p in method.named_parameters() if p.requires_grad]
    sorted_in: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in trained:
        is_named = name.rpartition(".")[2] in _NEVER_DECAYED
        sorted_in[parameter.ndim > 1 and not is_named].append(parameter)
    return [
        {"params": params, "weight_decay": decay if decays else 0.0, "decays": decays}
        for decays, params in sorted_in.items()
        if params
    ]


def build_optimiser(method: nn.Module, settings: PretrainSettings) -> Optimizer:
    """Make the optimiser of a run.

    AdamW and SGD update all weights in one pass over memory where torch can (fused): a third of
    the time on a CPU. Weights that are sharded over processes take torch's own choice.

    Args:
        method: What is trained.
        settings: Name, rate, weight decay, momentum or betas.
    """
    groups = parameter_groups(method, settings.weight_decay)
    rate = peak_rate(settings)
    fused = None if settings.strategy == "fsdp" else True
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=settings.betas, fused=fused)
    if settings.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, fused=fused)
    from lightly.utils.lars import LARS  # type: ignore[import-untyped]

    found: Optimizer = LARS(groups, lr=rate, momentum=settings.momentum)
    return found


def set_rates(optimiser: Optimizer, rate: float, decay: float) -> None:
    """Give all groups a learning rate, and a weight decay to those that decay."""
    for group in optimiser.param_groups:
        group["lr"] = rate
        group["weight_decay"] = decay if group["decays"] else 0.0

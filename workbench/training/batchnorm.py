"""BatchNorm in training: refuse batches that give it one value, set its statistics from data."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from workbench.errors import TrainingError


def batchnorm_layers(network: nn.Module) -> dict[str, _BatchNorm]:
    """Every BatchNorm layer of a network, by its name."""
    return {name: m for name, m in network.named_modules() if isinstance(m, _BatchNorm)}


@torch.no_grad()
def require_values(network: nn.Module, forward: Callable[[], object], *, cure: str) -> None:
    """Refuse a batch from which a BatchNorm layer in training mode would get one value.

    The forward pass is made in evaluation mode, so that nothing in the network moves.

    Args:
        network: In the mode in which it is going to be trained, in which it is left.
        forward: Shows the network the smallest batch of the training.
        cure: What to do, for the message.

    Raises:
        TrainingError: If so, naming the layer.
    """
    trained = {name: m for name, m in batchnorm_layers(network).items() if m.training}
    single: list[tuple[str, tuple[int, ...]]] = []

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            shape = tuple(inputs[0].shape)
            if inputs[0].numel() == shape[1]:
                single.append((name, shape))

        return hook

    hooks = [m.register_forward_pre_hook(watch(name)) for name, m in trained.items()]
    try:
        with _in_evaluation(network):
            forward()
    finally:
        for hook in hooks:
            hook.remove()
    if single:
        name, shape = single[0]
        raise TrainingError(
            "BatchNorm needs more than one value of each channel in a training step, but with "
            f"batch_size=1 the layer {name!r} gets one (shape {shape}).\n{cure}."
        )


@torch.no_grad()
def with_statistics_of(network: nn.Module, images: Tensor, *, batch_size: int = 64) -> nn.Module:
    """Copy a network and set its BatchNorm statistics to those of some images; weights stay.

    Such statistics alone may move the scores of random weights. Each layer gets
    the mean over all batches of their moments, with the layers before it normalising by the batch.

    Args:
        network: Any module; it is left as it was. Without BatchNorm the copy is the same.
        images: (N, C, H, W) as the network takes them, of the training part only.
        batch_size: Images at once, >= 2.

    Returns:
        The copy, in evaluation mode.
    """
    twin = copy.deepcopy(network).train()  # the spectral adapter asks its own mode
    for module in twin.modules():
        if isinstance(module, _DropoutNd) or type(module).__name__ == "DropPath":
            module.eval()
    layers = batchnorm_layers(twin)
    for layer in layers.values():
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean over batches
    first = next(twin.parameters(), None)
    device = images.device if first is None else first.device
    pieces = max(1, len(images) // max(2, batch_size))
    for part in images.tensor_split(pieces) if layers else ():
        twin(part.to(device))
    for layer, old in zip(layers.values(), batchnorm_layers(network).values(), strict=True):
        layer.momentum = old.momentum
    return twin.eval()


@contextmanager
def _in_evaluation(network: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode

"""Features of a frozen encoder, computed once and kept: a sweep over heads costs one pass.

    features/<key>.safetensors      one tensor for each map, (N, D, h, w) or (N, D)

The key stands for the encoder's layers and weights, the images and how they are standardised, by
what they hold, never by where they lie in memory; a file with it is complete, as it is written
whole or not at all.
"""

import hashlib
import logging
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from workbench.datasets.examples import Examples
from workbench.datasets.files import whole_file

log = logging.getLogger(__name__)

Standardise = Callable[[Tensor], Tensor]


class FrozenFeatures:
    """Features of examples under one encoder, by the number of the example.

    Args:
        maps: One (N, ...) tensor for each feature map.
        size: (H, W) of the images.
        targets: (N, ...) targets of the examples.
        flops_per_image: Floating point operations of the encoder for one image.
    """

    def __init__(
        self,
        maps: list[Tensor],
        size: tuple[int, int],
        targets: Tensor,
        flops_per_image: float = float("nan"),
    ) -> None:
        self.maps, self.size, self.targets = maps, size, targets
        self.flops_per_image = flops_per_image

    def batch(self, chosen: np.ndarray) -> tuple[list[Tensor], Tensor]:
        """Give features and targets of some examples."""
        rows = torch.as_tensor(chosen, dtype=torch.int64)
        return [m[rows] for m in self.maps], self.targets[rows]

    def __len__(self) -> int:
        return len(self.targets)


class _Computed(NamedTuple):
    """What one pass gave: maps, size of the images, operations for one of them."""

    maps: list[Tensor]
    size: tuple[int, int]
    flops: float


class FeatureCache:
    """Features of frozen encoders, in memory and in a folder, each computed once.

    Args:
        folder: Where they are kept between sessions; None: in memory only.
        batch_size: Images at once.
        device: Where encoders compute.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        batch_size: int = 16,
        device: torch.device | str = "cpu",
    ) -> None:
        self.folder, self.batch_size, self.device = folder, batch_size, torch.device(device)
        self.passes = 0
        """How often an encoder went over a set of images."""
        self._known: dict[str, _Computed] = {}
        # two tasks may share images and ids: targets are the examples' own, held to keep their id
        self._targets: dict[int, tuple[Examples, Tensor]] = {}
        self._digests: WeakKeyDictionary[Any, tuple[Any, list[Tensor], str]] = WeakKeyDictionary()

    def of(self, model: nn.Module, examples: Examples, standardise: Standardise) -> FrozenFeatures:
        """Compute what a model's head sees of each example, or give what was computed before.

        Args:
            model: With `.encoder` and `.features(images)`; it is put into eval mode.
            examples: The images.
            standardise: From stored numbers to what the encoder takes.
        """
        key = self.key(model, examples, standardise)
        if key not in self._known:
            self._known[key] = self._found(key, model, examples, standardise)
        maps, size, flops = self._known[key]
        return FrozenFeatures(maps, size, self._targets_of(examples), flops)

    def _targets_of(self, examples: Examples) -> Tensor:
        if id(examples) not in self._targets:
            targets = torch.stack([examples[i][1] for i in range(len(examples))])
            self._targets[id(examples)] = examples, targets
        return self._targets[id(examples)][1]

    def key(self, model: nn.Module, examples: Examples, standardise: Standardise) -> str:
        """Stand for weights, images and standardisation: 20 hexadecimal digits."""
        found = hashlib.sha256(self._digest(model.encoder).encode())
        found.update(repr(getattr(model, "maps", None)).encode())  # decoders take different maps
        if isinstance(standardise, nn.Module):
            for tensor in standardise.state_dict().values():
                found.update(_bytes(tensor))
        found.update("\n".join(examples.ids).encode())
        found.update(_bytes(examples[0][0]))  # ids are of one data set; this tells two sets apart
        return found.hexdigest()[:20]

    def _digest(self, encoder: Any) -> str:
        """Stand for an encoder's layers and weights; hashed anew only if a weight was written."""
        weights = list(encoder.state_dict().values())
        seen = repr(encoder), [(t.data_ptr(), t._version, _sum_of_bits(t)) for t in weights]
        known = self._digests.get(encoder)
        if known is None or known[0] != seen:
            # the weights are held, so that their addresses are not given out to others meanwhile
            known = self._digests[encoder] = seen, weights, _digest(encoder)
        return known[2]

    def _found(
        self, key: str, model: nn.Module, examples: Examples, standardise: Standardise
    ) -> _Computed:
        path = None if self.folder is None else self.folder / f"{key}.safetensors"
        if path is not None and path.is_file():
            return _read(path)
        self.passes += 1
        found = _computed(model, examples, standardise, self.batch_size, self.device)
        if path is not None:
            tensors = {f"map{i}": m.contiguous() for i, m in enumerate(found.maps)}
            told = {"size": f"{found.size[0]} {found.size[1]}", "flops": repr(found.flops)}
            with whole_file(path) as unfinished:
                save_file(tensors, unfinished, metadata=told)
            log.info("features of %d images in %s", len(examples), path)
        return found


def _digest(encoder: Any) -> str:
    """Stand for an encoder's layers and weights."""
    found = hashlib.sha256(repr(encoder).encode())  # strides and dilations have no weights
    for name, tensor in encoder.state_dict().items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(_bytes(tensor))
    return found.hexdigest()


def _sum_of_bits(tensor: Tensor) -> int:
    """A quick look at what a tensor holds: writing through `.data` leaves no other trace."""
    kind = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    return int(tensor.detach().contiguous().reshape(-1).view(kind).sum())


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


@torch.no_grad()
def _computed(
    model: nn.Module,
    examples: Examples,
    standardise: Standardise,
    batch_size: int,
    device: torch.device,
) -> _Computed:
    from torch.utils.flop_counter import FlopCounterMode

    model.eval().to(device)
    features: Callable[[Tensor], list[Tensor]] = model.features  # type: ignore[assignment]
    parts: list[list[Tensor]] = []
    flops = 0.0
    for first in range(0, len(examples), batch_size):
        images, _ = examples.batch(range(first, min(first + batch_size, len(examples))))
        with nullcontext() if first else FlopCounterMode(display=False) as counter:
            parts.append([m.cpu() for m in features(standardise(images.to(device)))])
        if counter is not None:
            flops = counter.get_total_flops() / len(images)
    maps = [torch.cat(pieces) for pieces in zip(*parts, strict=True)]
    return _Computed(maps, (images.shape[2], images.shape[3]), flops)


def _read(path: Path) -> _Computed:
    with safe_open(path, framework="pt") as file:
        told = file.metadata()
        height, width = map(int, told["size"].split())
        names = sorted(file.keys(), key=lambda name: int(name.removeprefix("map")))
        maps = [file.get_tensor(name) for name in names]
    return _Computed(maps, (height, width), float(told["flops"]))

"""Features of a frozen encoder, computed once and kept: a sweep over heads costs one pass.

    features/<key>.safetensors      one tensor for each map, (N, D, h, w) or (N, D)

The key stands for the encoder's weights, the images and how they are standardised; a file with it
is complete, as it is written whole or not at all.
"""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    """

    def __init__(self, maps: list[Tensor], size: tuple[int, int], targets: Tensor) -> None:
        self.maps, self.size, self.targets = maps, size, targets

    def batch(self, chosen: np.ndarray) -> tuple[list[Tensor], Tensor]:
        """Give features and targets of some examples."""
        rows = torch.as_tensor(chosen, dtype=torch.int64)
        return [m[rows] for m in self.maps], self.targets[rows]

    def __len__(self) -> int:
        return len(self.targets)


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
        self._known: dict[str, tuple[list[Tensor], tuple[int, int]]] = {}
        # two tasks may share images and ids: targets are the examples' own, held to keep their id
        self._targets: dict[int, tuple[Examples, Tensor]] = {}
        self._digests: dict[tuple[str, tuple[tuple[int, int], ...]], str] = {}

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
        maps, size = self._known[key]
        return FrozenFeatures(maps, size, self._targets_of(examples))

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
        state = encoder.state_dict()
        layers = repr(encoder)  # a stride may become dilation with the weights as they are
        seen = layers, tuple((t.data_ptr(), t._version) for t in state.values())
        if seen not in self._digests:
            found = hashlib.sha256(layers.encode())
            for name, tensor in state.items():
                found.update(name.encode())
                found.update(_bytes(tensor))
            self._digests[seen] = found.hexdigest()
        return self._digests[seen]

    def _found(
        self, key: str, model: nn.Module, examples: Examples, standardise: Standardise
    ) -> tuple[list[Tensor], tuple[int, int]]:
        path = None if self.folder is None else self.folder / f"{key}.safetensors"
        if path is not None and path.is_file():
            return _read(path)
        self.passes += 1
        maps, size = _computed(model, examples, standardise, self.batch_size, self.device)
        if path is not None:
            tensors = {f"map{i}": m.contiguous() for i, m in enumerate(maps)}
            with whole_file(path) as unfinished:
                save_file(tensors, unfinished, metadata={"size": f"{size[0]} {size[1]}"})
            log.info("features of %d images in %s", len(examples), path)
        return maps, size


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


@torch.no_grad()
def _computed(
    model: nn.Module,
    examples: Examples,
    standardise: Standardise,
    batch_size: int,
    device: torch.device,
) -> tuple[list[Tensor], tuple[int, int]]:
    model.eval().to(device)
    features: Callable[[Tensor], list[Tensor]] = model.features  # type: ignore[assignment]
    parts: list[list[Tensor]] = []
    for first in range(0, len(examples), batch_size):
        images, _ = examples.batch(range(first, min(first + batch_size, len(examples))))
        parts.append([m.cpu() for m in features(standardise(images.to(device)))])
    maps = [torch.cat(pieces) for pieces in zip(*parts, strict=True)]
    return maps, (images.shape[2], images.shape[3])


def _read(path: Path) -> tuple[list[Tensor], tuple[int, int]]:
    with safe_open(path, framework="pt") as file:
        height, width = map(int, file.metadata()["size"].split())
        names = sorted(file.keys(), key=lambda name: int(name.removeprefix("map")))
        return [file.get_tensor(name) for name in names], (height, width)

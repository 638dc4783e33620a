"""Files of weights from strangers: read without running anything, and the encoder found in them."""

import argparse
import pickle
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from workbench.errors import ModelError

# Where a training program puts its networks, the one that is used afterwards first.
_CONTAINERS = ("teacher", "student", "state_dict", "model", "model_state_dict")

# What stands in front of an encoder's names, the one that is used afterwards first.
_PREFIXES = (
    "encoder.vit.spec_vit.",  # SpectralEarth MAE, inside lightly's masked transformer
    "teacher_backbone.",  # SpectralEarth DINO
    "student_backbone.",
    "module.encoder_q.",  # SSL4EO-S12 MoCo-v2
    "module.encoder_k.",
    "module.base_encoder.",  # SSL4EO-S12 MoCo-v3
    "module.momentum_encoder.",
    "module.backbone.",  # SSL4EO-S12 DINO, the network of a parallel wrapper
    "backbone.",  # SpectralEarth MoCo; SSL4EO-S12 DINO
    "backbone_momentum.",
    "encoder.",
    "model.",
    "module.",
    "",  # SSL4EO-S12 MAE, torchgeo's files, SpectralEarth's bare backbones
)

# Names inside an encoder that are others here.
_NAMES = (
    ("vit_core.", ""),
    ("resnet.", ""),
    ("patch_embed.spectral_adapter.", "adapter."),
    ("patch_embed.original_patch_embed.", "patch_embed."),
    ("spectral_adapter.", "adapter."),
)


@dataclass(frozen=True)
class FoundEncoder:
    """The part of a file that fits an encoder's names best."""

    place: str
    """Where it stands in the file: container and prefix."""
    tensors: dict[str, Tensor]
    """By the names used here, also those the encoder does not have."""
    elsewhere: int
    """Tensors of the file that stand under other prefixes: heads, decoders, second networks."""


def read_weights(path: Path) -> Mapping[str, Any]:
    """Read a file of weights: safetensors by its ending, a PyTorch file otherwise.

    Only tensors and plain values are taken. A pickle that names anything else is refused before
    any of it runs.

    Raises:
        ModelError: If the file is not there, damaged, holds code, or is not a table of names.
    """
    if not path.is_file():
        raise ModelError(f"There is no file of weights at {path}.")
    try:
        found = _read(path)
    except pickle.UnpicklingError as error:
        said = str(error)
        if "GLOBAL" not in said.upper() and "Unsupported op" not in said:
            raise _damaged(path, "its pickle ends or breaks off") from error
        raise ModelError(
            f"{path.name} must hold nothing but tensors and plain values, but its pickle wants to "
            f"run or make something else: {_named_global(said)}.\nNothing was run. Save the "
            "network's `state_dict()` alone, with torch.save or as safetensors."
        ) from error
    except Exception as error:  # torch and safetensors have no class of their own for damage
        raise _damaged(path, str(error)) from error
    if not isinstance(found, Mapping):
        raise ModelError(
            f"{path.name} must hold a table of named tensors, but holds a {type(found).__name__}."
        )
    return found


def find_encoder(content: Mapping[str, Any], names: Iterable[str]) -> FoundEncoder:
    """Find the tensors whose names, behind some known prefix, are an encoder's.

    Of places with equally many the first is taken: DINO's teacher before its student, MoCo's
    trained network before its momentum copy.

    Args:
        content: What `read_weights` gave.
        names: Names of the encoder's state.
    """
    wanted = set(names)
    best, most = FoundEncoder("nowhere", {}, 0), 0
    for container in (*_CONTAINERS, None):
        table = content if container is None else content.get(container)
        if not isinstance(table, Mapping):
            continue
        tensors = {str(k): v for k, v in table.items() if isinstance(v, Tensor)}
        for prefix in _PREFIXES:
            inside = {
                _renamed(name.removeprefix(prefix)): value
                for name, value in tensors.items()
                if name.startswith(prefix)
            }
            count = len(wanted & set(inside))
            if count > most:
                place = f"{container or 'the file itself'}, {prefix or 'no prefix'}"
                others = sum(not name.startswith(prefix) for name in tensors)
                best, most = FoundEncoder(place, inside, others), count
    return best


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    # the original repositories keep their command line beside the weights: a bare bag of values
    with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected pickle protocol")  # it is refused below
        return torch.load(path, map_location="cpu", weights_only=True)


def _damaged(path: Path, said: str) -> ModelError:
    first = said.strip().partition("\n")[0][:120]
    return ModelError(
        f"{path.name} must be a whole file of weights, but cannot be read: {first}.\n"
        "It may be cut off: compare its size with the original's, and fetch it again."
    )


def _named_global(said: str) -> str:
    """The name that the reader refused, out of its own words."""
    for line in said.splitlines():
        if "GLOBAL" in line.upper():
            words = [word.strip("`'\".,") for word in line.split()]
            dotted = [word for word in words if "." in word and not word.startswith("http")]
            if dotted:
                return dotted[0]
    return "an object of another kind"


def _renamed(name: str) -> str:
    for theirs, ours in _NAMES:
        if name.startswith(theirs):
            name = ours + name.removeprefix(theirs)
    return name

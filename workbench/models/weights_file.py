"""Files of weights from strangers: read without running anything, and the encoder found in them."""

import argparse
import codecs
import collections
import datetime
import pathlib
import pickle
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from workbench.errors import ModelError

# Where a training program puts its networks, the one that is used afterwards first. Tables under
# other names are looked at as well, after these.
_CONTAINERS = ("teacher", "student", "state_dict", "model", "model_state_dict")
_DEEPEST = 3  # tables within tables

# What stands in front of an encoder's names, the one that is used afterwards first. Any other
# prefix is found as well, after these.
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

# What wrappers put into names: torch.compile, FSDP and activation checkpointing.
_WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")

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
        if "Unsupported op" in said:
            raise ModelError(
                f"{path.name} must hold nothing but tensors and plain values, but its pickle is of "
                "another protocol than torch.save's own and cannot be checked.\nNothing was run. "
                "Save the network's `state_dict()` anew, with torch.save or as safetensors."
            ) from error
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
    for container, table in _tables(content):
        tensors = {_unwrapped(str(k)): v for k, v in table.items() if isinstance(v, Tensor)}
        for prefix in _prefixes(tensors, wanted):
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


def _tables(content: Mapping[str, Any]) -> list[tuple[str, Mapping[Any, Any]]]:
    """Every table of the file with its path, known containers first, the file itself last of all.

    Tables within known containers come after them, those under other names after these.
    """
    found: list[tuple[tuple[int, ...], str, Mapping[Any, Any]]] = []

    def visit(table: Mapping[Any, Any], path: tuple[str, ...], rank: tuple[int, ...]) -> None:
        if path:
            found.append((rank, ".".join(path), table))
        if len(path) < _DEEPEST:
            for name, value in table.items():
                if isinstance(value, Mapping):
                    at = _CONTAINERS.index(name) if name in _CONTAINERS else len(_CONTAINERS)
                    visit(value, (*path, str(name)), (*rank, at))

    visit(content, (), ())
    found.sort(key=lambda each: (len(each[0]) > 1, each[0]))
    return [*((path, table) for _, path, table in found), ("", content)]


def _prefixes(names: Iterable[str], wanted: set[str]) -> list[str]:
    """What may stand in front of an encoder's names: known prefixes, then all others that fit."""
    fitting: set[str] = set()
    for name in names:
        parts = name.split(".")
        for cut in range(1, len(parts)):
            if _renamed(".".join(parts[cut:])) in wanted:
                fitting.add(".".join(parts[:cut]) + ".")
    others = sorted(fitting - set(_PREFIXES), key=_likeness)
    return [*_PREFIXES, *others]


def _likeness(prefix: str) -> tuple[int, int, str]:
    """Order of prefixes nobody told us of: like the known ones, then the shorter first."""
    core = prefix
    for wrapper in ("module.", "model.", "network.", "net."):
        core = core.removeprefix(wrapper)
    known = [i for i, each in enumerate(_PREFIXES) if each in (core, f"module.{core}")]
    return (known[0] if known else len(_PREFIXES), len(prefix), prefix)


def _unwrapped(name: str) -> str:
    for wrapper in _WRAPPERS:
        name = name.replace(wrapper, "")
    return name


class _Values(dict[Any, Any]):
    """What stands in for the tables of settings that training frameworks keep: values, no code."""


def _harmless() -> list[Any]:
    """What a file of weights may hold beside tensors: bags of values, none of which can act."""
    import numpy as np
    from numpy._core import multiarray

    dtypes = [getattr(np.dtypes, name) for name in np.dtypes.__all__]
    scalar, rebuilt = multiarray.scalar, multiarray._reconstruct
    tables = (
        "lightning.fabric.utilities.data.AttributeDict",
        "lightning_fabric.utilities.data.AttributeDict",
        "lightning.pytorch.utilities.parsing.AttributeDict",
        "pytorch_lightning.utilities.parsing.AttributeDict",
    )
    return [
        argparse.Namespace,  # the original repositories keep their command line
        np.dtype,
        np.ndarray,
        *dtypes,
        # NumPy 2 and 1 call them by different names
        *((scalar, f"numpy.{core}.multiarray.scalar") for core in ("_core", "core")),
        *((rebuilt, f"numpy.{core}.multiarray._reconstruct") for core in ("_core", "core")),
        (codecs.encode, "_codecs.encode"),  # bytes of a scalar
        *((_Values, name) for name in tables),
        *(getattr(collections, name) for name in ("Counter", "OrderedDict")),
        (_plain_table, "collections.defaultdict"),  # torch fills no table of that class
        *((pathlib.PurePosixPath, f"pathlib.{name}") for name in ("PosixPath", "PurePosixPath")),
        *((pathlib.PureWindowsPath, f"pathlib.{n}") for n in ("WindowsPath", "PureWindowsPath")),
        datetime.datetime,
        datetime.date,
        datetime.timedelta,
        datetime.timezone,
        list, dict, set, frozenset, slice,
    ]  # fmt: skip


def _plain_table(*_: object) -> dict[Any, Any]:
    """Stand in for a table with defaults: an empty one, which is filled next."""
    return {}


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    with torch.serialization.safe_globals(_harmless()), warnings.catch_warnings():
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

"""Weights as SpectralEarth, SSL4EO-S12 and torchgeo publish them, fitted to the encoders here."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from workbench.errors import ModelError
from workbench.models.vit import ViTEncoder
from workbench.models.weights_file import find_encoder, read_weights
from workbench.sensors import sensor
from workbench.showing import Sheet, Shown, some

logger = logging.getLogger(__name__)

_FIRST_LAYERS = ("conv1.weight", "patch_embed.proj.weight")  # see the bands: (O, C, k, k)
_FEW = 0.5  # share of an encoder's names below which the file is of another network


@dataclass(frozen=True, repr=False)
class WeightsReport(Shown):
    """What became of the weights of a file."""

    place: str
    """Where in the file the encoder stood: container and prefix."""
    loaded: tuple[str, ...]
    """Names that have the file's values now, those of the next two fields among them."""
    missing: tuple[str, ...]
    """Names that the file lacks: they keep the values they had."""
    unexpected: tuple[str, ...]
    """Names beside the encoder's that were left in the file: heads, decoders."""
    reshaped: tuple[str, ...]
    """Position embeddings that were interpolated to another grid of tokens."""
    adapted: tuple[str, ...]
    """First layers whose bands were chosen from the file's."""
    elsewhere: int
    """Tensors of the file under other prefixes: second networks, queues, projections."""

    def _sheet(self) -> Sheet:
        told = ("loaded", "missing", "unexpected", "reshaped", "adapted")
        rows = [(name, f"{len(getattr(self, name)):,}", some(getattr(self, name))) for name in told]
        rows.append(("of other networks", f"{self.elsewhere:,}", "left alone"))
        return Sheet(f"Weights loaded from {self.place}", ("names", "count", "which"), rows)

    def __str__(self) -> str:
        """Say it in a few lines, for a notebook or a log."""
        lines = [f"{len(self.loaded)} loaded from {self.place}"]
        for field in ("missing", "unexpected", "reshaped", "adapted"):
            if names := getattr(self, field):
                more = " …" if len(names) > 4 else ""
                lines.append(f"{len(names)} {field}: {', '.join(names[:4])}{more}")
        if self.elsewhere:
            lines.append(f"{self.elsewhere} tensors of other networks left alone")
        return "\n".join(lines)


def load_published_weights(
    encoder: nn.Module,
    path: Path | str,
    *,
    file_bands: Sequence[str] | None = None,
    data_bands: Sequence[str] | None = None,
) -> WeightsReport:
    """Load a published file into an encoder, and say what became of each name.

    Known are SpectralEarth's MoCo, DINO and MAE files, with or without the training module around
    the encoder; SSL4EO-S12's MoCo-v2, MoCo-v3, DINO and MAE files; torchgeo's; and bare states of
    timm or torchvision names. Nothing in the file is run. If anything is refused the encoder is
    as it was.

    A first layer is fitted to other bands by their names: the file's planes of bands that the data
    do not have are left out, which is exact where the plane saw zeros. Names default to
    Sentinel-2's where the counts say so: 13 of L1C to the 12 of L2A (without B10).

    Args:
        encoder: One of `workbench.models`.
        path: A .safetensors file, or a PyTorch file of any other ending.
        file_bands: Names of the bands the weights were trained on, in order.
        data_bands: Names of the encoder's bands, in order.

    Raises:
        ModelError: If the file is not there, damaged, or holds code; if no name or fewer than half
            of the encoder's names are in it, a shape or the bands differ, or a value is not finite.
    """
    path = Path(path)
    state = encoder.state_dict()
    found = find_encoder(read_weights(path), state)
    counted = [name for name in state if not name.endswith("num_batches_tracked")]
    _require_names(counted, found.tensors, path)
    reshaped, adapted, fitted = [], [], {}
    for name in (name for name in state if name in found.tensors):
        value = found.tensors[name]
        if name == "pos_embed" and value.shape != state[name].shape:
            value = _other_grid(value, encoder, path)
            reshaped.append(name)
        elif name in _FIRST_LAYERS and (
            value.shape[1:2] != state[name].shape[1:2]
            or (file_bands and data_bands and list(file_bands) != list(data_bands))
        ):
            value = _other_bands(value, state[name], file_bands, data_bands, path)
            adapted.append(name)
        _require_fit(name, value, state[name], path)
        fitted[name] = value
    encoder.load_state_dict(fitted, strict=False)
    report = WeightsReport(
        place=found.place,
        loaded=tuple(fitted),
        missing=tuple(name for name in counted if name not in fitted),
        unexpected=tuple(sorted(set(found.tensors) - set(state))),
        reshaped=tuple(reshaped),
        adapted=tuple(adapted),
        elsewhere=found.elsewhere,
    )
    if report.missing:
        logger.warning("%s: %d names keep their values", path.name, len(report.missing))
    return report


def _require_names(wanted: Sequence[str], found: Mapping[str, Tensor], path: Path) -> None:
    absent = [name for name in wanted if name not in found]
    if len(absent) > (1 - _FEW) * len(wanted):
        raise ModelError(
            f"{path.name} must hold this encoder's weights, but has {len(wanted) - len(absent)} of "
            f"its {len(wanted)} names (e.g. {absent[0]!r} is not there).\n"
            "Make the encoder that the file was trained with."
        )


def _require_fit(name: str, value: Tensor, wanted: Tensor, path: Path) -> None:
    if value.shape != wanted.shape:
        raise ModelError(
            f"{path.name} must be of this architecture, but its {name!r} has the shape "
            f"{tuple(value.shape)}, not {tuple(wanted.shape)}.\n"
            "Make the encoder in the size that the file was trained with."
        )
    if value.is_floating_point() and not torch.isfinite(value).all():
        raise ModelError(f"{path.name} must hold finite weights, but {name!r} has NaN or infinity.")


def _other_grid(value: Tensor, encoder: nn.Module, path: Path) -> Tensor:
    """Interpolate (1, 1 + L, D) to the encoder's grid of tokens."""
    if not isinstance(encoder, ViTEncoder) or value.ndim != 3:
        raise ModelError(f"{path.name}: no encoder here has a 'pos_embed' of this kind.")
    side = round((value.shape[1] - 1) ** 0.5)
    if value.shape[2] != encoder.width or side * side + 1 != value.shape[1]:
        raise ModelError(
            f"{path.name} must have one position for the class token and each token of a square, "
            f"of width {encoder.width}, but its 'pos_embed' has the shape {tuple(value.shape)}.\n"
            "Make the encoder in the size that the file was trained with."
        )
    new = encoder.image_size // encoder.token_size
    return resample_abs_pos_embed(value.float(), [new, new], [side, side], num_prefix_tokens=1)


def _other_bands(
    value: Tensor,
    wanted: Tensor,
    file_bands: Sequence[str] | None,
    data_bands: Sequence[str] | None,
    path: Path,
) -> Tensor:
    """Choose the planes (O, C, k, k) of the data's bands."""
    theirs = file_bands or _sentinel2(value.shape[1])
    ours = data_bands or _sentinel2(wanted.shape[1])
    if theirs is None or ours is None:
        raise ModelError(
            f"{path.name} was trained on {value.shape[1]} bands and the encoder has "
            f"{wanted.shape[1]}.\nSay which they are: file_bands=[…], data_bands=[…]."
        )
    if (len(theirs), len(ours)) != (value.shape[1], wanted.shape[1]):
        raise ModelError(
            f"Every band must have a name, but there are {len(theirs)} names for the file's "
            f"{value.shape[1]} bands and {len(ours)} for the encoder's {wanted.shape[1]}."
        )
    at = {name: i for i, name in enumerate(theirs)}
    if absent := [name for name in ours if name not in at]:
        raise ModelError(
            f"{path.name} was not trained on {', '.join(absent[:5])}.\n"
            "Make the encoder without these bands."
        )
    return value[:, [at[name] for name in ours]]


def _sentinel2(count: int) -> list[str] | None:
    """Names of Sentinel-2's bands where the count alone says which they are."""
    for product in ("sentinel2_l1c", "sentinel2_l2a"):
        names = list(sensor(product).kept)
        if len(names) == count:
            return names
    return None

"""Recipes cut down to what two CPU cores can train in seconds: for demos, lessons and tests.

What makes a method the method stays as the recipe has it: temperatures, mask ratio, views, loss.
What only makes it large is cut: network, heads, queue, steps, batch; and a teacher follows faster,
as it has fewer steps to follow. At scale "full" nothing is cut.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from workbench.datasets.augmentation_draws import ViewOptions
from workbench.datasets.labelled_patches import LabelledPatches
from workbench.datasets.normalization import Normalizer
from workbench.datasets.patches import Patches
from workbench.datasets.statistics import BandStatistics
from workbench.errors import TrainingError
from workbench.methods import METHODS, recipe
from workbench.methods.recipes import Recipe
from workbench.progress import Progress
from workbench.training.encoders import build_encoder
from workbench.training.pretrain import PretrainResult, pretrain
from workbench.training.probes import ProbeTask
from workbench.training.settings import PretrainSettings, recipe_views
from workbench.training.watching import Probe


@dataclass(frozen=True)
class RunScale:
    """How large a run is."""

    image_size: int
    """Side of patches and views, pixels."""
    token_size: int
    """Of a ViT, pixels."""
    vit: tuple[int, int, int] | str
    """Width, depth and heads of a ViT, or a name such as "S"."""
    steps: int | None
    """Steps of the optimiser; None: the recipe's epochs."""
    batch_size: int | None
    """Locations per step; None: the recipe's."""
    probe_every: int
    """Steps between two probes."""
    cuts: bool = True
    """Whether heads and queues are cut too."""


SCALES: dict[str, RunScale] = {
    "test": RunScale(8, 2, (48, 2, 3), 12, 16, 6),
    "demo": RunScale(16, 4, (96, 4, 4), 30, 32, 10),
    "small": RunScale(32, 4, (192, 12, 3), 2_000, 64, 100),
    "full": RunScale(128, 4, "S", None, None, 1_000, cuts=False),
}
"""By the word that notebooks use."""
_CUT_OPTIONS: dict[str, Any] = {
    "queue_size": 512,
    "hidden_dim": 128,
    "bottleneck_dim": 64,
    "output_dim": 64,
    "prototypes": 64,
    "last_blocks": 2,
    "momentum": 0.95,
    "decoder_width": 96,
    "decoder_depth": 1,
    "decoder_heads": 4,
}
_CUT_RATES = {"moco": 5e-4, "dino": 2e-4}  # of AdamW at these sizes; others: 1e-3


@dataclass(frozen=True)
class SmallRun:
    """A run, and the network as it is in memory."""

    method: nn.Module
    """In evaluation mode."""
    result: PretrainResult
    """What it left on disk."""

    @property
    def encoder(self) -> nn.Module:
        """The network that was trained."""
        found = self.method.encoder
        assert isinstance(found, nn.Module)
        return found


def small_run(
    method: str,
    patches: Patches,
    *,
    out: str | Path,
    scale: str = "demo",
    encoder: str = "spectral_vit",
    recipe_name: str = "original",
    seed: int = 0,
    statistics: BandStatistics | None = None,
    probe: Probe | None = None,
    progress: bool | Progress = False,
    **settings: Any,
) -> SmallRun:
    """Pretrain with a recipe at a scale.

    Args:
        method: Key of `methods.METHODS`.
        patches: Of the scale's image size, or larger.
        out: Folder of the run; a run that is there goes on, a complete one is left as it is.
        scale: Key of `SCALES`.
        encoder: "spectral_vit", "spectral_resnet50", "wavelength_vit", "vit" or "resnet".
        recipe_name: "original" or "spectral_earth".
        seed: Of weights, order, views and masks.
        statistics: Of the patches; None: made, and kept in `out`.
        probe: Scores the encoder now and then.
        progress: As in `pretrain`.
        settings: Further settings, in place of the scale's.

    Raises:
        TrainingError: If there is no such scale.
        MethodError: If there is no such method or recipe, or it cannot take the encoder.
    """
    size = scale_of(scale)
    torch.manual_seed(seed)
    network = small_encoder(encoder, patches, scale=scale)
    chosen = recipe(method, recipe_name)
    if size.cuts:
        chosen = chosen.with_options(**_cuts(method, chosen.options))
    module = chosen.build(network)
    result = pretrain(
        module,
        patches,
        out=out,
        recipe=chosen,
        settings=replace(_settings(chosen, size), **settings),
        views=_views(chosen, size),
        statistics=statistics,
        seed=seed,
        probe=probe,
        progress=progress,
    )
    return SmallRun(module.eval(), result)


def scale_of(name: str) -> RunScale:
    """Look a scale up.

    Raises:
        TrainingError: If there is no such scale.
    """
    if name not in SCALES:
        raise TrainingError(f"There is no scale {name!r}.\nScales are {', '.join(SCALES)}.")
    return SCALES[name]


def small_encoder(name: str, patches: Patches, *, scale: str = "demo") -> nn.Module:
    """Make an encoder for the bands of some patches, at a scale, with random weights.

    Args:
        name: "spectral_vit", "spectral_resnet50", "wavelength_vit", "vit" or "resnet".
        patches: Whose bands it takes.
        scale: Key of `SCALES`.

    Raises:
        TrainingError: If there is no such scale.
        CheckpointError: If there is no such encoder.
    """
    size, contract = scale_of(scale), patches.contract
    options: dict[str, Any] = {"image_size": size.image_size, "token_size": size.token_size}
    if name == "wavelength_vit":
        bands = {"wavelengths_nm": contract.wavelengths_nm, "fwhm_nm": contract.fwhm_nm}
        named = size.vit if isinstance(size.vit, str) else "T"
        return build_encoder(name, **{k: list(v) for k, v in bands.items()}, size=named, **options)
    options["bands"] = len(contract.band_names)
    if not name.endswith("vit"):
        return build_encoder(name, bands=options["bands"])
    if isinstance(size.vit, str):
        return build_encoder(name, size=size.vit, **options)
    adapter = name == "spectral_vit"
    return build_encoder("ViTEncoder", size=list(size.vit), adapter=adapter, **options)


def probe_task(
    train: LabelledPatches, test: LabelledPatches, normalizer: Normalizer, *, most: int = 160
) -> ProbeTask:
    """Ask for the commonest class of each patch.

    Args:
        train: Labels of the kind "classes"; patches without a labelled pixel are left out.
        test: The same, of other locations.
        normalizer: As in pretraining.
        most: Largest number of patches of a part; evenly taken from all.

    Raises:
        TrainingError: If labels are of another kind, or a part has no labelled patch.
    """
    parts = [_commonest(data, most) for data in (train, test)]
    (x, y), (test_x, test_y) = ((normalizer(images), classes) for images, classes in parts)
    return ProbeTask(x, y, test_x, test_y)


def _commonest(data: LabelledPatches, most: int) -> tuple[torch.Tensor, torch.Tensor]:
    if data.labels.kind != "classes":
        raise TrainingError(f"A probe task needs labels of classes, got {data.labels.kind!r}.")
    size = len(data.labels.class_names)
    shown = np.unique(np.linspace(0, len(data) - 1, min(most, len(data))).round().astype(int))
    images, classes = [], []
    for sample in (data[int(i)] for i in shown):
        # one more than the classes: pixels without a label
        known = torch.bincount(sample["target"].flatten(), minlength=size + 1)[:size]
        if known.sum() > 0:
            images.append(sample["image"])
            classes.append(int(known.argmax()))
    if not images:
        raise TrainingError(f"A probe task needs labelled patches, but none of {len(shown)} is.")
    return torch.stack(images), torch.tensor(classes)


def _cuts(method: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a method that are larger than a cut run has them, cut."""
    found = {}
    for name, parameter in inspect.signature(METHODS[method]).parameters.items():
        if name in _CUT_OPTIONS:
            now = chosen.get(name, parameter.default)
            found[name] = _CUT_OPTIONS[name] if now is None else min(now, _CUT_OPTIONS[name])
    return found


def _settings(chosen: Recipe, size: RunScale) -> PretrainSettings:
    every: dict[str, Any] = {"probe_every": size.probe_every, "loggers": ("csv",)}
    found = PretrainSettings.from_recipe(chosen, **every)
    if not size.cuts:
        return found
    return PretrainSettings(
        steps=size.steps,
        batch_size=size.batch_size or chosen.batch_size,
        lr=_CUT_RATES.get(chosen.method, 1e-3),
        weight_decay=0.01,
        clip_gradients=3.0,
        **every,
    )


def _views(chosen: Recipe, size: RunScale) -> tuple[ViewOptions, ...]:
    return resized(recipe_views(chosen), size.image_size)


def resized(views: Sequence[ViewOptions], side: int) -> tuple[ViewOptions, ...]:
    """Make views of another size: the large ones `side` pixels, the small ones half of it.

    Args:
        views: Of a recipe, the large ones first.
        side: Pixels.

    Example:
        >>> [view.size for view in resized([ViewOptions(), ViewOptions(size=96)], 16)]
        [16, 8]
    """
    large = views[0].size
    return tuple(replace(view, size=side if view.size == large else side // 2) for view in views)

"""Pretraining: a method, an extraction and a folder in; an encoder with its card out."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from workbench.datasets.augmentation_draws import ViewOptions
from workbench.datasets.augmentations import ViewPipeline, multi_crop
from workbench.datasets.normalization import Normalizer
from workbench.datasets.patches import Patches, stored_statistics
from workbench.datasets.positives import PairPolicy
from workbench.datasets.statistics import BandStatistics
from workbench.datasets.temporal_patches import TemporalPatches
from workbench.errors import CheckpointError, ContractMismatchError, TrainingError
from workbench.methods.recipes import Recipe
from workbench.progress import Progress
from workbench.training.checkpoint import Card, package_versions
from workbench.training.devices import make_fabric
from workbench.training.encoders import describe_encoder
from workbench.training.logs import METRICS
from workbench.training.loop import CHECKPOINT, Loop, Plan
from workbench.training.run_state import RunState, read_state
from workbench.training.sentinel import Finding
from workbench.training.settings import PretrainSettings, recipe_views
from workbench.training.watching import Probe, Watcher

if TYPE_CHECKING:
    from lightning.fabric import Fabric

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainResult:
    """What a run left behind."""

    checkpoint: Path
    """The encoder with its card, for `load_checkpoint`."""
    metrics: Path
    """One row per logged step, CSV."""
    steps: int
    """Steps done, of this run and those it went on from."""
    is_complete: bool
    """False if `stop_after` ended it; the same call without it goes on."""
    last: dict[str, float]
    """The last row of the metrics; empty if there was nothing left to do."""
    findings: tuple[Finding, ...] = ()
    """Collapses that the sentinel saw, and warned of."""


def pretrain(
    method: nn.Module,
    data: Patches | TemporalPatches,
    *,
    out: str | Path,
    recipe: Recipe | None = None,
    settings: PretrainSettings | None = None,
    views: Sequence[ViewOptions] | None = None,
    statistics: BandStatistics | None = None,
    seed: int = 0,
    probe: Probe | None = None,
    licence: str = "not stated",
    progress: bool | Progress = True,
) -> PretrainResult:
    """Pretrain the encoder of a method, on one process or under `torchrun`.

    A run that was cut off, by whatever, is completed by the same call: it goes on from the last
    checkpoint in `out`, and on a CPU ends with the same weights, bit for bit. A complete run is
    left as it is.

    Args:
        method: A pretext method around an encoder, both of its bands and initial weights.
        data: Locations; patches are shown as pairs of dates where there are any, if the method
            compares views, and as single dates if it does not.
        out: Folder of the run, made if it is missing: encoder.safetensors with its card, the
            state to go on from, metrics.csv and tensorboard.
        recipe: Gives settings and views, where they are not given.
        settings: How long, how fast, how it is watched; None: the recipe's, or the defaults.
        views: One for each view; None: the recipe's, or as many random crops as the method needs.
        statistics: Of the training data; None: those of `data`, kept in `out`.
        seed: Of order, pairs, views and masks, >= 0; not of the initial weights.
        probe: Scores the encoder while it learns: `ProbeTask`.
        licence: Of the weights; usually that of the data.
        progress: A bar, or a function called with (steps done, steps in all).

    Raises:
        ContractMismatchError: If the encoder takes another number of bands than the data have.
        ManifestError: If a policy needs several dates and no location has them.
        TrainingError: If the settings do not fit the data or the method; if the loss is no number
            (naming the locations of its batch); if the sentinel is to stop at a collapse.
        CheckpointError: If the folder holds another run, or a damaged one.
        KeyboardInterrupt: If interrupted, after the step at hand; its state is kept.
    """
    if seed < 0:
        raise TrainingError(f"The seed must be >= 0, got {seed}.")
    folder = Path(out)
    settings = _default_settings(recipe) if settings is None else settings
    views = _default_views(method, recipe) if views is None else views
    dataset = data if isinstance(data, TemporalPatches) else _shown(data, method, seed)
    _require_bands(method, dataset)
    fabric = make_fabric(settings)
    folder.mkdir(parents=True, exist_ok=True)
    if statistics is None:
        statistics = _own_statistics(dataset, folder, fabric)
    plan = _plan(method, dataset, folder, settings, views, statistics, seed)
    plan = replace(plan, card=_card(plan, statistics, recipe, licence))
    state = _state_of(plan)
    if state is not None and state.step >= plan.total:
        log.info("the run in %s is complete", folder)
        return _result(plan, state.step, {}, [])
    watcher = Watcher(method, settings, probe)
    loop = Loop(plan, fabric, state)
    last = loop.run(watcher, progress)
    fabric.barrier()
    return _result(plan, loop.done, last, watcher.findings)


def _shown(patches: Patches, method: nn.Module, seed: int) -> TemporalPatches:
    """Pairs of dates where there are any for a method that compares views, else single dates."""
    compares = getattr(method, "views_needed", 2) > 1
    has_dates = bool((patches.index.n_dates > 1).any())
    pairs = PairPolicy() if compares and has_dates else None
    return TemporalPatches(patches, min_acquisitions=1, pairs=pairs, seed=seed)


def _require_bands(method: nn.Module, dataset: TemporalPatches) -> None:
    takes: Any = getattr(method.encoder, "bands", None)
    has = len(dataset.contract.band_names)
    if takes is not None and takes != has:
        raise ContractMismatchError(
            f"The encoder must take the bands of the data, but takes {takes} and they have {has}.\n"
            "Make it with `bands` of the data, or choose bands with `patches.select`."
        )


def _plan(
    method: nn.Module,
    dataset: TemporalPatches,
    folder: Path,
    settings: PretrainSettings,
    views: Sequence[ViewOptions],
    statistics: BandStatistics,
    seed: int,
) -> Plan:
    normalizer = Normalizer(statistics, dataset.contract, nodata_as=0.0)
    pipeline = ViewPipeline(views, normalizer=normalizer, reuse_memory=True)
    spec = describe_encoder(method.encoder)  # type: ignore[arg-type]
    policy = dataset.policy
    identity = {
        "method": type(method).__name__,
        "encoder": None if spec is None else asdict(spec),
        "views": [{k: _plain(v) for k, v in asdict(view).items()} for view in views],
        "data": {
            **dataset.patches.made_from,
            "locations": len(dataset),
            "counts": asdict(dataset.counts),
            "pairs": None if policy is None else policy.to_dict(),
            "dataset seed": dataset.seed,
        },
        "seed": seed,
        "settings": settings.to_dict(),
    }
    card = Card(contract=dataset.contract, encoder=spec)
    return Plan(method, dataset, pipeline, settings, seed, folder, identity, card)


def _card(plan: Plan, statistics: BandStatistics, recipe: Recipe | None, licence: str) -> Card:
    named = {} if recipe is None else {"recipe": recipe.to_dict()}
    return replace(
        plan.card,
        statistics=statistics,
        method=plan.identity["method"],
        recipe={**named, "settings": plan.identity["settings"], "views": plan.identity["views"]},
        data=plan.identity["data"],
        seed=plan.seed,
        licence=licence,
        versions=package_versions(),
    )


def _own_statistics(dataset: TemporalPatches, folder: Path, fabric: "Fabric") -> BandStatistics:
    """Those of the data, made by the first process and read by the others."""
    if fabric.global_rank == 0:
        stored_statistics(dataset.patches, folder / "statistics.json")
    fabric.barrier()
    return stored_statistics(dataset.patches, folder / "statistics.json")


def _default_settings(recipe: Recipe | None) -> PretrainSettings:
    return PretrainSettings() if recipe is None else PretrainSettings.from_recipe(recipe)


def _default_views(method: nn.Module, recipe: Recipe | None) -> tuple[ViewOptions, ...]:
    if recipe is not None:
        return recipe_views(recipe)
    count = max(1, getattr(method, "views_needed", 2))
    return multi_crop(ViewOptions(crop=(0.2, 1.0)), views=count)


def _state_of(plan: Plan) -> RunState | None:
    """The state to go on from, if it is of this run.

    Raises:
        CheckpointError: If it is of another one.
    """
    state = read_state(plan.out)
    if state is None:
        return None
    ours, theirs = dict(plan.identity), dict(state.identity)
    settings = PretrainSettings.from_dict(theirs.pop("settings"))
    ours.pop("settings")
    differs = [f"{name} differs" for name in ours if ours[name] != theirs.get(name)]
    differs += plan.settings.differences(settings)
    if differs:
        raise CheckpointError(
            f"A run goes on with the settings it was started with, but for the one in {plan.out} "
            f"{'; '.join(differs[:4])}.\nUse those, or another folder."
        )
    log.info("going on from step %d of %d in %s", state.step, plan.total, plan.out)
    return state


def _result(
    plan: Plan, steps: int, last: dict[str, float], findings: list[Finding]
) -> PretrainResult:
    return PretrainResult(
        checkpoint=plan.out / CHECKPOINT,
        metrics=plan.out / METRICS,
        steps=steps,
        is_complete=steps == plan.total,
        last=last,
        findings=tuple(findings),
    )


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value

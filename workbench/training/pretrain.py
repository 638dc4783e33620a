"""Pretraining: a method, an extraction and a folder in; an encoder with its card out."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
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
from workbench.methods.options import plain_value
from workbench.methods.recipes import Recipe
from workbench.progress import Progress
from workbench.training.checkpoint import Card
from workbench.training.devices import make_fabric, precision_of, what_ran
from workbench.training.encoders import describe_encoder
from workbench.training.identity import differences, run_identity
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
    """The last row of the metrics, also of a run that was found complete."""
    findings: tuple[Finding, ...] = ()
    """Collapses that the sentinel saw, and warned of, in all steps of the run."""
    method: nn.Module | None = field(default=None, repr=False, compare=False)
    """The trained method, in memory: its encoder has the weights of the checkpoint."""


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
    left as it is on disk, and its weights are put into the method in memory: encoder, heads,
    teacher and queue are then as the run left them.

    Args:
        method: A pretext method around an encoder, both with initial weights; or the encoder
            alone, around which the recipe builds its method.
        data: Locations; patches are shown as pairs of dates where there are any, if the method
            compares views, and as single dates if it does not.
        out: Folder of the run, made if it is missing: encoder.safetensors with its card, the
            state to go on from, metrics.csv and tensorboard.
        recipe: Gives settings and views, where they are not given. The method must be the
            recipe's, in every option: `recipe.build(encoder)`, after `recipe.with_options(...)`
            where options are changed on purpose.
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
        TrainingError: If the settings do not fit the data, the method or the device; if the method
            is not the recipe's; if the loss is no number (naming the locations of its batch); if
            the sentinel is to stop at a collapse.
        CheckpointError: If the folder holds another run, naming the settings that differ, or a
            damaged one.
        KeyboardInterrupt: If interrupted, after the step at hand; its state is kept.
    """
    if seed < 0:
        raise TrainingError(f"The seed must be >= 0, got {seed}.")
    folder = Path(out)
    method = _method_of(method, recipe)
    settings = _default_settings(recipe) if settings is None else settings
    views = _default_views(method, recipe) if views is None else views
    dataset = data if isinstance(data, TemporalPatches) else _shown(data, method, seed)
    _require_bands(method, dataset)
    fabric = make_fabric(settings)
    folder.mkdir(parents=True, exist_ok=True)
    if statistics is None:
        statistics = _own_statistics(dataset, folder, fabric)
    plan = _plan(method, dataset, folder, settings, views, statistics, seed, fabric)
    plan = replace(plan, card=_card(plan, statistics, recipe, licence, fabric))
    loop = Loop(plan, fabric, _state_of(plan), Watcher(method, settings, probe))
    if loop.start >= loop.stop:
        log.info("the run in %s has done its %d steps", folder, loop.start)
        loop.leave_as_found()
    else:
        loop.run(progress)
    fabric.barrier()
    return _result(loop)


def _method_of(given: nn.Module, recipe: Recipe | None) -> nn.Module:
    """The pretext method: as it was given, or a recipe's around the encoder that was given."""
    is_method = hasattr(given, "encoder") and callable(getattr(given, "update", None))
    if not is_method and recipe is None:
        raise TrainingError(
            f"Pretraining needs a pretext method around an encoder, got {type(given).__name__}.\n"
            "Make one, as MoCo(encoder) or recipe('moco').build(encoder), or give `recipe=`."
        )
    if not is_method:
        assert recipe is not None
        return recipe.build(given)
    if recipe is not None and (differs := recipe.differences(given)):
        raise TrainingError(
            f"The method must be the one of the recipe {recipe.method!r}, {recipe.name!r}, but "
            f"differs ({'; '.join(differs[:6])}).\nMake it with `recipe.build(encoder)`, or state "
            "the change: `recipe.with_options(...)`."
        )
    return given


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
    fabric: "Fabric",
) -> Plan:
    normalizer = Normalizer(statistics, dataset.contract, nodata_as=0.0)
    pipeline = ViewPipeline(views, normalizer=normalizer, reuse_memory=True)
    ran = precision_of(fabric)
    identity = run_identity(method, dataset, views, settings, statistics, seed=seed, precision=ran)
    card = Card(contract=dataset.contract, encoder=describe_encoder(method.encoder))  # type: ignore[arg-type]
    return Plan(method, dataset, pipeline, settings, seed, folder, identity, card)


def _card(
    plan: Plan,
    statistics: BandStatistics,
    recipe: Recipe | None,
    licence: str,
    fabric: "Fabric",
) -> Card:
    """The card of what is trained: each number is the trained object's, not the recipe's."""
    of_run = plan.identity
    trained = {
        "options": of_run["options"],
        "settings": of_run["settings"],
        "views": of_run["views"],
        "ran": what_ran(fabric, plan.settings),
    }
    named = {} if recipe is None else {"recipe": _recipe_as_trained(recipe, of_run)}
    return replace(
        plan.card,
        statistics=statistics,
        method=of_run["method"],
        recipe={**named, **trained},
        data=of_run["data"],
        seed=plan.seed,
        licence=licence,
        versions=of_run["versions"],
    )


def _recipe_as_trained(recipe: Recipe, of_run: Mapping[str, Any]) -> dict[str, Any]:
    """Name a recipe for a card, with the numbers that were trained and those that were changed."""
    settings, told = of_run["settings"], recipe.training()
    wanted = PretrainSettings.from_recipe(recipe).to_dict()
    views = [plain_value(asdict(view)) for view in recipe_views(recipe)]
    changed = {name: wanted[name] for name in told if wanted[name] != settings[name]}
    return {
        "method": recipe.method,
        "name": recipe.name,
        "reference": recipe.reference,
        "options": of_run["options"],
        **{name: settings[name] for name in told},
        "changed options": plain_value(recipe.changed),
        "changed settings, as the recipe has them": changed,
        "views are the recipe's": views == of_run["views"],
    }


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
    if differs := differences(state.identity, plan.identity, type(plan.method)):
        more = f"; and {len(differs) - 4} more" if len(differs) > 4 else ""
        raise CheckpointError(
            f"Cannot resume {plan.out}: settings differ ({'; '.join(differs[:4])}{more}).\n"
            "Use the settings it was started with, or another folder."
        )
    log.info("going on from step %d of %d in %s", state.step, plan.total, plan.out)
    return state


def _result(loop: Loop) -> PretrainResult:
    plan = loop.plan
    return PretrainResult(
        checkpoint=plan.out / CHECKPOINT,
        metrics=plan.out / METRICS,
        steps=loop.done,
        is_complete=loop.done == plan.total,
        last=dict(loop.last),
        findings=tuple(loop.watcher.findings),
        method=plan.method,
    )

"""What a pretraining run is told: how long, how fast, on what, and how it is watched."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from workbench.datasets.augmentation_draws import ViewOptions
from workbench.datasets.augmentations import multi_crop
from workbench.errors import TrainingError
from workbench.methods.recipes import Recipe

OptimiserName = Literal["sgd", "adamw", "lars"]
Rule = Literal["none", "linear", "sqrt"]
Shape = Literal["cosine", "step", "constant"]
Watch = Literal["warn", "stop"]
LOGGERS = ("csv", "tensorboard", "mlflow")

_WORDS: dict[str, tuple[str, ...]] = {
    "optimiser": ("sgd", "adamw", "lars"),
    "lr_rule": ("none", "linear", "sqrt"),
    "schedule": ("cosine", "step", "constant"),
    "precision": ("auto", "32-true", "bf16-mixed", "16-mixed"),
    "strategy": ("auto", "ddp", "fsdp"),
}
_HARMLESS = {  # what may change between a run and its continuation: none of it changes the weights
    "checkpoint_every", "log_every", "probe_every", "watch", "loggers", "workers", "stop_after",
    "accelerator",
}  # fmt: skip


@dataclass(frozen=True)
class PretrainSettings:
    """The settings of a run; together with seed, method and data they determine the weights.

    Raises:
        TrainingError: If a setting is outside its range.
    """

    epochs: float = 100
    """Passes over the locations, > 0; a last incomplete batch of an epoch is left out."""
    steps: int | None = None
    """Steps of the optimiser, >= 1; they count instead of `epochs`."""
    batch_size: int = 256
    """Locations per step, over all processes, >= 1."""
    accumulate: int = 1
    """Parts into which each process cuts its share of a batch, to save memory, >= 1."""
    optimiser: OptimiserName = "adamw"
    """"sgd", "adamw" or "lars"."""
    lr: float = 1e-3
    """Largest learning rate, > 0, before the rule."""
    lr_rule: Rule = "none"
    """"linear": times batch_size / 256; "sqrt": times its root."""
    weight_decay: float = 0.05
    """>= 0; not for biases, norms, position embeddings and class tokens."""
    weight_decay_end: float | None = None
    """Weight decay at the end, reached along a cosine; None: it stays."""
    momentum: float = 0.9
    """Of SGD and LARS."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of AdamW."""
    schedule: Shape = "cosine"
    """"cosine", "step" or "constant", after the warm-up."""
    warmup_epochs: float = 0.0
    """Epochs in which the rate rises in a straight line, >= 0."""
    warmup_start: float = 0.0
    """Share of the rate at which it starts, in [0, 1]."""
    lr_end: float = 0.0
    """Share of the rate at which a cosine ends, in [0, 1]."""
    milestones: tuple[float, ...] = (0.6, 0.8)
    """Shares of the training at which "step" multiplies the rate by `gamma`."""
    gamma: float = 0.1
    """Factor of "step"."""
    clip_gradients: float | None = None
    """Largest norm of the gradient; None: not clipped."""
    gradient_checkpointing: bool = False
    """Compute activations twice to save memory."""
    precision: str = "auto"
    """"auto": bf16-mixed on a GPU that has it, else 32-true; also "bf16-mixed", "16-mixed"."""
    strategy: str = "auto"
    """"auto": ddp if there are several processes; "ddp" or "fsdp"."""
    accelerator: str = "auto"
    """"auto", "cpu" or "cuda"."""
    sync_batchnorm: bool = True
    """Moments over all processes; on GPUs only, torch has none for CPUs."""
    compile: bool = False
    """Compile the blocks of transformers (torch.compile): half a minute at the start, and fewer
    passes over memory in each step. Meant for GPUs."""
    workers: int = 0
    """What reads data for each training process, >= 0: processes on a CPU, threads on a GPU."""
    checkpoint_every: int = 500
    """Steps between two checkpoints, >= 1; the last step always writes one."""
    log_every: int = 1
    """Steps between two rows of the metrics, >= 1."""
    probe_every: int = 100
    """Steps between two probes, >= 1, if there is a probe."""
    watch: Watch | None = "warn"
    """What a collapse does: "warn", "stop", or None: nothing is watched."""
    loggers: tuple[str, ...] = ("csv", "tensorboard")
    """Any of "csv", "tensorboard" and "mlflow"."""
    stop_after: int | None = None
    """Stop after this many steps of the run with a checkpoint, to go on later; None: at the end."""

    def __post_init__(self) -> None:
        for name in ("betas", "milestones", "loggers"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, known in _WORDS.items():
            _require(getattr(self, name) in known, name, getattr(self, name), " or ".join(known))
        _require(set(self.loggers) <= set(LOGGERS), "loggers", self.loggers, f"among {LOGGERS}")
        _require(self.watch in ("warn", "stop", None), "watch", self.watch, "warn, stop or None")
        for name in ("batch_size", "accumulate", "checkpoint_every", "log_every", "probe_every"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")
        for name in ("epochs", "lr"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "> 0")
        for name in ("weight_decay", "warmup_epochs", "workers"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), ">= 0")
        for name in ("steps", "stop_after"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, value, ">= 1 or None")
        for name in ("warmup_start", "lr_end"):
            _require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "in [0, 1]")

    def to_dict(self) -> dict[str, Any]:
        """Lay the settings out as plain values for JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "PretrainSettings":
        """Read what `to_dict` gave.

        Raises:
            TrainingError: If there is no such setting.
        """
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise TrainingError(
                f"There is no setting {', '.join(map(repr, unknown))}.\n"
                f"Settings are {', '.join(known)}."
            )
        return cls(**values)

    @classmethod
    def from_recipe(cls, recipe: Recipe, **changes: Any) -> "PretrainSettings":
        """Take the numbers of a recipe, but for what is given.

        Raises:
            TrainingError: If there is no such setting.

        Example:
            >>> from workbench.methods import recipe
            >>> found = PretrainSettings.from_recipe(recipe("moco", "spectral_earth"), epochs=2)
            >>> found.lr, found.optimiser, found.epochs
            (0.001, 'sgd', 2)
        """
        return cls.from_dict({**recipe.training(), **changes})

    def total_steps(self, locations: int) -> int:
        """Count the steps of the whole run.

        Args:
            locations: Number of locations of the data.

        Raises:
            TrainingError: If there are fewer locations than a batch takes.
        """
        per_epoch = self.steps_per_epoch(locations)
        return self.steps or max(1, round(self.epochs * per_epoch))

    def steps_per_epoch(self, locations: int) -> int:
        """Count the whole batches of an epoch.

        Raises:
            TrainingError: If there is none.
        """
        if locations < self.batch_size:
            raise TrainingError(
                f"A batch takes {self.batch_size} locations, but the data have {locations}.\n"
                "Lower `batch_size`, or take more data."
            )
        return locations // self.batch_size


def harmless_settings() -> frozenset[str]:
    """Names of the settings that may change between a run and its continuation."""
    return frozenset(_HARMLESS)


def recipe_views(recipe: Recipe, **changes: Any) -> tuple[ViewOptions, ...]:
    """List the views of a recipe.

    Args:
        recipe: Of a method.
        changes: Fields of `ViewOptions` for its large views, as `size`, or arguments of
            `multi_crop`, as `local_size`, in place of the recipe's.
    """
    of_view = {field.name for field in fields(ViewOptions)} - {"blur", "solarise"}
    view = {**recipe.view, **{k: v for k, v in changes.items() if k in of_view}}
    crops = {**recipe.crops, **{k: v for k, v in changes.items() if k not in of_view}}
    return multi_crop(ViewOptions(**view), **crops)


def _require(is_so: bool, name: str, value: object, what: str) -> None:
    if not is_so:
        raise TrainingError(f"The setting {name!r} must be {what}, got {value!r}.")

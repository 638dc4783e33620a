"""The detail budget: what stem, loss, decoder and token size are each worth to fine structures.

Every combination is trained, on the real Landsat forest and on simulated thin structures, so that
the effect of one choice can be told from those of the others. A ResNet has a stem and a transformer
has tokens, so there are two factorials: stem × loss × decoder, and token size × loss × decoder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from workbench.errors import EvaluationError
from workbench.evaluation.forest import BLOCK, BOUNDARY, FOREST_SCALES, WINDOW
from workbench.evaluation.study import StudyCell
from workbench.evaluation.tasks import Task, scene_task
from workbench.synthetic.thin import thin_structures

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "resnet18": ("stem", "loss", "decoder"),
    "vit_small": ("token_size", "loss", "decoder"),
}
"""Factors that are crossed, by encoder."""
_PLAIN_LOSS, _LOSSES = "cross_entropy", ("cross_entropy", "boundary")


@dataclass(frozen=True)
class Factorial:
    """Levels of each factor for one task, the plain ones first, and how long is trained."""

    steps: int
    """Of each training."""
    batch_size: int
    """Windows per step."""
    seeds: int
    """Trainings of each combination."""
    stems: tuple[str, ...] = ("standard", "detail")
    """Of the ResNet; none for no ResNet."""
    decoders: tuple[str, ...] = ("unet", "deeplabv3+")
    """Of the ResNet."""
    token_sizes: tuple[int, ...] = (8, 4, 2)
    """Of the transformer, pixels; none for no transformer."""
    token_decoders: tuple[str, ...] = ("upconv", "linear")
    """Of the transformer."""
    losses: tuple[str, ...] = _LOSSES

    def settings(self) -> dict[str, Any]:
        """What all trainings share, as options of a cell; those of `forest_cells`."""
        shared = {"steps": self.steps, "batch_size": self.batch_size, "lr": 1e-3, "warmup": 0.1}
        return {**shared, "eval_every": max(1, self.steps // 5)}


def _forest(scale: str, **levels: Any) -> Factorial:
    known = FOREST_SCALES[scale]
    return Factorial(known.steps, known.batch_size, known.other_seeds, **levels)


_FEW: dict[str, Any] = {"decoders": ("unet",), "token_sizes": (), "token_decoders": ()}
BUDGETS: Mapping[str, Mapping[str, Factorial]] = {
    "test": {"forest": _forest("test", **_FEW), "thin": Factorial(4, 4, 1, **_FEW)},
    "demo": {"forest": _forest("demo", **_FEW), "thin": Factorial(80, 8, 1, **_FEW)},
    "small": {"forest": _forest("small"), "thin": Factorial(600, 16, 5)},
    "full": {"forest": _forest("full"), "thin": Factorial(4000, 32, 5)},
}
"""Factorials by scale and task. At "test" and "demo" the trainings of the forest are those of the
notebook on it, and are found in its table."""
THIN_SIDE: Mapping[str, int] = {"test": 160, "demo": 384, "small": 512, "full": 768}
"""Side of the simulated scene by scale, pixels of 10 m."""


def thin_task(scale: str, *, seed: int) -> Task:
    """Make the task of the simulated scene of thin structures: four classes, 10 m.

    Args:
        scale: One of `BUDGETS`.
        seed: Of ground, noise and split.

    Raises:
        EvaluationError: If there is no such scale.
    """
    factorials(scale)
    scene = thin_structures(THIN_SIDE[scale], seed=seed)
    return scene_task("thin", scene, size=WINDOW, block=BLOCK, seed=seed)


def factorials(scale: str) -> Mapping[str, Factorial]:
    """Give the factorial of each task at a scale.

    Raises:
        EvaluationError: If there is no such scale.
    """
    if scale not in BUDGETS:
        raise EvaluationError(
            f"There is no scale {scale!r} of the detail budget.\nScales are {', '.join(BUDGETS)}."
        )
    return BUDGETS[scale]


def budget_cells(scale: str, task: str) -> list[StudyCell]:
    """List the trainings of a task's factorials, seed by seed.

    Args:
        scale: One of `BUDGETS`.
        task: "forest" or "thin".

    Raises:
        EvaluationError: If there is no such scale or task.

    Example:
        >>> len(budget_cells("small", "thin"))  # (2 stems + 3 token sizes) × 2 × 2 × 5 seeds
        100
    """
    known = factorials(scale)
    if task not in known:
        raise EvaluationError(f"There is no task {task!r}.\nTasks are {', '.join(known)}.")
    design = known[task]
    listed: list[tuple[str, str, dict[str, Any]]] = [
        ("resnet18", decoder, {"stem": stem, "loss": loss})
        for stem, loss, decoder in product(design.stems, design.losses, design.decoders)
    ]
    listed += [
        # a transformer has no stem of this kind; the word keeps its cells alike
        ("vit_small", decoder, {"stem": "standard", "token_size": token, "loss": loss})
        for token, loss, decoder in product(
            design.token_sizes, design.losses, design.token_decoders
        )
    ]
    return [
        _cell(task, encoder, decoder, seed, {**design.settings(), **options})
        for seed in range(design.seeds)
        for encoder, decoder, options in listed
    ]


def _cell(
    task: str, encoder: str, decoder: str, seed: int, options: Mapping[str, Any]
) -> StudyCell:
    more = {} if options["loss"] == _PLAIN_LOSS else {"boundary": BOUNDARY}
    return StudyCell(task, encoder, "random", "scratch", decoder, seed, options={**options, **more})


def levels_of(cell: StudyCell) -> tuple[Any, ...]:
    """The cell's level of each factor of its family, in the order of `FAMILIES`."""
    columns = cell.columns()
    return tuple(columns[factor] for factor in FAMILIES[cell.encoder])


def factors_of(cells: Sequence[StudyCell], encoder: str) -> dict[str, tuple[Any, ...]]:
    """Levels of each factor that is varied among the cells of an encoder, in their order."""
    rows = [levels_of(cell) for cell in cells if cell.encoder == encoder]
    found = zip(FAMILIES[encoder], zip(*rows, strict=True), strict=True) if rows else ()
    return {factor: tuple(dict.fromkeys(levels)) for factor, levels in found}


def output_stride(cell: StudyCell) -> int:
    """Side of the cells of the finest map that a model's encoder hands to its decoder, pixels."""
    if cell.encoder == "vit_small":
        return int(cell.options.get("token_size", 4))
    if cell.decoder == "deeplabv3+":
        return 4
    return 1 if cell.options["stem"] == "detail" else 2

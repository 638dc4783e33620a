"""The forest experiment that anyone can run: decoders, stems and losses on a real Landsat scene."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from workbench.errors import EvaluationError
from workbench.evaluation.benchmark import Bench
from workbench.evaluation.kept import KeptPredictions
from workbench.evaluation.study import StudyCell
from workbench.evaluation.tasks import Task, scene_task
from workbench.models import resnet
from workbench.models.vit import ViTEncoder, ViTSize

if TYPE_CHECKING:
    from workbench.readers.samples import LabelledScene

WINDOW, BLOCK = 32, 2
"""Side of a window in pixels, and of a block of the split in windows: 1.8 km of the Landsat scene.
Larger blocks would leave three of them to test on."""
BOUNDARY = {"form": "band", "strength": 4.0, "width": 2}
"""Options of the boundary loss: pixels within 2 of a label change count five times."""
_SMALL = ViTSize(128, 4, 4)  # a transformer as small as the windows


@dataclass(frozen=True)
class ForestScale:
    """How long is trained, and how often."""

    steps: int
    """Of each training."""
    batch_size: int
    """Windows per step."""
    seeds: int
    """Trainings of the plain UNet, with which the others are compared."""
    other_seeds: int
    """Trainings of each of the others."""

    def settings(self) -> dict[str, Any]:
        """What all trainings of the scale share, as options of a cell."""
        return {
            "steps": self.steps,
            "batch_size": self.batch_size,
            "lr": 1e-3,
            "warmup": 0.1,
            "eval_every": max(1, self.steps // 5),
        }


FOREST_SCALES: Mapping[str, ForestScale] = {
    "test": ForestScale(4, 4, 2, 1),
    "demo": ForestScale(60, 8, 3, 1),
    "small": ForestScale(300, 16, 5, 5),
    "full": ForestScale(3000, 32, 5, 5),
}
"""Trainings by scale; fewer than five seeds support no claim about a design."""


def forest_scale(name: str) -> ForestScale:
    """Give a scale by its name.

    Raises:
        EvaluationError: If there is no such scale.
    """
    if name not in FOREST_SCALES:
        raise EvaluationError(
            f"There is no scale {name!r} of the forest experiment.\n"
            f"Scales are {', '.join(FOREST_SCALES)}."
        )
    return FOREST_SCALES[name]


def forest_task(
    scene: "LabelledScene", *, seed: int, size: int = WINDOW, block: int = BLOCK
) -> Task:
    """Make the task "forest or not" of the North Carolina scene.

    Args:
        scene: As `nc_landsat_forest` reads it.
        seed: Seed of the split.
        size: Side of a window, pixels.
        block: Side of a block of the split, windows.
    """
    others = [name for name in scene.legend.names if name != "Forest"]
    classes = {"other": others, "forest": ["Forest"]}
    return scene_task("forest", scene, size=size, block=block, seed=seed, classes=classes)


def forest_cells(scale: str, *, task: str = "forest") -> list[StudyCell]:
    """List the trainings: the plain UNet with all its seeds, then the others seed by seed.

    Three decoders, each on the encoder it is for; and stem × loss on the UNet.

    Args:
        scale: One of `FOREST_SCALES`.
        task: Name of the task.

    Raises:
        EvaluationError: If there is no such scale.
    """
    chosen = forest_scale(scale)
    plain = {"stem": "standard", "loss": "cross_entropy"}
    detail, boundary = {"stem": "detail"}, {"loss": "boundary", "boundary": BOUNDARY}
    others: list[tuple[str, str, dict[str, Any]]] = [
        ("deeplabv3+", "resnet18", plain),
        ("upconv", "vit_small", plain),
        ("unet", "resnet18", {**plain, **boundary}),
        ("unet", "resnet18", {**plain, **detail}),
        ("unet", "resnet18", {**plain, **detail, **boundary}),
    ]
    listed = [("unet", "resnet18", plain, seed) for seed in range(chosen.seeds)]
    listed += [(*other, seed) for seed in range(chosen.other_seeds) for other in others]
    return [
        StudyCell(task, encoder, "random", "scratch", decoder, seed,
                  options={**chosen.settings(), **options})
        for decoder, encoder, options, seed in listed
    ]  # fmt: skip


def cell_name(cell: StudyCell) -> str:
    """Name a training for people: its design and its seed.

    Example:
        >>> [cell_name(cell) for cell in forest_cells("test")[1:3]]
        ['UNet · ResNet-18 · seed 1', 'DeepLabV3+ · ResNet-18 · seed 0']
    """
    return f"{design_name(cell)} · seed {cell.seed}"


def design_name(cell: StudyCell) -> str:
    """Name what a training shares with those of other seeds; the plain stem and loss go unsaid."""
    decoders = {"unet": "UNet", "deeplabv3+": "DeepLabV3+", "upconv": "UpConv", "linear": "Linear"}
    is_resnet = cell.encoder == "resnet18"
    encoder = "ResNet-18" if is_resnet else f"ViT/{cell.options.get('token_size', 4)}"
    special = [word for word, is_so in (
        ("detail stem", is_resnet and cell.options["stem"] == "detail"),
        ("boundary loss", cell.options["loss"] == "boundary"),
    ) if is_so]  # fmt: skip
    return " · ".join([decoders[cell.decoder], encoder, *special])


def forest_bench(
    tasks: Task | Mapping[str, Task], *, keep: KeptPredictions | None = None, device: str = "cpu"
) -> Bench:
    """Make what runs the cells of `forest_cells`, or those of other tasks of one scene."""
    known = {tasks.name: tasks} if isinstance(tasks, Task) else tasks
    return Bench(known, _encoder, keep=keep, device=device)


def _encoder(cell: StudyCell, task: Task) -> nn.Module:
    """An encoder with weights drawn from the cell's seed."""
    with torch.random.fork_rng():
        torch.manual_seed(1000 + cell.seed)
        if cell.encoder == "resnet18":
            return resnet(18, task.bands, cell.options["stem"])
        token = cell.options.get("token_size", 4)
        return ViTEncoder(task.bands, task.image_size, token, _SMALL, adapter=False)

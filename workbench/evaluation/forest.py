"""The forest experiment that anyone can run: decoders, stems and losses on a real Landsat scene."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from workbench.evaluation.benchmark import Bench
from workbench.evaluation.kept import KeptPredictions
from workbench.evaluation.study import StudyCell
from workbench.evaluation.tasks import Task, scene_task
from workbench.models import resnet
from workbench.models.vit import ViTEncoder, ViTSize

if TYPE_CHECKING:
    from workbench.readers.samples import LabelledScene

FOREST_SCALES: Mapping[str, dict[str, Any]] = {
    "test": {"steps": 4, "batch_size": 4},
    "demo": {"steps": 60, "batch_size": 16},
    "small": {"steps": 400, "batch_size": 16},
    "full": {"steps": 4000, "batch_size": 32},
}
"""Length of the training by scale."""
BOUNDARY = {"form": "band", "strength": 4.0, "width": 2}
"""Options of the boundary loss: pixels within 2 of a label change count five times."""


def forest_task(scene: "LabelledScene", *, size: int, block: int, seed: int) -> Task:
    """Make the task "forest or not" of the North Carolina scene.

    Args:
        scene: As `nc_landsat_forest` reads it.
        size: Side of a window, pixels.
        block: Side of a block of the split, windows.
        seed: Seed of the split.
    """
    others = [name for name in scene.legend.names if name != "Forest"]
    classes = {"other": others, "forest": ["Forest"]}
    return scene_task("forest", scene, size=size, block=block, seed=seed, classes=classes)


def forest_cells(
    *, seeds: Sequence[int] | range, steps: int, batch_size: int, lr: float = 1e-3
) -> list[StudyCell]:
    """List the trainings: three decoders, and stem × loss on the UNet.

    Args:
        seeds: Of training.
        steps: Of each.
        batch_size: Windows per step.
        lr: Largest learning rate.
    """
    shared = {"steps": steps, "batch_size": batch_size, "lr": lr, "eval_every": max(1, steps // 4)}
    kinds: list[tuple[str, str, dict[str, Any]]] = []
    for stem in ("standard", "detail"):
        for loss in ("cross_entropy", "boundary"):
            more = {"boundary": BOUNDARY} if loss == "boundary" else {}
            kinds.append(("unet", "resnet18", {"stem": stem, "loss": loss, **more}))
    plain = {"stem": "standard", "loss": "cross_entropy"}
    kinds += [("deeplabv3+", "resnet18", plain), ("upconv", "vit_small", plain)]
    return [
        StudyCell("forest", encoder, "random", "scratch", decoder, seed,
                  options={**shared, **options})
        for decoder, encoder, options in kinds
        for seed in seeds
    ]  # fmt: skip


def forest_bench(task: Task, *, keep: KeptPredictions | None = None) -> Bench:
    """Make what runs the cells of `forest_cells`."""
    return Bench({"forest": task}, _encoder, keep=keep)


def _encoder(cell: StudyCell, task: Task) -> nn.Module:
    """An encoder with weights drawn from the cell's seed."""
    with torch.random.fork_rng():
        torch.manual_seed(1000 + cell.seed)
        if cell.encoder == "resnet18":
            return resnet(18, task.bands, cell.options["stem"])
        # a transformer as small as the windows: tokens of 4 pixels
        return ViTEncoder(task.bands, task.image_size, 4, ViTSize(128, 4, 4), adapter=False)

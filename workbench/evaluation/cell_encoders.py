"""The encoder of a cell: random weights by its seed, or those of the checkpoint that it names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workbench.errors import EvaluationError
from workbench.evaluation.study import StudyCell
from workbench.evaluation.study_files import EncoderPlan
from workbench.evaluation.tasks import Task
from workbench.training.checkpoint import load_checkpoint
from workbench.training.encoders import build_encoder
from workbench.training.small_runs import scale_of

_OF_ENCODER = ("token_size", "size", "stem", "depth")


@dataclass(frozen=True)
class CellEncoders:
    """Makes the encoder of a cell; give it to `Bench`."""

    plans: Mapping[str, EncoderPlan]
    """How each encoder is made, by its name."""
    checkpoints: str = "{init}/encoder.safetensors"
    """Path of a checkpoint, in which the columns of the cell stand in braces."""
    folder: Path = field(default_factory=Path)
    """What the path is relative to."""

    def __call__(self, cell: StudyCell, task: Task) -> nn.Module:
        """Make an encoder for the bands and the image size of a task.

        Raises:
            EvaluationError: If the cell's encoder is unknown, or its weights are not there.
            CheckpointError: If the checkpoint is damaged or of another network.
            ContractMismatchError: If it was trained on other bands.
        """
        if cell.encoder not in self.plans:
            raise EvaluationError(
                f"There is no encoder {cell.encoder!r}.\nEncoders are {', '.join(self.plans)}."
            )
        if cell.init != "random":
            return load_checkpoint(self.path(cell), contract=task.train.contract)[0]
        plan = self.plans[cell.encoder]
        options = dict(plan.options) | {
            k: cell.options[k] for k in _OF_ENCODER if k in cell.options
        }
        with torch.random.fork_rng():
            torch.manual_seed(cell.seed)
            return build_encoder(plan.factory, **_for_task(plan.factory, task), **options)

    def path(self, cell: StudyCell) -> Path:
        """Give the checkpoint of a cell.

        Raises:
            EvaluationError: If there is none, or the path names a column that the cell lacks.
        """
        try:
            path = self.folder / self.checkpoints.format(**cell.columns())
        except KeyError as error:
            raise EvaluationError(
                f"The path of checkpoints {self.checkpoints!r} names {error.args[0]!r}, which is "
                f"no column of the cell {cell}."
            ) from None
        if not path.is_file():
            raise EvaluationError(
                f"The weights {cell.init!r} of {cell.encoder!r} must be at {path}, but nothing is "
                "there.\nMake them with `workbench pretrain`, or say where they are."
            )
        return path


def plan_of_scale(encoder: str, scale: str) -> EncoderPlan:
    """Make random encoders as `training.small_runs.small_encoder` does at a scale.

    Args:
        encoder: "spectral_vit", "vit", "spectral_resnet50" or "resnet".
        scale: Key of `training.small_runs.SCALES`.

    Raises:
        TrainingError: If there is no such scale.
    """
    size = scale_of(scale)
    if not encoder.endswith("vit"):
        return EncoderPlan(factory=encoder)
    options: dict[str, Any] = {"token_size": size.token_size}
    if isinstance(size.vit, str):
        return EncoderPlan(factory=encoder, options={**options, "size": size.vit})
    options |= {"size": list(size.vit), "adapter": encoder == "spectral_vit"}
    return EncoderPlan(factory="ViTEncoder", options=options)


def _for_task(factory: str, task: Task) -> dict[str, Any]:
    """Arguments of a factory that follow from the data."""
    contract = task.train.contract
    if factory.lower().startswith("wavelength"):
        found: dict[str, Any] = {
            "wavelengths_nm": list(contract.wavelengths_nm), "fwhm_nm": list(contract.fwhm_nm)
        }  # fmt: skip
    else:
        found = {"bands": task.bands}
    if "vit" in factory.lower():
        found["image_size"] = task.image_size
    return found

"""From predicted densities to scores: root mean squared error and R²."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from workbench.errors import ContractMismatchError
from workbench.evaluation.metrics import require_judged, require_new
from workbench.evaluation.score_records import ScoreRecord
from workbench.evaluation.scores import AnyScore


class DensityTally:
    """Sums over the labelled pixels of each image: pixels, squared errors, values, their squares.

    Args:
        unit: What a density is counted in, for the definitions.
    """

    def __init__(self, *, unit: str = "shares of ground in [0, 1]") -> None:
        self.unit = unit
        self._images: list[str] = []
        self._sums: list[np.ndarray] = []

    def add(self, prediction: Tensor, target: Tensor, images: Sequence[str]) -> None:
        """Judge a batch.

        Args:
            prediction: (B, H, W) densities.
            target: (B, H, W) densities, NaN where there is none.
            images: (B,) ids of the images, distinct over all batches.

        Raises:
            ContractMismatchError: If the shapes do not fit, a prediction is not finite, or an
                image has no labelled pixel.
        """
        if prediction.shape != target.shape or target.ndim != 3 or len(images) != len(target):
            raise ContractMismatchError(
                "Predicted and labelled densities are (B, H, W) with B image ids, but are "
                f"{tuple(prediction.shape)} and {tuple(target.shape)} with {len(images)} ids."
            )
        require_new(images, self._images)
        known = ~target.isnan()
        empty = [
            n for n, yes in zip(images, known.flatten(1).any(1).tolist(), strict=True) if not yes
        ]
        if empty:
            raise ContractMismatchError(
                f"An image needs a labelled pixel to be judged, but {len(empty)} (such as "
                f"{empty[0]!r}) has none.\nLeave such images out of the test set."
            )
        if not prediction[known].isfinite().all():
            raise ContractMismatchError(
                f"Predicted densities are finite, but {int((~prediction[known].isfinite()).sum())} "
                "pixels are not."
            )
        value = torch.where(known, target, 0).double()
        error = torch.where(known, prediction.double() - value, 0)
        parts = (known.double(), error**2, value, value**2)
        self._sums.append(torch.stack([p.sum((1, 2)) for p in parts], dim=-1).cpu().numpy())
        self._images += list(images)

    def record(self) -> ScoreRecord:
        """Give the sums of all images judged so far, to be kept or scored.

        Raises:
            ContractMismatchError: If no image was judged.
        """
        require_judged(self._images)
        arrays = {"sums": np.concatenate(self._sums)}
        return ScoreRecord("density", {"unit": self.unit}, tuple(self._images), arrays)

    def scores(self) -> dict[str, AnyScore]:
        """Every metric of the task, by name.

        Raises:
            ContractMismatchError: If no image was judged.
        """
        return self.record().scores()

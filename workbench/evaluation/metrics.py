"""From predicted label maps, batch by batch, to scores that know what they are.

A tally takes batches of predictions and labels and keeps counts for each image (torchmetrics makes
them); `scores()` gives every metric of the task by name. What cannot be judged is refused.
`metrics_labels` and `metrics_density` hold the tallies of the other tasks.
"""

import logging
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from workbench.errors import ContractMismatchError
from workbench.evaluation.score_records import ScoreRecord
from workbench.evaluation.scores import AnyScore

log = logging.getLogger(__name__)

Empty = Literal["refuse", "drop"]


class SegmentationTally:
    """Counts of label maps: a confusion matrix for each image.

    Args:
        classes: Names of the K classes, in the order of their indices.
        ignore_index: Label of pixels that are not judged; None if each pixel is.
        empty: What becomes of an image without a labelled pixel: "refuse", or "drop" it, which
            is counted in `dropped` and logged.
        bins: Number of bins of the calibration error.
    """

    dropped: int
    """Images left out for want of a labelled pixel."""

    def __init__(
        self,
        classes: Sequence[str],
        *,
        ignore_index: int | None = None,
        empty: Empty = "refuse",
        bins: int = 15,
    ) -> None:
        self.classes, self.ignore_index, self.empty, self.bins = classes, ignore_index, empty, bins
        self.dropped = 0
        self._images: list[str] = []
        self._confusions: list[np.ndarray] = []
        self._calibration: list[np.ndarray] = []

    def add(self, prediction: Tensor, target: Tensor, images: Sequence[str]) -> None:
        """Judge a batch.

        Args:
            prediction: (B, H, W) class indices, or (B, K, H, W) logits, which are also judged for
                calibration; all batches alike.
            target: (B, H, W) class indices or `ignore_index`.
            images: (B,) ids of the images, distinct over all batches.

        Raises:
            ContractMismatchError: If the shapes do not fit, a class is outside the legend, or an
                image or the whole batch has no labelled pixel (see `empty`).
        """
        logits = prediction if prediction.is_floating_point() else None
        hard = prediction if logits is None else prediction.argmax(dim=1)
        self._check(hard, target, images, logits)
        counted = self._counted(target, images)
        for labels, found in zip(target[counted], hard[counted], strict=True):
            self._confusions.append(self._confusion(found, labels))
        self._images += [name for name, yes in zip(images, counted.tolist(), strict=True) if yes]
        if logits is not None:
            self._calibration += [
                self._bins(one, labels)
                for one, labels in zip(logits[counted], target[counted], strict=True)
            ]

    def record(self) -> ScoreRecord:
        """Give the counts of all images judged so far, to be kept or scored.

        Raises:
            ContractMismatchError: If no image was judged.
        """
        require_judged(self._images)
        arrays = {"confusions": np.stack(self._confusions)}
        if len(self._calibration) == len(self._images):
            arrays["calibration"] = np.stack(self._calibration)
        settings = {"classes": list(self.classes), "bins": self.bins}
        return ScoreRecord("segmentation", settings, tuple(self._images), arrays)

    def scores(self) -> dict[str, AnyScore]:
        """Every metric of the task, by name.

        Raises:
            ContractMismatchError: If no image was judged.
        """
        return self.record().scores()

    def _check(
        self, hard: Tensor, target: Tensor, images: Sequence[str], logits: Tensor | None
    ) -> None:
        if logits is not None and logits.shape[1] != len(self.classes):
            raise ContractMismatchError(
                f"Logits need one channel for each of the {len(self.classes)} classes, but have "
                f"{logits.shape[1]}."
            )
        if hard.shape != target.shape or target.ndim != 3 or len(images) != len(target):
            raise ContractMismatchError(
                "Predictions and labels are (B, H, W) with B image ids, but are "
                f"{tuple(hard.shape)} and {tuple(target.shape)} with {len(images)} ids."
            )
        require_new(images, self._images)
        require_known(target, len(self.classes), self.ignore_index, images, "labels")
        require_known(hard, len(self.classes), None, images, "predictions")
        if logits is not None:
            known = torch.ones_like(target, dtype=torch.bool)
            if self.ignore_index is not None:
                known = target != self.ignore_index
            require_numbers(logits.isnan().any(dim=1) & known, images, "Logits")

    def _counted(self, target: Tensor, images: Sequence[str]) -> Tensor:
        """(B,) True for the images that have a labelled pixel."""
        if self.ignore_index is None:
            return torch.ones(len(target), dtype=torch.bool, device=target.device)
        counted = (target != self.ignore_index).flatten(1).any(dim=1)
        empty = [name for name, yes in zip(images, counted.tolist(), strict=True) if not yes]
        if empty and self.empty == "refuse":
            which = "every image of the batch" if len(empty) == len(images) else f"{len(empty)}"
            raise ContractMismatchError(
                f"An image needs a labelled pixel to be judged, but {which} (such as "
                f"{empty[0]!r}) has only ignored ones.\n"
                "Leave such images out of the test set, or count them with empty='drop'."
            )
        self.dropped += len(empty)
        if empty:
            log.warning("left out %d images without a labelled pixel: %s", len(empty), empty[:5])
        return counted

    def _confusion(self, found: Tensor, labels: Tensor) -> np.ndarray:
        from torchmetrics.functional.classification import multiclass_confusion_matrix

        matrix = multiclass_confusion_matrix(
            found.flatten(),
            labels.flatten(),
            num_classes=len(self.classes),
            ignore_index=self.ignore_index,
            validate_args=False,
        )
        return matrix.cpu().numpy()

    def _bins(self, logits: Tensor, labels: Tensor) -> np.ndarray:
        """(bins, 3) pixels, sum of confidences and number of right ones, in each bin."""
        known = torch.ones_like(labels, dtype=torch.bool)
        if self.ignore_index is not None:
            known = labels != self.ignore_index
        confidence, found = logits.double().softmax(dim=0).max(dim=0)
        confidence, right = confidence[known], (found == labels)[known]
        place = (confidence * self.bins).ceil().long().sub(1).clamp(0, self.bins - 1)
        parts = (torch.ones_like(confidence), confidence, right.double())
        sums = [torch.bincount(place, weights=part, minlength=self.bins) for part in parts]
        return torch.stack(sums, dim=-1).cpu().numpy()


def require_judged(images: Sequence[str]) -> None:
    """Refuse to score nothing.

    Raises:
        ContractMismatchError: If there is no image.
    """
    if not images:
        raise ContractMismatchError("Scores need at least one image, but none was judged.")


def require_new(images: Sequence[str], before: Sequence[str]) -> None:
    """Refuse an image that was judged before.

    Raises:
        ContractMismatchError: If an id repeats.
    """
    twice = set(images) & set(before)
    if twice or len(set(images)) < len(images):
        name = min(twice) if twice else next(n for n in images if list(images).count(n) > 1)
        raise ContractMismatchError(f"Each image is judged once, but {name!r} came twice.")


def require_numbers(is_nan: Tensor, images: Sequence[str], what: str) -> None:
    """Refuse predictions that are no numbers where there is a label: a class of them means nothing.

    Raises:
        ContractMismatchError: Naming an image, and how many values are NaN.
    """
    if is_nan.any():
        place = int(is_nan.flatten(1).any(dim=1).long().argmax())
        raise ContractMismatchError(
            f"{what} must be numbers wherever there is a label, but {int(is_nan.sum())} are NaN "
            f"(first in image {images[place]!r}).\n"
            "The training has diverged, or pixels without data went into the network."
        )


def require_known(
    values: Tensor, classes: int, ignored: int | None, images: Sequence[str], what: str
) -> None:
    """Refuse class indices outside 0 ... K-1 that are not the ignored one.

    Raises:
        ContractMismatchError: Naming an image, the indices and how many pixels have them.
    """
    strange = (values < 0) | (values >= classes) | (values != values.long())
    if ignored is not None:
        strange &= values != ignored
    if strange.any():
        place = int(strange.flatten(1).any(dim=1).long().argmax())
        found = ", ".join(f"{v:g}" for v in values[strange].unique()[:5].tolist())
        but = "" if ignored is None else f" or the ignored {ignored}"
        raise ContractMismatchError(
            f"Classes of the {what} are 0 to {classes - 1}{but}, but {int(strange.sum())} values "
            f"are not ({found}; first in image {images[place]!r}).\n"
            "Is this the right legend, and its ignore_index?"
        )

"""From predicted label vectors to scores: F1 and average precision, micro and macro."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from workbench.errors import ContractMismatchError
from workbench.evaluation.metrics import (
    require_judged,
    require_known,
    require_new,
    require_numbers,
)
from workbench.evaluation.score_records import ScoreRecord
from workbench.evaluation.scores import AnyScore


class MultiLabelTally:
    """Counts of label vectors: hits, false alarms and misses of each class in each image.

    Args:
        classes: Names of the K classes.
        threshold: Probability above which a class counts as predicted, in (0, 1).
    """

    def __init__(self, classes: Sequence[str], *, threshold: float = 0.5) -> None:
        self.classes, self.threshold = classes, threshold
        self._images: list[str] = []
        self._counts: list[np.ndarray] = []
        self._confidence: list[np.ndarray] = []
        self._truth: list[np.ndarray] = []

    def add(self, logits: Tensor, target: Tensor, images: Sequence[str]) -> None:
        """Judge a batch.

        Args:
            logits: (B, K) before the sigmoid.
            target: (B, K) 0 or 1.
            images: (B,) ids of the images, distinct over all batches.

        Raises:
            ContractMismatchError: If the shapes do not fit, or a label is neither 0 nor 1.
        """
        from torchmetrics.functional.classification import multilabel_stat_scores

        size = (len(images), len(self.classes))
        if tuple(logits.shape) != size or tuple(target.shape) != size:
            raise ContractMismatchError(
                f"Logits and labels of {size[0]} images and {size[1]} classes are (B, K) = {size}, "
                f"but are {tuple(logits.shape)} and {tuple(target.shape)}."
            )
        require_new(images, self._images)
        require_known(target, 2, None, images, "label vectors")
        require_numbers(logits.isnan(), images, "Logits")
        probability = logits.double().sigmoid()
        counts = multilabel_stat_scores(
            probability.unsqueeze(-1),
            target.long().unsqueeze(-1),
            num_labels=size[1],
            threshold=self.threshold,
            average=None,
            multidim_average="samplewise",
            validate_args=False,
        )  # (B, K, 5): hits, false alarms, right absences, misses, present
        counts = counts.reshape(*size, 5)  # one image or one class loses its axis on the way
        self._counts.append(counts[..., [0, 1, 3]].cpu().numpy())
        self._images += list(images)
        self._confidence.append(probability.cpu().numpy())
        self._truth.append(target.bool().cpu().numpy())

    def record(self) -> ScoreRecord:
        """Give the counts of all images judged so far, to be kept or scored.

        Raises:
            ContractMismatchError: If no image was judged.
        """
        require_judged(self._images)
        arrays = {
            "counts": np.concatenate(self._counts),
            "confidence": np.concatenate(self._confidence),
            "truth": np.concatenate(self._truth),
        }
        settings = {"classes": list(self.classes), "threshold": self.threshold}
        return ScoreRecord("labels", settings, tuple(self._images), arrays)

    def scores(self) -> dict[str, AnyScore]:
        """Every metric of the task, by name.

        Raises:
            ContractMismatchError: If no image was judged.
        """
        return self.record().scores()

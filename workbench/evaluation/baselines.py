"""What a classifier reaches that sees one pixel at a time: the score that a network must beat."""

import numpy as np
import torch
from torch import Tensor

from workbench.datasets.examples import Examples
from workbench.errors import EvaluationError
from workbench.evaluation.benchmark import judged
from workbench.evaluation.score_records import ScoreRecord
from workbench.evaluation.tasks import Task

_MOST_PIXELS = 200_000


def pixel_baseline(task: Task, *, seed: int = 0) -> ScoreRecord:
    """Fit a logistic regression to the spectra of single training pixels and judge it.

    Args:
        task: Of classes; its training part is learned from, its test part judged.
        seed: Of the choice of pixels, where there are more than 200,000.

    Returns:
        Counts of each test image, with its group.

    Raises:
        EvaluationError: If the task does not label pixels with classes, or has one class only.
    """
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    if task.train.kind not in ("classes", "change"):
        raise EvaluationError(
            f"Pixels are classified one by one, but {task.name} is {task.train.kind!r}."
        )
    spectra, labels = _pixels(task, task.train)
    known = labels != task.train.ignore_index
    spectra, labels = spectra[known], labels[known]
    if len(np.unique(labels)) < 2:
        raise EvaluationError(f"A classifier needs two classes, but {task.name} has one.")
    if len(labels) > _MOST_PIXELS:
        chosen = np.random.default_rng(seed).choice(len(labels), _MOST_PIXELS, replace=False)
        spectra, labels = spectra[chosen], labels[chosen]
    model = LogisticRegression(max_iter=500).fit(spectra, labels)
    images, target = task.test.batch(range(len(task.test)))
    tested, _ = _pixels(task, task.test)
    confidence = np.full((len(tested), task.test.outputs), 1e-9)
    confidence[:, model.classes_] = model.predict_proba(tested)
    logits = torch.from_numpy(np.log(np.maximum(confidence, 1e-9)))
    shape = (len(images), *target.shape[1:], task.test.outputs)
    record = judged(logits.reshape(shape).movedim(-1, 1).float(), task.test)
    group = dict(zip(task.test.ids, task.test.groups, strict=True))
    return record.grouped([group[i] for i in record.images])


def _pixels(task: Task, examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    """(P, C) standardised spectra and (P,) labels of all pixels."""
    images, labels = examples.batch(range(len(examples)))
    spectra: Tensor = task.standardise(images).movedim(1, -1)
    return spectra.reshape(-1, spectra.shape[-1]).numpy(), labels.reshape(-1).numpy()

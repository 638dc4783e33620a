"""Predictions of a study's cells, kept so that models can be compared patch by patch later.

FOLDER/<task>/targets/          the true maps of the test part
FOLDER/<task>/<key of cell>/    what a cell's model predicts for it
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from workbench.errors import EvaluationError
from workbench.evaluation.predictions import Predictions, read_predictions, write_predictions
from workbench.evaluation.study import StudyCell
from workbench.evaluation.tasks import Task
from workbench.training.finetune import FinetuneResult


class KeptPredictions:
    """Writes and reads the test maps of cells; give it to `Bench(keep=...)`.

    Args:
        folder: Where they are kept.
        tasks: Tasks by name, whose classes are maps of classes.
        name: Names the model of a cell, as `workbench compare` will print it.
    """

    def __init__(
        self,
        folder: Path | str,
        tasks: Mapping[str, Task],
        *,
        name: Callable[[StudyCell], str] = str,
    ) -> None:
        self.folder, self.tasks, self.name = Path(folder), tasks, name

    def __call__(self, cell: StudyCell, run: FinetuneResult, found: Tensor) -> None:
        """Keep what a cell predicts for the test part; densities and label vectors are not maps."""
        task = self.tasks[cell.task]
        if task.test.kind not in ("classes", "change"):
            return
        self.targets(cell.task)
        write_predictions(
            self.place(cell), self._maps(task, self.name(cell), found.numpy(), cell.design())
        )

    def targets(self, task: str) -> Predictions:
        """Give the true maps of a task's test part; they are written the first time."""
        folder = self.targets_folder(task)
        known = self.tasks[task]
        _, labels = known.test.batch(range(len(known.test)))
        found = self._maps(known, "target", labels.numpy().astype(np.uint8))
        if not folder.is_dir():
            write_predictions(folder, found)
        return found

    def of(self, cell: StudyCell) -> Predictions:
        """Read the maps of a cell.

        Raises:
            EvaluationError: If there are none.
        """
        if not self.place(cell).is_dir():
            raise EvaluationError(
                f"Predictions of {cell} are not in {self.folder}.\n"
                "They are kept when the cell runs: take its row out of the table and run it again."
            )
        return read_predictions(self.place(cell))

    def named(
        self, cells: Iterable[StudyCell], name: Callable[[StudyCell], str]
    ) -> dict[str, Predictions]:
        """Give the maps of cells by a name of your own."""
        return {name(cell): self.of(cell) for cell in cells}

    def by_option(self, cells: Iterable[StudyCell], *options: str) -> dict[str, Predictions]:
        """Give the maps of cells by the values of some options, as "detail, boundary"."""
        return self.named(cells, lambda cell: ", ".join(str(cell.options[o]) for o in options))

    def targets_folder(self, task: str) -> Path:
        """Folder of a task's true maps, as `workbench compare` takes it."""
        return self.folder / task / "targets"

    def place(self, cell: StudyCell) -> Path:
        """Folder of a cell's maps, as `workbench compare` takes it."""
        return self.folder / cell.task / cell.key

    def _maps(
        self, task: Task, name: str, maps: np.ndarray, design: Mapping[str, str] | None = None
    ) -> Predictions:
        test = task.test
        return Predictions(
            name, test.ids, maps, test.class_names, task.gsd_m, test.ignore_index,
            groups=test.groups, design=design or {},
        )  # fmt: skip

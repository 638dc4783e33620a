"""Everything one training leaves behind: predictions of the test part, weights, and a card.

FOLDER/<key>/model.safetensors   weights of encoder and decoder, as they were at the best step
FOLDER/<key>/predictions.npz     ids, and what the model says of each test image
FOLDER/<key>/maps/               the same as class maps, for `workbench compare`
FOLDER/<key>/card.json           cell, scores, data, settings, curve; written last
FOLDER/targets/                  the true class maps of the test part
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file
from torch import Tensor

from workbench.datasets.files import whole_file, write_record
from workbench.evaluation.benchmark import settings_of
from workbench.evaluation.predictions import Predictions, write_predictions
from workbench.evaluation.results import ResultsTable
from workbench.evaluation.study import StudyCell
from workbench.evaluation.tasks import Task
from workbench.training.checkpoint import package_versions
from workbench.training.finetune import FinetuneResult

CARD = "card.json"
_OF_ROW = ("manifest_hash", "split_hash", "leak_share", "n_train", "parameters_trained", "flops",
           "seconds", "peak_memory_mb", "n_test", "n_groups", "finished")  # fmt: skip


@dataclass(frozen=True)
class KeptRuns:
    """Keeps the runs of one task; give it to `Bench(keep=...)`."""

    folder: Path
    """Where."""
    task: Task
    """What was trained for."""

    def of(self, cell: StudyCell) -> Path:
        """Folder of a run."""
        return self.folder / cell.key

    def __call__(self, cell: StudyCell, run: FinetuneResult, found: Tensor) -> None:
        """Keep weights and predictions of a run."""
        place, test = self.of(cell), self.task.test
        state = {name: t.detach().cpu().contiguous() for name, t in run.model.state_dict().items()}
        with whole_file(place / "model.safetensors") as unfinished:
            save_file(state, unfinished)
        with whole_file(place / "predictions.npz") as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(file, ids=np.array(test.ids), values=found.numpy())
        if test.kind not in ("classes", "change"):
            return
        write_predictions(place / "maps", self._maps(str(cell), found.numpy(), cell.design()))
        _, labels = test.batch(range(len(test)))
        write_predictions(self.folder / "targets", self._maps("target", labels.numpy()))

    def finish(self, cell: StudyCell, table: ResultsTable) -> Path:
        """Write the card of a run whose row is in the table."""
        frame = table.frame()
        row = frame[frame["key"] == cell.key].iloc[0]
        scores = {
            name: {"value": _plain(score.value), "definition": score.definition}
            for name, score in table.record(cell.key).scores().items()
        }
        curve = zip(row["curve_steps"], row["curve_scores"], strict=True)
        values = {
            "cell": cell.columns(),
            "task": {
                "name": self.task.name,
                "kind": self.task.test.kind,
                "classes": list(self.task.test.class_names),
                "gsd_m": self.task.gsd_m,
            },
            "contract": self.task.train.contract.to_dict(),
            "settings": settings_of(cell).to_dict(),
            "scores": scores,
            "validation": [[int(step), _plain(score)] for step, score in curve],
            **{name: _plain(row[name]) for name in _OF_ROW},
            "versions": package_versions(),
        }
        return write_record(self.of(cell) / CARD, values)

    def _maps(self, name: str, maps: Any, design: Mapping[str, str] | None = None) -> Predictions:
        test, whole = self.task.test, np.asarray(maps).astype(np.uint8)
        return Predictions(
            name, test.ids, whole, test.class_names, self.task.gsd_m, test.ignore_index,
            groups=test.groups, design=design or {},
        )  # fmt: skip


def _plain(value: Any) -> Any:
    """A number as JSON holds it; None for NaN and infinities."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not np.isfinite(value) else value

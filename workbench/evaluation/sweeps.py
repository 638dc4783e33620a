"""A sweep: a study file, a folder, and everything between them, as `workbench sweep` runs it.

FOLDER/study.yaml         what was asked for
FOLDER/results.parquet    a row for each finished cell, and its images beside it
FOLDER/predictions/       maps of the test part, of each cell and of the labels, by task
FOLDER/features/          of frozen encoders, each computed once
FOLDER/data/              the simulated campaign, if there is one
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import RootModel

from workbench.catalog import Catalog
from workbench.datasets.files import file_checksum, whole_file, write_record
from workbench.errors import EvaluationError
from workbench.evaluation.benchmark import Bench, protocol_of, require_sensible, settings_of
from workbench.evaluation.cell_encoders import CellEncoders
from workbench.evaluation.kept import KeptPredictions
from workbench.evaluation.named_tasks import open_tasks
from workbench.evaluation.results import ResultsTable
from workbench.evaluation.study import CellNote, StudyCell, StudyReport, run_study
from workbench.evaluation.study_files import StudyFile
from workbench.records import read_record
from workbench.training.encoders import require_factory
from workbench.training.features import FeatureCache

STUDY, RESULTS, ENCODERS = "study.yaml", "results.parquet", "encoders.json"


@dataclass(frozen=True)
class Sweep:
    """Cells ready to run."""

    cells: tuple[StudyCell, ...]
    """What is run, each once."""
    table: ResultsTable
    """Where rows go."""
    bench: Bench
    """What runs a cell."""

    @property
    def left(self) -> int:
        """Cells that are not in the table yet."""
        return sum(cell.key not in self.table.finished() for cell in self.cells)

    def run(self, progress: Callable[[CellNote], None] | None = None) -> StudyReport:
        """Run what is left; see `run_study`."""
        return run_study(self.cells, self.bench, self.table, progress=progress)


def prepare_sweep(
    study: StudyFile,
    catalog: Catalog,
    folder: str | Path,
    *,
    checkpoints: str | Path | None = None,
    data: str | Path | None = None,
    device: str = "cpu",
) -> Sweep:
    """Make everything that a study needs; what makes no sense is found before anything runs.

    Args:
        study: Of `read_study`.
        catalog: Where its entry is.
        folder: Of the sweep; a sweep that is there goes on.
        checkpoints: What the paths of checkpoints are relative to; None: the working directory.
        data: Folder of a simulated campaign; None: `folder`/data.
        device: Where to compute.

    Raises:
        EvaluationError: If a cell makes no sense, or its weights are not there.
        CheckpointError: If nothing makes encoders of that name.
        TrainingError: If a setting or a protocol is outside its range.
    """
    folder = Path(folder)
    cells = tuple(study.cells())
    encoders = CellEncoders(study.encoders, study.checkpoints, Path(checkpoints or "."))
    for cell in cells:
        protocol_of(cell), settings_of(cell)
    for name in dict.fromkeys(cell.encoder for cell in cells if cell.init == "random"):
        require_factory(study.encoders[name].factory)
    _require_same_encoders(folder, study, encoders, cells)
    tasks = open_tasks(
        dict.fromkeys(cell.task for cell in cells),
        catalog[study.data.entry],
        folder / "data" if data is None else data,
        scale=study.data.scale,
        seed=study.data.seed,
        allow_leak=study.data.allow_leak,
    )
    for cell in cells:
        require_sensible(tasks[cell.task], cell)
    cache = FeatureCache(folder / "features", device=device)
    keep = KeptPredictions(folder / "predictions", tasks)
    bench = Bench(tasks, encoders, cache=cache, device=device, keep=keep)
    return Sweep(cells, ResultsTable(folder / RESULTS), bench)


def _require_same_encoders(
    folder: Path, study: StudyFile, encoders: CellEncoders, cells: Sequence[StudyCell]
) -> None:
    """A name means one encoder in a folder of results: neither its making nor weights change."""
    paths = {str(encoders.path(cell)) for cell in cells if cell.init != "random"}
    found: dict[str, Any] = {name: p.model_dump() for name, p in study.encoders.items()}
    found |= {f"weights {path}": file_checksum(path) for path in sorted(paths)}
    told = folder / ENCODERS
    before = _stored_encoders(told) if told.is_file() else {}
    if changed := [name for name in found if before.get(name, found[name]) != found[name]]:
        raise EvaluationError(
            f"{folder} holds results of another {changed[0]!r}: how it is made, or its weights, "
            "have changed since.\nName another folder, or another encoder."
        )
    write_record(told, {**before, **found})


class _Encoders(RootModel[dict[str, Any]]):
    """How each encoder of a folder of results is made, and the checksums of its weights."""


def _stored_encoders(path: Path) -> dict[str, Any]:
    cure = "It is damaged: name another folder, or restore it."
    return read_record(
        path, _Encoders, what="a record of encoders", cure=cure, error=EvaluationError
    ).root


def write_study(folder: Path, text: str) -> Path:
    """Keep what was asked for beside the results."""
    path = folder / STUDY
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    return path


class Pace:
    """How fast cells are done, and how long the rest will take.

    Only cells that ran count: those found in the table take no time.

    Args:
        left: Cells to run.
    """

    def __init__(self, left: int) -> None:
        self.left, self.done, self.start = left, 0, time.monotonic()

    def tell(self, note: CellNote) -> str:
        """Take a note and say in a few words how things are."""
        if note.action in ("reused", "elsewhere"):
            return "found" if note.action == "reused" else "running elsewhere"
        self.done += 1
        spent = max(time.monotonic() - self.start, 1e-9)
        left = max(self.left - self.done, 0) * spent / self.done
        rate = self.done / spent
        told = f"{rate:.1f} cells/s" if rate >= 1 else f"{1 / rate:.1f} s a cell"
        return f"{told}, about {_short(left)} left"


def _short(seconds: float) -> str:
    """A time for people.

    Example:
        >>> _short(42), _short(600), _short(9000)
        ('42 s', '10 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"

"""A study: cells that are run once each, into one table, and may be cut off at any time."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from workbench.evaluation.results import CellResult, ResultsTable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudyCell:
    """One thing to train and judge: everything that its result depends on, but data and code.

    Two cells with equal fields have one key, in any session and on any machine.
    """

    task: str
    """What is predicted, as "cdl" or "forest"."""
    encoder: str
    """As "spectral_resnet50"."""
    init: str
    """Where its weights are from: "random", or a pretext method as "dino"."""
    protocol: str
    """"scratch", "frozen", "linear", "knn", "adapter", "full" ..."""
    decoder: str
    """As "unet"; "linear" for label vectors."""
    seed: int
    """Seed of training."""
    fraction: float = 1.0
    """Share of the training labels, in (0, 1]."""
    draw: int = 0
    """Which draw of the labels, if a fraction is drawn several times."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What else is varied, as plain values: token_size, stem, loss, positives, steps, scale ..."""

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise ValueError(f"A share of the labels is in (0, 1], got {self.fraction!r}.")
        clash = {f.name for f in fields(self)} & set(self.options)
        if clash:
            raise ValueError(f"Options are what is no field of its own, but {min(clash)!r} is.")
        object.__setattr__(self, "options", dict(sorted(self.options.items())))

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def key(self) -> str:
        """16 hexadecimal digits that stand for the cell."""
        values = json.dumps(asdict(self), sort_keys=True, allow_nan=False)
        return hashlib.sha256(values.encode()).hexdigest()[:16]

    def columns(self) -> dict[str, Any]:
        """The cell as columns of a table: its fields, and each option as one."""
        values = asdict(self)
        options = values.pop("options")
        return {**values, **options}

    def design(self) -> dict[str, str]:
        """The cell as words, each field and option that is set: what tells it from other cells."""
        return {
            name: f"{value:g}" if isinstance(value, float) else str(value)
            for name, value in self.columns().items()
            if value not in ("", None)
        }

    def __str__(self) -> str:
        extra = [f"{k}={v}" for k, v in self.options.items()]
        extra += [f"fraction={self.fraction:g}, draw {self.draw}"] if self.fraction < 1 else []
        parts = (self.task, self.decoder, self.encoder, self.init, self.protocol, *extra)
        return f"{' / '.join(p for p in parts if p)}, seed {self.seed}"


Action = Literal["finished", "reused", "failed", "elsewhere"]


@dataclass(frozen=True)
class CellNote:
    """What became of one cell, as told to whoever watches."""

    cell: StudyCell
    """Which."""
    action: Action
    """"reused": it was in the table; "elsewhere": another process is running it."""
    number: int
    """How many cells are dealt with, this one included."""
    total: int
    """How many cells there are."""
    seconds: float
    """How long it took."""
    reason: str = ""
    """Why it failed."""


@dataclass(frozen=True)
class StudyReport:
    """What became of all cells."""

    notes: tuple[CellNote, ...]
    """One for each cell, in their order."""

    def count(self, action: Action) -> int:
        """Number of cells with that end."""
        return sum(note.action == action for note in self.notes)

    @property
    def failures(self) -> dict[str, int]:
        """How often each reason of failure occurred, most frequent first."""
        reasons = [note.reason for note in self.notes if note.action == "failed"]
        return dict(sorted({r: reasons.count(r) for r in reasons}.items(), key=lambda i: -i[1]))

    def __str__(self) -> str:
        parts: tuple[Action, ...] = ("finished", "reused", "failed", "elsewhere")
        found = ", ".join(f"{self.count(p)} {p}" for p in parts if self.count(p))
        lines = [f"{len(self.notes)} cells: {found or 'nothing to do'}."]
        lines += [f"{number} × {reason}" for reason, number in self.failures.items()]
        return "\n".join(lines)


def run_study(
    cells: Iterable[StudyCell],
    run_cell: Callable[[StudyCell], CellResult],
    table: ResultsTable,
    *,
    progress: Callable[[CellNote], None] | None = None,
) -> StudyReport:
    """Run every cell that is not in the table yet, and append each result as it comes.

    A cell that fails is counted with its reason and the next one runs; it is tried again when the
    study is run again. Several processes may run one study: each cell is run by one of them.

    Args:
        cells: What to run, in this order; equal cells are run once.
        run_cell: Trains and judges one cell.
        table: Where results go.
        progress: Called after each cell.

    Returns:
        What became of each cell.

    Raises:
        KeyboardInterrupt: If interrupted; what was finished is in the table.
        ManifestError: If the table holds results of another split or data set.
    """
    queue = list(dict.fromkeys(cells))
    notes = []
    for number, cell in enumerate(queue, 1):
        start = time.perf_counter()
        action, reason = _deal_with(cell, run_cell, table)
        seconds = time.perf_counter() - start
        notes.append(CellNote(cell, action, number, len(queue), seconds, reason))
        if progress is not None:
            progress(notes[-1])
    report = StudyReport(tuple(notes))
    log.info("%s", report)
    return report


def _deal_with(
    cell: StudyCell, run_cell: Callable[[StudyCell], CellResult], table: ResultsTable
) -> tuple[Action, str]:
    if cell.key in table.finished():
        return "reused", ""
    with table.claimed(cell.key) as is_ours:
        if not is_ours:
            return "elsewhere", ""
        if cell.key in table.finished():  # finished while we asked
            return "reused", ""
        try:
            result = run_cell(cell)
        except Exception as error:
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            log.warning("cell failed: %s: %s", cell, reason)
            return "failed", reason
        table.append(cell.key, cell.columns(), result)
    return "finished", ""

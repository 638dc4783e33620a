"""What is known of a step and of a run, as JSON on disk.

The record of a step is written when it starts (status ``running``), at every cell, and last of all
when it ends; a record that still says ``running`` after its process is gone was cut off.
"""

import dataclasses
import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from workbench.execution.files import write_json
from workbench.showing import html_table, text_table

Status = Literal["queued", "running", "ok", "failed", "timeout", "killed", "dead_kernel", "skipped"]


STEP_COLUMNS = ("step", "status", "seconds", "why")

_writing = threading.Lock()


@dataclass
class CellRecord:
    """One code cell that ran, or began to."""

    number: int
    """Position among all cells of the notebook as written, from 1."""

    id: str
    line: str
    """First line of its code."""

    status: Literal["running", "ok", "failed"]
    seconds: float = 0.0


@dataclass
class Failure:
    """Where and why a notebook stopped."""

    error: str
    """Class of the exception, or ``timeout``, ``killed``, ``dead kernel``."""

    message: str
    cell: CellRecord | None = None
    """None if no cell had begun."""

    def sentence(self, step: str) -> str:
        """One line for people: which step, which cell, what happened."""
        what = f"{self.error}: {self.message}" if self.message else self.error
        if self.cell is None:
            return f"{step} stopped before its first cell: {what}"
        return f"{step} stopped in cell {self.cell.number} (`{self.cell.line}`): {what}"


@dataclass
class StepRecord:
    """Everything needed to tell what a step did, and whether it need be done again."""

    step: str
    notebook: str
    """Path as given, relative to the run's working directory where possible."""

    status: Status = "running"
    reason: str = ""
    """Why it ran or was skipped."""

    title: str = ""
    given: dict[str, Any] = field(default_factory=dict)
    """Parameters given for this run."""

    parameters: dict[str, Any] = field(default_factory=dict)
    """All parameters as the notebook saw them, defaults included."""

    code: str = ""
    """SHA-256 of the notebook's code cells."""

    inputs: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the outputs of earlier steps that this step needs, by path in the run folder."""

    started: str = ""
    heartbeat: str = ""
    """When its process last said that it lives; every few seconds while it runs."""

    finished: str = ""
    wall_seconds: float = 0.0
    attempt: int = 1
    """1, or more if it ran again because its kernel had died."""

    kernel: int | None = None
    """Process id of the kernel."""

    cells: list[CellRecord] = field(default_factory=list)
    code_cells: int = 0
    failure: Failure | None = None
    signal: int | None = None
    """Signal that our process was sent, if one ended the step."""

    exit_code: int | None = None
    """Exit code of the kernel; negative for the signal that ended it."""

    artifacts: list[dict[str, Any]] = field(default_factory=list)
    """Outputs listed by the notebook: path, kind, bytes, sha256 and more."""

    metrics: dict[str, Any] = field(default_factory=dict)
    data: dict[str, dict[str, str]] = field(default_factory=dict)
    """Data sets used, with fingerprint, description, licence and citation."""

    seeds: dict[str, int] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    """Commit, source hash, lock hash, package versions, device, driver, host, cores."""

    energy_joules: float | None = None
    """Energy that the GPUs used meanwhile, in J; None where none counts it."""

    executed: str = ""
    page: str = ""
    log: str = ""
    """Executed notebook, its HTML and its error log, as paths in the run folder."""

    external: int = 0
    """Files that the HTML would fetch from the network."""

    def write(self, run_dir: Path) -> Path:
        """Write the record atomically into `run_dir`; threads take turns."""
        with _writing:
            return write_json(record_path(run_dir, self.step), dataclasses.asdict(self))


@dataclass(frozen=True)
class StepNote:
    """What was done about a step in this run, and why."""

    step: str
    action: Status | Literal["unchanged", "would run"]
    reason: str
    seconds: float | None = None
    """Wall time, once it has run."""


@dataclass(repr=False)
class RunRecord:
    """A whole run: its steps in order, and what was asked for."""

    name: str
    title: str
    chain: str
    command: str
    status: Status = "running"
    parameters: dict[str, Any] = field(default_factory=dict)
    started: str = ""
    finished: str = ""
    wall_seconds: float = 0.0
    steps: list[StepRecord] = field(default_factory=list)
    notes: list[StepNote] = field(default_factory=list)
    """One for each step: whether it ran, was left alone or was skipped."""

    provenance: dict[str, Any] = field(default_factory=dict)
    """Code, packages and machine at the start of the run; each step has its own too."""

    def rows(self) -> list[tuple[str, ...]]:
        """Step, status, seconds and reason of each step."""
        told = {note.step: note for note in self.notes}
        rows: list[tuple[str, ...]] = []
        for step in self.steps:
            note = told.get(step.step, StepNote(step.step, step.status, step.reason))
            rows.append((step.step, note.action, f"{step.wall_seconds:.1f}", note.reason))
        return rows

    def __repr__(self) -> str:
        head = f"run {self.name}: {self.status}, {self.wall_seconds:.1f} s"
        return f"{head}\n{text_table(STEP_COLUMNS, self.rows())}" if self.steps else head

    def _repr_html_(self) -> str:
        caption = f"run {self.name}: {self.status}, {self.wall_seconds:.1f} s"
        return html_table(STEP_COLUMNS, self.rows(), caption)

    def write(self, run_dir: Path) -> Path:
        """Write ``run.json``: what the run was, and the outcome of each step in short."""
        return write_json(run_dir / "run.json", self._told())

    def _told(self) -> dict[str, Any]:
        value = dataclasses.asdict(self)
        energies = [s.energy_joules for s in self.steps if s.energy_joules is not None]
        value["energy_joules"] = sum(energies) if energies else None
        value["steps"] = [_in_short(step) for step in value["steps"]]
        return value


SHORT = (
    *("step", "notebook", "status", "reason", "attempt", "started", "finished", "wall_seconds"),
    *("failure", "parameters", "seeds", "data", "inputs", "metrics", "energy_joules"),
)


SAME = ("name", "title", "chain", "command", "parameters", "status", "steps", "energy_joules")
"""What two runs in one folder have in common if the later one had nothing to do."""


def same_as_written(run: RunRecord, run_dir: Path) -> bool:
    """Whether ``run.json`` tells what `run` would write there, but for when, where and why."""
    try:
        before = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))
        after = json.loads(json.dumps(run._told()))
        return all(before[key] == after[key] for key in SAME)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _in_short(step: dict[str, Any]) -> dict[str, Any]:
    """What ``run.json`` tells of a step; its own record tells the rest."""
    told = {key: step[key] for key in SHORT}
    told["commit"] = step["provenance"].get("commit")
    told["outputs"] = {a["path"]: a["sha256"] for a in step["artifacts"]}
    return told


def record_path(run_dir: Path, step: str) -> Path:
    """Where the record of a step stands."""
    return run_dir / "records" / f"{step}.json"


def read_record(run_dir: Path, step: str) -> StepRecord | None:
    """Read the record of a step; None if there is none, or if it is not one of ours."""
    path = record_path(run_dir, step)
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        value["cells"] = [CellRecord(**cell) for cell in value["cells"]]
        if failure := value["failure"]:
            failure["cell"] = CellRecord(**failure["cell"]) if failure["cell"] else None
            value["failure"] = Failure(**failure)
        return StepRecord(**value)
    except (ValueError, TypeError, KeyError):
        return None  # written by another version: the step runs again


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")

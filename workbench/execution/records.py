"""What is known of a step and of a run, as JSON on disk.

The record of a step is written when it starts (status ``running``), at every cell, and last of all
when it ends; a record that still says ``running`` after its process is gone was cut off.
"""

import contextlib
import dataclasses
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from workbench.errors import NotebookRunError, WorkbenchError
from workbench.execution.files import write_json
from workbench.execution.processes import ProcessIdentity
from workbench.execution.schemas import (
    VERSION,
    Artifacts,
    DataUses,
    Name,
    NotNegative,
    Provenance,
    Version,
    read_stored,
)
from workbench.files import path_inside
from workbench.showing import html_table, text_table

Status = Literal["queued", "running", "ok", "failed", "timeout", "killed", "dead_kernel", "skipped"]

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

STEP_COLUMNS = ("step", "status", "seconds", "why")

_writing = threading.Lock()


@dataclass
class CellRecord:
    """One code cell that ran, or began to."""

    __pydantic_config__ = STRICT

    number: int
    """Position among all cells of the notebook as written, from 1."""

    id: str
    line: str
    """First line of its code."""

    status: Literal["running", "ok", "failed"]
    seconds: NotNegative = 0.0
    left_out: str = ""
    """What of its output the executed notebook does not hold, and where that is."""


@dataclass
class Failure:
    """Where and why a notebook stopped."""

    __pydantic_config__ = STRICT

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

    __pydantic_config__ = STRICT

    step: Name
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
    wall_seconds: NotNegative = 0.0
    attempt: int = 1
    """1, or more if it ran again because its kernel had died."""

    kernel: ProcessIdentity | int | None = None
    """The process of the kernel; a mere number in records of an older version."""

    cells: list[CellRecord] = field(default_factory=list)
    code_cells: int = 0
    failure: Failure | None = None
    signal: int | None = None
    """Signal that our process was sent, if one ended the step."""

    exit_code: int | None = None
    """Exit code of the kernel; negative for the signal that ended it."""

    artifacts: Artifacts = field(default_factory=list)
    """Outputs listed by the notebook: path, kind, bytes, sha256 and more."""

    metrics: dict[str, Any] = field(default_factory=dict)
    data: DataUses = field(default_factory=dict)
    """Data sets used, with fingerprint, description, licence and citation."""

    seeds: dict[str, int] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=dict)
    """Commit, source hash, lock hash, package versions, device, driver, host, cores."""

    energy_joules: float | None = None
    """Energy that the GPUs used meanwhile, in J; None where none counts it."""

    executed: str = ""
    page: str = ""
    log: str = ""
    """Executed notebook, its HTML and its error log, as paths in the run folder."""

    external: int = 0
    """Files that the HTML would fetch from the network."""

    made: list[str] = field(default_factory=list)
    """Files and folders that appeared beside ours in the run folder while it ran."""

    version: Version = VERSION

    def paths(self) -> Iterator[str]:
        """Every path in the run folder that the record names."""
        yield from filter(None, (self.executed, self.page, self.log))
        yield from self.made
        for artifact in self.artifacts:
            yield artifact["path"]
            if artifact["kind"] == "page" and artifact.get("preview"):
                yield artifact["preview"]

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

    version: int = VERSION

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
    """Where the record of a step stands.

    Raises:
        UnsafePathError: If the step's name leads out of the run folder.
    """
    return path_inside(run_dir, f"records/{step}.json", what="The record of a step")


def read_record(run_dir: Path, step: str) -> StepRecord | None:
    """Read the record of a step; None if there is none.

    Raises:
        NotebookRunError: If the file is damaged, foreign, or written by a newer version.
        UnsafePathError: If it names a file outside the run folder.
    """
    path = record_path(run_dir, step)
    if not path.is_file():
        return None
    record = read_stored(path, RootModel[StepRecord], what="the record of a step").root
    if record.step != step:
        raise NotebookRunError(
            f"{path} must be the record of step {step!r}, but is that of {record.step!r}.\n"
            "Remove it: the step then runs again."
        )
    for name in record.paths():
        path_inside(run_dir, name, what=f"A path in {path.name}")
    return record


def record_or_reason(run_dir: Path, step: str) -> tuple[StepRecord | None, str]:
    """The record of a step, or None and in one line why it cannot be used; ``""`` if there is none.

    Raises:
        UnsafePathError: If it names a file outside the run folder.
    """
    try:
        return read_record(run_dir, step), ""
    except NotebookRunError as error:
        return None, str(error).splitlines()[0]


class ShortStep(BaseModel):
    """A step as ``run.json`` tells of it."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    step: Name
    notebook: str
    status: Status
    reason: str = ""
    started: str = ""
    finished: str = ""
    wall_seconds: NotNegative = 0.0
    parameters: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    failure: Failure | None = None
    outputs: dict[str, str] = Field(default_factory=dict)


class StoredRun(BaseModel):
    """``run.json``."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    name: str
    title: str
    chain: str
    command: str
    status: Status
    parameters: dict[str, Any]
    started: str
    finished: str
    wall_seconds: NotNegative
    steps: list[ShortStep]
    notes: list[StepNote] = Field(default_factory=list)
    provenance: Provenance = Field(default_factory=dict)
    energy_joules: NotNegative | None = None
    version: Version = 1


def read_run(run_dir: Path) -> StoredRun:
    """Read ``run.json``.

    Raises:
        NotebookRunError: If the folder holds no run, or the file is damaged or of a newer version.
    """
    path = run_dir / "run.json"
    if not path.is_file():
        raise NotebookRunError(
            f"{run_dir} must be the folder of a run, but has no run.json.\n"
            f"`workbench runs list --folder {run_dir.parent}` shows what there is."
        )
    return read_stored(path, StoredRun, what="the record of a run")


def step_states(run_dir: Path, stored: StoredRun) -> dict[str, str]:
    """Status of each step of a run; while it runs, and if it was cut off, its own record says."""
    states: dict[str, str] = {step.step: step.status for step in stored.steps}
    if stored.status == "running":
        for name in states:
            with contextlib.suppress(WorkbenchError):
                if (record := read_record(run_dir, name)) is not None:
                    states[name] = record.status
    return states


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")

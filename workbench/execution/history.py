"""The runs that were made: found in their folders, with the status that is true now.

A run that says it is running may have been cut off, and one that says it is queued may have been
thrown out. Neither could write so; who reads it finds out, from the lock, the heartbeat and the
cluster.
"""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import NotebookRunError
from workbench.execution.cluster import queue_state
from workbench.execution.lock import living_holder, read_holder
from workbench.execution.opening import read_run
from workbench.showing import html_table, text_table

COLUMNS = ("run", "status", "started", "seconds", "steps", "what")


@dataclass(frozen=True)
class RunSummary:
    """One run as it stands in a list."""

    name: str
    """Path of its folder below the folder that was searched."""

    folder: Path
    status: str
    detail: str
    """Why it has this status, where its record does not say."""

    title: str
    started: str
    seconds: float
    parameters: Mapping[str, Any]
    steps: Mapping[str, str]
    """Status by step."""

    def __repr__(self) -> str:
        return f"run {' '.join(filter(None, self.row()))}"

    def _repr_html_(self) -> str:
        return html_table(("step", "status"), list(self.steps.items()), " ".join(self.row()[:4]))

    def row(self) -> tuple[str, ...]:
        """The texts of `COLUMNS`."""
        good = sum(status == "ok" for status in self.steps.values())
        given = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        what = self.detail or given or self.title
        seconds = f"{self.seconds:.1f}" if self.seconds else ""
        steps = f"{good} of {len(self.steps)}"
        return self.name, self.status, self.started[:19].replace("T", " "), seconds, steps, what


class RunList(list[RunSummary]):
    """Runs, latest first; shows itself as a table in a terminal and in a notebook.

    Args:
        runs: The runs.
        folder: Where they were found.
    """

    def __init__(self, runs: Iterable[RunSummary] = (), folder: str | Path = "runs") -> None:
        super().__init__(runs)
        self.folder = Path(folder)

    def again(self) -> "RunList":
        """The runs as they are now."""
        return list_runs(self.folder)

    def __repr__(self) -> str:
        if not self:
            return "no runs"
        return text_table(COLUMNS, [run.row() for run in self])

    def _repr_html_(self) -> str:
        return html_table(COLUMNS, [run.row() for run in self], f"{len(self)} runs")


def list_runs(folder: str | Path = "runs") -> RunList:
    """Find every run below a folder, those of sweeps too.

    Args:
        folder: Where runs are kept.

    Returns:
        The runs, latest first; none if there is no such folder.
    """
    root = Path(folder)
    found = [*root.glob("*/run.json"), *root.glob("*/*/run.json")]
    runs = [summary(path.parent, root) for path in found]
    latest_first = sorted(runs, key=lambda run: (run.started, run.name), reverse=True)
    return RunList(latest_first, root)


def summary(run_dir: Path, root: Path | None = None) -> RunSummary:
    """What a run's own record says of it, and what has become of it since.

    Raises:
        NotebookRunError: If the folder holds no run.
    """
    value = read_run(run_dir)
    status, detail = true_status(run_dir, value)
    return RunSummary(
        name=run_dir.relative_to(root).as_posix() if root else run_dir.resolve().name,
        folder=run_dir,
        status=status,
        detail=detail,
        title=value["title"],
        started=value["started"],
        seconds=value["wall_seconds"],
        parameters=value["parameters"],
        steps={step["step"]: step["status"] for step in value["steps"]},
    )


def true_status(run_dir: Path, value: Mapping[str, Any]) -> tuple[str, str]:
    """The status of a run now, and why, where its record alone would mislead.

    Args:
        run_dir: Its folder.
        value: Its ``run.json``.
    """
    told = str(value["status"])
    if holder := living_holder(run_dir):
        return "running", holder.sentence()
    if told not in {"queued", "running", "killed"}:
        return told, ""
    job = queue_state(run_dir)
    if job is not None and job[1]:
        return "queued", f"job {job[0]} is {job[1].lower()}"
    if told == "killed":
        return told, ""
    if told == "queued":
        return ("killed", f"job {job[0]} left the queue before it began") if job else (told, "")
    last = read_holder(run_dir)
    sign = f", last sign of life {last.heartbeat} from process {last.pid}" if last else ""
    return "killed", f"cut off{sign}"


def remove_run(run_dir: Path) -> None:
    """Delete the folder of a run, or of a sweep with all its runs.

    Raises:
        NotebookRunError: If it is neither, if a process works in it, or if it waits in a queue.
    """
    members = sorted(path.parent for path in run_dir.glob("*/run.json"))
    if not (run_dir / "sweep.json").is_file():
        members = [run_dir]
    for member in members:
        state = summary(member)
        if state.status in {"running", "queued"}:
            raise NotebookRunError(
                f"A run must have ended before it is removed, but {member} is {state.status}: "
                f"{state.detail}."
            )
    shutil.rmtree(run_dir)

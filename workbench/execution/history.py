"""The runs that were made: found in their folders, with the status that is true now.

A run that says it is running may have been cut off, and one that says it is queued may have been
thrown out. Neither could write so; who reads it finds out, from the lock, the heartbeat and the
cluster.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import NotebookRunError, WorkbenchError
from workbench.execution.cluster import JobStates, ask_cluster
from workbench.execution.lock import living_holder, read_holder
from workbench.execution.records import StoredRun, read_run, step_states
from workbench.execution.removal import (
    remove_everything,
    remove_own,
    require_removable,
    run_contents,
    sweep_contents,
    sweep_members,
)
from workbench.showing import html_table, plain_line, some, text_table

DAMAGED = "damaged"
"""Status of a run whose record cannot be used; its detail says why."""

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
        caption = " ".join(filter(None, self.row()))
        return html_table(("step", "status"), list(self.steps.items()), caption)

    def row(self) -> tuple[str, ...]:
        """The texts of `COLUMNS`."""
        good = sum(status == "ok" for status in self.steps.values())
        given = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        what = self.detail or given or self.title
        seconds = f"{self.seconds:.1f}" if self.seconds else ""
        steps = f"{good} of {len(self.steps)}" if self.status != DAMAGED else ""
        when = self.started[:19].replace("T", " ")
        cells = (self.name, self.status, when, seconds, steps, what)
        return tuple(plain_line(cell) for cell in cells)


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
    found = [path.parent for path in (*root.glob("*/run.json"), *root.glob("*/*/run.json"))]
    jobs = ask_cluster(found)
    runs = [_summary_or_fault(run_dir, root, jobs) for run_dir in found]
    latest_first = sorted(runs, key=lambda run: (run.started, run.name), reverse=True)
    return RunList(latest_first, root)


def _summary_or_fault(run_dir: Path, root: Path, jobs: JobStates) -> RunSummary:
    """A run for the list, where one with a damaged record must not hide the others."""
    try:
        return summary(run_dir, root, jobs)
    except WorkbenchError as error:
        name, first = run_dir.relative_to(root).as_posix(), str(error).splitlines()[0]
        return RunSummary(name, run_dir, DAMAGED, first, "", "", 0.0, {}, {})


def summary(run_dir: Path, root: Path | None = None, jobs: JobStates | None = None) -> RunSummary:
    """What a run's own record says of it, and what has become of it since.

    Args:
        run_dir: Its folder.
        root: Folder to which its name is relative; None for its last part.
        jobs: States of cluster jobs that were asked for already; None to ask.

    Raises:
        NotebookRunError: If the folder holds no run, or its record is damaged.
    """
    stored = read_run(run_dir)
    status, detail = true_status(run_dir, stored, jobs)
    return RunSummary(
        name=run_dir.relative_to(root).as_posix() if root else run_dir.resolve().name,
        folder=run_dir,
        status=status,
        detail=detail,
        title=stored.title,
        started=stored.started,
        seconds=stored.wall_seconds,
        parameters=stored.parameters,
        steps=step_states(run_dir, stored),
    )


def true_status(run_dir: Path, stored: StoredRun, jobs: JobStates | None = None) -> tuple[str, str]:
    """The status of a run now, and why, where its record alone would mislead.

    Args:
        run_dir: Its folder.
        stored: Its ``run.json``.
        jobs: States of cluster jobs that were asked for already; None to ask.
    """
    told = str(stored.status)
    if holder := living_holder(run_dir):
        return "running", holder.sentence()
    if told not in {"queued", "running", "killed"}:
        return told, ""
    jobs = ask_cluster([run_dir]) if jobs is None else jobs
    job = jobs.of(run_dir)
    if job is not None and job[1]:
        return "queued", f"job {job[0]} is {job[1].lower()}"
    unasked = jobs.problem(run_dir)
    if told == "killed":
        return told, ""
    if told == "queued":
        return (
            ("killed", f"job {job[0]} left the queue before it began") if job else (told, unasked)
        )
    last = read_holder(run_dir)
    sign = f", last sign of life {last.heartbeat} from process {last.pid}" if last else ""
    return "killed", f"cut off{sign}"


def remove_run(run_dir: Path, *, others: bool = False) -> None:
    """Remove what a run has made, or a sweep with all its runs, and the folder if nothing is left.

    Args:
        run_dir: Folder of the run or sweep.
        others: Remove files too that no record lists, and runs whose record is damaged.

    Raises:
        NotebookRunError: If the folder is neither, is more than that (a project, a home, the
            working directory), or holds other files; if a process works in it, or it waits in a
            queue. Nothing has been removed then.
        UnsafePathError: If a record names a path outside the folder.
    """
    require_removable(run_dir)
    is_sweep = (run_dir / "sweep.json").is_file()
    if not is_sweep and not (run_dir / "run.json").is_file():
        read_run(run_dir)  # which says what is wrong
    members = _members(run_dir, is_sweep=is_sweep, others=others)
    jobs = ask_cluster(members)
    for member in members:
        _require_ended(member, jobs, others=others)
    if others:
        remove_everything(run_dir)
        return
    contents = sweep_contents(run_dir) if is_sweep else run_contents(run_dir)
    if contents.others:
        raise NotebookRunError(
            f"A run to be removed must hold only what its records list, but {run_dir} holds other "
            f"files: {some([plain_line(name) for name in contents.others])}.\n"
            "Nothing was removed. Move them away, or remove them too with --all."
        )
    remove_own(run_dir, contents)


def _members(run_dir: Path, *, is_sweep: bool, others: bool) -> list[Path]:
    if not is_sweep:
        return [run_dir]
    try:
        return sweep_members(run_dir)
    except NotebookRunError:
        if not others:
            raise
        return sorted(path.parent for path in run_dir.glob("*/run.json"))


def _require_ended(run_dir: Path, jobs: JobStates, *, others: bool) -> None:
    try:
        state = summary(run_dir, jobs=jobs)
    except NotebookRunError:
        if not others:
            raise
        holder = living_holder(run_dir)
        status, detail = ("running", holder.sentence()) if holder else ("", "")
    else:
        status, detail = state.status, state.detail
    if status in {"running", "queued"}:
        raise NotebookRunError(
            f"A run must have ended before it is removed, but {run_dir} is {status}: {detail}."
        )

"""Run one notebook headless, and say truthfully how it went.

papermill executes; the status comes from what this process saw: which cells began, which ended, and
why the kernel is gone.
"""

import contextlib
import logging
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from workbench.errors import NotebookRunError
from workbench.execution.artifacts import STEP_VARIABLE, outputs_path, read_outputs
from workbench.execution.files import require_writable, write_text
from workbench.execution.html import notebook_html
from workbench.execution.outcome import CellWatch, outcome
from workbench.execution.parameters import check_parameters, declared_parameters
from workbench.execution.provenance import provenance
from workbench.execution.records import Failure, StepRecord, now, read_record
from workbench.execution.source import code_hash, notebook_title, read_cells

if TYPE_CHECKING:
    from workbench.execution.kernels import KernelControl

ANSI = re.compile(r"\x1b\[[0-9;]*m")

log = logging.getLogger(__name__)

CellCallback = Callable[[StepRecord], None]


def run_notebook(
    path: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    run_dir: str | Path,
    timeout_s: float | None = None,
    on_cell: CellCallback | None = None,
) -> StepRecord:
    """Run a notebook with given parameters and leave everything it made in `run_dir`.

    The working directory is the notebook's folder, the kernel the Python that runs this. The
    executed notebook, its HTML, both output streams and the record are kept in every case.

    Args:
        path: The notebook.
        parameters: Typed values by name; the others keep the notebook's defaults. ``run_dir`` is
            given to the notebook by itself if it declares one.
        run_dir: Folder of the run, made if needed.
        timeout_s: Seconds after which the notebook is stopped; None for no limit.
        on_cell: Called with the record whenever a cell begins.

    Returns:
        The record, with status ``ok``.

    Raises:
        NotebookParameterError: If a parameter is not declared or of another type; nothing has run.
        NotebookRunError: If the notebook did not run to its end, or the folder cannot be written.
        SystemExit: With 128 + the signal's number, if SIGTERM or SIGINT ended it.
    """
    notebook, folder = Path(path), Path(run_dir)
    job = Job(notebook, folder, dict(parameters or {}), timeout_s=timeout_s, on_cell=on_cell)
    record = run_job(job)
    if record.signal is not None:
        raise SystemExit(128 + record.signal)
    if record.status != "ok":
        given = [f"-p {shlex.quote(f'{name}={value}')}" for name, value in job.parameters.items()]
        command = ["workbench run", shlex.quote(str(path)), *given, "--run-dir", str(run_dir)]
        raise NotebookRunError(failure_message(record, folder, " ".join(command)))
    return record


def failure_message(record: StepRecord, run_dir: Path, command: str) -> str:
    """Three lines about a step that did not end well: what, where to look, how to run it again."""
    failure = record.failure or Failure(record.status, record.reason)
    return (
        f"{failure.sentence(record.step)}\n"
        f"See {run_dir / (record.page or record.executed)} and {run_dir / record.log}\n"
        f"Run it again: {command}"
    )


@dataclass
class Job:
    """One notebook to run: what `run_job` needs and nothing it finds out."""

    notebook: Path
    run_dir: Path
    parameters: dict[str, Any]
    """Given values, typed and without ``run_dir``."""

    step: str = ""
    """Name of the step; that of the notebook if empty."""

    reason: str = "asked for"
    inputs: dict[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    on_cell: CellCallback | None = None

    def __post_init__(self) -> None:
        self.step = self.step or self.notebook.stem


def run_job(job: Job) -> StepRecord:
    """Run `job` and return its record, whatever became of it.

    Raises:
        NotebookParameterError: If a parameter is wrong; nothing has run and nothing was written.
        NotebookRunError: If the run folder cannot be written; nothing has run.
    """
    from workbench.execution.kernels import KernelControl, stop_on_signals

    given = job.parameters | run_dir_parameter(job.notebook, job.run_dir)
    resolved = check_parameters(job.notebook, given)
    require_writable(job.run_dir)
    record = _begin(job, given, resolved)
    started = time.monotonic()
    with _logs(job.run_dir, record) as (stdout, stderr):
        control = KernelControl({STEP_VARIABLE: job.step}, stderr, job.notebook.parent.resolve())
        with stop_on_signals(control):
            _execute(job, record, control, stdout, stderr)
            record.finished, record.wall_seconds = now(), round(time.monotonic() - started, 3)
            _finish(job, record)
    record.signal = control.signal
    return record


def run_dir_parameter(notebook: Path, run_dir: Path) -> dict[str, str]:
    """``{"run_dir": path}`` as seen from the notebook's folder, if the notebook declares it."""
    if "run_dir" not in declared_parameters(notebook):
        return {}
    return {"run_dir": os.path.relpath(run_dir, notebook.parent)}


def _begin(job: Job, given: dict[str, Any], resolved: dict[str, Any]) -> StepRecord:
    """Clear what an earlier run of this step left, and write the record with status running."""
    earlier = read_record(job.run_dir, job.step)
    for artifact in (
        earlier.artifacts if earlier else read_outputs(job.run_dir, job.step)["artifacts"]
    ):
        (job.run_dir / artifact["path"]).unlink(missing_ok=True)
    outputs_path(job.run_dir, job.step).unlink(missing_ok=True)
    cells = read_cells(job.notebook)
    record = StepRecord(
        step=job.step,
        notebook=str(job.notebook),
        reason=job.reason,
        title=notebook_title(cells),
        given=given,
        parameters=resolved,
        code=code_hash(cells),
        inputs=job.inputs,
        started=now(),
        code_cells=sum(cell.is_executed for cell in cells),
        seeds={k: v for k, v in resolved.items() if k.endswith("seed") and isinstance(v, int)},
        provenance=provenance(job.notebook),
        executed=f"notebooks/{job.step}.ipynb",
        page=f"notebooks/{job.step}.html",
        log=f"logs/{job.step}.stderr.log",
    )
    record.write(job.run_dir)
    return record


@contextlib.contextmanager
def _logs(run_dir: Path, record: StepRecord) -> Iterator[tuple[IO[str], IO[str]]]:
    folder = run_dir / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    error_log = run_dir / record.log
    error_log.unlink(missing_ok=True)
    with (
        (folder / f"{record.step}.stdout.log").open("w", encoding="utf-8") as stdout,
        error_log.open("a", encoding="utf-8") as stderr,  # the kernel's process writes here too
    ):
        yield stdout, stderr


def _execute(
    job: Job, record: StepRecord, control: "KernelControl", stdout: IO[str], stderr: IO[str]
) -> None:
    """Run the cells and put status, cells and failure into `record`."""
    import nbformat

    from workbench.execution.engine import execute_cells
    from workbench.execution.kernels import stop_after

    def began() -> None:
        record.write(job.run_dir)
        if job.on_cell is not None:
            job.on_cell(record)

    node = nbformat.v4.upgrade(nbformat.read(job.notebook, as_version=4))  # cells have ids
    options = {
        "parameters": record.given,
        "stdout_file": stdout,
        "stderr_file": stderr,
        "kernel_manager_class": control.manager_class(),
    }
    try:
        with stop_after(control, job.timeout_s):
            watch = CellWatch(node, record, began)
            error = execute_cells(node, job.run_dir / record.executed, watch, options)
    finally:
        record.exit_code = control.close()
    stderr.write(ANSI.sub("", "\n".join(getattr(error, "traceback", []))))
    record.signal = control.signal
    record.status, record.failure = outcome(record, error, control.reason, job.timeout_s)


def _finish(job: Job, record: StepRecord) -> None:
    """Correct the executed notebook, write its HTML, collect the outputs; the record comes last."""
    outputs = read_outputs(job.run_dir, job.step)
    record.artifacts, record.metrics = outputs["artifacts"], outputs["metrics"]
    record.data = outputs["data"]
    executed = job.run_dir / record.executed
    if executed.is_file():
        _correct_metadata(executed, record)
        try:
            record.external = notebook_html(
                executed,
                job.run_dir / record.page,
                source_folder=job.notebook.parent,
                show_code=record.status != "ok",
                banner=record.failure.sentence(record.step) if record.failure else "",
            )
        except Exception:
            log.exception("%s could not be converted to HTML", executed)
            record.page = ""
    else:
        record.executed = record.page = ""
    if record.external:
        log.warning("%s would fetch %d file(s) from the network", record.page, record.external)
    record.write(job.run_dir)


def _correct_metadata(executed: Path, record: StepRecord) -> None:
    """Replace papermill's claim about each cell by what was seen."""
    import nbformat

    node = nbformat.read(executed, as_version=4)
    seen = {cell.id: cell.status for cell in record.cells}
    for cell in node.cells:
        if "papermill" in cell.metadata and cell.cell_type == "code":
            status = seen.get(cell.get("id", ""), "pending")
            cell.metadata.papermill["status"] = "completed" if status == "ok" else status
            cell.metadata.papermill["exception"] = status == "failed"
    node.metadata.setdefault("papermill", {})["workbench_status"] = record.status
    write_text(executed, nbformat.writes(node))

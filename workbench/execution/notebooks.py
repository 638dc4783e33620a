"""Run one notebook headless, and say truthfully how it went.

papermill executes; what counts is decided here. papermill's own cell metadata claims "completed"
for every cell after a dead kernel, a timeout or an interrupt, so the status comes from what this
process saw: which cells began, which ended, and why the kernel is gone.
"""

import contextlib
import hashlib
import logging
import os
import shlex
import signal
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import nbformat

from workbench.errors import NotebookRunError
from workbench.execution.artifacts import STEP_VARIABLE, outputs_path, read_outputs
from workbench.execution.files import write_text
from workbench.execution.html import notebook_html
from workbench.execution.parameters import check_parameters, declared_parameters, read_notebook
from workbench.execution.provenance import provenance
from workbench.execution.records import CellRecord, Failure, StepRecord, now, read_record

AUTOSAVE_SECONDS = 5

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
        NotebookRunError: If the notebook did not run to its end.
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
    """
    given = job.parameters | run_dir_parameter(job.notebook, job.run_dir)
    resolved = check_parameters(job.notebook, given)
    record = _begin(job, given, resolved)
    started = time.monotonic()
    with _logs(job.run_dir, record) as (stdout, stderr):
        _execute(job, record, given, stdout, stderr)
    record.finished, record.wall_seconds = now(), round(time.monotonic() - started, 3)
    _finish(job, record)
    return record


def run_dir_parameter(notebook: Path, run_dir: Path) -> dict[str, str]:
    """``{"run_dir": path}`` as seen from the notebook's folder, if the notebook declares it."""
    if "run_dir" not in declared_parameters(notebook):
        return {}
    return {"run_dir": os.path.relpath(run_dir, notebook.parent)}


def code_hash(notebook: nbformat.NotebookNode) -> str:
    """SHA-256 of the notebook's code cells, in order; text and outputs do not count."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()


def notebook_title(notebook: nbformat.NotebookNode) -> str:
    """The first ``# `` heading of the notebook, or nothing."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("# "):
                    return str(line[2:].strip())
    return ""


def _begin(job: Job, given: dict[str, Any], resolved: dict[str, Any]) -> StepRecord:
    """Clear what an earlier run of this step left, and write the record with status running."""
    earlier = read_record(job.run_dir, job.step)
    for artifact in (
        earlier.artifacts if earlier else read_outputs(job.run_dir, job.step)["artifacts"]
    ):
        (job.run_dir / artifact["path"]).unlink(missing_ok=True)
    outputs_path(job.run_dir, job.step).unlink(missing_ok=True)
    node = read_notebook(job.notebook)
    record = StepRecord(
        step=job.step,
        notebook=str(job.notebook),
        reason=job.reason,
        title=notebook_title(node),
        given=given,
        parameters=resolved,
        code=code_hash(node),
        inputs=job.inputs,
        started=now(),
        code_cells=sum(_is_run(cell) for cell in node.cells),
        seeds={k: v for k, v in resolved.items() if k.endswith("seed") and isinstance(v, int)},
        provenance=provenance(job.notebook),
        executed=f"notebooks/{job.step}.ipynb",
        page=f"notebooks/{job.step}.html",
        log=f"logs/{job.step}.stderr.log",
    )
    record.write(job.run_dir)
    return record


def _is_run(cell: nbformat.NotebookNode) -> bool:
    return cell.cell_type == "code" and bool(cell.source.strip())


@contextlib.contextmanager
def _logs(run_dir: Path, record: StepRecord) -> Any:
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
    job: Job, record: StepRecord, given: dict[str, Any], stdout: IO[str], stderr: IO[str]
) -> None:
    """Run the cells and put status, cells and failure into `record`."""
    from workbench.execution.kernels import KernelControl, stop_after, stop_on_signals

    node = read_notebook(job.notebook)
    watch = _CellWatch(node, record, job)
    control = KernelControl({STEP_VARIABLE: job.step}, stderr, job.notebook.parent.resolve())
    error: Exception | None = None
    try:
        with stop_on_signals(control), stop_after(control, job.timeout_s):
            error = _papermill(job, node, given, control.manager_class(), watch, stdout, stderr)
    finally:
        record.exit_code = control.close()
    record.signal = control.signal
    record.status, record.failure = _outcome(record, watch, error, control.reason, job.timeout_s)


def _papermill(
    job: Job,
    node: nbformat.NotebookNode,
    given: dict[str, Any],
    manager_class: type,
    watch: "_CellWatch",
    stdout: IO[str],
    stderr: IO[str],
) -> Exception | None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"papermill\..*")
        import papermill

    executed = job.run_dir / "notebooks" / f"{job.step}.ipynb"
    executed.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # we report in its place
    try:
        papermill.execute_notebook(
            node,
            str(executed).replace("{", "{{").replace("}", "}}"),
            parameters=given,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            cwd=str(job.notebook.parent),
            stdout_file=stdout,
            stderr_file=stderr,
            autosave_cell_every=AUTOSAVE_SECONDS,
            coalesce_streams=True,
            kernel_manager_class=manager_class,
            on_cell_execute=watch.begins,
            on_cell_executed=watch.ended,
        )
    except Exception as error:
        return error
    return None


class _CellWatch:
    """Keeps the record's cells in step with the kernel, by nbclient's callbacks."""

    def __init__(self, node: nbformat.NotebookNode, record: StepRecord, job: Job) -> None:
        self.numbers = {cell.get("id", ""): n for n, cell in enumerate(node.cells, start=1)}
        tagged = [c for c in node.cells if "parameters" in c.metadata.get("tags", [])]
        self.parameters_cell = self.numbers[tagged[0].get("id", "")] if tagged else 1
        self.record, self.job = record, job
        self._began = 0.0

    def begins(self, cell: nbformat.NotebookNode, cell_index: int) -> None:
        number = self.numbers.get(cell.get("id", ""), self.parameters_cell)
        line = next((s for s in cell.source.splitlines() if s.strip()), "").strip()[:100]
        self.record.cells.append(CellRecord(number, cell.get("id", ""), line, "running"))
        self.record.write(self.job.run_dir)
        self._began = time.monotonic()
        if self.job.on_cell is not None:
            self.job.on_cell(self.record)

    def ended(
        self, cell: nbformat.NotebookNode, cell_index: int, execute_reply: dict[str, Any]
    ) -> None:
        content = execute_reply["content"]
        current = self.record.cells[-1]
        current.seconds = round(time.monotonic() - self._began, 3)
        current.status = "ok" if content["status"] == "ok" else "failed"


def _outcome(
    record: StepRecord,
    watch: _CellWatch,
    error: Exception | None,
    stopped: str | None,
    timeout_s: float | None,
) -> tuple[Any, Failure | None]:
    """Decide the status from what this process saw."""
    last = record.cells[-1] if record.cells else None
    cells = {cell.number for cell in record.cells if cell.status == "ok"}
    finished = error is None and all(cell.status == "ok" for cell in record.cells)
    if finished and len(cells) >= record.code_cells:
        return "ok", None
    if last is not None and last.status == "running":
        last.status = "failed"
    if stopped == "timeout":
        return "timeout", Failure("timeout", f"not finished after {timeout_s:g} s", last)
    if stopped == "killed":
        name = signal.Signals(record.signal or signal.SIGTERM).name
        return "killed", Failure("killed", f"this process got {name}", last)
    if error is None:
        rest = record.code_cells - len(cells)
        message = f"the notebook left early, {rest} of {record.code_cells} code cells did not end"
        return "failed", Failure("SystemExit", message, last)
    if hasattr(error, "ename"):
        message = (str(getattr(error, "evalue", "")).strip().splitlines() or [""])[0][:300]
        return "failed", Failure(str(error.ename), message, last)
    return "dead_kernel", Failure("dead kernel", _death(record.exit_code, error), last)


def _death(exit_code: int | None, error: Exception) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return f"the kernel's process was ended by {name}{hint}"
    first = str(error).strip().splitlines()
    return f"the kernel ended with exit code {exit_code} ({first[0][:200] if first else error!r})"


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
    node = nbformat.read(executed, as_version=4)
    seen = {cell.id: cell.status for cell in record.cells}
    for cell in node.cells:
        if "papermill" in cell.metadata and cell.cell_type == "code":
            status = seen.get(cell.get("id", ""), "pending")
            cell.metadata.papermill["status"] = "completed" if status == "ok" else status
            cell.metadata.papermill["exception"] = status == "failed"
    node.metadata.setdefault("papermill", {})["workbench_status"] = record.status
    write_text(executed, nbformat.writes(node))

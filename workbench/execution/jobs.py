"""One notebook as a job: begun, executed, recorded, whatever becomes of it.

papermill executes; the status comes from what this process saw: which cells began, which ended, and
why the kernel is gone.
"""

import contextlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from workbench.errors import NotebookRunError
from workbench.execution.artifacts import STEP_VARIABLE, read_outputs
from workbench.execution.devices import energy_used, gpus
from workbench.execution.files import NO_ROOM, write_text
from workbench.execution.html import notebook_html
from workbench.execution.lock import HEARTBEAT_SECONDS
from workbench.execution.outcome import CellWatch, outcome
from workbench.execution.parameters import check_parameters, declared_parameters
from workbench.execution.provenance import provenance
from workbench.execution.records import Failure, StepRecord, now, record_or_reason
from workbench.execution.removal import other_names, remove_inside, require_own_places
from workbench.execution.source import code_hash, notebook_title, read_cells
from workbench.execution.stopping import ENDING, Limits, Stopper, end_orphan

if TYPE_CHECKING:
    from workbench.execution.kernels import KernelControl

SENT_TO_ALL = {-number for number in ENDING}
HEARSAY_SECONDS = 2.0
"""A scheduler ends all processes of a job at once: the kernel may be gone before we hear of it."""

ANSI = re.compile(r"\x1b\[[0-9;]*m")

log = logging.getLogger(__name__)

CellCallback = Callable[[StepRecord], None]


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
    cell_timeout_s: float | None = None
    on_cell: CellCallback | None = None
    attempt: int = 1
    environment: dict[str, str] = field(default_factory=dict)
    """Variables for the kernel beside those of this process."""

    def __post_init__(self) -> None:
        self.step = self.step or self.notebook.stem


def run_job(job: Job, stopper: Stopper) -> StepRecord:
    """Run `job` and return its record, whatever became of it.

    The run folder exists and is ours; `stopper` may end the kernel at any time.

    Raises:
        NotebookParameterError: If a parameter is wrong; nothing has run and nothing was written.
    """
    from workbench.execution.kernels import KernelControl

    given = job.parameters | run_dir_parameter(job.notebook, job.run_dir)
    resolved = check_parameters(job.notebook, given)
    before = other_names(job.run_dir)
    record = _begin(job, given, resolved)
    started, counters = time.monotonic(), gpus()
    with _logs(job.run_dir, record) as (stdout, stderr):
        variables = {STEP_VARIABLE: job.step, **job.environment}
        control = KernelControl(variables, stderr, job.notebook.parent.resolve())
        with stopper.holding(control), _heartbeat(job, record), _failing_if_full(record):
            _execute(job, record, control, stdout, stderr)
    record.finished, record.wall_seconds = now(), round(time.monotonic() - started, 3)
    record.energy_joules = energy_used(counters, gpus())
    if before <= set(record.made):  # the folder holds nothing but runs
        record.made = sorted(other_names(job.run_dir))
    _finish(job, record)
    return record


@contextlib.contextmanager
def _failing_if_full(record: StepRecord) -> Iterator[None]:
    """Let a step fail for which there is no more room; its record is then written all the same."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        last = record.cells[-1] if record.cells else None
        if last is not None and last.status == "running":
            last.status = "failed"
        what = f"there was no room left to write {error.filename or record.log} ({error.strerror})"
        record.status, record.failure = "failed", Failure("OSError", what, last)


@contextlib.contextmanager
def _heartbeat(job: Job, record: StepRecord) -> Iterator[None]:
    """Write the record every few seconds, so that others see that its process lives."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):
                record.heartbeat = now()
                record.write(job.run_dir)

    thread = threading.Thread(target=beat, name=f"heartbeat of {job.step}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def run_dir_parameter(notebook: Path, run_dir: Path) -> dict[str, str]:
    """``{"run_dir": path}`` as seen from the notebook's folder, if the notebook declares it."""
    if "run_dir" not in declared_parameters(notebook):
        return {}
    return {"run_dir": os.path.relpath(run_dir, notebook.parent)}


def _left_by(job: Job, earlier: StepRecord | None) -> list[str]:
    """What an earlier run of a step has listed as its own, as paths in the run folder."""
    listed = list(earlier.artifacts) if earlier is not None else []
    try:
        listed += read_outputs(job.run_dir, job.step)["artifacts"]
    except NotebookRunError as error:
        log.warning("%s", str(error).splitlines()[0])
    paths = [artifact["path"] for artifact in listed]
    return [*dict.fromkeys(paths), f"records/{job.step}.outputs.json"]


def _begin(job: Job, given: dict[str, Any], resolved: dict[str, Any]) -> StepRecord:
    """Clear what an earlier run of this step left, and write the record with status running."""
    earlier, fault = record_or_reason(job.run_dir, job.step)
    if fault:
        log.warning("%s", fault)
    cut_off = earlier is not None and earlier.status == "running"
    if earlier is not None and cut_off and end_orphan(earlier.kernel, job.step):
        log.warning("%s: the kernel of the run that was cut off was ended", job.step)
    executed, page = f"notebooks/{job.step}.ipynb", f"notebooks/{job.step}.html"
    error_log = f"logs/{job.step}.stderr.log"
    require_own_places(job.run_dir, (executed, page, error_log, f"logs/{job.step}.stdout.log"))
    remove_inside(job.run_dir, _left_by(job, earlier))
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
        heartbeat=now(),
        attempt=job.attempt,
        code_cells=sum(cell.is_executed for cell in cells),
        seeds={k: v for k, v in resolved.items() if k.endswith("seed") and isinstance(v, int)},
        provenance=provenance(job.notebook),
        executed=executed,
        page=page,
        log=error_log,
        made=list(earlier.made) if earlier is not None else [],
    )
    record.write(job.run_dir)
    return record


@contextlib.contextmanager
def _logs(run_dir: Path, record: StepRecord) -> Iterator[tuple[IO[str], IO[str]]]:
    folder = run_dir / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    error_log = run_dir / record.log
    remove_inside(run_dir, [record.log, f"logs/{record.step}.stdout.log"])
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

    def began() -> None:
        limits.cell_began()
        record.kernel = control.identity
        record.heartbeat = now()
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
    limits = Limits(control, job.timeout_s, job.cell_timeout_s)
    try:
        with limits:
            watch = CellWatch(node, record, began, limits.cell_ended)
            executed = job.run_dir / record.executed
            error = execute_cells(node, executed, watch, options, control.stopped_seconds)
    finally:
        kernel_is_gone = control.is_gone()
        record.exit_code = control.close()
    if record.exit_code in SENT_TO_ALL:
        control.await_reason(HEARSAY_SECONDS)
    stderr.write(ANSI.sub("", "\n".join(getattr(error, "traceback", []))))
    record.signal = control.signal
    seconds = {"timeout": job.timeout_s, "cell timeout": job.cell_timeout_s}
    record.status, record.failure = outcome(
        record, error, control.reason, seconds, kernel_is_gone=kernel_is_gone
    )


def _finish(job: Job, record: StepRecord) -> None:
    """Correct the executed notebook, write its HTML, collect the outputs; the record comes last.

    Raises:
        NotebookRunError: If the notebook damaged the list of its own outputs.
    """
    outputs = read_outputs(job.run_dir, job.step)
    record.artifacts, record.metrics = outputs["artifacts"], outputs["metrics"]
    record.data = outputs["data"]
    executed = job.run_dir / record.executed
    if executed.is_file():
        try:
            _correct_metadata(executed, record)
            record.external = notebook_html(
                executed,
                job.run_dir / record.page,
                source_folder=job.notebook.parent,
                show_code=record.status != "ok",
                banner=record.failure.sentence(record.step) if record.failure else "",
            )
        except (OSError, ValueError) as error:  # a full disk leaves half a notebook
            from nbformat.reader import NotJSONError

            half = "its file breaks off, as where a disk is full"
            why = half if isinstance(error, NotJSONError) else error
            log.error("%s could not be saved whole: %s", executed, why)
            record.page = ""
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

"""Run one notebook headless, and say truthfully how it went."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import NotebookRunError
from workbench.execution.files import require_writable, room_reserved, told_when_full
from workbench.execution.jobs import CellCallback, Job, run_job
from workbench.execution.lock import run_lock
from workbench.execution.parameters import check_parameters
from workbench.execution.records import Failure, StepRecord
from workbench.execution.stopping import Stopper, require_limit, stop_on_signals


def run_notebook(
    path: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    run_dir: str | Path,
    timeout_s: float | None = None,
    cell_timeout_s: float | None = None,
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
        cell_timeout_s: Seconds that one cell may take; None for no limit.
        on_cell: Called with the record whenever a cell begins.

    Returns:
        The record, with status ``ok``.

    Raises:
        NotebookParameterError: If a parameter is not declared or of another type; nothing has run.
        NotebookRunError: If the notebook did not run to its end, if the folder cannot be written,
            or if another process works in it.
        SystemExit: With 128 + the signal's number, if SIGTERM or SIGINT ended it.
    """
    notebook, folder = Path(path), Path(run_dir)
    job = Job(
        notebook,
        folder,
        dict(parameters or {}),
        timeout_s=timeout_s,
        cell_timeout_s=cell_timeout_s,
        on_cell=on_cell,
    )
    check_parameters(notebook, job.parameters)  # a wrong one is told before a folder is made
    require_limit("timeout_s", timeout_s)
    require_limit("cell_timeout_s", cell_timeout_s)
    require_writable(folder)
    stopper = Stopper()
    with (
        told_when_full(folder),
        run_lock(folder),
        room_reserved(folder),
        stop_on_signals(stopper),
    ):
        record = run_job(job, stopper)
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

"""Runs as jobs of a cluster: Slurm through submitit, or plain processes of this machine.

A job does what `run_chain` does on the machine it lands on, so that a job that is preempted, or
reaches its time limit, or is put back into the queue goes on where it was: finished steps stay
finished, and notebooks find their own checkpoints in the run folder.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from workbench.errors import NotebookRunError, WorkbenchError
from workbench.execution.files import require_writable, write_json, write_text
from workbench.execution.lock import living_holder
from workbench.execution.processes import ProcessIdentity
from workbench.execution.records import RunRecord, now, read_run
from workbench.execution.removal import remove_inside
from workbench.execution.runs import RunOptions, prepare_run, run_chain
from workbench.execution.schemas import VERSION, Version, read_stored

SIGNAL_SECONDS = 60
"""So long before its time limit a job is told, stops its kernels and is put back into the queue."""

TIMES_OUT = 20
"""How often a job that reaches its time limit is put back into the queue."""

SQUEUE_SECONDS = 20.0
"""Time that Slurm has to answer a question."""

MOST_IDS = 5000
"""Jobs that are asked for by their ids; for more, Slurm is asked for all that it knows."""

OVER = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE"}
OVER |= {"BOOT_FAIL", "REVOKED"}
"""States of Slurm in which a job does not come back."""


class StoredJob(BaseModel):
    """``cluster.json``."""

    model_config = ConfigDict(strict=True, extra="forbid")

    cluster: Literal["slurm", "local"]
    job: str = Field(pattern=r"^[0-9]+(_[0-9]+)?$")
    submitted: str = ""
    logs: str = ""
    process: ProcessIdentity | None = None
    """The process of a local job."""
    version: Version = 1


@dataclass(frozen=True)
class ClusterOptions:
    """What is asked of the cluster for each job."""

    cluster: Literal["slurm", "local"] = "slurm"
    partition: str | None = None
    time_min: int = 60
    """Time limit in minutes; a job that reaches it is put back into the queue and goes on."""

    gpus: int = 0
    cpus: int = 1
    memory_gb: float | None = None
    account: str | None = None
    qos: str | None = None
    at_once: int = 256
    """Jobs of one array that may run at the same time."""

    more: Mapping[str, str | int] = field(default_factory=dict)
    """Further options of sbatch by name, such as ``constraint``."""


@dataclass
class ChainTask:
    """One run, as submitit carries it to the machine where it happens."""

    path: str
    run_dir: str
    parameters: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    options: RunOptions = field(default_factory=RunOptions)
    folder: str = field(default_factory=os.getcwd)
    """Working directory, to which the paths are relative."""

    def __call__(self) -> str:
        """Run, and return the status; called by submitit."""
        os.chdir(self.folder)
        requeue = signal.getsignal(signal.SIGUSR2)  # submitit's: save the task, queue it, exit
        told: list[int] = []

        def leave(number: int, frame: FrameType | None) -> None:
            told.append(number)
            signal.raise_signal(signal.SIGTERM)

        signal.signal(signal.SIGUSR2, leave)
        try:
            options = asdict(self.options)
            run = run_chain(
                self.path, self.parameters, texts=self.texts, run_dir=self.run_dir, **options
            )
        except SystemExit:
            if told and callable(requeue):
                requeue(told[0], None)
            raise
        return run.status

    def checkpoint(self) -> Any:
        """What to run after being put back into the queue: the same; called by submitit."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def submit(tasks: Iterable[ChainTask], options: ClusterOptions, *, logs: str | Path) -> list[str]:
    """Hand runs to a cluster; several become one job array on Slurm.

    Everything is checked here first: chain, parameters, folders. Each run folder gets a
    ``run.json`` with status ``queued`` and a ``cluster.json`` that names the job.

    Args:
        tasks: The runs.
        options: What to ask for.
        logs: Folder for the job's own logs, on a disk that all nodes see.

    Returns:
        The ids of the jobs, in the order of the tasks.

    Raises:
        NotebookParameterError: If a parameter is wrong; nothing was submitted.
        NotebookRunError: If a run is wrong, its folder is in use, or the cluster refuses the job.
    """
    tasks = list(tasks)
    _require_plain(options, [Path(logs), *(Path(task.run_dir) for task in tasks)])
    executor = _executor(options, Path(logs))
    runs = [_queued(task) for task in tasks]
    before = [_swapped(Path(task.run_dir), run) for task, run in zip(tasks, runs, strict=True)]
    try:
        with _streams_apart() if options.cluster == "local" else contextlib.nullcontext():
            jobs = _handed_over(executor, tasks)
    except Exception as error:  # submitit has several kinds, one of them for sbatch itself
        for task, text in zip(tasks, before, strict=True):
            _restore(Path(task.run_dir), text)
        raise NotebookRunError(
            f"{options.cluster} refused the job: {_refusal(error)}\n"
            "Look at what it offers (`sinfo`), and at --partition, --gpus, --time and --memory."
        ) from error
    for task, job in zip(tasks, jobs, strict=True):
        value = {"cluster": options.cluster, "job": job.job_id, "submitted": now()}
        value |= {"logs": str(Path(logs).resolve()), "version": VERSION}
        if options.cluster == "local":
            process = ProcessIdentity.of(int(job.job_id))
            value["process"] = process.to_json() if process is not None else None
        write_json(Path(task.run_dir) / "cluster.json", value)
    return [str(job.job_id) for job in jobs]


def _require_plain(options: ClusterOptions, paths: Iterable[Path]) -> None:
    """Refuse what a batch script would read as something else than a path or a value.

    Raises:
        NotebookRunError: If a path holds "%", which Slurm replaces ("%j"), or any text a line break
            or another character that is not printed.
    """
    texts = {str(path.resolve()): True for path in paths}
    values = [
        options.partition,
        options.account,
        options.qos,
        *options.more,
        *options.more.values(),
    ]
    texts |= {str(value): False for value in values if value is not None}
    for text, is_path in texts.items():
        if not text.isprintable() or (is_path and "%" in text):
            raise NotebookRunError(
                "What is given to a cluster must be printable, and its paths without '%', which "
                f"Slurm replaces, but one is {text!r}.\nName another folder with --run-dir."
            )


def _handed_over(executor: Any, tasks: list[ChainTask]) -> list[Any]:
    if len(tasks) == 1:
        return [executor.submit(tasks[0])]
    with executor.batch():
        return [executor.submit(task) for task in tasks]


@contextlib.contextmanager
def _streams_apart() -> Iterator[None]:
    """Give processes that are started meanwhile none of our streams.

    They outlive us, and who reads our output through a pipe would wait for them.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)


def _swapped(run_dir: Path, run: RunRecord) -> str | None:
    """Write the record of a queued run before a job could; give the text of an earlier one."""
    path = run_dir / "run.json"
    before = path.read_text(encoding="utf-8") if path.is_file() else None
    remove_inside(run_dir, ["cluster.json"])
    run.write(run_dir)
    return before


def _restore(run_dir: Path, text: str | None) -> None:
    if text is None:
        remove_inside(run_dir, ["run.json"])
    else:
        write_text(run_dir / "run.json", text)


def _queued(task: ChainTask) -> RunRecord:
    """Check a run and give its record as it stands in the queue."""
    folder = Path(task.run_dir)
    prepared = prepare_run(task.path, folder, task.parameters, task.texts, task.options)
    require_writable(folder)
    if holder := living_holder(folder):
        raise NotebookRunError(
            f"One process may work in a run folder, but {folder} is held by\n{holder.sentence()}"
        )
    return RunRecord(
        name=folder.resolve().name,
        title=prepared.chain.title,
        chain=task.path,
        command=prepared.command,
        status="queued",
        parameters=prepared.asked,
        started=now(),
    )


def _executor(options: ClusterOptions, logs: Path) -> Any:
    """The executor of submitit that does what `options` ask."""
    import submitit

    logs.mkdir(parents=True, exist_ok=True)
    if options.cluster == "local":
        local = submitit.LocalExecutor(folder=logs)
        local.update_parameters(
            timeout_min=options.time_min,
            gpus_per_node=options.gpus,
            signal_delay_s=min(SIGNAL_SECONDS, 30 * options.time_min),
            stderr_to_stdout=True,
        )
        return local
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise NotebookRunError(
            "There must be a Slurm to submit to, but sbatch and srun are not on this machine.\n"
            "Run on a login node of the cluster, or use --cluster local."
        )
    executor = submitit.SlurmExecutor(folder=logs, max_num_timeout=TIMES_OUT)
    asked = {
        "job_name": "workbench",
        "partition": options.partition,
        "time": options.time_min,
        "cpus_per_task": options.cpus,
        "gpus_per_node": options.gpus or None,
        "mem": f"{round(options.memory_gb * 1024)}MB" if options.memory_gb else None,
        "account": options.account,
        "qos": options.qos,
        "array_parallelism": options.at_once,
        "signal_delay_s": SIGNAL_SECONDS,
        "stderr_to_stdout": True,
        "additional_parameters": {"requeue": True, **options.more},
    }
    executor.parameters = {k: v for k, v in asked.items() if v is not None}
    return executor


def _refusal(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if "error" in line.lower()]
    return (lines or str(error).splitlines() or [type(error).__name__])[0].strip()


class JobStates:
    """The cluster's answer on the jobs of several runs, asked for once and only if it is needed.

    Args:
        run_dirs: Folders of the runs.
    """

    def __init__(self, run_dirs: Iterable[Path]) -> None:
        self._run_dirs = list(run_dirs)
        self._slurm: dict[str, str] | None = None
        self._problem = ""

    def of(self, run_dir: Path) -> tuple[str, str] | None:
        """The job of a run, and its state as the cluster tells it.

        Returns:
            Id of the job and ``PENDING``, ``RUNNING``, … or ``""`` if it has left the queue; None
            if the run was not submitted, or if nobody here can tell.
        """
        try:
            stored = _stored_job(run_dir)
        except WorkbenchError:
            return None
        if stored is None:
            return None
        if stored.cluster == "local":
            state = _local_state(stored)
            return None if state is None else (stored.job, state)
        if shutil.which("squeue") is None:
            return None
        if self._slurm is None:
            self._ask(stored.job)
        return None if self._problem else (stored.job, (self._slurm or {}).get(stored.job, ""))

    def problem(self, run_dir: Path) -> str:
        """Why `of` could not tell the state of a job, in a sentence; empty if it could."""
        try:
            stored = _stored_job(run_dir)
        except WorkbenchError as error:
            return str(error).splitlines()[0]
        if stored is None or self.of(run_dir) is not None:
            return ""
        if stored.cluster == "local":
            return _untold(stored)
        return self._problem or f"there is no squeue here to ask for job {stored.job}"

    def _ask(self, *more: str) -> None:
        """Ask Slurm once for all jobs of runs that have not ended."""
        ids = dict.fromkeys(more)
        for run_dir in self._run_dirs:
            with contextlib.suppress(WorkbenchError):
                stored = _stored_job(run_dir)
                if stored is not None and stored.cluster == "slurm" and _may_go_on(run_dir):
                    ids[stored.job] = None
        self._slurm = {}
        command = ["squeue", "--noheader", "--array", "--format=%i %T", "--states=all"]
        if len(ids) <= MOST_IDS:
            command.append(f"--jobs={','.join(ids)}")
        try:
            answer = _asked_twice(command)
        except subprocess.TimeoutExpired:
            self._problem = f"squeue did not answer within {SQUEUE_SECONDS:g} s"
            return
        except OSError as error:
            self._problem = f"squeue cannot be run: {error.strerror}"
            return
        if answer.returncode and "Invalid job id" not in answer.stderr:  # one it has forgotten
            lines = answer.stderr.strip().splitlines()
            why = lines[0] if lines else f"exit code {answer.returncode}"
            self._problem = f"squeue could not answer: {why}"
            return
        for line in answer.stdout.splitlines():
            job, _, state = line.strip().partition(" ")
            self._slurm.setdefault(job, "" if state in OVER else state)


def _stored_job(run_dir: Path) -> StoredJob | None:
    """What ``cluster.json`` tells; None if the run was not submitted.

    Raises:
        NotebookRunError: If the file is damaged.
    """
    path = run_dir / "cluster.json"
    return read_stored(path, StoredJob, what="the record of a job") if path.exists() else None


def _may_go_on(run_dir: Path) -> bool:
    return read_run(run_dir).status in {"queued", "running", "killed"}


def _local_state(job: StoredJob) -> str | None:
    """State of a process that was submitted on this machine; None if it cannot be told."""
    if job.process is not None:
        if not job.process.is_here:
            return None
        return "RUNNING" if job.process.is_alive() else ""
    if job.version > 1:
        return ""  # it had ended before its record was written
    is_free = job.job.isdecimal() and ProcessIdentity.of(int(job.job)) is None
    return "" if is_free else None


def _untold(job: StoredJob) -> str:
    """Why the state of a local job cannot be told, or its process signalled."""
    if job.process is not None:
        return f"its process {job.job} belongs to {job.process.host}: ask there"
    return (
        f"its record, of an older version, names process {job.job} only by number, which may be "
        "another process by now: nothing is signalled; look at it yourself"
    )


def queue_state(run_dir: Path) -> tuple[str, str] | None:
    """The job of one run, and its state as the cluster tells it, as `JobStates.of` gives it."""
    return JobStates([run_dir]).of(run_dir)


def ask_cluster(run_dirs: Iterable[Path]) -> JobStates:
    """The states of the jobs of several runs, for one question to the cluster at most."""
    return JobStates(run_dirs)


def _asked_twice(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Ask Slurm, and once more if it is too busy to answer."""

    def ask() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SQUEUE_SECONDS,
            check=False,
        )

    answer = ask()
    if answer.returncode and "Invalid job id" not in answer.stderr:
        time.sleep(1)
        answer = ask()
    return answer


def cancel(run_dir: Path) -> str:
    """Take the job of a run folder from the cluster; its kernels are stopped in order.

    Returns:
        The id of the job.

    Raises:
        NotebookRunError: If the run is no job or has ended, if Slurm does not answer, or if the
            process of a local job cannot be told from others. Nothing is signalled then.
    """
    jobs = JobStates([run_dir])
    job, stored = jobs.of(run_dir), _stored_job(run_dir)
    if job is None and (problem := jobs.problem(run_dir)):
        raise NotebookRunError(f"{run_dir} cannot be cancelled: {problem}.")
    if job is None or not job[1] or stored is None:
        raise NotebookRunError(f"{run_dir} must be a job in a queue to be cancelled, but is none.")
    if stored.cluster == "local":
        if stored.process is None or not stored.process.send(signal.SIGTERM):
            raise NotebookRunError(f"{run_dir} has ended: its process {stored.job} is gone.")
        return stored.job
    command = ["scancel", stored.job]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=SQUEUE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        late = isinstance(error, subprocess.TimeoutExpired)
        why = f"did not answer within {SQUEUE_SECONDS:g} s" if late else f"cannot be run: {error}"
        raise NotebookRunError(f"{run_dir} was not cancelled: scancel {why}.") from None
    if answer.returncode:
        raise NotebookRunError(f"{run_dir} was not cancelled: {answer.stderr.strip()[:300]}")
    return stored.job

"""Runs as jobs of a cluster: Slurm through submitit, or plain processes of this machine.

A job does what `run_chain` does on the machine it lands on, so that a job that is preempted, or
reaches its time limit, or is put back into the queue goes on where it was: finished steps stay
finished, and notebooks find their own checkpoints in the run folder.
"""

import contextlib
import json
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

from workbench.errors import NotebookRunError
from workbench.execution.files import require_writable, write_json, write_text
from workbench.execution.lock import living_holder
from workbench.execution.records import RunRecord, now
from workbench.execution.runs import RunOptions, prepare_run, run_chain

SIGNAL_SECONDS = 60
"""So long before its time limit a job is told, stops its kernels and is put back into the queue."""

TIMES_OUT = 20
"""How often a job that reaches its time limit is put back into the queue."""


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
            os.kill(os.getpid(), signal.SIGTERM)

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
        value["logs"] = str(Path(logs).resolve())
        write_json(Path(task.run_dir) / "cluster.json", value)
    return [str(job.job_id) for job in jobs]


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
    (run_dir / "cluster.json").unlink(missing_ok=True)
    run.write(run_dir)
    return before


def _restore(run_dir: Path, text: str | None) -> None:
    if text is None:
        (run_dir / "run.json").unlink(missing_ok=True)
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


def queue_state(run_dir: Path) -> tuple[str, str] | None:
    """The job of a run folder, and its state as the cluster tells it.

    Returns:
        Id of the job and ``PENDING``, ``RUNNING``, … or ``""`` if it has left the queue; None if
        the run was not submitted, or if the cluster cannot be asked from here.
    """
    try:
        value = json.loads((run_dir / "cluster.json").read_text(encoding="utf-8"))
        cluster, job = value["cluster"], str(value["job"])
    except (OSError, ValueError, KeyError):
        return None
    if cluster == "local":
        return job, "RUNNING" if Path(f"/proc/{job}").exists() and not _is_zombie(job) else ""
    if shutil.which("squeue") is None:
        return None
    command = ["squeue", "--noheader", "--format=%T", "--states=all", f"--jobs={job}"]
    answer = _asked_twice(command)
    if answer.returncode:  # squeue calls a job that it has forgotten invalid
        return (job, "") if "Invalid job id" in answer.stderr else None
    states = answer.stdout.split()
    over = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}
    return job, "" if not states or states[0] in over else states[0]


def _asked_twice(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Ask Slurm, and once more if it is too busy to answer."""
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if answer.returncode and "Invalid job id" not in answer.stderr:
        time.sleep(1)
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return answer


def _is_zombie(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return True


def cancel(run_dir: Path) -> str:
    """Take the job of a run folder from the cluster; its kernels are stopped in order.

    Returns:
        The id of the job.

    Raises:
        NotebookRunError: If the run is no job, or has ended.
    """
    found = queue_state(run_dir)
    if found is None or not found[1]:
        raise NotebookRunError(f"{run_dir} must be a job in a queue to be cancelled, but is none.")
    job, _ = found
    value = json.loads((run_dir / "cluster.json").read_text(encoding="utf-8"))
    if value["cluster"] == "local":
        os.kill(int(job), signal.SIGTERM)
    else:
        subprocess.run(["scancel", job], check=True, timeout=60)
    return job

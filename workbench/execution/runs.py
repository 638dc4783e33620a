"""Run a chain: what is finished stays, the rest runs, and each step says why."""

import shlex
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from workbench.errors import NotebookRunError
from workbench.execution.chain import Chain, ChainStep, read_chain, step_parameters
from workbench.execution.devices import gpus as visible_gpus
from workbench.execution.files import require_writable, room_reserved, told_when_full
from workbench.execution.jobs import CellCallback, Job, run_dir_parameter, run_job
from workbench.execution.lock import run_lock
from workbench.execution.notebooks import failure_message
from workbench.execution.parameters import check_parameters
from workbench.execution.records import (
    RunRecord,
    Status,
    StepNote,
    StepRecord,
    now,
    record_or_reason,
)
from workbench.execution.resume import inputs_of, reason_to_run
from workbench.execution.schedule import Schedule
from workbench.execution.slots import Slots, Ticket
from workbench.execution.source import code_hash, read_cells
from workbench.execution.stopping import Stopper, require_limit, stop_on_signals
from workbench.execution.writing import RunWriter

Tell = Callable[[StepNote], None]


@dataclass(frozen=True)
class RunOptions:
    """How a chain is run; nothing of it changes a result."""

    jobs: int = 1
    """Notebooks that may run at once."""

    gpus: int | None = None
    """GPUs that the run may use; None for all that are there."""

    force: bool = False
    """Run every step, finished or not."""

    timeout_s: float | None = None
    """Seconds after which a step is stopped that sets no limit of its own."""

    cell_timeout_s: float | None = None
    """Seconds that one cell may take, in steps that set no limit of their own."""

    retries: int = 0
    """How often a step runs again if its kernel dies, unless it says so itself."""

    def __post_init__(self) -> None:
        require_limit("timeout_s", self.timeout_s)
        require_limit("cell_timeout_s", self.cell_timeout_s)
        if self.retries < 0 or self.jobs < 1:
            raise NotebookRunError(
                f"A run must have at least 1 job and 0 retries, found jobs={self.jobs}, "
                f"retries={self.retries}."
            )


def run_chain(
    path: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    texts: Mapping[str, str] | None = None,
    run_dir: str | Path,
    jobs: int = 1,
    gpus: int | None = None,
    force: bool = False,
    dry_run: bool = False,
    timeout_s: float | None = None,
    cell_timeout_s: float | None = None,
    retries: int = 0,
    tell: Tell | None = None,
    on_cell: CellCallback | None = None,
) -> RunRecord:
    """Run the steps of a chain that need it, in the order of what they need.

    A step is left alone if its last run in `run_dir` ended well and nothing it depends on has
    changed: code cells, parameters, the source of workbench, its inputs, its data, its outputs. A
    step whose needs failed is skipped. ``index.html`` and ``run.json`` are written after each step;
    where nothing at all had to run they stay as they are.

    Args:
        path: A chain file, or one notebook.
        parameters: Typed values, for every step that declares them.
        texts: Values as written on a command line, read by the declared types.
        run_dir: Folder of the run, made if needed. One process at a time may work in it.
        jobs: Notebooks that may run at once.
        gpus: GPUs that the run may use; None for all that are there.
        force: Run every step.
        dry_run: Only say what would run and why; write nothing.
        timeout_s: Seconds after which a step is stopped that sets no limit of its own.
        cell_timeout_s: Seconds that one cell may take, in steps that set no limit of their own.
        retries: How often a step runs again if its kernel dies, unless it says so itself.
        tell: Called when a step begins, ends, or is left alone.
        on_cell: Called whenever a cell begins, in the thread of its step.

    Returns:
        The record of the run; status ``ok``.

    Raises:
        NotebookParameterError: If a parameter is wrong; nothing has run.
        NotebookRunError: If the chain is wrong, the folder cannot be written or another process
            works in it, a GPU is missing, or a step did not run to its end; steps that do not need
            it have run.
        SystemExit: With 128 + the signal's number, if SIGTERM or SIGINT ended it.
    """
    options = RunOptions(jobs, gpus, force, timeout_s, cell_timeout_s, retries)
    chain_run = prepare_run(path, run_dir, parameters or {}, texts or {}, options)
    chain_run.tell, chain_run.on_cell = tell or chain_run.tell, on_cell
    if dry_run:
        return chain_run.plan()
    slots = Slots(jobs, given_gpus(chain_run.chain, gpus))
    with stop_on_signals(chain_run.stopper):
        run = chain_run.execute(slots)
    chain_run.raise_if_bad(run)
    return run


def prepare_run(
    path: str | Path,
    run_dir: str | Path,
    parameters: Mapping[str, Any],
    texts: Mapping[str, str],
    options: RunOptions,
) -> "ChainRun":
    """Read and check everything that a run depends on; nothing is written.

    Raises:
        NotebookParameterError: If a parameter is wrong.
        NotebookRunError: If the chain is wrong.
    """
    chain = read_chain(path)
    given = step_parameters(chain, parameters, texts)
    asked = {**parameters, **texts}
    pairs = [f"-p {shlex.quote(f'{name}={value}')}" for name, value in asked.items()]
    command = ["workbench run", shlex.quote(str(path)), *pairs]
    command += ["--run-dir", shlex.quote(str(run_dir))]
    return ChainRun(chain, Path(run_dir), given, asked, " ".join(command), options)


def given_gpus(chain: Chain, limit: int | None) -> tuple[str, ...]:
    """The GPUs of a run, asked for only if it needs to know.

    Raises:
        NotebookRunError: If there are fewer than `limit`, or than a step of `chain` needs.
    """
    needy = max(chain.steps, key=lambda step: step.gpus, default=None)
    needed = needy.gpus if needy else 0
    if not needed and not limit:
        return ()
    found = tuple(gpu.index for gpu in visible_gpus())
    if limit is not None and limit > len(found):
        raise NotebookRunError(
            f"The run asks for {limit} GPU(s), but this machine shows {len(found)}.\n"
            "Ask for fewer with --gpus, or look at `workbench doctor`."
        )
    found = found[:limit]
    if needy is not None and needed > len(found):
        raise NotebookRunError(
            f"{needy.name} asks for {needed} GPU(s), but the run has {len(found)}.\n"
            "Run it where there are more (--cluster slurm --gpus N), or look at `workbench doctor`."
        )
    return found


def _silent(note: StepNote) -> None:
    """Tell nobody: what a run does where no one asked to be told."""


@dataclass
class ChainRun:
    """One run of a chain, prepared: everything is checked, nothing is written."""

    chain: Chain
    run_dir: Path
    given: dict[str, dict[str, Any]]
    asked: dict[str, Any]
    command: str
    options: RunOptions
    stopper: Stopper = field(default_factory=Stopper)
    tell: Tell = _silent
    on_cell: CellCallback | None = None
    _telling: threading.Lock = field(default_factory=threading.Lock)

    def plan(self) -> RunRecord:
        """Say what would run, from the records alone."""
        run = self._new_record()
        records: dict[str, StepRecord] = {}
        for step in self.chain.steps:
            waiting = [need for need in step.needs if need not in records]
            reason: str | None = f"{waiting[0]} runs before it" if waiting else None
            if reason is None:
                reason = self._reason(step, records)
            record, _ = record_or_reason(self.run_dir, step.name)
            if reason is None and record is not None:
                records[step.name] = record
                self._note(run, step, "unchanged", self._unchanged(record))
            else:
                self._note(run, step, "would run", reason or "")
        return run

    def execute(self, slots: Slots, order: tuple[int, ...] = ()) -> RunRecord:
        """Run what must be run, and keep the record and the report in step.

        Raises:
            NotebookRunError: If the folder cannot be written or is in use, or the disk is full.
        """
        require_writable(self.run_dir)
        with told_when_full(self.run_dir), run_lock(self.run_dir), room_reserved(self.run_dir):
            run = self._new_record()
            writer = RunWriter(run, self.run_dir, self.chain)
            schedule = Schedule(
                self.chain,
                slots,
                self.stopper,
                decide=lambda step, records: self._settled(run, step, records, writer),
                work=lambda step, records, ticket: self._step(run, step, records, ticket, writer),
                ended=writer.save,
                order=order,
            )
            with writer.ending_if_full():
                records = schedule.run()
            bad = [r for r in records.values() if r.status not in {"ok", "skipped"}]
            killed = self.stopper.reason is not None
            status = bad[0].status if bad else "killed" if killed else "ok"
            with writer.ending_if_full():
                writer.end(records, status)
        return run

    def raise_if_bad(self, run: RunRecord) -> None:
        """Raise what `run_chain` promises for a run that did not end well."""
        if self.stopper.signal:
            raise SystemExit(128 + self.stopper.signal)
        bad = [record for record in run.steps if record.status not in {"ok", "skipped"}]
        if bad:
            raise NotebookRunError(failure_message(bad[0], self.run_dir, self.command))

    def _settled(
        self,
        run: RunRecord,
        step: ChainStep,
        records: Mapping[str, StepRecord],
        writer: RunWriter,
    ) -> StepRecord | None:
        """The record of a step that need not or cannot run; None for one that must."""
        missing = [need for need in step.needs if records[need].status != "ok"]
        if missing or self.stopper.reason is not None:
            reason = f"needs {', '.join(missing)}" if missing else "the run was stopped"
            self._note(run, step, "skipped", reason)
            return StepRecord(step.name, str(step.notebook), "skipped", reason)
        earlier, _ = record_or_reason(self.run_dir, step.name)
        if earlier is not None and self._reason(step, records) is None:
            self._note(run, step, "unchanged", self._unchanged(earlier))
            return earlier
        writer.begin()
        return None

    def _step(
        self,
        run: RunRecord,
        step: ChainStep,
        records: Mapping[str, StepRecord],
        ticket: Ticket,
        writer: RunWriter,
    ) -> StepRecord:
        """Run a step, again if its kernel dies and retries are left."""
        writer.first_turn()
        why = self._reason(step, records) or ""
        own, options = step.retries, self.options
        job = Job(
            step.notebook,
            self.run_dir,
            self.given[step.name],
            reason=why,
            inputs=inputs_of(records, step.needs),
            timeout_s=step.timeout_s or options.timeout_s,
            cell_timeout_s=step.cell_timeout_s or options.cell_timeout_s,
            on_cell=self.on_cell,
        )
        if ticket.devices:
            job.environment = {"CUDA_VISIBLE_DEVICES": ",".join(ticket.devices)}
        while True:
            self._note(run, step, "running", job.reason)
            record = run_job(job, self.stopper)
            left = (options.retries if own is None else own) + 1 - job.attempt
            if record.status != "dead_kernel" or left < 1 or self.stopper.reason is not None:
                break
            job.attempt += 1
            job.reason = f"its kernel died, attempt {job.attempt}"
        self._note(run, step, record.status, job.reason, record.wall_seconds)
        return record

    def _reason(self, step: ChainStep, records: Mapping[str, StepRecord]) -> str | None:
        if self.options.force:
            return "asked for with --force"
        given = self.given[step.name] | run_dir_parameter(step.notebook, self.run_dir)
        record, fault = record_or_reason(self.run_dir, step.name)
        if fault:
            return fault
        return reason_to_run(
            record,
            self.run_dir,
            notebook=step.notebook,
            code=code_hash(read_cells(step.notebook)),
            parameters=check_parameters(step.notebook, given),
            inputs=inputs_of(records, step.needs),
        )

    def _unchanged(self, record: StepRecord) -> str:
        return f"nothing has changed since {record.finished}"

    def _new_record(self) -> RunRecord:
        return RunRecord(
            name=self.run_dir.resolve().name,
            title=self.chain.title,
            chain=str(self.chain.path),
            command=self.command,
            parameters=self.asked,
            started=now(),
        )

    def _note(
        self,
        run: RunRecord,
        step: ChainStep,
        action: Status | Literal["unchanged", "would run"],
        reason: str,
        seconds: float | None = None,
    ) -> None:
        """Say what is done about a step; the latest note of each step stands in the record."""
        note = StepNote(step.name, action, reason, seconds)
        places = {step.name: place for place, step in enumerate(self.chain.steps)}
        with self._telling:
            others = [other for other in run.notes if other.step != step.name]
            run.notes = sorted([*others, note], key=lambda n: places[n.step])
            self.tell(note)

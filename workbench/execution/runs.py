"""Run a chain: what is finished stays, the rest runs, and each step says why."""

import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from workbench.errors import NotebookRunError
from workbench.execution.chain import Chain, ChainStep, read_chain, step_parameters
from workbench.execution.files import require_writable
from workbench.execution.notebooks import (
    CellCallback,
    Job,
    failure_message,
    run_dir_parameter,
    run_job,
)
from workbench.execution.parameters import check_parameters
from workbench.execution.records import RunRecord, Status, StepNote, StepRecord, now, read_record
from workbench.execution.report import write_report
from workbench.execution.resume import inputs_of, reason_to_run
from workbench.execution.source import code_hash, read_cells

Tell = Callable[[StepNote], None]


def run_chain(
    path: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    texts: Mapping[str, str] | None = None,
    run_dir: str | Path,
    force: bool = False,
    dry_run: bool = False,
    timeout_s: float | None = None,
    tell: Tell | None = None,
    on_cell: CellCallback | None = None,
) -> RunRecord:
    """Run the steps of a chain that need it, in the order of what they need.

    A step is left alone if its last run in `run_dir` ended well and nothing it depends on has
    changed: code cells, parameters, the source of workbench, its inputs, its data, its outputs. A
    step whose needs failed is skipped. ``index.html`` and ``run.json`` are written after each step.

    Args:
        path: A chain file, or one notebook.
        parameters: Typed values, for every step that declares them.
        texts: Values as written on a command line, read by the declared types.
        run_dir: Folder of the run, made if needed.
        force: Run every step.
        dry_run: Only say what would run and why; write nothing.
        timeout_s: Seconds after which a step is stopped that sets no limit of its own.
        tell: Called when a step begins, ends, or is left alone.
        on_cell: Called whenever a cell begins.

    Returns:
        The record of the run; status ``ok``.

    Raises:
        NotebookParameterError: If a parameter is wrong; nothing has run.
        NotebookRunError: If the chain is wrong, the folder cannot be written, or a step did not run
            to its end; steps that do not need it have run.
        SystemExit: With 128 + the signal's number, if SIGTERM or SIGINT ended it.
    """
    chain = read_chain(path)
    given = step_parameters(chain, parameters or {}, texts or {})
    asked = {**(parameters or {}), **(texts or {})}
    command = _command(path, run_dir, asked)
    run = _Run(chain, Path(run_dir), given, force, timeout_s, tell or _silent, on_cell, command)
    if dry_run:
        return run.plan()
    return run.execute(asked)


def _silent(note: StepNote) -> None:
    pass


def _command(path: str | Path, run_dir: str | Path, asked: Mapping[str, Any]) -> str:
    given = [f"-p {shlex.quote(f'{name}={value}')}" for name, value in asked.items()]
    return " ".join(
        ["workbench run", shlex.quote(str(path)), *given, "--run-dir", shlex.quote(str(run_dir))]
    )


@dataclass
class _Run:
    chain: Chain
    run_dir: Path
    given: dict[str, dict[str, Any]]
    force: bool
    timeout_s: float | None
    tell: Tell
    on_cell: CellCallback | None
    command: str

    def plan(self) -> RunRecord:
        """Say what would run, from the records alone."""
        run = self._new_record({})
        records: dict[str, StepRecord] = {}
        for step in self.chain.steps:
            waiting = [need for need in step.needs if need not in records]
            reason: str | None = f"{waiting[0]} runs before it" if waiting else None
            if reason is None:
                reason = self._reason(step, records)
            record = read_record(self.run_dir, step.name)
            if reason is None and record is not None:
                records[step.name] = record
                self._note(run, step, "unchanged", f"nothing has changed since {record.finished}")
            else:
                self._note(run, step, "would run", reason or "")
        return run

    def execute(self, asked: Mapping[str, Any]) -> RunRecord:
        """Run what must be run and keep the record and the report in step."""
        require_writable(self.run_dir)
        run = self._new_record(asked)
        started = time.monotonic()
        records: dict[str, StepRecord] = {}
        stopped: int | None = None
        for step in self.chain.steps:
            record = self._step(run, step, records, stopped)
            records[step.name] = record
            stopped = stopped or record.signal
            run.steps = list(records.values())
            run.wall_seconds = round(time.monotonic() - started, 3)
            self._save(run)
        self._end(run, records, stopped)
        return run

    def _step(
        self,
        run: RunRecord,
        step: ChainStep,
        records: dict[str, StepRecord],
        stopped: int | None,
    ) -> StepRecord:
        missing = [need for need in step.needs if records[need].status != "ok"]
        if missing or stopped:
            reason = f"needs {', '.join(missing)}" if missing else "the run was stopped"
            self._note(run, step, "skipped", reason)
            return StepRecord(step.name, str(step.notebook), "skipped", reason)
        why = self._reason(step, records)
        earlier = read_record(self.run_dir, step.name)
        if why is None and earlier is not None:
            self._note(run, step, "unchanged", f"nothing has changed since {earlier.finished}")
            return earlier
        self._note(run, step, "running", why or "")
        job = Job(
            step.notebook,
            self.run_dir,
            self.given[step.name],
            reason=why or "",
            inputs=inputs_of(records, step.needs),
            timeout_s=step.timeout_s or self.timeout_s,
            on_cell=self.on_cell,
        )
        record = run_job(job)
        run.notes.pop()  # the step is no longer running
        self._note(run, step, record.status, why or "", record.wall_seconds)
        return record

    def _reason(self, step: ChainStep, records: Mapping[str, StepRecord]) -> str | None:
        if self.force:
            return "asked for with --force"
        given = self.given[step.name] | run_dir_parameter(step.notebook, self.run_dir)
        return reason_to_run(
            read_record(self.run_dir, step.name),
            self.run_dir,
            notebook=step.notebook,
            code=code_hash(read_cells(step.notebook)),
            parameters=check_parameters(step.notebook, given),
            inputs=inputs_of(records, step.needs),
        )

    def _new_record(self, asked: Mapping[str, Any]) -> RunRecord:
        return RunRecord(
            name=self.run_dir.resolve().name,
            title=self.chain.title,
            chain=str(self.chain.path),
            command=self.command,
            parameters=dict(asked),
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
        note = StepNote(step.name, action, reason, seconds)
        run.notes.append(note)
        self.tell(note)

    def _save(self, run: RunRecord) -> None:
        run.write(self.run_dir)
        write_report(run, self.run_dir)

    def _end(self, run: RunRecord, records: Mapping[str, StepRecord], stopped: int | None) -> None:
        bad = [record for record in records.values() if record.status not in {"ok", "skipped"}]
        run.status = bad[0].status if bad else "killed" if stopped else "ok"
        run.finished = now()
        self._save(run)
        if stopped:
            raise SystemExit(128 + stopped)
        if bad:
            raise NotebookRunError(failure_message(bad[0], self.run_dir, self.command))

"""The record and the report of a run while it goes on: written when there is something to say."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.execution.chain import Chain, ChainStep
from workbench.execution.files import NO_ROOM
from workbench.execution.provenance import provenance
from workbench.execution.records import (
    RunRecord,
    Status,
    StepRecord,
    now,
    read_record,
    same_as_written,
)
from workbench.execution.report import write_report


class RunWriter:
    """Keeps ``run.json`` and ``index.html`` in step with a run.

    A run that has nothing to do writes nothing, as long as what an earlier one wrote would be the
    same: then the report still tells why each step ran.

    Args:
        run: Record of the run.
        run_dir: Its folder.
        chain: The chain; the repository of its file gives the commit.
    """

    def __init__(self, run: RunRecord, run_dir: Path, chain: Chain) -> None:
        self.run, self.run_dir, self.chain = run, run_dir, chain
        self._started = time.monotonic()
        self._begun = False
        self._had_turn = False

    def begin(self) -> None:
        """Write that it runs, unless that is written."""
        if not self._begun:
            self._begun = True
            self.run.provenance = provenance(self.chain.path)
            self.run.steps = self._every_step({})
            self.run.write(self.run_dir)

    def first_turn(self) -> None:
        """Begin to count the time with the first step that has a slot, not with the wait for it."""
        if not self._had_turn:
            self._had_turn = True
            self._started, self.run.started = time.monotonic(), now()

    def save(self, records: Mapping[str, StepRecord]) -> None:
        """Write what has become of the steps so far; the others stand as they were."""
        self.run.steps = self._every_step(records)
        self.run.wall_seconds = round(time.monotonic() - self._started, 3)
        self.run.write(self.run_dir)
        write_report(self.run, self.run_dir)

    def end(self, records: Mapping[str, StepRecord], status: Status) -> None:
        """Write how the run ended."""
        self.run.status, self.run.finished = status, now()
        self.run.steps = list(records.values())
        there = (self.run_dir / "index.html").is_file()
        if self._begun or not there or not same_as_written(self.run, self.run_dir):
            self.begin()
            self.save(records)
        self.run.wall_seconds = round(time.monotonic() - self._started, 3)

    @contextlib.contextmanager
    def ending_if_full(self) -> Iterator[None]:
        """Where there is no more room for the report, write at least that the run has failed."""
        try:
            yield
        except OSError as error:
            if error.errno in NO_ROOM:
                self.run.status, self.run.finished = "failed", now()
                self.run.steps = self._every_step({})
                with contextlib.suppress(OSError):
                    self.run.write(self.run_dir)
            raise

    def _every_step(self, records: Mapping[str, StepRecord]) -> list[StepRecord]:
        return [records.get(step.name) or self._as_it_stood(step) for step in self.chain.steps]

    def _as_it_stood(self, step: ChainStep) -> StepRecord:
        """The record of a step that has not been run or settled yet in this run."""
        with contextlib.suppress(WorkbenchError):
            if (record := read_record(self.run_dir, step.name)) is not None:
                return record
        return StepRecord(step.name, str(step.notebook), "queued", "not begun")

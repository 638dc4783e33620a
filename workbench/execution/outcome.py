"""What became of a notebook: its cells as this process saw them, and the status decided from that.

papermill's own cell metadata claims "completed" for every cell after a dead kernel, a timeout or an
interrupt; nothing here looks at it.
"""

import signal
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from workbench.execution.records import CellRecord, Failure, Status, StepRecord

if TYPE_CHECKING:
    import nbformat


class CellWatch:
    """Keeps the record's cells in step with the kernel, by nbclient's callbacks."""

    def __init__(
        self,
        node: "nbformat.NotebookNode",
        record: StepRecord,
        on_begin: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        self.numbers = {cell.get("id", ""): n for n, cell in enumerate(node.cells, start=1)}
        tagged = [c for c in node.cells if "parameters" in c.metadata.get("tags", [])]
        self.parameters_cell = self.numbers[tagged[0].get("id", "")] if tagged else 1
        self.record, self.on_begin, self.on_end = record, on_begin, on_end
        self._began = 0.0

    def begins(self, cell: "nbformat.NotebookNode", cell_index: int) -> None:
        number = self.numbers.get(cell.get("id", ""), self.parameters_cell)
        line = next((s for s in cell.source.splitlines() if s.strip()), "").strip()[:100]
        self.record.cells.append(CellRecord(number, cell.get("id", ""), line, "running"))
        self._began = time.monotonic()
        self.on_begin()

    def ended(
        self, cell: "nbformat.NotebookNode", cell_index: int, execute_reply: dict[str, Any]
    ) -> None:
        content = execute_reply["content"]
        current = self.record.cells[-1]
        current.seconds = round(time.monotonic() - self._began, 3)
        current.status = "ok" if content["status"] == "ok" else "failed"
        self.on_end()

    def left_out(self, sentence: str) -> None:
        """Note what the executed notebook does not hold of the output of the latest cell."""
        if self.record.cells:
            self.record.cells[-1].left_out = sentence


def outcome(
    record: StepRecord,
    error: Exception | None,
    stopped: str | None,
    limits: Mapping[str, float | None],
    *,
    kernel_is_gone: bool,
) -> tuple[Status, Failure | None]:
    """Decide the status from what this process saw.

    Args:
        record: Its cells say which began and how they ended.
        error: What papermill raised, if it did.
        stopped: Why we ended the kernel: ``timeout``, ``cell timeout``, ``killed``, or None.
        limits: Seconds of the two time limits that were set, for the message.
        kernel_is_gone: Whether the kernel had ended before we ended it.

    Returns:
        The status; and where and why it stopped, None if it ran to its end.
    """
    last = record.cells[-1] if record.cells else None
    good = {cell.number for cell in record.cells if cell.status == "ok"}
    if error is None and len(good) >= record.code_cells:
        return "ok", None
    if last is not None and last.status == "running":
        last.status = "failed"
    if stopped is not None and stopped in limits:
        what = "this cell is" if stopped == "cell timeout" else "the notebook is"
        message = f"{what} not finished after {limits[stopped]:g} s"
        return "timeout", Failure("timeout", message, last)
    if stopped == "killed":
        name = signal.Signals(record.signal or signal.SIGTERM).name
        return "killed", Failure("killed", f"this process got {name}", last)
    if error is None:
        rest = record.code_cells - len(good)
        message = f"the notebook left early, without {rest} of its {record.code_cells} code cells"
        return "failed", Failure("SystemExit", message, last)
    died = type(error).__name__ == "DeadKernelError" or "died" in str(error)
    if kernel_is_gone and isinstance(error, RuntimeError) and died:  # as nbclient says it
        return "dead_kernel", Failure("dead kernel", _death(record.exit_code, error), last)
    name = str(getattr(error, "ename", type(error).__name__))
    return "failed", Failure(name, _first_line(getattr(error, "evalue", error)), last)


def _death(exit_code: int | None, error: Exception) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return f"the kernel's process was ended by {name}{hint}"
    return f"the kernel ended with exit code {exit_code} ({_first_line(error)})"


def _first_line(value: object) -> str:
    return (str(value).strip().splitlines() or [""])[0][:300]

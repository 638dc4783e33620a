"""What a run shows in a terminal while it goes on: a line for each step, and the cells at work."""

import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from workbench.execution import StepNote, StepRecord

STYLES = {"ok": "green", "unchanged": "green", "running": "cyan", "would run": "cyan"}
STYLES |= {"skipped": "yellow", "queued": "yellow"}
TAIL_BYTES = 2000
LINE_LENGTH = 70


class RunDisplay:
    """Prints what is done about each step, and keeps a live line for every cell that runs."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._cells: dict[str, tuple[StepRecord, Path, float]] = {}
        self._lock = threading.Lock()

    def live(self) -> AbstractContextManager[object]:
        """Show the cells at work during a block; nothing where nobody looks."""
        return Live(
            get_renderable=self._lines, console=self.console, refresh_per_second=4, transient=True
        )

    def tell(self, note: StepNote) -> None:
        """Print a line on a step; what ran before it began is no longer shown."""
        line = Text(f"{note.action:<10}", style=STYLES.get(note.action, "red"))
        line.append(f" {note.step}", style="default")
        if note.seconds is not None:
            line.append(f"  {note.seconds:.1f} s", style="dim")
        elif note.reason:
            line.append(f": {note.reason}", style="default")
        with self._lock:
            self._cells.pop(note.step, None)
        self.console.print(line)

    def cell(self, run_dir: Path, record: StepRecord, name: str = "") -> None:
        """Take note of a cell that begins."""
        with self._lock:
            self._cells[name or record.step] = record, run_dir, time.monotonic()

    def _lines(self) -> Group:
        with self._lock:
            running = list(self._cells.items())
        return Group(*[self._line(name, *cell) for name, cell in running])

    def _line(self, name: str, record: StepRecord, run_dir: Path, began: float) -> Text:
        cell = record.cells[-1]
        done = sum(other.status == "ok" for other in record.cells)
        seconds = f"{time.monotonic() - began:.0f} s"
        line = Text("  … ", style="cyan", no_wrap=True, overflow="ellipsis")
        line.append(name, style="default")
        line.append(f"  {done} of {record.code_cells} cells, cell {cell.number} for {seconds}: ")
        line.append(cell.line[:LINE_LENGTH], style="default")
        if said := _last_line(run_dir, record):
            line.append(f"  | {said}", style="dim")
        return line


def _last_line(run_dir: Path, record: StepRecord) -> str:
    """The latest line that a notebook has printed, on either stream; progress bars included."""
    log = run_dir / record.log
    streams = [log.with_name(log.name.replace(".stderr.", ".stdout.")), log]
    present = [path for path in streams if path.is_file() and path.stat().st_size]
    if not present:
        return ""
    with max(present, key=lambda path: path.stat().st_mtime).open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - TAIL_BYTES))
        text = file.read().decode("utf-8", errors="replace")
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n") if line.strip()]
    return lines[-1][:LINE_LENGTH] if lines else ""

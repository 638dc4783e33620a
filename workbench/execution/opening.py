"""What a run has made, opened where it is asked for: its report, figures, tables and pages.

Each result shows itself in a notebook without a kernel's help later: a picture as a picture, a
table by its first rows, a page in a frame that cannot reach the notebook.
"""

import base64
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from workbench.errors import WorkbenchError
from workbench.escape import html_text
from workbench.execution.records import StepRecord, read_record, read_run
from workbench.execution.schemas import is_plain_name
from workbench.files import opened_once
from workbench.showing import html_table

Kind = Literal["report", "notebook", "figure", "table", "page", "file"]

ROWS, COLUMNS, CHARACTERS = 20, 12, 48
"""What is shown of a table, and of each of its values."""

FRAME_HEIGHT = 640
"""Height of a page in a notebook, CSS pixels."""


log = logging.getLogger(__name__)


def step_names(run_dir: Path) -> list[str]:
    """The steps of a run, in the order of the chain, then those that its ``run.json`` lacks.

    Raises:
        NotebookRunError: If the folder holds no run, or ``run.json`` is damaged.
    """
    names = [step.step for step in read_run(run_dir).steps]
    files = (run_dir / "records").glob("*.json")
    kept = sorted(p.stem for p in files if not p.stem.endswith((".outputs", ".stage")))
    return names + [name for name in kept if name not in names and is_plain_name(name)]


def steps_and_faults(run_dir: Path) -> tuple[list[StepRecord], dict[str, str]]:
    """The full records of a run's steps, and in one line why others cannot be used, by step.

    Raises:
        NotebookRunError: If the folder holds no run, or ``run.json`` is damaged.
    """
    records, faults = [], {}
    for name in step_names(run_dir):
        try:
            if (record := read_record(run_dir, name)) is not None:
                records.append(record)
        except WorkbenchError as error:
            faults[name] = str(error).splitlines()[0]
    return records, faults


def steps_of(run_dir: Path) -> list[StepRecord]:
    """The full records of a run's steps, in the order of the chain; a damaged one is logged.

    Raises:
        NotebookRunError: If the folder holds no run, or ``run.json`` is damaged.
    """
    records, faults = steps_and_faults(run_dir)
    for fault in faults.values():
        log.warning("%s", fault)
    return records


@dataclass(frozen=True)
class RunResult:
    """One thing that a run has made, and that can be looked at."""

    kind: Kind
    title: str
    path: Path
    step: str = ""
    """The step that made it; empty for the report of the whole run."""

    def __repr__(self) -> str:
        return f"{self.kind} {self.title!r} ({self.path})"

    def _repr_html_(self) -> str:
        title = html_text(self.title)
        if not self.path.is_file():
            return f"<p>{title}: {html_text(str(self.path))} is no longer there.</p>"
        place = f"<p><code>{html_text(str(self.path))}</code></p>"
        if self.kind == "figure":
            picture = base64.b64encode(self.path.read_bytes()).decode()
            style = "max-width:100%"
            return (
                f'{place}<img alt="{title}" style="{style}" src="data:image/png;base64,{picture}">'
            )
        if self.kind == "table":
            return place + _table_html(self.path, self.title)
        return place if self.kind == "file" else place + _frame(self.path, title)


def results_of(run_dir: str | Path) -> list[RunResult]:
    """List what a run has made: the report, then step by step notebooks, figures, tables, pages.

    Args:
        run_dir: Folder of the run.

    Returns:
        Results whose files are there; titles as the notebooks gave them.

    Raises:
        NotebookRunError: If the folder holds no run.
    """
    folder = Path(run_dir)
    found = [RunResult("report", "Report of the run", folder / "index.html")]
    for step in steps_of(folder):
        if step.page:
            found.append(
                RunResult("notebook", step.title or step.step, folder / step.page, step.step)
            )
        for artifact in step.artifacts:
            if artifact["kind"] in {"figure", "table", "page", "file"}:
                title = artifact["title"] or Path(artifact["path"]).stem
                found.append(
                    RunResult(artifact["kind"], title, folder / artifact["path"], step.step)
                )
    return [result for result in found if result.path.is_file()]


def _frame(path: Path, title: str) -> str:
    """A page in a frame; links to files beside it lead nowhere from there: they are taken out."""
    page = re.sub(r'<a href="(?![#"]|https?:)[^"]*"', "<a", path.read_text(encoding="utf-8"))
    source = html_text(page)
    style = f"width:100%;height:{FRAME_HEIGHT}px;border:1px solid #d9dde3;background:#fff"
    return (
        f'<iframe title="{title}" style="{style}" sandbox="allow-scripts allow-downloads" '
        f'srcdoc="{source}"></iframe>'
    )


def _table_html(path: Path, title: str) -> str:
    """The first rows of a table; geometries and other bytes are told by their length."""
    import pandas as pd
    import pyarrow.parquet as pq

    with opened_once(path) as file:
        table = pq.ParquetFile(file)
        total = table.metadata.num_rows
        frame: pd.DataFrame = (
            next(table.iter_batches(ROWS)).to_pandas()
            if total
            else table.schema_arrow.empty_table().to_pandas()
        )
    names = [str(name) for name in frame.columns[:COLUMNS]]
    rows = [tuple(map(_short, row)) for row in frame.iloc[:, :COLUMNS].itertuples(index=False)]
    shown = f"{len(rows)} of {total:,} rows, {len(names)} of {len(frame.columns)} columns"
    return f'<div style="overflow-x:auto">{html_table(names, rows, f"{title}: {shown}")}</div>'


def _short(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, float):
        return "" if value != value else f"{value:.6g}"
    text = "" if value is None else str(value)
    return text if len(text) <= CHARACTERS else f"{text[: CHARACTERS - 1]}…"

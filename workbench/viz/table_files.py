"""Benchmark tables as files: HTML, Markdown, LaTeX and Parquet, in a folder or in that of a run."""

from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from workbench.datasets.files import whole_file
from workbench.evaluation.benchmark_tables import BenchmarkTable
from workbench.viz.embed import OfflineView
from workbench.viz.tables import table_latex, table_markdown, table_page, table_view

FORMATS = ("html", "md", "tex", "parquet")


class Outputs(Protocol):
    """The folder of a run, as `execution.RunFolder` is."""

    root: Path

    def page(self, html: str, name: str, /, *, title: str, preview: bytes | None) -> Any:
        """Write a page."""

    def table(self, frame: pd.DataFrame, name: str, /, *, title: str) -> Any:
        """Write a table as Parquet."""

    def file(self, path: Path, /, *, title: str) -> Any:
        """List a file that is there."""


def leave_table(table: BenchmarkTable, out: Outputs, name: str) -> OfflineView:
    """Write a table to the folder of a run in all four formats, and show it.

    Args:
        table: The table.
        out: The folder of the run: the page goes to maps/, Parquet to tables/, Markdown and LaTeX
            to benchmark_tables/.
        name: Name of the files without suffix.
    """
    view = table_view(table)
    out.page(table_page(table), name, title=table.title, preview=view.png)
    out.table(table.cells, name, title=f"{table.title}: every cell")
    for path in write_table(table, out.root / "benchmark_tables", name, ("md", "tex")):
        out.file(path, title=f"{table.title} ({path.suffix.removeprefix('.')})")
    return view


def write_table(
    table: BenchmarkTable, folder: Path | str, name: str, formats: tuple[str, ...] = FORMATS
) -> list[Path]:
    """Write a table to files NAME.html, .md, .tex and .parquet, each whole or not at all.

    Args:
        table: The table.
        folder: Where to; made if missing.
        name: Name of the files without suffix.
        formats: Which of "html", "md", "tex" and "parquet".

    Raises:
        ValueError: If a format is another one.
    """
    writers = {"html": table_page, "md": table_markdown, "tex": table_latex}
    if unknown := set(formats) - set(FORMATS):
        raise ValueError(f"Tables are written as {', '.join(FORMATS)}, not {min(unknown)!r}.")
    paths = []
    for kind in formats:
        path = Path(folder) / f"{name}.{kind}"
        with whole_file(path) as unfinished:
            if kind == "parquet":
                table.cells.to_parquet(unfinished)
            else:
                unfinished.write_text(writers[kind](table), encoding="utf-8")
        paths.append(path)
    return paths

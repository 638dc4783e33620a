"""Benchmark tables for reading: sortable HTML that needs no network, Markdown, LaTeX, Parquet.

In a cell: our score, its interval, the letters of its ties; below it the published number with its
flag. Bold is only what is separated from all others of its block; grey is what costs no less and
scores no more than another cell.
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.datasets.files import whole_file
from workbench.evaluation.benchmark_tables import BenchmarkTable
from workbench.viz import assets
from workbench.viz.embed import OfflineView

FORMATS = ("html", "md", "tex", "parquet")


@dataclass(frozen=True)
class _Grid:
    """A table as rows and columns of cells."""

    rows: list[tuple[str, ...]]
    columns: list[tuple[str, ...]]
    cells: dict[tuple[tuple[str, ...], tuple[str, ...]], dict[Hashable, Any]]
    is_compared: bool
    """True if there are runs of ours."""


def table_page(table: BenchmarkTable) -> str:
    """Write a table as a whole HTML document; a click on a head sorts by that column.

    Args:
        table: The table.
    """
    grid = _grid(table)
    heads = "".join(
        f'<th scope="col"><button type="button">{escape(name)}</button></th>'
        for name in [*table.shape.rows, *map(_label, grid.columns)]
    )
    body = "".join(
        "<tr>"
        + "".join(f'<th scope="row">{escape(name)}</th>' for name in row)
        + "".join(_html_cell(grid.cells.get((row, column))) for column in grid.columns)
        + "</tr>"
        for row in grid.rows
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    named = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>"
        for name, text in table.definitions.items()
    )
    page = assets.script("table.html")
    parts = {"TITLE": escape(table.title), "CAPTION": escape(table.title), "HEADS": heads}
    parts |= {
        "BODY": body,
        "NOTES": notes,
        "DEFINITIONS": named,
        "SCRIPT": assets.script("table.js"),
    }
    before = ""
    for name, text in parts.items():  # in the order of the page: no part is searched for a name
        head, page = page.split(name, 1)
        before += head + text
    return before + page


def table_markdown(table: BenchmarkTable) -> str:
    """Write a table as Markdown: bold is separated from its block, tilde is dominated.

    Example:
        >>> from workbench.evaluation.benchmark_tables import benchmark_table
        >>> import numpy as np
        >>> found = benchmark_table(None, "large_vits", rng=np.random.default_rng(0))
        >>> print(table_markdown(found).splitlines()[4][:29])
        | scratch | published 76.99 |
    """
    grid = _grid(table)
    head = [*table.shape.rows, *map(_label, grid.columns)]
    lines = [f"**{_md(table.title)}**", "", f"| {' | '.join(map(_md, head))} |"]
    lines.append("|" + " --- |" * len(head))
    for row in grid.rows:
        cells = [_md_cell(grid.cells.get((row, column))) for column in grid.columns]
        lines.append(f"| {' | '.join([*map(_md, row), *cells])} |")
    lines += ["", *(f"- {_md(note)}" for note in table.notes)]
    lines += [f"- `{name}`: {_md(text)}" for name, text in table.definitions.items()]
    return "\n".join(lines) + "\n"


def table_latex(table: BenchmarkTable) -> str:
    """Write a table as LaTeX for the packages booktabs and xcolor."""
    grid = _grid(table)
    head = [*table.shape.rows, *map(_label, grid.columns)]
    lines = [rf"% {table.title}; needs \usepackage{{booktabs,xcolor}}"]
    lines += [rf"\begin{{tabular}}{{{'l' * len(table.shape.rows)}{'r' * len(grid.columns)}}}"]
    lines += [r"\toprule", " & ".join(map(_tex, head)) + r" \\", r"\midrule"]
    for row in grid.rows:
        cells = [_tex_cell(grid.cells.get((row, column))) for column in grid.columns]
        lines.append(" & ".join([*map(_tex, row), *cells]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\footnotesize {_tex(note)}" for note in table.notes]
    return "\n".join(lines) + "\n"


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


def table_view(table: BenchmarkTable) -> OfflineView:
    """Show a table in a notebook: sortable where scripts run, a picture elsewhere."""
    from workbench.viz.statics_tables import table_picture

    grid = _grid(table)
    head = [*table.shape.rows, *map(_label, grid.columns)]
    rows = [
        [*row, *(_plain_cell(grid.cells.get((row, column))) for column in grid.columns)]
        for row in grid.rows
    ]
    height = 180 + 44 * len(rows) + 24 * (len(table.notes) + len(table.definitions))
    png = table_picture(table.title, head, rows, table.notes)
    return OfflineView(table.title, png=png, page=table_page(table), height=height)


def _grid(table: BenchmarkTable) -> _Grid:
    rows, columns = table.shape.rows, table.shape.columns
    cells: dict[tuple[tuple[str, ...], tuple[str, ...]], dict[Hashable, Any]] = {}
    for cell in table.cells.to_dict("records"):
        row = tuple(str(cell[name]) for name in rows)
        cells[row, tuple(str(cell[name]) for name in columns)] = cell
    return _Grid(
        list(dict.fromkeys(row for row, _ in cells)),
        list(dict.fromkeys(column for _, column in cells)),
        cells,
        bool(table.cells["value"].notna().any()),
    )


def _label(names: tuple[str, ...]) -> str:
    return " · ".join(names)


def _score(cell: dict[Hashable, Any]) -> tuple[str, str]:
    """Our score and what follows it: interval and letters, or why there are none."""
    if pd.isna(cell["value"]):
        return "", ""
    if pd.isna(cell["low"]):
        return f"{cell['value']:.2f}", f"n={cell['n_seeds']}"
    interval = f"[{cell['low']:.2f}, {cell['high']:.2f}]"
    return f"{cell['value']:.2f}", f"{interval} {cell['letters']}".strip()


def _published(cell: dict[Hashable, Any]) -> str:
    if pd.isna(cell["published"]):
        return ""
    return f"published {cell['published']:.2f}{'†' if cell['flags'] else ''}"


def _html_cell(cell: dict[Hashable, Any] | None) -> str:
    if cell is None:
        return "<td>–</td>"
    score, rest = _score(cell)
    value = cell["value"] if score else cell["published"]
    classes = [name for name in ("best", "dominated") if cell[f"is_{name}"]]
    lines = [f"<b>{score}</b>" if cell["is_best"] else score] if score else []
    lines += [f"<small>{escape(rest)}</small>"] if rest else []
    if published := _published(cell):
        title = f' title="{escape(cell["flags"])}"' if cell["flags"] else ""
        lines.append(f'<span class="published"{title}>{published}</span>')
    of_class = f' class="{" ".join(classes)}"' if classes else ""
    order = "" if value is None or math.isnan(value) else f' data-value="{value:.6f}"'
    return f"<td{of_class}{order}>{'<br>'.join(lines)}</td>"


def _plain_cell(cell: dict[Hashable, Any] | None) -> str:
    if cell is None:
        return "–"
    score, rest = _score(cell)
    return "\n".join(filter(None, [f"{score} {rest}".strip(), _published(cell)]))


def _md_cell(cell: dict[Hashable, Any] | None) -> str:
    if cell is None:
        return "–"
    score, rest = _score(cell)
    score = f"**{score}**" if cell["is_best"] else score
    score = f"~{score}" if cell["is_dominated"] else score
    return "; ".join(filter(None, [f"{score} {rest}".strip(), _published(cell)]))


def _tex_cell(cell: dict[Hashable, Any] | None) -> str:
    if cell is None:
        return "--"
    score, rest = _score(cell)
    score = rf"\textbf{{{score}}}" if cell["is_best"] else score
    text = "; ".join(filter(None, [f"{score} {_tex(rest)}".strip(), _tex(_published(cell))]))
    return rf"\textcolor{{gray}}{{{text}}}" if cell["is_dominated"] else text


def _md(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


_TEX = {"\\": r"\textbackslash{}", "†": r"\dag{}", "–": "--", "·": r"$\cdot$", "²": "$^2$"}
_TEX |= {"×": r"$\times$", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_TEX |= {char: f"\\{char}" for char in "&%$#_{}"}


def _tex(text: str) -> str:
    return "".join(_TEX.get(char, char) for char in text)

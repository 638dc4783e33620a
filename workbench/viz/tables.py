"""Benchmark tables for reading: sortable HTML that needs no network, Markdown, LaTeX, Parquet.

In a cell: our score, its interval, the letters of its ties; below it the published number with its
flag. Bold is only what is separated from all others of its block; grey is what costs no less and
scores no more than another cell.
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from workbench.escape import html_text
from workbench.evaluation.benchmark_tables import BenchmarkTable
from workbench.viz.embed import OfflineView
from workbench.viz.table_pages import assembled, note_list
from workbench.viz.table_words import WORDS, head_groups, wording


@dataclass(frozen=True)
class _Grid:
    """A table as rows and columns of cells, with the words for them."""

    heads: list[str]
    """Words of the columns that name a row."""
    rows: list[tuple[str, ...]]
    columns: list[tuple[str, ...]]
    cells: dict[tuple[tuple[str, ...], tuple[str, ...]], dict[Hashable, Any]]
    words: dict[str, str]
    is_compared: bool
    """True if there are runs of ours."""
    groups: list[tuple[str, int]]
    """Words above neighbouring columns, with their metric, and how many they span."""

    def row_words(self, row: tuple[str, ...]) -> list[str]:
        """What names a row."""
        return [self.words.get(name, name) for name in row]

    def last_words(self) -> list[str]:
        """The last part of each column's name."""
        return [self.words.get(column[-1], column[-1]) for column in self.columns]

    def labels(self) -> list[str]:
        """The whole name of each column, in one line."""
        above = [name for name, count in self.groups for _ in range(count)]
        return [f"{g} · {w}" if g else w for g, w in zip(above, self.last_words(), strict=True)]


def table_page(table: BenchmarkTable) -> str:
    """Write a table as a whole HTML document; a click on a head sorts by that column.

    Args:
        table: The table.
    """
    grid = _grid(table)
    body = "".join(_html_row(grid, number) for number in range(len(grid.rows)))
    notes = note_list(table.notes)
    named = "".join(
        f"<dt>{html_text(name)}</dt><dd>{html_text(text)}</dd>"
        for name, text in table.definitions.items()
    )
    kind = "compared" if grid.is_compared else "printed"
    return assembled(table.title, kind, _html_heads(grid), body, notes, named)


def table_markdown(table: BenchmarkTable) -> str:
    """Write a table as Markdown: bold is separated from its block, tilde is dominated.

    Example:
        >>> from workbench.evaluation.benchmark_tables import benchmark_table
        >>> import numpy as np
        >>> found = benchmark_table(None, "large_vits", rng=np.random.default_rng(0))
        >>> print(table_markdown(found).splitlines()[4][:32])
        | From scratch | 76.99 | 77.24 |
    """
    grid = _grid(table)
    head = [*grid.heads, *grid.labels()]
    lines = [f"**{_md(table.title)}**", "", f"| {' | '.join(map(_md, head))} |"]
    lines.append("|" + " --- |" * len(head))
    for row in grid.rows:
        cells = [_md_cell(grid.cells.get((row, column)), grid) for column in grid.columns]
        lines.append(f"| {' | '.join([*map(_md, grid.row_words(row)), *cells])} |")
    lines += ["", *(f"- {_md(note)}" for note in table.notes)]
    lines += [f"- `{name}`: {_md(text)}" for name, text in table.definitions.items()]
    return "\n".join(lines) + "\n"


def table_latex(table: BenchmarkTable) -> str:
    """Write a table as LaTeX for the packages booktabs and xcolor."""
    grid = _grid(table)
    head, left = [*grid.heads, *grid.last_words()], len(grid.heads)
    lines = [rf"% {table.title}; needs \usepackage{{booktabs,xcolor}}"]
    lines += [rf"\begin{{tabular}}{{{'l' * left}{'r' * len(grid.columns)}}}", r"\toprule"]
    if any(name for name, _ in grid.groups):
        above = [rf"\multicolumn{{{count}}}{{c}}{{{_tex(name)}}}" for name, count in grid.groups]
        lines.append(" & ".join([*[""] * left, *above]) + r" \\")
    lines += [" & ".join(map(_tex, head)) + r" \\", r"\midrule"]
    for row in grid.rows:
        cells = [_tex_cell(grid.cells.get((row, column)), grid) for column in grid.columns]
        lines.append(" & ".join([*map(_tex, grid.row_words(row)), *cells]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\footnotesize {_tex(note)}" for note in table.notes]
    return "\n".join(lines) + "\n"


def table_view(table: BenchmarkTable) -> OfflineView:
    """Show a table in a notebook: sortable where scripts run, a picture elsewhere."""
    from workbench.viz.statics_tables import table_picture

    grid = _grid(table)
    found = [[grid.cells.get((row, column)) for column in grid.columns] for row in grid.rows]
    rows = [
        [*grid.row_words(row), *(_plain_cell(cell, grid) for cell in cells)]
        for row, cells in zip(grid.rows, found, strict=True)
    ]
    looks = [[*[""] * len(grid.heads), *map(_look, cells)] for cells in found]
    height = 170 + 34 * len(table.notes) + 54 * len(table.definitions)
    height += sum(12 + 21 * max((_lines(cell) for cell in cells), default=1) for cells in found)
    png = table_picture(
        table.title, [*grid.heads, *grid.last_words()], rows, table.notes,
        groups=[("", len(grid.heads)), *grid.groups], looks=looks,
    )  # fmt: skip
    return OfflineView(table.title, png=png, page=table_page(table), height=min(height, 1600))


def _lines(cell: dict[Hashable, Any] | None) -> int:
    """Lines of a cell in the page."""
    if cell is None:
        return 1
    return 2 * int(pd.notna(cell["value"])) + int(pd.notna(cell["published"]))


def _grid(table: BenchmarkTable) -> _Grid:
    rows, columns = table.shape.rows, table.shape.columns
    cells: dict[tuple[tuple[str, ...], tuple[str, ...]], dict[Hashable, Any]] = {}
    for cell in table.cells.to_dict("records"):
        row = tuple(str(cell[name]) for name in rows)
        cells[row, tuple(str(cell[name]) for name in columns)] = cell
    found = list(dict.fromkeys(column for _, column in cells))
    tops = list(dict.fromkeys(column[:-1] for column in found))
    found.sort(key=lambda column: tops.index(column[:-1]))
    sides = [list(dict.fromkeys(str(v) for v in table.cells[name])) for name in (*rows, *columns)]
    words: dict[str, str] = {}
    for names in sides:
        words |= wording(names)
    metrics = {
        name: _metrics(table, name) for name, _ in head_groups(found)
    } if "metric" not in columns else {}  # fmt: skip
    groups = [
        (_above(name, words, metrics.get(name, "")), count) for name, count in head_groups(found)
    ]
    return _Grid(
        [WORDS.get(name, name) for name in rows],
        list(dict.fromkeys(row for row, _ in cells)),
        found,
        cells,
        words,
        bool(table.cells["value"].notna().any()),
        groups,
    )


def _above(name: str, words: dict[str, str], metric: str) -> str:
    """What stands above a group of columns: its name, and which metric its numbers are."""
    parts = [words.get(part, part) for part in name.split(" · ") if part]
    return ", ".join([*parts, metric] if metric else parts)


def _metrics(table: BenchmarkTable, group: str) -> str:
    """The metric of a group of columns; two if ours is another one than the printed."""
    upper = table.shape.columns[:-1]
    cells = table.cells
    if upper:
        names = cells[list(upper)].astype(str).agg(" · ".join, axis=1)
        cells = cells[names == group]
    found = pd.concat([cells["metric"], cells["printed_metric"]])
    return " / ".join(WORDS.get(m, m) for m in dict.fromkeys(found) if m)


def _score(cell: dict[Hashable, Any]) -> tuple[str, str]:
    """Our score and what follows it: interval and letters, or why there are none."""
    if pd.isna(cell["value"]):
        return "", ""
    if pd.isna(cell["low"]):
        return f"{cell['value']:.2f}", f"n={cell['n_seeds']}"
    interval = f"[{cell['low']:.2f}, {cell['high']:.2f}]"
    return f"{cell['value']:.2f}", f"{interval} {cell['letters']}".strip()


def _published(cell: dict[Hashable, Any], grid: _Grid) -> str:
    if pd.isna(cell["published"]):
        return ""
    marks = ("*" if cell["printed_bold"] else "") + ("†" if cell["flags"] else "")
    return f"{'published ' if grid.is_compared else ''}{cell['published']:.2f}{marks}"


def _html_heads(grid: _Grid) -> str:
    """The rows of the head: groups of columns, and below them the names that sort."""
    names = [*grid.heads, *grid.last_words()]
    buttons = [
        f'<button type="button" data-column="{i}">{html_text(name)}</button>'
        for i, name in enumerate(names)
    ]
    left = [f'<th scope="col">{button}</th>' for button in buttons[: len(grid.heads)]]
    right = [f'<th scope="col" class="number">{b}</th>' for b in buttons[len(grid.heads) :]]
    if not any(name for name, _ in grid.groups):
        return f"<tr>{''.join([*left, *right])}</tr>"
    left = [cell.replace("<th ", '<th rowspan="2" ', 1) for cell in left]
    above = [
        f'<th scope="colgroup" colspan="{count}">{html_text(name)}</th>'
        for name, count in grid.groups
    ]
    return f"<tr>{''.join([*left, *above])}</tr><tr>{''.join(right)}</tr>"


def _html_row(grid: _Grid, number: int) -> str:
    row, before = grid.rows[number], grid.rows[number - 1] if number else ()
    heads = [
        f'<th scope="row"{" class=again" if row[: i + 1] == before[: i + 1] else ""}>'
        f"{html_text(word)}</th>"
        for i, word in enumerate(grid.row_words(row))
    ]
    is_first = number > 0 and len(row) > 1 and row[0] != before[0]
    cells = [_html_cell(grid.cells.get((row, column)), grid) for column in grid.columns]
    return f"<tr{' class=first' if is_first else ''}>{''.join([*heads, *cells])}</tr>"


def _html_cell(cell: dict[Hashable, Any] | None, grid: _Grid) -> str:
    if cell is None:
        return "<td>–</td>"
    score, rest = _score(cell)
    value = cell["value"] if score else cell["published"]
    lines = [f"<b>{score}</b>" if cell["is_best"] else score] if score else []
    lines += [f"<small>{html_text(rest)}</small>"] if rest else []
    if published := _published(cell, grid):
        title = f' title="{html_text(cell["flags"])}"' if cell["flags"] else ""
        lines.append(f'<span class="published"{title}>{published}</span>')
    look = _look(cell)
    of_class = f' class="{look}"' if look else ""
    order = "" if value is None or math.isnan(value) else f' data-value="{value:.6f}"'
    return f"<td{of_class}{order}>{'<br>'.join(lines)}</td>"


def _look(cell: dict[Hashable, Any] | None) -> str:
    """Say whether a cell is "best", "dominated", both or nothing."""
    if cell is None:
        return ""
    return " ".join(name for name in ("best", "dominated") if cell[f"is_{name}"])


def _plain_cell(cell: dict[Hashable, Any] | None, grid: _Grid) -> str:
    if cell is None:
        return "–"
    score, rest = _score(cell)
    return "\n".join(filter(None, [f"{score} {rest}".strip(), _published(cell, grid)]))


def _md_cell(cell: dict[Hashable, Any] | None, grid: _Grid) -> str:
    if cell is None:
        return "–"
    score, rest = _score(cell)
    score = f"**{score}**" if cell["is_best"] else score
    score = f"~{score}" if cell["is_dominated"] else score
    published = _published(cell, grid).replace("*", "\\*")
    return "; ".join(filter(None, [f"{score} {rest}".strip(), published]))


def _tex_cell(cell: dict[Hashable, Any] | None, grid: _Grid) -> str:
    if cell is None:
        return "--"
    score, rest = _score(cell)
    score = rf"\textbf{{{score}}}" if cell["is_best"] else score
    text = "; ".join(
        filter(None, [f"{score} {_tex(rest)}".strip(), _tex(_published(cell, grid))])
    )  # fmt: skip
    return rf"\textcolor{{gray}}{{{text}}}" if cell["is_dominated"] else text


def _md(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


_TEX = {"\\": r"\textbackslash{}", "†": r"\dag{}", "–": "--", "·": r"$\cdot$", "²": "$^2$"}
_TEX |= {"×": r"$\times$", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_TEX |= {char: f"\\{char}" for char in "&%$#_{}"}


def _tex(text: str) -> str:
    return "".join(_TEX.get(char, char) for char in text)

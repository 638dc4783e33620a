"""Two runs on one page: what differs, tables row by row, curves, figures, changed patches.

The page carries its style, pictures and curves: it opens from ``file://`` and can be mailed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.escape import html_text
from workbench.execution.files import write_text
from workbench.execution.report import thumbnail
from workbench.execution.report_pages import InlinePages
from workbench.execution.report_style import STYLE
from workbench.execution.run_comparison import (
    KEPT_ROWS,
    Difference,
    RunComparison,
    TableDifference,
    read_frame,
    short,
)

COLOURS = ("#0072b2", "#d55e00")
"""Blue and vermilion, which can be told apart with any colour vision; the second is dashed too."""

WIDTH, HEIGHT, MARGIN = 320, 190, 44
MOST_CURVES = 24
TIMES = ("epoch", "seconds", "samples_per_second")  # drawn after what was learned
MOST_SERIES = 8  # parts of one table, as methods, that are drawn as curves of their own
LEAST_POINTS = 3

MORE_STYLE = """\
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 12px; margin: 10px 0; }
.curves { display: flex; flex-wrap: wrap; gap: 12px; }
.curves svg { background: #ffffff; border: 1px solid var(--line); border-radius: 6px; }
.key { display: inline-block; width: 1.6em; border-top: 3px solid; vertical-align: middle; }
"""


@dataclass
class ComparedPages:
    """Pages that others made of the two runs, such as inspectors of patches that changed."""

    pages: list[tuple[str, Path]] = field(default_factory=list)
    """Title and file of each."""
    notes: list[str] = field(default_factory=list)
    """Sentences on what is equal, and on what could not be shown."""


def write_comparison(
    comparison: RunComparison, page: Path, patches: ComparedPages | None = None
) -> Path:
    """Write the page of a comparison, and return its path.

    Args:
        comparison: As `compare_runs` gives it.
        page: Where to write.
        patches: Pages to carry along, at or below the folder of `page`; None for none.
    """
    inline = InlinePages(page.parent)
    a, b = comparison.a.resolve().name, comparison.b.resolve().name
    names = (a, b) if a != b else (f"{a} (first)", f"{b} (second)")
    parts = [
        f"<h1>{html_text(names[0])} and {html_text(names[1])}</h1>",
        _verdict(comparison),
        _legend(names),
        _named("Records that cannot be used", comparison.damaged, names),
        _named("Parameters", comparison.parameters, names),
        _named("Code, machine and data", comparison.provenance, names),
        _named("Status of steps", comparison.statuses, names),
        _named("Numbers", comparison.metrics, names, change=True),
        _curves(comparison),
        _changed(patches or ComparedPages(), inline),
        *(_table(table, names) for table in comparison.tables),
        _list("Only in the first", comparison.only_a),
        _list("Only in the second", comparison.only_b),
        _figures(comparison, names),
        inline.script(),
    ]
    body = "\n".join(part for part in parts if part)
    return write_text(
        page,
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html_text(names[0])} and {html_text(names[1])}</title>\n"
        f"<style>\n{STYLE}{MORE_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n"
        "</body>\n</html>\n",
    )


def _verdict(comparison: RunComparison) -> str:
    equal, other = len(comparison.equal_tables), len(comparison.tables)
    kind, text = ("ok", "the same results") if comparison.same_results else ("idle", "they differ")
    tables = f"{equal} tables are equal byte for byte, {other} are not."
    return f'<p><span class="status {kind}">{text}</span> <span class="faint">{tables}</span></p>'


def _legend(names: Sequence[str]) -> str:
    lines = ("solid", "dashed")
    keys = [
        f'<span class="key" style="color:{colour};border-top-style:{line}"></span> '
        f"{html_text(name)}"
        for colour, line, name in zip(COLOURS, lines, names, strict=True)
    ]
    return f"<p>{' &nbsp; '.join(keys)}</p>"


def _named(
    title: str, found: Iterable[Difference], names: Sequence[str], *, change: bool = False
) -> str:
    rows = []
    for difference in found:
        cells = [difference.where, difference.name, short(difference.a), short(difference.b)]
        if change:
            cells.append("" if difference.change is None else f"{difference.change:+.6g}")
        rows.append("".join(f"<td>{html_text(cell)}</td>" for cell in cells))
    if not rows:
        return ""
    head = ["", "", *names, *(["change"] if change else [])]
    return f"<h2>{title}</h2>{_html_table(head, rows)}"


def _html_table(head: Iterable[str], rows: Iterable[str]) -> str:
    top = "".join(f"<th>{html_text(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="scroll"><table class="preview"><tr>{top}</tr>{body}</table></div>'


def _table(table: TableDifference, names: Sequence[str]) -> str:
    matched = f"matched by <code>{html_text(table.key)}</code>" if table.key else "matched by place"
    columns = []
    for name, (count, largest) in table.columns.items():
        cells = (name, f"{count:,}", "" if largest is None else f"{largest:.6g}")
        columns.append("".join(f"<td>{html_text(cell)}</td>" for cell in cells))
    key = table.key or "row"
    examples = [
        f"<td>{html_text(str(row[key]))}</td><td>{html_text(column)}</td>"
        f"<td>{html_text(short(values[0]))}</td><td>{html_text(short(values[1]))}</td>"
        for row in table.examples
        for column, values in row.items()
        if column != key
    ]
    shown = min(KEPT_ROWS, table.changed_rows)
    return (
        f"<h2>{html_text(table.path)}</h2>"
        f"<p>{table.rows[0]:,} and {table.rows[1]:,} rows, {matched}: "
        f"{table.changed_rows:,} rows differ, {table.only_a:,} only in {html_text(names[0])}, "
        f"{table.only_b:,} only in {html_text(names[1])}.</p>"
        f"{_html_table(('column', 'rows that differ', 'largest change'), columns)}"
        f"<details><summary>{shown} of {table.changed_rows:,} changed rows</summary>"
        f"{_html_table((key, 'column', *names), examples)}</details>"
    )


def _changed(patches: ComparedPages, inline: InlinePages) -> str:
    """Inspectors, carried in the page, and what else there is to say of kept predictions."""
    if not (patches.pages or patches.notes):
        return ""
    artifacts = [
        {
            "kind": "page",
            "path": path.relative_to(inline.run_dir).as_posix(),
            "title": title,
            "bytes": path.stat().st_size,
            "external": 0,
        }
        for title, path in patches.pages
    ]
    notes = "".join(f"<p>{html_text(note)}</p>" for note in patches.notes)
    return f"<h2>Changed patches</h2>{notes}{inline.section(artifacts, heading='')}"


def _list(title: str, paths: Sequence[str]) -> str:
    items = "".join(f"<li>{html_text(path)}</li>" for path in paths)
    return f"<h2>{title}</h2><ul>{items}</ul>" if items else ""


def _figures(comparison: RunComparison, names: Sequence[str]) -> str:
    parts = []
    for path, equal in comparison.figures:
        title = html_text(Path(path).stem)
        if equal:
            parts.append(f'<p>{title} <span class="faint">equal byte for byte</span></p>')
            continue
        pair = "".join(
            f'<figure><img src="{thumbnail(folder / path)}" alt="{title}">'
            f"<figcaption>{title}, {html_text(name)}</figcaption></figure>"
            for folder, name in zip((comparison.a, comparison.b), names, strict=True)
        )
        parts.append(f'<div class="pair">{pair}</div>')
    return f"<h2>Figures</h2>{''.join(parts)}" if parts else ""


def _curves(comparison: RunComparison) -> str:
    """Columns of differing tables against a column that rises, both runs in one frame."""
    drawings: list[str] = []
    for table in comparison.tables:
        frames = [read_frame(folder / table.path) for folder in (comparison.a, comparison.b)]
        series = [_series(frame) for frame in frames]
        shared = [name for name in series[0] if name in series[1]]
        columns = [name for name in frames[0].columns if name in table.columns]
        columns.sort(key=lambda name: name in TIMES)
        for column, name in ((c, n) for c in columns for n in shared):
            two = [found[name] for found in series]
            if all(column in f and _is_number(f[column]) for f in two):
                axis = str(two[0].columns[0])
                lines = [(f[axis].tolist(), f[column].tolist()) for f in two]
                title = ": ".join(filter(None, (Path(table.path).stem, name, str(column))))
                drawings.append(_drawing(lines, title, axis))
    drawings = [drawing for drawing in drawings if drawing]
    if not drawings:
        return ""
    left = len(drawings) - MOST_CURVES
    note = f'<p class="faint">{MOST_CURVES} of {len(drawings)} shown</p>' if left > 0 else ""
    return f'<h2>Curves</h2><div class="curves">{"".join(drawings[:MOST_CURVES])}</div>{note}'


def _series(frame: Any) -> dict[str, Any]:
    """Rows along a column that rises: the whole table, or one part for each name in front of it."""
    names: list[Any] = []
    for column in frame.columns:
        if _is_number(frame[column]):
            break
        names.append(column)
    rest = frame.drop(columns=names)
    if not len(rest.columns) or not len(rest):
        return {}
    if not names:
        return {"": rest} if _rises(rest.iloc[:, 0]) else {}
    parts = {
        ", ".join(map(str, key)): part for key, part in rest.groupby([frame[n] for n in names])
    }
    is_series = len(parts) <= MOST_SERIES and all(_rises(p.iloc[:, 0]) for p in parts.values())
    return parts if is_series else {}


def _is_number(column: Any) -> bool:
    return bool(column.dtype.kind in "iuf")


def _rises(column: Any) -> bool:
    return (
        len(column) >= LEAST_POINTS
        and _is_number(column)
        and bool(column.is_monotonic_increasing)
        and bool(column.is_unique)
    )


def _drawing(
    lines: Sequence[tuple[Sequence[float], Sequence[float]]], title: str, axis: str
) -> str:
    """One frame with a line for each run, as SVG."""
    finite = [(x, y) for xs, ys in lines for x, y in zip(xs, ys, strict=True) if y == y]
    if not finite:
        return ""
    left, right = min(x for x, _ in finite), max(x for x, _ in finite)
    low, high = min(y for _, y in finite), max(y for _, y in finite)
    wide, tall = (right - left) or 1.0, (high - low) or 1.0
    paths = []
    for (xs, ys), colour, dash in zip(lines, COLOURS, ("", "6 4"), strict=True):
        points = " ".join(
            f"{MARGIN + (x - left) / wide * (WIDTH - 2 * MARGIN):.1f},"
            f"{HEIGHT - MARGIN - (y - low) / tall * (HEIGHT - 2 * MARGIN):.1f}"
            for x, y in zip(xs, ys, strict=True)
            if y == y
        )
        paths.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/>'
        )
    texts = [
        (MARGIN, 16, "start", title),
        (MARGIN, HEIGHT - 12, "start", f"{left:g}"),
        (WIDTH - MARGIN, HEIGHT - 12, "end", f"{right:g}"),
        (WIDTH / 2, HEIGHT - 12, "middle", axis),
        (4, HEIGHT - MARGIN, "start", f"{low:.3g}"),
        (4, MARGIN + 8, "start", f"{high:.3g}"),
    ]
    labels = "".join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="11" fill="#333333" '
        f'font-family="system-ui, sans-serif">{html_text(text)}</text>'
        for x, y, anchor, text in texts
    )
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{html_text(title)}">'
        f"{''.join(paths)}{labels}</svg>"
    )

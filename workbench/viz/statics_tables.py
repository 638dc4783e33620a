"""Pictures of tables: what shows where a page may not run."""

from collections.abc import Sequence
from io import BytesIO
from textwrap import fill
from typing import Any

from workbench.viz.palettes import BORDER, INK, MUTED
from workbench.viz.statics import write_picture

_UNIT, _LETTER, _GAP, _LINE = 0.19, 0.078, 3, 0.95  # inches, inches, letters, units of height
FAINT = "#8a949e"
"""Colour of what is dominated."""


def table_picture(
    title: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    notes: Sequence[str] = (),
    *,
    groups: Sequence[tuple[str, int]] = (),
    looks: Sequence[Sequence[str]] | None = None,
) -> bytes:
    """Draw a table as a PNG.

    Args:
        title: What stands above it.
        head: Names of the columns.
        rows: Cells; a line break begins a second line.
        notes: What stands below it, one sentence each.
        groups: What stands above neighbouring columns, and how many they are.
        looks: Of each cell: "best" (bold), "dominated" (grey), both or "".
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    widths = _widths(head, rows, groups)
    across = sum(widths) + _GAP * len(widths)
    below = [fill(note, max(70, int(1.05 * across))) for note in notes]
    lines = [1 + max(cell.count("\n") for cell in row) for row in rows]
    with_groups = any(name for name, _ in groups)
    total = 5.2 + 1.2 * with_groups + sum(0.55 + _LINE * n for n in lines)
    total += 0.72 * sum(1 + note.count("\n") for note in below)
    width = max(5.0, _LETTER * across, _LETTER * 72)
    figure = Figure(figsize=(width, _UNIT * total), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.15 / width, 0.0, 1 - 0.3 / width, 1.0))
    axes.set_axis_off()
    axes.set(xlim=(0, (width - 0.3) / _LETTER), ylim=(total, 0))
    axes.text(0, 1.2, title, weight="bold", color=INK, va="center")
    place = 2.6
    if with_groups:
        _write_groups(axes, place, widths, groups)
        place += 1.2
    for number, (row, size) in enumerate(zip([head, *rows], [1, *lines], strict=True)):
        looks_here = looks[number - 1] if looks and number else [""] * len(row)
        _write_row(axes, place, widths, row, looks_here, is_head=number == 0)
        place += _LINE * size + 0.55
        axes.plot([0, across], [place - 0.3] * 2, color=BORDER, lw=0.6)
    axes.text(0, place, "\n".join(below), fontsize=7, color=MUTED, va="top", parse_math=False)
    target = BytesIO()
    write_picture(figure, target)
    return target.getvalue()


def _widths(
    head: Sequence[str], rows: Sequence[Sequence[str]], groups: Sequence[tuple[str, int]]
) -> list[float]:
    """Letters of each column; a group's columns are as wide together as its name."""
    widths = [
        float(max(len(line) for cell in column for line in str(cell).split("\n")))
        for column in zip(head, *rows, strict=True)
    ]
    first = 0
    for name, count in groups:
        have = sum(widths[first : first + count]) + _GAP * (count - 1)
        for i in range(first, first + count):
            widths[i] += max(0.0, len(name) - have) / count
        first += count
    return widths


def _write_groups(
    axes: Any, place: float, widths: Sequence[float], groups: Sequence[tuple[str, int]]
) -> None:
    left, first = 0.0, 0
    for name, count in groups:
        span = sum(widths[first : first + count]) + _GAP * (count - 1)
        if name:
            axes.text(left, place, name, fontsize=8, color=INK, va="top", parse_math=False)
            axes.plot([left, left + span], [place + 1.0] * 2, color=BORDER, lw=0.6)
        left += span + _GAP
        first += count


def _write_row(
    axes: Any,
    place: float,
    widths: Sequence[float],
    row: Sequence[str],
    looks: Sequence[str],
    *,
    is_head: bool,
) -> None:
    left = 0.0
    for cell, width, look in zip(row, widths, looks, strict=True):
        for number, line in enumerate(str(cell).split("\n")):
            is_bold = is_head or ("best" in look and number == 0)
            is_faint = "dominated" in look and number == 0
            colour = FAINT if is_faint else MUTED if number else INK
            axes.text(
                left, place + _LINE * number, line, fontsize=8, color=colour, va="top",
                weight="bold" if is_bold else "normal", parse_math=False,
                style="italic" if is_faint else "normal",
            )  # fmt: skip
        left += width + _GAP

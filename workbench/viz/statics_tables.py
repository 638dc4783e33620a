"""Pictures of tables: what shows where a page may not run."""

from collections.abc import Sequence
from io import BytesIO
from textwrap import fill

from workbench.viz.palettes import BORDER, INK, MUTED


def table_picture(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()
) -> bytes:
    """Draw a table as a PNG.

    Args:
        title: What stands above it.
        head: Names of the columns.
        rows: Cells; a line break begins a second line.
        notes: What stands below it, one sentence each.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    widths = [
        max(len(line) for cell in column for line in str(cell).split("\n"))
        for column in zip(head, *rows, strict=True)
    ]
    below = [fill(note, max(60, sum(widths) + 2 * len(widths))) for note in notes]
    lines = [1 + max(cell.count("\n") for cell in row) for row in rows]
    extra = sum(1 + note.count("\n") for note in below)
    unit = 0.19
    height = unit * (5.5 + 0.9 * len(rows) + sum(lines) + 0.65 * extra)
    figure = Figure(figsize=(max(4.0, 0.085 * (sum(widths) + 3 * len(widths))), height), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.02, 0.0, 0.96, 1.0))
    axes.set_axis_off()
    axes.set(xlim=(0, sum(widths) + 3 * len(widths)), ylim=(height / unit, 0))
    axes.text(0, 1.2, title, weight="bold", color=INK, va="center")
    place = 2.8
    for row, size in zip([head, *rows], [1, *lines], strict=True):
        left = 0
        for cell, width in zip(row, widths, strict=True):
            axes.text(left, place, cell, fontsize=8, color=INK, va="top", parse_math=False)
            left += width + 3
        place += size + 0.9
        axes.axhline(place - 0.5, color=BORDER, linewidth=0.6)
    axes.text(0, place, "\n".join(below), fontsize=7, color=MUTED, va="top", parse_math=False)
    target = BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()

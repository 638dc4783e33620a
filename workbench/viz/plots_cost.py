"""Score against cost: what a point of score costs in weights, operations, seconds or memory."""

import textwrap
from typing import Any

import holoviews as hv
import holoviews.plotting.bokeh  # registers the backend, without a notebook extension
import pandas as pd

from workbench.errors import EvaluationError
from workbench.escape import format_text
from workbench.evaluation.benchmark_tables import COSTS, BenchmarkTable, dominated
from workbench.viz import palettes
from workbench.viz.bokeh_page import bokeh_page, plain_figure
from workbench.viz.embed import OfflineView
from workbench.viz.statics import blank_figure, legend_label, picture, tidy
from workbench.viz.statics_tables import FAINT
from workbench.viz.statics_transfer import MARKERS, MATPLOTLIB_MARKERS, line_look
from workbench.viz.table_words import WORDS, wording

LABELS = {
    "parameters_trained": "Weights trained",
    "flops": "Operations of training (FLOP)",
    "seconds": "Training time",
    "peak_memory_mb": "Peak memory",
}
"""Words and units of the costs."""

_SECONDS = ((3600.0, " h"), (60.0, " min"), (1.0, " s"), (1e-3, " ms"), (0.0, " µs"))
_MEGABYTES = ((1e6, " TB"), (1e3, " GB"), (1.0, " MB"), (0.0, " kB"))
_COUNTS = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (0.0, ""))
_DIVISORS = {" µs": 1e-6, " kB": 1e-3, "": 1.0}  # of the smallest steps
_AMOUNT_JS = """
for (const [least, unit, divisor] of steps) {
  if (tick >= least * 0.99999) return String(Number((tick / divisor).toPrecision(3))) + unit;
}
return String(tick);
"""

_DEFINED = {
    "flops": "Operations: all steps, forward and backward; of a frozen encoder the head's steps "
    "and one pass over the training images. ",
    "seconds": "Of runs that share the features of a frozen encoder, the first computes them. ",
}


def cost_plot(
    table: BenchmarkTable, *, cost: str = "parameters_trained", title: str = "Score against cost"
) -> OfflineView:
    """Show the cells of a table that were run: score with its interval against their cost.

    One panel for each block of cells that are compared. Grey is dominated: another cell of the
    panel costs no more and scores no less. The line joins the others.

    Args:
        table: With runs of ours.
        cost: "parameters_trained", "flops", "seconds" or "peak_memory_mb".
        title: Heading.

    Raises:
        EvaluationError: If there is no such cost, or no cell was run.
    """
    if cost not in COSTS:
        raise EvaluationError(f"A cost is one of {', '.join(COSTS)}, not {cost!r}.")
    cells = table.cells[table.cells["value"].notna() & table.cells[cost].gt(0)]
    if cells.empty:
        raise EvaluationError(
            f"A plot of costs needs cells that were run and have {cost}, but there are none."
        )
    panels = _panels(table, cells, cost)
    without = int(table.cells["value"].notna().sum()) - len(cells)
    below = f"{without} without this cost are left out. " if without else ""
    below += _DEFINED.get(cost, "")
    below += (
        f"Grey: another one of the panel costs no more ({cost.replace('_', ' ')}) and scores no "
        "less. Bars: interval over seeds and groups of images; none with fewer than 5 seeds."
    )
    png = _static(panels, cost, f"{title}\n{below}")
    figures = [_interactive(name, points, cost) for name, points in panels.items()]
    page, height = _page(figures, title, below)
    return OfflineView(title, png=png, page=page, height=height)


def _panels(table: BenchmarkTable, cells: pd.DataFrame, cost: str) -> dict[str, pd.DataFrame]:
    """Points by panel: x, value, low, high, name, is_dominated, look."""
    block = [c for c in table.shape.columns if c in cells]
    names = [c for c in table.shape.rows if c not in block]
    words = {n: w for c in (*names, *block) for n, w in wording(_texts(cells[c])).items()}
    said = [[words[str(row[c])] for c in names] for row in cells.to_dict("records")]
    cells = cells.assign(
        x=cells[cost],
        name=[" · ".join(parts) for parts in said],
        colour=_numbers([parts[-1] for parts in said]),
        marker=_numbers([" · ".join(parts[:-1]) for parts in said]),
    )
    found = {}
    for keys, part in cells.groupby(block, sort=False):
        metric = str(part["metric"].iloc[0])
        beaten = dominated(part["value"].tolist(), part["x"].tolist(), metric=metric)
        points = part.assign(is_dominated=beaten)
        label = " · ".join(words[str(key)] for key in keys)
        if "metric" not in block:
            label += f", {WORDS.get(metric, metric)}"
        found[label] = points.sort_values("x", kind="stable").reset_index(drop=True)
    return found


def _steps(cost: str) -> list[tuple[float, str, float]]:
    """From which amount on, which unit and how much one is, largest first."""
    table = {"seconds": _SECONDS, "peak_memory_mb": _MEGABYTES}.get(cost, _COUNTS)
    return [(least, unit, least or _DIVISORS[unit]) for least, unit in table]


def _amount(value: float, cost: str) -> str:
    """Write a cost with its unit: 0.02 s as "20 ms", 90 s as "1.5 min", 20,000 weights as "20k".

    Example:
        >>> _amount(0.02, "seconds"), _amount(90, "seconds"), _amount(2.5e6, "parameters_trained")
        ('20 ms', '1.5 min', '2.5M')
    """
    unit, one = next((u, o) for least, u, o in _steps(cost) if value >= least * 0.99999)
    return f"{float(f'{value / one:.3g}'):g}{unit}"


def _numbers(names: list[str]) -> list[int]:
    """Number of each name, in the order in which they come first."""
    known = list(dict.fromkeys(names))
    return [known.index(name) for name in names]


def _look(row: dict[Any, Any]) -> tuple[str, str, str]:
    """Marker, line and filling of a point."""
    marker, colour = MARKERS[row["marker"] % len(MARKERS)], line_look(row["colour"])[0]
    return (marker, FAINT, "white") if row["is_dominated"] else (marker, colour, colour)


def _texts(column: pd.Series) -> list[str]:
    return list(dict.fromkeys(column.astype(str)))


def _static(panels: dict[str, pd.DataFrame], cost: str, title: str) -> bytes:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    across = min(len(panels), 3)
    down = -(-len(panels) // across)
    figure = blank_figure(max(4.2 * across, 7.0) + 1.6, 3.6 * down + 0.5)
    flat = list(figure.subplots(down, across, squeeze=False).ravel())
    for axes, (name, points) in zip(flat, panels.items(), strict=False):
        front = points[~points["is_dominated"]]
        axes.plot(front["x"], front["value"], color=palettes.BORDER, lw=1.2, zorder=1)
        for row in points.to_dict("records"):
            marker, line, fill = _look(row)
            if pd.notna(row["low"]):
                axes.plot([row["x"]] * 2, [row["low"], row["high"]], color=line, lw=1.5)
            axes.plot(row["x"], row["value"], MATPLOTLIB_MARKERS[marker], ms=8, mec=line, mfc=fill)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _amount(value, cost)))
        axes.margins(x=0.12, y=0.12)
        tidy(axes, name, LABELS[cost], "Score (%)")
    for spare in flat[len(panels) :]:
        spare.remove()
    figure.legend(handles=_handles(panels), loc="outside right center", frameon=False, fontsize=9)
    first, _, small = title.partition("\n")
    figure.suptitle(first, x=0.01, ha="left", fontsize=12, fontweight="bold", color=palettes.INK)
    small = textwrap.fill(small, int(15 * figure.get_figwidth()))
    figure.supxlabel(small, x=0.01, ha="left", fontsize=8, color=palettes.MUTED)
    return picture(figure)


def _handles(panels: dict[str, pd.DataFrame]) -> list[Any]:
    """One entry a name for the legend, in its colour and marker."""
    from matplotlib.lines import Line2D

    rows = pd.concat(list(panels.values())).drop_duplicates("name").sort_values(
        ["marker", "colour"], kind="stable"
    )  # fmt: skip
    looks = [
        (legend_label(row["name"]), *_look(row | {"is_dominated": False}))
        for row in rows.to_dict("records")
    ]
    return [
        Line2D([], [], ls="", marker=MATPLOTLIB_MARKERS[marker], ms=7, color=colour, label=name)
        for name, marker, colour, _ in looks
    ]


def _interactive(name: str, points: pd.DataFrame, cost: str) -> Any:
    """A panel of HoloViews elements; its legend stands beside it."""
    from bokeh.models import CustomJSTickFormatter

    label = LABELS[cost]
    points = points.assign(told=[_amount(x, cost) for x in points["x"]])
    x, y = hv.Dimension("x", label=label), hv.Dimension("value", label="Score (%)")
    front = points[~points["is_dominated"]]
    line = hv.Curve(front, x, y).opts(color=palettes.BORDER, line_width=1.5, backend="bokeh")
    bars = hv.Segments(points[points["low"].notna()], ["x", "low", "x", "high"])
    parts = [line, bars.opts(color=palettes.MUTED, line_width=1.5, backend="bokeh")]
    tips = [("", "@name"), (label, "@told"), ("score", "@value{0.00}"),
            ("interval", "@low{0.00} to @high{0.00}"), ("seeds", "@n_seeds")]  # fmt: skip
    for row in points.sort_values(["marker", "colour"], kind="stable").to_dict("records"):
        marker, edge, fill = _look(row)
        one = pd.DataFrame([row])
        dot = hv.Scatter(one, x, [y, "name", "low", "high", "n_seeds", "told"], label=row["name"])
        parts.append(
            dot.opts(color=fill, line_color=edge, line_width=1.5, size=11, marker=marker,
                     tools=["hover"], hover_tooltips=tips, backend="bokeh")
        )  # fmt: skip
    shown = hv.Overlay(parts).opts(
        title=format_text(name), logx=True, xlabel=label, ylabel="Score (%)", show_legend=True,
        legend_position="right", backend="bokeh",
    )  # fmt: skip
    figure = hv.render(shown, backend="bokeh")
    figure.legend.update(border_line_color=None, label_text_font_size="8pt", padding=2, spacing=0)
    low, high = float(points["x"].min()), float(points["x"].max())
    figure.x_range.update(start=low / 1.6, end=high * 1.6)
    figure.xaxis.formatter = CustomJSTickFormatter(code=_AMOUNT_JS, args={"steps": _steps(cost)})
    return figure


def _page(figures: list[Any], title: str, below: str) -> tuple[str, int]:
    from bokeh.layouts import gridplot

    for figure in figures:
        plain_figure(figure, 310)
    rows = [figures[i : i + 2] for i in range(0, len(figures), 2)]
    grid = gridplot(rows, sizing_mode="stretch_width", toolbar_location=None)
    return bokeh_page(grid, title, heading=title, below=below), 310 * len(rows) + 110

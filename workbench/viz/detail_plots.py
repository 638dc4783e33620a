"""Figures of the detail lab: boundary curves with bands, assumed shifts of labels, effects."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench.viz import palettes
from workbench.viz.bokeh_page import bokeh_page
from workbench.viz.embed import OfflineView
from workbench.viz.statics import blank_figure, legend_label, picture, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = (palettes.ACCENT, palettes.CONTRAST, "#8c6bb1", palettes.INK)


def curves_figure(
    curves: pd.DataFrame, *, title: str = "Boundary score by tolerance"
) -> OfflineView:
    """Show how much of the boundaries is found within a distance, a line and a band a model.

    Args:
        curves: As `Comparison.curves`: model, tolerance_m, score, low, high.
        title: Heading.

    Raises:
        ValueError: If there is no model, or more than four.
    """
    from bokeh.plotting import figure as bokeh_figure

    names = list(dict.fromkeys(curves["model"]))
    if not 0 < len(names) <= len(COLOURS):
        raise ValueError(f"Curves are of 1 to {len(COLOURS)} models, got {len(names)}.")
    options: dict[str, Any] = {"title": title, "tools": "hover", "toolbar_location": None}
    options["tooltips"] = [("", "@model"), ("within", "@tolerance_m m"), ("score", "@score{0.000}")]
    panel: Any = bokeh_figure(**options)
    panel.update(height=360, sizing_mode="stretch_width", output_backend="canvas")
    panel.update(outline_line_color=None)
    panel.xaxis.axis_label, panel.yaxis.axis_label = _AXES
    static = blank_figure(9.0, 4.2)
    axes = static.subplots()
    dots = []
    for name, colour in zip(names, COLOURS, strict=False):
        rows = curves[curves["model"] == name]
        source = {column: rows[column].to_list() for column in rows}
        look: dict[str, Any] = {"color": colour, "legend_label": name}
        panel.varea("tolerance_m", "low", "high", source=source, alpha=0.15, **look)
        panel.line("tolerance_m", "score", source=source, width=2, **look)
        dots.append(panel.scatter("tolerance_m", "score", source=source, size=6, **look))
        axes.fill_between(rows["tolerance_m"], rows["low"], rows["high"], color=colour, alpha=0.15)
        named: dict[str, Any] = {"color": colour, "label": legend_label(name)}
        axes.plot(rows["tolerance_m"], rows["score"], "o-", ms=3.5, **named)
    panel.hover.renderers = dots
    panel.legend.update(location="bottom_right", border_line_color=None, click_policy="hide")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    tidy(axes, title, *_AXES)
    return OfflineView(title, picture(static), bokeh_page(panel, title), height=390)


_AXES = ("Tolerance (m)", "Share of boundaries within it")


def shift_figure(
    tables: Mapping[str, pd.DataFrame], *, gsd: float, title: str = "If the labels lay elsewhere"
) -> OfflineView:
    """Show scores against an assumed shift of the labels, a map of shifts a model; a picture.

    Args:
        tables: `shift_scores` of each model.
        gsd: Size of a pixel, m.
        title: Heading.

    Raises:
        ValueError: If there is no model.
    """
    if not tables:
        raise ValueError("Shifts are shown of at least one model, but got none.")
    figure = blank_figure(3.6 * len(tables) + 1.4, 4.3)
    panels = figure.subplots(1, len(tables), squeeze=False)[0]
    values = np.concatenate([table["boundary_iou"] for table in tables.values()])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    drawn: Any = None
    for axes, (name, table) in zip(panels, tables.items(), strict=True):
        grid = table.pivot(index="rows", columns="columns", values="boundary_iou")
        reach = (len(grid) / 2) * gsd
        drawn = axes.imshow(
            grid, extent=(-reach, reach, reach, -reach), cmap="viridis", vmin=low, vmax=high
        )
        best = table.iloc[int(table["boundary_iou"].argmax())]
        axes.plot(0, 0, "+", color="white", ms=13, mew=2)
        axes.plot(best["columns"] * gsd, best["rows"] * gsd, "o", mfc="none", mec="white", ms=15)
        tidy(axes, _folded(name, 34), "Labels moved to the right (m)", "… downwards (m)")
        axes.title.set_fontsize(9.5)
    figure.colorbar(drawn, ax=panels, label="Boundary IoU", shrink=0.85)
    figure.suptitle(
        f"{title}; cross: as they are, circle: the best", x=0.01, ha="left", color=palettes.MUTED,
        fontsize=10,
    )  # fmt: skip
    return OfflineView(title, png=picture(figure))


def effects_figure(
    effects: pd.DataFrame, measures: Mapping[str, str], *, title: str
) -> OfflineView:
    """Show what each choice is worth on each measure, with its interval; blue where it is clear.

    Args:
        effects: As `budget_effects` gives it, of one encoder, in points.
        measures: Measures to show, one panel each, with the words for them.
        title: Heading.

    Raises:
        ValueError: If there is no effect of one of the measures.
    """
    from bokeh.layouts import gridplot
    from bokeh.models import FactorRange
    from bokeh.plotting import figure as bokeh_figure

    tables = {words: _effects(effects, measure) for measure, words in measures.items()}
    panels, count = [], len(next(iter(tables.values())))
    for words, rows in tables.items():
        names = rows["name"].to_list()[::-1]
        options: dict[str, Any] = {"title": words, "tools": "hover", "toolbar_location": None}
        options["y_range"] = FactorRange(factors=names, range_padding=0.1)
        options["tooltips"] = [
            ("", "@name"),
            ("points", "@estimate{+0.0} (@low{+0.0} to @high{+0.0})"),
        ]
        panel: Any = bokeh_figure(**options)
        panel.update(height=90 + 30 * count, output_backend="canvas", outline_line_color=None)
        panel.xaxis.axis_label = "Points"
        panel.vspan(x=[0], line_color=palettes.INK, line_width=1)
        source = {column: rows[column].to_list() for column in rows}
        panel.segment("low", "name", "high", "name", source=source, color="colour", line_width=2)
        dots = panel.scatter("estimate", "name", source=source, size=9, color="colour")
        panel.hover.renderers = [dots]
        panels.append(panel)
    grid = gridplot(panels, ncols=2, sizing_mode="stretch_width", toolbar_location=None)
    static = _effects_static(tables, title)
    height = -(-len(panels) // 2) * (95 + 30 * count) + 20
    return OfflineView(title, picture(static), bokeh_page(grid, title), height=height)


def _effects(effects: pd.DataFrame, measure: str) -> pd.DataFrame:
    rows = effects[effects["measure"] == measure]
    if rows.empty:
        raise ValueError(f"There are no effects on {measure!r} to show.")
    names = [f"{e}: {lv}" for e, lv in zip(rows["effect"], rows["level"], strict=True)]
    colours = [palettes.ACCENT if clear else palettes.MUTED for clear in rows["clear"]]
    return rows[["estimate", "low", "high"]].assign(name=names, colour=colours)


def _effects_static(tables: Mapping[str, pd.DataFrame], title: str) -> "Figure":
    count, rows = len(next(iter(tables.values()))), -(-len(tables) // 2)
    figure = blank_figure(9.6, 0.5 + rows * (0.9 + 0.3 * count))
    grid = figure.subplots(rows, 2, squeeze=False, sharey=True)
    for axes in grid.ravel()[len(tables) :]:
        axes.set_axis_off()
    for axes, (words, table) in zip(grid.ravel(), tables.items(), strict=False):
        places = range(len(table))[::-1]
        axes.axvline(0, color=palettes.INK, lw=1)
        axes.hlines(places, table["low"], table["high"], colors=table["colour"], lw=2)
        axes.scatter(table["estimate"], places, c=table["colour"], s=36, zorder=3)
        axes.set_yticks(places, table["name"])
        tidy(axes, words, "Points")
        axes.title.set_fontsize(10.5)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=palettes.INK)
    return figure


def budget_figure(designs: pd.DataFrame, measures: Mapping[str, str], *, title: str) -> OfflineView:
    """Show each design's score beside what class shares on its stride keep; a picture.

    Args:
        designs: As `budget_designs` gives it.
        measures: Measures to show, one panel each, with the words for them.
        title: Heading.
    """
    figure = blank_figure(9.6, 1.5 + 0.34 * len(designs))
    panels: Sequence[Any] = figure.subplots(1, len(measures), squeeze=False, sharey=True)[0]
    places = range(len(designs))[::-1]
    for axes, (measure, words) in zip(panels, measures.items(), strict=True):
        axes.barh(places, designs[f"bound_{measure}"], color="#e4e8ec", height=0.72)
        axes.barh(places, designs[measure], color=palettes.ACCENT, height=0.4)
        axes.set_xlim(0, 1)
        names = [
            f"{d} (stride {s})" for d, s in zip(designs["design"], designs["stride"], strict=True)
        ]
        axes.set_yticks(places, names)
        tidy(axes, _folded(words, 18))
        axes.title.set_fontsize(10)
    figure.suptitle(
        f"{title}; pale: what class shares on its stride keep", x=0.01, ha="left", fontsize=11,
        color=palettes.INK,
    )  # fmt: skip
    return OfflineView(title, png=picture(figure))


def _folded(text: str, width: int) -> str:
    """Over several lines, so that neighbouring titles do not run into each other."""
    return "\n".join(wrap(text, width))

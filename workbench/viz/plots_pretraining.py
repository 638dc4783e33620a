"""Figures of pretraining: loss and diagnostics by step, probes, and what filters answer to."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.escape import tip_text
from workbench.viz import palettes
from workbench.viz.bokeh_page import bokeh_page
from workbench.viz.embed import OfflineView
from workbench.viz.pretraining_tables import (
    MEASURES,
    PROBES,
    by_wavelength,
    probed,
    require_columns,
    run_colour,
    smoothed,
)
from workbench.viz.statics import picture
from workbench.viz.statics_patches import GAP
from workbench.viz.statics_pretraining import curves_figure, filters_figure, probes_figure

_ROW, _SMOOTH = 150, 5  # CSS pixels of a row of panels; steps of the drawn mean


def pretraining_curves(
    runs: Mapping[str, pd.DataFrame],
    *,
    measures: Mapping[str, str] = MEASURES,
    title: str = "Loss and diagnostics",
) -> OfflineView:
    """Show loss and diagnostics of several runs, step by step, one below the other.

    Losses of different methods are different things, so each run has its own column; the
    diagnostics of a row share their scale.

    Args:
        runs: Log of each run: the column step, and one for each measure.
        measures: Which columns to draw, with the words for them, from top to bottom.
        title: Heading.

    Raises:
        ValueError: If there is no run, or a log lacks a column.
    """
    from bokeh.layouts import gridplot

    require_columns(runs, ["step", *measures])
    rows: list[list[Any]] = []
    for column, words in measures.items():
        shared = _limits([log[column] for log in runs.values()]) if column != "loss" else None
        panels = []
        for number, (name, log) in enumerate(runs.items()):
            limits = shared or _limits([log[column]])
            head = name if not rows else ""
            panel = _curve(log, column, head, run_colour(number), limits)
            panel.xaxis.axis_label = "Step" if column == list(measures)[-1] else None
            panel.yaxis.axis_label = words if number == 0 else None
            panel.x_range = rows[0][number].x_range if rows else panel.x_range
            panels.append(panel)
        rows.append(panels)
    grid = gridplot(rows, sizing_mode="stretch_width", toolbar_location=None)
    static = curves_figure(runs, measures, title, steps=_SMOOTH)
    height = _ROW * len(measures) + 60
    return OfflineView(title, picture(static), bokeh_page(grid, title), height)


def probe_curves(
    runs: Mapping[str, pd.DataFrame], *, chance: float, title: str = "Probe accuracy"
) -> OfflineView:
    """Show how well frozen features answer a question, while the encoder is being pretrained.

    Args:
        runs: Log of each run: the columns step, probe_knn and probe_linear, accuracies in [0, 1];
            steps without a score are left out.
        chance: Accuracy of a constant answer, drawn as a dashed line.
        title: Heading.

    Raises:
        ValueError: If there is no run, or a run was never probed.
    """
    from bokeh.layouts import row

    scores = probed(runs)
    lowest = min(chance, *(float(log[list(PROBES)].min().min()) for log in scores.values()))
    limits = max(0.0, lowest - 0.05), 1.02
    panels = []
    for column, words in PROBES.items():
        panel = _panel(
            words, tooltips=[("run", "@run"), ("step", "@step"), (tip_text(words), "@value{0.000}")]
        )
        panel.hspan(chance, line_color=palettes.MUTED, line_dash="dashed", line_width=1.2)
        for number, (name, log) in enumerate(scores.items()):
            source = {"step": log["step"].to_list(), "value": log[column].to_list()}
            source["run"] = [name] * len(log)
            look: dict[str, Any] = {"source": source, "color": run_colour(number)}
            panel.line("step", "value", line_width=2, legend_label=name, **look)
            panel.scatter("step", "value", size=6, legend_label=name, **look)
        panel.y_range.update(start=limits[0], end=limits[1])
        panel.xaxis.axis_label, panel.yaxis.axis_label = "Step", "Accuracy"
        panel.legend.update(location="bottom_right", border_line_color=None, click_policy="hide")
        panel.height = 300
        panels.append(panel)
    static = probes_figure(scores, chance, limits, title)
    layout = row(panels, sizing_mode="stretch_width")
    return OfflineView(title, picture(static), bokeh_page(layout, title), height=330)


def filter_map(
    responses: NDArray[Any],
    wavelengths_nm: Sequence[float],
    *,
    title: str = "What the filters answer to",
) -> OfflineView:
    """Show the response of each filter to each wavelength, and below it their mean.

    Each filter is scaled to its strongest response; the mean is of the responses as they are.

    Args:
        responses: (K, C) >= 0, one row for each filter, in the order they are to be shown.
        wavelengths_nm: (C,) centres of the bands.
        title: Heading.
    """
    from bokeh.layouts import column
    from bokeh.models import LinearColorMapper

    top = np.maximum(responses.max(axis=1, keepdims=True), 1e-12)
    laid, left, right = by_wavelength(responses / top, wavelengths_nm)
    mean = by_wavelength(responses.mean(axis=0, keepdims=True), wavelengths_nm)[0][0]
    scale: dict[str, Any] = {"palette": list(palettes.ramp_stops(64)), "nan_color": GAP}
    colours = LinearColorMapper(**scale, low=0.0, high=1.0)
    tips = [("wavelength", "$x{0} nm"), ("filter", "$y{0}"), ("response", "@image{0.00}")]
    above = _panel(title, tooltips=tips, tools="pan,xbox_zoom,reset")
    above.image(
        [laid.astype(np.float32)], x=left, y=0, dw=right - left, dh=len(laid), color_mapper=colours
    )
    above.yaxis.axis_label = "Filter, sorted by wavelength"
    above.update(height=300, x_range=_range(left, right), y_range=_range(0, len(laid)))
    below = _panel("", tooltips=[("wavelength", "@x{0} nm"), ("mean", "@y{0.0000}")])
    places = np.linspace(left, right, len(mean), endpoint=False) + (right - left) / len(mean) / 2
    below.line("x", "y", source={"x": places, "y": mean}, color=palettes.ACCENT, line_width=1.8)
    below.update(height=150, x_range=above.x_range)
    below.xaxis.axis_label = "Wavelength (nm); grey: no band"
    below.yaxis.axis_label = "Mean response"
    for panel in (above, below):
        panel.min_border_left = 70
    layout = column([above, below], sizing_mode="stretch_width")
    static = filters_figure(laid, mean, (left, right), title)
    return OfflineView(title, picture(static), bokeh_page(layout, title), height=480)


def _curve(
    log: pd.DataFrame, column: str, title: str, colour: str, limits: tuple[float, float]
) -> Any:
    panel = _panel(title, tooltips=[("step", "@step"), (tip_text(column), "@value{0.0000}")])
    source = {"step": log["step"].to_list(), "value": log[column].to_list()}
    source["smooth"] = smoothed(log[column], steps=_SMOOTH).to_list()
    panel.line("step", "value", source=source, color=colour, line_alpha=0.3)
    panel.line("step", "smooth", source=source, color=colour, line_width=2)
    panel.update(height=_ROW, y_range=_range(*limits))
    return panel


def _limits(columns: Sequence[pd.Series]) -> tuple[float, float]:
    """A range for y that holds all finite values, with a margin."""
    values = pd.concat(list(columns)).replace([np.inf, -np.inf], np.nan).dropna()
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    margin = 0.06 * (high - low) or 0.05 * max(abs(high), 1e-6)
    return low - margin, high + margin


def _range(start: float, end: float) -> Any:
    from bokeh.models import Range1d

    ends: dict[str, Any] = {"start": start, "end": end}
    return Range1d(**ends)


def _panel(title: str, *, tooltips: Any, tools: str = "pan,box_zoom,reset") -> Any:
    """A figure in the dress of the others."""
    from bokeh.plotting import figure

    options: dict[str, Any] = {"title": title or None, "tooltips": tooltips, "tools": tools}
    panel: Any = figure(**options)
    panel.toolbar.logo = None
    panel.toolbar.autohide = True
    panel.update(sizing_mode="stretch_width", outline_line_color=None, output_backend="canvas")
    panel.axis.axis_label_text_font_style = "normal"
    panel.axis.minor_tick_line_color = None
    panel.grid.grid_line_color = "#eef0f2"
    if panel.title is not None:
        panel.title.update(text_color=palettes.INK, text_font_size="11pt")
    return panel

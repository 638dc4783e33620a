"""Figures of transfer studies: score by share of the labels, by step, and by protocol.

Each takes the frame of a `ResultsTable`. Below each figure stand the definition of the score and
how many seeds and draws it is from; with fewer than five seeds no band is drawn.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import holoviews as hv
import holoviews.plotting.bokeh  # registers the backend, without a notebook extension
import numpy as np
import pandas as pd

from workbench.escape import format_text, tip_text
from workbench.evaluation.study_curves import curves_by_step, scores_by, time_to_share
from workbench.viz import palettes
from workbench.viz.bokeh_page import bokeh_page, plain_figure
from workbench.viz.embed import OfflineView
from workbench.viz.statics import picture
from workbench.viz.statics_transfer import (
    Panels,
    bars_with_intervals_figure,
    line_look,
    line_numbers,
    lines_figure,
)
from workbench.viz.transfer_tables import (
    about_seeds,
    by_panel,
    folded,
    least,
    most,
    placed,
    small_print,
    words_of,
)


def fraction_curves(
    frame: pd.DataFrame,
    metric: str,
    *,
    lines: Sequence[str] = ("init",),
    panels: Sequence[str] = ("task", "encoder"),
    title: str = "Score by share of the labels",
    rng: np.random.Generator,
) -> OfflineView:
    """Show a score against the share of the training labels, on a logarithmic axis.

    Args:
        frame: Rows of a label-fraction study.
        metric: Column of the score.
        lines: Columns whose values tell the lines of a panel apart.
        panels: Columns whose values tell the panels apart.
        title: Heading.
        rng: Source of the draws of the bands, which are over seeds and draws of labels.

    Raises:
        EvaluationError: If there is nothing to draw, or rows of one line differ in more than the
            fraction, seed and draw.
    """
    points = scores_by(frame, metric, lines=[*panels, *lines], axis="fraction", rng=rng)
    drawn = by_panel(points.rename(columns={"fraction": "x"}), lines, panels, metric)
    shares = sorted(points["fraction"].unique())
    ticks = {float(share): f"{100 * share:g} %" for share in shares}
    labels = ("Share of the training labels", words_of(metric))
    below = small_print(frame, metric, points)
    static = lines_figure(drawn, f"{title}\n{below}", labels, ticks=ticks)
    return _lines_view(drawn, title, below, labels, picture(static), ticks=ticks)


def convergence_curves(
    frame: pd.DataFrame,
    *,
    lines: Sequence[str] = ("init",),
    panels: Sequence[str] = ("task", "encoder"),
    score: str = "Validation score",
    share: float = 0.95,
    title: str = "Score by step",
    rng: np.random.Generator,
) -> OfflineView:
    """Show validation scores against steps, and where a share of the final one is reached.

    The star stands at the median over runs of the first look at which the score is at least that
    share of the run's last one (`evaluation.study_curves.time_to_share` gives the numbers).

    Args:
        frame: Rows of a convergence study.
        lines: Columns whose values tell the lines of a panel apart.
        panels: Columns whose values tell the panels apart.
        score: What the validation score is, as "macro mIoU".
        share: In (0, 1].
        title: Heading.
        rng: Source of the draws of seeds, for the bands.

    Raises:
        EvaluationError: If there is nothing to draw, or rows of one line differ in more than seed
            and draw.
    """
    keys = [*panels, *lines]
    points = curves_by_step(frame, lines=keys, rng=rng)
    reached = time_to_share(frame, lines=keys, share=share)
    drawn = by_panel(points.rename(columns={"step": "x"}), lines, panels, "validation")
    marks: dict[str, dict[str, tuple[float, float]]] = {}
    for row in reached.dropna(subset="steps").to_dict("records"):
        panel, line = (" · ".join(str(row[k]) for k in part) for part in (panels, lines))
        curve = drawn[panel][line]
        height = float(np.interp(row["steps"], curve["x"], curve["value"]))
        marks.setdefault(panel, {})[line] = (float(row["steps"]), height)
    labels = ("Step of training", f"{score}, validation part (%)")
    below = (
        f"Star: median step at which a run is at {share:.0%} of its own final score. "
        f"{about_seeds(points['n_seeds'], 'seeds')}"
    )
    static = lines_figure(drawn, f"{title}\n{folded(below)}", labels, marked=marks)
    return _lines_view(drawn, title, folded(below), labels, picture(static), marked=marks)


def protocol_bars(
    frame: pd.DataFrame,
    metric: str,
    *,
    lines: Sequence[str] = ("init",),
    panels: Sequence[str] = ("task", "encoder"),
    title: str = "Score by protocol",
    rng: np.random.Generator,
) -> OfflineView:
    """Show a score for each protocol and initial weights, with intervals and single runs.

    Training from scratch stands among "full", as random weights of which all are trained.

    Args:
        frame: Rows of a protocol study.
        metric: Column of the score.
        lines: Columns whose values tell the bars of a group apart.
        panels: Columns whose values tell the panels apart.
        title: Heading.
        rng: Source of the draws of seeds.

    Raises:
        EvaluationError: If there is nothing to draw, or rows of one bar differ in more than seed
            and draw.
    """
    points = scores_by(frame, metric, lines=[*panels, *lines], axis="protocol", rng=rng)
    points["x"] = points["protocol"].replace({"scratch": "full"})
    drawn = placed(by_panel(points, lines, panels, metric))
    below = small_print(frame, metric, points)
    static = bars_with_intervals_figure(drawn, f"{title}\n{below}", words_of(metric))
    figures = [
        _bar_panel(name, bars, words_of(metric), drawn) for name, bars in drawn.items()
    ]  # fmt: skip
    return _grid_view(figures, title, below, picture(static))


def _lines_view(
    drawn: Panels,
    title: str,
    below: str,
    labels: tuple[str, str],
    png: bytes,
    *,
    ticks: Mapping[float, str] | None = None,
    marked: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
) -> OfflineView:
    numbers = line_numbers(drawn)
    figures = []
    for name, lines in drawn.items():
        marks = (marked or {}).get(name, {})
        parts = [
            _line(line, points, labels, line_look(numbers[line]), marks.get(line))
            for line, points in lines.items()
        ]
        shown = hv.Overlay([element for part in parts for element in part])
        axis: dict[str, Any] = {}
        if ticks is not None:
            axis = {"logx": True, "xticks": [(place, word) for place, word in ticks.items()]}
        shown = shown.opts(
            title=format_text(name), xlabel=labels[0], ylabel=labels[1], backend="bokeh",
            show_legend=True, legend_position="bottom_right", **axis,
        )  # fmt: skip
        figures.append(hv.render(shown, backend="bokeh"))
    places = pd.concat([points["x"] for lines in drawn.values() for points in lines.values()])
    first, last = float(places.min()), float(places.max())
    margin = 0.04 * (last - first) or 1.0
    ends = (first - margin, last + margin) if ticks is None else (first / 1.15, last * 1.15)
    for figure in figures:
        figure.y_range = figures[0].y_range
        figure.x_range.update(start=ends[0], end=ends[1])
    low = min(least(points) for lines in drawn.values() for points in lines.values())
    high = max(most(points) for lines in drawn.values() for points in lines.values())
    margin = 0.06 * (high - low) or 1.0
    figures[0].y_range.update(start=low - margin, end=high + margin)
    return _grid_view(figures, title, below, png)


def _line(
    name: str,
    points: pd.DataFrame,
    labels: tuple[str, str],
    look: tuple[str, str, str],
    mark: tuple[float, float] | None,
) -> list[hv.Element]:
    """Band, line, points and star of one line."""
    colour, marker, dash = look
    x, y = hv.Dimension("x", label=labels[0]), hv.Dimension("value", label=labels[1])
    table = points.assign(line=name)
    parts: list[hv.Element] = []
    if points["low"].notna().any():
        band = hv.Area(points, x, [hv.Dimension("low", label=labels[1]), "high"])
        parts.append(band.opts(color=colour, alpha=0.15, line_alpha=0, backend="bokeh"))
    curve = hv.Curve(points, x, y, label=name)
    parts.append(curve.opts(color=colour, line_dash=dash, line_width=2, backend="bokeh"))
    tips = [("", "@line"), (tip_text(labels[0]), "@x"), ("score", "@value{0.00}")]
    tips += [("interval", "@low{0.00} to @high{0.00}"), ("seeds", "@n_seeds")]
    dots = hv.Scatter(table, x, [y, "line", "low", "high", "n_seeds"], label=name)
    parts.append(
        dots.opts(color=colour, marker=marker, size=8, tools=["hover"], hover_tooltips=tips,
                  backend="bokeh")
    )  # fmt: skip
    if mark is not None:
        star = hv.Scatter([mark], x, y)
        parts.append(star.opts(color="white", line_color=colour, line_width=2, marker="star",
                               size=19, backend="bokeh"))  # fmt: skip
    return parts


def _bar_panel(name: str, lines: Mapping[str, pd.DataFrame], label: str, drawn: Panels) -> Any:
    """Bars with whiskers and dots: Bokeh itself, for places between the groups."""
    from bokeh.models import ColumnDataSource
    from bokeh.models.annotations import Whisker
    from bokeh.plotting import figure

    numbers = line_numbers(drawn)
    tips = [("", "@line, @protocol"), ("score", "@value{0.00}")]
    tips += [("interval", "@low{0.00} to @high{0.00}"), ("seeds", "@n_seeds")]
    options: dict[str, Any] = {"title": name, "tools": "pan,box_zoom,reset"}
    panel: Any = figure(**options)
    drawn_bars = []
    for line, bars in lines.items():
        look = line_look(numbers[line])[0]
        source = ColumnDataSource(_lists(bars.drop(columns="single").assign(line=line)))
        width = float(bars["width"].iloc[0]) * 0.9
        drawn_bars.append(
            panel.vbar("at", width, "value", source=source, color=look, legend_label=line)
        )
        known = ColumnDataSource(_lists(bars[bars["low"].notna()][["at", "low", "high"]]))
        whisker: dict[str, Any] = {"base": "at", "upper": "high", "lower": "low", "source": known}
        panel.add_layout(Whisker(**whisker, line_color=palettes.INK, level="overlay"))
        x = [at for at, single in zip(bars["at"], bars["single"], strict=True) for _ in single]
        y = [value for single in bars["single"] for value in single]
        panel.scatter(x, y, size=4, color="white", line_color=palettes.INK)
    panel.add_tools(_hover(tips, drawn_bars))
    groups = pd.concat(list(lines.values())).drop_duplicates("x")
    panel.xaxis.ticker = groups["group"].to_list()
    panel.xaxis.major_label_overrides = dict(zip(groups["group"], groups["x"], strict=True))
    top = max(most(bars) for part in drawn.values() for bars in part.values())
    panel.y_range.update(start=min(0.0, *(least(b) for p in drawn.values() for b in p.values())),
                         end=top * 1.22)  # fmt: skip
    panel.xaxis.axis_label, panel.yaxis.axis_label = "Protocol", label
    panel.legend.update(location="top_left", orientation="horizontal")
    return panel


def _lists(frame: pd.DataFrame) -> dict[str, Any]:
    return {str(name): frame[name].to_list() for name in frame}


def _hover(tips: list[tuple[str, str]], over: list[Any]) -> Any:
    from bokeh.models import HoverTool

    options: dict[str, Any] = {"tooltips": tips, "renderers": over}
    return HoverTool(**options)


def _grid_view(figures: Sequence[Any], title: str, below: str, png: bytes) -> OfflineView:
    """Three panels a row, the heading above and the small print below."""
    from bokeh.layouts import gridplot

    for figure in figures:
        plain_figure(figure, 330)
        figure.xgrid.visible = False
        figure.legend.update(border_line_color=None, background_fill_alpha=0.6)
        figure.legend.click_policy = "hide"
    rows = [list(figures[i : i + 3]) for i in range(0, len(figures), 3)]
    grid = gridplot(rows, sizing_mode="stretch_width", toolbar_location=None)
    height = 330 * len(rows) + 100
    page = bokeh_page(grid, title, heading=title, below=below.replace("\n", " "))
    return OfflineView(title, png=png, page=page, height=height)

"""Pictures of the plots: what shows where a page may not run."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import pandas as pd

from workbench.viz import palettes
from workbench.viz.statics import blank_figure, legend_label, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def bars_figure(panels: Sequence[tuple[str, str, str, pd.Series]]) -> "Figure":
    """Draw bar charts side by side.

    Args:
        panels: For each: title, label of x, label of y, and the heights by place on x.
    """
    from matplotlib.ticker import MaxNLocator

    figure = blank_figure(9.0, 3.8)
    for axes, (title, x, y, heights) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        axes.bar(heights.index, heights.to_numpy(), color=palettes.ACCENT, width=0.85)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        tidy(axes, title, x, y)
    return figure


def grouped_bars_figure(table: pd.DataFrame, title: str, x: str, y: str) -> "Figure":
    """Draw one group of bars for each row, one colour for each column.

    Args:
        table: Heights; the index names the groups, the columns what is compared.
        title: Heading.
        x: Label of x.
        y: Label of y.
    """
    figure = blank_figure(9.0, 4.2)
    axes = figure.subplots()
    width = 0.8 / max(len(table.columns), 1)
    places = np.arange(len(table))
    for k, (column, colour) in enumerate(zip(table.columns, method_colours(table), strict=True)):
        at = places + (k - (len(table.columns) - 1) / 2) * width
        bars = axes.bar(at, table[column], width * 0.95, label=legend_label(column), color=colour)
        axes.bar_label(bars, fmt="{:,.0f}", fontsize=8, color=palettes.MUTED, padding=2)
    axes.set_xticks(places, [str(name) for name in table.index])
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.legend(frameon=False)
    tidy(axes, title, x, y)
    return figure


def method_colours(table: pd.DataFrame) -> list[str]:
    """One colour for each column, repeated after two."""
    return [(palettes.ACCENT, palettes.CONTRAST)[k % 2] for k in range(len(table.columns))]


def component_figure(
    component: nx.Graph, place: Mapping[str, np.ndarray], title: str, top: int
) -> "Figure":
    """Draw a small graph: nodes coloured by degree, edges by springs.

    Args:
        component: The graph.
        place: (x, y) of each node.
        title: Heading.
        top: Degree at the dark end of the colours.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    figure = blank_figure(9.0, 5.4)
    axes = figure.subplots()
    lines = [(place[a], place[b]) for a, b in component.edges]
    axes.add_collection(LineCollection(lines, colors=palettes.MUTED, linewidths=0.6, alpha=0.5))
    points = np.array([place[node] for node in component])
    colours = [palettes.ramp(degree / max(top, 1)) for _, degree in component.degree]
    axes.scatter(points[:, 0], points[:, 1], c=colours, s=60, ec="white", lw=1, zorder=3)
    tidy(axes, title)
    axes.set_axis_off()
    scale = LinearSegmentedColormap.from_list("degree", list(palettes.ramp_stops()))
    bar = ScalarMappable(Normalize(0, max(top, 1)), scale)
    figure.colorbar(bar, ax=axes, shrink=0.7, label="Number of overlapping tiles")
    return figure


def timeline_figure(dates: pd.DataFrame, title: str) -> "Figure":
    """Draw acquisitions on a line of time, one row for each tile.

    Args:
        dates: Columns acquired and tile, sorted by time.
        title: Heading.
    """
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

    figure = blank_figure(9.0, 1.6 + 0.42 * len(dates))
    axes = figure.subplots()
    rows = np.arange(len(dates))[::-1]
    days = np.asarray(date2num(dates["acquired"].to_list()))
    axes.hlines(rows, days.min(), days, color=palettes.BORDER, lw=1)
    axes.scatter(days, rows, s=70, color=palettes.ACCENT, zorder=3)
    for day, row, time in zip(days, rows, dates["acquired"], strict=True):
        text = f"{time:%Y-%m-%d}"
        axes.annotate(text, (day, row), (0, 8), textcoords="offset points", ha="center", size=9)
    axes.set_yticks(rows, dates["tile"])
    margin = max(0.08 * (days.max() - days.min()), 5.0)
    axes.set_xlim(days.min() - margin, days.max() + margin)
    axes.margins(y=0.22)
    tidy(axes, title, "Time of acquisition (UTC)")
    axes.tick_params(axis="y", length=0, labelsize=8.5)
    locator = AutoDateLocator(maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    return figure

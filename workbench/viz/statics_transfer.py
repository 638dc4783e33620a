"""Pictures of transfer studies: what shows where a page may not run."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench.viz import palettes
from workbench.viz.statics import blank_figure, legend_label, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE_COLOURS = ("#4d4d4d", "#31688e", "#d1741f", "#7b3294", "#009e73", "#cc79a7")
"""One for each line; differ for every kind of colour vision. Markers and dashes differ too."""
MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "star")
"""Names of the markers in Bokeh."""
DASHES = ("solid", "dashed", "dotdash", "dotted")

FIRST = ("random", "moco", "dino", "mae")
"""Lines that look the same in every figure."""

MATPLOTLIB_MARKERS = dict(zip(MARKERS, ("o", "s", "^", "D", "v", "*"), strict=True))
_LINES = dict(zip(DASHES, ("-", "--", "-.", ":"), strict=True))

Panels = Mapping[str, Mapping[str, pd.DataFrame]]
"""Frames with x, value, low, high by the name of their panel and of their line."""


def line_look(number: int) -> tuple[str, str, str]:
    """Colour, marker and dash of a line by its number, each going round.

    Example:
        >>> line_look(0)
        ('#4d4d4d', 'circle', 'solid')
    """
    colour = LINE_COLOURS[number % len(LINE_COLOURS)]
    return colour, MARKERS[number % len(MARKERS)], DASHES[number % len(DASHES)]


def lines_figure(
    panels: Panels,
    title: str,
    labels: tuple[str, str],
    *,
    ticks: Mapping[float, str] | None = None,
    marked: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
) -> "Figure":
    """Draw lines with their bands, one panel beside the other.

    Args:
        panels: What to draw, in percent.
        title: Heading; a line break begins its small print.
        labels: Of x and y.
        ticks: Words of the places on x, which is then logarithmic.
        marked: (x, y) to be marked with an open star, by panel and line.
    """
    figure = blank_figure(max(4.6 * min(len(panels), 3), 7.0), 4.1 * _rows(panels) + 0.4)
    grid = figure.subplots(_rows(panels), min(len(panels), 3), squeeze=False, sharey=True)
    numbers = line_numbers(panels)
    for axes, (name, lines) in zip(_used(grid, len(panels)), panels.items(), strict=True):
        for line, points in lines.items():
            colour, marker, dash = line_look(numbers[line])
            look: dict[str, Any] = {"color": colour, "ls": _LINES[dash]}
            axes.fill_between(points["x"], points["low"], points["high"], color=colour, alpha=0.15)
            look |= {"marker": MATPLOTLIB_MARKERS[marker], "ms": 5, "label": legend_label(line)}
            axes.plot(points["x"], points["value"], **look)
            if marked and line in marked.get(name, {}):
                place = marked[name][line]
                axes.plot(*place, "*", ms=15, mfc="white", mec=colour, mew=1.8, zorder=4)
        tidy(axes, name, labels[0], labels[1])
        if ticks is not None:
            axes.set_xscale("log")
            axes.set_xticks(list(ticks), list(ticks.values()))
            axes.minorticks_off()
        axes.legend(frameon=False, fontsize=9)
    _head(figure, title)
    return figure


def bars_with_intervals_figure(panels: Panels, title: str, label: str) -> "Figure":
    """Draw bars in groups, with whiskers and a dot for each run, one panel beside the other.

    Args:
        panels: Frames of one bar each row: x (the group's name), value, low, high and single; in
            percent.
        title: Heading; a line break begins its small print.
        label: Of y.
    """
    figure = blank_figure(max(4.6 * min(len(panels), 3), 7.0), 3.9 * _rows(panels) + 0.4)
    grid = figure.subplots(_rows(panels), min(len(panels), 3), squeeze=False, sharey=True)
    numbers = line_numbers(panels)
    for axes, (name, lines) in zip(_used(grid, len(panels)), panels.items(), strict=True):
        for line, bars in lines.items():
            colour, width = line_look(numbers[line])[0], float(bars["width"].iloc[0])
            at, value = bars["at"].to_numpy(float), bars["value"].to_numpy(float)
            axes.bar(at, value, width * 0.9, color=colour, label=legend_label(line))
            reach = np.stack([value - bars["low"], bars["high"] - value])
            has = ~np.isnan(reach[0])
            axes.errorbar(
                at[has], value[has], reach[:, has], fmt="none", ecolor=palettes.INK, capsize=4
            )
            for x, single in zip(at, bars["single"], strict=True):
                axes.scatter([x] * len(single), single, s=9, color="white", ec=palettes.INK,
                             lw=0.7, zorder=3)  # fmt: skip
        tidy(axes, name, "Protocol", label)
        groups = pd.concat(list(lines.values())).drop_duplicates("x")
        axes.set_xticks(groups["group"], groups["x"])
        axes.legend(frameon=False, fontsize=9, loc="upper left", ncols=3)
        axes.margins(y=0.2)
    _head(figure, title)
    return figure


def line_numbers(panels: Panels) -> dict[str, int]:
    """Number of each line, the same in all panels, and for `FIRST` in all figures."""
    names = list(dict.fromkeys(line for lines in panels.values() for line in lines))
    if set(names) <= set(FIRST):
        return {name: FIRST.index(name) for name in names}
    return {name: number for number, name in enumerate(names)}


def _rows(panels: Panels) -> int:
    return -(-len(panels) // 3)


def _used(grid: Any, count: int) -> Sequence["Axes"]:
    """The first axes of a grid; the others are taken away."""
    flat = list(grid.ravel())
    for spare in flat[count:]:
        spare.remove()
    return flat[:count]


def _head(figure: "Figure", title: str) -> None:
    first, _, rest = title.partition("\n")
    figure.suptitle(first, x=0.01, ha="left", fontsize=12, fontweight="bold", color=palettes.INK)
    if rest:
        figure.supxlabel(rest, x=0.01, ha="left", fontsize=8.5, color=palettes.MUTED)

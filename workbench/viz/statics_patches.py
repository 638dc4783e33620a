"""Pictures of the figures of an extraction: what shows where a page may not run."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import shapely

from workbench.viz import palettes
from workbench.viz.statics import blank_figure, legend_label, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAP = "#e8eaed"
"""Colour of wavelengths that no band covers."""


def spectra_figure(
    lines: Sequence[tuple[str, pd.DataFrame]],
    colours: Sequence[str],
    gaps: Sequence[tuple[float, float]],
    title: str,
    units: str,
) -> "Figure":
    """Draw spectra, one line for each date.

    Args:
        lines: Date and table (wavelength_nm, value; NaN where the line breaks).
        colours: One for each line.
        gaps: Ranges in nm that no band covers.
        title: Heading.
        units: Of the values.
    """
    figure = blank_figure(9.0, 4.2)
    axes = figure.subplots()
    for left, right in gaps:
        axes.axvspan(left, right, color=GAP, lw=0)
    for (date, table), colour in zip(lines, colours, strict=True):
        label = legend_label(date)
        axes.plot(table["wavelength_nm"], table["value"], color=colour, lw=1.5, label=label)
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    tidy(axes, title, "Wavelength (nm); grey: bands that are not used", units)
    return figure


def reasons_figure(table: pd.DataFrame, title: str) -> "Figure":
    """Draw a table of numbers as coloured cells.

    Args:
        table: Numbers of patches; one row for each tile, one column for "cut" and each reason.
        title: Heading.
    """
    from matplotlib.patches import Rectangle

    figure = blank_figure(9.0, 1.0 + 0.24 * len(table))
    axes = figure.subplots()
    top = max(int(table.to_numpy().max(initial=0)), 1)
    for row, (_, counts) in enumerate(table.iterrows()):
        for column, (what, count) in enumerate(counts.items()):
            colour = cell_colour(int(count), str(what), top)
            axes.add_patch(Rectangle((column - 0.49, row - 0.47), 0.98, 0.94, fc=colour))
            ink = "white" if count > 0.45 * top else palettes.INK
            axes.text(column, row, str(count) if count else "", ha="center", va="center",
                      fontsize=9, color=ink)  # fmt: skip
    tidy(axes, title)
    axes.set(xlim=(-0.5, len(table.columns) - 0.5), ylim=(len(table) - 0.5, -0.5))
    axes.set_xticks(range(len(table.columns)), list(table.columns))
    axes.set_yticks(range(len(table)), list(table.index))
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def leaks_figure(shares: pd.DataFrame, title: str) -> "Figure":
    """Draw which share of its patches a part has seen elsewhere, one colour for each split.

    Args:
        shares: Percent of the patches affected; one row for each two parts, one column per split.
        title: Heading.
    """
    figure = blank_figure(9.0, 3.8)
    axes = figure.subplots()
    width = 0.8 / max(len(shares.columns), 1)
    colours = split_colours(len(shares.columns))
    for k, (name, colour) in enumerate(zip(shares.columns, colours, strict=True)):
        at = [i + (k - (len(shares.columns) - 1) / 2) * width for i in range(len(shares))]
        bars = axes.bar(at, shares[name], width * 0.94, color=colour, label=legend_label(name))
        axes.bar_label(bars, fmt="{:.0f}%", fontsize=9, color=palettes.INK, padding=2)
    axes.set_xticks(range(len(shares)), list(shares.index))
    axes.set_ylim(0, 112)
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    tidy(axes, title, "", "Affected patches (%)")
    return figure


def cell_colour(count: int, what: str, top: int) -> str:
    """Colour of a number of patches: blue for those cut, orange for those rejected."""
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    end = palettes.ACCENT if what == "cut" else palettes.CONTRAST
    scale = LinearSegmentedColormap.from_list(what, ["#f4f5f7", end])
    return to_hex(scale(0.0 if count == 0 else 0.15 + 0.85 * count / top))


def split_colours(count: int) -> list[str]:
    """One colour for each split; they repeat after five."""
    known = (palettes.CONTRAST, palettes.ACCENT, palettes.MUTED, palettes.BORDER, palettes.INK)
    return [known[k % len(known)] for k in range(count)]


def fates_figure(
    places: pd.DataFrame,
    colours: Mapping[str, str],
    views: Mapping[str, tuple[float, float, float, float]],
    title: str,
    *,
    most: int = 4,
) -> "Figure":
    """Draw locations by what became of them, one panel for each group of locations.

    Args:
        places: Columns fate, component and geometry (EPSG:4326).
        colours: Colour of each fate.
        views: Bounds in degrees by the heading of the panel, largest group first.
        title: Heading.
        most: Panels at most; what is left out is said.
    """
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Patch

    groups = [name for name in views if len(views) == 1 or name != list(views)[-1]]
    shown = groups[:most]
    figure = blank_figure(9.0, 1.2 + 8.0 / max(len(shown), 2))
    rings = [shapely.get_coordinates(shape.exterior) for shape in places["geometry"]]
    faces = [colours[fate] for fate in places["fate"]]
    for axes, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        xmin, ymin, xmax, ymax = views[name]
        stretch = 1.0 / np.cos(np.radians((ymin + ymax) / 2))
        half = 0.53 * max(xmax - xmin, (ymax - ymin) * stretch)
        x, y = (xmin + xmax) / 2, (ymin + ymax) / 2
        axes.add_collection(PolyCollection(rings, facecolors=faces, edgecolors="white", lw=0.8))
        axes.set(xlim=(x - half, x + half), ylim=(y - half / stretch, y + half / stretch))
        axes.set_aspect(stretch)
        tidy(axes, "", "Longitude (degrees)", "Latitude (degrees)" if name == shown[0] else "")
        heading = name.replace(": ", "\n")
        axes.set_title(heading, fontsize=10, loc="left", color=palettes.INK)
        axes.locator_params(nbins=3)
        axes.ticklabel_format(useOffset=False)
        axes.set_facecolor(palettes.LAND)
    counts = places["fate"].value_counts()
    handles = [
        Patch(color=colour, label=f"cut on {fate}: {counts[fate]:,}")
        for fate, colour in colours.items()
        if fate in counts
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9.5)
    left_out = f" ({len(shown)} of {len(groups)} components)" if len(groups) > len(shown) else ""
    figure.suptitle(
        title + left_out, x=0.01, ha="left", fontsize=12, fontweight="bold", color=palettes.INK
    )
    return figure

"""Pictures of the same things, drawn by matplotlib without a screen or a browser."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from workbench.escape import visible
from workbench.viz import palettes

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

DPI = 110
"""Pixels per inch of the pictures; 9 inches fill a notebook's width."""


def blank_figure(width: float = 9.0, height: float = 5.0) -> "Figure":
    """Make a figure that belongs to no window and to no global state.

    Args:
        width: Inches.
        height: Inches.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def picture(figure: "Figure") -> bytes:
    """Render a figure to a PNG file; every text is drawn as it is, none as a formula."""
    buffer = io.BytesIO()
    write_picture(figure, buffer, dpi=DPI, facecolor="white")
    return buffer.getvalue()


def write_picture(figure: "Figure", target: Any, **options: Any) -> None:
    """Write a figure as a PNG file, as `picture` does.

    Args:
        figure: What to draw.
        target: A path or a binary file.
        options: Of matplotlib's `savefig`.
    """
    from matplotlib import rc_context
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_text(visible(text.get_text()))
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            _plain_ticks(axis)
    with rc_context({"text.parse_math": False}):  # for ticks, which are made while it is drawn
        figure.savefig(target, format="png", **options)


def _plain_ticks(axis: "Axis") -> None:
    """Let no label of a tick be a formula, nor hold what cannot be seen."""
    from matplotlib.ticker import FuncFormatter, LogFormatterMathtext, NullFormatter

    shown = axis.get_major_formatter()
    if isinstance(shown, LogFormatterMathtext):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    elif isinstance(shown, FuncFormatter):
        axis.set_major_formatter(FuncFormatter(lambda x, pos, f=shown.func: visible(f(x, pos))))
    if isinstance(axis.get_minor_formatter(), LogFormatterMathtext):
        axis.set_minor_formatter(NullFormatter())


def legend_label(text: object) -> str:
    """Text as matplotlib's legends show it, which leave out what begins with an underscore."""
    return f" {text}" if str(text).startswith("_") else str(text)


def tidy(axes: "Axes", title: str, x: str = "", y: str = "") -> "Axes":
    """Give axes a title and units, and take the box away."""
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=palettes.INK)
    axes.set_xlabel(x, color=palettes.MUTED)
    axes.set_ylabel(y, color=palettes.MUTED)
    axes.tick_params(colors=palettes.MUTED, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(palettes.BORDER)
    return axes


def map_axes(
    bounds: tuple[float, float, float, float],
    land: "gpd.GeoDataFrame | None",
    title: str,
    *,
    width: float = 9.0,
) -> "tuple[Figure, Axes]":
    """Lay out a map in longitude/latitude whose kilometres are as wide as high at its middle.

    Args:
        bounds: xmin, ymin, xmax, ymax in degrees; a margin is added.
        land: Polygons of the background.
        title: Heading.
        width: Inches.
    """
    from matplotlib.collections import PolyCollection

    xmin, ymin, xmax, ymax = bounds
    margin = 0.05 * max(xmax - xmin, ymax - ymin, 0.2)
    xmin, xmax = xmin - margin, xmax + margin
    ymin, ymax = max(ymin - margin, -90.0), min(ymax + margin, 90.0)
    stretch = 1.0 / np.cos(np.radians(np.clip((ymin + ymax) / 2, -80, 80)))
    height = width * (ymax - ymin) * stretch / (xmax - xmin)
    figure = blank_figure(width, float(np.clip(height, 4.0, 8.0)) + 0.5)
    axes = figure.subplots()
    axes.set(xlim=(xmin, xmax), ylim=(ymin, ymax), facecolor=palettes.SEA)
    axes.set_aspect(stretch, adjustable="box")
    axes.locator_params(axis="x", nbins=max(3, round(8 * min(1.0, 8.0 / height))))  # if narrow
    tidy(axes, title, "Longitude (degrees)", "Latitude (degrees)")
    if land is not None:
        rings = [
            shapely.get_coordinates(part.exterior)
            for part in shapely.get_parts(land.to_crs("EPSG:4326").geometry.to_numpy())
        ]
        axes.add_collection(
            PolyCollection(
                rings, facecolor=palettes.LAND, edgecolor=palettes.BORDER, lw=0.6, zorder=0
            ),
            autolim=False,
        )
    return figure, axes

"""Pictures of the same things, drawn by matplotlib without a screen or a browser."""

import io
from typing import TYPE_CHECKING

import numpy as np
import shapely

from workbench.viz import palettes

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.axes import Axes
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
    """Render a figure to a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white")
    return buffer.getvalue()


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

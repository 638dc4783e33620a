"""Pictures of the same things, drawn by matplotlib without a screen or a browser."""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import networkx as nx
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


def tile_map_figure(
    outlines: Mapping[str, Any],
    graph: nx.Graph,
    place: Mapping[str, np.ndarray],
    colour: Mapping[str, str],
    top: int,
    *,
    land: "gpd.GeoDataFrame | None" = None,
    title: str,
) -> "Figure":
    """Draw footprints coloured by degree, and the overlap graph over them.

    Args:
        outlines: Drawn outline of each tile, by id.
        graph: Overlap graph of the tiles.
        place: Longitude and latitude of each node.
        colour: Colour of each tile.
        top: Largest degree.
        land: Polygons of the background.
        title: Heading.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    xmin, ymin, xmax, ymax = shapely.total_bounds(list(outlines.values()))
    figure, axes = map_axes((xmin, ymin, xmax, ymax), land, title)
    ids = sorted(outlines, key=lambda tile: -outlines[tile].area)
    rings = [
        (shapely.get_coordinates(part.exterior), colour[tile])
        for tile in ids
        for part in shapely.get_parts(outlines[tile])
    ]
    faces = PolyCollection([r for r, _ in rings], facecolors=[c for _, c in rings], alpha=0.35)
    axes.add_collection(faces, autolim=False)
    lines = [(place[a], place[b]) for a, b in graph.edges if abs(place[a][0] - place[b][0]) < 180]
    axes.add_collection(
        LineCollection(lines, colors=palettes.INK, linewidths=0.5, alpha=0.55), autolim=False
    )
    points = np.array([place[tile] for tile in ids])
    axes.scatter(
        points[:, 0], points[:, 1], c=[colour[t] for t in ids], s=14, lw=0.5, ec="white", zorder=3
    )
    scale = LinearSegmentedColormap.from_list("degree", list(palettes.ramp_stops()))
    bar = ScalarMappable(Normalize(0, max(top, 1)), scale)
    figure.colorbar(bar, ax=axes, shrink=0.6, label="Number of overlapping tiles")
    return figure


def coverage_figure(
    plan: "gpd.GeoDataFrame", *, land: "gpd.GeoDataFrame | None" = None, title: str
) -> "Figure":
    """Draw every location of a plan, longest series on top.

    Args:
        plan: Columns n_acquisitions and geometry (EPSG:4326).
        land: Polygons of the background.
        title: Heading.
    """
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Patch

    bounds = tuple(plan.total_bounds) if len(plan) else (-180.0, -60.0, 180.0, 75.0)
    figure, axes = map_axes(bounds, land, title)
    parts, row = shapely.get_parts(plan.geometry.to_numpy(), return_index=True)
    steps = np.array(palettes.SERIES_STEPS)
    classes = np.searchsorted(steps, plan["n_acquisitions"].to_numpy()[row], side="right") - 1
    for k, colour in enumerate(palettes.SERIES_COLOURS):
        if not (classes == k).any():
            continue
        points, owner = shapely.get_coordinates(
            shapely.get_exterior_ring(parts[classes == k]), return_index=True
        )
        rings = np.split(points, np.flatnonzero(np.diff(owner)) + 1)
        # A border of its own colour keeps squares visible that are smaller than a pixel.
        squares = PolyCollection(rings, facecolor=colour, edgecolor=colour, lw=0.3, zorder=1 + k)
        axes.add_collection(squares, autolim=False)
    counts = [int((plan["n_acquisitions"] >= step).sum()) for step in palettes.SERIES_STEPS] + [0]
    handles = [
        Patch(color=colour, label=f"{palettes.series_label(k)}: {counts[k] - counts[k + 1]:,}")
        for k, colour in enumerate(palettes.SERIES_COLOURS)
        if counts[k] > counts[k + 1]
    ]
    axes.legend(handles=handles, title=f"{len(plan):,} locations", loc="best", fontsize=9)
    return figure

"""Pictures of the maps: what shows where a page may not run."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
import shapely
from numpy.typing import NDArray

from workbench.viz import palettes
from workbench.viz.map_colours import Colouring, series_colouring
from workbench.viz.statics import legend_label, map_axes

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MANY_SQUARES = 20_000
"""Above this, squares are painted as pixels: outlines smaller than a pixel cost a minute."""
PAINTED_WIDTH = 1600
"""Width in pixels of a painted picture, finer than it is shown."""


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


def graph_figure(
    places: NDArray[np.float64],
    edges: NDArray[np.int64],
    classes: NDArray[np.int64],
    labels: Sequence[str],
    colours: Sequence[str],
    bounds: tuple[float, float, float, float],
    *,
    land: "gpd.GeoDataFrame | None" = None,
    title: str,
) -> "Figure":
    """Draw a graph of any size on geography, the nodes of the highest class on top.

    Args:
        places: (n, 2) longitude and latitude of the nodes.
        edges: (m, 2) numbers of nodes.
        classes: (n,) class of each node.
        labels: Name of each class.
        colours: Colour of each class.
        bounds: xmin, ymin, xmax, ymax in degrees.
        land: Polygons of the background.
        title: Heading.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    figure, axes = map_axes(bounds, land, title)
    lines = places[edges]  # (m, 2, 2)
    lines = lines[np.abs(lines[:, 0, 0] - lines[:, 1, 0]) < 180]
    axes.add_collection(
        LineCollection(list(lines), colors=palettes.INK, linewidths=0.4, alpha=0.4), autolim=False
    )
    order = np.argsort(classes, kind="stable")
    size = 14 if len(places) < 500 else 4
    shown = np.array(colours)[classes[order]]
    axes.scatter(places[order, 0], places[order, 1], c=shown, s=size, lw=0, zorder=3)
    counts = np.bincount(classes, minlength=len(labels))
    marks = [
        Line2D([], [], marker="o", ls="", color=colour, label=f"{label}: {count:,}")
        for colour, label, count in zip(colours, labels, counts, strict=True)
        if count
    ]
    head = f"Overlapping tiles\n{len(places):,} of {len(places):,} tiles"
    axes.legend(handles=marks, title=head, loc="upper left", fontsize=9)
    return figure


def coverage_figure(
    plan: "gpd.GeoDataFrame",
    colouring: Colouring | None = None,
    *,
    land: "gpd.GeoDataFrame | None" = None,
    title: str,
    bounds: tuple[float, float, float, float] | None = None,
) -> "Figure":
    """Draw every location of a plan; where squares share a pixel, the highest class shows.

    Args:
        plan: Columns n_acquisitions and geometry (EPSG:4326).
        colouring: Classes and colours of the locations; None for their number of dates.
        land: Polygons of the background.
        title: Heading.
        bounds: What is in view, degrees; a margin is added. None for all locations.
    """
    if colouring is None:
        colouring = series_colouring(plan["n_acquisitions"].to_numpy())
    if bounds is None:
        bounds = tuple(plan.total_bounds) if len(plan) else (-180.0, -60.0, 180.0, 75.0)
    figure, axes = map_axes(bounds, land, title)
    parts, row = shapely.get_parts(plan.geometry.to_numpy(), return_index=True)
    if len(parts) > MANY_SQUARES:
        _paint_pixels(axes, shapely.bounds(parts), colouring.codes[row], colouring.colours)
    elif len(parts):
        _draw_outlines(axes, parts, colouring.codes[row], colouring.colours)
    (xmin, xmax), (ymin, ymax) = axes.get_xlim(), axes.get_ylim()
    inside = shapely.intersects(parts, shapely.box(xmin, ymin, xmax, ymax))
    _class_legend(axes, colouring, len(np.unique(row[inside])))
    return figure


def _draw_outlines(
    axes: "Axes", parts: NDArray[np.object_], classes: NDArray[np.int64], palette: Sequence[str]
) -> None:
    from matplotlib.collections import PolyCollection

    rings = [shapely.get_coordinates(part.exterior) for part in parts]
    colours = [palette[k] for k in classes]
    # A border of its own colour keeps squares visible that are smaller than a pixel.
    axes.add_collection(
        PolyCollection(rings, facecolors=colours, edgecolors=colours, lw=0.3), autolim=False
    )


def _paint_pixels(
    axes: "Axes", boxes: NDArray[np.float64], classes: NDArray[np.int64], palette: Sequence[str]
) -> None:
    from matplotlib.colors import ListedColormap

    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    shape = (round(PAINTED_WIDTH * (y1 - y0) / (x1 - x0) * 1.5), PAINTED_WIDTH)
    image = painted(boxes, classes, (x0, y0, x1, y1), shape)
    axes.imshow(
        np.ma.masked_less(image, 0),
        extent=(x0, x1, y0, y1),
        origin="lower",
        aspect=axes.get_aspect(),
        interpolation="nearest",
        cmap=ListedColormap(list(palette)),
        vmin=-0.5,
        vmax=len(palette) - 0.5,
        zorder=1,
    )


def painted(
    boxes: NDArray[np.float64],
    classes: NDArray[np.int64],
    extent: tuple[float, float, float, float],
    shape: tuple[int, int],
) -> NDArray[np.int8]:
    """Paint boxes onto a grid of pixels, the highest class of each pixel on top.

    Args:
        boxes: (n, 4) xmin, ymin, xmax, ymax.
        classes: (n,) int, class of each box, in [0, 127).
        extent: xmin, ymin, xmax, ymax of the picture, in the units of the boxes.
        shape: Height and width in pixels.

    Returns:
        (height, width) int8, -1 where nothing is; row 0 is the lowest.
    """
    height, width = shape
    xmin, ymin, xmax, ymax = extent
    scale = np.array([width / (xmax - xmin), height / (ymax - ymin)])
    low = np.floor((boxes[:, :2] - (xmin, ymin)) * scale).astype(int)
    high = np.maximum(np.ceil((boxes[:, 2:] - (xmin, ymin)) * scale).astype(int), low + 1)
    image = np.full(shape, -1, dtype=np.int8)
    across, up = (high - low).max(axis=0, initial=0)
    for dx in range(across):
        for dy in range(up):
            x, y = low[:, 0] + dx, low[:, 1] + dy
            hit = (x < high[:, 0]) & (y < high[:, 1]) & (x >= 0) & (y >= 0)
            hit &= (x < width) & (y < height)
            np.maximum.at(image, (y[hit], x[hit]), classes[hit].astype(np.int8))
    return image


def _class_legend(axes: "Axes", colouring: Colouring, in_view: int) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(
            color=colouring.colours[k],
            label=legend_label(f"{colouring.labels[k]}: {colouring.counts[k]:,}"),
        )
        for k in colouring.listed
        if colouring.counts[k]
    ]
    known = len(colouring.codes)
    total = f"{in_view:,} of {known:,} locations" + (" in view" if in_view < known else "")
    axes.legend(handles=handles, title=f"{colouring.name}\n{total}", loc="upper left", fontsize=9)

"""The overlap graph of any number of tiles on geography: edges as pixels, nodes coloured by degree.

A graph library that makes an object of each edge needs minutes for ten thousand tiles. Here edges
are numbers until they are pixels of a canvas tile, so that a campaign opens in seconds.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import shapely

from workbench.geo.tile import Tile
from workbench.viz import palettes
from workbench.viz.embed import OfflineView
from workbench.viz.map_lines import graph_columns, outline_columns
from workbench.viz.maps_base import Legend, OfflineMap, PageScript
from workbench.viz.network import MAX_NODES
from workbench.viz.packing import packed
from workbench.viz.statics import picture
from workbench.viz.statics_maps import graph_figure

if TYPE_CHECKING:
    import geopandas as gpd

DEGREE_STEPS = (0, 1, 2, 3, 5, 9, 17, 31)
"""First degree of each class of colour; above 30 a listing of combinations explodes."""
SCRIPTS = ("packed_layer.js", "map_lines.js", "graph_map.js")


def graph_map(
    tiles: Sequence[Tile],
    graph: "nx.Graph[str]",
    *,
    land: "gpd.GeoDataFrame | None" = None,
    title: str = "Overlap graph of the tiles",
    basemap: str | None = None,
) -> OfflineView:
    """Draw the whole overlap graph where its tiles lie.

    A drag over the histogram of degrees selects tiles, whose ids can be saved as a file; a click
    on a tile shows its connected component as a graph of its own, laid out by its edges. For up
    to some hundred tiles `tile_map` tells more of each.

    Args:
        tiles: At least one; every one is a node of `graph`.
        graph: Tile ids as nodes; edges may carry ``area``, the shared area in m².
        land: Polygons of the background.
        title: Heading over the map.
        basemap: Name of an online basemap of folium, which needs a network; None for none.

    Returns:
        The map and a picture of it.

    Raises:
        ValueError: If there is no tile, or a tile is not in the graph.
    """
    require_nodes(tiles, graph)
    columns, kinds = graph_columns(tiles, graph)
    degree = np.bincount(np.concatenate([columns["a"], columns["b"]]), minlength=len(tiles))
    names = {
        "outlines": "Outlines of the tiles (simplified)",
        "graph": f"{len(columns['a']):,} overlaps",
        "nodes": f"{len(tiles):,} tiles",
    }
    facts = [[tile.id, f"{tile.acquired:%Y-%m-%d %H:%M}"] for tile in tiles]
    text = packed({"tiles": facts, "names": names}, columns | outline_columns(tiles), kinds)
    xmin, ymin, xmax, ymax = shapely.total_bounds([tile.footprint for tile in tiles])
    bounds = (float(xmin), float(ymin), float(xmax), float(ymax))
    canvas = OfflineMap(title, bounds, land=land, basemap=basemap)
    canvas.add_child(Legend(_legend(graph, len(tiles))))
    options = {
        "steps": DEGREE_STEPS,
        "colours": degree_colours(),
        "most": MAX_NODES,
        "title": title,
    }
    canvas.add_child(PageScript("showGraph", text, options, scripts=SCRIPTS))
    places = np.column_stack([columns["node_lon"], columns["node_lat"]]) / 1e4
    edges = np.column_stack([columns["a"], columns["b"]])
    classes = np.searchsorted(DEGREE_STEPS, degree, side="right") - 1
    figure = graph_figure(
        places, edges, classes, _labels(), degree_colours(), bounds, land=land, title=title
    )
    return OfflineView(title, png=picture(figure), page=canvas.page(), height=620)


def degree_colours() -> list[str]:
    """Colour of each class of `DEGREE_STEPS`, light to dark."""
    last = len(DEGREE_STEPS) - 1
    return [palettes.ramp(k / last) for k in range(last + 1)]


def require_nodes(tiles: Sequence[Tile], graph: "nx.Graph[str]") -> None:
    """Raise unless there is a tile, and each is a node."""
    if not tiles:
        raise ValueError("A tile map needs at least one tile, got none.")
    missing = [tile.id for tile in tiles if tile.id not in graph]
    if missing:
        raise ValueError(
            f"Every tile must be a node of the graph, but {len(missing)} are not, "
            f"e.g. {missing[0]!r}.\nBuild the graph from the same tiles: `overlap_graph(tiles)`."
        )


def _labels() -> list[str]:
    ends = [*(step - 1 for step in DEGREE_STEPS[1:]), None]
    pairs = zip(DEGREE_STEPS, ends, strict=True)
    return [f"{a} or more" if b is None else str(a) if a == b else f"{a} to {b}" for a, b in pairs]


def _legend(graph: "nx.Graph[str]", count: int) -> str:
    components = nx.number_connected_components(graph)
    isolated = nx.number_of_isolates(graph)
    return (
        "<details open><summary>Number of overlapping tiles</summary>"
        '<canvas id="wb-degrees" title="Tiles by their number of overlaps; heights are logarithms">'
        "</canvas>"
        '<div>from <input id="wb-low" type="number" aria-label="Fewest overlaps"> to '
        '<input id="wb-high" type="number" aria-label="Most overlaps"> overlaps</div>'
        f'<small><span id="wb-shown">{count:,}</span> of {count:,} tiles selected. '
        '<button id="wb-all" hidden>All</button><button id="wb-save">Save ids</button></small>'
        '<table id="wb-top" class="wb-table"></table>'
        f"<small>{components:,} components, {isolated:,} tiles alone. Drag over the bars to "
        "select, click a tile for its component. Nodes of repeated scenes are spread apart.</small>"
        "</details>"
    )

"""Footprints on an interactive map, with the overlap graph drawn over them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import folium
import networkx as nx
import numpy as np
import shapely

from workbench.escape import html_text
from workbench.geo.tile import Tile
from workbench.viz import palettes
from workbench.viz.embed import OfflineView
from workbench.viz.maps_base import Bounds, Legend, OfflineMap, PageScript, gradient_row, swatch_row
from workbench.viz.maps_graph import require_nodes
from workbench.viz.sketch import drawn_footprint, spread_positions
from workbench.viz.statics import picture
from workbench.viz.statics_maps import tile_map_figure

if TYPE_CHECKING:
    import geopandas as gpd


def tile_map(
    tiles: Sequence[Tile],
    graph: nx.Graph,
    *,
    land: "gpd.GeoDataFrame | None" = None,
    title: str = "Tile footprints and their overlaps",
    basemap: str | None = None,
    tolerance: float = 0.02,
) -> OfflineView:
    """Draw tiles coloured by their number of overlaps, and the overlap graph over them.

    Pointing at a tile lights up its edges; a click lists every tile that covers the place.

    Args:
        tiles: At least one tile; every one is a node of `graph`.
        graph: Tile ids as nodes; edges may carry ``area``, the shared area in m².
        land: Polygons of the background.
        title: Heading over the map.
        basemap: Name of an online basemap of folium, which needs a network; None for none.
        tolerance: How far a drawn outline may be off, in degrees. Only the drawing is simplified.

    Returns:
        The map and a picture of it.

    Raises:
        ValueError: If there is no tile, or a tile is not in the graph.
    """
    require_nodes(tiles, graph)
    degree = dict(graph.degree)
    top = max(degree[tile.id] for tile in tiles)
    colour = {tile.id: palettes.ramp(degree[tile.id] / max(top, 1)) for tile in tiles}
    outlines = {tile.id: drawn_footprint(tile.footprint, tolerance) for tile in tiles}
    place = dict(zip((tile.id for tile in tiles), spread_positions(tiles), strict=True))

    canvas = OfflineMap(title, bounds_of(outlines.values()), land=land, basemap=basemap)
    footprints = _layer("Footprints", _footprint_features(tiles, outlines, colour, degree))
    edges = _layer(f"Overlap graph: {graph.number_of_edges():,} edges", _edges(graph, place))
    nodes = _layer(
        f"Overlap graph: {len(tiles):,} tiles",
        _node_features(tiles, place, colour, degree),
        marker=folium.CircleMarker(radius=4),
    )
    for layer in (footprints, edges, nodes):
        canvas.add_child(layer)
    canvas.add_child(
        PageScript("connectGraph", footprints, edges, nodes, scripts=["tile_graph.js"])
    )
    canvas.add_child(Legend(_legend(graph, top, tolerance)))
    canvas.add_child(folium.LayerControl(collapsed=False))
    figure = tile_map_figure(outlines, graph, place, colour, top, land=land, title=title)
    return OfflineView(title, png=picture(figure), page=canvas.page(), height=600)


def bounds_of(geometries: Iterable[Any]) -> Bounds:
    """Give the box around geometries: xmin, ymin, xmax, ymax in degrees."""
    xmin, ymin, xmax, ymax = shapely.total_bounds(list(geometries))
    return float(xmin), float(ymin), float(xmax), float(ymax)


def _feature(geometry: Any, style: Mapping[str, Any], **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": shapely.geometry.mapping(geometry),
        "properties": {**properties, "style": dict(style)},
    }


def _facts(tile: Tile, degree: Mapping[str, int]) -> dict[str, Any]:
    return {
        "id": tile.id,
        "date": f"{tile.acquired:%Y-%m-%d %H:%M} UTC",
        "group": tile.group or "",
        "degree": degree[tile.id],
    }


def _footprint_features(
    tiles: Sequence[Tile],
    outlines: Mapping[str, Any],
    colour: Mapping[str, str],
    degree: Mapping[str, int],
) -> list[dict[str, Any]]:
    # Large footprints first, so that small ones stay on top and can be pointed at.
    ordered = sorted(tiles, key=lambda tile: (-outlines[tile.id].area, tile.id))
    return [
        _feature(
            outlines[tile.id],
            {
                "color": colour[tile.id],
                "weight": 1,
                "opacity": 0.9,
                "fillColor": colour[tile.id],
                "fillOpacity": 0.28,
            },
            **_facts(tile, degree),
        )
        for tile in ordered
    ]


def _node_features(
    tiles: Sequence[Tile],
    place: Mapping[str, np.ndarray],
    colour: Mapping[str, str],
    degree: Mapping[str, int],
) -> list[dict[str, Any]]:
    style = {"fill": True, "color": "#ffffff", "weight": 1, "opacity": 1, "fillOpacity": 1}
    return [
        _feature(
            shapely.Point(place[tile.id].round(4)),
            {**style, "fillColor": colour[tile.id]},
            **_facts(tile, degree),
        )
        for tile in tiles
    ]


def _edges(graph: nx.Graph, place: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    style = {"color": palettes.INK, "weight": 0.8, "opacity": 0.5}
    features = []
    for a, b, data in sorted(graph.edges(data=True), key=lambda edge: edge[:2]):
        start, end = place[a], place[b].copy()
        end[0] -= 360 * round((end[0] - start[0]) / 360)  # the short way over the antimeridian
        shared = data.get("area")
        km2 = None if shared is None else round(shared / 1e6, 1)
        line = shapely.LineString([start.round(4), end.round(4)])
        features.append(_feature(line, style, a=a, b=b, km2=km2))
    return features


def _layer(name: str, features: list[dict[str, Any]], **options: Any) -> folium.GeoJson:
    return folium.GeoJson(
        {"type": "FeatureCollection", "features": features}, name=name, smooth_factor=0.5, **options
    )


def _legend(graph: nx.Graph, top: int, tolerance: float) -> str:
    isolated = sum(1 for _, degree in graph.degree if degree == 0)
    line = f"height:0;border-top:1.5px solid {palettes.INK};border-radius:0"
    rows = [
        "<details open><summary>Number of overlapping tiles</summary>",
        gradient_row("0", str(top), palettes.ramp_stops()),
        swatch_row(line, f"two tiles overlap ({graph.number_of_edges():,})"),
        f"<small>{html_text(_counts(graph, isolated))}</small>",
        f"<small>Outlines are drawn to within {tolerance * 111:.1g} km; nodes of repeated scenes "
        "are spread apart. Click for all tiles of a place.</small></details>",
    ]
    return "".join(rows)


def _counts(graph: nx.Graph, isolated: int) -> str:
    components = nx.number_connected_components(graph)
    return f"{len(graph):,} of {len(graph):,} tiles, {components:,} components, {isolated} isolated"

"""Outlines and overlap graph of any number of tiles, packed for a page that draws them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from workbench.geo.tile import Tile
from workbench.viz.packing import NUMBERS, packed
from workbench.viz.sketch import drawn_footprint, spread_positions

if TYPE_CHECKING:
    import networkx as nx

DEGREES = 1e4
"""Longitudes and latitudes are drawn in units of 1e-4 degree, about 11 m."""
SIMPLE = 12
"""Outlines of up to this many corners are drawn as they are."""

Columns = dict[str, NDArray[np.int64]]


def outline_columns(tiles: Sequence[Tile], tolerance: float = 0.02) -> Columns:
    """Rings of the tiles' outlines: `ring_lon`, `ring_lat` (1e-4 degree) and `ring_lengths`.

    Args:
        tiles: At least one.
        tolerance: How far an outline of more than `SIMPLE` corners may be off, in degrees.
    """
    footprints = np.array([tile.footprint for tile in tiles])
    many = np.flatnonzero(shapely.get_num_coordinates(footprints) > SIMPLE)
    for i in many:
        footprints[i] = drawn_footprint(footprints[i], tolerance)
    rings = shapely.get_rings(shapely.get_parts(footprints))
    points, of = shapely.get_coordinates(rings, return_index=True)
    units = np.rint(points * DEGREES).astype(np.int64)
    lengths = np.bincount(of, minlength=len(rings))
    return {"ring_lon": units[:, 0], "ring_lat": units[:, 1], "ring_lengths": lengths}


def graph_columns(
    tiles: Sequence[Tile], graph: "nx.Graph[str]"
) -> tuple[Columns, Mapping[str, str]]:
    """Nodes `node_lon`, `node_lat` (1e-4 degree); edges `a`, `b` (numbers of tiles), `hectares`.

    Args:
        tiles: The nodes, in the order of their numbers. At least one; each is in `graph`.
        graph: Edges may carry ``area``, m²; edges to other tiles are left out.

    Returns:
        The columns, and the kinds of those that are not packed as steps.
    """
    units = np.rint(spread_positions(tiles) * DEGREES).astype(np.int64)
    number = {tile.id: i for i, tile in enumerate(tiles)}
    edges = _edges(graph, number)
    return {"node_lon": units[:, 0], "node_lat": units[:, 1], **edges}, {"hectares": NUMBERS}


def _edges(graph: "nx.Graph[str]", number: Mapping[str, int]) -> Columns:
    rows: list[tuple[int, int, int]] = []
    for a, b, known in graph.edges(data=True):
        if a in number and b in number:
            area = known.get("area")
            first, second = sorted((number[a], number[b]))
            rows.append((first, second, -1 if area is None else round(area / 1e4)))
    table = np.array(sorted(rows), dtype=np.int64).reshape(-1, 3)
    return {"a": table[:, 0], "b": table[:, 1], "hectares": table[:, 2]}


def packed_overlays(
    tiles: Sequence[Tile], graph: "nx.Graph[str] | None", names: Mapping[str, str]
) -> str:
    """Pack outlines and, where one is given, the overlap graph, as layers of a map.

    Args:
        tiles: At least one.
        graph: Their overlap graph, or None.
        names: Of the layers, "outlines" and "graph".
    """
    columns: Columns = outline_columns(tiles)
    kinds: Mapping[str, str] = {}
    if graph is not None:
        more, kinds = graph_columns(tiles, graph)
        columns |= more
    header: dict[str, Any] = {"names": dict(names)}
    return packed(header, columns, kinds)

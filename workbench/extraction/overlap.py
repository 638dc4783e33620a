"""Which tiles see the same ground: the overlap graph."""

from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from workbench.extraction.tiles import require_distinct_ids
from workbench.geo.footprint import area_m2
from workbench.geo.threads import in_threads
from workbench.geo.tile import Tile


@dataclass(frozen=True)
class Overlaps:
    """The overlapping pairs of N tiles as arrays, for work that needs no graph object."""

    first: NDArray[np.int64]
    """(E,) index of one tile of each pair."""
    second: NDArray[np.int64]
    """(E,) index of the other, always larger."""
    shared: NDArray[np.object_]
    """(E,) common ground in EPSG:4326."""
    area: NDArray[np.float64]
    """(E,) its area in m²."""
    component: NDArray[np.int64]
    """(N,) number of the connected component each tile belongs to."""


def overlaps(footprints: NDArray[np.object_], *, min_area: float = 0.0) -> Overlaps:
    """Find all pairs of (N,) footprints (EPSG:4326) that share more than `min_area` m²."""
    first, second = _meeting(footprints)
    shared = in_threads(shapely.intersection, footprints[first], footprints[second])
    area = area_m2(shared)
    keep = area > min_area
    first, second = first[keep], second[keep]
    component = _components(first, second, len(footprints))
    return Overlaps(first, second, shared[keep], area[keep], component)


def independent_groups(footprints: NDArray[np.object_]) -> NDArray[np.int64]:
    """Number (N,) footprints by groups that share no ground.

    Cheaper than `overlaps`, as no intersection is made; those that only touch are in one group.
    """
    return _components(*_meeting(footprints), len(footprints))


def _components(
    first: NDArray[np.int64], second: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    links = coo_array((np.ones(len(first)), (first, second)), shape=(size, size))
    return connected_components(links, directed=False)[1].astype(np.int64)


def _meeting(footprints: NDArray[np.object_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the pairs of footprints that have a point in common, each once."""
    tree = shapely.STRtree(footprints)
    first, second = in_threads(
        lambda part: _pairs(tree, footprints, part), np.arange(len(footprints))
    ).T
    once = first < second  # the query gives each pair twice, and each tile with itself
    return first[once], second[once]


def _pairs(
    tree: shapely.STRtree, footprints: NDArray[np.object_], part: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(P, 2) pairs of a footprint of `part` and one of all that it meets."""
    first, second = tree.query(footprints[part], predicate="intersects")
    return np.column_stack([part[first], second])


def overlap_graph(tiles: Sequence[Tile], *, min_area: float = 0.0) -> "nx.Graph[str]":
    """Connect every two tiles whose footprints overlap.

    A tile that overlaps no other stays in the graph as an isolated node, so that the connected
    components partition *all* tiles into independent work. Tiles of any UTM zones may be mixed;
    those on both sides of the antimeridian must be split there (RFC 7946, 3.1.9).

    Args:
        tiles: Tiles with distinct ids.
        min_area: Shared area above which two tiles are joined, in m². Footprints that only touch
            share 0 m² and are never joined.

    Returns:
        Undirected graph. Nodes are tile ids in the order given; each edge has ``area``, the shared
        area in m² on the WGS84 ellipsoid.

    Raises:
        TileError: If two tiles have the same id.
        ValueError: If `min_area` is negative.

    Example:
        >>> from datetime import datetime
        >>> from shapely import box
        >>> day = datetime(2022, 6, 1)
        >>> a = Tile("a", day, box(10, 50, 10.4, 50.3), "EPSG:32632")
        >>> b = Tile("b", day, box(10.3, 50, 10.7, 50.3), "EPSG:32632")
        >>> round(overlap_graph([a, b]).edges["a", "b"]["area"] / 1e6)  # km²
        239
    """
    if min_area < 0:
        raise ValueError(f"min_area must be >= 0 m², got {min_area!r}.")
    require_distinct_ids(tiles)
    ids = [tile.id for tile in tiles]
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(ids)
    if tiles:
        pairs = overlaps(np.array([t.footprint for t in tiles], dtype=object), min_area=min_area)
        ends = zip(pairs.first.tolist(), pairs.second.tolist(), pairs.area.tolist(), strict=True)
        graph.add_edges_from((ids[i], ids[j], {"area": area}) for i, j, area in ends)
    return graph

"""Footprints and graph nodes as they are drawn, which is simpler than as they are."""

from collections.abc import Sequence

import numpy as np
import shapely
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from shapely.geometry.base import BaseGeometry

from workbench.geo.tile import Tile


def drawn_footprint(footprint: BaseGeometry, tolerance: float) -> BaseGeometry:
    """Simplify a footprint for drawing: gaps, steps and crumbs below the tolerance vanish.

    Footprints put together from thousands of cells are stairs with holes; a map of them is heavy
    and shows nothing more. Areas and overlaps are never computed from this outline.

    Args:
        footprint: Polygon or multipolygon, longitude/latitude.
        tolerance: Largest distance by which the outline may move, in degrees.

    Returns:
        A polygon or multipolygon, never empty.
    """
    closed = footprint.buffer(tolerance, join_style="mitre").buffer(-tolerance, join_style="mitre")
    parts = [
        shapely.Polygon(part.exterior, [r for r in part.interiors if _wide(r, tolerance)])
        for part in shapely.get_parts(closed)
    ]
    large = [part for part in parts if part.area > (4 * tolerance) ** 2] or parts
    outline = shapely.set_precision(shapely.union_all(large).simplify(tolerance / 2), 1e-4)
    return footprint if outline.is_empty else outline


def _wide(ring: shapely.LinearRing, tolerance: float) -> bool:
    return shapely.Polygon(ring).area > (8 * tolerance) ** 2


def spread_positions(tiles: Sequence[Tile], *, spacing_m: float | None = None) -> np.ndarray:
    """Place the tiles as nodes of a graph, so that repeated scenes do not hide each other.

    A node stands on the centroid of its footprint. Centroids closer than `spacing_m` are dealt
    out on a spiral around their mean, in order of time.

    Args:
        tiles: At least one tile.
        spacing_m: Smallest wanted distance of two nodes, in metres. The default is a twelfth of
            the side of a typical tile.

    Returns:
        (n, 2) float, longitude and latitude in degrees, in the order of `tiles`.
    """
    footprints = np.array([tile.footprint for tile in tiles])
    centre = _middles(footprints)  # (n, 2)
    metres = 111_195.0 * np.column_stack(  # per degree of longitude and latitude
        [np.cos(np.radians(np.clip(centre[:, 1], -85, 85))), np.ones(len(centre))]
    )
    if spacing_m is None:
        side = np.sqrt(shapely.area(footprints) * metres.prod(axis=1))
        spacing_m = float(np.median(side)) / 12
    group = _near_groups(centre, spacing_m)
    position = centre.copy()
    for members in np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1]):
        if len(members) > 1:
            by_time = sorted(members, key=lambda i: (tiles[i].acquired, tiles[i].id))
            # Vogel's spiral: neighbours keep about the same distance however many there are.
            turn = np.arange(1, len(members) + 1)
            radius = 0.75 * spacing_m * np.sqrt(turn)
            angle = turn * np.pi * (3 - np.sqrt(5))
            offset = np.column_stack([np.cos(angle), np.sin(angle)]) * radius[:, None]
            near = centre[members]
            near[:, 0] -= 360 * np.rint((near[:, 0] - near[0, 0]) / 360)  # on one side of 180°
            position[by_time] = near.mean(axis=0) + offset / metres[by_time]
    return position


def _middles(footprints: np.ndarray) -> np.ndarray:
    """(n, 2) centroids; one over the antimeridian lies near it, not half a world away."""
    outlines = footprints.copy()
    xmin, _, xmax, _ = shapely.bounds(footprints).T
    for i in np.flatnonzero(xmax - xmin > 180):
        outlines[i] = shapely.transform(
            footprints[i], lambda xy: np.column_stack([xy[:, 0] % 360, xy[:, 1]])
        )
    centre = shapely.get_coordinates(shapely.centroid(outlines))
    centre[centre[:, 0] > 180, 0] -= 360
    return centre


def _near_groups(centre: np.ndarray, spacing_m: float) -> np.ndarray:
    """Number the groups of points that are chained by steps shorter than the spacing."""
    lon, lat = np.radians(centre).T
    sphere = np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    pairs = cKDTree(sphere * 6_371_000).query_pairs(spacing_m, output_type="ndarray")
    size = len(centre)
    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    return connected_components(links, directed=False)[1]

"""Footprints: areas in m², straight edges carried into another projection, the antimeridian seam.

A footprint's edges are straight in longitude/latitude (RFC 7946, 3.1.1). Everything here keeps to
that one definition: areas integrate along those edges, and projecting adds vertices to them.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod, Transformer
from shapely.geometry.base import BaseGeometry

WGS84 = Geod(ellps="WGS84")
EARTH_RADIUS = 6_378_137.0

_POLYGON = 3
# Nodes and weights of Gauss-Legendre quadrature on [0, 1].
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(3)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2

Geometries = Sequence[BaseGeometry] | NDArray[np.object_]


def area_m2(geometries: Geometries) -> NDArray[np.float64]:
    """Measure polygons given in longitude/latitude on the WGS84 ellipsoid.

    The area under an edge is the integral of the authalic function q(latitude) over longitude,
    exact for edges that are straight in longitude/latitude, at any latitude and any size. Points
    and lines measure 0.

    Args:
        geometries: (N,) geometries in EPSG:4326.

    Returns:
        (N,) areas in m².

    References:
        Snyder, Map Projections: A Working Manual (USGS 1395, 1987), eq. 3-12, for q.

    Example:
        >>> from shapely import box
        >>> [round(a / 1e6) for a in area_m2([box(0, 0, 1, 1), box(0, 60, 1, 61)])]
        [12308, 6123]
    """
    geometries = np.asarray(geometries, dtype=object)
    polygons, owner = _polygon_parts(geometries)
    rings, ring_polygon = shapely.get_rings(polygons, return_index=True)
    is_shell = np.ones(len(rings), dtype=bool)
    is_shell[1:] = ring_polygon[1:] != ring_polygon[:-1]  # the shell comes first, then the holes
    area = np.abs(_ring_integrals(rings))
    signed = np.where(is_shell, area, -area)
    return np.bincount(owner[ring_polygon], signed, len(geometries)).astype(np.float64)


def _polygon_parts(geometries: NDArray[np.object_]) -> tuple[NDArray, NDArray]:
    """Split collections into polygons, leaving out the rest, and say whose part each is."""
    parts, owner = shapely.get_parts(geometries, return_index=True)
    if (shapely.get_type_id(parts) > _POLYGON).any():  # a collection held a multi-polygon
        parts, inner = shapely.get_parts(parts, return_index=True)
        owner = owner[inner]
    keep = (shapely.get_type_id(parts) == _POLYGON) & ~shapely.is_empty(parts)
    return parts[keep], owner[keep]


def _ring_integrals(rings: NDArray[np.object_]) -> NDArray[np.float64]:
    """(R,) signed areas in m²: the sum over edges of Δλ · mean of a²/2 · q(φ) along the edge."""
    points, ring = shapely.get_coordinates(rings, return_index=True)
    lon, lat = np.radians(points).T
    joined = ring[1:] == ring[:-1]
    width = np.diff(lon)
    mean = np.zeros_like(width)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        mean += weight * _authalic_q(lat[:-1] + node * np.diff(lat))
    edges = np.where(joined, width * mean * EARTH_RADIUS**2 / 2, 0.0)
    return np.bincount(ring[:-1], edges, len(rings)).astype(np.float64)


def _authalic_q(lat: NDArray[np.float64]) -> NDArray[np.float64]:
    e2 = WGS84.es
    e = np.sqrt(e2)
    sine = np.sin(lat)
    return (1 - e2) * (sine / (1 - e2 * sine**2) + np.arctanh(e * sine) / e)


def split_at_antimeridian(geometries: Geometries) -> NDArray[np.object_]:
    """Cut what reaches beyond longitude ±180 there and bring the outer part back into range.

    Args:
        geometries: (N,) polygons whose longitudes may lie in [-540, 540].

    Returns:
        (N,) geometries within [-180, 180]; those inside already are the same objects.
    """
    found = np.array(geometries, dtype=object)
    bounds = shapely.bounds(found).reshape(-1, 4)
    for i in np.flatnonzero((bounds[:, 0] < -180) | (bounds[:, 2] > 180)):
        parts = [part for turn in (-1, 0, 1) for part in _on_turn(found[i], turn)]
        found[i] = parts[0] if len(parts) == 1 else shapely.multipolygons(parts)
    return found


def _on_turn(geometry: BaseGeometry, turn: int) -> list[BaseGeometry]:
    """Polygons of what lies on one turn of the Earth, brought back to longitudes in [-180, 180]."""
    piece = shapely.intersection(geometry, shapely.box(turn * 360 - 180, -90, turn * 360 + 180, 90))
    parts, _ = _polygon_parts(np.array([piece], dtype=object))  # slivers may be left as lines
    shift = np.array([turn * 360.0, 0.0])

    def back(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return points - shift

    return list(shapely.transform(parts, back)) if len(parts) else []


def densified(geometries: Geometries, *, max_bend: float) -> NDArray[np.object_]:
    """Add vertices so that edges stay where they are when only vertices are projected.

    An edge of ground length L that is straight in longitude/latitude leaves the straight line of a
    conformal projection by at most L² · tan(latitude) / (8 · Earth radius).

    Args:
        geometries: (N,) geometries in EPSG:4326.
        max_bend: How far an edge may leave its chord, in metres, > 0.

    Returns:
        (N,) geometries with the same outline and more vertices.
    """
    found = np.asarray(geometries, dtype=object)
    bounds = shapely.bounds(found).reshape(-1, 4)
    lat = np.minimum(np.abs(bounds[:, [1, 3]]).max(axis=1), 89.9)
    longest = np.sqrt(8 * EARTH_RADIUS * max_bend / np.maximum(np.tan(np.radians(lat)), 0.02))
    return shapely.segmentize(found, np.degrees(longest / EARTH_RADIUS))


@lru_cache(maxsize=256)
def transformer(source: str, target: str) -> Transformer:
    """Give the transformation between two CRS with (x, y) order; made once, as it is costly."""
    return Transformer.from_crs(source, target, always_xy=True)


def projected(geometries: Geometries, source: str, target: str) -> NDArray[np.object_]:
    """Project the vertices of (N,) geometries from one CRS to another; edges follow their ends."""
    apply = transformer(source, target).transform

    def move(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(apply(xy[:, 0], xy[:, 1]))

    return shapely.transform(np.asarray(geometries, dtype=object), move)

"""From a mask of valid pixels to a footprint: simplified inwards, then in longitude/latitude."""

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon

from workbench.errors import TileError
from workbench.geo.footprint import projected, split_at_antimeridian
from workbench.geo.grid import PixelGrid
from workbench.geo.raster_grids import mask_polygons

_FEW_CORNERS = 16
_EDGE = 500.0
"""Longest edge in metres that is projected as one. At latitude 60° the straight edge in
longitude/latitude then stays within 9 mm of the one in the projection."""


def valid_outline(
    mask: NDArray[np.bool_], grid: PixelGrid, *, tolerance: float = 1.0
) -> Polygon | MultiPolygon:
    """Outline the valid pixels of a raster, never claiming ground outside them.

    The staircase of a rotated footprint is drawn in by `tolerance` and then straightened by at
    most as much, so that the outline stays inside the valid pixels and loses at most
    2 × `tolerance` at its edges. An outline with few corners (a square patch) is kept exactly.
    Holes stay holes.

    Args:
        mask: (H, W) bool, True where a pixel is valid.
        grid: Where the pixels lie.
        tolerance: In pixels, >= 0; 0 keeps every corner of the staircase.

    Returns:
        Valid polygon in the grid's CRS.

    Raises:
        TileError: If no pixel is valid, or the mask does not fit the grid.

    Example:
        >>> grid = PixelGrid.from_bounds("EPSG:32632", (600000, 5399700, 600300, 5400000), 30)
        >>> mask = np.zeros(grid.shape, dtype=bool)
        >>> mask[2:6, 3:5] = True
        >>> valid_outline(mask, grid).bounds
        (600090.0, 5399820.0, 600150.0, 5399940.0)
    """
    if mask.shape != grid.shape:
        raise TileError(f"A mask must fit its grid, but {mask.shape} is not {grid.shape}.")
    if not mask.any():
        raise TileError("A footprint needs valid pixels, but the raster has none.")
    exact = shapely.union_all(mask_polygons(mask, grid))
    if tolerance == 0 or shapely.get_num_coordinates(exact) <= _FEW_CORNERS:
        return _polygonal(exact)
    reach = tolerance * max(grid.resolution)
    drawn_in = exact.buffer(-reach, join_style="mitre")
    simple = drawn_in.simplify(reach)
    return _polygonal(exact if simple.is_empty else simple)


def lonlat_footprint(outline: Polygon | MultiPolygon, crs: str) -> Polygon | MultiPolygon:
    """Carry an outline to EPSG:4326 with its edges where they are, split at the antimeridian.

    Args:
        outline: Polygon in `crs`, whose unit is the metre; or already in EPSG:4326.
        crs: Reference system of the outline.

    Returns:
        Valid polygon in longitude/latitude; each vertex to 1e-7 degrees (1 cm).
    """
    if crs == "EPSG:4326":
        return outline
    found = projected([shapely.segmentize(outline, _EDGE)], crs, "EPSG:4326")
    whole = split_at_antimeridian(shapely.transform(found, _unwrapped))[0]
    return _polygonal(shapely.set_precision(whole, 1e-7))


def _unwrapped(lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Longitudes within 180° of the first, so that no edge runs around the Earth."""
    lon = lonlat[:, 0]
    turns = np.round((lon - lon[0]) / 360)
    return np.column_stack([lon - 360 * turns, lonlat[:, 1]])


def _polygonal(geometry: shapely.Geometry) -> Polygon | MultiPolygon:
    """The geometry as what a footprint may be; rings that touch themselves are cut there."""
    parts = shapely.get_parts(shapely.make_valid(geometry))
    polygons = [p for p in parts if isinstance(p, Polygon) and p.area > 0]
    return polygons[0] if len(polygons) == 1 else MultiPolygon(polygons)

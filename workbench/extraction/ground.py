"""Which locations share ground: squares of one zone compared as squares, all others as polygons."""

from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

from workbench.geo.footprint import EARTH_RADIUS, area_m2, transformer

if TYPE_CHECKING:
    import geopandas as gpd

BOUNDS = ["xmin", "ymin", "xmax", "ymax"]
SLIVER = 1e-3
"""Share of the smaller polygon up to which an overlap is only the bend of edges: 4 km that are
straight in their zone bend by under 3 m in longitude/latitude, 0.05 % of the square."""

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]


def overlapping_pairs(left: "gpd.GeoDataFrame", right: "gpd.GeoDataFrame") -> Pairs:
    """Find which rows of two tables of locations share ground; what only touches does not.

    Two squares of one CRS are compared by their metres there. Others, and tables without
    `xmin … ymax`, are compared as polygons, where slivers do not count.

    Args:
        left: (N,) locations: geometry in EPSG:4326; crs, xmin, ymin, xmax, ymax where known.
        right: (M,) locations; may be the same table, whose rows then also meet themselves.

    Returns:
        Two (P,) arrays: row numbers in `left` and in `right`.
    """
    mine, other = left.geometry.to_numpy(), right.geometry.to_numpy()
    first, second = shapely.STRtree(other).query(mine)  # boxes meet: cheap, and squares are next
    as_squares = np.zeros(len(first), dtype=bool)
    overlap = np.zeros(len(first), dtype=bool)
    if all(set(BOUNDS) | {"crs"} <= set(table.columns) for table in (left, right)):
        as_squares = left["crs"].to_numpy()[first] == right["crs"].to_numpy()[second]
        one, two = left[BOUNDS].to_numpy(float)[first], right[BOUNDS].to_numpy(float)[second]
        size = np.minimum(one[:, 2:], two[:, 2:]) - np.maximum(one[:, :2], two[:, :2])
        overlap = as_squares & (size > 1e-6).all(axis=1)  # a micrometre: rounding of coordinates
    rest = np.flatnonzero(~as_squares)
    a, b = mine[first[rest]], other[second[rest]]
    shared = area_m2(shapely.intersection(a, b))
    overlap[rest] = shared > SLIVER * np.minimum(area_m2(a), area_m2(b))
    return first[overlap], second[overlap]


def shared_ground_m2(left: "gpd.GeoDataFrame", right: "gpd.GeoDataFrame", pairs: Pairs) -> float:
    """Measure the ground that both tables cover, each place once, in m² on the ellipsoid."""
    first, second = pairs
    pieces = shapely.intersection(
        left.geometry.to_numpy()[first], right.geometry.to_numpy()[second]
    )
    return float(area_m2([shapely.union_all(pieces)])[0])


def centres(plan: "gpd.GeoDataFrame") -> NDArray[np.float64]:
    """Place the centres of squares on a sphere: (N, 3) metres, so that distances need no zone."""
    x = (plan["xmin"] + plan["xmax"]).to_numpy(float) / 2
    y = (plan["ymin"] + plan["ymax"]).to_numpy(float) / 2
    crs = plan["crs"].astype(str).to_numpy()
    lon, lat = np.zeros(len(plan)), np.zeros(len(plan))
    for name in sorted(set(crs)):
        here = crs == name
        lon[here], lat[here] = transformer(name, "EPSG:4326").transform(x[here], y[here])
    lon, lat = np.radians(lon), np.radians(lat)
    around = np.cos(lat)
    return EARTH_RADIUS * np.column_stack([around * np.cos(lon), around * np.sin(lon), np.sin(lat)])

"""What was selected on a map, applied to a plan or manifest: by ids, by a box, by a polygon."""

import json
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

if TYPE_CHECKING:
    import geopandas as gpd

FORMAT, VERSION = "workbench-selection", 1


def select_locations(
    table: "gpd.GeoDataFrame",
    *,
    ids: Iterable[str] | None = None,
    bounds: tuple[float, float, float, float] | None = None,
    shape: BaseGeometry | None = None,
) -> "gpd.GeoDataFrame":
    """Keep the rows of a plan or manifest that belong to selected locations.

    Args:
        table: Columns location_id and geometry (EPSG:4326); one row a location or a patch.
        ids: Selected locations.
        bounds: (west, south, east, north) in degrees; a location is selected if the centre of its
            square lies within. West above east means a box over the antimeridian.
        shape: Polygon in EPSG:4326, as `bounds`.

    Returns:
        Rows in their order and with their index. Of several conditions all must hold.

    Raises:
        ValueError: If nothing is asked for, a box has no extent, or an id is not in the table.

    Example:
        >>> import geopandas as gpd
        >>> squares = [shapely.box(x, 0, x + 1, 1) for x in (0, 10)]
        >>> table = gpd.GeoDataFrame({"location_id": ["a", "b"]}, geometry=squares, crs=4326)
        >>> select_locations(table, bounds=(9, 0, 12, 2))["location_id"].tolist()
        ['b']
    """
    if ids is None and bounds is None and shape is None:
        raise ValueError("A selection needs ids, bounds or a shape, but none is given.")
    keep = np.ones(len(table), dtype=bool)
    if ids is not None:
        keep &= table["location_id"].isin(_known(table, list(ids))).to_numpy()
    if bounds is not None or shape is not None:
        x, y = centres(table)
        if bounds is not None:
            keep &= _in_box(x, y, bounds)
        if shape is not None:
            keep &= shapely.contains_xy(shape, x, y)
    return table[keep]


def read_selection(path: str | PathLike[str]) -> list[str]:
    """Read the ids of a file that a map saved ("Save ids").

    Raises:
        ValueError: If the file is none of a map.
    """
    path = Path(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(
            f"A selection must be a file that a map saved, but {path.name} is none.\n"
            "Press 'Save ids' on a map, or pass the ids themselves to `select_locations`."
        )
    if found.get("version") != VERSION:
        raise ValueError(
            f"A selection of version {VERSION} is read here, but {path.name} has version "
            f"{found.get('version')!r}.\nSave it again from a map of this version."
        )
    ids = found.get("ids")
    if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
        raise ValueError(f"A selection must list ids as texts, but {path.name} does not.")
    return ids


def _known(table: "gpd.GeoDataFrame", ids: list[str]) -> list[str]:
    have = set(table["location_id"])
    missing = [name for name in ids if name not in have]
    if missing:
        raise ValueError(
            f"Selected locations must be in the table, but {len(missing):,} of {len(ids):,} are "
            f"not, e.g. {missing[0]!r}.\nUse the plan or manifest that the map was made from."
        )
    return ids


def centres(table: "gpd.GeoDataFrame") -> tuple[np.ndarray, np.ndarray]:
    """Give longitude and latitude of the middle of each square, also over the antimeridian.

    Args:
        table: Column geometry, EPSG:4326.
    """
    outlines = table.geometry.to_numpy()
    xmin, ymin, xmax, ymax = shapely.bounds(outlines).T
    # A square over the antimeridian is stored in two parts, whose box is the whole world.
    wide = np.flatnonzero(xmax - xmin > 180)
    points = shapely.get_coordinates(outlines[wide], return_index=True)
    for k, row in enumerate(wide):
        lon = points[0][points[1] == k, 0] % 360
        xmin[row], xmax[row] = lon.min(), lon.max()
    x = (xmin + xmax) / 2
    return np.where(x > 180, x - 360, x), (ymin + ymax) / 2


def _in_box(x: np.ndarray, y: np.ndarray, bounds: tuple[float, float, float, float]) -> np.ndarray:
    west, south, east, north = bounds
    if south > north or west == east:
        raise ValueError(
            f"Bounds must be (west, south, east, north) with south below north, got {bounds}."
        )
    across = (x >= west) & (x <= east) if west < east else (x >= west) | (x <= east)
    return across & (y >= south) & (y <= north)

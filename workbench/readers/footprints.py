"""Vector files: footprints with or without dates, and the outline of land."""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

from workbench.catalog import Entry
from workbench.errors import CRSMismatchError, TileError, WorkbenchError
from workbench.files import opened_once
from workbench.geo.dates import is_missing
from workbench.geo.footprint import split_at_antimeridian
from workbench.geo.raster import raster_info
from workbench.geo.tile import Tile, tiles_from_geodataframe
from workbench.readers.enmap import enmap_grid

if TYPE_CHECKING:
    import geopandas as gpd

log = logging.getLogger(__name__)

UNDATED = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for "no date is known". All undated tiles share it, so together they are never more than
one date and no temporal views arise from them."""
_ANTARCTIC_SOUTH_OF = -63.0


def read_footprints(entry: Entry) -> list[Tile]:
    """Read a vector file of dated footprints.

    Args:
        entry: Entry of layout "footprints": one file with the columns id, acquired and crs, and
            group, path and grid if there are any, as `tile_frame` writes it. Relative paths start
            at the folder of the file. Where no grid is stated, it is read off the header of the
            raster or EnMAP product at the path, if that is there.

    Returns:
        Tiles in the order of the file.

    Raises:
        CatalogError: If the file cannot be had.
        CRSMismatchError: If it has no CRS.
        TileError: If a column is missing, or footprints cannot be used; all of them are named.
    """
    path, frame = _read_vector(entry)
    optional = {name: name for name in ("path", "group", "grid") if name in frame.columns}
    if "crs" not in frame.columns:
        raise TileError(
            f"Entry {entry.name!r}: the footprints must have a column 'crs', the pixels' CRS.\n"
            f"There are: {', '.join(map(str, frame.columns))}."
        )
    if "path" in optional:
        frame = frame.assign(
            path=[None if is_missing(p) else str(path.parent / str(p)) for p in frame["path"]]
        )
    return [_with_grid(tile) for tile in tiles_from_geodataframe(frame, **optional)]


def _with_grid(tile: Tile) -> Tile:
    """State the grid of a tile by the header of its pixels, where there are any and it is not."""
    if tile.grid is not None or tile.path is None or not tile.path.exists():
        return tile
    try:
        grid = enmap_grid(tile.path) if tile.path.is_dir() else raster_info(tile.path).grid
    except WorkbenchError as error:
        log.warning(
            "the pixel grid of tile %s is not known: %s", tile.id, str(error).splitlines()[0]
        )
        return tile
    return replace(tile, grid=grid)


def read_wrs2_grid(entry: Entry) -> list[Tile]:
    """Read the scene footprints of the WRS-2 grid; they have no dates and all get `UNDATED`.

    Landsat delivers a scene in the UTM zone of its centre, with northern codes in the south too
    (northings are negative there), and Antarctica south of 63° S in polar stereographic EPSG:3031.

    Args:
        entry: Entry of layout "wrs2_grid": one vector file with the column id.

    Returns:
        Tiles in the order of the file. Footprints that are empty, invalid or no polygons are left
        out, counted and logged. What crosses the antimeridian is a multi-polygon split there.

    Raises:
        CatalogError: If the file cannot be had.
        CRSMismatchError: If it has no CRS.
        TileError: If the column id is missing.
    """
    _, frame = _read_vector(entry)
    if "id" not in frame.columns:
        raise TileError(
            f"Entry {entry.name!r}: the grid must have a column 'id'.\n"
            f"There are: {', '.join(map(str, frame.columns))}."
        )
    frame = frame.to_crs("EPSG:4326")
    shapes = frame.geometry.to_numpy()
    polygonal = np.isin(shapely.get_type_id(shapes), [3, 6])
    usable = polygonal & shapely.is_valid(shapes) & ~shapely.is_empty(shapes)
    if not usable.all():
        log.warning(
            "%d of %d footprints of %r are empty, invalid or no polygons and are left out",
            int((~usable).sum()),
            len(usable),
            entry.name,
        )
    shapes = shapes[usable]
    names = frame["id"].astype(str)[usable]
    return [
        Tile(id=name, acquired=UNDATED, footprint=shape, crs=crs)
        for name, shape, crs in zip(names, shapes, _landsat_crs(shapes), strict=True)
    ]


def _landsat_crs(shapes: NDArray[np.object_]) -> list[str]:
    """Landsat's choice of CRS by the middle of each footprint's extent."""
    parts, owner = shapely.get_parts(shapes, return_index=True)
    xmin, _, xmax, _ = shapely.bounds(parts).T
    whole = shapely.bounds(shapes)
    split = (whole[:, 0] == -180) & (whole[:, 2] == 180)
    turn = 360 * (split[owner] & (xmax <= 0))  # bring the far side of the antimeridian back
    count = len(shapes)
    west, east = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(west, owner, xmin + turn)
    np.maximum.at(east, owner, xmax + turn)
    zone = np.floor(((west + east) / 2 + 180) / 6).astype(int) % 60 + 1
    antarctic = (whole[:, 1] + whole[:, 3]) / 2 < _ANTARCTIC_SOUTH_OF
    return [
        f"EPSG:{3031 if south else 32600 + z}" for south, z in zip(antarctic, zone, strict=True)
    ]


def read_land_outline(entry: Entry) -> "gpd.GeoDataFrame":
    """Read the land polygons that lie under every offline map.

    Args:
        entry: Entry of layout "land_outline": one vector file (or a shapefile with its parts).

    Returns:
        One row per country with `name` (empty where the file has none) and geometry in EPSG:4326,
        within longitude [-180, 180]; what reached beyond is split at the antimeridian.

    Raises:
        CatalogError: If the file cannot be had.
        CRSMismatchError: If it has no CRS.
    """
    import geopandas as gpd

    _, frame = _read_vector(entry)
    if not frame.crs.is_geographic:
        frame = frame.to_crs("EPSG:4326")
    names = frame["name"].astype(str) if "name" in frame.columns else [""] * len(frame)
    shapes = split_at_antimeridian(shapely.transform(frame.geometry.to_numpy(), _to_seam))
    return gpd.GeoDataFrame({"name": list(names)}, geometry=list(shapes), crs="EPSG:4326")


def _to_seam(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put longitudes that miss ±180 by a rounding error (within 1 mm) onto it."""
    near = np.abs(np.abs(points[:, 0]) - 180) < 1e-8
    longitude = np.where(near, np.copysign(180.0, points[:, 0]), points[:, 0])
    return np.column_stack([longitude, points[:, 1]])


def _read_vector(entry: Entry) -> "tuple[Path, gpd.GeoDataFrame]":
    """The one vector file of an entry; its CRS must be stated."""
    import geopandas as gpd

    files = entry.files()
    main = [path for path in files if path.suffix.lower() == ".shp"]
    path = main[0] if len(main) == 1 else entry.file()
    if path.suffix.lower() in (".parquet", ".geoparquet"):
        with opened_once(path) as file:
            frame = gpd.read_parquet(file)
    else:
        frame = gpd.read_file(path)
    if frame.crs is None:
        raise CRSMismatchError(
            f"Footprints need a CRS, but {path.name} of entry {entry.name!r} has none.\n"
            "Write it into the file with `frame.set_crs(...)`; it is not guessed."
        )
    return path, frame

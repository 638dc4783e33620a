"""BigEarthNet's scenes as tiles: the ground that the patches of one tile and datatake cover."""

from typing import Literal

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry import MultiPolygon, Polygon

from workbench.catalog import Entry
from workbench.geo.grid import PixelGrid
from workbench.geo.mgrs import mgrs_square
from workbench.geo.tile import Tile
from workbench.readers.bigearthnet import CELL, read_bigearthnet_patches

_GSD = 10
"""Side of the finest pixels, metres; the coarser ones lie on the same lines."""
_SIDE = 109_800
"""Side of a Sentinel-2 tile, metres."""
_PIXEL = 60
"""Sentinel-2 tiles begin on a multiple of their coarsest pixel, outside the 100 km square."""


def read_bigearthnet_scenes(
    entry: Entry, *, footprint: Literal["patches", "extent"] = "patches"
) -> list[Tile]:
    """Read the scenes of BigEarthNet: one tile per Sentinel-2 tile and datatake.

    `Tile.group` is the overpass and `Tile.acquired` its beginning: the datatake times in the names
    of one overpass differ by a few seconds, so tiles of one overpass are one date only if they say
    so. The datatake's own time is in the id.

    Args:
        entry: Catalog entry of layout "bigearthnet_scenes"; fetched if it is not there yet.
        footprint: "patches" for the union of the real patches, with its holes and islands;
            "extent" for the rectangle around them in the tile's UTM zone, which also covers ground
            that has no patch.

    Returns:
        Tiles ordered by id ("33UXP_S2B_20170831T095030"). Footprints have a vertex at least every
        1.2 km, so that edges that are straight in UTM stay within 0.1 m in longitude/latitude.

    Raises:
        CatalogError: If the list cannot be had.
        TileError: If it lacks a column, or no row can be read.
    """
    patches, _ = read_bigearthnet_patches(entry)
    outline = cells_outline if footprint == "patches" else _extent
    scenes = patches.groupby(["tile", "satellite", "sensed"], observed=True)
    tiles = [_tile(scene, outline(*_cells(scene))) for _, scene in scenes]
    return sorted(tiles, key=lambda tile: tile.id)


def _cells(scene: pd.DataFrame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return scene["col"].to_numpy(dtype=np.intp), scene["row"].to_numpy(dtype=np.intp)


def _tile(scene: pd.DataFrame, outline: Polygon | MultiPolygon) -> Tile:
    first = scene.iloc[0]
    square = mgrs_square(first["tile"])
    west, north = square.west // _PIXEL * _PIXEL, -(-square.north // _PIXEL) * _PIXEL
    to_degrees = Transformer.from_crs(square.epsg, 4326, always_xy=True)

    def project(cells: NDArray[np.float64]) -> NDArray[np.float64]:
        metres = cells * CELL + (west, north)
        return np.column_stack(to_degrees.transform(metres[:, 0], metres[:, 1]))

    return Tile(
        id=f"{first['tile']}_{first['satellite']}_{first['sensed']:%Y%m%dT%H%M%S}",
        acquired=first["acquired"].to_pydatetime(),
        footprint=shapely.transform(outline, project),
        crs=f"EPSG:{square.epsg}",
        group=first["overpass"],
        grid=PixelGrid(
            f"EPSG:{square.epsg}", (_GSD, 0, west, 0, -_GSD, north), (_SIDE // _GSD,) * 2
        ),
    )


def cells_outline(col: NDArray[np.intp], row: NDArray[np.intp]) -> Polygon | MultiPolygon:
    """Outline a set of unit cells, exactly: with holes, islands and a vertex at every corner.

    Only edges between a cell in the set and one outside it are drawn; of the faces between them,
    those over cells of the set are kept. That is five times less work than merging all squares.

    Args:
        col: (N,) columns, from 0, to the east.
        row: (N,) rows, from 0, to the south.

    Returns:
        Polygons with x = column and y = -row, valid; cells that meet in a corner only stay apart.

    Example:
        >>> cells_outline(np.array([0, 1, 1]), np.array([0, 0, 1])).area
        3.0
    """
    inside = np.zeros((int(row.max()) + 3, int(col.max()) + 3), dtype=bool)
    inside[row + 1, col + 1] = True  # a rim of outside cells, so every edge has two sides
    y, x = np.nonzero(inside[:, 1:] != inside[:, :-1])
    upright = np.stack([[x, 1 - y], [x, -y]]).transpose(2, 0, 1)  # (edges, ends, xy)
    y, x = np.nonzero(inside[1:] != inside[:-1])
    level = np.stack([[x - 1, -y], [x, -y]]).transpose(2, 0, 1)
    edges = np.asarray(shapely.linestrings(np.concatenate([upright, level]).astype(float)))
    faces = shapely.get_parts(shapely.polygonize(edges))
    somewhere = np.floor(shapely.get_coordinates(shapely.point_on_surface(faces))).astype(int)
    kept = faces[inside[-somewhere[:, 1], somewhere[:, 0] + 1]]
    return kept[0] if len(kept) == 1 else shapely.multipolygons(kept)


def _extent(col: NDArray[np.intp], row: NDArray[np.intp]) -> Polygon:
    """The rectangle around a set of unit cells, with a vertex at every cell's corner."""
    rectangle = shapely.box(col.min(), -(row.max() + 1), col.max() + 1, -row.min())
    return shapely.segmentize(rectangle, 1.0)

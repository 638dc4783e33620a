"""The tile: what was delivered, when, and which ground it shows."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon

from workbench.errors import CRSMismatchError, TileError, WorkbenchError
from workbench.geo.dates import group_name, is_missing
from workbench.geo.grid import PixelGrid, crs_name
from workbench.geo.units import is_geographic
from workbench.showing import html_table

if TYPE_CHECKING:
    import geopandas as gpd

_NAMED_FAULTS = 20  # rows of a table that one error names
_POLAR = 80.0  # beyond this latitude a footprint may well span half the longitudes


@dataclass(frozen=True)
class Tile:
    """One delivered product: an EnMAP L2A folder, a Sentinel-2 tile of one datatake, a scene.

    Raises:
        TileError: If the footprint is empty, not polygonal, invalid, or outside
            longitude [-180, 180] and latitude [-90, 90]; the id is empty; there is no time; or the
            grid is in another CRS than `crs`.
    """

    id: str
    """Unique among the tiles of a plan."""
    acquired: datetime
    """Start of the acquisition. A time without a zone is read as UTC."""
    footprint: Polygon | MultiPolygon
    """Outline of the valid pixels in EPSG:4326; edges are straight in longitude/latitude, as in
    GeoJSON (RFC 7946, 3.1.1). What crosses the antimeridian is split there into parts."""
    crs: str
    """Reference system of the pixels, as "EPSG:32633"."""
    path: Path | None = None
    """Folder or file of the product; None where only the footprint is known."""
    group: str | None = None
    """Acquisition the tile is a piece of (datatake, orbit). Tiles of one group within an hour are
    one date (`workbench.geo.dates`). None, NaN and blanks mean that it is not known."""
    grid: PixelGrid | None = None
    """Where its pixels lie, as its header says; None where only the footprint is known. The plan
    takes it over, so that patches are copied and not resampled."""

    def __post_init__(self) -> None:
        if is_missing(self.id):
            raise TileError("A tile needs an id, got an empty one.")
        object.__setattr__(self, "group", group_name(self.group))
        if not isinstance(self.acquired, datetime) or self.acquired != self.acquired:  # NaT
            raise TileError(
                f"Tile {self.id!r}: `acquired` is a datetime, got {self.acquired!r}.\n"
                "Read text with `datetime.fromisoformat`; leave out tiles without a time."
            )
        naive = self.acquired.tzinfo is None
        utc = self.acquired.replace(tzinfo=UTC) if naive else self.acquired.astimezone(UTC)
        object.__setattr__(self, "acquired", utc)
        _require_usable(self.footprint, self.id)
        if self.grid is not None and crs_name(self.grid.crs) != crs_name(str(self.crs or "")):
            raise TileError(
                f"Tile {self.id!r}: its pixel grid must be in its CRS, but is in {self.grid.crs}, "
                f"not {self.crs}.\nState the CRS of the pixels as `crs`."
            )

    def __repr__(self) -> str:
        told = ", ".join(f"{name} {value}" for name, value in self._told()[1:])
        return f"<Tile {self.id}: {told}>"

    def _repr_html_(self) -> str:
        return html_table(("", ""), self._told(), "Tile")

    def _told(self) -> list[tuple[str, str]]:
        """What a reader wants to know; the outline by its corners' count and its extent."""
        west, south, east, north = self.footprint.bounds
        extent = f"{_degrees(west, 'WE')} to {_degrees(east, 'WE')}"
        extent += f", {_degrees(south, 'SN')} to {_degrees(north, 'SN')}"
        parts = len(shapely.get_parts(self.footprint))
        corners = shapely.get_num_coordinates(self.footprint) - parts
        pieces = f" in {parts} parts" if parts > 1 else ""
        told = [
            ("id", self.id),
            ("acquired", f"{self.acquired:%Y-%m-%d %H:%M:%S} UTC"),
            ("pixels in", self.crs),
            ("grid", None if self.grid is None else _grid_in_words(self.grid)),
            ("footprint", f"{extent} ({corners:,} corners{pieces})"),
            ("path", None if self.path is None else str(self.path)),
            ("group", self.group),
        ]
        return [(name, value) for name, value in told if value is not None]


def _grid_in_words(grid: PixelGrid) -> str:
    """Tell a grid as "1,000 × 1,200 pixels of 30 m" (rows, columns, size)."""
    degrees = is_geographic(grid.crs)
    dx, dy = grid.resolution if degrees else grid.resolution_m
    size = f"{dx:.6g}" if abs(dx - dy) <= 1e-6 * dx else f"{dx:.6g} × {dy:.6g}"
    return f"{grid.height:,} × {grid.width:,} pixels of {size}{'°' if degrees else ' m'}"


def _degrees(value: float, sides: str) -> str:
    """Write a coordinate in degrees, as "11.52° E"; `sides` names the negative and the positive."""
    return f"{abs(value):.2f}° {sides[value >= 0]}"


def _require_usable(footprint: object, tile_id: str) -> None:
    if not isinstance(footprint, (Polygon, MultiPolygon)):
        raise TileError(
            f"Tile {tile_id!r}: a footprint is a Polygon or MultiPolygon, "
            f"got {getattr(footprint, 'geom_type', type(footprint).__name__)}."
        )
    if footprint.is_empty:
        raise TileError(
            f"Tile {tile_id!r}: the footprint is empty; a tile without valid pixels shows no "
            "ground.\nLeave it out of the tiles."
        )
    if not footprint.is_valid:
        raise TileError(
            f"Tile {tile_id!r}: the footprint is not a valid polygon "
            f"({shapely.is_valid_reason(footprint)}).\nMend it with `shapely.make_valid` and look "
            "at the result; nothing is repaired silently."
        )
    xmin, ymin, xmax, ymax = footprint.bounds
    if xmin < -180 or xmax > 180 or ymin < -90 or ymax > 90:
        raise TileError(
            f"Tile {tile_id!r}: a footprint is in longitude/latitude, got bounds "
            f"({xmin:g}, {ymin:g}, {xmax:g}, {ymax:g}).\n"
            'Reproject it first, with `GeoDataFrame.to_crs("EPSG:4326")`; split what crosses the '
            "antimeridian."
        )
    parts = shapely.get_parts(footprint)
    west, south, east, north = shapely.bounds(parts).T
    wide = east - west > 180
    polar = (south < -_POLAR) | (north > _POLAR)
    unsplit = np.array([_jumps_across(part) for part in parts[wide]], dtype=bool)
    if (unsplit | ~polar[wide]).any():
        raise TileError(
            f"Tile {tile_id!r}: a part of the footprint is {(east - west).max():.0f}° wide, so it "
            "seems to cross the antimeridian unsplit.\n"
            "Split it there (`workbench.geo.footprint.split_at_antimeridian`), as RFC 7946 asks."
        )


def _jumps_across(part: Polygon) -> bool:
    """Tell whether an edge spans more than half the longitudes, and is not one round a pole.

    A cap round a pole has such edges from one side of the seam to the other, or along the pole.
    """
    for ring in (part.exterior, *part.interiors):
        points = shapely.get_coordinates(ring)
        ends = np.stack([points[:-1], points[1:]], axis=1)  # edges, ends, (longitude, latitude)
        long = np.abs(ends[:, 1, 0] - ends[:, 0, 0]) > 180
        round_pole = (np.abs(ends[:, :, 0]) == 180).all(axis=1) | (np.abs(ends[:, :, 1]) == 90).all(
            axis=1
        )
        if (long & ~round_pole).any():
            return True
    return False


def tiles_from_geodataframe(
    frame: "gpd.GeoDataFrame",
    *,
    id: str = "id",
    acquired: str = "acquired",
    crs: str = "crs",
    path: str | None = None,
    group: str | None = None,
    grid: str | None = None,
) -> list[Tile]:
    """Read tiles off a table of footprints, one row each.

    Args:
        frame: Footprints in any CRS; they are brought to EPSG:4326.
        id: Column of tile ids.
        acquired: Column of acquisition times (anything `pandas.Timestamp` reads).
        crs: Column of the pixels' CRS, or one CRS for all rows ("EPSG:32632").
        path: Column of product paths, if any.
        group: Column of datatakes or orbits, if any.
        grid: Column of pixel grids as `tile_frame` writes them, if any.

    Returns:
        Tiles in the order of the rows.

    Raises:
        CRSMismatchError: If the frame has no CRS, or that of the pixels is none.
        TileError: If a column is missing, a time cannot be read, or a footprint cannot be used.
    """
    if frame.crs is None:
        raise CRSMismatchError(
            "Footprints need a CRS, but the table has none.\n"
            "Say which it is with `frame.set_crs(...)`; it is not guessed."
        )
    named = [id, acquired, *(c for c in (path, group, grid) if c is not None)]
    missing = [c for c in named if c not in frame.columns]
    if missing:
        raise TileError(
            f"The table of footprints has no column {', '.join(map(repr, missing))}.\n"
            f"It has: {', '.join(map(str, frame.columns))}. Name yours, as in `id='tile_name'`."
        )
    frame = frame.to_crs("EPSG:4326")
    size = len(frame)
    crs_of = frame[crs].tolist() if crs in frame.columns else [crs] * size
    _require_crs(set(crs_of), crs)
    paths = [None if is_missing(p) else Path(p) for p in frame[path]] if path else [None] * size
    groups = [group_name(g) for g in frame[group]] if group else [None] * size
    ids = ["" if is_missing(name) else str(name) for name in frame[id]]
    grids = frame[grid] if grid else [None] * size
    rows = zip(ids, frame[acquired], frame.geometry, crs_of, paths, groups, grids, strict=True)
    tiles, faults = [], []
    for name, time, footprint, where, file, of, numbers in rows:
        try:
            laid = _read_grid(numbers, where, name)
            tiles.append(Tile(name, _time(time, name), footprint, where, file, of, laid))
        except WorkbenchError as error:
            faults.append(error)
    if faults:
        raise _all_of(faults, size)
    return tiles


def _all_of(faults: list[WorkbenchError], size: int) -> WorkbenchError:
    """One error for all rows that cannot be used: the only one, or a line for each."""
    if len(faults) == 1:
        return faults[0]
    lines = [str(fault).splitlines()[0] for fault in faults[:_NAMED_FAULTS]]
    if more := len(faults) - len(lines):
        lines.append(f"and {more:,} more")
    return TileError(f"{len(faults):,} of {size:,} footprints cannot be used:\n" + "\n".join(lines))


def _require_crs(named: set[str], column: str) -> None:
    """Refuse what is no reference system: also the name of a column that is not there."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    for text in sorted(named, key=str):
        try:
            CRS.from_user_input(text)
        except CRSError:
            raise CRSMismatchError(
                f"The pixels' CRS must be one such as 'EPSG:32632', got {text!r}.\n"
                f"Give a column of the table, or one CRS for all rows, as `crs` (now {column!r})."
            ) from None


def _time(value: Any, tile_id: str) -> datetime:
    import pandas as pd

    try:
        return pd.Timestamp(value).to_pydatetime()
    except (ValueError, TypeError):
        raise TileError(
            f"Tile {tile_id!r}: the time of acquisition cannot be read, got {value!r}.\n"
            'Write it as ISO 8601, as in "2022-06-12T10:30:00Z".'
        ) from None


def _read_grid(text: Any, crs: str, tile_id: str) -> PixelGrid | None:
    """Read a grid off a table: six numbers of the transform, then height and width, as JSON."""
    if is_missing(text):
        return None
    try:  # GDAL gives JSON text out of a GeoJSON as the list that it is
        numbers = [float(v) for v in (json.loads(text) if isinstance(text, str) else text)]
        if len(numbers) != 8 or not all(map(math.isfinite, numbers)):
            raise ValueError
    except (ValueError, TypeError):
        raise TileError(
            f"Tile {tile_id!r}: a pixel grid is six numbers of a transform, height and width, as "
            f"'[30, 0, 600000, 0, -30, 5400000, 100, 200]', got {text!r:.80}."
        ) from None
    a, b, c, d, e, f, height, width = numbers
    return PixelGrid(crs, (a, b, c, d, e, f), (int(height), int(width)))


def tile_frame(tiles: Sequence[Tile]) -> "gpd.GeoDataFrame":
    """Lay tiles out as a table: id, acquired, crs, path, group, geometry (EPSG:4326).

    Where the grid of a tile is known, a column ``grid`` holds it as JSON text: the six numbers of
    the transform, then height and width in pixels.
    """
    import geopandas as gpd

    columns: dict[str, list[object]] = {
        "id": [t.id for t in tiles],
        "acquired": [t.acquired for t in tiles],
        "crs": [t.crs for t in tiles],
        "path": [None if t.path is None else str(t.path) for t in tiles],
        "group": [t.group for t in tiles],
    }
    if any(t.grid is not None for t in tiles):
        columns["grid"] = [
            None if t.grid is None else json.dumps([*t.grid.transform, *t.grid.shape])
            for t in tiles
        ]
    return gpd.GeoDataFrame(columns, geometry=[t.footprint for t in tiles], crs="EPSG:4326")

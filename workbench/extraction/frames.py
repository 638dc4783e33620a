"""Footprints laid into pixel frames: one sheet for each region of a component.

A sheet is a region in pixels of its grid, with its own integer origin on the grid's lines.
Locations of different sheets cannot overlap: components share no ground, and a footprint is cut at
the borders of regions, so that a square lies in one region whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from workbench.geo.footprint import EARTH_RADIUS, densified, projected, transformer
from workbench.geo.lines import GridLines
from workbench.geo.units import metres_per_unit
from workbench.geo.zones import UPS_NORTH, UPS_SOUTH, UTM_NORTH, UTM_SOUTH, Zone, zone_codes

MAX_BEND = 4.0
"""How far a projected outline may lie off its true place, in metres."""


@dataclass(frozen=True)
class Outlines:
    """Footprints cut into pieces, one for each sheet they lie on, and the pieces' edges.

    Lengths are in pixels from the origin of the sheet; arrays run over E edges, P pieces, S sheets.
    """

    ends: NDArray[np.float64]
    """(E, 2, 2): start and end of each edge, each (x, y)."""
    piece: NDArray[np.int64]
    """(E,) which piece the edge bounds."""
    tile: NDArray[np.int64]
    """(P,) which tile a piece belongs to."""
    sheet: NDArray[np.int64]
    """(P,) which sheet it lies on."""
    low: NDArray[np.float64]
    """(P, 2) smallest x and y."""
    high: NDArray[np.float64]
    """(P, 2) largest x and y."""
    margin: NDArray[np.float64]
    """(P,) distance to keep from its edges; negative where they may cut in (`tolerance`)."""
    origin: NDArray[np.int64]
    """(S, 2): pixel coordinates of each sheet's origin on its grid."""
    extent: NDArray[np.int64]
    """(S, 2): size of each sheet in pixels."""


def zone_pieces(
    footprints: NDArray[np.object_], *, inset: float = 0.0
) -> tuple[NDArray[np.object_], NDArray[np.int64], NDArray[np.int64]]:
    """Cut footprints at the borders of UTM zones, the equator and the limits of UTM.

    Args:
        footprints: (N,) polygons in EPSG:4326.
        inset: How far pieces stay from a border inside a footprint, in metres, >= 0.

    Returns:
        Three (M,) arrays: pieces, the index of the footprint each belongs to, and its zone.
    """
    bounds = shapely.bounds(footprints).reshape(-1, 4)
    codes = [
        zone_codes(bounds[:, x], np.nextafter(bounds[:, y], 0)) for x in (0, 2) for y in (1, 3)
    ]
    # A footprint split at the antimeridian is as wide as the Earth, with both ends in zone 1; one
    # taller than Norway's band may have all corners in zone 31, and its middle in 32.
    whole = np.all([code == codes[0] for code in codes], axis=0)
    whole &= (bounds[:, 2] - bounds[:, 0] < 6) & (bounds[:, 3] - bounds[:, 1] < 8)
    pieces, owner, zone = [footprints[whole]], [np.flatnonzero(whole)], [codes[0][whole]]
    for i in np.flatnonzero(~whole):
        for code in zones_within(bounds[i]):
            piece = shapely.intersection(footprints[i], zone_box(Zone(code), inset=inset))
            if piece.area > 0:
                pieces.append(np.array([piece], dtype=object))
                owner.append(np.array([i]))
                zone.append(np.array([code]))
    return np.concatenate(pieces), np.concatenate(owner), np.concatenate(zone)


def zones_within(bounds: NDArray[np.float64]) -> list[int]:
    """List the codes of the zones that bounds in longitude/latitude may meet."""
    west, south, east, north = bounds.tolist()
    reach = 1 if north >= 56 else 0  # zones are wider around Norway and Svalbard
    first, last = int(west // 6) + 31 - reach, int(east // 6) + 31 + reach
    numbers = range(max(first, 1), min(last, 60) + 1)
    found = [UPS_SOUTH] if south < UTM_SOUTH else []
    if north > 0 and south < UTM_NORTH:
        found += [32600 + number for number in numbers]
    if south < 0 and north > UTM_SOUTH:
        found += [32700 + number for number in numbers]
    return [*found, UPS_NORTH] if north > UTM_NORTH else found


def zone_box(zone: Zone, *, inset: float = 0.0) -> shapely.Geometry:
    """Give the ground of a zone in longitude/latitude, smaller all round by `inset` metres."""
    up = np.degrees(inset / EARTH_RADIUS)
    if len(zone.boxes) > 1:  # with a step at Norway or Svalbard
        whole = shapely.union_all([shapely.box(*box) for box in zone.boxes])
        return shapely.buffer(whole, -up / np.cos(np.radians(84.0)), join_style="mitre")
    west, south, east, north = zone.boxes[0]
    across = 0.0 if zone.is_polar else up / np.cos(np.radians(min(84.0, max(-south, north))))
    return shapely.box(west + across, south + up, east - across, north - up)


def outlines(
    pieces: NDArray[np.object_],
    owner: NDArray[np.int64],
    sheet: NDArray[np.int64],
    lines: Sequence[GridLines],
    *,
    patch_size: int,
    tolerance: float,
) -> Outlines:
    """Project footprints to the grids of their regions and take their edges apart.

    Args:
        pieces: (P,) footprints cut along regions, in EPSG:4326.
        owner: (P,) which tile each is of.
        sheet: (P,) which region each lies in.
        lines: The S grids.
        patch_size: Side of a square in pixels; its own edges bend too, which the margin covers.
        tolerance: See `ViewRules.tolerance`.
    """
    crs_number = {name: k for k, name in enumerate(sorted({line.crs for line in lines}))}
    names = list(crs_number)
    crs = np.array([crs_number[line.crs] for line in lines], dtype=np.int64)[sheet]
    gsd = np.array([line.gsd_m for line in lines])
    side = patch_size * gsd[sheet]
    dense, margin = pieces.copy(), np.zeros(len(pieces))
    ends, piece = [np.zeros((0, 2, 2))], [np.zeros(0, dtype=np.int64)]
    for k in np.unique(crs):
        some = np.flatnonzero(crs == k)
        dense[some], margin[some] = bent(
            pieces[some], names[k], side=float(side[some].max()), tolerance=tolerance
        )
        found, which = _edges(projected(dense[some], "EPSG:4326", names[k]))
        ends.append(found)
        piece.append(some[which])
    edges, of_piece = np.concatenate(ends), np.concatenate(piece)
    size = np.array([line.size for line in lines])
    offset = np.array([line.offset for line in lines]).reshape(-1, 2)
    at = sheet[of_piece]
    edges = (edges - offset[at][:, None, :]) / size[at][:, None, None]
    low, high = _extremes(edges, of_piece, len(pieces))
    lowest, highest = _extremes(np.stack([low, high], axis=1), sheet, len(lines))
    unused = ~np.isfinite(lowest)  # regions whose ground others have
    lowest[unused] = highest[unused] = 0
    # Rounded, so that outlines cut on the pixel grid start at 0, and rows can start there too.
    origin = np.floor(lowest + 0.5).astype(np.int64)
    return Outlines(
        ends=edges - origin[at][:, None, :],
        piece=of_piece,
        tile=owner,
        sheet=sheet,
        low=low - origin[sheet],
        high=high - origin[sheet],
        margin=margin / gsd[sheet],
        origin=origin,
        extent=np.ceil(highest).astype(np.int64) + 1 - origin,
    )


def bent(
    pieces: NDArray[np.object_], crs: str, *, side: float, tolerance: float
) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """Prepare pieces for a projection: with vertices to bend by, and the margin to keep from them.

    Args:
        pieces: (P,) polygons in EPSG:4326.
        crs: The projection.
        side: Side of a square in metres.
        tolerance: See `ViewRules.tolerance`.

    Returns:
        (P,) the polygons, denser; (P,) margins in metres, see `margins`.
    """
    margin = margins(pieces, side=side, tolerance=tolerance)
    if _is_conformal(crs):
        return densified(pieces, max_bend=MAX_BEND), margin
    if tolerance == 0:
        margin = np.maximum(margin, MAX_BEND + 2 * _bend_of_squares(pieces, crs, side))
    return densified(pieces, max_bend=MAX_BEND / 4), margin


def _is_conformal(crs: str) -> bool:
    """Whether `margins` holds by its formula: for UTM and UPS on WGS84, which most plans are in."""
    return crs.startswith(("EPSG:326", "EPSG:327"))


def _bend_of_squares(pieces: NDArray[np.object_], crs: str, side: float) -> NDArray[np.float64]:
    """(P,) how far a side of a square may bend near each piece, in metres: measured.

    The middle of a side in the projection is held against the middle of its ends in
    longitude/latitude, at the corners of the piece's bounds and for sides in x and in y.
    """
    unit = metres_per_unit(crs)
    bounds = shapely.bounds(pieces).reshape(-1, 4)
    there, back = transformer("EPSG:4326", crs).transform, transformer(crs, "EPSG:4326").transform
    worst = np.zeros(len(pieces))
    for column, row in ((0, 1), (0, 3), (2, 1), (2, 3)):
        x, y = there(bounds[:, column], bounds[:, row])
        for right, up in ((side / unit, 0.0), (0.0, side / unit)):
            a, b = back(x, y), back(x + right, y + up)
            turn = 360 * np.round((a[0] - b[0]) / 360)
            middle = there((a[0] + b[0] + turn) / 2, (a[1] + b[1]) / 2)
            off = np.hypot(middle[0] - x - right / 2, middle[1] - y - up / 2) * unit
            worst = np.maximum(worst, np.nan_to_num(off, nan=0.0, posinf=0.0))
    return worst


def margins(pieces: NDArray[np.object_], *, side: float, tolerance: float) -> NDArray[np.float64]:
    """How far squares planned in a projection stay from each piece's outline, in metres.

    Enough that what is held there is held in longitude/latitude too, where edges bend the other
    way. With a tolerance the sign turns: so far may the outline cut in.
    """
    if tolerance > 0:
        return np.full(len(pieces), -tolerance)
    lat = np.abs(shapely.bounds(pieces).reshape(-1, 4)[:, [1, 3]]).max(axis=1, initial=0)
    return MAX_BEND + side**2 * np.tan(np.radians(lat.clip(max=89.9))) / (8 * EARTH_RADIUS)


def _extremes(
    points: NDArray[np.float64], owner: NDArray[np.int64], size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest x and y, (size, 2) each, of (M, 2, 2) pairs of points by owner."""
    low, high = np.full((size, 2), np.inf), np.full((size, 2), -np.inf)
    np.minimum.at(low, owner, points.min(axis=1))
    np.maximum.at(high, owner, points.max(axis=1))
    return low, high


def _edges(polygons: NDArray[np.object_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Take polygons apart into (E, 2, 2) edges, and say which polygon each belongs to."""
    parts, owner = shapely.get_parts(polygons, return_index=True)
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    joined = ring[1:] == ring[:-1]
    ends = np.stack([points[:-1], points[1:]], axis=1)[joined]
    return ends, owner[ring_part[ring[1:][joined]]]

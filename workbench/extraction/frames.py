"""Footprints laid into pixel frames: one sheet for each component and zone.

A sheet is a piece of a UTM zone in pixels, with its own integer origin on the zone's pixel grid.
Locations of different sheets cannot overlap: components share no ground, and a footprint is cut at
the borders of the zones, so that a square lies in one zone whole.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from workbench.geo.footprint import EARTH_RADIUS, densified, projected
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
    """(S, 2): pixel coordinates of each sheet's origin in its zone."""
    extent: NDArray[np.int64]
    """(S, 2): size of each sheet in pixels."""
    zone: NDArray[np.int64]
    """(S,) EPSG code of each sheet."""


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
    # A footprint split at the antimeridian is as wide as the Earth, with both ends in zone 1.
    whole = np.all([code == codes[0] for code in codes], axis=0) & (bounds[:, 2] - bounds[:, 0] < 6)
    pieces, owner, zone = [footprints[whole]], [np.flatnonzero(whole)], [codes[0][whole]]
    for i in np.flatnonzero(~whole):
        for code in _zones_within(bounds[i]):
            piece = shapely.intersection(footprints[i], _zone_box(Zone(code), inset))
            if piece.area > 0:
                pieces.append(np.array([piece], dtype=object))
                owner.append(np.array([i]))
                zone.append(np.array([code]))
    return np.concatenate(pieces), np.concatenate(owner), np.concatenate(zone)


def _zones_within(bounds: NDArray[np.float64]) -> list[int]:
    """Codes of the zones that bounds in longitude/latitude meet."""
    west, south, east, north = bounds.tolist()
    numbers = range(max(int(west // 6) + 31, 1), min(int(east // 6) + 31, 60) + 1)
    found = [UPS_SOUTH] if south < UTM_SOUTH else []
    if north > 0 and south < UTM_NORTH:
        found += [32600 + number for number in numbers]
    if south < 0 and north > UTM_SOUTH:
        found += [32700 + number for number in numbers]
    return [*found, UPS_NORTH] if north > UTM_NORTH else found


def _zone_box(zone: Zone, inset: float) -> shapely.Polygon:
    west, south, east, north = zone.bounds
    up = np.degrees(inset / EARTH_RADIUS)
    across = 0.0 if zone.is_polar else up / np.cos(np.radians(min(84.0, max(-south, north))))
    return shapely.box(west + across, south + up, east - across, north - up)


def outlines(
    footprints: NDArray[np.object_],
    component: NDArray[np.int64],
    *,
    gsd: float,
    side: float,
    tolerance: float,
) -> Outlines:
    """Project footprints to the zones they touch and take their edges apart.

    Args:
        footprints: (N,) polygons in EPSG:4326.
        component: (N,) component of each.
        gsd: Pixel size in metres.
        side: Side of a square in metres; its own edges bend too, which the margin covers.
        tolerance: See `ViewRules.tolerance`.
    """
    pieces, owner, zone = zone_pieces(footprints, inset=tolerance + MAX_BEND)
    dense = densified(pieces, max_bend=MAX_BEND)
    margin = margins(pieces, side=side, tolerance=tolerance)
    sheets, sheet = np.unique(
        np.column_stack([component[owner], zone]), axis=0, return_inverse=True
    )
    sheet = sheet.ravel()
    ends, piece = _edges_by_zone(dense, zone)
    ends /= gsd
    low, high = _extremes(ends, piece, len(pieces))
    lowest, highest = _extremes(np.stack([low, high], axis=1), sheet, len(sheets))
    # Rounded, so that outlines cut on the pixel grid start at 0, and rows can start there too.
    origin = np.floor(lowest + 0.5).astype(np.int64)
    return Outlines(
        ends=ends - origin[sheet[piece]][:, None, :],
        piece=piece,
        tile=owner,
        sheet=sheet,
        low=low - origin[sheet],
        high=high - origin[sheet],
        margin=margin / gsd,
        origin=origin,
        extent=np.ceil(highest).astype(np.int64) + 1 - origin,
        zone=sheets[:, 1],
    )


def margins(pieces: NDArray[np.object_], *, side: float, tolerance: float) -> NDArray[np.float64]:
    """How far squares planned in a projection stay from each piece's outline, in metres.

    Enough that what is held there is held in longitude/latitude too, where edges bend the other
    way. With a tolerance the sign turns: so far may the outline cut in.
    """
    if tolerance > 0:
        return np.full(len(pieces), -tolerance)
    lat = np.abs(shapely.bounds(pieces).reshape(-1, 4)[:, [1, 3]]).max(axis=1, initial=0)
    return MAX_BEND + side**2 * np.tan(np.radians(lat.clip(max=89.9))) / (8 * EARTH_RADIUS)


def _edges_by_zone(
    pieces: NDArray[np.object_], zone: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Project each piece to its zone; give all edges (E, 2, 2) and the piece of each."""
    ends, owner = [np.zeros((0, 2, 2))], [np.zeros(0, dtype=np.int64)]
    for code in np.unique(zone):
        members = np.flatnonzero(zone == code)
        found, which = _edges(projected(pieces[members], "EPSG:4326", Zone(int(code)).crs))
        ends.append(found)
        owner.append(members[which])
    return np.concatenate(ends), np.concatenate(owner)


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

"""A simulated campaign of bare footprints, as large as SpectralEarth's: for planning, no pixels.

Simulated: sites, visits, headings and times are drawn, not real. Only the numbers that shape the
planning problem follow the talk: 11,636 tiles of 30 km, clustered targets, some of them visited so
often that their tiles overlap more than 30 others.
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import shapely

from workbench.geo.footprint import split_at_antimeridian
from workbench.geo.tile import Tile
from workbench.geo.zones import utm_crs

TILE_SIDE = 30_000.0
"""Side of a tile, in metres."""
_START = datetime(2022, 5, 1, tzinfo=UTC)
_METRES_PER_DEGREE = 111_195.0


def simulated_footprints(n_tiles: int = 11_636, *, seed: int = 0) -> list[Tile]:
    """Draw a campaign of square tiles over clustered sites.

    A site is visited once or many times (a heavy tail, at most 60). Each visit takes a strip of
    one to three tiles along the track, placed a few kilometres off the last one and rotated by the
    orbit's heading; tiles of a strip share their datatake (`Tile.group`) and are seconds apart.

    Args:
        n_tiles: Number of tiles, >= 0.
        seed: Seed of every draw; the first tiles of a longer campaign equal a shorter one.

    Returns:
        Tiles ordered by site; ids say datatake and position in the strip.

    Example:
        >>> tiles = simulated_footprints(5, seed=1)
        >>> tiles[0].id, tiles[0].crs
        ('SIM-DT00000-1', 'EPSG:32632')
    """
    rng = np.random.default_rng(seed)
    tiles: list[Tile] = []
    datatake = 0
    while len(tiles) < n_tiles:
        lon, lat = rng.uniform(-180, 180), np.degrees(np.arcsin(rng.uniform(-0.82, 0.92)))
        visits = min(60, int(rng.pareto(1.75)) + 1)
        for _ in range(visits):
            tiles += _strip(rng, lon, lat, datatake)
            datatake += 1
    return tiles[:n_tiles]


def _strip(rng: np.random.Generator, lon: float, lat: float, datatake: int) -> list[Tile]:
    """One visit: a strip of one to three tiles, each 29.4 km further along the track."""
    east, north = rng.normal(0, 6_000, size=2)
    heading = np.radians(rng.normal(12, 1.5))
    acquired = _START + timedelta(seconds=int(rng.integers(0, 2 * 365 * 86_400)))
    count = int(rng.choice([1, 2, 3], p=[0.62, 0.28, 0.10]))
    turn = np.array([[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]])
    unit = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    tiles = []
    for k in range(count):
        centre_north = (k - (count - 1) / 2) * 0.98
        metres = (unit + np.array([0, centre_north])) * TILE_SIDE @ turn + [east, north]
        degrees = metres / _METRES_PER_DEGREE
        corners = np.column_stack(
            [lon + degrees[:, 0] / np.cos(np.radians(lat + degrees[:, 1])), lat + degrees[:, 1]]
        )
        (footprint,) = split_at_antimeridian([shapely.Polygon(corners)])
        centre = shapely.get_coordinates(shapely.get_parts(footprint)[0].centroid)[0]
        tiles.append(
            Tile(
                id=f"SIM-DT{datatake:05d}-{k + 1}",
                acquired=acquired + timedelta(seconds=4 * k),
                footprint=footprint,
                crs=utm_crs(float(centre[0]), float(centre[1])),
                group=f"SIM-DT{datatake:05d}",
            )
        )
    return tiles

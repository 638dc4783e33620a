"""One simulated delivery: where and when it was taken, its footprint, what is wrong with it."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from workbench.geo.footprint import area_m2, projected
from workbench.geo.grid import PixelGrid

GSD = 30.0
"""Side of a pixel in metres."""


@dataclass(frozen=True)
class Acquisition:
    """One product folder to be delivered: what it shows and what is wrong with it."""

    site: str
    """Name of the site."""
    datatake: str
    """Datatake number, ten digits; those of a simulation begin with 99."""
    tile: int
    """Number of the tile in its datatake, from 1."""
    start: datetime
    """Start of the acquisition of this tile (UTC)."""
    grid: PixelGrid
    """Pixels of the product."""
    rotation: float
    """How far the footprint is turned clockwise in the raster, degrees."""
    side: int
    """Side of the square footprint, pixels."""
    version: str = "010402"
    """Version of the processor, six digits."""
    processed: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    """When this delivery was processed (UTC)."""
    cloud: float = 0.0
    """Share of the footprint under cloud, in [0, 1]."""
    cirrus: float = 0.0
    """Share under cirrus."""
    haze: float = 0.0
    """Strength of the haze, in [0, 1]."""
    snow: float = 0.0
    """Share of the ground under snow."""
    bad_bands: tuple[int, ...] = ()
    """Bands without any data, numbered from 1 in delivered order."""
    defective_columns: int = 0
    """Number of detector columns that are stuck."""
    gain: float = 1.0
    """Factor on all reflectances: what an older processing got wrong."""
    fault: str | None = None
    """"truncated", "no metadata", "wrong crs", or None."""
    replaced_by: tuple[str, str] | None = None
    """Why another delivery is to be kept ("older version" or "processed earlier"), and its id."""

    @property
    def id(self) -> str:
        """Name of the product folder, as in the genuine archive."""
        stamp = "%Y%m%dT%H%M%SZ"
        return (
            f"ENMAP01-____L2A-DT{self.datatake}_{self.start:{stamp}}_{self.tile:03d}"
            f"_V{self.version}_{self.processed:{stamp}}"
        )

    @property
    def day_of_year(self) -> int:
        """Day of the year of the acquisition, from 1."""
        return self.start.timetuple().tm_yday

    @cached_property
    def outline(self) -> Polygon:
        """The footprint in the grid's CRS: upper left, lower left, lower right, upper right."""
        xmin, ymin, xmax, ymax = self.grid.bounds
        half, turn = self.side * GSD / 2, math.radians(self.rotation)
        corners = np.array([(-half, half), (-half, -half), (half, -half), (half, half)])
        cos, sin = math.cos(turn), math.sin(turn)
        x = corners[:, 0] * cos + corners[:, 1] * sin + (xmin + xmax) / 2
        y = corners[:, 1] * cos - corners[:, 0] * sin + (ymin + ymax) / 2
        return Polygon(np.column_stack([x, y]))

    @cached_property
    def footprint(self) -> Polygon:
        """The footprint in EPSG:4326."""
        found = projected([self.outline], self.grid.crs, "EPSG:4326")[0]
        assert isinstance(found, Polygon)
        return found

    def sensor_coordinates(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixels across and along the track from the middle of the scene, each (H, W)."""
        height, width = self.grid.shape
        right = np.arange(width)[None, :] + 0.5 - width / 2
        down = np.arange(height)[:, None] + 0.5 - height / 2
        cos, sin = math.cos(math.radians(self.rotation)), math.sin(math.radians(self.rotation))
        return right * cos + down * sin, down * cos - right * sin

    def valid(self) -> NDArray[np.bool_]:
        """(H, W) True inside the footprint: the centre of the pixel counts."""
        across, along = self.sensor_coordinates()
        return (np.abs(across) < self.side / 2) & (np.abs(along) < self.side / 2)


def shared_area(a: Acquisition, b: Acquisition) -> float:
    """Ground that two footprints share, in m² on the ellipsoid."""
    common = shapely.intersection(a.footprint, b.footprint)
    return float(area_m2([common])[0])

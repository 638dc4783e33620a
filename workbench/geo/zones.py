"""The zone a place belongs to: UTM between 80° S and 84° N, polar stereographic (UPS) beyond."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

UTM_SOUTH, UTM_NORTH = -80.0, 84.0
UPS_NORTH, UPS_SOUTH = 32661, 32761


def zone_codes(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.int64]:
    """Give the EPSG code of the WGS84 zone that holds each point.

    Regular 6° zones, without the exceptions of Norway and Svalbard; a point on a border belongs to
    the zone east of it, one on the equator to the northern hemisphere.

    Args:
        lon: Longitudes in degrees; any number of turns.
        lat: Latitudes in degrees, in [-90, 90].

    Returns:
        EPSG codes: 32601–32660 and 32701–32760 (UTM), 32661 and 32761 (UPS).

    Example:
        >>> zone_codes([11.0, 11.0, -180.0, 0.0], [48.0, -1.0, 0.0, 85.0]).tolist()
        [32632, 32732, 32601, 32661]
    """
    lon, lat = np.asarray(lon, dtype=float), np.asarray(lat, dtype=float)
    number = (np.floor((lon + 180) / 6) % 60).astype(np.int64) + 1
    code = np.where(lat >= 0, 32600, 32700) + number
    code = np.where(lat >= UTM_NORTH, UPS_NORTH, code)
    return np.where(lat < UTM_SOUTH, UPS_SOUTH, code)


def utm_crs(lon: float, lat: float) -> str:
    """Name the zone of one point, as "EPSG:32632"."""
    return f"EPSG:{int(zone_codes(lon, lat))}"


@dataclass(frozen=True)
class Zone:
    """One UTM or UPS zone as a region of longitude and latitude."""

    code: int
    """EPSG code."""

    @property
    def crs(self) -> str:
        """The code as "EPSG:32632"."""
        return f"EPSG:{self.code}"

    @property
    def is_polar(self) -> bool:
        """True for the two UPS zones."""
        return self.code in (UPS_NORTH, UPS_SOUTH)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) in degrees; zone 60 ends at 180."""
        if self.code == UPS_NORTH:
            return -180.0, UTM_NORTH, 180.0, 90.0
        if self.code == UPS_SOUTH:
            return -180.0, -90.0, 180.0, UTM_SOUTH
        west = (self.code % 100 - 1) * 6.0 - 180.0
        north = self.code < 32700
        return west, 0.0 if north else UTM_SOUTH, west + 6.0, UTM_NORTH if north else 0.0

"""The zone a place belongs to: UTM between 80° S and 84° N, polar stereographic (UPS) beyond."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

UTM_SOUTH, UTM_NORTH = -80.0, 84.0
UPS_NORTH, UPS_SOUTH = 32661, 32761

Box = tuple[float, float, float, float]
"""(west, south, east, north) in degrees."""

_WIDENED: dict[int, tuple[Box, ...]] = {  # Norway (band V) and Svalbard (band X), northern zones
    31: ((0, 0, 6, 56), (0, 56, 3, 64), (0, 64, 6, 72), (0, 72, 9, 84)),
    32: ((6, 0, 12, 56), (3, 56, 12, 64), (6, 64, 12, 72)),
    33: ((12, 0, 18, 72), (9, 72, 21, 84)),
    34: ((18, 0, 24, 72),),
    35: ((24, 0, 30, 72), (21, 72, 33, 84)),
    36: ((30, 0, 36, 72),),
    37: ((36, 0, 42, 72), (33, 72, 42, 84)),
}


def zone_codes(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.int64]:
    """Give the EPSG code of the WGS84 zone that holds each point.

    Zones are 6° wide, but for the exceptions that all products keep: zone 32 is widened around
    Norway (32V), and Svalbard has 31, 33, 35 and 37 only. A point on a border belongs to the zone
    east of it, one on the equator to the northern hemisphere.

    Args:
        lon: Longitudes in degrees; any number of turns.
        lat: Latitudes in degrees, in [-90, 90].

    Returns:
        EPSG codes: 32601–32660 and 32701–32760 (UTM), 32661 and 32761 (UPS).

    Example:
        >>> zone_codes([11.0, 11.0, -180.0, 0.0], [48.0, -1.0, 0.0, 85.0]).tolist()
        [32632, 32732, 32601, 32661]
        >>> zone_codes([5.0, 10.0], [61.0, 78.0]).tolist()  # Bergen, Svalbard
        [32632, 32633]

    References:
        DMA TM 8358.2, The Universal Grids (1989), chapter 3, for the exceptions.
    """
    lon, lat = np.asarray(lon, dtype=float), np.asarray(lat, dtype=float)
    number = (np.floor((lon + 180) / 6) % 60).astype(np.int64) + 1
    if ((lat >= 56) & (lat < UTM_NORTH)).any():
        number = _with_exceptions(number, (lon + 180) % 360 - 180, lat)
    code = np.where(lat >= 0, 32600, 32700) + number
    code = np.where(lat >= UTM_NORTH, UPS_NORTH, code)
    return np.where(lat < UTM_SOUTH, UPS_SOUTH, code)


def _with_exceptions(
    number: NDArray[np.int64], lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> NDArray[np.int64]:
    number, lon, lat = np.broadcast_arrays(number, lon, lat)
    number = number.copy()
    for zone, boxes in _WIDENED.items():
        for west, south, east, north in boxes:
            number[(lon >= west) & (lon < east) & (lat >= south) & (lat < north)] = zone
    return number


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
        """(west, south, east, north) of the regular zone in degrees; zone 60 ends at 180."""
        if self.code == UPS_NORTH:
            return -180.0, UTM_NORTH, 180.0, 90.0
        if self.code == UPS_SOUTH:
            return -180.0, -90.0, 180.0, UTM_SOUTH
        west = (self.code % 100 - 1) * 6.0 - 180.0
        north = self.code < 32700
        return west, 0.0 if north else UTM_SOUTH, west + 6.0, UTM_NORTH if north else 0.0

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The rectangles of longitude and latitude that make up the zone, with its exceptions."""
        return _WIDENED.get(self.code - 32600, (self.bounds,))


def zone_number(crs: str) -> int | None:
    """Give the UTM zone of a CRS on any datum and of either hemisphere; None if it is no UTM.

    Example:
        >>> [zone_number(crs) for crs in ("EPSG:32633", "EPSG:25833", "EPSG:32733", "EPSG:3035")]
        [33, 33, 33, None]
    """
    from pyproj import CRS

    name = CRS.from_user_input(crs).utm_zone
    return None if name is None else int(name[:-1])

"""Units of a reference system: metres in one of its units, and whether it counts in degrees.

The one place that knows. Coordinates of a CRS may count metres (UTM, most national grids), feet
(US State Plane) or degrees (EPSG:4326); only a projected CRS has a pixel size in metres.
"""

from functools import lru_cache

import pyproj

from workbench.errors import CRSMismatchError


@lru_cache(maxsize=256)
def _parsed(crs: str) -> pyproj.CRS:
    try:
        return pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        raise CRSMismatchError(
            f"A reference system is needed, but {crs!r} is none.\nName one, as in 'EPSG:32632'."
        ) from error


@lru_cache(maxsize=256)
def is_geographic(crs: str) -> bool:
    """Tell whether a CRS counts longitude and latitude in degrees rather than lengths.

    Raises:
        CRSMismatchError: If it is no CRS.

    Example:
        >>> is_geographic("EPSG:4326"), is_geographic("EPSG:25832"), is_geographic("EPSG:2264")
        (True, False, False)
    """
    return _parsed(crs).is_geographic


@lru_cache(maxsize=256)
def metres_per_unit(crs: str) -> float:
    """Give the metres in one unit of a projected CRS: 1 for metres, 0.3048006 for US feet.

    A length on the map, not on the ground: the scale of the projection (0.04 % in the middle of a
    UTM zone, cos(latitude) in Web Mercator) is not in it.

    Raises:
        CRSMismatchError: If it is no CRS, or one whose unit is no length (degrees).

    Example:
        >>> metres_per_unit("EPSG:32632"), round(100 * metres_per_unit("EPSG:2264"), 2)
        (1.0, 30.48)
    """
    found = _parsed(crs)
    factors = {axis.unit_conversion_factor for axis in found.axis_info[:2]}
    if not found.is_projected or len(factors) != 1:
        raise CRSMismatchError(
            f"Lengths are asked for in {short_crs(crs)}, but its unit is the {unit_name(crs)}.\n"
            "Warp the data to a projected CRS, as UTM; or plan with a stated size of the pixels: "
            "`ViewRules(gsd=30, resample=True)`."
        )
    return float(factors.pop())


def unit_name(crs: str) -> str:
    """Name the unit of a CRS's coordinates: "metre", "degree", "US survey foot"."""
    axes = _parsed(crs).axis_info
    return axes[0].unit_name if axes else "unknown"


def short_crs(crs: str) -> str:
    """Name a CRS in a few words: its code, or its name where it has none."""
    found = _parsed(crs)
    return crs if ":" in crs and len(crs) < 20 else found.name

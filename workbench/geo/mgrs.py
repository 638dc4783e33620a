"""The 100 km squares of the military grid, by which Sentinel-2 tiles are named."""

import re
from dataclasses import dataclass

SQUARE = 100_000
"""Side of a square, in metres."""
_COLUMNS = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")  # by zone modulo 3; easting 100 km to 800 km
_ROWS = "ABCDEFGHJKLMNPQRSTUV"  # northing modulo 2,000 km; even zones begin at F
_BANDS = "CDEFGHJKLMNPQRSTUVWX"  # 8° of latitude each, from 80° S
_NAME = re.compile(r"(\d{1,2})([C-HJ-NP-X])([A-HJ-NP-Z])([A-HJ-NP-V])")
_METRES_PER_DEGREE = 110_900  # of northing, mean between equator and 84°; 20 km off at worst


@dataclass(frozen=True)
class Square:
    """A 100 km square in its UTM zone."""

    epsg: int
    """EPSG code of the UTM zone: 32601–32660 north, 32701–32760 south."""
    west: int
    """Easting of the west edge, in metres."""
    south: int
    """Northing of the south edge, in metres (with the false 10,000 km of the southern zones)."""

    @property
    def north(self) -> int:
        """Northing of the north edge, in metres."""
        return self.south + SQUARE


def mgrs_square(name: str) -> Square:
    """Find a 100 km square by its name.

    Args:
        name: Zone, latitude band, column and row letter: "32TPS".

    Raises:
        ValueError: If there is no such square.

    Example:
        >>> mgrs_square("32TPS")
        Square(epsg=32632, west=600000, south=5100000)
    """
    match = _NAME.fullmatch(name)
    zone = int(match[1]) if match else 0
    if match is None or not 1 <= zone <= 60 or match[3] not in _COLUMNS[zone % 3]:
        raise ValueError(f'A 100 km square is named as "32TPS", got {name!r}.')
    _, band, column, row = match.groups()
    west = (_COLUMNS[zone % 3].index(column) + 1) * SQUARE
    index = (_ROWS.index(row) - (0 if zone % 2 else 5)) % 20
    middle = (_BANDS.index(band) * 8 - 76) * _METRES_PER_DEGREE
    # Row letters repeat every 2,000 km and a band is 900 km high: the repeat nearest its middle.
    repeat = round((middle - (index + 0.5) * SQUARE) / (20 * SQUARE))
    south = (index + 20 * repeat) * SQUARE
    is_south = band < "N"
    return Square((32700 if is_south else 32600) + zone, west, south + (10_000_000 * is_south))

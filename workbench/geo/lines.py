"""The lines of a pixel grid without its ends: which tiles share them, whatever they show.

Pixels of two rasters fall on one another only if the rasters share CRS, pixel size and where the
lines lie. Products differ in the last: EnMAP and Landsat lines lie 15 m off the multiples of 30 m,
those of most other products on them.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.errors import CRSMismatchError, TileError
from workbench.geo.grid import PixelGrid, crs_name
from workbench.geo.units import is_geographic, metres_per_unit, short_crs

SAME_SIZE = 1e-4
"""Pixel sizes that differ by less than this share are one nominal size: 30.48 m and 100 US feet."""
_ALIGNED = 1e-3  # pixels, as in `grid`


@dataclass(frozen=True, order=True)
class GridLines:
    """Where the lines of square pixels lie in a projected CRS: at `offset + k · size`.

    Example:
        >>> GridLines("EPSG:32632", 30.0, (600015.0, 15.0)).offset
        (15.0, 15.0)
    """

    crs: str
    """Reference system, in the one spelling of `crs_name`."""
    size: float
    """Side of a pixel in units of the CRS, > 0."""
    offset: tuple[float, float] = (0.0, 0.0)
    """(x, y) of one crossing of lines, brought into [0, size)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "crs", crs_name(self.crs))
        object.__setattr__(self, "offset", tuple(_within(v, self.size) for v in self.offset))

    @classmethod
    def of(cls, grid: PixelGrid) -> "GridLines":
        """Give the lines that a grid's pixels lie on.

        Raises:
            CRSMismatchError: If the CRS counts in degrees.
            TileError: If the pixels are not square.
        """
        _ = grid.gsd_m
        return cls(grid.crs, grid.resolution[0], (grid.transform[2], grid.transform[5]))

    @property
    def gsd_m(self) -> float:
        """Side of a pixel in metres on the map."""
        return self.size * metres_per_unit(self.crs)

    @property
    def name(self) -> str:
        """Short name of CRS and offset, for ids: "32632", "32632-e15-n15", "2056", "crs1f3a…".

        A code of the EPSG stands alone; a CRS without a code is named by a checksum of its text.
        """
        authority, _, code = self.crs.partition(":")
        name = code if authority == "EPSG" else f"{authority.lower()}{code}"
        if len(self.crs) > 30:
            name = f"crs{hashlib.sha256(self.crs.encode()).hexdigest()[:8]}"
        return name + "".join(
            f"-{axis}{value:.6g}".replace(".", "p")
            for axis, value in zip("en", self.offset, strict=True)
            if value
        )


def _within(value: float, size: float) -> float:
    """Bring an offset into [0, size); a millionth of a pixel off a line is rounding."""
    rest = math.fmod(value, size)
    rest = rest + size if rest < 0 else rest
    if min(rest, size - rest) < 1e-6 * size:
        return 0.0
    return round(rest, 9)


def same_size(first: float, second: float) -> bool:
    """Tell whether two pixel sizes in one unit are nominally the same."""
    return abs(first - second) < SAME_SIZE * max(first, second)


def families(grids: Sequence[PixelGrid]) -> NDArray[np.int64]:
    """Number grids by the lines they share; each family holds one grid that all others agree with.

    Two grids agree if their lines drift apart by less than a thousandth of a pixel over the larger
    of them (`PixelGrid.agrees`). Numbers count from the family of most grids; the order of the
    grids does not matter.

    Returns:
        (N,) number of each grid's family.
    """
    exact: dict[tuple[object, ...], list[int]] = {}
    for i, grid in enumerate(grids):
        dx, dy = grid.resolution
        offset = _within(grid.transform[2], dx), _within(grid.transform[5], dy)
        exact.setdefault((grid.crs, dx, dy, *offset), []).append(i)
    number = np.zeros(len(grids), dtype=np.int64)
    heads: list[PixelGrid] = []
    for key in sorted(exact, key=lambda k: (-len(exact[k]), *map(str, k))):
        member = grids[exact[key][0]]
        near = _first_that_agrees(member, heads)
        if near is None:
            near = len(heads)
            heads.append(member)
        number[exact[key]] = near
    counts = np.bincount(number, minlength=len(heads))
    rank = np.argsort(np.argsort(-counts, kind="stable"), kind="stable")
    return rank[number] if len(number) else number


def _first_that_agrees(grid: PixelGrid, heads: Sequence[PixelGrid]) -> int | None:
    for i, head in enumerate(heads):
        same = head.crs == grid.crs and abs(head.resolution[0] - grid.resolution[0]) < 1e-3
        if same and head.agrees(grid):
            return i
    return None


def most_common(values: Iterable[float]) -> float | None:
    """Give the pixel size that most have, the smaller of two as frequent; None of none."""
    ordered = sorted(values)
    groups: list[list[float]] = []
    for value in ordered:
        if groups and same_size(groups[-1][0], value):
            groups[-1].append(value)
        else:
            groups.append([value])
    if not groups:
        return None
    largest = max(groups, key=len)
    return max(sorted(set(largest)), key=largest.count)


def why_resampled(grid: PixelGrid, lines: GridLines) -> str:
    """Say in a few words why pixels on one grid cannot be copied to another; "" if they can."""
    if grid.crs != lines.crs:
        return f"pixels in {short_crs(grid.crs)}, location in {short_crs(lines.crs)}"
    wide, high = grid.resolution
    if not (same_size(wide, lines.size) and same_size(high, lines.size)):
        unit = metres_per_unit(lines.crs)
        own = (
            f"{wide * unit:.6g}" if same_size(wide, high) else f"{wide * unit:g} × {high * unit:g}"
        )
        return f"pixels of {own} m, location of {lines.size * unit:.6g} m"
    near = _on_lines(grid, lines)
    if grid.agrees(near):
        return ""
    try:
        east, south = grid.shift(near)
    except TileError:  # sizes that differ by so little that only a whole raster shows it
        return f"pixels of {wide:.9g} × {high:.9g}, location of {lines.size:.9g}"
    return (
        f"lines of the location {east:+.3g} columns and {south:+.3g} rows off those of the pixels"
    )


def _on_lines(grid: PixelGrid, lines: GridLines) -> PixelGrid:
    """A grid of the given lines in the place of another."""
    size, (x, y) = lines.size, lines.offset
    left = x + size * round((grid.transform[2] - x) / size)
    top = y + size * round((grid.transform[5] - y) / size)
    return PixelGrid(lines.crs, (size, 0.0, left, 0.0, -size, top), grid.shape)


def require_same_pixels(tile: PixelGrid, lines: GridLines, *, name: str = "The tile") -> None:
    """Refuse pixels of another nominal size than those of a location, in degrees, or not square.

    Raises:
        CRSMismatchError: If the tile's pixels are in degrees.
        TileError: If they are of another size.
    """
    ask = "or plan with `ViewRules(gsd=..., resample=True)`"
    if is_geographic(tile.crs):
        raise CRSMismatchError(
            f"{name} must have pixels in metres, but they are in degrees ({short_crs(tile.crs)}).\n"
            f"Warp it to a projected CRS first, {ask}."
        )
    wide, high = tile.resolution_m
    if not (same_size(wide, lines.gsd_m) and same_size(high, lines.gsd_m)):
        own = f"{wide:.6g}" if same_size(wide, high) else f"{wide:g} × {high:g}"
        raise TileError(
            f"Grids must share one pixel size, but {name[:1].lower() + name[1:]} has pixels of "
            f"{own} m and the locations have {lines.gsd_m:.6g} m.\n"
            f"Plan with the grid of the tiles (leave `gsd` out), {ask}."
        )

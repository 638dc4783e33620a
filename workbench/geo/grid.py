"""The pixel grid: reference system, transform and shape as one value, and how two grids meet."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from workbench.errors import CRSMismatchError, TileError
from workbench.geo.units import is_geographic, metres_per_unit

Bounds = tuple[float, float, float, float]
"""(xmin, ymin, xmax, ymax) in the units of a CRS."""

_ALIGNED = 1e-3  # pixels; what rounding in a file's transform may cost


class Window(NamedTuple):
    """A rectangle of pixels: rows [row, row + height), columns [col, col + width)."""

    row: int
    col: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices, for an array (…, H, W)."""
        return (
            slice(self.row, self.row + self.height),
            slice(self.col, self.col + self.width),
        )


@lru_cache(maxsize=256)
def crs_name(crs: str) -> str:
    """Name a CRS in the one way used here: "EPSG:32632", or its WKT where it has no code.

    Raises:
        CRSMismatchError: If it is empty or not a CRS.

    Example:
        >>> crs_name("epsg:32632")
        'EPSG:32632'
    """
    try:
        found = pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        raise CRSMismatchError(
            f"A grid needs a CRS, but {crs!r} is none.\nName one, as in 'EPSG:32632'."
        ) from error
    authority = found.to_authority(min_confidence=70)
    return ":".join(authority) if authority else found.to_wkt()


@dataclass(frozen=True)
class PixelGrid:
    """A north-up raster without its pixels.

    Raises:
        CRSMismatchError: If the CRS is missing or unknown.
        TileError: If the transform is rotated or flipped, or the shape is empty.

    Example:
        >>> grid = PixelGrid("EPSG:32632", (30, 0, 600000, 0, -30, 5400000), (100, 200))
        >>> grid.bounds
        (600000.0, 5397000.0, 606000.0, 5400000.0)
    """

    crs: str
    """Reference system, as "EPSG:32632"; anything pyproj reads is accepted."""
    transform: tuple[float, float, float, float, float, float]
    """(a, 0, xmin, 0, e, ymax) with x = a·col + xmin and y = e·row + ymax, a > 0 > e; an
    `affine.Affine` is accepted."""
    shape: tuple[int, int]
    """(height, width) in pixels."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "crs", crs_name(str(self.crs or "")))
        a, b, c, d, e, f = (float(v) for v in tuple(self.transform)[:6])
        if b or d or a <= 0 or e >= 0:
            raise TileError(
                f"A pixel grid is north-up, but its transform is ({a}, {b}, {c}, {d}, {e}, {f}).\n"
                "Warp the raster to a north-up grid first, for example with gdalwarp."
            )
        object.__setattr__(self, "transform", (a, 0.0, c, 0.0, e, f))
        height, width = (int(n) for n in self.shape)
        if height < 1 or width < 1:
            raise TileError(f"A pixel grid has at least one pixel, got a shape of {self.shape}.")
        object.__setattr__(self, "shape", (height, width))

    @classmethod
    def from_bounds(cls, crs: str, bounds: Bounds, gsd: float) -> "PixelGrid":
        """Lay square pixels of `gsd` over the bounds, from their upper left corner.

        Args:
            crs: Reference system.
            bounds: (xmin, ymin, xmax, ymax); the sides are rounded to whole pixels.
            gsd: Side of a pixel in units of the CRS, > 0.
        """
        xmin, ymin, xmax, ymax = bounds
        shape = (round((ymax - ymin) / gsd), round((xmax - xmin) / gsd))
        return cls(crs, (gsd, 0.0, xmin, 0.0, -gsd, ymax), shape)

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.shape[1]

    @property
    def resolution(self) -> tuple[float, float]:
        """(width, height) of a pixel in units of the CRS, both positive."""
        return self.transform[0], -self.transform[4]

    @property
    def resolution_m(self) -> tuple[float, float]:
        """(width, height) of a pixel in metres on the map, whatever the unit of the CRS.

        Raises:
            CRSMismatchError: If the CRS counts in degrees.
        """
        dx, dy = self.resolution
        unit = metres_per_unit(self.crs)
        return dx * unit, dy * unit

    @property
    def gsd_m(self) -> float:
        """Side of a square pixel in metres on the map, whatever the unit of the CRS.

        Raises:
            CRSMismatchError: If the CRS counts in degrees.
            TileError: If pixels are not square (to a ten-thousandth).

        Example:
            >>> feet = PixelGrid("EPSG:2264", (100, 0, 2000000, 0, -100, 700000), (64, 64))
            >>> round(feet.gsd_m, 2)
            30.48
        """
        dx, dy = self.resolution_m
        if abs(dx - dy) > 1e-4 * dx:
            raise TileError(
                f"A pixel must be square to have one size, but is {dx:g} × {dy:g} m.\n"
                "Warp the raster to square pixels; or plan with a stated size: "
                "`ViewRules(gsd=30, resample=True)`."
            )
        return dx

    @property
    def nominal_gsd_m(self) -> float:
        """Size of a pixel in metres where one number is needed, whatever the pixels are.

        `gsd_m` where that is defined; the shorter side of pixels that are not square; of degrees,
        the height of a pixel on the ground. Only to be told: nothing is to be measured with it.
        """
        if is_geographic(self.crs):
            return float(np.radians(self.resolution[1]) * 6_371_007.2)
        return min(self.resolution_m)

    @property
    def bounds(self) -> Bounds:
        """(xmin, ymin, xmax, ymax) of the outer pixel edges."""
        xmin, ymax = self.transform[2], self.transform[5]
        dx, dy = self.resolution
        return xmin, ymax - dy * self.height, xmin + dx * self.width, ymax

    @property
    def outline(self) -> Polygon:
        """The outer edge as a polygon in the grid's CRS."""
        return shapely.box(*self.bounds)

    @property
    def x(self) -> NDArray[np.float64]:
        """(W,) x of the pixel centres."""
        return self.transform[2] + self.resolution[0] * (
            np.arange(self.width, dtype=np.float64) + 0.5
        )

    @property
    def y(self) -> NDArray[np.float64]:
        """(H,) y of the pixel centres, from north to south."""
        return self.transform[5] - self.resolution[1] * (
            np.arange(self.height, dtype=np.float64) + 0.5
        )

    @property
    def whole(self) -> Window:
        """The window of all pixels."""
        return Window(0, 0, self.height, self.width)

    def crop(self, window: Window) -> "PixelGrid":
        """Give the grid of a window, which may reach beyond this grid."""
        a, _, c, _, e, f = self.transform
        origin = (a, 0.0, c + a * window.col, 0.0, e, f + e * window.row)
        return PixelGrid(self.crs, origin, (window.height, window.width))

    def window(self, bounds: Bounds) -> Window:
        """Give the pixels whose grid lines lie nearest to the bounds; not cut at the raster's edge.

        Bounds on grid lines give exactly their pixels; bounds shifted by part of a pixel give as
        many pixels, moved by at most half of one (`shift` says how far).
        """
        xmin, ymin, xmax, ymax = bounds
        dx, dy = self.resolution
        col, width = _nearest_pixels(xmin, xmax, self.transform[2], dx)
        row, height = _nearest_pixels(-ymax, -ymin, -self.transform[5], dy)
        return Window(row, col, height, width)

    def snap(self, bounds: Bounds) -> Bounds:
        """Grow bounds to this grid's lines; a thousandth of a pixel too much is not grown for."""
        xmin, ymin, xmax, ymax = bounds
        dx, dy = self.resolution
        left, right = _outer_lines(xmin, xmax, self.transform[2], dx)
        top, bottom = _outer_lines(-ymax, -ymin, -self.transform[5], dy)
        return left, -bottom, right, -top

    def holds(self, window: Window) -> bool:
        """Whether all pixels of a window are pixels of this grid."""
        return (
            min(window.row, window.col) >= 0
            and window.row + window.height <= self.height
            and window.col + window.width <= self.width
        )

    def shift(self, other: "PixelGrid") -> tuple[float, float]:
        """Measure how far the other grid's lines lie from this grid's, as part of a pixel.

        Returns:
            (east, south) in pixels, each in [-0.5, 0.5); (0, 0) for grids that agree.

        Raises:
            CRSMismatchError: If the grids are in different CRS.
            TileError: If their pixels differ in size.
        """
        self._require_comparable(other)
        dx, dy = self.resolution
        east = (other.transform[2] - self.transform[2]) / dx
        south = (self.transform[5] - other.transform[5]) / dy
        return east - math.floor(east + 0.5), south - math.floor(south + 0.5)

    def agrees(self, other: "PixelGrid") -> bool:
        """Whether both grids share CRS, pixel size and grid lines (to 0.001 pixel)."""
        return (
            self.crs == other.crs
            and self.has_size_of(other)
            and max(abs(s) for s in self.shift(other)) < _ALIGNED
        )

    def intersect(self, other: "PixelGrid") -> "PixelGrid | None":
        """Give the part of this grid that the other covers with whole pixels.

        Args:
            other: A grid of the same CRS and pixel size; its lines may be shifted.

        Returns:
            The common grid on this grid's lines, or None if no whole pixel is shared.

        Raises:
            CRSMismatchError: If the grids are in different CRS.
            TileError: If their pixels differ in size.
        """
        self._require_comparable(other)
        dx, dy = self.resolution
        east = (other.transform[2] - self.transform[2]) / dx
        south = (self.transform[5] - other.transform[5]) / dy
        col, col_end = _overlap(self.width, east, east + other.width)
        row, row_end = _overlap(self.height, south, south + other.height)
        if col_end <= col or row_end <= row:
            return None
        return self.crop(Window(row, col, row_end - row, col_end - col))

    def has_size_of(self, other: "PixelGrid") -> bool:
        """Whether pixels have one size: over the larger raster, lines drift by < 0.001 pixel."""
        size = max(*self.shape, *other.shape)
        pairs = zip(self.resolution, other.resolution, strict=True)
        return all(abs(a - b) * size < _ALIGNED * a for a, b in pairs)

    def _require_comparable(self, other: "PixelGrid") -> None:
        require_one_crs((self.crs, other.crs))
        if not self.has_size_of(other):
            raise TileError(
                f"Grids must share one pixel size, but have {self.resolution} and "
                f"{other.resolution}.\nResample one of them first."
            )


def require_one_crs(names: Iterable[str]) -> None:
    """Refuse a mixture of reference systems.

    Raises:
        CRSMismatchError: Naming them.
    """
    found = sorted(set(names))
    if len(found) > 1:
        raise CRSMismatchError(
            f"Grids must share one CRS, but have: {', '.join(found)}.\n"
            "Reproject one of them first; pixels are not moved silently."
        )


def _nearest_pixels(low: float, high: float, origin: float, size: float) -> tuple[int, int]:
    """One axis: (first pixel, number of pixels) of the interval, to the nearest grid line."""
    return math.floor((low - origin) / size + 0.5), round((high - low) / size)


def _outer_lines(low: float, high: float, origin: float, size: float) -> tuple[float, float]:
    """One axis: the grid lines at or just outside the interval."""
    first = math.floor((low - origin) / size + _ALIGNED)
    last = math.ceil((high - origin) / size - _ALIGNED)
    return origin + first * size, origin + last * size


def _overlap(size: int, low: float, high: float) -> tuple[int, int]:
    """One axis, in pixels: the whole pixels of [0, size) that [low, high) covers."""
    return max(0, math.ceil(low - _ALIGNED)), min(size, math.floor(high + _ALIGNED))

"""Arrays on other grids, and the outlines of masks: what rasterio does in memory, or must not.

Class codes are looked up or counted here, not by GDAL: its warper moves codes that equal the
target's nodata by one (from 3.11 on), and its "mode" changes from version to version.
"""

from typing import Any, Literal

import numpy as np
import rasterio.features
import rasterio.warp
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from shapely.geometry import Polygon

from workbench.geo.footprint import transformer
from workbench.geo.grid import PixelGrid
from workbench.nodata import is_missing

ResamplingName = Literal["nearest", "bilinear", "cubic", "average", "mode"]
_ON_A_LINE = 6  # decimals of a pixel: what is nearer to a grid line lies on it
_NODES = 9  # per axis, of the polynomial that stands for a projection over a patch
_EXACT = 1e-7  # pixels that it may be wrong at other places, else each pixel is projected


def resampled(
    array: NDArray[Any],
    grid: PixelGrid,
    target: PixelGrid,
    *,
    method: ResamplingName = "nearest",
    nodata: float | None = None,
    fill: float | None = None,
) -> NDArray[Any]:
    """Carry an array onto another grid, of the same or another CRS.

    Args:
        array: (C, H, W) or (H, W) on `grid`.
        grid: Where the pixels lie.
        target: Where they shall lie.
        method: "nearest" takes the number under each target pixel's centre, unchanged whatever it
            is (labels, masks); "mode" the most frequent number of the pixels whose centre lies in
            the target pixel (of equally frequent ones the smallest), and the number under its
            centre where there is none; "bilinear", "cubic" and "average" mix measurements.
        nodata: Stored number that is left out of every mixture and has no vote; None if all are
            measurements. NaN and infinite numbers are left out always.
        fill: Number written where the source has nothing; `nodata` if None, and 0 without one.

    Returns:
        The array on the target grid, in the same type.
    """
    fill = (0 if nodata is None else nodata) if fill is None else fill
    out = np.full((*array.shape[:-2], *target.shape), fill, dtype=array.dtype)
    flat, into = array.reshape(-1, *array.shape[-2:]), out.reshape(-1, *target.shape)
    if method in ("nearest", "mode"):
        row, col, inside = pixels_under(grid, target)
        into[:, inside] = flat[:, row[inside], col[inside]]
        if method == "mode":
            for band, result in zip(flat, into, strict=True):
                _most_frequent(band, grid, target, nodata, result)
        if nodata is not None and fill != nodata:
            into[is_missing(into, nodata)] = fill
        return out
    _mixed(flat, grid, target, method, nodata, into)
    return out


def pixels_under(
    grid: PixelGrid, target: PixelGrid
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """Find the pixel of a grid under the centre of each target pixel.

    A centre on a line between pixels belongs to the one east or south of it.

    Returns:
        Rows and columns (H, W), which lie outside the grid where `inside` (H, W) is False.
    """
    at = _positions(grid, target)
    row, col = (np.floor(np.round(v, _ON_A_LINE)).astype(np.intp) for v in at)
    inside = (row >= 0) & (row < grid.height) & (col >= 0) & (col < grid.width)
    return row, col, inside


def _positions(
    grid: PixelGrid, target: PixelGrid
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(H, W) rows and columns, as parts of a pixel from the corner, of the target's centres."""
    if grid.crs == target.crs:
        row, col = _pixel_of(grid, target.x, target.y)
        return (
            np.repeat(row[:, None], target.width, axis=1),
            np.repeat(col[None], target.height, axis=0),
        )
    project = transformer(target.crs, grid.crs).transform
    if min(target.shape) > 2 * _NODES:
        smooth = _polynomial(grid, target, project)
        if smooth is not None:
            return smooth
    x, y = project(*np.meshgrid(target.x, target.y))
    row, col = _pixel_of(grid, x, y)
    return row, col


def _pixel_of(
    grid: PixelGrid, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    dx, dy = grid.resolution
    return (grid.transform[5] - y) / dy, (x - grid.transform[2]) / dx


def _polynomial(
    grid: PixelGrid, target: PixelGrid, project: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The positions by Chebyshev interpolation of the projection; None if that is not exact.

    A projection is smooth: 81 projected points give a patch's 16,384 to a millionth of a pixel,
    which is tested at other points each time.
    """
    nodes = np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)
    x, y = target.x, target.y
    (left, right), (top, bottom) = (x[0], x[-1]), (y[0], y[-1])
    xs = (left + right) / 2 + nodes * (right - left) / 2
    ys = (top + bottom) / 2 + nodes * (bottom - top) / 2
    known = np.stack(_pixel_of(grid, *project(*np.meshgrid(xs, ys))))
    if not np.isfinite(known).all():
        return None
    across, down = (_lagrange(nodes, np.linspace(-1, 1, n)) for n in (target.width, target.height))
    row, col = down @ known @ across.T
    step = [np.unique(np.linspace(0, n - 1, 6).round().astype(int)) for n in target.shape]
    seen = np.ix_(*step)
    true = _pixel_of(grid, *project(*np.meshgrid(x[step[1]], y[step[0]])))
    wrong = max(np.abs(row[seen] - true[0]).max(), np.abs(col[seen] - true[1]).max())
    return (row, col) if wrong < _EXACT else None


def _lagrange(nodes: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """(len(at), len(nodes)) values of the Lagrange polynomials of the nodes."""
    count = len(nodes)
    order = np.arange(count)
    basis = np.cos(np.arccos(np.clip(nodes, -1, 1))[:, None] * order)  # T_k(node)
    values = np.cos(np.arccos(np.clip(at, -1, 1))[:, None] * order)
    found: NDArray[np.float64] = values @ np.linalg.inv(basis)
    return found


def _most_frequent(
    band: NDArray[Any],
    grid: PixelGrid,
    target: PixelGrid,
    nodata: float | None,
    out: NDArray[Any],
) -> None:
    """Write the most frequent number of the pixels whose centre lies in each target pixel."""
    row, col, inside = pixels_under(target, grid)  # the other way round: whom each one votes for
    inside &= ~is_missing(band, nodata)
    codes, code = np.unique(band[inside], return_inverse=True)
    if not len(codes):
        return
    place = row[inside] * target.width + col[inside]
    votes, count = np.unique(place * len(codes) + code, return_counts=True)
    order = np.lexsort((votes, -count, votes // len(codes)))  # by pixel, most votes, smallest code
    elected = votes[order]
    pixel, first = np.unique(elected // len(codes), return_index=True)
    out.reshape(-1)[pixel] = codes[elected[first] % len(codes)]


def _mixed(
    flat: NDArray[Any],
    grid: PixelGrid,
    target: PixelGrid,
    method: ResamplingName,
    nodata: float | None,
    into: NDArray[Any],
) -> None:
    """Mix measurements with GDAL: floats with NaN for what is missing, so that none is moved."""
    wide = np.result_type(flat.dtype, np.float32 if flat.dtype.itemsize <= 2 else np.float64)
    numbers = flat.astype(wide)
    numbers[is_missing(flat, nodata)] = np.nan
    mixed = np.full(into.shape, np.nan, dtype=wide)
    rasterio.warp.reproject(
        numbers,
        mixed,
        src_transform=Affine(*grid.transform),
        src_crs=grid.crs,
        dst_transform=Affine(*target.transform),
        dst_crs=target.crs,
        resampling=Resampling[method],
        src_nodata=np.nan,
        dst_nodata=np.nan,
        num_threads=1,
    )
    there = ~np.isnan(mixed)
    found = mixed[there]
    if flat.dtype.kind in "iu":
        limits = np.iinfo(flat.dtype)
        found = np.clip(np.rint(found), limits.min, limits.max)
    into[there] = found.astype(flat.dtype)


def mask_polygons(mask: NDArray[np.bool_], grid: PixelGrid) -> list[Polygon]:
    """Trace the True pixels of a (H, W) mask along their edges.

    Returns:
        Polygons in the grid's CRS, one per 4-connected region, with holes.
    """
    traced = rasterio.features.shapes(
        mask.astype(np.uint8), mask=mask, connectivity=4, transform=Affine(*grid.transform)
    )
    return [Polygon(g["coordinates"][0], g["coordinates"][1:]) for g, _ in traced]

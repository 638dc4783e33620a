"""Arrays on other grids, and the outlines of masks: what rasterio does in memory."""

from typing import Any, Literal

import numpy as np
import rasterio.features
import rasterio.warp
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from shapely.geometry import Polygon

from workbench.geo.grid import PixelGrid

ResamplingName = Literal["nearest", "bilinear", "cubic", "average", "mode"]


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
        method: "nearest" keeps numbers as they are (labels, masks); "bilinear", "cubic" and
            "average" mix measurements; "mode" is the most frequent label.
        nodata: Stored number that is left out of every mixture; None if all are measurements.
        fill: Number written where the source has nothing; `nodata` if None, and 0 without one.

    Returns:
        The array on the target grid, in the same type.
    """
    fill = (0 if nodata is None else nodata) if fill is None else fill
    out = np.full((*array.shape[:-2], *target.shape), fill, dtype=array.dtype)
    rasterio.warp.reproject(
        array,
        out,
        src_transform=Affine(*grid.transform),
        src_crs=grid.crs,
        dst_transform=Affine(*target.transform),
        dst_crs=target.crs,
        resampling=Resampling[method],
        src_nodata=nodata,
        dst_nodata=fill,
        num_threads=1,
    )
    return out


def mask_polygons(mask: NDArray[np.bool_], grid: PixelGrid) -> list[Polygon]:
    """Trace the True pixels of a (H, W) mask along their edges.

    Returns:
        Polygons in the grid's CRS, one per 4-connected region, with holes.
    """
    traced = rasterio.features.shapes(
        mask.astype(np.uint8), mask=mask, connectivity=4, transform=Affine(*grid.transform)
    )
    return [Polygon(g["coordinates"][0], g["coordinates"][1:]) for g, _ in traced]

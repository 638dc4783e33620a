"""Label maps on their own grids: class indices, shares and densities where a patch asks for them.

A label map is not warped as a whole. For a patch, the window it needs is read and its numbers are
carried onto the patch's pixels: class codes by nearest neighbour, densities by averaging.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from workbench.errors import TileError
from workbench.geo.footprint import projected
from workbench.geo.grid import PixelGrid, Window
from workbench.geo.raster import RasterFile, open_raster
from workbench.geo.raster_grids import ResamplingName, resampled
from workbench.legends import Legend, tree_cover_density

if TYPE_CHECKING:
    import xarray as xr

_MARGIN = 2  # pixels of the label map beyond the patch, for its edge pixels


class LabelMap:
    """A label map opened once and asked for many patches. A context manager.

    Raises:
        TileError: If the file is damaged, or has more than one band.
        CRSMismatchError: If it has no CRS.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = RasterFile(path)
        if self._file.info.count != 1:
            self.close()
            raise TileError(
                f"A label map must have one band, but {path} has {self._file.info.count}."
            )

    @property
    def grid(self) -> PixelGrid:
        """Where the map's own pixels lie."""
        return self._file.info.grid

    def covers(self, grid: PixelGrid) -> bool:
        """Whether the map reaches over the whole of a patch."""
        return self.grid.holds(self._need(grid)[1])

    def codes(self, grid: PixelGrid) -> NDArray[Any]:
        """Give the code under each pixel centre of a patch.

        Args:
            grid: The patch.

        Returns:
            (H, W) codes as delivered, by nearest neighbour.

        Raises:
            TileError: If the map does not cover the patch.
        """
        return self._on(grid, "nearest", None)

    def classes(
        self, grid: PixelGrid, legend: Legend, *, majority: bool = False
    ) -> NDArray[np.uint8]:
        """Give the class of each pixel of a patch.

        Args:
            grid: The patch.
            legend: What the codes mean.
            majority: Take the class that most of the map's pixels in a patch's pixel have, where
                the map is finer; else the class under its centre. What belongs to no class has no
                vote, so that a pixel is ignored only if all of it is.

        Returns:
            (H, W) class indices; `legend.ignore_index` where the code belongs to no class.

        Raises:
            TileError: If the map does not cover the patch.
            ContractMismatchError: If a code is outside the legend.
        """
        if not majority:
            return legend.encode(self.codes(grid), thing=str(self.path))
        window = self._window(grid)
        own = legend.encode(self._file.read(window)[0], thing=str(self.path))
        nothing = legend.ignore_index
        return resampled(own, self.grid.crop(window), grid, method="mode", nodata=nothing)

    def present(self, grid: PixelGrid, legend: Legend) -> NDArray[np.bool_]:
        """Say which classes occur in a patch: in any pixel of the map whose centre is in it.

        The pixels are the map's own, so that a narrow class is not lost between the patch's.

        Returns:
            (K,) bool.

        Raises:
            TileError: If the map does not cover the patch.
            ContractMismatchError: If a code is outside the legend.
        """
        window = self._window(grid)
        own = self.grid.crop(window)
        x, y = np.meshgrid(own.x, own.y)
        patch = projected([_outline(grid)], grid.crs, own.crs)[0]
        inside = shapely.contains_xy(patch, x, y)
        codes = self._file.read(window)[0]
        return legend.present(codes[inside], thing=str(self.path))

    def density(self, grid: PixelGrid) -> NDArray[np.float32]:
        """Give the mean tree cover density of each pixel of a patch.

        Returns:
            (H, W) float32 in [0, 1]; NaN where the map has no data.

        Raises:
            TileError: If the map does not cover the patch.
            ContractMismatchError: If a code is neither a percentage nor 254 or 255.
        """
        window = self._window(grid)
        values = tree_cover_density(self._file.read(window)[0], thing=str(self.path))
        own = self.grid.crop(window)
        finer = grid.resolution[0] > own.resolution[0]
        method: ResamplingName = "average" if finer else "nearest"
        return resampled(values, own, grid, method=method, nodata=np.nan)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def __enter__(self) -> "LabelMap":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _on(self, grid: PixelGrid, method: ResamplingName, nodata: float | None) -> NDArray[Any]:
        window = self._window(grid)
        codes = self._file.read(window)[0]
        return resampled(codes, self.grid.crop(window), grid, method=method, nodata=nodata)

    def _need(self, grid: PixelGrid) -> tuple[shapely.Polygon, Window]:
        """A patch's outline in the map's CRS, and the pixels it needs, which may not be there."""
        patch = projected([_outline(grid)], grid.crs, self.grid.crs)[0]
        return patch, self.grid.window(self.grid.snap(patch.bounds))

    def _window(self, grid: PixelGrid) -> Window:
        """The pixels of the map that a patch needs, with a margin as far as there is one."""
        patch, need = self._need(grid)
        if not self.grid.holds(need):
            raise TileError(
                f"A label map must cover the patch, but {self.path} reaches over "
                f"{_short(self.grid.bounds)} and the patch over {_short(patch.bounds)} in "
                f"{self.grid.crs}.\nLeave the patch out, or use a map that covers it."
            )
        row, col = max(0, need.row - _MARGIN), max(0, need.col - _MARGIN)
        row_end = min(self.grid.height, need.row + need.height + _MARGIN)
        col_end = min(self.grid.width, need.col + need.width + _MARGIN)
        return Window(row, col, row_end - row, col_end - col)


def open_labels(path: str | Path, *, chunks: dict[str, int] | None = None) -> "xr.DataArray":
    """Open a label map lazily, on its own grid: codes as delivered, dims (y, x).

    Raises:
        TileError: If the file is damaged, or has more than one band.
        CRSMismatchError: If it has no CRS.
    """
    with LabelMap(path):
        return open_raster(path, chunks=chunks).isel(band=0, drop=True)


@contextmanager
def label_maps(paths: dict[str, Path]) -> Iterator[dict[str, LabelMap]]:
    """Open several label maps by name and close them all."""
    opened: dict[str, LabelMap] = {}
    try:
        for name, path in paths.items():
            opened[name] = LabelMap(path)
        yield opened
    finally:
        for label_map in opened.values():
            label_map.close()


def _outline(grid: PixelGrid) -> shapely.Polygon:
    """The patch's outline with enough vertices to be projected."""
    return shapely.segmentize(grid.outline, max(grid.shape) * grid.resolution[0] / 8)


def _short(bounds: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.0f}" for value in bounds) + ")"

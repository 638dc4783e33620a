"""Label maps on their own grids: class indices, shares and densities where a patch asks for them.

A label map is not warped as a whole. For a patch, the window it needs is read and its numbers are
carried onto the patch's pixels: class codes by nearest neighbour, densities by averaging. Products
that come in tiles are read as one map, also where a patch lies across their seams.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from workbench.errors import CRSMismatchError, TileError
from workbench.geo.footprint import projected
from workbench.geo.grid import PixelGrid, Window
from workbench.geo.raster import RasterFile, open_raster
from workbench.geo.raster_grids import ResamplingName, pixels_under, resampled
from workbench.legends import Legend, tree_cover_density
from workbench.nodata import is_missing

if TYPE_CHECKING:
    import xarray as xr

log = logging.getLogger(__name__)

_MARGIN = 2  # pixels of the label map beyond the patch, for its edge pixels
_SAME_SIZE = 1.02  # times: what differs less is the scale of two projections
_PERCENT = range(101)


@dataclass
class _Part:
    """The pixels of a map around a patch."""

    grid: PixelGrid
    """Where they lie."""
    codes: NDArray[Any]
    """(h, w) codes as delivered."""
    missing: NDArray[np.bool_]
    """(h, w) where the map says that it has no code."""
    covered: NDArray[np.bool_]
    """(h, w) where there is a map at all."""
    thing: str
    """Whose they are, for messages."""


class _Labels:
    """What a patch may ask of label maps, whether one file or several."""

    def _parts(self, grid: PixelGrid, meanings: Legend | None) -> list[_Part]:
        """The pixels around a patch, once for each grid that maps are on; see `LabelMap`."""
        raise NotImplementedError

    def covers(self, grid: PixelGrid) -> bool:
        """Whether there is a map under the whole of a patch."""
        raise NotImplementedError

    def codes(self, grid: PixelGrid) -> NDArray[Any]:
        """Give the code under each pixel centre of a patch.

        Args:
            grid: The patch.

        Returns:
            (H, W) codes as delivered, by nearest neighbour.

        Raises:
            TileError: If the map does not cover the patch.
        """
        parts = self._parts(grid, None)
        out = np.zeros(grid.shape, dtype=parts[0].codes.dtype)
        open_pixels = np.ones(grid.shape, dtype=bool)
        for part in parts:
            row, col, there = _under(part, grid)
            there &= open_pixels
            out[there] = part.codes[row[there], col[there]]
            open_pixels &= ~there
        return out

    def classes(
        self, grid: PixelGrid, legend: Legend, *, majority: bool = False
    ) -> NDArray[np.uint8]:
        """Give the class of each pixel of a patch.

        Args:
            grid: The patch.
            legend: What the codes mean.
            majority: Take the class that most of the map's pixels have whose centres lie in a
                patch's pixel, where the map is finer; else the class under its centre. What
                belongs to no class has no vote, so that a pixel is ignored only if all of it is;
                of equally frequent classes the first in the legend is taken.

        Returns:
            (H, W) class indices; `legend.ignore_index` where the code belongs to no class or the
            map has none (nodata of its header, a mask). A code that the legend names is a class,
            even if the header calls it nodata.

        Raises:
            TileError: If the map does not cover the patch.
            ContractMismatchError: If a code is outside the legend.
        """
        nothing = legend.ignore_index
        out = np.full(grid.shape, nothing, dtype=np.uint8)
        open_pixels = np.ones(grid.shape, dtype=bool)
        for part in self._parts(grid, legend):
            own = legend.encode(part.codes, missing=part.missing, thing=part.thing)
            row, col, there = _under(part, grid)
            if majority and _is_finer(part.grid, grid):
                found = resampled(own, part.grid, grid, method="mode", nodata=nothing)
            else:
                found = np.full(grid.shape, nothing, dtype=np.uint8)
                found[there] = own[row[there], col[there]]
            there &= open_pixels
            out[there] = found[there]
            open_pixels &= ~there | (out == nothing)
        return out

    def present(self, grid: PixelGrid, legend: Legend) -> NDArray[np.bool_]:
        """Say which classes occur in a patch: in any pixel of the map whose centre is in it.

        The pixels are the map's own, so that a narrow class is not lost between the patch's.

        Returns:
            (K,) bool.

        Raises:
            TileError: If the map does not cover the patch.
            ContractMismatchError: If a code is outside the legend.
        """
        found = np.zeros(len(legend), dtype=bool)
        for part in self._parts(grid, legend):
            x, y = np.meshgrid(part.grid.x, part.grid.y)
            patch = projected([_outline(grid)], grid.crs, part.grid.crs)[0]
            inside = shapely.contains_xy(patch, x, y) & part.covered
            found |= legend.present(
                part.codes[inside], missing=part.missing[inside], thing=part.thing
            )
        return found

    def density(self, grid: PixelGrid) -> NDArray[np.float32]:
        """Give the mean tree cover density of each pixel of a patch.

        Returns:
            (H, W) float32 in [0, 1]; NaN where the map has no data.

        Raises:
            TileError: If the map does not cover the patch.
            ContractMismatchError: If a code is neither a percentage nor 254 or 255.
        """
        out = np.full(grid.shape, np.nan, dtype=np.float32)
        for part in self._parts(grid, None):
            values = tree_cover_density(part.codes, missing=part.missing, thing=part.thing)
            method: ResamplingName = "average" if _is_finer(part.grid, grid) else "nearest"
            found = resampled(values, part.grid, grid, method=method, nodata=np.nan)
            out = np.where(np.isnan(out), found, out)
        return out


class LabelMap(_Labels):
    """A label map opened once and asked for many patches. A context manager.

    Args:
        path: The file. A second band is allowed if it is alpha.
        nodata: A code that means "no label" beside the header's and the legend's.

    Raises:
        TileError: If the file is damaged, or has more than one band.
        CRSMismatchError: If it has no CRS.
    """

    def __init__(self, path: str | Path, *, nodata: float | None = None) -> None:
        self.path = Path(path)
        self.nodata = nodata
        self._file = RasterFile(path)
        self._told = False
        if len(self._file.info.data_bands) != 1:
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
        return self.grid.holds(_need(grid, self.grid)[1])

    def read(self, window: Window, known: Collection[int] = ()) -> tuple[NDArray[Any], Any]:
        """Read codes as delivered, and where the map has none.

        Args:
            window: Pixels of the map.
            known: Codes that mean something; if the header calls one of them nodata, it is a code
                all the same, and a warning says so once.

        Returns:
            (h, w) codes and (h, w) bool.
        """
        index = self._file.info.data_bands[0]
        codes = self._file.read(window, indexes=[index])[0]
        header = self._file.info.nodatas[index - 1]
        if header is not None and header in known and header != self.nodata:
            if not self._told:
                log.warning(
                    "%s: the header calls %g nodata, but it is a class or a value of the map, and "
                    "is taken as one; state nodata=%g if it means no label",
                    self.path, header, header,
                )  # fmt: skip
                self._told = True
            header = None
        missing = is_missing(codes, header) | is_missing(codes, self.nodata)
        masked = self._file.masked(window, indexes=[index])
        return codes, missing if masked is None else missing | masked[0]

    def _parts(self, grid: PixelGrid, meanings: Legend | None) -> list[_Part]:
        patch, need = _need(grid, self.grid)
        if not self.grid.holds(need):
            raise TileError(
                f"A label map must cover the patch, but {self.path} reaches over "
                f"{_short(self.grid.bounds)} and the patch over {_short(patch.bounds)} in "
                f"{self.grid.crs}.\nLeave the patch out, or use a map that covers it."
            )
        window = _within(_with_margin(need), self.grid)
        codes, missing = self.read(window, _known(meanings))
        covered = np.ones(codes.shape, dtype=bool)
        return [_Part(self.grid.crop(window), codes, missing, covered, str(self.path))]

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def __enter__(self) -> "LabelMap":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LabelMosaic(_Labels):
    """The tiles of a label product as one map, without seams. A context manager.

    A patch takes the first tile that covers it whole, and else what its tiles have together; where
    the tile that comes first has no data, the next that has some is taken. Tiles on one grid are
    joined pixel by pixel; on several grids (zones, national systems), each patch's pixel takes the
    first.

    Args:
        paths: The files, in order of preference.
        nodata: See `LabelMap`.

    Raises:
        TileError: If a file is damaged, or has more than one band.
        CRSMismatchError: If one has no CRS.
    """

    def __init__(self, paths: Sequence[str | Path], *, nodata: float | None = None) -> None:
        if not paths:
            raise TileError("Label maps need at least one file, got none.")
        self._open = ExitStack()
        self.maps: list[LabelMap] = []
        self._groups: list[list[LabelMap]] = []
        try:
            for path in paths:
                self._add(self._open.enter_context(LabelMap(path, nodata=nodata)))
        except Exception:
            self._open.close()
            raise

    def _add(self, label_map: LabelMap) -> None:
        self.maps.append(label_map)
        for group in self._groups:
            if group[0].grid.agrees(label_map.grid):
                group.append(label_map)
                return
        self._groups.append([label_map])

    def covers(self, grid: PixelGrid) -> bool:
        """Whether maps reach over the whole of a patch, together."""
        return not self._gap(self._windows(grid), grid)

    def _windows(self, grid: PixelGrid) -> list[tuple[list[LabelMap], PixelGrid, Window]]:
        """For each grid that maps are on: its maps that a patch touches, it, the pixels needed."""
        found = []
        for group in self._groups:
            try:
                need = _need(grid, group[0].grid)[1]
            except CRSMismatchError:  # the patch lies where that projection has no ground
                continue
            shared = [(_shared(need, group[0].grid, m.grid), m) for m in group]
            touched = [(s, m) for s, m in shared if s is not None]
            touched.sort(key=lambda pair: (pair[0].height, pair[0].width) != need[2:])
            if touched:
                found.append(([m for _, m in touched], group[0].grid, need))
        return sorted(found, key=lambda pair: not pair[0][0].covers(grid))

    def _gap(
        self, windows: list[tuple[list[LabelMap], PixelGrid, Window]], grid: PixelGrid
    ) -> bool:
        """Whether part of a patch has no map under it."""
        open_pixels = np.ones(grid.shape, dtype=bool)
        for maps, first, need in windows:
            covered = np.zeros((need.height, need.width), dtype=bool)
            for label_map in maps:
                _, into = _both(need, first, label_map.grid)
                covered[into] = True
            if covered.all():
                return False
            own = first.crop(need)
            row, col, inside = pixels_under(own, grid)
            inside[inside] = covered[row[inside], col[inside]]
            open_pixels &= ~inside
        return bool(open_pixels.any())

    def _parts(self, grid: PixelGrid, meanings: Legend | None) -> list[_Part]:
        windows = self._windows(grid)
        if self._gap(windows, grid):
            raise TileError(
                f"Label maps must cover the patch, but none of {len(self.maps)} covers it whole, "
                f"alone or together with others (e.g. {self.maps[0].path}).\n"
                "Leave the patch out, or add the map that covers it."
            )
        return [self._joined(*found, meanings) for found in windows]

    def _joined(
        self, maps: list[LabelMap], first: PixelGrid, need: Window, meanings: Legend | None
    ) -> _Part:
        window = _with_margin(need)
        shape = (window.height, window.width)
        missing, covered = np.ones(shape, dtype=bool), np.zeros(shape, dtype=bool)
        joined: NDArray[Any] | None = None
        empty = frozenset() if meanings is None else meanings.nodata_codes
        used = []
        for label_map in maps:
            source, into = _both(window, first, label_map.grid)
            codes, lost = label_map.read(source, _known(meanings))
            if joined is None:
                joined = np.zeros(shape, dtype=codes.dtype)
            elif joined.dtype != codes.dtype:
                joined = joined.astype(np.result_type(joined, codes))
            said = ~lost & ~np.isin(codes, list(empty))
            # what an earlier map knows stays; its "no data" gives way to a later map's code
            take = ~covered[into] | (missing[into] & said)
            joined[into] = np.where(take, codes, joined[into])
            missing[into] = np.where(take, ~said, missing[into])
            covered[into] = True
            used.append(str(label_map.path))
        assert joined is not None  # a window without maps is left out before
        thing = used[0] if len(used) == 1 else f"{used[0]} and {len(used) - 1} more"
        return _Part(first.crop(window), joined, missing | ~covered, covered, thing)

    def close(self) -> None:
        """Give the files back."""
        self._open.close()

    def __enter__(self) -> "LabelMosaic":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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


def _known(meanings: Legend | None) -> Collection[int]:
    """Codes that are no nodata whatever a header says: classes; percentages without a legend."""
    return _PERCENT if meanings is None else meanings.index_of_code


def _under(
    part: _Part, grid: PixelGrid
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """The pixel of a part under each centre of a patch, and where there is one that has a map."""
    row, col, there = pixels_under(part.grid, grid)
    there[there] = part.covered[row[there], col[there]]
    return row, col, there


def _is_finer(own: PixelGrid, grid: PixelGrid) -> bool:
    """Whether a map's pixels are smaller than a patch's, measured on the patch's own ground."""
    middle = grid.crop(Window(grid.height // 2, grid.width // 2, 1, 1))
    side = projected([middle.outline], grid.crs, own.crs)[0].area ** 0.5
    return bool(side > max(own.resolution) * _SAME_SIZE)


def _need(grid: PixelGrid, own: PixelGrid) -> tuple[shapely.Polygon, Window]:
    """A patch's outline in a map's CRS, and the map's pixels it needs, which may not be there."""
    patch = projected([_outline(grid)], grid.crs, own.crs)[0]
    if not np.isfinite(patch.bounds).all():
        raise CRSMismatchError(
            f"A label map must be of the patch's region, but {own.crs} has no place for "
            f"{_short(grid.bounds)} in {grid.crs}.\nUse a map that covers the patch."
        )
    return patch, own.window(own.snap(patch.bounds))


def _with_margin(window: Window) -> Window:
    row, col, height, width = window
    return Window(row - _MARGIN, col - _MARGIN, height + 2 * _MARGIN, width + 2 * _MARGIN)


def _within(window: Window, grid: PixelGrid) -> Window:
    row, col = max(0, window.row), max(0, window.col)
    bottom = min(grid.height, window.row + window.height)
    right = min(grid.width, window.col + window.width)
    return Window(row, col, bottom - row, right - col)


def _shared(window: Window, first: PixelGrid, other: PixelGrid) -> Window | None:
    """The part of a window of one grid that an aligned grid has, in pixels of the other."""
    dx, dy = first.resolution
    col = window.col - round((other.transform[2] - first.transform[2]) / dx)
    row = window.row - round((first.transform[5] - other.transform[5]) / dy)
    part = _within(Window(row, col, window.height, window.width), other)
    return part if part.height > 0 and part.width > 0 else None


def _both(window: Window, first: PixelGrid, other: PixelGrid) -> tuple[Window, tuple[slice, slice]]:
    """The shared part in pixels of the other grid, and as slices of the window."""
    part = _shared(window, first, other)
    assert part is not None  # maps that share nothing are left out before
    dx, dy = first.resolution
    col = part.col + round((other.transform[2] - first.transform[2]) / dx) - window.col
    row = part.row + round((first.transform[5] - other.transform[5]) / dy) - window.row
    return part, Window(row, col, part.height, part.width).slices


def _outline(grid: PixelGrid) -> shapely.Polygon:
    """The patch's outline with enough vertices to be projected."""
    return shapely.segmentize(grid.outline, max(grid.shape) * grid.resolution[0] / 8)


def _short(bounds: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.0f}" for value in bounds) + ")"

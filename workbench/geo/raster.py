"""Rasters on disk: windowed reading and atomic writing. This and `raster_grids` know rasterio.

Nothing here scales: numbers come out as they are stored, and what they mean is the reader's input
contract. Where a file says that there is no measurement (nodata of each band, mask bands, a `.msk`
file beside it, an alpha band, NaN) is told by `RasterFile.missing`.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # what GDAL raises when it closes a file
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from workbench.errors import CRSMismatchError, TileError
from workbench.geo.grid import PixelGrid, Window
from workbench.nodata import is_missing

if TYPE_CHECKING:
    import xarray as xr

_GDAL = tuple(int(part) for part in rasterio.__gdal_version__.split(".")[:2])


@dataclass(frozen=True)
class RasterInfo:
    """What a raster's header says."""

    path: Path
    """The file."""
    grid: PixelGrid
    """Where its pixels lie."""
    count: int
    """Number of bands."""
    dtype: str
    """NumPy name of the stored type, as "int16"; of several types, that which holds all."""
    nodata: float | None
    """Stored number without a measurement in the first band; None if the header names none."""
    band_names: tuple[str | None, ...]
    """Band descriptions; None where a band has none."""
    interleave: str
    """"band" or "pixel"."""
    dtypes: tuple[str, ...] = ()
    """Stored type of each band."""
    nodatas: tuple[float | None, ...] = ()
    """Stored number without a measurement in each band, alpha bands included."""
    scales: tuple[float, ...] = ()
    """Factor of each band, as the header names it; 1 where it names none."""
    offsets: tuple[float, ...] = ()
    """Offset of each band, as the header names it; 0 where it names none."""
    units: tuple[str | None, ...] = ()
    """Unit of each band's values after scale and offset, as the header names it."""
    alpha: tuple[int, ...] = ()
    """1-based bands that say how opaque a pixel is, and are no measurement."""
    has_mask: bool = False
    """Whether a mask band, a `.msk` file or an alpha band says which pixels hold measurements."""

    @property
    def data_bands(self) -> tuple[int, ...]:
        """1-based bands that hold measurements: all but alpha bands."""
        return tuple(i for i in range(1, self.count + 1) if i not in self.alpha)


class RasterFile:
    """A raster opened once, read window by window. A context manager.

    Raises:
        TileError: If the file is missing, is no raster, or cannot be read to its end.
        CRSMismatchError: If it has no CRS.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with _named(self.path):
            self._source = rasterio.open(self.path)
        try:
            self.info = _info(self.path, self._source)
        except Exception:
            self._source.close()
            raise

    def read(
        self,
        window: Window | None = None,
        *,
        indexes: Sequence[int] | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Read stored numbers.

        Args:
            window: Pixels to read, inside the raster; all if None.
            indexes: 1-based bands in the order wanted; all in the order of the file if None.
            out: (C, H, W) in the stored type to read into, instead of fresh memory.

        Returns:
            (C, H, W) in the stored type; of bands of several types, in that which holds all.

        Raises:
            TileError: If the window leaves the raster, or the pixels cannot be read.
        """
        box = self._box(window)
        wanted = range(1, self.info.count + 1) if indexes is None else list(indexes)
        types = {self.info.dtypes[i - 1] for i in wanted}
        with _named(self.path):
            if len(types) <= 1:
                return self._source.read(
                    None if indexes is None else list(indexes), window=box, out=out
                )
            bands = [self._source.read(i, window=box) for i in wanted]  # rasterio reads one type
        mixed = np.stack(bands, dtype=common_type(types, str(self.path)), casting="safe")
        if out is None:
            return mixed
        out[:] = mixed
        return out

    def missing(
        self,
        window: Window | None = None,
        *,
        indexes: Sequence[int] | None = None,
        pixels: NDArray[Any] | None = None,
        nodata: float | None = None,
    ) -> NDArray[np.bool_]:
        """Say where the file has no measurement.

        A number is missing if it is the nodata of its band or the one stated here, NaN or infinite;
        or if a mask band, a `.msk` file or an alpha band of 0 says so. They add up: GDAL looks at
        a mask *instead of* nodata.

        Args:
            window: As in `read`.
            indexes: As in `read`; all bands but alpha if None.
            pixels: What `read` gave for the same window and bands, if it is at hand.
            nodata: One more number without a measurement, for all bands.

        Returns:
            (C, H, W) bool.

        Raises:
            TileError: See `read`.
        """
        wanted = self.info.data_bands if indexes is None else tuple(indexes)
        numbers = self.read(window, indexes=wanted) if pixels is None else pixels
        lost = np.empty(numbers.shape, dtype=bool)
        for k, index in enumerate(wanted):
            lost[k] = is_missing(numbers[k], self.info.nodatas[index - 1])
            if nodata is not None:
                lost[k] |= is_missing(numbers[k], nodata)
        masked = self.masked(window, indexes=wanted)
        if masked is not None:
            lost |= masked
        return lost

    def masked(
        self, window: Window | None = None, *, indexes: Sequence[int] | None = None
    ) -> NDArray[np.bool_] | None:
        """Say where masks or alpha take pixels out; None if the file has neither.

        Args:
            window: As in `read`.
            indexes: As in `missing`.

        Returns:
            (C, H, W) bool, or (1, H, W) where one mask is that of all bands.
        """
        if not self.info.has_mask:
            return None
        box = self._box(window)
        wanted = self.info.data_bands if indexes is None else tuple(indexes)
        with _named(self.path):
            parts = [self._source.read(i, window=box)[None] == 0 for i in self.info.alpha]
            every = self._source.mask_flag_enums
            flags = [every[i - 1] for i in wanted]
            if any(_is_mask(f) for f in flags):
                shared = all(_is_mask(f) and MaskFlags.per_dataset in f for f in flags)
                asked = list(wanted[:1]) if shared else list(wanted)
                opaque = self._source.read_masks(asked, window=box)
                own = np.array([_is_mask(every[i - 1]) for i in asked])
                parts.append((opaque == 0) & own[:, None, None])
        shape = np.broadcast_shapes(*(part.shape for part in parts))
        lost = np.zeros(shape, dtype=bool)
        for part in parts:
            lost |= part
        return lost

    def _box(self, window: Window | None) -> RasterioWindow | None:
        if window is None:
            return None
        if not self.info.grid.holds(window):
            raise TileError(
                f"A window must lie inside the raster, but {tuple(window)} (row, col, height, "
                f"width) leaves the {self.info.grid.shape} pixels of {self.path}."
            )
        return RasterioWindow(window.col, window.row, window.width, window.height)

    def require_whole(self) -> None:
        """Refuse a truncated file: the first and last block of each band must lie inside it.

        Only the header is read. Other formats than TIFF pass; their readers find out.

        Raises:
            TileError: Naming the file and both sizes.
        """
        size = self.path.stat().st_size
        block = self._source.block_shapes[0]
        rows, cols = (-(-n // b) for n, b in zip(self.info.grid.shape, block, strict=True))
        bands = self._source.indexes if self.info.interleave == "band" else (1,)
        for band in bands:
            for row, col in ((0, 0), (rows - 1, cols - 1)):
                end = sum(
                    self._block_tag(f"BLOCK_{k}_{col}_{row}", band) for k in ("OFFSET", "SIZE")
                )
                if end > size:
                    raise TileError(
                        f"A raster must hold all its pixels, but {self.path} ends after {size} "
                        f"bytes and band {band} reaches to {end}.\n"
                        "It is truncated: deliver it again."
                    )

    def _block_tag(self, tag: str, band: int) -> int:
        # a sparse block has neither offset nor size
        return int(self._source.get_tag_item(tag, "TIFF", bidx=band) or 0)

    def close(self) -> None:
        """Give the file back."""
        self._source.close()

    def __enter__(self) -> "RasterFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def bulk_reading(cache_mb: int) -> AbstractContextManager[Any]:
    """Read much once: what is not compressed goes straight to its place, and few blocks are kept.

    GDAL would keep blocks up to 5 % of the RAM, and copy each pixel through them. Read this way,
    a file that ends early gives zeros where it ends: `require_whole` comes first.
    """
    return rasterio.Env(GDAL_CACHEMAX=cache_mb, GTIFF_DIRECT_IO="YES")


def raster_info(path: str | Path) -> RasterInfo:
    """Read a raster's header.

    Raises:
        TileError: If the file is missing or no raster.
        CRSMismatchError: If it has no CRS.
    """
    with RasterFile(path) as source:
        return source.info


def read_raster(
    path: str | Path, window: Window | None = None, *, indexes: Sequence[int] | None = None
) -> NDArray[Any]:
    """Read a raster, or a window of it, as (C, H, W) in the stored type; see `RasterFile.read`."""
    with RasterFile(path) as source:
        return source.read(window, indexes=indexes)


def open_raster(path: str | Path, *, chunks: dict[str, int] | None = None) -> "xr.DataArray":
    """Open a raster lazily: pixels are read when they are used.

    Args:
        path: The file.
        chunks: Dask chunks as {"band": 1, "y": 512, "x": 512}; None reads lazily without Dask.

    Returns:
        Stored numbers with dims (band, y, x), rioxarray's coordinates and `spatial_ref`; `band`
        counts from 1.

    Raises:
        TileError: If the file is missing or no raster.
        CRSMismatchError: If it has no CRS.
    """
    import rioxarray
    import xarray

    raster_info(path)  # a plain error for a bad file, before xarray wraps it
    data = rioxarray.open_rasterio(path, chunks=chunks, cache=False, lock=False)
    assert isinstance(data, xarray.DataArray)  # several subdatasets need another driver
    for name in [n for n in data.attrs if n == "long_name" or n.startswith("STATISTICS_")]:
        del data.attrs[name]  # they no longer fit once bands are selected
    return data


def write_raster(
    path: str | Path,
    array: NDArray[Any],
    grid: PixelGrid,
    *,
    nodata: float | None = None,
    band_names: Sequence[str] | None = None,
    interleave: Literal["band", "pixel"] = "band",
    tiled: bool = True,
    block: int = 128,
    compress: str | None = None,
    cog: bool = False,
) -> Path:
    """Write a GeoTIFF whole or not at all, and make sure that all its pixels arrived.

    Args:
        path: File to write; its folder is made. An existing file is replaced.
        array: (C, H, W) or (H, W), any type GeoTIFF stores.
        grid: Where the pixels lie; its shape is the array's.
        nodata: Stored number without a measurement, written to the header.
        band_names: One description per band.
        interleave: "band" (each band on its own, good for many bands) or "pixel" (GDAL's default).
        tiled: Square blocks rather than rows.
        block: Side of a block in pixels, a multiple of 16.
        compress: None, "deflate", "zstd", "lzw".
        cog: Cloud-optimised, with overviews; always tiled and pixel-interleaved, as GDAL makes it.

    Returns:
        The path.

    Raises:
        TileError: If array, grid and names do not fit, or the file cannot be written.
    """
    path = Path(path)
    bands = array[None] if array.ndim == 2 else array
    if bands.ndim != 3 or bands.shape[1:] != grid.shape:
        raise TileError(
            f"An array must fit its grid, but {array.shape} is not {grid.shape}: {path}."
        )
    names = (None,) * len(bands) if band_names is None else tuple(band_names)
    if len(names) != len(bands):
        raise TileError(f"Each band has one name, got {len(names)} for {len(bands)}: {path}.")
    blocks = {"blockxsize": block, "blockysize": block} if tiled else {}
    layout = {"driver": "GTiff", "interleave": interleave, "tiled": tiled, **blocks}
    # Since GDAL 3.11 the COG driver has a choice, and takes that of a source by itself.
    in_pixels = {"interleave": "pixel"} if _GDAL >= (3, 11) else {}
    profile: dict[str, Any] = {
        **({"driver": "COG", "blocksize": max(block, 128), **in_pixels} if cog else layout),
        **({"compress": compress} if compress else {}),
        "count": len(bands),
        "dtype": bands.dtype.name,
        "nodata": nodata,
        "height": grid.height,
        "width": grid.width,
        "crs": grid.crs,
        "transform": Affine(*grid.transform),
        "BIGTIFF": "IF_SAFER",
    }
    _write(path, bands, names, profile)
    return path


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn rasterio's errors into one that names the file."""
    try:
        yield
    except (RasterioError, CPLE_BaseError, OSError) as error:
        raise TileError(
            f"A raster must be readable, but {path} is not: {str(error).splitlines()[0]}\n"
            "It is missing, damaged or no raster: deliver it again."
        ) from error


def _info(path: Path, source: Any) -> RasterInfo:
    if source.crs is None:
        raise CRSMismatchError(
            f"A raster needs a CRS, but {path} has none.\n"
            "Deliver it with its reference system; it is not guessed."
        )
    code = source.crs.to_epsg()  # also where the header spells the CRS out without its code
    crs = f"EPSG:{code}" if code else source.crs.to_wkt()
    grid = PixelGrid(crs, source.transform, (source.height, source.width))
    alpha = tuple(
        i for i, colour in enumerate(source.colorinterp, start=1) if colour == ColorInterp.alpha
    )
    if len(alpha) == source.count:
        alpha = ()  # a file of its own, as one band tagged by mistake: its numbers are all there is
    data = [i for i in range(source.count) if i + 1 not in alpha]
    dtypes, nodatas, flags = source.dtypes, source.nodatavals, source.mask_flag_enums  # each slow
    types = {dtypes[i] for i in data}
    return RasterInfo(
        path=path,
        grid=grid,
        count=source.count,
        dtype=types.pop() if len(types) == 1 else common_type(types, str(path)).name,
        nodata=nodatas[data[0]],
        band_names=source.descriptions,
        interleave=source.interleaving.value.lower() if source.interleaving else "band",
        dtypes=tuple(dtypes),
        nodatas=tuple(nodatas),
        scales=tuple(source.scales),
        offsets=tuple(source.offsets),
        units=tuple(source.units),
        alpha=alpha,
        has_mask=bool(alpha) or any(_is_mask(flags[i]) for i in data),
    )


def _is_mask(flags: Sequence[MaskFlags]) -> bool:
    """Whether GDAL's mask of a band is one of the file's own, no comparison with nodata.

    The mask of an alpha band is left out: alpha is read itself, as GDAL scales it to 8 bits. That
    of NODATA_VALUES (a pixel is missing if all bands have theirs) carries both flags.
    """
    names = set(flags)
    if names & {MaskFlags.all_valid, MaskFlags.alpha}:
        return False
    return names != {MaskFlags.nodata}


def common_type(types: Iterable[str], thing: str) -> "np.dtype[Any]":
    """Give the number type that holds those of all bands without loss.

    Args:
        types: NumPy names.
        thing: What has them, for the message.

    Raises:
        TileError: If there is none, as for int64 beside float64.

    Example:
        >>> common_type(["int16", "uint16"], "x.vrt"), common_type(["int16", "float32"], "x.vrt")
        (dtype('int32'), dtype('float32'))
    """
    names = sorted(set(types))
    common = np.result_type(*names)
    wide = {np.dtype(name).itemsize for name in names if np.dtype(name).kind in "iu"}
    if common.kind in "fc" and 8 in wide:
        raise TileError(
            f"The bands of a raster must fit one type of number, but {thing} has "
            f"{', '.join(names)}, and none holds all of them exactly.\n"
            "Write its bands as one type, or choose bands of one type."
        )
    return common


def _write(
    path: Path, bands: NDArray[Any], names: Sequence[str | None], profile: dict[str, Any]
) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(unfinished, "w", **profile) as out:
            for i, name in enumerate(names, start=1):
                if name is not None:  # before the pixels, so that the header comes first
                    out.set_band_description(i, name)
            out.write(bands)
        with RasterFile(unfinished) as written:  # a full disk shows only here
            written.require_whole()
        os.replace(unfinished, path)
    except (RasterioError, CPLE_BaseError, OSError) as error:
        raise TileError(f"A raster must be writable, but {path} is not: {error}") from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)

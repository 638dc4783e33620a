"""Pixels and quality of one tile, whatever its product: opened once, read in windows.

An EnMAP product gives its quality layers and its pixel mask; a plain raster knows only nodata.
"""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.errors import TileError
from workbench.extraction.store import QUALITY_BITS
from workbench.geo.grid import PixelGrid, Window
from workbench.geo.raster import RasterFile
from workbench.sensors import InputContract

Bands = Literal["kept", "all"] | Sequence[str]
"""Which bands: those used for learning, all as delivered, or names in the order wanted."""

_LAYERS = {
    "cloud": "cloud", "shadow": "cloudshadow", "haze": "haze", "cirrus": "cirrus", "snow": "snow",
}  # fmt: skip


class Source(Protocol):
    """An open tile. A context manager."""

    grid: PixelGrid
    """Where its pixels lie."""
    contract: InputContract
    """How its numbers are to be read; its bands are those that are read."""
    dtype: str
    """NumPy name of the stored type."""
    is_by_pixel: bool
    """True if a file's block holds all bands, so that a band cannot be read alone cheaply."""
    has_mask: bool
    """Whether there is a mask of defective pixels."""
    unknown: frozenset[str]
    """Kinds of `MEASURES` that nothing in the product tells, so that their shares are missing."""

    def pixels(self, window: Window, bands: slice, *, borrow: bool = False) -> NDArray[Any]:
        """Read stored numbers (C, H, W) of a slice of the contract's bands.

        Args:
            window: Pixels to read.
            bands: Places in the contract.
            borrow: The array may be overwritten by the next reading, which saves the memory of a
                new one; for those who are done with it by then.
        """

    def defective(self, window: Window, bands: slice) -> NDArray[np.bool_]:
        """Read where one of these bands is defective (H, W)."""

    def layers(self, window: Window) -> NDArray[np.uint8]:
        """Read what the quality layers say: bits of `QUALITY_BITS` (H, W)."""

    def __enter__(self) -> "Source": ...

    def __exit__(self, *error: object) -> None: ...


def open_source(path: Path | None, name: str, *, bands: Bands = "kept") -> Source:
    """Open a tile.

    Args:
        path: Folder of an EnMAP L2A product, or a raster file.
        name: Id of the tile, for messages.
        bands: Which bands; a raster file gives all it has for "kept".

    Raises:
        TileError: If there is no such tile, or it is damaged.
        ContractMismatchError: If it lacks a band.
    """
    if path is None or not path.exists():
        raise TileError(
            f"A tile must have its pixels on this machine, but {name} has "
            f"{'no path' if path is None else f'{path}, which is not there'}.\n"
            "Read the tiles from the products, or fetch these first."
        )
    return EnmapSource(path, bands) if path.is_dir() else RasterSource(path, bands)


class EnmapSource:
    """An EnMAP L2A product."""

    def __init__(self, folder: Path, bands: Bands) -> None:
        from workbench.readers.enmap import read_product  # the catalog behind it is slow to load

        product = read_product(folder)
        self.grid = product.grid
        self.contract = product.contract(bands)
        self._indexes = product.band_indexes(bands)
        self._paths = product.quality_paths
        self.has_mask = "pixelmask" in self._paths
        self.unknown = frozenset() if self.has_mask else frozenset({"defective"})
        names = set(self.contract.band_names)
        self._lacks_bands = any(b.is_empty and b.name in names for b in product.metadata.bands)
        self._open = ExitStack()
        self._image = self._open.enter_context(RasterFile(product.image_path))
        self._mask: RasterFile | None = None
        self._rooms: dict[str, NDArray[np.uint8]] = {}
        self.dtype = self._image.info.dtype
        self.is_by_pixel = self._image.info.interleave == "pixel"

    def pixels(self, window: Window, bands: slice, *, borrow: bool = False) -> NDArray[Any]:
        """See `Source`."""
        values = self._read(self._image, window, bands)
        return values if borrow else values.copy()

    def defective(self, window: Window, bands: slice) -> NDArray[np.bool_]:
        """See `Source`."""
        if self._mask is None:
            self._mask = self._open.enter_context(RasterFile(self._paths["pixelmask"]))
        found = self._read(self._mask, window, bands).any(axis=0)
        assert isinstance(found, np.ndarray)
        return found

    def _read(self, file: RasterFile, window: Window, bands: slice) -> NDArray[Any]:
        """Read into memory that is used again: a page fault costs as much as reading the page."""
        indexes, dtype = self._indexes[bands], np.dtype(file.info.dtype)
        shape = (len(indexes), window.height, window.width)
        need = math.prod(shape) * dtype.itemsize
        key = "image" if file is self._image else "mask"  # what is borrowed of one stays as it is
        room = self._rooms.get(key)
        if room is None or len(room) < need:
            room = self._rooms[key] = np.empty(need, dtype=np.uint8)
        return file.read(window, indexes=indexes, out=room[:need].view(dtype).reshape(shape))

    def layers(self, window: Window) -> NDArray[np.uint8]:
        """See `Source`."""
        from workbench.readers.enmap import LAND, WATER

        if self._lacks_bands:  # its metadata say that a band holds nothing
            return np.full((window.height, window.width), QUALITY_BITS["nodata"], dtype=np.uint8)
        classes = self._layer("classes", window)
        bits = np.where(np.isin(classes, (LAND, WATER)), 0, QUALITY_BITS["nodata"])
        bits |= np.where(classes == WATER, QUALITY_BITS["water"], 0)
        for bit, layer in _LAYERS.items():
            bits |= np.where(self._layer(layer, window) > 0, QUALITY_BITS[bit], 0)
        return bits.astype(np.uint8)

    def _layer(self, name: str, window: Window) -> NDArray[Any]:
        with RasterFile(self._paths[name]) as file:
            layer: NDArray[Any] = file.read(window, indexes=[1])[0]
        return layer

    def __enter__(self) -> "EnmapSource":
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()


class RasterSource:
    """A plain raster file, whose bands are named after their descriptions or places."""

    has_mask = False
    unknown = frozenset(QUALITY_BITS) - {"nodata"} | {"land"}

    def __init__(self, path: Path, bands: Bands) -> None:
        self._file = RasterFile(path)
        try:
            self._file.require_whole()
        except TileError:
            self._file.close()
            raise
        info = self._file.info
        self.grid, self.dtype = info.grid, info.dtype
        self.is_by_pixel = info.interleave == "pixel"
        names = [name or f"B{i}" for i, name in enumerate(info.band_names, start=1)]
        chosen = names if isinstance(bands, str) else list(bands)
        self.contract = _plain_contract(names, info.nodata, info.grid).select(chosen)
        self._indexes = [names.index(name) + 1 for name in chosen]

    def pixels(self, window: Window, bands: slice, *, borrow: bool = False) -> NDArray[Any]:
        """See `Source`."""
        return self._file.read(window, indexes=self._indexes[bands])

    def defective(self, window: Window, bands: slice) -> NDArray[np.bool_]:
        """See `Source`; nothing is known to be."""
        return np.zeros((window.height, window.width), dtype=bool)

    def layers(self, window: Window) -> NDArray[np.uint8]:
        """See `Source`; there are none."""
        return np.zeros((window.height, window.width), dtype=np.uint8)

    def __enter__(self) -> "RasterSource":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def _plain_contract(names: Sequence[str], nodata: float | None, grid: PixelGrid) -> InputContract:
    unknown = (None,) * len(names)
    return InputContract("DN", 1.0, 0.0, nodata, tuple(names), unknown, unknown, grid.nominal_gsd_m)

"""Pixels and quality of one tile, whatever its product: opened once, read in windows.

An EnMAP product gives its quality layers and its pixel mask; a plain raster its nodata of each
band, its masks and its alpha band.
"""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from workbench.errors import ContractMismatchError, TileError, WorkbenchError
from workbench.extraction.store import QUALITY_BITS
from workbench.geo.grid import PixelGrid, Window
from workbench.geo.raster import RasterFile, RasterInfo, common_type
from workbench.nodata import can_store, is_missing
from workbench.sensors import InputContract

Bands = Literal["kept", "all"] | Sequence[str]
"""Which bands: those used for learning, all as delivered, or names in the order wanted; names that
begin with "-" are left out of those used for learning, as ["-B092"]."""

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
    empty_bands: tuple[str, ...]
    """Bands of which the tile itself says that they hold nothing."""
    remarks: tuple[str, ...]
    """What a user should know of the header, as "names no nodata …"."""
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

    def missing(
        self, window: Window, bands: slice, pixels: NDArray[Any]
    ) -> NDArray[np.bool_] | None:
        """Say where there is no measurement beside the contract's nodata and NaN.

        Returns:
            (C, H, W) bool for the `pixels` that were read; None if these say it all.
        """

    def without_data(self) -> NDArray[np.bool_]:
        """Say where a band of the whole tile has no measurement, (H, W)."""

    def defective(self, window: Window, bands: slice) -> NDArray[np.bool_]:
        """Read where one of these bands is defective (H, W)."""

    def layers(self, window: Window) -> NDArray[np.uint8]:
        """Read what the quality layers say: bits of `QUALITY_BITS` (H, W)."""

    def __enter__(self) -> "Source": ...

    def __exit__(self, *error: object) -> None: ...


def open_source(
    path: Path | None, name: str, *, bands: Bands = "kept", nodata: float | None = None
) -> Source:
    """Open a tile.

    Args:
        path: Folder of an EnMAP L2A product, or a raster file.
        name: Id of the tile, for messages.
        bands: Which bands; a raster file gives all it has for "kept".
        nodata: One more stored number of plain rasters that is no measurement, as the 0 of fill
            that no header names; products state their own.

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
    return EnmapSource(path, bands) if path.is_dir() else RasterSource(path, bands, nodata)


class EnmapSource:
    """An EnMAP L2A product."""

    def __init__(self, folder: Path, bands: Bands) -> None:
        from workbench.readers.enmap import read_product  # the catalog behind it is slow to load

        product = read_product(folder)
        without = without_bands(bands)
        if without is not None:
            bands = [name for name in product.band_names("kept") if name not in without]
        self.grid = product.grid
        self.contract = product.contract(bands)
        self._indexes = product.band_indexes(bands)
        self._paths = product.quality_paths
        self.has_mask = "pixelmask" in self._paths
        self.unknown = frozenset() if self.has_mask else frozenset({"defective"})
        names = set(self.contract.band_names)
        self.remarks: tuple[str, ...] = ()
        self.empty_bands = tuple(
            b.name for b in product.metadata.bands if b.is_empty and b.name in names
        )
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

    def missing(
        self, window: Window, bands: slice, pixels: NDArray[Any]
    ) -> NDArray[np.bool_] | None:
        """See `Source`; a product's nodata is its contract's."""
        return None

    def without_data(self) -> NDArray[np.bool_]:
        """See `Source`; as its classes say."""
        return (self.layers(self.grid.whole) & QUALITY_BITS["nodata"]) > 0

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

        if self.empty_bands:  # its metadata say that a band holds nothing
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
    """A plain raster file, whose bands are named after their descriptions or places.

    What its header, masks or alpha say is missing, is missing; an alpha band is no band. If all
    bands name one nodata, or one is stated, that is the contract's; if they name several, the
    first stands for all and the others' pixels are given as it.
    """

    has_mask = False
    unknown = frozenset(QUALITY_BITS) - {"nodata"} | {"land"}
    empty_bands: tuple[str, ...] = ()

    def __init__(self, path: Path, bands: Bands, nodata: float | None = None) -> None:
        self._file = RasterFile(path)
        try:
            self._file.require_whole()
            self._choose(path, bands, nodata)
        except WorkbenchError:
            self._file.close()
            raise

    def _choose(self, path: Path, bands: Bands, nodata: float | None) -> None:
        info = self._file.info
        self.grid, self._stated = info.grid, nodata
        self.is_by_pixel = info.interleave == "pixel"
        names = {info.band_names[i - 1] or f"B{i}": i for i in info.data_bands}
        chosen = _chosen(list(names), bands)
        unknown = (None,) * len(names)
        plain = InputContract(
            "DN", 1.0, 0.0, None, tuple(names), unknown, unknown, info.grid.nominal_gsd_m
        ).select(chosen)
        self._indexes = [names[name] for name in chosen]
        types = {info.dtypes[i - 1] for i in self._indexes}
        self.dtype = common_type(types, str(path)).name
        if np.dtype(self.dtype).kind not in "iuf":
            raise TileError(
                f"Pixels must be whole or decimal numbers, but those of {path} are {self.dtype}.\n"
                "Write amplitude and phase, or real and imaginary part, as bands of their own."
            )
        if nodata is not None and not can_store(self.dtype, nodata):
            raise TileError(
                f"The stated nodata must be a number that pixels can have, but {self.dtype} of "
                f"{path} cannot hold {nodata:g}.\nState another."
            )
        scale, offset, units, self.remarks = _scaling(info, self._indexes, path)
        self.contract = replace(
            plain,
            units=units,
            scale=scale,
            offset=offset,
            nodata=self._one_nodata(info),
        )
        if not self.says_what_is_missing and np.dtype(self.dtype).kind != "f":
            self.remarks = (
                *self.remarks,
                "names no nodata and has no mask, so that every number counts as a measurement; "
                "if fill is stored (often 0), state it: nodata=0, or `extract --nodata 0`",
            )

    @property
    def says_what_is_missing(self) -> bool:
        """Whether header, mask or caller say which pixels hold no measurement."""
        return self._file.info.has_mask or self.contract.nodata is not None or any(self._named)

    def _one_nodata(self, info: RasterInfo) -> float | None:
        numbers = [info.nodatas[i - 1] for i in self._indexes]
        usable = [n if n is not None and can_store(self.dtype, n) else None for n in numbers]
        self._named = [n is not None for n in usable]
        if self._stated is not None:
            return self._stated
        if None not in usable:
            return usable[0]
        return np.nan if any(self._named) and np.dtype(self.dtype).kind == "f" else None

    def pixels(self, window: Window, bands: slice, *, borrow: bool = False) -> NDArray[Any]:
        """See `Source`."""
        return self._file.read(window, indexes=self._indexes[bands])

    def missing(
        self, window: Window, bands: slice, pixels: NDArray[Any]
    ) -> NDArray[np.bool_] | None:
        """See `Source`."""
        indexes, info = self._indexes[bands], self._file.info
        own = [info.nodatas[i - 1] for i in indexes]
        if not info.has_mask and all(n is None or n == self.contract.nodata for n in own):
            return None  # the contract's number and NaN say it all
        return self._file.missing(window, indexes=indexes, pixels=pixels)

    def defective(self, window: Window, bands: slice) -> NDArray[np.bool_]:
        """See `Source`; nothing is known to be."""
        return np.zeros((window.height, window.width), dtype=bool)

    def layers(self, window: Window) -> NDArray[np.uint8]:
        """See `Source`; there are none, but a mask says where all bands have nothing."""
        bits = np.zeros((window.height, window.width), dtype=np.uint8)
        masked = self._file.masked(window, indexes=self._indexes)
        if masked is not None:
            bits[masked.any(axis=0)] = QUALITY_BITS["nodata"]
        return bits

    def without_data(self) -> NDArray[np.bool_]:
        """See `Source`."""
        found = self.layers(self.grid.whole) > 0
        for k in range(len(self._indexes)):  # one band at a time: a scene may be large
            numbers = self.pixels(self.grid.whole, slice(k, k + 1))
            found |= is_missing(numbers[0], self.contract.nodata)
            lost = self.missing(self.grid.whole, slice(k, k + 1), numbers)
            if lost is not None:
                found |= lost[0]
        return found

    def __enter__(self) -> "RasterSource":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def _chosen(names: Sequence[str], bands: Bands) -> list[str]:
    """Names of the chosen bands; names that begin with "-" are left out of all."""
    if isinstance(bands, str):
        return list(names)
    without = without_bands(bands)
    return list(bands) if without is None else [name for name in names if name not in without]


def without_bands(bands: Bands) -> set[str] | None:
    """Names of the bands to leave out, of ["-B092", "-B093"]; None if bands are chosen otherwise.

    Raises:
        ContractMismatchError: If bands are both chosen and left out.
    """
    if isinstance(bands, str):
        return None
    out = {name[1:] for name in bands if name.startswith("-")}
    if out and len(out) < len(set(bands)):
        raise ContractMismatchError(
            f"Bands are either named or left out (-NAME), got both: {', '.join(bands)}."
        )
    return out or None


def _scaling(
    info: RasterInfo, indexes: Sequence[int], path: Path
) -> tuple[float, float, str, tuple[str, ...]]:
    """Scale, offset and units of the header where all bands share them, and what to say else."""
    scales = {info.scales[i - 1] for i in indexes}
    offsets = {info.offsets[i - 1] for i in indexes}
    units = {info.units[i - 1] for i in indexes}
    scale, offset = min(scales), min(offsets)
    one = len(scales) == len(offsets) == 1
    if not one or not (0 < scale < np.inf and np.isfinite(offset)):
        told = (
            "names scales or offsets that differ between its bands or cannot be used; they are "
            "left out, and numbers are taken as stored (DN)"
        )
        return 1.0, 0.0, "DN", (told,)
    unit = units.pop() if len(units) == 1 else None
    plain = scale == 1 and offset == 0
    return scale, offset, unit or ("DN" if plain else "scaled DN"), ()

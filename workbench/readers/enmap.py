"""EnMAP L2A product folders: image, quality layers and metadata, checked against each other.

A product is read only if it is whole: metadata, image and quality layers are there, the files
are not cut short, and image and metadata tell the same place, size and bands. Products made by
EnPT may lack the pixel mask and the test flags; then nobody knows which pixels are defective.

Band order and wavelengths come from the product's own metadata (`enmap_metadata`), never from a
band's position.
"""

import logging
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from workbench.catalog import Entry
from workbench.errors import ContractMismatchError, CRSMismatchError, TileError
from workbench.geo.footprint import area_m2
from workbench.geo.grid import PixelGrid
from workbench.geo.outline import lonlat_footprint, valid_outline
from workbench.geo.raster import RasterFile, open_raster, raster_info
from workbench.geo.tile import Tile
from workbench.geo.units import is_geographic
from workbench.readers.archives import unpack
from workbench.readers.enmap_metadata import PRODUCT, EnmapMetadata, read_metadata
from workbench.readers.images import (
    Image,
    SkippedProduct,
    entry_paths,
    named_image,
    read_each,
    require_tiles,
    walk_folders,
)
from workbench.sensors import InputContract, sensor

if TYPE_CHECKING:
    import xarray as xr

log = logging.getLogger(__name__)

GSD_M = 30.0
"""Nominal side of a pixel on the ground, metres."""

QUALITY_LAYERS: dict[str, str] = {
    "classes": "QL_QUALITY_CLASSES",
    "cloud": "QL_QUALITY_CLOUD",
    "cloudshadow": "QL_QUALITY_CLOUDSHADOW",
    "haze": "QL_QUALITY_HAZE",
    "cirrus": "QL_QUALITY_CIRRUS",
    "snow": "QL_QUALITY_SNOW",
    "testflags": "QL_QUALITY_TESTFLAGS",
    "pixelmask": "QL_PIXELMASK",
}
"""Quality layers by short name. classes: 1 land, 2 water, 3 background; cirrus: 0 none to 3 thick;
pixelmask: 0 good, 1 defective, for each band; the others: 0 no, 1 yes."""
OPTIONAL_LAYERS = ("testflags", "pixelmask")
"""Layers that a product may lack: what makes products from L1B (EnPT) does not write them."""
LAND, WATER, BACKGROUND = 1, 2, 3

_SUFFIXES = (".tif", ".tiff", ".bsq", ".bil", ".bip", ".jp2")
_OTHER_LEVEL = re.compile(r"ENMAP01-____(L0|L1[A-C])-DT\d{10}")
_ARCHIVE = re.compile(r"\.(zip|tar|tgz|tar\.(gz|bz2|xz))$", re.IGNORECASE)
_MAX_ARCHIVE = 16 << 30  # bytes that one zipped product may unpack to
_NODATA = -32768
_WITNESSES_NM = (660.0, 1250.0, 2200.0)  # bands that show where there are valid pixels
_LEAST_COVERED = 0.5  # share of the footprint that the metadata's corners must hold

BandChoice = Literal["kept", "all"] | Sequence[str]


@dataclass(frozen=True)
class EnmapProduct:
    """One L2A product whose parts are there and agree; no pixel has been read yet."""

    folder: Path
    """The product's folder."""
    metadata: EnmapMetadata
    """What its XML says."""
    image_path: Path
    """The spectral image."""
    quality_paths: dict[str, Path]
    """The quality layers by short name (`QUALITY_LAYERS`); `OPTIONAL_LAYERS` may be missing."""
    grid: PixelGrid
    """Where the pixels of image and layers lie."""
    nodata: float
    """Stored number without a measurement."""

    @cached_property
    def _index(self) -> dict[str, int]:
        return {band.name: i for i, band in enumerate(self.metadata.bands, start=1)}

    def band_names(self, bands: BandChoice = "kept") -> tuple[str, ...]:
        """Name a choice of bands.

        Args:
            bands: "kept": the 202 bands of SpectralEarth, by wavelength; "all": as delivered; or
                names in the order wanted.

        Raises:
            ContractMismatchError: If the product lacks one of them.
        """
        if bands == "all":
            return tuple(self._index)
        names = sensor("enmap").kept if bands == "kept" else tuple(bands)
        if missing := [name for name in names if name not in self._index]:
            raise ContractMismatchError(
                f"{self.metadata.name} must have the {len(names)} bands asked for, but lacks "
                f"{', '.join(missing[:5])} ({len(missing)} in all).\n"
                f'It has {len(self._index)}: read bands="all", or name the ones you want.'
            )
        return names

    def band_indexes(self, bands: BandChoice = "kept") -> list[int]:
        """Give the 1-based places of a choice of bands in the image file and the pixel mask."""
        return [self._index[name] for name in self.band_names(bands)]

    def contract(self, bands: BandChoice = "kept") -> InputContract:
        """State how the image's numbers are to be read.

        Raises:
            ContractMismatchError: If the bands do not share one gain and offset.
        """
        of_name = {band.name: band for band in self.metadata.bands}
        chosen = [of_name[name] for name in self.band_names(bands)]
        gains = sorted({(band.gain, band.offset) for band in chosen})
        if len(gains) > 1:
            raise ContractMismatchError(
                f"The bands of {self.metadata.name} must share one gain and offset, but have "
                f"{len(gains)}, as {gains[0]} and {gains[1]}.\nScale them to one gain first."
            )
        (gain, offset), *_ = gains
        return InputContract(
            units=sensor("enmap").units,
            scale=gain,
            offset=offset,
            nodata=self.nodata,
            band_names=tuple(band.name for band in chosen),
            wavelengths_nm=tuple(band.wavelength_nm for band in chosen),
            fwhm_nm=tuple(band.fwhm_nm for band in chosen),
            gsd_m=self._gsd_m(),
        )

    def _gsd_m(self) -> float:
        """Width of a pixel in metres; the sensor's where the grid counts in degrees."""
        if is_geographic(self.grid.crs):
            return GSD_M
        return self.grid.resolution_m[0]

    def open(self, bands: BandChoice = "kept", *, chunks: dict[str, int] | None = None) -> Image:
        """Open the image lazily; see `open_enmap`."""
        data = open_raster(self.image_path, chunks=chunks)
        chosen = data.isel(band=[i - 1 for i in self.band_indexes(bands)])
        return named_image(chosen, self.contract(bands))

    def quality(self, *, chunks: dict[str, int] | None = None) -> "xr.Dataset":
        """Open the quality layers lazily.

        Returns:
            One variable per layer with dims (y, x); `pixelmask` has (band, y, x) with the names of
            the bands, as delivered. Layers that the product lacks are not in it.
        """
        import xarray as xr

        layers = {name: open_raster(p, chunks=chunks) for name, p in self.quality_paths.items()}
        mask = layers.pop("pixelmask", None)
        flat = {name: layer.isel(band=0, drop=True) for name, layer in layers.items()}
        if mask is None:
            return xr.Dataset(flat)
        return xr.Dataset({**flat, "pixelmask": mask.assign_coords(band=list(self._index))})

    def valid_mask(self) -> NDArray[np.bool_]:
        """Say which pixels hold measurements: three bands of both detectors, and the classes.

        Returns:
            (H, W) bool.
        """
        with RasterFile(self.image_path) as image:
            bands = image.read(indexes=self._witnesses())
        with RasterFile(self.quality_paths["classes"]) as layer:
            classes = layer.read(indexes=[1])[0]
        return (bands != self.nodata).all(axis=0) & np.isin(classes, (LAND, WATER))

    def tile(self, *, tolerance: float = 1.0) -> Tile:
        """Make the tile, its footprint drawn around the valid pixels.

        Args:
            tolerance: How far the outline is drawn in to be simple, in pixels (`valid_outline`).

        Raises:
            TileError: If no pixel is valid.
            CRSMismatchError: If the footprint lies elsewhere than the metadata say.
        """
        try:
            outline = valid_outline(self.valid_mask(), self.grid, tolerance=tolerance)
        except TileError as error:
            raise TileError(f"{self.image_path}: {error}") from error
        footprint = lonlat_footprint(outline, self.grid.crs)
        coverage = self.metadata.coverage
        if coverage is not None:
            inside, whole = area_m2([footprint.intersection(coverage), footprint])
            if inside < _LEAST_COVERED * whole:
                raise CRSMismatchError(
                    f"The image must lie where its metadata say, but {self.image_path} in "
                    f"{self.grid.crs} lies {100 * (1 - inside / whole):.0f} % outside.\n"
                    "Its CRS tag or transform is wrong: deliver the product again."
                )
        return Tile(
            id=self.metadata.name,
            # Tiles of one datatake are one date, though they start seconds apart.
            acquired=self.metadata.datatake_start,
            footprint=footprint,
            crs=self.grid.crs,
            path=self.folder,
            group=self.metadata.datatake,
            grid=self.grid,
        )

    def _witnesses(self) -> list[int]:
        """Places of the bands that hold data and are nearest to the witness wavelengths."""
        full = [(i, b) for i, b in enumerate(self.metadata.bands, start=1) if not b.is_empty]
        if not full:
            raise TileError(f"An image must have bands with data, but {self.image_path} has none.")
        nearest = {
            min(full, key=lambda item: abs(item[1].wavelength_nm - wavelength))[0]
            for wavelength in _WITNESSES_NM
        }
        return sorted(nearest)


def read_product(folder: str | Path) -> EnmapProduct:
    """Read a product's metadata and headers, and check that its parts agree.

    Args:
        folder: Product folder, `ENMAP01-____L2A-DT…_…Z_…_V…_…Z`.

    Raises:
        TileError: If a file is missing, cut short or unreadable, or sizes or bands disagree.
        CRSMismatchError: If the image's CRS is not the one in the metadata.
    """
    folder = Path(folder)
    metadata = read_metadata(_find(folder, "METADATA", (".xml",)))
    image_path = _find(folder, "SPECTRAL_IMAGE", _SUFFIXES)
    quality = _quality_paths(folder)
    with RasterFile(image_path) as image:
        image.require_whole()
        info = image.info
    found = {
        "CRS": (info.grid.crs, metadata.crs),
        "shape": (info.grid.shape, metadata.shape),
        "number of bands": (info.count, len(metadata.bands)),
    }
    for what, (ours, theirs) in found.items():
        if theirs is not None and ours != theirs:
            error = CRSMismatchError if what == "CRS" else TileError
            raise error(
                f"Image and metadata must have one {what}, but {image_path.name} has {ours} and "
                f"the metadata {theirs}.\nDeliver the product again."
            )
    for name, path in quality.items():
        _require_layer(name, path, info.grid, info.count)
    nodata = _NODATA if info.nodata is None else info.nodata
    return EnmapProduct(folder, metadata, image_path, quality, info.grid, nodata)


def enmap_grid(folder: str | Path) -> PixelGrid:
    """Give the pixel grid of a product by the header of its image, and read nothing else.

    Raises:
        TileError: If there is no image, or it is damaged.
    """
    return raster_info(_find(Path(folder), "SPECTRAL_IMAGE", _SUFFIXES)).grid


def open_enmap(
    folder: str | Path, *, bands: BandChoice = "kept", chunks: dict[str, int] | None = None
) -> Image:
    """Open the image of a product lazily, with its input contract.

    Args:
        folder: Product folder.
        bands: "kept": the 202 bands of SpectralEarth sorted by wavelength; "all": the 224 in the
            order of the file; or names in the order wanted.
        chunks: Dask chunks as {"band": 1, "y": 512, "x": 512}; None reads lazily without Dask.

    Returns:
        Stored numbers with dims (band, y, x) and the contract.

    Raises:
        TileError: If the product is damaged.
        ContractMismatchError: If the product lacks a band.
    """
    return read_product(folder).open(bands, chunks=chunks)


def discover_enmap(folder: str | Path) -> tuple[list[Tile], list[SkippedProduct]]:
    """Find the products below a folder and make their tiles.

    A zipped product (zip, tar) is unpacked beside its archive, into the folder of its name.

    Args:
        folder: Searched to any depth, through links; it may itself be a product.

    Returns:
        Tiles by id, and the products left out with the reason of each (also logged).
    """
    tiles, skipped = read_each(_candidates(Path(folder)), _tile_of)
    if not tiles and not skipped:
        log.warning(
            "no EnMAP L2A product below %s: its folders are named ENMAP01-____L2A-DT…_…Z_…", folder
        )
    return tiles, skipped


def read_enmap_l2a(entry: Entry) -> list[Tile]:
    """Make the tiles of a catalog entry of layout "enmap_l2a"; damaged products are logged.

    Raises:
        TileError: If there is no usable product.
    """
    products = [product for root in entry_paths(entry) for product in _candidates(root)]
    tiles, skipped = read_each(_distinct(products), _tile_of)
    return require_tiles(tiles, skipped, str(entry.path))


def find_products(folder: str | Path) -> list[Path]:
    """List the product folders below a folder, sorted by name; pixels and metadata are not read.

    A product is a folder that holds the files of one; its name need not be the product's. A folder
    that only holds another of the same name is passed through. Links are followed, each real
    folder is listed once, and what macOS leaves beside files is not looked at.
    """
    found = []
    for parent, folders, files in walk_folders(Path(folder)):
        inner = any(PRODUCT.match(name) for name in folders)
        named = PRODUCT.match(parent.name) is not None
        if any(PRODUCT.match(name) for name in files if _is_part(name)) or (named and not inner):
            found.append(parent)
            folders.clear()  # a product holds no other
    return sorted(_distinct(found), key=lambda path: (path.name, str(path)))


def _is_part(name: str) -> bool:
    return "-METADATA." in name.upper() or "-SPECTRAL_IMAGE" in name.upper()


def _distinct(products: Sequence[Path]) -> list[Path]:
    """Each real file or folder once, the first path to it."""
    return list({path.resolve(): path for path in reversed(products)}.values())[::-1]


def _candidates(folder: Path) -> list[Path]:
    """Products, archives of products that are not unpacked yet, and folders of other levels."""
    if folder.is_file():
        return [folder]
    products = find_products(folder)
    names = {path.name for path in products}
    inside = {path.resolve() for path in products}
    more = []
    for parent, folders, files in walk_folders(folder):
        if parent.resolve() in inside:
            folders.clear()
            continue
        more += [parent / f for f in files if _is_archive(f) and _product_name(f) not in names]
        more += [parent / f for f in folders if _OTHER_LEVEL.match(f)]
    return sorted([*products, *more], key=lambda path: (path.name, str(path)))


def _is_archive(name: str) -> bool:
    return PRODUCT.search(name) is not None and _ARCHIVE.search(name) is not None


def _product_name(name: str) -> str:
    found = PRODUCT.search(name)
    return found.group() if found else name


def _tile_of(path: Path) -> Tile:
    if _OTHER_LEVEL.match(path.name):
        raise TileError(
            f"An EnMAP product must be of level L2A, but {path} is {path.name[12:15]}.\n"
            "Order L2A, or process it to L2A (EnPT)."
        )
    return read_product(_unpacked(path) if path.is_file() else path).tile()


def _unpacked(archive: Path) -> Path:
    """The product folder out of an archive, made beside it whole or not at all."""
    if not _is_archive(archive.name):
        raise TileError(
            f"An EnMAP L2A product must be a folder or an archive of its name, but {archive} is "
            "another file.\nGive the folder that holds the products."
        )
    folder = archive.with_name(_product_name(archive.name))
    if folder.is_dir():
        return folder
    unfinished = archive.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        log.info("unpacking %s", archive)
        unpack(archive, unfinished, max_bytes=_MAX_ARCHIVE)
        inner = find_products(unfinished)
        if len(inner) != 1:
            raise TileError(
                f"An archive of an EnMAP product must hold one, but {archive} holds {len(inner)}.\n"
                "Unpack it by hand, and give the folder."
            )
        os.replace(inner[0], folder)
    except OSError as error:
        raise TileError(
            f"{archive} must be unpacked to be read, but that fails: {error}.\n"
            "Unpack it by hand to where there is room, and give that folder."
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _quality_paths(folder: Path) -> dict[str, Path]:
    """The quality layers; what is missing is said together, once."""
    found, missing = {}, []
    for name, part in QUALITY_LAYERS.items():
        files = _files_of(folder, part, _SUFFIXES)
        if files:
            found[name] = _find(folder, part, _SUFFIXES)
        else:
            missing.append(name)
    if needed := [QUALITY_LAYERS[name] for name in missing if name not in OPTIONAL_LAYERS]:
        raise TileError(
            f"A product must have its quality layers, but {folder} has no {', '.join(needed)}.\n"
            "Without them its cloud, snow and water are not known: add the files, or list the "
            "image as a plain raster."
        )
    if missing:
        log.info("%s has no %s: nobody knows its defective pixels", folder, " or ".join(missing))
    return found


def _files_of(folder: Path, part: str, suffixes: tuple[str, ...]) -> list[Path]:
    endings = {f"-{part}{cog}{suffix}".lower() for suffix in suffixes for cog in ("", "_COG")}
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [
        f for f in files if f.name.lower().endswith(tuple(endings)) and not f.name.startswith(".")
    ]


def _find(folder: Path, part: str, suffixes: tuple[str, ...]) -> Path:
    """The one file of a product whose name ends with a part: "…-METADATA.XML", "…_COG.TIFF"."""
    found = _files_of(folder, part, suffixes)
    if len(found) == 1:
        return found[0]
    kinds = ", ".join(s.upper() for s in suffixes)
    raise TileError(
        f"A product must have one file …-{part} ({kinds}), but {folder} has "
        f"{len(found) or 'none'}.\n"
        + ("Keep one of them." if found else "Is it unpacked whole? Its files are not there.")
    )


def _require_layer(name: str, path: Path, grid: PixelGrid, count: int) -> None:
    with RasterFile(path) as file:
        file.require_whole()
        layer = file.info
    if layer.grid.shape != grid.shape or not layer.grid.agrees(grid):
        raise TileError(
            f"Quality layers must lie on the image's pixels, but {path.name} is "
            f"{layer.grid.shape} in {layer.grid.crs} and the image {grid.shape} in {grid.crs}.\n"
            "Deliver the product again."
        )
    if name == "pixelmask" and layer.count != count:
        raise TileError(
            f"The pixel mask must have the image's {count} bands, but {path.name} has "
            f"{layer.count}.\nDeliver the product again."
        )

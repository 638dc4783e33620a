"""HySpecNet-11k: patches of 128 × 128 pixels cut from EnMAP L2A tiles, 224 bands.

    patches/<tile>/<patch>/<patch>-SPECTRAL_IMAGE.TIF       and its quality layers
    splits/easy/train.csv · val.csv · test.csv              the same under splits/hard

A line of a split file names a patch as "<tile>/<patch>/<patch>-DATA.npy". The archive has no
metadata file per patch: its bands are those of the delivered order, VNIR before SWIR.
"""

from datetime import UTC, datetime
from pathlib import Path

from workbench.catalog import Entry
from workbench.errors import TileError
from workbench.geo.outline import lonlat_footprint, valid_outline
from workbench.geo.raster import open_raster, raster_info, read_raster
from workbench.geo.tile import Tile
from workbench.readers.enmap_metadata import PRODUCT
from workbench.readers.images import (
    Image,
    PatchFile,
    entry_paths,
    in_any_case,
    is_clutter,
    listed_names,
    named_image,
    read_each,
    require_tiles,
)
from workbench.sensors import sensor

SPLITS = ("train", "val", "test")
_IMAGE = "-SPECTRAL_IMAGE.TIF"
_NODATA = -32768


def hyspecnet_patches(root: str | Path) -> list[PatchFile]:
    """List all patches, sorted by tile and patch.

    Returns:
        One per patch; the location is the patch's name, the view its tile's.

    Raises:
        TileError: If there are none, or a tile is not named as an EnMAP product.
    """
    folder = Path(root) / "patches"
    files = (p for p in sorted(folder.glob("*/*/*")) if p.name.upper().endswith(_IMAGE))
    found = [_patch(path) for path in files if not is_clutter(path)]
    if not found:
        raise TileError(
            f"There must be patches at {folder}/<tile>/<patch>/<patch>{_IMAGE}, but none is there."
        )
    return found


def hyspecnet_split(root: str | Path, strategy: str = "hard") -> list[PatchFile]:
    """List the patches of the published splits, in the order of the split files.

    Args:
        root: Folder that holds `patches` and `splits`.
        strategy: "easy" (patches of one tile in different splits) or "hard" (split by tile).

    Raises:
        TileError: If a split file or a patch named in it is missing.
    """
    found = []
    for split in SPLITS:
        listing = Path(root) / "splits" / strategy / f"{split}.csv"
        if not listing.is_file():
            raise TileError(f"HySpecNet must have its split files, but {listing} is missing.")
        for line in listed_names(listing):
            tile, patch, *_ = [*line.strip("/").split("/"), ""]
            path = in_any_case(Path(root) / "patches" / tile / patch / f"{patch}{_IMAGE}")
            if ".." in (tile, patch) or not path.is_file():
                raise TileError(
                    f"Every line of {listing} must have its patch, but {line!r} has not."
                )
            found.append(_patch(path, split))
    return found


def open_hyspecnet(path: str | Path, *, bands: str = "kept") -> Image:
    """Open a patch lazily.

    Args:
        path: `…-SPECTRAL_IMAGE.TIF`.
        bands: "kept": the 202 bands of SpectralEarth sorted by wavelength; "all": the 224 as
            delivered.

    Raises:
        TileError: If the file is damaged, or has not 224 bands.
    """
    enmap = sensor("enmap")
    data = open_raster(path)
    if data.sizes["band"] != len(enmap.bands):
        raise TileError(
            f"A HySpecNet patch must have {len(enmap.bands)} bands, but {path} has "
            f"{data.sizes['band']}.\nRead the TIF of the archive, not a file made from it."
        )
    image = named_image(data, enmap.contract([band.name for band in enmap.bands]))
    if bands == "all":
        return image
    return Image(image.data.sel(band=list(enmap.kept)), enmap.contract())


def read_hyspecnet_11k(entry: Entry) -> list[Tile]:
    """Make a tile of every patch of a catalog entry of layout "hyspecnet_11k".

    Raises:
        TileError: If there is no usable patch.
    """
    patches = {p.path: p for root in entry_paths(entry) for p in hyspecnet_patches(root)}
    tiles, skipped = read_each(patches, lambda path: _tile(patches[path]))
    return require_tiles(tiles, skipped, str(entry.path))


def _patch(path: Path, split: str | None = None) -> PatchFile:
    tile = path.parents[1].name
    product = PRODUCT.match(tile)
    if product is None:
        raise TileError(f"A tile of HySpecNet must be named as its product, but one is {tile!r}.")
    start = datetime.strptime(product["start"], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return PatchFile(path.parent.name, product.group(), path, acquired=start, split=split)


def _tile(patch: PatchFile) -> Tile:
    info = raster_info(patch.path)
    nodata = _NODATA if info.nodata is None else info.nodata
    valid = read_raster(patch.path, indexes=[1])[0] != nodata
    footprint = lonlat_footprint(valid_outline(valid, info.grid), info.grid.crs)
    product = PRODUCT.match(patch.view)
    assert patch.acquired is not None
    assert product is not None
    group = product["datatake"]
    return Tile(
        patch.location, patch.acquired, footprint, info.grid.crs, patch.path, group, info.grid
    )

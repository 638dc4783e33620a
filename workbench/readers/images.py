"""What every reader gives: data with its input contract, tiles with what had to be left out."""

import glob
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.errors import TileError, WorkbenchError
from workbench.files import read_text
from workbench.geo.tile import Tile
from workbench.sensors import InputContract

if TYPE_CHECKING:
    import xarray as xr

    from workbench.catalog import Entry

logger = logging.getLogger(__name__)


class Image(NamedTuple):
    """Opened data and how its numbers are to be read."""

    data: "xr.DataArray"
    """Stored numbers, dims (band, y, x), read when used; `band` holds the contract's names, beside
    it `wavelength_nm` and `fwhm_nm`; with rioxarray's coordinates where the data have a place."""
    contract: InputContract
    """Units, scale, offset, nodata, bands, GSD."""


@dataclass(frozen=True)
class SkippedProduct:
    """A product that could not be used, and why."""

    path: Path
    """Folder or file of the product."""
    reason: str
    """The first sentence of the error that opening it raises."""


def is_clutter(path: Path) -> bool:
    """Tell whether a file or folder is what macOS leaves beside others: "._name", "__MACOSX"."""
    return path.name.startswith("._") or path.name in ("__MACOSX", ".DS_Store")


def in_any_case(path: Path) -> Path:
    """Give a file whose suffix may be written in another case (".TIF", ".tif"): the one there is.

    Returns:
        The path as given if it is there, or if nothing is.
    """
    stem, _, suffix = path.name.rpartition(".")
    others = (path.with_name(f"{stem}.{s}") for s in (suffix.lower(), suffix.upper()))
    return path if path.is_file() else next((p for p in others if p.is_file()), path)


def listed_names(path: Path) -> list[str]:
    """Read the names in a text file that lists one a line; blank lines are none.

    Raises:
        TileError: If the file is not UTF-8.
    """
    lines = read_text(path, error=TileError).split("\n")
    return [name for line in lines if (name := line.strip("\ufeff").strip())]


def walk_folders(top: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Walk a folder like `os.walk`, by name and through links, each real folder once.

    What macOS leaves beside the files is not listed.

    Args:
        top: Where to begin.

    Yields:
        A folder, the names of its folders (which the caller may shorten) and those of its files.
    """
    seen: set[Path] = set()
    for parent, folders, files in os.walk(top, followlinks=True):
        here = Path(parent)
        if (real := here.resolve()) in seen:  # a link back, or two links to one folder
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(f for f in folders if not is_clutter(Path(f)))
        yield here, folders, sorted(f for f in files if not is_clutter(Path(f)))


@dataclass(frozen=True)
class PatchFile:
    """One image file of a published archive of patches."""

    location: str
    """Id of the place within the archive; patches of one location show the same ground."""
    view: str
    """Id of the acquisition: tile, scene or dates, as the archive names it."""
    path: Path
    """The image."""
    acquired: datetime | None = None
    """Acquisition time (UTC); None where the archive does not give it."""
    label: Path | None = None
    """The label map, if there is one."""
    split: str | None = None
    """"train", "val" or "test" where the archive says so."""


def entry_paths(entry: "Entry") -> list[Path]:
    """Give the folders or files of a catalog entry, sorted; a glob may find several.

    Raises:
        CatalogError: If there are none.
    """
    entry.fetch()
    return sorted(Path(found) for found in glob.glob(str(entry.path), recursive=True))


def named_image(data: "xr.DataArray", contract: InputContract) -> Image:
    """Put the contract's names and wavelengths onto the bands of opened data.

    Raises:
        TileError: If data and contract have different numbers of bands.
    """
    if data.sizes["band"] != len(contract.band_names):
        raise TileError(
            f"Data must have a band for each of the contract's {len(contract.band_names)}, "
            f"but have {data.sizes['band']}."
        )
    spectral = {
        name: ("band", np.array([np.nan if v is None else v for v in values], dtype=np.float64))
        for name, values in (
            ("wavelength_nm", contract.wavelengths_nm),
            ("fwhm_nm", contract.fwhm_nm),
        )
    }
    coords = {"band": list(contract.band_names), **spectral}
    return Image(data.assign_coords(coords), contract)


def read_each(
    paths: Iterable[Path], read: Callable[[Path], Tile]
) -> tuple[list[Tile], list[SkippedProduct]]:
    """Read products one by one; a damaged one is logged and counted, never fatal.

    Args:
        paths: Products, in the order in which tiles are wanted.
        read: Makes a tile, or raises a `WorkbenchError` that says what is wrong.
    """
    tiles: list[Tile] = []
    skipped: list[SkippedProduct] = []
    for path in paths:
        try:
            tiles.append(read(path))
        except WorkbenchError as error:
            reason = str(error).splitlines()[0]
            skipped.append(SkippedProduct(path, reason))
            logger.warning("left out %s: %s", path, reason)
    if skipped:
        logger.warning("%d of %d products left out", len(skipped), len(skipped) + len(tiles))
    return tiles, skipped


def require_tiles(tiles: list[Tile], skipped: Sequence[SkippedProduct], where: str) -> list[Tile]:
    """Refuse an empty discovery.

    Raises:
        TileError: If there is no tile; it says whether products were left out.
    """
    if tiles:
        return tiles
    if skipped:
        raise TileError(
            f"There must be a usable product at {where}, but all {len(skipped)} were left out.\n"
            f"The first: {skipped[0].path.name}: {skipped[0].reason}"
        )
    raise TileError(
        f"There must be a product at {where}, but none is there.\n"
        "Check the path and the layout of the catalog entry."
    )

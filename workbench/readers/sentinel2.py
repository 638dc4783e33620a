"""Sentinel-2 (and Sentinel-1) scenes as one file per band: SSL4EO-S12 and BigEarthNet folders.

Bands of 20 and 60 m are brought to 10 m by repeating pixels, so that every number stays one that
was measured; the native size of each band is in the sensor's table.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from workbench.errors import TileError
from workbench.geo.grid import PixelGrid, require_one_crs
from workbench.geo.raster import RasterInfo, open_raster, raster_info, read_raster
from workbench.readers.images import Image, named_image
from workbench.sensors import InputContract, sensor

if TYPE_CHECKING:
    import xarray as xr

_BAND_FILE = re.compile(r"(?:^|.*_)(B\d{1,2}A?|VV|VH)\.tiff?$", re.IGNORECASE)
EIGHT_BIT = "8-bit DN (clipped to mean ± 2 std)"
"""Units of the 8-bit release of SSL4EO-S12, whose reflectances cannot be had back."""


def band_name(text: str) -> str:
    """Write a band the short way of the sensor's table.

    Example:
        >>> [band_name(text) for text in ("B02", "b8a", "B12", "vv")]
        ['B2', 'B8A', 'B12', 'VV']
    """
    return re.sub(r"^B0", "B", text.upper())


def band_files(folder: str | Path) -> dict[str, Path]:
    """Find the band files of a scene, `B2.tif` or `…_B02.tif`, by the names of the sensor's table.

    Raises:
        TileError: If a band is there twice.
    """
    found: dict[str, Path] = {}
    for path in sorted(Path(folder).iterdir()) if Path(folder).is_dir() else []:
        if match := _BAND_FILE.match(path.name):
            name = band_name(match[1])
            if name in found:
                raise TileError(f"A scene has each band once, but {folder} has {name} twice.")
            found[name] = path
    return found


def open_scene(
    folder: str | Path,
    sensor_name: str = "sentinel2_l2a",
    *,
    bands: Sequence[str] | None = None,
    offset: float | None = None,
) -> Image:
    """Read a scene of one file per band onto its 10 m grid.

    A scene is small (one patch), so that its pixels are read at once.

    Args:
        folder: Folder with the band files.
        sensor_name: "sentinel2_l1c", "sentinel2_l2a" or "sentinel1".
        bands: Names in the order wanted; all that the sensor's product has if None.
        offset: Another offset than the sensor's: -0.1 for data of baseline 04.00 and later.

    Returns:
        Stored numbers with dims (band, y, x) and the contract; 8-bit files have `EIGHT_BIT` units.

    Raises:
        TileError: If a band is missing or damaged, or the bands do not cover the same ground.
        CRSMismatchError: If the bands have different CRS.
    """
    contract = sensor(sensor_name).contract(bands, offset=offset)
    files = band_files(folder)
    if missing := [name for name in contract.band_names if name not in files]:
        raise TileError(
            f"A {sensor(sensor_name).title} scene must have its {len(contract.band_names)} bands, "
            f"but {folder} lacks {', '.join(missing)}.\nName the bands it has, or another sensor."
        )
    infos = [raster_info(files[name]) for name in contract.band_names]
    finest = min(infos, key=lambda info: info.grid.resolution[0])
    layers = [_repeated(info, finest.grid, Path(folder)) for info in infos]
    like: xr.DataArray = open_raster(finest.path).isel(band=[0] * len(layers))
    return named_image(like.copy(data=np.stack(layers)), _as_stored(contract, finest))


def _as_stored(contract: InputContract, info: RasterInfo) -> InputContract:
    """The contract at the size and type of the files."""
    values = {**contract.to_dict(), "gsd_m": info.grid.nominal_gsd_m}
    if info.dtype == "uint8":
        values |= {"units": EIGHT_BIT, "scale": 1.0, "offset": 0.0, "nodata": None}
    return InputContract.from_dict(values)


def _repeated(info: RasterInfo, target: PixelGrid, folder: Path) -> NDArray[np.generic]:
    """(H, W) band on the finest grid, each pixel repeated a whole number of times."""
    require_one_crs((info.grid.crs, target.crs))
    factors = [fine / coarse for fine, coarse in zip(target.shape, info.grid.shape, strict=True)]
    factor = round(factors[0])
    same_ground = np.allclose(info.grid.bounds, target.bounds, atol=target.resolution[0] / 2)
    if factors != [factor, factor] or not same_ground:
        raise TileError(
            f"The bands of a scene must cover the same ground, but in {folder} {info.path.name} "
            f"has {info.grid.shape} pixels over {info.grid.bounds}, the finest {target.shape} over "
            f"{target.bounds}."
        )
    return read_raster(info.path)[0].repeat(factor, axis=0).repeat(factor, axis=1)

"""SSL4EO-S12 v1.1: zarr-zip files (zarr format 2) of 64 locations at four dates each.

    <split>/S2L2A/ssl4eos12_train_seasonal_data_000001.zarr.zip
    bands (sample, time, band, y, x) · cloud_mask · crs · center_lat · center_lon
    time_ (sample, time) · x_ (sample, x) · y_ (sample, y) · file_id (sample, time)

Numbers of the optical modalities are those of processing baseline 04.00: reflectance × 10,000
plus 1,000. The contract says so by its offset of -0.1.
"""

import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely

from workbench.catalog import Entry
from workbench.errors import TileError
from workbench.geo.grid import PixelGrid
from workbench.geo.outline import lonlat_footprint, valid_outline
from workbench.geo.tile import Tile
from workbench.readers.archives import require_inside
from workbench.readers.images import SkippedProduct, entry_paths, read_each, require_tiles
from workbench.readers.sentinel2 import band_name
from workbench.sensors import InputContract, sensor

if TYPE_CHECKING:
    import xarray as xr

MODALITIES = {"S1GRD": "sentinel1", "S2L1C": "sentinel2_l1c", "S2L2A": "sentinel2_l2a"}
"""Folder of version 1.1 and its sensor; S2RGB (8 bit) has no sensor's contract."""
BASELINE_OFFSET = -0.1


def open_ssl4eo_zarr(path: str | Path) -> tuple["xr.Dataset", InputContract]:
    """Open one file lazily: chunks, one per location and date, are read when they are used.

    Args:
        path: `….zarr.zip` in a folder named by its modality (`MODALITIES`).

    Returns:
        The dataset as published, `band` renamed as in the sensor's table; and the contract of
        `bands`.

    Raises:
        TileError: If the file is no zarr-zip of this layout, a member leaves it, or its modality
            is another.
    """
    import xarray as xr
    from zarr.storage import ZipStore

    path = Path(path)
    if path.parent.name not in MODALITIES:
        raise TileError(
            f"A file of SSL4EO-S12 v1.1 must lie in the folder of its modality "
            f"({', '.join(MODALITIES)}), but {path} does not."
        )
    _require_safe(path)
    try:
        store = ZipStore(path, mode="r", read_only=True)
        data = xr.open_zarr(store, chunks=None, zarr_format=2, consolidated=False)
        names = [band_name(str(name)) for name in data["band"].values]
        _require_dims(data, path)
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        if isinstance(error, TileError):
            raise
        raise TileError(
            f"A file of SSL4EO-S12 v1.1 must be a zarr store in a zip file, but {path} is not: "
            f"{error!r:.200}.\nGet it again."
        ) from error
    is_radar = path.parent.name == "S1GRD"
    offset = None if is_radar else BASELINE_OFFSET
    contract = sensor(MODALITIES[path.parent.name]).contract(names, offset=offset)
    return data.assign_coords(band=names), contract


def ssl4eo_zarr_tiles(path: str | Path) -> tuple[list[Tile], list[SkippedProduct]]:
    """Make a tile of every location and date in one file.

    Returns:
        Tiles "<sample>_<date>" as the archive's `sample_id`, and what was left out and why.

    Raises:
        TileError: If the file cannot be opened.
    """
    data, contract = open_ssl4eo_zarr(path)
    path = Path(path)
    keys = {
        path / f"{sample}_{date}": (i, date)
        for i, sample in enumerate(data["sample"].values)
        for date in range(data.sizes["time"])
    }
    return read_each(keys, lambda key: _tile(data, contract, path, key.name, *keys[key]))


def read_ssl4eo_s12_v1_1(entry: Entry) -> list[Tile]:
    """Make the tiles of a catalog entry of layout "ssl4eo_s12_v1_1".

    Raises:
        TileError: If there is no usable location.
    """
    tiles: list[Tile] = []
    skipped: list[SkippedProduct] = []
    for root in entry_paths(entry):
        modality = next((m for m, s in MODALITIES.items() if s == entry.sensor), "*")
        files = sorted(root.rglob(f"{modality}/*.zarr.zip")) if root.is_dir() else [root]
        for file in files:
            found, left_out = ssl4eo_zarr_tiles(file)
            tiles += found
            skipped += left_out
    return require_tiles(tiles, skipped, str(entry.path))


def sample_grid(data: "xr.Dataset", sample: int) -> PixelGrid:
    """Give the grid of one location, from its coordinates of pixel centres and its CRS.

    Raises:
        TileError: If the coordinates are not evenly spaced.
    """
    x, y = (data[name].isel(sample=sample).values for name in ("x_", "y_"))
    dx, dy = (x[-1] - x[0]) / (len(x) - 1), (y[0] - y[-1]) / (len(y) - 1)
    steps = np.concatenate([np.diff(x) - dx, np.diff(y) + dy])
    if not (dx > 0 and dy > 0 and np.abs(steps).max() < 0.01 * dx):
        raise TileError(
            f"Pixels must be evenly spaced and north-up, but those of location "
            f"{data['sample'].values[sample]} are not."
        )
    transform = (dx, 0.0, x[0] - dx / 2, 0.0, -dy, y[0] + dy / 2)
    return PixelGrid(f"EPSG:{int(data['crs'].values[sample])}", transform, (len(y), len(x)))


def _tile(
    data: "xr.Dataset", contract: InputContract, path: Path, name: str, sample: int, date: int
) -> Tile:
    grid = sample_grid(data, sample)
    band = data["bands"].isel(sample=sample, time=date, band=0).values
    nodata = 0 if contract.nodata is None else contract.nodata
    footprint = lonlat_footprint(
        valid_outline(np.isfinite(band) & (band != nodata), grid), grid.crs
    )
    shapely.prepare(footprint)
    seconds = data["time_"].values[sample, date].astype("datetime64[s]").astype(int)
    acquired = datetime.fromtimestamp(int(seconds), UTC)
    group = str(data["file_id"].values[sample, date]) if "file_id" in data else None
    return Tile(name, acquired, footprint, grid.crs, path, group, grid)


def _require_safe(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                require_inside(name, path)
    except (zipfile.BadZipFile, OSError) as error:
        raise TileError(
            f"A file of SSL4EO-S12 v1.1 must be a zip file, but {path} is not: {error}.\n"
            "Get it again."
        ) from error


def _require_dims(data: "xr.Dataset", path: Path) -> None:
    dims = ("sample", "time", "band", "y", "x")
    if "bands" not in data or data["bands"].dims != dims:
        raise TileError(
            f"A file of SSL4EO-S12 v1.1 must have `bands` with dims {dims}, but {path} has "
            f"{data['bands'].dims if 'bands' in data else list(data)}."
        )

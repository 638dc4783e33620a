"""An extraction as one GeoTIFF for each patch, in SpectralEarth's layout, and back, bit for bit.

    <folder>/enmap/0000012/00034.tif      the pixels, one band after the other
    <folder>/quality/0000012/00034.tif    their quality bits
    <folder>/manifest.parquet             written last: the manifest with the column `file`
    <folder>/rejected.parquet             as in the extraction

Locations and tiles are numbered in the order of their ids. The archive itself has no manifest, and
with it no times: `spectralearth_patches` lists it and `open_spectralearth` reads it.
"""

import os
import shutil
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import numpy as np

from workbench.errors import ManifestError
from workbench.extraction.cutting import PARTIAL
from workbench.extraction.manifest import manifest_note, read_manifest, write_manifest
from workbench.extraction.schemas import write_checksums
from workbench.extraction.shards import Compression, ShardWriter
from workbench.extraction.store import STORE, PatchStore, StoreLayout, create_store, shard_path
from workbench.geo.grid import PixelGrid
from workbench.geo.raster import read_raster, write_raster
from workbench.sensors import InputContract

if TYPE_CHECKING:
    import geopandas as gpd

PIXELS, QUALITY = "enmap", "quality"


def store_to_geotiff(
    extraction: Path | str,
    folder: Path | str,
    *,
    interleave: Literal["band", "pixel"] = "band",
    compress: str | None = None,
) -> "gpd.GeoDataFrame":
    """Write each patch as a GeoTIFF.

    Args:
        extraction: Folder of an extraction.
        folder: Folder to write; files of an earlier, interrupted export are replaced.
        interleave: "band" is read faster; "pixel" is what GDAL does by itself.
        compress: None, "deflate", "zstd".

    Returns:
        The manifest with the column `file`, the path below `enmap` and `quality`.

    Raises:
        ManifestError: If there is no finished extraction.
        TileError: If a file cannot be written.
    """
    extraction, folder = Path(extraction), Path(folder)
    table, store = (
        read_manifest(extraction / "manifest.parquet", kind="patches"),
        PatchStore(extraction),
    )
    table = table.assign(file=_file_names(table))
    contract, size = store.contract, store.shape[1:]
    for row in table.itertuples():
        gsd = (row.xmax - row.xmin) / size[1]
        grid = PixelGrid.from_bounds(row.crs, (row.xmin, row.ymin, row.xmax, row.ymax), gsd)
        how: dict[str, Any] = {"interleave": interleave, "compress": compress, "tiled": False}
        write_raster(
            folder / PIXELS / row.file,
            store.pixels(row.place),
            grid,
            nodata=contract.nodata,
            band_names=contract.band_names,
            **how,
        )
        write_raster(folder / QUALITY / row.file, store.quality(row.place), grid, **how)
    note = manifest_note(extraction / "manifest.parquet")
    layout = {"places": store.places, "shard_size": store.shard_size, "dtype": store.dtype.name}
    shutil.copyfile(extraction / "rejected.parquet", folder / "rejected.parquet")
    write_manifest(
        table, folder / "manifest.parquet", kind="patches", note={**note, "layout": layout}
    )
    return table


def geotiff_to_store(
    folder: Path | str, extraction: Path | str, *, compression: Compression | None = None
) -> "gpd.GeoDataFrame":
    """Build the store and its manifest again from GeoTIFFs.

    Args:
        folder: What `store_to_geotiff` wrote.
        extraction: Folder to write; it must not hold a store yet.
        compression: How chunks are compressed; None keeps plain bytes.

    Returns:
        The manifest, as it was before the export.

    Raises:
        ManifestError: If the folder has no manifest of an export, or the target has a store.
        TileError: If a file is missing or damaged.
    """
    folder, extraction = Path(folder), Path(extraction)
    table = read_manifest(folder / "manifest.parquet", kind="patches")
    note = manifest_note(folder / "manifest.parquet")
    if "file" not in table.columns or "layout" not in note:
        raise ManifestError(
            f"The manifest of an export names a file for each patch, but {folder} has another one."
            "\nName the folder that `store_to_geotiff` wrote."
        )
    if (extraction / STORE).exists():
        raise ManifestError(f"{extraction} holds a patch store already.\nName another folder.")
    layout = StoreLayout(
        patch_size=note["patch_size"],
        contract=InputContract.from_dict(note["contract"]),
        compression=compression,
        **note.pop("layout"),
    )
    store = extraction / PARTIAL / f"store-{uuid4().hex}"
    create_store(store, layout, _places(table, layout.places))
    for shard, rows in _by_shard(table, layout.shard_size):
        _write_shard(store, folder, layout, shard, rows)
    os.replace(store, extraction / STORE)
    shutil.rmtree(extraction / PARTIAL)
    write_checksums(extraction, extraction / STORE)
    shutil.copyfile(folder / "rejected.parquet", extraction / "rejected.parquet")
    kept = table.drop(columns="file")
    write_manifest(kept, extraction / "manifest.parquet", kind="patches", note=note)
    return kept


def _file_names(table: "gpd.GeoDataFrame") -> list[str]:
    """The numbers of each row's location and tile, as "0000012/00034.tif"."""
    location = np.unique(table["location_id"], return_inverse=True)[1]
    tile = np.unique(table["tile_id"], return_inverse=True)[1]
    return [f"{a:07d}/{b:05d}.tif" for a, b in zip(location, tile, strict=True)]


def _by_shard(table: "gpd.GeoDataFrame", size: int) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """Places and files of each shard, in order."""
    rows = sorted(zip(table["place"].tolist(), table["file"].tolist(), strict=True))
    for shard, members in groupby(rows, lambda row: row[0] // size):
        yield shard, list(members)


def _write_shard(
    store: Path, folder: Path, layout: StoreLayout, shard: int, rows: list[tuple[int, str]]
) -> None:
    for array, part in (("pixels", PIXELS), ("quality", QUALITY)):
        path = shard_path(store, array, shard)
        unfinished = store.parent / f"{array}-{shard}"
        with ShardWriter(
            path, unfinished, places=layout.shard_size, compression=layout.compression
        ) as writer:
            for place, file in rows:
                pixels = read_raster(folder / part / file)
                writer.put(place % layout.shard_size, pixels if array == "pixels" else pixels[0])


def _places(table: "gpd.GeoDataFrame", n: int) -> dict[str, np.ndarray]:
    """What the manifest knows about each place; places it does not list are left empty."""
    time = np.full(n, np.iinfo(np.int64).min, dtype=np.int64)
    epsg, xmin, ymax = np.zeros(n, np.int32), np.full(n, np.nan), np.full(n, np.nan)
    at = table["place"].to_numpy()
    time[at] = table["acquired"].dt.as_unit("s").astype("int64").to_numpy()
    codes = [crs.partition(":") for crs in table["crs"]]
    epsg[at] = [int(code) if authority == "EPSG" else 0 for authority, _, code in codes]
    xmin[at], ymax[at] = table["xmin"], table["ymax"]
    found: dict[str, np.ndarray] = {"time": time, "epsg": epsg, "xmin": xmin, "ymax": ymax}
    for name in ("location_id", "tile_id", "crs"):
        texts = np.full(n, "", dtype=object)
        texts[at] = table[name].astype(str)
        found[name] = texts.astype(str)
    return found

"""SSL4EO-S12 and SSL4EO-EU-Forest: patches of 2,640 m at several dates.

    v1          <root>/s2c/0000000/20200612T100559_20200612T101054_T33UUP/B2.tif
    EU-Forest   images/<id>/<start>_<end>_<tile>/all_bands.tif, masks/<id>/mask.tif, meta.jsonl

Version 1.1, in zarr-zip files, is read by `ssl4eo_zarr`. Its numbers are 1,000 higher than those of
version 1 (baseline 04.00), and so is its contract's offset: mixing the two is refused by the
contract, not found out by a loss that does not fall.
"""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from workbench.catalog import Entry
from workbench.errors import TileError
from workbench.files import read_text
from workbench.geo.outline import lonlat_footprint, valid_outline
from workbench.geo.raster import open_raster, raster_info, read_raster
from workbench.geo.tile import Tile
from workbench.readers.images import (
    Image,
    PatchFile,
    entry_paths,
    named_image,
    read_each,
    require_tiles,
)
from workbench.readers.sentinel2 import band_files, open_scene
from workbench.sensors import sensor

MODALITIES = {"s1": "sentinel1", "s2a": "sentinel2_l2a", "s2c": "sentinel2_l1c"}
"""Folder of version 1 and its sensor."""
_LOCATION = re.compile(r"\d{7}")
_TIME = re.compile(r"(?<!\d)(\d{8}T\d{6})(?!\d)")


def ssl4eo_scenes(root: str | Path, modality: str = "s2c") -> list[PatchFile]:
    """List the scenes of version 1: by location, then by time.

    Args:
        root: Folder that holds `s2c`, `s2a`, `s1`.
        modality: One of `MODALITIES`.

    Returns:
        One per scene; its path is the scene's folder.

    Raises:
        TileError: If there are none, or a scene's name has no time.
    """
    if modality not in MODALITIES:
        raise TileError(f"A modality is one of {', '.join(MODALITIES)}, got {modality!r}.")
    folder = Path(root) / modality
    found = [
        PatchFile(path.parent.name, path.name, path, acquired=_time_of(path.name, path))
        for path in folder.glob("*/*")
        if path.is_dir() and _LOCATION.fullmatch(path.parent.name)
    ]
    if not found:
        raise TileError(
            f"There must be scenes at {folder}/<location, 7 digits>/<scene>, but none is there.\n"
            "Check the path and the modality."
        )
    return sorted(found, key=lambda p: (p.location, p.acquired, p.view))


def open_ssl4eo(scene: str | Path, modality: str = "s2c") -> Image:
    """Read a scene of version 1 onto 264 × 264 pixels of 10 m; see `sentinel2.open_scene`."""
    return open_scene(scene, MODALITIES[modality])


def read_ssl4eo_s12(entry: Entry) -> list[Tile]:
    """Make a tile of every scene of a catalog entry of layout "ssl4eo_s12".

    Raises:
        TileError: If there is no usable scene.
    """
    name = entry.sensor or "sentinel2_l1c"
    modality = next((m for m, s in MODALITIES.items() if s == name), "s2c")
    scenes = {s.path: s for root in entry_paths(entry) for s in ssl4eo_scenes(root, modality)}
    tiles, skipped = read_each(scenes, lambda path: _scene_tile(scenes[path]))
    return require_tiles(tiles, skipped, str(entry.path))


def _scene_tile(scene: PatchFile) -> Tile:
    files = sorted(band_files(scene.path).values())
    if not files:
        raise TileError(f"A scene must have band files, but {scene.path} has none.")
    assert scene.acquired is not None
    finest = min(files, key=lambda path: raster_info(path).grid.resolution[0])
    return _tile_of(finest, f"{scene.location}/{scene.view}", scene.acquired, scene.path)


def _tile_of(image: Path, tile_id: str, acquired: datetime, path: Path) -> Tile:
    """A tile around the pixels of the first band that are not nodata (0 in Sentinel-2)."""
    info = raster_info(image)
    band = read_raster(image, indexes=[1])[0]
    nodata = 0 if info.nodata is None else info.nodata
    valid = np.isfinite(band) & (band != nodata)
    outline = valid_outline(valid, info.grid)
    footprint = lonlat_footprint(outline, info.grid.crs)
    return Tile(tile_id, acquired, footprint, info.grid.crs, path, path.name, info.grid)


def _time_of(name: str, path: Path) -> datetime:
    if found := _TIME.search(name):
        return datetime.strptime(found[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    raise TileError(
        f"A scene's name must begin with its time, as 20200612T100559, but {path} does not."
    )


def eu_forest_patches(root: str | Path) -> list[PatchFile]:
    """List the images of SSL4EO-EU-Forest with their leaf-type masks: by location, then by time.

    All dates of `meta.jsonl` are kept, also two of one season.

    Args:
        root: Folder that holds `meta.jsonl`, `images` and `masks`.

    Raises:
        TileError: If `meta.jsonl` is missing or broken, or a path in it leaves the folder.
    """
    root = Path(root)
    listing = root / "meta.jsonl"
    try:
        records = [
            json.loads(s) for s in read_text(listing, error=TileError).split("\n") if s.strip()
        ]
        found = [
            PatchFile(
                location=str(record["group_id"]),
                view=Path(image["path"]).parent.name,
                path=_inside(root, image["path"]),
                acquired=_moment(image["timestamp_start"]),
                label=_inside(root, record["mask_path"]),
            )
            for record in records
            for image in _images(record["images"])
        ]
    except (OSError, KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise TileError(
            f"EU-Forest must have a whole meta.jsonl, but {listing} is not: {error!r}.\n"
            "Get it again beside `images` and `masks`."
        ) from error
    if not found:
        raise TileError(f"There must be images in {listing}, but it lists none.")
    return sorted(found, key=lambda p: (p.location, p.acquired, p.view))


def open_eu_forest(path: str | Path) -> Image:
    """Open `all_bands.tif` lazily: 12 bands of Sentinel-2 L2A at 10 m, B1 to B12 without B10.

    Raises:
        TileError: If the file is damaged, or has not 12 bands.
    """
    data = open_raster(path)
    kept = sensor("sentinel2_l2a").kept
    if data.sizes["band"] != len(kept):
        raise TileError(
            f"An EU-Forest image must have the {len(kept)} bands of L2A, but {path} has "
            f"{data.sizes['band']}."
        )
    return named_image(data, sensor("sentinel2_l2a").contract())


def read_ssl4eo_eu_forest(entry: Entry) -> list[Tile]:
    """Make a tile of every image of a catalog entry of layout "ssl4eo_eu_forest".

    Raises:
        TileError: If there is no usable image.
    """
    patches = {p.path: p for root in entry_paths(entry) for p in eu_forest_patches(root)}

    def read(path: Path) -> Tile:
        patch = patches[path]
        assert patch.acquired is not None
        return _tile_of(path, f"{patch.location}/{patch.view}", patch.acquired, path.parent)

    return require_tiles(*read_each(patches, read), str(entry.path))


def _images(images: object) -> list[dict[str, str]]:
    """The images of a record, which are keyed by season or listed."""
    return list(images.values()) if isinstance(images, dict) else list(images)  # type: ignore[call-overload]


def _moment(text: str) -> datetime:
    """A time as ISO 8601 or as 20180612T100559."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise TileError(f"A time in meta.jsonl must be a date, but one is {text!r}.") from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _inside(root: Path, name: str) -> Path:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise TileError(f"Paths in meta.jsonl must stay in {root}, but one is {name!r}.")
    return root / name

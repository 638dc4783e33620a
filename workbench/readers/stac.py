"""STAC items of EnMAP L2A: tiles from a search result, without the products themselves.

Items are read from files: one item, a feature collection (what a search returns), or a folder of
either. The footprint is the item's geometry, which the provider draws around the valid pixels.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import MultiPolygon, Polygon

from workbench.catalog import Entry
from workbench.errors import TileError
from workbench.geo.grid import crs_name
from workbench.geo.tile import Tile
from workbench.readers.enmap_metadata import PRODUCT
from workbench.readers.images import SkippedProduct, entry_paths, read_each, require_tiles

_IMAGE = re.compile(r"SPECTRAL_IMAGE(_COG)?\.(TIF|TIFF|BSQ)$", re.IGNORECASE)
_MAX_BYTES = 1 << 30


def discover_stac(path: str | Path) -> tuple[list[Tile], list[SkippedProduct]]:
    """Make tiles of the items in a JSON file or in all JSON files below a folder.

    Returns:
        Tiles by id, and the items left out with the reason of each (also logged).

    Raises:
        TileError: If a file is no JSON of items.
    """
    path = Path(path)
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    items = {f"{item.get('id', i)}": (file, item) for file in files for i, item in _items(file)}
    order = {Path(key): value for key, value in sorted(items.items())}
    return read_each(order, lambda key: tile_of_item(order[key][1], order[key][0].parent))


def read_stac_enmap(entry: Entry) -> list[Tile]:
    """Make the tiles of a catalog entry of layout "stac_enmap".

    Raises:
        TileError: If there is no usable item.
    """
    found = [discover_stac(path) for path in entry_paths(entry)]
    tiles = [tile for tiles, _ in found for tile in tiles]
    return require_tiles(tiles, [item for _, left in found for item in left], str(entry.path))


def tile_of_item(item: Mapping[str, Any], folder: str | Path = ".") -> Tile:
    """Make the tile of one STAC item.

    Args:
        item: The item as JSON was read.
        folder: Where relative links of the item start.

    Returns:
        The tile; its path is the product's folder if the image lies on this machine, else None.

    Raises:
        TileError: If id, time, geometry or CRS are missing or not of an EnMAP L2A product.
        CRSMismatchError: If the projection is not a CRS.
    """
    name = str(item.get("id", ""))
    product = PRODUCT.match(name)
    if product is None:
        raise TileError(f"An item must be of an EnMAP L2A product, but its id is {name!r}.")
    properties = item.get("properties") or {}
    return Tile(
        id=product.group(),
        acquired=_acquired(properties, name),
        footprint=_footprint(item.get("geometry"), name),
        crs=_crs(properties, item.get("assets") or {}, name),
        path=_local_folder(item.get("assets") or {}, Path(folder)),
        group=product["datatake"],
    )


def _items(path: Path) -> Iterable[tuple[int, dict[str, Any]]]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("it is larger than 1 GiB")
        found = json.loads(path.read_text(encoding="utf-8"))
        kind = found.get("type") if isinstance(found, dict) else None
        if kind not in ("Feature", "FeatureCollection"):
            raise ValueError("it is neither an item nor a feature collection")
    except (OSError, ValueError, RecursionError) as error:
        raise TileError(
            f"STAC items must be JSON features, but {path} is not: {error}.\n"
            "Save the item, or what a search returned."
        ) from error
    features = [found] if kind == "Feature" else found.get("features") or []
    return enumerate(feature for feature in features if isinstance(feature, dict))


def _acquired(properties: Mapping[str, Any], name: str) -> datetime:
    text = properties.get("start_datetime") or properties.get("datetime")
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise TileError(f"Item {name} must have a datetime, but has {text!r}.") from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _footprint(geometry: object, name: str) -> Polygon | MultiPolygon:
    if not isinstance(geometry, dict):
        raise TileError(f"Item {name} must have a polygon for geometry, but has {geometry!r:.60}.")
    try:
        found = shapely.from_geojson(json.dumps(geometry))
    except shapely.errors.GEOSException as error:
        raise TileError(f"Item {name} must have a geometry in GeoJSON: {error}.") from error
    if not isinstance(found, Polygon | MultiPolygon):
        raise TileError(f"Item {name} must have a polygon for geometry, but has {geometry!r:.60}.")
    return found


def _crs(properties: Mapping[str, Any], assets: Mapping[str, Any], name: str) -> str:
    """`proj:code` (extension 2.0) or `proj:epsg` of the item or of its image."""
    images = [a for a in assets.values() if _IMAGE.search(str(a.get("href", "")))]
    for place in (properties, *images):
        if code := place.get("proj:code"):
            return crs_name(str(code))
        if epsg := place.get("proj:epsg"):
            return crs_name(f"EPSG:{epsg}")
    raise TileError(
        f"Item {name} must name its CRS in proj:code or proj:epsg, but does neither.\n"
        "Search with the projection extension, or read the products themselves."
    )


def _local_folder(assets: Mapping[str, Any], folder: Path) -> Path | None:
    for asset in assets.values():
        href = str(asset.get("href", "")).removeprefix("file://")
        if _IMAGE.search(href) and "://" not in href and (folder / href).is_file():
            return (folder / href).parent
    return None

"""STAC items of EnMAP L2A: tiles from a search result, without the products themselves.

Items are read from files: one item, a feature collection (what a search returns), a catalog with
links to items beside it, or a folder of them. The footprint is the item's geometry, which the
provider draws around the valid pixels.
"""

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import shapely
from shapely.geometry import MultiPolygon, Polygon

from workbench.catalog import Entry
from workbench.errors import TileError, WorkbenchError
from workbench.files import read_text
from workbench.geo.footprint import split_at_antimeridian
from workbench.geo.grid import PixelGrid, crs_name
from workbench.geo.raster import raster_info
from workbench.geo.tile import Tile
from workbench.readers.enmap_metadata import PRODUCT
from workbench.readers.images import (
    SkippedProduct,
    entry_paths,
    read_each,
    require_tiles,
    walk_folders,
)

log = logging.getLogger(__name__)

_IMAGE = re.compile(r"SPECTRAL_IMAGE(_COG)?\.(TIF|TIFF|BSQ|BIL|BIP|JP2)$", re.IGNORECASE)
_MAX_BYTES = 1 << 30
_SUFFIXES = (".json", ".geojson")
_RELATIONS = ("item", "items", "child")


def discover_stac(path: str | Path) -> tuple[list[Tile], list[SkippedProduct]]:
    """Make tiles of STAC items: in a file, in a catalog's local links, or below a folder.

    A file may be an item, a feature collection (what a search returned), a catalog or a collection,
    whose links to items and children are followed as long as they stay in its folder.

    Args:
        path: File (JSON, GeoJSON), or folder in which all such files are read.

    Returns:
        Tiles by id, and the items, files and links left out with the reason of each (also logged).

    Raises:
        TileError: If there is no item because a file is no STAC.
    """
    path = Path(path)
    found = _Listing(path if path.is_dir() else path.parent)
    for file in _files(path):
        found.read(file)
    if not found.items and found.faults:
        raise found.faults[0]
    order = dict(sorted(found.items.items()))
    tiles, skipped = read_each(
        map(Path, order), lambda key: tile_of_item(order[str(key)][1], order[str(key)][0].parent)
    )
    for item in found.skipped:
        log.warning("left out %s: %s", item.path, item.reason)
    return tiles, [*skipped, *found.skipped]


class _Listing:
    """Items by id, as files and links give them."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.items: dict[str, tuple[Path, dict[str, Any]]] = {}
        self.skipped: list[SkippedProduct] = []
        self.faults: list[TileError] = []
        self._read: set[Path] = set()

    def read(self, first: Path) -> None:
        """Read a file, and what it links to."""
        waiting = [first]
        while waiting:
            file = waiting.pop()
            if file.resolve() in self._read:
                continue
            self._read.add(file.resolve())
            try:
                document = _document(file)
            except TileError as error:
                self._fault(file, error)
                continue
            if document["type"] in ("Catalog", "Collection"):
                waiting += self._linked(file, document)
            else:
                self._add(file, document)

    def _add(self, file: Path, document: dict[str, Any]) -> None:
        is_one = document["type"] == "Feature"
        for i, item in enumerate([document] if is_one else document.get("features") or []):
            if not isinstance(item, dict):
                self._skip(file, f"Feature {i} must be an object, but is {item!r:.60}.")
                continue
            name = str(item.get("id", i))
            if name in self.items:
                other = self.items[name][0].name
                self._skip(file, f"Item {name} is already in {other}; the first is used.")
            else:
                self.items[name] = file, item

    def _linked(self, file: Path, document: dict[str, Any]) -> list[Path]:
        """Local files that a catalog links to, the last one first."""
        links = document.get("links")
        links = (
            [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []
        )
        wanted = [str(link.get("href", "")) for link in links if link.get("rel") in _RELATIONS]
        found = []
        for href in wanted:
            target = _local(href, file.parent)
            if target is None:
                self._skip(file, f"Its link {href!r} is not on this machine; download the items.")
            elif not target.resolve().is_relative_to(self.root):
                self._skip(file, f"Its link {href!r} must stay in {self.root}, but leaves it.")
            elif not target.is_file():
                self._skip(file, f"Its link {href!r} leads to no file.")
            else:
                found.append(target)
        if not wanted:
            self.faults.append(_no_stac(file, "it is a catalog without links to items"))
        return found[::-1]

    def _skip(self, file: Path, reason: str) -> None:
        self.skipped.append(SkippedProduct(file, reason))

    def _fault(self, file: Path, error: TileError) -> None:
        self.faults.append(error)
        self._skip(file, str(error).splitlines()[0])


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return [
        parent / name
        for parent, _, files in walk_folders(path)
        for name in files
        if name.lower().endswith(_SUFFIXES)
    ]


def _document(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("it is larger than 1 GiB")
        found = json.loads(read_text(path, error=TileError))
        kind = found.get("type") if isinstance(found, dict) else None
        if kind not in ("Feature", "FeatureCollection", "Catalog", "Collection"):
            raise ValueError("it is neither an item, a feature collection nor a catalog")
    except (OSError, ValueError, RecursionError) as error:
        raise _no_stac(path, str(error).splitlines()[0]) from error
    assert isinstance(found, dict)
    return found


def _no_stac(path: Path, why: str) -> TileError:
    return TileError(
        f"STAC items must be JSON features, but {path} is not: {why}.\n"
        "Save the item, or what a search returned."
    )


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
    assets = _assets(item)
    product = PRODUCT.search(name)
    if product is None:
        raise TileError(f"An item must be of an EnMAP L2A product, but its id is {name!r}.")
    properties = item.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    crs = _crs(properties, assets, name)
    image = _local_image(assets, Path(folder))
    return Tile(
        id=product.group(),
        acquired=_acquired(properties, name),
        footprint=_footprint(item.get("geometry"), name),
        crs=crs,
        path=None if image is None else image.parent,
        group=product["datatake"],
        grid=_grid(properties, assets, crs, image),
    )


def _assets(item: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found = item.get("assets")
    if not isinstance(found, dict):
        return {}
    return {name: asset for name, asset in found.items() if isinstance(asset, dict)}


def _href_path(asset: Mapping[str, Any]) -> str:
    """The path of a link, without the signature of a signed one, "%20" read as a blank."""
    return unquote(urlsplit(str(asset.get("href", ""))).path)


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
        found = shapely.force_2d(shapely.from_geojson(json.dumps(geometry)))
    except shapely.errors.GEOSException as error:
        raise TileError(f"Item {name} must have a geometry in GeoJSON: {error}.") from error
    if not isinstance(found, Polygon | MultiPolygon):
        raise TileError(f"Item {name} must have a polygon for geometry, but has {geometry!r:.60}.")
    west, _, east, _ = found.bounds if not found.is_empty else (0, 0, 0, 0)
    if west < -540 or east > 540:
        raise TileError(
            f"Item {name} must have longitudes, but its geometry reaches from {west:g} to {east:g}."
        )
    # Rings that go on past ±180° cross the antimeridian whole; a tile has them in parts.
    split = split_at_antimeridian([found])[0]
    assert isinstance(split, Polygon | MultiPolygon)
    return split


def _images(assets: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [asset for asset in assets.values() if _IMAGE.search(_href_path(asset))]


def _crs(properties: Mapping[str, Any], assets: Mapping[str, dict[str, Any]], name: str) -> str:
    """The CRS of the item, of its image, or of all its other assets where they agree."""
    for place in (properties, *_images(assets)):
        if crs := _stated_crs(place):
            return crs
    if len(stated := {crs for asset in assets.values() if (crs := _stated_crs(asset))}) == 1:
        return stated.pop()
    raise TileError(
        f"Item {name} must name its CRS in proj:code, proj:epsg, proj:wkt2 or proj:projjson, but "
        "does in none.\nSearch with the projection extension, or read the products themselves."
    )


def _stated_crs(place: Mapping[str, Any]) -> str | None:
    """What the projection extension says, in any of its versions."""
    if code := place.get("proj:code"):
        return crs_name(str(code))
    if epsg := place.get("proj:epsg"):
        return crs_name(f"EPSG:{epsg}")
    if wkt := place.get("proj:wkt2"):
        return crs_name(str(wkt))
    if projjson := place.get("proj:projjson"):
        return crs_name(projjson if isinstance(projjson, str) else json.dumps(projjson))
    return None


def _grid(
    properties: Mapping[str, Any],
    assets: Mapping[str, dict[str, Any]],
    crs: str,
    image: Path | None,
) -> PixelGrid | None:
    """The pixel grid of the image, by its header if it is here, else by the projection extension.

    None where neither tells, or what they tell is no grid of ours (rotated, in another CRS).
    """
    if image is not None:
        try:
            found = raster_info(image).grid
        except WorkbenchError as error:
            log.warning("the pixel grid of %s is not known: %s", image, str(error).splitlines()[0])
        else:
            return found if found.crs == crs else None
    for place in (*_images(assets), properties):
        merged = {**properties, **place}
        try:
            if (grid := _stated_grid(merged, crs)) is not None:
                return grid
        except (TypeError, ValueError, OverflowError) as error:  # TileError is a ValueError
            log.warning("a stated pixel grid is not used: %s", str(error).splitlines()[0])
    return None


def _stated_grid(place: Mapping[str, Any], crs: str) -> PixelGrid | None:
    """proj:shape with proj:transform (six or nine numbers), or with proj:bbox."""
    if not (shape := place.get("proj:shape")):
        return None
    height, width = (int(n) for n in shape)
    if transform := place.get("proj:transform"):
        a, b, c, d, e, f = (float(v) for v in transform[:6])
        return PixelGrid(crs, (a, b, c, d, e, f), (height, width))
    if (bbox := place.get("proj:bbox")) and len(bbox) == 4:
        xmin, ymin, xmax, ymax = (float(v) for v in bbox)
        dx, dy = (xmax - xmin) / width, (ymax - ymin) / height
        return PixelGrid(crs, (dx, 0.0, xmin, 0.0, -dy, ymax), (height, width))
    return None


def _local_image(assets: Mapping[str, dict[str, Any]], folder: Path) -> Path | None:
    """The image, if it lies on this machine."""
    for asset in _images(assets):
        path = _local(str(asset.get("href", "")), folder)
        if path is not None and path.is_file():
            return path
    return None


def _local(href: str, folder: Path) -> Path | None:
    """The path behind a link, as written or with "%20" as a blank; None on another machine."""
    parts = urlsplit(href)
    if not href or parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        return None
    literal = folder / href.removeprefix("file://").removeprefix("localhost")
    return literal if literal.exists() else folder / unquote(parts.path)

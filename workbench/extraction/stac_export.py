"""The manifest as STAC: one item for each patch, in one collection; an export, no second truth."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import shapely

from workbench.extraction.manifest import manifest_note, read_manifest
from workbench.extraction.store import STORE

if TYPE_CHECKING:
    import geopandas as gpd

VERSION = "1.0.0"
_SCHEMAS = "https://stac-extensions.github.io"
_EXTENSIONS = [
    f"{_SCHEMAS}/projection/v2.0.0/schema.json",
    f"{_SCHEMAS}/eo/v1.1.0/schema.json",
]


def export_stac(extraction: Path | str, path: Path | str | None = None) -> Path:
    """Write a manifest as a STAC item collection (GeoJSON that GIS programs open too).

    Args:
        extraction: Folder of an extraction.
        path: File to write; None: `items.json` in that folder. Assets are linked relative to it
            where they lie below its folder.

    Returns:
        The file.

    Raises:
        ManifestError: If there is no finished extraction.
        OSError: If the file cannot be written; an old one stays as it was.
    """
    extraction = Path(extraction)
    path = extraction / "items.json" if path is None else Path(path)
    table = read_manifest(extraction / "manifest.parquet", kind="patches")
    note = manifest_note(extraction / "manifest.parquet")
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            file.write('{"type": "FeatureCollection", "features": [')
            for i, item in enumerate(_items(table, _href(extraction, path), note["patch_size"])):
                file.write(("\n" if i == 0 else ",\n") + json.dumps(item, allow_nan=False))
            file.write("\n]}\n")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def _href(extraction: Path, path: Path) -> str:
    store = (extraction / STORE).resolve()
    folder = path.parent.resolve()
    return f"./{store.relative_to(folder)}" if store.is_relative_to(folder) else store.as_uri()


def _items(table: "gpd.GeoDataFrame", href: str, size: int) -> Iterator[dict[str, Any]]:
    for row in table.itertuples():
        gsd = (row.xmax - row.xmin) / size
        yield {
            "type": "Feature",
            "stac_version": VERSION,
            "stac_extensions": _EXTENSIONS,
            "id": f"{row.location_id}_{row.tile_id}",
            "geometry": shapely.geometry.mapping(row.geometry),
            "bbox": list(row.geometry.bounds),
            "properties": {
                "datetime": row.acquired.isoformat().replace("+00:00", "Z"),
                "gsd": gsd,
                "proj:code": row.crs,
                "proj:bbox": [row.xmin, row.ymin, row.xmax, row.ymax],
                "proj:shape": [size, size],
                "proj:transform": [gsd, 0.0, row.xmin, 0.0, -gsd, row.ymax],
                **_covers(row),
                "workbench:location": row.location_id,
                "workbench:tile": row.tile_id,
                "workbench:resampling": row.resampling,
                "workbench:checksum": row.checksum,
            },
            "links": [],
            "assets": {
                "pixels": {
                    "href": f"{href}/pixels",
                    "type": "application/vnd+zarr",
                    "title": "Index `workbench:place` along the first axis",
                    "roles": ["data"],
                    "workbench:place": row.place,
                }
            },
        }


def _covers(row: Any) -> dict[str, float]:
    """Percent under cloud and snow; what is not known is left out, as it is not 0."""
    shares = {"eo:cloud_cover": row.cloud, "eo:snow_cover": row.snow}
    return {name: round(100 * share, 3) for name, share in shares.items() if share == share}

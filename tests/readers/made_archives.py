"""Archives laid out exactly as they are published, written small."""

import json
from datetime import datetime

import numpy as np

from workbench.catalog import open_catalog
from workbench.geo.grid import PixelGrid
from workbench.geo.raster import write_raster

PRODUCT = "ENMAP01-____L2A-DT0000004950_20221103T162438Z_001_V010110_20221118T145147Z"
ENTRY = """
version: 1
datasets:
  archive:
    description: A fixture.
    layout: {layout}
    {sensor}
    source: {{type: local, path: {path}, obtain: Make it.}}
    license: CC0-1.0
    citation: None.
"""


def grid(size: int, gsd: float, zone: int = 32633) -> PixelGrid:
    bounds = (400_000, 5_800_000 - size * gsd, 400_000 + size * gsd, 5_800_000)
    return PixelGrid.from_bounds(f"EPSG:{zone}", bounds, gsd)


def entry(tmp_path, layout: str, path, name: str = ""):
    text = f"sensor: {name}" if name else ""
    (tmp_path / "catalog.yaml").write_text(ENTRY.format(layout=layout, path=path, sensor=text))
    return open_catalog(tmp_path / "catalog.yaml")["archive"]


def numbered(count: int, size: int) -> np.ndarray:
    """Band k (from 1) holds the number k."""
    return np.broadcast_to(np.arange(1, count + 1)[:, None, None], (count, size, size)).copy()


def write_eu_forest(root, group_id: str, views, image: np.ndarray, mask: np.ndarray):
    """One location of SSL4EO-EU-Forest: its images, its mask, and its line of meta.jsonl.

    Views are (start, end, tile, season), as ("20180408T100031", "20180408T100452", "T33UUP",
    "spring"); all have the pixels of `image` (12, H, W).
    """
    size = mask.shape[0]
    record = {
        "group_id": group_id,
        "mask_path": f"masks/{group_id}/mask.tif",
        "bbox_epsg4326": [13.0, 52.0, 13.1, 52.1],
        "mask_width": size,
        "mask_height": size,
        "dimensions_match": True,
        "images": {},
    }
    for start, end, tile, season in views:
        path = f"images/{group_id}/{start}_{end}_{tile}/all_bands.tif"
        record["images"][season] = {
            "path": path,
            "timestamp_start": datetime.strptime(start, "%Y%m%dT%H%M%S").isoformat(),
            "timestamp_end": datetime.strptime(end, "%Y%m%dT%H%M%S").isoformat(),
            "tile_id": tile,
            "season": season,
            "width": size,
            "height": size,
        }
        write_raster(root / path, image.astype(np.uint16), grid(size, 10))
    write_raster(root / record["mask_path"], mask.astype(np.uint8), grid(size, 10))
    with (root / "meta.jsonl").open("a") as listing:
        listing.write(json.dumps(record) + "\n")

"""A small extraction with two classes of spectra, and a small transformer of its bands."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import torch
from shapely import box

from workbench.datasets.patches import open_patches
from workbench.extraction import write_manifest
from workbench.extraction.shards import ShardWriter
from workbench.extraction.store import STORE, StoreLayout, create_store, shard_path
from workbench.models import ViTEncoder, ViTSize
from workbench.sensors import sensor

BANDS, SIDE, GSD, SHARD = 6, 8, 30.0, 16


def write_extraction(folder, locations, *, dates=2, spoilt=()):
    """Locations of two classes by turns; numbers too large to compute with in the spoilt ones."""
    names = [f"B{n:03d}" for n in range(1, 1 + 20 * BANDS, 20)]
    contract = sensor("enmap").contract(names)
    rng = np.random.default_rng(0)
    level = np.linspace(800, 3000, BANDS)[:, None, None]
    tilt = np.array([1.0, -1.0])[:, None, None, None] * np.linspace(-300, 300, BANDS)[:, None, None]
    rows = [(i, k) for i in range(locations) for k in range(dates)]
    pixels = np.stack(
        [level + tilt[i % 2] + rng.normal(0, 200, (BANDS, SIDE, SIDE)) for i, _ in rows]
    ).astype(np.float32)
    for row, (i, _) in enumerate(rows):
        if i in spoilt:
            pixels[row] = 3e38
    places = -(-len(rows) // SHARD) * SHARD
    create_store(folder / STORE, StoreLayout(places, SIDE, "float32", SHARD, contract))
    for shard in range(places // SHARD):
        path = shard_path(folder / STORE, "pixels", shard)
        with ShardWriter(path, path.with_suffix(".tmp"), places=SHARD) as out:
            for row in range(shard * SHARD, min(len(rows), (shard + 1) * SHARD)):
                out.put(row % SHARD, pixels[row])
    frame = pd.DataFrame(rows, columns=["number", "date"])
    x = 600_000.0 + frame.number * SIDE * GSD
    frame = frame.assign(
        location_id=[f"L{i:04d}" for i in frame.number],
        acquired=pd.to_datetime("2022-06-01", utc=True) + pd.to_timedelta(20 * frame.date, "D"),
        place=range(len(rows)),
        crs="EPSG:32632",
        xmin=x,
        ymin=5_400_000.0,
        xmax=x + SIDE * GSD,
        ymax=5_400_000.0 + SIDE * GSD,
        tile_id=[f"T{k}" for k in frame.date],
    )
    shapes = [box(10 + 0.01 * i, 48, 10.01 + 0.01 * i, 48.01) for i in frame.number]
    table = gpd.GeoDataFrame(
        frame.drop(columns=["number", "date"]), geometry=shapes, crs="EPSG:4326"
    )
    write_manifest(table, folder / "manifest.parquet", kind="patches")
    return open_patches(folder)


@pytest.fixture
def make(tmp_path):
    """Write an extraction of so many locations and open it."""

    def write(locations=16, **more):
        return write_extraction(tmp_path / "patches", locations, **more)

    return write


@pytest.fixture
def encoder():
    """Make a small transformer with weights of its own for each seed."""

    def build(seed=0, bands=BANDS):
        torch.manual_seed(seed)
        return ViTEncoder(bands, SIDE, 4, ViTSize(16, 2, 2), adapter=False)

    return build

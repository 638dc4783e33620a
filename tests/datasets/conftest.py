"""Small extractions: a store, and the manifest beside it, written by hand."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely import box

from workbench.datasets.patches import open_patches
from workbench.extraction import write_manifest
from workbench.extraction.shards import ShardWriter
from workbench.extraction.store import STORE, StoreLayout, create_store, shard_path
from workbench.sensors import sensor

NAMES = ("B001", "B002", "B003", "B004")
SIDE = 8  # pixels
GSD = 30.0
SHARD = 4


def extraction(folder, dates, *, cloud=None, groups=None, seed=0):
    """Write an extraction of one location for each list of dates, as "2022-06-01".

    A pixel's number is drawn, the first one of each band is 100 × location + date.
    """
    rows = [(i, k, day) for i, days in enumerate(dates) for k, day in enumerate(days)]
    contract = sensor("enmap").contract(NAMES)
    places = -(-len(rows) // SHARD) * SHARD
    create_store(folder / STORE, StoreLayout(places, SIDE, "int16", SHARD, contract))
    rng = np.random.default_rng(seed)
    place = rng.permutation(len(rows))  # the manifest's order is not that of the store
    pixels = rng.integers(200, 6000, (len(rows), len(NAMES), SIDE, SIDE)).astype(np.int16)
    for row, (i, k, _) in enumerate(rows):
        pixels[row, :, 0, 0] = 100 * i + k
    for shard in range(places // SHARD):
        path = shard_path(folder / STORE, "pixels", shard)
        with ShardWriter(path, path.with_suffix(".tmp"), places=SHARD) as out:
            for row in np.flatnonzero(place // SHARD == shard):
                out.put(int(place[row]) % SHARD, pixels[row])
    frame = pd.DataFrame(rows, columns=["number", "date_number", "acquired"])
    x = 600_000.0 + frame.number * SIDE * GSD
    frame = frame.assign(
        location_id=[f"L{i:04d}" for i in frame.number],
        acquired=pd.to_datetime(frame.acquired, utc=True, format="ISO8601"),
        place=place,
        crs="EPSG:32632",
        xmin=x,
        ymin=5_400_000.0,
        xmax=x + SIDE * GSD,
        ymax=5_400_000.0 + SIDE * GSD,
        tile_id=[f"T{k}" for k in frame.date_number],
    )
    if cloud is not None:
        frame["cloud"] = [share for shares in cloud for share in shares]
    if groups is not None:
        frame["group"] = [group for names in groups for group in names]
    shapes = [box(10 + 0.01 * i, 48, 10.01 + 0.01 * i, 48.01) for i in frame.number]
    shuffled = frame.drop(columns=["number", "date_number"]).iloc[rng.permutation(len(frame))]
    table = gpd.GeoDataFrame(
        shuffled, geometry=[shapes[i] for i in shuffled.index], crs="EPSG:4326"
    )
    write_manifest(table, folder / "manifest.parquet", kind="patches")
    return pixels


@pytest.fixture
def make(tmp_path):
    """Write an extraction into the test's folder and open it."""

    def write(dates, **more):
        extraction(tmp_path, dates, **more)
        return open_patches(tmp_path)

    return write

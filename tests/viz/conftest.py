"""Small made tiles and plans, a land to put behind them, and a campaign that was really cut."""

import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import geopandas as gpd
import networkx as nx
import numpy as np
import pytest
import shapely
from pyproj import Transformer
from shapely.geometry import box

from workbench.extraction import (
    PatchStore,
    ViewRules,
    drop_duplicates,
    extract_patches,
    temporal_views,
)
from workbench.geo.tile import Tile
from workbench.readers.enmap import discover_enmap
from workbench.synthetic import simulate_campaign

START = datetime(2022, 6, 1, 10, 30, tzinfo=UTC)


@pytest.fixture
def tiles():
    """Three that overlap in a chain on different days, and one far away."""
    places = {"a": 10.0, "b": 10.2, "c": 10.4, "far": 14.0}
    return [
        Tile(
            name,
            START + timedelta(days=10 * i),
            box(x, 47, x + 0.3, 47.3),
            "EPSG:32632",
            None,
            name,
        )
        for i, (name, x) in enumerate(places.items())
    ]


@pytest.fixture
def graph():
    graph = nx.Graph()
    graph.add_nodes_from(["a", "b", "c", "far"])
    graph.add_edge("a", "b", area=2.5e8)
    graph.add_edge("b", "c", area=2.5e8)
    return graph


@pytest.fixture
def land():
    return gpd.GeoDataFrame({"name": ["ground"]}, geometry=[box(5, 40, 20, 55)], crs="EPSG:4326")


def plan_of(squares, crs="EPSG:32632", side=2560.0):
    """A plan from (id, x, y, tile ids, dates) in one CRS."""
    x = np.array([s[1] for s in squares], dtype=float)
    y = np.array([s[2] for s in squares], dtype=float)
    back = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    lon, lat = back.transform(
        np.stack([x, x + side, x + side, x], axis=1), np.stack([y, y, y + side, y + side], axis=1)
    )
    columns = {
        "location_id": [s[0] for s in squares],
        "crs": [crs] * len(squares),
        "xmin": x,
        "ymin": y,
        "xmax": x + side,
        "ymax": y + side,
        "tile_ids": [tuple(s[3]) for s in squares],
        "n_acquisitions": np.array([s[4] for s in squares], dtype=np.int64),
    }
    corners = shapely.polygons(np.stack([lon, lat], axis=-1))
    return gpd.GeoDataFrame(columns, geometry=corners, crs="EPSG:4326")


@pytest.fixture
def plan():
    rows = [
        (f"32632-x{60000 + 256 * k:06d}-y520000", 600_000 + 2560 * k, 5_200_000, names, len(names))
        for k, names in enumerate([("a",), ("a", "b"), ("a", "b"), ("a", "b", "c"), ("far",)])
    ]
    return plan_of(rows)


@pytest.fixture(scope="session")
def cut(tmp_path_factory):
    """A small simulated campaign, extracted; nobody writes to it."""
    logging.getLogger("workbench").setLevel(logging.ERROR)  # it is full of damaged products
    truth = simulate_campaign(tmp_path_factory.mktemp("campaign"), tile_size=48, n_tiles=17)
    tiles, _ = drop_duplicates(discover_enmap(truth.products)[0])
    plan = temporal_views(tiles, ViewRules(patch_size=8))
    done = extract_patches(plan, tiles, tmp_path_factory.mktemp("patches"), workers=1)
    return SimpleNamespace(
        truth=truth,
        tiles=tiles,
        plan=plan,
        store=PatchStore(done.path),
        manifest=done.manifest,
        rejected=done.rejected,
    )

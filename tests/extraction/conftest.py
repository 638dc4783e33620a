"""Plans made by hand: squares in metres, as the planner would list them; a simulated campaign."""

from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pytest
from shapely import box, transform

from workbench.extraction import ViewRules, drop_duplicates, extract_patches, temporal_views
from workbench.geo.footprint import transformer
from workbench.readers.enmap import discover_enmap
from workbench.synthetic import simulate_campaign

SIDE = 3840.0


@pytest.fixture(scope="session")
def to_lonlat():
    """Project a shape's vertices from a CRS to longitude/latitude."""

    def project(shape, crs):
        move = transformer(crs, "EPSG:4326").transform
        return transform(shape, lambda xy: np.column_stack(move(*xy.T)))

    return project


@pytest.fixture(scope="session")
def plan_of(to_lonlat):
    """One location of 3840 m for each (xmin, ymin); ids count from 0, in one CRS or one each."""

    def make(squares, tile_ids, crs="EPSG:32632", prefix=""):
        zones = [crs] * len(squares) if isinstance(crs, str) else crs
        low = np.array(squares, dtype=float).reshape(-1, 2)
        high = low + SIDE
        outlines = [box(*a, *b) for a, b in zip(low, high, strict=True)]
        columns = {
            "location_id": [f"{prefix}{i:05d}" for i in range(len(low))],
            "crs": zones,
            "xmin": low[:, 0],
            "ymin": low[:, 1],
            "xmax": high[:, 0],
            "ymax": high[:, 1],
            "tile_ids": tile_ids,
        }
        shapes = [to_lonlat(shape, zone) for shape, zone in zip(outlines, zones, strict=True)]
        return gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4326")

    return make


@pytest.fixture(scope="session")
def campaign(tmp_path_factory):
    """A small simulated campaign with everything that goes wrong, and a plan of its ground."""
    truth = simulate_campaign(tmp_path_factory.mktemp("campaign"), tile_size=48, n_tiles=17)
    tiles, skipped = discover_enmap(truth.products)
    kept, dropped = drop_duplicates(tiles)
    plan = temporal_views(kept, ViewRules(patch_size=8))
    return SimpleNamespace(truth=truth, tiles=kept, plan=plan, skipped=skipped, dropped=dropped)


@pytest.fixture(scope="session")
def extracted(campaign, tmp_path_factory):
    """The campaign's patches, cut in this process."""
    out = tmp_path_factory.mktemp("extraction")
    return extract_patches(campaign.plan, campaign.tiles, out, workers=1)

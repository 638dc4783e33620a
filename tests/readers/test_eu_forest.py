"""SSL4EO-EU-Forest as published: images by date, a mask for each location, one listing."""

import numpy as np
import pytest

from tests.readers.made_archives import entry, numbered, write_eu_forest
from workbench.errors import TileError
from workbench.readers import read_tiles
from workbench.readers.ssl4eo import (
    eu_forest_patches,
    open_eu_forest,
)
from workbench.sensors import sensor


@pytest.fixture
def forest(tmp_path):
    views = [
        ("20180702T100031", "20180702T100452", "T33UUP", "summer"),
        ("20180408T100031", "20180408T100452", "T33UUP", "spring"),
    ]
    write_eu_forest(tmp_path, "42", views, numbered(12, 12), np.full((12, 12), 2))
    return tmp_path


def test_eu_forest_images_are_in_order_of_time_with_their_mask(forest):
    patches = eu_forest_patches(forest)
    assert [p.acquired.month for p in patches] == [4, 7]
    assert {p.label for p in patches} == {forest / "masks/42/mask.tif"}
    data, contract = open_eu_forest(patches[0].path)
    assert contract.band_names == sensor("sentinel2_l2a").kept
    assert data.sel(band="B11").values[0, 0] == 11
    tiles = read_tiles(entry(forest, "ssl4eo_eu_forest", forest, "sentinel2_l2a"))
    assert [t.id for t in tiles] == [f"42/{p.view}" for p in patches]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"masks/42/mask.tif"', '"../mask.tif"', "must stay in"),
        ('"group_id"', '"id"', "whole meta.jsonl"),
        ("{", "", "whole meta.jsonl"),
        ("2018-07-02T10:00:31", "once", "must be a date"),
    ],
)
def test_a_broken_listing_is_named(forest, old, new, reason):
    file = forest / "meta.jsonl"
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(TileError, match=reason):
        eu_forest_patches(forest)

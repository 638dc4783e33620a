"""STAC items of EnMAP become tiles; what is wrong with an item is said and counted."""

import json
from datetime import UTC, datetime

import pytest

from workbench.errors import TileError
from workbench.readers.stac import discover_stac, tile_of_item

NAME = "ENMAP01-____L2A-DT0000001867_20220724T104526Z_008_V010302_20230628T165614Z"
RING = [[13.0, 52.0], [13.4, 51.9], [13.5, 52.2], [13.1, 52.3], [13.0, 52.0]]


def item(**changes):
    found = {
        "type": "Feature",
        "id": NAME,
        "geometry": {"type": "Polygon", "coordinates": [RING]},
        "properties": {"datetime": "2022-07-24T10:45:26.5Z", "proj:epsg": 32633},
        "assets": {"image": {"href": f"https://example.org/{NAME}-SPECTRAL_IMAGE_COG.TIFF"}},
    }
    return {**found, **changes}


def test_an_item_becomes_a_tile():
    tile = tile_of_item(item())
    assert (tile.id, tile.group, tile.crs, tile.path) == (NAME, "0000001867", "EPSG:32633", None)
    assert tile.acquired == datetime(2022, 7, 24, 10, 45, 26, 500_000, UTC)
    assert tile.footprint.bounds == (13.0, 51.9, 13.5, 52.3)


@pytest.mark.parametrize(
    ("properties", "asset"),
    [({"proj:code": "EPSG:32633"}, {}), ({}, {"proj:epsg": 32633})],
)
def test_the_projection_may_stand_in_either_version_and_place(properties, asset):
    assets = {"image": {"href": f"{NAME}-SPECTRAL_IMAGE.TIF", **asset}}
    found = item(properties={"datetime": "2022-07-24T10:45:26Z", **properties}, assets=assets)
    assert tile_of_item(found).crs == "EPSG:32633"


def test_a_local_image_gives_the_path_of_its_product(tmp_path):
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / f"{NAME}-SPECTRAL_IMAGE.TIF").touch()
    found = item(assets={"image": {"href": f"{NAME}/{NAME}-SPECTRAL_IMAGE.TIF"}})
    assert tile_of_item(found, tmp_path).path == tmp_path / NAME


def test_collections_and_single_items_are_read_from_a_folder(tmp_path):
    other = NAME.replace("_008_", "_009_")
    collection = {"type": "FeatureCollection", "features": [item(id=other), item(id="x")]}
    (tmp_path / "search.json").write_text(json.dumps(collection))
    (tmp_path / "item.json").write_text(json.dumps(item()))
    tiles, skipped = discover_stac(tmp_path)
    assert [tile.id for tile in tiles] == [NAME, other]
    assert [s.reason for s in skipped] == [
        "An item must be of an EnMAP L2A product, but its id is 'x'."
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"geometry": None}, "must have a polygon for geometry"),
        ({"geometry": {"type": "Point", "coordinates": [1, 2]}}, "must have a polygon"),
        ({"geometry": {"type": "Polygon", "coordinates": "x"}}, "must have a geometry in GeoJSON"),
        ({"properties": {"proj:epsg": 32633}}, "must have a datetime"),
        ({"properties": {"datetime": "2022-07-24T10:45:26Z"}}, "must name its CRS"),
    ],
)
def test_an_item_that_lacks_something_is_refused(changes, reason):
    with pytest.raises(TileError, match=reason):
        tile_of_item(item(**changes))


@pytest.mark.parametrize("text", ["", "[1]", '{"type": "Catalog"}', "{"])
def test_a_file_without_items_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(TileError, match=r"must be JSON features, but .*x\.json"):
        discover_stac(tmp_path)
